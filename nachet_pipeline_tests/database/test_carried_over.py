"""A database of version 0013 is carried over: its rows and blobs were made by that version, with what was wrong in it.

`version_0013/` holds what the importer of that version wrote: a session that was corrected and became two picture sets,
one file in two folders and of two users under two species, a withdrawn photograph with a second row, crops of a
corrected session, one file twice in a session and in a mass import, a purged, an archived folder, and frozen versions.
"""

import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from pydantic import SecretStr

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.database.connection import Database, migrate
from nachet_pipeline.folders.queries import folders_of
from nachet_pipeline.local.services import Services
from nachet_pipeline.pictures.decoding_pool import DecodingPool
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.training.building import build
from nachet_pipeline.training.recipe import Recipe
from nachet_pipeline.uploads.queries import search_uploads
from nachet_pipeline.users.queries import find_user
from nachet_pipeline_tests.folders.kept import assert_every_row_has_its_bytes
from nachet_pipeline_tests.workbench import Workbench, settings_with

_MADE = Path(__file__).parent / "version_0013"
ADA = "5a889f9563ae478ebd27280b312c3d2e@example.org"
FROZEN = "5a1942b27e2b757091fcd877863915293280626ce5fc2944ff6b0b5f5c33c487"


def _blobs() -> dict[str, bytes]:
    """What lay in storage, by container and name."""
    with zipfile.ZipFile(_MADE / "blobs.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def carried_over(
    database_url: str, services: Services, blobs: BlobStorage, pool: DecodingPool, tmp_path: Path
) -> Iterator[Workbench]:
    """The bench of Ada, to whom most of it belongs, after the upgrade."""
    migrate(SecretStr(database_url), "0013")
    with psycopg.connect(database_url) as connection:
        connection.execute((_MADE / "rows.sql").read_text(encoding="utf-8"))  # type: ignore[call-overload]
    for name, content in _blobs().items():
        container, _, blob = name.partition("/")
        blobs.ensure_container(container)
        kind = "image/png" if blob.endswith(".png") else "application/octet-stream"
        noted = {"sha256": sha256(content).hexdigest()} if blob.endswith((".png", ".tiff")) else None
        blobs.upload(container, blob, content, content_type=kind, metadata=noted, overwrite=True)
    migrate(SecretStr(database_url))
    with Database(SecretStr(database_url), connections=6) as database:
        with database.connection() as connection:
            user = find_user(connection, ADA)
        assert user is not None
        key = SecretStr(services.blob_key)
        yield Workbench(
            database, blobs, pool, user, tmp_path, SecretStr(database_url), key, settings_with(decode_workers=2)
        )
    for container in {name.partition("/")[0] for name in _blobs()}:
        for blob in list(blobs.listing(container)):
            blobs.delete(container, blob.name)


def of_folder(bench: Workbench, folder: str) -> list[dict[str, Any]]:
    """The whole pictures of a folder: name, species, whether they count."""
    rows = bench.query(
        "select p.name, seeds.name as species, p.superseded_at is null as live from pictures p"
        " join picture_set s on s.id = p.picture_set_id join upload u on u.id = s.upload_id"
        " join picture_seed l on l.picture_id = p.id join seeds on seeds.id = l.seed_id"
        " where u.folder = %s and p.parent is null order by live desc, p.name",
        folder,
    )
    return [dict(row) for row in rows]


def test_of_two_sets_of_one_session_the_one_imported_last_counts(carried_over: Workbench) -> None:
    rows = of_folder(carried_over, "thistles")
    live = [(row["name"], row["species"]) for row in rows if row["live"]]
    assert live == [(f"{number}.png", "Brassica juncea") for number in range(1, 5)]
    assert len(rows) == 9
    with carried_over.database.connection() as connection:
        sources = [one.source for one in folders_of(connection, carried_over.user.id)]
    assert sorted(sources).count("thistles") == 1


def test_what_was_cut_from_a_superseded_picture_is_superseded(carried_over: Workbench) -> None:
    rows = carried_over.query(
        "select c.superseded_at is null as crop, p.superseded_at is null as parent from pictures c"
        " join pictures p on p.id = c.parent"
    )
    assert rows
    assert all(row["parent"] or not row["crop"] for row in rows)
    assert sum(row["crop"] for row in rows) == 2


def test_one_file_twice_in_a_session_or_a_container_counts_once(carried_over: Workbench) -> None:
    assert [row["live"] for row in of_folder(carried_over, "twice")] == [True, False]
    rows = carried_over.query(
        "select p.name, p.superseded_at is null as live from pictures p join picture_set s on s.id = p.picture_set_id"
        " where s.mass_import_id is not null order by p.name"
    )
    assert [(row["name"], row["live"]) for row in rows] == [("a.png", True), ("b.png", False), ("c.png", True)]


def test_every_row_still_has_its_bytes_and_nothing_is_amiss(carried_over: Workbench) -> None:
    assert_every_row_has_its_bytes(carried_over)
    comparer = carried_over.comparer()
    for container in (carried_over.user.user_container, f"archive-{carried_over.user.id}"):
        with carried_over.database.connection() as connection:
            found = comparer.compare_container(connection, carried_over.user, container)
        assert found.found == {}


def test_what_is_kept_of_a_purged_folder_knows_that_its_files_are_gone(carried_over: Workbench) -> None:
    rows = carried_over.query(
        "select s.purged_at is not null as folder, p.purged_at is not null as picture, count(*) from pictures p"
        " join picture_set s on s.id = p.picture_set_id group by 1, 2 order by 1"
    )
    assert [(row["folder"], row["picture"]) for row in rows] == [(False, False), (True, True)]


def test_each_staged_folder_is_imported_again_and_meets_its_own_rows(carried_over: Workbench) -> None:
    with carried_over.database.connection() as connection:
        uploads = [one for one in search_uploads(connection, None, limit=100) if one.owner.id == carried_over.user.id]
    own = {one.folder: one for one in uploads}
    # Of the second of two folders with the same files, that version knew only the first.
    for folder in ("two", "purged"):
        own.pop(folder)
    rows = carried_over.query("select id, superseded_at, name from pictures order by id")
    blobs = carried_over.versions(carried_over.user.user_container)
    for upload in own.values():
        outcome = carried_over.run(upload)
        assert outcome.receipt.state is State.IMPORTED
        assert outcome.receipt.correction is not None
        assert (outcome.receipt.correction.added, outcome.receipt.correction.removed) == (0, 0), upload.folder
    assert carried_over.query("select id, superseded_at, name from pictures order by id") == rows
    after = carried_over.versions(carried_over.user.user_container)
    kept = {name for name in after if not name.endswith((".json", ".jsonl"))}
    archived = {name for name in carried_over.versions(f"archive-{carried_over.user.id}") if name.endswith(".png")}
    assert kept == {name for name in blobs if not name.endswith((".json", ".jsonl"))} | archived


def test_the_second_folder_of_the_same_files_gets_a_set_of_its_own(carried_over: Workbench) -> None:
    with carried_over.database.connection() as connection:
        (two,) = search_uploads(connection, "two")
    outcome = carried_over.run(two)
    assert outcome.receipt.state is State.IMPORTED
    assert {row["species"] for row in of_folder(carried_over, "two")} == {"Brassica juncea"}
    assert len(of_folder(carried_over, "one")) == 2


def test_a_new_version_holds_each_photograph_of_a_session_once(carried_over: Workbench) -> None:
    built = build(Recipe(name="after"), carried_over.database, carried_over.blobs)
    rows = carried_over.query(
        "select s.id, p.sha256, count(*) from training_set_member m join pictures p on p.id = m.picture_id"
        " join picture_set s on s.id = p.picture_set_id where m.training_set_id = %s group by 1, 2 having count(*) > 1",
        UUID(str(built.id)),
    )
    assert rows == []
    assert built.pictures > 0
