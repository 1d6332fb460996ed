"""Evaluating a version of a model: what it said of a test split, beside what is true, and the verdicts on it."""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.identifiers import model_evaluation_id
from nachet_pipeline.models.evaluation import plots, verdicts
from nachet_pipeline.models.evaluation.calibration import Calibration, calibration
from nachet_pipeline.models.evaluation.classification import Answers, Classification, classification
from nachet_pipeline.models.evaluation.comparing import Difference, differences
from nachet_pipeline.models.evaluation.detection import Detection, detection
from nachet_pipeline.models.evaluation.intervals import ratio
from nachet_pipeline.models.evaluation.libraries import Boxes
from nachet_pipeline.models.evaluation.queries import (
    Member,
    Predicted,
    newest_predictions,
    record_evaluation,
)
from nachet_pipeline.models.evaluation.slices import Outcomes, Slice, parts, slices
from nachet_pipeline.models.evaluation.truth import (
    Photograph,
    Truth,
    answers,
    attributes,
    groups_of,
    lists,
    read_truth,
    said_boxes,
    true_boxes,
)
from nachet_pipeline.models.model import ModelVersion
from nachet_pipeline.models.queries import classes_of, model_versions, version_named
from nachet_pipeline.settings import EvaluationSettings
from nachet_pipeline.training.contact_sheets import Thumbnails
from nachet_pipeline.training.queries import Version, version_of
from nachet_pipeline.training.verifying import SetVerdict
from nachet_pipeline.training.version_pictures import files_of

MISTAKES_SHOWN = 24
_CAPTION = 22
_METHOD = 1
"""Changes when the same predictions would be measured otherwise."""


class NotEvaluableError(RefusedError):
    """There is nothing to judge a version of a model by; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A picture of which a version was sure, and wrong.

    Attributes:
        picture: its identifier.
        said: what the version said.
        score: how sure it was.
        true: what the picture shows.
    """

    picture: UUID
    said: str
    score: float
    true: str


@dataclass(frozen=True)
class Evaluation:
    """How a version did on a test split.

    Attributes:
        id: identifier.
        version: the version.
        training_set: what it was judged by.
        labels: of the classes of that.
        metrics: all that was measured, as JSON.
        verdicts: what the checks say.
        classification: of pictures as wholes; None if it was asked about none.
        calibration: the same.
        slices: parts of the pictures, the worst first.
        mistakes: the worst ones first.
        new: False if the same was evaluated before.
    """

    id: UUID
    version: ModelVersion
    training_set: Version
    labels: tuple[str, ...]
    metrics: dict[str, Any]
    verdicts: tuple[SetVerdict, ...]
    classification: Classification | None
    calibration: Calibration | None
    slices: list[Slice]
    mistakes: list[Mistake]
    new: bool

    @property
    def passed(self) -> bool:
        """Whether no grave check failed: then somebody may name the version champion."""
        return all(verdict.passed for verdict in self.verdicts if verdict.grave)

    def plots(self) -> Iterator[tuple[str, bytes]]:
        """What people look at, as PNG by name."""
        if self.classification:
            yield "confusion", plots.confusion(self.classification.confusion, self.labels)
        if self.calibration:
            yield "reliability", plots.reliability(self.calibration)
        if self.slices:
            yield "slices", plots.slices(self.slices, float(self.metrics["right"]))


@dataclass(frozen=True)
class _Measured:
    """What a version got right, picture by picture; and of what each row is, to compare it with another version's."""

    outcomes: Outcomes
    members: list[Member]
    keys: list[tuple[bytes, int]]
    classification: Classification | None = None
    calibration: Calibration | None = None
    detection: Detection | None = None
    finding: Detection | None = None
    answers: Answers | None = None


def evaluate(database: Database, name: str, *, on: str | None = None, limits: EvaluationSettings) -> Evaluation:
    """Evaluate a version of a model, and keep what comes of it.

    Evaluating the same predictions by the same truth again finds the same, and is kept once.

    Args:
        database: knows the version, what it predicted, and the training set.
        name: `NAME@VERSION`.
        on: the training set whose test split it is judged by, as people name it; without it, the one that it was
            trained on.
        limits: what is good enough.

    Raises:
        UnknownModelError: there is no such version.
        UnknownTrainingSetError: there is no such training set.
        NotEvaluableError: it is not known by what to judge it, or it was asked about nothing.
        DatabaseError: the database does not answer.
    """
    with database.reading() as connection:
        version = version_named(connection, name)
        training_set = _training_set(connection, version, on)
        champion = next((one for one in model_versions(connection, version.model) if one.champion), None)
        champion = champion if champion and champion.id != version.id else None
        asked = [version, *([champion] if champion else [])]
        truth = read_truth(connection, training_set, [one.id for one in asked])
        said = [_predictions(connection, truth, one) for one in asked]
        meanings = [truth.meaning(classes_of(connection, one.id)) for one in asked]
    measured = [
        _measured(truth, one, predicted, meaning) for one, predicted, meaning in zip(asked, said, meanings, strict=True)
    ]
    now = measured[0]
    if not now.keys:
        raise NotEvaluableError(
            f"{version.name} answered none of the {len(truth.members):,} pictures of the test split of"
            f" {training_set.name}@{training_set.digest[:12]}: record what it predicts of them"
        )
    compared = _compared(truth, now, measured[1]) if champion else []
    found = slices(now.outcomes, parts(attributes(now.members), lists(truth, now.outcomes.label)))
    mistakes = _mistakes(now, truth.labels)
    trained_on = sum(version.id in one.trained_on for one in truth.members)
    judged = _verdicts(truth, version, champion, now, compared, found, trained_on, limits)
    metrics = _metrics(truth, now, found, compared, mistakes) | {
        "trained_on": trained_on,
        "champion": champion.name if champion else None,
        "limits": limits.model_dump(),
    }
    inputs = _digest(truth, asked, said, limits)
    identifier = model_evaluation_id(version.id, training_set.id, inputs)
    new = database.transact(
        record_evaluation,
        identifier,
        version=version.id,
        training_set=training_set.id,
        inputs=inputs,
        metrics=metrics,
        verdicts=[as_json(one) for one in judged],
    )
    return Evaluation(
        identifier,
        version,
        training_set,
        truth.labels,
        metrics,
        judged,
        now.classification,
        now.calibration,
        found,
        mistakes,
        new,
    )


def worst_mistakes(evaluation: Evaluation, database: Database, thumbnails: Thumbnails) -> bytes | None:
    """The worst mistakes as a contact sheet, each with what was said and what is true; None if there are none.

    Raises:
        DatabaseError: the database does not answer.
    """
    with database.reading() as connection:
        files = files_of(connection, [str(one.picture) for one in evaluation.mistakes])
    return thumbnails.captioned(
        [
            (files[str(one.picture)], f"said {_name(one.said)} {one.score:.0%}\nis {_name(one.true)}")
            for one in evaluation.mistakes
            if str(one.picture) in files
        ]
    )


def _name(label: str) -> str:
    """A class without its number, as far as there is room for it below a thumbnail."""
    index, _, name = label.partition(" ")
    return (name if index.isdigit() else label)[:_CAPTION]


def _training_set(connection: Connection, version: ModelVersion, on: str | None) -> Version:
    if on is None and version.training_set is None:
        raise NotEvaluableError(
            f"{version.name} was trained on none of the training sets here: say whose test split it is judged by"
        )
    return version_of(connection, on or f"{version.training_set}@{version.training_set_digest}")


def _predictions(connection: Connection, truth: Truth, version: ModelVersion) -> dict[bytes, Predicted]:
    """What a version said of the pictures of a test split that it was not trained on, and of their photographs."""
    fair = [one for one in truth.members if version.id not in one.trained_on]
    return newest_predictions(
        connection, version.id, sorted({one.sha256 for one in fair} | {one.whole_sha256 for one in fair})
    )


def _measured(truth: Truth, version: ModelVersion, said: dict[bytes, Predicted], meaning: dict[int, int]) -> _Measured:
    """Judge answers about pictures as wholes; where there are none, boxes in photographs."""
    fair = [one for one in truth.members if version.id not in one.trained_on]
    boxed = [
        one
        for one in truth.photographs
        if version.task != "classify" and one.member.whole_sha256 in said and version.id not in one.member.trained_on
    ]
    by_class, finding = _detected(truth, version, boxed, said, meaning) if boxed else (None, None)
    whole = [one for one in fair if truth.label(one) >= 0 and one.sha256 in said and version.task != "detect"]
    if whole:
        answered = answers(truth, whole, [said[one.sha256] for one in whole], meaning)
        right = Outcomes(answered.right.astype(np.float64), np.ones(len(whole)), answered.label, answered.group)
        return _Measured(
            right,
            whole,
            [(one.sha256, -1) for one in whole],
            classification(answered, len(truth.labels)),
            calibration(answered),
            by_class,
            finding,
            answered,
        )
    return _outcomes_of_boxes(boxed, by_class or finding, finding)


def _detected(
    truth: Truth,
    version: ModelVersion,
    seen: Sequence[Photograph],
    said: dict[bytes, Predicted],
    meaning: dict[int, int],
) -> tuple[Detection | None, Detection]:
    """How well seeds are found as what they are, if the version says so; and how well they are found at all."""
    members = [one.member for one in seen]
    predicted = said_boxes([said[one.whole_sha256] for one in members], meaning, len(truth.labels))
    true, group = true_boxes(seen), groups_of(members)
    finding = detection(_of_one_category(true), _of_one_category(predicted), group, 1)
    if version.task == "detect":
        return None, finding
    return detection(true, predicted, group, len(truth.labels) + 1), finding


def _of_one_category(boxes: Boxes) -> Boxes:
    return Boxes(boxes.picture, boxes.box, np.zeros_like(boxes.category), boxes.score)


def _outcomes_of_boxes(seen: Sequence[Photograph], found: Detection | None, finding: Detection | None) -> _Measured:
    """What was found of each class in each photograph."""
    if found is None:
        none = np.zeros(0, np.int64)
        return _Measured(Outcomes(none.astype(np.float64), none.astype(np.float64), none, none), [], [])
    pictures, label = np.nonzero(found.truths)
    members = [seen[place].member for place in pictures.tolist()]
    if found is finding:
        label = np.array(
            [max(seen[place].classes, key=seen[place].classes.count) for place in pictures.tolist()], np.int64
        )
    right, of = (counts[np.nonzero(found.truths)].astype(np.float64) for counts in (found.found, found.truths))
    keys = [(one.whole_sha256, int(place)) for one, place in zip(members, label, strict=True)]
    return _Measured(
        Outcomes(right, of, label.astype(np.int64), groups_of(members)),
        members,
        keys,
        detection=None if found is finding else found,
        finding=finding,
    )


def _compared(truth: Truth, now: _Measured, champion: _Measured) -> list[Difference]:
    """The differences from the champion, on what both were asked about and neither was trained on."""
    before = dict(zip(champion.keys, champion.outcomes.right.tolist(), strict=True))
    shared = np.array([key in before for key in now.keys], np.bool_)
    if not shared.any():
        return []
    return differences(
        now.outcomes.among(shared),
        np.array([before[key] for key in now.keys if key in before], np.float64),
        classes=len(truth.labels),
        tested=np.array([bool(names) for names in truth.listed], np.bool_),
    )


def _verdicts(
    truth: Truth,
    version: ModelVersion,
    champion: ModelVersion | None,
    now: _Measured,
    compared: Sequence[Difference],
    found: Sequence[Slice],
    trained_on: int,
    limits: EvaluationSettings,
) -> tuple[SetVerdict, ...]:
    outcomes = now.outcomes
    counted = [
        (truth.labels[place], int((of := outcomes.label == place).sum()), len(np.unique(outcomes.group[of])))
        for place in truth.present
    ]
    fair = [one for one in truth.members if version.id not in one.trained_on]
    answered = {key for key, _ in now.keys}
    single = [one for one in fair if truth.label(one) >= 0 or now.classification is None]
    return (
        verdicts.enough_pictures(
            counted,
            members=len(single),
            answered=sum(one.sha256 in answered or one.whole_sha256 in answered for one in single),
            limits=limits,
        ),
        verdicts.no_train_on_test(trained_on, known=version.training_set is not None),
        verdicts.worst_class_above(outcomes, truth.labels, limits),
        verdicts.no_slice_far_below(found, limits),
        verdicts.calibrated(now.calibration, limits),
        verdicts.not_worse_than_champion(
            champion.name if champion else None,
            compared,
            truth.labels,
            comparable=sum(champion is not None and champion.id not in one.trained_on for one in now.members),
            limits=limits,
        ),
    )


def _mistakes(now: _Measured, labels: Sequence[str]) -> list[Mistake]:
    if now.answers is None:
        return []
    names = [*labels, "none of the classes"]
    said, score, label = now.answers.said[:, 0], now.answers.score[:, 0], now.answers.label
    wrong = np.flatnonzero(~now.answers.right)
    worst = wrong[np.argsort(-score[wrong], kind="stable")][:MISTAKES_SHOWN]
    return [
        Mistake(now.members[row].picture_id, names[said[row]], float(score[row]), names[label[row]])
        for row in worst.tolist()
    ]


def _metrics(
    truth: Truth, now: _Measured, found: Sequence[Slice], compared: Sequence[Difference], mistakes: Sequence[Mistake]
) -> dict[str, Any]:
    """All that was measured, as JSON; of the confusion only what occurred."""
    measured = now.classification
    metrics: dict[str, Any] = {
        "training_set": f"{truth.training_set.name}@{truth.training_set.digest}",
        "members": len(truth.members),
        "several_labels": sum(truth.label(one) < 0 for one in truth.members),
        "answered": len({key for key, _ in now.keys}),
        "right": float(ratio(now.outcomes.right.sum(keepdims=True), now.outcomes.of.sum(keepdims=True))[0]),
        "labels": truth.labels,
        "classification": measured and {**_fields(measured), "confusion": _cells(measured.confusion)},
        "calibration": now.calibration,
        "detection": now.detection and _of_detection(now.detection),
        "finding": now.finding and _of_detection(now.finding),
        "slices": found,
        "champion_compared": compared,
        "mistakes": mistakes,
    }
    return {name: as_json(value) for name, value in metrics.items()}


def _of_detection(found: Detection) -> dict[str, Any]:
    return {name: value for name, value in _fields(found).items() if name not in {"found", "truths"}}


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _cells(confusion: NDArray[np.int64]) -> list[list[int]]:
    """True class, what was said, how often."""
    return [
        [int(true), int(said), int(confusion[true, said])] for true, said in zip(*np.nonzero(confusion), strict=True)
    ]


def as_json(value: Any) -> Any:
    """What was measured as JSON has it: what is no number is null."""
    if is_dataclass(value) and not isinstance(value, type):
        return as_json(asdict(value))
    if isinstance(value, dict):
        return {str(key): as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, UUID) else value


def _digest(
    truth: Truth, asked: Sequence[ModelVersion], said: Sequence[dict[bytes, Predicted]], limits: EvaluationSettings
) -> str:
    """SHA-256 of everything that an evaluation follows from."""
    stated = {
        "method": _METHOD,
        "training_set": truth.training_set.digest,
        "members": [
            [one.sha256.hex(), one.classes, str(one.group), [str(version) for version in one.trained_on]]
            for one in truth.members
        ],
        "slices": attributes(truth.members),
        "lists": truth.listed,
        "boxes": [[one.member.whole_sha256.hex(), one.boxes, one.classes] for one in truth.photographs],
        "versions": [str(one.id) for one in asked],
        "predictions": [sorted(str(one.id) for one in by_content.values()) for by_content in said],
        "limits": limits.model_dump(),
    }
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()
