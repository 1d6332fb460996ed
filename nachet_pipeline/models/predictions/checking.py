"""Answers of a block as columns, checked as a whole: what is wrong is named with its line, the rest is kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Self
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nachet_pipeline.models.findings import LONGEST_FOUND, SHOWN_OF_A_CODE, LineFinding
from nachet_pipeline.models.model import Task
from nachet_pipeline.models.predictions.reading import Block
from nachet_pipeline.models.predictions.schema import LONGEST_EMBEDDING, MOST_CANDIDATES, MOST_OBJECTS, OBJECT
from nachet_pipeline.support.i18n import Bilingual

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_CLOCK_SKEW = timedelta(days=1)
_CORNERS = 4
_SHA256 = "^[0-9a-fA-F]{64}$"
_MOMENT = pa.timestamp("us", "UTC")

_NOTHING = Bilingual("nothing", "rien")
_MORE = Bilingual("more", "davantage")
_BOTH_OR_NONE = Bilingual("both or none", "les deux ou aucun")
_BESIDE = Bilingual("it beside the boxes", "cette clé à côté des boxes")
_ONE_SUBJECT = Bilingual("sha256 or picture", "sha256 ou picture")
_A_SHA256 = Bilingual(
    "the SHA-256 of a file, 64 hexadecimal digits", "le SHA-256 d'un fichier, 64 chiffres hexadécimaux"
)
_AN_IDENTIFIER = Bilingual("the identifier of a picture", "l'identifiant d'une image")
_ONE_ANSWER = Bilingual("boxes or candidates", "boxes ou candidates")
_IN_BOXES = Bilingual("it in each of the boxes", "cette clé dans chacune des boxes")
_A_MOMENT = Bilingual(
    "a time with its zone, such as 2026-05-01T10:00:00Z, since 2000 and not in the future",
    "une heure avec son fuseau, comme 2026-05-01T10:00:00Z, depuis 2000 et pas dans le futur",
)
_FEWER_OBJECTS = Bilingual(f"at most {MOST_OBJECTS} boxes", f"au plus {MOST_OBJECTS} boxes")
_A_BOX = Bilingual(
    "left, top, right and bottom from 0 to 1, in this order and with something between them",
    "gauche, haut, droite et bas de 0 à 1, dans cet ordre et avec quelque chose entre eux",
)
_A_SCORE = Bilingual("a number from 0 to 1", "un nombre de 0 à 1")
_IN_ALL = Bilingual(
    "it in all boxes of the answer or in none", "cette clé dans toutes les boxes de la réponse ou aucune"
)
_ONE_CLASS = Bilingual("label or index", "label ou index")
_A_LABEL = Bilingual("a label of the version", "une étiquette de la version")
_FEWER_CANDIDATES = Bilingual(f"at most {MOST_CANDIDATES} candidates", f"au plus {MOST_CANDIDATES} candidats")
_EACH_ONCE = Bilingual("each class once", "chaque classe une seule fois")
_AN_EMBEDDING = Bilingual(
    f"1 to {LONGEST_EMBEDDING} numbers, as many in each box",
    f"1 à {LONGEST_EMBEDDING} nombres, autant dans chaque box",
)
_WHOLE = Bilingual(
    "candidates, as the version classifies whole pictures", "candidates, car la version classe des images"
)
_BOXES = Bilingual("boxes, as the version detects", "boxes, car la version détecte")

Floats = NDArray[np.float32]
Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Vocabulary:
    """What the answers of a version may say.

    Attributes:
        task: of the version.
        labels: its labels, in the order of its indices.
    """

    task: Task
    labels: Sequence[str]

    @cached_property
    def values(self) -> pa.Array:
        """The labels, for Arrow."""
        return pa.array(self.labels, pa.string())


@dataclass(frozen=True, slots=True)
class Lists:
    """A list of numbers for each row of something.

    Attributes:
        counts: (n,) how many each has.
        values: all of them, in the order of the rows.
    """

    counts: Counts
    values: NDArray[Any]

    @property
    def begin(self) -> Counts:
        """(n + 1,) where those of each row begin."""
        return np.concatenate([[0], np.cumsum(self.counts)])


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers about contents, as columns of n rows.

    Attributes:
        lines: the line of each.
        sha256: the content of each, 32 bytes; None where a picture is named.
        picture: the picture that is named; None where a content is.
        at: when each was made; null where the file does not say.
        objects: how many objects each has; 0: nothing was found.
        boxes: of those that have boxes, four numbers an object.
        box_scores: one an object, or none.
        candidate_object: the object of each candidate, from 1; the best of each object is first.
        candidate_class: class indices.
        candidate_score: scores.
        probabilities: of all classes, object by object.
        embedding: likewise.
    """

    lines: Counts
    sha256: list[bytes | None]
    picture: list[UUID | None]
    at: pa.Array
    objects: Counts
    boxes: Lists
    box_scores: Lists
    candidate_object: Lists
    candidate_class: Lists
    candidate_score: Lists
    probabilities: Lists
    embedding: Lists


@dataclass(slots=True)
class _Check:
    """A block under check.

    Attributes:
        table: its answers; those that are wrong as a whole are taken out.
        lines: their lines.
        findings: what is wrong.
    """

    table: pa.RecordBatch
    lines: Counts
    findings: list[LineFinding] = field(default_factory=list)

    def refuse(
        self,
        wrong: Mask | pa.Array,
        code: str,
        expected: Bilingual,
        found: Callable[[int], object],
        *,
        rows: Counts | None = None,
        key: Callable[[int], str] = lambda _: "",
    ) -> None:
        """Report what is wrong: of each place the line, the key and what is there.

        A hostile block is wrong in millions of places; those that nobody is told are only counted.
        """
        places = np.flatnonzero(np.asarray(wrong))
        for place in places[: SHOWN_OF_A_CODE + 1]:
            line = int(self.lines[place if rows is None else rows[place]])
            self.findings.append(LineFinding(code, line, key(int(place)), expected, _shown(found(int(place)))))
        if (unseen := len(places) - SHOWN_OF_A_CODE) > 1:
            self.findings[-1] = replace(self.findings[-1], times=unseen)

    def drop(self, wrong: Mask) -> None:
        """Take rows out."""
        if wrong.any():
            self.table, self.lines = self.table.filter(pa.array(~wrong)), self.lines[~wrong]


def _always(name: str) -> Callable[[int], str]:
    return lambda _: name


def _shown(value: object) -> str | Bilingual:
    return _NOTHING if value is None else value if isinstance(value, Bilingual) else str(value)[:LONGEST_FOUND]


def check_block(block: Block, vocabulary: Vocabulary, now: datetime) -> tuple[Answers, list[LineFinding]]:
    """The answers of a block, and what is wrong with them.

    Args:
        block: what was read.
        vocabulary: of the version.
        now: nothing was answered later.

    Returns:
        The answers, which are to be used only if there are no findings.
    """
    check = _Check(block.answers, block.lines, list(block.findings))
    whole = _check_rows(check, vocabulary)
    sha256, picture = _subjects(check)
    at = _moments(check, now)
    objects = _Objects.of_rows(check.table, whole)
    boxes, scores = _boxes(check, objects)
    candidates = _candidates(check, objects, vocabulary)
    answers = Answers(
        lines=check.lines,
        sha256=sha256,
        picture=picture,
        at=at,
        objects=objects.per_row,
        boxes=boxes,
        box_scores=scores,
        candidate_object=candidates[0],
        candidate_class=candidates[1],
        candidate_score=candidates[2],
        probabilities=_probabilities(check, objects, len(vocabulary.labels)),
        embedding=_embedding(check, objects),
    )
    return answers, check.findings


# Rows


def _numpy(values: pa.Array) -> NDArray[Any]:
    found: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return found


def _lengths(lists: pa.Array) -> Counts:
    """How long each list is; 0 where there is none."""
    return _numpy(pc.list_value_length(lists).fill_null(0)).astype(np.int64)


def _given(table: pa.RecordBatch, name: str) -> Mask:
    return _numpy(table.column(name).is_valid())


def _check_rows(check: _Check, vocabulary: Vocabulary) -> Mask:
    """Take out the rows that have not one subject and one answer; of the others, which are about whole pictures."""
    table = check.table
    subjects = _given(table, "sha256") ^ _given(table, "picture")
    boxed, whole = _given(table, "boxes"), _given(table, "candidates")
    check.refuse(~subjects, "no-subject", _ONE_SUBJECT, lambda _: _BOTH_OR_NONE)
    check.refuse(boxed == whole, "no-answer", _ONE_ANSWER, lambda _: _BOTH_OR_NONE)
    if vocabulary.task == "detect":
        check.refuse(whole & ~boxed, "wrong-task", _BOXES, lambda _: "candidates", key=_always("candidates"))
    elif vocabulary.task == "classify":
        check.refuse(boxed & ~whole, "wrong-task", _WHOLE, lambda _: "boxes", key=_always("boxes"))
    for name in ("probabilities", "embedding"):
        check.refuse(boxed & _given(table, name), "misplaced-key", _IN_BOXES, lambda _: _BESIDE, key=_always(name))
    many = _lengths(table.column("boxes")) > MOST_OBJECTS
    check.refuse(many, "many-boxes", _FEWER_OBJECTS, lambda _: _MORE, key=_always("boxes"))
    wrong = ~subjects | (boxed == whole) | many
    check.drop(wrong)
    about_whole: Mask = whole[~wrong]
    return about_whole


def _subjects(check: _Check) -> tuple[list[bytes | None], list[UUID | None]]:
    contents = check.table.column("sha256")
    hexadecimal = _numpy(pc.match_substring_regex(contents, _SHA256).fill_null(True))
    texts = contents.to_pylist()
    check.refuse(~hexadecimal, "wrong-sha256", _A_SHA256, texts.__getitem__, key=_always("sha256"))
    sha256 = [bytes.fromhex(one) if one and good else None for one, good in zip(texts, hexadecimal, strict=True)]
    named = check.table.column("picture")
    if named.null_count == len(named):
        return sha256, [None] * len(named)
    pictures = [_identifier(one) for one in named.to_pylist()]
    wrong = np.array(
        [one is not None and known is None for one, known in zip(named.to_pylist(), pictures, strict=True)]
    )
    check.refuse(wrong, "wrong-picture", _AN_IDENTIFIER, named.to_pylist().__getitem__, key=_always("picture"))
    return sha256, pictures


def _identifier(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _moments(check: _Check, now: datetime) -> pa.Array:
    texts = check.table.column("at")
    try:
        moments = texts.cast(_MOMENT)
    except pa.ArrowInvalid:
        moments = pa.array([_moment(text) for text in texts.to_pylist()], _MOMENT)
    earliest, latest = pa.scalar(_EARLIEST, _MOMENT), pa.scalar(now + _CLOCK_SKEW, _MOMENT)
    good = pc.and_(pc.greater_equal(moments, earliest), pc.less_equal(moments, latest)).fill_null(False)
    wrong = _numpy(texts.is_valid()) & ~_numpy(good)
    check.refuse(wrong, "wrong-time", _A_MOMENT, lambda place: texts[place].as_py(), key=_always("at"))
    return moments


def _moment(text: str | None) -> datetime | None:
    try:
        return pa.scalar(text, pa.string()).cast(_MOMENT).as_py()  # type: ignore[no-any-return]
    except pa.ArrowInvalid:
        return None


# Objects


@dataclass(frozen=True, slots=True)
class _Objects:
    """The objects of all rows; what is said of a whole picture is one object without box.

    Attributes:
        of: the objects, as a struct of the type `OBJECT`.
        per_row: (rows,) how many each has.
        row: (m,) the row of each object.
        boxed: (m,) whether it is of a list of boxes.
    """

    of: pa.StructArray
    per_row: Counts
    row: Counts
    boxed: Mask

    @classmethod
    def of_rows(cls, answers: pa.RecordBatch, whole: Mask) -> Self:
        """The objects of rows, of which some are about whole pictures."""
        boxes = answers.column("boxes")
        per_row = np.where(whole, 1, _lengths(boxes))
        row = np.repeat(np.arange(len(whole)), per_row)
        boxed = ~whole[row]
        wholes = answers.filter(pa.array(whole))
        of_wholes = pa.StructArray.from_arrays(
            [
                wholes.column(one.name) if one.name in wholes.schema.names else pa.nulls(wholes.num_rows, one.type)
                for one in OBJECT
            ],
            fields=list(OBJECT),
        )
        place = np.empty(len(row), np.int64)
        place[boxed] = np.arange(boxed.sum())
        place[~boxed] = np.arange(boxed.sum(), len(row))
        return cls(pa.concat_arrays([boxes.flatten(), of_wholes]).take(pa.array(place)), per_row, row, boxed)

    def column(self, name: str) -> pa.Array:
        """What the objects have under a key; null where an object is null itself."""
        return pc.struct_field(self.of, name)

    def key(self, place: int, name: str) -> str:
        """How a key of an object is written in its line."""
        number = place - int(np.searchsorted(self.row, self.row[place]))
        return f"boxes.{number}.{name}" if self.boxed[place] else name

    def in_all_or_none(self, given: Mask) -> Mask:
        """Of each object, whether its row has some objects that are given something, and some that are not."""
        with_it = np.bincount(self.row[given], minlength=len(self.per_row))
        some: Mask = (with_it > 0) & (with_it < self.per_row)
        return some[self.row]


def _lists(column: pa.Array) -> Lists:
    """Lists of numbers; none where there is no list, not-a-number where one has no number."""
    return Lists(_lengths(column), _numpy(column.flatten()))


def _per_row(objects: _Objects, lists: Lists) -> Lists:
    counts = np.bincount(objects.row, weights=lists.counts, minlength=len(objects.per_row)).astype(np.int64)
    return Lists(counts, lists.values)


def _boxes(check: _Check, objects: _Objects) -> tuple[Lists, Lists]:
    boxes = _lists(objects.column("box"))
    wrong = objects.boxed & (boxes.counts != _CORNERS)
    if not wrong.any():
        left, top, right, bottom = boxes.values.reshape(-1, _CORNERS).T
        # Not-a-number is in no order either.
        wrong[objects.boxed] = ~(
            (left >= 0) & (top >= 0) & (left < right) & (top < bottom) & (right <= 1) & (bottom <= 1)
        )
    shown = objects.column("box")
    key = objects.key
    check.refuse(
        wrong, "wrong-box", _A_BOX, lambda at: shown[at].as_py(), rows=objects.row, key=lambda at: key(at, "box")
    )
    scores = objects.column("score")
    given, values = _numpy(scores.is_valid()), _numpy(scores)
    check.refuse(
        given & ~_is_score(values),
        "wrong-score",
        _A_SCORE,
        values.__getitem__,
        rows=objects.row,
        key=lambda at: key(at, "score"),
    )
    check.refuse(
        objects.in_all_or_none(given) & ~given,
        "missing-key",
        _IN_ALL,
        lambda _: None,
        rows=objects.row,
        key=lambda at: key(at, "score"),
    )
    return _per_row(objects, boxes), _per_row(objects, Lists(given.astype(np.int64), values[given]))


def _is_score(values: Floats) -> Mask:
    good: Mask = (values >= 0) & (values <= 1)
    return good


def _candidates(check: _Check, objects: _Objects, vocabulary: Vocabulary) -> tuple[Lists, Lists, Lists]:
    """Object, class and score of each candidate."""
    column = objects.column("candidates")
    counts = _lengths(column)
    many = counts > MOST_CANDIDATES
    check.refuse(
        many,
        "many-candidates",
        _FEWER_CANDIDATES,
        counts.__getitem__,
        rows=objects.row,
        key=lambda at: objects.key(at, "candidates"),
    )
    owner = np.repeat(np.arange(len(counts)), counts)
    begin = np.cumsum(counts) - counts
    rows = objects.row[owner]

    def key(name: str) -> Callable[[int], str]:
        return lambda at: objects.key(int(owner[at]), f"candidates.{at - int(begin[owner[at]])}{name}")

    given = column.flatten()
    labels, indices, scores = (pc.struct_field(given, name) for name in ("label", "index", "score"))
    labelled, indexed = _numpy(labels.is_valid()), _numpy(indices.is_valid())
    check.refuse(labelled == indexed, "no-class", _ONE_CLASS, lambda _: "both or none", rows=rows, key=key(""))
    index = _numpy(pc.coalesce(pc.index_in(labels, vocabulary.values), indices).fill_null(-1)).astype(np.int64)
    check.refuse(
        labelled & ~indexed & (index < 0),
        "unknown-label",
        _A_LABEL,
        lambda at: labels[at].as_py(),
        rows=rows,
        key=key(".label"),
    )
    beyond = indexed & ~labelled & ((index < 0) | (index >= len(vocabulary.labels)))
    check.refuse(
        beyond, "unknown-index", _an_index(len(vocabulary.labels)), index.__getitem__, rows=rows, key=key(".index")
    )
    score = _numpy(scores)
    check.refuse(
        ~_is_score(score), "wrong-score", _A_SCORE, lambda at: scores[at].as_py(), rows=rows, key=key(".score")
    )
    # The best first; those of equal scores as they came.
    order = np.lexsort((-score, owner))
    index, score = index[order], score[order]
    repeated = _repeated(owner, index) & (index >= 0)
    check.refuse(
        repeated, "repeated-class", _EACH_ONCE, lambda at: _label(vocabulary, int(index[at])), rows=rows, key=key("")
    )
    number = owner - (np.cumsum(objects.per_row) - objects.per_row)[rows] + 1
    of_rows = np.bincount(rows, minlength=len(objects.per_row))
    return Lists(of_rows, number), Lists(of_rows, index), Lists(of_rows, score)


def _an_index(classes: int) -> Bilingual:
    return Bilingual(f"an index from 0 to {classes - 1}", f"un index de 0 à {classes - 1}")


def _label(vocabulary: Vocabulary, index: int) -> str:
    return vocabulary.labels[index] if index < len(vocabulary.labels) else str(index)


def _repeated(owner: Counts, index: Counts) -> Mask:
    """Which candidates are of a class that their object has a candidate of already."""
    order = np.lexsort((index, owner))
    same = np.zeros(len(owner), bool)
    same[1:] = (np.diff(owner[order]) == 0) & (np.diff(index[order]) == 0)
    found = np.zeros(len(owner), bool)
    found[order] = same
    return found


def _probabilities(check: _Check, objects: _Objects, classes: int) -> Lists:
    lists = _lists(objects.column("probabilities"))
    given = _numpy(objects.column("probabilities").is_valid())
    bad = ~_is_score(lists.values)
    wrong = given & ((lists.counts != classes) | _any(bad, lists.counts))
    expected = Bilingual(f"{classes} numbers from 0 to 1, one a class", f"{classes} nombres de 0 à 1, un par classe")
    _refuse_numbers(check, objects, "probabilities", wrong, given, expected)
    return _per_row(objects, lists)


def _embedding(check: _Check, objects: _Objects) -> Lists:
    lists = _lists(objects.column("embedding"))
    given = _numpy(objects.column("embedding").is_valid())
    first = lists.counts[(np.cumsum(objects.per_row) - objects.per_row)[objects.row]]
    length = (lists.counts < 1) | (lists.counts > LONGEST_EMBEDDING) | (lists.counts != first)
    wrong = given & (length | _any(~np.isfinite(lists.values), lists.counts))
    _refuse_numbers(check, objects, "embedding", wrong, given, _AN_EMBEDDING)
    return _per_row(objects, lists)


def _numbers(number: int) -> Bilingual:
    return Bilingual(f"{number} numbers", f"{number} nombres")


def _any(bad: Mask, counts: Counts) -> Mask:
    """Of each list, whether one of its numbers is bad."""
    return np.bincount(np.repeat(np.arange(len(counts)), counts)[bad], minlength=len(counts)) > 0


def _refuse_numbers(check: _Check, objects: _Objects, name: str, wrong: Mask, given: Mask, expected: Bilingual) -> None:
    key = lambda at: objects.key(at, name)  # noqa: E731
    column = objects.column(name)
    check.refuse(wrong, f"wrong-{name}", expected, lambda at: _numbers(len(column[at])), rows=objects.row, key=key)
    missing = objects.in_all_or_none(given) & ~given
    check.refuse(missing, "missing-key", _IN_ALL, lambda _: None, rows=objects.row, key=key)
