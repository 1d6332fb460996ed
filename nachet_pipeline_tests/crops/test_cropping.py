"""Cropping an upload: rows, blobs, findings, and that nothing is done twice."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr
from tifffile import imread

from nachet_pipeline.contract.stored import Candidate
from nachet_pipeline.crops.cropping import Cropped, Cropper, NotImportedError, crop_method, detector_of
from nachet_pipeline.crops.cutting import CroppingPool, Cut
from nachet_pipeline.crops.detecting import Box, Region
from nachet_pipeline.crops.endpoint import DetectorUnavailableError, EndpointDetector
from nachet_pipeline.crops.plain_background import PlainBackgroundDetector
from nachet_pipeline.crops.queries import uploads_to_crop
from nachet_pipeline.local.sample import write_sample
from nachet_pipeline.models.judgements.judgement import Verdict, box_of
from nachet_pipeline.models.model import ModelDocument
from nachet_pipeline.models.predictions.detected import detector_predictions
from nachet_pipeline.models.predictions.recording import ForeignAnswerError
from nachet_pipeline.models.registering import register_model
from nachet_pipeline.picture_sets.duplicates import duplicate_pairs, find_duplicates
from nachet_pipeline.settings import Settings, SettingsError
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline_tests.crops.endpoints import TOKEN, box, endpoint
from nachet_pipeline_tests.models.judgements.judging import ANN, experts, judge, judgements, says, take_back
from nachet_pipeline_tests.reprocessing.stored import reprocess
from nachet_pipeline_tests.workbench import Workbench, edit

LEFT, RIGHT, ALL = Region(0, 0, 0.5, 1), Region(0.5, 0, 1, 1), Region(0.1, 0.1, 0.9, 0.9)


class Finding:
    """A detector that finds what it is told to."""

    def __init__(self, *regions: Region, name: str = "told", version: str = "1") -> None:
        self.regions, self.name, self.version = regions, name, version
        self.asked = 0
        self.stop_after: int | None = None

    def detect(self, _picture: Any) -> tuple[Region, ...]:
        if self.stop_after is not None and self.asked >= self.stop_after:
            raise KeyboardInterrupt
        self.asked += 1
        return self.regions


class StorageThatGoesAway(BlobStorage):
    """The real storage, until so many blobs were written."""

    writes_left = 0

    def upload(self, *arguments: Any, **settings: Any) -> Any:
        if self.writes_left == 0:
            raise StorageError("Blob storage at 127.0.0.1: it went away")
        self.writes_left -= 1
        return super().upload(*arguments, **settings)


@pytest.fixture
def imported(workbench: Workbench) -> Callable[..., Upload]:
    """Imports a sample of pictures large enough to show their seeds."""

    def run(name: str = "project", *, pictures: int = 2, sessions: int = 1, seed: int = 0) -> Upload:
        folder = write_sample(
            workbench.place / name,
            sessions=sessions,
            pictures=pictures,
            seed=seed,
            email=workbench.user.email,
            width=320,
            height=240,
        )
        upload = workbench.stage(folder)
        assert workbench.run(upload).receipt.state == "imported"
        return workbench.now(upload)

    return run


@pytest.fixture
def cropper(workbench: Workbench, cropping_pool: CroppingPool) -> Cropper:
    return workbench.cropper(cropping_pool)


def crops_of(workbench: Workbench) -> list[dict[str, Any]]:
    return workbench.query("select * from pictures where parent is not null and superseded_at is null order by id")


def kept(workbench: Workbench) -> dict[str, Any]:
    """Everything that cropping writes, without when."""
    return {
        "pictures": workbench.query("select to_jsonb(p) - 'upload_date' as row from pictures p order by id"),
        "picture_seed": workbench.query("select id, picture_id, seed_id from picture_seed order by id"),
        "detection": workbench.query(
            "select to_jsonb(d) - 'detected_at' as row from detection d order by picture_id, detector"
        ),
        "blobs": workbench.stored_pictures(),
    }


def test_every_seed_becomes_a_picture_of_its_own(workbench: Workbench, imported, cropper: Cropper) -> None:
    upload = imported(pictures=2)
    parents = {
        row["id"]: row
        for row in workbench.query("select p.*, l.seed_id from pictures p join picture_seed l on l.picture_id = p.id")
    }

    outcome = cropper.crop(upload)

    assert (outcome.pictures, outcome.looked_at, outcome.crops, outcome.new, outcome.pictures_differing) == (
        2,
        2,
        12,
        12,
        0,
    )
    (session,) = outcome.sessions
    assert (session.session, session.declared, session.found) == ("pictures/session1", 12, 12)
    rows = crops_of(workbench)
    blobs = workbench.stored_pictures()
    assert len(rows) == 12
    for row in rows:
        parent = parents[row["parent"]]
        left, top, right, bottom = row["bounding_box"]
        assert (row["width"], row["height"]) == (right - left, bottom - top)
        assert (row["nb_object"], row["format"], row["detector"]) == (1, "TIFF", "plain-background 1")
        assert row["picture_set_id"] == parent["picture_set_id"]
        assert row["blob"] == f"{row['picture_set_id']}/{row['id']}.tiff"
        content = blobs[row["blob"]]
        assert len(content) == row["size"]
        whole = np.asarray(Image.open(io.BytesIO(blobs[parent["blob"]])))
        assert np.array_equal(imread(io.BytesIO(content)), whole[top:bottom, left:right])
        assert row["pixel_sha256"]
        assert row["perceptual_hash"]
        assert row["hash_bands"]
        assert row["quality_score"] > 0
        assert row["rule_set_version"] == parent["rule_set_version"]
        assert row["zoom"] == parent["zoom"] == 30
        record = row["picture"]
        assert record["user_data"] == {**parent["picture"]["user_data"], "number_of_seeds": 1}
        assert record["terms"]["dwc:scientificName"] == parent["picture"]["terms"]["dwc:scientificName"]
        assert record["quality_check"]["image_checksum"] == row["sha256"].hex()
        assert set(record) == set(parent["picture"])
        (link,) = workbench.query("select seed_id from picture_seed where picture_id = %s", row["id"])
        assert link["seed_id"] == parent["seed_id"]


def test_cropping_twice_changes_nothing(workbench: Workbench, imported, cropper: Cropper) -> None:
    upload = imported()
    cropper.crop(upload)
    before, versions = kept(workbench), workbench.versions(workbench.user.user_container)

    again = cropper.crop(upload)

    assert (again.looked_at, again.new, again.crops) == (0, 0, 12)
    assert kept(workbench) == before
    assert workbench.versions(workbench.user.user_container) == versions


@pytest.mark.parametrize("after", [0, 1, 7])
def test_what_storage_interrupts_ends_as_if_it_had_not(
    after: int, workbench: Workbench, imported, cropper: Cropper
) -> None:
    upload = imported()
    storage = StorageThatGoesAway(lambda: workbench.blobs._service, workbench.blobs.account_url, workbench.blobs._key)
    storage.writes_left = after
    with pytest.raises(StorageError, match="it went away"):
        replace(cropper, blobs=storage).crop(upload)
    assert crops_of(workbench) == []

    cropper.crop(upload)
    completed = kept(workbench)

    workbench.query("delete from picture_seed using pictures p where p.id = picture_id and p.parent is not null")
    workbench.query("delete from pictures where parent is not null")
    workbench.query("delete from detection")
    cropper.crop(upload)
    assert kept(workbench) == completed
    assert len(crops_of(workbench)) == 12


def test_what_a_signal_interrupts_between_two_batches_goes_on_there(
    workbench: Workbench, imported, cropper: Cropper, monkeypatch
) -> None:
    monkeypatch.setattr("nachet_pipeline.crops.cropping._BATCH", 1)
    upload = imported(pictures=12)
    detector = Finding(LEFT, RIGHT)
    detector.stop_after = 9
    with pytest.raises(KeyboardInterrupt):
        replace(cropper, detector=detector).crop(upload)
    written = len(workbench.query("select picture_id from detection"))
    detector.stop_after = None

    outcome = replace(cropper, detector=detector).crop(upload)

    assert outcome.looked_at == 12 - written
    assert (outcome.pictures, outcome.crops) == (12, 24)
    assert len(crops_of(workbench)) == 24


def test_another_number_than_declared_is_a_finding_until_it_is_corrected(
    workbench: Workbench, imported, cropper: Cropper
) -> None:
    upload = imported()
    detector = Finding(ALL)
    cropper = replace(cropper, detector=detector)

    outcome = cropper.crop(upload)

    assert outcome.pictures_differing == 2
    findings = [row["finding"] for row in workbench.query("select finding from detection")]
    assert {finding["code"] for finding in findings} == {"seed-count-differs"}
    assert {(finding["severity"], finding["field"]) for finding in findings} == {("warning", "userData.numberOfSeeds")}
    assert findings[0]["expected"] == {"en": "6 seeds", "fr": "6 semences"}
    assert findings[0]["found"] == {"en": "1 seed", "fr": "1 semence"}
    assert sorted(finding["path"] for finding in findings) == ["pictures/session1/1.tiff", "pictures/session1/2.tiff"]
    sheet = outcome.sheet
    assert sheet is not None
    with Image.open(io.BytesIO(sheet)) as picture:
        assert picture.width > 2 * 160

    workbench.query("update pictures set nb_object = 1 where parent is null")
    corrected = cropper.crop(upload)

    assert (corrected.looked_at, corrected.pictures_differing, detector.asked) == (0, 0, 2)
    assert {(row["finding"], row["declared"]) for row in workbench.query("select * from detection")} == {(None, 1)}


def test_no_seed_found_is_a_finding_and_no_crop(workbench: Workbench, imported, cropper: Cropper) -> None:
    outcome = replace(cropper, detector=Finding()).crop(imported())

    assert (outcome.crops, outcome.pictures_differing, outcome.failure) == (0, 2, None)


@pytest.mark.parametrize("other", ["version", "name", "margin"])
def test_what_another_way_cuts_supersedes_and_the_first_way_brings_back(
    other: str, workbench: Workbench, imported, cropper: Cropper
) -> None:
    upload = imported(pictures=1)
    first = replace(cropper, detector=Finding(LEFT, ALL))
    first.crop(upload)
    before = kept(workbench)["pictures"]
    second = {
        "version": replace(cropper, detector=Finding(LEFT, version="2")),
        "name": replace(cropper, detector=Finding(LEFT, name="other")),
        "margin": replace(first, settings=workbench.settings.crop.model_copy(update={"crop_margin_percent": 20})),
    }[other]

    outcome = second.crop(upload)

    assert outcome.looked_at == 1
    current = {row["id"] for row in crops_of(workbench)}
    assert len(current) == outcome.crops == (2 if other == "margin" else 1)
    assert len(workbench.query("select id from pictures where superseded_at is not null")) >= 1
    first.crop(upload)
    again = {row["row"]["id"] for row in kept(workbench)["pictures"] if not row["row"]["superseded_at"]}
    assert again == {row["row"]["id"] for row in before}


def test_a_crop_is_no_duplicate_of_its_parent_nor_of_anything(workbench: Workbench, imported, cropper: Cropper) -> None:
    upload = imported(pictures=1, seed=2)
    replace(cropper, detector=Finding(Region(0, 0, 1, 1))).crop(upload)
    (whole,) = workbench.query("select * from pictures where parent is null")
    (crop,) = crops_of(workbench)
    assert crop["pixel_sha256"] == whole["pixel_sha256"]

    with workbench.database.connection() as connection:
        assert list(duplicate_pairs(connection, near=True)) == []
        assert list(duplicate_pairs(connection, near=True, user=workbench.user.email)) == []
        candidate = Candidate("1.tiff", whole["id"], whole["sha256"], whole["pixel_sha256"], whole["perceptual_hash"])
        assert find_duplicates(connection, [candidate]) == {}


def test_an_upload_imported_again_is_not_refused_or_warned_because_of_its_crops(
    workbench: Workbench, imported, cropper: Cropper
) -> None:
    upload = imported()
    cropper.crop(upload)
    before = kept(workbench)

    receipt = workbench.run(upload).receipt

    assert receipt.state == "imported"
    assert receipt.pictures == 2
    assert receipt.report is not None
    assert receipt.report.codes == {}
    assert kept(workbench) == before


def test_crops_follow_a_corrected_species_and_zoom(workbench: Workbench, imported, cropper: Cropper) -> None:
    upload = imported()
    cropper.crop(upload)
    ids = [row["id"] for row in crops_of(workbench)]
    folder = workbench.place / "project"
    edit(folder / "pictures" / "session1" / "index.yaml", "userData", zoom=12)
    edit(folder / "pictures" / "session1" / "index.yaml", "seedData", seedSpecies="juncea")
    workbench.stage(folder, replace=True)

    assert workbench.run(upload).receipt.state == "imported"
    # Another species is another picture set; the one before keeps its own.
    cropper.crop(workbench.now(upload))

    rows = workbench.query(
        "select c.id, c.zoom, seeds.name, c.picture #>> '{terms,dwc:scientificName}' as said, whole.name as of_parent"
        " from pictures c join picture_seed l on l.picture_id = c.id join seeds on seeds.id = l.seed_id"
        " join picture_seed w on w.picture_id = c.parent join seeds whole on whole.id = w.seed_id"
        " where c.parent is not null"
    )
    assert all(row["name"] == row["of_parent"] == row["said"] for row in rows)
    assert any(row["zoom"] == 12 and row["name"] == "Brassica juncea" for row in rows)
    assert {row["id"] for row in rows} >= set(ids)


def test_crops_follow_a_seed_that_is_put_right_on_their_parent(
    workbench: Workbench, imported, cropper: Cropper
) -> None:
    upload = imported(pictures=1)
    cropper.crop(upload)
    (other,) = workbench.query("select id from seeds where name = 'Solanum nigrum'")
    workbench.query("update picture_seed set id = gen_random_uuid(), seed_id = %s", other["id"])

    workbench.run(upload)

    links = workbench.query("select distinct seeds.name from picture_seed l join seeds on seeds.id = l.seed_id")
    assert [row["name"] for row in links] == ["Brassica napus"]


def test_a_missing_picture_is_named_and_keeps_no_other_from_being_cropped(
    workbench: Workbench, imported, cropper: Cropper
) -> None:
    upload = imported(pictures=3)
    (first, second, _) = workbench.query("select id, blob from pictures order by id")
    container = workbench.user.user_container
    content = workbench.blobs.read(container, first["blob"])
    workbench.blobs.delete(container, first["blob"])
    damaged = bytearray(workbench.blobs.read(container, second["blob"]))
    damaged[-1] ^= 1
    workbench.blobs.upload(container, second["blob"], bytes(damaged), content_type="image/tiff", overwrite=True)

    outcome = cropper.crop(upload)

    assert outcome.failed == 2
    assert {one.picture for one in outcome.not_cropped} == {first["id"], second["id"]}
    assert outcome.crops == 6
    assert outcome.failure is not None
    assert "2 pictures could not be cropped" in outcome.failure
    assert workbench.query("select failure from upload_crops") == [{"failure": outcome.failure}]

    workbench.blobs.upload(container, first["blob"], content, content_type="image/tiff")
    later = cropper.crop(upload)
    assert (later.looked_at, later.failed, later.crops) == (1, 1, 12)


def test_a_blob_that_is_not_the_crop_is_never_taken_for_it(workbench: Workbench, imported, cropper: Cropper) -> None:
    upload = imported(pictures=1)
    cropper = replace(cropper, detector=Finding(LEFT))
    cropper.crop(upload)
    (crop,) = crops_of(workbench)
    container = workbench.user.user_container
    workbench.query("delete from picture_seed where picture_id = %s", crop["id"])
    workbench.query("delete from pictures where id = %s", crop["id"])
    workbench.query("delete from detection")
    other = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(other, "TIFF")
    workbench.blobs.upload(container, crop["blob"], other.getvalue(), content_type="image/tiff", overwrite=True)

    with pytest.raises(StorageError, match="shows something else"):
        cropper.crop(upload)


def test_a_crop_that_another_compressor_wrote_is_taken_as_it_is(
    workbench: Workbench, imported, cropper: Cropper
) -> None:
    upload = imported(pictures=1)
    cropper = replace(cropper, detector=Finding(LEFT))
    cropper.crop(upload)
    (crop,) = crops_of(workbench)
    container = workbench.user.user_container
    workbench.query("delete from picture_seed where picture_id = %s", crop["id"])
    workbench.query("delete from pictures where id = %s", crop["id"])
    workbench.query("delete from detection")
    other = io.BytesIO()
    Image.fromarray(imread(io.BytesIO(workbench.blobs.read(container, crop["blob"])))).save(
        other, "TIFF", compression="tiff_lzw"
    )
    workbench.blobs.upload(container, crop["blob"], other.getvalue(), content_type="image/tiff", overwrite=True)

    cropper.crop(upload)

    (again,) = crops_of(workbench)
    assert again["id"] == crop["id"]
    assert (again["size"], again["sha256"] == crop["sha256"]) == (len(other.getvalue()), False)


def test_crops_are_reprocessed_like_every_stored_picture(workbench: Workbench, imported, cropper: Cropper) -> None:
    cropper.crop(imported(pictures=1))
    before = kept(workbench)
    workbench.query("update pictures set enrichment_version = '0', pixel_sha256 = null where parent is not null")

    result = reprocess(workbench)

    assert result.looked_at == 6
    assert result.standing.refused == result.standing.broken == 0
    assert kept(workbench) == before


def test_only_an_imported_upload_can_be_cropped(workbench: Workbench, cropper: Cropper) -> None:
    upload = workbench.stage(workbench.sample())

    with pytest.raises(NotImportedError, match="is staged; only an imported upload can be cropped"):
        cropper.crop(upload)


def test_the_endpoint_finds_what_the_settings_send_it_to(workbench: Workbench, imported, cropper: Cropper) -> None:
    upload = imported(pictures=1, seed=1)
    with endpoint() as server:
        server.answers = [(200, {"boxes": [box(0, 0, 0.25, 0.5), box(0.5, 0.5, 1, 1)]})]
        settings = Settings.from_environment(
            {
                "NACHET_DETECTOR": server.url,
                "NACHET_DETECTOR_TOKEN": TOKEN,
                "NACHET_DETECTOR_VERSION": "2026-05",
                "NACHET_CROP_MARGIN_PERCENT": "0",
            }
        ).crop

        outcome = replace(cropper, settings=settings).crop(upload)

    assert outcome.method.found_by == f"{server.url.removeprefix('http://')} 2026-05"
    assert sorted(row["bounding_box"] for row in crops_of(workbench)) == [[0, 0, 80, 120], [160, 120, 320, 240]]
    assert server.authorizations == [f"Bearer {TOKEN}"]
    assert TOKEN not in repr(settings)
    assert TOKEN not in str(kept(workbench))


def test_what_the_endpoint_says_is_recorded_as_predictions_of_its_registered_version(
    workbench: Workbench, imported, cropper: Cropper
) -> None:
    upload = imported(pictures=2, seed=1)
    classes = [{"label": "seed"}]
    versions = [{"version": "7", "task": "detect"}, {"version": "8", "task": "both", "classes": classes}]
    document = {"name": "seed-detector", "owner": "lab", "versions": [{"classes": [], **one} for one in versions]}
    workbench.database.call(register_model, ModelDocument.model_validate(document), by="ann@example.org")
    rows = "select encode(sha256, 'hex') as sha256, boxes, box_scores, candidate_score from prediction"
    with endpoint() as server:
        server.answers = [(200, {"boxes": [box(0, 0, 0.25, 0.5), box(0.5, 0.5, 1, 1)]})]
        for version, scores in (("7", []), ("8", [0.9, 0.9])):
            named = {"NACHET_DETECTOR": server.url, "NACHET_DETECTOR_MODEL": f"seed-detector@{version}"}
            settings = Settings.from_environment({**named, "NACHET_DETECTOR_VERSION": version}).crop
            predicted = detector_predictions(workbench.database, settings)
            replace(cropper, settings=settings, predicted=predicted).crop(upload)
            found = workbench.query(
                f"{rows} p join model_version v on v.id = p.model_version_id where v.version = %s order by 1", version
            )
            assert [row["candidate_score"] for row in found] == [pytest.approx(scores)] * 2
            assert [row["box_scores"] for row in found] == [pytest.approx([0.9, 0.9])] * 2
            assert found[0]["boxes"] == [0, 0, 0.25, 0.5, 0.5, 0.5, 1, 1]
        assert {row["sha256"] for row in found} == {
            row["sha256"]
            for row in workbench.query("select encode(sha256, 'hex') as sha256 from pictures where parent is null")
        }
        server.answers = [(200, {"boxes": [box(0, 0, 0.25, 0.5) | {"label": "stone"}]})]
        settings = settings.model_copy(update={"detector_version": "9"})
        with pytest.raises(ForeignAnswerError, match="a label of the version, found stone"):
            replace(cropper, settings=settings, predicted=predicted).crop(upload)
        wrong = settings.model_copy(update={"detector_model": "seed-detector@9"})
        with pytest.raises(SettingsError, match="NACHET_DETECTOR_MODEL: seed-detector has no version 9"):
            detector_predictions(workbench.database, wrong)


def test_an_endpoint_that_finds_ten_thousand_seeds_as_large_as_the_picture_is_not_believed(
    workbench: Workbench, imported, cropper: Cropper
) -> None:
    upload = imported(pictures=2)
    with endpoint() as server:
        server.answers = [(200, {"boxes": [box(n / 1e6, 0, 1 - n / 1e6, 1) for n in range(10_000)]})]
        outcome = replace(cropper, detector=EndpointDetector(server.url)).crop(upload)

    assert (outcome.crops, outcome.failed) == (0, 2)
    assert "its 10000 boxes cover the picture 9900 times, expected 16 times at most" in outcome.not_cropped[0].reason
    assert crops_of(workbench) == []


class CountingPool(CroppingPool):
    """The real decoders; how much they answer at a time is noted."""

    answers: ClassVar[list[tuple[int, int]]] = []

    def cut(self, content: bytes, picture_format: str, boxes: Sequence[Box], parent: Any) -> list[Cut]:
        cuts = super().cut(content, picture_format, boxes, parent)
        self.answers.append((len(cuts), sum(len(cut.content) for cut in cuts)))
        return cuts


@pytest.mark.parametrize(
    "regions",
    [
        [Region(n / 320, 0, 1 - n / 320, 1) for n in range(12)],
        [Region(n % 16 / 16, n // 16 / 16, (n % 16 + 1) / 16, (n // 16 + 1) / 16) for n in range(256)],
    ],
    ids=["large", "many"],
)
def test_crops_are_cut_some_at_a_time_so_that_no_answer_is_larger_than_a_picture(
    workbench: Workbench, imported, cropper: Cropper, regions: list[Region]
) -> None:
    upload = imported(pictures=1)
    with CountingPool(workbench.pool.settings) as pool:
        pool.answers.clear()
        settings = workbench.settings.crop.model_copy(update={"crop_margin_percent": 0})
        outcome = replace(cropper, pool=pool, settings=settings, detector=Finding(*regions)).crop(upload)

    rows = crops_of(workbench)
    assert outcome.crops == len(rows) == len({tuple(row["bounding_box"]) for row in rows}) == len(regions)
    header = 2_000
    assert all(number <= 100 and size <= 320 * 240 * 3 + number * header for number, size in pool.answers)


def test_an_endpoint_that_does_not_answer_is_noted_and_the_upload_is_due_again(
    workbench: Workbench, imported, cropper: Cropper
) -> None:
    upload = imported(pictures=1)
    detector = EndpointDetector("http://127.0.0.1:9/score", SecretStr(TOKEN), attempts=1)
    asking = replace(cropper, detector=detector)
    method = crop_method(workbench.settings.crop, detector)

    with pytest.raises(DetectorUnavailableError, match="at the only attempt"):
        asking.crop(upload)

    (noted,) = workbench.query("select * from upload_crops")
    assert "The detector at 127.0.0.1:9/score" in noted["failure"]
    assert noted["finished_at"] is None

    def due() -> list[Upload]:
        with workbench.database.connection() as connection:
            return uploads_to_crop(connection, method, most=10)

    assert due() == []
    workbench.query("update upload_crops set begun_at = begun_at - interval '3 minutes'")
    assert [one.id for one in due()] == [upload.id]
    workbench.query("update upload_crops set attempts = 3, begun_at = begun_at - interval '3 days'")
    assert due() == []


def test_an_upload_is_due_until_it_is_cropped_and_again_when_it_changes(
    workbench: Workbench, imported, cropper: Cropper
) -> None:
    waiting = workbench.stage(workbench.sample("waiting"))
    upload = imported()
    method = crop_method(workbench.settings.crop)

    def due(**changes: Any) -> list[Any]:
        with workbench.database.connection() as connection:
            return [one.id for one in uploads_to_crop(connection, replace(method, **changes), most=10)]

    assert due() == [upload.id]
    cropper.crop(upload)
    assert due() == []
    assert due(version="2") == due(margin_percent=6) == [upload.id]
    workbench.run(upload)
    assert due() == [upload.id]
    assert waiting.id not in due()


def test_cropping_leaves_an_audit_trail(workbench: Workbench, imported, cropper: Cropper) -> None:
    upload = imported(pictures=1)
    cropper.crop(upload)
    cropper.crop(upload)

    rows = workbench.query("select * from audit_trail where action = 'cropped' order by subject_id")
    crops = workbench.query("select id from pictures where parent is not null order by id")
    assert [row["subject_id"] for row in rows] == [crop["id"] for crop in crops]
    assert len(rows) == 6
    assert {(row["actor"], row["subject"]) for row in rows} == {("plain-background 1", "picture")}


def test_a_withdrawn_picture_is_not_cropped(workbench: Workbench, imported, cropper: Cropper) -> None:
    upload = imported(pictures=2)
    workbench.query("update pictures set withdrawn_at = now() where name = '1.tiff'")

    outcome: Cropped = cropper.crop(upload)

    assert (outcome.pictures, outcome.crops) == (1, 6)


def test_the_settings_name_the_detector() -> None:
    assert isinstance(detector_of(Settings.from_environment({}).crop), PlainBackgroundDetector)
    found = detector_of(Settings.from_environment({"NACHET_DETECTOR": "https://seeds.example.org/score"}).crop)
    assert isinstance(found, EndpointDetector)
    assert (found.name, found.token, found.attempts, found.seconds) == ("seeds.example.org/score", None, 3, 30)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DETECTOR", "best", "expected built-in, or the https:// address"),
        ("DETECTOR", "http://seeds.example.org/score", "expected built-in, or the https:// address"),
        ("DETECTOR", "https://me:secret@seeds.example.org", "address without user"),
        ("DETECTOR_TOKEN", "secret with\nmore", "printable ASCII"),
        ("DETECTOR_ATTEMPTS", "0", "greater than or equal to 1"),
        ("DETECTOR_SECONDS", "soon", "valid integer"),
        ("CROP_MARGIN_PERCENT", "101", "less than or equal to 100"),
        ("DETECTOR_VERSION", "a b", "pattern"),
    ],
)
def test_a_wrong_setting_is_told_at_start(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=f"^NACHET_{name}: .*{said}") as told:
        Settings.from_environment({f"NACHET_{name}": value})
    assert "secret" not in str(told.value)


def test_a_corrected_box_is_cut_in_place_of_the_detectors_until_it_is_taken_back(
    workbench: Workbench, imported, cropper: Cropper
) -> None:
    upload = imported(pictures=1)
    cropper.detector = Finding(LEFT, RIGHT)
    cropper.crop(upload)
    before = crops_of(workbench)
    (photograph,) = workbench.query("select id, sha256 from pictures where parent is null")
    experts(workbench, ANN)
    seen = {"picture": photograph["id"], "at": 1}
    moved = says(ANN, Verdict.BOX, box=box_of(0, 0, 0.5, 1), corrected_box=box_of(0.05, 0.1, 0.35, 0.9), **seen)
    missed = says(ANN, Verdict.MISSED, "Brassica juncea", corrected_box=box_of(0.4, 0.4, 0.6, 0.6), **seen)
    judge(workbench, moved, missed)

    method = crop_method(workbench.settings.crop, cropper.detector)
    with workbench.database.connection() as connection:
        assert [one.id for one in uploads_to_crop(connection, method, most=10)] == [upload.id]
    outcome = cropper.crop(upload)
    assert (outcome.looked_at, outcome.crops, outcome.new) == (1, 3, 2)
    now = crops_of(workbench)
    judged = {tuple(row["bounding_box"]): row for row in now if row["detector"] == "judged"}
    margin = workbench.settings.crop.crop_margin_percent / 100
    boxes = [Region(0.05, 0.1, 0.35, 0.9), Region(0.4, 0.4, 0.6, 0.6)]
    assert set(judged) == {tuple(region.box(320, 240, margin=margin).corners) for region in boxes}
    (left,) = (row for row in now if row["detector"] == "told 1")
    assert left["bounding_box"][2] == 320, "the right half is as it was found"
    labelled = workbench.query(
        "select c.bounding_box[1] as side from judged_picture j join pictures c on c.id = j.picture_id"
        " join seeds s on s.id = j.seed_id where s.name = 'Brassica juncea' and c.superseded_at is null"
    )
    assert [row["side"] for row in labelled] == [boxes[1].box(320, 240, margin=margin).left]

    judge(workbench, moved)
    assert cropper.crop(upload).looked_at == 0, "nothing changed"
    for identifier in judgements(workbench):
        take_back(workbench, identifier)
    assert cropper.crop(upload).looked_at == 1
    assert [(row["id"], row["sha256"]) for row in crops_of(workbench)] == [(row["id"], row["sha256"]) for row in before]


def test_a_box_that_is_judged_while_a_picture_is_cropped_is_cut_next(
    workbench: Workbench, imported, cropper: Cropper
) -> None:
    upload = imported(pictures=1)
    (photograph,) = workbench.query("select id from pictures where parent is null")
    experts(workbench, ANN)
    moved = says(
        ANN, Verdict.MISSED, "Brassica juncea", corrected_box=box_of(0.4, 0.4, 0.6, 0.6), picture=photograph["id"]
    )

    class Slow(Finding):
        def detect(self, picture: Any) -> tuple[Region, ...]:
            if not self.asked:
                judge(workbench, moved)
            return super().detect(picture)

    cropper.detector = Slow(RIGHT)
    cropper.crop(upload)
    with workbench.database.connection() as connection:
        method = crop_method(workbench.settings.crop, cropper.detector)
        assert [one.id for one in uploads_to_crop(connection, method, most=10)] == [upload.id]
    assert cropper.crop(upload).crops == 2
