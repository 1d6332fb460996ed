"""Registered seeds, and finding the one that an uploader meant."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal, NamedTuple, Self, get_args
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from nachet_pipeline.identifiers import seed_id
from nachet_pipeline.registry.search import NameSearch, SearchedName
from nachet_pipeline.registry.spelling import Key, NameIndex, Words, letters_of

# A bar separates the names in a cell of a table, and a program for tables would run what begins with the other signs.
# Two names that differ in signs that nobody sees would be two species.
_NO_SIGN = r"|\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
_NAME_PATTERN = rf"^[^=+@#{_NO_SIGN}-][^{_NO_SIGN}]*$"


def _composed(value: object) -> object:
    """A name with its accents in one encoding, since its identifier follows from it."""
    return value if not isinstance(value, str) or value.isascii() else unicodedata.normalize("NFC", value)


_Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=_NAME_PATTERN),
    BeforeValidator(_composed),
]
_Names = tuple[_Name, ...]

Rank = Literal["family", "genus", "species", "subspecies", "variety", "form"]
"""The ranks of taxa that can be registered."""

RANKS: tuple[Rank, ...] = get_args(Rank)
"""The ranks from the widest to the narrowest."""

Usage = Literal["accepted", "synonym", "misspelling", "vernacular"]
"""How a name stands to the seed that it finds."""

_SEARCH_ORDER = {"accepted": 0, "code": 1, "synonym": 2, "vernacular": 3, "misspelling": 4}
_LONGEST_NAME = 200
_BINOMIAL = 2
# A sign between two names, or a word in lower case that is no abbreviation: `/ Brassica juncea`.
_NOT_AN_AUTHOR = re.compile(r"[/+;]|(?:^|\s)(?!emend|sensu|auct|subsp|nom)[^\W\d_A-Z]{4,}(?![\w.])")
_CROSS = "×"  # noqa: RUF001 (the sign of a hybrid)
_HYBRID = re.compile(rf"(?<!\S)(?:x |{_CROSS} ?)")
_SUBSPECIES = re.compile(r" (?:ssp\.?|subsp) ")
_UNNAMED_SPECIES = ("sp", "sp.", "spp", "spp.")


def is_name(text: str) -> bool:
    """Whether a text can be a name in the registry."""
    return len(text) <= _LONGEST_NAME and re.fullmatch(_NAME_PATTERN, text.strip()) is not None


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
        family: its family; of a family, its own name.
        genus: its genus, first word of the name; None for a family.
        specific_epithet: second word of the name; None for a genus or a family.
        infraspecific_epithet: last word of the name of a taxon within a species.
        taxon_rank: of the name.
        vernacular_names: common names.
        synonyms: other scientific names of it.
        misspellings: names that were written by mistake and mean it.
        gbif_id: key of the name in the GBIF backbone taxonomy; None if nobody checked it.
        eppo_code: code in the EPPO Global Database; None if nobody checked it.
        listed_in: lists that it is on, such as those of a regulation.
        registered_as: the name that its identifier follows from, where that is no longer its scientific name.
        merged_from: the names that entries merged into this one were first registered under.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True
    )

    scientific_name: _Name
    scientific_name_authorship: _Name | None = None
    family: _Name
    genus: _Name | None = None
    specific_epithet: _Name | None = None
    infraspecific_epithet: _Name | None = None
    taxon_rank: Rank = "species"
    vernacular_names: VernacularNames = VernacularNames()
    synonyms: _Names = ()
    misspellings: _Names = ()
    gbif_id: Annotated[int, Field(strict=True, gt=0)] | None = Field(default=None, alias="gbifID")
    eppo_code: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{5,6}$")] | None = None
    listed_in: _Names = ()
    registered_as: _Name | None = None
    merged_from: _Names = ()

    @model_validator(mode="after")
    def _name_has_its_parts(self) -> Self:
        rank, name = self.taxon_rank, self.scientific_name
        parts = [self.genus, self.specific_epithet, self.infraspecific_epithet]
        wanted = {"family": 0, "genus": 1, "species": 2}.get(rank, 3)
        for part, place in (("genus", 1), ("specificEpithet", 2), ("infraspecificEpithet", 3)):
            # Entries of taxa within a species could always leave their last epithet out.
            if parts[place - 1] is None and place <= min(wanted, _BINOMIAL):
                raise ValueError(f"the {rank} {name!r} needs a {part}")
            if parts[place - 1] is not None and place > wanted:
                raise ValueError(f"the {rank} {name!r} has no {part}")
        named = self.family if rank == "family" else " ".join(filter(None, parts[:2]))
        if wanted > _BINOMIAL:
            last = f" {self.infraspecific_epithet}" if self.infraspecific_epithet else ""
            if not name.startswith(f"{named} ") or not name.endswith(last):
                raise ValueError(f"the {rank} {name!r} is not named {named!r} with its rank and epithet after that")
        elif name != named:
            raise ValueError(f"the {rank} {name!r} is not named {named!r}")
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

    def name_at(self, rank: Rank) -> str | None:
        """The name of the taxon of a rank that it belongs to, or is; None if it is of a wider rank itself."""
        if rank == self.taxon_rank:
            return self.scientific_name
        if RANKS.index(self.taxon_rank) < RANKS.index(rank):
            return None
        species = f"{self.genus} {self.specific_epithet}"
        return {"family": self.family, "genus": self.genus, "species": species}.get(rank)


REGISTRY_ONLY = frozenset(
    {
        "scientific_name_authorship",
        "vernacular_names",
        "synonyms",
        "misspellings",
        "gbif_id",
        "eppo_code",
        "infraspecific_epithet",
        "listed_in",
        "registered_as",
        "merged_from",
    }
)
"""Fields of a seed that a statement about pictures leaves out: a new synonym must not make another statement."""


def plain(name: str) -> str:
    """The form in which names are compared: neither case nor extra space nor the encoding of accents matter.

    Nor does it how the signs of hybrids and subspecies are written.
    """
    if not name.isascii():
        name = unicodedata.normalize("NFC", name).replace("\u2019", "'")
    compared = " ".join(name.split()).casefold()
    if " ssp" in compared or " subsp " in compared or "x " in compared or _CROSS in compared:
        compared = _SUBSPECIES.sub(" subsp. ", _HYBRID.sub(f"{_CROSS} ", compared))
    return compared


class FoundSeed(NamedTuple):
    """A seed that a search found.

    Attributes:
        seed: the seed.
        name: the name that was found, as it is registered, or the identifier of GBIF or EPPO.
        usage: how that name stands to the seed; `code` for such an identifier.
    """

    seed: Seed
    name: str
    usage: Usage | Literal["code"]


class KnownName(NamedTuple):
    """A name that finds a seed.

    Attributes:
        seed: the seed it finds.
        usage: how it stands to it.
    """

    seed: Seed
    usage: Usage


@dataclass(frozen=True)
class SeedRegistry:
    """Looks up seeds by id and by name, whatever the case.

    What slower questions need is made when the first is asked, and kept.

    Attributes:
        by_id: the seeds, by their own identifiers.
        names: every name that finds a seed, in the form in which names are compared.
        merged: from the identifiers of seeds that were merged to those of the seeds they are part of now.
    """

    by_id: dict[UUID, Seed] = field(default_factory=dict)
    names: dict[str, KnownName] = field(default_factory=dict)
    merged: dict[UUID, UUID] = field(default_factory=dict)

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
        found: defaultdict[int, set[str]] = defaultdict(set)
        for wanted in {_letters(name), _letters(_without_authorship(name))}:
            for key, differing in self._spelling.near(wanted).items():
                found[differing] |= self._spelt[key]
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
        return common.scientific_name if common and plain(common.genus or "") == words[0] else None

    def alike(self, name: str) -> list[tuple[str, list[str]]]:
        """The seeds that a name may stand for, as information: accepted name, and the names that hold its words.

        It is a part of vernacular names (`ragweed`), or a genus cut to its first letter (`B. napus`). Many species that
        nobody registered have such names too, so none is to be suggested.
        """
        wanted = _letters(name)
        if not wanted:
            return []
        if len(wanted) == _BINOMIAL and len(wanted[0]) == 1:
            return [(one, []) for one in sorted(self._of_initial.get(wanted, ()))]
        found: defaultdict[str, list[str]] = defaultdict(list)
        for seed, common, words in self._common.get(wanted[0], ()):
            if _holds(words, wanted):
                found[seed.scientific_name].append(common)
        return sorted(found.items())

    def search(self, text: str, *, limit: int = 10) -> list[FoundSeed]:
        """The seeds with a name that a person has begun to write, for a form: each once, by the name that fits best.

        Of each word of the text a word of the name has to begin so, in any order; accents and case do not matter. Names
        that begin with the text come first, then accepted names before synonyms, vernacular names and misspellings. If
        there is none, the words may be misspelt.

        Args:
            text: what was written so far; without a letter or digit in it, nothing is found.
            limit: how many are returned, at most.
        """
        names, index = self._search
        return [names[one.owner, one.name] for one in index.search(text, limit)]

    @cached_property
    def _search(self) -> tuple[dict[tuple[int, str], FoundSeed], NameSearch]:
        names = {
            (number, name): FoundSeed(seed, name, usage)
            for number, seed in enumerate(self.by_id.values())
            for name, usage in reversed(list(_searchable(seed)))
        }
        return names, NameSearch(
            SearchedName(name, _SEARCH_ORDER[found.usage], number) for (number, name), found in names.items()
        )

    def of_genus(self, name: str) -> list[str]:
        """The accepted names of the seeds of the genus that a name begins with, in order."""
        return self._of_genus.get(plain(name).partition(" ")[0], [])

    @cached_property
    def _spelt(self) -> dict[Key, set[str]]:
        """The accepted names that a way of writing means, with how many letters fewer than usual may differ in it."""
        found: defaultdict[Key, set[str]] = defaultdict(set)
        for written, (seed, usage) in self.names.items():
            words = _letters(written)
            # Vernacular names are short and alike, `wheat` is not `cheat`; and genera are, when they stand alone.
            found[words, int(usage == "vernacular" or len(words) == 1)].add(seed.scientific_name)
        return dict(found)

    @cached_property
    def _spelling(self) -> NameIndex:
        return NameIndex(self._spelt)

    @cached_property
    def _common(self) -> dict[str, list[tuple[Seed, str, Words]]]:
        """Vernacular names by each of their words, with the seeds that have them."""
        found: defaultdict[str, list[tuple[Seed, str, Words]]] = defaultdict(list)
        for seed in self.by_id.values():
            for common in (*seed.vernacular_names.en, *seed.vernacular_names.fr):
                words = _letters(common)
                for word in dict.fromkeys(words):
                    found[word].append((seed, common, words))
        return dict(found)

    @cached_property
    def _of_initial(self) -> dict[Words, list[str]]:
        """Accepted names by the first letter of the genus and the epithet."""
        found: defaultdict[Words, list[str]] = defaultdict(list)
        for seed in self.by_id.values():
            if seed.genus and seed.specific_epithet:
                found[plain(seed.genus)[0], plain(seed.specific_epithet)].append(seed.scientific_name)
        return dict(found)

    @cached_property
    def _of_genus(self) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for seed in sorted(self.by_id.values(), key=lambda one: one.scientific_name):
            found[plain(seed.genus or "")].append(seed.scientific_name)
        return dict(found)


def _holds(words: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether some words hold others, side by side."""
    return any(tuple(words[start : start + len(wanted)]) == tuple(wanted) for start in range(len(words)))


def _letters(name: str) -> Words:
    """The words of a name."""
    return letters_of(plain(name[:_LONGEST_NAME]))


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


def _searchable(seed: Seed) -> Iterator[tuple[str, Usage | Literal["code"]]]:
    yield seed.scientific_name, "accepted"
    yield from ((str(code), "code") for code in (seed.eppo_code, seed.gbif_id) if code)
    yield from ((name, "synonym") for name in (*seed.synonyms, seed.first_name, *seed.merged_from))
    yield from ((name, "vernacular") for name in (*seed.vernacular_names.en, *seed.vernacular_names.fr))
    yield from ((name, "misspelling") for name in seed.misspellings)


def _names(seeds: Sequence[Seed]) -> Iterator[tuple[str, KnownName]]:
    """Every name with the seed that it finds, those first that count most."""
    for seed in seeds:
        unnamed = _UNNAMED_SPECIES if seed.taxon_rank == "genus" else ()
        for name in (seed.scientific_name, *(f"{seed.scientific_name} {one}" for one in unnamed)):
            yield name, KnownName(seed, "accepted")
    for usage, names_of in _OTHER_NAMES:
        for seed in seeds:
            for name in names_of(seed):
                yield name, KnownName(seed, usage)
    vernacular: defaultdict[str, dict[UUID, Seed]] = defaultdict(dict)
    for seed in seeds:
        for name in (*seed.vernacular_names.en, *seed.vernacular_names.fr):
            vernacular[plain(name)][seed.id] = seed
    for name, meant in vernacular.items():
        if len(meant) == 1:
            yield name, KnownName(next(iter(meant.values())), "vernacular")


_OTHER_NAMES: tuple[tuple[Usage, Callable[[Seed], Iterable[str]]], ...] = (
    ("synonym", lambda seed: seed.synonyms),
    ("misspelling", lambda seed: seed.misspellings),
    # After the others: an earlier name of one species can have become the accepted name of another.
    ("synonym", lambda seed: (seed.first_name, *seed.merged_from)),
)
