"""The JSON Schema of events, docs/event.schema.json, generated from their model by `make docs`."""

import json
import sys
from typing import Any

from nachet_pipeline.contract.json_schema import described_schema
from nachet_pipeline.events import event


def event_schema() -> dict[str, Any]:
    """The schema of an event as other programs receive it, in which every key is described."""
    schema = described_schema(event.CloudEvent, [event])
    kinds: dict[str, list[str]] = {}
    for kind, data in event.DATA.items():
        kinds.setdefault(data.__name__, []).append(f"nachet.{kind.value}")
    schema["properties"]["type"]["enum"] = [kind for listed in kinds.values() for kind in listed]
    schema["properties"]["data"] = {"type": "object", "description": schema["properties"]["data"]["description"]}
    schema["allOf"] = [
        {
            "if": {"properties": {"type": {"enum": listed}}},
            "then": {"properties": {"data": {"$ref": f"#/$defs/{name}"}}},
        }
        for name, listed in kinds.items()
    ]
    schema["required"] = [*schema["required"], "specversion", "datacontenttype"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "An event of nachet_pipeline"}


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    json.dump(event_schema(), sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")
