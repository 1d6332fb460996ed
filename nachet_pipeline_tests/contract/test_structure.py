"""The two shapes of an upload, and what is told of folders that have neither."""

import os
from pathlib import Path

import pytest

from nachet_pipeline.contract.inventory import FileKind
from nachet_pipeline.contract.structure import Shape, kind_of, picture_format, shape_of
from nachet_pipeline_tests.contract.folders import Files, Validate, changed, picture, project, session, without


def test_a_project_and_a_session_alone_are_both_importable(validated: Validate) -> None:
    as_project, as_session = validated(project()), validated(session())

    assert (as_project.validation.shape, as_session.validation.shape) == (Shape.PROJECT, Shape.SESSION)
    assert [one.path for one in as_project.validation.sessions] == ["pictures/session1", "pictures/session2"]
    assert [one.path for one in as_session.validation.sessions] == [""]
    assert as_project.report.importable
    assert as_session.report.importable


def _renamed(files: Files, old: str, new: str) -> Files:
    return {path.replace(old, new): content for path, content in files.items()}


@pytest.mark.parametrize(
    "files",
    [
        _renamed(session(), ".tiff", ".tif"),
        _renamed(session(), ".tiff", ".TIFF"),
        _renamed(session(), "index.yaml", "index.yml"),
        _renamed(session(), "index.yaml", "Index.YAML"),
        _renamed(project(), "1.yaml", "1.yml"),
        _renamed(project(), "pictures/", "Pictures/"),
        _renamed(project(), "session1", "Séance 1, été"),
        _renamed(project(), ".jpeg", ".JPG"),
        {**project(), "_COMPLETE": b""},
    ],
    ids=["tif", "TIFF", "index.yml", "Index.YAML", "1.yml", "Pictures", "accents", "JPG", "_COMPLETE"],
)
def test_names_as_people_and_their_programs_write_them_are_accepted(files: Files, validated: Validate) -> None:
    outcome = validated(files)

    assert outcome.report.findings == []
    assert outcome.validation.pictures in {2, 4}


@pytest.mark.parametrize("around", ["seeds", "Sélection 2024"])
@pytest.mark.parametrize("files", [project(), session()], ids=["project", "session"])
def test_an_upload_one_folder_too_deep_is_told_which_folder_to_upload_instead(
    around: str, files: Files, validated: Validate
) -> None:
    outcome = validated({f"{around}/{path}": content for path, content in files.items()} | {".DS_Store": b"\0"})

    finding = outcome.only("wrong-structure")
    assert finding.found == around
    assert finding.suggestion == f"the content of {around}/, without the folder around it"


def test_a_folder_of_other_things_is_told_what_was_found_in_it(validated: Validate) -> None:
    finding = validated({"paper/a.docx": b"1", "numbers.csv": b"2"}).only("wrong-structure")

    assert (finding.found, finding.suggestion) == ("numbers.csv, paper", None)


@pytest.mark.parametrize("files", [{}, {".DS_Store": b"\0"}, {"_COMPLETE": b""}], ids=["nothing", "litter", "marker"])
def test_a_folder_without_a_file_of_its_uploader_is_empty(files: Files, validated: Validate) -> None:
    assert validated(files).codes - {"ignored-file"} == {"empty-upload"}


def test_what_an_operating_system_left_is_listed_and_keeps_nothing_from_being_imported(validated: Validate) -> None:
    litter = [".DS_Store", "pictures/session1/._1.tiff", "pictures/Thumbs.db", "__MACOSX/pictures/session1/1.tiff"]

    outcome = validated({**project(), **dict.fromkeys(litter, b"\0")})

    assert [finding.path for finding in outcome.report.findings] == sorted(litter)
    assert outcome.codes == {"ignored-file"}
    assert outcome.report.importable
    assert outcome.validation.pictures == 4


@pytest.mark.parametrize(
    "path",
    [
        "notes.txt",
        "1.tiff",
        "pictures/1.tiff",
        "pictures/index.yaml",
        "pictures/session1/more/1.tiff",
        "pictures/session1/1.bmp",
        "pictures/session1/.hidden",
        "pictures/session1/_COMPLETE",
        "other/1.tiff",
    ],
)
def test_a_file_in_a_place_that_the_contract_does_not_know_is_unexpected(path: str, validated: Validate) -> None:
    outcome = validated({**project(), path: picture()})

    assert outcome.only("unexpected-file").path == path
    assert outcome.codes == {"unexpected-file"}


def test_of_two_indexes_of_a_folder_one_counts_and_the_other_is_unexpected(validated: Validate) -> None:
    outcome = validated({**session(), "index.yml": b"userData: {zoom: 99}"})

    assert outcome.only("unexpected-file").path == "index.yml"
    assert outcome.validation.sessions[0].values["userData.zoom"].value == 30


def test_of_two_yaml_files_for_one_picture_the_second_is_unexpected(validated: Validate) -> None:
    finding = validated({**project(), "pictures/session1/1.yml": b"userData: {zoom: 99}"}).only("unexpected-file")

    assert (finding.path, finding.found) == ("pictures/session1/1.yml", "pictures/session1/1.yaml too")


def test_a_project_without_its_own_index_is_told_so(validated: Validate) -> None:
    outcome = validated(without(project(), "index.yaml"))

    assert outcome.only("missing-index").path == "index.yaml"


def test_a_yaml_file_is_told_the_picture_whose_name_is_most_like_its_own(validated: Validate) -> None:
    files = {
        "index.yaml": session()["index.yaml"],
        "wheat_01.tiff": picture(1),
        "other.tiff": picture(2),
        "wheat_O1.yaml": b"userData: {zoom: 4}",
    }

    assert validated(files).only("metadata-without-picture").suggestion == "wheat_01.yaml"


def test_a_yaml_file_like_no_picture_is_told_none_however_long_the_folders_name(validated: Validate) -> None:
    outcome = validated({**project(), "pictures/session1/7.yaml": b"{}"})

    assert outcome.only("metadata-without-picture").suggestion is None


def test_names_that_differ_in_the_encoding_of_accents_collide(validated: Validate) -> None:
    files = changed(session(), "index.yaml", b"Images: 2", b"Images: 4")
    outcome = validated({**files, "e\u0301.tiff": picture(3), "\u00e9.tiff": picture(4)})

    finding = outcome.only("name-collision")
    assert {finding.path, finding.found} == {"\u00e9.tiff", "e\u0301.tiff too"}


def test_every_unsafe_name_on_a_disk_is_refused_in_readable_text(validated: Validate) -> None:
    def arrange(folder: Path) -> None:
        for name in (b"a\nb.tiff", b"\xff.tiff", b"c\\d.tiff", "\u202egnp.exe".encode()):
            (folder / os.fsdecode(name)).write_bytes(b"1")

    outcome = validated(session(), arrange=arrange)

    assert {finding.path for finding in outcome.report.findings} == {
        "a\\nb.tiff",
        "\\udcff.tiff",
        "c\\d.tiff",
        "\\u202egnp.exe",
    }
    assert outcome.codes == {"unsafe-name"}


def test_links_and_pipes_are_refused_without_being_opened(validated: Validate, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret.tiff").write_bytes(picture())

    def arrange(folder: Path) -> None:
        (folder / "3.tiff").symlink_to(elsewhere / "secret.tiff")
        (folder / "4.tiff").symlink_to(folder / "nowhere")
        (folder / "folder").symlink_to(elsewhere, target_is_directory=True)
        os.mkfifo(folder / "5.tiff")

    outcome = validated(session(), arrange=arrange)

    assert [finding.path for finding in outcome.report.findings] == ["3.tiff", "4.tiff", "5.tiff", "folder"]
    assert outcome.codes == {"special-file"}
    assert outcome.validation.pictures == 2


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a.tiff", "TIFF"), ("a.TIF", "TIFF"), ("a.Png", "PNG"), ("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.gif", None)],
)
def test_a_pictures_format_follows_from_its_suffix_in_any_case(path: str, expected: str | None) -> None:
    assert picture_format(path) == expected


def test_the_shape_of_a_folder_follows_from_its_names_in_any_order() -> None:
    assert shape_of(["index.yaml", "pictures/s/1.tiff"]) is Shape.PROJECT
    assert shape_of(["pictures/s/1.tiff", "index.yaml"]) is Shape.PROJECT
    assert shape_of(["1.tiff"]) is Shape.SESSION
    assert shape_of(["index.yml"]) is Shape.SESSION
    assert shape_of(["pictures"]) is None
    assert shape_of(["__MACOSX/pictures/s/1.tiff", "_COMPLETE"]) is None
    assert kind_of("1.tiff", None) is FileKind.UNEXPECTED
