"""What is found where something was planted, and how often something is found where nothing is.

The simulations draw the same numbers every time. Each false alarm rate is a promise of its page in the documentation;
that so many alarms or fewer are seen by chance has a probability above 99 %.
"""

from collections.abc import Mapping

import numpy as np
import pytest
from scipy import stats

from nachet_pipeline.models.drift import FALSE_ALARMS as DRIFTS_BY_CHANCE
from nachet_pipeline.models.drift import Said, drift
from nachet_pipeline.models.evaluation.comparing import FALSE_ALARMS as WORSE_BY_CHANCE
from nachet_pipeline.models.evaluation.comparing import differences
from nachet_pipeline.models.evaluation.slices import FALSE_ALARMS, Outcomes, chances, parts

SIMULATIONS = 100


def at_most(rate: float, simulations: int = SIMULATIONS) -> int:
    """Alarms that a test of such a rate gives at most, but for one case in a hundred."""
    return int(stats.binom.ppf(0.99, simulations, rate))


class Evaluated:
    """Pictures of groups that are large and small, easy and hard, with what a version got right of them."""

    def __init__(self, seed: int, *, groups: int = 120, wrong: float = 0.1) -> None:
        self.draw = np.random.default_rng(seed)
        sizes = np.clip(self.draw.geometric(0.12, groups), 1, 60)
        self.group = np.repeat(np.arange(groups), sizes)
        hard = self.draw.beta(0.6, 0.6 * (1 - wrong) / wrong, groups)[self.group]
        self.wrong = self.draw.random(len(self.group)) < hard

    def of_groups(self, values: int) -> np.ndarray:
        """A value for every group, as its pictures have it."""
        return self.draw.integers(0, values, self.group.max() + 1)[self.group]

    def attributes(self) -> dict[str, np.ndarray]:
        return {
            "owner": self.of_groups(6),
            "device": self.of_groups(4),
            "month": self.of_groups(12),
            "quality": self.draw.integers(0, 4, len(self.group)),
        }

    def chances(self, attributes: Mapping[str, np.ndarray], permutations: int = 400) -> dict[tuple[str, str], float]:
        outcomes = Outcomes(1.0 - self.wrong, np.ones(len(self.wrong)), np.zeros_like(self.group), self.group)
        texts = {name: [str(value) for value in values] for name, values in attributes.items()}
        wanted = parts(texts, {})
        found = chances(outcomes, wanted, permutations=permutations).tolist()
        return {(one.attribute, one.value): chance for one, chance in zip(wanted, found, strict=True)}


def test_a_device_on_which_more_is_wrong_is_found_and_no_other_part() -> None:
    evaluated = Evaluated(1)
    attributes = evaluated.attributes()
    evaluated.wrong |= (attributes["device"] == 2) & (evaluated.draw.random(len(evaluated.group)) < 0.4)
    found = evaluated.chances(attributes)
    assert [part for part, chance in found.items() if chance <= FALSE_ALARMS] == [("device", "2")]


def test_a_few_groups_of_an_owner_on_which_all_is_wrong_are_found() -> None:
    evaluated = Evaluated(2)
    owner = np.where(evaluated.group < 4, 9, evaluated.of_groups(5))
    evaluated.wrong |= evaluated.group < 4
    assert evaluated.chances({"owner": owner})["owner", "9"] <= FALSE_ALARMS


def test_what_is_wrong_with_some_pictures_of_every_group_is_found() -> None:
    evaluated = Evaluated(3)
    quality = evaluated.draw.integers(0, 4, len(evaluated.group))
    evaluated.wrong |= (quality == 0) & (evaluated.draw.random(len(quality)) < 0.3)
    found = evaluated.chances({"quality": quality})
    assert [part for part, chance in found.items() if chance <= FALSE_ALARMS] == [("quality", "0")]


def test_shuffled_slices_are_quiet() -> None:
    alarms = 0
    for seed in range(SIMULATIONS):
        evaluated = Evaluated(100 + seed)
        alarms += min(evaluated.chances(evaluated.attributes()).values()) <= FALSE_ALARMS
    assert alarms <= at_most(FALSE_ALARMS)


def compared(seed: int, *, worse: float = 0.0, groups: int = 150) -> dict[int | None, float]:
    """How likely by chance a version is worse than another, where it is `worse` on class 1 of three."""
    draw = np.random.default_rng(seed)
    sizes = draw.integers(1, 12, groups)
    group, label = np.repeat(np.arange(groups), sizes), np.repeat(draw.integers(0, 3, groups), sizes)
    hard = draw.beta(0.5, 4, groups)[group]
    before = (draw.random(len(group)) > hard).astype(float)
    now = (draw.random(len(group)) > hard + worse * (label == 1)).astype(float)
    found = differences(
        Outcomes(now, np.ones(len(group)), label, group),
        before,
        classes=3,
        tested=np.array([False, True, True]),
        swaps=800,
    )
    return {one.label: one.chance for one in found}


def test_a_version_that_is_worse_on_a_regulated_species_is_found_out() -> None:
    found = compared(1, worse=0.3)
    assert found[1] <= WORSE_BY_CHANCE < found[2]
    assert np.isnan(found[0]), "which is not regulated"


def test_versions_that_are_as_good_are_seldom_called_worse() -> None:
    alarms = sum(np.nanmin(list(compared(100 + seed).values())) <= WORSE_BY_CHANCE for seed in range(60))
    assert alarms <= at_most(WORSE_BY_CHANCE, 60)


def test_where_every_group_is_a_picture_the_comparison_is_mcnemar_s_test() -> None:
    draw = np.random.default_rng(7)
    before, now = (draw.random(400) < 0.85).astype(float), (draw.random(400) < 0.8).astype(float)
    (overall, *_) = differences(
        Outcomes(now, np.ones(400), np.zeros(400, np.int64), np.arange(400)),
        before,
        classes=1,
        tested=np.array([False]),
    )
    lost, won = int(((before == 1) & (now == 0)).sum()), int(((before == 0) & (now == 1)).sum())
    exact = stats.binomtest(lost, lost + won, alternative="greater").pvalue
    assert overall.chance == pytest.approx(exact, abs=0.02)
    assert overall.change.value == pytest.approx((won - lost) / 400)


class Months:
    """What a version says of sessions of two times, in which nothing changes but what is asked for."""

    def __init__(self, seed: int, *, sessions: int = 80, in_month: int = 25) -> None:
        self.draw = np.random.default_rng(seed)
        self.group = np.repeat(np.arange(sessions), self.draw.integers(1, 30, sessions))
        self.month = self.group >= sessions - in_month
        # A session shows one species, mostly.
        self.named = np.where(
            self.draw.random(len(self.group)) < 0.8,
            self.draw.integers(0, 10, sessions)[self.group],
            self.draw.integers(0, 10, len(self.group)),
        )
        self.score = np.clip(
            self.draw.beta(6, 2, len(self.group)) + self.draw.normal(0, 0.08, sessions)[self.group], 0, 1
        )
        self.judged = np.where(
            self.draw.random(len(self.group)) < 0.3, self.draw.random(len(self.group)) < 0.1, -1
        ).astype(np.int64)

    def drifts(self, permutations: int = 500) -> set[str]:
        said = Said(self.named, self.score, self.judged, self.group, self.month)
        return {change.name for change in drift(said, permutations=permutations).found}


@pytest.mark.parametrize("change", ["classes", "confidence", "not_sure", "judged_error"])
def test_a_drift_is_found(change: str) -> None:
    months = Months(1)
    some = months.month & (months.draw.random(len(months.group)) < 0.5)
    if change == "classes":
        months.named[some] = 11
    elif change == "judged_error":
        months.judged[some & (months.judged >= 0)] = 1
    else:
        months.score[some] *= 0.55
    assert change in months.drifts(2000)
    if change == "classes":
        assert months.drifts(2000) == {"classes"}


def test_months_in_which_nothing_changes_are_seldom_called_a_drift() -> None:
    assert sum(bool(Months(100 + seed).drifts()) for seed in range(SIMULATIONS)) <= at_most(DRIFTS_BY_CHANCE)


def test_a_month_of_very_few_sessions_is_not_compared() -> None:
    months = Months(1, in_month=3)
    found = drift(Said(months.named, months.score, months.judged, months.group, months.month))
    assert (found.groups, found.changes) == (3, ())


def test_a_version_that_never_said_anything_is_not_compared() -> None:
    none = np.zeros(0, np.int64)
    found = drift(Said(none, none.astype(np.float64), none, none, none.astype(np.bool_)))
    assert (found.answers, found.groups, found.changes) == (0, 0, ())
