"""Changed registries for tests."""

import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nachet_pipeline.registry.darwin_core import table_of
from nachet_pipeline.registry.queries import RegistryChanges, load_seeds
from nachet_pipeline.registry.seeds import Seed, VernacularNames
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


def table(file: Path, seeds: Iterable[Seed]) -> Path:
    """A file of species with these seeds."""
    file.write_text("".join(table_of(seeds)), encoding="utf-8")
    return file


def many(count: int, seed: int = 0) -> list[Seed]:
    """Invented species, with synonyms and vernacular names, in genera and families of several."""
    chance = random.Random(seed)
    syllables = re.findall("..", "bacedifoguhalamenipolyrasestumoclovakudo")

    def word(length: int) -> str:
        return "".join(chance.choice(syllables) for _ in range(length))

    taken: set[str] = set()

    def name(genus: str) -> str:
        while (found := f"{genus} {word(chance.randint(2, 4))}{chance.choice(('us', 'a', 'um', 'ense'))}") in taken:
            pass
        taken.add(found)
        return found

    genera = [(f"{word(3).capitalize()}a", f"{word(2).capitalize()}aceae") for _ in range(max(1, count // 12))]
    seeds = []
    for number in range(count):
        genus = chance.choice(genera)[0]
        scientific = name(genus)
        seeds.append(
            Seed(
                scientific_name=scientific,
                family=dict(genera)[genus],
                genus=genus,
                specific_epithet=scientific.partition(" ")[2],
                synonyms=tuple(name(chance.choice(genera)[0]) for _ in range(chance.randint(0, 4))),
                vernacular_names=VernacularNames(en=(f"{word(2)} {word(2)}",) if number % 2 else ()),
                gbif_id=number + 1,
            )
        )
    return seeds
