"""A model and its versions, as people register them: documents, and what is stored of them."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    field_validator,
    model_validator,
)

from nachet_pipeline.errors import UsageError
from nachet_pipeline.training.recipe import check_name

Task = Literal["detect", "classify", "both"]
"""What a version answers: where objects are, what the whole picture shows, or what each object is."""
TASKS: tuple[Task, ...] = get_args(Task)

_VERSION = r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}"
_MOST_CLASSES = 100_000
_LONGEST_FACTS = 100_000


class ModelError(UsageError, ValueError):
    """A model that cannot be registered; the message is one line that says what is wrong, and where."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _kept_as_it_is(cls, value: object) -> object:
        try:
            return _storable(value)
        except RecursionError:
            raise ValueError("expected less deep nesting") from None


def _in_utc(moment: datetime) -> datetime:
    # A day on either side: whatever its zone is, it is a moment that PostgreSQL and Python can say in UTC.
    if not datetime.min.year < moment.year < datetime.max.year:
        raise ValueError("expected a year from 2 to 9998")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _storable(value: object) -> object:
    """What was stated, if a database can keep every text in it.

    Raises:
        ValueError: a text has a character that it cannot.
    """
    if isinstance(value, str) and any(one == "\0" or "\ud800" <= one <= "\udfff" for one in value):
        raise ValueError("expected text without the characters U+0000 and U+D800 to U+DFFF")
    if isinstance(value, dict):
        for pair in value.items():
            _storable(pair)
    elif isinstance(value, list | tuple):
        for one in value:
            _storable(one)
    return value


def _pointer(text: str) -> str:
    """Where weights are; anybody who reads the database reads it.

    Raises:
        ValueError: it may hold a key.
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError("expected an address or a path") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("expected an address without user, query and fragment, which may be a key")
    return text


def _facts(facts: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if (size := len(json.dumps(facts))) > _LONGEST_FACTS:
        raise ValueError(f"expected at most {_LONGEST_FACTS} characters of facts, found {size}")
    return facts


def _class(given: object) -> object:
    return {"label": given, "taxon": given} if isinstance(given, str) else given


class ClassDocument(_Model):
    """A class of a version. Its name alone, as text, is a label that is a taxon's name too.

    Attributes:
        label: what the model calls it.
        taxon: name or identifier of the registered taxon that it means; None: none, such as `background`.
    """

    label: Annotated[str, Field(min_length=1, max_length=200)]
    taxon: Annotated[str, Field(min_length=1)] | None = None


Facts = Annotated[dict[str, JsonValue], AfterValidator(_facts)]


class VersionDocument(_Model):
    """A version of a model: what makes predictions, and never changes.

    Attributes:
        version: its name, such as `1.2.0`.
        task: what it answers.
        classes: what it tells apart, in the order of the model's own indices.
        weights: where its weights are; nothing reads them.
        training_set: what it was trained on, as `NAME@DIGEST`, or the digest of a manifest that is not ours.
        trained_at: when; without a time zone in UTC.
        facts: whatever else is worth keeping.
    """

    version: Annotated[str, Field(pattern=rf"^{_VERSION}$")]
    task: Task
    classes: Annotated[tuple[Annotated[ClassDocument, BeforeValidator(_class)], ...], Field(max_length=_MOST_CLASSES)]
    weights: Annotated[str, Field(max_length=2000), AfterValidator(_pointer)] | None = None
    training_set: Annotated[str, Field(min_length=1)] | None = None
    trained_at: Annotated[datetime, AfterValidator(_in_utc)] | None = None
    facts: Facts = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        seen: set[str] = set()
        for one in self.classes:
            if one.label in seen:
                raise ValueError(f"expected each label once, found {one.label[:80]!r} twice")
            seen.add(one.label)
        if not self.classes and self.task != "detect":
            raise ValueError("expected classes, found none; a version that tells none apart has the task detect")
        return self


class ModelDocument(_Model):
    """A model with versions of it.

    Attributes:
        name: in the syntax of a recipe's name.
        owner: who answers for it.
        description: what it is for.
        facts: whatever else is worth keeping.
        versions: some of its versions; others that are registered stay as they are.
    """

    name: Annotated[str, AfterValidator(check_name)]
    owner: Annotated[str, Field(min_length=1, max_length=200)]
    description: str = ""
    facts: Facts = Field(default_factory=dict)
    versions: Annotated[tuple[VersionDocument, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [one.version for one in self.versions]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"expected each version once, found {name} twice")
        return self


@dataclass(frozen=True, slots=True)
class ModelClass:
    """A class of a registered version.

    Attributes:
        index: the model's own.
        label: what the model calls it.
        seed: the registered taxon that it means, or that this is part of now; None: none.
        taxon: that taxon's name.
    """

    index: int
    label: str
    seed: UUID | None
    taxon: str | None


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered version of a model.

    Attributes:
        id: its identifier.
        model_id: the model's.
        model: the model's name.
        version: its own.
        task: what it answers.
        classes: how many it tells apart.
        weights: where its weights are.
        training_set_digest: of the manifest that it was trained on, ours or not.
        training_set: the name of our training set of that digest; None: it is none of ours.
        trained_at: when it was trained.
        facts: of the version.
        registered_at: when it was registered.
        registered_by: by whom.
        owner: who answers for the model.
        description: what the model is for.
        champion: whether a person promoted it last of its model's versions.
    """

    id: UUID
    model_id: UUID
    model: str
    version: str
    task: Task
    classes: int
    weights: str | None
    training_set_digest: str | None
    training_set: str | None
    trained_at: datetime | None
    facts: dict[str, Any]
    registered_at: datetime
    registered_by: str
    owner: str
    description: str
    champion: bool

    @property
    def name(self) -> str:
        """`NAME@VERSION`, as it is called everywhere."""
        return f"{self.model}@{self.version}"


def split_name(text: str) -> tuple[str, str]:
    """Model and version of `NAME@VERSION`.

    Raises:
        ModelError: it is no such name.
    """
    name, _, version = text.strip().partition("@")
    if not name or not re.fullmatch(_VERSION, version):
        raise ModelError(f"expected a version of a model as NAME@VERSION, found {text[:80]!r}")
    return name, version


def digest_of(stated: dict[str, Any]) -> str:
    """SHA-256, in hexadecimal, of what was registered."""
    text = json.dumps(stated, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
