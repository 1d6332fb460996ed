"""Registered seeds, and finding the one that an uploader meant."""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Annotated, Any, Literal, NamedTuple, Self
from uuid import UUID

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from nachet_pipeline.identifiers import seed_id

_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
_Names = tuple[_Name, ...]
_Line = tuple[str | int, ...]
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Usage = Literal["accepted", "synonym", "misspelling", "vernacular"]
"""How a name stands to the seed that it finds."""

_USAGES: tuple[Usage, ...] = ("accepted", "synonym", "vernacular", "misspelling")

# Of a vernacular name: entry, vernacularNames, language, place. An alias can make YAML endless.
_DEPTH = 4
_LONGEST_NAME = 200
# A word is misspelt if it differs by one letter, or by two if it is longer: `nigra` for `nigrum`, not `rapa` for
# `napus`.
_SHORT_WORD = 5
_LETTERS_OF_LONG = 2
_BINOMIAL = 2
# A sign between two names, or a word in lower case that is no abbreviation: `/ Brassica juncea`.
_NOT_AN_AUTHOR = re.compile(r"[/+;]|(?:^|\s)(?!emend|sensu|auct|subsp|nom)[^\W\d_A-Z]{4,}(?![\w.])")


class RegistryError(ValueError):
    """The registry contradicts itself; the message names every entry concerned, and its line where it is known."""


class VernacularNames(BaseModel):
    """Common names by language, the usual one first.

    Attributes:
        en: in English, as used in Canada.
        fr: in French, as used in Canada.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: _Names = ()
    fr: _Names = ()


class Seed(BaseModel):
    """A taxon that pictures can show, in Darwin Core's terms (https://dwc.tdwg.org/terms/#taxon).

    Attributes:
        scientific_name: the accepted name, without authorship.
        scientific_name_authorship: who published it; None if that is not known.
        family: its family.
        genus: its genus, first word of the name.
        specific_epithet: second word of the name.
        taxon_rank: of the name.
        vernacular_names: common names.
        synonyms: other scientific names of it.
        misspellings: names that were written by mistake and mean it.
        gbif_id: key of the name in the GBIF backbone taxonomy; None if nobody checked it.
        eppo_code: code in the EPPO Global Database; None if nobody checked it.
        registered_as: the name that its identifier follows from, where that is no longer its scientific name.
        merged_from: the names that entries merged into this one were first registered under.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True
    )

    scientific_name: _Name
    scientific_name_authorship: _Name | None = None
    family: _Name
    genus: _Name
    specific_epithet: _Name
    taxon_rank: Literal["species", "subspecies", "variety"] = "species"
    vernacular_names: VernacularNames = VernacularNames()
    synonyms: _Names = ()
    misspellings: _Names = ()
    gbif_id: Annotated[int, Field(strict=True, gt=0)] | None = Field(default=None, alias="gbifID")
    eppo_code: Annotated[str, StringConstraints(pattern=r"^[A-Z]{5}$")] | None = None
    registered_as: _Name | None = None
    merged_from: _Names = ()

    @model_validator(mode="after")
    def _name_has_its_parts(self) -> Self:
        binomial = f"{self.genus} {self.specific_epithet}"
        below = self.taxon_rank != "species" and self.scientific_name.startswith(f"{binomial} ")
        if self.scientific_name != binomial and not below:
            raise ValueError(f"the {self.taxon_rank} {self.scientific_name!r} is not named {binomial!r}")
        return self

    @property
    def first_name(self) -> str:
        """The name it was first registered under."""
        return self.registered_as or self.scientific_name

    @property
    def id(self) -> UUID:
        """Its identifier, which follows from its first name and so outlives a new one."""
        return seed_id(self.first_name)

    @property
    def full_name(self) -> str:
        """Its scientific name with the authorship."""
        return " ".join(filter(None, (self.scientific_name, self.scientific_name_authorship)))


REGISTRY_ONLY = frozenset(
    {
        "scientific_name_authorship",
        "vernacular_names",
        "synonyms",
        "misspellings",
        "gbif_id",
        "eppo_code",
        "registered_as",
        "merged_from",
    }
)
"""Fields of a seed that a statement about pictures leaves out: a new synonym must not make another statement."""


def _packaged_text() -> str:
    return (files("nachet_pipeline.registry") / "seeds.yaml").read_text(encoding="utf-8")


def packaged_seeds() -> list[Seed]:
    """The reviewed registry that the package carries, in its order.

    Raises:
        RegistryError: the file is wrong.
    """
    return read_seeds(_packaged_text())


def registry_version() -> str:
    """Version of the packaged registry: changes whenever the file does."""
    return hashlib.sha256(_packaged_text().encode()).hexdigest()[:16]


def read_seeds(text: str, source: str = "seeds.yaml") -> list[Seed]:
    """Read a registry file.

    Args:
        text: YAML, a list of seeds.
        source: the file's name, for messages.

    Raises:
        RegistryError: it is not YAML, or a seed is wrong, or two contradict each other; everything wrong is named.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        lines: dict[_Line, int] = {}
        problems = list(_read_lines(node, (), lines)) if node else []
        content = loader.construct_document(node) if node else []
    except yaml.YAMLError as error:
        raise RegistryError(f"{source}: {' '.join(str(error).split())}") from None
    finally:
        loader.dispose()
    try:
        seeds = TypeAdapter(list[Seed]).validate_python(content)
    except ValidationError as error:
        for wrong in error.errors(include_url=False):
            place = wrong["loc"]
            # A missing term has no line of its own: report that of the entry.
            line = next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), 1)
            term = ".".join(str(part) for part in place[1:])
            problems.append(f"line {line}: {term + ': ' if term else ''}{wrong['msg']}")
    else:
        problems += _contradictions(seeds, [lines[number,] for number in range(len(seeds))])
        # Loaded, an empty one would retire every species.
        problems += [] if seeds else ["line 1: no seed is registered"]
    if problems:
        raise RegistryError(f"{source}: {'; '.join(problems)}")
    return seeds


def check_seeds(seeds: Sequence[Seed]) -> None:
    """Refuse seeds that contradict each other.

    Raises:
        RegistryError: two of them have one name, one identifier or one code.
    """
    if problems := list(_contradictions(seeds, [None] * len(seeds))):
        raise RegistryError("; ".join(problems))


def _read_lines(node: Any, path: _Line, lines: dict[_Line, int]) -> Iterator[str]:
    """Collect the line of every value; yield what a YAML loader would ignore in silence."""
    lines.setdefault(path, node.start_mark.line + 1)
    if len(path) > _DEPTH:
        return
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*path, str(key.value))
            if place in lines:
                yield f"line {key.start_mark.line + 1}: {key.value} is stated twice (first on line {lines[place]})"
            lines.setdefault(place, key.start_mark.line + 1)
            yield from _read_lines(value, place, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _read_lines(value, (*path, number), lines)


def _claims(seed: Seed) -> Iterator[tuple[str, str, str]]:
    """The claims of a seed that no other may make: kind of claim, form that is compared, form that is shown."""
    yield "name", plain(seed.scientific_name), f"the name {seed.scientific_name!r}"
    for name in seed.synonyms:
        yield "name", plain(name), f"the synonym {name!r}"
    for name in seed.misspellings:
        yield "name", plain(name), f"the misspelling {name!r}"
    # Identifiers follow from these; one that two seeds had would mix up their pictures.
    yield "id", str(seed.id), f"the first name {seed.first_name!r}"
    for name in seed.merged_from:
        yield "id", str(seed_id(name)), f"the merged seed {name!r}"
    if seed.gbif_id is not None:
        yield "gbif", str(seed.gbif_id), f"the gbifID {seed.gbif_id}"
    if seed.eppo_code is not None:
        yield "eppo", seed.eppo_code, f"the eppoCode {seed.eppo_code}"


def _contradictions(seeds: Sequence[Seed], lines: Sequence[int | None]) -> Iterator[str]:
    def place(number: int) -> str:
        line = lines[number]
        return f"{seeds[number].scientific_name}{f' (line {line})' if line else ''}"

    owners: dict[tuple[str, str], int] = {}
    for number, seed in enumerate(seeds):
        for kind, compared, shown in _claims(seed):
            if (first := owners.setdefault((kind, compared), number)) != number:
                yield f"{place(number)}: {shown} is taken by {place(first)}"
        for names in (
            (seed.scientific_name, *seed.synonyms, *seed.misspellings),
            (seed.first_name, *seed.merged_from),
            seed.vernacular_names.en,
            seed.vernacular_names.fr,
        ):
            seen = [plain(name) for name in names]
            for name in {name for name in seen if seen.count(name) > 1}:
                yield f"{place(number)}: {name!r} is stated twice"
    # One vernacular name may mean several species, but none may be the scientific name of another.
    for number, seed in enumerate(seeds):
        for name in (*seed.vernacular_names.en, *seed.vernacular_names.fr):
            if (first := owners.get(("name", plain(name)), number)) != number:
                yield f"{place(number)}: the vernacular name {name!r} is taken by {place(first)}"


def plain(name: str) -> str:
    """The form in which names are compared: neither case nor extra space nor the encoding of accents matter."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", name)).strip().casefold().replace("\u2019", "'")


class KnownName(NamedTuple):
    """A name that finds a seed.

    Attributes:
        seed: the seed it finds.
        usage: how it stands to it.
    """

    seed: Seed
    usage: Usage


class FoundSeed(NamedTuple):
    """A seed that a search found.

    Attributes:
        seed: the seed.
        name: the name that was found, as it is registered.
        usage: how that name stands to the seed.
    """

    seed: Seed
    name: str
    usage: Usage


class SeedRegistry(BaseModel):
    """Looks up seeds by id and by name, whatever the case.

    Attributes:
        by_id: the seeds, by their own identifiers.
        names: every name that finds a seed, in the form in which names are compared.
        merged: from the identifiers of seeds that were merged to those of the seeds they are part of now.
    """

    model_config = ConfigDict(frozen=True)

    by_id: dict[UUID, Seed] = Field(default_factory=dict)
    names: dict[str, KnownName] = Field(default_factory=dict)
    merged: dict[UUID, UUID] = Field(default_factory=dict)

    @classmethod
    def of(cls, seeds: Iterable[Seed], merged: Mapping[UUID, UUID] | None = None) -> Self:
        """A registry of these seeds.

        Args:
            seeds: the seeds.
            merged: identifiers of merged seeds, beyond those that the seeds state themselves.
        """
        known = list(seeds)
        names: dict[str, KnownName] = {}
        for name, found in _names(known):
            names.setdefault(plain(name), found)
        stated = {seed_id(name): seed.id for seed in known for name in seed.merged_from}
        return cls(by_id={seed.id: seed for seed in known}, names=names, merged={**stated, **(merged or {})})

    def with_id(self, text: str) -> Seed | None:
        """The seed of an id as users write it, None if there is none; a merged seed's id finds what it is part of."""
        try:
            identifier = UUID(text)
        except ValueError:
            return None
        return self.by_id.get(identifier) or self.by_id.get(self.merged.get(identifier, identifier))

    def named(self, name: str) -> Seed | None:
        """The seed of a full scientific name, a synonym, a known misspelling or a vernacular name.

        Returns:
            None if there is none, or if a vernacular name means several.
        """
        known = self.names.get(plain(name))
        return known.seed if known else None

    def usage(self, name: str) -> Usage | None:
        """How a name stands to the seed that it finds, None if it finds none.

        A name that a seed had earlier, or that a seed merged into it had, is a synonym.
        """
        known = self.names.get(plain(name))
        return known.usage if known else None

    def nearest(self, name: str) -> str | None:
        """The accepted name of the seed whose name this misspells, None if it misspells none.

        Who follows it blindly must not give pictures another species. So each word must be nearly the word that it
        stands for: another species of the same genus is no misspelling, nor is the genus alone.
        """
        if known := self.named(name):
            return known.scientific_name
        found: dict[int, set[str]] = defaultdict(set)
        readings = {_letters(name), _letters(_without_authorship(name))}
        for written, (seed, usage) in self.names.items():
            known_letters = _letters(written)
            for wanted in readings:
                # Vernacular names are short and alike: `wheat` is not `cheat`.
                distance = _distance_of_names(known_letters, wanted, 1 if usage == "vernacular" else 0)
                if distance is not None:
                    found[distance].add(seed.scientific_name)
        best = found[min(found)] if found else set()
        return next(iter(best)) if len(best) == 1 else None

    def meant(self, name: str) -> str | None:
        """The accepted name that is certainly meant by a name of its own words; None if none is.

        Genus and epithet may be swapped, a word may stand there twice, and the epithet may be a vernacular name of a
        species of that genus.
        """
        words = list(dict.fromkeys(plain(name[:_LONGEST_NAME]).split()))
        if len(words) != _BINOMIAL:
            return None
        swapped = self.names.get(f"{words[1]} {words[0]}")
        if known := self.names.get(" ".join(words)) or (swapped if swapped and swapped.usage != "vernacular" else None):
            return known.seed.scientific_name
        common = self.named(words[1])
        return common.scientific_name if common and plain(common.genus) == words[0] else None

    def alike(self, name: str) -> list[tuple[str, list[str]]]:
        """The seeds that a name may stand for, as information: accepted name, and the names that hold its words.

        It is a part of vernacular names (`ragweed`), or a genus cut to its first letter (`B. napus`). Many species that
        nobody registered have such names too, so none is to be suggested.
        """
        wanted = _letters(name)
        if not wanted:
            return []
        if len(wanted) == _BINOMIAL and len(wanted[0]) == 1:
            return sorted(
                (seed.scientific_name, [])
                for seed in self.by_id.values()
                if (plain(seed.genus)[0], plain(seed.specific_epithet)) == wanted
            )
        found: dict[str, list[str]] = defaultdict(list)
        for seed in self.by_id.values():
            for common in (*seed.vernacular_names.en, *seed.vernacular_names.fr):
                if _holds(_letters(common), wanted):
                    found[seed.scientific_name].append(common)
        return sorted(found.items())

    def search(self, text: str, *, limit: int = 10) -> list[FoundSeed]:
        """The seeds with a name that a person has begun to write, for a form: each once, by the name that fits best.

        A word of the name begins with the text; accents and case do not matter. Names that begin with it come first,
        then accepted names before synonyms, vernacular names and misspellings.

        Args:
            text: what was written so far; without a letter in it, nothing is found.
            limit: how many are returned, at most.
        """
        wanted = _searched(text[:_LONGEST_NAME])
        if not wanted:
            return []
        best: dict[UUID, tuple[tuple[int, int, str], FoundSeed]] = {}
        for found in _searchable(self.by_id.values()):
            name = _searched(found.name)
            if f" {wanted}" not in f" {name}":
                continue
            rank = (0 if name.startswith(wanted) else 1, _USAGES.index(found.usage), name)
            if found.seed.id not in best or rank < best[found.seed.id][0]:
                best[found.seed.id] = rank, found
        return [found for _, found in sorted(best.values(), key=lambda one: one[0])[:limit]]

    def of_genus(self, name: str) -> list[str]:
        """The accepted names of the seeds of the genus that a name begins with, in order."""
        genus = plain(name).partition(" ")[0]
        return sorted(seed.scientific_name for seed in self.by_id.values() if plain(seed.genus) == genus)


def _searched(name: str) -> str:
    """The form in which names are searched: as they are compared, and without accents and hyphens."""
    letters = unicodedata.normalize("NFKD", plain(name))
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(re.findall(r"\w+", bare))


def _searchable(seeds: Iterable[Seed]) -> Iterator[FoundSeed]:
    for seed in seeds:
        yield FoundSeed(seed, seed.scientific_name, "accepted")
        yield from (FoundSeed(seed, name, "synonym") for name in seed.synonyms)
        yield from (FoundSeed(seed, name, "vernacular") for name in seed.vernacular_names.en)
        yield from (FoundSeed(seed, name, "vernacular") for name in seed.vernacular_names.fr)
        yield from (FoundSeed(seed, name, "misspelling") for name in seed.misspellings)


def _holds(words: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether some words hold others, side by side."""
    return any(tuple(words[start : start + len(wanted)]) == tuple(wanted) for start in range(len(words)))


def _letters(name: str) -> tuple[str, ...]:
    """The words of a name."""
    return tuple(re.findall(r"[^\W\d_]+", plain(name[:_LONGEST_NAME])))


def _without_authorship(name: str) -> str:
    """A scientific name without who published it, which begins with a capital or a bracket.

    A second species after the first one is no authorship, so it stays.
    """
    words = name[:_LONGEST_NAME].split()
    author = next(
        (place for place, word in enumerate(words) if place > 1 and (word[0].isupper() or word[0] == "(")), None
    )
    if author is None or _NOT_AN_AUTHOR.search(" ".join(words[2:])):
        return name[:_LONGEST_NAME]
    return " ".join(words[:author])


def _distance_of_names(known: Sequence[str], wanted: Sequence[str], less: int) -> int | None:
    """How many letters differ in all, None if some word is another one; `less` letters fewer may differ in each."""
    if "".join(known) == "".join(wanted):
        return 0
    if len(known) != len(wanted):
        return None
    total = 0
    for one, other in zip(known, wanted, strict=True):
        most = (_LETTERS_OF_LONG if max(len(one), len(other)) > _SHORT_WORD else 1) - less
        if abs(len(one) - len(other)) > most or (distance := _distance(one, other)) > most:
            return None
        total += distance
    return total


def _distance(one: str, other: str) -> int:
    """Letters to add, remove, replace or swap with their neighbour (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        line = [row]
        for column, found in enumerate(other, 1):
            cost = min(last[column] + 1, line[-1] + 1, last[column - 1] + (letter != found))
            if row > 1 and column > 1 and letter == other[column - 2] and found == one[row - 2]:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        before, last = last, line
    return last[-1]


def _names(seeds: Sequence[Seed]) -> Iterator[tuple[str, KnownName]]:
    """Every name with the seed that it finds, those first that count most."""
    for seed in seeds:
        yield seed.scientific_name, KnownName(seed, "accepted")
    for seed in seeds:
        for name in seed.synonyms:
            yield name, KnownName(seed, "synonym")
    for seed in seeds:
        for name in seed.misspellings:
            yield name, KnownName(seed, "misspelling")
    # After the others: an earlier name of one species can have become the accepted name of another.
    for seed in seeds:
        for name in (seed.first_name, *seed.merged_from):
            yield name, KnownName(seed, "synonym")
    vernacular: defaultdict[str, dict[UUID, Seed]] = defaultdict(dict)
    for seed in seeds:
        for name in (*seed.vernacular_names.en, *seed.vernacular_names.fr):
            vernacular[plain(name)][seed.id] = seed
    for name, meant in vernacular.items():
        if len(meant) == 1:
            yield name, KnownName(next(iter(meant.values())), "vernacular")
