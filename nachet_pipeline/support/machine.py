"""Recognise a full disk: Python and SQLite each report it in their own way."""

import errno
import sqlite3

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SQLITE_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}


def full_disk(error: BaseException, said: str = "") -> str | None:
    """Return one line that says that this machine's disk is full.

    Args:
        error: what happened.
        said: the detail in that line; the error's own message if not given.

    Returns:
        The line; None for any other error.
    """
    if isinstance(error, sqlite3.Error):
        # The extended code holds the primary one in its lowest byte. Errors of the module's own have none.
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE_NO_ROOM
    elif isinstance(error, OSError):
        # When no temporary folder can be written, tempfile reports that none exists.
        full = error.errno in _NO_ROOM or (
            error.errno == errno.ENOENT and str(error.strerror).startswith("No usable temporary directory")
        )
    else:
        full = False
    return f"this machine has no room for a file that is needed: {said or error}" if full else None
