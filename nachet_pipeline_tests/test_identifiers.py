from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nachet_pipeline import identifiers
from nachet_pipeline.contract.names import why_unsafe
from nachet_pipeline.identifiers import partition_key, picture_blob, uploads_of_partition

settings.register_profile("repeatable-naming", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable-naming")

A, B = UUID(int=1), UUID(int=2)
NAMES = st.text(min_size=1, max_size=40).filter(lambda name: why_unsafe(name) is None)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)


def test_identifiers_stay_what_they_were_when_data_was_stored_under_them() -> None:
    assert {
        "user": str(identifiers.user_id("ada@example.org")),
        "seed": str(identifiers.seed_id("Brassica napus")),
        "upload": str(identifiers.upload_id(A, "seeds")),
        "set": str(identifiers.picture_set_id(A, "seeds", "pictures/one")),
        "picture": str(identifiers.picture_id(A, "00")),
        "picture_seed": str(identifiers.picture_seed_id(A, B)),
    } == {
        "user": "fc0eb44d-9c85-5d80-a919-3a6d8f54184e",
        "seed": "06a95f93-158b-55ce-8986-2f26a9d04c5e",
        "upload": "4a0f97ac-2a18-5680-85de-249ad34ee48f",
        "set": "ae187170-b3b2-5a79-b09f-7d2b39fb84f5",
        "picture": "98e81bc2-91ba-55ac-a69e-e35801891d3a",
        "picture_seed": "b0077ffb-c28e-5c82-b7d0-31c2ebf0ba10",
    }


IDENTIFIERS: list[tuple[Callable[..., UUID], tuple[st.SearchStrategy[object], ...]]] = [
    (identifiers.user_id, (st.emails(),)),
    (identifiers.upload_id, (st.uuids(), NAMES)),
    (identifiers.picture_set_id, (st.uuids(), NAMES, NAMES | st.just(""))),
    (identifiers.picture_id, (st.uuids(), DIGESTS)),
    (identifiers.picture_seed_id, (st.uuids(), st.uuids())),
]


@pytest.mark.parametrize(("identify", "parts"), IDENTIFIERS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_same_thing_has_one_identifier_and_no_other_thing_has_it(
    identify: Callable[..., UUID], parts: tuple[st.SearchStrategy[object], ...]
) -> None:
    @given(st.tuples(*parts), st.tuples(*parts))
    def holds(one: tuple[object, ...], other: tuple[object, ...]) -> None:
        assert identify(*one) == identify(*one)
        assert (identify(*one) == identify(*other)) == (one == other)

    holds()


def test_things_of_different_kinds_never_share_an_identifier() -> None:
    assert (
        len(
            {
                identifiers.upload_id(A, str(B)),
                identifiers.picture_set_id(A, str(B), ""),
                identifiers.picture_seed_id(A, B),
            }
        )
        == 3
    )


@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES))
def test_where_one_part_ends_and_the_next_begins_matters(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert identifiers.picture_set_id(A, one[0] + one[1][:1], one[1][1:]) != identifiers.picture_set_id(A, *one)
    assert (identifiers.picture_set_id(A, *one) == identifiers.picture_set_id(A, *other)) == (one == other)


@pytest.mark.parametrize("spelling", ["Brassica napus", "brassica NAPUS", "  Brassica \t napus\n"])
def test_a_seed_has_one_identifier_however_its_name_is_spelt(spelling: str) -> None:
    assert (
        identifiers.seed_id(spelling) == identifiers.seed_id("Brassica napus") != identifiers.seed_id("Brassica juncea")
    )


@given(st.uuids(), st.text(max_size=300))
def test_a_partition_leads_back_to_its_upload_whatever_the_folders_name(upload: UUID, folder: str) -> None:
    key = partition_key(upload, folder)

    first, last = uploads_of_partition(key)
    assert first <= upload <= last
    assert key.isascii()
    assert key.isprintable()
    assert len(key) <= 60 + 1 + 12
    assert key.split("~")[0]


@pytest.mark.parametrize(
    ("folder", "shown"),
    [("wheat 2024", "wheat-2024"), ("Été/1", "t-1"), ("日本", "folder"), ("--", "folder"), ("a" * 99, "a" * 60)],
)
def test_a_partition_shows_the_folders_name_to_people(folder: str, shown: str) -> None:
    assert partition_key(A, folder) == f"{shown}~{A.hex[:12]}"


@pytest.mark.parametrize("key", ["", "wheat", "wheat~", "wheat~1", f"{A}~wheat"])
def test_a_key_that_is_not_ours_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="partition"):
        uploads_of_partition(key)


@given(st.uuids(), st.uuids(), st.sampled_from(["TIFF", "PNG", "JPEG"]), DIGESTS)
def test_everything_of_a_picture_set_lies_in_its_folder(
    picture_set: UUID, picture: UUID, picture_format: str, digest: str
) -> None:
    blobs = [
        picture_blob(picture_set, picture, picture_format),
        identifiers.descriptor_blob(picture_set),
        identifiers.manifest_blob(picture_set, digest),
    ]

    assert all(blob.startswith(f"{picture_set}/") for blob in blobs)
    assert len(set(blobs)) == 3
    assert blobs[0].endswith({"TIFF": ".tiff", "PNG": ".png", "JPEG": ".jpg"}[picture_format])


@given(st.uuids())
def test_every_container_has_a_name_that_azure_allows(user: UUID) -> None:
    names = [
        identifiers.user_container(user),
        identifiers.upload_container(user),
        identifiers.training_container("cirsium-2024"),
    ]

    for name in names:
        assert 3 <= len(name) <= 63
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert "--" not in name
    assert len(set(names)) == 3


@given(NAMES)
def test_a_receipt_lies_beside_its_folder_and_not_in_it(folder: str) -> None:
    assert identifiers.receipt_blob(folder) == f"{folder}.receipt.json"
