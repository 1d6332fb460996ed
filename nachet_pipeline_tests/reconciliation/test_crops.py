from collections.abc import Iterator

import pytest

from nachet_pipeline.crops.cropping import Cropper, crop_method
from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.crops.queries import uploads_to_crop
from nachet_pipeline.reconciliation.queries import DriftKind
from nachet_pipeline.reconciliation.repairing import RepairAction
from nachet_pipeline_tests.reconciliation.drifted import actions, kinds, repair
from nachet_pipeline_tests.workbench import Workbench


@pytest.fixture
def cropper(workbench: Workbench) -> Iterator[Cropper]:
    with CroppingPool(workbench.pool.settings) as pool:
        yield workbench.cropper(pool)


def test_a_crop_that_is_gone_is_cut_again_and_not_imported_again(workbench: Workbench, cropper: Cropper) -> None:
    from nachet_pipeline.local.sample import write_sample  # noqa: PLC0415 (large enough to find seeds in)

    folder = write_sample(workbench.place / "project", pictures=2, email=workbench.user.email)
    upload = workbench.stage(folder)
    workbench.import_as_the_sensor_does(upload)
    cropper.crop(workbench.now(upload))
    crops = workbench.query("select id, blob, sha256 from pictures where parent is not null order by id")
    assert len(crops) > 2
    before = workbench.contents(workbench.user.user_container)
    gone = {str(crop["blob"]) for crop in crops[:2]}
    for blob in gone:
        workbench.blobs.delete(workbench.user.user_container, blob)
    assert kinds(workbench) == {DriftKind.MISSING_BLOB: gone}

    assert actions(repair(workbench)) == [(DriftKind.MISSING_BLOB, RepairAction.CUT_AGAIN, True)] * 2

    with workbench.database.connection() as connection:
        assert [one.id for one in uploads_to_crop(connection, crop_method(workbench.settings.crop), most=5)] == [
            upload.id
        ]
    cropper.crop(workbench.now(upload))
    assert workbench.contents(workbench.user.user_container) == before
    assert workbench.query("select id, blob, sha256 from pictures where parent is not null order by id") == crops
    assert kinds(workbench) == {}


def test_a_crop_that_is_gone_and_would_not_be_cut_today_is_left_to_people(
    workbench: Workbench, cropper: Cropper
) -> None:
    from nachet_pipeline.local.sample import write_sample  # noqa: PLC0415 (as above)

    upload = workbench.stage(write_sample(workbench.place / "project", pictures=1, email=workbench.user.email))
    workbench.import_as_the_sensor_does(upload)
    cropper.crop(workbench.now(upload))
    (crop, *_) = workbench.query("select id, blob from pictures where parent is not null order by id")
    workbench.query("update pictures set superseded_at = now() where id = %s", crop["id"])
    workbench.blobs.delete(workbench.user.user_container, str(crop["blob"]))

    assert actions(repair(workbench)) == [(DriftKind.MISSING_BLOB, RepairAction.NOTHING, False)]
