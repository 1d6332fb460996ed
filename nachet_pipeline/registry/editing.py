"""Writing into the files of species, which are what is true: the database only follows them.

A file is changed in one step, after the registry was read with the change and found right. Comments, the order of lines
and all that is not changed stay as they are.
"""

import csv
import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from nachet_pipeline.errors import UsageError
from nachet_pipeline.registry.darwin_core import (
    COLUMNS,
    COMMENT,
    cells_of,
    column_of,
    line_of,
    lines_of,
    read_table,
    separator_of,
)
from nachet_pipeline.registry.problems import Entry
from nachet_pipeline.registry.seeds import Seed
from nachet_pipeline.registry.species_file import TABLES, Species, holds_species, read_species
from nachet_pipeline.settings import PACKAGED_SPECIES

_NEW_FILE = "added.csv"
_BOM = "\ufeff"


def species_before(named: Sequence[Path], file: Path) -> Species:
    """The registry before a file is written into, which may be new, perhaps in a folder that is empty.

    Raises:
        RegistryError: a file of it is wrong.
    """
    if file.exists():
        return read_species(named)
    others = [path for path in named if path != file and (path != file.parent or holds_species(path))]
    return read_species(others) if others else Species((), "", "", packaged=False, chosen=True)


class SpeciesFileError(UsageError):
    """A file of species that cannot be written into."""


def file_to_edit(named: Sequence[Path]) -> Path:
    """The file that new seeds are written into: the last one that is named, or `added.csv` in a folder.

    Raises:
        SpeciesFileError: none is named that can be written into.
    """
    own = [path for path in named if path != PACKAGED_SPECIES]
    if not own:
        raise SpeciesFileError(
            "NACHET_SPECIES_FILE names no file to write into; `nachet species export species.csv` writes one to begin"
            " with"
        )
    return own[-1] / _NEW_FILE if own[-1].is_dir() else own[-1]


def write_seeds(
    named: Sequence[Path],
    file: Path,
    added: Sequence[Seed],
    changed: Sequence[tuple[Entry, Seed]] = (),
    *,
    dry_run: bool = False,
) -> Species:
    """Append seeds to a file of species, and change lines of tables.

    Args:
        named: the files of the registry, among which this one is, or the folder that it lies in.
        file: the file that seeds are appended to; it may be new.
        added: the seeds.
        changed: entries of tables with what they become.
        dry_run: whether nothing is written in the end.

    Returns:
        The registry with the change.

    Raises:
        RegistryError: the registry would be wrong; nothing was written.
        SpeciesFileError: a file cannot be written into; nothing was written.
    """
    by_file: dict[Path, list[tuple[Entry, Seed]]] = {}
    for entry, seed in changed:
        by_file.setdefault(Path(entry.file), []).append((entry, seed))
    if added:
        by_file.setdefault(file, [])
    with _locked(file.parent):
        contents = {one: _edited(one, found, added if one == file else ()) for one, found in by_file.items()}
        species = read_species(named, contents)
        for one, content in contents.items() if not dry_run else ():
            _replace(one, content)
    return species


def _edited(file: Path, changed: Sequence[tuple[Entry, Seed]], added: Sequence[Seed]) -> bytes:
    try:
        text = file.read_bytes().decode("utf-8") if file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SpeciesFileError(f"{file}: cannot be read: {error}") from None
    if file.suffix.lower() not in TABLES:
        if changed:
            raise SpeciesFileError(f"{file}: entries of YAML are completed by hand; a table can be completed")
        return (_ended(text) + _as_yaml(added)).encode()
    return _edited_table(file, text, changed, added).encode()


def _as_yaml(seeds: Sequence[Seed]) -> str:
    stated = []
    for seed in seeds:
        terms = seed.model_dump(mode="json", exclude_defaults=True)
        terms["taxonRank"] = seed.taxon_rank
        stated.append(terms)
    return yaml.safe_dump(stated, sort_keys=False, allow_unicode=True, width=120)


def _ended(text: str, end: str = "\n") -> str:
    return text if not text or text.endswith("\n") else f"{text}{end}"


def _edited_table(file: Path, text: str, changed: Sequence[tuple[Entry, Seed]], added: Sequence[Seed]) -> str:
    end = "\r\n" if "\r\n" in text else "\n"
    mark = _BOM if text.startswith(_BOM) else ""
    lines = lines_of(_ended(text.removeprefix(_BOM)))[:-1]
    header = next((line for line in lines if line.strip() and not line.startswith(COMMENT)), None)
    if header is None:
        header = line_of(COLUMNS).rstrip("\n")
        lines.append(header)
    separator = separator_of(header)
    columns = [column_of(cell) for cell in next(csv.reader([header], delimiter=separator))]
    for entry, seed in changed:
        line = lines[entry.line - 1] if entry.line <= len(lines) else ""
        # Somebody may have edited the file since it was read; their line must not be lost.
        if [one.seed for one in read_table(f"{header}\n{line}", "") if isinstance(one, Entry)] != [entry.seed]:
            raise SpeciesFileError(f"{file}: line {entry.line} was changed meanwhile; nothing was written")
        before = next(csv.reader([line], delimiter=separator))
        lines[entry.line - 1] = _line(file, seed, columns, separator, before)
    lines += [_line(file, seed, columns, separator, ()) for seed in added]
    return mark + "".join(f"{line}{end}" for line in lines)


def _line(file: Path, seed: Seed, columns: Sequence[str | None], separator: str, before: Sequence[str]) -> str:
    """The line of a seed in the columns of a table; cells of other columns stay as they are."""
    cells = cells_of(seed)
    # What follows from the name need not be said.
    missing = [
        column for column, cell in cells.items() if cell and column not in columns and column not in _FOLLOWS_FROM_NAME
    ]
    if missing:
        raise SpeciesFileError(f"{file}: {seed.scientific_name} needs the column {missing[0]}, which the table has not")
    found = [
        cells[column] if column else (before[place] if place < len(before) else "")
        for place, column in enumerate(columns)
    ]
    return line_of(found, separator).rstrip("\n")


_FOLLOWS_FROM_NAME = frozenset({"genus", "specificEpithet", "infraspecificEpithet", "taxonRank"})


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one change come after the other: of two at once, the second would undo the first."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise SpeciesFileError(f"{folder}: cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(file: Path, content: bytes) -> None:
    file = file.resolve()  # a link stays one
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
    except OSError as error:
        raise SpeciesFileError(f"{file}: cannot be written: {error.strerror}") from None
    finally:
        fresh.unlink(missing_ok=True)
