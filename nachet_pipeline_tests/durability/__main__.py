"""Kill imports: `python -m nachet_pipeline_tests.durability --kills 200 --seed 1`.

Or decoders: `… --decoders`. Or imports and the deliverer of events: `… --events`. Or what records predictions and
judgements: `… --models`.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from nachet_pipeline.local.embedded import services
from nachet_pipeline.local.services import Services

# The definitions read the environment when they are imported; each import names its own services later.
os.environ.setdefault("NACHET_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
os.environ.setdefault("NACHET_BLOB_ACCOUNT_URL", "http://127.0.0.1:1/nobody")

from nachet_pipeline_tests.durability import decoders, killing
from nachet_pipeline_tests.durability.decoders import kill_decoders
from nachet_pipeline_tests.durability.events import EventsTally, kill_deliveries
from nachet_pipeline_tests.durability.killing import PROJECT, as_json, kill_imports
from nachet_pipeline_tests.durability.models import ModelsTally, kill_models


def main(arguments: list[str] | None = None) -> int:
    """Kill so many importing processes or decoders; the exit code is 1 if something did not end as undisturbed."""
    parser = argparse.ArgumentParser(prog="python -m nachet_pipeline_tests.durability", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="processes to kill")
    parser.add_argument("--seed", type=int, default=1, help="where chance begins")
    parser.add_argument("--decoders", action="store_true", help="kill decoders, not the processes that ask them")
    parser.add_argument("--events", action="store_true", help="kill imports and the deliverer of events")
    parser.add_argument("--models", action="store_true", help="kill what records predictions and judgements")
    parser.add_argument("--given", action="store_true", help="use the services that NACHET_… name, not own ones")
    wanted = parser.parse_args(arguments)
    kill: Callable[[Services, int, int], killing.Tally | decoders.Tally | EventsTally | ModelsTally] = (
        kill_decoders
        if wanted.decoders
        else kill_deliveries
        if wanted.events
        else kill_models
        if wanted.models
        else kill_imports
    )
    if wanted.given:
        given = Services(
            os.environ["NACHET_DATABASE_URL"], os.environ["NACHET_BLOB_ACCOUNT_URL"], os.environ["NACHET_BLOB_KEY"]
        )
        tally = kill(given, wanted.kills, wanted.seed)
    else:
        tools = Path(os.environ.get("NACHET_HOME") or PROJECT / ".nachet").resolve()
        with tempfile.TemporaryDirectory(prefix="nachet-") as folder, services(Path(folder), tools=tools) as own:
            tally = kill(own, wanted.kills, wanted.seed)
    sys.stdout.write(as_json(tally) + "\n")
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
