"""What pictures of a test split show, and what a version said of them, as arrays."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.models.evaluation.classification import Answers
from nachet_pipeline.models.evaluation.intervals import group_codes
from nachet_pipeline.models.evaluation.libraries import Boxes
from nachet_pipeline.models.evaluation.queries import Member, Predicted, SeedBox, boxes_in, test_members
from nachet_pipeline.models.model import ModelClass
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.registry.seeds import Rank, SeedRegistry
from nachet_pipeline.training.queries import Version
from nachet_pipeline.training.ranks import taxon_at

CANDIDATES = 10
_RANKS: tuple[Rank, ...] = ("species", "genus", "family")
_QUALITY_BANDS = 5


@dataclass(frozen=True)
class Photograph:
    """A whole photograph of a test split, with what is in it.

    Attributes:
        member: a picture of it in the test split.
        boxes: left, top, right, bottom of each seed, as fractions.
        classes: the place of the class of each.
    """

    member: Member
    boxes: list[list[float]]
    classes: list[int]


@dataclass(frozen=True)
class Truth:
    """The test split of a version of a training set.

    Attributes:
        training_set: the version.
        labels: of its classes, such as `000 Brassica napus`. A class's place among them stands for it everywhere.
        taxa: the taxon of each class.
        listed: the lists that each class is on.
        place_of: by class index the place.
        members: its pictures; those with several labels, too.
        registry: the registered taxa.
        photographs: the photographs of the members of which it is known where seeds are.
    """

    training_set: Version
    labels: tuple[str, ...]
    taxa: tuple[UUID, ...]
    listed: tuple[tuple[str, ...], ...]
    place_of: Mapping[int, int]
    members: list[Member]
    registry: SeedRegistry
    photographs: list[Photograph] = field(default_factory=list)

    @property
    def present(self) -> list[int]:
        """The places of the classes that have pictures, on whatever side."""
        counted = sorted(self.training_set.classes or [], key=lambda one: one["class_index"])
        filled = {place for place, one in enumerate(counted) if any(one.get("counts", {}).values())}
        return sorted(filled | {self.label(one) for one in self.members} - {-1})

    def label(self, member: Member) -> int:
        """The place of the one class of a picture; -1 if it has several."""
        return self.place_of[member.classes[0]] if len(member.classes) == 1 else -1

    def meaning(self, classes: Sequence[ModelClass]) -> dict[int, int]:
        """For each class of a model the place of the class that it means or is part of.

        A taxon that is narrower than a class, such as a species where labels are genera, means that class. What means
        none has the number of classes as its place.
        """
        return {one.index: self.meant(one.seed) for one in classes}

    def meant(self, taxon: UUID | None) -> int:
        """The place of the class that a taxon is or is part of; the number of classes if it is none."""
        places = {known: place for place, known in enumerate(self.taxa)}
        seed = self.registry.by_id.get(taxon) if taxon else None
        wider = [taxon_at(self.registry, seed, rank) for rank in _RANKS] if seed else []
        identifiers = [taxon, *(one.id for one in wider if one)] if taxon else []
        return next((places[one] for one in identifiers if one in places), len(self.labels))


def read_truth(connection: Connection, training_set: Version, versions: Sequence[UUID]) -> Truth:
    """Read the test split of a training set.

    Args:
        connection: to the database.
        training_set: the version of the training set.
        versions: versions of models; members say which of them were trained on them.
    """
    registry = registered_seeds(connection)
    classes = sorted(training_set.classes or [], key=lambda one: one["class_index"])
    taxa = tuple(registry.merged.get(UUID(one["taxon_id"]), UUID(one["taxon_id"])) for one in classes)
    known = [registry.by_id.get(taxon) for taxon in taxa]
    truth = Truth(
        training_set,
        tuple(one["label"] for one in classes),
        taxa,
        tuple(seed.listed_in if seed else () for seed in known),
        {one["class_index"]: place for place, one in enumerate(classes)},
        test_members(connection, training_set.id, versions),
        registry,
    )
    wholes = {one.whole_id for one in truth.members}
    return replace(truth, photographs=list(_photographs(truth, boxes_in(connection, training_set.id, list(wholes)))))


def _photographs(truth: Truth, boxes: Sequence[SeedBox]) -> Iterator[Photograph]:
    """The photographs of which it is known where seeds are, and what each is.

    A crop that is no member has the label of those beside it, if they have one.
    """
    of_whole: dict[UUID, list[Member]] = {}
    for member in truth.members:
        of_whole.setdefault(member.whole_id, []).append(member)
    for whole, inside in groupby(boxes, key=lambda one: one.whole_id):
        beside = {index for member in of_whole[whole] for index in member.classes}
        seeds = list(inside)
        known = [
            {truth.meant(one.taxon)} if one.taxon else {truth.place_of[index] for index in one.classes or beside}
            for one in seeds
        ]
        if all(len(places) == 1 and max(places) < len(truth.labels) for places in known):
            yield Photograph(of_whole[whole][0], [one.box for one in seeds], [min(places) for places in known])


def attributes(members: Sequence[Member]) -> dict[str, list[str]]:
    """What tells pictures apart that is no class: of each attribute the value of each picture, empty if not known."""
    return {
        "owner": [one.owner for one in members],
        "device": [one.device or "" for one in members],
        "zoom": ["" if one.zoom is None else f"{one.zoom:g}" for one in members],
        "seeds": [str(one.seeds) for one in members],
        "month": [f"{one.taken_at:%Y-%m}" for one in members],
        "quality": ["" if one.quality is None else _band(one.quality) for one in members],
    }


def _band(quality: float) -> str:
    low = min(int(quality * _QUALITY_BANDS), _QUALITY_BANDS - 1)
    return f"{low / _QUALITY_BANDS:.1f} to {(low + 1) / _QUALITY_BANDS:.1f}"


def lists(truth: Truth, label: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """For each list of taxa, which pictures show one on it."""
    names = sorted({name for of_class in truth.listed for name in of_class})
    on = np.array([[name in of_class for of_class in truth.listed] for name in names], np.bool_)
    return {name: row[label] for name, row in zip(names, on, strict=True)}


def groups_of(members: Sequence[Member]) -> NDArray[np.int64]:
    """The group of each picture, as numbers without gaps."""
    return group_codes(np.array([str(one.group) for one in members], np.str_))


def answers(truth: Truth, members: Sequence[Member], said: Sequence[Predicted], meaning: Mapping[int, int]) -> Answers:
    """What a version said of pictures as wholes.

    A class of the truth is as probable as all classes of the model together that mean it; what was said of several
    objects in a picture is averaged.
    """
    none = len(truth.labels)
    classes, scores = np.full((len(said), CANDIDATES), none), np.zeros((len(said), CANDIDATES))
    for row, one in enumerate(said):
        summed: dict[int, float] = {}
        for index, score in zip(one.candidate_class, one.candidate_score, strict=True):
            place = meaning.get(index, none)
            summed[place] = summed.get(place, 0.0) + score / max(one.objects, 1)
        best = sorted(summed.items(), key=lambda item: (-item[1], item[0]))[:CANDIDATES]
        for rank, (place, score) in enumerate(best):
            classes[row, rank], scores[row, rank] = place, score
    label = np.array([truth.label(one) for one in members], np.int64)
    return Answers(label, classes.astype(np.int64), scores, groups_of(members))


def true_boxes(photographs: Sequence[Photograph]) -> Boxes:
    """What is in photographs."""
    return _boxes([(one.boxes, one.classes, [1.0] * len(one.boxes)) for one in photographs])


def said_boxes(said: Sequence[Predicted], meaning: Mapping[int, int], none: int) -> Boxes:
    """What a version found in photographs, each box with the class that it names first.

    A box without a score of its own is as sure as that class is.
    """
    found = []
    for one in said:
        first: dict[int, tuple[int, float]] = {}
        for place, index, score in zip(one.candidate_object, one.candidate_class, one.candidate_score, strict=True):
            first.setdefault(place, (meaning.get(index, none), score))
        numbers = range(1, len(one.boxes) // 4 + 1)
        named = [first.get(number, (none, 0.0)) for number in numbers]
        found.append(
            (
                [one.boxes[4 * number - 4 : 4 * number] for number in numbers],
                [place for place, _ in named],
                one.box_scores or [score for _, score in named],
            )
        )
    return _boxes(found)


def _boxes(by_picture: Sequence[tuple[Sequence[Sequence[float]], Sequence[int], Sequence[float]]]) -> Boxes:
    return Boxes(
        np.repeat(np.arange(len(by_picture)), [len(boxes) for boxes, _, _ in by_picture]),
        np.array([box for boxes, _, _ in by_picture for box in boxes], np.float64).reshape(-1, 4),
        np.array([place for _, places, _ in by_picture for place in places], np.int64),
        np.array([score for _, _, scores in by_picture for score in scores], np.float64),
    )
