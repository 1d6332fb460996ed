"""Validating folders."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.manifest import manifest_lines
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.contract.validation import validate
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline_tests.contract.folders import Files, Outcome, Validate, write


class StagedLocally(LocalFolder):
    """A local folder that is judged as it would be once it is staged."""

    staged = True


@pytest.fixture(scope="session")
def registry() -> SeedRegistry:
    return SeedRegistry.of(packaged_seeds())


@pytest.fixture
def validated(tmp_path: Path, pool: DecodingPool, registry: SeedRegistry) -> Validate:
    """Write the files of an upload and validate them."""
    number = count(1)

    def run(
        files: Files,
        *,
        owner: Owner | None = None,
        arrange: Callable[[Path], None] | None = None,
        decoding: DecodingSettings | None = None,
        name: str = "upload",
    ) -> Outcome:
        place = tmp_path / str(next(number))
        place.mkdir()
        root = write(place / name, files)
        if arrange:
            arrange(root)
        with Inventory() as inventory:
            if decoding:
                with DecodingPool(decoding) as own:
                    validation = validate(StagedLocally(root), inventory, own, registry, owner=owner)
            else:
                validation = validate(StagedLocally(root), inventory, pool, registry, owner=owner)
            manifests = {one.path: list(manifest_lines(one, inventory)) for one in validation.sessions}
        return Outcome(validation, manifests)

    return run
