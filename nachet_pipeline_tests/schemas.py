"""The published JSON Schemas, for the tests that hold what is written against them."""

import json
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator


@cache
def validator_of(file: Path) -> Draft202012Validator:
    """What accepts what a schema describes; the schema itself must be one."""
    schema = json.loads(file.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
