"""Sensors on runs, and on events that programs and people are told.

`end_dead_runs` ends runs whose process is gone. Dagster's default launcher does not check the health of what it
launched. If a run's process ended while the database was away, or together with its code server, the run would stay
under way. It would hold its place in the queue, and nobody would request its work again.
"""

# ruff: noqa: PLC0415 (what tells others is imported by the sensors that do: every run imports this module)

import json
import time
from collections.abc import Iterable

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    ResourceParam,
    RunRecord,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
)

from nachet_pipeline.database.connection import Database
from nachet_pipeline.database.run_locks import living_runs
from nachet_pipeline.defs.automation import running_sensor
from nachet_pipeline.defs.fan_out import due_runs
from nachet_pipeline.defs.maintenance.jobs import reprocess_pictures
from nachet_pipeline.defs.mass_import.jobs import mass_import
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource, SecretKeysResource
from nachet_pipeline.defs.runs import BATCH_TAG, REPOSITORY, REPOSITORY_TAG, UNDER_WAY
from nachet_pipeline.settings import MailSettings, WebhookSettings
from nachet_pipeline.uploads.queries import requeue_batch, waiting_batches
from nachet_pipeline.users.encryption import SecretBox

_OPS = {mass_import.name: "import_container", reprocess_pictures.name: "reprocessed_pictures"}
"""The jobs whose work may be split into shards, each with the op that does one."""

SECONDS_WITHOUT_SIGN = 20.0
"""A run is dead if its sign of life was missing at every tick for so long. A run that only lost its connection gives
its sign again within seconds after the database is back."""


@running_sensor(
    minimum_interval_seconds=10,
    description="Ends runs whose process is gone, so that they hold no place in the queue and their work is requested"
    " again. Releases the uploads that a cancelled run never reached. Leave it on: without it such runs stay under way"
    " for hours. Its tick fails while the database is away.",
)
def end_dead_runs(context: SensorEvaluationContext, database: DatabaseResource) -> SensorResult:
    """End runs whose process is gone, and release what cancelled runs leave behind."""
    missed: dict[str, float] = json.loads(context.cursor) if context.cursor else {}
    with database.open() as db:
        missed, ended = end_silent_runs(context.instance, db, missed, time.time())
        batches = release_cancelled(context.instance, db)
    for record in ended:
        context.log.warning("run %s was ended, because its process is gone", record.dagster_run.run_id)
    for batch in batches:
        context.log.info("uploads that the cancelled run request %s left are requested again", batch)
    message = f"Ended {len(ended)} dead runs, released {len(batches)} cancelled run requests."
    return SensorResult(skip_reason=message, cursor=json.dumps(missed))


def end_silent_runs(
    instance: DagsterInstance, database: Database, missed: dict[str, float], now: float
) -> tuple[dict[str, float], list[RunRecord]]:
    """End the runs whose sign of life has been missing for long enough.

    Args:
        instance: knows the runs.
        database: where they give signs of life.
        missed: since when the sign of each run was missing at every tick, in seconds since 1970.
        now: the time.

    Returns:
        The same for the next tick, and the runs that were ended.
    """
    ours = RunsFilter(
        statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING], tags={REPOSITORY_TAG: REPOSITORY}
    )
    under_way = {record.dagster_run.run_id: record for record in instance.get_run_records(ours)}
    if not under_way:
        return {}, []
    with database.connection() as connection:
        living = living_runs(connection, list(under_way))
    silent = {run_id: missed.get(run_id, now) for run_id in under_way.keys() - living}
    dead = [run_id for run_id, since in silent.items() if now - since >= SECONDS_WITHOUT_SIGN]
    ended = [under_way[run_id] for run_id in dead if _end(instance, run_id)]
    return {run_id: since for run_id, since in silent.items() if run_id not in dead}, ended


def _end(instance: DagsterInstance, run_id: str) -> bool:
    """End a run in Dagster, unless it has ended meanwhile. Dagster retries it if it failed."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return False
    if run.status is DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, "It was cancelled, and its process is gone.")
    else:
        instance.report_run_failed(run, "Its process is gone: it was killed, or ended while the database was away.")
    return True


def release_cancelled(instance: DagsterInstance, database: Database) -> list[str]:
    """Requeue uploads whose run was cancelled before it reached them.

    Returns:
        The run requests that they had been in.
    """
    with database.connection() as connection:
        waiting = waiting_batches(connection, minutes=0)
        if not waiting:
            return []
        cancelled = RunsFilter(tags={BATCH_TAG: waiting}, statuses=[DagsterRunStatus.CANCELED])
        batches = _batches(instance.get_run_records(cancelled))
        # Somebody may have started the cancelled run again by hand.
        going_on = RunsFilter(tags={BATCH_TAG: sorted(batches)}, statuses=list(UNDER_WAY))
        batches -= _batches(instance.get_run_records(going_on)) if batches else set()
        for batch in batches:
            requeue_batch(connection, batch)
    return sorted(batches)


def _batches(records: Iterable[RunRecord]) -> set[str]:
    return {record.dagster_run.tags[BATCH_TAG] for record in records}


@running_sensor(
    jobs=[mass_import, reprocess_pictures],
    minimum_interval_seconds=30,
    description="Starts the runs of bulk work (mass imports, reprocessing) that one run split into parts, and after"
    " them the run that ends the whole. Without it split work stops after its first run.",
)
def start_shards(context: SensorEvaluationContext) -> SensorResult | SkipReason:
    """Request the runs of bulk work that was split into shards."""
    requests = list(due_runs(context.instance, _OPS))
    return SensorResult(run_requests=requests) if requests else SkipReason("No part of cut work is due.")


@running_sensor(
    minimum_interval_seconds=10,
    description="Tells webhooks what happened. A tick lasts 20 s at most, whatever receivers do, and the next one goes"
    " on. Without it, and while it fails, events wait. `nachet webhook list` says for whom.",
)
def deliver_events(
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    secret_keys: SecretKeysResource,
    webhook_settings: ResourceParam[WebhookSettings],
) -> SkipReason:
    """Deliver events to webhooks."""
    from nachet_pipeline.webhooks.delivering import Deliverer
    from nachet_pipeline.webhooks.queries import any_webhook
    from nachet_pipeline.webhooks.sending import Sender

    with database.open() as db:
        if not db.call(any_webhook):
            return SkipReason("No webhook is to be told anything.")
        sender = Sender(webhook_settings.webhook_private_addresses)
        done = Deliverer(db, SecretBox(secret_keys.secrets), sender, blob_storage.account_url).deliver()
    return SkipReason(f"{done.delivered} events delivered, {done.failed} attempts failed.")


@running_sensor(
    minimum_interval_seconds=60,
    description="Tells users by e-mail what became of their folders and keys, and operators which checks of"
    " pipeline_health turned. Does nothing without NACHET_SMTP_URL or its like. What a server does not take now is"
    " tried again for three days; the check mail_sent says so.",
)
def send_mail(
    context: SensorEvaluationContext, database: DatabaseResource, mail_settings: ResourceParam[MailSettings]
) -> SkipReason:
    """Send what is due to be told by e-mail."""
    if not mail_settings.on:
        return SkipReason("NACHET_SMTP_URL is not set, so no mail is sent.")
    from nachet_pipeline.mail.sending import deliver

    with database.open() as db:
        done = deliver(db, mail_settings)
    if done.trouble:
        context.log.warning("%s", done.trouble)
    return SkipReason(f"{done.sent} mails sent, {done.failed} given up, {done.later} tried again later.")
