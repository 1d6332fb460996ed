"""The outbox as a program reads it: every event that a test sees is what docs/event.schema.json says."""

import json
from pathlib import Path

import nachet_pipeline
from nachet_pipeline.database.connection import Database
from nachet_pipeline.events.event import CloudEvent, Event
from nachet_pipeline.events.queries import events_after
from nachet_pipeline_tests.schemas import validator_of

SCHEMA = Path(nachet_pipeline.__file__).parent.parent / "docs" / "event.schema.json"


def told(database: Database, *kinds: str, after: int = 0) -> list[Event]:
    """All events of some types, of every type if none is named."""
    with database.reading() as connection:
        events, _ = events_after(connection, after, limit=10_000)
    for event in events:
        validator_of(SCHEMA).validate(json.loads(CloudEvent.of(event, "test").content()))
    return [event for event in events if not kinds or event.type in kinds]
