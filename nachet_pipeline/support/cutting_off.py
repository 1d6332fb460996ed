"""Connections that are cut off when their time is over."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Timer


@contextmanager
def cut_off_after(seconds: float, connected: Callable[[], socket.socket | None]) -> Iterator[Event]:
    """Cut a connection off when its time is over, whatever it waits for; the event is set then.

    A timeout is of each single read: a server that sends a byte now and then meets every one.

    Args:
        seconds: how long the context may last.
        connected: says by which socket, when the time is over; None: by none yet.
    """
    over = Event()

    def cut_off() -> None:
        over.set()
        open_socket = connected()
        if open_socket is not None:
            with suppress(OSError):
                # TLS's own way would end the encryption first, while another thread may be sending.
                socket.socket.shutdown(open_socket, socket.SHUT_RDWR)

    timer = Timer(max(0.0, seconds), cut_off)
    timer.daemon = True
    timer.start()
    try:
        yield over
    finally:
        timer.cancel()
