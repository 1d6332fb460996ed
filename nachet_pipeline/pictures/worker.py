"""A worker process: it answers one call after the other, until the other end of its socket is closed.

`nachet_pipeline.pictures.workers` runs this file as a script. It has a socket of its own to whoever started it, which
no other process holds, and imports nothing but the standard library before it is told what to prepare.
"""

import pickle
import signal
import socket
import struct
import sys
import time
import traceback

_SIZE = struct.Struct("!Q")
# The parent kills a worker at its time limit. If the parent is gone, the alarm ends a call that hangs.
_TIMES_THE_LIMIT, _SECONDS_MORE = 2, 60


def send_message(channel: socket.socket, content: bytes, until: float | None = None) -> None:
    """Send a message.

    Args:
        channel: where to.
        content: the message.
        until: when to stop waiting, by the monotonic clock; None: never.

    Raises:
        TimeoutError: it was not taken in time.
        OSError: the other end is gone.
    """
    for part in (_SIZE.pack(len(content)), content):
        _wait_at_most(channel, until)
        channel.sendall(part)


def receive_message(channel: socket.socket, until: float | None = None) -> bytearray:
    """The next message; see `send`.

    Raises:
        TimeoutError: it did not come in time.
        EOFError: the other end is gone.
        OSError: likewise.
    """
    (size,) = _SIZE.unpack(_exactly(channel, _SIZE.size, until))
    return _exactly(channel, size, until)


def _exactly(channel: socket.socket, size: int, until: float | None) -> bytearray:
    content = bytearray(size)
    left = memoryview(content)
    while left:
        _wait_at_most(channel, until)
        got = channel.recv_into(left)
        if not got:
            raise EOFError
        left = left[got:]
    return content


def _wait_at_most(channel: socket.socket, until: float | None) -> None:
    # Never 0, which would mean not to wait: what is there already is read even if it is late.
    channel.settimeout(None if until is None else max(0.001, until - time.monotonic()))


def _answer(asked: bytearray) -> bytes:
    try:
        call, arguments, options, seconds = pickle.loads(asked)  # noqa: S301 (from the process that started this one)
        asked.clear()  # the picture is in the arguments; twice it would take twice its memory
        signal.alarm(_TIMES_THE_LIMIT * seconds + _SECONDS_MORE)
        return pickle.dumps((True, call(*arguments, **options)), pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001 (every error goes to the caller)
        error.add_note("In a worker process:\n" + "".join(traceback.format_exception(error)))
        return _failure(error)
    finally:
        signal.alarm(0)


def _failure(error: Exception) -> bytes:
    try:
        content = pickle.dumps((False, error))
        pickle.loads(content)  # noqa: S301 (some errors can be pickled and not unpickled)
    except Exception:  # noqa: BLE001 (only the message is certain to survive pickling)
        content = pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return content


def main() -> None:
    """Answer until the other end of the socket is closed."""
    # Ctrl-C in a terminal reaches all processes; the one that asks decides when the others end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    try:
        sys.path[:] = pickle.loads(receive_message(channel))  # noqa: S301 (from the process that started this one)
        while True:
            send_message(channel, _answer(receive_message(channel)))
    except (EOFError, OSError):  # the parent is gone
        return


if __name__ == "__main__":
    main()
