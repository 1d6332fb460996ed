"""Seeds as a table of Darwin Core terms: CSV that spreadsheets open, and that is read as it was written.

A cell with several names has a bar between them, as Darwin Core recommends. Each line is one seed; a line that begins
with `#` is a comment. The separator is a comma, a semicolon or a tabulator, whichever the header has.
"""

import csv
import io
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from nachet_pipeline.registry.problems import Entry, RegistryProblem
from nachet_pipeline.registry.seeds import Seed

COLUMNS = (
    "scientificName",
    "scientificNameAuthorship",
    "family",
    "genus",
    "specificEpithet",
    "infraspecificEpithet",
    "taxonRank",
    "vernacularName_en",
    "vernacularName_fr",
    "synonyms",
    "misspellings",
    "gbifID",
    "eppoCode",
    "listedIn",
    "registeredAs",
    "mergedFrom",
)
"""The columns in the order in which they are written."""

_TERMS = tuple(str(field.alias or name) for name, field in Seed.model_fields.items())
COMMENT = "#"
_SEVERAL = frozenset(
    {"vernacularName_en", "vernacularName_fr", "synonyms", "misspellings", "listedIn", "mergedFrom"},
)
# Terms of Darwin Core that say nothing which the registry keeps.
_PASSED_OVER = (
    *("taxonID", "acceptedNameUsageID", "parentNameUsageID", "originalNameUsageID", "taxonomicStatus", "datasetID"),
    *("kingdom", "phylum", "class", "order", "genericName", "canonicalName", "higherClassification", "references"),
    *("nomenclaturalStatus", "nomenclaturalCode", "nameAccordingTo", "namePublishedIn", "taxonRemarks", "modified"),
)
_SEPARATORS = ",;\t"
_BAR = "|"
MARKS = {
    "subsp.": "subspecies",
    "ssp.": "subspecies",
    "var.": "variety",
    "f.": "form",
    "forma": "form",
    "fo.": "form",
}
"""The marks of ranks within a species, in names."""

CROSSES = ("×", "x", "X")  # noqa: RUF001
"""The sign of a hybrid, and what people write for it."""

_UNNAMED = re.compile(r"(\S+)\s+spp?\.?", re.IGNORECASE)
_BINOMIAL, _WITH_MARK = 2, 4


def completed(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Terms of a seed, with rank, genus and epithets taken from the name where they are not stated.

    `Brassica sp.` is the genus Brassica. What cannot be taken from the name stays missing.
    """
    found = dict(terms)
    name = found.get("scientificName")
    if not isinstance(name, str) or not name.split():
        return found
    if found.get("taxonRank") in {None, "genus"} and (unnamed := _UNNAMED.fullmatch(name.strip())):
        name = found["scientificName"] = unnamed[1]
    words = name.split()
    if words[0] in CROSSES and len(words) > 1:
        words = [" ".join(words[:2]), *words[2:]]
    mark = max((place for place, word in enumerate(words) if word in MARKS), default=None)
    if mark is not None:
        rank = MARKS[words[mark]]
    elif len(words) == 1:
        rank = "family" if name.endswith("aceae") or name == found.get("family") else "genus"
    else:
        rank = "species"
    rank = found.setdefault("taxonRank", rank)
    if rank == "family":
        found.setdefault("family", name)
    else:
        found.setdefault("genus", words[0])
    if rank not in {"family", "genus"} and len(words) > 1:
        ends = _BINOMIAL + 1 if words[1] in CROSSES else _BINOMIAL
        if rank == "species":
            ends = len(words)
        found.setdefault("specificEpithet", " ".join(words[1:ends]))
        if mark is not None and mark + 1 < len(words):
            found.setdefault("infraspecificEpithet", " ".join(words[mark + 1 :]))
    return found


def checked(terms: Mapping[str, Any], file: str, line: int) -> Entry | list[RegistryProblem]:
    """The seed of some terms, or everything that is wrong with them."""
    try:
        return Entry(Seed.model_validate(dict(terms)), file, line)
    except ValidationError as error:
        return [explained(one, file, line, one["loc"]) for one in error.errors(include_url=False)]


_CODES = {"missing": "missing-term", "extra_forbidden": "unknown-term"}
_EXPECTED = {
    "missing": "a value",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "greater_than": "a number above 0",
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "string_too_long": "a text of at most 200 letters",
    "tuple_type": "a list of names",
    "model_type": "names by language, en and fr",
}
_EPPO = "five or six capital letters or digits"
_NAME = "a text without | and invisible signs, that does not begin with = + - @ or #"


def explained(error: Mapping[str, Any], file: str, line: int, place: Sequence[str | int]) -> RegistryProblem:
    """A problem that a model reported, in words of ours."""
    kind, field = str(error["type"]), ".".join(str(part) for part in place)
    found = "" if kind == "missing" else f", found {_shown(error.get('input'))}"
    if kind == "value_error":
        message = str(error["msg"]).removeprefix("Value error, ")
    elif kind == "extra_forbidden":
        terms = ("en", "fr") if len(place) > 1 else _TERMS
        near = get_close_matches(str(place[-1]), terms, n=1)
        message = f"expected terms of {', '.join(terms)}{f'; did you mean {near[0]}?' if near else ''}"
    elif kind == "literal_error":
        message = f"expected {str(error['ctx']['expected']).replace(chr(39), '')}{found}"
    elif kind == "string_pattern_mismatch":
        message = f"expected {_EPPO if field == 'eppoCode' else _NAME}{found}"
    else:
        message = f"expected {_EXPECTED[kind]}{found}" if kind in _EXPECTED else f"{error['msg']}{found}"
    return RegistryProblem(_CODES.get(kind, "wrong-value"), message, file, line, field)


def _shown(value: object) -> str:
    """The beginning of a value; of YAML with aliases the whole might be without end."""
    return repr((value if isinstance(value, str) else reprlib.repr(value))[:80])


def read_table(text: str, file: str) -> Iterator[Entry | RegistryProblem]:
    """Read a table, line by line.

    Yields:
        The seed of each line, or what is wrong with it. A header that cannot be used ends the reading.
    """
    lines = ((number, line) for number, line in enumerate(lines_of(text), 1))
    rows = ((number, line) for number, line in lines if line.strip() and not line.startswith(COMMENT))
    header = next(rows, None)
    if header is None:
        yield RegistryProblem("empty", "no seed is registered", file, 1)
        return
    separator = separator_of(header[1])
    cells = _cells(header[1], separator, file, header[0])
    columns, problems = ([], [cells]) if isinstance(cells, RegistryProblem) else _columns(cells, file, header[0])
    yield from problems
    if problems:
        return
    for number, line in rows:
        cells = _cells(line, separator, file, number)
        if isinstance(cells, RegistryProblem):
            yield cells
        elif len(cells) > len(columns):
            message = f"expected {len(columns)} cells, found {len(cells)}; quote a cell that has the separator in it"
            yield RegistryProblem("wrong-value", message, file, number)
        elif any(cell.strip() for cell in cells):
            found = checked(completed(_terms(columns, cells)), file, number)
            yield from [found] if isinstance(found, Entry) else found


def lines_of(text: str) -> list[str]:
    """The lines of a table, without their ends; other signs that break a line for people are part of a cell."""
    return re.split(r"\r\n|\n|\r", text)


def separator_of(header: str) -> str:
    """The separator of a table's cells, by its header."""
    return max(_SEPARATORS, key=header.count)


def _cells(line: str, separator: str, file: str, number: int) -> list[str] | RegistryProblem:
    try:
        cells = next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        # A quotation mark is open at the end of the line.
        broken = line.count('"') % 2 and "no cell may have a line break in it"
        return RegistryProblem("unreadable", f"is no line of CSV: {broken or error}", file, number)
    # Spreadsheets write cells that were used once.
    while len(cells) > 1 and not cells[-1].strip():
        cells.pop()
    return cells


def column_of(header: str) -> str | None:
    """The column that a cell of a header names, None if it is another one."""
    return _KNOWN.get(_compared(header))


def _columns(cells: Sequence[str], file: str, line: int) -> tuple[list[str | None], list[RegistryProblem]]:
    """The column of each cell, None for one that is passed over."""
    passed_over = {_compared(name) for name in _PASSED_OVER}
    columns: list[str | None] = []
    problems = []
    for cell in cells:
        column = column_of(cell)
        if column is None and _compared(cell) not in passed_over:
            near = get_close_matches(_compared(cell), _KNOWN, n=1)
            hint = f"; did you mean {_KNOWN[near[0]]}?" if near else ""
            expected = f"expected columns of {', '.join(COLUMNS)}"
            problems.append(RegistryProblem("unknown-term", f"{expected}, found {cell[:80]!r}{hint}", file, line))
        elif column in columns and column is not None:
            problems.append(RegistryProblem("repeated", "the column is there twice", file, line, column))
        columns.append(column)
    if "scientificName" not in columns and not problems:
        problems.append(RegistryProblem("missing-term", "expected this column", file, line, "scientificName"))
    return columns, problems


def _compared(name: str) -> str:
    """`vernacularName:en` is `vernacularName_en`, and case does not matter."""
    return re.sub(r"[\s_:@-]", "", name.rpartition("/")[2]).casefold()


_KNOWN = {_compared(name): name for name in COLUMNS}


def _terms(columns: Sequence[str | None], cells: Sequence[str]) -> dict[str, Any]:
    terms: dict[str, Any] = {}
    for column, cell in zip(columns, cells, strict=False):
        text = cell.strip()
        if column is None or not text:
            continue
        if column in _SEVERAL:
            names = [name.strip() for name in text.split(_BAR) if name.strip()]
            if column.startswith("vernacularName_"):
                terms.setdefault("vernacularNames", {})[column[-2:]] = names
            else:
                terms[column] = names
        elif column == "gbifID" and text.isascii() and text.isdecimal():
            terms[column] = int(text)
        else:
            terms[column] = text.lower() if column == "taxonRank" else text
    return terms


def cells_of(seed: Seed) -> dict[str, str]:
    """A seed's cells by column."""
    terms = seed.model_dump(mode="json")
    names = terms.pop("vernacularNames")
    terms |= {f"vernacularName_{language}": found for language, found in names.items()}
    cells = {}
    for column in COLUMNS:
        value = terms[column]
        cells[column] = f" {_BAR} ".join(value) if isinstance(value, list) else "" if value is None else str(value)
    return cells


def table_of(seeds: Iterable[Seed]) -> Iterator[str]:
    """The lines of a table of seeds, the header first, each with its end."""
    yield line_of(COLUMNS)
    for seed in seeds:
        yield line_of(cells_of(seed).values())


def line_of(cells: Iterable[str], separator: str = ",") -> str:
    """A line of a table, with its end."""
    stream = io.StringIO()
    csv.writer(stream, delimiter=separator, lineterminator="\n").writerow(cells)
    return stream.getvalue()
