"""Searching the registry as people type: beginnings of words, in any order, without accents, and misspelt."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from nachet_pipeline.registry.seeds import Seed, Usage, plain
from nachet_pipeline.registry.spelling import WordIndex

_LONGEST_QUERY = 200
_ORDER = {"accepted": 0, "code": 1, "synonym": 2, "vernacular": 2, "misspelling": 3}
_WORD = re.compile(r"\w+")


class FoundSeed(NamedTuple):
    """A seed that a search found.

    Attributes:
        seed: the seed.
        name: its name that was found.
        usage: how that name stands to it; `code` if it is an identifier of GBIF or EPPO.
    """

    seed: Seed
    name: str
    usage: Usage | Literal["code"]


class SeedSearch:
    """An index of all names of some seeds. It is made once, and asked often."""

    def __init__(self, seeds: Iterable[Seed]) -> None:
        found = [(_folded(name), FoundSeed(seed, name, usage)) for seed in seeds for name, usage in _names(seed)]
        # The better a name, the smaller its number.
        found.sort(key=lambda one: (_ORDER[one[1].usage], len(one[0]), one[0]))
        self._folded = [folded for folded, _ in found]
        self._names = [name for _, name in found]
        self._with_word: defaultdict[str, list[int]] = defaultdict(list)
        for number, folded in enumerate(self._folded):
            for word in set(_WORD.findall(folded)):
                self._with_word[word].append(number)
        self._words = WordIndex(self._with_word)

    def search(self, text: str, limit: int = 20) -> list[FoundSeed]:
        """The seeds with a name that holds a word for each one of a text, beginning so; the likeliest first.

        Where none has, words may be misspelt. Each seed is found once, by its best name.

        Args:
            text: what was typed; an empty one finds nothing.
            limit: seeds at most.
        """
        query = _folded(text[:_LONGEST_QUERY])
        words = _WORD.findall(query)
        if not words:
            return []
        found = self._holding(self._words.starting_with(word) for word in words)
        found = found or self._holding(iter(self._words.near(word)) for word in words)
        # Of equals the best comes first, because sorting keeps their order.
        ranked = sorted(sorted(found), key=lambda number: self._unlike(number, query))
        best: dict[str, FoundSeed] = {}
        for number in ranked:
            best.setdefault(self._names[number].seed.scientific_name, self._names[number])
            if len(best) == limit:
                break
        return list(best.values())

    def _holding(self, words: Iterable[Iterator[str]]) -> set[int]:
        """The names that hold one of each group of words."""
        common: set[int] | None = None
        for group in words:
            names = {number for word in group for number in self._with_word[word]}
            common = names if common is None else common & names
            if not common:
                break
        return common or set()

    def _unlike(self, number: int, query: str) -> int:
        """0 for the name itself, 1 for one that begins so, 2 for others."""
        folded = self._folded[number]
        return 2 - folded.startswith(query) - (folded == query)


def _folded(name: str) -> str:
    """A name without case and accents."""
    decomposed = unicodedata.normalize("NFKD", plain(name))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def _names(seed: Seed) -> Iterator[tuple[str, Usage | Literal["code"]]]:
    yield seed.scientific_name, "accepted"
    yield from ((name, "synonym") for name in (*seed.synonyms, *seed.merged_from))
    if seed.registered_as:
        yield seed.registered_as, "synonym"
    yield from ((name, "vernacular") for name in (*seed.vernacular_names.en, *seed.vernacular_names.fr))
    yield from ((name, "misspelling") for name in seed.misspellings)
    yield from ((str(code), "code") for code in (seed.eppo_code, seed.gbif_id) if code)
