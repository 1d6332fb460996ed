"""TCP ports of the loopback interface."""

import socket
from pathlib import Path

from nachet_pipeline.local.files import write_private

LOOPBACK = "127.0.0.1"
_HIGHEST = 65535


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections that linger after a server's end do not hold its port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_port(preferred: int | None = None) -> int:
    """A port that nothing listens on: the preferred one if it is free, else one that the system picks."""
    if preferred is not None and is_free(preferred):
        return preferred
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def remembered_port(file: Path) -> int | None:
    """The port that a file remembers from an earlier start, or None."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return int(text) if text.isdecimal() and 0 < int(text) <= _HIGHEST else None


def kept_port(file: Path, usual: int | None = None) -> int:
    """A free port: the one that a file remembers if it is free, else another, which the file remembers from now on."""
    port = free_port(remembered_port(file) or usual)
    write_private(file, f"{port}\n")
    return port
