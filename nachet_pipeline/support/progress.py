"""Callbacks that long work reports its progress to."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is in all: pictures, bytes or users."""

StepProgress = Callable[[str, int, int], None]
"""Called with the step's name, how much of it is done and how much there is in all."""


def silent(*_: object) -> None:
    """Report nothing."""
