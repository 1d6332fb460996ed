"""Where no pipeline runs, a command that asks says so, and starts none."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.main import get_command

from nachet_pipeline.cli.commands import app
from nachet_pipeline_tests.command import Nachet

FILE = str(Path(__file__))
BY = ("--by", "me", "--why", "because")
A, B = str(uuid4()), str(uuid4())
ASKING = {
    "audit": (),
    "crops": ("project",),
    "duplicates": (),
    "duplicates decide": (A, B, "--as", "different", "--by", "me"),
    "folder archive": ("project", *BY),
    "folder delete": ("project", "--keep-for-training", *BY),
    "folder list": ("--user", "ada@example.org"),
    "folder undo": ("project", *BY),
    "health": (),
    "judge apply": ("--by", "me"),
    "judge experts add": ("ada@example.org", *BY),
    "judge experts list": (),
    "judge experts remove": ("ada@example.org", *BY),
    "judge import": (FILE, "--by", "me"),
    "judge list": (),
    "judge say": (A, "right", "--by", "ada@example.org"),
    "judge tasks": ("seeds@1", "tasks.json"),
    "judge withdraw": (A, *BY),
    "labels conflicts": (),
    "labels decide": (A, "--species", "Brassica napus", *BY),
    "labels name": (A, "--species", "Brassica napus", *BY),
    "labels undecide": (A, *BY),
    "labels unname": (A, *BY),
    "labels waiting": (),
    "model champion history": ("seeds",),
    "model evaluate": ("seeds@1",),
    "model key new": ("seeds",),
    "model key revoke": ("seeds",),
    "model list": (),
    "model promote": ("seeds@1", "--why", "it is better"),
    "model show": ("seeds@1",),
    "predictions import": (FILE, "--model", "seeds@1"),
    "predictions list": (),
    "reconcile": (),
    "reprocess": ("--dry-run",),
    "retention": ("--dry-run",),
    "secrets rotate": (),
    "species diff": (),
    "status": (),
    "story": (),
    "trace": (A,),
    "training-set diff": ("a", "b"),
    "training-set export": ("a", "out", "--format", "imagefolder"),
    "training-set list": (),
    "training-set show": ("a",),
    "training-set withdraw": (A, *BY),
    "user disable": ("ada@example.org",),
    "user enable": ("ada@example.org",),
    "user key revoke": ("ada@example.org",),
    "user key rotate": ("ada@example.org",),
    "user key show": ("ada@example.org",),
    "user list": (),
    "user notify": ("ada@example.org", "--notify", "all"),
    "user show": ("ada@example.org",),
    "webhook list": (),
    "webhook pause": ("12ab",),
    "webhook ping": ("12ab",),
    "webhook remove": ("12ab",),
    "webhook resume": ("12ab",),
    "webhook retry": ("12ab",),
    "webhook rotate-secret": ("12ab",),
}
STARTING = {
    "db login",
    "db upgrade",
    "import",
    "mass-import",
    "stage",
    "training-set build",
    "up",
    "user add",
    "webhook add",
}
READS_FIRST = {"model register"}
"""Commands that judge their files before they look for a pipeline."""
WITHOUT_SERVICES = {
    *("contract", "down", "init", "mail test", "sample", "secrets generate", "validate"),
    *(f"species {name}" for name in ("add", "export", "import", "list", "search", "show")),
}


def commands(group: Any, name: str = "") -> set[str]:
    subs: dict[str, Any] = getattr(group, "commands", {})
    own = {name} if name and (not subs or group.invoke_without_command) else set()
    return own.union(*(commands(one, f"{name} {sub}".strip()) for sub, one in subs.items()))


def test_every_command_is_known_to_ask_or_to_start_services() -> None:
    assert commands(get_command(app)) == ASKING.keys() | STARTING | READS_FIRST | WITHOUT_SERVICES


@pytest.mark.parametrize("name", ASKING)
def test_a_command_that_asks_starts_no_service_where_there_is_none(
    command: Nachet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for setting in ("NACHET_HOME", "NACHET_DATABASE_URL", "NACHET_BLOB_ACCOUNT_URL"):
        monkeypatch.delenv(setting, raising=False)

    answer = command(*name.split(), *ASKING[name])

    assert (answer.code, answer.out) == (2, ""), answer.err
    (line,) = answer.err.splitlines()
    assert line.startswith("nachet: no pipeline runs here: there is nothing in ")
    assert "set NACHET_DATABASE_URL" in line
    assert "`nachet status FOLDER --sas URL`" in line
    assert "run `nachet up`" in line
    assert list(tmp_path.iterdir()) == []
