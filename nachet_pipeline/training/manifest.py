"""The first training set: one Parquet row for every imported picture, split by picture set."""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import quote
from uuid import UUID, uuid5

import pyarrow as pa
import pyarrow.parquet as pq

from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.storage.naming import NAMESPACE, training_container

NAME = "all-pictures"
_ROWS_PER_GROUP = 10_000
_SPLITS = (("train", 0.70), ("validation", 0.85), ("test", 1.0))

SCHEMA = pa.schema(
    [
        ("picture_id", pa.string()),
        ("picture_set_id", pa.string()),
        ("owner_id", pa.string()),
        ("split", pa.string()),
        ("scientific_name", pa.string()),
        ("taxon_id", pa.string()),
        ("seed_id", pa.string()),
        ("number_of_seeds", pa.int32()),
        ("zoom", pa.float64()),
        ("container", pa.string()),
        ("blob", pa.string()),
        ("url", pa.string()),
        ("sha256", pa.string()),
        ("size", pa.int64()),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
    ]
)
"""Columns of the manifest.

`url` is where the picture's bytes are, `sha256` what they must be. `taxon_id` is the label that stays when a seed is
renamed, and that of the surviving seed when it is merged; `scientific_name` is that seed's name today. `seed_id` is
what the picture's row says."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """A published training set.

    Attributes:
        name: its name, part of its container's.
        digest: SHA-256 over its rows: the same pictures make the same training set.
        container: where it is published.
        blob: its Parquet manifest there.
        pictures: number of pictures.
        classes: pictures by scientific name and split.
        new: False if this very set was published before.
    """

    name: str
    digest: str
    container: str
    blob: str
    pictures: int
    classes: dict[str, dict[str, int]]
    new: bool


def split_of(picture_set: UUID) -> str:
    """The side a picture set is on, whole: pictures of one session never end on two sides.

    A hash decides, so that the side never changes when other picture sets come or go; the sides hold about 70, 15
    and 15 percent of the picture sets.
    """
    share = int.from_bytes(hashlib.sha256(picture_set.bytes).digest()[:8], "big") / 2**64
    return next(name for name, limit in _SPLITS if share < limit)


def build_training_set(database: Database, blobs: BlobStorage) -> TrainingSet:
    """Publish the manifest of all imported pictures.

    Rows are streamed from the database to the file, in the order of their identifiers.

    Raises:
        DatabaseError: the database does not answer.
        StorageError: storage does not answer.
    """
    container = training_container(NAME)
    blobs.ensure_container(container)
    with tempfile.TemporaryFile() as stream:
        with database.connection() as connection:
            digest, classes = _write(connection, blobs.account_url, stream)
        pictures = sum(sum(splits.values()) for splits in classes.values())
        blob = f"{digest}.parquet"
        blobs.upload(container, blob, stream, content_type="application/vnd.apache.parquet")
    latest = json.dumps({"digest": digest, "manifest": blob, "pictures": pictures, "classes": classes}, indent=2)
    blobs.upload(container, "latest.json", latest.encode(), content_type="application/json", overwrite=True)
    with database.connection() as connection:
        cursor = connection.execute(
            "insert into training_set (id, name, digest, container, blob, pictures) values (%s, %s, %s, %s, %s, %s)"
            " on conflict do nothing",
            (uuid5(NAMESPACE, f"training_set\x1f{NAME}\x1f{digest}"), NAME, digest, container, blob, pictures),
        )
    return TrainingSet(NAME, digest, container, blob, pictures, classes, new=cursor.rowcount > 0)


def _write(connection: Connection, account_url: str, stream: IO[bytes]) -> tuple[str, dict[str, dict[str, int]]]:
    digest = hashlib.sha256()
    counts: Counter[tuple[str, str]] = Counter()
    with pq.ParquetWriter(stream, SCHEMA, compression="zstd") as writer:
        for batch in _batches(connection, account_url):
            for row in batch:
                # The address of the account is left out: the same pictures are the same set wherever they lie.
                stated = {name: value for name, value in row.items() if name != "url"}
                digest.update(json.dumps(stated, sort_keys=True).encode())
                counts[row["scientific_name"], row["split"]] += 1
            writer.write_table(pa.Table.from_pylist(batch, schema=SCHEMA))
    classes: dict[str, dict[str, int]] = {}
    for (name, split), count in sorted(counts.items()):
        classes.setdefault(name, {})[split] = count
    return digest.hexdigest(), classes


def _batches(connection: Connection, account_url: str) -> Iterator[list[dict[str, Any]]]:
    query = (
        "select distinct on (p.id, taxon.id) p.id, p.picture_set_id, s.owner_id,"
        " taxon.name as scientific_name, taxon.id as taxon_id, l.seed_id,"
        " p.nb_object, (p.picture -> 'user_data' ->> 'zoom')::float8 as zoom, c.name as container, p.blob,"
        " encode(p.sha256, 'hex') as sha256, p.size, p.format, p.width, p.height"
        " from pictures p join picture_set s on s.id = p.picture_set_id join container c on c.id = s.container_id"
        # A seed can be merged while pictures of it still wait to be linked to the other.
        " join picture_seed l on l.picture_id = p.id join seeds linked on linked.id = l.seed_id"
        " join seeds taxon on taxon.id = coalesce(linked.merged_into, linked.id)"
        " order by p.id, taxon.id, linked.merged_into is not null, l.seed_id"
    )
    with connection.cursor(name="training_set") as cursor:
        cursor.itersize = _ROWS_PER_GROUP
        cursor.execute(query)
        while rows := cursor.fetchmany(_ROWS_PER_GROUP):
            yield [_row(row, account_url) for row in rows]


def _row(row: dict[str, Any], account_url: str) -> dict[str, Any]:
    return {
        "picture_id": str(row["id"]),
        "picture_set_id": str(row["picture_set_id"]),
        "owner_id": str(row["owner_id"]),
        "split": split_of(row["picture_set_id"]),
        "scientific_name": row["scientific_name"],
        "taxon_id": str(row["taxon_id"]),
        "seed_id": str(row["seed_id"]),
        "number_of_seeds": row["nb_object"],
        "zoom": row["zoom"],
        "container": row["container"],
        "blob": row["blob"],
        # Blobs that were found in a container have names as people give them.
        "url": f"{account_url}/{row['container']}/{quote(row['blob'])}",
        "sha256": row["sha256"],
        "size": row["size"],
        "format": row["format"],
        "width": row["width"],
        "height": row["height"],
    }
