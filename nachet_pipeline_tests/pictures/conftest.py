from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings

settings.register_profile(
    "repeatable",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def pool() -> Iterator[DecodingPool]:
    with DecodingPool(DecodingSettings(workers=1, seconds=60)) as shared:
        yield shared
