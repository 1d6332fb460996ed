"""What a sender's SHA256SUMS says of an upload, however it was written."""

import hashlib
import shutil
import subprocess
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nachet_pipeline.contract.checksums import read_checksums
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import Checksum
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.names import is_hidden, is_litter, why_unsafe
from nachet_pipeline_tests.contract.folders import Files, picture, project, session
from nachet_pipeline_tests.contract.judged import Judged, judge

A, B = "a" * 64, "b" * 64

Judge = Callable[..., Judged]


@pytest.fixture
def judged(tmp_path: Path) -> Judge:
    return lambda files, **options: judge(tmp_path / "upload", files, **options)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sums(files: Files, *paths: str, below: str = "") -> bytes:
    return "".join(f"{_sha256(files[path])}  {path.removeprefix(below)}\n" for path in paths or files).encode()


def _read(content: bytes, path: str = "SHA256SUMS") -> list[Checksum | Finding]:
    return list(read_checksums(content, path))


def _one(content: bytes, path: str = "SHA256SUMS") -> tuple[str, str]:
    (only,) = _read(content, path)
    assert isinstance(only, Checksum), only
    return only.path, only.sha256


@pytest.mark.parametrize(
    "line",
    [
        f"{A}  1.tiff",
        f"{A} *1.tiff",
        f"{A} 1.tiff",
        f"{A}\t1.tiff",
        f"{A.upper()}  1.tiff",
        f"{A}  ./1.tiff",
        f"{A}  .\\1.tiff",
        f"{A}  ././1.tiff",
        f"SHA256 (1.tiff) = {A}",
        f"SHA256(1.tiff)= {A}",
        f"\ufeff{A}  1.tiff",
        f"# made with care\n\n{A}  1.tiff\n   \n",
        f"{A}  1.tiff\r\n",
    ],
)
def test_a_line_of_any_program_names_a_file_and_its_checksum(line: str) -> None:
    assert _one(line.encode()) == ("1.tiff", A)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (f"{A}  a  b (2).tiff", "a  b (2).tiff"),
        (f"SHA256 (a (2) = b.tiff) = {A}", "a (2) = b.tiff"),
        (f"{A}  pictures\\s 1\\1.tiff", "pictures/s 1/1.tiff"),
        (f"\\{A}  a\\nb\\\\c.tiff", "a\nb\\c.tiff"),
        (f"\\SHA256 (a\\\\b) = {A}", "a\\b"),
        (f"{A}  e\u0301.tiff", "\u00e9.tiff"),
    ],
)
def test_a_name_is_read_as_its_program_wrote_it(line: str, name: str) -> None:
    assert _one(line.encode()) == (name, A)


def test_names_are_relative_to_the_folder_of_their_file() -> None:
    assert _one(f"{A}  1.tiff".encode(), "pictures/s/SHA256SUMS")[0] == "pictures/s/1.tiff"
    assert _one(f"{A}  ../t/1.tiff".encode(), "pictures/s/SHA256SUMS")[0] == "pictures/t/1.tiff"


def test_every_line_is_counted_whatever_ends_it() -> None:
    for end in ("\n", "\r\n", "\r"):
        content = f"# sums{end}{end}{A}  1.tiff{end}{B}  2.tiff{end}".encode()
        assert _read(content) == [
            Checksum("1.tiff", A, "SHA256SUMS", 3),
            Checksum("2.tiff", B, "SHA256SUMS", 4),
        ]


def test_a_list_that_was_being_written_while_it_was_made_does_not_speak_of_itself() -> None:
    content = f"{A}  SHA256SUMS\n{A}  .DS_Store\n{A}  _COMPLETE\n{B}  .git/x\n{B}  1.tiff\n".encode()

    assert _read(content) == [Checksum("1.tiff", B, "SHA256SUMS", 5)]


@pytest.mark.parametrize(
    ("line", "column", "found"),
    [
        ("1.tiff", 1, "1.tiff"),
        (A, 1, A),
        (f"{A[:-1]}  1.tiff", 1, f"{A[:-1]}  1.tiff"),
        (f"{A}1.tiff", 1, f"{A}1.tiff"),
        ("d41d8cd98f00b204e9800998ecf8427e  1.tiff", 1, "a checksum by MD5"),
        (f"{'a' * 40} *1.tiff", 1, "a checksum by SHA-1"),
        (f"{A}{A}  1.tiff", 1, "a checksum by SHA-512"),
        ("MD5 (1.tiff) = d41d8cd98f00b204e9800998ecf8427e", 1, "a checksum by MD5"),
        (f"{A}  /home/ada/1.tiff", 67, "/home/ada/1.tiff"),
        (f"{A}  C:\\seeds\\1.tiff", 67, "C:/seeds/1.tiff"),
        (f"{A}  ../1.tiff", 67, "../1.tiff"),
        (f"{A}  {'n' * 5_000}", 1, "a longer name than any file's"),
        (f"{A}  caf\udce9.tiff", 70, "the byte 0xe9"),
    ],
)
def test_a_line_that_is_no_checksum_of_the_upload_is_told_with_its_place(line: str, column: int, found: str) -> None:
    (finding,) = _read(b"\n" + line.encode("utf-8", "surrogateescape"))

    assert isinstance(finding, Finding)
    assert (finding.code, finding.line, finding.column) == ("checksum-syntax", 2, column)
    assert finding.expected is not None
    assert finding.found is not None
    assert finding.found.en == found


def test_the_output_of_a_shell_in_utf16_is_told_as_such() -> None:
    (finding,) = _read(f"{A}  1.tiff".encode("utf-16"))

    assert isinstance(finding, Finding)
    assert finding.found is not None
    assert finding.found.en == "text in UTF-16"


def test_a_file_of_something_else_is_told_a_hundred_times_at_most() -> None:
    findings = _read(b"\xff\xd8 picture\n" * 10_000)

    assert len(findings) == 100


@given(st.binary(max_size=200) | st.text(f"{A[:9]} *\\()=SHA256/\n\r.", max_size=200).map(str.encode))
@example(f"{A}  \0".encode())
@example(f"{A}  .".encode())
def test_no_bytes_make_the_reader_fail(content: bytes) -> None:
    for item in read_checksums(content, "pictures/s/SHA256SUMS"):
        assert item.line
        assert isinstance(item, Checksum | Finding)


_NAMES = st.text(min_size=1, max_size=12).filter(
    lambda name: why_unsafe(name) is None and not is_litter(name) and not is_hidden(name)
)


@given(st.dictionaries(_NAMES, st.binary(max_size=4), max_size=4), st.sampled_from(["gnu", "binary", "bsd"]))
def test_what_such_a_program_would_write_is_read_back(files: dict[str, bytes], style: str) -> None:
    pattern = {"gnu": "{1}  {0}\n", "binary": "{1} *{0}\n", "bsd": "SHA256 ({0}) = {1}\n"}[style]
    content = "".join(pattern.format(name, _sha256(data)) for name, data in files.items()).encode()

    read = _read(content, "sums")

    expected = [
        (unicodedata.normalize("NFC", name), _sha256(data)) for name, data in files.items() if name.casefold() != "sums"
    ]
    assert [(one.path, one.sha256) if isinstance(one, Checksum) else one for one in read] == expected


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="sha256sum is not installed")
def test_what_the_program_itself_writes_in_a_folder_is_honoured(judged: Judge) -> None:
    def arrange(root: Path) -> None:
        command = "find . -type f -exec sha256sum {} + > SHA256SUMS; cd pictures/session1 && sha256sum * > sha256sums"
        subprocess.run(["sh", "-c", command], cwd=root, check=True)

    outcome = judged({**project(), "_COMPLETE": b"", ".DS_Store": b"1"}, arrange=arrange)

    assert outcome.codes == {"ignored-file"}


def test_a_folder_whose_files_are_what_their_checksums_say_has_no_fault(judged: Judge) -> None:
    files = project()
    own = {path: content for path, content in files.items() if path.startswith("pictures/session2/")}

    outcome = judged(
        {
            **files,
            "SHA256SUMS": _sums(files),
            "pictures/session2/sha256sums.txt": _sums(own, below="pictures/session2/"),
        }
    )

    assert outcome.findings == []


def test_a_picture_that_changed_on_its_way_is_told_with_both_checksums(judged: Judge) -> None:
    files = project()
    sums = _sums(files)
    files["pictures/session1/2.tiff"] = picture(9)

    finding = judged({**files, "SHA256SUMS": sums}).only("checksum-mismatch")

    line = list(project()).index("pictures/session1/2.tiff") + 1
    assert finding.path == "pictures/session1/2.tiff"
    assert finding.expected is not None
    assert finding.expected.en == f"{_sha256(picture(2))} (SHA256SUMS:{line})"
    assert finding.found is not None
    assert finding.found.en == _sha256(picture(9))


@pytest.mark.parametrize("path", ["index.yaml", "pictures/session1/index.yaml", "pictures/session1/1.yaml"])
def test_an_index_and_a_pictures_yaml_are_checked_too(path: str, judged: Judge) -> None:
    files = project()
    sums = _sums(files)
    files[path] += b"# one more line\n"

    assert judged({**files, "SHA256SUMS": sums}).only("checksum-mismatch").path == path


def test_a_checksum_of_a_file_that_is_not_there_is_told_with_the_name_most_like_it(judged: Judge) -> None:
    files = project()
    sums = _sums(files).replace(b"pictures/session1/2.tiff", b"pictures/session1/2.tif")
    sums = sums.replace(_sha256(picture(2)).encode(), A.encode())

    outcome = judged({**files, "SHA256SUMS": sums})
    finding = outcome.only("checksum-without-file")

    assert (finding.path, finding.sessions) == ("SHA256SUMS", ("pictures/session1",))
    assert finding.line == list(files).index("pictures/session1/2.tiff") + 1
    assert finding.found is not None
    assert finding.found.en == "pictures/session1/2.tif"
    assert finding.suggestion is not None
    assert finding.suggestion.en == "pictures/session1/2.tiff"
    assert outcome.only("file-without-checksum").path == "pictures/session1/2.tiff"


def test_a_file_that_was_renamed_is_found_by_its_checksum(judged: Judge) -> None:
    sums = _sums(session()).replace(b"2.tiff", b"quite another name.tiff")

    finding = judged({**session(), "SHA256SUMS": sums}).only("checksum-without-file")

    assert finding.suggestion is not None
    assert finding.suggestion.en == "2.tiff"


def test_only_folders_that_have_checksums_are_told_what_lacks_one(judged: Judge) -> None:
    files = project()
    sums = _sums(files, "index.yaml", "pictures/session2/1.png")

    outcome = judged({**files, "SHA256SUMS": sums, "pictures/session2/notes.txt": b"1"})

    assert [finding.path for finding in outcome.findings if finding.code == "file-without-checksum"] == [
        "pictures/session2/2.jpeg",
        "pictures/session2/index.yaml",
    ]


def test_names_are_compared_whatever_the_encoding_of_accents_and_the_case(judged: Judge) -> None:
    files = {path.replace("2.tiff", "e\u0301.tiff"): content for path, content in session().items()}
    sums = _sums(files).replace("e\u0301.tiff".encode(), "\u00c9.tiff".encode())

    assert judged({**files, "SHA256SUMS": sums}).codes == {"unusual-name"}


def test_two_lists_that_contradict_each_other_are_told_where(judged: Judge) -> None:
    files = project()
    other = f"{A}  1.png\n{_sha256(files['pictures/session2/2.jpeg'])}  2.jpeg\n".encode()

    finding = judged({**files, "SHA256SUMS": _sums(files), "pictures/session2/SHA256SUMS": other}).only(
        "checksum-syntax"
    )

    line = list(files).index("pictures/session2/1.png") + 1
    assert (finding.path, finding.line) == ("pictures/session2/SHA256SUMS", 1)
    assert finding.found is not None
    assert finding.found.en == f"another one than in SHA256SUMS:{line}"


def test_a_list_that_is_too_large_is_told_so_without_being_read(judged: Judge) -> None:
    files = {**session(), "SHA256SUMS": _sums(session())}

    outcome = judged(files, limits=ContractLimits(checksums_bytes=100))

    finding = outcome.only("checksum-syntax")
    assert outcome.codes == {"checksum-syntax"}
    assert finding.expected is not None
    assert finding.expected.fr == "au plus 100 octets"
