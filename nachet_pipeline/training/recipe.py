"""A recipe: which pictures make a training set, and how they are split. One YAML file each; its name is the set's.

description: Brassica, two seeds a picture
species: [Brassica napus, Brassica juncea]
seeds_per_picture: [2]
zoom: {min: 20, max: 40}
splits: {train: 0.8, test: 0.2}
minimum_per_class: 50
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import date
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from nachet_pipeline.contract.yaml_reader import YamlDocument, YamlError, read_yaml
from nachet_pipeline.errors import UsageError

PREVIOUS = "previous"
"""The value of `keep_held_out_from` that means the recipe's own current version."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")
_SUFFIXES = (".yaml", ".yml")
SPLITS = ("train", "validation", "test")
"""Every side a picture can be on; a side's place in it is what the database stores."""
# Fractions are written in decimal, and three of them in binary need not add up to one exactly.
_ROUNDING = 1e-9
# These do not affect which pictures are chosen nor where they go: changing them makes no new version.
_BESIDE = {"name", "description", "license", "schedule", "copy_pictures"}


class RecipeError(UsageError, ValueError):
    """A recipe that cannot be used; one line with file, line and field, what was expected and what found."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Span(_Model):
    """A range of numbers, both ends in it; an end that is not given is open."""

    min: Annotated[float, Field(ge=0)] | None = None
    max: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"expected min to be at most max, found {self.min:g} and {self.max:g}")
        return self


class Days(_Model):
    """A range of days in UTC, both ends in it; an end that is not given is open."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    first: date | None = Field(None, alias="from")
    last: date | None = Field(None, alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first is not None and self.last is not None and self.first > self.last:
            raise ValueError(f"expected from to be no later than to, found {self.first} and {self.last}")
        return self


def check_name(name: str) -> str:
    """A recipe's name as it was given.

    Raises:
        ValueError: it cannot be part of a container's name, or means something else.
    """
    if not _NAME.fullmatch(name) or "--" in name or name == PREVIOUS:
        raise ValueError(
            "expected a name of at most 42 small letters, digits and single hyphens, with a letter or digit at both"
            f" ends, and not {PREVIOUS}; found {name[:80]!r}"
        )
    return name


def _without_repeats(values: tuple[Any, ...]) -> tuple[Any, ...]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"expected each once, found {value!r} twice")
    return values


class Recipe(_Model):
    """Which pictures make a training set, and how they are split.

    Attributes:
        name: the training set's; that of the file without its suffix.
        description: for people.
        license: of the pictures, for the card; none is stated if it is not given.
        species: names or identifiers as uploaders may write them; all species if empty.
        listed_in: lists of which a species has to be on one, as the registry names them; any if empty.
        label_rank: the rank at which pictures are labelled; None: each by the taxon that it is registered as.
        seeds_per_picture: numbers of seeds in a picture; any if empty.
        zoom: the pictures' zoom.
        users: e-mail addresses of their owners; all if empty.
        imported: when they were imported.
        captured: when they were taken, by their files; if it is given, pictures without that date are left out.
        verified_only: whether only pictures are taken that are verified.
        minimum_agreement: of the people who judged a picture, the least share that say the same of it; pictures that
            nobody judged are taken all the same.
        minimum_sharpness: least sharpness (see pictures/measuring.py); pictures without one are left out.
        minimum_quality: least quality score, likewise.
        pictures: whole pictures, or the crops of single seeds.
        labels: `single`: pictures of several labels are left out; `multi`: a whole picture has one or more.
        cap_per_class: most pictures of a class; groups are taken whole in an order that `seed` and their identifiers
            decide, the last one in part. A picture counts for each of its classes.
        minimum_per_class: a class of fewer pictures fails the check `classes_large_enough`.
        splits: what part of the pictures each side gets, adding up to 1.
        seed: another number makes another split.
        label_map: class indices by species; other species follow after the greatest.
        near_duplicate_bits: pictures whose perceptual hashes differ in no more bits stay on one side; None: looks do
            not matter.
        keep_held_out_from: a recipe whose current version's validation and test pictures stay where they are, or
            `previous` for this recipe's own.
        copy_pictures: whether pictures are copied into the training set's container.
        schedule: built every night, or when asked for.
    """

    name: Annotated[str, AfterValidator(check_name)]
    description: str = ""
    license: str | None = None
    species: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], AfterValidator(_without_repeats)] = ()
    listed_in: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], AfterValidator(_without_repeats)] = ()
    label_rank: Literal["species", "genus", "family"] | None = None
    seeds_per_picture: Annotated[tuple[Annotated[int, Field(ge=0)], ...], AfterValidator(_without_repeats)] = ()
    zoom: Span = Span()
    users: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], AfterValidator(_without_repeats)] = ()
    imported: Days = Days()
    captured: Days = Days()
    verified_only: bool = False
    minimum_agreement: Annotated[float, Field(ge=0, le=1)] | None = None
    minimum_sharpness: Annotated[float, Field(ge=0)] | None = None
    minimum_quality: Annotated[float, Field(ge=0, le=1)] | None = None
    pictures: Literal["whole", "crops"] = "whole"
    labels: Literal["single", "multi"] = "single"
    cap_per_class: Annotated[int, Field(ge=1)] | None = None
    minimum_per_class: Annotated[int, Field(ge=0)] = 0
    splits: dict[str, float] = Field(default_factory=lambda: {"train": 0.7, "validation": 0.15, "test": 0.15})
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    label_map: dict[str, Annotated[int, Field(ge=0, lt=100_000)]] = Field(default_factory=dict)
    near_duplicate_bits: Annotated[int, Field(ge=0, le=15)] | None = 12
    keep_held_out_from: str | None = None
    copy_pictures: bool = False
    schedule: Literal["nightly", "manual"] = "manual"

    @field_validator("labels")
    @classmethod
    def _labels(cls, given: str, others: ValidationInfo) -> str:
        if given == "multi" and others.data.get("pictures") == "crops":
            raise ValueError("expected single, as crops show one seed each, found multi; multi is for whole pictures")
        return given

    @field_validator("splits")
    @classmethod
    def _splits(cls, given: dict[str, float]) -> dict[str, float]:
        for name, part in given.items():
            if name not in SPLITS:
                raise ValueError(f"expected parts of {', '.join(SPLITS)}, found {name[:80]!r}")
            if not 0 <= part <= 1:
                raise ValueError(f"expected a number from 0 to 1 for {name}, found {part:g}")
        if abs(sum(given.values()) - 1) > _ROUNDING:
            raise ValueError(f"expected parts that add up to 1, found {sum(given.values()):g}")
        if given.get("train", 0) == 0:
            raise ValueError("expected a part for train, found none")
        return {name: given[name] for name in SPLITS if given.get(name)}

    @field_validator("label_map")
    @classmethod
    def _label_map(cls, given: dict[str, int]) -> dict[str, int]:
        _without_repeats(tuple(given.values()))
        return given

    @field_validator("keep_held_out_from")
    @classmethod
    def _other(cls, given: str | None) -> str | None:
        return given if given is None or given == PREVIOUS else check_name(given)

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the choice of pictures and the split; the order of lists does not matter.

        What is not stated is not part of it, so that a field that is added later changes no digest.
        """
        stated = self.model_dump(mode="json", exclude=_BESIDE, exclude_defaults=True)
        for name in ("seeds_per_picture", "users", "listed_in"):
            if name in stated:
                stated[name] = sorted(stated[name])
        text = json.dumps(stated, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def several_labels(self) -> bool:
        """Whether a picture may have several labels."""
        return self.labels == "multi"

    def document(self) -> dict[str, Any]:
        """The recipe as JSON, with everything that is not stated.

        But for `labels` and `minimum_agreement`, without which manifests are what they were before there were these.
        """
        later = {"labels": self.several_labels, "minimum_agreement": self.minimum_agreement is not None}
        return self.model_dump(mode="json", exclude={name for name, stated in later.items() if not stated})


def packaged_recipes() -> Path:
    """The folder of the recipes that come with the package."""
    return Path(str(files("nachet_pipeline.training") / "recipes"))


def recipe_files(folder: Path) -> dict[str, Path]:
    """The recipes' files in a folder by name, which none of them need be read for.

    Raises:
        RecipeError: the folder cannot be read, or two files have one name.
    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.suffix in _SUFFIXES and entry.is_file())
    except OSError as error:
        raise RecipeError(f"{folder}: expected a folder of recipes: {error.strerror}") from None
    found: dict[str, Path] = {}
    for entry in entries:
        if entry.stem in found:
            raise RecipeError(f"{entry}: expected one file for each recipe, found {found[entry.stem].name} too")
        found[entry.stem] = entry
    return found


def recipe_named(name: str, folder: Path) -> Recipe:
    """The recipe of a name.

    Raises:
        RecipeError: the folder has none of this name, or it cannot be read.
    """
    known = recipe_files(folder)
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise RecipeError(
            f"{folder}: expected a recipe of {', '.join(known) or 'none, as the folder is empty'}, found"
            f" {name[:80]!r}{hint}"
        )
    return read_recipe(known[name])


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        RecipeError: it cannot be read, or something in it cannot be used.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        document = read_yaml(content)
    except YamlError as error:
        line = f":{error.position.line}" if error.position else ""
        raise RecipeError(f"{path}{line}: {error}") from None
    if "name" in document.values:
        raise RecipeError(f"{_place(path, document, ('name',))}: name: expected no such key, as the file's name is it")
    # An empty value is one that is not stated, but for the one whose None means something.
    stated = {key: value for key, value in document.values.items() if value is not None or key == "near_duplicate_bits"}
    try:
        return Recipe.model_validate({"name": path.stem, **stated})
    except ValidationError as error:
        raise RecipeError(explained(error, path, document, _keys_at)) from None


_EXPECTED = {
    "missing": "a value",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_parsing": "yes or no",
    "bool_type": "yes or no",
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "date_type": "a day, such as 2026-05-01",
    "date_parsing": "a day, such as 2026-05-01",
    "date_from_datetime_parsing": "a day, such as 2026-05-01",
    "date_from_datetime_inexact": "a day, such as 2026-05-01",
}


def explained(
    error: ValidationError, path: Path, document: YamlDocument, keys_at: Callable[[tuple[int | str, ...]], list[str]]
) -> str:
    """The first thing wrong in a file of operators, as one line with its place.

    Args:
        error: what its model says of it.
        path: the file.
        document: what is written there.
        keys_at: the keys that are known at a place.
    """
    first = error.errors(include_url=False)[0]
    keys = first["loc"]
    where, field = _place(path, document, keys), ".".join(str(key) for key in keys)
    if first["type"] == "value_error":
        prefix = "" if keys == ("name",) else f"{field}: "
        return f"{where}: {prefix}{first['msg'].removeprefix('Value error, ')}"
    if first["type"] == "extra_forbidden":
        known = keys_at(keys[:-1])
        near = get_close_matches(str(keys[-1]), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{where}: expected keys of {', '.join(known)}, found {str(keys[-1])[:80]!r}{hint}"
    expected = _EXPECTED.get(first["type"]) or _limit(first["type"], first.get("ctx", {})) or first["msg"]
    found = "nothing" if first["input"] is None else repr(first["input"])[:80]
    return f"{where}: {field}: expected {expected}, found {found}"


def _limit(kind: str, context: Mapping[str, Any]) -> str | None:
    match kind:
        case "greater_than_equal":
            return f"a number of at least {context['ge']}"
        case "less_than_equal":
            return f"a number of at most {context['le']}"
        case "less_than":
            return f"a number below {context['lt']}"
        case "literal_error":
            return str(context["expected"]).replace("'", "")
        case _:
            return None


def _keys_at(keys: tuple[int | str, ...]) -> list[str]:
    parts: dict[str, type[BaseModel]] = {"zoom": Span, "imported": Days, "captured": Days}
    model = parts.get(str(keys[0]), Recipe) if keys else Recipe
    return [field.alias or name for name, field in model.model_fields.items() if name != "name"]


def _place(path: Path, document: YamlDocument, keys: tuple[int | str, ...]) -> str:
    """The file and the line of the nearest key that is written there."""
    for end in range(len(keys), 0, -1):
        if position := document.positions.get(tuple(keys[:end])):
            return f"{path}:{position.line}"
    return str(path)
