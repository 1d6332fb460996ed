"""Whatever is done in whatever order: no photograph has two labels in a version, nothing is lost, nothing is amiss."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.local.services import Services
from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline_tests.any_order.machine import AnyOrder
from nachet_pipeline_tests.databases import own_database
from nachet_pipeline_tests.workbench import Workbench, workbench_of

# In every run of the tests few sequences, the same each time; at night (`make sequences`) many, others each time.
SEQUENCES = int(os.environ.get("NACHET_TEST_SEQUENCES", "0"))


def test_commands_in_any_order_leave_what_the_model_says(
    services: Services, migrated_database: str, blobs: BlobStorage, tmp_path: Path
) -> None:
    with CroppingPool(DecodingSettings(workers=1, seconds=60)) as pool:

        @contextmanager
        def bench() -> Iterator[Workbench]:
            place = tmp_path / uuid.uuid4().hex
            place.mkdir()
            with (
                own_database(services, template=migrated_database) as own,
                workbench_of(own, blobs, pool, place, workers=1) as made,
            ):
                yield made

        class Machine(AnyOrder):
            make_bench = staticmethod(bench)

        Machine.pool = pool
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=SEQUENCES or 25,
                stateful_step_count=25 if SEQUENCES else 15,
                derandomize=not SEQUENCES,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate, Phase.shrink],
                print_blob=True,
            ),
        )
