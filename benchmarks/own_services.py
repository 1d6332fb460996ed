"""What benchmarks share: services of their own, a process of its own for what is measured, and its memory."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nachet_pipeline.local.embedded import services
from nachet_pipeline.local.prepare import prepare
from nachet_pipeline.local.services import Services

# Where this is set, each process that is measured compiles our modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@contextmanager
def own_services() -> Iterator[tuple[Path, Services]]:
    """A home with prepared services, which the environment names; both are gone at the end."""
    tools = Path(os.environ.get("NACHET_HOME", ".nachet")).resolve()
    with tempfile.TemporaryDirectory(prefix="nachet-benchmark-") as scratch:
        home = Path(scratch) / "home"
        with services(home, tools=tools) as found:
            prepare(found)
            os.environ.update(
                NACHET_DATABASE_URL=found.database_url,
                NACHET_BLOB_ACCOUNT_URL=found.blob_account_url,
                NACHET_BLOB_KEY=found.blob_key,
            )
            yield home, found


def in_own_process(module: str, *arguments: str) -> dict[str, float]:
    """The figures that a benchmark writes as JSON when it is called with these arguments."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, check=True, text=True)
    return {name: float(value) for name, value in json.loads(done.stdout).items()}


def memory_mib(name: str = "VmHWM") -> float:
    """Resident size of this process: `VmRSS` now, `VmHWM` at most so far; getrusage would tell that of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:")) / 1024
