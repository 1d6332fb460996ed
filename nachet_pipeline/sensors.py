"""The sensors: folders that have arrived, and runs that died."""

from collections.abc import Iterator

from dagster import (
    AssetMaterialization,
    AssetSelection,
    AutomationConditionSensorDefinition,
    DagsterRunStatus,
    DefaultSensorStatus,
    MetadataValue,
    ResourceParam,
    RunFailureSensorContext,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    run_failure_sensor,
    sensor,
)

from nachet_pipeline.arrivals import Arrival, due_uploads, fail_abandoned, queue
from nachet_pipeline.assets.mass_imported_container import containers
from nachet_pipeline.assets.partitions import uploads
from nachet_pipeline.assets.report_metadata import manifest_link
from nachet_pipeline.database.connection import Database
from nachet_pipeline.database.uploads import Upload, requeue_batch, uploads_of_batch, uploads_of_run, waiting_batches
from nachet_pipeline.importing import fail_upload
from nachet_pipeline.jobs import import_uploads, mass_import
from nachet_pipeline.mass_import.reviewed_list import ListedContainer, read_list
from nachet_pipeline.resources.blob_storage import BlobStorageResource
from nachet_pipeline.resources.database import DatabaseResource
from nachet_pipeline.settings import ImportSettings

BATCH_TAG = "nachet/batch"
_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
_MINUTES_TO_BECOME_A_RUN = 5
_SECONDS_BETWEEN_LOOKS_AT_THE_LIST = 60
_ENDED = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}


def staged_folders_sensor(settings: ImportSettings) -> SensorDefinition:
    """The sensor on staged folders, looking as often as the settings say."""

    @sensor(
        name="staged_folders",
        job=import_uploads,
        minimum_interval_seconds=settings.sensor_interval_seconds,
        default_status=DefaultSensorStatus.RUNNING,
        description="Starts an import when a staged folder is complete: one run for all that arrived together.",
    )
    def staged_folders(
        context: SensorEvaluationContext,
        database: DatabaseResource,
        blob_storage: BlobStorageResource,
        import_settings: ResourceParam[ImportSettings],
    ) -> SensorResult | SkipReason:
        with database.open() as db, blob_storage.open() as blobs:
            for upload in fail_abandoned(db, blobs):
                context.log.warning("%s was abandoned by its run %s", upload.partition, upload.run_id)
            _ask_again(context, db)
            arrivals = list(due_uploads(db, blobs, import_settings))
            new: list[Arrival] = []
            seen_before: list[Arrival] = []
            for arrival in arrivals:
                known = context.instance.has_dynamic_partition("upload", arrival.upload.partition)
                (seen_before if known else new).append(arrival)
            # Only keys that are added together are neighbours in Dagster's order, and a run takes a range of keys;
            # an upload that was there before gets a run of its own.
            size = import_settings.batch_size
            groups = [new[start : start + size] for start in range(0, len(new), size)] + [[a] for a in seen_before]
            requests = [_request(group, queue(db, group)) for group in groups]
        if not requests:
            return SkipReason("No staged folder is due.")
        return SensorResult(
            run_requests=requests,
            dynamic_partitions_requests=[uploads.build_add_request([a.upload.partition for a in new])] if new else [],
            asset_events=[_seen(arrival) for arrival in arrivals],
        )

    return staged_folders


def _request(arrivals: list[Arrival], batch: str) -> RunRequest:
    first, last = arrivals[0].upload.partition, arrivals[-1].upload.partition
    return RunRequest(
        run_key=batch,
        tags={_RANGE_START: first, _RANGE_END: last, BATCH_TAG: batch, "nachet/uploads": str(len(arrivals))},
    )


def _seen(arrival: Arrival) -> AssetMaterialization:
    upload, look = arrival.upload, arrival.look
    return AssetMaterialization(
        "staged_upload",
        partition=upload.partition,
        description=look.reason,
        metadata={
            "state": MetadataValue.text("queued"),
            "owner": MetadataValue.text(upload.owner.email),
            "folder": MetadataValue.text(upload.folder),
            "upload": MetadataValue.text(str(upload.id)),
            "files": look.files,
            "bytes": look.size,
            "manifest": manifest_link(upload.partition, "manifest and checks"),
        },
    )


def _ask_again(context: SensorEvaluationContext, database: Database) -> None:
    """Uploads whose run request never became a run, because a tick ended between the two, are asked for again."""
    with database.connection() as connection:
        for batch in waiting_batches(connection, minutes=_MINUTES_TO_BECOME_A_RUN):
            records = context.instance.get_run_records(RunsFilter(tags={BATCH_TAG: batch}), limit=1)
            if not records or records[0].dagster_run.status in _ENDED:
                context.log.warning("the run request %s came to nothing; its uploads are asked for again", batch)
                requeue_batch(connection, batch)


def failed_imports_sensor() -> SensorDefinition:
    """The sensor on import runs that failed."""

    @run_failure_sensor(
        name="failed_imports",
        monitored_jobs=[import_uploads],
        default_status=DefaultSensorStatus.RUNNING,
        description="Writes the receipts that a run owes when it died before it was done.",
    )
    def failed_imports(
        context: RunFailureSensorContext, database: DatabaseResource, blob_storage: BlobStorageResource
    ) -> None:
        run = context.dagster_run
        with database.open() as db, blob_storage.open() as blobs:
            for upload in _owed(db, run.run_id, run.tags.get(BATCH_TAG)):
                fail_upload(db, blobs, upload, f"run {run.run_id} ended before it was done")
                context.log.info("wrote the receipt of %s", upload.partition)

    return failed_imports


def _owed(database: Database, run_id: str, batch: str | None) -> Iterator[Upload]:
    with database.connection() as connection:
        yield from uploads_of_run(connection, run_id)
        if batch:
            yield from uploads_of_batch(connection, batch)


def listed_containers_sensor() -> SensorDefinition:
    """The sensor on the reviewed list of containers."""

    @sensor(
        name="listed_containers",
        job=mass_import,
        minimum_interval_seconds=_SECONDS_BETWEEN_LOOKS_AT_THE_LIST,
        default_status=DefaultSensorStatus.RUNNING,
        description="Mass-imports the containers of the reviewed list, each once for what its entry says.",
    )
    def listed_containers(
        context: SensorEvaluationContext, import_settings: ResourceParam[ImportSettings]
    ) -> SensorResult | SkipReason:
        file = import_settings.mass_import_list
        if file is None:
            return SkipReason("NACHET_MASS_IMPORT_LIST names no list.")
        listed = read_list(file)
        if not listed:
            return SkipReason(f"{file} lists no container.")
        known = set(context.instance.get_dynamic_partitions("container"))
        new = sorted({one.container for one in listed} - known)
        return SensorResult(
            # Dagster makes no second run of a key: an entry that does not change is imported once.
            run_requests=[
                RunRequest(
                    run_key=f"{one.container}:{one.digest}",
                    partition_key=one.container,
                    run_config={"ops": {"import_container": {"config": _mass_import_config(one)}}},
                )
                for one in listed
            ],
            dynamic_partitions_requests=[containers.build_add_request(new)] if new else [],
        )

    return listed_containers


def _mass_import_config(listed: ListedContainer) -> dict[str, object]:
    config = {
        "owner": listed.owner,
        "seed": listed.seed,
        "zoom": listed.zoom,
        "seeds_per_picture": listed.seeds_per_picture,
        "mapping": listed.mapping,
        "mapping_name": listed.mapping_name,
        "prefix": listed.prefix,
        "adopt": listed.adopt,
    }
    return {name: value for name, value in config.items() if value is not None}


registry_automation = AutomationConditionSensorDefinition(
    "registry_automation",
    target=AssetSelection.assets("registered_seeds"),
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=60,
    description="Loads the species registry when the database has none, or the package another version.",
)
