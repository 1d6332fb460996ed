"""Pictures of microscopes, phones and cameras in their own formats: one finding each, with how to export it."""

import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from nachet_pipeline.contract import other_pictures
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline_tests.contract.folders import Files, Validate, changed, picture, session, without
from nachet_pipeline_tests.contract.judged import Judged, judge
from nachet_pipeline_tests.pictures.cameras import imagej, log_luv, ome, raw_of_a_camera, scanned, slide
from nachet_pipeline_tests.pictures.files import grey_tiff, inspect, only, saved, text


def _saved(picture_format: str) -> bytes:
    return saved(Image.new("RGB", (8, 8)), picture_format)


def _boxes(brand: bytes, *others: bytes) -> bytes:
    return struct.pack(">I", 16 + 4 * len(others)) + b"ftyp" + brand + bytes(4) + b"".join(others) + bytes(900)


Judge = Callable[..., Judged]
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
FORMATS: dict[str, tuple[str, bytes, str, str]] = {
    "CZI": (".czi", b"ZISRAWFILE\0\0\0\0\0\0" + bytes(500), "a CZI file, as ZEN writes it", "ZEN"),
    "LIF": (".lif", b"\x70\0\0\0\x80\0\0\0\x2a" + bytes(500), "a LIF file, as LAS X writes it", "LAS X"),
    "ND2": (".nd2", b"\xda\xce\xbe\x0a" + bytes(500), "an ND2 file, as NIS-Elements writes it", "NIS-Elements"),
    "OIB": (".oib", _OLE + bytes(500) + "OibInfo.txt".encode("utf-16-le"), "an OIB file", "FluoView"),
    "HEIC": (".heic", _boxes(b"heic", b"mif1", b"heic"), "a HEIC file", "Most Compatible"),
    "HEIF": (".HEIF", _boxes(b"mif1", b"mif1", b"heic"), "a HEIC file", "Most Compatible"),
    "AVIF": (".avif", _boxes(b"avif", b"mif1"), "an AVIF file", "ImageJ"),
    "AVIF of a general brand": (".avif", _boxes(b"mif1", b"avif"), "an AVIF file", "ImageJ"),
    "CR3": (".cr3", _boxes(b"crx ", b"isom"), "a camera's raw file", "maker"),
    "JP2": (".jp2", _saved("JPEG2000"), "a JPEG 2000 file", "ImageJ"),
    "J2K": (".j2k", b"\xff\x4f\xff\x51\x00\x2f" + bytes(90), "a JPEG 2000 file", "ImageJ"),
    "WebP": (".webp", _saved("WEBP"), "a WebP file", "ImageJ"),
    "BMP": (".bmp", _saved("BMP"), "a BMP file", "ImageJ"),
    "GIF": (".gif", _saved("GIF"), "a GIF file", "ImageJ"),
    "HEIF with a short header": (".heif", _boxes(b"mif3", b"mini"), "a HEIC file", "Most Compatible"),
    "HEIF of another coder": (".heif", _boxes(b"avci", b"mif1", b"avci"), "a HEIC file", "Most Compatible"),
    "J2K of a profile": (".j2k", b"\xff\x4f\xff\x51\x03\x29" + bytes(90), "a JPEG 2000 file", "ImageJ"),
    "JPEG XR": (".jxr", b"II\xbc\x01\x20\0\0\0" + bytes(90), "a JPEG XR file", "ImageJ"),
    "XCF": (".xcf", b"gimp xcf v011\0" + bytes(90), "an XCF file, as GIMP writes it", "Export As"),
    "DICOM": (".dcm", bytes(128) + b"DICM" + bytes(90), "a DICOM file", "ImageJ"),
    "RAF": (".raf", b"FUJIFILMCCD-RAW 0201" + bytes(90), "a camera's raw file", "maker"),
    "CR2": (".cr2", b"II*\0\x10\0\0\0CR\2\0" + bytes(90), "a camera's raw file", "maker"),
}
BY_NAME: dict[str, tuple[str, bytes, str, str]] = {
    # They begin like a TIFF, like JPEG 2000 or with text, so their name decides.
    "SVS": (".svs", slide(), "a scanned slide", "QuPath"),
    "VSI": (".vsi", grey_tiff(), "a VSI file", "cellSens"),
    "OIF": (".oif", "\ufeff[ProfileSaveInfo]\r\n".encode("utf-16-le"), "an OIF file", "FluoView"),
    "old ND2": (".nd2", _saved("JPEG2000"), "an ND2 file, as NIS-Elements writes it", "NIS-Elements"),
    "NEF": (".nef", raw_of_a_camera(), "a camera's raw file", "maker"),
    "ARW": (".arw", raw_of_a_camera(), "a camera's raw file", "maker"),
    "DNG": (".dng", grey_tiff([(50706, 1, 4, b"\1\4\0\0")]), "a camera's raw file", "maker"),
}


@pytest.fixture
def judged(tmp_path: Path) -> Judge:
    return partial(judge, tmp_path / "upload")


def _session_of(suffix: str, content: bytes) -> Files:
    """A session of two pictures as its index declares it, one of them with its YAML file."""
    files = without(session(), "1.tiff", "2.tiff")
    return {**files, f"1{suffix}": content, f"2{suffix}": content, "1.yaml": b"userData: {zoom: 20}\n"}


@pytest.mark.parametrize("name", [*FORMATS, *BY_NAME])
def test_a_picture_in_another_format_is_one_finding_that_says_how_to_export_it(name: str, judged: Judge) -> None:
    suffix, content, what, program = (FORMATS | BY_NAME)[name]

    outcome = judged(_session_of(suffix, content))

    assert [(one.code, one.path) for one in outcome.findings] == [
        ("other-format", f"1{suffix}"),
        ("other-format", f"2{suffix}"),
    ]
    finding = outcome.findings[0]
    assert finding.expected is not None
    assert finding.expected.en == "TIFF, PNG or JPEG"
    assert finding.found is not None
    assert finding.found.en == what
    assert finding.found.fr != what
    assert finding.advice is not None
    assert program in finding.advice.en
    assert finding.advice.fr != finding.advice.en
    assert finding.suggestion is None


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".PNG"])
def test_it_is_recognised_under_the_name_of_an_imported_format(name: str, suffix: str) -> None:
    _, content, what, program = FORMATS[name]
    picture_format = {".tif": "TIFF", ".jpg": "JPEG", ".PNG": "PNG"}[suffix]

    issue = only(picture_format, content)

    # What begins like a TIFF is read as one, down to what gives it away.
    assert issue.code in ({"other-format", "picture-damaged"} if name == "CR2" else {"other-format"})
    if issue.code == "other-format":
        assert issue.found is not None
        assert issue.found.en == what
        assert issue.advice is not None
        assert program in issue.advice.en


@pytest.mark.parametrize("content", [raw_of_a_camera(), BY_NAME["DNG"][1]], ids=["NEF", "DNG"])
def test_a_cameras_raw_file_is_recognised_under_the_name_of_a_tiff(content: bytes) -> None:
    issue = only("TIFF", content)

    assert issue.code == "other-format"
    assert issue.found is not None
    assert issue.found.en == "a camera's raw file"


@pytest.mark.parametrize("suffix", ["", ".dat", ".image"])
def test_it_is_recognised_under_a_name_that_says_nothing(suffix: str, judged: Judge) -> None:
    outcome = judged(_session_of(suffix, FORMATS["CZI"][1]))

    assert {one.code for one in outcome.findings} == {"other-format"}
    assert len(outcome.findings) == 2


def test_a_picture_of_an_imported_format_under_the_name_of_another_is_told_to_be_renamed(judged: Judge) -> None:
    outcome = judged(_session_of(".heic", picture(4, "jpeg")))

    assert [one.code for one in outcome.findings] == ["picture-format"] * 2
    finding = outcome.findings[0]
    assert finding.found is not None
    assert finding.found.en == "JPEG"
    assert finding.advice is not None
    assert finding.advice.en == "Rename the file so that its name ends in .jpg; its content stays as it is."
    assert finding.advice.fr == "Renommez le fichier pour que son nom se termine par .jpg; son contenu reste tel quel."


def test_the_original_beside_its_export_is_to_be_taken_out(judged: Judge) -> None:
    finding = judged({**session(), "1.czi": FORMATS["CZI"][1]}).only("other-format")

    assert finding.advice is not None
    assert "if it is the export of this file, take this file out of the folder" in finding.advice.en


def test_pictures_that_are_missing_besides_are_told_of(judged: Judge) -> None:
    files = changed({**session(), "3.czi": FORMATS["CZI"][1]}, "index.yaml", b"Images: 2", b"Images: 4")

    assert judged(files).codes == {"other-format", "missing-picture"}


def test_an_empty_file_is_told_to_be_empty_and_nothing_else(judged: Judge) -> None:
    assert {(one.code, one.path) for one in judged(_session_of(".nd2", b"")).findings} == {
        ("empty-file", "1.nd2"),
        ("empty-file", "2.nd2"),
    }


def test_of_more_files_than_are_read_the_name_decides(judged: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_pictures, "MOST_STARTS_READ", 1)

    outcome = judged(_session_of(".heic", picture(4, "jpeg")))

    assert [(one.code, one.path) for one in outcome.findings] == [
        ("picture-format", "1.heic"),
        ("other-format", "2.heic"),
    ]


def test_a_folder_of_nothing_but_such_pictures_is_told_of_them_and_of_its_index(judged: Judge) -> None:
    outcome = judged({f"{number}.czi": FORMATS["CZI"][1] for number in range(3)})

    assert sorted(one.code for one in outcome.findings) == [
        "missing-index",
        "other-format",
        "other-format",
        "other-format",
    ]


def test_such_a_folder_is_refused_with_one_finding_a_file(validated: Validate) -> None:
    outcome = validated(_session_of(".tif", FORMATS["LIF"][1]))

    assert outcome.report.codes == {"other-format": 2}
    assert not outcome.report.importable


# --- several pictures in one TIFF -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "code", "found"),
    [
        (ome(6, z=6), "z-stack", "6 planes of focus"),
        (ome(6, z=3, c=2), "z-stack", "3 planes of focus, 2 channels"),
        (ome(3, c=3), "several-channels", "3 channels"),
        (ome(4, t=4), "time-series", "4 moments"),
        (imagej(slices=5), "z-stack", "5 planes of focus"),
        (imagej(channels=2), "several-channels", "2 channels"),
        (imagej(frames=7), "time-series", "7 moments"),
        (ome(70, z=70), "z-stack", "70 planes of focus"),
        (scanned(70), "scanned-pages", "more than 64 pages"),
        (slide(), "slide-pyramid", "a slide at several scales"),
        (slide(""), "slide-pyramid", "a slide at several scales"),
        (scanned(), "scanned-pages", "3 pages"),
    ],
)
def test_several_pictures_in_a_tiff_are_told_apart(content: bytes, code: str, found: str) -> None:
    issue = only("TIFF", content)

    assert issue.code == code
    assert issue.found is not None
    assert issue.found.en == found


def test_a_slide_of_more_pixels_than_are_allowed_is_told_to_be_a_slide() -> None:
    issue = only("TIFF", slide(), PictureLimits(pixels=1_000))

    assert issue.code == "slide-pyramid"


def test_a_compression_that_is_not_read_is_named() -> None:
    issue = only("TIFF", log_luv())

    assert issue.code == "picture-damaged"
    assert issue.found is not None
    assert issue.found.en == "the compression LogLuv (34676)"
    assert issue.advice is not None
    assert issue.advice.en == "Save the picture again as a TIFF with LZW compression or with none."


def test_a_description_that_only_speaks_of_several_planes_makes_none() -> None:
    assert inspect("TIFF", ome(z=9, c=2, t=4)).issues == ()
    assert inspect("TIFF", grey_tiff([(270, *text(b"ImageJ=1.54f\nimages=1\nslices=1\n"))])).issues == ()
