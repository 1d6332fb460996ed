"""Where what two imports left differs."""

from typing import Any


def differences(wanted: Any, found: Any, place: str = "") -> list[str]:
    """Where two nested values differ, each as one line."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        told = []
        for name in sorted({*wanted, *found}):
            told += differences(wanted.get(name), found.get(name), f"{place}/{name}")
        return told
    if wanted == found:
        return []
    return [f"{place}: expected {wanted}, found {found}"]
