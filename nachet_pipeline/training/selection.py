"""What a recipe chooses, as columns that are split, and the rest of each row in a temporary file.

All is read once, in one snapshot of the database. In memory there are some 120 bytes a picture; what only the manifest
needs waits in a file, compressed, until it is known where each picture goes.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any, Self
from uuid import UUID

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nachet_pipeline.database.candidates import COLUMNS, Choice, candidates
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.training.grouping import Candidates
from nachet_pipeline.training.identifiers import Bytes, as_keys, from_hexadecimal, from_uuids, hash_codes, mixed, places

Ints = NDArray[np.int64]

_TORN_NAMED = 20
_KEPT = [name for name in COLUMNS if name not in {"session", "root_id", "in_conflict"}]
_SCHEMA = pa.schema([(name, COLUMNS[name]) for name in _KEPT])


class Rows:
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
        """Say that these were all."""
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
        root: (n, 16) each picture's topmost parent, or itself.
        taxon: (n,) which of `taxa` it shows.
        taxa: identifiers of all species that were read.
        mixed: pictures left out because they show more than one species.
        torn: pictures left out because their photograph is under several species.
        first_torn: the first of them: the picture, its topmost parent or itself, and those of these species that are
            chosen.
    """

    rows: Rows
    place: Ints
    candidates: Candidates
    root: Bytes
    taxon: Ints
    taxa: tuple[UUID, ...]
    mixed: int
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
        pixels = batch.column("pixel_sha256")
        pixel_codes = hash_codes(from_hexadecimal(pixels, 32))
        pixel_codes[pixels.is_null().to_numpy(zero_copy_only=False)] = -1
        found: dict[str, NDArray[Any]] = {
            "picture": from_uuids(batch.column("picture_id")),
            "session": batch.column("session").to_numpy(),
            "file": hash_codes(from_hexadecimal(batch.column("sha256"), 32)),
            "pixels": pixel_codes,
            "looks": np.ascontiguousarray(from_hexadecimal(looks, 32)).view("<u8"),
            "has_looks": looks.is_valid().to_numpy(zero_copy_only=False),
            "taxon": self._coded(batch.column("taxon_id")),
            "in_conflict": batch.column("in_conflict").to_numpy(zero_copy_only=False),
        }
        if crops:
            found["root"] = from_uuids(batch.column("root_id"))
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


def select(connection: Connection, choice: Choice, rows: Rows, told: Callable[[int], None] | None = None) -> Selection:
    """Read the pictures that a recipe chooses.

    Args:
        connection: in whose transaction they are read.
        choice: what is chosen.
        rows: takes what is not needed in memory.
        told: told how many rows were read.
    """
    crops = choice.recipe.pictures == "crops"
    columns = _Columns()
    for batch in candidates(connection, choice):
        rows.add(batch)
        columns.add(batch, crops=crops)
        if told:
            told(columns.rows)
    rows.end()
    taxa = tuple(UUID(text) for text in columns.codes)
    if not columns.rows:
        return Selection(rows, np.zeros(0, np.int64), _no_candidates(), _no_bytes(), np.zeros(0, np.int64), taxa, 0)
    return _each_once(columns, choice, rows, taxa, crops=crops)


def _each_once(columns: _Columns, choice: Choice, rows: Rows, taxa: tuple[UUID, ...], *, crops: bool) -> Selection:
    picture, taxon = columns.take("picture"), columns.take("taxon")
    keys = as_keys(picture)
    first = np.concatenate(([True], keys[1:] != keys[:-1]))
    number = np.cumsum(first) - 1
    of_two = np.zeros(number[-1] + 1, bool)
    of_two[number[1:][~first[1:] & (taxon[1:] != taxon[:-1])]] = True
    chosen = np.array([not choice.species or one in choice.species for one in taxa], bool)
    place = np.flatnonzero(first & ~of_two[number] & chosen[taxon])
    file, pixels = columns.take("file"), columns.take("pixels")
    root = columns.take("root") if crops else picture
    by_file, by_pixels = (_under_several(codes[place], taxon[place]) for codes in (file, pixels))
    torn = columns.take("in_conflict")[place] | by_file | by_pixels
    first_torn = tuple(
        (
            UUID(bytes=picture[one].tobytes()),
            UUID(bytes=root[one].tobytes()),
            frozenset(taxa[code] for code in np.unique(taxon[place][_same(file, pixels, one)[place]])),
        )
        for one in place[torn][:_TORN_NAMED]
    )
    place, torn_count = place[~torn], int(torn.sum())
    picture, root = picture[place], root[place]
    found = Candidates(
        picture=picture,
        session=columns.take("session")[place],
        # Numbers of equal roots: no picture that is chosen is another one's parent.
        root=np.unique(as_keys(root), return_inverse=True)[1] if crops else np.arange(len(place), dtype=np.int64),
        file=file[place],
        pixels=pixels[place],
        looks=columns.take("looks")[place],
        has_looks=columns.take("has_looks")[place],
    )
    return Selection(
        rows, place, found, root, taxon[place], taxa, int(of_two.sum()), torn=torn_count, first_torn=first_torn
    )


def _under_several(codes: Ints, taxon: Ints) -> NDArray[np.bool_]:
    """Which pictures have a code, not -1, that pictures of another species have too."""
    order = np.lexsort((taxon, codes))
    code, shown = codes[order], taxon[order]
    torn = (code[1:] == code[:-1]) & (shown[1:] != shown[:-1]) & (code[1:] != -1)
    return np.asarray(np.isin(codes, code[1:][torn]), np.bool_)


def _same(file: Ints, pixels: Ints, one: np.int64) -> NDArray[np.bool_]:
    """Which pictures are the same as one, by file or pixels."""
    return np.asarray((file == file[one]) | ((pixels == pixels[one]) & (pixels[one] != -1)), np.bool_)


def _no_bytes() -> Bytes:
    return np.zeros((0, 16), np.uint8)


def _no_candidates() -> Candidates:
    none = np.zeros(0, np.int64)
    return Candidates(_no_bytes(), none, none, none, none, np.zeros((0, 4), np.uint64), np.zeros(0, bool))


def capped(label: Ints, group: Bytes, picture: Bytes, *, most: int | None, seed: int) -> NDArray[np.bool_]:
    """Which pictures stay when no class may have more than so many.

    Of a class, groups are taken whole in an order that a hash of the seed and of the group's identifier decides, the
    last one in part in the like order of its pictures: so most of what was taken stays when pictures are added.

    Args:
        label: (n,) the class of each picture.
        group: (n, 16) the identifier of each picture's group.
        picture: (n, 16) the pictures' identifiers.
        most: pictures of a class at most; None: all stay.
        seed: of the recipe.
    """
    if most is None or not len(label):
        return np.ones(len(label), bool)
    by_group, by_picture = mixed(group, seed), mixed(picture, seed)
    order = np.lexsort((by_picture, as_keys(group), by_group, label))
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


def index_pairs(pairs: Sequence[tuple[UUID, UUID]], picture: Bytes) -> Ints:
    """Pairs of pictures by their places among the chosen ones, (k, 2); pairs that are not among them are left out."""
    if not pairs:
        return np.zeros((0, 2), np.int64)
    wanted = np.frombuffer(b"".join(one.bytes for pair in pairs for one in pair), np.uint8).reshape(-1, 16)
    found = places(wanted, picture).reshape(-1, 2)
    return found[(found >= 0).all(axis=1)]
