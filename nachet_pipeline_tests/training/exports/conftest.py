from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest

from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.training.exports.converting import ConvertingPool
from nachet_pipeline_tests.conftest import BlobAccount
from nachet_pipeline_tests.training.exports.sets import Sets


@pytest.fixture(scope="session")
def converting() -> Iterator[ConvertingPool]:
    with ConvertingPool(DecodingSettings(workers=2, seconds=10)) as pool:
        yield pool


@pytest.fixture
def sets(blobs: BlobStorage, converting: ConvertingPool, blob_account: BlobAccount, tmp_path: Path) -> Sets:
    """A container of the test's own, and a place for exports."""
    container = f"{blob_account.prefix}pictures"
    blobs.ensure_container(container)
    return Sets(blobs, converting, tmp_path, container)


@pytest.fixture(autouse=True)
def _no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the readers keep stays in the test's folder, and they ask nobody."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    datasets.disable_progress_bars()
