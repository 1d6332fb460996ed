"""The JSON Schema of receipts, docs/receipt.schema.json, generated from their model by `make docs`."""

import inspect
import json
import re
import sys
from typing import Any

from pydantic import BaseModel

from nachet_pipeline.contract import receipt, report, stored, understood

_MODELS: dict[str, type[BaseModel]] = {
    name: model
    for module in (receipt, report, stored, understood)
    for name, model in vars(module).items()
    if inspect.isclass(model) and issubclass(model, BaseModel) and model is not BaseModel
}
_NUMBERS = {
    "GROUPS_KEPT": report.GROUPS_KEPT,
    "PLACES_KEPT": report.PLACES_KEPT,
    "SESSIONS_KEPT": understood.SESSIONS_KEPT,
}
# A line of `Attributes:`, with the lines that continue it.
_ATTRIBUTE = re.compile(r"^(\w+): (.*(?:\n {4}.*)*)", re.MULTILINE)


def receipt_schema() -> dict[str, Any]:
    """The schema of a receipt of today's version, in which every key is described."""
    schema = receipt.Receipt.model_json_schema()
    for name, part in ({"Receipt": schema} | schema["$defs"]).items():
        part["description"] = _described(part, _MODELS.get(name))
    schema["properties"]["receipt_version"]["const"] = receipt.RECEIPT_VERSION
    schema["required"].insert(0, "receipt_version")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": f"Receipt of an upload, version {receipt.RECEIPT_VERSION}",
    }


def _described(part: dict[str, Any], model: type[BaseModel] | None) -> str:
    """Describe the keys of a part as its model's docstring does; returns what it says of the whole."""
    text, _, attributes = inspect.cleandoc((model.__doc__ if model else None) or part.get("description", "")).partition(
        "\n\nAttributes:\n"
    )
    said = dict(_ATTRIBUTE.findall(inspect.cleandoc(attributes)))
    for key, described in part.get("properties", {}).items():
        described.pop("title", None)
        if key in said:
            described["description"] = _plain(said[key])
    return _plain(text.partition("\n\n")[0])


def _plain(text: str) -> str:
    """A text of a docstring for readers who do not know the code."""
    for name, number in _NUMBERS.items():
        text = text.replace(f"`{name}`", f"{number:,}")
    return re.sub(r"\s+", " ", re.sub(r"\bNone\b", "null", text))


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    json.dump(receipt_schema(), sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")
