"""The verdicts on a version of a training set, from its manifest as it was published.

Nothing is taken from how the set was built: what must stay together is found again from the columns of the manifest
that say what each picture is, without the column `group`, and compared with the split.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nachet_pipeline.picture_sets.labels import Labels
from nachet_pipeline.training.identifiers import characters, from_hexadecimal, hash_code
from nachet_pipeline.training.manifest import ManifestClass
from nachet_pipeline.training.near_duplicates import near_duplicates
from nachet_pipeline.training.recipe import SPLITS
from nachet_pipeline.training.selection import index_pairs
from nachet_pipeline.training.statistics import Statistics
from nachet_pipeline.training.version_pictures import NotCurrent

NO_LEAKS, NO_EMPTY_CLASS, CLASSES_LARGE_ENOUGH = "no_leaks", "no_empty_class", "classes_large_enough"
NO_CONFLICTING_LABELS = "no_conflicting_labels"
PICTURES_CURRENT, CLASSES_ON_EVERY_SIDE = "pictures_current", "classes_on_every_side"

FoundRows = Sequence[Mapping[str, str | int | float]]
Pair = tuple[Sequence[str], Sequence[str]]
"""Two photographs, by the SHA-256 of file and pixels of each, in hexadecimal."""

_NAMED = 20
_KEYS = {
    "session": "pictures of one session",
    "family": "a picture and its crops",
    "file": "pictures of equal files",
    "pixels": "pictures of equal pixels",
    "photograph": "crops of equal files",
    "photograph_pixels": "crops of equal pixels",
    "looks": "pictures that look alike",
    "duplicates": "pictures that somebody declared duplicates",
}
KEY_COLUMNS = (
    "picture_id",
    "picture_set_id",
    "parent_id",
    "split",
    "class_index",
    "class_indices",
    "sha256",
    "pixel_sha256",
    "perceptual_hash",
    "photograph_sha256",
    "photograph_pixel_sha256",
)
"""What `picture_keys` reads of a manifest."""
_UNKNOWN = -1


@dataclass(frozen=True)
class SetVerdict:
    """What a check found.

    Attributes:
        name: of the check.
        passed: whether all is well.
        grave: whether a set that fails it must not be used, and so does not become the current version.
        summary: what is wrong, in one line; empty if nothing is.
        numbers: what was counted or measured.
        rows: what is wrong, a line each; the first ones.
    """

    name: str
    passed: bool
    grave: bool
    summary: str = ""
    numbers: Mapping[str, int | float] = field(default_factory=dict)
    rows: FoundRows = ()


@dataclass
class Keys:
    """What ties pictures to each other, in the order of the manifest.

    Attributes:
        picture: identifiers as text.
        split: place in `SPLITS`; one that is not there has none of them as its side, and is -1.
        label: class index; of several classes a negative number that is the same for the same ones.
        ties: by kind codes that are equal exactly for pictures that are tied, -1 for one that is tied to none.
        looks: perceptual hashes, as four numbers.
        has_looks: whether a picture has one.
        several: the class indices that negative labels stand for.
    """

    picture: NDArray[np.bytes_]
    split: NDArray[np.int64]
    label: NDArray[np.int64]
    ties: dict[str, NDArray[np.int64]]
    looks: NDArray[np.uint64]
    has_looks: NDArray[np.bool_]
    several: dict[int, list[int]] = field(default_factory=dict)


def picture_keys(batches: Iterable[pa.RecordBatch]) -> Keys:
    """Read what ties pictures to each other: about 170 bytes a picture are kept."""
    parts = [_keys(batch) for batch in batches if batch.num_rows]
    if not parts:
        parts = [_keys(pa.RecordBatch.from_pydict({name: pa.array([], pa.string()) for name in KEY_COLUMNS}))]
    return Keys(
        np.concatenate([part.picture for part in parts]),
        np.concatenate([part.split for part in parts]),
        np.concatenate([part.label for part in parts]),
        {kind: np.concatenate([part.ties[kind] for part in parts]) for kind in parts[0].ties},
        np.concatenate([part.looks for part in parts]),
        np.concatenate([part.has_looks for part in parts]),
        {number: indices for part in parts for number, indices in part.several.items()},
    )


def _keys(batch: pa.RecordBatch) -> Keys:
    own, parent = batch.column("picture_id"), batch.column("parent_id")
    split = pc.fill_null(pc.index_in(batch.column("split"), pa.array(SPLITS)), _UNKNOWN)
    hashes = batch.column("perceptual_hash")
    label, several = _labels(batch)
    return Keys(
        _characters(own).view("S36").ravel() if len(own) else np.zeros(0, "S36"),
        split.to_numpy(zero_copy_only=False).astype(np.int64),
        label,
        {
            "session": _codes(batch.column("picture_set_id")),
            "family": _codes(pc.coalesce(parent, own)),
            "file": _codes(batch.column("sha256")),
            "pixels": _codes(batch.column("pixel_sha256")),
            "photograph": _codes(batch.column("photograph_sha256")),
            "photograph_pixels": _codes(batch.column("photograph_pixel_sha256")),
        },
        from_hexadecimal(hashes, 32).view(np.uint64),
        hashes.is_valid().to_numpy(zero_copy_only=False),
        several,
    )


def _labels(batch: pa.RecordBatch) -> tuple[NDArray[np.int64], dict[int, list[int]]]:
    """The label of each picture as `Keys` has it, and what negative ones stand for."""
    single: NDArray[np.int64] = pc.fill_null(batch.column("class_index").cast(pa.int64()), _UNKNOWN).to_numpy()
    if "class_indices" not in batch.schema.names or not batch.column("class_indices").null_count < batch.num_rows:
        return single, {}
    texts = pc.binary_join(batch.column("class_indices").cast(pa.list_(pa.string())), ",").dictionary_encode()
    found: list[int] = []
    several: dict[int, list[int]] = {}
    for text in texts.dictionary.to_pylist():
        indices = [int(index) for index in text.split(",")]
        found.append(indices[0] if len(indices) == 1 else -2 - hash_code(hashlib.sha256(text.encode()).digest()) // 2)
        if len(indices) > 1:
            several[found[-1]] = indices
    return np.array(found, np.int64)[texts.indices.to_numpy()], several


def _characters(texts: pa.Array) -> NDArray[np.uint8]:
    """Texts of one length as rows of bytes; noughts where there is none."""
    length = pc.max(pc.binary_length(texts)).as_py() or 0
    return characters(pc.fill_null(texts, "\0" * length) if texts.null_count else texts, length)


def _codes(texts: pa.Array) -> NDArray[np.int64]:
    """Numbers of 63 bits for identifiers and checksums: the same for the same text, -1 for none.

    Identifiers and checksums are random numbers as good as any, so that of a million different ones two have the same
    code with a chance of less than one in a million; the check would then call a set leaky that is not.
    """
    # All have 36 or 64 characters, so that four are read at a time.
    words = _characters(texts).view("<u4")
    codes = np.zeros(len(texts), np.uint64)
    weights: NDArray[np.uint64] = np.random.default_rng(2026).integers(1, 2**63, words.shape[1:], dtype=np.uint64)
    for place in range(len(weights)):
        codes += words[:, place] * (weights[place] | np.uint64(1))
    known = texts.is_valid().to_numpy(zero_copy_only=False)
    return np.where(known, (codes >> np.uint64(1)).astype(np.int64), _UNKNOWN)


def no_leaks(
    keys: Keys,
    *,
    near_bits: int | None,
    different: Sequence[Pair] = (),
    duplicate: Sequence[Pair] = (),
) -> SetVerdict:
    """Whether anything that belongs together is on two sides.

    Args:
        keys: what ties the pictures.
        near_bits: in how many bits perceptual hashes of pictures that look alike differ at most; None: looks do not
            count.
        different: pairs of photographs that were decided not to be duplicates, whatever they look like.
        duplicate: pairs that were decided to be.
    """
    found: dict[str, int] = {}
    rows: list[Mapping[str, str | int | float]] = []
    for kind, codes in keys.ties.items():
        pairs = _on_two_sides(codes, keys.split)
        found[kind] = len(pairs)
        rows += _rows(kind, pairs, keys)
    if near_bits is not None:
        near = near_duplicates(
            keys.looks,
            keys.has_looks,
            keys.split,
            near_bits=near_bits,
            different=_places(different, keys, ("file", "pixels"), each=True),
            listed=_NAMED,
        )
        found["looks"] = near.count
        rows += _rows("looks", near.pairs[:, :2], keys)
    decided = _places(duplicate, keys, ("file", "pixels", "photograph", "photograph_pixels"), each=False)
    torn = decided[keys.split[decided[:, 0]] != keys.split[decided[:, 1]]]
    found["duplicates"] = len(torn)
    rows += _rows("duplicates", torn, keys)
    nowhere = int((keys.split == _UNKNOWN).sum())
    said = [f"{_KEYS[kind]} are on two sides ({count:,} times)" for kind, count in found.items() if count]
    if nowhere:
        said.append(f"{nowhere:,} pictures are on no side")
    return SetVerdict(NO_LEAKS, not said, True, "; ".join(said), {**found, "on_no_side": nowhere}, rows)


def no_conflicting_labels(keys: Keys, classes: Sequence[ManifestClass], stored: Labels) -> SetVerdict:
    """Whether every photograph has one label: in the version, and wherever it is stored, or as was decided of it.

    Where pictures may have several labels, those of a photograph are the same ones.

    Args:
        keys: the pictures' keys, from the manifest.
        classes: of the version.
        stored: the labels in the database.
    """
    label_of = {one.class_index: one.label for one in classes}
    label_of |= {
        number: " and ".join(label_of.get(index, "") for index in indices) for number, indices in keys.several.items()
    }
    index_of = {one.taxon_id: one.class_index for one in classes}
    pairs = [_on_two_sides(keys.ties[kind], keys.label) for kind in ("file", "pixels")]
    two = np.unique(np.concatenate(pairs), axis=0)
    conflicting = np.zeros(len(keys.picture), np.bool_)
    conflicting[_found(stored.conflicting, keys)[0]] = True
    for kind, texts in (("file", stored.files), ("pixels", stored.pixels)):
        conflicting |= np.isin(keys.ties[kind], _codes(pa.array(texts, pa.string())))
    of_decided, which = _found([picture for picture, _ in stored.decided], keys)
    wanted = np.array([index_of.get(stored.decided[one][1], _UNKNOWN) for one in which], np.int64)
    otherwise = of_decided[keys.label[of_decided] != wanted]
    at_odds = np.flatnonzero(conflicting)
    numbers = {"two_labels": len(two), "in_conflict": len(at_odds), "not_as_decided": len(otherwise)}
    what = {
        "two_labels": "{} photographs are under two labels",
        "in_conflict": "{} pictures are of photographs that are stored under another species as well",
        "not_as_decided": "{} pictures are under another species than was decided",
    }
    rows: list[Mapping[str, str | int | float]] = [
        {"what": "two labels", "picture": keys.picture[one].decode(), "label": label_of.get(int(keys.label[one]), "")}
        for one in two[:_NAMED].ravel()
    ]
    for said, places in (("stored under several species", at_odds), ("decided otherwise", otherwise)):
        rows += [
            {"what": said, "picture": keys.picture[one].decode(), "label": label_of.get(int(keys.label[one]), "")}
            for one in places[:_NAMED]
        ]
    said_all = "; ".join(what[name].format(f"{count:,}") for name, count in numbers.items() if count)
    return SetVerdict(NO_CONFLICTING_LABELS, not said_all, True, said_all, numbers, rows)


def _found(pictures: Sequence[str], keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places in the manifest of the pictures that are in it, and which of the pictures those are."""
    if not pictures or not len(keys.picture):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    wanted = np.array(pictures, "S36")
    at = np.minimum(np.searchsorted(keys.picture, wanted), len(keys.picture) - 1)
    there = np.asarray(keys.picture[at] == wanted, np.bool_)
    return np.asarray(at[there], np.int64), np.flatnonzero(there)


def _on_two_sides(codes: NDArray[np.int64], split: NDArray[np.int64]) -> NDArray[np.int64]:
    """A pair of places for every code that is found on more than one side."""
    order = np.lexsort((split, codes))
    order = order[codes[order] != _UNKNOWN]
    torn = (codes[order[1:]] == codes[order[:-1]]) & (split[order[1:]] != split[order[:-1]])
    at = np.flatnonzero(torn)
    _, first = np.unique(codes[order[at]], return_index=True)
    return np.stack([order[at[first]], order[at[first] + 1]], axis=1)


def _places(pairs: Sequence[Pair], keys: Keys, kinds: Sequence[str], *, each: bool) -> NDArray[np.int64]:
    """The pairs of which both pictures are in the manifest, as places in it."""
    coded = [(_codes(pa.array(one)).tolist(), _codes(pa.array(other)).tolist()) for one, other in pairs]
    return index_pairs(coded, [keys.ties[kind] for kind in kinds], each=each)


def _rows(kind: str, pairs: NDArray[np.int64], keys: Keys) -> Iterator[dict[str, str | int]]:
    for one, other in pairs[:_NAMED]:
        yield {
            "what": _KEYS[kind],
            "picture": keys.picture[one].decode(),
            "split": _side(keys.split[one]),
            "other picture": keys.picture[other].decode(),
            "other split": _side(keys.split[other]),
        }


def _side(place: np.int64) -> str:
    return SPLITS[place] if place != _UNKNOWN else "none"


def no_empty_class(counted: Statistics, classes: Sequence[ManifestClass]) -> SetVerdict:
    """Whether every class has pictures to learn from, and there is any class."""
    empty = [one for one in classes if not counted.of_class(one.class_index)]
    untrained = [one for one in classes if one not in empty and not counted.pictures[one.class_index, "train"]]
    said = [] if classes else ["the set has no class"]
    for what, concerned in (("no picture", empty), ("no picture to train with", untrained)):
        if concerned:
            said.append(f"{_count(len(concerned), 'class has', 'classes have')} {what}: {_list(concerned)}")
    rows: FoundRows = [
        {"class": one.label, "pictures": counted.of_class(one.class_index), "train": 0} for one in (*empty, *untrained)
    ]
    numbers = {"classes": len(classes), "empty": len(empty), "without_training_pictures": len(untrained)}
    return SetVerdict(NO_EMPTY_CLASS, not said, True, "; ".join(said), numbers, rows)


def classes_large_enough(counted: Statistics, classes: Sequence[ManifestClass], *, minimum: int) -> SetVerdict:
    """Whether every class has as many pictures as the recipe wants at least; empty classes are another check's."""
    sizes = {one: counted.of_class(one.class_index) for one in classes}
    small = {one: size for one, size in sizes.items() if 0 < size < minimum}
    said = (
        f"{_count(len(small), 'class has', 'classes have')} fewer than {minimum:,} pictures: {_list(list(small))}"
        if small
        else ""
    )
    rows: FoundRows = [{"class": one.label, "pictures": size, "minimum": minimum} for one, size in small.items()]
    smallest = min(sizes.values(), default=0)
    return SetVerdict(
        CLASSES_LARGE_ENOUGH, not small, True, said, {"under_minimum": len(small), "smallest_class": smallest}, rows
    )


def classes_on_every_side(
    counted: Statistics, classes: Sequence[ManifestClass], *, fractions: Mapping[str, float]
) -> SetVerdict:
    """Whether every class is measured: on each side that the recipe wants; a class of few groups cannot be."""
    wanted = [split for split in SPLITS if fractions.get(split)]
    missing = {
        one: [split for split in wanted if not counted.pictures[one.class_index, split]]
        for one in classes
        if counted.of_class(one.class_index)
    }
    absent = {one: splits for one, splits in missing.items() if splits}
    said = (
        f"{_count(len(absent), 'class is', 'classes are')} too small to be on every side: {_list(list(absent))}"
        if absent
        else ""
    )
    rows: FoundRows = [
        {"class": one.label, "pictures": counted.of_class(one.class_index), "not in": ", ".join(splits)}
        for one, splits in absent.items()
    ]
    return SetVerdict(CLASSES_ON_EVERY_SIDE, not absent, False, said, {"not_on_every_side": len(absent)}, rows)


def pictures_current(found: NotCurrent) -> SetVerdict:
    """Whether all pictures are still wanted, and judged and measured by today's rules and code."""
    numbers = {
        "withdrawn": found.withdrawn,
        "superseded": found.superseded,
        "refused_today": found.refused,
        "broken_files": found.broken,
        "stale": found.stale,
    }
    what = {
        "withdrawn": "withdrawn",
        "superseded": "taken out by a correction, or cut otherwise today",
        "refused_today": "refused by today's rules",
        "broken_files": "without the file that was stored",
        "stale": "judged or measured by other rules or code than today's",
    }
    said = [f"{count:,} pictures are {what[name]}" for name, count in numbers.items() if count]
    return SetVerdict(PICTURES_CURRENT, not said, False, "; ".join(said), numbers)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _list(classes: Sequence[ManifestClass]) -> str:
    named = ", ".join(one.label for one in classes[:5])
    return f"{named}, …" if len(classes) > 5 else named  # noqa: PLR2004 (a line is no place for more)
