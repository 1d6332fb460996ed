"""Whatever is done in whatever order: no photograph has two labels in a version, nothing is lost, nothing is amiss."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from pydantic import SecretStr

from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.database.connection import Database
from nachet_pipeline.local.services import Services
from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.users.registering import register_user
from nachet_pipeline_tests.any_order.machine import AnyOrder
from nachet_pipeline_tests.workbench import Workbench, settings_with

# In every run of the tests few sequences, the same each time; at night (`make sequences`) many, others each time.
SEQUENCES = int(os.environ.get("NACHET_TEST_SEQUENCES", "0"))


def test_commands_in_any_order_leave_what_the_model_says(
    services: Services, migrated_database: str, blobs: BlobStorage, tmp_path: Path
) -> None:
    with CroppingPool(DecodingSettings(workers=1, seconds=60)) as pool:

        @contextmanager
        def bench() -> Iterator[Workbench]:
            name = f"any_{uuid.uuid4().hex}"
            url = SecretStr(services.database_url.rpartition("/")[0] + f"/{name}")
            with psycopg.connect(services.database_url, autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_database}"')
            place = tmp_path / name
            place.mkdir()
            key = SecretStr(services.blob_key)
            with Database(url, connections=6) as database:
                user = register_user(database, blobs, f"{uuid.uuid4().hex}@example.org")
                yield Workbench(database, blobs, pool, user, place, url, key, settings_with(decode_workers=1))
            with psycopg.connect(services.database_url, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

        class Machine(AnyOrder):
            make_bench = staticmethod(bench)

        Machine.pool = pool
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=SEQUENCES or 40,
                stateful_step_count=25 if SEQUENCES else 15,
                derandomize=not SEQUENCES,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate, Phase.shrink],
                print_blob=True,
            ),
        )
