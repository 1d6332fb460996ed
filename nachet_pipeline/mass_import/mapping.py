"""What the folders of a container show: a reviewed mapping from folders, or patterns of their paths, to metadata.

The first rule that matches a folder describes it. What that rule leaves open is taken from the early layout, where a
folder has it (`<batch>/<N>-seed/<split>/<k Species name>`), and then from the options of the whole import. What is
still open is a finding and never a guess.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import PurePath
from typing import Any, Self

from pydantic import ValidationError

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.metadata import UserData, Value
from nachet_pipeline.contract.rules.seed_registered import seed_findings
from nachet_pipeline.contract.sessions import shown_by
from nachet_pipeline.contract.shown import UNKNOWN, is_unknown
from nachet_pipeline.contract.yaml_reader import yaml_document
from nachet_pipeline.mass_import.errors import MappingError
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.support.i18n import Bilingual

FIELDS = {
    "species": "seedData.seedName",
    "zoom": "userData.zoom",
    "seeds": "userData.numberOfSeeds",
    "description": "userData.description",
    "split": "split",
}
"""From what a mapping gives to the field of the folder contract; the split has none there."""

_NEEDED = {
    "species": Bilingual("a registered species, or unknown", "une espèce enregistrée, ou inconnue"),
    "zoom": Bilingual("a zoom", "un zoom"),
    "seeds": Bilingual("the number of seeds in a picture", "le nombre de semences par image"),
}
_MODEL_FIELDS = {"zoom": "zoom", "seeds": "number_of_seeds", "description": "description"}
_EARLY_LAYOUT = re.compile(
    r"(?:.*/)?(?P<seeds>[1-9][0-9]*)-seeds?/(?P<split>[^/]+)/(?:[0-9]+[ _]+)?(?P<species>[^/]+)", re.IGNORECASE
)
_EARLY_LAYOUT_NAME = "<batch>/<N>-seed/<split>/<k Species name>"
_GLOB_PART = re.compile(r"\*\*/|\*\*|\*|\?|\{([^{}]*)\}|[^*?{}]+|[{}]")
_MOST_RULES = 100_000
_MOST_BYTES = 16 * 1024**2
_LONGEST_SPLIT = 100


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a folder's pictures.

    Attributes:
        values: by field of the folder contract, each with its source.
        split: the side that an earlier training had the pictures on, None if it is not known.
        findings: what is missing or wrong; with any of them the folder cannot be imported.
    """

    values: dict[str, Value] = field(default_factory=dict)
    split: str | None = None
    findings: tuple[Finding, ...] = ()

    def text(self, name: str) -> str | None:
        """One of its values as people write it, None if it is not known."""
        if name == "split":
            return self.split
        value = self.values.get(FIELDS[name])
        return None if value is None else f"{value.value:g}" if isinstance(value.value, float) else str(value.value)


@dataclass(frozen=True, slots=True)
class MappingRule:
    """One line of a mapping.

    Attributes:
        expression: what the path of a folder must match as a whole; its named groups give values.
        given: the values of its line, by name of `FIELDS`.
        line: 1-based line in the file.
    """

    expression: re.Pattern[str]
    given: Mapping[str, str]
    line: int | None


@dataclass(frozen=True, slots=True)
class FolderMapping:
    """The rules of a container, in order.

    Attributes:
        source: the file's name, for the origin of values.
        rules: the first that matches counts.
        options: what holds for every folder that nothing else describes, by name of `FIELDS`.
    """

    source: str = "mapping"
    rules: Sequence[MappingRule] = ()
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, text: str | None, source: str = "mapping.yaml", options: Mapping[str, str | None] | None = None
    ) -> Self:
        """Read a mapping.

        Args:
            text: the content of the file, None if there is none.
            source: its name; the suffix decides between CSV and YAML.
            options: what holds for every folder that nothing else describes; None values are left out.

        Raises:
            MappingError: it cannot be used.
        """
        given = {name: text.strip() for name, text in (options or {}).items() if text is not None and text.strip()}
        for name, value in given.items():
            _check(name, value, f"option {name}")
        rules = _read(text, source) if text is not None else []
        return cls(PurePath(source).name, rules, given)

    def describe(self, folder: str, registry: SeedRegistry) -> Description:
        """What is known of a folder."""
        texts: dict[str, tuple[str, str, int | None]] = {}
        for name, found in self._texts(folder):
            texts.setdefault(name, found)
        values: dict[str, Value] = {}
        findings: list[Finding] = []
        for name, (text, source, line) in texts.items():
            if name == "split":
                continue
            try:
                value = _parsed(name, text)
            except ValueError:
                findings.append(
                    _finding("mapping-content", folder, name, _expected(name), Bilingual.same(repr(text[:80])))
                )
                continue
            if name == "species" and registry.named(text) is None and registry.named(_words(text)):
                value = _words(text)
            values[FIELDS[name]] = Value(value, source, line)
        wrong = {finding.field for finding in findings}
        for name, expected in _NEEDED.items():
            if name not in texts and name not in wrong:
                findings.append(_finding("undescribed-folder", folder, name, expected, Bilingual("nothing", "rien")))
        if not shown_by(values, registry):
            findings += [_in_folder(finding, folder) for finding in seed_findings(values, registry)]
        split = texts["split"][0][:_LONGEST_SPLIT] if "split" in texts else None
        return Description(values, split, tuple(findings))

    def _texts(self, folder: str) -> Iterator[tuple[str, tuple[str, str, int | None]]]:
        """Everything that is known of a folder, by precedence: name, text, source and line."""
        rule, match = next(
            ((rule, match) for rule in self.rules if (match := rule.expression.fullmatch(folder))), (None, None)
        )
        if rule and match:
            for name, text in (*rule.given.items(), *match.groupdict().items()):
                if text:
                    yield name, (text.strip(), self.source, rule.line)
        if early := _EARLY_LAYOUT.fullmatch(folder):
            for name, text in early.groupdict().items():
                yield name, (text.strip(), _EARLY_LAYOUT_NAME, None)
        for name, text in self.options.items():
            yield name, (text, f"option {name}", None)


def _words(name: str) -> str:
    """A name from a path, where many write underscores for spaces."""
    return " ".join(name.replace("_", " ").split())


def _path(folder: str) -> str:
    """A folder as findings name it: not to be taken for a file."""
    return f"{folder}/" if folder else ""


def _finding(code: str, folder: str, name: str, expected: Bilingual, found: Bilingual) -> Finding:
    return Finding(code=code, path=_path(folder), field=name, expected=expected, found=found)


def _in_folder(finding: Finding, folder: str) -> Finding:
    """A finding about a value, moved to the folder that has it: the mapping's file may not be in the container."""
    return finding.model_copy(update={"path": _path(folder), "field": "species", "line": None, "column": None})


def _expected(name: str) -> Bilingual:
    if name == "species":
        return _NEEDED["species"]
    if name == "split":
        return Bilingual(f"at most {_LONGEST_SPLIT} characters", f"au plus {_LONGEST_SPLIT} caractères")
    notes = UserData.model_fields[_MODEL_FIELDS[name]].metadata
    return next((note for note in notes if isinstance(note, Bilingual)), Bilingual.same(name))


def _parsed(name: str, text: str) -> Any:
    """A value as the folder contract reads it.

    Raises:
        ValueError: it has the wrong type, or is out of range.
    """
    if name in {"species", "split"}:
        if not 0 < len(text) <= 200:  # noqa: PLR2004 (as in SeedData)
            raise ValueError(text[:200])
        return UNKNOWN if name == "species" and is_unknown(text) else text
    own = _MODEL_FIELDS[name]
    try:
        return getattr(UserData.model_validate({own: text}), own)
    except ValidationError as error:
        raise ValueError(text[:200]) from error


def _check(name: str, text: str, where: str) -> None:
    """Check a value that a file or an option gives.

    Raises:
        MappingError: it cannot be used.
    """
    try:
        _parsed(name, text)
    except ValueError:
        raise MappingError(f"{where}: expected {_expected(name).en}, found {text[:80]!r}") from None


# Reading


def _read(text: str, source: str) -> list[MappingRule]:
    suffix = PurePath(source).suffix.lower()
    if len(text.encode("utf-8", "surrogatepass")) > _MOST_BYTES:
        raise MappingError(f"{source}: expected at most {_MOST_BYTES} bytes")
    if suffix in {".yaml", ".yml"}:
        written = _yaml_rows(text, source)
    elif suffix in {".csv", ".tsv", ".txt"}:
        written = _csv_rows(text, source)
    else:
        raise MappingError(f"{source}: expected a file .csv or .yaml, found {suffix or 'no suffix'}")
    rules = []
    for line, row in written:
        rules.append(_rule(row, line, f"{source}:{line}"))
        if len(rules) > _MOST_RULES:
            raise MappingError(f"{source}:{line}: expected at most {_MOST_RULES} rules")
    if not rules:
        raise MappingError(f"{source}: expected at least one rule, found none")
    return rules


def _csv_rows(text: str, source: str) -> Iterator[tuple[int, dict[str, str]]]:
    text = text.removeprefix("\ufeff")
    head = text.partition("\n")[0]
    # Spreadsheets write semicolons where the comma is the decimal sign.
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    try:
        for cells in reader:
            line = reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = [_key(cell, f"{source}:{line}") for cell in cells]
                again = sorted({name for name in columns if columns.count(name) > 1})
                if again:
                    raise MappingError(f"{source}:{line}: expected each column once, found {again[0]!r} twice")
                continue
            if len(cells) != len(columns):
                raise MappingError(f"{source}:{line}: expected {len(columns)} cells, found {len(cells)}")
            yield line, {name: cell.strip() for name, cell in zip(columns, cells, strict=True) if cell.strip()}
    except csv.Error as error:
        raise MappingError(f"{source}:{reader.line_num}: expected CSV, found {error}") from None


def _yaml_rows(text: str, source: str) -> Iterator[tuple[int, dict[str, str]]]:
    document = yaml_document(text, source, MappingError)
    rows = document.values.get("folders")
    if not isinstance(rows, list) or set(document.values) != {"folders"}:
        found = ", ".join(sorted(document.values)) or "nothing"
        raise MappingError(f"{source}:1: expected the one key folders with a list of rules, found {found[:200]}")
    for number, row in enumerate(rows):
        line = document.positions["folders", number].line
        if not isinstance(row, dict):
            raise MappingError(f"{source}:{line}: expected keys and values, found {row!r}")
        cells: dict[str, str] = {}
        for key, value in row.items():
            where = f"{source}:{document.positions['folders', number, key].line}"
            name = _key(key, where)
            if name in cells:
                raise MappingError(f"{where}: expected {name} once, found it twice")
            if isinstance(value, dict | list):
                raise MappingError(f"{where}: expected one value for {key}, found several")
            if value is not None and value.strip():
                cells[name] = value.strip()
        yield line, cells


_KEYS = {
    **dict.fromkeys(("pattern", "folder", "path", "glob"), "pattern"),
    **dict.fromkeys(("regex", "regularexpression"), "regex"),
    **dict.fromkeys(("species", "seed", "seedname", "scientificname"), "species"),
    "zoom": "zoom",
    **dict.fromkeys(("seeds", "seedsperpicture", "numberofseeds"), "seeds"),
    "description": "description",
    "split": "split",
}
_KEY_NAMES = ("pattern", "regex", *FIELDS)


def _key(written: str, where: str) -> str:
    plain = re.sub(r"[^0-9a-z]", "", written.casefold())
    if plain in _KEYS:
        return _KEYS[plain]
    near = get_close_matches(plain, _KEYS, n=1)
    hint = f"; did you mean {_KEYS[near[0]]}?" if near else ""
    raise MappingError(f"{where}: expected one of {', '.join(_KEY_NAMES)}, found {written[:80]!r}{hint}")


def _rule(cells: dict[str, str], line: int, where: str) -> MappingRule:
    pattern, regex = cells.pop("pattern", None), cells.pop("regex", None)
    if (pattern is None) == (regex is None):
        found = "neither" if pattern is None else "both"
        raise MappingError(f"{where}: expected a pattern or a regex for the folder's path, found {found}")
    expression = _glob(pattern, where) if pattern is not None else _regex(regex or "", where)
    for name, text in cells.items():
        if name in expression.groupindex:
            raise MappingError(f"{where}: expected {name} once, found it in the pattern and beside it")
        _check(name, text, f"{where}: {name}")
    return MappingRule(expression, cells, line)


def _regex(text: str, where: str) -> re.Pattern[str]:
    try:
        expression = re.compile(text)
    except re.error as error:
        raise MappingError(f"{where}: expected a regular expression of Python's, found {text!r}: {error}") from None
    for name in expression.groupindex:
        _refuse_unknown(name, where)
    return expression


def _glob(text: str, where: str) -> re.Pattern[str]:
    """A pattern like `2021/*/{species}/zoom{zoom}/**` as an expression: all but `**` stays within one folder."""
    parts: list[str] = []
    for found in _GLOB_PART.finditer(text.strip("/")):
        part, name = found[0], found[1]
        if name is not None:
            _refuse_unknown(name, where)
            if f"(?P<{name}>" in "".join(parts):
                raise MappingError(f"{where}: expected {{{name}}} once, found it twice in {text!r}")
            parts.append(f"(?P<{name}>[^/]+?)")
        elif part in "{}":
            raise MappingError(f"{where}: expected {{name}} with both braces, found {text!r}")
        else:
            parts.append({"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part) or re.escape(part))
    expression = "".join(parts)
    # `batch/**` means the folder itself as well.
    if expression.endswith("/.*"):
        expression = f"{expression.removesuffix('/.*')}(?:/.*)?"
    return re.compile(expression)


def _refuse_unknown(name: str, where: str) -> None:
    if name not in FIELDS:
        raise MappingError(f"{where}: expected a part named {', '.join(FIELDS)}, found {name[:80]!r}")
