"""The sensors on staged folders, on imports that failed, and on conflicts of labels."""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import groupby

from dagster import (
    MAX_RUNTIME_SECONDS_TAG,
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetMaterialization,
    AssetRecordsFilter,
    DagsterInstance,
    DagsterRun,
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
)

from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.database.connection import Database
from nachet_pipeline.defs.automation import running_sensor
from nachet_pipeline.defs.metadata import manifest_link, upload_metadata
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource
from nachet_pipeline.defs.runs import BATCH_TAG, ENDED, SHORT_IMPORT, SHORT_PLACE, tags_of_uploads
from nachet_pipeline.defs.uploads.checks import LABELS_AGREE, METADATA, labels_evaluation
from nachet_pipeline.defs.uploads.jobs import import_uploads
from nachet_pipeline.picture_sets.labels import conflict_changes, conflict_standing
from nachet_pipeline.settings import ArrivalSettings, SensorSettings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.support.batches import batched
from nachet_pipeline.uploads.discovery import Arrival, Listing, UnfinishedLooks, due_uploads, fail_abandoned, queue
from nachet_pipeline.uploads.importing import fail_upload
from nachet_pipeline.uploads.queries import (
    requeue_batch,
    split_batch,
    uploads_of_batch,
    uploads_of_run,
    uploads_settled_by,
    waiting_batches,
)
from nachet_pipeline.uploads.upload import Upload

_REPORT_TAG = "nachet/report"
_MOST_REPORTS = 3
_MOST_REPORTED_BY_A_RUN = 100
_MINUTES_TO_BECOME_A_RUN = 1
_MOST_REPORTED_ONE_BY_ONE = 25
"""If more uploads arrive together, none gets an event of its own. An event takes the daemon 20 ms, in which it starts
no run, and the run that is queued for them says how many wait."""
_SHORT_FILES = 200
_SHORT_BYTES = 200 * 1024**2
"""A run of no more files and bytes takes seconds. It has a place that no long run can take."""
_MOST_HELD = 25
"""Small uploads that wait for a run together, if one waits for its place already; with more, the next is worth it."""
_MORE_TIME_AT_EACH_ATTEMPT = 4
"""By this factor each attempt has more time than the one before: the third and last has 16 times that of the first."""


def start_imports_sensor(settings: SensorSettings) -> SensorDefinition:
    """The sensor on staged folders, which runs as often as the settings say."""
    unfinished = UnfinishedLooks()

    @running_sensor(
        job=import_uploads,
        minimum_interval_seconds=settings.sensor_interval_seconds,
        description="Starts import_uploads when staged folders are complete: a run for the small ones that arrived"
        " together, and one for the large ones."
        " Stop it to let nothing in; folders stay staged, and nothing is lost.",
    )
    def start_imports(
        context: SensorEvaluationContext,
        database: DatabaseResource,
        blob_storage: BlobStorageResource,
        sensor_settings: ResourceParam[SensorSettings],
        arrival_settings: ResourceParam[ArrivalSettings],
        contract_limits: ResourceParam[ContractLimits],
    ) -> SensorResult:
        with database.open() as db, blob_storage.open() as blobs:
            for upload in fail_abandoned(db, blobs):
                context.log.warning("%s was abandoned by its run %s", upload.partition, upload.run_id)
            _requeue_lost(context, db)
            listing = Listing(context.cursor or "")
            withdrawn: list[Receipt] = []
            arrivals = list(
                due_uploads(
                    db,
                    blobs,
                    arrival_settings,
                    contract_limits,
                    listing=listing,
                    unfinished=unfinished,
                    withdrawn=withdrawn,
                )
            )
            most = sensor_settings.batch_size
            arrivals = _worth_a_run(context.instance, arrivals)
            keys = [arrival.upload.partition for arrival in arrivals]
            known = context.instance.get_existing_dynamic_partitions("upload", keys) if keys else frozenset()
            new = list(_runs([arrival for arrival in arrivals if arrival.upload.partition not in known], most))
            seen_before = [arrival for arrival in arrivals if arrival.upload.partition in known]
            if new:
                # They are not in the tick's result, because the daemon would add each in a connection of its own. If
                # this tick dies before its runs are requested, the next one finds the keys as neighbours.
                context.instance.add_dynamic_partitions(
                    "upload", [arrival.upload.partition for group in new for arrival in group]
                )
            # A run takes a range of keys. Keys that are added together are neighbours in Dagster's order.
            groups = [*new, *_together(context.instance, seen_before, most)]
            most_seconds = context.instance.run_monitoring_max_runtime_seconds
            requests = [_request(group, queue(db, group), most_seconds) for group in groups]
        given_up = _given_up(context.instance, withdrawn)
        if not requests:
            return SensorResult(skip_reason="No staged folder is due.", cursor=listing.place, asset_events=given_up)
        seen = [_seen(arrival) for arrival in arrivals] if len(arrivals) <= _MOST_REPORTED_ONE_BY_ONE else []
        return SensorResult(run_requests=requests, cursor=listing.place, asset_events=[*seen, *given_up])

    return start_imports


def _is_small(arrival: Arrival) -> bool:
    """Whether an import takes seconds. One whose run died does not count: nobody knows what it takes."""
    look = arrival.snapshot
    return look.files <= _SHORT_FILES and look.size <= _SHORT_BYTES and not arrival.upload.attempts


def _short(group: Sequence[Arrival]) -> int:
    """How many of these uploads, from the first on, make a run that takes seconds."""
    files = size = 0
    for number, one in enumerate(group):
        files, size = files + one.snapshot.files, size + one.snapshot.size
        if files > _SHORT_FILES or size > _SHORT_BYTES or not _is_small(one):
            return number
    return len(group)


def _worth_a_run(instance: DagsterInstance, arrivals: list[Arrival]) -> list[Arrival]:
    """Those of the uploads to request runs of; all but a few small ones that a run would wait for its place with.

    A short run waits only if all places are taken, also that which is kept for short ones. What arrives meanwhile
    shares the next run. Otherwise, every tick would add a run, and the start of a run costs more than a small import.
    """
    small = [arrival for arrival in arrivals if _is_small(arrival)]
    if not 0 < len(small) <= _MOST_HELD:
        return arrivals
    waiting = RunsFilter(job_name=import_uploads.name, tags=SHORT_PLACE, statuses=[DagsterRunStatus.QUEUED])
    if not instance.get_run_records(waiting, limit=1):
        return arrivals
    return [arrival for arrival in arrivals if not _is_small(arrival)]


def _runs(arrivals: Sequence[Arrival], size: int) -> Iterator[Sequence[Arrival]]:
    """Group new uploads for a run each: as many small ones as make a short run, the other small ones, the large ones.

    So no small upload waits for a large one that arrived with it.
    """
    small = [arrival for arrival in arrivals if _is_small(arrival)]
    short = _short(small[:size])
    large = [arrival for arrival in arrivals if not _is_small(arrival)]
    for group in (small[:short], small[short:], large):
        yield from batched(group, size)


def _together(instance: DagsterInstance, arrivals: Sequence[Arrival], size: int) -> Iterator[Sequence[Arrival]]:
    """Group uploads that have partitions already for a run each."""
    due = {arrival.upload.partition: arrival for arrival in arrivals}
    for keys in _neighbours(instance, due, size, apart=lambda key: (due[key].upload.apart, _is_small(due[key]))):
        yield [due[key] for key in keys]


def _neighbours(
    instance: DagsterInstance,
    keys: Collection[str],
    size: int,
    apart: Callable[[str], object] = lambda _: None,
) -> Iterator[Sequence[str]]:
    """Group keys of partitions, so that those of a group are neighbours in Dagster's order.

    A run takes a range of keys. If a key that is not due lay between two that are, the run would import it too.

    Args:
        instance: where the partitions are.
        keys: those that are due.
        size: the most in a group.
        apart: what keys of a group have in common besides.
    """
    if len(keys) < 2:  # noqa: PLR2004 (one has no neighbour)
        yield from ([key] for key in keys)
        return
    for (is_due, _), group in groupby(
        instance.get_dynamic_partitions("upload"), key=lambda key: (key in keys, apart(key) if key in keys else None)
    ):
        if is_due:
            yield from batched(group, size)


def _request(arrivals: Sequence[Arrival], batch: str, most_seconds: int) -> RunRequest:
    """Request a run of uploads.

    Args:
        arrivals: the uploads, neighbours in Dagster's order.
        batch: names the request.
        most_seconds: after which Dagster ends a run, 0 if it never does.
    """
    first, keys = arrivals[0].upload, [arrival.upload.partition for arrival in arrivals]
    tags = {**tags_of_uploads(first.owner.email, first.folder, keys), BATCH_TAG: batch}
    tags.update(SHORT_IMPORT if _short(arrivals) == len(arrivals) else {})
    attempts = max(arrival.upload.attempts for arrival in arrivals)
    if attempts and most_seconds:
        # An import that was ended starts again with its first picture, so it needs more time to get further.
        tags[MAX_RUNTIME_SECONDS_TAG] = str(most_seconds * _MORE_TIME_AT_EACH_ATTEMPT**attempts)
    return RunRequest(run_key=batch, tags=tags)


def _seen(arrival: Arrival) -> AssetMaterialization:
    upload, look = arrival.upload, arrival.snapshot
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


def _given_up(instance: DagsterInstance, withdrawn: Sequence[Receipt]) -> list[AssetMaterialization]:
    """What the UI shows of folders that were withdrawn; nothing of those it has never shown."""
    receipts = {receipt.partition: receipt for receipt in withdrawn[:_MOST_REPORTED_ONE_BY_ONE]}
    known = instance.get_existing_dynamic_partitions("upload", list(receipts)) if receipts else frozenset()
    return [
        AssetMaterialization(
            "staged_upload",
            partition=partition,
            description=f"{receipt.state}: {receipt.explanation.en}" if receipt.explanation else receipt.state.value,
            metadata=upload_metadata(receipt),
        )
        for partition, receipt in receipts.items()
        if partition in known
    ]


def _requeue_lost(context: SensorEvaluationContext, database: Database) -> None:
    """Requeue uploads whose run request never became a run, because a tick died between the two."""
    with database.connection() as connection:
        for batch in waiting_batches(connection, minutes=_MINUTES_TO_BECOME_A_RUN):
            records = context.instance.get_run_records(RunsFilter(tags={BATCH_TAG: batch}), limit=1)
            if not records or records[0].dagster_run.status in ENDED:
                context.log.warning("the run request %s never became a run; its uploads are requested again", batch)
                requeue_batch(connection, batch)


@run_failure_sensor(
    monitored_jobs=[import_uploads],
    minimum_interval_seconds=10,
    request_job=import_uploads,
    default_status=DefaultSensorStatus.RUNNING,
    description="Settles what an import run left undone when it failed or died: writes the receipt of the upload it was"
    " at, requests again those it never reached, reports those it settled where the UI does not show it. Leave it on.",
)
def settle_failed_imports(
    context: RunFailureSensorContext, database: DatabaseResource, blob_storage: BlobStorageResource
) -> list[RunRequest]:
    """Settle what an import run that failed has left undone."""
    run = context.dagster_run
    with database.open() as db, blob_storage.open() as blobs:
        with db.connection() as connection:
            begun = uploads_of_run(connection, run.run_id)
            settled = uploads_settled_by(connection, run.run_id)
        for upload in begun:
            if fail_upload(db, blobs, upload, f"run {run.run_id} ended before it was done"):
                context.log.info("wrote the receipt of %s", upload.partition)
        if batch := run.tags.get(BATCH_TAG):
            for half in _split(db, context.instance, batch):
                context.log.info("%d uploads that it had not begun are requested again", len(half))
        return _report_again(context.instance, blobs, run, settled)


def _report_again(
    instance: DagsterInstance, blobs: BlobStorage, run: DagsterRun, settled: Sequence[Upload]
) -> list[RunRequest]:
    """Request runs of what a failed run settled in the database and the UI does not show. They change only the UI.

    It shows nothing of an upload whose run died before its events were written. It shows the pictures of a refused
    upload as failed, which are only missing, because a run that failed had planned them. A run that succeeds puts that
    right.
    """
    record = instance.get_run_record_by_id(run.run_id)
    times = int(run.tags.get(_REPORT_TAG, "0")) + 1
    if not settled or not record or times > _MOST_REPORTS:
        return []
    since = record.create_timestamp.timestamp()
    reported: set[str | None] = set()
    imported = [upload.partition for upload in settled if upload.state is not State.REFUSED]
    if imported:
        by_any = AssetRecordsFilter(METADATA, asset_partitions=imported, after_timestamp=since)
        events = instance.fetch_materializations(by_any, limit=2 * len(imported), ascending=True)
        reported = {event.partition_key for event in events.records if event.run_id == run.run_id}
    unreported = [upload for upload in settled if upload.partition not in reported]
    # Dagster fails every tick that requests a run of a deleted partition.
    known = instance.get_existing_dynamic_partitions("upload", [upload.partition for upload in unreported])
    wanted = {one.partition: one for one in unreported if one.partition in known and _is_staged(blobs, one)}
    more = {MAX_RUNTIME_SECONDS_TAG: longest} if (longest := run.tags.get(MAX_RUNTIME_SECONDS_TAG)) else {}
    return [
        RunRequest(
            run_key=f"{run.run_id}/{keys[0]}",
            # Reporting takes as long as the import did.
            tags={
                **tags_of_uploads(wanted[keys[0]].owner.email, wanted[keys[0]].folder, keys),
                _REPORT_TAG: str(times),
                **more,
            },
        )
        for keys in _neighbours(instance, wanted, _MOST_REPORTED_BY_A_RUN)
    ]


def _is_staged(blobs: BlobStorage, upload: Upload) -> bool:
    """Whether any file of an upload is still staged: a run would refuse an empty folder."""
    try:
        return bool(blobs.files_page(upload.staging_container, upload.folder)[0])
    except StorageError:
        if not blobs.answers(upload.staging_container):
            raise
        return False  # a name in it cannot be listed, at this tick or the next


def _split(database: Database, instance: DagsterInstance, batch: str) -> list[list[Upload]]:
    with database.connection() as connection:
        if not uploads_of_batch(connection, batch):  # as after most failed runs, which reached all of theirs
            return []
        order = {key: place for place, key in enumerate(instance.get_dynamic_partitions("upload"))}
        return split_batch(connection, batch, order)


@running_sensor(
    minimum_interval_seconds=60,
    description="Evaluates the check labels_agree of picture_metadata whenever pictures, species or decisions changed:"
    " which photographs are stored under several species.",
)
def report_label_conflicts(context: SensorEvaluationContext, database: DatabaseResource) -> SensorResult | SkipReason:
    """Evaluate the check `labels_agree` when pictures, species or decisions changed."""
    # The UI shows a check as not evaluated if it is older than the latest materialization.
    latest = context.instance.get_latest_materialization_event(METADATA)
    materialized = str(latest.timestamp if latest else "never")
    last_written, last_seen = (context.cursor or "  ").split(" ", 1)
    shown = context.instance.get_latest_asset_check_evaluation_record(AssetCheckKey(METADATA, LABELS_AGREE))
    # A run that somebody started plans the check, and skips it if its upload is refused. That hides the verdict.
    hidden = shown is not None and not isinstance(shown.evaluation, AssetCheckEvaluation)
    with database.open() as db, db.reading() as connection:
        written = str(conflict_changes(connection))  # read first: what is written meanwhile is left to the next tick
        if not hidden and (written, materialized) == (last_written, last_seen.partition(" ")[0]):
            return SkipReason("No picture, species or decision changed.")
        stands = conflict_standing(connection)
        seen = f"{materialized} {stands.fingerprint}"
        return SensorResult(
            skip_reason=f"{stands.photographs} photographs are under several species.",
            asset_events=[labels_evaluation(connection, stands)] if hidden or seen != last_seen else [],
            cursor=f"{written} {seen}",
        )
