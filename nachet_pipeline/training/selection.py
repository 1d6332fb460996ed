"""What a recipe chooses, as columns that are split, and the rest of each row in a temporary file.

All is read once, in one snapshot of the database. In memory there are some 120 bytes a picture; what only the manifest
needs waits in a file, compressed, until it is known where each picture goes.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, Any, Self
from uuid import UUID

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.registry.queries import seeds_with_ids
from nachet_pipeline.registry.seeds import Seed
from nachet_pipeline.training.candidates import CANDIDATE_COLUMNS, Choice, candidates
from nachet_pipeline.training.grouping import Candidates
from nachet_pipeline.training.identifiers import Bytes, as_keys, from_hexadecimal, from_uuids, hash_codes, mixed
from nachet_pipeline.training.ranks import labels_at

Ints = NDArray[np.int64]

_TORN_NAMED = 20
_KEPT = [name for name in CANDIDATE_COLUMNS if name not in {"session", "root_id", "in_conflict"}]
_SCHEMA = pa.schema([(name, CANDIDATE_COLUMNS[name]) for name in _KEPT])


class SpooledRows:
    """The chosen rows in a temporary file. A context manager; the file is gone at its end."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        file = tempfile.TemporaryFile(prefix="nachet-training-")  # noqa: SIM115 (closed by the stack)
        self._file: IO[bytes] = self._stack.enter_context(file)
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._file, mode="w"), _SCHEMA, options=options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Write rows."""
        self._writer.write_batch(batch.select(_KEPT))

    def end(self) -> None:
        """Finish writing."""
        self._writer.close()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the rows in the order in which they were written."""
        self._file.seek(0)
        yield from pa.ipc.open_stream(pa.PythonFile(self._file, mode="r"))


@dataclass(frozen=True, slots=True)
class Selection:
    """The pictures of a recipe, each once, in the order of their identifiers.

    Attributes:
        rows: everything else of each row read.
        place: (n,) which of those rows each picture is.
        candidates: what groups are found by.
        contents: (n, 16) arrays, the beginnings of the SHA-256 of all that a picture is: its own file and pixels, and
            those of the photograph that it was cut from; zeros where there are none.
        photograph: (n, 16) of these the file of the photograph that it was cut from, or its own.
        taxon: (n,) which of `taxa` it is labelled as.
        taxa: the taxa that pictures are labelled as.
        shown: (n,) which of `species` it shows.
        species: identifiers of all species that were read.
        wider: pictures left out because they show a taxon of a wider rank than the labels', by that taxon.
        mixed: pictures left out because they show more than one species.
        torn: pictures left out because their photograph is under several species.
        first_torn: the first of them: the picture, its topmost parent or itself, and those of these species that are
            chosen.
    """

    rows: SpooledRows
    place: Ints
    candidates: Candidates
    contents: tuple[Bytes, ...]
    photograph: Bytes
    taxon: Ints
    taxa: tuple[Seed, ...]
    shown: Ints
    species: tuple[UUID, ...]
    mixed: int
    wider: Mapping[UUID, int] = field(default_factory=dict)
    torn: int = 0
    first_torn: tuple[tuple[UUID, UUID, frozenset[UUID]], ...] = ()


class _Columns:
    """Columns that grow."""

    def __init__(self) -> None:
        self.parts: dict[str, list[NDArray[Any]]] = {}
        self.codes: dict[str, int] = {}
        self.rows = 0

    def add(self, batch: pa.RecordBatch, *, crops: bool) -> None:
        looks = batch.column("perceptual_hash")
        found: dict[str, NDArray[Any]] = {
            "picture": from_uuids(batch.column("picture_id")),
            "session": batch.column("session").to_numpy(),
            "file": _beginnings(batch.column("sha256")),
            "pixels": _beginnings(batch.column("pixel_sha256")),
            "looks": np.ascontiguousarray(from_hexadecimal(looks, 32)).view("<u8"),
            "has_looks": looks.is_valid().to_numpy(zero_copy_only=False),
            "taxon": self._coded(batch.column("taxon_id")),
            "in_conflict": batch.column("in_conflict").to_numpy(zero_copy_only=False),
        }
        if crops:
            found["root"] = _beginnings(batch.column("photograph_sha256"))
            found["root_pixels"] = _beginnings(batch.column("photograph_pixel_sha256"))
            found["root_id"] = from_uuids(batch.column("root_id"))
        for name, values in found.items():
            self.parts.setdefault(name, []).append(values)
        self.rows += batch.num_rows

    def _coded(self, texts: pa.StringArray) -> Ints:
        encoded = texts.dictionary_encode()
        codes = [self.codes.setdefault(text, len(self.codes)) for text in encoded.dictionary.to_pylist()]
        indices: Ints = encoded.indices.to_numpy()
        return np.array(codes, np.int64)[indices]

    def take(self, name: str) -> NDArray[Any]:
        """A whole column; its parts are let go of."""
        return np.concatenate(self.parts.pop(name))


def select(connection: Connection, choice: Choice, rows: SpooledRows, progress: Callable[[int], None]) -> Selection:
    """Read the pictures that a recipe chooses.

    Args:
        connection: in whose transaction they are read.
        choice: what is chosen.
        rows: takes what is not needed in memory.
        progress: receives how many rows were read.
    """
    crops = choice.recipe.pictures == "crops"
    columns = _Columns()
    for batch in candidates(connection, choice):
        rows.add(batch)
        columns.add(batch, crops=crops)
        progress(columns.rows)
    rows.end()
    none = np.zeros(0, np.int64)
    if not columns.rows:
        return Selection(rows, none, _no_candidates(), (), _no_bytes(), none, (), none, (), 0)
    species = [UUID(text) for text in columns.codes]
    # A decision about a photograph may name a species that is retired by now.
    labels = labels_at(choice.registry, seeds_with_ids(connection, species), choice.recipe.label_rank)
    return _each_once(columns, choice, rows, _Labels.of(species, labels), crops=crops)


@dataclass(frozen=True, slots=True)
class _Labels:
    """The taxa that pictures are labelled as.

    Attributes:
        species: identifiers of the species that pictures show.
        taxa: what they are labelled as, each once.
        label: (n,) of each species the place of its label among these, -1 if it is of a wider rank than labels.
    """

    species: tuple[UUID, ...]
    taxa: tuple[Seed, ...]
    label: Ints

    @classmethod
    def of(cls, species: Sequence[UUID], labels: Mapping[UUID, Seed]) -> Self:
        taxa = {labels[one].id: labels[one] for one in species if one in labels}
        place = {identifier: number for number, identifier in enumerate(taxa)}
        label = [place[labels[one].id] if one in labels else -1 for one in species]
        return cls(tuple(species), tuple(taxa.values()), np.array(label, np.int64))


def _each_once(columns: _Columns, choice: Choice, rows: SpooledRows, labels: _Labels, *, crops: bool) -> Selection:
    taxa = labels.species
    picture, taxon = columns.take("picture"), columns.take("taxon")
    keys = as_keys(picture)
    first = np.concatenate(([True], keys[1:] != keys[:-1]))
    number = np.cumsum(first) - 1
    of_two = np.zeros(number[-1] + 1, bool)
    of_two[number[1:][~first[1:] & (taxon[1:] != taxon[:-1])]] = True
    chosen = np.array([not choice.species or one in choice.species for one in taxa], bool)
    fits = first & ~of_two[number] & chosen[taxon]
    wide = np.unique(taxon[fits & (labels.label[taxon] < 0)], return_counts=True)
    place = np.flatnonzero(fits & (labels.label[taxon] >= 0))
    own = [columns.take("file")[place], columns.take("pixels")[place]]
    roots = [columns.take("root")[place], columns.take("root_pixels")[place]] if crops else own
    root_id = columns.take("root_id")[place] if crops else picture[place]
    under_several = [_under_several(_codes_of(one), taxon[place]) for one in own]
    torn = np.logical_or.reduce([columns.take("in_conflict")[place], *under_several])
    first_torn = tuple(
        _torn(picture[place], root_id, own, taxon[place], taxa, one) for one in np.flatnonzero(torn)[:_TORN_NAMED]
    )
    stays = ~torn
    place, own, roots = place[stays], [one[stays] for one in own], [one[stays] for one in roots]
    picture = picture[place]
    file, pixels = map(_codes_of, own)
    root, root_pixels = map(_codes_of, roots) if crops else (file, pixels)
    found = Candidates(
        picture=picture,
        session=columns.take("session")[place],
        root=root,
        root_pixels=root_pixels,
        file=file,
        pixels=pixels,
        looks=columns.take("looks")[place],
        has_looks=columns.take("has_looks")[place],
    )
    contents = (*own, *roots) if crops else tuple(own)
    return Selection(
        rows,
        place,
        found,
        contents,
        roots[0],
        labels.label[taxon[place]],
        labels.taxa,
        taxon[place],
        taxa,
        int(of_two.sum()),
        wider={taxa[code]: int(count) for code, count in zip(*wide, strict=True)},
        torn=int(torn.sum()),
        first_torn=first_torn,
    )


def _beginnings(hashes: pa.StringArray) -> Bytes:
    """The first half of hashes, which distinguishes them as well; zeros where there is none."""
    return np.ascontiguousarray(from_hexadecimal(hashes, 32)[:, :16])


def _codes_of(beginnings: Bytes) -> Ints:
    return np.where(beginnings.any(axis=1), hash_codes(beginnings), -1)


def _under_several(codes: Ints, taxon: Ints) -> NDArray[np.bool_]:
    """Which pictures have a code, not -1, that pictures of another species have too."""
    order = np.lexsort((taxon, codes))
    code, shown = codes[order], taxon[order]
    torn = (code[1:] == code[:-1]) & (shown[1:] != shown[:-1]) & (code[1:] != -1)
    return np.asarray(np.isin(codes, code[1:][torn]), np.bool_)


def _torn(
    picture: Bytes, root: Bytes, own: list[Bytes], taxon: Ints, taxa: tuple[UUID, ...], one: np.int64
) -> tuple[UUID, UUID, frozenset[UUID]]:
    """A picture whose photograph is under several species, its topmost parent or itself, and those that are chosen."""
    same = np.zeros(len(taxon), bool)
    for contents in own:
        same |= (contents == contents[one]).all(axis=1) & contents[one].any()
    same[one] = True
    shown = frozenset(taxa[code] for code in np.unique(taxon[same]))
    return UUID(bytes=picture[one].tobytes()), UUID(bytes=root[one].tobytes()), shown


def _no_bytes() -> Bytes:
    return np.zeros((0, 16), np.uint8)


def _no_candidates() -> Candidates:
    none = np.zeros(0, np.int64)
    return Candidates(_no_bytes(), none, none, none, none, none, np.zeros((0, 4), np.uint64), np.zeros(0, bool))


def capped(label: Ints, group: Ints, content: Bytes, *, most: int | None, seed: int) -> NDArray[np.bool_]:
    """Which pictures stay when no class may have more than so many.

    Of a class, groups are taken whole in the order of their pictures' smallest hashes of the seed and of the file, the
    last one in part in the like order of its pictures: so most of what was taken stays when pictures are added.

    Args:
        label: (n,) the class of each picture.
        group: (n,) the code of each picture's group, from 0 to n - 1.
        content: (n, 16) of each picture the beginning of its file's SHA-256, which stays wherever it lies.
        most: pictures of a class at most; None: all stay.
        seed: of the recipe.
    """
    if most is None or not len(label):
        return np.ones(len(label), bool)
    by_picture = mixed(content, seed)
    smallest = np.full(len(label), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(smallest, group, by_picture)
    order = np.lexsort((by_picture, group, smallest[group], label))
    ordered = label[order]
    begins = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    lengths = np.diff(np.append(begins, len(label)))
    rank = np.arange(len(label)) - np.repeat(begins, lengths)
    stays = np.zeros(len(label), bool)
    stays[order] = rank < most
    return stays


def smallest_members(group: Ints) -> Ints:
    """Groups renumbered by their smallest members, after pictures were left out."""
    _, first, code = np.unique(group, return_index=True, return_inverse=True)
    return first[code.ravel()]


def placed(positions: Ints, start: int, rows: int) -> Ints:
    """Which of the rows from `start` are among sorted positions, counted from `start`."""
    first, last = np.searchsorted(positions, (start, start + rows))
    return positions[first:last] - start


def index_pairs(pairs: Sequence[tuple[Sequence[int], Sequence[int]]], columns: Sequence[Ints], *, each: bool) -> Ints:
    """Pairs of pictures by their places, (k, 2), of pairs of contents; those that no two pictures have are left out.

    Args:
        pairs: of each of the two contents all codes that it has.
        columns: (n,) codes of the pictures' contents.
        each: whether every picture of the one is paired with every picture of the other, or just so many that all of
            them are connected.
    """
    if not pairs:
        return np.zeros((0, 2), np.int64)
    wanted = np.array(sorted({code for pair in pairs for codes in pair for code in codes}), np.int64)
    places_of: dict[int, set[int]] = {}
    for column in columns:
        for place in np.flatnonzero(np.isin(column, wanted)).tolist():
            places_of.setdefault(int(column[place]), set()).add(place)
    found: list[tuple[int, int]] = []
    for pair in pairs:
        ones, others = (sorted(set().union(*(places_of.get(code, set()) for code in codes))) for codes in pair)
        if each:
            found += [(one, other) for one in ones for other in others if one != other]
        elif ones and others:
            found += [(ones[0], other) for other in others] + [(one, others[0]) for one in ones[1:]]
    return np.array(found, np.int64).reshape(-1, 2)
