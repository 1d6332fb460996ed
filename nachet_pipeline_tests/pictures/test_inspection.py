"""What holds for pictures of every format."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from nachet_pipeline.contract.catalogue import CATALOGUE
from nachet_pipeline.pictures.inspected import Thumbnail
from nachet_pipeline.pictures.inspection import inspect_picture
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.pictures.thumbnails import THUMBNAIL_SIDE
from nachet_pipeline.support.i18n import Bilingual
from nachet_pipeline_tests.pictures.files import (
    ELF,
    HTML,
    PHP,
    WINDOWS_PROGRAM,
    codes,
    inspect,
    noise,
    only,
    png_of,
    saved,
    seed_image,
    tiff_of,
    zip_archive,
)

GOOD: dict[str, tuple[str, bytes]] = {
    "png": ("PNG", saved(seed_image(), "PNG", dpi=(300, 300))),
    "png-palette": ("PNG", saved(seed_image("P"), "PNG")),
    "jpeg": ("JPEG", saved(seed_image(), "JPEG", dpi=(300, 300))),
    "jpeg-progressive": ("JPEG", saved(seed_image(), "JPEG", progressive=True)),
    "jpeg-exif": (
        "JPEG",
        saved(seed_image(), "JPEG", exif=b"Exif\0\0" + b"II*\0\x08\0\0\0\0\0\0\0\0\0" + b"\xff\xd9" * 20),
    ),
    "tiff-raw": ("TIFF", saved(seed_image(), "TIFF", dpi=(300, 300))),
    "tiff-lzw": ("TIFF", saved(seed_image(), "TIFF", compression="tiff_lzw", dpi=(300, 300))),
    "tiff-deflate": ("TIFF", saved(seed_image(), "TIFF", compression="tiff_adobe_deflate")),
    "tiff-jpeg": ("TIFF", saved(seed_image(), "TIFF", compression="jpeg")),
    "tiff-big": ("TIFF", saved(seed_image(), "TIFF", big_tiff=True)),
}
ONE_OF_EACH = ["png", "jpeg", "tiff-lzw"]


@pytest.mark.parametrize("name", GOOD)
def test_a_whole_picture_is_described_and_nothing_else_said(name: str) -> None:
    picture_format, content = GOOD[name]

    found = inspect(picture_format, content)

    assert found.issues == ()
    assert found.thumbnail is None
    assert found.properties is not None
    described = found.properties
    assert (described.picture_format, described.width, described.height) == (picture_format, 24, 16)


@pytest.mark.parametrize("name", ["png", "jpeg", "tiff-raw", "tiff-lzw"])
def test_the_resolution_is_told_in_pixels_per_inch(name: str) -> None:
    found = inspect(*GOOD[name]).properties

    assert found is not None
    assert found.resolution == pytest.approx((300, 300), rel=1e-3)


@pytest.mark.parametrize("name", ["png-palette", "tiff-deflate"])
def test_a_picture_without_a_resolution_gets_none(name: str) -> None:
    found = inspect(*GOOD[name]).properties

    assert found is not None
    assert found.resolution is None


@pytest.mark.parametrize("name", GOOD)
def test_a_picture_cut_off_anywhere_is_found(name: str) -> None:
    picture_format, content = GOOD[name]

    unnoticed = [n for n in range(1, len(content)) if inspect(picture_format, content[:n]).properties]

    assert unnoticed == []


@settings(max_examples=150)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_no_damage_makes_the_inspection_itself_fail(name: str, data: st.DataObject) -> None:
    picture_format, good = GOOD[name]
    content = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        match data.draw(st.sampled_from(["cut", "remove", "insert", "overwrite"])):
            case "cut":
                del content[start:]
            case "remove":
                del content[start : start + data.draw(st.integers(1, 20))]
            case "insert":
                content[start:start] = data.draw(st.binary(min_size=1, max_size=20))
            case _:
                new = data.draw(st.binary(min_size=1, max_size=8))
                content[start : start + len(new)] = new

    found = inspect(picture_format, bytes(content), thumbnail=Thumbnail.ALWAYS)

    for issue in found.issues:
        assert issue.code in CATALOGUE
        for phrase in (issue.expected, issue.found):
            assert phrase is not None
            assert phrase.en
            assert phrase.fr
            assert "\n" not in phrase.en
            assert "object at" not in phrase.en


@settings(max_examples=100)
@given(st.sampled_from(["PNG", "JPEG", "TIFF"]), st.binary(max_size=200), st.booleans())
def test_no_bytes_make_the_inspection_itself_fail(picture_format: str, content: bytes, with_magic: bool) -> None:
    magic = {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8\xff", "TIFF": b"II*\0"}[picture_format]

    assert inspect(picture_format, magic + content if with_magic else content).properties is None


@pytest.mark.parametrize(
    "payload", [zip_archive(), HTML, PHP, WINDOWS_PROGRAM, ELF], ids=["zip", "html", "php", "exe", "elf"]
)
@pytest.mark.parametrize(
    "name", ["png", "jpeg", "jpeg-progressive", "tiff-raw", "tiff-lzw", "tiff-deflate", "tiff-big"]
)
def test_a_file_appended_to_a_picture_is_found_and_the_picture_described_all_the_same(
    name: str, payload: bytes
) -> None:
    picture_format, content = GOOD[name]

    found = inspect(picture_format, content + payload)

    assert [issue.code for issue in found.issues] == ["trailing-data"]
    assert found.properties is not None
    assert found.properties.width == 24


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_what_follows_a_picture_is_told_by_its_size_and_look(name: str) -> None:
    picture_format, content = GOOD[name]
    archive = zip_archive()

    found = only(picture_format, content + archive).found

    assert found is not None
    assert f"{len(archive)} more bytes" in found.en
    assert "ZIP archive" in found.en
    assert f"{len(archive)} octets de plus" in found.fr
    assert "archive ZIP" in found.fr


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_zeros_after_a_picture_are_no_reason_to_refuse_it(name: str) -> None:
    picture_format, content = GOOD[name]

    assert codes(picture_format, content + bytes(512)) <= {"unused-bytes"}


@pytest.mark.parametrize("name", ["png", "jpeg"])
def test_more_zeros_than_any_padding_has_are_a_warning(name: str) -> None:
    picture_format, content = GOOD[name]

    assert codes(picture_format, content + bytes(70_000)) == {"unused-bytes"}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (GOOD["png"][1], Bilingual.same("PNG")),
        (GOOD["tiff-big"][1], Bilingual.same("TIFF")),
        (b"%PDF-1.7", Bilingual("a PDF", "un PDF")),
        (b"PK\x03\x04\0", Bilingual("a ZIP archive", "une archive ZIP")),
        (b"MZ\x90", Bilingual("a program", "un programme")),
        (b"\x7fELF", Bilingual("a program", "un programme")),
        (b"<!doctype html>", Bilingual("HTML or XML", "du HTML ou du XML")),
        (b"#!/bin/sh", Bilingual("a script", "un script")),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", Bilingual("a video", "une vidéo")),
        (b"Not a picture.\n", Bilingual("text", "du texte")),
        (
            b"\0\1\2\3\4",
            Bilingual("bytes that start with 00 01 02 03", "des octets qui commencent par 00 01 02 03"),
        ),
    ],
)
def test_a_file_that_is_no_jpeg_is_told_what_it_is(content: bytes, what: Bilingual) -> None:
    issue = only("JPEG", content)

    assert (issue.code, issue.expected, issue.found) == ("picture-format", Bilingual.same("JPEG"), what)


@pytest.mark.parametrize("said", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_picture_is_accepted_under_its_own_name_only(name: str, said: str) -> None:
    is_format, content = GOOD[name]

    found = inspect(said, content)

    if said == is_format:
        assert found.properties is not None
    else:
        assert [(issue.code, issue.found) for issue in found.issues] == [("picture-format", Bilingual.same(is_format))]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (PictureLimits(file_bytes=100), Bilingual("at most 100 bytes", "au plus 100 octets")),
        (
            PictureLimits(pixels=383),
            Bilingual("at most 383 pixels, 30000 on a side", "au plus 383 pixels, 30000 de côté"),
        ),
        (
            PictureLimits(side=23),
            Bilingual("at most 100000000 pixels, 23 on a side", "au plus 100000000 pixels, 23 de côté"),
        ),
    ],
)
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_picture_above_a_limit_is_refused_with_the_limit(
    name: str, limits: PictureLimits, expected: Bilingual
) -> None:
    issue = only(*GOOD[name], limits)

    assert (issue.code, issue.expected) == ("picture-too-large", expected)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_picture_at_the_limits_is_accepted(name: str) -> None:
    picture_format, content = GOOD[name]

    found = inspect(picture_format, content, PictureLimits(file_bytes=len(content), pixels=384, side=24))

    assert found.properties is not None


def test_a_small_file_that_claims_a_huge_picture_is_refused_before_it_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    content = png_of([(b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")])

    assert codes("PNG", content) == {"picture-too-large"}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (2000, 3), (400, 300)])
@pytest.mark.parametrize("picture_format", ["PNG", "TIFF"])
def test_a_picture_of_any_kind_has_a_small_jpeg_to_show(mode: str, size: tuple[int, int], picture_format: str) -> None:
    content = saved(seed_image(mode, size), picture_format)

    found = inspect(picture_format, content, thumbnail=Thumbnail.ALWAYS)

    assert found.properties is not None
    assert found.properties.mode == mode
    assert found.thumbnail is not None
    with Image.open(io.BytesIO(found.thumbnail)) as small:
        small.load()
        assert small.format == "JPEG"
        assert max(small.size) <= THUMBNAIL_SIDE
        assert small.mode == "RGB"


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_of_any_colours_has_a_small_one_to_show(mode: str) -> None:
    found = inspect("JPEG", saved(seed_image(mode, (900, 700)), "JPEG"), thumbnail=Thumbnail.ALWAYS)

    assert found.properties is not None
    assert (found.properties.width, found.properties.height, found.properties.mode) == (900, 700, mode)
    assert found.thumbnail is not None
    with Image.open(io.BytesIO(found.thumbnail)) as small:
        assert max(small.size) == THUMBNAIL_SIDE


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(
    "size", [(1, 1), (500, 1), (1, 500), (2000, 3), (9000, 8), (8, 9000), (1600, 1200), (300, 200)]
)
def test_a_jpeg_that_is_measured_has_the_thumbnail_of_one_that_is_not(mode: str, size: tuple[int, int]) -> None:
    content = saved(Image.new("RGB", size, (200, 40, 40)).convert(mode), "JPEG")
    plain, measured = (
        inspect_picture(content, "JPEG", PictureLimits(), thumbnail=Thumbnail.ALWAYS, enriched=enriched).thumbnail
        for enriched in (False, True)
    )
    assert plain
    assert measured
    one, other = (Image.open(io.BytesIO(thumbnail)) for thumbnail in (plain, measured))
    assert one.size == other.size
    difference = np.asarray(one.convert("RGB"), "int16") - np.asarray(other.convert("RGB"), "int16")
    assert np.abs(difference).mean() < 5


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "F", "I"])
def test_the_kinds_of_pixels_of_other_programs_can_be_shown_too(mode: str) -> None:
    found = inspect("TIFF", saved(seed_image(mode), "TIFF"), thumbnail=Thumbnail.ALWAYS)

    assert found.properties is not None
    assert found.thumbnail


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_microscopes_16_bit_picture_is_shown_in_all_its_greys(order: str) -> None:
    array = noise((1, 160), "u2") * 0 + range(1000, 2600, 10)

    found = inspect("TIFF", tiff_of(array.astype("u2"), byteorder=order), thumbnail=Thumbnail.ALWAYS)

    assert found.properties is not None
    assert found.thumbnail is not None
    with Image.open(io.BytesIO(found.thumbnail)) as small:
        low, high = small.convert("L").getextrema()
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    assert low < 20
    assert high > 235


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_only_a_picture_with_something_to_say_of_it_is_shown_if_that_was_asked(name: str) -> None:
    picture_format, content = GOOD[name]

    assert inspect(picture_format, content, thumbnail=Thumbnail.IF_REMARKABLE).thumbnail is None
    assert inspect(picture_format, content + PHP, thumbnail=Thumbnail.IF_REMARKABLE).thumbnail
    assert inspect(picture_format, content + PHP, thumbnail=Thumbnail.NEVER).thumbnail is None


@pytest.mark.parametrize("picture_format", ["PNG", "JPEG"])
def test_of_a_damaged_picture_its_undamaged_part_is_shown(picture_format: str) -> None:
    content = saved(seed_image("RGB", (200, 200)), picture_format)

    found = inspect(picture_format, content[: len(content) // 2], thumbnail=Thumbnail.IF_REMARKABLE)

    assert found.properties is None
    assert found.thumbnail
    assert not ImageFile.LOAD_TRUNCATED_IMAGES  # other pictures are decoded strictly again


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_picture_above_the_limits_is_never_shown(name: str) -> None:
    found = inspect(*GOOD[name], PictureLimits(side=10), thumbnail=Thumbnail.ALWAYS)

    assert found.thumbnail is None


def test_all_that_is_wrong_is_said_at_once() -> None:
    damaged = bytearray(GOOD["jpeg"][1])
    start = damaged.rindex(b"\xff\xda") + 14
    del damaged[start + 100 : -100]
    comment = b"\xff\xfe" + struct.pack(">H", 2 + len(PHP)) + PHP

    found = codes("JPEG", bytes(damaged[:2] + comment + damaged[2:] + zip_archive()))

    assert found == {"suspicious-metadata", "trailing-data", "picture-damaged"}


def test_a_picture_with_something_wrong_everywhere_gets_a_bounded_number_of_remarks() -> None:
    texts = [(b"tEXt", b"Key %d\0" % number + PHP) for number in range(1_000)]
    header, *others = [(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))]
    content = png_of([header, *others, *texts, (b"IDAT", b"broken"), (b"IEND", b"")])

    found = inspect("PNG", content)

    assert len(found.issues) == 50
    assert "picture-damaged" in {issue.code for issue in found.issues}


@pytest.mark.parametrize("compression", ["lzw", "zlib"])
def test_of_a_damaged_compressed_tiff_the_strips_that_decode_are_shown(compression: str) -> None:
    array = np.zeros((480, 640, 3), "u1")
    array[:240] = (0, 200, 0)
    array[240:] = np.random.default_rng(1).integers(0, 255, (240, 640, 3))
    content = tiff_of(array, photometric="rgb", compression=compression, rowsperstrip=16)

    found = inspect("TIFF", content[: len(content) // 2], thumbnail=Thumbnail.IF_REMARKABLE)

    assert [issue.code for issue in found.issues] == ["picture-damaged"]
    assert found.thumbnail is not None
    with Image.open(io.BytesIO(found.thumbnail)) as small:
        red, green, blue = small.convert("RGB").getpixel((small.width // 2, small.height // 4))
        below = small.convert("L").getpixel((small.width // 2, small.height - 2))
    assert (green > 150, red < 60, blue < 60, below < 30) == (True, True, True, True)


@pytest.mark.parametrize(("said", "real"), [("TIFF", "PNG"), ("PNG", "JPEG"), ("JPEG", "TIFF")])
def test_a_picture_under_the_name_of_another_format_is_shown(said: str, real: str) -> None:
    found = inspect(said, saved(seed_image("RGB"), real), thumbnail=Thumbnail.IF_REMARKABLE)

    assert [issue.code for issue in found.issues] == ["picture-format"]
    assert found.properties is None
    assert found.thumbnail is not None


def test_what_is_no_picture_under_a_pictures_name_is_not_shown() -> None:
    assert inspect("TIFF", b"II*\x00" + bytes(50), thumbnail=Thumbnail.ALWAYS).thumbnail is None
    assert inspect("TIFF", b"%PDF-1.7 " + bytes(50), thumbnail=Thumbnail.ALWAYS).thumbnail is None
