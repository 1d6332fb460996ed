"""The kills of `python -m nachet_pipeline_tests.durability` on services that run already."""

import json
import os
import subprocess
import sys
from typing import Any

from nachet_pipeline.local.services import Services
from nachet_pipeline_tests.deployment import PROJECT


def killed(services: Services, kills: int, *options: str) -> tuple[dict[str, Any], int]:
    """Kill so many times; the tally and the exit code.

    Args:
        services: that are used.
        kills: how many.
        options: what is killed, if not imports; and from which seed.
    """
    environment = {
        **os.environ,
        "NACHET_DATABASE_URL": services.database_url,
        "NACHET_BLOB_ACCOUNT_URL": services.blob_account_url,
        "NACHET_BLOB_KEY": services.blob_key,
    }
    command = [sys.executable, "-m", "nachet_pipeline_tests.durability", "--given", "--kills", str(kills), *options]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout), done.returncode
