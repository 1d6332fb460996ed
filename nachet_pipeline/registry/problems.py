"""What is wrong with a registry: each problem with its file, line and field, and seeds that contradict each other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nachet_pipeline.errors import UsageError
from nachet_pipeline.identifiers import seed_id
from nachet_pipeline.registry.seeds import Seed, plain

_TOLD = 20
_ABOVE_SPECIES = frozenset({"family", "genus"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A seed and the place that it was read from.

    Attributes:
        seed: the seed.
        file: the file's name, empty if it comes from none.
        line: of its entry, from 1; 0 if it comes from no file.
    """

    seed: Seed
    file: str = ""
    line: int = 0

    @property
    def place(self) -> str:
        """Its name, and where it was read."""
        return f"{self.seed.scientific_name}{f' ({self.file}:{self.line})' if self.file else ''}"


@dataclass(frozen=True, slots=True)
class RegistryProblem:
    """Something wrong with a registry.

    Attributes:
        code: `unreadable`, `unknown-term`, `missing-term`, `wrong-value`, `repeated`, `taken` or `empty`.
        message: what is wrong, in English.
        file: the file's name, empty if the seeds come from none.
        line: 1-based, 0 if it concerns no single line.
        field: the term in Darwin Core's spelling, empty if it concerns no single one.
    """

    code: str
    message: str
    file: str = ""
    line: int = 0
    field: str = ""

    def __str__(self) -> str:
        """One line."""
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return ": ".join(filter(None, (place, self.field, self.message)))


class RegistryError(UsageError, ValueError):
    """A registry that cannot be used.

    Attributes:
        problems: everything that is wrong with it, in the order of files and lines.
    """

    def __init__(self, problems: Sequence[RegistryProblem]) -> None:
        self.problems = tuple(problems)
        more = f"; and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
        super().__init__("; ".join(map(str, problems[:_TOLD])) + more)


def check_seeds(seeds: Sequence[Seed]) -> None:
    """Refuse seeds that contradict each other.

    Raises:
        RegistryError: two of them have one name, one identifier or one code.
    """
    if problems := list(contradictions([Entry(seed) for seed in seeds])):
        raise RegistryError(problems)


def contradictions(entries: Sequence[Entry]) -> Iterator[RegistryProblem]:
    """What seeds claim that others claim too, or twice themselves."""
    owners: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        for kind, compared, field, shown in claims(entry.seed):
            first = owners.setdefault((kind, compared), entry)
            if first is not entry:
                yield _problem("taken", entry, field, f"{shown} is taken by {first.place}")
        yield from _repeats(entry)
    # One vernacular name may mean several species, but none may be the scientific name of another.
    for entry in entries:
        seed = entry.seed
        for name in (*seed.vernacular_names.en, *seed.vernacular_names.fr):
            first = owners.get(("name", plain(name)), entry)
            # People call many plants by their genus, such as iris.
            if first is not entry and first.seed.taxon_rank not in _ABOVE_SPECIES:
                message = f"the vernacular name {name!r} is taken by {first.place}"
                yield _problem("taken", entry, "vernacularNames", message)


def _problem(code: str, entry: Entry, field: str, message: str) -> RegistryProblem:
    # Without a file the entry has to be named.
    said = message if entry.file else f"{entry.seed.scientific_name}: {message}"
    return RegistryProblem(code, said, entry.file, entry.line, field if entry.file else "")


def claims(seed: Seed) -> Iterator[tuple[str, str, str, str]]:
    """The claims of a seed that no other may make: kind of claim, form that is compared, term, form that is shown."""
    yield "name", plain(seed.scientific_name), "scientificName", f"the name {seed.scientific_name!r}"
    for name in seed.synonyms:
        yield "name", plain(name), "synonyms", f"the synonym {name!r}"
    for name in seed.misspellings:
        yield "name", plain(name), "misspellings", f"the misspelling {name!r}"
    # Identifiers follow from these; one that two seeds had would mix up their pictures.
    first = "registeredAs" if seed.registered_as else "scientificName"
    yield "id", str(seed.id), first, f"the first name {seed.first_name!r}"
    for name in seed.merged_from:
        yield "id", str(seed_id(name)), "mergedFrom", f"the merged seed {name!r}"
    if seed.gbif_id is not None:
        yield "gbif", str(seed.gbif_id), "gbifID", f"the gbifID {seed.gbif_id}"
    if seed.eppo_code is not None:
        yield "eppo", seed.eppo_code, "eppoCode", f"the eppoCode {seed.eppo_code}"


def _repeats(entry: Entry) -> Iterator[RegistryProblem]:
    seed = entry.seed
    for field, names in (
        ("synonyms", (seed.scientific_name, *seed.synonyms, *seed.misspellings)),
        ("mergedFrom", (seed.first_name, *seed.merged_from)),
        ("vernacularNames.en", seed.vernacular_names.en),
        ("vernacularNames.fr", seed.vernacular_names.fr),
        ("listedIn", seed.listed_in),
    ):
        seen = [plain(name) for name in names]
        if len(set(seen)) < len(seen):
            for name in sorted({name for name in seen if seen.count(name) > 1}):
                yield _problem("repeated", entry, field, f"{name!r} is stated twice")
