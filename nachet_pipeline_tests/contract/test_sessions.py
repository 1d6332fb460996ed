"""Reading the indexes of an upload: what its sessions inherit, and what the uploader wishes for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.metadata import PictureMetadata, ProjectIndex, SessionIndex, read_metadata
from nachet_pipeline.contract.sessions import Wishes, read_metadata_file, read_wishes
from nachet_pipeline.contract.yaml_reader import YamlLimits
from nachet_pipeline.support.files import LocalFolder, StagedFile
from nachet_pipeline_tests.contract.folders import PROJECT_INDEX, changed, project, session, without, write
from nachet_pipeline_tests.contract.judged import Judged, judge

INDEX = "pictures/session1/index.yaml"

Judge = Callable[..., Judged]


@pytest.fixture
def judged(tmp_path: Path) -> Judge:
    return lambda files, **options: judge(tmp_path / "upload", files, **options)


def test_a_session_has_its_own_values_and_those_of_its_project(judged: Judge) -> None:
    outcome = judged(project())

    assert outcome.sessions["pictures/session1"] == {
        "clientData.clientEmail": "ada@example.org",
        "clientData.clientExpertise": "Botanist",
        "imageData.numberOfImages": 2,
        "seedData.seedFamily": "Brassicaceae",
        "seedData.seedGenus": "Brassica",
        "seedData.seedSpecies": "napus",
        "userData.description": "Seeds on white paper",
        "userData.numberOfSeeds": 6,
        "userData.zoom": 30.0,
    }


def test_a_session_knows_which_of_its_values_it_inherits(judged: Judge) -> None:
    first, second = judged(without(project(), "pictures/session2/index.yaml")).context.sessions

    assert first.index_path == INDEX
    assert second.index_path == "pictures/session2/index.yaml"
    assert first.inherits(first.values["userData.zoom"])
    assert not first.inherits(first.values["imageData.numberOfImages"])
    assert all(second.inherits(value) for value in second.values.values())


def test_the_wish_for_an_upload_is_no_property_of_its_sessions(judged: Judge) -> None:
    files = {**project(), "index.yaml": PROJECT_INDEX + b"uploadData: {acceptValid: oui}\n"}
    outcome = judged(files)

    assert outcome.findings == []
    assert read_wishes(outcome.context.project, []).accept_valid
    assert not any(name.startswith("uploadData") for values in outcome.sessions.values() for name in values)


@pytest.mark.parametrize(
    ("text", "accepts"),
    [
        ("uploadData: {acceptValid: true}", True),
        ("upload_data: {accept_valid: Oui}", True),
        ("uploadData: {acceptValid: false}", False),
        ("uploadData: {acceptValid: }", False),
        ("uploadData: {acceptValid: perhaps}", False),
        ("acceptValid: true", False),
        ("uploadData: [", False),
        ("", False),
    ],
)
def test_all_or_nothing_is_imported_unless_the_project_says_otherwise(text: str, accepts: bool) -> None:
    assert read_wishes(read_metadata(text.encode(), "index.yaml", ProjectIndex), []).accept_valid is accepts
    assert read_wishes(None, []) == Wishes()


@pytest.mark.parametrize(
    ("text", "removed"),
    [
        ("uploadData: {removedSessions: [one, two]}", ("one", "two")),
        ("uploadData: {removed_sessions: one}", ("one",)),
        ("uploadData:\n  removedSessions:\n  - one\n  - two\n", ("one", "two")),
        ("uploadData: {removedSessions: {one: two}}", ()),
        ("uploadData: {removedSessions: [[one]]}", ()),
        ("uploadData: {removedSessions: }", ()),
    ],
)
def test_sessions_to_remove_are_named_one_by_one_or_in_a_list(text: str, removed: tuple[str, ...]) -> None:
    assert read_wishes(read_metadata(text.encode(), "index.yaml", ProjectIndex), []).removed_sessions == removed


def test_a_sessions_index_cannot_wish_anything_for_its_project(judged: Judge) -> None:
    files = project()
    outcome = judged({**files, INDEX: files[INDEX] + b"uploadData: {acceptValid: yes}\n"})

    finding = outcome.only("unknown-key")
    assert (finding.path, finding.field) == (INDEX, "uploadData")
    assert not read_wishes(outcome.context.project, outcome.context.sessions).accept_valid


def test_a_session_that_is_staged_alone_wishes_in_its_own_index(judged: Judge) -> None:
    files = session()
    outcome = judged({**files, "index.yaml": files["index.yaml"] + b"uploadData: {replace: yes}\n"})

    assert outcome.findings == []
    wishes = read_wishes(outcome.context.project, outcome.context.sessions)
    assert (wishes.replace, wishes.source) == (True, "index.yaml")
    assert not any(name.startswith("uploadData") for values in outcome.sessions.values() for name in values)


class _Unread(LocalFolder):
    def read(self, file: StagedFile) -> bytes:
        raise AssertionError(f"{file.path} was read")


@pytest.mark.parametrize(("model", "name"), [(SessionIndex, "index.yaml"), (PictureMetadata, "1.yaml")])
def test_a_file_of_gigabytes_is_refused_without_being_read(
    model: type[SessionIndex | PictureMetadata], name: str, tmp_path: Path
) -> None:
    folder = _Unread(write(tmp_path / "upload", {name: b"a: 1"}))
    with (tmp_path / "upload" / name).open("r+b") as file:
        file.truncate(3 * 1024**3)

    (listed,) = folder.files()
    read = read_metadata_file(folder, listed, model)

    assert [finding.code for finding in read.findings] == ["forbidden-yaml"]
    assert read.findings[0].found is not None
    assert read.findings[0].found.fr == "3221225472 octets"
    assert (read.readable, read.sha256) == (False, None)


def test_the_limits_of_yaml_are_those_of_the_deployment(judged: Judge) -> None:
    outcome = judged(project(), limits=ContractLimits(yaml=YamlLimits(bytes=130)))

    assert outcome.codes == {"forbidden-yaml"}
    assert outcome.only("forbidden-yaml").path == "index.yaml"


def test_the_checksum_of_an_index_that_cannot_be_understood_is_known_too(judged: Judge) -> None:
    files = changed(project(), INDEX, b"  seedGenus: Brassica", b"  seedGenus: [Brassica")
    sums = ("0" * 64 + f"  {INDEX}\n").encode()

    assert judged({**files, "SHA256SUMS": sums}).only("checksum-mismatch").path == INDEX
