"""Telling that a check has another verdict than before."""

from collections.abc import Iterable

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.events.event import VERDICTS, CheckTurned, EventType
from nachet_pipeline.events.queries import latest_event, record_event
from nachet_pipeline.health.report import CheckResult

_LOCK = 7209140
"""Advisory lock: of two who look at once, the second compares with what the first recorded."""


def record_turns(connection: Connection, results: Iterable[CheckResult]) -> None:
    """Record an event for each check that has another verdict than its last event said; without one, it passed."""
    connection.execute("select pg_advisory_xact_lock(%s, 0)", (_LOCK,))
    for result in results:
        last = latest_event(connection, result.check, VERDICTS)
        if result.passed != (last is None or last.type is EventType.CHECK_PASSING):
            turned = CheckTurned(
                check=result.check, passed=result.passed, urgent=result.urgent and not result.passed, found=result.text
            )
            kind = EventType.CHECK_PASSING if result.passed else EventType.CHECK_FAILING
            record_event(connection, kind, result.check, turned)
