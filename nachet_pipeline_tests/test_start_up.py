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
_HELP = (
    "import sys; sys.argv = ['nachet', '--help']; import nachet_pipeline.cli.main;"
    " from nachet_pipeline.cli.commands import app; app(standalone_mode=False)"
)


@pytest.mark.parametrize(
    ("statement", "slow"),
    [
        (_HELP, _SLOW_ALWAYS | _SLOW_FOR_HELP),
        ("import nachet_pipeline.definitions", _SLOW_ALWAYS),
        ("import nachet_pipeline.client", _SLOW_ALWAYS | {"dagster", "sqlalchemy"}),
    ],
    ids=["nachet --help", "definitions", "client"],
)
def test_nothing_slow_is_imported_until_it_is_used(statement: str, slow: set[str]) -> None:
    told = "import sys, json; sys.stderr.write(' '.join({name.partition('.')[0] for name in sys.modules}))"
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
    imported = set(done.stderr.split())
    assert "nachet_pipeline" in imported
    assert imported & slow == set()
