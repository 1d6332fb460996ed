"""What the tests of pictures share."""

import warnings
from collections.abc import Iterator

import pytest
from PIL import Image

from nachet_pipeline.pictures.decoding import quieten_decoders


@pytest.fixture(autouse=True)
def _as_in_a_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker ignores what a decoder mutters, and has no limit but ours."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    with warnings.catch_warnings():
        quieten_decoders()
        yield
