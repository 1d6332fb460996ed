"""Modules that are slow to import and often not needed, imported on first use."""

from importlib import import_module
from typing import Any


class LazyModule:
    """Stands in for a module, and imports it when an attribute is first read.

    >>> LazyModule("math").floor(2.5)
    2
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """Return the module's attribute; the first call imports the module."""
        return getattr(import_module(self._name), attribute)
