"""What this machine ran out of: Python and SQLite say it of a full disk each in its own way."""

import errno
import sqlite3

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SQLITE_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}


def full_disk(error: BaseException, said: str = "") -> str | None:
    """One line that says that this machine's disk took no more.

    Args:
        error: what happened.
        said: what the line says of it; what the error says itself if not given.

    Returns:
        None if it is another error.
    """
    if isinstance(error, sqlite3.Error):
        # The extended code holds the primary one in its lowest byte. Errors of the module's own have none.
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE_NO_ROOM
    elif isinstance(error, OSError):
        # Of a temporary folder that takes no byte, tempfile says that there is none.
        full = error.errno in _NO_ROOM or (
            error.errno == errno.ENOENT and str(error.strerror).startswith("No usable temporary directory")
        )
    else:
        full = False
    return f"this machine has no room for a file that is needed: {said or error}" if full else None
