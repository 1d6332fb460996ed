"""What users write in index.yaml and <picture>.yaml: the models, and reading a file into values with their origin."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from nachet_pipeline.contract.findings import Finding, Severity
from nachet_pipeline.contract.yaml_reader import Position, YamlDocument, YamlError, read_yaml

_EMAIL = re.compile(r"[^@\s<>,;\"'\\]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
INDEX_NAME = "index.yaml"


def normalise_email(value: str) -> str:
    """The one form of an e-mail address that identifies a user: without outer space, in lower case.

    Raises:
        ValueError: it does not look like an address.
    """
    email = value.strip()
    if len(email) > 254 or not _EMAIL.fullmatch(email) or ".." in email:  # noqa: PLR2004 (RFC 5321, 4.5.3.1.3)
        raise ValueError("expected an e-mail address, name@example.org")
    return email.casefold()


def _without_times_sign(value: Any) -> Any:
    """People write a zoom of 30 as `30x` too."""
    return re.sub(r"\s*[xX×]$", "", value.strip()) if isinstance(value, str) else value  # noqa: RUF001


Text = Annotated[str, Field(min_length=1, max_length=200)]


class _Section(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        str_strip_whitespace=True,
    )


class ClientData(_Section):
    """`clientData`: who took the pictures."""

    client_email: Annotated[str, AfterValidator(normalise_email)] | None = Field(
        None, max_length=254, description="an e-mail address"
    )
    client_expertise: Text | None = Field(None, description="text of 1 to 200 characters")


class ImageData(_Section):
    """`imageData`: how many pictures a session holds."""

    number_of_images: int | None = Field(None, ge=1, le=1_000_000, description="a whole number from 1 to 1000000")


class SeedData(_Section):
    """`seedData`: what a session shows; by id, by genus and species, or by full name."""

    seed_id: Text | None = Field(None, alias="seedID", description="the id of a registered seed")
    seed_name: Text | None = Field(None, description="text of 1 to 200 characters")
    seed_family: Text | None = Field(None, description="text of 1 to 200 characters")
    seed_genus: Text | None = Field(None, description="text of 1 to 200 characters")
    seed_species: Text | None = Field(None, description="text of 1 to 200 characters")


class UserData(_Section):
    """`userData`: how the pictures were taken."""

    description: str | None = Field(None, max_length=5_000, description="text of at most 5000 characters")
    number_of_seeds: int | None = Field(None, ge=1, le=10_000, description="a whole number from 1 to 10000")
    zoom: Annotated[float, BeforeValidator(_without_times_sign)] | None = Field(
        None, gt=0, le=10_000, allow_inf_nan=False, description="a number above 0, at most 10000"
    )


class ProjectIndex(_Section):
    """A project's index.yaml: the uploader, and defaults for all sessions."""

    client_data: ClientData = Field(default_factory=ClientData)
    image_data: ImageData = Field(default_factory=ImageData)
    seed_data: SeedData = Field(default_factory=SeedData)
    user_data: UserData = Field(default_factory=UserData)


class SessionIndex(ProjectIndex):
    """A session's index.yaml: what its pictures show; what it leaves out is inherited from the project."""


class PictureMetadata(_Section):
    """A picture's YAML file: what differs for this picture from its session."""

    seed_data: SeedData = Field(default_factory=SeedData)
    user_data: UserData = Field(default_factory=UserData)


@dataclass(frozen=True, slots=True)
class Value:
    """One metadata value and where it was written.

    Attributes:
        value: text or number, as the model reads it.
        source: the file it comes from, relative to the upload.
        line: 1-based line of its key.
        column: 1-based column of its key.
    """

    value: Any
    source: str
    line: int | None = None
    column: int | None = None


Values = Mapping[str, Value]
"""From a field as users write it (`userData.zoom`) to its value."""


def inherit(*levels: Values) -> dict[str, Value]:
    """Merge values downwards, outermost level first: the nearest file wins, field by field."""
    merged: dict[str, Value] = {}
    for level in levels:
        seed_fields = [name for name in level if name.startswith("seedData.")]
        if seed_fields:
            # A seed is named as a whole: a session's species must not be completed with the project's genus.
            merged = {name: value for name, value in merged.items() if not name.startswith("seedData.")}
        merged.update(level)
    return merged


@dataclass(slots=True)
class MetadataFile:
    """What one YAML file says.

    Attributes:
        path: the file, relative to the upload.
        values: what it gives, by field.
        findings: what is wrong with it.
        readable: whether it is YAML that the contract allows; if not, it gives no value.
    """

    path: str
    values: dict[str, Value] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    readable: bool = True

    def is_wrong(self, name: str) -> bool:
        """Whether an error keeps a field, its section or a field of it from being read."""
        fields = [f"{found.field}." for found in self.findings if found.field and found.severity is Severity.ERROR]
        return not self.readable or any(f"{name}.".startswith(one) or one.startswith(f"{name}.") for one in fields)


def _plain(key: str) -> str:
    return re.sub(r"[^0-9a-z]", "", key.casefold())


def _fields(model: type[BaseModel]) -> dict[str, str]:
    """From the plain spelling of a model's keys to their canonical one."""
    aliases = (info.alias or name for name, info in model.model_fields.items())
    return {_plain(alias): alias for alias in aliases}


def _suggest(key: str, known: Iterable[str]) -> str | None:
    names = {_plain(name.rsplit(".", 1)[-1]): name for name in known}
    near = get_close_matches(_plain(key), names, n=1, cutoff=0.7)
    return names[near[0]] if near else None


def _section_models(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    sections: dict[str, type[BaseModel]] = {}
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            sections[info.alias or name] = info.annotation
    return sections


class _Reader:
    def __init__(self, path: str, document: YamlDocument, model: type[BaseModel], content_code: str) -> None:
        self.file = MetadataFile(path)
        self.document = document
        self.sections = _section_models(model)
        self.content_code = content_code
        self.all_fields = [
            f"{section}.{alias}" for section, kind in self.sections.items() for alias in _fields(kind).values()
        ]

    def read(self) -> MetadataFile:
        names = {_plain(section): section for section in self.sections}
        for key, section, value in self._known_keys(self.document.values, (), names, self.all_fields):
            if value is None:
                continue
            if not isinstance(value, dict):
                self._wrong((key,), section, "keys and values under it", value)
                continue
            self._read_section(key, section, value)
        return self.file

    def _read_section(self, section_key: str, section: str, written: dict[str, Any]) -> None:
        model = self.sections[section]
        texts: dict[str, Any] = {}
        keys: dict[str, str] = {}
        for key, alias, value in self._known_keys(written, (section_key,), _fields(model), self.all_fields):
            if value is None:
                continue
            if not isinstance(value, str):
                self._wrong((section_key, key), f"{section}.{alias}", "one value", value)
                continue
            texts[alias], keys[alias] = value, key
        descriptions = {info.alias or name: info.description for name, info in model.model_fields.items()}
        wrong: set[str] = set()
        try:
            parsed = model.model_validate(texts)
        except ValidationError as error:
            wrong = {str(detail["loc"][0]) for detail in error.errors(include_url=False)}
            parsed = model.model_validate({alias: text for alias, text in texts.items() if alias not in wrong})
        for alias in sorted(wrong):
            self._wrong((section_key, keys[alias]), f"{section}.{alias}", descriptions[alias] or alias, texts[alias])
        for alias, value in parsed.model_dump(by_alias=True, exclude_none=True).items():
            position = self._position((section_key, keys[alias]))
            self.file.values[f"{section}.{alias}"] = Value(value, self.file.path, position.line, position.column)

    def _known_keys(
        self, written: dict[str, Any], above: tuple[str, ...], names: Mapping[str, str], known: list[str]
    ) -> Iterable[tuple[str, str, Any]]:
        seen: dict[str, str] = {}
        for key, value in written.items():
            place = (*above, key)
            canonical = names.get(_plain(key))
            if canonical is None:
                near = _suggest(key, [*names.values(), *known])
                self._add("unknown-key", place, ".".join(place), ", ".join(names.values()), key, near)
            elif canonical in seen:
                self._add("duplicate-key", place, ".".join(place), "each key once", f"{seen[canonical]} and {key}")
            else:
                seen[canonical] = key
                yield key, canonical, value

    def _wrong(self, place: tuple[str, ...], name: str, expected: str, value: Any) -> None:
        nested = "keys and values" if isinstance(value, dict) else "a list"
        found = f"{value[:80]!r}" if isinstance(value, str) else nested
        self._add(self.content_code, place, name, expected, found)

    def _position(self, place: tuple[str, ...]) -> Position:
        return self.document.positions[place]

    def _add(
        self, code: str, place: tuple[str, ...], name: str, expected: str, found: str, near: str | None = None
    ) -> None:
        position = self._position(place)
        self.file.findings.append(
            Finding(
                code=code,
                path=self.file.path,
                field=name,
                line=position.line,
                column=position.column,
                expected=expected,
                found=found,
                suggestion=near,
            )
        )


def read_metadata(
    content: bytes, path: str, model: type[ProjectIndex | SessionIndex | PictureMetadata]
) -> MetadataFile:
    """Read one of an upload's YAML files.

    Never raises for what an uploader wrote: whatever is wrong becomes a finding, and what is right is kept.

    Args:
        content: the file's bytes.
        path: the file, relative to the upload.
        model: which of the three kinds of file it is.
    """
    kind = "picture-metadata" if model is PictureMetadata else "index"
    try:
        document = read_yaml(content)
    except YamlError as error:
        codes = {"syntax": f"{kind}-syntax", "duplicate": "duplicate-key", "forbidden": "forbidden-yaml"}
        position = error.position
        finding = Finding(
            code=codes[error.problem],
            path=path,
            line=position.line if position else None,
            column=position.column if position else None,
            expected=error.expected,
            found=error.found,
        )
        return MetadataFile(path, findings=[finding], readable=False)
    return _Reader(path, document, model, f"{kind}-content").read()
