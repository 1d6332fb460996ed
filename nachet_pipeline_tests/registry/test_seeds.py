from uuid import UUID

import pytest
from pydantic import ValidationError

from nachet_pipeline.registry.seeds import Seed, SeedRegistry, packaged_seeds
from nachet_pipeline.storage.naming import seed_id


@pytest.fixture(scope="module")
def registry() -> SeedRegistry:
    return SeedRegistry.of(packaged_seeds())


@pytest.mark.parametrize("seed", packaged_seeds(), ids=lambda seed: seed.scientific_name)
def test_every_packaged_seed_is_found_by_its_names_and_its_id(seed: Seed, registry: SeedRegistry) -> None:
    assert seed.scientific_name == f"{seed.genus} {seed.specific_epithet}"
    assert seed.id == seed_id(seed.scientific_name)
    assert registry.with_id(str(seed.id)) == seed
    for name in (seed.scientific_name, seed.scientific_name.upper(), f"  {seed.genus}\t {seed.specific_epithet} "):
        assert registry.named(name) == seed
        assert registry.nearest(name) == seed.scientific_name


def test_no_two_packaged_seeds_have_one_name_or_one_id(registry: SeedRegistry) -> None:
    seeds = packaged_seeds()

    assert len(seeds) == len(registry.by_id) == len(registry.by_name) == 15


@pytest.mark.parametrize("text", ["", "14", "Brassica napus", "00000000-0000-0000-0000-000000000000", "urn:x", "\0"])
def test_what_is_no_registered_id_finds_no_seed(text: str, registry: SeedRegistry) -> None:
    assert registry.with_id(text) is None


@pytest.mark.parametrize("name", ["", "Brassica", "napus", "Brassica nappus", "Brassica napus L."])
def test_only_a_full_name_finds_a_seed(name: str, registry: SeedRegistry) -> None:
    assert registry.named(name) is None


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Brassica nappus", "Brassica napus"),
        ("brasica juncea", "Brassica juncea"),
        ("Brassica napus L.", "Brassica napus"),
        ("SOLANUM NIGRA", "Solanum nigrum"),
        ("Ambrosia artemisifolia", "Ambrosia artemisiifolia"),
        ("Triticum aestivum x", None),
        ("", None),
        ("?" * 5_000, None),
    ],
)
def test_a_misspelt_name_is_near_to_one_and_another_name_to_none(
    name: str, nearest: str | None, registry: SeedRegistry
) -> None:
    assert registry.nearest(name) == nearest


def test_a_registry_of_nothing_finds_nothing() -> None:
    empty = SeedRegistry.of([])

    assert empty.named("Brassica napus") is None
    assert empty.nearest("Brassica napus") is None
    assert empty.with_id(str(UUID(int=1))) is None


def test_a_seed_is_written_in_the_terms_of_darwin_core() -> None:
    seed = Seed(scientific_name="Bromus secalinus", family="Poaceae", genus="Bromus", specific_epithet="secalinus")

    assert seed.model_dump() == {
        "scientificName": "Bromus secalinus",
        "family": "Poaceae",
        "genus": "Bromus",
        "specificEpithet": "secalinus",
        "taxonRank": "species",
    }
    assert Seed.model_validate(seed.model_dump()) == seed


@pytest.mark.parametrize(
    "wrong", [{"family": " "}, {"genus": "x" * 201}, {"colour": "brown"}, {"specificEpithet": None}]
)
def test_a_seed_with_a_wrong_term_is_not_registered(wrong: dict[str, object]) -> None:
    good = {"scientificName": "A b", "family": "F", "genus": "A", "specificEpithet": "b"}
    assert Seed.model_validate(good).genus == "A"

    with pytest.raises(ValidationError):
        Seed.model_validate({**good, **wrong})
