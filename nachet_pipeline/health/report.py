"""What is amiss with the pipeline, and what to do about it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.health.snapshot import Health
from nachet_pipeline.settings import HealthSettings
from nachet_pipeline.uploads.queries import MAX_ATTEMPTS

_GIB = 1024**3


class HealthCheck(StrEnum):
    """What an alert listens to."""

    NO_FAILURES = "no_failures"
    JOBS_SUCCEED = "jobs_succeed"
    QUEUE_MOVES = "queue_moves"
    AUTOMATION_ALIVE = "automation_alive"
    NO_DRIFT = "no_drift"
    KEYS_VALID = "keys_valid"
    EVENTS_DELIVERED = "events_delivered"
    EVENT_LOG_BOUNDED = "event_log_bounded"
    DISK_FREE = "disk_free"
    MAIL_SENT = "mail_sent"
    CHAMPIONS_CLEAN = "champions_clean"


PASSES_WHEN: Mapping[HealthCheck, str] = {
    HealthCheck.NO_FAILURES: "No upload failed. A refused upload has not failed: its user must correct it.",
    HealthCheck.JOBS_SUCCEED: "The last run of every job that starts by itself succeeded.",
    HealthCheck.QUEUE_MOVES: "No upload has waited for its import for too long.",
    HealthCheck.AUTOMATION_ALIVE: "Every sensor and schedule that is switched on has run lately, and without an error.",
    HealthCheck.NO_DRIFT: "The last reconciliation left no more disagreements of storage and database than allowed.",
    HealthCheck.KEYS_VALID: "Every user's upload key lives on for a while: the nightly rotation works.",
    HealthCheck.EVENTS_DELIVERED: "Every webhook was told what happened, and none waits for long.",
    HealthCheck.EVENT_LOG_BOUNDED: "What Dagster writes of runs, events and ticks keeps within its size.",
    HealthCheck.DISK_FREE: "The machine that runs imports has free disk.",
    HealthCheck.MAIL_SENT: "The mail server takes what users and operators are told by e-mail.",
    HealthCheck.CHAMPIONS_CLEAN: "No champion was trained on photographs that were withdrawn or deleted since.",
}
"""What each check says when it passes."""

REMEDIES: Mapping[HealthCheck, str] = {
    HealthCheck.NO_FAILURES: "Read the reason in the table `failed` and open the run. A folder is tried three times;"
    " after that, put the cause right and launch `import_uploads` for its partition.",
    HealthCheck.JOBS_SUCCEED: "Open the run and read its last error. Put the cause right and re-execute the run.",
    HealthCheck.QUEUE_MOVES: "Look at Runs, Queued: a long run may hold the places. If none is under way, start the"
    " daemon; on one machine, `nachet up` does.",
    HealthCheck.AUTOMATION_ALIVE: "If all are silent, start the daemon; on one machine, `nachet up` does. If one"
    " fails, open Automation and read the error of its last tick.",
    HealthCheck.NO_DRIFT: "Run `nachet reconcile`, read what disagrees, then `nachet reconcile --repair`.",
    HealthCheck.KEYS_VALID: "See why `rotate_upload_keys` did not rotate them (is NACHET_SECRET_KEYS set?), or run"
    " `nachet user key rotate EMAIL`.",
    HealthCheck.EVENTS_DELIVERED: "See what it answers with `nachet webhook ping`, let its receiver be put right, then"
    " run `nachet webhook retry` or `nachet webhook resume`; or `nachet webhook remove`. If new events wait and it"
    " answers, end what keeps a transaction open: pg_stat_activity says since when.",
    HealthCheck.EVENT_LOG_BOUNDED: "Lower NACHET_RETAIN_RUNS_DAYS and launch `clear_old_runs`, or allow more by"
    " NACHET_HEALTH_EVENT_LOG_GIB.",
    HealthCheck.DISK_FREE: "Free disk on the machine that runs imports, or give it more.",
    HealthCheck.MAIL_SENT: "Read the reason in the table `mail`. If an address is wrong, register the right one, or"
    " run `nachet user notify EMAIL --notify none`; if the server is, `nachet mail test ADDRESS` tries it.",
    HealthCheck.CHAMPIONS_CLEAN: "`nachet trace NAME@VERSION --list csv` lists them. Build the training set again,"
    " have a version trained on it, and promote that one.",
}
"""What to do when a check fails."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The verdict of a check.

    Attributes:
        check: the check.
        found: what it found, in a sentence.
        passed: whether that is in order.
        urgent: whether it needs somebody now, if it is not.
    """

    check: HealthCheck
    found: str
    passed: bool
    urgent: bool = True

    @property
    def text(self) -> str:
        """What was found, and what to do if that is not in order."""
        return self.found if self.passed else f"{self.found} {REMEDIES[self.check]}"


def check_health(health: Health, settings: HealthSettings) -> Iterator[CheckResult]:
    """The verdict of each check."""
    for check in HealthCheck:
        yield _CHECKS[check](health, settings)


def _no_failures(health: Health, settings: HealthSettings) -> CheckResult:
    failed, given_up = health.open_uploads[State.FAILED], sum(one.attempts >= MAX_ATTEMPTS for one in health.failed)
    found = f"{failed} uploads failed; {given_up} of those listed are not tried again by themselves."
    passed = failed <= settings.health_failed_uploads
    return CheckResult(
        HealthCheck.NO_FAILURES, found if failed else "No upload failed.", passed=passed, urgent=bool(given_up)
    )


def _jobs_succeed(health: Health, settings: HealthSettings) -> CheckResult:
    since = health.at - timedelta(days=settings.health_days)
    failing = [run for run in health.dagster.failed_runs if run.last and run.ended >= since]
    listed = ", ".join(f"{run.job} ({run.ended:%Y-%m-%d %H:%M})" for run in failing)
    found = f"The last run failed of: {listed}." if failing else "The last runs of all jobs succeeded."
    return CheckResult(HealthCheck.JOBS_SUCCEED, found, passed=not failing)


def _queue_moves(health: Health, settings: HealthSettings) -> CheckResult:
    patience = timedelta(minutes=settings.health_waiting_minutes)
    late = [one for one in health.waiting if health.at - one.since > patience]
    if not late:
        return CheckResult(HealthCheck.QUEUE_MOVES, "No upload waits for long.", passed=True)
    stands = health.last_settled is None or health.at - health.last_settled > patience
    moving = "nothing was imported meanwhile" if stands else "others are imported meanwhile"
    found = f"{late[0].folder} of {late[0].owner} waits for {_time(health.waits)}, and {moving}."
    return CheckResult(HealthCheck.QUEUE_MOVES, found, passed=False, urgent=stands)


def _automation_alive(health: Health, settings: HealthSettings) -> CheckResult:
    states = {one.name: one.state(health.at, settings) for one in health.dagster.automation}
    dead, failing, off = ([name for name, found in states.items() if found == s] for s in ("dead", "failing", "off"))
    said = [
        f"{len(names)} {what}: {', '.join(names)}."
        for names, what in ((dead, "without a tick"), (failing, "failing"), (off, "switched off"))
        if names
    ]
    found = " ".join(said) or "All sensors and schedules run."
    return CheckResult(HealthCheck.AUTOMATION_ALIVE, found, passed=not (dead or failing), urgent=bool(dead))


def _no_drift(health: Health, settings: HealthSettings) -> CheckResult:
    number = sum(one.number for one in health.drift)
    listed = ", ".join(f"{one.number} {one.kind}" for one in health.drift)
    found = f"{number} disagreements: {listed}." if number else "Storage and database agree."
    return CheckResult(HealthCheck.NO_DRIFT, found, passed=number <= settings.health_drift)


def _keys_valid(health: Health, _: HealthSettings) -> CheckResult:
    listed = ", ".join(f"{key.owner} ({key.expires_at:%Y-%m-%d})" for key in health.keys[:10])
    found = f"{len(health.keys)} upload keys end soon or have ended: {listed}." if health.keys else "No key ends soon."
    return CheckResult(HealthCheck.KEYS_VALID, found, passed=not health.keys)


def _events_delivered(health: Health, settings: HealthSettings) -> CheckResult:
    patience = timedelta(minutes=settings.health_waiting_minutes)
    said = []
    for one in health.webhooks:
        late = one.oldest and not one.paused_at and health.at - one.oldest > patience
        error = f" ({one.last_error})" if one.last_error else ""
        if one.dead:
            said.append(f"{one.name} could not be told {one.dead} events{error}.")
        elif late:
            said.append(f"{one.waiting or 'New'} events wait for {one.name}{error}.")
        elif one.gone:
            said.append(f"{one.name} is paused: {one.paused_because}.")
    found = " ".join(said) or "All events were delivered."
    dead = any(one.dead for one in health.webhooks)
    return CheckResult(HealthCheck.EVENTS_DELIVERED, found, passed=not said, urgent=dead)


def _event_log_bounded(health: Health, settings: HealthSettings) -> CheckResult:
    size = health.sizes.event_log
    found = f"Runs, events and ticks take {size / _GIB:.1f} GiB of {settings.health_event_log_gib} GiB."
    return CheckResult(
        HealthCheck.EVENT_LOG_BOUNDED, found, passed=size <= settings.health_event_log_gib * _GIB, urgent=False
    )


def _disk_free(health: Health, settings: HealthSettings) -> CheckResult:
    free = health.disk.free
    found = f"{free / _GIB:.1f} GiB are free; {settings.health_free_disk_gib} GiB are wanted."
    return CheckResult(HealthCheck.DISK_FREE, found, passed=free >= settings.health_free_disk_gib * _GIB)


def _mail_sent(health: Health, _: HealthSettings) -> CheckResult:
    if not health.mail:
        return CheckResult(HealthCheck.MAIL_SENT, "No mail waits for its server, and none was given up.", passed=True)
    given_up = sum(one.outcome is not None for one in health.mail)
    last = health.mail[0]
    found = (
        f"{given_up} mails were given up or not taken for all, {len(health.mail) - given_up} are tried again; that to"
        f" {last.recipient or 'the operators'}: {last.failure}."
    )
    return CheckResult(HealthCheck.MAIL_SENT, found, passed=False, urgent=False)


def _champions_clean(health: Health, _: HealthSettings) -> CheckResult:
    found = "; ".join(one.found for one in health.tainted[:10])
    said = f"{found[0].upper()}{found[1:]}." if found else "No champion rests on withdrawn photographs."
    return CheckResult(HealthCheck.CHAMPIONS_CLEAN, said, passed=not found, urgent=False)


_CHECKS: Mapping[HealthCheck, Callable[[Health, HealthSettings], CheckResult]] = {
    HealthCheck.NO_FAILURES: _no_failures,
    HealthCheck.JOBS_SUCCEED: _jobs_succeed,
    HealthCheck.QUEUE_MOVES: _queue_moves,
    HealthCheck.AUTOMATION_ALIVE: _automation_alive,
    HealthCheck.NO_DRIFT: _no_drift,
    HealthCheck.KEYS_VALID: _keys_valid,
    HealthCheck.EVENTS_DELIVERED: _events_delivered,
    HealthCheck.EVENT_LOG_BOUNDED: _event_log_bounded,
    HealthCheck.DISK_FREE: _disk_free,
    HealthCheck.MAIL_SENT: _mail_sent,
    HealthCheck.CHAMPIONS_CLEAN: _champions_clean,
}


def _time(waited: timedelta) -> str:
    minutes = int(waited.total_seconds() // 60)
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours"  # noqa: PLR2004 (readable so far)
