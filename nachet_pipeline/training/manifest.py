"""The manifest of a version of a training set: one Parquet row a picture, and the digest that is its identity.

**Digest.** SHA-256 over a form of the rows that neither the machine nor the version of pyarrow changes, never over the
Parquet file. It is fed, in this order:

1. `nachet training set 1` and a line feed;
2. the recipe's digest in hexadecimal, and a line feed;
3. the rows in the order of their pictures' identifiers, in blocks of 65,536 (the last one is smaller). Of each block
   the number of rows (8 bytes), then column after column of `SCHEMA` but `url`. Of each column one byte a row, 1 if
   there is a value and 0 if not; then the values, where there is none a zero or an empty text: numbers and times
   (microseconds since 1970, UTC) as they are, texts as all their lengths in bytes (4 bytes each) and then all their
   UTF-8. Everything is little-endian.

`url` is left out because it names the storage account: the same pictures are the same set wherever they lie.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nachet_pipeline.errors import RefusedError

BLOCK_ROWS = 65_536
SPLITS = ("train", "validation", "test")
"""Every side a picture can be on; a side's place in it is what the database stores."""

_MAGIC = b"nachet training set 1\n"
_METADATA = b"nachet_training_set"
_NOT_DIGESTED = "url"


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
    ]
)
"""Columns of the manifest, in the order of `picture_id`.

`url` is where the picture's bytes are, `sha256` what they must be. `taxon_id` is the label that stays when a seed is
renamed, and that of the surviving seed when it is merged; `scientific_name` is that seed's name when the set was made,
`label` the name of the class folder. `group` is the smallest identifier of the pictures that must stay on one side.
`parent_id` and the box, in pixels of the parent, are those of a crop."""


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
    """What a manifest says of itself, in the metadata of the Parquet file.

    Attributes:
        name: of the training set, which is that of its recipe.
        digest: the version's identity, in hexadecimal.
        recipe: the recipe, as JSON.
        recipe_digest: of what the recipe chooses, in hexadecimal.
        classes: all classes in the order of their indices, those without pictures too.
    """

    name: str
    digest: str
    recipe: dict[str, Any]
    recipe_digest: str
    classes: tuple[ManifestClass, ...]


class RowDigest:
    """Computes the digest of rows, in whatever batches they come."""

    def __init__(self, recipe_digest: str) -> None:
        """Begin a digest.

        Args:
            recipe_digest: of the recipe, in hexadecimal.
        """
        self._hash = hashlib.sha256(_MAGIC + recipe_digest.encode() + b"\n")
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
        for name in SCHEMA.names:
            if name != _NOT_DIGESTED:
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
    ) -> None:
        """Begin a manifest.

        Args:
            stream: where it is written.
            name: of the training set.
            recipe: as JSON.
            recipe_digest: in hexadecimal.
            classes: in the order of their indices.
        """
        self._stated = {
            "name": name,
            "recipe": recipe,
            "recipe_digest": recipe_digest,
            "classes": [asdict(one) for one in classes],
        }
        self._digest = RowDigest(recipe_digest)
        self._writer = pq.ParquetWriter(stream, SCHEMA, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Write rows, in the columns and the order of `SCHEMA`; a batch becomes a row group."""
        self._digest.update(batch)
        self._writer.write_batch(batch, row_group_size=max(1, batch.num_rows))

    def finish(self) -> str:
        """Write what the manifest says of itself, and close it.

        Returns:
            Its digest.
        """
        digest = self._digest.hexdigest()
        stated = json.dumps({**self._stated, "digest": digest}, ensure_ascii=False, sort_keys=True)
        self._writer.add_key_value_metadata({_METADATA.decode(): stated})
        self._writer.close()
        return digest


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

    def rows(self, columns: Sequence[str] | None = None, *, batch_rows: int = BLOCK_ROWS) -> Iterator[pa.RecordBatch]:
        """The rows in order, in batches.

        Args:
            columns: which columns, all if not given.
            batch_rows: rows in a batch, at most.
        """
        return self._file.iter_batches(batch_size=batch_rows, columns=list(columns) if columns else None)  # type: ignore[no-any-return]

    def verify(self) -> None:
        """Compare the rows with the digest.

        Raises:
            ManifestError: they are not what the digest stands for.
        """
        digest = RowDigest(self.metadata.recipe_digest)
        for batch in self.rows():
            digest.update(batch)
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
    if stated is None or file.schema_arrow.names != SCHEMA.names:
        file.close()
        raise ManifestError(f"{name}: expected the manifest of a training set, found another Parquet file")
    values = json.loads(stated)
    classes = tuple(ManifestClass(**one) for one in values.pop("classes"))
    return Manifest(file, ManifestMetadata(**values, classes=classes))
