"""What records predictions, judgements and evaluations may be killed at any moment; nothing is lost or half done."""

import json
import os
import subprocess
import sys

from nachet_pipeline.local.services import Services
from nachet_pipeline_tests.deployment import PROJECT

KILLS = 6


def test_what_models_and_people_say_is_recorded_as_if_nobody_was_killed(services: Services) -> None:
    environment = {
        **os.environ,
        "NACHET_DATABASE_URL": services.database_url,
        "NACHET_BLOB_ACCOUNT_URL": services.blob_account_url,
        "NACHET_BLOB_KEY": services.blob_key,
    }
    command = [sys.executable, "-m", "nachet_pipeline_tests.durability", "--models", "--given", "--kills", str(KILLS)]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    tally = json.loads(done.stdout)
    assert (tally["broken"], done.returncode) == ([], 0)
    assert sum(tally["kills"].values()) == KILLS
