"""Files of judgements: a line of JSON for each, or a table; what is wrong is found with its line, in both languages."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from nachet_pipeline.errors import UsageError
from nachet_pipeline.models.findings import Findings, LineFinding
from nachet_pipeline.models.judgements.judgement import Box, Stated, Verdict, box_of
from nachet_pipeline.support.i18n import Bilingual

_LONGEST_LINE = 1024**2
_VERDICTS = ", ".join(one.value for one in Verdict)
_IDENTIFIER = Bilingual("an identifier", "un identifiant")
_A_BOX = Bilingual(
    "left, top, right and bottom as fractions of width and height, left < right and top < bottom",
    "gauche, haut, droite et bas en fractions de la largeur et de la hauteur, gauche < droite et haut < bas",
)
_EXPECTED = {
    "person": Bilingual("who judges", "la personne qui juge"),
    "at": Bilingual(
        "a time with its zone, such as 2026-11-29T10:00:00Z", "une heure avec son fuseau, comme 2026-11-29T10:00:00Z"
    ),
    "prediction": _IDENTIFIER,
    "picture": _IDENTIFIER,
    "withdraws": _IDENTIFIER,
    "object": Bilingual("a number from 1", "un nombre à partir de 1"),
    "sha256": Bilingual("64 hexadecimal digits", "64 chiffres hexadécimaux"),
    "box": _A_BOX,
    "corrected_box": _A_BOX,
    "verdict": Bilingual.same(_VERDICTS),
    "sure": Bilingual("a number from 0 to 1", "un nombre de 0 à 1"),
    "facts": Bilingual("keys and values", "des clés et des valeurs"),
}
_UTF8 = Bilingual(
    "text in UTF-8, as programs save it by “CSV UTF-8”",
    "du texte en UTF-8, comme les programmes l'enregistrent par « CSV UTF-8 »",
)
_TEXT = Bilingual("a text", "un texte")


def _box(sides: tuple[float, float, float, float]) -> Box:
    return box_of(*sides)


_Sides = Annotated[tuple[float, float, float, float], AfterValidator(_box)]


class _Line(BaseModel):
    """A judgement as a line states it; see `Stated`."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    person: Annotated[str, Field(min_length=1, max_length=254)]
    at: AwareDatetime
    verdict: Verdict
    prediction: UUID | None = None
    object: Annotated[int, Field(ge=1, lt=2**15)] | None = None
    picture: UUID | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    box: _Sides | None = None
    taxon: Annotated[str, Field(min_length=1)] | None = None
    corrected_box: _Sides | None = None
    sure: Annotated[float, Field(ge=0, le=1)] | None = None
    note: str | None = None
    withdraws: UUID | None = None
    facts: Annotated[dict[str, Any], BeforeValidator(lambda given: {} if given is None else given)] = {}


KEYS = tuple(_Line.model_fields)
"""What a line may state."""


@dataclass(frozen=True, slots=True)
class Otherwise:
    """What counts where a line does not say it.

    Attributes:
        person: who judges.
        at: when.
    """

    person: str | None = None
    at: datetime | None = None


def stated_of(record: Mapping[str, Any], line: int, otherwise: Otherwise, findings: Findings) -> Stated | None:
    """The judgement of a record, None with findings if something is wrong with it."""
    given = {name: value for name, value in record.items() if value is not None}
    given = {"person": otherwise.person, "at": otherwise.at, **given}
    try:
        read = _Line.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        findings.add(_findings(error, line))
        return None
    values = {name: getattr(read, name) for name in KEYS}
    return Stated(**values | {"sha256": bytes.fromhex(read.sha256) if read.sha256 else None, "line": line})


def _findings(error: ValidationError, line: int) -> Iterator[LineFinding]:
    seen = set()
    for one in error.errors(include_url=False):
        name = str(one["loc"][0]) if one["loc"] else ""
        if name in seen:
            continue
        seen.add(name)
        if one["type"] == "extra_forbidden":
            yield LineFinding("unknown-key", line, name, Bilingual.same(", ".join(KEYS)), name)
        elif one["type"] == "missing":
            yield LineFinding("missing-key", line, name, _EXPECTED.get(name, _TEXT), Bilingual("nothing", "rien"))
        else:
            yield LineFinding("wrong-value", line, name, _EXPECTED.get(name, _TEXT), repr(one["input"]))


def read_lines(lines: Iterable[bytes], otherwise: Otherwise, findings: Findings) -> Iterator[Stated]:
    """The judgements of JSON Lines; those with errors are left out, and reported."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line) if len(line) <= _LONGEST_LINE else None
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
            record = None
        if not isinstance(record, dict):
            expected = Bilingual("an object of JSON in UTF-8", "un objet JSON en UTF-8")
            findings.add([LineFinding("not-json", number, "", expected, line[:80].decode(errors="replace").strip())])
        elif stated := stated_of(record, number, otherwise, findings):
            yield stated


def read_table(lines: Iterable[str], otherwise: Otherwise, findings: Findings) -> Iterator[Stated]:
    """The judgements of a table with a line of column names; boxes are four numbers with spaces between them.

    Commas or semicolons stand between columns, as spreadsheets write them.
    """
    rest = iter(lines)
    header = next(rest, "")
    reader = csv.reader(rest, delimiter=";" if ";" in header else ",", strict=True)
    (names,) = csv.reader([header.lstrip("\ufeff")], delimiter=";" if ";" in header else ",")
    names = [name.strip() for name in names]
    if not _in_utf8(names):
        findings.add([LineFinding("not-utf-8", 1, "", _UTF8, ascii(header.strip()))])
        return
    if unknown := [name for name in names if name not in KEYS]:
        findings.add(LineFinding("unknown-key", 1, name, Bilingual.same(", ".join(KEYS)), name) for name in unknown)
        return
    line = 2
    try:
        for row in reader:
            if any(row):
                if len(row) != len(names):
                    expected = Bilingual(f"{len(names)} columns", f"{len(names)} colonnes")
                    findings.add([LineFinding("wrong-columns", line, "", expected, str(len(row)))])
                elif not _in_utf8(row):
                    findings.add([LineFinding("not-utf-8", line, "", _UTF8, ascii(" ".join(row)))])
                elif stated := stated_of(_cells(names, row), line, otherwise, findings):
                    yield stated
            line = reader.line_num + 2
    except csv.Error as error:
        expected = Bilingual("a table of comma-separated values", "un tableau de valeurs séparées par des virgules")
        findings.add([LineFinding("not-csv", line, "", expected, str(error))])


def _in_utf8(cells: Sequence[str]) -> bool:
    """Whether cells have no bytes that are none of UTF-8; these are read as halves of characters."""
    return not any("\ud800" <= letter <= "\udfff" for cell in cells for letter in cell)


def _cells(names: Sequence[str], row: Sequence[str]) -> dict[str, Any]:
    cells: dict[str, Any] = {name: cell.strip() or None for name, cell in zip(names, row, strict=True)}
    for name in ("box", "corrected_box"):
        if cells.get(name):
            cells[name] = cells[name].replace(",", " ").split()
    if cells.get("facts"):
        with suppress(json.JSONDecodeError):  # what is no JSON is then found not to be keys and values
            cells["facts"] = json.loads(cells["facts"])
    return cells


def document_of(path: Path) -> Any:
    """The JSON of a file of another tool.

    Raises:
        UsageError: it is none.
    """
    try:
        return json.loads(path.read_bytes())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: expected JSON in UTF-8: {error}") from None
