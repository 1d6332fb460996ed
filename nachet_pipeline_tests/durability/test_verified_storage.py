"""What is stored is compared with what was validated, picture by picture."""

import base64
import hashlib
from collections.abc import Iterator

import pytest
from dagster import AssetKey
from dagster._core.definitions.asset_checks.asset_check_spec import AssetCheckKey

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.settings import TransferSettings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline_tests.deployment import Deployment
from nachet_pipeline_tests.durability.proxies import Fault, HttpProxy, http_proxy
from nachet_pipeline_tests.workbench import Workbench


@pytest.fixture
def disturbed(workbench: Workbench) -> Iterator[tuple[HttpProxy, BlobStorage]]:
    """A proxy before Azurite, and the account through it."""
    with (
        http_proxy(workbench.blobs.account_url) as (proxy, url),
        BlobStorage.connect(url, workbench.blob_key) as blobs,
    ):
        yield proxy, blobs


class DamagingStorage(BlobStorage):
    """The real storage, whose copies of one picture are something else; as often as is left."""

    damages_left = 0

    def copy(self, source: tuple[str, str], target: tuple[str, str], **settings: object) -> bool:
        created = super().copy(source, target, **settings)  # type: ignore[arg-type]
        if source[1].endswith("/2.png") and self.damages_left:
            self.damages_left -= 1
            content = self.read(*target)
            damaged = content[:-1] + bytes([content[-1] ^ 1])
            self.upload(*target, damaged, content_type="image/png", overwrite=True)
        return created


@pytest.fixture
def reading(workbench: Workbench) -> TransferSettings:
    """Settings that let every stored picture be read again."""
    return workbench.settings.transfer.model_copy(update={"verify_stored": "read"})


def test_a_copy_that_went_wrong_is_made_once_more(workbench: Workbench, reading: TransferSettings) -> None:
    upload = workbench.stage(workbench.sample(pictures=3))
    with DamagingStorage.connect(workbench.blobs.account_url, workbench.blob_key) as damaging:
        damaging.damages_left = 1
        outcome = workbench.run(upload, blobs=damaging, transfer=reading)
    assert outcome.receipt.state is State.IMPORTED
    staged = workbench.contents(upload.staging_container)
    pictures = sorted(content for name, content in staged.items() if name.endswith(".png"))
    assert sorted(workbench.stored_pictures().values()) == pictures


def test_a_copy_that_goes_wrong_each_time_fails_the_import_and_a_later_run_does_not_take_it(
    workbench: Workbench, reading: TransferSettings
) -> None:
    upload = workbench.stage(workbench.sample(pictures=3))
    with DamagingStorage.connect(workbench.blobs.account_url, workbench.blob_key) as damaging:
        damaging.damages_left = 2
        outcome = workbench.run(upload, blobs=damaging, transfer=reading)
    assert outcome.receipt.state is State.FAILED
    assert outcome.wrong_blob == outcome.receipt.failure
    assert "is not the picture pictures/session1/2.png" in str(outcome.wrong_blob)
    assert workbench.query("select id from pictures") == []
    assert workbench.run(upload).wrong_blob is not None
    assert workbench.query("select id from pictures") == []


def test_bytes_that_are_damaged_where_the_service_does_not_see_it_are_noticed(
    workbench: Workbench, disturbed: tuple[HttpProxy, BlobStorage], reading: TransferSettings
) -> None:
    proxy, blobs = disturbed
    upload = workbench.stage(workbench.sample())
    proxy.judge = lambda method, path, _: Fault(flip=True) if method == "GET" and "/user-" in path else None
    outcome = workbench.run(upload, blobs=blobs, transfer=reading)
    assert outcome.wrong_blob is not None
    assert workbench.query("select id from pictures") == []


def test_a_copy_that_the_service_says_is_something_else_is_not_imported(
    workbench: Workbench, disturbed: tuple[HttpProxy, BlobStorage]
) -> None:
    proxy, blobs = disturbed
    upload = workbench.stage(workbench.sample())
    other = base64.b64encode(hashlib.md5(b"something else", usedforsecurity=False).digest()).decode()
    proxy.judge = lambda method, path, _: Fault(md5=other) if method == "PUT" and "/user-" in path else None
    outcome = workbench.run(upload, blobs=blobs)
    assert outcome.receipt.state is State.FAILED
    assert f"found {other}" in str(outcome.receipt.failure)
    assert workbench.query("select id from pictures") == []


def test_a_picture_that_an_earlier_run_left_is_compared_before_it_is_taken(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    workbench.run(upload)
    blob = next(iter(workbench.stored_pictures()))
    workbench.blobs.upload(
        workbench.user.user_container, blob, b"something else", content_type="image/png", overwrite=True
    )
    outcome = workbench.run(upload)
    assert outcome.wrong_blob is not None
    assert blob in outcome.wrong_blob


def test_an_import_reads_each_staged_picture_once_and_no_stored_one(
    workbench: Workbench, disturbed: tuple[HttpProxy, BlobStorage]
) -> None:
    proxy, blobs = disturbed
    upload = workbench.stage(workbench.sample(pictures=3))
    read: list[str] = []

    def note(method: str, path: str, _: int) -> None:
        if method == "GET" and path.partition("?")[0].endswith(".png"):
            read.append(path.partition("?")[0])

    proxy.judge = note
    assert workbench.run(upload, blobs=blobs).receipt.state is State.IMPORTED
    assert len(read) == len(set(read)) == 3
    assert all(f"/{upload.staging_container}/" in path for path in read)


def test_an_import_lists_no_container_but_the_folder_that_was_staged(
    workbench: Workbench, disturbed: tuple[HttpProxy, BlobStorage]
) -> None:
    proxy, blobs = disturbed
    upload = workbench.stage(workbench.sample(pictures=3))
    listed: list[str] = []

    def note(method: str, path: str, _: int) -> None:
        if method == "GET" and "comp=list" in path:
            listed.append(path)

    proxy.judge = note
    assert workbench.run(upload, blobs=blobs).receipt.state is State.IMPORTED
    assert listed
    assert all(f"/{upload.staging_container}?" in path and f"prefix={upload.folder}" in path for path in listed)


def test_the_row_carries_the_checksum_of_the_bytes_that_are_stored(workbench: Workbench) -> None:
    workbench.run(workbench.stage(workbench.sample(pictures=3)))
    rows = workbench.query("select blob, encode(sha256, 'hex') as sha256, size from pictures")
    assert len(rows) == 3
    for row in rows:
        read = workbench.blobs.checksum_of(workbench.user.user_container, row["blob"])
        assert read is not None
        assert (read.sha256, read.size) == (row["sha256"], row["size"])


def _verdicts(deployment: Deployment) -> dict[str, tuple[bool, str | None, bool]]:
    """By partition: whether its stored blobs were verified, what was said, and whether a materialization is meant."""
    key = AssetCheckKey(AssetKey("stored_pictures"), "stored_blobs_verified")
    found = {}
    for record in deployment.instance.event_log_storage.get_asset_check_execution_history(key, limit=100):
        if record.event is not None and record.event.dagster_event is not None:
            said = record.event.dagster_event.event_specific_data
            if hasattr(said, "passed"):
                meant = said.target_materialization_data is not None
                found.setdefault(said.partition, (said.passed, said.description, meant))
    return found


def test_the_check_of_stored_pictures_is_red_for_the_upload_whose_blob_is_another_and_green_for_its_neighbour(
    deployment: Deployment,
) -> None:
    wrong = deployment.stage(deployment.sample("wrong-blob", seed=901))
    right = deployment.stage(deployment.sample("right-blob", seed=902))
    refused_folder = deployment.sample("refused-blob", seed=903)
    (refused_folder / "pictures" / "session1" / "2.tiff").write_text("not a picture")
    refused = deployment.stage(refused_folder)
    assert deployment.run_import(wrong).success
    container, blob = deployment.user.user_container, next(b for b in deployment.stored() if b.endswith(".tiff"))
    deployment.blobs.upload(container, blob, b"something else", content_type="image/tiff", overwrite=True)

    assert not deployment.run_import(wrong, right, refused).success

    verdicts = _verdicts(deployment)
    passed, said, _ = verdicts[wrong.partition]
    assert not passed
    assert blob in str(said)
    assert verdicts[right.partition] == (True, None, True)
    assert refused.partition not in verdicts
    assert deployment.now(wrong).state == "failed"
