from collections.abc import Iterator

import pytest

from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.pictures.decoding_pool import DecodingSettings


@pytest.fixture(scope="package")
def cropping_pool() -> Iterator[CroppingPool]:
    """One pool for all tests of crops."""
    with CroppingPool(DecodingSettings(workers=2, seconds=60)) as shared:
        yield shared
