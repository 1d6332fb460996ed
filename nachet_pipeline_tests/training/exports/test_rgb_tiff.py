"""Whatever is stored, trainers get RGB of 8 bits."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline.training.exports.converting import ConvertingPool, NotConvertedError
from nachet_pipeline.training.exports.rgb_tiff import as_rgb_tiff, rgb_of
from nachet_pipeline_tests.pictures.files import exif_of, noise, saved, seed_image, short, tiff_of


def read(content: bytes) -> Any:
    """A converted picture as Pillow, and so every reader of ours, sees it."""
    image = Image.open(io.BytesIO(content))
    assert (image.format, image.mode) == ("TIFF", "RGB")
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        assert (len(file.pages), file.pages.first.bitspersample) == (1, 8)
        assert not {"DateTime", "Software", "ImageDescription", "Orientation"} & {
            tag.name for tag in file.pages.first.tags
        }
    return np.asarray(image)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_colours_of_8_bits_stay_as_they_are(kind: str) -> None:
    image = seed_image("RGB")
    assert np.array_equal(read(as_rgb_tiff(saved(image, kind), kind)), np.asarray(image))


def test_a_jpeg_becomes_what_it_decodes_to() -> None:
    content = saved(seed_image("RGB"), "JPEG")
    assert np.array_equal(read(as_rgb_tiff(content, "JPEG")), np.asarray(Image.open(io.BytesIO(content))))


def test_the_same_picture_makes_the_same_bytes() -> None:
    content = saved(seed_image("RGB"), "PNG")
    assert as_rgb_tiff(content, "PNG") == as_rgb_tiff(content, "PNG")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_grey_is_repeated(kind: str) -> None:
    found = read(as_rgb_tiff(saved(seed_image("L"), kind), kind))
    assert np.array_equal(found[..., 0], found[..., 1])
    assert np.array_equal(found[..., 0], found[..., 2])
    assert len(np.unique(found)) > 50


def test_one_bit_is_black_or_white() -> None:
    assert set(np.unique(read(as_rgb_tiff(saved(seed_image("1"), "TIFF"), "TIFF")))) == {0, 255}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_palette_becomes_its_colours(kind: str) -> None:
    image = seed_image("RGB").quantize(8)
    assert np.array_equal(read(as_rgb_tiff(saved(image, kind), kind)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_what_is_transparent_lies_on_white(kind: str) -> None:
    image = Image.new("RGBA", (4, 4), (200, 100, 0, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    found = read(as_rgb_tiff(saved(image, kind), kind))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[1, 1].tolist() == [200, 100, 0]


def test_a_palette_with_a_transparent_colour_lies_on_white() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putpixel((0, 0), 0)
    found = read(as_rgb_tiff(saved(image, "PNG", transparency=0), "PNG"))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[1, 1].tolist() == [200, 100, 0]


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_becomes_rgb(kind: str) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    found = read(as_rgb_tiff(saved(image, kind), kind))
    assert found[8, 8, 0] > 240
    assert found[8, 8, 1:].max() < 15


def test_lab_becomes_rgb() -> None:
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.applyTransform(red, ImageCms.buildTransform(*profiles, "RGB", "LAB"))
    assert lab is not None
    found = read(as_rgb_tiff(saved(lab, "TIFF"), "TIFF"))
    assert abs(found[4, 4].astype(int) - [255, 0, 0]).max() < 12


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
def test_16_bits_keep_their_upper_8(planar: str, order: str, compression: str | None) -> None:
    array = noise((12, 10, 3), "u2")
    stored = array if planar == "contig" else np.moveaxis(array, -1, 0)
    content = tiff_of(stored, photometric="rgb", planarconfig=planar, byteorder=order, compression=compression)
    assert np.array_equal(read(as_rgb_tiff(content, "TIFF")), array >> 8)


@pytest.mark.parametrize("white_is_zero", [False, True])
def test_grey_of_16_bits_keeps_its_upper_8(white_is_zero: bool) -> None:
    array = noise((12, 10), "u2")
    content = tiff_of(array, photometric="miniswhite" if white_is_zero else "minisblack")
    upper = (array >> 8).astype("u1")
    found = read(as_rgb_tiff(content, "TIFF"))
    assert np.array_equal(found[..., 1], 255 - upper if white_is_zero else upper)


def test_a_png_of_16_bits_keeps_its_upper_8() -> None:
    array = noise((12, 10), "u2")
    found = read(as_rgb_tiff(saved(Image.fromarray(array), "PNG"), "PNG"))
    assert np.array_equal(found[..., 2], array >> 8)


def test_16_bits_with_opacity_lie_on_white() -> None:
    array = np.zeros((4, 4, 4), "u2")
    array[1:, :, 3] = 65_535
    content = tiff_of(array, photometric="rgb", extrasamples=["unassalpha"])
    found = read(as_rgb_tiff(content, "TIFF"))
    assert (found[0].min(), found[1].max()) == (255, 0)


def test_grey_of_16_bits_with_opacity_lies_on_white_and_with_another_sample_is_grey() -> None:
    array = np.zeros((4, 4, 2), "u2")
    array[1:, :, 1] = 65_535
    on_white = read(as_rgb_tiff(tiff_of(array, photometric="minisblack", extrasamples=["unassalpha"]), "TIFF"))
    assert (on_white[0].min(), on_white[1].max()) == (255, 0)
    other = read(as_rgb_tiff(tiff_of(array, photometric="minisblack", extrasamples=["unspecified"]), "TIFF"))
    assert (other.shape, other.max()) == ((4, 4, 3), 0)


@pytest.mark.parametrize("kind", ["f4", "u4"])
def test_numbers_without_a_greatest_value_are_stretched(kind: str) -> None:
    array = np.linspace(10, 20, 64).reshape(8, 8).astype(kind)
    found = read(as_rgb_tiff(tiff_of(array, photometric="minisblack"), "TIFF"))
    assert (found.min(), found.max()) == (0, 255)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_lies_upright(orientation: int, deep: bool) -> None:
    """Seen by its corners: red is at the top left, green at the top right, blue at the bottom left."""
    upright = np.zeros((6, 4, 3), "u2" if deep else "u1")
    most = np.iinfo(upright.dtype).max
    upright[:3, :2, 0] = upright[:3, 2:, 1] = upright[3:, :2, 2] = most
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    tag = (274, "H", 1, orientation, True)
    found = read(as_rgb_tiff(tiff_of(np.ascontiguousarray(stored), photometric="rgb", extratags=[tag]), "TIFF"))
    assert np.array_equal(found, upright >> (8 if deep else 0))


def test_a_photograph_lies_upright_as_its_camera_says() -> None:
    image = Image.new("RGB", (32, 16), "white")
    image.paste((255, 0, 0), (0, 0, 8, 8))
    exif = exif_of([(274, *short(6))])
    found = read(as_rgb_tiff(saved(image, "JPEG", exif=b"Exif\0\0" + exif, quality=95, subsampling=0), "JPEG"))
    assert found.shape == (32, 16, 3)
    assert found[2, 14, 0] > 200
    assert found[2, 14, 1] < 60


@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    mode=st.sampled_from(["1", "L", "RGB", "RGBA", "LA", "P", "I;16"]),
    number=st.integers(0, 2**32 - 1),
)
def test_any_png_becomes_rgb_of_its_size(width: int, height: int, mode: str, number: int) -> None:
    numbers = np.random.default_rng(number).integers(0, 255, (height, width, 4), dtype="u1")
    image = Image.fromarray(numbers, "RGBA")
    image = image.convert("RGB").convert("L").convert("I;16") if mode == "I;16" else image.convert(mode)
    found = rgb_of(saved(image, "PNG"), "PNG")
    assert (found.shape, found.dtype) == ((height, width, 3), np.dtype("u1"))


def test_a_damaged_picture_is_told_and_the_next_one_converted() -> None:
    with ConvertingPool(DecodingSettings(workers=1)) as pool:
        with pytest.raises(NotConvertedError, match="cannot be decoded"):
            pool.convert(saved(seed_image(), "PNG")[:-60], "PNG")
        assert read(pool.convert(saved(seed_image(), "PNG"), "PNG")).shape == (16, 24, 3)


def test_a_picture_too_large_for_a_worker_loses_itself_alone() -> None:
    with ConvertingPool(DecodingSettings(workers=1, memory_bytes=768 * 1024**2)) as pool:
        with pytest.raises(NotConvertedError, match=r"memory|decoded|ended"):
            pool.convert(saved(Image.new("L", (16_000, 16_000)), "PNG", compress_level=1), "PNG")
        assert read(pool.convert(saved(seed_image(), "PNG"), "PNG")).shape == (16, 24, 3)


def test_real_photographs_keep_every_pixel(real_pictures: list[Path]) -> None:
    for picture in real_pictures:
        kind = {".png": "PNG", ".tiff": "TIFF"}[picture.suffix]
        found = read(as_rgb_tiff(picture.read_bytes(), kind))
        with Image.open(picture) as image:
            assert np.array_equal(found, np.asarray(image.convert("RGB")))
