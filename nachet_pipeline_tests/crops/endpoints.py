"""A local server that speaks the protocol of the detector's endpoint, and can be told to misbehave."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

TOKEN = "not-a-real-token"


def box(left: float, top: float, right: float, bottom: float) -> dict[str, Any]:
    return {"box": {"topX": left, "topY": top, "bottomX": right, "bottomY": bottom}, "label": "seed", "score": 0.9}


@dataclass
class Endpoint:
    """What the server answers, and what it was asked.

    Attributes:
        answers: status and body of the answers to come; the last one stays. A body that is no bytes becomes JSON.
        headers: sent with each answer.
        asked: the pictures it was asked about.
        authorizations: the Authorization headers that came.
        slow: set to let answers come; they wait for it if it is there.
    """

    url: str = ""
    answers: list[tuple[int, Any]] = field(default_factory=lambda: [(200, {"boxes": []})])
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[np.ndarray[Any, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    slow: threading.Event | None = None


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """A server on this machine for as long as the block lasts."""
    state = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.authorizations.append(self.headers["Authorization"])
            given = body["input_data"]
            assert (given["columns"], given["index"], len(given["data"])) == (["image"], [0], 1)
            with Image.open(io.BytesIO(base64.b64decode(given["data"][0]))) as picture:
                state.asked.append(np.asarray(picture.convert("RGB")))
            if state.slow:
                state.slow.wait(30)
            status, answer = state.answers.pop(0) if len(state.answers) > 1 else state.answers[0]
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **state.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(content)
            except OSError:  # the client did not wait
                self.close_connection = True

        def do_GET(self) -> None:
            state.authorizations.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/score"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        if state.slow:
            state.slow.set()
        server.shutdown()
        server.server_close()
        thread.join()
