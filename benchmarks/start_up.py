"""What starting costs: loading the definitions and the client, and whole commands with services that run already.

    .venv/bin/python -m benchmarks.start_up
    .venv/bin/python -m benchmarks.start_up --commands

The first takes the time of the processor, user and system time together, the second the time by the clock as well. Each
figure is the median of fresh processes that take turns. Loading the definitions is told beyond `import dagster`, which
nothing of ours can change, and everything as a multiple of it. Each import is of pictures that were not there before.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from benchmarks.own_services import own_services
from benchmarks.pictures import INDEX, write_folder
from nachet_pipeline.database.connection import Database
from nachet_pipeline.local.embedded import variables
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.users.registering import register_user

_ADDRESSES = {
    "NACHET_DATABASE_URL": "postgresql://nobody@127.0.0.1/none",
    "NACHET_BLOB_ACCOUNT_URL": "http://127.0.0.1:1/devstoreaccount1",
}
_COMMANDS = {
    "python": ["-c", "pass"],
    "import dagster": ["-c", "import dagster"],
    "definitions": ["-c", "import dagster, nachet_pipeline.definitions"],
    "client": ["-c", "import nachet_pipeline.client"],
    "what the client needs": ["-c", "import azure.storage.blob, psycopg, pydantic"],
    "nachet --help": [
        "-c",
        "import sys; from nachet_pipeline.cli.main import main; sys.argv = ['nachet', '--help']; main()",
    ],
}


_EMAIL = "start@example.org"
_VALIDATED, _SMALL, _LARGE = 5, 20, 200


def _seconds(arguments: list[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds by the clock and of the processor that a process of Python takes, with those that it starts."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **environment}, stdout=subprocess.DEVNULL, check=True
    )
    after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    return ended - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _measure(
    commands: Mapping[str, Callable[[], list[str]]], environment: Mapping[str, str], times: int
) -> dict[str, tuple[float, float]]:
    """The medians of each command; the first round fills the caches of the system."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for number in range(times + 1):
        for name, command in commands.items():
            taken = _seconds(command(), environment)
            if number:
                found[name].append(taken)
    return {
        name: (statistics.median(clock for clock, _ in taken), statistics.median(own for _, own in taken))
        for name, taken in found.items()
    }


def _show(title: str, found: Mapping[str, tuple[float, float]], columns: tuple[int, ...]) -> None:
    names = ("by the clock, s", "of the processor, s")
    table = Table(title=title)
    for column in ("", *(name for which in columns for name in (names[which], "÷ import dagster"))):
        table.add_column(column, justify="right")
    for name, seconds in found.items():
        figures = ((seconds[which], seconds[which] / found["import dagster"][which]) for which in columns)
        table.add_row(name, *(f"{figure:.2f}" for pair in figures for figure in pair))
    console = Console(width=110)
    console.print(table)
    console.print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _nachet(*arguments: object) -> list[str]:
    return ["-c", "from nachet_pipeline.cli.main import main; main()", *map(str, arguments)]


def _folders(scratch: Path, pictures: int, number: int) -> list[Path]:
    """So many folders of so many pictures, no two of them alike."""
    pool = scratch / f"pool-{pictures}"
    write_folder(pool, pictures * number)
    files = sorted(pool.iterdir())
    made = []
    for place in range(number):
        folder = scratch / f"{pictures}-pictures-{place}"
        folder.mkdir()
        for file in files[place * pictures : (place + 1) * pictures]:
            file.rename(folder / file.name)
        (folder / "index.yaml").write_text(INDEX.format(email=_EMAIL, pictures=pictures), encoding="utf-8")
        made.append(folder)
    return made


def _commands(times: int) -> None:
    with own_services() as (home, found), tempfile.TemporaryDirectory(prefix="nachet-benchmark-") as folder:
        scratch = Path(folder)
        environment = {**variables(home, found), "NACHET_HOME": str(scratch / "home")}
        with (
            Database(SecretStr(found.importer_url)) as database,
            BlobStorage.connect(found.blob_account_url, SecretStr(found.blob_key)) as blobs,
        ):
            register_user(database, blobs, _EMAIL)
        (validated,) = _folders(scratch, _VALIDATED, 1)
        small, large = (iter(_folders(scratch, pictures, times + 1)) for pictures in (_SMALL, _LARGE))
        rounds = {
            "import dagster": lambda: _COMMANDS["import dagster"],
            "nachet status": lambda: _nachet("status"),
            f"nachet validate, {_VALIDATED} pictures": lambda: _nachet("validate", validated),
            f"nachet import, {_SMALL} pictures": lambda: _nachet("import", next(small), "--user", _EMAIL),
            f"nachet import, {_LARGE} pictures": lambda: _nachet("import", next(large), "--user", _EMAIL),
        }
        _show(f"services run already; medians of {times} processes", _measure(rounds, environment, times), (0, 1))


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=9)
    parser.add_argument("--commands", action="store_true", help="whole commands, with services that run already")
    arguments = parser.parse_args()
    if arguments.commands:
        _commands(arguments.times)
        return
    commands = {name: (lambda command=command: command) for name, command in _COMMANDS.items()}
    found = _measure(commands, _ADDRESSES, arguments.times)
    own = found["definitions"][1] - found["import dagster"][1]
    _show(f"medians of {arguments.times} processes", {**found, "definitions beyond dagster": (0.0, own)}, (1,))


if __name__ == "__main__":
    main()
