"""Folders that are put away in tests, what is kept of them, and services that go away at any step."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Lock
from typing import Any
from uuid import UUID

from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.folders.keeper import FolderKeeper
from nachet_pipeline.identifiers import archive_container
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline_tests.workbench import Workbench


def keeper(bench: Workbench, **changes: Any) -> FolderKeeper:
    return FolderKeeper(**{"database": bench.database, "blobs": bench.blobs} | changes)


def folder_id(bench: Workbench, name: str | None = None) -> UUID:
    (row,) = bench.query("select id from picture_set where %s::text is null or name = %s", name, name)
    return UUID(str(row["id"]))


def archive_of(bench: Workbench) -> str:
    return archive_container(bench.user.id)


def names(bench: Workbench, container: str) -> set[str]:
    if not bench.blobs.container_exists(container):
        return set()
    return {found.name for found in bench.blobs.listing(container)}


def assert_every_row_has_its_bytes(bench: Workbench) -> None:
    rows = bench.query(
        "select c.name as container, p.blob, p.sha256 from pictures p join picture_set s on s.id = p.picture_set_id"
        " join container c on c.id = s.container_id where s.purged_at is null and p.purged_at is null"
    )
    assert rows
    for row in rows:
        assert sha256(bench.blobs.read(row["container"], row["blob"])).digest() == row["sha256"]


def state(bench: Workbench) -> dict[str, Any]:
    """Rows and blobs, without times and numbers, as the end of something is compared with another."""
    hidden = {"id", "number"}
    tombstones = [
        {name: (value is not None) if name.endswith(("_at", "_until", "at")) else value for name, value in row.items()}
        for row in bench.query("select * from folder_tombstone order by id")
    ]
    return {
        "sets": bench.query(
            "select s.id, c.name, deleted_at is null as there, archived_at is null as unarchived, purged_at is null"
            " as unpurged from picture_set s join container c on c.id = s.container_id order by s.id"
        ),
        "pictures": bench.query("select id, blob, encode(sha256, 'hex') as sha256 from pictures order by id"),
        "tombstone": [{name: value for name, value in row.items() if name not in hidden} for row in tombstones[-1:]],
        "blobs": {name: names(bench, name) for name in (bench.user.user_container, archive_of(bench))},
    }


def let_undo_end(bench: Workbench) -> None:
    """Let so much time pass that nothing can be undone any more."""
    bench.query("update folder_tombstone set undo_until = now() - interval '1 minute' where purged_at is null")


class KilledError(BaseException):
    """What ends everything, as a signal would."""


@dataclass
class Steps:
    """Counts boundaries: before each commit, after it, before and after each change of storage."""

    at: int
    count: int = 0
    _lock: Lock = field(default_factory=Lock)

    def step(self) -> None:
        with self._lock:
            self.count += 1
            if self.count >= self.at:  # once dead, nothing works any more
                raise KilledError


class KilledDatabase(Database):
    """The real database, for a process that is killed at some step."""

    steps: Steps

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        with super().connection() as connection:
            yield connection
            self.steps.step()
        self.steps.step()


class KilledStorage(BlobStorage):
    """The real storage, likewise."""

    steps: Steps

    def copy(self, *arguments: Any, **settings: Any) -> bool:
        self.steps.step()
        done = super().copy(*arguments, **settings)
        self.steps.step()
        return done

    def delete(self, *arguments: Any, **settings: Any) -> bool:
        self.steps.step()
        done = super().delete(*arguments, **settings)
        self.steps.step()
        return done


@contextmanager
def killed_at(bench: Workbench, step: int) -> Iterator[FolderKeeper]:
    """One whose process dies at a step."""
    steps = Steps(step)
    with KilledDatabase(bench.database_url, connections=6) as database:
        database.steps = steps
        with KilledStorage.connect(bench.blobs.account_url, bench.blob_key) as blobs:
            blobs.steps = steps
            yield FolderKeeper(database, blobs)
