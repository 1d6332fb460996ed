"""The files of species: the package's own, or those that `NACHET_SPECIES_FILE` names.

A file is YAML, a list of seeds, or a table (see darwin_core.py). Several files, or a folder of them, are one registry:
it is read as a whole before any of it is used, and everything wrong with it is told with file, line and field.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from nachet_pipeline.registry.darwin_core import checked, read_table
from nachet_pipeline.registry.problems import Entry, RegistryError, RegistryProblem, contradictions
from nachet_pipeline.registry.seeds import Seed
from nachet_pipeline.settings import PACKAGED_SPECIES

TABLES = (".csv", ".tsv")
"""The suffixes of tables."""

SUFFIXES = (*TABLES, ".yaml", ".yml")
"""The suffixes of files of species."""

_PACKAGED_NAME = "seeds.yaml"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Path = tuple[str | int, ...]

# Of a vernacular name: entry, vernacularNames, language, place.
_DEPTH = 4
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Species:
    """A registry as its files state it.

    Attributes:
        entries: the seeds with their places, in the order of files and lines.
        source: what the files are called, for people.
        version: changes whenever a file does.
        packaged: whether it is the package's registry and nothing else.
        chosen: whether somebody named it; else it is the package's because nothing was named.
    """

    entries: tuple[Entry, ...]
    source: str
    version: str
    packaged: bool
    chosen: bool

    @property
    def seeds(self) -> list[Seed]:
        """The seeds, in their order."""
        return [entry.seed for entry in self.entries]

    @property
    def actor(self) -> str:
        """Whom the audit trail names: the review of the files, not whoever happens to load them, decides on a name."""
        return f"registry {self.version}" if self.packaged else f"species of {self.source} {self.version}"


def read_species(named: Sequence[Path] = (), instead: Mapping[Path, bytes] | None = None) -> Species:
    """Read a registry.

    Args:
        named: its files, and folders of files; `PACKAGED_SPECIES` stands for the package's own registry, which is meant
            if none is named.
        instead: contents of files to read in place of what they hold; they may be new in a folder.

    Raises:
        RegistryError: a file cannot be read, or something in it cannot be used.
    """
    contents = list(_contents(named or (PACKAGED_SPECIES,), instead or {}))
    entries: list[Entry] = []
    problems: list[RegistryProblem] = []
    for name, content in contents:
        for found in _read(name, content):
            if isinstance(found, Entry):
                entries.append(found)
            else:
                problems.append(found)
    if not problems:
        problems += contradictions(entries)
        # Loaded, an empty one would retire every species.
        if not entries:
            problems.append(RegistryProblem("empty", "no seed is registered", ", ".join(name for name, _ in contents)))
    if problems:
        raise RegistryError(problems)
    source = ", ".join(path.name for path in named) or str(PACKAGED_SPECIES)
    packaged = set(named) <= {PACKAGED_SPECIES}
    return Species(tuple(entries), source, _version(contents), packaged=packaged, chosen=bool(named))


def species_version(named: Sequence[Path] = ()) -> str:
    """Version of a registry: changes with anything that its files say.

    Args:
        named: as for `read_species`.

    Raises:
        RegistryError: a file cannot be read.
    """
    return _version(list(_contents(named or (PACKAGED_SPECIES,), {})))


def packaged_seeds() -> list[Seed]:
    """The reviewed registry that the package carries, in its order.

    Raises:
        RegistryError: the file is wrong.
    """
    return read_species().seeds


def registry_version() -> str:
    """Version of the packaged registry."""
    return species_version()


def read_seeds(text: str, source: str = _PACKAGED_NAME) -> list[Seed]:
    """Read a registry file.

    Args:
        text: its content.
        source: its name, which decides how it is read.

    Raises:
        RegistryError: it cannot be read, or a seed is wrong, or two contradict each other; everything wrong is named.
    """
    found = list(_read(source, text.encode("utf-8", "surrogatepass")))
    problems = [one for one in found if isinstance(one, RegistryProblem)]
    entries = [one for one in found if isinstance(one, Entry)]
    problems = problems or list(contradictions(entries))
    if not problems and not entries:
        problems.append(RegistryProblem("empty", "no seed is registered", source, 1))
    if problems:
        raise RegistryError(problems)
    return [entry.seed for entry in entries]


def _files_of(named: Path, more: Iterable[Path]) -> list[Path]:
    """The files of species that a path names: itself, or those of the folder that it is, sorted by name."""
    if not named.is_dir():
        return [named]
    try:
        found = sorted(filter(_is_of_species, {*named.iterdir(), *(file for file in more if file.parent == named)}))
    except OSError as error:
        raise RegistryError([_unreadable(str(named), error)]) from None
    if not found:
        message = f"expected files that end with {', '.join(SUFFIXES)} in this folder, found none"
        raise RegistryError([RegistryProblem("unreadable", message, str(named))])
    return found


def _is_of_species(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".")


def holds_species(folder: Path) -> bool:
    """Whether a folder has files of species."""
    return folder.is_dir() and any(map(_is_of_species, folder.iterdir()))


def _contents(named: Sequence[Path], instead: Mapping[Path, bytes]) -> Iterator[tuple[str, bytes]]:
    for path in named:
        if path == PACKAGED_SPECIES:
            yield _PACKAGED_NAME, (files("nachet_pipeline.registry") / _PACKAGED_NAME).read_bytes()
            continue
        for file in _files_of(path, instead):
            try:
                yield str(file), instead[file] if file in instead else file.read_bytes()
            except OSError as error:
                raise RegistryError([_unreadable(str(file), error)]) from None


def _unreadable(file: str, error: OSError) -> RegistryProblem:
    return RegistryProblem("unreadable", f"cannot be read: {error.strerror}", file)


def _version(contents: Sequence[tuple[str, bytes]]) -> str:
    if len(contents) == 1:
        return hashlib.sha256(contents[0][1]).hexdigest()[:_DIGITS]
    digests = "\n".join(hashlib.sha256(content).hexdigest() for _, content in contents)
    return hashlib.sha256(digests.encode()).hexdigest()[:_DIGITS]


def _read(name: str, content: bytes) -> Iterator[Entry | RegistryProblem]:
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        message = f"expected a name that ends with {', '.join(SUFFIXES)}"
        yield RegistryProblem("unreadable", message, name)
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = "expected UTF-8 text; in Excel, save as CSV UTF-8"
        yield RegistryProblem("unreadable", message, name, line)
        return
    yield from read_table(text, name) if suffix in TABLES else _read_yaml(text, name)


def _read_yaml(text: str, name: str) -> Iterator[Entry | RegistryProblem]:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        lines: dict[_Path, int] = {}
        problems = list(_read_lines(node, (), lines, name, set())) if node else []
        content = loader.construct_document(node) if node else []
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = f"is no YAML: {' '.join(str(error).split())}"
        yield RegistryProblem("unreadable", message, name, mark.line + 1 if mark else 0)
        return
    finally:
        loader.dispose()
    yield from problems
    if not isinstance(content, list):
        yield RegistryProblem("unreadable", "expected a list of seeds", name, 1)
        return
    for number, terms in enumerate(content):
        if not isinstance(terms, dict) or not all(isinstance(key, str) for key in terms):
            yield RegistryProblem("unreadable", "expected the terms of a seed", name, lines[number,])
            continue
        found = checked(terms, name, lines[number,])
        if isinstance(found, Entry):
            yield found
        else:
            yield from (_at_its_line(problem, number, lines) for problem in found)


def _at_its_line(problem: RegistryProblem, number: int, lines: dict[_Path, int]) -> RegistryProblem:
    """A problem with the line of its term; a missing term has none of its own, so it has that of the entry."""
    place: _Path = (number, *(int(part) if part.isdecimal() else part for part in problem.field.split(".") if part))
    line = next(lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines)
    return RegistryProblem(problem.code, problem.message, problem.file, line, problem.field)


def _read_lines(
    node: Any, path: _Path, lines: dict[_Path, int], name: str, seen: set[int]
) -> Iterator[RegistryProblem]:
    """Collect the line of every value, once of what aliases repeat; yield what a loader would ignore in silence."""
    lines.setdefault(path, node.start_mark.line + 1)
    if len(path) > _DEPTH or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place, line = (*path, str(key.value)), key.start_mark.line + 1
            if place in lines:
                message = f"is stated twice (first on line {lines[place]})"
                yield RegistryProblem("repeated", message, name, line, str(key.value))
            lines.setdefault(place, line)
            yield from _read_lines(value, place, lines, name, seen)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _read_lines(value, (*path, number), lines, name, seen)
