"""Staging with an upload key, which allows to write and not to delete."""

import pytest

from nachet_pipeline.contract import marks
from nachet_pipeline.contract.marks import COMPLETE, COMPLETE_MARKER
from nachet_pipeline.local.sample import sample_picture
from nachet_pipeline.storage.blobs import CLIENT_OPTIONS, BlobStorage
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.uploads.staging import StagingError, mark_complete, stage_folder
from nachet_pipeline.users.upload_address import KeyRefusedError, UploadAddress
from nachet_pipeline_tests.users.keys import ACTOR, shown_url, upload_keys
from nachet_pipeline_tests.workbench import Workbench, edit, files_of


@pytest.fixture
def address(workbench: Workbench) -> UploadAddress:
    upload_keys(workbench).ensure(workbench.user.email, actor=ACTOR)
    return UploadAddress.parse(shown_url(workbench))


def stage(address: UploadAddress, folder, *, replace: bool = False, blobs: BlobStorage | None = None):
    with address.connect() as opened, address.explaining():
        done = stage_folder(
            blobs or opened, LocalFolder(folder), address.container, folder.name, replace=replace, may_delete=False
        )
        mark_complete(opened, address.container, folder.name, done.marker)
    return done


def staged(workbench: Workbench) -> dict[str, bytes]:
    found = workbench.contents(workbench.user.upload_container)
    return {name.removeprefix("project/"): content for name, content in found.items() if COMPLETE_MARKER not in name}


def test_a_folder_arrives_whole_and_is_the_containers_owners(workbench: Workbench, address: UploadAddress) -> None:
    folder = workbench.sample()
    stage(address, folder)
    assert staged(workbench) == files_of(folder)
    (arrival,) = workbench.due()
    assert arrival.upload.owner == workbench.owner
    assert workbench.run(arrival.upload).receipt.owner == workbench.user.email


class _Interrupted(BlobStorage):
    left = 3

    def upload(self, *arguments, **settings) -> object:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().upload(*arguments, **settings)


def test_an_interrupted_staging_is_resumed_and_sends_nothing_twice(
    workbench: Workbench, address: UploadAddress
) -> None:
    folder = workbench.sample(pictures=4)
    with _Interrupted.connect_by_sas(address.account_url, address.sas) as blobs, pytest.raises(KeyboardInterrupt):
        stage_folder(blobs, LocalFolder(folder), address.container, folder.name, may_delete=False, concurrency=1)
    before = workbench.versions(workbench.user.upload_container)
    assert len(before) == 3
    assert all(name.endswith(".png") for name in before)

    done = stage(address, folder)

    assert (done.sent, done.unchanged) == (len(files_of(folder)) - 3, 3)
    after = workbench.versions(workbench.user.upload_container)
    assert {name: after[name] for name in before} == before


def test_corrected_indexes_and_missing_pictures_need_no_deleting(workbench: Workbench, address: UploadAddress) -> None:
    folder = workbench.sample()
    stage(address, folder)
    edit(folder / "pictures/session1/index.yaml", "imageData", numberOfImages=3)
    (folder / "pictures/session1/3.png").write_bytes(sample_picture(9, picture_format="png", width=48, height=32))

    assert stage(address, folder).sent == 2
    assert staged(workbench) == files_of(folder)


def test_a_picture_of_a_complete_folder_is_neither_replaced_nor_left_out_unless_asked(
    workbench: Workbench, address: UploadAddress
) -> None:
    folder = workbench.sample()
    stage(address, folder)
    before = workbench.versions(workbench.user.upload_container)
    picture = folder / "pictures/session1/1.png"
    picture.write_bytes(sample_picture(8, picture_format="png", width=48, height=32))
    with pytest.raises(StagingError, match=r"1\.png \(differs\); use --replace if yours is its correction"):
        stage(address, folder)
    picture.unlink()
    with pytest.raises(StagingError, match=r"1\.png \(only there\); use --replace if yours is its correction"):
        stage(address, folder)
    assert workbench.versions(workbench.user.upload_container) == before

    assert stage(address, folder, replace=True).left_out == 1


def test_what_no_list_can_leave_out_is_not_staged_over(
    workbench: Workbench, address: UploadAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = workbench.sample()
    (folder / "notes.txt").write_text("x")
    stage(address, folder)
    monkeypatch.setattr(marks, "MOST_LIST_BYTES", 100)
    assert stage(address, folder).unchanged == len(files_of(folder))
    assert workbench.blobs.read(address.container, f"project/{COMPLETE_MARKER}") == COMPLETE
    (folder / "notes.txt").unlink()

    with pytest.raises(StagingError, match=r"notes\.txt; yours has too many files .* an upload key cannot remove them"):
        stage(address, folder)


def test_a_picture_of_a_folder_that_is_not_complete_yet_may_be_replaced(
    workbench: Workbench, address: UploadAddress
) -> None:
    folder = workbench.sample()
    with address.connect() as blobs, address.explaining():
        stage_folder(blobs, LocalFolder(folder), address.container, folder.name, may_delete=False)
    picture = folder / "pictures/session1/1.png"
    picture.write_bytes(sample_picture(8, picture_format="png", width=48, height=32))
    stage(address, folder, replace=True)
    assert staged(workbench) == files_of(folder)


def test_a_revoked_key_stages_nothing(workbench: Workbench, address: UploadAddress) -> None:
    upload_keys(workbench).revoke(workbench.user.email, actor=ACTOR)
    with pytest.raises(KeyRefusedError, match=f"does not open {workbench.user.upload_container}"):
        stage(address, workbench.sample())
    assert staged(workbench) == {}


def test_nothing_is_staged_where_the_template_lies(workbench: Workbench, address: UploadAddress) -> None:
    with pytest.raises(StagingError, match="never imported"):
        stage(address, workbench.sample("_template"))


def test_pictures_are_sent_before_what_is_said_of_them_and_indexes_last(
    workbench: Workbench, address: UploadAddress
) -> None:
    sent: list[str] = []

    class Noting(BlobStorage):
        def upload(self, container, blob, *arguments, **settings) -> object:
            sent.append(blob)
            return super().upload(container, blob, *arguments, **settings)

    folder = workbench.sample(pictures=3)
    (folder / "pictures/session1/1.yaml").write_text("userData: {numberOfSeeds: 3}\n")
    with Noting.connect_by_sas(address.account_url, address.sas) as blobs:
        stage_folder(blobs, LocalFolder(folder), address.container, folder.name, may_delete=False)
    kinds = ["index" if "index" in name else name.rpartition(".")[2] for name in sent]
    order = ["png", "yaml", "index"]
    assert kinds == sorted(kinds, key=order.index)
    assert set(kinds) == set(order)


def test_two_clients_never_send_each_others_credentials() -> None:
    from azure.storage.blob import BlobServiceClient  # noqa: PLC0415

    first, second = (
        BlobServiceClient("http://127.0.0.1:1/devstoreaccount1", "a2V5", **CLIENT_OPTIONS) for _ in range(2)
    )
    chains = [{id(policy) for policy in client._pipeline._impl_policies} for client in (first, second)]
    assert chains[0].isdisjoint(chains[1])
