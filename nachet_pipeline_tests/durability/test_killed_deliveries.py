"""Imports and the deliverer of events may be killed at any moment; every event arrives, and in its order."""

import json
import os
import subprocess
import sys

from nachet_pipeline.local.services import Services
from nachet_pipeline_tests.deployment import PROJECT

KILLS = 15


def test_every_event_arrives_whoever_is_killed(services: Services) -> None:
    environment = {
        **os.environ,
        "NACHET_DATABASE_URL": services.database_url,
        "NACHET_BLOB_ACCOUNT_URL": services.blob_account_url,
        "NACHET_BLOB_KEY": services.blob_key,
    }
    command = [sys.executable, "-m", "nachet_pipeline_tests.durability", "--events", "--given", "--kills", str(KILLS)]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    tally = json.loads(done.stdout)
    assert tally["broken"] == []
    assert sum(tally["kills"].values()) >= KILLS
    assert min(tally["kills"].values()) > 0
    assert tally["events"] > 4 * KILLS / 5
    assert tally["arrived"] == 3 * tally["events"] + tally["again"]
    assert done.returncode == 0
