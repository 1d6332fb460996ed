"""What the markers of a staged folder say, however people and programs write them."""

import re

import pytest

from nachet_pipeline.contract import marks
from nachet_pipeline.contract.marks import COMPLETE, STAGING, CompleteMarker, ListedFile, ListError, fits_list
from nachet_pipeline_tests.contract.folders import Files, Validate, changed, file_list, picture, project

SHA = "ab" * 32
FIRST = "pictures/session1/1.tiff"


@pytest.mark.parametrize(
    "content",
    [b"", COMPLETE, b"done!\r\n", b"index.yaml\npictures/1.png\n", b"\xff\xfe\r\x00\n\x00", b"\x00\x01\xff", b"\n" * 9],
    ids=["empty", "nachet's", "a word", "names without a head", "PowerShell's", "bytes", "empty lines"],
)
def test_any_text_without_a_list_completes_a_folder(content: bytes) -> None:
    marker = CompleteMarker.read(content)
    assert not marker.lists
    assert not marker.staging


def test_a_folder_that_is_being_changed_says_so_to_programs_and_to_people() -> None:
    assert CompleteMarker.read(STAGING).staging
    assert b"run the same `nachet stage` again" in STAGING


@pytest.mark.parametrize(
    "content",
    [
        f"files:\n{SHA}\t12\ta b.png\nindex.yaml\n".encode(),
        f"FILES:\r\n{SHA.upper()}  12  a b.png\r\n\r\n  index.yaml \r\n_COMPLETE\r\n".encode(),
        f"\ufefffiles:\n{SHA} 12 a b.png\n.\\index.yaml".encode(),
        f"files:\r\n{SHA}\t12\ta b.png\r\nindex.yaml\r\n".encode("utf-16"),
    ],
    ids=["nachet's", "typed on Windows", "typed with a BOM", "UTF-16"],
)
def test_a_list_may_be_typed_by_hand(content: bytes) -> None:
    listed = [(one.path, one.size, one.sha256) for one in CompleteMarker.read(content).files()]
    assert listed == [("a b.png", 12, SHA), ("index.yaml", None, None)]


def test_what_is_listed_reads_back_whatever_the_names_are() -> None:
    names = [" leading.png", "trailing ", "a  b.png", f"{SHA}.png", "é.png", "12 34", "x" * 200, "pictures/s/1.png"]
    files = [ListedFile(name, number, SHA) for number, name in enumerate(names)]
    read = CompleteMarker.read(marks.render_list(files, replace=True))
    assert {(one.path, one.size, one.sha256) for one in read.files()} == {(one.path, one.size, SHA) for one in files}
    assert read.replace


@pytest.mark.parametrize(
    ("content", "line", "found"),
    [
        ("files:\nindex.yaml\n../secret\n", 3, "../secret: an empty part, . or .."),
        ("files:\n/etc/passwd\n", 2, "/etc/passwd: an empty part, . or .."),
        (f"files:\n{SHA} index.yaml\n", 2, f"{SHA} index.yaml"[:80]),
        ("files:\na\x07b\n", 2, r"a\x07b: the character U+0007"),
        ("files:\nnul.png\n", 2, "nul.png: nul.png, a name reserved by Windows"),
        ("files:\n\n", 2, "no line"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(content: str, line: int, found: str) -> None:
    with pytest.raises(ListError) as caught:
        list(CompleteMarker.read(content.encode()).files())
    assert (caught.value.line, caught.value.found.en) == (line, found)


def test_a_line_that_is_no_text_is_named() -> None:
    with pytest.raises(ListError, match="3: expected text in UTF-8"):
        list(CompleteMarker.read(b"files:\nindex.yaml\nr\xe9colte.png\n").files())


def test_a_folder_of_very_many_files_has_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [(f"pictures/session1/{number}.tiff", 1_000_000) for number in range(100_000)]
    assert fits_list(files)
    assert not fits_list(files * 2)
    monkeypatch.setattr(marks, "MOST_LIST_BYTES", 100)
    assert fits_list([("a", 1)])
    assert not fits_list([("a", 1), ("b", 1)])


def test_a_list_of_more_lines_than_are_read_is_not_written_either(
    validated: Validate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "MOST_LISTED_FILES", 5)
    assert fits_list([("a", 1)] * 5)
    assert not fits_list([("a", 1)] * 6)
    assert len(list(CompleteMarker.read(b"files:\n" + b"a\n" * 5).files())) == 5

    outcome = validated({**project(), "_COMPLETE": b"files:\n" + b"\n" * 6})  # of empty lines, too

    assert outcome.codes == {"file-list-content"}
    assert outcome.only("file-list-content").expected.en == "at most 5 lines"


# Judged as staged


def test_what_is_not_listed_is_as_if_it_were_not_there(validated: Validate) -> None:
    strays: Files = {
        "notes.docx": b"PK",
        "pictures/session1/9.tiff": b"no picture",
        "pictures/Session1/1.TIFF": picture(1),
        "pictures/session 3/1.tiff": picture(2),
        "pictures/session1/x\u202egpj.exe": b"MZ",
        "pictures/s /1.tiff": picture(3),
    }
    outcome = validated({**project(), **strays, "_COMPLETE": file_list(project())})
    clean = validated(project())

    finding = outcome.only("not-listed")
    # A name that is never listed is not even counted.
    assert finding.found
    assert finding.found.en == "5 files, the first notes.docx"
    assert finding.found.fr == "5 fichiers, le premier notes.docx"
    assert outcome.codes == {"not-listed"}
    assert outcome.report.importable
    assert outcome.manifests == clean.manifests


def test_a_list_of_paths_alone_is_enough_and_case_and_accents_may_differ(validated: Validate) -> None:
    named = "\n".join(["files:", *(path.upper() for path in project())]).encode()
    outcome = validated({**project(), "stray.txt": b"x", "_COMPLETE": named})
    assert outcome.codes == {"not-listed"}


def test_a_listed_picture_that_is_not_there_counts_among_those_that_are_too_many(validated: Validate) -> None:
    named = file_list({**project(), "pictures/session1/9.png": b"not sent"})
    outcome = validated({**project(), "_COMPLETE": named})
    assert outcome.codes == {"listed-file-missing", "surplus-picture"}
    finding = outcome.only("surplus-picture")
    assert finding.expected.en == "2 pictures in pictures/session1"
    assert finding.found.en == "2 pictures and 1 more in the list in _COMPLETE"


def test_a_picture_that_was_cut_off_on_its_way_is_reported_once_and_says_so(validated: Validate) -> None:
    whole = project()
    cut = {**whole, FIRST: whole[FIRST][:-100]}
    finding = validated({**cut, "_COMPLETE": file_list(whole)}).only("listed-file-differs")
    assert finding.path == FIRST
    size = len(whole[FIRST])
    assert (finding.expected.en, finding.found.en) == (f"{size} bytes", f"{size - 100} bytes")


def test_a_picture_of_the_same_size_with_other_bytes_is_reported_once(validated: Validate) -> None:
    whole = project()
    damaged = {**whole, FIRST: whole[FIRST][:-100] + bytes(100)}
    outcome = validated({**damaged, "_COMPLETE": file_list(whole)})
    assert outcome.codes == {"listed-file-differs"}
    assert re.fullmatch(r"[0-9a-f]{64}", outcome.only("listed-file-differs").found.en)


@pytest.mark.parametrize("marker", [STAGING, b"staging", b"Staging\r\n"], ids=["nachet's", "a word", "a line"])
def test_a_folder_that_is_half_changed_is_told_only_that(validated: Validate, marker: bytes) -> None:
    half = changed(project(), "pictures/session1/index.yaml", b"napus", b"nappus")
    outcome = validated({**half, "notes.txt": b"", "_COMPLETE": marker})
    assert outcome.codes == {"staging-interrupted"}


def test_a_list_that_cannot_be_used_is_told_once_whatever_else_there_is(validated: Validate) -> None:
    outcome = validated({**project(), "pictures/s /aux.tiff": b"", "_COMPLETE": b"files:\n..\n"})
    assert outcome.codes == {"file-list-content"}
    assert not outcome.report.importable


def test_a_list_that_is_too_long_is_told_without_being_read(
    validated: Validate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nachet_pipeline.contract.structure.MOST_LIST_BYTES", 50)
    outcome = validated({**project(), "_COMPLETE": file_list(project())})
    assert outcome.codes == {"file-list-content"}
