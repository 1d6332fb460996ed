"""Whatever is done in whatever order: no photograph has two labels in a version, nothing is lost, nothing is amiss."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.local.services import Services
from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline_tests.any_order.judging import Judging
from nachet_pipeline_tests.any_order.machine import AnyOrder
from nachet_pipeline_tests.any_order.species import ChangingSpecies
from nachet_pipeline_tests.databases import own_database
from nachet_pipeline_tests.workbench import Workbench, workbench_of

# In every run of the tests few sequences, the same each time; at night (`make sequences`) many, others each time.
SEQUENCES = int(os.environ.get("NACHET_TEST_SEQUENCES", "0"))


Bench = Callable[[], AbstractContextManager[Workbench]]


@pytest.fixture
def bench(
    services: Services, migrated_database: str, blobs: BlobStorage, tmp_path: Path, cropping: CroppingPool
) -> Bench:
    """Gives a workbench with a database of its own."""

    @contextmanager
    def made() -> Iterator[Workbench]:
        place = tmp_path / uuid.uuid4().hex
        place.mkdir()
        with (
            own_database(services, template=migrated_database) as own,
            workbench_of(own, blobs, cropping, place, workers=1) as bench,
        ):
            yield bench

    return made


@pytest.fixture(scope="module")
def cropping() -> Iterator[CroppingPool]:
    with CroppingPool(DecodingSettings(workers=1, seconds=60)) as pool:
        yield pool


def run(machine: type[RuleBasedStateMachine], *, sequences: int, steps: int) -> None:
    """Run sequences of steps; at night many more, each longer."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=SEQUENCES or sequences,
            stateful_step_count=25 if SEQUENCES else steps,
            derandomize=not SEQUENCES,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
            print_blob=True,
        ),
    )


def test_commands_in_any_order_leave_what_the_model_says(bench: Bench, cropping: CroppingPool) -> None:
    class Machine(AnyOrder):
        make_bench = staticmethod(bench)

    Machine.pool = cropping
    run(Machine, sequences=25, steps=15)


def test_whatever_becomes_of_species_pictures_keep_their_labels_and_classes_their_indices(bench: Bench) -> None:
    class Machine(ChangingSpecies):
        make_bench = staticmethod(bench)

    run(Machine, sequences=8, steps=15)


def test_whoever_judges_in_whatever_order_what_follows_is_reckoned_from_what_was_said(bench: Bench) -> None:
    class Machine(Judging):
        make_bench = staticmethod(bench)

    run(Machine, sequences=9, steps=20)
