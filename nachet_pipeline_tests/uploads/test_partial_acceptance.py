"""An uploader may want the good sessions of a project imported although others are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.identifiers import report_blob
from nachet_pipeline.pictures.decoding_pool import DecodingPool, Inspection
from nachet_pipeline.uploads.queries import record_wishes
from nachet_pipeline_tests.workbench import Workbench, edit

GOOD, BAD = "pictures/session1", "pictures/session2"


def _project_with_a_bad_session(workbench: Workbench) -> Path:
    folder = workbench.sample(sessions=3)
    (folder / BAD / "1.png").write_bytes(b"no picture at all")
    return folder


def _sessions_stored(workbench: Workbench) -> list[str]:
    return [row["name"] for row in workbench.query("select name from picture_set order by name")]


@pytest.mark.parametrize("wish", ["true", "Yes", "oui"])
def test_an_index_that_asks_for_it_has_its_good_sessions_imported(workbench: Workbench, wish: str) -> None:
    folder = _project_with_a_bad_session(workbench)
    edit(folder / "index.yaml", "uploadData", acceptValid=wish)
    upload = workbench.stage(folder)

    outcome = workbench.run(upload)

    assert outcome.receipt.state is State.PARTLY_IMPORTED
    assert [item.session for item in outcome.receipt.picture_sets] == [GOOD, "pictures/session3"]
    assert [(item.session, item.pictures) for item in outcome.receipt.refused_sessions] == [(BAD, 1)]
    assert outcome.receipt.pictures == 4
    assert _sessions_stored(workbench) == ["session1", "session3"]
    assert len(workbench.stored_pictures()) == 4
    assert workbench.receipt(upload) == outcome.receipt == workbench.now(upload).receipt
    staged = workbench.contents(upload.staging_container)
    assert staged["project/pictures/session2/1.png"] == b"no picture at all"
    assert "project/pictures/session2/2.png" in staged


def test_a_user_who_stages_with_the_wish_has_the_good_sessions_imported(workbench: Workbench) -> None:
    upload = workbench.stage(_project_with_a_bad_session(workbench))
    with workbench.database.connection() as connection:
        record_wishes(connection, upload.id, accept_valid=True, replace=False)

    assert workbench.run(upload).receipt.state is State.PARTLY_IMPORTED
    assert _sessions_stored(workbench) == ["session1", "session3"]


@pytest.mark.parametrize("wish", [None, "false", "non"])
def test_without_the_wish_it_is_all_or_nothing(workbench: Workbench, wish: str | None) -> None:
    folder = _project_with_a_bad_session(workbench)
    edit(folder / "index.yaml", "uploadData", acceptValid=wish)

    outcome = workbench.run(workbench.stage(folder))

    assert outcome.receipt.state is State.REFUSED
    assert outcome.receipt.refused_sessions == []
    assert _sessions_stored(workbench) == []
    assert workbench.stored_pictures() == {}


def test_a_refused_session_once_corrected_is_all_that_is_added(workbench: Workbench) -> None:
    folder = _project_with_a_bad_session(workbench)
    edit(folder / "index.yaml", "uploadData", acceptValid="true")
    right = workbench.sample("right", sessions=3)
    first = workbench.run(workbench.stage(folder))
    (folder / BAD / "1.png").write_bytes((right / BAD / "1.png").read_bytes())
    upload = workbench.stage(folder, replace=True)

    outcome = workbench.run(upload)

    assert outcome.receipt.state is State.IMPORTED
    assert outcome.stored is not None
    assert first.stored is not None
    assert (first.stored.new, outcome.stored.new) == (4, 2)
    assert _sessions_stored(workbench) == ["session1", "session2", "session3"]


def test_a_corrected_session_is_noticed_like_any_other_correction(workbench: Workbench) -> None:
    folder = _project_with_a_bad_session(workbench)
    edit(folder / "index.yaml", "uploadData", acceptValid="true")
    upload = workbench.stage(folder)
    workbench.import_as_the_sensor_does(upload)
    assert workbench.due() == []
    (folder / BAD / "1.png").write_bytes((folder / BAD / "2.png").read_bytes())
    workbench.stage(folder, replace=True)

    assert [arrival.upload.id for arrival in workbench.due()] == [upload.id]


def test_a_wish_that_comes_later_is_a_reason_to_look_again(workbench: Workbench) -> None:
    upload = workbench.stage(_project_with_a_bad_session(workbench))
    workbench.import_as_the_sensor_does(upload)
    assert workbench.now(upload).state is State.REFUSED
    assert workbench.due() == []

    with workbench.database.connection() as connection:
        record_wishes(connection, upload.id, accept_valid=True, replace=False)

    assert [arrival.upload.id for arrival in workbench.due()] == [upload.id]


def test_an_error_outside_the_sessions_keeps_all_of_them_out(workbench: Workbench) -> None:
    folder = workbench.sample(sessions=2)
    edit(folder / "index.yaml", "uploadData", acceptValid="true")
    (folder / "notes.docx").write_bytes(b"seen today")

    outcome = workbench.run(workbench.stage(folder))

    assert outcome.receipt.state is State.REFUSED
    assert _sessions_stored(workbench) == []


def test_an_error_in_an_inherited_value_refuses_only_those_who_inherit_it(workbench: Workbench) -> None:
    folder = workbench.sample(sessions=2)
    edit(folder / "index.yaml", "uploadData", acceptValid="true")
    edit(folder / "index.yaml", "seedData", seedName="Brassica nappus")
    edit(folder / BAD / "index.yaml", "seedData", seedGenus=None, seedSpecies=None, seedFamily=None)

    outcome = workbench.run(workbench.stage(folder))

    assert outcome.receipt.state is State.PARTLY_IMPORTED
    assert outcome.receipt.report is not None
    (finding,) = outcome.receipt.report.findings
    assert (finding.code, finding.path, finding.sessions) == ("unregistered-seed", "index.yaml", (BAD,))
    assert _sessions_stored(workbench) == ["session1"]


def test_a_project_of_bad_sessions_alone_is_refused(workbench: Workbench) -> None:
    folder = workbench.sample(sessions=1)
    edit(folder / "index.yaml", "uploadData", acceptValid="true")
    (folder / GOOD / "1.png").write_bytes(b"no picture at all")

    assert workbench.run(workbench.stage(folder)).receipt.state is State.REFUSED
    assert _sessions_stored(workbench) == []


class WatchedPool(DecodingPool):
    """The real decoders; what the receipt says when the first picture reaches them is kept."""

    def __init__(self, workbench: Workbench, upload: Any) -> None:
        super().__init__(workbench.pool.settings)
        self.workbench, self.upload = workbench, upload
        self.receipt: Receipt | None = None
        self.pictures = 0

    def inspect(self, *arguments: Any, **settings: Any) -> Inspection:
        self.pictures += 1
        if self.receipt is None:
            self.receipt = self.workbench.receipt(self.upload)
        return super().inspect(*arguments, **settings)


def test_what_names_and_indexes_refuse_is_told_before_any_picture_is_decoded(workbench: Workbench) -> None:
    folder = workbench.sample(pictures=3)
    edit(folder / "pictures/session1/index.yaml", "imageData", numberOfImages=4)
    upload = workbench.stage(folder)

    with WatchedPool(workbench, upload) as pool:
        outcome = workbench.run(upload, pool=pool)

    assert pool.receipt is not None
    assert pool.receipt.state is State.IMPORTING
    assert pool.receipt.report is not None
    assert pool.receipt.report.codes == {"missing-picture": 1}
    assert outcome.receipt.state is State.REFUSED
    assert pool.pictures == 3


def test_a_folder_of_no_known_shape_is_answered_without_any_decoding(workbench: Workbench) -> None:
    sample = workbench.sample("inner")
    folder = workbench.place / "project"
    folder.mkdir()
    sample.rename(folder / "trip")
    upload = workbench.stage(folder)

    with WatchedPool(workbench, upload) as pool:
        outcome = workbench.run(upload, pool=pool)

    assert outcome.receipt.state is State.REFUSED
    assert outcome.receipt.report is not None
    assert outcome.receipt.report.codes == {"wrong-structure": 1}
    assert pool.pictures == 0


def test_a_web_page_with_the_findings_lies_beside_a_refused_folder_until_it_is_corrected(workbench: Workbench) -> None:
    folder = workbench.sample()
    right = (folder / "pictures/session1/2.png").read_bytes()
    (folder / "pictures/session1/2.png").write_bytes(right + b"PK\x03\x04 appended")
    upload = workbench.stage(folder)

    outcome = workbench.run(upload)

    assert outcome.receipt.report_page == report_blob("project")
    page = workbench.contents(upload.staging_container)["project.report.html"].decode()
    assert "trailing-data" in page
    assert "pictures/session1/2.png" in page.replace("<wbr>", "")
    assert "data:image/jpeg;base64," in page

    (folder / "pictures/session1/2.png").write_bytes(right)
    upload = workbench.stage(folder, replace=True)
    assert workbench.run(upload).receipt.report_page == report_blob("project")
    page = workbench.contents(upload.staging_container)["project.report.html"].decode()
    assert "trailing-data" not in page
    assert "Imported" in page


def test_the_manifest_says_which_findings_weighed_something_else_here(workbench: Workbench) -> None:
    severities = workbench.place / "severities.yaml"
    severities.write_text("surplus-picture: warning\n")
    folder = workbench.sample(pictures=3)
    edit(folder / "pictures/session1/index.yaml", "imageData", numberOfImages=2)
    upload = workbench.stage(folder)
    assert workbench.run(upload).receipt.state is State.REFUSED

    outcome = workbench.run(upload, rules=RuleSet.read(severities))

    assert outcome.receipt.state is State.IMPORTED
    (received,) = outcome.receipt.picture_sets
    manifest = workbench.contents(workbench.user.user_container)[received.manifest]
    head = json.loads(manifest.splitlines()[0])
    assert head["severities"] == {"surplus-picture": "warning"}
    assert outcome.receipt.report is not None
    assert outcome.receipt.report.severities == {"surplus-picture": "warning"}
    assert outcome.receipt.report.counts["warning"] == 1
