"""Hashes of 256 bits as four words each: how far apart they are, and which are equal in a part of their bits."""

import numpy as np
from numpy.typing import NDArray

from nachet_pipeline.training.components import Indices

Words = NDArray[np.uint64]

WORDS = 4

_WORD_BITS = 64
# A part is sorted as one number of 64 bits, with the row behind it.
_PART_BITS = 32


def distances(words: Words, one: Words) -> NDArray[np.uint8]:
    """In how many bits each hash differs from one of them, 255 at most."""
    distance = np.zeros(words.shape[0], np.uint16)
    for word in range(WORDS):
        distance += np.bitwise_count(words[:, word] ^ one[word])
    return np.minimum(distance, 255).astype(np.uint8)


def telling_word(words: Words) -> int:
    """The word in which hashes differ most."""
    sample = words[:: max(1, words.shape[0] // 256)]
    return int(np.bitwise_count(sample[1:] ^ sample[:-1]).sum(axis=0, dtype=np.int64).argmax())


def middle(words: Words) -> Words:
    """The hash whose bits are those that most of some hashes have."""
    usual = _bit_counts(words) * 2 > words.shape[0]
    return np.packbits(usual, bitorder="little").view("<u8").astype(np.uint64)


def _bit_counts(words: Words) -> Indices:
    """In how many rows each of the 256 bits is set."""
    octets = np.ascontiguousarray(words).astype("<u8").view(np.uint8)
    return np.asarray(np.unpackbits(octets, axis=1, bitorder="little").sum(axis=0, dtype=np.int64))


def parts(words: Words, number: int) -> list[list[int]]:
    """The bits in so many parts that differ about equally often, those that differ most first in each."""
    sample = words[:: max(1, words.shape[0] // 16_384)]
    counts = _bit_counts(sample)
    even = np.minimum(counts, sample.shape[0] - counts)
    order = np.argsort(-even, kind="stable").tolist()
    shared: list[list[int]] = [[] for _ in range(number)]
    for place, bit in enumerate(order):
        turn, seat = divmod(place, number)
        # Back and forth, so that no part has the better bit each time.
        shared[seat if turn % 2 == 0 else number - 1 - seat].append(bit)
    return [part[:_PART_BITS] for part in shared]


def mask(part: list[int]) -> list[int]:
    """The words in which the bits of a part are set, and no others."""
    words = [0] * WORDS
    for bit in part:
        words[bit // _WORD_BITS] |= 1 << bit % _WORD_BITS
    return words


def buckets(words: Words, part: list[int]) -> tuple[Indices, Indices, Indices]:
    """Order rows by a part of their bits: the order, and start and size of each run of at least two equal ones."""
    key = np.zeros(words.shape[0], np.uint64)
    for bit in part:
        key <<= np.uint64(1)
        key |= (words[:, bit // _WORD_BITS] >> np.uint64(bit % _WORD_BITS)) & np.uint64(1)
    key <<= np.uint64(32)
    key |= np.arange(words.shape[0], dtype=np.uint64)
    key.sort()
    order = (key & np.uint64(0xFFFFFFFF)).astype(np.int64)
    key >>= np.uint64(32)
    new = np.ones(key.size, bool)
    new[1:] = key[1:] != key[:-1]
    starts = np.flatnonzero(new)
    sizes = np.diff(np.append(starts, key.size))
    several = sizes > 1
    return order, starts[several], sizes[several]


def spread(starts: Indices, sizes: Indices) -> Indices:
    """All positions of some runs, run after run."""
    return np.repeat(starts - (np.cumsum(sizes) - sizes), sizes) + np.arange(int(sizes.sum()))
