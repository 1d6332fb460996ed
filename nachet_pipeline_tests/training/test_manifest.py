import hashlib
import io
import json
import struct
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nachet_pipeline.training.identifiers import from_hexadecimal, from_uuids, hash_codes, mixed, places, to_uuids
from nachet_pipeline.training.manifest import (
    BLOCK_ROWS,
    SCHEMA,
    ManifestClass,
    ManifestError,
    ManifestWriter,
    RowDigest,
    open_manifest,
)

RECIPE = "ab" * 32
CLASS = ManifestClass("000 Brassica napus", 0, "Brassica napus", str(UUID(int=7)))


def row(number: int, **other: Any) -> dict[str, Any]:
    """A row of a picture, of which some values are given."""
    return {
        "picture_id": str(UUID(int=number)),
        "picture_set_id": str(UUID(int=1)),
        "owner_id": str(UUID(int=2)),
        "parent_id": None,
        "split": "train",
        "label": CLASS.label,
        "class_index": 0,
        "scientific_name": CLASS.scientific_name,
        "taxon_id": CLASS.taxon_id,
        "group": str(UUID(int=number)),
        "number_of_seeds": 2,
        "zoom": 30.5,
        "container": "user-x",
        "blob": f"été {number}.tiff",
        "url": f"https://one.example/user-x/{number}.tiff",
        "sha256": f"{number:064x}",
        "size": 100 + number,
        "format": "TIFF",
        "width": 1600,
        "height": 1200,
        "pixel_sha256": None if number % 3 else f"{number:064x}",
        "perceptual_hash": None,
        "sharpness": 12.25,
        "quality_score": None if number % 2 else 0.5,
        "captured_at": datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC),
        "box_left": None,
        "box_top": None,
        "box_right": None,
        "box_bottom": None,
        "photograph_sha256": None,
        "photograph_pixel_sha256": None,
        **other,
    }


def batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


def written(*batches: pa.RecordBatch) -> tuple[str, bytes]:
    stream = io.BytesIO()
    with ManifestWriter(stream, name="some", recipe={"name": "some"}, recipe_digest=RECIPE, classes=[CLASS]) as writer:
        for one in batches:
            writer.write(one)
        return writer.finish(), stream.getvalue()


def table_of(content: bytes) -> pa.Table:
    """A manifest's rows, with what it says of itself."""
    stated = pq.ParquetFile(io.BytesIO(content)).metadata.metadata
    return pq.read_table(io.BytesIO(content)).replace_schema_metadata(
        {b"nachet_training_set": stated[b"nachet_training_set"]}
    )


FIRST_COLUMNS = [field for field in SCHEMA if not field.name.startswith("photograph_")]


def first_digest_of(rows: list[dict[str, Any]]) -> str:
    """The digest of version 1 as the module tells it, done row by row and value by value."""
    found = hashlib.sha256(b"nachet training set 1\n" + RECIPE.encode() + b"\n")
    formats = {pa.int32(): "<i", pa.int64(): "<q", pa.float32(): "<f", pa.float64(): "<d"}
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        found.update(struct.pack("<q", len(block)))
        for field in FIRST_COLUMNS:
            if field.name == "url":
                continue
            values = [one[field.name] for one in block]
            found.update(bytes(value is not None for value in values))
            if field.type == pa.string():
                texts = [(value or "").encode() for value in values]
                found.update(b"".join(struct.pack("<i", len(text)) for text in texts) + b"".join(texts))
            elif pa.types.is_timestamp(field.type):
                epoch = datetime(1970, 1, 1, tzinfo=UTC)
                times = [(value - epoch) if value else None for value in values]
                whole = [
                    ((one.days * 86400 + one.seconds) * 1_000_000 + one.microseconds) if one else 0 for one in times
                ]
                found.update(b"".join(struct.pack("<q", one) for one in whole))
            else:
                found.update(b"".join(struct.pack(formats[field.type], value or 0) for value in values))
    return found.hexdigest()


def written_before(rows: list[dict[str, Any]]) -> tuple[str, bytes]:
    """A manifest as the package wrote it when its digest was of version 1."""
    digest = first_digest_of(rows)
    stated = {
        "name": "some",
        "digest": digest,
        "recipe": {"name": "some"},
        "recipe_digest": RECIPE,
        "classes": [asdict(CLASS)],
    }
    table = pa.Table.from_pylist(rows, schema=pa.schema(FIRST_COLUMNS))
    stream = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({b"nachet_training_set": json.dumps(stated).encode()}), stream)
    return digest, stream.getvalue()


def digest_of(rows: list[dict[str, Any]]) -> str:
    """The digest as the module's docstring tells it, done row by row."""
    stated = json.dumps([CLASS.class_index, CLASS.taxon_id, CLASS.label]).encode()
    found = hashlib.sha256(b"nachet training set 2\n" + RECIPE.encode() + b"\n" + stated + b"\n\n")
    found.update(struct.pack("<q", len(rows)))
    packed = []
    for one in rows:
        box = [-1 if one[f"box_{side}"] is None else one[f"box_{side}"] for side in ("left", "top", "right", "bottom")]
        label = json.dumps([one["class_index"], one["taxon_id"], one["label"]]).encode()
        split = ("train", "validation", "test").index(one["split"])
        packed.append(
            bytes.fromhex(one["sha256"])
            + struct.pack("<4i", *box)
            + struct.pack("<i", one["number_of_seeds"])
            + hashlib.sha256(label).digest()[:16]
            + struct.pack("<b", split)
        )
    found.update(b"".join(sorted(packed)))
    return found.hexdigest()


def many() -> list[dict[str, Any]]:
    """Rows of whole pictures and crops, of all sides, two of them of one file, some with noughts at their ends."""
    sides = ("train", "validation", "test")
    rows = [row(number, split=sides[number % 3], number_of_seeds=number % 4) for number in range(1, 30)]
    box = {"box_left": 0, "box_top": 256, "box_right": 70_000, "box_bottom": 300}
    crops = [row(number, sha256=f"{number:02x}" + 62 * "0", **box) for number in range(30, 40)]
    return [*rows, *crops, row(50, sha256=rows[0]["sha256"])]


def test_the_digest_is_what_the_documentation_says() -> None:
    assert written(batch(many()))[0] == digest_of(many())
    # Another value would make a new version of every training set there is.
    assert digest_of(many()) == "9debc85ececf77afbda87c72deb3d56a45b3fd39cd68256a5963c8ee6e00d626"


def test_a_manifest_made_before_digests_went_by_content_still_verifies_and_is_read() -> None:
    rows = [row(number) for number in range(1, 30)]
    digest, content = written_before(rows)
    assert digest == "1d4a2a9663e4f628618aa59cc46be4d905a442b2af45aafc9c53f6844fd5ef18"
    with open_manifest(io.BytesIO(content)) as manifest:
        manifest.verify()
        assert (manifest.metadata.digest, manifest.metadata.digest_version) == (digest, 1)
        assert [one for part in manifest.rows() for one in part.to_pylist()] == rows
        (few,) = [part.to_pylist() for part in manifest.rows(["photograph_sha256", "size"])]
    assert few[0] == {"photograph_sha256": None, "size": 101}
    moved = [row(number, container="archive-x") for number in range(1, 30)]
    stated = {b"nachet_training_set": pq.ParquetFile(io.BytesIO(content)).schema_arrow.metadata[b"nachet_training_set"]}
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(moved, schema=pa.schema(FIRST_COLUMNS, metadata=stated)), stream)
    with open_manifest(stream) as manifest, pytest.raises(ManifestError, match="is damaged"):
        manifest.verify()


def test_a_digest_of_a_later_version_is_told_as_that() -> None:
    _digest, content = written(batch([row(1)]))
    table = table_of(content)
    stated = json.loads(table.schema.metadata[b"nachet_training_set"])
    stream = io.BytesIO()
    later = json.dumps({**stated, "digest_version": 4}).encode()
    pq.write_table(table.replace_schema_metadata({b"nachet_training_set": later}), stream)
    with open_manifest(stream) as manifest, pytest.raises(ManifestError, match="a later version of the package made"):
        manifest.verify()


@pytest.mark.parametrize("sizes", [(40,), (1, 39), (20, 0, 20), (13, 13, 14)])
def test_the_digest_does_not_depend_on_the_batches(sizes: tuple[int, ...]) -> None:
    rows, digest, start = many(), RowDigest(RECIPE, [CLASS]), 0
    for size in sizes:
        digest.update(batch(rows[start : start + size]))
        start += size
    assert (start, digest.hexdigest()) == (40, digest_of(rows))


_LEARNED = {"split", "label", "class_index", "taxon_id", "number_of_seeds", "sha256"}
WHAT_IS_LEARNED = [name for name in SCHEMA.names if name in _LEARNED or name.startswith("box_")]
WHERE_AND_WHAT_WAS_MEASURED = [name for name in SCHEMA.names if name not in WHAT_IS_LEARNED]


def other_value(name: str, value: Any) -> Any:
    kind = SCHEMA.field(name).type
    if name == "split":
        return "test"
    if name.endswith("sha256"):
        return hashlib.sha256(str(value).encode()).hexdigest()
    if kind == pa.string():
        return (value or "") + "x"
    return datetime(2026, 5, 2, tzinfo=UTC) if pa.types.is_timestamp(kind) else (value or 0) + 1


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_where_pictures_lie_and_in_which_order_their_rows_come_is_no_part_of_the_digest(data: st.DataObject) -> None:
    rows = [
        {
            **one,
            **{
                name: other_value(name, one[name])
                for name in data.draw(st.sets(st.sampled_from(WHERE_AND_WHAT_WAS_MEASURED)))
            },
        }
        for one in data.draw(st.permutations(many()))
    ]
    assert written(batch(rows))[0] == digest_of(many())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(WHAT_IS_LEARNED), st.integers(0, 39))
def test_any_other_file_label_box_or_side_makes_another_digest(name: str, place: int) -> None:
    rows = many()
    rows[place] = {**rows[place], name: other_value(name, rows[place][name])}
    if rows != many():
        assert written(batch(rows))[0] != digest_of(many())


def test_the_address_of_the_storage_account_is_no_part_of_the_digest() -> None:
    assert written(batch([row(3)]))[0] == written(batch([row(3, url="http://127.0.0.1/x")]))[0]


def test_how_the_file_is_written_is_no_part_of_the_digest() -> None:
    rows = [row(number) for number in range(1, 9)]
    digest, content = written(batch(rows))
    table = table_of(content)
    other = io.BytesIO()
    pq.write_table(table, other, compression="gzip", version="1.0", row_group_size=3, use_dictionary=False)
    assert other.getvalue() != content
    with open_manifest(other) as manifest:
        manifest.verify()
        assert manifest.metadata.digest == digest


def test_a_manifest_says_what_it_is_and_gives_its_rows_back() -> None:
    rows = [row(number) for number in range(1, 9)]
    digest, content = written(batch(rows[:5]), batch(rows[5:]))
    with open_manifest(io.BytesIO(content)) as manifest:
        stated = manifest.metadata
        assert (stated.name, stated.digest, stated.recipe_digest) == ("some", digest, RECIPE)
        assert stated.recipe == {"name": "some"}
        assert stated.classes == (CLASS,)
        assert manifest.pictures == 8
        assert [one for part in manifest.rows(batch_rows=3) for one in part.to_pylist()] == rows
        few = [one for part in manifest.rows(["size", "blob"]) for one in part.to_pylist()]
        assert few[0] == {"size": 101, "blob": "été 1.tiff"}


def test_an_empty_manifest_has_a_digest_too() -> None:
    digest, content = written()
    with open_manifest(io.BytesIO(content)) as manifest:
        manifest.verify()
        assert (manifest.pictures, manifest.metadata.digest) == (0, digest)


def test_rows_that_were_changed_are_found_by_the_digest() -> None:
    _digest, content = written(batch([row(1), row(2)]))
    table = table_of(content)
    splits = pa.array(["train", "test"])
    changed = table.set_column(SCHEMA.names.index("split"), SCHEMA.field("split"), splits)
    stream = io.BytesIO()
    pq.write_table(changed, stream)
    with open_manifest(stream) as manifest, pytest.raises(ManifestError, match="the manifest of some is damaged"):
        manifest.verify()


def test_what_is_no_manifest_is_told() -> None:
    with pytest.raises(ManifestError, match="expected a Parquet file, found something else"):
        open_manifest(io.BytesIO(b"not at all"))
    stream = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), stream)
    with pytest.raises(ManifestError, match="expected the manifest of a training set, found another Parquet file"):
        open_manifest(stream)


def test_a_manifest_with_a_column_that_no_digest_covers_is_none() -> None:
    table = table_of(written(batch([row(1)]))[1])
    stream = io.BytesIO()
    pq.write_table(table.append_column("verified_label", pa.array(["001 Brassica juncea"])), stream)

    with pytest.raises(ManifestError, match="found another Parquet file"):
        open_manifest(stream)


uuids = st.lists(st.uuids(), max_size=30)


@given(uuids)
def test_identifiers_are_the_same_as_bytes_and_as_text(identifiers: list[UUID]) -> None:
    texts = pa.array([str(one) for one in identifiers], pa.string())
    found = from_uuids(texts)
    assert found.tobytes() == b"".join(one.bytes for one in identifiers)
    assert to_uuids(found).equals(texts)
    assert from_uuids(texts.slice(1)).tobytes() == b"".join(one.bytes for one in identifiers[1:])


@given(st.lists(st.none() | st.binary(min_size=32, max_size=32), max_size=20))
def test_hexadecimal_is_read_and_what_is_missing_is_zero(values: list[bytes | None]) -> None:
    texts = pa.array([None if value is None else value.hex() for value in values], pa.string())
    found = from_hexadecimal(texts, 32)
    assert found.tobytes() == b"".join(value or bytes(32) for value in values)
    assert hash_codes(found).tolist() == [int.from_bytes((value or bytes(8))[:8], "big") >> 1 for value in values]


@given(uuids, uuids)
def test_identifiers_are_found_among_others(wanted: list[UUID], known: list[UUID]) -> None:
    ordered = sorted(set(known))
    found = places(
        *(np.frombuffer(b"".join(one.bytes for one in few), np.uint8).reshape(-1, 16) for few in (wanted, ordered))
    )
    assert found.tolist() == [ordered.index(one) if one in ordered else -1 for one in wanted]


def test_texts_of_another_length_are_no_hashes() -> None:
    with pytest.raises(ValueError, match="expected texts of 64 characters"):
        from_hexadecimal(pa.array(["00"]), 32)


def test_chance_is_the_same_on_every_machine_and_another_for_each_seed() -> None:
    identifiers = np.frombuffer(UUID(int=5).bytes + UUID(int=6).bytes, np.uint8).reshape(2, 16)
    assert mixed(identifiers, 0).tolist() == [8176773786598856692, 5691498994877088237]
    assert len({*mixed(identifiers, 0).tolist(), *mixed(identifiers, 1).tolist()}) == 4
