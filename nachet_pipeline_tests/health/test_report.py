"""What an alert listens to: each check passes while all is well, and what breaks it breaks no other."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.health.queries import TaintedChampion
from nachet_pipeline.health.report import CheckResult, HealthCheck, check_health
from nachet_pipeline.health.snapshot import Automation, Disk, FailedRun, Health, Orchestration, read_health
from nachet_pipeline.identifiers import upload_id
from nachet_pipeline.webhooks.webhook import GONE
from nachet_pipeline_tests.users.keys import ACTOR, upload_keys
from nachet_pipeline_tests.workbench import Workbench, settings_with

_GIB = 1024**3


def automation(name: str, *, silent: timedelta = timedelta(0), **changes: Any) -> Automation:
    every = timedelta(seconds=30)
    return Automation(name, "sensor", running=True, interval=every, last=datetime.now(UTC) - silent, **changes)


def look(bench: Workbench, *sensors: Automation, after: timedelta = timedelta(0), **dagster: Any) -> Health:
    """Read the health so long after now, with these sensors beside one that is alive."""
    with bench.database.reading() as connection:
        return look_by(connection, bench, *sensors, after=after, **dagster)


def look_by(
    connection: Connection, bench: Workbench, *sensors: Automation, after: timedelta = timedelta(0), **dagster: Any
) -> Health:
    alive = replace(automation("start_imports"), last=datetime.now(UTC) + after)
    return read_health(
        connection,
        bench.settings.health,
        dagster=Orchestration(automation=(alive, *sensors), **dagster),
        disk=Disk(free=50 * _GIB, total=100 * _GIB),
        now=datetime.now(UTC) + after,
    )


def add(bench: Workbench, state: str, *, hours: float = 0, codes: tuple[str, ...] = (), **receipt: Any) -> str:
    """Add an upload that got into a state so many hours ago."""
    folder = f"{state}-{uuid4().hex[:8]}"
    groups = [{"code": code, "severity": "error"} for code in codes] + [{"code": "passing", "severity": "warning"}]
    bench.query(
        "insert into upload (id, owner_id, folder, state, run_id, attempts, receipt, queued_at, updated_at)"
        " select %s, %s, %s, %s, 'run', 3, %s, at, at from (select now() - interval '1 hour' * %s as at) as moment",
        upload_id(bench.user.id, folder),
        bench.user.id,
        folder,
        state,
        Jsonb({"report": {"groups": groups}, **receipt}),
        hours,
    )
    return folder


def failed_upload(bench: Workbench) -> Health:
    add(bench, "failed", failure="the disk is full")
    return look(bench)


def waiting_upload(bench: Workbench) -> Health:
    add(bench, "queued", hours=3)
    return look(bench)


def drifted(bench: Workbench) -> Health:
    bench.query(
        "insert into drift (kind, container, name, subject, owner_id, seen_by) values ('missing-blob', 'c', 'n', 's',"
        " %s, %s)",
        bench.user.id,
        uuid4(),
    )
    return look(bench)


def unrotated_key(bench: Workbench) -> Health:
    upload_keys(bench).ensure(bench.user.email, actor=ACTOR)
    return look(bench, after=timedelta(days=58))


def silent_sensor(bench: Workbench) -> Health:
    return look(bench, automation("end_dead_runs", silent=timedelta(minutes=11)))


def failed_job(bench: Workbench) -> Health:
    return look(bench, failed_runs=(FailedRun("r", "reconcile_storage", datetime.now(UTC), last=True),))


def full_log(bench: Workbench) -> Health:
    found = look(bench)
    return replace(found, sizes=replace(found.sizes, event_log=21 * _GIB))


def full_disk(bench: Workbench) -> Health:
    return replace(look(bench), disk=Disk(free=4 * _GIB, total=100 * _GIB))


def bounced_mail(bench: Workbench) -> Health:
    bench.query(
        "insert into mail (id, user_id, kind, first, last, created_at, due_at, attempts, failure, outcome, ended_at)"
        " values (%s, %s, 'refused', 1, 1, now(), now(), 1, '550 no such user', 'failed', now())",
        uuid4(),
        bench.user.id,
    )
    return look(bench)


def tainted_champion(bench: Workbench) -> Health:
    tainted = TaintedChampion("seed-classifier@1.2.0", datetime.now(UTC), withdrawn=3, deleted=0)
    return replace(look(bench), tainted=[tainted])


def dead_event(bench: Workbench) -> Health:
    bench.query(
        "insert into webhook (id, place, encrypted_url, encrypted_secret, types, cursor, created_by)"
        " values (%s, 'https://example.org/token', '', '', '{*}', 0, 'ada@example.org')",
        UUID(int=7),
    )
    add(bench, "imported")
    bench.query(
        "insert into webhook_delivery (webhook_id, number, subject, since, next_at, last_error, dead_at)"
        " select %s, number, subject, now(), now(), 'it answers 500', now() from event limit 1",
        UUID(int=7),
    )
    return look(bench)


BROKEN: dict[HealthCheck, tuple[Callable[[Workbench], Health], str]] = {
    HealthCheck.NO_FAILURES: (failed_upload, "1 uploads failed; 1 of those listed are not tried again"),
    HealthCheck.JOBS_SUCCEED: (failed_job, "The last run failed of: reconcile_storage"),
    HealthCheck.QUEUE_MOVES: (waiting_upload, "waits for 3 hours, and nothing was imported meanwhile"),
    HealthCheck.AUTOMATION_ALIVE: (silent_sensor, "1 without a tick: end_dead_runs"),
    HealthCheck.NO_DRIFT: (drifted, "1 disagreements: 1 missing-blob"),
    HealthCheck.KEYS_VALID: (unrotated_key, "1 upload keys end soon"),
    HealthCheck.EVENTS_DELIVERED: (
        dead_event,
        "example.org (00000000) could not be told 1 events (it answers 500).",
    ),
    HealthCheck.EVENT_LOG_BOUNDED: (full_log, "21.0 GiB of 20 GiB"),
    HealthCheck.DISK_FREE: (full_disk, "4.0 GiB are free"),
    HealthCheck.MAIL_SENT: (bounced_mail, "1 mails were given up or not taken for all, 0 are tried again"),
    HealthCheck.CHAMPIONS_CLEAN: (tainted_champion, "Champion seed-classifier@1.2.0 rests on 3 withdrawn photographs."),
}


def amiss(bench: Workbench, health: Health) -> list[CheckResult]:
    return [result for result in check_health(health, bench.settings.health) if not result.passed]


def test_an_untroubled_pipeline_passes_every_check(workbench: Workbench) -> None:
    for state in ("imported", "refused", "staged"):
        add(workbench, state, hours=5)
    add(workbench, "queued", hours=1.9)
    upload_keys(workbench).ensure(workbench.user.email, actor=ACTOR)

    results = list(check_health(look(workbench), workbench.settings.health))

    assert [result.check for result in results if result.passed] == list(HealthCheck)


@pytest.mark.parametrize("check", HealthCheck)
def test_what_breaks_a_check_breaks_no_other_and_says_what_to_do(check: HealthCheck, workbench: Workbench) -> None:
    breaks, said = BROKEN[check]

    (result,) = amiss(workbench, breaks(workbench))

    assert result.check is check
    assert said in result.text
    assert result.text.endswith(".")
    assert len(result.text) > len(result.found) + 20


def test_thresholds_are_settings(workbench: Workbench) -> None:
    add(workbench, "failed")
    add(workbench, "queued", hours=3)
    tolerant = settings_with(workbench.settings, health_failed_uploads=1, health_waiting_minutes=240)

    assert {one.check for one in amiss(workbench, look(workbench))} == {
        HealthCheck.NO_FAILURES,
        HealthCheck.QUEUE_MOVES,
    }
    assert all(result.passed for result in check_health(look(workbench), tolerant.health))


def test_an_event_that_waits_for_long_and_a_webhook_that_is_gone_are_no_emergency(workbench: Workbench) -> None:
    dead_event(workbench)
    workbench.query("update webhook_delivery set dead_at = null, since = now() - interval '3 hours'")
    (late,) = amiss(workbench, look(workbench))
    workbench.query("update webhook set paused_at = now(), paused_because = 'ada@example.org wants it'")
    paused = amiss(workbench, look(workbench))
    workbench.query("update webhook set paused_because = %s", GONE)
    (gone,) = amiss(workbench, look(workbench))

    assert (late.urgent, late.found) == (False, "1 events wait for example.org (00000000) (it answers 500).")
    assert paused == []
    assert (gone.urgent, gone.found) == (False, f"example.org (00000000) is paused: {GONE}.")


def test_events_that_no_webhook_was_asked_about_for_long_are_seen(workbench: Workbench) -> None:
    dead_event(workbench)
    workbench.query("delete from webhook_delivery")
    assert amiss(workbench, look(workbench)) == []

    (late,) = amiss(workbench, look(workbench, after=timedelta(hours=3)))
    workbench.query("update webhook set cursor = (select max(number) from event)")

    assert late.found == "New events wait for example.org (00000000)."
    assert amiss(workbench, look(workbench, after=timedelta(hours=3))) == []


def test_one_late_upload_is_no_emergency_while_others_are_imported(workbench: Workbench) -> None:
    late = add(workbench, "queued", hours=3)
    add(workbench, "imported", hours=0.5)

    (result,) = amiss(workbench, look(workbench))

    assert (result.check, result.urgent) == (HealthCheck.QUEUE_MOVES, False)
    assert late in result.found


def test_a_sensor_that_is_switched_off_is_named_and_not_dead_and_one_that_fails_is_amiss(workbench: Workbench) -> None:
    off = replace(automation("end_dead_runs", silent=timedelta(days=1)), running=False)
    failing = automation("recipes", error="recipe.yaml cannot be read")

    (only_off,) = (one for one in check_health(look(workbench, off), workbench.settings.health) if "off" in one.found)
    (result,) = amiss(workbench, look(workbench, off, failing))

    assert (only_off.passed, only_off.found) == (True, "1 switched off: end_dead_runs.")
    assert (result.check, result.urgent) == (HealthCheck.AUTOMATION_ALIVE, False)
    assert "1 failing: recipes" in result.found


def test_refusals_of_the_last_days_are_counted_by_code_and_by_user(workbench: Workbench) -> None:
    other = workbench.another_user("bo@example.org")
    for hours in (1, 2):
        add(workbench, "refused", hours=hours, codes=("unknown-seed", "missing-index"))
    newest = add(other, "partly_imported", codes=("unknown-seed",))
    add(workbench, "refused", hours=8 * 24, codes=("unknown-seed",))

    found = look(workbench)

    assert {one.name: one.uploads for one in found.by_code} == {"unknown-seed": 3, "missing-index": 2}
    assert [(one.name, one.uploads) for one in found.by_user] == [(workbench.user.email, 2), ("bo@example.org", 1)]
    assert len(found.refused) == 3
    assert (found.refused[0].folder, found.refused[0].codes) == (newest, ("unknown-seed",))
    assert found.settled == {State.IMPORTED: 0, State.PARTLY_IMPORTED: 1, State.REFUSED: 2, State.WITHDRAWN: 0}


def test_pictures_are_counted_by_the_day_they_came(workbench: Workbench) -> None:
    workbench.run(workbench.stage(workbench.sample(sessions=2, pictures=3)))
    workbench.query(
        "update picture_set set upload_date = upload_date - interval '2 days' where id = (select id from picture_set"
        " limit 1)"
    )

    days = list(look(workbench).pictures.values())

    assert (len(days), sum(days)) == (30, 6)
    assert [count for count in days if count] == [3, 3]


def test_no_query_reads_uploads_or_pictures_that_were_settled_long_ago(workbench: Workbench) -> None:
    workbench.query(
        "insert into upload (id, owner_id, folder, state, updated_at, receipt)"
        " select gen_random_uuid(), %s, n::text, (array['imported', 'refused'])[1 + n %% 2],"
        " now() - interval '1 year', '{}' from generate_series(1, 20000) n",
        workbench.user.id,
    )
    workbench.query(
        "insert into picture_set (id, picture_set, owner_id, upload_date, name, container_id, upload_id, digest)"
        " select gen_random_uuid(), '{}', owner_id, updated_at, 's', (select id from container"
        " where owner_id = upload.owner_id limit 1), id, '' from upload"
    )
    workbench.query("analyze upload, picture_set")
    read = "select seq_tup_read + coalesce(idx_tup_fetch, 0) as n from pg_stat_xact_user_tables where relname = any(%s)"

    with workbench.database.reading() as connection:
        look_by(connection, workbench)
        rows = connection.execute(read, (["upload", "picture_set"],)).fetchall()

    assert sum(row["n"] for row in rows) < 500
