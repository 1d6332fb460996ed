import json
import signal
import socket
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from nachet_pipeline.local import azurite, processes
from nachet_pipeline.local.errors import LocalServiceError

_API = "2026-06-06"


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nachet-tests-") as home:
        yield Path(home) / "blobs"
        azurite.stop(Path(home) / "blobs")


@pytest.fixture(scope="module")
def installation(tools: Path) -> Path:
    return azurite.install(tools)


def _container(server: azurite.Server) -> ContainerClient:
    return ContainerClient(server.url, "seeds", azurite.KEY, api_version=_API)


def test_a_blob_is_there_after_a_restart_at_the_same_address(folder: Path, installation: Path) -> None:
    first = azurite.start(folder, installation)
    with _container(first) as container:
        container.create_container()
        container.upload_blob("1.tiff", b"a picture")
        # At once: what it keeps in memory for some seconds must not be lost, though a client is connected.
        assert azurite.stop(folder)
    assert azurite.running(folder) is None
    assert not azurite.stop(folder)

    second = azurite.start(folder, installation)

    assert second.url == first.url
    with _container(second) as container:
        assert container.download_blob("1.tiff").readall() == b"a picture"


def test_starting_what_runs_finds_it(folder: Path, installation: Path) -> None:
    assert azurite.start(folder, installation) == azurite.start(folder, installation)


def test_a_program_that_uses_the_sdk_as_it_comes_is_served(folder: Path, installation: Path) -> None:
    server = azurite.start(folder, installation)
    with ContainerClient(server.url, "seeds", azurite.KEY, retry_total=0) as container:
        container.create_container()
        container.upload_blob("été/1.tiff", b"a picture")
        assert list(container.list_blob_names()) == ["été/1.tiff"]
        assert container.download_blob("été/1.tiff").readall() == b"a picture"


def test_it_starts_again_after_it_was_killed(folder: Path, installation: Path) -> None:
    first = azurite.start(folder, installation)
    processes.end(first.process, signal.SIGKILL, 10)

    second = azurite.start(folder, installation)

    assert second.process != first.process
    assert second.url == first.url


def test_one_that_nobody_noted_is_ended_before_another_uses_its_data(folder: Path, installation: Path) -> None:
    first = azurite.start(folder, installation)
    (folder / "process.json").unlink()

    azurite.start(folder, installation)

    assert first.process.find() is None


def test_another_port_is_taken_when_the_former_one_is_in_use(folder: Path, installation: Path) -> None:
    first = azurite.start(folder, installation)
    azurite.stop(folder)
    with socket.create_server(("127.0.0.1", first.port)):
        assert azurite.start(folder, installation).port != first.port


def test_an_installation_that_fails_says_so_in_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_offline", "true")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "empty"))

    with pytest.raises(LocalServiceError, match=r"^Azurite could not be installed: .*install\.log$"):
        azurite.install(tmp_path)

    assert [found.name for found in (tmp_path / "azurite").iterdir() if found.is_dir()] == []


def test_the_lock_file_names_no_host_and_checks_every_package() -> None:
    lock = json.loads((files("nachet_pipeline.local") / "azurite" / "package-lock.json").read_text())
    packages = [package for path, package in lock["packages"].items() if path]

    assert packages
    assert all("resolved" not in package and "integrity" in package for package in packages)
