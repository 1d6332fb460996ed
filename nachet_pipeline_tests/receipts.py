"""Receipts as a program reads them: every one that a test sees is what docs/receipt.schema.json says."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

import nachet_pipeline
from nachet_pipeline.contract.receipt import Receipt

SCHEMA = Path(nachet_pipeline.__file__).parent.parent / "docs" / "receipt.schema.json"


@cache
def _validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def valid_receipt(content: bytes | str | dict[str, Any]) -> Receipt:
    """A receipt as it is written, which must be what the schema says."""
    record = content if isinstance(content, dict) else json.loads(content)
    _validator().validate(record)
    return Receipt.model_validate(record)
