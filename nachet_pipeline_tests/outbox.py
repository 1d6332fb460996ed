"""The outbox as a program reads it: every event that a test sees is what docs/event.schema.json says."""

import json
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator

import nachet_pipeline
from nachet_pipeline.database.connection import Database
from nachet_pipeline.events.event import CloudEvent, Event
from nachet_pipeline.events.queries import events_after

SCHEMA = Path(nachet_pipeline.__file__).parent.parent / "docs" / "event.schema.json"


@cache
def validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def told(database: Database, *kinds: str, after: int = 0) -> list[Event]:
    """All events of some types, of every type if none is named."""
    with database.reading() as connection:
        events, _ = events_after(connection, after, limit=10_000)
    for event in events:
        validator().validate(json.loads(CloudEvent.of(event, "test").content()))
    return [event for event in events if not kinds or event.type in kinds]
