"""Which pictures belong together: a training set's split never parts them.

A group is everything connected by session, by the photograph that crops were cut from, by an equal file, by equal
pixels or by looks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nachet_pipeline.training.components import equal_codes, unite
from nachet_pipeline.training.near_duplicates import LISTED, near_duplicates

MOST_NEAR_BITS = 15
"""Perceptual hashes that differ in more bits do not show that their pictures look alike.

More than an import finds: the bands that stored pictures are found by play no part in grouping.
"""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What grouping needs to know of n pictures, in the order of their identifiers.

    Codes are any numbers that are equal for what is equal.

    Attributes:
        picture: (n, 16) uint8, the pictures' UUIDs.
        session: (n,) codes of the picture sets.
        root: (n,) codes of the files of the topmost parents; a picture without parent has its own file's, say.
        root_pixels: (n,) codes of the pixels' hashes of the topmost parents likewise, -1 for unknown.
        file: (n,) codes of the files' SHA-256.
        pixels: (n,) codes of the pixels' hash, -1 for unknown.
        looks: (n, 4) uint64, the perceptual hashes; any order of their bytes will do if it is the same for all.
        has_looks: (n,) whether a picture has a perceptual hash.
    """

    picture: NDArray[np.uint8]
    session: NDArray[np.int64]
    root: NDArray[np.int64]
    root_pixels: NDArray[np.int64]
    file: NDArray[np.int64]
    pixels: NDArray[np.int64]
    looks: NDArray[np.uint64]
    has_looks: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of pictures."""
        return int(self.session.size)


@dataclass(frozen=True, slots=True)
class Grouping:
    """Who belongs together.

    Attributes:
        group: (n,) for each picture the index of its group's smallest member.
        near_pairs: (p, 3) int64, index, index, bits apart: pairs of pictures that nothing but their looks connects,
            the closest first; at most 10,000, so that memory is bounded.
        near_pair_count: number of such pairs, listed or not.
        near_pairs_counted_all: False if there were too many to look at each: there are then more than counted. The
            groups are exact nevertheless.
        joined_unseen: pictures that were taken into a group without comparing them with all others, because that would
            have taken too long: 0 but for hundreds of thousands of pictures that all but look alike. Groups are then
            larger than they need be, and never too small.
    """

    group: NDArray[np.int64]
    near_pairs: NDArray[np.int64]
    near_pair_count: int
    near_pairs_counted_all: bool
    joined_unseen: int


def groups(
    candidates: Candidates,
    *,
    near_bits: int | None,
    different: NDArray[np.int64] | None = None,
    joined: NDArray[np.int64] | None = None,
    listed: int = LISTED,
) -> Grouping:
    """Find the groups.

    Args:
        candidates: the pictures.
        near_bits: how many bits the perceptual hashes of near duplicates may differ in, 0 to 15; None: looks connect
            nothing.
        different: (k, 2) pairs that somebody declared different: their looks do not connect them. What else they share
            does, as does a third picture that looks like both.
        joined: (m, 2) pairs that somebody declared duplicates.
        listed: near pairs to list at most.

    Raises:
        ValueError: `near_bits` is out of range.
    """
    if near_bits is not None and not 0 <= near_bits <= MOST_NEAR_BITS:
        raise ValueError(f"near_bits is {near_bits}; from 0 to {MOST_NEAR_BITS} is possible")
    group = np.arange(len(candidates), dtype=np.int64)
    codes = (candidates.session, candidates.root, candidates.root_pixels, candidates.file, candidates.pixels)
    for one in codes:
        unite(group, equal_codes(one))
    if joined is not None:
        unite(group, np.asarray(joined, np.int64).reshape(-1, 2))
    if near_bits is None:
        return Grouping(group, np.zeros((0, 3), np.int64), 0, near_pairs_counted_all=True, joined_unseen=0)
    near = near_duplicates(
        candidates.looks, candidates.has_looks, group, near_bits=near_bits, different=different, listed=listed
    )
    unite(group, near.links)
    return Grouping(group, near.pairs, near.count, near.counted_all, near.joined_unseen)
