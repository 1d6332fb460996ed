"""Changed registries for tests."""

from typing import Any

from nachet_pipeline.registry.queries import RegistryChanges, load_seeds
from nachet_pipeline.registry.seeds import Seed
from nachet_pipeline_tests.workbench import Workbench


def seed(name: str, **terms: Any) -> Seed:
    """A seed of this name, with other terms in Darwin Core's spelling."""
    genus, _, epithet = name.partition(" ")
    given = {"scientificName": name, "family": "Plantaceae", "genus": genus, "specificEpithet": epithet}
    return Seed.model_validate({**given, **terms})


def changed(seeds: list[Seed], name: str, **terms: Any) -> list[Seed]:
    """The registry with other terms of one seed."""
    assert any(one.scientific_name == name for one in seeds)
    return [Seed.model_validate({**one.model_dump(), **terms}) if one.scientific_name == name else one for one in seeds]


def renamed(seeds: list[Seed], name: str, new: str) -> list[Seed]:
    """The registry with another name of one seed."""
    first = next(one.first_name for one in seeds if one.scientific_name == name)
    genus, _, epithet = new.partition(" ")
    return changed(seeds, name, scientificName=new, genus=genus, specificEpithet=epithet, registeredAs=first)


def without(seeds: list[Seed], name: str) -> list[Seed]:
    """The registry without one seed."""
    assert any(one.scientific_name == name for one in seeds)
    return [one for one in seeds if one.scientific_name != name]


def merged(seeds: list[Seed], name: str, survivor: str) -> list[Seed]:
    """The registry with one seed merged into another."""
    gone = next(one for one in seeds if one.scientific_name == name)
    stays = next(one for one in seeds if one.scientific_name == survivor)
    names = (*stays.merged_from, gone.first_name, *gone.merged_from)
    return changed(without(seeds, name), survivor, mergedFrom=names)


def load(workbench: Workbench, seeds: list[Seed]) -> RegistryChanges:
    """Load a registry into the workbench's database."""
    with workbench.database.connection() as connection:
        return load_seeds(connection, seeds, actor="test")
