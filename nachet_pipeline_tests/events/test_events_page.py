"""docs/events.md says what there is, and its receiver receives."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from standardwebhooks import Webhook

from nachet_pipeline.events.event import DATA, EventType
from nachet_pipeline.identifiers import partition_key
from nachet_pipeline.webhooks.webhook import new_secret, signatures
from nachet_pipeline_tests.documents import PAGES, fenced, tables
from nachet_pipeline_tests.outbox import SCHEMA
from nachet_pipeline_tests.schemas import validator_of

PAGE = PAGES["docs/events.md"]


def test_every_event_is_documented_with_what_it_says() -> None:
    documented = {row[0].strip("`"): row[2].strip("`") for row in tables("event", "happens when", "says")}
    assert documented == {kind.value: DATA[kind].__name__ for kind in EventType}


def test_the_example_of_an_event_is_one() -> None:
    (example,) = fenced(PAGE, "json")
    event = json.loads(example)
    validator_of(SCHEMA).validate(event)
    assert event["data"]["partition"] == partition_key(UUID(event["data"]["upload"]), event["data"]["folder"])


def test_the_example_of_a_receiver_verifies_a_message_and_does_its_work_once(capsys: Any) -> None:
    (code,) = fenced(PAGE, "python")
    (example,) = fenced(PAGE, "json")
    names: dict[str, Any] = {}
    exec(compile(code, "docs/events.md", "exec"), names)  # noqa: S102 (our own page)
    secret, event, now = new_secret(), json.loads(example), int(datetime.now(UTC).timestamp())
    headers = {
        "webhook-id": event["id"],
        "webhook-timestamp": str(now),
        "webhook-signature": signatures([new_secret(), secret], event["id"], now, example.encode()),
    }
    for _ in range(2):
        assert names["receive"](secret.get_secret_value(), headers, example.encode()) == 204
    assert capsys.readouterr().out.count("nachet.upload.refused") == 1
    assert (
        Webhook(secret.get_secret_value()).sign(event["id"], datetime.fromtimestamp(now, UTC), example)
        == headers["webhook-signature"].split(" ")[1]
    )
