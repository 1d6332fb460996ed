"""docs/protocol.md is true: a shell runs its lines as they stand, with a real key, on real services."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient
from jsonschema import Draft202012Validator

from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.marks import CompleteMarker
from nachet_pipeline.contract.structure import take_inventory
from nachet_pipeline.contract.submission import submission_of
from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.events.event import CloudEvent
from nachet_pipeline.events.queries import events_after
from nachet_pipeline.local import azurite
from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline.support.files import StagedFile
from nachet_pipeline.uploads.discovery import queue
from nachet_pipeline.uploads.importing import ImportOutcome, fail_upload
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline_tests import transfer_programs
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.deployment import PROJECT, SECRET_KEY
from nachet_pipeline_tests.documents import PAGES, block_beginning, example_folder, fenced, lasting, tables
from nachet_pipeline_tests.workbench import Workbench, edit

(
    _ADDRESSES,
    _SEND,
    _LIST,
    _SEND_BY_AZCOPY,
    _COMPLETE,
    _COMPLETE_BY_AZCOPY,
    _WITHDRAW,
    _READ,
    _READ_BY_AZCOPY,
    _DIGEST,
    _CLIENT,
) = fenced(PAGES["docs/protocol.md"], "sh")
"""Every line of shell on the page is tried here."""

_INSTALLED = [name for name in ("curl", "azcopy") if shutil.which(name)]
Shell = Callable[[str], str]


@pytest.fixture
def jane(workbench: Workbench) -> Workbench:
    """The uploader of the README's example, who has staged nothing yet."""
    jane = workbench.another_user("jane.doe@example.org")
    for blob in jane.versions(jane.user.upload_container):
        jane.blobs.delete(jane.user.upload_container, blob)
    return jane


@pytest.fixture
def key(jane: Workbench, nachet: Nachet, monkeypatch: pytest.MonkeyPatch) -> str:
    """Jane's key, as an operator is shown it."""
    monkeypatch.setenv("NACHET_SECRET_KEYS", SECRET_KEY)
    assert nachet("user", "add", jane.user.email).code == 0
    return str(json.loads(nachet("user", "key", "show", jane.user.email, "--json").out)["url"])


@pytest.fixture(params=[False, True] if _INSTALLED else [False], ids=["stand-ins", *_INSTALLED[:1]])
def environment(request: pytest.FixtureRequest, key: str, tmp_path: Path) -> dict[str, str]:
    """What a program of Jane's finds: the key, and curl and azcopy, those of this machine if it has them."""
    programs = transfer_programs.install(tmp_path / "programs", real=request.param)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "KEY": key, "PAUSE": "0.2", "AZCOPY_LOG_LOCATION": str(tmp_path)}


@pytest.fixture
def shell(environment: dict[str, str], jane: Workbench) -> Shell:
    """Runs lines of the page where Jane's folder lies, after those that take the key apart."""

    def run(lines: str) -> str:
        command = ["sh", "-euc", _ADDRESSES + lines]
        done = subprocess.run(command, env=environment, cwd=jane.place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def _import(jane: Workbench) -> ImportOutcome:
    """Let the pipeline find the one folder that is due, and import it."""
    (arrival,) = jane.due()
    queue(jane.database, [arrival])
    return jane.run(jane.now(arrival.upload))


# Sending and reading, line by line


def test_a_folder_that_curl_sends_is_imported_and_its_receipt_is_the_one_that_is_shown(
    jane: Workbench, shell: Shell
) -> None:
    example_folder(jane.place / "canola-2026", width=320, height=240)
    shell(_SEND)
    listed = shell(_LIST)
    assert re.findall("<Name>canola-2026/([^<]*)", listed) == [
        "index.yaml",
        *(f"pictures/napus-day1/{name}" for name in ("1.tiff", "1.yaml", "2.tiff", "index.yaml")),
    ]
    assert listed.count("<Content-MD5>") == 5
    assert jane.due() == []

    shell(_COMPLETE)
    upload = _import(jane).upload
    with CroppingPool(DecodingSettings(workers=1)) as pool:
        jane.cropper(pool).crop(jane.now(upload))

    assert json.loads(lasting(shell(_READ))) == json.loads(block_beginning('{\n  "receipt_version"', "json"))

    with jane.database.reading() as connection:
        events, _ = events_after(connection, 0, owner=jane.user.id)
    told = [json.loads(CloudEvent.of(event, "https://nachet.example.org").content()) for event in events]
    schema = Draft202012Validator(json.loads((PROJECT / "docs" / "event.schema.json").read_text(encoding="utf-8")))
    for event in told:
        schema.validate(event)
    assert {"nachet.upload.imported", "nachet.crops.done"} <= {event["type"] for event in told}
    (imported,) = (event["data"] for event in told if event["type"] == "nachet.upload.imported")
    assert (imported["folder"], imported["state"]) == ("canola-2026", "imported")
    assert imported["submission"] == json.loads(shell(_READ))["submission"]

    shell(_WITHDRAW)
    assert jane.due(after=timedelta(days=1)) == []
    assert json.loads(shell(_READ))["state"] == "withdrawn"


def test_a_folder_that_azcopy_sends_is_imported(jane: Workbench, shell: Shell) -> None:
    example_folder(jane.place / "canola-2026")
    shell(_SEND_BY_AZCOPY)
    assert shell(_LIST).count("<Content-MD5>") == 5
    assert jane.due() == []
    shell(_COMPLETE_BY_AZCOPY)
    _import(jane)
    shell(_READ_BY_AZCOPY)
    assert json.loads((jane.place / "receipt.json").read_text(encoding="utf-8"))["state"] == "imported"


@pytest.mark.parametrize("words", [["curl", "--compressed", "-s"], ["azcopy", "sync", "."]])
def test_a_stand_in_runs_nothing_that_it_does_not_know(words: list[str], tmp_path: Path) -> None:
    program = transfer_programs.install(tmp_path / "programs", real=False) / words[0]
    done = subprocess.run([program, *words[1:], "http://127.0.0.1:1/c"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")


# The whole client


def test_the_client_waits_for_the_receipt_of_what_it_sent_whatever_else_lies_there(
    jane: Workbench, environment: dict[str, str]
) -> None:
    (jane.place / "send.sh").write_text(_CLIENT, encoding="utf-8")
    folder = jane.sample("canola 2026")
    session = folder / "pictures" / "session1"
    (session / "1.png").rename(session / "one 1.png")
    edit(session / "index.yaml", "seedData", seedSpecies="nappus")

    with _sending(jane, environment) as client:
        _sent(jane, client)
        _import(jane)
        assert (client.communicate()[0], client.returncode) == ("refused\n", 1)

    edit(session / "index.yaml", "seedData", seedSpecies="napus")
    (session / "one 1.png").rename(session / "1.png")
    with _sending(jane, environment) as client:
        upload = _sent(jane, client)
        _import(jane)
        assert (client.communicate()[0], client.returncode) == ("imported\n", 0)
    receipt = jane.receipt(upload)
    assert receipt.report is not None
    assert receipt.report.codes == {"not-listed": 1}

    with _sending(jane, environment) as client:
        upload = _sent(jane, client)
        fail_upload(jane.database, jane.blobs, upload, "its names cannot be listed", looked_at=False)
        assert (client.communicate()[0], client.returncode) == ("failed\n", 3)


def _sending(jane: Workbench, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["sh", "send.sh", "canola 2026"], env=environment, cwd=jane.place, stdout=subprocess.PIPE, text=True
    )


def _sent(jane: Workbench, client: "subprocess.Popen[str]") -> Upload:
    """The upload that the client sent, once it has sent all of it."""
    while not (due := jane.due()):
        assert client.poll() is None, "it ended before there was a receipt of what it sent"
    return due[0].upload


# What marks and the submission are


def test_the_first_line_of_the_mark_means_what_the_page_says() -> None:
    rows = {row[0]: row[1] for row in tables("first line of `_COMPLETE`", "means")}
    other, files, replace, staging = rows
    assert other == "none, or any other"
    for text in ("", "\n", "done", "file:\nindex.yaml"):
        marker = CompleteMarker.read(text.encode())
        assert (marker.lists, marker.replace, marker.staging) == (False, False, False)
    for line, means in ((files, (True, False, False)), (replace, (True, True, False)), (staging, (False, False, True))):
        for written in (line.strip("`"), f" {line.strip('`').upper()} \r"):
            marker = CompleteMarker.read(f"{written}\nindex.yaml\n".encode())
            assert (marker.lists, marker.replace, marker.staging) == means


class _Folder:
    """The folder of the page's example of a submission."""

    name, staged = "canola-2026", True

    def __init__(self, files: Mapping[str, tuple[int, str]], mark: str) -> None:
        self._files, self._mark = {**files, "_COMPLETE": (len(mark.encode()), '"0x1"')}, mark

    def files(self) -> Iterator[StagedFile]:
        return (StagedFile(path, *what, datetime.now(UTC)) for path, what in self._files.items())

    def read(self, file: StagedFile) -> bytes:
        assert file.path == "_COMPLETE"
        return self._mark.encode()

    def start(self, file: StagedFile, size: int) -> bytes:
        raise NotImplementedError


def test_the_example_of_a_submission_is_what_the_pipeline_computes() -> None:
    files = {
        "pictures/été/1.png": (9, '"0x8DE2F3A5B6C7D81"'),
        "index.yaml": (187, '"0x8DE2F3A5B6C7D80"'),
        "pictures/day1/old.png": (5, '"0x8DE2F3A5B6C7D79"'),
    }
    sha256 = hashlib.sha256(b"a picture").hexdigest()
    mark = f"files:\n{sha256}\t9\tpictures/été/1.png\nindex.yaml\n"
    with Inventory(in_memory=True) as inventory:
        take_inventory(_Folder(files, mark), inventory)
        computed = submission_of(inventory)
    done = subprocess.run(["sh", "-euc", _DIGEST], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == computed
    assert _DIGEST.rstrip().endswith(f"# {computed}")


# What storage answers


def _answer(method: str, url: str, body: bytes | None = None, **headers: str) -> tuple[str, str]:
    """Status and code that storage answers with."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, {"x-ms-blob-type": "BlockBlob", **named}, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 (the emulator's address)
            return str(answer.status), ""
    except HTTPError as error:
        with error:
            return str(error.code), error.headers.get("x-ms-error-code", "")


def test_storage_answers_with_the_errors_that_the_page_explains(
    jane: Workbench, key: str, tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jane.put("canola/1.png", b"a picture")
    (etag,) = (one for path, one in jane.versions(jane.user.upload_container).items() if path == "canola/1.png")
    container, _, sas = key.partition("?")
    picture = f"{container}/canola/1.png?{sas}"
    with _older_azurite(tmp_path, tools, monkeypatch) as account:
        tried = [
            _answer("GET", picture, If_None_Match=etag),
            _answer("PUT", picture, b"a damaged picture", Content_MD5="1B2M2Y8AsgTpgAmY7PhCfg=="),
            _answer("PUT", picture, b"a picture", Content_MD5="1B2M"),
            _answer("GET", f"{account}/c?restype=container&comp=list", x_ms_version="2026-10-06"),
            _answer("GET", picture.replace("sig=", "sig=A")),
            _answer("DELETE", picture),
            _answer("GET", f"{container}/canola.receipt.json?{sas}"),
            _answer("PUT", picture, b"a picture", If_None_Match="*"),
            _answer("PUT", picture, b"a picture", If_Match='"0x1"'),
        ]
    explained = tables("status", "code", "means", "do")
    assert tried == [(row[0], re.findall("`(.*?)`", row[1])[-1]) for row in explained]


@contextmanager
def _older_azurite(folder: Path, tools: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an Azurite that looks at versions, as one does that others have started."""
    real = azurite.processes.spawn

    def spawn(name: str, command: Sequence[str | Path], **settings: Any) -> Any:
        return real(name, [word for word in command if word != "--skipApiVersionCheck"], **settings)

    monkeypatch.setattr(azurite.processes, "spawn", spawn)
    try:
        yield azurite.start(folder / "older", azurite.install(tools)).url
    finally:
        azurite.stop(folder / "older")


def test_the_versions_are_those_of_the_lock_and_of_the_key(jane: Workbench, key: str, tools: Path) -> None:
    package = azurite.install(tools) / "node_modules" / "azurite"
    constants = (package / "dist/src/blob/utils/constants.js").read_text(encoding="utf-8")
    newest = re.findall(r'"(\d{4}-\d\d-\d\d)"', constants.partition("ValidAPIVersions = [")[2])[0]
    azurites = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    with BlobServiceClient("https://nobody.blob.core.windows.net") as client:
        sdks = client.api_version
    of_keys, of_sdk, of_azurite, of_ours = tables("what", "version")
    assert [of_keys[1]] == re.findall(r"sv=([\d-]+)", key)
    assert (f"azure-storage-blob {version('azure-storage-blob')} " in of_sdk[0], of_sdk[1]) == (True, sdks)
    assert (f"Azurite {azurites} " in of_azurite[0], of_azurite[1]) == (True, newest)
    assert of_ours[1] == "any"
    with ContainerClient.from_container_url(key) as container:  # as the SDK comes
        assert list(container.list_blob_names(name_starts_with="canola")) == []
