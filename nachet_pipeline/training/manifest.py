"""The manifest of a version of a training set: one Parquet row a picture, and the digest that is its identity.

**Digest.** SHA-256 over what is learned from the rows, never over the Parquet file: over the photographs, their labels
and their sides. Where a picture lies, whose it is, which row of the database it has and what was measured of it are no
part of it. It is fed, in this order:

1. `nachet training set 2` and a line feed;
2. the recipe's digest in hexadecimal, and a line feed;
3. of each class, in the order of `classes`, its index, its taxon and its class folder as a JSON list in ASCII
   (separators `, `), and a line feed; then an empty line;
4. the number of rows (8 bytes), and the rows, each of 69 bytes, sorted as bytes: the file's SHA-256 (32 bytes); the
   box, left, top, right, bottom (4 bytes each, -1 if it is no crop); the number of seeds (4 bytes), which names the
   tree that an export puts the picture in; the first 16 bytes of the SHA-256 of the row's own index, taxon and class
   folder, written as in 3 without the line feed; and the split's place in `SPLITS` (1 byte, -1 for another). Numbers
   are little-endian.

**Several labels.** The manifest of a recipe with `labels: multi` has the columns `MULTI_SCHEMA`. In those of a single
label it has nulls, so that who reads them learns nothing rather than one of two labels. Its digest is of version 3,
which begins with `nachet training set 3` and differs in one other place: the 16 bytes of a row's class are the first of
the SHA-256 of a JSON list in ASCII (separators `, `) that has for each of the row's classes, in the order of their
indices, the list of its index, taxon, class folder and number of seeds, which is `null` where it is not known.

Manifests of version 1, which state no `digest_version`, have a digest of all columns of their time but `url`, and no
`photograph_…`: see `_FirstDigest`.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nachet_pipeline.errors import RefusedError
from nachet_pipeline.training.identifiers import as_keys, from_hexadecimal
from nachet_pipeline.training.recipe import SPLITS

BLOCK_ROWS = 65_536

_DIGEST_VERSION, _MULTI_DIGEST_VERSION = 2, 3
_METADATA = b"nachet_training_set"
_ROW = np.dtype([("file", "S32"), ("box", "<i4", 4), ("seeds", "<i4"), ("class", "S16"), ("split", "i1")])
_BOX = ("box_left", "box_top", "box_right", "box_bottom")


def _given(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


SCHEMA = pa.schema(
    [
        _given("picture_id", pa.string()),
        _given("picture_set_id", pa.string()),
        _given("owner_id", pa.string()),
        ("parent_id", pa.string()),
        _given("split", pa.string()),
        _given("label", pa.string()),
        _given("class_index", pa.int32()),
        _given("scientific_name", pa.string()),
        _given("taxon_id", pa.string()),
        _given("group", pa.string()),
        _given("number_of_seeds", pa.int32()),
        ("zoom", pa.float64()),
        _given("container", pa.string()),
        _given("blob", pa.string()),
        _given("url", pa.string()),
        _given("sha256", pa.string()),
        _given("size", pa.int64()),
        _given("format", pa.string()),
        _given("width", pa.int32()),
        _given("height", pa.int32()),
        ("pixel_sha256", pa.string()),
        ("perceptual_hash", pa.string()),
        ("sharpness", pa.float32()),
        ("quality_score", pa.float32()),
        ("captured_at", pa.timestamp("us", tz="UTC")),
        ("box_left", pa.int32()),
        ("box_top", pa.int32()),
        ("box_right", pa.int32()),
        ("box_bottom", pa.int32()),
        ("photograph_sha256", pa.string()),
        ("photograph_pixel_sha256", pa.string()),
    ]
)
"""Columns of the manifest, in the order of `picture_id`.

`url` is where the picture's bytes are, `sha256` what they must be. `taxon_id` is the label that stays when a seed is
renamed, and that of the surviving seed when it is merged; `scientific_name` is that seed's name when the set was made,
`label` the name of the class folder. `group` is the smallest identifier of the pictures that must stay on one side.
`parent_id` and the box, in pixels of the parent, are those of a crop, `photograph_sha256` and `photograph_pixel_sha256`
those of the whole picture that it was cut from."""

LABEL_COLUMNS = {
    "label": "labels",
    "class_index": "class_indices",
    "scientific_name": "scientific_names",
    "taxon_id": "taxon_ids",
}
"""Columns that say a picture's one label, and those that say all of several."""

_LISTS = [pa.field(lists, pa.list_(SCHEMA.field(name).type), nullable=False) for name, lists in LABEL_COLUMNS.items()]

MULTI_SCHEMA = pa.schema(
    [
        *(one.with_nullable(True) if one.name in LABEL_COLUMNS else one for one in SCHEMA),
        *_LISTS,
        _given("seeds_of_class", pa.list_(pa.int32())),
    ]
)
"""Columns of the manifest of a recipe with `labels: multi`: the four of a single label are null. Lists say all labels,
in the order of the class indices. `seeds_of_class` has the number of seeds of each, null where it is not known."""

_FIRST_NAMES = [name for name in SCHEMA.names if not name.startswith("photograph_")]
_SINGLE_NAMES = (SCHEMA.names, _FIRST_NAMES)


class ManifestError(RefusedError, ValueError):
    """A file that is no manifest, or whose rows are not those that its digest stands for; one line."""


@dataclass(frozen=True, slots=True)
class ManifestClass:
    """A class of a training set.

    Attributes:
        label: the class folder, such as `000 Brassica napus`.
        class_index: its index, which a trainer learns.
        scientific_name: the taxon's name when the set was made.
        taxon_id: the taxon's identifier.
    """

    label: str
    class_index: int
    scientific_name: str
    taxon_id: str


@dataclass(frozen=True, slots=True)
class ManifestMetadata:
    """How a manifest describes itself, in the metadata of the Parquet file.

    Attributes:
        name: of the training set, which is that of its recipe.
        digest: the version's identity, in hexadecimal.
        recipe: the recipe, as JSON.
        recipe_digest: of what the recipe chooses, in hexadecimal.
        classes: all classes in the order of their indices, those without pictures too.
        digest_version: how the digest is computed, 1 or 2, or 3 if pictures may have several labels.
    """

    name: str
    digest: str
    recipe: dict[str, Any]
    recipe_digest: str
    classes: tuple[ManifestClass, ...]
    digest_version: int = 1

    @property
    def several_labels(self) -> bool:
        """Whether pictures may have several labels: then the columns are those of `MULTI_SCHEMA`."""
        return self.digest_version == _MULTI_DIGEST_VERSION


@dataclass(frozen=True, slots=True)
class PictureFile:
    """Where a picture of the set is, and what it must be.

    Attributes:
        picture_id: its identifier.
        picture_set_id: its session.
        container: of its blob.
        blob: its blob.
        sha256: of its bytes, in hexadecimal.
        size: in bytes.
        format: `TIFF`, `PNG` or `JPEG`.
    """

    picture_id: str
    picture_set_id: str
    container: str
    blob: str
    sha256: str
    size: int
    format: str


FILE_COLUMNS = [field.name for field in fields(PictureFile)]
"""Those columns of a manifest that say where a picture's file is."""


class RowDigest:
    """Computes the digest of rows, in whatever order and batches they come: 69 bytes of each are kept."""

    def __init__(self, recipe_digest: str, classes: Sequence[ManifestClass], *, several_labels: bool = False) -> None:
        """Begin a digest.

        Args:
            recipe_digest: of the recipe, in hexadecimal.
            classes: in the order of their indices.
            several_labels: whether pictures may have several.
        """
        version = _MULTI_DIGEST_VERSION if several_labels else _DIGEST_VERSION
        self._hash = hashlib.sha256(f"nachet training set {version}\n{recipe_digest}\n".encode())
        self._several_labels = several_labels
        for one in classes:
            self._hash.update(_class(one.class_index, one.taxon_id, one.label) + b"\n")
        self._hash.update(b"\n")
        self._parts: list[NDArray[np.void]] = []

    def update(self, batch: pa.RecordBatch) -> None:
        """Add rows, in the columns of `SCHEMA`, or of `MULTI_SCHEMA` if pictures may have several labels.

        Raises:
            ValueError: a checksum is none, or the lists of a row have different lengths.
        """
        if not batch.num_rows:
            return
        rows = np.zeros(batch.num_rows, _ROW)
        rows["file"] = as_keys(from_hexadecimal(batch.column("sha256"), 32))
        for place, name in enumerate(_BOX):
            rows["box"][:, place] = _numbers(batch.column(name))
        rows["seeds"] = _numbers(batch.column("number_of_seeds"))
        rows["class"] = _several_classes(batch) if self._several_labels else _classes(batch)
        rows["split"] = _numbers(pc.index_in(batch.column("split"), pa.array(SPLITS)))
        self._parts.append(rows)

    def hexdigest(self) -> str:
        """The digest of all rows; nothing can be added after it."""
        rows = np.concatenate([np.zeros(0, _ROW), *self._parts])
        self._parts.clear()
        self._hash.update(np.array(len(rows), "<i8").tobytes())
        # In the order of their bytes; noughts at the end of a row compare like any others.
        packed = rows.view(f"S{_ROW.itemsize}")
        packed.sort()
        self._hash.update(packed.view(np.uint8).data)
        return self._hash.hexdigest()


def _class(index: int, taxon: str, label: str) -> bytes:
    return json.dumps([index, taxon, label]).encode()


def _classes(batch: pa.RecordBatch) -> NDArray[np.bytes_]:
    """Of each row the hash of its class, as the row itself says it: there are few."""
    columns = ("class_index", "taxon_id", "label")
    index, taxon, label = (batch.column(name).dictionary_encode() for name in columns)
    shape = tuple(max(1, len(one.dictionary)) for one in (index, taxon, label))
    codes = np.ravel_multi_index([one.indices.to_numpy() for one in (index, taxon, label)], shape)
    different, which = np.unique(codes, return_inverse=True)
    hashes = []
    for places in zip(*np.unravel_index(different, shape), strict=True):
        values = (one.dictionary[int(place)].as_py() for one, place in zip((index, taxon, label), places, strict=True))
        hashes.append(hashlib.sha256(_class(*values)).digest()[:16])
    return np.array(hashes, "S16")[which]


def _several_classes(batch: pa.RecordBatch) -> NDArray[np.bytes_]:
    """Of each row the hash of its classes."""
    columns = [batch.column(name) for name in ("class_indices", "taxon_ids", "labels", "seeds_of_class")]
    begin, *others = (one.offsets.to_numpy() - one.offsets[0].as_py() for one in columns)
    if any((begin != other).any() for other in others):
        raise ValueError("expected as many taxa, labels and numbers of seeds of each picture as class indices")
    classes = list(zip(*(one.flatten().to_pylist() for one in columns), strict=True))
    known: dict[tuple[Any, ...], bytes] = {}
    hashes = []
    for start, end in pairwise(begin.tolist()):
        key = tuple(classes[start:end])
        if key not in known:
            known[key] = hashlib.sha256(json.dumps(key).encode()).digest()[:16]
        hashes.append(known[key])
    return np.array(hashes, "S16")


def _numbers(column: pa.Array) -> NDArray[np.int64]:
    """Numbers, -1 where there is none."""
    return (pc.fill_null(column, -1) if column.null_count else column).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


class _FirstDigest:
    """The digest of manifests of version 1, which depends on the order of the rows and on where pictures lie.

    It is fed `nachet training set 1` and a line feed, the recipe's digest in hexadecimal and a line feed, then the rows
    in the order of their pictures' identifiers, in blocks of 65,536. Of each block the number of rows (8 bytes), then
    column after column but `url`. Of each column one byte a row, 1 if there is a value and 0 if not; then the values,
    where there is none a zero or an empty text: numbers and times (microseconds since 1970, UTC) as they are, texts as
    all their lengths in bytes (4 bytes each) and then all their UTF-8. Everything is little-endian.
    """

    def __init__(self, recipe_digest: str) -> None:
        self._hash = hashlib.sha256(b"nachet training set 1\n" + recipe_digest.encode() + b"\n")
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0

    def update(self, batch: pa.RecordBatch) -> None:
        """Add rows, in the columns of `SCHEMA`."""
        start = 0
        while start < batch.num_rows:
            part = batch.slice(start, BLOCK_ROWS - self._rows)
            self._waiting.append(part)
            self._rows += part.num_rows
            start += part.num_rows
            if self._rows == BLOCK_ROWS:
                self._digest_block()

    def hexdigest(self) -> str:
        """The digest of all rows; nothing can be added after it."""
        if self._rows:
            self._digest_block()
        return self._hash.hexdigest()

    def _digest_block(self) -> None:
        self._hash.update(np.array(self._rows, "<i8").tobytes())
        block = pa.Table.from_batches(self._waiting)
        for name in _FIRST_NAMES:
            if name != "url":
                for part in _canonical(block.column(name)):
                    self._hash.update(part)
        self._waiting, self._rows = [], 0


def _canonical(column: pa.ChunkedArray) -> Iterator[memoryview | bytes]:
    values = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):  # older versions of pyarrow answer so where there is one chunk
        values = pa.concat_arrays(values.chunks)
    yield values.is_valid().to_numpy(zero_copy_only=False).astype(np.uint8).tobytes()
    kind = values.type
    if pa.types.is_string(kind):
        texts = pc.fill_null(values, "") if values.null_count else values
        _, offsets, data = texts.buffers()
        places = np.frombuffer(offsets, "<i4", count=len(texts) + 1, offset=4 * texts.offset)
        yield np.diff(places).astype("<i4").tobytes()
        if data is not None:
            yield memoryview(data)[places[0] : places[-1]]
        return
    if pa.types.is_timestamp(kind):
        values, kind = values.cast(pa.int64()), pa.int64()
    numbers = pc.fill_null(values, 0) if values.null_count else values
    little = np.dtype(kind.to_pandas_dtype()).newbyteorder("<")
    yield numbers.to_numpy(zero_copy_only=False).astype(little).tobytes()


class ManifestWriter:
    """Writes a manifest to a file, batch by batch, and its digest at the end. A context manager."""

    def __init__(
        self,
        stream: IO[bytes],
        *,
        name: str,
        recipe: dict[str, Any],
        recipe_digest: str,
        classes: Sequence[ManifestClass],
        several_labels: bool = False,
    ) -> None:
        """Begin a manifest.

        Args:
            stream: where it is written.
            name: of the training set.
            recipe: as JSON.
            recipe_digest: in hexadecimal.
            classes: in the order of their indices.
            several_labels: whether pictures may have several.
        """
        self.schema = MULTI_SCHEMA if several_labels else SCHEMA
        self._stated = {
            "name": name,
            "recipe": recipe,
            "recipe_digest": recipe_digest,
            "classes": [asdict(one) for one in classes],
            "digest_version": _MULTI_DIGEST_VERSION if several_labels else _DIGEST_VERSION,
        }
        self._digest = RowDigest(recipe_digest, classes, several_labels=several_labels)
        self._writer = pq.ParquetWriter(stream, self.schema, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Write rows, in the columns of `schema`; a batch becomes a row group."""
        self._digest.update(batch)
        self._writer.write_batch(batch, row_group_size=max(1, batch.num_rows))

    def finish(self) -> str:
        """Write the manifest's metadata, and close it.

        Returns:
            Its digest.
        """
        digest = self._digest.hexdigest()
        stated = json.dumps({**self._stated, "digest": digest}, ensure_ascii=False, sort_keys=True)
        self._writer.add_key_value_metadata({_METADATA.decode(): stated})
        self._writer.close()
        return digest


def by_class(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of a manifest, each as often as it has labels, under one of them; as they are if each has one.

    Args:
        batch: rows with `class_indices`, if pictures may have several labels. Of other lists those of labels are taken.
    """
    if "class_indices" not in batch.schema.names:
        return batch
    rows = pc.list_parent_indices(batch.column("class_indices"))
    columns = {one.name: batch.column(one.name).take(rows) for one in batch.schema if not pa.types.is_list(one.type)}
    lists = {name: of_all for name, of_all in LABEL_COLUMNS.items() if of_all in batch.schema.names}
    columns |= {name: batch.column(of_all).flatten() for name, of_all in lists.items()}
    return pa.RecordBatch.from_pydict(columns)


class Manifest:
    """A manifest that is read. A context manager."""

    def __init__(self, file: pq.ParquetFile, metadata: ManifestMetadata) -> None:
        """Read from an open file; see `open_manifest`."""
        self._file = file
        self.metadata = metadata

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def pictures(self) -> int:
        """How many rows it has."""
        return int(self._file.metadata.num_rows)

    @property
    def schema(self) -> pa.Schema:
        """The columns of its rows: `SCHEMA`, or `MULTI_SCHEMA` if pictures may have several labels."""
        return MULTI_SCHEMA if self.metadata.several_labels else SCHEMA

    def rows(self, columns: Sequence[str] | None = None, *, batch_rows: int = BLOCK_ROWS) -> Iterator[pa.RecordBatch]:
        """The rows in order, in batches.

        Args:
            columns: which columns of `MULTI_SCHEMA`, all that it has if not given; what it does not have is empty.
            batch_rows: rows in a batch, at most.
        """
        present = set(self._file.schema_arrow.names)
        wanted = list(columns) if columns else self.schema.names
        own = self.schema
        schema = pa.schema([(own if name in own.names else MULTI_SCHEMA).field(name) for name in wanted])
        for batch in self._file.iter_batches(batch_size=batch_rows, columns=[one for one in wanted if one in present]):
            arrays = [
                batch.column(one.name) if one.name in present else pa.nulls(batch.num_rows, one.type) for one in schema
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def verify(self) -> None:
        """Compare the rows with the digest.

        Raises:
            ManifestError: they are not what the digest stands for.
        """
        stated = self.metadata
        if stated.digest_version not in {1, _DIGEST_VERSION, _MULTI_DIGEST_VERSION}:
            raise ManifestError(
                f"the manifest of {stated.name} has a digest of version {stated.digest_version}; expected one of"
                f" version {_MULTI_DIGEST_VERSION} at most: a later version of the package made it"
            )
        digest: RowDigest | _FirstDigest
        if stated.digest_version == 1:
            digest = _FirstDigest(stated.recipe_digest)
        else:
            digest = RowDigest(stated.recipe_digest, stated.classes, several_labels=stated.several_labels)
        try:
            for batch in self.rows():
                digest.update(batch)
        except ValueError as error:
            raise ManifestError(f"the manifest of {stated.name} is damaged: {error}") from None
        if (found := digest.hexdigest()) != self.metadata.digest:
            raise ManifestError(
                f"the manifest of {self.metadata.name} is damaged: expected rows of the digest"
                f" {self.metadata.digest}, found {found}"
            )


def open_manifest(source: str | Path | IO[bytes]) -> Manifest:
    """Open a manifest.

    Args:
        source: the file's path, or the file itself, which can be read from any place.

    Raises:
        ManifestError: it is none.
        OSError: it cannot be read.
    """
    name = str(source) if isinstance(source, str | Path) else "the manifest"
    try:
        file = pq.ParquetFile(source)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ManifestError(f"{name}: expected a Parquet file, found something else ({error})") from None
    stated = (file.schema_arrow.metadata or {}).get(_METADATA) or (file.metadata.metadata or {}).get(_METADATA)
    values = json.loads(stated or "{}")
    several = values.get("digest_version") == _MULTI_DIGEST_VERSION
    if stated is None or file.schema_arrow.names not in ([MULTI_SCHEMA.names] if several else _SINGLE_NAMES):
        file.close()
        raise ManifestError(f"{name}: expected the manifest of a training set, found another Parquet file")
    classes = tuple(ManifestClass(**one) for one in values.pop("classes"))
    return Manifest(file, ManifestMetadata(**values, classes=classes))
