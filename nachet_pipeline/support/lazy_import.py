"""Modules that are imported when they are first used, because they are slow to import and often not needed."""

from importlib import import_module
from typing import Any


class LazyModule:
    """Stands for a module until something of it is asked for.

    >>> LateModule("math").floor(2.5)
    2
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """What the module has under this name; imports it the first time."""
        return getattr(import_module(self._name), attribute)
