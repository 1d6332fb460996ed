"""A start that Ctrl-C ends leaves nothing behind, wherever it was."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from nachet_pipeline.local import azurite, postgres, processes


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nachet-tests-") as folder:
        yield Path(folder).resolve()


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits first for a process that was just started is interrupted."""
    wait_until = processes.wait_until

    def interrupt(*arguments: object) -> bool:
        monkeypatch.setattr(processes, "wait_until", wait_until)
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "wait_until", interrupt)


def _children_of_this(home: Path) -> list[str]:
    found = []
    for process in psutil.Process(os.getpid()).children(recursive=True):
        try:
            if any(str(home) in part for part in process.cmdline()) and processes.is_alive(process):
                found.append(process.name())
        except psutil.NoSuchProcess:
            continue
    return found


def _azurite(home: Path, tools: Path) -> None:
    azurite.start(home / "azurite", azurite.install(tools))


def _postgres(home: Path, tools: Path) -> None:
    postgres.start(home / "postgres")


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize("start", [_azurite, _postgres])
def test_a_service_whose_start_is_interrupted_does_not_run_on(
    start: Callable[[Path, Path], None], home: Path, tools: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        start(home, tools)

    assert _children_of_this(home) == []
