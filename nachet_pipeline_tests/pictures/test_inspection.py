import io
import random
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nachet_pipeline.contract.findings import CATALOGUE
from nachet_pipeline.pictures.inspection import THUMBNAIL_SIDE, Fault, Limits, Properties, inspect_picture

LIMITS = Limits()


@pytest.fixture(autouse=True)
def _as_in_a_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker ignores what a decoder mutters, and has no limit but ours."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _image(mode: str = "RGB", size: tuple[int, int] = (24, 16)) -> Image.Image:
    noise = random.Random(1).randbytes(size[0] * size[1] * 4)
    return Image.frombytes("RGBA", size, noise).convert("RGB" if mode == "RGB" else "L").convert(mode)


def _file(picture_format: str, image: Image.Image | None = None, **options: Any) -> bytes:
    stream = io.BytesIO()
    (image or _image()).save(stream, picture_format, **options)
    return stream.getvalue()


GOOD: dict[str, tuple[str, bytes]] = {
    "png": ("PNG", _file("PNG", dpi=(300, 300))),
    "png-interlaced-palette": ("PNG", _file("PNG", _image("P"))),
    "jpeg": ("JPEG", _file("JPEG", dpi=(300, 300))),
    "jpeg-progressive": ("JPEG", _file("JPEG", progressive=True)),
    "jpeg-exif": ("JPEG", _file("JPEG", exif=b"Exif\0\0" + b"II*\0\x08\0\0\0\0\0\0\0\0\0" + b"\xff\xd9" * 20)),
    "tiff-raw": ("TIFF", _file("TIFF", dpi=(300, 300))),
    "tiff-lzw": ("TIFF", _file("TIFF", compression="tiff_lzw", dpi=(300, 300))),
    "tiff-deflate": ("TIFF", _file("TIFF", compression="tiff_adobe_deflate")),
    "tiff-jpeg": ("TIFF", _file("TIFF", compression="jpeg")),
    "tiff-big": ("TIFF", _file("TIFF", big_tiff=True)),
}


def _inspect(name: str, content: bytes) -> Properties | Fault:
    return inspect_picture(content, GOOD[name][0], LIMITS)


@pytest.mark.parametrize("name", GOOD)
def test_a_whole_picture_is_described(name: str) -> None:
    picture_format, content = GOOD[name]

    found = _inspect(name, content)

    assert isinstance(found, Properties)
    assert (found.picture_format, found.width, found.height) == (picture_format, 24, 16)
    assert found.thumbnail is None


@pytest.mark.parametrize("name", ["png", "jpeg", "tiff-raw", "tiff-lzw"])
def test_the_resolution_is_told_in_pixels_per_inch(name: str) -> None:
    found = _inspect(name, GOOD[name][1])

    assert isinstance(found, Properties)
    assert found.resolution == pytest.approx((300, 300), rel=1e-3)


@pytest.mark.parametrize("name", GOOD)
def test_a_picture_cut_off_anywhere_is_found(name: str) -> None:
    content = GOOD[name][1]

    unnoticed = [
        length for length in range(1, len(content)) if isinstance(_inspect(name, content[:length]), Properties)
    ]

    assert unnoticed == []


@pytest.mark.parametrize("name", ["png", "png-interlaced-palette"])
def test_every_flipped_bit_of_a_png_is_found(name: str) -> None:
    content = GOOD[name][1]

    for place in range(len(content)):
        damaged = content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]
        assert isinstance(_inspect(name, damaged), Fault), place


@settings(max_examples=150)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_no_damage_makes_the_inspection_itself_fail(name: str, data: st.DataObject) -> None:
    content = bytearray(GOOD[name][1])
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

    found = inspect_picture(bytes(content), GOOD[name][0], LIMITS, thumbnail=True)

    if isinstance(found, Fault):
        assert found.code in CATALOGUE
        assert found.expected
        assert found.found
        assert "\n" not in found.found
        assert "object at" not in found.found


@settings(max_examples=100)
@given(st.sampled_from(["PNG", "JPEG", "TIFF"]), st.binary(max_size=200), st.booleans())
def test_no_bytes_make_the_inspection_itself_fail(picture_format: str, content: bytes, with_magic: bool) -> None:
    magic = {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8\xff", "TIFF": b"II*\0"}[picture_format]

    found = inspect_picture(magic + content if with_magic else content, picture_format, LIMITS)

    assert isinstance(found, Fault)


@pytest.mark.parametrize("name", ["png", "jpeg", "jpeg-progressive"])
@pytest.mark.parametrize("tail", [b"\0", b"PK\x03\x04 archive", b"<script>", b"\xff\xd9"])
def test_what_follows_the_end_of_a_picture_is_found(name: str, tail: bytes) -> None:
    found = _inspect(name, GOOD[name][1] + tail)

    assert found == Fault("trailing-data", "the end of the file", f"{len(tail)} more bytes")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (GOOD["png"][1], "PNG"),
        (GOOD["tiff-big"][1], "TIFF"),
        (b"GIF89a", "a GIF"),
        (b"%PDF-1.7", "a PDF"),
        (b"PK\x03\x04\0", "a ZIP archive"),
        (b"MZ\x90", "a program"),
        (b"\x7fELF", "a program"),
        (b"<!doctype html>", "HTML or XML"),
        (b"#!/bin/sh", "a script"),
        (b"Not a picture.\n", "text"),
        (b"\0\1\2\3\4", "bytes that start with 00 01 02 03"),
    ],
)
def test_a_file_that_is_no_jpeg_is_told_what_it_is(content: bytes, what: str) -> None:
    assert inspect_picture(content, "JPEG", LIMITS) == Fault("picture-format", "JPEG", what)


def _animated_png() -> bytes:
    return _file("PNG", save_all=True, append_images=[_image().rotate(180)])


def _several_pages() -> bytes:
    return _file("TIFF", save_all=True, append_images=[_image()])


def _multi_picture_jpeg() -> bytes:
    return _file("MPO", save_all=True, append_images=[_image()])


@pytest.mark.parametrize(
    ("picture_format", "content"),
    [("PNG", _animated_png()), ("TIFF", _several_pages())],
    ids=["animated-png", "pages"],
)
def test_a_file_of_several_pictures_is_refused(picture_format: str, content: bytes) -> None:
    found = inspect_picture(content, picture_format, LIMITS)

    assert isinstance(found, Fault)
    assert found.code == "several-pages"


def test_the_second_picture_of_a_phones_jpeg_is_refused() -> None:
    found = inspect_picture(_multi_picture_jpeg(), "JPEG", LIMITS)

    assert isinstance(found, Fault)
    assert found.code in {"several-pages", "trailing-data"}


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(file_bytes=100), "at most 100 bytes"),
        (Limits(pixels=383), "at most 383 pixels, 30000 on a side"),
        (Limits(side=23), "at most 100000000 pixels, 23 on a side"),
    ],
)
@pytest.mark.parametrize("name", ["png", "jpeg", "tiff-lzw"])
def test_a_picture_above_a_limit_is_refused_with_the_limit(name: str, limits: Limits, expected: str) -> None:
    found = inspect_picture(GOOD[name][1], GOOD[name][0], limits)

    assert isinstance(found, Fault)
    assert (found.code, found.expected) == ("picture-too-large", expected)


@pytest.mark.parametrize("name", ["png", "jpeg", "tiff-lzw"])
def test_a_picture_at_the_limits_is_accepted(name: str) -> None:
    content = GOOD[name][1]

    found = inspect_picture(content, GOOD[name][0], Limits(file_bytes=len(content), pixels=384, side=24))

    assert isinstance(found, Properties)


def test_a_small_file_that_claims_a_huge_picture_is_refused_before_it_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )

    found = inspect_picture(content, "PNG", LIMITS)

    assert isinstance(found, Fault)
    assert found.code == "picture-too-large"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (2000, 3), (400, 300)])
@pytest.mark.parametrize("picture_format", ["PNG", "TIFF"])
def test_a_picture_of_any_kind_has_a_small_jpeg_to_show(mode: str, size: tuple[int, int], picture_format: str) -> None:
    found = inspect_picture(_file(picture_format, _image(mode, size)), picture_format, LIMITS, thumbnail=True)

    assert isinstance(found, Properties)
    assert found.thumbnail is not None
    with Image.open(io.BytesIO(found.thumbnail)) as small:
        small.load()
        assert small.format == "JPEG"
        assert max(small.size) <= THUMBNAIL_SIDE
        assert small.mode == "RGB"


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "F", "I"])
def test_the_kinds_of_pixels_of_other_programs_can_be_shown_too(mode: str) -> None:
    found = inspect_picture(_file("TIFF", _image(mode)), "TIFF", LIMITS, thumbnail=True)

    assert isinstance(found, Properties)
    assert found.thumbnail


def test_a_microscopes_16_bit_picture_is_shown_in_all_its_greys() -> None:
    image = Image.frombytes("I;16", (160, 1), struct.pack("<160H", *range(1000, 2600, 10)))

    found = inspect_picture(_file("TIFF", image), "TIFF", LIMITS, thumbnail=True)

    assert isinstance(found, Properties)
    assert found.thumbnail is not None
    with Image.open(io.BytesIO(found.thumbnail)) as small:
        low, high = small.convert("L").getextrema()
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    assert low < 20
    assert high > 235
