"""The published schema of events."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from jsonschema import ValidationError

from nachet_pipeline.events.event import CONTENT_TYPE, DATA, CloudEvent, Event, EventType
from nachet_pipeline.events.event_schema import event_schema
from nachet_pipeline_tests.outbox import SCHEMA
from nachet_pipeline_tests.schemas import validator_of

TURNED = {"check": "disk_free", "passed": False, "urgent": True, "found": "1.0 GiB are free."}
UUID_1 = "00000000-0000-0000-0000-000000000001"
LEAST: dict[type, dict[str, Any]] = {
    DATA[EventType.UPLOAD_STAGED]: {
        "upload": UUID_1,
        "folder": "canola",
        "owner": "ada@example.org",
        "state": "staged",
    },
    DATA[EventType.CROPS_DONE]: {"upload": UUID_1, "folder": "canola", "owner": "ada@example.org", "differing": 0},
    DATA[EventType.TRAINING_SET_MADE]: {
        "training_set": UUID_1,
        "name": "all",
        "digest": "ab",
        "container": "training-all",
        "manifest": "ab/m",
        "pictures": 1,
    },
    DATA[EventType.MODEL_TAINTED]: {
        "model_version": UUID_1,
        "name": "seed-classifier@1.2.0",
        "champion": True,
        "training_set": "all@ab",
        "pictures": 1,
        "why": "withdrawn",
    },
    DATA[EventType.KEY_ENDING]: {"user": "ada@example.org", "key": 1, "ends": "2026-11-29T00:00:00Z"},
    DATA[EventType.CHECK_FAILING]: TURNED,
}


def event(kind: EventType, data: dict[str, Any] | None = None) -> Event:
    return Event.of_row(
        number=7,
        id=UUID(int=7),
        type=kind,
        subject="subject",
        owner=None,
        at=datetime(2026, 11, 29, tzinfo=UTC),
        data=data or LEAST[DATA[kind]],
    )


def test_the_committed_schema_is_that_of_the_model() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == event_schema(), (
        "docs/event.schema.json is not up to date; run `make docs`"
    )


def test_every_key_is_described() -> None:
    schema = event_schema()
    for name, part in {"event": schema, **schema["$defs"]}.items():
        for key, described in part.get("properties", {}).items():
            assert described.get("description"), (name, key)


@pytest.mark.parametrize("kind", EventType)
def test_an_event_of_every_type_is_a_cloud_event_for_another_program(kind: EventType) -> None:
    content = CloudEvent.of(event(kind), "/nachet").content()
    validator_of(SCHEMA).validate(json.loads(content))

    read = from_http_event(HTTPMessage({"content-type": CONTENT_TYPE}, content))
    assert (read.get_type(), read.get_id(), read.get_source()) == (f"nachet.{kind}", str(UUID(int=7)), "/nachet")
    assert (read.get_subject(), read.get_extension("sequence")) == ("subject", "7")
    assert read.get_data() == json.loads(content)["data"]


@pytest.mark.parametrize(
    "wrong", [{"type": "nachet.upload.lost"}, {"data": {}}, {"id": "7"}, {"sequence": 7}, {"specversion": "0.3"}]
)
def test_the_schema_refuses_what_is_no_event(wrong: dict[str, Any]) -> None:
    content = json.loads(CloudEvent.of(event(EventType.CHECK_FAILING), "/nachet").content())
    validator_of(SCHEMA).validate(content)
    with pytest.raises(ValidationError):
        validator_of(SCHEMA).validate({**content, **wrong})
