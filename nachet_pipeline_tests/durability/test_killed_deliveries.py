"""Imports and the deliverer of events may be killed at any moment; every event arrives, and in its order."""

from nachet_pipeline.local.services import Services
from nachet_pipeline_tests.durability.killed_commands import killed

KILLS = 15


def test_every_event_arrives_whoever_is_killed(services: Services) -> None:
    tally, code = killed(services, KILLS, "--events")
    assert tally["broken"] == []
    assert sum(tally["kills"].values()) >= KILLS
    assert min(tally["kills"].values()) > 0
    assert tally["events"] > 4 * KILLS / 5
    assert tally["arrived"] == 3 * tally["events"] + tally["again"]
    assert code == 0
