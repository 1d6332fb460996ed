"""Registered seeds, and finding the one that an uploader meant."""

import hashlib
import re
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.resources import files
from typing import Annotated, Self
from uuid import UUID

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter
from pydantic.alias_generators import to_camel

from nachet_pipeline.storage.naming import seed_id

_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Seed(BaseModel):
    """A taxon that pictures can show, in Darwin Core's terms (https://dwc.tdwg.org/terms/#taxon)."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True
    )

    scientific_name: _Name
    family: _Name
    genus: _Name
    specific_epithet: _Name
    taxon_rank: str = "species"

    @property
    def id(self) -> UUID:
        """Its identifier, which follows from its name."""
        return seed_id(self.scientific_name)


def _packaged_text() -> str:
    return (files("nachet_pipeline.registry") / "seeds.yaml").read_text(encoding="utf-8")


def packaged_seeds() -> list[Seed]:
    """The reviewed registry that the package carries, in its order."""
    return TypeAdapter(list[Seed]).validate_python(yaml.safe_load(_packaged_text()))


def registry_version() -> str:
    """Version of the packaged registry: changes whenever the file does."""
    return hashlib.sha256(_packaged_text().encode()).hexdigest()[:16]


def _plain(name: str) -> str:
    return re.sub(r"\s+", " ", name).strip().casefold()


class SeedRegistry(BaseModel):
    """Looks up seeds by id and by name, whatever the case."""

    model_config = ConfigDict(frozen=True)

    by_id: dict[UUID, Seed] = Field(default_factory=dict)
    by_name: dict[str, Seed] = Field(default_factory=dict)

    @classmethod
    def of(cls, seeds: Iterable[Seed]) -> Self:
        """A registry of these seeds."""
        known = list(seeds)
        return cls(
            by_id={seed.id: seed for seed in known},
            by_name={_plain(seed.scientific_name): seed for seed in known},
        )

    def with_id(self, text: str) -> Seed | None:
        """The seed of an id as users write it, None if there is none."""
        try:
            return self.by_id.get(UUID(text))
        except ValueError:
            return None

    def named(self, name: str) -> Seed | None:
        """The seed of a full name, None if there is none."""
        return self.by_name.get(_plain(name))

    def nearest(self, name: str) -> str | None:
        """The registered name that is most like a name, None if none is like it."""
        near = get_close_matches(_plain(name), self.by_name, n=1, cutoff=0.6)
        return self.by_name[near[0]].scientific_name if near else None
