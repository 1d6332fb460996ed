"""How the pipeline is at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.health.queries import (
    NAMED,
    DriftCount,
    EndingKey,
    ListedUpload,
    Refusals,
    Sizes,
    TaintedChampion,
    count_open,
    count_settled,
    drift_counts,
    ending_keys,
    failed_uploads,
    last_settled,
    pictures_by_day,
    refusals,
    refused_uploads,
    sizes,
    tainted_champions,
    waiting_longest,
)
from nachet_pipeline.mail.queries import KeptMail, stuck_mails
from nachet_pipeline.picture_sets.naming import Waiting, waiting_for_names
from nachet_pipeline.settings import HealthSettings
from nachet_pipeline.webhooks.queries import webhook_states
from nachet_pipeline.webhooks.webhook import Webhook

DAYS_OF_PICTURES = 30


@dataclass(frozen=True, slots=True)
class Automation:
    """A sensor or a schedule of the project.

    Attributes:
        name: its name.
        kind: `sensor` or `schedule`.
        running: False if somebody switched it off.
        interval: time between two ticks at most, if nothing is wrong.
        last: its last tick; or when it was switched on, if it had none yet; None if the daemon never saw it.
        error: the message of its latest ticks, if all of them failed.
    """

    name: str
    kind: str
    running: bool
    interval: timedelta
    last: datetime | None = None
    error: str | None = None

    def state(self, now: datetime, settings: HealthSettings) -> str:
        """`off`, `alive`, `failing` or `dead`: no tick in twice its interval."""
        if not self.running:
            return "off"
        patience = max(2 * self.interval, timedelta(minutes=settings.health_silent_minutes))
        if self.last is None or now - self.last > patience:
            return "dead"
        return "failing" if self.error else "alive"


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that failed.

    Attributes:
        run_id: its identifier.
        job: its job.
        ended: when it failed.
        last: whether its job did not run again since, and it had started by itself.
    """

    run_id: str
    job: str
    ended: datetime
    last: bool = False


@dataclass(frozen=True, slots=True)
class Orchestration:
    """What Dagster knows.

    Attributes:
        automation: sensors and schedules.
        failed_runs: runs that failed within the window, the newest first, and the last runs of jobs that failed.
        oldest_run: when the oldest run was made that is kept.
        stale_pictures: pictures that the last reprocessing left stale; None if it never ran.
        conflicts: photographs under several species, as the check `labels_agree` counted them last.
        reconciled: when storage and database were last compared; None if never.
    """

    automation: Sequence[Automation] = ()
    failed_runs: Sequence[FailedRun] = ()
    oldest_run: datetime | None = None
    stale_pictures: int | None = None
    conflicts: int | None = None
    reconciled: datetime | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of the machine that runs imports, in bytes.

    Attributes:
        free: bytes that are free.
        total: bytes in all.
    """

    free: int
    total: int


@dataclass(frozen=True, slots=True)
class Health:
    """How the pipeline is.

    Attributes:
        at: when that was.
        open_uploads: uploads that are not settled, by state.
        settled: uploads settled within the window, by state.
        last_settled: when the last upload was settled.
        waiting: uploads that wait for their import or are in it, the longest first.
        failed: uploads that failed, the first first.
        refused: uploads that were refused within the window, the newest first.
        by_code: those by code.
        by_user: those by user.
        pictures: pictures by day, the newest day first.
        unnamed: pictures whose seeds nobody has named.
        drift: disagreements of storage and database.
        keys: upload keys that should have been rotated.
        webhooks: who is told of events.
        mail: mails that were given up within the window, or are tried again and again, the newest first.
        tainted: champions that were trained on what was withdrawn or deleted since.
        sizes: what grows.
        disk: of this machine.
        dagster: what Dagster knows.
    """

    at: datetime
    open_uploads: Mapping[State, int]
    settled: Mapping[State, int]
    last_settled: datetime | None
    waiting: Sequence[ListedUpload]
    failed: Sequence[ListedUpload]
    refused: Sequence[ListedUpload]
    by_code: Sequence[Refusals]
    by_user: Sequence[Refusals]
    pictures: Mapping[date, int]
    unnamed: Waiting
    drift: Sequence[DriftCount]
    keys: Sequence[EndingKey]
    webhooks: Sequence[Webhook]
    mail: Sequence[KeptMail]
    tainted: Sequence[TaintedChampion]
    sizes: Sizes
    disk: Disk
    dagster: Orchestration

    @property
    def waits(self) -> timedelta:
        """How long the upload waits that waits longest."""
        return self.at - min((one.since for one in self.waiting), default=self.at)


def read_health(
    connection: Connection, settings: HealthSettings, *, dagster: Orchestration, disk: Disk, now: datetime
) -> Health:
    """Read how the pipeline is.

    Args:
        connection: to the database; one that may only read will do.
        settings: how far back to look.
        dagster: what Dagster knows.
        disk: the disk of this machine.
        now: the time, in UTC.
    """
    since = now - timedelta(days=settings.health_days)
    by_code, by_user = refusals(connection, since)
    return Health(
        at=now,
        open_uploads=count_open(connection),
        settled=count_settled(connection, since),
        last_settled=last_settled(connection),
        waiting=waiting_longest(connection),
        failed=failed_uploads(connection),
        refused=refused_uploads(connection, since),
        by_code=by_code,
        by_user=by_user,
        pictures=pictures_by_day(connection, now, DAYS_OF_PICTURES),
        unnamed=waiting_for_names(connection, most=NAMED),
        drift=drift_counts(connection),
        keys=ending_keys(connection, now, settings.health_key_days),
        webhooks=webhook_states(connection),
        mail=stuck_mails(connection, since, NAMED),
        tainted=tainted_champions(connection),
        sizes=sizes(connection),
        disk=disk,
        dagster=dagster,
    )
