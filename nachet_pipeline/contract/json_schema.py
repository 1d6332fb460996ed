"""JSON Schemas whose keys are described as the docstrings of their models describe them."""

import inspect
import re
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from pydantic import BaseModel

# A line of `Attributes:`, with the lines that continue it.
_ATTRIBUTE = re.compile(r"^(\w+): (.*(?:\n {4}.*)*)", re.MULTILINE)


def described_schema(
    model: type[BaseModel], modules: Iterable[ModuleType], numbers: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """The schema of a model.

    Args:
        model: the model.
        modules: where it and the models of its parts are.
        numbers: names that stand in the docstrings for numbers.
    """
    models = {
        name: found
        for module in modules
        for name, found in vars(module).items()
        if inspect.isclass(found) and issubclass(found, BaseModel) and found is not BaseModel
    }
    schema = model.model_json_schema()
    for name, part in ({model.__name__: schema} | schema.get("$defs", {})).items():
        part["description"] = _described(part, models.get(name), numbers or {})
    return schema


def _described(part: dict[str, Any], model: type[BaseModel] | None, numbers: Mapping[str, int]) -> str:
    """Describe the keys of a part as its model's docstring does; returns what it says of the whole."""
    text, _, attributes = inspect.cleandoc((model.__doc__ if model else None) or part.get("description", "")).partition(
        "\n\nAttributes:\n"
    )
    said = dict(_ATTRIBUTE.findall(inspect.cleandoc(attributes)))
    for key, described in part.get("properties", {}).items():
        described.pop("title", None)
        if key in said:
            described["description"] = _plain(said[key], numbers)
    return _plain(text.partition("\n\n")[0], numbers)


def _plain(text: str, numbers: Mapping[str, int]) -> str:
    """A text of a docstring for readers who do not know the code."""
    for name, number in numbers.items():
        text = text.replace(f"`{name}`", f"{number:,}")
    return re.sub(r"\s+", " ", re.sub(r"\bNone\b", "null", text))
