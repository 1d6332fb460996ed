from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachet_pipeline.training.labels import GivenLabel, Taxon, class_folder, class_indices, classes_of
from nachet_pipeline.training.recipe import RecipeError

A, B, C, D = (UUID(int=number) for number in range(1, 5))


def taxa(*identifiers: UUID) -> list[Taxon]:
    return [Taxon(one, f"Species {one.int}") for one in identifiers]


def label(index: int, taxon: UUID, survivor: UUID | None = None) -> GivenLabel:
    return GivenLabel(index, taxon, survivor or taxon)


def indices(
    *wanted: UUID, fixed: dict[UUID, int] | None = None, earlier: tuple[GivenLabel, ...] = ()
) -> dict[UUID, int]:
    return class_indices(taxa(*wanted), fixed=fixed or {}, earlier=earlier, recipe="one")


def test_species_are_numbered_in_their_order_at_first() -> None:
    assert indices(B, A, C) == {B: 0, A: 1, C: 2}


def test_an_index_stays_when_a_species_is_added_and_when_one_is_gone() -> None:
    earlier = (label(0, B), label(1, C))
    assert indices(A, B, C, earlier=earlier) == {A: 2, B: 0, C: 1}
    assert indices(A, C, earlier=earlier) == {A: 2, C: 1}


def test_a_merged_species_gives_its_index_to_the_one_it_is_part_of_unless_that_has_its_own() -> None:
    assert indices(B, earlier=(label(0, A, B),)) == {B: 0}
    assert indices(B, C, earlier=(label(0, A, B), label(1, B))) == {B: 1, C: 2}


def test_a_merged_taxon_has_its_index_again_when_it_is_a_class_and_the_other_is_none() -> None:
    earlier = (label(0, A, B), label(1, C))
    assert indices(A, C, earlier=earlier) == {A: 0, C: 1}
    assert indices(A, B, C, earlier=earlier) == {A: 2, B: 0, C: 1}


def test_an_index_of_a_species_that_was_merged_into_another_is_not_given_to_a_third() -> None:
    earlier = (label(0, B), label(1, A, B))
    assert indices(B, C, earlier=earlier) == {B: 0, C: 2}


def test_a_label_map_says_the_index_and_other_species_follow() -> None:
    assert indices(A, B, C, fixed={B: 7}) == {A: 8, B: 7, C: 9}


@pytest.mark.parametrize("fixed", [{A: 1}, {B: 0}, {C: 0}])
def test_a_label_map_that_changes_what_earlier_versions_gave_is_refused(fixed: dict[UUID, int]) -> None:
    with pytest.raises(RecipeError, match=r"recipe one: label_map: the index . stands against what earlier versions"):
        indices(A, B, C, fixed=fixed, earlier=(label(0, A), label(1, B)))


def test_class_folders_are_padded_so_that_names_sort_like_indices() -> None:
    assert class_folder(0, "Brassica napus", most=14) == "000 Brassica napus"
    assert class_folder(12, "Brassica napus", most=4321) == "0012 Brassica napus"
    names = [class_folder(index, "Any", most=1200) for index in range(1201)]
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("../etc", "000 _etc"),
        ("a\\b:c", "000 a_b_c"),
        ("a\nb", "000 a_b"),
        (" . ", "000 unnamed"),
        ("Élymus", "000 Élymus"),
    ],
)
def test_a_class_folder_is_one_safe_name_whatever_the_species_is_called(name: str, folder: str) -> None:
    assert class_folder(0, name, most=0) == folder


def test_classes_come_in_the_order_of_their_indices() -> None:
    found = classes_of(taxa(A, B), {A: 5, B: 2})
    assert [(one.label, one.class_index, one.taxon_id) for one in found] == [
        ("002 Species 2", 2, str(B)),
        ("005 Species 1", 5, str(A)),
    ]


@given(st.lists(st.lists(st.sampled_from([A, B, C, D]), unique=True), max_size=8))
def test_no_species_ever_changes_its_index_and_no_index_its_species(versions: list[list[UUID]]) -> None:
    known: dict[UUID, int] = {}
    for wanted in versions:
        found = indices(*wanted, earlier=tuple(label(index, one) for one, index in known.items()))
        assert {one: index for one, index in found.items() if one in known} == {
            one: index for one, index in known.items() if one in found
        }
        known |= found
        assert len(set(known.values())) == len(known)
        assert sorted(known.values()) == list(range(len(known)))
