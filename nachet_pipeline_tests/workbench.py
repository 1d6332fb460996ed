"""Uploads for tests: written to disk, staged, looked at, imported, and everything that is kept of them."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import UUID, uuid4

import yaml
from pydantic import SecretStr

from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.receipt import Receipt
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.crops.cropping import Cropper
from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.database.connection import Database
from nachet_pipeline.identifiers import receipt_blob, report_blob
from nachet_pipeline.local.sample import write_sample
from nachet_pipeline.local.services import Services
from nachet_pipeline.pictures.decoding_pool import DecodingPool
from nachet_pipeline.reconciliation.comparing import Comparer
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.settings import ArrivalSettings, Settings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.uploads.discovery import Arrival, due_uploads, queue
from nachet_pipeline.uploads.importing import Importer, ImportOutcome
from nachet_pipeline.uploads.queries import find_upload, see_upload
from nachet_pipeline.uploads.staging import mark_complete, stage_folder
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline.users.registering import register_user
from nachet_pipeline.users.user import User
from nachet_pipeline_tests.receipts import valid_receipt

TABLES = (
    "users",
    "seeds",
    "container",
    "upload",
    "picture_set",
    "pictures",
    "picture_seed",
    "training_set",
    "audit_trail",
)
# Of the table upload: when something was last looked at or done, and by whom.
_PASSING = ("updated_at", "checked_at", "queued_at", "run_id", "batch")


def settings_with(settings: Settings | None = None, **values: object) -> Settings:
    """Settings of which some are others, named as in the environment, whatever they concern."""
    changed = settings or Settings()
    for field, value in values.items():
        (name,) = (name for name, concern in Settings.concerns().items() if field in concern.model_fields)
        concern = getattr(changed, name).model_copy(update={field: value})
        changed = changed.model_copy(update={name: concern})
    return changed


def md5(content: bytes) -> bytes:
    """The checksum that uploading asks for."""
    return hashlib.md5(content, usedforsecurity=False).digest()


def edit(file: Path, section: str, **values: object) -> None:
    """Correct values of a section of an index.yaml; None removes one."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    merged = {**content.get(section, {}), **values}
    content[section] = {name: value for name, value in merged.items() if value is not None}
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def files_of(folder: Path) -> dict[str, bytes]:
    """A local folder's files by path."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


class Uploader:
    """What a registered user does, on real services."""

    database: Database
    blobs: BlobStorage
    user: User

    @property
    def owner(self) -> Owner:
        return Owner(self.user.id, self.user.email)

    def stage(self, folder: Path, *, replace: bool = False, complete: bool = True) -> Upload:
        """Stage a folder as `nachet stage` does, and let the database know of it."""
        container = self.user.upload_container
        stage_folder(self.blobs, LocalFolder(folder), container, folder.name, replace=replace)
        if complete:
            mark_complete(self.blobs, container, folder.name)
        with self.database.connection() as connection:
            return see_upload(connection, self.owner, folder.name)

    def now(self, upload: Upload) -> Upload:
        """The upload as the database knows it now."""
        with self.database.connection() as connection:
            found = find_upload(connection, upload.id)
        assert found is not None
        return found


@dataclass(frozen=True)
class Workbench(Uploader):
    """A database of the test's own, the storage account, and a registered user with a place to write folders."""

    database: Database
    blobs: BlobStorage
    pool: DecodingPool
    user: User
    place: Path
    database_url: SecretStr
    blob_key: SecretStr
    settings: Settings

    @property
    def rules(self) -> RuleSet:
        return RuleSet.of(self.settings.contract)

    @property
    def limits(self) -> ContractLimits:
        return ContractLimits.of(self.settings.contract, self.settings.transfer)

    @contextmanager
    def process(self, script: str, *arguments: object, stuck_at: str) -> Iterator[subprocess.Popen[str]]:
        """Another process on the same services, once it printed that it is stuck somewhere; killed at the end.

        The script finds the services in `TEST_DATABASE`, `TEST_ACCOUNT` and `TEST_KEY`.
        """
        file = self.place / f"{uuid4().hex}.py"
        file.write_text(script, encoding="utf-8")
        environment = {
            **os.environ,
            "TEST_DATABASE": self.database_url.get_secret_value(),
            "TEST_ACCOUNT": self.blobs.account_url,
            "TEST_KEY": self.blob_key.get_secret_value(),
        }
        command = [sys.executable, str(file), *map(str, arguments)]
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == f"{stuck_at}\n"
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def sample(self, name: str = "project", *, sessions: int = 1, pictures: int = 2, seed: int = 0) -> Path:
        """A small valid project folder of the user's."""
        return write_sample(
            self.place / name,
            sessions=sessions,
            pictures=pictures,
            picture_format="png",
            seed=seed,
            email=self.user.email,
            width=64,
            height=48,
        )

    def put(self, blob: str, content: bytes) -> None:
        """Write a blob into the user's upload container, as any program of the user's could."""
        self.blobs.upload(self.user.upload_container, blob, content, content_type="image/png", overwrite=True)

    def importer(self, **changes: Any) -> Importer:
        with self.database.connection() as connection:
            registry = registered_seeds(connection)
        importer = Importer(
            self.database,
            self.blobs,
            self.pool,
            registry,
            self.rules,
            self.limits,
            self.settings.transfer,
            run_id="run-1",
        )
        return replace(importer, **changes)

    def run(self, upload: Upload, **changes: Any) -> ImportOutcome:
        """Import an upload; what the importer works with can be exchanged."""
        outcome = self.importer(**changes).import_upload(upload.id)
        valid_receipt(outcome.receipt.model_dump(mode="json"))
        return outcome

    def cropper(self, pool: CroppingPool, **changes: Any) -> Cropper:
        cropper = Cropper(self.database, self.blobs, pool, self.settings.crop, self.rules, self.settings.transfer)
        return replace(cropper, **changes)

    def comparer(self, **changes: Any) -> Comparer:
        comparer = Comparer(self.database, self.blobs, self.settings.reconciliation, self.settings.transfer)
        return replace(comparer, **changes)

    def import_as_the_sensor_does(self, upload: Upload) -> ImportOutcome:
        """Import an upload that is due, after noting what it looked like."""
        (arrival,) = [arrival for arrival in self.due() if arrival.upload.id == upload.id]
        queue(self.database, [arrival])
        return self.run(self.now(upload))

    def due(self, *, after: timedelta = timedelta(0), settings: ArrivalSettings | None = None) -> list[Arrival]:
        """What is due so long after now."""
        when, moment = settings or self.settings.arrival, datetime.now(UTC) + after
        return list(due_uploads(self.database, self.blobs, when, self.limits, moment))

    def another_user(self, email: str) -> "Workbench":
        return replace(self, user=register_user(self.database, self.blobs, email))

    # What is kept

    def query(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        with self.database.connection() as connection:
            cursor = connection.execute(query, arguments)
            return cursor.fetchall() if cursor.description else []

    def rows(self, *, without: tuple[str, ...] = ()) -> dict[str, list[dict[str, Any]]]:
        """Every row of every table, but for what passes with each run, and columns that the test does not mean."""
        found: dict[str, list[dict[str, Any]]] = {}
        for table in TABLES:
            rows = [row["row"] for row in self.query(f"select to_jsonb(t) as row from {table} t order by id")]
            for row in rows:
                if receipt := row.get("receipt"):
                    for name in ("staged_at", "queued_at", "started_at", "finished_at", "run_id"):
                        receipt.pop(name, None)
            passing = ("id", "at") if table == "audit_trail" else ()
            hidden = {*_PASSING, *passing, *without}
            found[table] = [{name: value for name, value in row.items() if name not in hidden} for row in rows]
        return found

    def contents(self, container: str) -> dict[str, bytes]:
        """Every blob of a container."""
        return {name: self.blobs.read(container, name) for name in self.versions(container)}

    def versions(self, container: str) -> dict[str, str]:
        """The ETag of every blob of a container."""
        return {file.path: file.version for file in self.blobs.files(container, "")}

    def stored_pictures(self) -> dict[str, bytes]:
        """The user's imported pictures by blob."""
        stored = self.contents(self.user.user_container)
        return {name: content for name, content in stored.items() if not name.endswith((".json", ".jsonl"))}

    def receipt(self, upload: Upload) -> Receipt:
        """The receipt beside the staged folder."""
        return valid_receipt(self.blobs.read(upload.staging_container, receipt_blob(upload.folder)))

    def page(self, upload: Upload) -> str:
        """The report page beside the staged folder."""
        return self.blobs.read(upload.staging_container, report_blob(upload.folder)).decode()

    def forget(self, upload: Upload) -> None:
        """Let an upload never have been imported."""
        with self.database.connection() as connection:
            for table in ("picture_seed", "pictures", "picture_set"):
                connection.execute(f"delete from {table}")
            connection.execute("delete from upload where id = %s", (upload.id,))
            see_upload(connection, upload.owner, upload.folder)
            # The trail remembers everything, but for those who may change the table itself.
            connection.execute("alter table audit_trail disable trigger audit_trail_append_only")
            connection.execute("delete from audit_trail where subject in ('picture set', 'picture', 'picture seed')")
            connection.execute("alter table audit_trail enable always trigger audit_trail_append_only")
        for blob in self.versions(self.user.user_container):
            self.blobs.delete(self.user.user_container, blob)

    def backdate(self, upload: UUID, minutes: int) -> None:
        """Let an upload have changed so long ago."""
        with self.database.connection() as connection:
            connection.execute(
                "update upload set updated_at = updated_at - interval '1 minute' * %s where id = %s", (minutes, upload)
            )


def pipeline_runs(bench: Workbench, *, after: timedelta = timedelta(0)) -> None:
    """Import what the sensor finds due so long after now."""
    arrivals = bench.due(after=after)
    queue(bench.database, arrivals)
    for arrival in arrivals:
        bench.run(bench.now(arrival.upload))


def process_of_run(database: Database, run_id: str) -> int | None:
    """The number of the process that works on a run, which Dagster notes in the run's events."""
    with database.connection() as connection:
        row = connection.execute(
            r"select substring(event from 'Started process for run \(pid: (\d+)\)')::integer as pid from event_logs"
            " where run_id = %s and event like '%%Started process for run%%'",
            (run_id,),
        ).fetchone()
    return row["pid"] if row else None


@contextmanager
def workbench_of(
    services: Services, blobs: BlobStorage, pool: DecodingPool, place: Path, *, workers: int = 2
) -> Iterator[Workbench]:
    """A workbench with a new user, on the database of the services."""
    url = SecretStr(services.database_url)
    with Database(url, connections=6) as database:
        user = register_user(database, blobs, f"{uuid4().hex}@example.org")
        settings = settings_with(decode_workers=workers)
        yield Workbench(database, blobs, pool, user, place, url, SecretStr(services.blob_key), settings)


class InterruptedStorage(BlobStorage):
    """The real storage, which goes away after some copies."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.copies_left = 0
        self._counting = Lock()

    def copy(self, *arguments: Any, **settings: Any) -> bool:
        with self._counting:
            if self.copies_left == 0:
                raise StorageError("Blob storage at 127.0.0.1: it went away")
            self.copies_left -= 1
        return super().copy(*arguments, **settings)


class MeddledStorage(BlobStorage):
    """The real storage, where somebody overwrites a staged blob after it was listed and before it is used."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.blob, self.content = "", b""
        self.before = "copy"
        self._once = Lock()

    def _meddle(self, container: str, blob: str, moment: str) -> None:
        if blob == self.blob and moment == self.before and self._once.acquire(blocking=False):
            self.upload(container, blob, self.content, content_type="image/png", overwrite=True)

    def read(self, container: str, blob: str, version: str | None = None) -> bytes:
        self._meddle(container, blob, "read")
        return super().read(container, blob, version)

    def copy(self, source: tuple[str, str], *arguments: Any, **settings: Any) -> bool:
        self._meddle(*source, "copy")
        return super().copy(source, *arguments, **settings)
