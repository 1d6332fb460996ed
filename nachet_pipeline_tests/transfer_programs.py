"""Stand-ins for curl and azcopy, which a bare machine lacks: as much of them as docs/protocol.md uses.

They are programs, so that a shell runs the lines of the page as they stand. An option that they do not know is
an error.
"""

import argparse
import base64
import hashlib
import shlex
import shutil
import sys
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import quote, urlsplit

_PROGRAMS = ("curl", "azcopy")
_BLOCK = {"x-ms-blob-type": "BlockBlob"}
_NO_CONNECTION, _REFUSED = 7, 22


def install(folder: Path, *, real: bool) -> Path:
    """Put a stand-in for each program into a folder; with `real`, only for those that this machine lacks."""
    folder.mkdir()
    for name in _PROGRAMS:
        if real and shutil.which(name):
            continue
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, __file__, name])} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    return folder


def _request(method: str, url: str, headers: dict[str, str], body: bytes | None) -> HTTPResponse:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=60)
    connection.request(method, f"{parts.path}?{parts.query}", body, headers)
    return connection.getresponse()


def curl(words: list[str]) -> int:
    """Send one request."""
    parser = argparse.ArgumentParser("curl", allow_abbrev=False)
    parser.add_argument("-s", "--silent", action="store_true")
    parser.add_argument("-S", "--show-error", action="store_true")
    parser.add_argument("-f", "--fail", action="store_true")
    parser.add_argument("-T", "--upload-file", type=Path)
    parser.add_argument("-d", "--data")
    parser.add_argument("-X", "--request")
    parser.add_argument("-H", "--header", action="append", default=[])
    parser.add_argument("-D", "--dump-header", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("-w", "--write-out", choices=["%{http_code}"])
    parser.add_argument("url")
    given = parser.parse_args(words)
    body = given.upload_file.read_bytes() if given.upload_file else None if given.data is None else given.data.encode()
    method = given.request or ("PUT" if given.upload_file else "GET" if body is None else "POST")
    headers = {name: value.strip() for name, _, value in (line.partition(":") for line in given.header)}
    try:
        answer = _request(method, given.url, headers, body)
        content = answer.read()
    except OSError as error:
        sys.stderr.write(f"curl: ({_NO_CONNECTION}) {error}\n")
        sys.stdout.write("000" if given.write_out else "")
        return _NO_CONNECTION
    if given.dump_header:
        lines = [
            f"HTTP/1.1 {answer.status} {answer.reason}",
            *(f"{name}: {value}" for name, value in answer.getheaders()),
        ]
        given.dump_header.write_text("".join(f"{line}\r\n" for line in (*lines, "")), encoding="latin-1")
    if given.fail and answer.status >= 400:
        sys.stderr.write(f"curl: ({_REFUSED}) The requested URL returned error: {answer.status}\n")
        return _REFUSED
    if given.output:
        given.output.write_bytes(content)
    else:
        sys.stdout.buffer.write(content)
    if given.write_out:
        sys.stdout.write(str(answer.status))
    return 0


def azcopy(words: list[str]) -> int:
    """Copy a file or a folder to a container, or a blob to a file."""
    parser = argparse.ArgumentParser("azcopy", allow_abbrev=False)
    parser.add_argument("command", choices=["copy"])
    parser.add_argument("source")
    parser.add_argument("destination")
    parser.add_argument("--recursive", action="store_true")
    parser.add_argument("--from-to", choices=["LocalBlob", "BlobLocal"], required=True)
    parser.add_argument("--put-md5", action="store_true")
    given = parser.parse_args(words)
    if given.from_to == "BlobLocal":
        answer = _request("GET", given.source, {}, None)
        Path(given.destination).write_bytes(answer.read())
        return int(answer.status >= 400)
    source = Path(given.source)
    address, _, key = given.destination.partition("?")
    if source.is_dir() and not given.recursive:
        sys.stderr.write("cannot use directory as source without --recursive\n")
        return 1
    # A folder goes under its own name into the container.
    below = {f"/{quote(str(file.relative_to(source.parent)))}": file for file in source.rglob("*") if file.is_file()}
    failed = 0
    for path, file in (below if source.is_dir() else {"": source}).items():
        content = file.read_bytes()
        md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        headers = {**_BLOCK, **({"x-ms-blob-content-md5": md5} if given.put_md5 else {})}
        failed += _request("PUT", f"{address}{path}?{key}", headers, content).status >= 400
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit({"curl": curl, "azcopy": azcopy}[sys.argv[1]](sys.argv[2:]))
