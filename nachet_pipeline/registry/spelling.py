"""Finding the names that a misspelt one may be, among tens of thousands.

An exact search: it finds what comparing the name with every other would find. Words are compared first, each distinct
one once, and most are passed over by their length and their letters.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

Words = tuple[str, ...]

Key = tuple[Words, int]
"""A name's words, and how many letters fewer than usual may differ in each of them."""

# A word is misspelt if it differs by one letter, or by two if it is longer: `nigra` for `nigrum`, not `rapa` for
# `napus`.
_SHORT_WORD = 5
_LETTERS_OF_LONG = 2
# Words whose neighbours are remembered: an upload repeats its mistakes.
_REMEMBERED = 4096
# Letters share bits where there are more of them; that passes over fewer words, and over none that is near.
_BITS, _PAIR_BITS = 61, 251
# One letter replaced changes two of the bits of letters. Two that are swapped change three pairs into three others.
_LETTER_BITS_CHANGED, _PAIR_BITS_CHANGED = 2, 6


def letters_of(name: str) -> Words:
    """The words of a name in its plain form."""
    return tuple(re.findall(r"[^\W\d_]+", name))


class WordIndex:
    """Distinct words, and those that are nearly another one."""

    def __init__(self, words: Iterable[str]) -> None:
        self._sorted = sorted(set(words))
        self._of_length: defaultdict[int, list[tuple[str, int, int]]] = defaultdict(list)
        for word in self._sorted:
            self._of_length[len(word)].append((word, _letter_bits(word), _pair_bits(word)))
        self._near: dict[str, list[str]] = {}

    def starting_with(self, beginning: str) -> Iterator[str]:
        """The words that begin so, in alphabetical order."""
        for place in range(bisect_left(self._sorted, beginning), len(self._sorted)):
            if not self._sorted[place].startswith(beginning):
                return
            yield self._sorted[place]

    def near(self, word: str) -> list[str]:
        """The words that this one may misspell: so few letters differ that a longer word allows."""
        if (known := self._near.get(word)) is not None:
            return known
        found, letters, pairs = [], _letter_bits(word), _pair_bits(word)
        for length in range(max(1, len(word) - _LETTERS_OF_LONG), len(word) + _LETTERS_OF_LONG + 1):
            most = letters_that_may_differ(len(word), length)
            if abs(length - len(word)) > most:
                continue
            alike = [
                one
                for one, own_letters, own_pairs in self._of_length.get(length, ())
                if (letters ^ own_letters).bit_count() <= _LETTER_BITS_CHANGED * most
                and (pairs ^ own_pairs).bit_count() <= _PAIR_BITS_CHANGED * most
            ]
            found += [one for one in alike if distance(one, word, most) <= most]
        if len(self._near) >= _REMEMBERED:
            self._near.clear()
        self._near[word] = found
        return found


class NameIndex:
    """Names by their words, to find those that a name misspells."""

    def __init__(self, names: Iterable[Key]) -> None:
        self._joined: defaultdict[str, list[Key]] = defaultdict(list)
        self._with_word: defaultdict[tuple[int, int], defaultdict[str, list[Key]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for key in names:
            words, _less = key
            self._joined["".join(words)].append(key)
            for place, word in enumerate(words):
                self._with_word[len(words), place][word].append(key)
        # Of names of so many words, one place has the fewest distinct ones: of two words, it is that of the genus.
        places: dict[int, int] = {}
        for (words_of_name, place), of_place in self._with_word.items():
            best = places.setdefault(words_of_name, place)
            if len(of_place) < len(self._with_word[words_of_name, best]):
                places[words_of_name] = place
        self._places = places
        self._words = {count: WordIndex(self._with_word[count, place]) for count, place in places.items()}

    def near(self, wanted: Words) -> dict[Key, int]:
        """The names that this one may misspell, each with the number of letters that differ."""
        found = dict.fromkeys(self._joined.get("".join(wanted), ()), 0)
        if (count := len(wanted)) in self._places:
            place = self._places[count]
            for word in self._words[count].near(wanted[place]):
                for key in self._with_word[count, place][word]:
                    words, less = key
                    if key not in found and (differing := _distance_of_names(words, wanted, less)) is not None:
                        found[key] = differing
        return found


def letters_that_may_differ(one: int, other: int) -> int:
    """How many letters may differ in two words of these lengths."""
    return _LETTERS_OF_LONG if max(one, other) > _SHORT_WORD else 1


def _letter_bits(word: str) -> int:
    """A bit for each letter, and one for each that is there twice."""
    bits = 0
    for letter in word:
        bit = 1 << ord(letter) % _BITS
        bits |= bit << _BITS if bits & bit else bit
    return bits


def _pair_bits(word: str) -> int:
    """A bit for each two letters side by side."""
    bits = 0
    for one, other in pairwise(word):
        bits |= 1 << (ord(one) * _BITS + ord(other)) % _PAIR_BITS
    return bits


def _distance_of_names(known: Sequence[str], wanted: Sequence[str], less: int) -> int | None:
    """How many letters differ in all, None if some word is another one; `less` letters fewer may differ in each."""
    total = 0
    for one, other in zip(known, wanted, strict=True):
        most = letters_that_may_differ(len(one), len(other)) - less
        if abs(len(one) - len(other)) > most or (differing := distance(one, other, most)) > most:
            return None
        total += differing
    return total


def distance(one: str, other: str, most: int) -> int:
    """Letters to add, remove, replace or swap with their neighbour (optimal string alignment); more than `most` if so.

    Args:
        one: a word.
        other: another one.
        most: what is larger than this is not reckoned exactly.
    """
    beyond = most + 1
    if one == other or abs(len(one) - len(other)) > most:
        return 0 if one == other else beyond
    width = len(other)
    before: list[int] = []
    last = [column if column <= most else beyond for column in range(width + 1)]
    least = 0
    for row, letter in enumerate(one, 1):
        # Cells farther from the diagonal hold more than `most`.
        line = [beyond] * (width + 1)
        if row <= most:
            line[0] = row
        first, end = max(1, row - most), min(width, row + most)
        lowest = line[0]
        for column in range(first, end + 1):
            found = other[column - 1]
            cost = last[column - 1] + (letter != found)
            if last[column] < cost:
                cost = last[column] + 1
            if line[column - 1] < cost:
                cost = line[column - 1] + 1
            if row > 1 and column > 1 and letter == other[column - 2] and found == one[row - 2]:
                cost = min(cost, before[column - 2] + 1)
            line[column] = cost
            lowest = min(lowest, cost)
        if lowest > most and least > most:
            return beyond
        before, last, least = last, line, lowest
    return min(last[-1], beyond)
