"""Commands on a machine whose disk takes no more: one line says so, exit code 3, and a later run completes it.

The disk is full by a limit on the size of files, which needs no rights: the system refuses each write likewise.
"""

import errno
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

import pytest

from nachet_pipeline.database.connection import Database
from nachet_pipeline.identifiers import receipt_blob, upload_container
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.support.machine import full_disk
from nachet_pipeline.uploads.queries import search_uploads
from nachet_pipeline.uploads.staging import stage_folder
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline_tests.deployment import Deployment


@pytest.fixture
def nachet(environment: dict[str, str], tmp_path: Path):
    """Runs the command, on a full disk if wanted."""

    def run(*arguments: object, full: bool = False) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "nachet_pipeline.cli.main", *map(str, arguments)],
            env={**os.environ, **environment, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=_fill_the_disk if full else None,
        )

    return run


def _fill_the_disk() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def assert_it_says_so(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("nachet: ")]
    assert "no room" in line


def test_a_small_folder_is_validated_without_a_disk(deployment: Deployment, nachet) -> None:
    done = nachet("validate", deployment.sample("judged"), full=True)

    assert done.returncode == 0, done.stderr


def test_an_import_on_a_full_disk_fails_with_the_reason_and_the_same_command_completes_it(
    deployment: Deployment, nachet
) -> None:
    folder = deployment.sample("imported")

    assert_it_says_so(nachet("import", folder, "--user", deployment.user.email, full=True))

    (upload,) = _uploads(deployment.database, "imported", deployment)
    assert (upload.state, upload.attempts) == ("failed", 1)
    container = upload_container(deployment.user.id)
    beside = json.loads(deployment.blobs.read(container, receipt_blob("imported")))
    assert beside["state"] == "failed"
    assert "no room" in beside["failure"]
    again = nachet("import", folder, "--user", deployment.user.email)
    assert again.returncode == 0, again.stderr
    (upload,) = _uploads(deployment.database, "imported", deployment)
    assert upload.state == "imported"


def test_an_export_on_a_full_disk_says_so_in_a_line(nachet, tmp_path: Path) -> None:
    assert_it_says_so(nachet("training-set", "export", "any", tmp_path / "out", "--format", "imagefolder", full=True))


def test_a_mass_import_on_a_full_disk_says_so_in_a_line_and_the_same_command_completes_it(
    deployment: Deployment, nachet
) -> None:
    container = f"old-{uuid4().hex[:12]}"
    deployment.blobs.ensure_container(container)
    stage_folder(deployment.blobs, LocalFolder(deployment.sample("old") / "pictures"), container, "pictures")
    arguments = ("--owner", deployment.user.email, "--seed", "Brassica napus", "--zoom", 5, "--seeds-per-picture", 1)

    assert_it_says_so(nachet("mass-import", container, *arguments, full=True))

    nachet("mass-import", container, *arguments)
    assert deployment.count("pictures") == 2


def test_a_training_set_on_a_full_disk_says_so_in_a_line_and_the_same_command_builds_it(
    deployment: Deployment, nachet, tmp_path: Path
) -> None:
    assert nachet("import", deployment.sample("trained"), "--user", deployment.user.email).returncode == 0
    recipe = {"users": [deployment.user.email], "splits": {"train": 1}}
    (tmp_path / "full-disk.yaml").write_text(json.dumps(recipe))
    build = ("training-set", "build", "full-disk", "--recipes", tmp_path)

    assert_it_says_so(nachet(*build, full=True))

    again = nachet(*build)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("command", [("crops", "worked"), ("reprocess",)], ids=lambda command: command[0])
def test_stored_pictures_are_cropped_and_reprocessed_without_a_disk(
    deployment: Deployment, nachet, command: tuple[str, ...]
) -> None:
    assert nachet("import", deployment.sample("worked"), "--user", deployment.user.email).returncode == 0

    done = nachet(*command, full=True)

    assert done.returncode == 0, done.stderr


def _uploads(database: Database, folder: str, deployment: Deployment) -> list[Upload]:
    with database.connection() as connection:
        return [one for one in search_uploads(connection, folder, limit=100) if one.owner == deployment.owner]


# What the system, SQLite and Python say of a full disk


def test_a_full_database_of_sqlite_is_a_full_disk() -> None:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("pragma max_page_count = 3")
        connection.execute("create table t (a)")
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute("insert into t values (zeroblob(1000000))")
    assert "database or disk is full" in str(full_disk(caught.value))


def test_a_device_that_is_full_is_a_full_disk() -> None:
    with pytest.raises(OSError, match="No space left") as caught, Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"x")
    assert "No space left on device" in str(full_disk(caught.value))


def test_no_temporary_folder_that_takes_a_byte_is_a_full_disk() -> None:
    missing = FileNotFoundError(errno.ENOENT, f"No usable temporary directory found in {[tempfile.gettempdir()]}")
    assert full_disk(missing) is not None


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file or directory", "x.tiff"),
        PermissionError(errno.EACCES, "Permission denied"),
        sqlite3.ProgrammingError("Cannot operate on a closed database."),
        ValueError("No space left on device"),
    ],
)
def test_other_errors_are_not(error: Exception) -> None:
    assert full_disk(error) is None
