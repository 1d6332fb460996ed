"""The models of index.yaml and <picture>.yaml, and reading such a file into values with their origin."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.hints import LISTED_SPECIES, SECTION_HINT, Hint, hint, rank_of, seed_hint
from nachet_pipeline.contract.shown import UNKNOWN, is_unknown
from nachet_pipeline.contract.yaml_reader import (
    YAML,
    Position,
    YamlDocument,
    YamlError,
    YamlLimits,
    read_yaml,
    too_many_bytes,
)
from nachet_pipeline.pictures.issues import CONTENT, ONLY_ZEROS
from nachet_pipeline.registry.seeds import Rank
from nachet_pipeline.support.i18n import Bilingual

EMAIL_ADDRESS = re.compile(r"[^@\s<>,;\"'\\]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
"""What an e-mail address looks like, beside its length."""
_TIMES_SIGNS = ("x", "X", "×")  # noqa: RUF001 (people write it)
# Three digits after a comma may be thousands in English, so such a number is ambiguous.
_DECIMAL_COMMA = re.compile(r"(\d+),(\d{1,2}|\d{4,})")
_LISTED_NUMBER = re.compile(r"seedData(\.\d+)?\.numberOfSeeds")
_YES, _NO = {"true", "yes", "on", "oui", "vrai", "1"}, {"false", "no", "off", "non", "faux", "0"}
_SHOWN = 80
_LEVELS = 2
_UNKNOWN_KEYS_REPORTED = 50
INDEX_NAME = "index.yaml"


def normalise_email(value: str) -> str:
    """Normalise an e-mail address to the form that identifies a user: without outer spaces, in lower case.

    Raises:
        ValueError: it does not look like an address.
    """
    email = value.strip()
    if len(email) > 254 or not EMAIL_ADDRESS.fullmatch(email) or ".." in email:  # noqa: PLR2004 (RFC 5321, 4.5.3.1.3)
        raise ValueError("expected an e-mail address, name@example.org")
    return email.casefold()


def _zoom(value: Any) -> Any:
    """Accept `30x` for 30, and a decimal comma."""
    if not isinstance(value, str):
        return value
    # No regular expression that repeats a space: a megabyte of spaces would take it hours.
    number = value.strip()
    if number.startswith(_TIMES_SIGNS):
        number = number[1:].lstrip()
    elif number.endswith(_TIMES_SIGNS):
        number = number[:-1].rstrip()
    comma = _DECIMAL_COMMA.fullmatch(number)
    return f"{comma[1]}.{comma[2]}" if comma else number


def _yes_or_no(value: Any) -> Any:
    """Accept yes and no in both languages."""
    word = value.strip().casefold() if isinstance(value, str) else value
    return True if word in _YES else False if word in _NO else value


def _one_or_several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _text(at_most: int, at_least: int = 1) -> Bilingual:
    if at_least:
        return Bilingual(
            f"text of {at_least} to {at_most} characters", f"un texte de {at_least} à {at_most} caractères"
        )
    return Bilingual(f"text of at most {at_most} characters", f"un texte d'au plus {at_most} caractères")


def _whole_number(at_most: int) -> Bilingual:
    return Bilingual(f"a whole number from 1 to {at_most}", f"un nombre entier de 1 à {at_most}")


# The description of a field stands beside its type; pydantic ignores it.
Text = Annotated[str, Field(min_length=1, max_length=200)]
_OptionalText = Annotated[Text | None, _text(200)]


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

    client_email: Annotated[
        Annotated[str, AfterValidator(normalise_email)] | None,
        Bilingual("an e-mail address (name@example.org)", "une adresse courriel (nom@exemple.org)"),
    ] = Field(None, max_length=254)
    client_expertise: _OptionalText = None


class UploadData(_Section):
    """`uploadData`: how the uploader wants the upload to be treated."""

    accept_valid: Annotated[
        Annotated[bool, BeforeValidator(_yes_or_no)] | None, Bilingual("yes or no", "oui ou non")
    ] = None
    replace: Annotated[Annotated[bool, BeforeValidator(_yes_or_no)] | None, Bilingual("yes or no", "oui ou non")] = None
    removed_sessions: Annotated[
        Annotated[tuple[Text, ...], BeforeValidator(_one_or_several), Field(max_length=1_000)] | None,
        Bilingual("names of sessions", "des noms de sessions"),
    ] = None


class ImageData(_Section):
    """`imageData`: how many pictures a session holds."""

    number_of_images: Annotated[int | None, _whole_number(1_000_000)] = Field(None, ge=1, le=1_000_000)


class SeedData(_Section):
    """`seedData`: what a session shows; by id, by genus and species, or by full name; or unknown, with a guess."""

    seed_id: Annotated[Text | None, Bilingual("the id of a registered seed", "l'id d'une semence enregistrée")] = Field(
        None, alias="seedID"
    )
    seed_name: _OptionalText = None
    seed_family: _OptionalText = None
    seed_genus: _OptionalText = None
    seed_species: _OptionalText = None
    guess: _OptionalText = None
    guess_rank: Annotated[
        Annotated[Rank, BeforeValidator(rank_of)] | None,
        Bilingual(
            "family, genus, species, subspecies, variety or form",
            "famille, genre, espèce, sous-espèce, variété ou forme",
        ),
    ] = None


class ListedSeed(SeedData):
    """An entry of a list under `seedData`: one of the kinds of seeds that each picture shows."""

    number_of_seeds: Annotated[int | None, _whole_number(10_000)] = Field(None, ge=1, le=10_000)


class UserData(_Section):
    """`userData`: how the pictures were taken."""

    description: Annotated[str | None, _text(5_000, at_least=0)] = Field(None, max_length=5_000)
    number_of_seeds: Annotated[int | None, _whole_number(10_000)] = Field(None, ge=1, le=10_000)
    zoom: Annotated[
        Annotated[float, BeforeValidator(_zoom)] | None,
        Bilingual("a number above 0, at most 10000 (30 or 3.5)", "un nombre supérieur à 0, au plus 10000 (30 ou 3,5)"),
    ] = Field(None, gt=0, le=10_000, allow_inf_nan=False)


class SessionIndex(_Section):
    """A session's index.yaml: what its pictures show; what it leaves out is inherited from the project."""

    client_data: ClientData = Field(default_factory=ClientData)
    image_data: ImageData = Field(default_factory=ImageData)
    seed_data: SeedData = Field(default_factory=SeedData)
    user_data: UserData = Field(default_factory=UserData)


class ProjectIndex(SessionIndex):
    """A project's index.yaml: the uploader, the uploader's wishes, and defaults for all sessions."""

    upload_data: UploadData = Field(default_factory=UploadData)


class PictureMetadata(_Section):
    """A picture's YAML file: what differs for this picture from its session."""

    seed_data: SeedData = Field(default_factory=SeedData)
    user_data: UserData = Field(default_factory=UserData)


MOST_LISTED = 50
"""So many species a list under `seedData` names at most."""

SEED_DATA = "seedData"
NUMBER_OF_SEEDS = "userData.numberOfSeeds"

_LISTS = {"removedSessions"}
"""Fields that take several values."""

Model = type[ProjectIndex | SessionIndex | PictureMetadata]
"""Which of the three kinds of file it is."""


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


def finding_about(
    value: Value,
    code: str,
    field: str | None,
    expected: Bilingual,
    found: Bilingual | None,
    suggestion: Bilingual | None = None,
    sessions: tuple[str, ...] = (),
    advice: Bilingual | None = None,
) -> Finding:
    """A finding about a value, where it was written."""
    return Finding(
        code=code,
        path=value.source,
        sessions=sessions,
        field=field,
        line=value.line,
        column=value.column,
        expected=expected,
        found=found,
        suggestion=suggestion,
        advice=advice,
    )


Values = Mapping[str, Value]
"""From a field as users write it (`userData.zoom`) to its value."""


def inherit(*levels: Values) -> dict[str, Value]:
    """Merge values, outermost level first: the nearest file wins, field by field."""
    merged: dict[str, Value] = {}
    for level in levels:
        seed_fields = [name for name in level if name.startswith("seedData.")]
        if seed_fields:
            # A seed is inherited as a whole: a session's species must not be combined with the project's genus.
            merged = {name: value for name, value in merged.items() if not name.startswith("seedData.")}
            if total := listed_total(level):
                merged[NUMBER_OF_SEEDS] = total
        merged.update(level)
    return merged


def listed_total(values: Values) -> Value | None:
    """The seeds in each picture, as a list of species numbers them, at the first number; None without a list."""
    numbers = [value for name, value in values.items() if _LISTED_NUMBER.fullmatch(name)]
    return replace(numbers[0], value=sum(one.value for one in numbers)) if numbers else None


@dataclass(slots=True)
class MetadataFile:
    """The content of one YAML file.

    Attributes:
        path: the file, relative to the upload.
        values: what it gives, by field.
        findings: what is wrong with it.
        readable: whether it is YAML that the contract allows; if not, it has no values.
        sha256: of its bytes, in hexadecimal; None if it was not read.
        lists_seeds: whether it lists several species, rightly or not, so that no other number of seeds is needed.
    """

    path: str
    values: dict[str, Value] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    readable: bool = True
    sha256: str | None = None
    lists_seeds: bool = False

    def is_wrong(self, name: str) -> bool:
        """Whether a field, its section or a field in it has an error."""
        fields = [f"{found.field}." for found in self.findings if found.field and found.severity is Severity.ERROR]
        return not self.readable or any(f"{name}.".startswith(one) or one.startswith(f"{name}.") for one in fields)


def _plain(key: str) -> str:
    return re.sub(r"[^0-9a-z]", "", key.casefold())


def _fields(model: type[BaseModel]) -> dict[str, str]:
    """From the plain spelling of a model's keys to their canonical one."""
    aliases = (info.alias or name for name, info in model.model_fields.items())
    return {_plain(alias): alias for alias in aliases}


def _expected(model: type[BaseModel], alias: str) -> Bilingual:
    """What a field of a model asks for."""
    info = next(info for name, info in model.model_fields.items() if (info.alias or name) == alias)
    return next((note for note in info.metadata if isinstance(note, Bilingual)), Bilingual.same(alias))


def _suggest(key: str, known: Iterable[str]) -> Bilingual | None:
    names = {_plain(name.rsplit(".", 1)[-1]): name for name in known}
    near = get_close_matches(_plain(key[:_SHOWN]), names, n=1, cutoff=0.7)
    return Bilingual.same(names[near[0]]) if near else None


_MOVE_TO_INDEX = Bilingual(
    "Move it to the file that may have it, or remove it.", "Déplacez-la dans le fichier qui l'admet, ou supprimez-la."
)


def _where_it_belongs(key: str, meant: Bilingual | None) -> Bilingual | None:
    """What to do with a key that is spelt right and stands in another place than the contract's."""
    section, dot, name = meant.en.partition(".") if meant else ("", "", "")
    if not dot or _plain(key) != _plain(name):
        return None
    return Bilingual(
        f"Put {name} on a line below the key {section}, with two spaces before it.",
        f"Mettez {name} sur une ligne sous la clé {section}, précédé de deux espaces.",
    )


def _section_models(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    sections: dict[str, type[BaseModel]] = {}
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            sections[info.alias or name] = info.annotation
    return sections


def _where_allowed(section: str, model: type[BaseModel]) -> Bilingual | None:
    """Which other file may have a section; None if none may."""
    if section in _section_models(SessionIndex):
        return Bilingual(f"{section} in an index.yaml only", f"{section} dans un index.yaml seulement")
    if section in _section_models(ProjectIndex) and model is not ProjectIndex:
        return Bilingual(
            f"{section} in a project's index.yaml only", f"{section} dans l'index.yaml d'un projet seulement"
        )
    return None


_SEED_DATA = Bilingual(
    "keys and values under it, indented, a list of them, or unknown",
    "des clés et des valeurs en retrait dessous, une liste de celles-ci, ou inconnue",
)
_LISTED_SEED = Bilingual("seedName and numberOfSeeds of each species", "seedName et numberOfSeeds de chaque espèce")
_AT_MOST_LISTED = Bilingual(f"a list of 2 to {MOST_LISTED} species", f"une liste de 2 à {MOST_LISTED} espèces")
_NUMBER_OF_ITS_SEEDS = Bilingual(
    "the number of seeds of this species in each picture", "le nombre de semences de cette espèce par image"
)


def _parts(place: tuple[str | int, ...]) -> list[str]:
    """The keys of a place as people name them: entries of a list are counted from 1."""
    return [str(part + 1) if isinstance(part, int) else part[:_SHOWN] for part in place]


def _dotted(place: tuple[str | int, ...]) -> str:
    return ".".join(filter(None, _parts(place)))


class _Reader:
    def __init__(self, path: str, document: YamlDocument, model: type[BaseModel], content_code: str) -> None:
        self.file = MetadataFile(path)
        self.document = document
        self.model = model
        self.sections = _section_models(model)
        self.content_code = content_code
        self.unknown: list[Finding] = []
        self.all_fields = [
            f"{section}.{alias}" for section, kind in self.sections.items() for alias in _fields(kind).values()
        ]

    def read(self) -> MetadataFile:
        names = {_plain(section): section for section in self.sections}
        for key, section, value in self._known_keys(self.document.values, (), names):
            if value is None:
                continue
            if section == SEED_DATA and not isinstance(value, dict):
                self._read_seeds(key, value)
            elif not isinstance(value, dict):
                expected = Bilingual("keys and values under it, indented", "des clés et des valeurs en retrait dessous")
                self._wrong((key,), section, expected, value, SECTION_HINT)
            else:
                self._read_section((key,), section, self.sections[section], value)
        self.file.findings += self._unknown_findings()
        return self.file

    def _read_seeds(self, key: str, written: Any) -> None:
        """Read `seedData: unknown`, or a list of species."""
        if isinstance(written, str):
            if is_unknown(written):
                self._give((key,), "seedData.seedName", UNKNOWN)
            else:
                self._wrong((key,), SEED_DATA, _SEED_DATA, written, seed_hint(written))
            return
        self.file.lists_seeds = len(written) != 1
        if not 0 < len(written) <= MOST_LISTED:
            found = Bilingual(f"{len(written)} entries", f"{len(written)} éléments")
            self.file.findings.append(self._finding(self.content_code, (key,), SEED_DATA, _AT_MOST_LISTED, found))
        elif not any(isinstance(entry, dict) for entry in written):
            self._wrong((key,), SEED_DATA, _LISTED_SEED, written, Hint(advice=LISTED_SPECIES))
        else:
            for place, entry in enumerate(written):
                self._read_listed((key, place), f"{SEED_DATA}.{place + 1}" if len(written) > 1 else SEED_DATA, entry)
            self._forget_part_of_a_sum(len(written))
            # One entry alone, with a wrong number, has one all the same.
            self.file.lists_seeds = len(written) > 1 or self.file.is_wrong(f"{SEED_DATA}.numberOfSeeds")

    def _forget_part_of_a_sum(self, entries: int) -> None:
        """Let a list without one of its numbers have no sum: `numberOfSeeds` would be compared with a part of it."""
        numbers = [name for name in self.file.values if _LISTED_NUMBER.fullmatch(name)]
        if len(numbers) < entries:
            for name in numbers:
                del self.file.values[name]

    def _read_listed(self, place: tuple[str | int, ...], name: str, entry: Any) -> None:
        if not isinstance(entry, dict):
            self._wrong(place, name, _LISTED_SEED, entry or "", Hint(advice=LISTED_SPECIES))
            return
        self._read_section(place, name, ListedSeed, entry)
        number = f"{name}.numberOfSeeds"
        # One entry alone is a species like any other.
        if name != SEED_DATA and number not in self.file.values and not self.file.is_wrong(number):
            self.file.findings.append(
                self._finding("missing-key", place, number, _NUMBER_OF_ITS_SEEDS, None, advice=LISTED_SPECIES)
            )

    def _give(self, place: tuple[str | int, ...], name: str, value: Any) -> None:
        position = self._position(place)
        self.file.values[name] = Value(value, self.file.path, position.line, position.column)

    def _read_section(
        self, above: tuple[str | int, ...], section: str, model: type[BaseModel], written: dict[str, Any]
    ) -> None:
        texts: dict[str, Any] = {}  # text, or a list where the field takes several
        keys: dict[str, str] = {}
        for key, alias, value in self._known_keys(written, above, _fields(model)):
            if value is None:
                continue
            if not isinstance(value, str) and not (isinstance(value, list) and alias in _LISTS):
                one = Bilingual("one value", "une seule valeur")
                self._wrong((*above, key), f"{section}.{alias}", one, value, hint(alias, value))
                continue
            texts[alias], keys[alias] = value, key
        wrong: set[str] = set()
        try:
            parsed = model.model_validate(texts)
        except ValidationError as error:
            wrong = {str(detail["loc"][0]) for detail in error.errors(include_url=False)}
            parsed = model.model_validate({alias: text for alias, text in texts.items() if alias not in wrong})
        for alias in sorted(wrong):
            text = texts[alias]
            self._wrong((*above, keys[alias]), f"{section}.{alias}", _expected(model, alias), text, hint(alias, text))
        for alias, value in parsed.model_dump(by_alias=True, exclude_none=True).items():
            self._give((*above, keys[alias]), f"{section}.{alias}", value)

    def _known_keys(
        self, written: dict[str, Any], above: tuple[str | int, ...], names: Mapping[str, str]
    ) -> Iterable[tuple[str, str, Any]]:
        seen: dict[str, str] = {}
        for key, value in written.items():
            place = (*above, key)
            canonical = names.get(_plain(key))
            if canonical is None:
                self._unknown(key, place, names)
            elif canonical in seen:
                once = Bilingual("each key once", "chaque clé une seule fois")
                first, again = seen[canonical], key[:_SHOWN]
                both = Bilingual(f"{first} and {again}", f"{first} et {again}")
                self.file.findings.append(self._finding("duplicate-key", place, _dotted(place), once, both))
            else:
                seen[canonical] = key
                yield key, canonical, value

    def _unknown(self, key: str, place: tuple[str | int, ...], names: Mapping[str, str]) -> None:
        allowed, near, advice = None, None, None
        if len(self.unknown) < _UNKNOWN_KEYS_REPORTED:  # suggestions for ten thousand keys would be too slow
            section = {_plain(name): name for name in _section_models(ProjectIndex)}.get(_plain(key))
            allowed = _where_allowed(section, self.model) if section and len(place) == 1 else None
            # What a list's entry may hold is named as the entry holds it.
            listed = _suggest(key, names.values()) if len(place) > _LEVELS else None
            near = None if allowed else listed or _suggest(key, [*names.values(), *self.all_fields])
            advice = _MOVE_TO_INDEX if allowed else _where_it_belongs(key, near)
        expected = allowed or Bilingual.same(", ".join(names.values()))
        found = Bilingual.same(key[:_SHOWN]) if key else Bilingual("an empty key", "une clé vide")
        name = _dotted(place)[:200] or None
        self.unknown.append(self._finding("unknown-key", place, name, expected, found, near, advice))

    def _unknown_findings(self) -> list[Finding]:
        reported, more = self.unknown[:_UNKNOWN_KEYS_REPORTED], len(self.unknown) - _UNKNOWN_KEYS_REPORTED
        if more > 0:
            rest = Bilingual(f"{more} more unknown keys", f"{more} autres clés inconnues")
            reported.append(
                self.unknown[_UNKNOWN_KEYS_REPORTED].model_copy(
                    update={"found": rest, "suggestion": None, "advice": None}
                )
            )
        return reported

    def _wrong(self, place: tuple[str | int, ...], name: str, expected: Bilingual, value: Any, meant: Hint) -> None:
        if isinstance(value, str):
            found = Bilingual.same(f"'{value[:_SHOWN]}'")
        elif isinstance(value, dict):
            found = Bilingual("keys and values", "des clés et des valeurs")
        else:
            found = Bilingual("a list", "une liste")
        suggestion = Bilingual.same(meant.suggestion) if meant.suggestion else None
        self.file.findings.append(
            self._finding(self.content_code, place, name, expected, found, suggestion, meant.advice)
        )

    def _position(self, place: tuple[str | int, ...]) -> Position:
        return self.document.positions[place]

    def _finding(
        self,
        code: str,
        place: tuple[str | int, ...],
        name: str | None,
        expected: Bilingual,
        found: Bilingual | None,
        suggestion: Bilingual | None = None,
        advice: Bilingual | None = None,
    ) -> Finding:
        position = self._position(place)
        value = Value(None, self.file.path, position.line, position.column)
        return finding_about(value, code, name, expected, found, suggestion, advice=advice)


_DEFAULT_LIMITS = YamlLimits()


def read_metadata(content: bytes, path: str, model: Model, limits: YamlLimits = _DEFAULT_LIMITS) -> MetadataFile:
    """Read one of an upload's YAML files.

    Nothing that an uploader wrote raises an error: what is wrong becomes a finding, and what is right is kept.

    Args:
        content: the file's bytes.
        path: the file, relative to the upload.
        model: which of the three kinds of file it is.
        limits: how large it may be.
    """
    kind = "picture-metadata" if model is PictureMetadata else "index"
    problems: list[YamlError] = []
    if content and not content.strip(b"\0"):
        absent = Finding(code="not-downloaded", path=path, expected=CONTENT, found=ONLY_ZEROS)
        return MetadataFile(path, findings=[absent], readable=False)
    try:
        document = read_yaml(content, limits, problems)
    except YamlError as error:
        file = MetadataFile(path, readable=False)
        problems.append(error)
    else:
        file = _Reader(path, document, model, f"{kind}-content").read()
    file.findings[:0] = [_problem(error, path, kind, model) for error in problems]
    file.sha256 = hashlib.sha256(content).hexdigest()
    return file


def too_large(size: int, path: str, model: Model, limits: YamlLimits) -> MetadataFile:
    """The result for a file that is too large to be read."""
    kind = "picture-metadata" if model is PictureMetadata else "index"
    return MetadataFile(path, findings=[_problem(too_many_bytes(size, limits), path, kind, model)], readable=False)


def _problem(error: YamlError, path: str, kind: str, model: Model) -> Finding:
    codes = {"syntax": f"{kind}-syntax", "duplicate": "duplicate-key", "forbidden": "forbidden-yaml"}
    return Finding(
        code=codes[error.problem],
        path=path,
        field=_canonical(error.path, model),
        line=error.position.line if error.position else None,
        column=error.position.column if error.position else None,
        expected=None if error.expected is YAML else error.expected,
        found=error.found,
        suggestion=error.suggestion,
        advice=error.advice,
    )


def _canonical(place: tuple[str | int, ...], model: Model) -> str | None:
    """The field at a place in the file, in the contract's spelling if the contract knows it."""
    sections = _section_models(model)
    parts = _parts(place)
    if parts:
        parts[0] = {_plain(name): name for name in sections}.get(_plain(parts[0]), parts[0])
    if parts[1:] and parts[0] in sections:
        parts[1] = _fields(sections[parts[0]]).get(_plain(parts[1]), parts[1])
    return ".".join(filter(None, parts))[:200] or None
