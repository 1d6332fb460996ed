"""Messages of storage's clients without the queries of addresses, which hold the keys."""

import re

from urllib3.exceptions import MaxRetryError

_MOST = 300
_QUERY = re.compile(r"\?[\w.$-]+=[^\s'\"<>)\]]*")
_SIGNATURE = re.compile(r"sig(?:=|%(?:25)*3D)[^&\s'\"<>)\]]+", re.IGNORECASE)


def scrubbed(text: str) -> str:
    """A text without queries of addresses, and without signatures wherever they stand."""
    return _SIGNATURE.sub("…", _QUERY.sub("", text))


def reason_of(error: Exception) -> str:
    """The message of an error in one short line, without the keys in the addresses that it repeats."""
    if isinstance(error, MaxRetryError) and error.reason:
        error = error.reason
    lines = scrubbed(str(error)).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:_MOST]
