import base64
import hashlib
import io
import os
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr

from nachet_pipeline.storage.account import CLIENT_OPTIONS
from nachet_pipeline.storage.blobs import BlobStorage, StorageError, TooLargeError
from nachet_pipeline.storage.transfer import BlobChecksum
from nachet_pipeline.support.files import FileChangedError
from nachet_pipeline_tests.conftest import BlobAccount
from nachet_pipeline_tests.workbench import md5

NAMES = [
    "two words/première récolte.tiff",
    "100% sure/50%20.tiff",
    "re\u0301colte/e\u0301.tiff",
    "種子/🌱.tiff",
    "a+b&c=d/~#?*[]{}^`|<>\"'.tiff",
]
UNSPEAKABLE = ["a//b", "tab\there/1.tiff", "1\t.tiff"]
"""Names that the service takes and that no other layer likes."""


@pytest.fixture
def container(blobs: BlobStorage, blob_account: BlobAccount) -> str:
    name = f"{blob_account.prefix}source"
    blobs.ensure_container(name)
    blobs.ensure_container(f"{blob_account.prefix}target")
    return name


@pytest.fixture
def target(container: str) -> str:
    return container.replace("source", "target")


def put(blobs: BlobStorage, container: str, blob: str, content: bytes, *, overwrite: bool = True) -> object:
    return blobs.upload(container, blob, content, content_type="image/tiff", overwrite=overwrite)


def version_of(blobs: BlobStorage, container: str, blob: str) -> str:
    folder, _, path = blob.partition("/")
    return next(file.version for file in blobs.files(container, folder) if file.path == path)


@pytest.mark.parametrize("name", NAMES + [f"folder/{name}" for name in UNSPEAKABLE])
def test_a_picture_of_any_name_is_listed_read_and_copied(
    blobs: BlobStorage, container: str, target: str, name: str
) -> None:
    content = b"picture " + name.encode()
    folder, _, path = name.partition("/")
    assert blobs.upload(container, name, content, content_type="image/tiff", overwrite=True, checked=False)
    assert [(file.path, found) for file, found in blobs.md5s(container, folder)] == [(path, md5(content))]
    assert put(blobs, container, name, content)
    assert blobs.top_level(container).folders == [folder]
    assert [(file.path, file.size) for file in blobs.files(container, folder)] == [(path, len(content))]
    assert [(file.path, file.size, found) for file, found in blobs.md5s(container, folder)] == [
        (path, len(content), md5(content))
    ]
    version = version_of(blobs, container, name)
    assert blobs.read(container, name, version) == content
    assert blobs.checksum_of(container, name) == BlobChecksum(
        len(content), hashlib.sha256(content).hexdigest(), version
    )
    assert blobs.copy((container, name), (target, name), version=version, md5=md5(content).hex(), metadata={})
    assert blobs.read(target, name) == content


@pytest.mark.parametrize("folder", ["tab\there", "line\nbreak"])
def test_a_folder_with_a_control_character_in_its_name_hides_no_other(
    blobs: BlobStorage, container: str, folder: str
) -> None:
    put(blobs, container, f"{folder}/1.tiff", b"one")
    put(blobs, container, "good/1.tiff", b"two")
    put(blobs, container, "note.txt", b"three")
    top = blobs.top_level(container)
    assert sorted(top.folders) == sorted([folder, "good"])
    assert top.blobs == ["note.txt"]
    (file,) = blobs.files(container, folder)
    assert file.path == "1.tiff"
    assert blobs.read(container, f"{folder}/1.tiff", file.version) == b"one"
    put(blobs, container, f"{folder}/1.tiff", b"other")
    with pytest.raises(FileChangedError):
        blobs.read(container, f"{folder}/1.tiff", file.version)


def test_a_folder_lists_a_bad_name_among_good_ones_once(blobs: BlobStorage, container: str) -> None:
    for name in ("a.tiff", "b\t.tiff", "c.tiff"):
        put(blobs, container, f"folder/{name}", b"x")
    assert [file.path for file in blobs.files(container, "folder")] == ["a.tiff", "b\t.tiff", "c.tiff"]


def test_a_folder_does_not_list_another_whose_name_starts_alike(blobs: BlobStorage, container: str) -> None:
    put(blobs, container, "wheat/1.tiff", b"one")
    put(blobs, container, "wheat2/1.tiff", b"two")
    put(blobs, container, "wheat.receipt.json", b"{}")
    assert [file.path for file in blobs.files(container, "wheat")] == ["1.tiff"]
    assert [file.path for file, _ in blobs.md5s(container, "wheat")] == ["1.tiff"]


def test_blobs_without_a_folder_name_make_no_folder(blobs: BlobStorage, container: str) -> None:
    put(blobs, container, "/1.tiff", b"one")
    assert blobs.top_level(container).folders == []


def test_reading_a_picture_that_was_overwritten_since_it_was_listed_is_refused(
    blobs: BlobStorage, container: str
) -> None:
    put(blobs, container, "folder/1.tiff", b"first")
    listed = version_of(blobs, container, "folder/1.tiff")
    put(blobs, container, "folder/1.tiff", b"other")
    with pytest.raises(FileChangedError):
        blobs.read(container, "folder/1.tiff", listed)
    assert blobs.read(container, "folder/1.tiff", version_of(blobs, container, "folder/1.tiff")) == b"other"


@pytest.mark.parametrize("name", ["folder/1.tiff", "folder//1.tiff", "/1.tiff", "folder/"])
def test_of_a_blob_that_is_larger_than_its_reader_takes_nothing_is_read(
    blobs: BlobStorage, container: str, name: str
) -> None:
    put(blobs, container, name, b"four")
    assert blobs.read(container, name, limit=4) == b"four"
    with pytest.raises(TooLargeError, match="4 bytes; more than 3"):
        blobs.read(container, name, limit=3)


def test_names_that_some_clients_take_for_one_are_listed_each(blobs: BlobStorage, container: str) -> None:
    for name in ("folder/a", "folder/a/", "folder//a", "folder/"):
        put(blobs, container, name, name.encode())
    found = {file.path: blobs.read(container, f"folder/{file.path}") for file in blobs.files(container, "folder")}
    assert found == {"a": b"folder/a", "a/": b"folder/a/", "/a": b"folder//a"}


def test_reading_a_picture_that_is_gone_is_a_change(blobs: BlobStorage, container: str) -> None:
    with pytest.raises(FileChangedError, match=r"folder/1\.tiff"):
        blobs.read(container, "folder/1.tiff")


def test_a_copy_keeps_the_bytes_and_carries_metadata(blobs: BlobStorage, container: str, target: str) -> None:
    content = bytes(range(256)) * 100
    put(blobs, container, "folder/1.tiff", content)
    sha256 = hashlib.sha256(content).hexdigest()
    assert blobs.copy(
        (container, "folder/1.tiff"),
        (target, "set/1.tiff"),
        version=version_of(blobs, container, "folder/1.tiff"),
        md5=md5(content).hex(),
        metadata={"sha256": sha256},
    )
    assert blobs.read(target, "set/1.tiff") == content
    found = blobs.properties_of(target, "set/1.tiff")
    assert found
    assert (found.size, found.metadata) == (len(content), {"sha256": sha256})


def test_a_copy_never_replaces_a_blob(blobs: BlobStorage, container: str, target: str) -> None:
    put(blobs, container, "folder/1.tiff", b"new")
    put(blobs, target, "set/1.tiff", b"there before")
    before = version_of(blobs, target, "set/1.tiff")
    copied = blobs.copy(
        (container, "folder/1.tiff"),
        (target, "set/1.tiff"),
        version=version_of(blobs, container, "folder/1.tiff"),
        md5=md5(b"new").hex(),
        metadata={},
    )
    assert not copied
    assert blobs.read(target, "set/1.tiff", before) == b"there before"


def test_a_copy_takes_no_other_version_than_the_one_that_was_validated(
    blobs: BlobStorage, container: str, target: str
) -> None:
    put(blobs, container, "folder/1.tiff", b"first")
    validated = version_of(blobs, container, "folder/1.tiff")
    put(blobs, container, "folder/1.tiff", b"other")
    with pytest.raises(FileChangedError):
        blobs.copy(
            (container, "folder/1.tiff"),
            (target, "set/1.tiff"),
            version=validated,
            md5=md5(b"first").hex(),
            metadata={},
        )
    assert blobs.properties_of(target, "set/1.tiff") is None


def test_a_copy_of_a_vanished_picture_is_a_change(blobs: BlobStorage, container: str, target: str) -> None:
    put(blobs, container, "folder/1.tiff", b"first")
    validated = version_of(blobs, container, "folder/1.tiff")
    blobs.delete(container, "folder/1.tiff")
    with pytest.raises(FileChangedError):
        blobs.copy(
            (container, "folder/1.tiff"), (target, "set/1.tiff"), version=validated, md5=md5(b"").hex(), metadata={}
        )
    assert blobs.properties_of(target, "set/1.tiff") is None


def test_a_create_only_upload_leaves_what_is_there(blobs: BlobStorage, container: str) -> None:
    assert put(blobs, container, "folder/1.tiff", b"first", overwrite=False)
    assert not put(blobs, container, "folder/1.tiff", b"second", overwrite=False)
    assert blobs.read(container, "folder/1.tiff") == b"first"


@pytest.mark.parametrize("size", [3, 5 * 1024 * 1024])
def test_a_file_arrives_from_its_start_and_with_its_checksum_wherever_it_was_left(
    blobs: BlobStorage, container: str, size: int
) -> None:
    content = os.urandom(size)
    stream = io.BytesIO(content)
    stream.seek(2)
    assert blobs.upload(container, "folder/manifest", stream, content_type="application/jsonl")
    kept = blobs.properties_of(container, "folder/manifest")
    assert kept
    assert kept.md5 == md5(content).hex()
    assert blobs.read(container, "folder/manifest") == content


def test_deleting_twice_is_as_good_as_once(blobs: BlobStorage, container: str) -> None:
    put(blobs, container, "folder/1.tiff", b"first")
    blobs.delete(container, "folder/1.tiff")
    blobs.delete(container, "folder/1.tiff")
    assert list(blobs.files(container, "folder")) == []


def test_making_a_container_twice_keeps_what_is_in_it(blobs: BlobStorage, container: str) -> None:
    put(blobs, container, "folder/1.tiff", b"first")
    blobs.ensure_container(container)
    assert blobs.read(container, "folder/1.tiff") == b"first"
    assert blobs.container_exists(container)


def test_a_container_that_does_not_exist_is_an_error_that_names_it(
    blobs: BlobStorage, blob_account: BlobAccount
) -> None:
    missing = f"{blob_account.prefix}missing"
    assert not blobs.container_exists(missing)
    with pytest.raises(StorageError, match=missing) as caught:
        blobs.top_level(missing)
    assert "\n" not in str(caught.value)


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else can take meanwhile."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


OPERATIONS: dict[str, Callable[[BlobStorage], object]] = {
    "listing the top": lambda blobs: blobs.top_level("container"),
    "listing a folder": lambda blobs: list(blobs.files("container", "folder")),
    "listing checksums": lambda blobs: list(blobs.md5s("container", "folder")),
    "reading": lambda blobs: blobs.read("container", "blob"),
    "writing": lambda blobs: put(blobs, "container", "blob", b"x"),
    "copying": lambda blobs: blobs.copy(("c", "b"), ("d", "b"), version='"1"', md5=md5(b"").hex(), metadata={}),
    "making a container": lambda blobs: blobs.ensure_container("container"),
}


def test_a_service_that_is_down_is_one_line_that_names_it_and_never_its_key(
    dead_port: int, blob_account: BlobAccount, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    def attempt(operation: Callable[[BlobStorage], object]) -> StorageError:
        with pytest.raises(StorageError) as caught:
            operation(blobs)
        return caught.value

    with (
        BlobStorage.connect(f"http://127.0.0.1:{dead_port}/account", SecretStr(blob_account.key)) as blobs,
        ThreadPoolExecutor(len(OPERATIONS)) as executor,
    ):
        errors = dict(zip(OPERATIONS, executor.map(attempt, OPERATIONS.values()), strict=True))
    for name, error in errors.items():
        assert str(error).startswith(f"Blob storage at 127.0.0.1:{dead_port}: "), name
        assert "\n" not in str(error), name
        assert blob_account.key not in "".join(traceback.format_exception(error)), name
    assert blob_account.key not in caplog.text


def test_a_wrong_key_is_refused_and_shown_nowhere(
    blobs: BlobStorage, blob_account: BlobAccount, container: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    wrong = ("A" if blob_account.key[0] != "A" else "B") + blob_account.key[1:]
    with BlobStorage.connect(blob_account.url, SecretStr(wrong)) as storage:
        for operation in (lambda: storage.top_level(container), lambda: put(storage, container, "a/b", b"x")):
            with pytest.raises(StorageError) as caught:
                operation()
            assert wrong not in "".join(traceback.format_exception(caught.value))
    assert wrong not in caplog.text
    assert blobs.top_level(container).folders == []


def test_a_repr_shows_no_key(blobs: BlobStorage, blob_account: BlobAccount) -> None:
    assert blob_account.key not in repr(blobs) + str(blobs)


def test_what_is_damaged_on_its_way_is_not_stored(
    blobs: BlobStorage, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nachet_pipeline.storage.transfer._md5", lambda _: md5(b"what was sent"))
    with pytest.raises(StorageError, match=r"400|Md5Mismatch"):
        put(blobs, container, "damaged/1.tiff", b"what arrived")
    assert list(blobs.files(container, "damaged")) == []


def test_over_a_slow_line_a_picture_arrives_though_it_takes_longer_than_a_connection_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(CLIENT_OPTIONS, "connection_timeout", 0.3)
    content = os.urandom(8 * 1024**2)
    arrived = bytearray()

    def receive(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            while len(arrived.partition(b"\r\n\r\n")[2]) < len(content):
                if not (part := connection.recv(1024**2)):
                    return
                arrived.extend(part)
                time.sleep(0.1)
            connection.sendall(
                b'HTTP/1.1 201 Created\r\nETag: "1"\r\nLast-Modified: Sun, 29 Nov 2026 05:00:00 GMT\r\n'
                b"Content-Length: 0\r\n\r\n"
            )

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as thread:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 1024)
        receiving = thread.submit(receive, server)
        url, key = f"http://127.0.0.1:{server.getsockname()[1]}/account", SecretStr(base64.b64encode(b"key").decode())
        with BlobStorage.connect(url, key) as line:
            written = line.upload("container", "1.tiff", content, content_type="image/tiff")
        receiving.result()
    assert written is not None
    assert written.version == '"1"'
    assert arrived.partition(b"\r\n\r\n")[2] == content
