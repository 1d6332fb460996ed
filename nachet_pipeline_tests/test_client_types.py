"""What strict type checking says of programs that use the client, which see the package as it is installed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nachet_pipeline_tests.deployment import PROJECT

_CACHE = PROJECT / ".mypy_cache" / "consumer"
_PROGRAMS = Path(__file__).parent / "consumer"


def checked(program: Path, place: Path) -> list[str]:
    """The line and the code of each error that mypy finds in a program of somebody else's."""
    (place / program.name).write_bytes(program.read_bytes())
    installed = place / "site-packages"
    installed.mkdir()
    # As a wheel installs it; how the project itself is installed, only Python understands.
    (installed / "nachet_pipeline").symlink_to(PROJECT / "nachet_pipeline")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(_CACHE), program.name],
        cwd=place,  # the project's own configuration is not the program's
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    found = re.findall(rf"^{program.name}:(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
    return found or done.stdout.splitlines()


@pytest.mark.parametrize(
    "program", [_PROGRAMS / "right.py", PROJECT / "examples/backend.py"], ids=lambda path: path.name
)
def test_a_right_program_passes(program: Path, tmp_path: Path) -> None:
    assert checked(program, tmp_path) == ["Success: no issues found in 1 source file"]


def test_wrong_uses_are_found(tmp_path: Path) -> None:
    program = _PROGRAMS / "wrong.py"
    lines = program.read_text(encoding="utf-8").splitlines()
    expected = [
        (str(number), mistake[1])
        for number, line in enumerate(lines, start=1)
        if (mistake := re.search(r"\S  # ([a-z-]+)(?: #|$)", line)) and mistake[1] != "noqa"
    ]
    assert len(expected) == 8
    assert checked(program, tmp_path) == expected
