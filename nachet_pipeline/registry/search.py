"""Searching names as people type them: beginnings of words, in any order, without accents, and misspelt."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nachet_pipeline.registry.spelling import WordIndex

_LONGEST_QUERY = 200
_WORD = re.compile(r"\w+")


class SearchedName(NamedTuple):
    """A name that can be found.

    Attributes:
        name: the name.
        order: of names that fit as well, those of a smaller one come first.
        owner: the number of what it names.
    """

    name: str
    order: int
    owner: int


class NameSearch:
    """An index of names. It is made once, and asked often."""

    def __init__(self, names: Iterable[SearchedName]) -> None:
        found = [(_folded(one.name), one) for one in names]
        # The better a name, the smaller its number.
        found.sort(key=lambda one: (one[1].order, len(one[0]), one[0]))
        self._folded = [folded for folded, _ in found]
        self._names = [name for _, name in found]
        self._with_word: defaultdict[str, list[int]] = defaultdict(list)
        for number, folded in enumerate(self._folded):
            for word in set(_WORD.findall(folded)):
                self._with_word[word].append(number)
        self._words = WordIndex(self._with_word)

    def search(self, text: str, limit: int) -> list[SearchedName]:
        """The names that hold a word for each one of a text, beginning so; the likeliest first, one for each owner.

        Where there is none, words may be misspelt.

        Args:
            text: what was typed; without a letter or digit in it, nothing is found.
            limit: names at most.
        """
        query = _folded(text[:_LONGEST_QUERY])
        words = list(dict.fromkeys(_WORD.findall(query)))
        if not words:
            return []
        found = self._holding(self._words.starting_with(word) for word in words)
        found = found or self._holding(iter(self._words.near(word)) for word in words)
        # Of equals the best comes first, because sorting keeps their order.
        ranked = sorted(sorted(found), key=lambda number: self._unlike(number, query))
        best: dict[int, SearchedName] = {}
        for number in ranked:
            best.setdefault(self._names[number].owner, self._names[number])
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
    if name.isascii():
        return name.casefold()
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
