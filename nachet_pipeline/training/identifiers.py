"""Identifiers and hashes as arrays: from text to bytes and back, and a number for each, for very many at a time."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

_UUID_LENGTH = 36
_HYPHENS = (8, 13, 18, 23)
_DIGIT_PLACES = np.array([place for place in range(_UUID_LENGTH) if place not in _HYPHENS])
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_VALUES = np.zeros(256, np.uint8)
_VALUES[_DIGITS] = np.arange(16)


def from_hexadecimal(texts: pa.StringArray, length: int) -> Bytes:
    """The bytes that hexadecimal texts stand for, (n, length); zeros where there is no text.

    Args:
        texts: in small letters, each of twice as many digits.
        length: how many bytes each stands for.
    """
    if texts.null_count:
        texts = pc.fill_null(texts, "00" * length)
    return _paired(characters(texts, 2 * length))


def from_uuids(texts: pa.StringArray) -> Bytes:
    """The bytes of identifiers, (n, 16); zeros where there is none."""
    if texts.null_count:
        texts = pc.fill_null(texts, "00000000-0000-0000-0000-000000000000")
    return _paired(characters(texts, _UUID_LENGTH)[:, _DIGIT_PLACES])


def to_uuids(values: Bytes) -> pa.StringArray:
    """Identifiers as text."""
    characters = np.full((len(values), _UUID_LENGTH), ord("-"), np.uint8)
    digits = np.empty((len(values), 2 * values.shape[1]), np.uint8)
    digits[:, 0::2], digits[:, 1::2] = _DIGITS[values >> 4], _DIGITS[values & 15]
    characters[:, _DIGIT_PLACES] = digits
    offsets = np.arange(len(values) + 1, dtype=np.int32) * _UUID_LENGTH
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(offsets), pa.py_buffer(characters.tobytes()))


def as_keys(values: Bytes) -> NDArray[np.bytes_]:
    """Identifiers as values that NumPy compares, sorts and searches, byte by byte from the first."""
    return np.ascontiguousarray(values).view(f"S{values.shape[1]}").ravel()


def places(wanted: Bytes, known: Bytes) -> NDArray[np.int64]:
    """Where identifiers are among others, -1 for those that are not.

    Args:
        wanted: what is looked for.
        known: sorted, each once.
    """
    if not len(known):
        return np.full(len(wanted), -1, np.int64)
    keys, looked_for = as_keys(known), as_keys(wanted)
    found = np.minimum(np.searchsorted(keys, looked_for), len(known) - 1)
    return np.where(keys[found] == looked_for, found, -1)


def hash_codes(values: Bytes) -> NDArray[np.int64]:
    """The first 63 bits of hashes, as numbers that are never negative.

    Among a million different hashes two have one code with a probability of 5 in 100 million.
    """
    first = np.ascontiguousarray(values[:, :8]).view(">u8").ravel()
    return (first >> np.uint64(1)).astype(np.int64)


def hash_code(value: bytes) -> int:
    """The number that `hash_codes` gives for one hash."""
    return int.from_bytes(value[:8], "big") >> 1


def mixed(values: Bytes, seed: int) -> NDArray[np.uint64]:
    """A number for each identifier that looks like chance, another one for each seed, the same on every machine."""
    halves = np.ascontiguousarray(values).view(">u8").astype(np.uint64).reshape(len(values), 2)
    state = scrambled(np.full(len(values), seed % 2**64, np.uint64))
    return scrambled(scrambled(state ^ halves[:, 0]) ^ halves[:, 1])


def scrambled(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One step of SplitMix64, in which each bit of the input turns half of the output's.

    By G. Steele, D. Lea and C. Flood (Fast Splittable Pseudorandom Number Generators, 2014).
    """
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def characters(texts: pa.StringArray, length: int) -> Bytes:
    """Texts of one length as rows of bytes, (n, length); there is none that is null."""
    _, offsets, data = texts.buffers()
    if not length or data is None:
        return np.zeros((len(texts), length), np.uint8)
    begins = np.frombuffer(offsets, np.int32, count=len(texts) + 1, offset=4 * texts.offset)
    if (np.diff(begins) != length).any():
        raise ValueError(f"expected texts of {length} characters")
    return np.frombuffer(data, np.uint8)[begins[0] : begins[-1]].reshape(len(texts), length)


def _paired(digits: Bytes) -> Bytes:
    values = _VALUES[digits]
    return values[:, 0::2] << np.uint8(4) | values[:, 1::2]
