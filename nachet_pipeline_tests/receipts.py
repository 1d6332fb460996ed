"""Receipts as a program reads them: every one that a test sees is what docs/receipt.schema.json says."""

import json
from pathlib import Path
from typing import Any

import nachet_pipeline
from nachet_pipeline.contract.receipt import Receipt
from nachet_pipeline_tests.schemas import validator_of

SCHEMA = Path(nachet_pipeline.__file__).parent.parent / "docs" / "receipt.schema.json"


def valid_receipt(content: bytes | str | dict[str, Any]) -> Receipt:
    """A receipt as it is written, which must be what the schema says."""
    record = content if isinstance(content, dict) else json.loads(content)
    validator_of(SCHEMA).validate(record)
    return Receipt.model_validate(record)
