"""The image, built without a Docker daemon and run as in a deployment: web server, daemon and code server."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import urllib3

from nachet_pipeline.local.ports import is_free
from nachet_pipeline.local.processes import wait_until
from nachet_pipeline.local.services import Services
from nachet_pipeline_tests.compatibility.trials import (
    PROJECT,
    Commands,
    LackingError,
    database_on,
    environment_of,
)

_BASE = "docker.io/library/python:3.11-slim-bookworm"
_TAG = "localhost/nachet-pipeline:trial"
_CERTIFICATES = "/etc/ssl/certs"
_SECONDS = 240
_INSTANCE = "/opt/nachet/trial"


def try_image(_: str, folder: Path, services: Services) -> str:
    """Build the image on a bare Debian, run it as its user, and import a sample by the sensor."""
    lacking = [name for name in ("buildah", "debootstrap") if shutil.which(name) is None]
    if lacking or os.geteuid() != 0:
        raise LackingError(f"{' and '.join(lacking)} not installed" if lacking else "not root, which a chroot needs")
    buildah = _Buildah(("buildah", "--root", str(folder / "storage"), "--runroot", str(folder / "run")))
    _make_base(folder, buildah)
    buildah(
        *("build", "--isolation", "chroot", "--pull=never", "--network", "host", "--tag", _TAG),
        *("--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro", "--file", str(PROJECT / "deploy/Dockerfile")),
        *("--ignorefile", str(PROJECT / "deploy/Dockerfile.dockerignore"), str(PROJECT)),
    )
    size = json.loads(buildah("images", "--json", _TAG))[0]["size"]
    container = buildah("from", "--pull=never", _TAG).strip()
    with database_on(services, "image") as url, ExitStack() as stack:
        environment = environment_of(services, url, folder)
        nachet = Commands([sys.executable, "-m", "nachet_pipeline.cli.main"], environment, folder)
        nachet("db", "upgrade")
        email = "image@example.org"
        nachet("user", "add", email)
        nachet("sample", str(folder / "sample"), "--email", email)
        code, web = (next(port for port in range(first, first + 500) if is_free(port)) for first in (24000, 23000))
        _configure(folder, buildah, container, code)
        run = _Runner(buildah, container, {**environment, "DAGSTER_HOME": _INSTANCE, "NACHET_HOME": "/var/lib/nachet"})
        served = ("--module-name", "nachet_pipeline.definitions", "--location-name", "nachet_pipeline")
        stack.enter_context(run(folder, "dagster", "api", "grpc", *served, "--host", "127.0.0.1", "--port", str(code)))
        _wait(folder, lambda: not is_free(code), "the code server")
        workspace = ("-w", f"{_INSTANCE}/workspace.yaml")
        stack.enter_context(run(folder, "dagster-daemon", "run", *workspace))
        stack.enter_context(run(folder, "dagster-webserver", *workspace, "-h", "127.0.0.1", "-p", str(web)))
        _wait(folder, lambda: not is_free(web), "the web server")
        if urllib3.request("GET", f"http://127.0.0.1:{web}/server_info").status != 200:
            raise AssertionError("the web server does not answer")
        nachet("stage", str(folder / "sample"), "--user", email)
        _wait(folder, lambda: "imported" in nachet("status"), "the sensor's import")
    return f"{size}, as user 10001"


class _Buildah:
    def __init__(self, command: Sequence[str]) -> None:
        self.command = tuple(command)

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"buildah {arguments[0]}: {done.stderr.strip()[-800:]}")
        return done.stdout


def _make_base(folder: Path, buildah: _Buildah) -> None:
    """A bare Debian with Python stands for the base image, which only a registry has."""
    root = folder / "debian"
    packages = "python3,python3-venv,ca-certificates"
    command = ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LackingError(f"debootstrap: {done.stdout.strip().splitlines()[-1]}")
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
    container = buildah("from", "scratch").strip()
    buildah("add", "--quiet", container, str(root), "/")
    buildah("commit", "--quiet", "--rm", container, _BASE)
    shutil.rmtree(root)


def _configure(folder: Path, buildah: _Buildah, container: str, port: int) -> None:
    """Put the project's own instance into the container: its launcher starts runs beside the code server."""
    (folder / "workspace.yaml").write_text(
        f"load_from: [{{grpc_server: {{host: 127.0.0.1, port: {port}, location_name: nachet_pipeline}}}}]\n"
    )
    for file in (PROJECT / "dagster.yaml", folder / "workspace.yaml"):
        buildah("copy", "--chown", "10001:10001", container, str(file), f"{_INSTANCE}/{file.name}")


class _Runner:
    def __init__(self, buildah: _Buildah, container: str, environment: dict[str, str]) -> None:
        self._command = [*buildah.command, "run", "--isolation", "chroot", "--network", "host", "--user", "10001:10001"]
        self._command += [part for item in environment.items() for part in ("--env", "=".join(item))]
        self._command += [container, "--"]

    @contextmanager
    def __call__(self, folder: Path, *command: str) -> Iterator[None]:
        with (folder / "image.log").open("ab") as log:
            process = subprocess.Popen([*self._command, *command], stdout=log, stderr=log, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(process.pid, 15)
            process.wait()


def _wait(folder: Path, reached: Callable[[], bool], what: str) -> None:
    if not wait_until(reached, _SECONDS):
        said = (folder / "image.log").read_text(errors="replace")[-600:]
        raise AssertionError(f"{what} did not come within {_SECONDS} s: {said}")
