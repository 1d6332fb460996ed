"""What starting costs in time of the processor: loading the definitions, the client, and `nachet --help`.

    .venv/bin/python -m benchmarks.start_up

Each figure is the median of fresh processes that take turns, user and system time together. Loading the definitions
is told beyond `import dagster`, which nothing of ours can change.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys

from rich.console import Console
from rich.table import Table

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


def _seconds(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **_ADDRESSES}, stdout=subprocess.DEVNULL, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=9)
    arguments = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for _ in range(arguments.times):
        for name, command in _COMMANDS.items():
            found[name].append(_seconds(command))
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    own = medians["definitions"] - medians["import dagster"]
    table = Table(title=f"seconds of the processor, median of {arguments.times} processes")
    for column in ("", "s", "÷ import dagster"):
        table.add_column(column, justify="right")
    for name, seconds in (*medians.items(), ("definitions beyond dagster", own)):
        table.add_row(name, f"{seconds:.2f}", f"{seconds / medians['import dagster']:.2f}")
    console = Console()
    console.print(table)
    console.print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
