"""Checklists as others publish them, read as seeds: what GBIF and EPPO offer for download, and Darwin Core archives.

- a Darwin Core archive: a zip with `meta.xml`, its core of taxa, and perhaps an extension of vernacular names;
- a table of taxa with a header: Darwin Core terms, a registry of ours, or GBIF's species list of a download;
- EPPO's flat file of names, `pflname.txt`: one name a line, with its code and language.

A checklist of millions is read as a stream; only what is wanted of it is held.
"""

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree

from nachet_pipeline.registry.darwin_core import CROSSES, MARKS, completed, separator_of
from nachet_pipeline.registry.problems import RegistryError, RegistryProblem
from nachet_pipeline.registry.seeds import RANKS, plain

Row = Mapping[str, str]
"""A line: values by lower-case term."""

_LANGUAGES = {"en": "en", "eng": "en", "english": "en", "fr": "fr", "fra": "fr", "fre": "fr", "french": "fr"}
_RANKS = {"subsp.": "subspecies", "ssp.": "subspecies", "subsp": "subspecies", "var.": "variety", "var": "variety"}
_RANK_MARKS = {"subspecies": "subsp.", "variety": "var.", "form": "f."}
_ACCEPTED = frozenset({"", "accepted", "valid", "a"})
_EPITHET = re.compile(r"[^\W\d_A-Z][^\W\d_A-Z-]*(?:-[^\W\d_]+)*")
_CROSS = CROSSES[0]
# What follows a name where a rank does, or a cultivar: it is not the taxon of that name.
_OTHER_RANK = re.compile(
    r"(?:^|\s)(?:(?:convar|subvar|subf|cv|nothosubsp|nothovar|nothof|provar|pv|agg|sect|subsect|subg|subgen|ser)\."
    r"|(?:group|hybrids?|convariety|cultivar)\b|['‘\"][A-Z])",  # noqa: RUF001 (quotation marks of cultivars)
    re.IGNORECASE,
)
# A name that others have used for this taxon by mistake, and that is the name of another one.
_MISAPPLIED = re.compile(r"\b(?:auct|sensu|non|nec|misapplied)\b", re.IGNORECASE)
_NO_EPITHETS = frozenset(
    {"ex", "et", "in", "and", "de", "von", "van", "f", "non", "nec", "auct", "sensu", "emend", "hort", "nom", "pro"}
)
_BINOMIAL = 2
_CORE, _VERNACULAR = "taxon", "vernacularname"


@dataclass(slots=True)
class ListedTaxon:
    """A taxon of a checklist.

    Attributes:
        terms: the terms of a seed, as far as the checklist has them.
        synonyms: its other scientific names.
        vernacular: its vernacular names by language.
    """

    terms: dict[str, Any]
    synonyms: list[str] = field(default_factory=list)
    vernacular: dict[str, list[str]] = field(default_factory=dict)

    def seed_terms(self) -> dict[str, Any]:
        """The terms of a seed, each name once."""
        name = plain(self.terms["scientificName"])
        synonyms = {plain(one): one for one in reversed(self.synonyms) if plain(one) != name}
        found = dict(self.terms)
        if synonyms:
            found["synonyms"] = list(reversed(synonyms.values()))
        if self.vernacular:
            each = {code: {plain(one): one for one in reversed(names)} for code, names in self.vernacular.items()}
            found["vernacularNames"] = {code: list(reversed(names.values())) for code, names in each.items()}
        return found


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a checklist; everything of the registry's ranks, if nothing is stated.

    Attributes:
        families: plain names of families.
        genera: plain names of genera.
        ranks: the ranks.
        gbif_keys: whether identifiers of taxa are keys of the GBIF backbone.
    """

    families: frozenset[str] = frozenset()
    genera: frozenset[str] = frozenset()
    ranks: frozenset[str] = frozenset(RANKS)
    gbif_keys: bool = False

    def takes(self, terms: Mapping[str, Any]) -> bool:
        """Whether a taxon is wanted."""
        family, genus = plain(terms.get("family") or ""), plain(terms.get("genus") or "")
        placed = not (self.families or self.genera) or family in self.families or genus in self.genera
        return placed and terms.get("taxonRank") in self.ranks


def read_checklist(file: Path, wanted: Wanted) -> list[ListedTaxon]:
    """The taxa of a checklist that are wanted, in its order.

    Raises:
        RegistryError: it cannot be read, or is no checklist of a known form.
    """
    with ExitStack() as stack:
        try:
            tables = stack.enter_context(_opened(file))
            with tables[_CORE]() as rows:
                first = next(iter(rows), {})
            if {"code", "lang", "fullname"} <= first.keys():
                return _of_eppo(tables[_CORE], wanted)
            if "scientificname" not in first and "canonicalname" not in first:
                raise _wrong(file, "expected a table of taxa with a column scientificName, or one of names by EPPO")
            return _of_taxa(tables, wanted)
        # Numbers, encodings and separators of meta.xml are those of a stranger; an archive may have a password.
        except (OSError, zipfile.BadZipFile, csv.Error, ElementTree.ParseError, *_OF_STRANGERS) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise _wrong(file, f"cannot be read: {reason}") from None


_OF_STRANGERS = (ValueError, TypeError, LookupError, RuntimeError)
Table = Callable[[], AbstractContextManager[Iterable[Row]]]


def _wrong(file: Path, message: str) -> RegistryError:
    return RegistryError([RegistryProblem("unreadable", message, str(file))])


@contextmanager
def _opened(file: Path) -> Iterator[dict[str, Table]]:
    """The tables of a checklist by what they hold; each can be read as often as it is needed."""
    if not zipfile.is_zipfile(file):
        yield {_CORE: lambda: _rows_of(lambda: file.open("rb"), _Form())}
        return
    with zipfile.ZipFile(file) as archive:
        names = {name.rpartition("/")[2].lower(): name for name in archive.namelist()}
        if "meta.xml" in names:
            yield dict(_archive_tables(archive, names))
            return
        flat = names.get("pflname.txt") or next(iter(names.values()), None)
        if flat is None or ("pflname.txt" not in names and len(names) > 1):
            raise _wrong(file, "expected a zip with meta.xml or pflname.txt, or with one table alone")
        yield {_CORE: lambda: _rows_of(lambda: archive.open(flat), _Form())}


@dataclass(frozen=True, slots=True)
class _Form:
    """How a table is written; what is not known is seen by its header.

    Attributes:
        columns: the term of each column; None: the header names them.
        defaults: values of terms that have no column.
        separator: between cells; None: seen by the header.
        quote: around cells; None: none, and a quotation mark is a letter.
        skipped: lines before the first row, where the columns are known.
        encoding: of the text.
    """

    columns: tuple[str | None, ...] | None = None
    defaults: Mapping[str, str] = field(default_factory=dict)
    separator: str | None = None
    quote: str | None = '"'
    skipped: int = 0
    encoding: str = "utf-8-sig"


@contextmanager
def _rows_of(opened: Callable[[], IO[bytes]], form: _Form) -> Iterator[Iterable[Row]]:
    with opened() as raw, io.TextIOWrapper(raw, encoding=form.encoding, newline="") as text:
        yield _rows(text, form)


def _rows(text: IO[str], form: _Form) -> Iterator[Row]:
    separator, columns = form.separator, form.columns
    lines: Iterator[str] = iter(text)
    if columns is None:
        header = next((line for line in lines if line.strip() and not line.startswith("#")), "")
        separator = separator_of(header)
        names = next(csv.reader([header], delimiter=separator), [])
        columns = tuple(re.sub(r"[\s:_-]", "", name.rpartition("/")[2]).lower() or None for name in names)
    for _ in range(form.skipped):
        next(lines, None)
    # Files of tabulators have no quotation marks around cells, and names may have some in them.
    plain_cells = form.quote is None or (form.columns is None and separator == "\t")
    quoting = {"quoting": csv.QUOTE_NONE} if plain_cells else {"quotechar": form.quote}
    for cells in csv.reader(lines, delimiter=separator or ",", **quoting):
        pairs = zip(columns, cells, strict=False)
        row = {name: cell.strip() for name, cell in pairs if name}
        if any(row.values()):
            yield {**form.defaults, **row}


def _archive_tables(archive: zipfile.ZipFile, names: Mapping[str, str]) -> Iterator[tuple[str, Table]]:
    meta = archive.read(names["meta.xml"])
    if b"<!DOCTYPE" in meta or b"<!ENTITY" in meta:
        raise ElementTree.ParseError("meta.xml has a document type, which no archive needs")
    root = ElementTree.fromstring(meta)  # noqa: S314 (without a document type there is nothing to expand)
    for element in root:
        kind = element.get("rowType", "").rpartition("/")[2].lower()
        location = next((one.text or "" for one in element.iter() if _tag(one) == "location"), "").strip()
        inside = names.get(location.rpartition("/")[2].lower())
        if inside is None:
            raise ElementTree.ParseError(f"meta.xml names a file that is not there, {location[:80]!r}")
        form = _form_of(element)

        def table(inside: str = inside, form: _Form = form) -> AbstractContextManager[Iterable[Row]]:
            return _rows_of(lambda: archive.open(inside), form)

        yield (_CORE if _tag(element) == "core" else kind), table


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _form_of(element: ElementTree.Element) -> _Form:
    places: dict[int, str] = {}
    defaults = {}
    for one in element:
        if _tag(one) in {"id", "coreid"} and one.get("index"):
            places[int(one.get("index", ""))] = "taxonid"
        elif _tag(one) == "field":
            term = one.get("term", "").rpartition("/")[2].lower()
            if one.get("index"):
                places.setdefault(int(one.get("index", "")), term)
            elif one.get("default"):
                defaults[term] = one.get("default", "")
    columns = tuple(places.get(place) for place in range(max(places, default=-1) + 1))
    separator = element.get("fieldsTerminatedBy", ",").replace("\\t", "\t")
    encoding = element.get("encoding", "utf-8")
    return _Form(
        columns,
        defaults,
        separator if len(separator) == 1 else ",",
        element.get("fieldsEnclosedBy") or None,
        int(element.get("ignoreHeaderLines") or 0),
        "utf-8-sig" if encoding.lower() in {"utf-8", "utf8"} else encoding,
    )


# Taxa, a line each


def _of_taxa(tables: Mapping[str, Table], wanted: Wanted) -> list[ListedTaxon]:
    found: dict[str, ListedTaxon] = {}
    with tables[_CORE]() as rows:
        for number, row in enumerate(map(_as_accepted, rows)):
            if _accepted_key(row) is not None or row.get("taxonomicstatus", "").lower() not in _ACCEPTED:
                continue
            terms = terms_of(row, gbif_keys=wanted.gbif_keys)
            if wanted.takes(terms):
                taxon = ListedTaxon(terms)
                _own_names(taxon, row)
                found.setdefault(_key(row) or f"line {number}", taxon)
    with tables[_CORE]() as rows:
        for row in rows:
            taxon_of = found.get(_accepted_key(row) or "")
            status = row.get("taxonomicstatus", "synonym").lower()
            # A synonym of a part of a taxon is one of other taxa too.
            if taxon_of and "synonym" in status and "part" not in status and "ambiguous" not in status:
                terms = terms_of(row, gbif_keys=False)
                said = f"{row.get('scientificname', '')} {terms.get('scientificNameAuthorship', '')}"
                if terms.get("taxonRank") != "other" and not _MISAPPLIED.search(said):
                    taxon_of.synonyms.append(terms["scientificName"])
    if _VERNACULAR in tables:
        with tables[_VERNACULAR]() as rows:
            for row in rows:
                taxon_of = found.get(row.get("taxonid", ""))
                language = _LANGUAGES.get(row.get("language", "").lower())
                if taxon_of and language and row.get("vernacularname"):
                    taxon_of.vernacular.setdefault(language, []).append(row["vernacularname"])
    return list(found.values())


def _key(row: Row) -> str:
    return row.get("taxonid") or row.get("taxonkey") or ""


def _accepted_key(row: Row) -> str | None:
    """The taxon that a name is a synonym of, None if it is accepted itself or that is not stated."""
    accepted = row.get("acceptednameusageid") or row.get("acceptedtaxonkey")
    return accepted if accepted and accepted != _key(row) else None


def _as_accepted(row: Row) -> Row:
    """A line of GBIF's species list as one of its accepted name, which may have no line of its own."""
    accepted = row.get("acceptedscientificname")
    if not accepted or _accepted_key(row) is None:
        return row
    own = {"scientificname": accepted, "taxonkey": row["acceptedtaxonkey"], "taxonomicstatus": "accepted"}
    return {"family": row.get("family", ""), "taxonrank": row.get("taxonrank", ""), **own}


def _own_names(taxon: ListedTaxon, row: Row) -> None:
    """The names that a line of a table has in itself."""
    for language in ("en", "fr"):
        if names := row.get(f"vernacularname{language}"):
            taxon.vernacular[language] = [name.strip() for name in names.split("|") if name.strip()]
    taxon.synonyms += [name.strip() for name in row.get("synonyms", "").split("|") if name.strip()]


def terms_of(row: Row, *, gbif_keys: bool) -> dict[str, Any]:
    """The terms of a seed that a line states; its name without authorship, and with the mark of its rank."""
    rank = row.get("taxonrank", "").lower()
    rank = _RANKS.get(rank, rank)
    written = row.get("scientificname") or row.get("canonicalname") or ""
    name, author = parsed_name(row.get("canonicalname") or written)
    authorship = row.get("scientificnameauthorship") or author or parsed_name(written)[1]
    genus, epithet, last = (row.get(one, "") for one in ("genus", "specificepithet", "infraspecificepithet"))
    parts = name.split()
    if _OTHER_RANK.search(authorship) or _OTHER_RANK.search(parsed_name(written)[1]):
        rank = "other"
    elif rank in _RANK_MARKS and not set(MARKS) & set(parts) and (last or len(parts) > _BINOMIAL):
        # GBIF's canonical names have no marks: Avena sativa nuda.
        genus, epithet, last = genus or parts[0], epithet or " ".join(parts[1:2]), last or " ".join(parts[2:])
        name = f"{genus} {epithet} {_RANK_MARKS[rank]} {last}".strip()
    key = row.get("gbifid") or row.get("taxonkey") or (row.get("taxonid", "") if gbif_keys else "")
    stated = {
        "scientificName": name,
        "scientificNameAuthorship": authorship,
        "family": row.get("family"),
        "genus": genus,
        "taxonRank": rank,
        "gbifID": int(key) if key.isascii() and key.isdecimal() else None,
        "eppoCode": row.get("eppocode", "").upper(),
        "listedIn": [name.strip() for name in row.get("listedin", "").split("|") if name.strip()],
    }
    return completed({term: value for term, value in stated.items() if value})


def parsed_name(text: str) -> tuple[str, str]:
    """A scientific name without its authorship, and that: `Avena sativa L.` is `Avena sativa` and `L.`."""
    words = text.split()
    end = 2 if words[:1] == [_CROSS] or words[:1] == ["x"] else 1
    while end < len(words):
        if words[end] in MARKS or words[end] == _CROSS:
            end += 2
        elif _EPITHET.fullmatch(words[end]) and words[end] not in _NO_EPITHETS:
            end += 1
        else:
            break
    # A species may have its own authorship before that of a taxon within it. L. f. is a botanist.
    for place in range(max(end, _BINOMIAL), len(words) - 1):
        if words[place] in MARKS and _EPITHET.fullmatch(words[place + 1]) and words[place + 1] not in _NO_EPITHETS:
            return " ".join((*words[:end], *words[place : place + 2])), " ".join(words[place + 2 :])
    return " ".join(words[:end]), " ".join(words[end:])


# Names, a line each


def _of_eppo(table: Table, wanted: Wanted) -> list[ListedTaxon]:
    found: dict[str, ListedTaxon] = {}
    with table() as rows:
        for row in rows:
            if row.get("lang", "").lower() != "la" or row.get("preferred") != "1" or not _active(row):
                continue
            name, rest = parsed_name(row.get("fullname", ""))
            if _OTHER_RANK.search(rest):
                continue
            terms = completed({"scientificName": name, "eppoCode": row["code"].upper()})
            terms |= {"scientificNameAuthorship": row["authority"]} if row.get("authority") else {}
            # Codes of taxa above the species begin with 1 and end with the letter of their rank.
            known_rank = not row["code"].startswith("1") or row["code"][-1] in {"G", "F"}
            if name and known_rank and wanted.takes(terms):
                found.setdefault(row["code"], ListedTaxon(terms))
    with table() as rows:
        for row in rows:
            taxon = found.get(row.get("code", ""))
            if taxon is None or not row.get("fullname") or not _active(row):
                continue
            language = row.get("lang", "").lower()
            if language == "la" and row.get("preferred") != "1":
                name, rest = parsed_name(row["fullname"])
                said = f"{rest} {row.get('authority', '')}"
                if not _OTHER_RANK.search(rest) and not _MISAPPLIED.search(said):
                    taxon.synonyms.append(name)
            elif language in {"en", "fr"}:
                names = taxon.vernacular.setdefault(language, [])
                names.insert(0 if row.get("preferred") == "1" else len(names), row["fullname"])
    return list(found.values())


def _active(row: Row) -> bool:
    return row.get("status", "").lower() in _ACCEPTED
