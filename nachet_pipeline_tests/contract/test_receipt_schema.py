"""The published schema of receipts."""

import json
from typing import Any

import pytest
from jsonschema import ValidationError

from nachet_pipeline.contract.receipt import RECEIPT_VERSION
from nachet_pipeline.contract.receipt_schema import receipt_schema
from nachet_pipeline_tests.receipts import SCHEMA, valid_receipt

LEAST = {
    "receipt_version": RECEIPT_VERSION,
    "upload": "00000000-0000-0000-0000-000000000001",
    "partition": "canola~1",
    "owner": "ada@example.org",
    "folder": "canola",
    "state": "queued",
}


def test_the_committed_schema_is_that_of_the_model() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == receipt_schema(), (
        "docs/receipt.schema.json is not up to date; run `make docs`"
    )


def test_every_key_is_described_in_words_of_receipts() -> None:
    schema = receipt_schema()
    for name, part in {"Receipt": schema, **schema["$defs"]}.items():
        for key, described in part.get("properties", {}).items():
            said = described.get("description", "")
            assert said or name == "Bilingual", (name, key)
            assert "None" not in said
            assert "_KEPT" not in said


def test_a_receipt_may_leave_out_what_is_not_known() -> None:
    assert valid_receipt(LEAST).sessions == []


@pytest.mark.parametrize("wrong", [{"state": "lost"}, {"receipt_version": "2"}, {"pictures": "many"}, {"owner": None}])
def test_the_schema_refuses_what_is_no_receipt(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        valid_receipt({**LEAST, **wrong})
