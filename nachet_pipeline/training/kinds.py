"""What each picture shows, as columns: species, or classes, with the number of seeds of each.

Most pictures show one kind, so that there are mostly as many rows as pictures.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from nachet_pipeline.training.hash_parts import spread
from nachet_pipeline.training.identifiers import scrambled

Ints = NDArray[np.int64]

NO_NUMBER = -1


@dataclass(frozen=True, slots=True)
class Kinds:
    """What n pictures show in m kinds: each picture's kinds together, ascending, each once.

    Attributes:
        begin: (n + 1,) where the kinds of each picture begin; the last is m.
        code: (m,) which kind it is.
        seeds: (m,) how many seeds of it the picture shows, `NO_NUMBER` if that is not known.
    """

    begin: Ints
    code: Ints
    seeds: Ints

    @classmethod
    def of(cls, picture: Ints, code: Ints, seeds: Ints, pictures: int) -> Self:
        """From rows of which several may be of one kind: their seeds are added up.

        Args:
            picture: (k,) which of the pictures a row is of, ascending, each of them at least once.
            code: (k,) its kind.
            seeds: (k,) the number of seeds of it.
            pictures: how many there are.
        """
        if len(code) == pictures:
            return cls(np.arange(pictures + 1), code, seeds)
        order = np.lexsort((code, picture))
        picture, code, seeds = picture[order], code[order], seeds[order]
        first = np.flatnonzero(np.concatenate(([True], (picture[1:] != picture[:-1]) | (code[1:] != code[:-1]))))
        unknown = np.minimum.reduceat(seeds, first) == NO_NUMBER
        seeds = np.where(unknown, NO_NUMBER, np.add.reduceat(seeds, first))
        picture, code = picture[first], code[first]
        return cls(np.searchsorted(picture, np.arange(pictures + 1)), code, seeds)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.begin) - 1

    @property
    def several(self) -> bool:
        """Whether any picture shows more than one kind."""
        return len(self.code) > len(self)

    @property
    def number(self) -> Ints:
        """(n,) how many kinds each picture shows."""
        return np.diff(self.begin)

    @property
    def picture(self) -> Ints:
        """(m,) the picture of each kind."""
        return np.repeat(np.arange(len(self)), self.number)

    def take(self, places: Ints) -> "Kinds":
        """Those of some pictures, in that order."""
        rows = spread(self.begin[places], self.number[places]) if self.several else places
        begin = np.concatenate(([0], np.cumsum(self.number[places])))
        return Kinds(begin, self.code[rows], self.seeds[rows])

    def renamed(self, codes: Ints) -> "Kinds":
        """The same under other codes, by today's; kinds that have one code then are one kind."""
        return Kinds.of(self.picture, codes[self.code], self.seeds, len(self))

    def sets(self) -> Ints:
        """(n,) a number for each picture that is the same for the same kinds.

        It is the sum of 64 bits that look like chance for each kind, so that two different sets have the same one as
        good as never.
        """
        if not len(self):
            return np.zeros(0, np.int64)
        return np.add.reduceat(scrambled(self.code.astype(np.uint64)), self.begin[:-1]).view(np.int64)
