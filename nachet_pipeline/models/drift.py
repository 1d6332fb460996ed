"""Whether what a version says changes over time: a month's predictions beside those before.

Four things are compared: how often each class is named, how sure the version is, how often it is not sure, and how
often people who judged say that it was wrong. Pictures that came together, such as those of a session, hang together;
so chance is simulated by dealing out anew which of these groups are the month's. All four are tested at once: of months
in which nothing changed, one in a hundred is called a drift. A change that is too small to matter is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.models.evaluation.intervals import Array, group_codes, group_sums, ratio
from nachet_pipeline.models.evaluation.significance import adjusted_by_rank
from nachet_pipeline.training.candidates import copied

FALSE_ALARMS = 0.01
"""Share of months that are called a drift although nothing changed."""
NOT_SURE = 0.5
"""Below such a score the version is not sure of its answer."""
PERMUTATIONS = 2000
LEAST_GROUPS = 5
"""A month of fewer groups, or one after fewer, is not compared."""
LEAST_CHANGES: Mapping[str, float] = {"classes": 0.10, "confidence": 0.05, "not_sure": 0.05, "judged_error": 0.05}
_CONFIDENCES = 20
_CELLS_AT_A_TIME = 4_000_000


@dataclass(frozen=True, slots=True)
class Said:
    """What a version said, answer by answer.

    Attributes:
        named: (n,) the class that was named first; -1 for none.
        score: (n,) how sure the version was, from 0 to 1.
        judged: (n,) 1 if people say that it was wrong, 0 if right, -1 if nobody judged.
        group: (n,) what came together.
        in_month: (n,) whether the answer is of the month; else it is of the time before.
    """

    named: NDArray[np.int64]
    score: Array
    judged: NDArray[np.int64]
    group: NDArray[np.int64]
    in_month: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Change:
    """How a month differs from the time before in one respect.

    Attributes:
        name: `classes`, `confidence`, `not_sure` or `judged_error`.
        month: its number in the month: the mean confidence or a share; of `classes` how many are named.
        before: the same before.
        size: of `classes` the share of answers that would have to be of another class; of `confidence` by how much
            answers would have to be more or less sure, on average; else the difference of the shares.
        chance: how probable it is that any of the four differs as much by chance.
        drift: whether it is neither small nor chance.
    """

    name: str
    month: float
    before: float
    size: float
    chance: float
    drift: bool


@dataclass(frozen=True, slots=True)
class Drift:
    """How a month differs from the time before.

    Attributes:
        answers: of the month.
        answers_before: of the time before.
        groups: that those of the month make.
        groups_before: that those before make.
        changes: none if there are too few groups to compare.
    """

    answers: int
    answers_before: int
    groups: int
    groups_before: int
    changes: tuple[Change, ...]

    @property
    def found(self) -> tuple[Change, ...]:
        """The changes that are a drift."""
        return tuple(change for change in self.changes if change.drift)


_SAID = """
select coalesce(o.class_index, -1), coalesce(o.score, o.box_score, 0), coalesce(j.wrong, -1),
    hashtextextended(coalesce(s.picture_set_id::text, encode(o.sha256, 'hex')), 0),
    (o.at >= %(month)s)::integer
from predicted_object o
    left join lateral (
        select picture_set_id from pictures p where p.sha256 = o.sha256 order by p.id limit 1
    ) s on true
    left join lateral (
        select (j.verdict <> 'right' and (j.verdict <> 'taxon' or j.seed_id is distinct from o.seed_id))::integer
            as wrong from judgement j
        where j.prediction_id = o.prediction_id and coalesce(j.object, 1) = o.object
            and j.verdict in ('right', 'wrong', 'taxon', 'not_a_seed')
            and not exists (select from judgement w where w.withdraws = j.id)
        order by j.at desc, j.recorded_at desc, j.id limit 1
    ) j on true
where o.model_version_id = %(version)s and o.at >= %(first)s and o.at < %(end)s
"""
_SAID_COLUMNS = {
    "named": pa.int64(),
    "score": pa.float64(),
    "judged": pa.int64(),
    "group": pa.int64(),
    "in_month": pa.int64(),
}


def read_said(connection: Connection, version: UUID, month: date) -> Said:
    """What a version said in a month, and in the year before: 40 bytes an answer are kept.

    What came together is what is in one picture set. Of several people who judged an answer the last one counts.

    Args:
        connection: in whose transaction it is read.
        version: the model's version.
        month: any day of it, in UTC.
    """
    start = datetime(month.year, month.month, 1, tzinfo=UTC)
    arguments = {
        "version": version,
        "month": start,
        "first": start.replace(year=start.year - 1),
        "end": (start + timedelta(days=31)).replace(day=1),
    }
    batches = list(copied(connection, _SAID, arguments, _SAID_COLUMNS))
    table = pa.Table.from_batches(batches, schema=pa.schema(list(_SAID_COLUMNS.items())))
    named, score, judged, group, in_month = (table.column(name).to_numpy() for name in _SAID_COLUMNS)
    return Said(named, score, judged, group, in_month == 1)


def drift(said: Said, *, seed: int = 0, permutations: int = PERMUTATIONS) -> Drift:
    """Compare a month with the time before; chance is simulated by so many permutations."""
    # What came over the turn of the month are two groups.
    group = group_codes(2 * group_codes(said.group) + said.in_month)
    sums, columns = _sums(said, group)
    month = group_sums(said.in_month.astype(np.float64), group)[:, 0] > 0
    counts = len(said.named), int(said.in_month.sum()), len(month), int(month.sum())
    found = counts[1], counts[0] - counts[1], counts[3], counts[2] - counts[3]
    if min(found[2:]) < LEAST_GROUPS:
        return Drift(*found, ())
    every = sums.sum(axis=0)
    observed = _sizes(sums[month].sum(axis=0)[None], every, columns)
    draw = np.random.default_rng(seed)
    step = max(1, _CELLS_AT_A_TIME // len(month))
    drawn = []
    for start in range(0, permutations, step):
        dealt = draw.permuted(np.tile(month, (min(step, permutations - start), 1)), axis=1)
        drawn.append(_sizes(dealt.astype(np.float64) @ sums, every, columns))
    chance = adjusted_by_rank(observed[0], np.concatenate(drawn))
    return Drift(*found, _changes(sums, month, columns, observed[0], chance))


def _sums(said: Said, group: NDArray[np.int64]) -> tuple[Array, tuple[slice, ...]]:
    """What is counted in each group, and in which columns: classes, confidences, not sure, sure, wrong, right."""
    classes = np.unique(said.named, return_inverse=True)[1].ravel()
    bins = np.clip((said.score * _CONFIDENCES).astype(np.int64), 0, _CONFIDENCES - 1)
    groups = int(group.max(initial=-1)) + 1
    counted = [_counts(group, of, groups) for of in (classes, bins)]
    rest = group_sums(
        np.stack(
            [said.score < NOT_SURE, said.score >= NOT_SURE, said.judged == 1, said.judged == 0, said.score], axis=1
        ),
        group,
    )
    ends = np.cumsum([0, counted[0].shape[1], counted[1].shape[1], 2, 2, 1]).tolist()
    return np.hstack([*counted, rest]), tuple(slice(*pair) for pair in pairwise(ends))


def _counts(group: NDArray[np.int64], of: NDArray[np.int64], groups: int) -> Array:
    columns = int(of.max(initial=-1)) + 1
    return np.bincount(group * columns + of, minlength=groups * columns).reshape(groups, columns).astype(np.float64)


def _sizes(month: Array, every: Array, columns: tuple[slice, ...]) -> Array:
    """How much months differ from the rest in the four respects, (r, 4)."""
    before = every - month
    classes, confidences, sure, judged = (_shares(month[:, one]) - _shares(before[:, one]) for one in columns[:4])
    found = [
        np.abs(classes).sum(axis=1) / 2,
        np.abs(np.cumsum(confidences, axis=1)).sum(axis=1) / _CONFIDENCES,
        np.abs(sure[:, 0]),
        np.abs(judged[:, 0]),
    ]
    # Where nothing was judged nothing differs.
    return np.asarray(np.nan_to_num(np.stack(found, axis=1)), np.float64)


def _shares(counts: Array) -> Array:
    """Each of all in its row; nan where there is none."""
    return ratio(counts, np.repeat(counts.sum(axis=1, keepdims=True), counts.shape[1], axis=1))


def _changes(
    sums: Array, month: NDArray[np.bool_], columns: tuple[slice, ...], sizes: Array, chance: Array
) -> tuple[Change, ...]:
    numbers = []
    for rows in (month, ~month):
        total = sums[rows].sum(axis=0)
        classes, _, sure, judged, score = (total[column] for column in columns)
        shares = [_shares(one[None])[0, 0] for one in (sure, judged)]
        numbers.append(((classes > 0).sum(), score[0] / sure.sum(), *shares))
    return tuple(
        Change(name, float(one), float(other), size, by_chance, size >= least and by_chance <= FALSE_ALARMS)
        for (name, least), one, other, size, by_chance in zip(
            LEAST_CHANGES.items(), *numbers, sizes.tolist(), chance.tolist(), strict=True
        )
    )
