"""Recipes that label at a rank, and recipes that choose by lists."""

import json
from typing import Any
from uuid import uuid4

import pytest

from nachet_pipeline.identifiers import seed_id
from nachet_pipeline.registry.seeds import Seed, VernacularNames
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.training.recipe import Recipe, RecipeError
from nachet_pipeline_tests.labelled import ARVENSE, JUNCEA, NAPUS, decided, import_as, photograph, picture_of
from nachet_pipeline_tests.registries import changed, load, renamed, seed
from nachet_pipeline_tests.training.test_building import Generated, built, generated, labels
from nachet_pipeline_tests.training.test_label_conflicts import published
from nachet_pipeline_tests.workbench import Workbench

__all__ = ["generated"]

BRASSICA = Seed(scientific_name="Brassica", family="Brassicaceae", genus="Brassica", taxon_rank="genus")
OLEIFERA = seed("Brassica napus", scientificName="Brassica napus subsp. oleifera", taxonRank="subspecies")
OLEIFERA = OLEIFERA.model_copy(update={"family": "Brassicaceae"})
"""`Generated` has pictures of Brassica napus, Brassica juncea and Cirsium arvense."""


def classes(workbench: Workbench, **recipe: Any) -> dict[str, int]:
    """The pictures of each class."""
    found = labels(workbench, built(workbench, **recipe)).values()
    return {label: sum(one == label for _, one in found) for _, label in found}


def relabelled(workbench: Workbench, name: str, new: Seed) -> None:
    """Link the pictures of one species to another taxon, as if they had been uploaded so."""
    workbench.query("update picture_seed set seed_id = %s where seed_id = %s", new.id, seed_id(name))


def test_a_recipe_labels_species_as_their_genus_or_family_and_says_what_it_rolled_up(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(6))
    assert classes(workbench, label_rank="genus") == {"000 Brassica": 8, "001 Cirsium": 4}
    assert classes(workbench, name="by-family", label_rank="family") == {"000 Asteraceae": 4, "001 Brassicaceae": 8}
    assert (
        len(classes(workbench, name="by-species", label_rank="species")) == len(classes(workbench, name="as-is")) == 3
    )

    notes = [note for note in built(workbench, label_rank="genus").notes if note.code == "rolled-up"]
    assert [note.label for note in notes] == ["000 Brassica", "001 Cirsium"]
    assert "000 Brassica has the pictures of Brassica juncea (4), Brassica napus (4)" in notes[0].message
    assert not [
        note for note in built(workbench, name="by-species", label_rank="species").notes if note.code == "rolled-up"
    ]


def test_taxa_within_a_species_count_as_it_and_those_of_a_wider_rank_are_left_out_and_told(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(6))
    load(workbench, [*packaged_seeds(), BRASSICA, OLEIFERA])
    relabelled(workbench, "Brassica juncea", OLEIFERA)
    relabelled(workbench, "Cirsium arvense", BRASSICA)

    each = {"000 Brassica": 4, "001 Brassica napus": 4, "002 Brassica napus subsp. oleifera": 4}
    assert classes(workbench) == each
    made = built(workbench, name="by-species", label_rank="species")
    assert {label for _, label in labels(workbench, made).values()} == {"000 Brassica napus"}
    assert made.pictures == 8
    (wider,) = [note.message for note in made.notes if note.code == "wider-than-labels"]
    assert wider == "Pictures of Brassica (4) were left out: they are not identified to a species, as labels are."
    assert classes(workbench, name="by-genus", label_rank="genus") == {"000 Brassica": 12}


def test_a_genus_keeps_its_class_from_before_it_was_registered_and_through_a_new_name(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(6))
    assert classes(workbench, label_rank="genus") == {"000 Brassica": 8, "001 Cirsium": 4}
    (unnamed,) = workbench.query("select name, active from seeds where id = %s", seed_id("Brassica"))
    assert unnamed == {"name": "Brassica", "active": False}

    seeds = [*packaged_seeds(), BRASSICA]
    assert load(workbench, seeds).count("restored") == 1
    for name in ("napus", "juncea"):
        seeds = renamed(seeds, f"Brassica {name}", f"Zinnia {name}")
    seeds = changed(seeds, "Brassica", scientificName="Zinnia", genus="Zinnia", registeredAs="Brassica")
    load(workbench, seeds)
    assert classes(workbench, label_rank="genus") == {"000 Zinnia": 8, "001 Cirsium": 4}


def test_what_a_recipe_chooses_holds_all_that_is_within_it(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(6))
    assert classes(workbench, label_rank="species", species=("Brassica",)) == {
        "000 Brassica juncea": 4,
        "001 Brassica napus": 4,
    }
    assert classes(workbench, name="families", label_rank="genus", species=("brassicaceae",)) == {"000 Brassica": 8}
    indices = {"Cirsium": 7, "Brassica napus": 3}
    assert classes(workbench, name="mapped", label_rank="genus", label_map=indices) == {
        "003 Brassica": 8,
        "007 Cirsium": 4,
    }


def test_a_genus_is_no_plant_that_people_call_by_its_name(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(6))
    mustard = Seed(
        scientific_name="Sinapis",
        family="Brassicaceae",
        genus="Sinapis",
        taxon_rank="genus",
        vernacular_names=VernacularNames(en=("brassica",)),
    )
    load(workbench, [*packaged_seeds(), mustard])
    assert classes(workbench, label_rank="genus") == {"000 Brassica": 8, "001 Cirsium": 4}
    assert classes(workbench, name="chosen", label_rank="genus", species=("Brassica",)) == {"000 Brassica": 8}


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"species": ("Brassica",)}, "species: expected a registered species, found 'Brassica'"),
        ({"label_rank": "genus", "species": ("Triticum",)}, "species: expected a registered species, found 'Triticum'"),
        ({"label_rank": "genus", "label_map": {"Asteraceae": 1}}, "label_map: expected a genus, as label_rank says"),
        (
            {"label_rank": "genus", "label_map": {"Brassica napus": 1, "Brassica juncea": 2}},
            "label_map: expected each species once, found one by two names",
        ),
        ({"listed_in": ("Class 2",)}, "listed_in: expected a list that a registered species is on, found 'Class 2'"),
    ],
)
def test_what_cannot_be_a_label_is_told(workbench: Workbench, recipe: dict[str, Any], said: str) -> None:
    load(workbench, changed(packaged_seeds(), "Brassica napus", listedIn=["Class 1"]))
    with pytest.raises(RecipeError, match=said):
        built(workbench, **recipe)


def test_a_recipe_chooses_the_species_that_are_on_a_list(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(6))
    seeds = changed(packaged_seeds(), "Cirsium arvense", listedIn=["Weed Seeds Order 2016 class 2"])
    load(workbench, changed(seeds, "Brassica juncea", listedIn=["weed seeds order 2016 Class 2", "Class 1"]))
    listed = {"listed_in": ("Weed Seeds Order 2016 class 2",)}
    assert classes(workbench, name="listed", **listed) == {"000 Brassica juncea": 4, "001 Cirsium arvense": 4}
    assert classes(workbench, name="both", species=("Brassica juncea", "Brassica napus"), **listed) == {
        "000 Brassica juncea": 4
    }


def test_neither_field_changes_the_digest_of_a_recipe_that_does_not_state_it() -> None:
    stated = json.loads(Recipe(name="x", species=("Brassica napus",)).model_dump_json(exclude_defaults=True))
    assert stated == {"name": "x", "species": ["Brassica napus"]}
    digests = {Recipe(name="x", label_rank=rank).digest for rank in (None, "species", "genus", "family")}
    assert len(digests) == 4
    assert Recipe(name="x", listed_in=("a", "b")).digest == Recipe(name="x", listed_in=("b", "a")).digest


def test_a_decision_about_a_photograph_holds_in_a_set_that_labels_genera(workbench: Workbench) -> None:
    import_as(workbench, "spring", "east", NAPUS, {"1.png": photograph(1)})
    other = workbench.another_user(f"{uuid4().hex}@example.org")
    import_as(other, "summer", "west", JUNCEA, {"1.png": photograph(1), "3.png": photograph(3)})
    import_as(other, "autumn", "south", ARVENSE, {"4.png": photograph(4)})
    torn = published(workbench, label_rank="genus")
    assert [one.counts["train"] for one in torn.built.classes] == [1, 1]
    assert torn.released

    decided(workbench, picture_of(workbench, "east"), JUNCEA)
    made = published(workbench, label_rank="genus")
    assert [(one.label, one.counts["train"]) for one in made.built.classes] == [("000 Brassica", 3), ("001 Cirsium", 1)]
    assert made.released
    assert "000 Brassica has the pictures of Brassica juncea (3)" in made.text
