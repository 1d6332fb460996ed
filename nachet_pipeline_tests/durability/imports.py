"""Imports that are to be killed: three ways to start one, to go on after a kill, and all that is kept of it.

A way is what a person or a machine does, never a shortcut of the tests: `core` is the importer behind the sensor's
functions, `job` the sensor, the run and the run's failure as Dagster's daemon sees to them, `command` is
`nachet import`.
"""

import contextlib
import hashlib
import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil
import psycopg
import yaml
from dagster import (
    AssetKey,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    SensorResult,
    build_run_status_sensor_context,
    build_sensor_context,
)
from dagster._core.definitions.asset_checks.asset_check_spec import AssetCheckKey
from dagster._core.events import JobFailureData
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from psycopg.rows import dict_row

from nachet_pipeline.cli.commands import app
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.database.connection import Database
from nachet_pipeline.definitions import definitions
from nachet_pipeline.defs.partitions import uploads
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource, ImportProgress, of_settings
from nachet_pipeline.defs.runs import BATCH_TAG
from nachet_pipeline.defs.uploads import assets, running
from nachet_pipeline.identifiers import receipt_blob, report_blob
from nachet_pipeline.local import processes
from nachet_pipeline.local.sample import write_sample
from nachet_pipeline.pictures import decoding_pool
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings, Inspection
from nachet_pipeline.pictures.inspected import Thumbnail
from nachet_pipeline.pictures.inspection import inspect_picture
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.settings import Settings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.uploads.discovery import due_uploads, fail_abandoned, queue
from nachet_pipeline.uploads.importing import Importer
from nachet_pipeline.uploads.queries import requeue_batch, waiting_batches
from nachet_pipeline.uploads.staging import mark_complete, stage_folder
from nachet_pipeline.users.registering import register_user
from nachet_pipeline.users.user import User
from nachet_pipeline_tests.durability.boundaries import Boundaries

FOLDER = "project"
_TICKS = 6
_SECONDS_TO_WRITE = 60
# The digest is over the versions of the staged files, which every staging makes anew; `due` says whether it fits them.
_PASSING = {"run_id", "batch", "staged_digest"}
_PASSING_OF_RECEIPTS = {"run_id", "submission", "staged_at", "queued_at", "started_at", "finished_at"}
_RUN_KEY = "dagster/run_key"
_KEPT_BY_A_RETRY = {
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
    BATCH_TAG,
    _RUN_KEY,
}
_ASSETS = ("staged_upload", "validated_manifest", "stored_pictures", "picture_metadata")


class Way(StrEnum):
    """How an import is started, and started again."""

    CORE = "core"
    JOB = "job"
    COMMAND = "command"


class Case(StrEnum):
    """What is imported."""

    GOOD = "good"
    """Two sessions without an error; two of their pictures are the same, so that there is a report."""
    PARTLY = "partly"
    """One session of two can be imported, which its index alone says."""
    REFUSED = "refused"
    """A picture cannot be decoded."""


class DecodingHere(DecodingPool):
    """Decodes in the calling thread: starting processes takes longer than all the rest of a small import."""

    def begin(self, size: int = 0) -> None:
        """There is none to start."""

    def inspect(self, content: bytes, picture_format: str, *, thumbnail: Thumbnail = Thumbnail.NEVER) -> Inspection:
        limits = self.settings.limits
        return Inspection.told(inspect_picture(content, picture_format, limits, thumbnail=thumbnail, enriched=True))


def write_folder(case: Case, folder: Path, email: str) -> Path:
    """A small project of a user's."""
    seed = list(Case).index(case) + 1
    write_sample(folder, sessions=2, pictures=2, picture_format="png", seed=seed, email=email, width=40, height=30)
    first, second = folder / "pictures/session1", folder / "pictures/session2"
    if case is Case.GOOD:
        (first / "2.png").write_bytes((first / "1.png").read_bytes())
    if case is Case.PARTLY:
        _edit(second / "index.yaml", "imageData", numberOfImages=3)
        _edit(folder / "index.yaml", "uploadData", acceptValid=True)
    if case is Case.REFUSED:
        (second / "2.png").write_bytes(b"no picture at all")
    return folder


def _edit(file: Path, section: str, **values: object) -> None:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content[section] = {**content.get(section, {}), **values}
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _writes_a_run(process: psutil.Process) -> bool:
    """Whether a process writes what became of a killed command here, on a busy machine later than what goes on."""
    return (
        any(running.__name__ in part for part in process.cmdline())
        and process.environ().get("NACHET_DATABASE_URL") == os.environ["NACHET_DATABASE_URL"]
    )


class Import:
    """One import in a process of its own; the environment names services, home and Dagster's instance."""

    def __init__(self, way: Way, case: Case, folder: Path, email: str) -> None:
        self.way, self.case, self.folder, self.email = way, case, folder, email
        self.settings = Settings.from_environment(
            {name: value for name, value in os.environ.items() if name.startswith("NACHET_")}
        )
        self.limits = ContractLimits.of(self.settings.contract, self.settings.transfer)
        assert self.settings.database_url
        assert self.settings.blob_account_url
        self.database = Database(self.settings.database_url)
        self.blobs = BlobStorage.connect(self.settings.blob_account_url, self.settings.blob_key)
        self.user: User = register_user(self.database, self.blobs, email)
        assets.DecodingPool = decoding_pool.DecodingPool = DecodingHere  # type: ignore[misc]

    def stage(self) -> None:
        """What precedes the import: nothing, where the command itself stages."""
        if self.way is not Way.COMMAND:
            container = self.user.upload_container
            stage_folder(self.blobs, LocalFolder(self.folder), container, FOLDER)
            mark_complete(self.blobs, container, FOLDER)

    def start(self, boundaries: Boundaries) -> None:
        """Import the folder, or what is left to be imported after a kill."""
        match self.way:
            case Way.CORE:
                self._import_what_is_due(boundaries)
            case Way.JOB:
                self._run_what_is_asked_for(boundaries)
            case Way.COMMAND:
                with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
                    app(["import", str(self.folder), "--user", self.email, "--json"])

    def recover(self, boundaries: Boundaries) -> None:
        """What happens by itself once a killed process is gone, in time that does not have to pass here."""
        if self.way is Way.COMMAND:
            assert processes.wait_until(lambda: not any(processes.matching(_writes_a_run)), _SECONDS_TO_WRITE)
        else:
            self._let_time_pass()
        if self.way is Way.CORE:
            fail_abandoned(self.database, self.blobs)
            with self.database.connection() as connection:  # as the sensor does with requests that became no run
                for batch in waiting_batches(connection, minutes=5):
                    requeue_batch(connection, batch)
        if self.way is Way.JOB:
            self._notice_dead_runs(boundaries)
        for _ in range(_TICKS):
            if self.way is not Way.COMMAND:
                self._let_time_pass()
            self.start(boundaries)
            if self._settled():
                break
        if self.way is not Way.COMMAND:  # the next tick of the sensor
            list(due_uploads(self.database, self.blobs, self.settings.arrival, self.limits))

    def _settled(self) -> bool:
        with self.database.connection() as connection:
            rows = connection.execute("select state from upload").fetchall()
        return bool(rows) and all(row["state"] in {"imported", "partly_imported", "refused"} for row in rows)

    def _let_time_pass(self) -> None:
        with self.database.connection() as connection:
            connection.execute(
                "update upload set updated_at = updated_at - interval '1 hour',"
                " queued_at = queued_at - interval '1 hour', checked_at = checked_at - interval '1 hour'"
            )

    # The importer itself

    def _import_what_is_due(self, boundaries: Boundaries) -> None:
        arrivals = list(due_uploads(self.database, self.blobs, self.settings.arrival, self.limits))
        queue(self.database, arrivals)
        with self.database.connection() as connection:
            registry = registered_seeds(connection)
        pool = DecodingHere(DecodingSettings())
        rules = RuleSet.of(self.settings.contract)
        importer = Importer(
            self.database, self.blobs, pool, registry, rules, self.limits, self.settings.transfer, "core"
        )
        importer.progress = boundaries.progress
        for arrival in arrivals:
            importer.import_upload(arrival.upload.id)

    # Dagster, as its daemon does it

    def _run_what_is_asked_for(self, boundaries: Boundaries) -> None:
        defined = definitions(self.settings, ImportProgress(boundaries.progress))
        sensor = defined.get_repository_def().get_sensor_def("start_imports")
        with DagsterInstance.get() as instance:
            with build_sensor_context(instance=instance, resources=self._resources()) as context:
                result = sensor(context)
            if not isinstance(result, SensorResult):
                return
            for request in result.dynamic_partitions_requests or []:
                instance.add_dynamic_partitions("upload", request.partition_keys)
            for event in result.asset_events:
                instance.report_runless_asset_event(event)
            used = {run.tags.get(_RUN_KEY) for run in instance.get_runs()}
            job = defined.resolve_job_def("import_uploads")
            for request in result.run_requests or []:
                if request.run_key in used:  # Dagster would take it for the same request
                    continue
                job.execute_in_process(
                    instance=instance, raise_on_error=False, tags={**request.tags, _RUN_KEY: request.run_key}
                )

    def _notice_dead_runs(self, boundaries: Boundaries) -> None:
        """Mark them as failed, evaluate the sensor on failed runs, and run them again, as dagster.yaml has it."""
        defined = definitions(self.settings, ImportProgress(boundaries.progress))
        sensor = defined.get_repository_def().get_sensor_def("settle_failed_imports")
        with DagsterInstance.get() as instance:
            for run in instance.get_runs():
                if run.status in {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE}:
                    continue
                instance.report_run_failed(run, "the process that ran it is gone")
                failed = instance.get_run_by_id(run.run_id)
                event = DagsterEvent(
                    DagsterEventType.RUN_FAILURE.value, run.job_name, event_specific_data=JobFailureData(None)
                )
                resources = {name: self._resources()[name] for name in ("database", "blob_storage")}
                with build_run_status_sensor_context(
                    sensor_name="settle_failed_imports",
                    dagster_event=event,
                    dagster_instance=instance,
                    dagster_run=failed,
                    resources=resources,
                ) as context:
                    sensor(context.for_run_failure())
                tags = {name: value for name, value in run.tags.items() if name in _KEPT_BY_A_RETRY}
                defined.resolve_job_def("import_uploads").execute_in_process(
                    instance=instance, raise_on_error=False, tags=tags
                )

    def _resources(self) -> dict[str, object]:
        url, key = self.settings.database_url, self.settings.blob_key
        assert url
        assert key
        return {
            "database": DatabaseResource(url=url.get_secret_value()),
            "blob_storage": BlobStorageResource(
                account_url=str(self.settings.blob_account_url), key=key.get_secret_value()
            ),
            **of_settings(self.settings),
        }

    # What is kept

    def kept(self, tables: Sequence[str]) -> dict[str, Any]:
        """Everything that is kept of the import but for what passes: times, and the names of runs."""
        return {
            "rows": self._rows(tables),
            "blobs": {
                container: dict(self._blobs(container))
                for container in (self.user.upload_container, self.user.user_container)
            },
            "due": [
                a.snapshot.reason for a in due_uploads(self.database, self.blobs, self.settings.arrival, self.limits)
            ],
            "dagster": {} if self.way is Way.CORE else self._partition_status(),
        }

    def _rows(self, tables: Sequence[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        assert self.settings.database_url
        with psycopg.connect(self.settings.database_url.get_secret_value(), row_factory=dict_row) as connection:
            for table in tables:
                passing = connection.execute(
                    "select column_name as name from information_schema.columns where table_name = %s and"
                    " (data_type = 'timestamp with time zone' or column_default like 'nextval%%'"
                    " or is_identity = 'YES')",
                    (table,),
                )
                hidden = {row["name"] for row in passing} | _PASSING
                rows = [row["row"] for row in connection.execute(f'select to_jsonb(t) as row from "{table}" t')]
                for row in rows:
                    if receipt := row.get("receipt"):
                        row["receipt"] = _lasting(receipt)
                lasting = [{name: value for name, value in row.items() if name not in hidden} for row in rows]
                lasting.sort(key=lambda row: json.dumps(row, sort_keys=True))
                found[table] = {str(row.get("id", place)): row for place, row in enumerate(lasting)}
        return found

    def _blobs(self, container: str) -> Iterator[tuple[str, Any]]:
        client = self.blobs._service.get_container_client(container)
        for found in client.list_blobs(include=["metadata"]):
            content = self.blobs.read(container, found.name)
            if found.name == receipt_blob(FOLDER):
                yield found.name, _lasting(json.loads(content))
                continue
            if found.name == report_blob(FOLDER):
                content = re.sub(rb"<time>[^<]*</time>", b"", content)
            settings = found.content_settings
            yield (
                found.name,
                [
                    hashlib.sha256(content).hexdigest(),
                    len(content),
                    settings.content_type,
                    bytes(settings.content_md5).hex()
                    if settings.content_md5 and found.name != report_blob(FOLDER)
                    else None,
                    dict(found.metadata or {}),
                ],
            )

    def _partition_status(self) -> dict[str, Any]:
        with DagsterInstance.get() as instance:
            found: dict[str, Any] = {}
            for asset in _ASSETS:
                status = get_and_update_asset_status_cache_value(
                    instance, AssetKey(asset), uploads, dynamic_partitions_loader=instance
                )
                assert status
                found[asset] = [
                    sorted(subset.get_partition_keys())
                    for subset in (
                        status.deserialize_materialized_partition_subsets(uploads),
                        status.deserialize_failed_partition_subsets(uploads),
                        status.deserialize_in_progress_partition_subsets(uploads),
                    )
                ]
            for spec in assets.check_specs:
                found[f"{spec.asset_key.to_user_string()}:{spec.name}"] = _verdict(instance, spec.key)
            found["partitions"] = sorted(instance.get_dynamic_partitions("upload"))
            return found


def _verdict(instance: DagsterInstance, key: AssetCheckKey) -> Any:
    """What a check said last."""
    for record in instance.event_log_storage.get_asset_check_execution_history(key, limit=20):
        if record.event is not None and record.event.dagster_event is not None:
            said: Any = record.event.dagster_event.event_specific_data
            if hasattr(said, "passed"):
                return [said.passed, said.severity.value, said.partition, said.description]
    return None


def _lasting(receipt: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in receipt.items() if name not in _PASSING_OF_RECEIPTS and value is not None}
