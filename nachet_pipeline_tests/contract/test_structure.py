"""The two shapes of an upload, and what is told of folders that have neither."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachet_pipeline.contract.inventory import FileKind
from nachet_pipeline.contract.rules.layout import FolderLayout
from nachet_pipeline.contract.structure import Shape, kind_of, picture_format, shape_of
from nachet_pipeline.support.i18n import Bilingual
from nachet_pipeline_tests.contract.folders import Files, changed, picture, project, session, without
from nachet_pipeline_tests.contract.judged import Judged, judge

Judge = Callable[..., Judged]


@pytest.fixture
def judged(tmp_path: Path) -> Judge:
    return lambda files, **options: judge(tmp_path / "upload", files, **options)


@pytest.mark.parametrize(
    ("files", "shape", "sessions"),
    [(project(), Shape.PROJECT, ["pictures/session1", "pictures/session2"]), (session(), Shape.SESSION, [""])],
    ids=["project", "session"],
)
def test_a_project_and_a_session_alone_are_both_without_fault(
    files: Files, shape: Shape, sessions: list[str], judged: Judge
) -> None:
    outcome = judged(files)

    assert (outcome.shape, list(outcome.sessions), outcome.findings) == (shape, sessions, [])


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
        _renamed(project(), "1.yaml", "1.YAML"),
        _renamed(project(), "pictures/", "Pictures/"),
        _renamed(project(), "session1", "Séance 1, été"),
        _renamed(project(), ".jpeg", ".JPG"),
        {**project(), "_COMPLETE": b""},
    ],
    ids=["tif", "TIFF", "index.yml", "Index.YAML", "1.yml", "1.YAML", "Pictures", "accents", "JPG", "_COMPLETE"],
)
def test_names_as_people_and_their_programs_write_them_are_accepted(files: Files, judged: Judge) -> None:
    outcome = judged(files)

    assert outcome.findings == []
    assert outcome.pictures in {2, 4}


def _within(around: str, files: Files) -> Files:
    return {f"{around}/{path}": content for path, content in files.items()}


P = picture()
I = b"userData: {zoom: 30}"  # noqa: E741
LAYOUTS = {
    "outer folder": (
        _within("seeds", project()),
        "seeds",
        "upload the content of seeds/ without the folder around it",
        "téléversez le contenu de seeds/ sans le dossier autour",
    ),
    "session in an outer folder": (
        _within("Sélection 2024", session()),
        "Sélection 2024",
        "upload the content of Sélection 2024/ without the folder around it",
        "téléversez le contenu de Sélection 2024/ sans le dossier autour",
    ),
    "notes beside the outer folder": (
        {**_within("seeds", project()), "notes.txt": b"1", "old/plan.docx": b"1"},
        "notes.txt, old, seeds",
        "upload the content of seeds/ without the folder around it",
        "téléversez le contenu de seeds/ sans le dossier autour",
    ),
    "two outer folders": (
        _within("trip/seeds", project()),
        "trip",
        "upload the content of trip/seeds/ without the folder around it",
        "téléversez le contenu de trip/seeds/ sans le dossier autour",
    ),
    "sessions without pictures/": (
        {"index.yaml": I, "s1/index.yaml": I, "s1/1.tiff": P, "s2/1.tiff": P},
        "index.yaml, s1, s2",
        "move s1/, s2/ into a new folder pictures/",
        "déplacez s1/, s2/ dans un nouveau dossier pictures/",
    ),
    "one session without pictures/": (
        {"index.yaml": I, "s1/index.yaml": I, "s1/1.tiff": P},
        "index.yaml, s1",
        "move s1/ into a new folder pictures/",
        "déplacez s1/ dans un nouveau dossier pictures/",
    ),
    "sessions without any index above them": (
        {"s1/index.yaml": I, "s1/1.tiff": P, "s2/1.tiff": P},
        "s1, s2",
        "move s1/, s2/ into a new folder pictures/",
        "déplacez s1/, s2/ dans un nouveau dossier pictures/",
    ),
    "a session's pictures in a folder": (
        {"index.yaml": I, "photos/1.tiff": P, "photos/2.tiff": P},
        "index.yaml, photos",
        "move the content of photos/ up beside index.yaml",
        "déplacez le contenu de photos/ à côté de l'index.yaml",
    ),
    "pictures in pictures/ itself": (
        {"index.yaml": I, "pictures/1.tiff": P, "pictures/1.yaml": I, "pictures/2.tiff": P},
        "index.yaml, pictures",
        (
            "move the pictures (2) of pictures/ up beside index.yaml for a single session, "
            "else into pictures/session1/ with an index.yaml of its own"
        ),
        (
            "déplacez les images (2) de pictures/ à côté de l'index.yaml pour une seule session, "
            "sinon vers pictures/session1/ avec son propre index.yaml"
        ),
    ),
    "a session called Pictures": (
        {"index.yaml": I, "Pictures/index.yaml": I, "Pictures/1.tiff": P},
        "Pictures, index.yaml",
        "move the pictures (1) of Pictures/ with their index.yaml into pictures/session1/",
        "déplacez les images (1) de Pictures/ avec leur index.yaml vers pictures/session1/",
    ),
    "a session in a folder of its own name": (
        {"index.yaml": I, "pictures/s1/s1/1.tiff": P, "pictures/s1/s1/index.yaml": I},
        "index.yaml, pictures",
        "move the content of pictures/s1/s1/ to pictures/s1/",
        "déplacez le contenu de pictures/s1/s1/ vers pictures/s1/",
    ),
    "two projects": (
        {**_within("a", project()), **_within("b", project())},
        "a, b",
        "send a/, b/ each as a folder of its own",
        "envoyez a/, b/ chacun comme un dossier à part",
    ),
    "sessions one folder deeper": (
        {"index.yaml": I, "pictures/2024/s1/1.tiff": P, "pictures/2024/s2/1.tiff": P},
        "index.yaml, pictures",
        "move the folders in pictures/2024/ directly into pictures/",
        "déplacez les dossiers de pictures/2024/ directement dans pictures/",
    ),
    "another name for pictures/": (
        {"index.yaml": I, "images/s1/1.tiff": P, "images/s1/index.yaml": I, "images/s2/1.tiff": P},
        "images, index.yaml",
        "rename images/ to pictures/",
        "renommez images/ en pictures/",
    ),
    "two slips at once": (
        {"trip/index.yaml": I, "trip/s1/1.tiff": P, "trip/s1/index.yaml": I, "trip/s2/1.tiff": P},
        "trip",
        "upload the content of trip/ without the folder around it; in it, move s1/, s2/ into a new folder pictures/",
        (
            "téléversez le contenu de trip/ sans le dossier autour; dans ce contenu, "
            "déplacez s1/, s2/ dans un nouveau dossier pictures/"
        ),
    ),
    "many sessions": (
        {"index.yaml": I, **{f"s{n}/1.tiff": P for n in range(8)}},
        "index.yaml, s0, s1, s2, s3, …",
        "move s0/, s1/, s2/, s3/, s4/, … into a new folder pictures/",
        "déplacez s0/, s1/, s2/, s3/, s4/, … dans un nouveau dossier pictures/",
    ),
}


@pytest.mark.parametrize(("files", "found", "en", "fr"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_layout_that_people_use_is_told_once_with_what_to_move_where(
    files: Files, found: str, en: str, fr: str, judged: Judge
) -> None:
    outcome = judged({**files, ".DS_Store": b"\0"})

    finding = outcome.only("wrong-structure")
    assert outcome.shape is None
    assert outcome.codes == {"wrong-structure", "ignored-file"}
    assert outcome.pictures == 0
    assert finding.found is not None
    assert finding.advice is not None
    sentence = tuple(f"{text[0].upper()}{text[1:]}." for text in (en, fr))
    assert (finding.found.en, finding.advice.en, finding.advice.fr) == (found, *sentence)


def test_a_layout_that_was_corrected_as_suggested_is_accepted() -> None:
    moved = {
        "sessions without pictures/": {"index.yaml", "pictures/s1/1.tiff", "pictures/s2/1.tiff"},
        "pictures in pictures/ itself": {"index.yaml", "1.tiff", "1.yaml", "2.tiff"},
        "a session called Pictures": {"index.yaml", "pictures/session1/index.yaml", "pictures/session1/1.tiff"},
        "sessions one folder deeper": {"index.yaml", "pictures/s1/1.tiff", "pictures/s2/1.tiff"},
        "another name for pictures/": {"index.yaml", "pictures/s1/1.tiff", "pictures/s2/1.tiff"},
        "a session's pictures in a folder": {"index.yaml", "1.tiff", "2.tiff"},
    }
    for name, paths in moved.items():
        shape = shape_of(paths)
        assert shape is not None, name
        assert all(kind_of(path, shape) is not FileKind.UNEXPECTED for path in paths), name


@pytest.mark.parametrize(
    "files",
    [
        {"paper/a.docx": b"1", "numbers.csv": b"2"},
        {"a/b/c/1.tiff": P, "d/2.tiff": P},
        {"pictures/1.tiff": P, "other/s/1.tiff": P},
    ],
)
def test_a_folder_of_other_things_is_told_what_was_found_in_it(files: Files, judged: Judge) -> None:
    finding = judged(files).only("wrong-structure")

    assert finding.found is not None
    assert finding.found.en == ", ".join(sorted({path.split("/")[0] for path in files}))
    assert finding.advice is None


_PART = st.sampled_from(["pictures", "a", "b", "index.yaml", "1.tiff", "Pictures", ".x", "notes.txt", "_COMPLETE"])
_PATHS = st.lists(st.lists(_PART, min_size=1, max_size=4).map("/".join), max_size=6)


@given(_PATHS)
def test_any_layout_either_has_a_shape_or_can_be_explained(paths: list[str]) -> None:
    layout = FolderLayout.of(paths)
    advice = layout.advice()

    if shape_of(paths) is None and advice:
        assert advice.en != advice.fr
    assert shape_of(paths) == shape_of(reversed(paths))


@pytest.mark.parametrize(
    "files",
    [{}, {".DS_Store": b"\0"}, {"_COMPLETE": b""}, {".hidden/1.tiff": P}],
    ids=["nothing", "litter", "marker", "hidden"],
)
def test_a_folder_without_a_file_of_its_uploader_is_empty(files: Files, judged: Judge) -> None:
    assert judged(files).codes - {"ignored-file", "hidden-file"} == {"empty-upload"}


def test_what_a_system_left_is_listed_and_keeps_nothing_from_being_imported(judged: Judge) -> None:
    litter = [".DS_Store", "Icon\r", "pictures/session1/._1.tiff", "pictures/Thumbs.db", "__MACOSX/pictures/s/1.tiff"]

    outcome = judged({**project(), **dict.fromkeys(litter, b"\0")})

    assert sorted(found.path for found in outcome.findings) == sorted(path.replace("\r", "\\r") for path in litter)
    assert outcome.codes == {"ignored-file"}
    assert outcome.pictures == 4


def test_a_hidden_file_is_warned_of_and_plays_no_part(judged: Judge) -> None:
    outcome = judged({**project(), "pictures/session1/.3.tiff": P, ".git/config": b"x"})

    assert [(found.code, found.path) for found in outcome.findings] == [
        ("hidden-file", ".git/config"),
        ("hidden-file", "pictures/session1/.3.tiff"),
    ]
    assert outcome.pictures == 4


def test_a_link_of_an_editor_that_is_ignored_anyway_is_no_attack(judged: Judge) -> None:
    def arrange(root: Path) -> None:
        (root / ".#index.yaml").symlink_to("user@machine.123")
        (root / ".cache").symlink_to("nowhere")

    assert judged(project(), arrange=arrange).codes == {"ignored-file", "hidden-file"}


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("notes", None),
        (
            "notes.txt",
            "Take it out of the folder. What is to be kept with the pictures is written into index.yaml (description).",
        ),
        ("1.tiff", "Move it into the folder of its session: pictures/<session>/."),
        ("pictures/1.tiff", "Move it into the folder of its session: pictures/<session>/."),
        ("pictures/index.yaml", "Move it into the folder of its session: pictures/<session>/."),
        ("pictures/session1/more/1.tiff", "Move the content of pictures/session1/more/ to pictures/session1/."),
        (
            "pictures/1.bmp",
            "Open the picture in a program such as ImageJ or GIMP and save it as TIFF or PNG.",
        ),
        ("pictures/session1/_COMPLETE", "Put _COMPLETE, named exactly so, into the uploaded folder itself."),
        ("session3/1.tiff", "Move session3/ into pictures/."),
        ("pictures/2024/session3/1.tiff", "Move pictures/2024/session3/ into pictures/."),
    ],
)
def test_a_file_in_a_place_that_the_contract_does_not_know_is_told_where_it_belongs(
    path: str, advice: str | None, judged: Judge
) -> None:
    outcome = judged({**project(), path: P})

    finding = outcome.only("unexpected-file")
    assert outcome.codes == {"unexpected-file"}
    assert (finding.path, finding.suggestion) == (path, None)
    assert (finding.advice.en if finding.advice else None) == advice
    assert finding.advice is None or finding.advice.fr != advice


def test_pictures_beside_a_sessions_own_are_told_to_move_up(judged: Judge) -> None:
    finding = judged({**session(), "more/3.tiff": P}).only("unexpected-file")

    assert finding.advice is not None
    assert finding.advice.en == "Move the content of more/ up beside index.yaml."


def test_of_two_indexes_of_a_folder_one_counts_and_the_other_is_unexpected(judged: Judge) -> None:
    outcome = judged({**session(), "index.yml": b"userData: {zoom: 99}"})

    finding = outcome.only("unexpected-file")
    assert finding.path == "index.yml"
    assert finding.expected is not None
    assert finding.expected.en == "one index.yaml in a folder"
    assert outcome.sessions[""]["userData.zoom"] == 30


def test_of_two_yaml_files_for_one_picture_the_second_is_unexpected(judged: Judge) -> None:
    finding = judged({**project(), "pictures/session1/1.yml": b"userData: {zoom: 99}"}).only("unexpected-file")

    assert finding.path == "pictures/session1/1.yml"
    assert finding.found is not None
    assert (finding.found.en, finding.found.fr) == ("pictures/session1/1.yaml too", "pictures/session1/1.yaml aussi")


def test_a_project_without_its_own_index_is_told_so(judged: Judge) -> None:
    assert judged(without(project(), "index.yaml")).only("missing-index").path == "index.yaml"


def test_a_yaml_file_is_told_the_picture_whose_name_is_most_like_its_own(judged: Judge) -> None:
    files = {
        "index.yaml": session()["index.yaml"],
        "wheat_01.tiff": picture(1),
        "other.tiff": picture(2),
        "wheat_O1.yaml": b"userData: {zoom: 4}",
    }
    finding = judged(files).only("metadata-without-picture")

    assert finding.suggestion is not None
    assert finding.suggestion.en == "wheat_01.yaml"


def test_a_yaml_file_like_no_picture_is_told_none_however_long_the_folders_name(judged: Judge) -> None:
    outcome = judged({**project(), "pictures/session1/7.yaml": b"{}"})

    assert outcome.only("metadata-without-picture").suggestion is None


def test_names_that_differ_in_the_encoding_of_accents_collide(judged: Judge) -> None:
    files = changed(session(), "index.yaml", b"Images: 2", b"Images: 4")
    outcome = judged({**files, "e\u0301.tiff": picture(3), "\u00e9.tiff": picture(4)})

    finding = outcome.only("name-collision")
    assert finding.found is not None
    assert finding.path == "\u00e9.tiff"
    assert finding.found == Bilingual(
        "\u00e9.tiff (\u00e9 written e + U+0301) beside \u00e9.tiff",
        "\u00e9.tiff (\u00e9 écrit e + U+0301) à côté de \u00e9.tiff",
    )
    assert finding.sessions == ()
    assert outcome.codes == {"name-collision"}, "one cause, one finding"


@pytest.mark.parametrize("name", ["1.tiff", "other.tiff"])
def test_two_sessions_whose_folders_collide_are_both_named(name: str, judged: Judge) -> None:
    files = without(project(), *(path for path in project() if "session2" in path))
    files["pictures/Session1/index.yaml"] = files["pictures/session1/index.yaml"].replace(b"Images: 2", b"Images: 1")
    files[f"pictures/Session1/{name}"] = P

    collisions = [finding for finding in judged(files).findings if finding.code == "name-collision"]

    assert collisions
    assert {finding.sessions for finding in collisions} == {("pictures/Session1", "pictures/session1")}


def test_an_unusual_name_of_a_folder_is_told_once_with_the_usual_one(judged: Judge) -> None:
    outcome = judged(_renamed(project(), "session1", "e\u0301te\u0301 "))

    finding = outcome.only("unusual-name")
    assert outcome.codes == {"unusual-name"}
    assert (finding.path, finding.suggestion.en if finding.suggestion else "") == (
        "pictures/e\u0301te\u0301 ",
        "pictures/été",
    )
    assert outcome.pictures == 4


def test_every_unsafe_name_on_a_disk_is_refused_in_readable_text(judged: Judge) -> None:
    def arrange(folder: Path) -> None:
        for name in (b"a\nb.tiff", b"\xff.tiff", b"c\\d.tiff", "\u202egnp.exe".encode()):
            (folder / os.fsdecode(name)).write_bytes(b"1")

    outcome = judged(session(), arrange=arrange)

    assert {finding.path for finding in outcome.findings} == {
        "a\\nb.tiff",
        "\\udcff.tiff",
        "c\\d.tiff",
        "\\u202egnp.exe",
    }
    assert outcome.codes == {"unsafe-name"}


def test_links_and_pipes_are_refused_by_their_kind_without_being_opened(judged: Judge, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret.tiff").write_bytes(P)

    def arrange(folder: Path) -> None:
        (folder / "3.tiff").symlink_to(elsewhere / "secret.tiff")
        (folder / "4.tiff").symlink_to(folder / "nowhere")
        (folder / "folder").symlink_to(elsewhere, target_is_directory=True)
        (folder / "6.tiff").hardlink_to(elsewhere / "secret.tiff")
        os.mkfifo(folder / "5.tiff")

    outcome = judged(session(), arrange=arrange)

    assert [(finding.path, finding.found.en if finding.found else "") for finding in outcome.findings] == [
        ("3.tiff", "a symbolic link"),
        ("4.tiff", "a symbolic link"),
        ("5.tiff", "a named pipe"),
        ("6.tiff", "a hard link: a file with a second name elsewhere"),
        ("folder", "a symbolic link"),
    ]
    assert outcome.codes == {"special-file"}
    assert outcome.pictures == 2


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


@pytest.mark.parametrize("name", ["SHA256SUMS", "sha256sums", "Sha256Sums.TXT", "sha256sum.txt"])
@pytest.mark.parametrize("folder", ["", "pictures/s/"])
def test_checksums_have_a_place_beside_any_index(name: str, folder: str) -> None:
    assert kind_of(f"{folder}{name}", Shape.PROJECT) is FileKind.CHECKSUMS
    assert kind_of(name, Shape.SESSION) is FileKind.CHECKSUMS
    assert kind_of(f"pictures/{name}", Shape.PROJECT) is FileKind.UNEXPECTED
