"""The verdicts on a version of a model, from how well it did on the test split.

A version that fails a grave one is not named champion.
"""

from collections.abc import Sequence

from nachet_pipeline.models.evaluation.calibration import Calibration
from nachet_pipeline.models.evaluation.comparing import FALSE_ALARMS as FALSE_ALARMS_OF_COMPARING
from nachet_pipeline.models.evaluation.comparing import Difference
from nachet_pipeline.models.evaluation.slices import FALSE_ALARMS, Outcomes, Slice
from nachet_pipeline.settings import EvaluationSettings
from nachet_pipeline.training.verifying import FoundRows, SetVerdict

ENOUGH_PICTURES, NO_TRAIN_ON_TEST, WORST_CLASS_ABOVE = "enough_pictures", "no_train_on_test", "worst_class_above"
NO_SLICE_FAR_BELOW, CALIBRATED = "no_slice_far_below", "calibrated"
NOT_WORSE_THAN_CHAMPION = "not_worse_than_champion"

_NAMED = 20
_IN_A_LINE = 3


def enough_pictures(
    counted: Sequence[tuple[str, int, int]], *, members: int, answered: int, limits: EvaluationSettings
) -> SetVerdict:
    """Whether the version was asked about enough pictures.

    Args:
        counted: of each class of the test split its label, the pictures that were answered, and the groups they make.
        members: pictures of the test split that it may be judged by.
        answered: how many of those it answered.
        limits: what is enough.
    """
    few = [one for one in counted if one[1] < limits.evaluation_pictures or one[2] < limits.evaluation_groups]
    share = answered / members if members else 0.0
    said = []
    if not members:
        said.append("the test split has no picture that the version can be judged by")
    elif 100 * share < limits.evaluation_answered_percent:
        said.append(
            f"the version answered {answered:,} of {members:,} pictures of the test split; expected"
            f" {limits.evaluation_answered_percent} %"
        )
    if few:
        said.append(
            f"{_classes(len(few))} of fewer than {limits.evaluation_pictures:,} answered pictures in"
            f" {limits.evaluation_groups:,} groups: {_list([label for label, _, _ in few])}"
        )
    numbers = {"members": members, "answered": answered, "answered_share": share, "small_classes": len(few)}
    rows: FoundRows = [
        {"class": label, "pictures": pictures, "groups": groups} for label, pictures, groups in few[:_NAMED]
    ]
    return SetVerdict(ENOUGH_PICTURES, not said, True, "; ".join(said), numbers, rows)


def no_train_on_test(trained_on: int, known: bool) -> SetVerdict:
    """Whether the version was trained on none of what it is judged by.

    Args:
        trained_on: pictures of the test split that it was trained on; they are left out of every number.
        known: whether it is known what it was trained on.
    """
    said = f"the version was trained on {trained_on:,} pictures of the test split; they were left out"
    if not known:
        said = "it is not known what the version was trained on: no training set of its digest is published here"
    passed = known and not trained_on
    return SetVerdict(NO_TRAIN_ON_TEST, passed, known, "" if passed else said, {"trained_on": trained_on})


def worst_class_above(outcomes: Outcomes, labels: Sequence[str], limits: EvaluationSettings) -> SetVerdict:
    """Whether every class is recognized often enough: the recall of the worst one."""
    found: list[tuple[float, str, int]] = []
    for place, label in enumerate(labels):
        of_class = outcomes.label == place
        if total := float(outcomes.of[of_class].sum()):
            found.append((float(outcomes.right[of_class].sum()) / total, label, int(of_class.sum())))
    found.sort()
    low = [one for one in found if 100 * one[0] < limits.evaluation_recall_percent]
    said = (
        f"{_classes(len(low))} of a recall below {limits.evaluation_recall_percent} %:"
        f" {_list([f'{label} ({recall:.0%})' for recall, label, _ in low])}"
    )
    numbers = {"worst_recall": found[0][0]} if found else {}
    rows: FoundRows = [
        {"class": label, "recall": recall, "pictures": pictures} for recall, label, pictures in low[:_NAMED]
    ]
    return SetVerdict(WORST_CLASS_ABOVE, not low, True, said if low else "", numbers, rows)


def no_slice_far_below(found: Sequence[Slice], limits: EvaluationSettings) -> SetVerdict:
    """Whether the version does about as well on every part of the pictures: by owner, device, month, and so on.

    Of versions for which no part matters, it calls one in a hundred worse on some part.
    """
    below = [
        one
        for one in found
        if one.chance <= FALSE_ALARMS and 100 * (one.rest - one.right.value) >= limits.evaluation_slice_percent
    ]
    named = [f"{one.attribute} {one.value} ({one.right.value:.0%}, the rest {one.rest:.0%})" for one in below]
    rows: FoundRows = [
        {
            "attribute": one.attribute,
            "value": one.value,
            "right": one.right.value,
            "rest": one.rest,
            "pictures": one.pictures,
            "groups": one.groups,
            "chance": one.chance,
        }
        for one in below[:_NAMED]
    ]
    said = f"much more is wrong where: {_list(named)}" if below else ""
    return SetVerdict(NO_SLICE_FAR_BELOW, not below, False, said, {"slices": len(found), "far_below": len(below)}, rows)


def calibrated(found: Calibration | None, limits: EvaluationSettings) -> SetVerdict:
    """Whether the version is about as sure as it is right, as far as chance lets that be seen."""
    if found is None:
        return SetVerdict(CALIBRATED, True, False, "", {})
    beyond = max(found.ece.value - found.by_chance, 0.0)
    said = (
        f"how sure the version is and how often it is right differ by {found.ece.value:.2f} on average, of which chance"
        f" makes {found.by_chance:.2f}; expected {limits.evaluation_calibration_percent / 100:g} at most beyond that"
    )
    passed = not 100 * beyond > limits.evaluation_calibration_percent
    numbers = {"ece": found.ece.value, "ece_by_chance": found.by_chance}
    return SetVerdict(CALIBRATED, passed, False, "" if passed else said, numbers)


def not_worse_than_champion(
    champion: str | None,
    found: Sequence[Difference],
    labels: Sequence[str],
    *,
    comparable: int,
    limits: EvaluationSettings,
) -> SetVerdict:
    """Whether the version is no worse than the champion on the same pictures: in all, and on each regulated species.

    Of versions that are as good as the champion, it calls one in twenty worse.

    Args:
        champion: its name; None: there is none to compare with, or it is this version.
        found: the differences; those that are tested count.
        labels: of the classes.
        comparable: pictures that the version answered and the champion was not trained on.
        limits: of how many of them the champion must have answered: of few, nothing is beyond chance.
    """
    tested = [one for one in found if one.chance == one.chance]
    if champion is None:
        return SetVerdict(NOT_WORSE_THAN_CHAMPION, True, True)
    shared = found[0].pictures if tested else 0
    if not comparable or 100 * shared < limits.evaluation_answered_percent * comparable:
        said = (
            f"{champion}, the champion, answered {shared:,} of {comparable:,} pictures that the two may be compared by;"
            f" expected {limits.evaluation_answered_percent} %: record what it predicts of the test split"
        )
        return SetVerdict(NOT_WORSE_THAN_CHAMPION, False, True, said, {"pictures": shared})
    worse = [one for one in tested if one.chance <= FALSE_ALARMS_OF_COMPARING and one.change.value < 0]
    names = ["all pictures" if one.label is None else labels[one.label] for one in worse]
    rows: FoundRows = [
        {
            "of": name,
            "right": one.now,
            "champion": one.before,
            "at most": one.change.high,
            "pictures": one.pictures,
            "groups": one.groups,
            "chance": one.chance,
        }
        for name, one in zip(names, worse[:_NAMED], strict=False)
    ]
    said = f"fewer are right than of {champion}, the champion: {_list(names)}" if worse else ""
    numbers: dict[str, int | float] = {"pictures": shared, "change": found[0].change.value}
    numbers |= {"tested": len(tested), "worse": len(worse)}
    return SetVerdict(NOT_WORSE_THAN_CHAMPION, not worse, True, said, numbers, rows)


def _classes(number: int) -> str:
    return "one class is" if number == 1 else f"{number:,} classes are"


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_IN_A_LINE])
    return f"{shown} and {len(names) - _IN_A_LINE:,} more" if len(names) > _IN_A_LINE else shown
