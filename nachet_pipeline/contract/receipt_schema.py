"""The JSON Schema of receipts, docs/receipt.schema.json, generated from their model by `make docs`."""

import json
import sys
from typing import Any

from nachet_pipeline.contract import receipt, report, stored, understood
from nachet_pipeline.contract.json_schema import described_schema

_NUMBERS = {
    "GROUPS_KEPT": report.GROUPS_KEPT,
    "PLACES_KEPT": report.PLACES_KEPT,
    "SESSIONS_KEPT": understood.SESSIONS_KEPT,
}


def receipt_schema() -> dict[str, Any]:
    """The schema of a receipt of today's version, in which every key is described."""
    schema = described_schema(receipt.Receipt, (receipt, report, stored, understood), _NUMBERS)
    schema["properties"]["receipt_version"]["const"] = receipt.RECEIPT_VERSION
    schema["required"].insert(0, "receipt_version")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": f"Receipt of an upload, version {receipt.RECEIPT_VERSION}",
    }


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    json.dump(receipt_schema(), sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")
