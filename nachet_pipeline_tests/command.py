"""`nachet` in the process of the tests, as a person calls it."""

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from nachet_pipeline.cli import main
from nachet_pipeline_tests.workbench import Workbench


class Answer(NamedTuple):
    """The exit code, what was written, and what was noted beside it."""

    code: int
    out: str
    err: str


Nachet = Callable[..., Answer]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nachet:
    """Runs the command with arguments, and with the settings that the environment holds."""

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["nachet", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.main()
        said = capsys.readouterr()
        return Answer(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def nachet(workbench: Workbench, command: Nachet, monkeypatch: pytest.MonkeyPatch) -> Nachet:
    """Runs the command on the workbench's services."""
    monkeypatch.setenv("NACHET_DATABASE_URL", workbench.database_url.get_secret_value())
    monkeypatch.setenv("NACHET_BLOB_ACCOUNT_URL", workbench.blobs.account_url)
    monkeypatch.setenv("NACHET_BLOB_KEY", workbench.blob_key.get_secret_value())
    monkeypatch.setenv("NACHET_DECODE_WORKERS", "1")
    return command
