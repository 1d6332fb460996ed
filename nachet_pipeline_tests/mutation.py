"""Small defects put into the code one at a time, to see which of them no test notices: `make mutants`.

A tool of the project's own: those that can be had run one command for every mutant, and know no tests that take
minutes. Here a mutant meets the test file that mirrors its module first, and its area's other tests only if it lives.
"""

import argparse
import ast
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE, TESTS = "nachet_pipeline", "nachet_pipeline_tests"
SECONDS = 900
# By a file or a folder of the package: the tests beside it.
AREAS = {
    "contract": ["contract", "uploads/test_corrections.py", "training/test_content.py", "uploads/test_discovery.py"],
    "storage": [
        "storage",
        "uploads/test_importing.py",
        "durability/test_verified_storage.py",
        "reconciliation/test_repairing.py",
    ],
    "folders": ["folders"],
    "picture_sets/tombstones.py": ["folders"],
    "reconciliation": ["reconciliation"],
    "users/upload_keys.py": ["users/test_upload_keys.py", "users/test_delegated_keys.py"],
    "users/key_queries.py": ["users/test_upload_keys.py"],
    "users/encryption.py": ["users/test_encryption.py"],
    "training": ["training"],
}
_EITHER = (
    (ast.Eq, ast.NotEq),
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Is, ast.IsNot),
    (ast.In, ast.NotIn),
    (ast.And, ast.Or),
    (ast.Add, ast.Sub),
    (ast.Mult, ast.FloorDiv),
)
_OTHER: dict[type[ast.AST], Any] = dict(_EITHER) | {second: first for first, second in _EITHER}


def changed(node: ast.AST) -> ast.AST | None:
    """What takes a node's place; None if nothing does."""
    match node:
        case ast.Compare(ops=[operator]):
            return ast.Compare(node.left, [_OTHER[type(operator)]()], node.comparators)
        case ast.BoolOp():
            return ast.BoolOp(_OTHER[type(node.op)](), node.values)
        case ast.UnaryOp(op=ast.Not()):
            return node.operand
        case ast.BinOp() if type(node.op) in _OTHER:
            return ast.BinOp(node.left, _OTHER[type(node.op)](), node.right)
        case ast.Constant(value=bool()):
            return ast.Constant(not node.value)
        case ast.Constant(value=int()):
            return ast.Constant(node.value + 1)
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise():
            return ast.Pass()
    return None


class Changer(ast.NodeTransformer):
    """Goes through a module and makes one of the changes that there are to make; the first is 0."""

    def __init__(self, wanted: int = -1) -> None:
        self.wanted = wanted
        self.changes: list[tuple[int, str]] = []

    def visit(self, node: ast.AST) -> ast.AST:
        text = ast.unparse(node) if isinstance(node, ast.expr | ast.stmt) else ""
        # What does not run, or only speaks to people.
        if isinstance(node, ast.arg | ast.JoinedStr | ast.AnnAssign) or text.startswith(
            ("log.", "dataclass(", "if TYPE_CHECKING")
        ):
            return node
        after = changed(node)
        if after is not None:
            self.changes.append((getattr(node, "lineno", 0), f"{text}  ->  {ast.unparse(after)}"))
            if len(self.changes) - 1 == self.wanted:
                return ast.copy_location(after, node)
        return self.generic_visit(node)


def mutated(content: str, wanted: int) -> str:
    """A module with one change."""
    return ast.unparse(ast.fix_missing_locations(Changer(wanted).visit(ast.parse(content))))


def _passes(copy: Path, tests: list[str]) -> bool:
    """Whether tests pass on a copy of the project; those that take too long do not."""
    home = os.environ.get("NACHET_HOME") or str(REPOSITORY / ".nachet")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", *tests]
    process = subprocess.Popen(
        command,
        cwd=copy,
        env={**os.environ, "NACHET_HOME": home, "PYTHONPATH": str(copy)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(SECONDS) == 0
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # its services end with it
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        return False
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _beside(file: str) -> list[str]:
    path = Path(TESTS) / Path(file).relative_to(PACKAGE)
    mirrored = path.with_name(f"test_{path.name}")
    return [str(mirrored)] if (REPOSITORY / mirrored).exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=500, help="how many, by chance; 0 for all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--of", nargs="*", default=list(AREAS), help="files or folders of the package")
    asked = parser.parse_args()
    found: list[tuple[str, str, int, int, str]] = []
    for area in asked.of:
        place = REPOSITORY / PACKAGE / area
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            seen = Changer()
            seen.visit(ast.parse(file.read_text(encoding="utf-8")))
            name = str(file.relative_to(REPOSITORY))
            found += [(name, area, number, *change) for number, change in enumerate(seen.changes)]
    chosen = Random(asked.seed).sample(found, min(asked.mutants or len(found), len(found)))
    lived = 0
    with tempfile.TemporaryDirectory(prefix="nachet-mutants-") as folder:
        copy = Path(folder) / "project"
        hidden = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")
        shutil.copytree(REPOSITORY, copy, ignore=hidden)

        @cache
        def baseline(*tests: str) -> None:
            if not _passes(copy, list(tests)):
                raise SystemExit(f"without any mutant these tests do not pass: {' '.join(tests)}")

        for name, area, number, line, change in sorted(chosen):
            file = copy / name
            original, alive = file.read_text(encoding="utf-8"), True
            for tests in (_beside(name), [f"{TESTS}/{one}" for one in AREAS[area]]):
                if alive and tests:
                    baseline(*tests)
                    file.write_text(mutated(original, number), encoding="utf-8")
                    alive = _passes(copy, tests)
                    file.write_text(original, encoding="utf-8")
            lived += alive
            shown = " ".join(change.split())[:160]
            sys.stdout.write(f"{'LIVES' if alive else 'died '} {name}:{line}: {shown}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{lived} of {len(chosen)} mutants lived, of {len(found)} that there are\n")


if __name__ == "__main__":
    main()
