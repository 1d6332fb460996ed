"""`nachet` in a process of its own that need not import everything first, which takes longer than most commands do.

One process has imported the package; each command is a fork of it, with arguments, environment, folder, input and
output of its own, and ends as any process does.
"""

import atexit
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from nachet_pipeline_tests.slow_imports import import_what_is_slow

_PROJECT = Path(__file__).resolve().parent.parent


class WarmNachet:
    """The command, as often as one likes, one after the other."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process = process
        self._folder = folder

    def run(
        self, *arguments: object, environment: Mapping[str, str], folder: Path, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `nachet` with arguments.

        Args:
            arguments: what follows the program's name.
            environment: all of it.
            folder: where it runs.
            given: what is typed; None: nothing.
        """
        files = {name: self._folder / name for name in ("stdin", "stdout", "stderr")}
        files["stdin"].write_text(given or "", encoding="utf-8")
        command = ["nachet", *map(str, arguments)]
        wanted = {
            "arguments": command,
            "environment": dict(environment),
            "folder": str(folder),
            "files": {name: str(file) for name, file in files.items()},
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process that was to run the command is gone"
        said = (files[name].read_bytes().decode("utf-8") for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(command, json.loads(answer), *said)


@contextmanager
def warm_nachet() -> Iterator[WarmNachet]:
    """A process that has imported the package, for as long as the context lasts."""
    # By -c, or the decoders that a command starts would import the main module of this process, whichever that is.
    command = [sys.executable, "-c", "from nachet_pipeline_tests import warm; warm.serve()"]
    with (
        tempfile.TemporaryDirectory(prefix="nachet-tests-") as folder,
        subprocess.Popen(
            command,
            cwd=_PROJECT,
            env={**os.environ, "PYTHONUTF8": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        yield WarmNachet(process, Path(folder))
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


# In that process


def _become_the_command(wanted: dict[str, object]) -> None:
    files, environment = wanted["files"], wanted["environment"]
    assert isinstance(files, dict)
    assert isinstance(environment, dict)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        opened = os.open(files[name], flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(wanted["folder"]))
    sys.argv = list(wanted["arguments"])  # type: ignore[call-overload]


def _exit_code_of_the_command() -> int:
    """Run the command, and what it has left to do at its end; the memory is the system's to clear, which is faster."""
    code: object = 0
    try:
        import_module("nachet_pipeline.cli.main").main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 (the interpreter's last word, which is to be seen where it would be)
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    if isinstance(code, str):
        os.write(2, f"{code}\n".encode())
        return 1
    return int(str(code or 0))


def serve() -> None:
    """Fork a process for each command that is asked for, and answer with its exit code."""
    import_what_is_slow()
    gc.freeze()  # or every fork would copy the memory of this one when it first collects garbage
    # Not read ahead of: what a fork has read but not used would be used twice.
    while line := _line():
        child = os.fork()
        if not child:
            _become_the_command(json.loads(line))
            os._exit(_exit_code_of_the_command())
        _, status = os.waitpid(child, 0)
        sys.stdout.write(json.dumps(os.waitstatus_to_exitcode(status)) + "\n")
        sys.stdout.flush()


def _line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 1 << 16)
        if not part:
            return b""
        line += part
    return line
