"""Modules that are slow to import and often not needed, imported on first use."""

from importlib import import_module
from types import ModuleType
from typing import Any


class LazyModule:
    """Stands in for a module, and imports it when an attribute is first read.

    >>> LazyModule("math").floor(2.5)
    2
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._module: ModuleType | None = None

    def __getattr__(self, attribute: str) -> Any:
        """Return the module's attribute; the first call imports the module."""
        if self._module is None:  # asking for it each time costs ten times as much
            self._module = import_module(self._name)
        return getattr(self._module, attribute)
