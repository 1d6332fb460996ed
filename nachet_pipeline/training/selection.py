"""What a recipe chooses, as columns that are split, and the rest of each row in a temporary file.

All is read once, in one snapshot of the database. In memory there are some 150 bytes a picture; what only the manifest
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
from nachet_pipeline.training.kinds import NO_NUMBER, Ints, Kinds
from nachet_pipeline.training.ranks import labels_at

_TORN_NAMED = 20
_UNNAMED = -1
_LET_GO = {"session", "seeds_of_taxon", "root_id", "in_conflict", "partly_named"}
_KEPT = [name for name in CANDIDATE_COLUMNS if name not in _LET_GO]
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
        labels: which of `taxa` it is labelled as; of several only if the recipe takes such pictures.
        taxa: the taxa that pictures are labelled as, in the order of their identifiers.
        shown: which of `species` it shows.
        species: identifiers of all species that were read.
        label_of: (s,) which of `taxa` each of these is labelled as, -1 if it is of a wider rank than labels.
        mixed: pictures left out because they show more than one species; with several labels a picture, because they
            show species that are not chosen beside ones that are.
        unnamed: pictures left out because nobody has named their seeds, or some of them, in this row of the photograph
            or, beside a species, in another.
        wider: pictures left out because they show a taxon of a wider rank than the labels', by that taxon.
        torn: pictures left out because their photograph is under several species.
        first_torn: the first of them: the picture, its topmost parent or itself, and those of these species that are
            chosen.
    """

    rows: SpooledRows
    place: Ints
    candidates: Candidates
    contents: tuple[Bytes, ...]
    photograph: Bytes
    labels: Kinds
    taxa: tuple[Seed, ...]
    shown: Kinds
    species: tuple[UUID, ...]
    label_of: Ints
    mixed: int = 0
    unnamed: int = 0
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
            "seeds": batch.column("seeds_of_taxon").fill_null(NO_NUMBER).to_numpy(),
            "in_conflict": batch.column("in_conflict").to_numpy(zero_copy_only=False),
            "partly_named": batch.column("partly_named").to_numpy(zero_copy_only=False),
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
        indices: Ints = encoded.indices.fill_null(len(codes)).to_numpy()
        return np.array([*codes, _UNNAMED], np.int64)[indices]

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
        nothing = Kinds(np.zeros(1, np.int64), none, none)
        return Selection(rows, none, _no_candidates(), (), _no_bytes(), nothing, (), nothing, (), none)
    species = [UUID(text) for text in columns.codes]
    # A decision about a photograph may name a species that is retired by now.
    labels = labels_at(choice.registry, seeds_with_ids(connection, species), choice.recipe.label_rank)
    return _each_once(columns, choice, rows, _Labels.of(species, labels), crops=crops)


@dataclass(frozen=True, slots=True)
class _Labels:
    """The taxa that pictures are labelled as.

    Attributes:
        species: identifiers of the species that pictures show.
        taxa: what they are labelled as, each once, in the order of their identifiers.
        label: (n,) of each species the place of its label among these, -1 if it is of a wider rank than labels.
    """

    species: tuple[UUID, ...]
    taxa: tuple[Seed, ...]
    label: Ints

    @classmethod
    def of(cls, species: Sequence[UUID], labels: Mapping[UUID, Seed]) -> Self:
        taxa = sorted({labels[one].id: labels[one] for one in species if one in labels}.items())
        place = {identifier: number for number, (identifier, _) in enumerate(taxa)}
        label = [place[labels[one].id] if one in labels else -1 for one in species]
        return cls(tuple(species), tuple(taxon for _, taxon in taxa), np.array(label, np.int64))


@dataclass(frozen=True, slots=True)
class _Fitting:
    """Which pictures a recipe can have, of those that were read.

    Attributes:
        fits: (n,) whether it can.
        mixed: see `Selection`, as below.
        unnamed: likewise.
        wider: likewise.
    """

    fits: NDArray[np.bool_]
    mixed: int
    unnamed: int
    wider: Mapping[UUID, int]

    @classmethod
    def of(cls, taxon: Ints, partly_named: NDArray[np.bool_], begin: Ints, choice: Choice, labels: _Labels) -> Self:
        """Look at what pictures show.

        Args:
            taxon: (k,) species that pictures show, `_UNNAMED` for seeds that nobody has named.
            partly_named: (k,) whether of a picture's photograph it is known that nobody has named all seeds.
            begin: (n,) where those of each picture begin.
            choice: what is chosen.
            labels: what the species are labelled as.
        """
        wanted = np.array([*(not choice.species or one in choice.species for one in labels.species), False])[taxon]
        is_unnamed = taxon == _UNNAMED
        # Seeds that nobody has named are of no species that could be chosen.
        concerned = np.logical_or.reduceat(wanted | (is_unnamed & (not choice.species)), begin)
        unnamed = concerned & np.logical_or.reduceat(is_unnamed | partly_named, begin)
        rest = concerned & ~unnamed
        label = np.append(labels.label, -1)[taxon]
        # Two species that are both of a wider rank than labels are two nevertheless.
        label_or_species = np.where(label < 0, -2 - taxon, label)
        least = np.minimum.reduceat(label_or_species, begin)
        mixed = rest & ~np.logical_and.reduceat(wanted, begin)
        if not choice.recipe.several_labels:
            mixed |= rest & (least != np.maximum.reduceat(label_or_species, begin))
        wide = rest & ~mixed & (least < 0)
        counted = zip(*np.unique(-2 - least[wide], return_counts=True), strict=True)
        return cls(
            rest & ~mixed & ~wide,
            int(mixed.sum()),
            int(unnamed.sum()),
            {labels.species[code]: int(count) for code, count in counted},
        )


def _each_once(columns: _Columns, choice: Choice, rows: SpooledRows, labels: _Labels, *, crops: bool) -> Selection:
    picture, taxon, seeds = columns.take("picture"), columns.take("taxon"), columns.take("seeds")
    keys = as_keys(picture)
    begin = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    found = _Fitting.of(taxon, columns.take("partly_named"), begin, choice, labels)
    shown = _shown(taxon, seeds, begin, found.fits)
    place = begin[found.fits]
    own = [columns.take("file")[place], columns.take("pixels")[place]]
    roots = [columns.take("root")[place], columns.take("root_pixels")[place]] if crops else own
    root_id = columns.take("root_id")[place] if crops else picture[place]
    under_several = [_under_several(_codes_of(one), shown.sets()) for one in own]
    torn = np.logical_or.reduce([columns.take("in_conflict")[place], *under_several])
    first_torn = tuple(
        _torn(picture[place], root_id, own, shown, labels.species, one) for one in np.flatnonzero(torn)[:_TORN_NAMED]
    )
    stays = np.flatnonzero(~torn)
    place, own, roots = place[stays], [one[stays] for one in own], [one[stays] for one in roots]
    shown = shown.take(stays)
    picture = picture[place]
    file, pixels = map(_codes_of, own)
    root, root_pixels = map(_codes_of, roots) if crops else (file, pixels)
    chosen = Candidates(
        picture=picture,
        session=columns.take("session")[place],
        root=root,
        root_pixels=root_pixels,
        file=file,
        pixels=pixels,
        looks=columns.take("looks")[place],
        has_looks=columns.take("has_looks")[place],
    )
    return Selection(
        rows,
        place,
        chosen,
        (*own, *roots) if crops else tuple(own),
        roots[0],
        shown.renamed(labels.label),
        labels.taxa,
        shown,
        labels.species,
        labels.label,
        mixed=found.mixed,
        unnamed=found.unnamed,
        wider=found.wider,
        torn=int(torn.sum()),
        first_torn=first_torn,
    )


def _shown(taxon: Ints, seeds: Ints, begin: Ints, fits: NDArray[np.bool_]) -> Kinds:
    """What those pictures show that fit, of the rows of all."""
    rows = Kinds(np.append(begin, len(taxon)), taxon, seeds).take(np.flatnonzero(fits))
    return Kinds.of(rows.picture, rows.code, rows.seeds, len(rows)) if rows.several else rows


def _beginnings(hashes: pa.StringArray) -> Bytes:
    """The first half of hashes, which distinguishes them as well; zeros where there is none."""
    return np.ascontiguousarray(from_hexadecimal(hashes, 32)[:, :16])


def _codes_of(beginnings: Bytes) -> Ints:
    return np.where(beginnings.any(axis=1), hash_codes(beginnings), -1)


def _under_several(codes: Ints, species: Ints) -> NDArray[np.bool_]:
    """Which pictures have a code, not -1, that pictures of other species have too."""
    order = np.lexsort((species, codes))
    code, shown = codes[order], species[order]
    torn = (code[1:] == code[:-1]) & (shown[1:] != shown[:-1]) & (code[1:] != -1)
    return np.asarray(np.isin(codes, code[1:][torn]), np.bool_)


def _torn(
    picture: Bytes, root: Bytes, own: list[Bytes], shown: Kinds, species: tuple[UUID, ...], one: np.int64
) -> tuple[UUID, UUID, frozenset[UUID]]:
    """A picture whose photograph is under several species, its topmost parent or itself, and those that are chosen."""
    same = np.zeros(len(picture), bool)
    for contents in own:
        same |= (contents == contents[one]).all(axis=1) & contents[one].any()
    same[one] = True
    of_same = frozenset(species[code] for code in np.unique(shown.take(np.flatnonzero(same)).code))
    return UUID(bytes=picture[one].tobytes()), UUID(bytes=root[one].tobytes()), of_same


def _no_bytes() -> Bytes:
    return np.zeros((0, 16), np.uint8)


def _no_candidates() -> Candidates:
    none = np.zeros(0, np.int64)
    return Candidates(_no_bytes(), none, none, none, none, none, np.zeros((0, 4), np.uint64), np.zeros(0, bool))


def capped(
    label: Ints, group: Ints, content: Bytes, *, most: int | None, seed: int, picture: Ints | None = None
) -> NDArray[np.bool_]:
    """Which pictures stay when no class may have more than so many.

    Of a class, groups are taken whole in the order of their pictures' smallest hashes of the seed and of the file, the
    last one in part in the like order of its pictures: so most of what was taken stays when pictures are added.
    A picture of several classes counts for each, and stays if none of them is full; those of rarer classes come first.

    Args:
        label: (m,) the classes of the pictures.
        group: (n,) the code of each picture's group, from 0 to n - 1.
        content: (n, 16) of each picture the beginning of its file's SHA-256, which stays wherever it lies.
        most: pictures of a class at most; None: all stay.
        seed: of the recipe.
        picture: (m,) which picture each of the classes is of, ascending; None if each has one.
    """
    pictures = len(group)
    if most is None or not pictures:
        return np.ones(pictures, bool)
    by_picture = mixed(content, seed)
    smallest = np.full(pictures, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(smallest, group, by_picture)
    if picture is not None:
        first = np.searchsorted(picture, np.arange(pictures))
        total = np.bincount(label)
        rarity = np.empty(len(total), np.int64)
        rarity[np.lexsort((np.arange(len(total)), total))] = np.arange(len(total))
        order = np.lexsort((by_picture, group, smallest[group], np.minimum.reduceat(rarity[label], first)))
        return _none_full(label, np.append(first, len(label)), order, len(total), most)
    order = np.lexsort((by_picture, group, smallest[group], label))
    ordered = label[order]
    begins = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    lengths = np.diff(np.append(begins, len(label)))
    rank = np.arange(len(label)) - np.repeat(begins, lengths)
    stays = np.zeros(len(label), bool)
    stays[order] = rank < most
    return stays


def _none_full(label: Ints, begin: Ints, order: Ints, classes: int, most: int) -> NDArray[np.bool_]:
    """Which pictures stay when they come in this order and each is taken as long as none of its classes is full."""
    stays = np.zeros(len(order), bool)
    taken = [0] * classes
    labels, begins = label.tolist(), begin.tolist()
    for place in order.tolist():
        own = labels[begins[place] : begins[place + 1]]
        if all(taken[one] < most for one in own):
            stays[place] = True
            for one in own:
                taken[one] += 1
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
