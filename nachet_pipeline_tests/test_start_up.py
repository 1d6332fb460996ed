"""What is slow to import is not imported before it is used."""

import os
import subprocess
import sys

import pytest

_SLOW_ALWAYS = {
    "aiohttp",
    "alembic",
    "azure",
    "cv2",
    "dagster_azure",
    "datasets",
    "kubernetes",
    "matplotlib",
    "mlcroissant",
    "numpy",
    "obstore",
    "pandas",
    "pyarrow",
    "requests",
    "scipy",
}
_SLOW_FOR_HELP = {"PIL", "blake3", "cryptography", "dagster", "psutil", "psycopg", "sqlalchemy", "urllib3", "yaml"}
_SLOW_FOR_RUNS = {
    "nachet_pipeline.mail.sending",
    "nachet_pipeline.pictures.decoding",
    "nachet_pipeline.webhooks.delivering",
    "nachet_pipeline.webhooks.sending",
}
"""What no import of a folder needs in its own process; each run imports all definitions."""
_HELP = (
    "import sys; sys.argv = ['nachet', '--help']; import nachet_pipeline.cli.main;"
    " from nachet_pipeline.cli.commands import app; app(standalone_mode=False)"
)


@pytest.mark.parametrize(
    ("statement", "slow"),
    [
        (_HELP, _SLOW_ALWAYS | _SLOW_FOR_HELP),
        ("import nachet_pipeline.definitions", _SLOW_ALWAYS | _SLOW_FOR_RUNS),
        ("import nachet_pipeline.client", _SLOW_ALWAYS | {"dagster", "sqlalchemy"}),
    ],
    ids=["nachet --help", "definitions", "client"],
)
def test_nothing_slow_is_imported_until_it_is_used(statement: str, slow: set[str]) -> None:
    told = "import sys; sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\n{told}"],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("NACHET_")},
            "NACHET_DATABASE_URL": "postgresql://nobody@127.0.0.1/none",
            "NACHET_BLOB_ACCOUNT_URL": "http://127.0.0.1:1/devstoreaccount1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    names = done.stderr.split()
    imported = {*names, *(name.partition(".")[0] for name in names)}
    assert "nachet_pipeline" in imported
    assert imported & slow == set()


@pytest.mark.parametrize(
    "statement",
    [
        "import nachet_pipeline.cli.main as command\nwith suppress(SystemExit): command.main()",
        "import nachet_pipeline.dagster_storage",
        "import nachet_pipeline.local.code_server",
    ],
    ids=["command", "run", "code server"],
)
def test_a_process_that_ends_does_not_look_at_all_that_it_imported_once_more(statement: str) -> None:
    found = "class Garbage:\n    def __del__(self): os.write(2, b'looked at')"
    made = "garbage = Garbage(); garbage.itself = garbage; del garbage"
    program = f"import os\nfrom contextlib import suppress\n{found}\n{statement}\n{made}"
    done = subprocess.run([sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
