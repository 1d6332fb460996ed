"""Moments that rows wait for."""


def has_come(moment: str) -> str:
    """The condition that a moment has come at the time `%(now)s`; `moment` is the column.

    No pause lasts longer than a day: a moment that is later was set by a clock that was wrong, and is not waited for.
    """
    return f"(%(now)s not between {moment} - interval '25 hours' and {moment} - interval '1 microsecond')"
