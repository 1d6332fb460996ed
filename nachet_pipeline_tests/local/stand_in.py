"""A stand-in for `dagster dev`: answers like its web server, and has a child that outlives it if not cared for.

Arguments: the port, what it does (`serve`, `serve once`, `fail`, `break`, `hang`), and a file for its child's number.
"""

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

_ERROR = {"__typename": "PythonError", "message": "ImportError: no such seed\nStack Trace"}
_GOOD = {"__typename": "RepositoryLocation"}


class _Answers(BaseHTTPRequestHandler):
    location = _GOOD

    def do_GET(self) -> None:
        self._answer({"dagster_webserver_version": "stand-in"})

    def do_POST(self) -> None:
        entry = {"name": "nachet", "loadStatus": "LOADED", "locationOrLoadError": self.location}
        workspace = {"__typename": "Workspace", "locationEntries": [entry]}
        self._answer({"data": {"workspaceOrError": workspace}})

    def _answer(self, content: object) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())


def main() -> None:
    port, deed, note = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    if deed == "serve once" and note.exists():
        sys.exit("served already")
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as child:
        note.write_text(str(child.pid))
        if deed == "fail":
            os._exit(2)  # without waiting for the child
        if deed == "hang":
            time.sleep(1000)
        if deed == "break":
            _Answers.location = _ERROR
        HTTPServer(("127.0.0.1", port), _Answers).serve_forever()


if __name__ == "__main__":
    main()
