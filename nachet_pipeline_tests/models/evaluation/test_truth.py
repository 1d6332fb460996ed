from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from nachet_pipeline.models.evaluation.queries import Member, Predicted
from nachet_pipeline.models.evaluation.truth import Truth, answers, said_boxes
from nachet_pipeline.models.model import ModelClass
from nachet_pipeline.registry.seeds import Seed, SeedRegistry


def species(genus: str, epithet: str) -> Seed:
    return Seed(scientific_name=f"{genus} {epithet}", family="Any", genus=genus, specific_epithet=epithet)


BRASSICA = Seed(scientific_name="Brassica", family="Any", genus="Brassica", taxon_rank="genus")
NAPUS, JUNCEA, ARVENSE = species("Brassica", "napus"), species("Brassica", "juncea"), species("Cirsium", "arvense")


def labelled_as(*taxa: Seed) -> Truth:
    return Truth(
        cast(Any, SimpleNamespace(classes=[])),
        tuple(f"{place:03d} {one.scientific_name}" for place, one in enumerate(taxa)),
        tuple(one.id for one in taxa),
        ((),) * len(taxa),
        {place: place for place in range(len(taxa))},
        [],
        SeedRegistry.of([BRASSICA, NAPUS, JUNCEA, ARVENSE]),
    )


def model(*taxa: Seed | None) -> list[ModelClass]:
    return [ModelClass(place, str(place), one.id if one else None, None) for place, one in enumerate(taxa)]


def test_a_species_means_its_genus_where_labels_are_genera_and_a_genus_no_species() -> None:
    assert labelled_as(BRASSICA, ARVENSE).meaning(model(NAPUS, JUNCEA, ARVENSE, None)) == {0: 0, 1: 0, 2: 1, 3: 2}
    assert labelled_as(NAPUS).meaning(model(BRASSICA)) == {0: 1}


def test_an_answer_about_several_objects_is_their_mean_and_classes_that_mean_the_same_add_up() -> None:
    member = Member(uuid4(), b"", [0], uuid4(), uuid4(), b"", "", None, None, 2, datetime.now(UTC), None, [])
    truth = labelled_as(BRASSICA, ARVENSE)
    meaning = truth.meaning(model(NAPUS, JUNCEA, ARVENSE))
    said = Predicted(
        UUID(int=0), b"", 2, [0, 0, 0.5, 1, 0.5, 0, 1, 1], [], [1, 1, 2, 2], [0, 1, 2, 0], [0.5, 0.3, 0.6, 0.4]
    )
    found = answers(truth, [member], [said], meaning)
    assert found.said[0, :3].tolist() == [0, 1, 2]
    assert found.score[0, :3].tolist() == pytest.approx([0.6, 0.3, 0.0])
    boxes = said_boxes([said], meaning, 2)
    assert boxes.category.tolist() == [0, 1]
    assert boxes.score.tolist() == pytest.approx([0.5, 0.6]), "a box without a score is as sure as its best class"
