"""What a disabled user stages is not imported, and said so; nothing of theirs is removed."""

import pytest

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.uploads.discovery import queue
from nachet_pipeline.users.errors import DisabledUserError, UnknownUserError
from nachet_pipeline_tests.users.keys import ACTOR, audited, onboarding, opens, shown_url
from nachet_pipeline_tests.workbench import Workbench, edit


@pytest.fixture
def onboarded(workbench: Workbench) -> Workbench:
    assert onboarding(workbench).onboard(workbench.user.email, actor=ACTOR).key
    return workbench


def disable(workbench: Workbench) -> None:
    assert onboarding(workbench).disable(workbench.user.email, actor=ACTOR).changed


def enable(workbench: Workbench) -> None:
    assert onboarding(workbench).enable(workbench.user.email, actor=ACTOR).changed


def test_the_sensor_skips_what_a_disabled_user_staged_and_the_receipt_says_why(onboarded: Workbench) -> None:
    upload = onboarded.stage(onboarded.sample())
    disable(onboarded)

    assert onboarded.due() == []

    receipt = onboarded.receipt(upload)
    assert receipt.state is State.REFUSED
    assert receipt.report
    assert receipt.report.codes == {"disabled-uploader": 1}
    assert receipt.submission is None  # nobody looked at what is staged
    assert onboarded.query("select id from picture_set") == []
    before = onboarded.versions(onboarded.user.upload_container)
    assert onboarded.due() == []
    assert onboarded.versions(onboarded.user.upload_container) == before


def test_an_import_that_was_asked_for_before_is_refused_without_a_picture_being_read(onboarded: Workbench) -> None:
    upload = onboarded.stage(onboarded.sample())
    disable(onboarded)

    outcome = onboarded.run(upload)

    assert outcome.validation is None
    assert outcome.receipt.report
    assert outcome.receipt.report.codes == {"disabled-uploader": 1}
    assert onboarded.receipt(upload) == outcome.receipt
    assert onboarded.stored_pictures() == {}


@pytest.mark.parametrize("asked_for_a_run", [False, True])
def test_who_is_enabled_again_has_the_folder_imported_as_it_is(onboarded: Workbench, *, asked_for_a_run: bool) -> None:
    upload = onboarded.stage(onboarded.sample())
    disable(onboarded)
    if asked_for_a_run:
        onboarded.run(upload)
    assert onboarded.due() == []
    enable(onboarded)

    assert onboarded.import_as_the_sensor_does(upload).receipt.state is State.IMPORTED
    assert len(onboarded.stored_pictures()) == 2


def test_a_folder_that_was_queued_before_is_imported_after_its_owner_is_enabled_again(onboarded: Workbench) -> None:
    upload = onboarded.stage(onboarded.sample())
    queue(onboarded.database, onboarded.due())
    disable(onboarded)
    assert onboarded.run(onboarded.now(upload)).receipt.state is State.REFUSED
    enable(onboarded)

    assert onboarded.import_as_the_sensor_does(upload).receipt.state is State.IMPORTED


def test_what_was_imported_stays_and_a_correction_waits(onboarded: Workbench) -> None:
    folder = onboarded.sample()
    upload = onboarded.stage(folder)
    assert onboarded.import_as_the_sensor_does(upload).receipt.state is State.IMPORTED
    stored, rows = onboarded.stored_pictures(), onboarded.rows()["pictures"]
    disable(onboarded)
    edit(folder / "pictures/session1/index.yaml", "userData", numberOfSeeds=7)
    onboarded.stage(folder)

    assert onboarded.due() == []
    assert (onboarded.stored_pictures(), onboarded.rows()["pictures"]) == (stored, rows)
    assert onboarded.receipt(upload).state is State.IMPORTED
    enable(onboarded)
    assert onboarded.import_as_the_sensor_does(upload).receipt.state is State.IMPORTED
    assert 7 in {row["nb_object"] for row in onboarded.query("select nb_object from pictures")}


def test_the_default_folder_is_no_upload(onboarded: Workbench) -> None:
    assert onboarded.blobs.top_level(onboarded.user.upload_container).folders == ["_template"]
    assert onboarded.due() == []
    assert onboarded.query("select id from upload") == []


def test_a_disabled_users_key_stops_and_an_enabled_one_gets_another(onboarded: Workbench) -> None:
    url = shown_url(onboarded)
    disable(onboarded)
    assert not opens(url)
    enable(onboarded)

    assert not opens(url)
    assert opens(shown_url(onboarded))
    assert audited(onboarded) == [
        ("added", "user"),
        ("issued", "key 1"),
        ("shown", "key 1"),
        ("disabled", "user"),
        ("revoked", "key 1"),
        ("enabled", "user"),
        ("issued", "key 2"),
        ("shown", "key 2"),
    ]


def test_disabling_or_enabling_twice_changes_nothing(onboarded: Workbench) -> None:
    desk, email = onboarding(onboarded), onboarded.user.email
    assert not desk.enable(email, actor=ACTOR).changed
    disable(onboarded)
    trail = audited(onboarded)
    assert not desk.disable(email.upper(), actor=ACTOR).changed
    assert audited(onboarded) == trail


def test_a_disabled_user_cannot_be_onboarded_nor_an_unknown_one_disabled(onboarded: Workbench) -> None:
    disable(onboarded)
    rows = onboarded.rows()
    with pytest.raises(DisabledUserError, match=f"disabled since .*nachet user enable {onboarded.user.email}"):
        onboarding(onboarded).onboard(onboarded.user.email.upper(), actor=ACTOR)
    for step in ("disable", "enable"):
        with pytest.raises(UnknownUserError, match=r"nobody@example\.org is not registered"):
            getattr(onboarding(onboarded), step)("nobody@example.org", actor=ACTOR)
    assert onboarded.rows() == rows
