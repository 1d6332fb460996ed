"""Cutting boxes out of picture files: the pixels are those of the whole, whatever kind they are."""

import io
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from imagecodecs import png_encode
from PIL import Image
from tifffile import TiffFile, imread, imwrite

from nachet_pipeline.crops.cutting import CroppingPool, UncroppablePictureError
from nachet_pipeline.crops.detecting import Box
from nachet_pipeline.pictures.decoding_pool import DecodingSettings

BOX = Box(7, 3, 29, 20)
_CHANCE = np.random.default_rng(11)


def numbers(*shape: int, kind: str = "uint8") -> np.ndarray[Any, Any]:
    return _CHANCE.integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


def tiff(array: np.ndarray[Any, Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    imwrite(stream, array, metadata=None, **options)
    return stream.getvalue()


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


GREY, GREY_16, RGB, RGB_16, RGBA = (
    numbers(30, 40),
    numbers(30, 40, kind="uint16"),
    numbers(30, 40, 3),
    numbers(30, 40, 3, kind="uint16"),
    numbers(30, 40, 4),
)
FLOATS = _CHANCE.random((30, 40), dtype=np.float32)
JPEG = saved(Image.fromarray(np.repeat(np.linspace(0, 255, 40, dtype=np.uint8)[None], 30, axis=0)), "JPEG", quality=90)
PALETTE = Image.fromarray(RGB).quantize(16)
CASES = {
    "grey TIFF": (tiff(GREY, photometric="minisblack"), "TIFF", GREY),
    "grey TIFF of 16 bits": (tiff(GREY_16, photometric="minisblack", byteorder=">"), "TIFF", GREY_16),
    "inverted TIFF of 16 bits": (tiff(GREY_16, photometric="miniswhite"), "TIFF", 65535 - GREY_16),
    "TIFF": (tiff(RGB, photometric="rgb", compression="lzw"), "TIFF", RGB),
    "TIFF of 16 bits": (tiff(RGB_16, photometric="rgb", compression="zlib"), "TIFF", RGB_16),
    "planar TIFF of 16 bits": (
        tiff(np.moveaxis(RGB_16, -1, 0), photometric="rgb", planarconfig="separate"),
        "TIFF",
        RGB_16,
    ),
    "TIFF with transparency": (tiff(RGBA, photometric="rgb", extrasamples=["unassalpha"]), "TIFF", RGBA),
    "TIFF of fractions": (tiff(FLOATS, photometric="minisblack"), "TIFF", FLOATS),
    "PNG": (saved(Image.fromarray(RGB), "PNG"), "PNG", RGB),
    "PNG of 16 bits": (png_encode(RGB_16), "PNG", RGB_16),
    "grey PNG of 16 bits": (png_encode(GREY_16), "PNG", GREY_16),
    "PNG with transparency": (saved(Image.fromarray(RGBA), "PNG"), "PNG", RGBA),
    "PNG with a palette": (saved(PALETTE, "PNG"), "PNG", np.asarray(PALETTE.convert("RGB"))),
    "JPEG": (JPEG, "JPEG", np.asarray(Image.open(io.BytesIO(JPEG)))),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_crop_has_the_pixels_of_its_box_at_full_depth(kind: str, cropping_pool: CroppingPool) -> None:
    content, picture_format, array = CASES[kind]

    (cut,) = cropping_pool.cut(content, picture_format, [BOX], None)

    expected = array[BOX.top : BOX.bottom, BOX.left : BOX.right]
    found = imread(io.BytesIO(cut.content))
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(found, expected)
    properties = cut.properties
    assert (properties.picture_format, properties.width, properties.height) == ("TIFF", 22, 17)
    assert properties.enrichment is not None
    with TiffFile(io.BytesIO(cut.content)) as file:
        assert file.pages.first.compression.name == "ADOBE_DEFLATE"


@pytest.mark.parametrize("kind", CASES)
def test_what_a_detector_sees_are_eight_bits_of_three_colours(kind: str, cropping_pool: CroppingPool) -> None:
    content, picture_format, _array = CASES[kind]

    shown = cropping_pool.show(content, picture_format)

    assert (shown.width, shown.height, shown.pixels.shape, shown.pixels.dtype) == (40, 30, (30, 40, 3), np.uint8)
    assert shown.pixels.max() > 200


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True], ids=["8 bits", "16 bits"])
def test_a_turned_tiff_is_cut_upright(orientation: int, deep: bool, cropping_pool: CroppingPool) -> None:
    array = numbers(30, 40, 3)
    stored = array.astype(np.uint16) * 257 if deep else array
    content = tiff(stored, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    # What Pillow shows of the same picture in 8 bits is how it is meant.
    flat = tiff(array, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    with Image.open(io.BytesIO(flat)) as image:
        image.load()
        meant = np.asarray(image)

    (cut,) = cropping_pool.cut(content, "TIFF", [Box(2, 4, 9, 17)], None)

    found = imread(io.BytesIO(cut.content))
    assert np.array_equal(found // 257 if deep else found, meant[4:17, 2:9])


def test_a_large_picture_is_shown_reduced(cropping_pool: CroppingPool) -> None:
    shown = cropping_pool.show(saved(Image.new("RGB", (5000, 1000), "white"), "PNG"), "PNG")

    assert (shown.width, shown.height, shown.pixels.shape) == (5000, 1000, (410, 2048, 3))


def test_a_crop_repeats_scale_moment_and_camera_of_the_whole(cropping_pool: CroppingPool) -> None:
    exif = Image.Exif()
    exif[271], exif[272], exif[306] = "Olympus", "SC100", "2026:03:04 05:06:07"
    content = saved(Image.fromarray(RGB), "TIFF", exif=exif, resolution=4000, resolution_unit="cm")
    whole = cropping_pool.inspect(content, "TIFF").result().properties
    assert whole is not None
    assert whole.enrichment is not None

    (cut,) = cropping_pool.cut(content, "TIFF", [BOX], whole.enrichment)

    part = cut.properties.enrichment
    assert part is not None
    assert part.captured is not None
    assert part.captured.instant == datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert part.device is not None
    assert (part.device.make, part.device.model) == ("Olympus", "SC100")
    assert part.pixel_size == whole.enrichment.pixel_size


def test_the_same_crop_is_the_same_file(cropping_pool: CroppingPool) -> None:
    content, picture_format, _array = CASES["TIFF of 16 bits"]
    first = cropping_pool.cut(content, picture_format, [BOX], None)
    with TiffFile(io.BytesIO(first[0].content)) as file:
        assert not {306, 36867, 36868} & {
            tag.code for tag in file.pages.first.tags
        }  # no time stamp, which would differ

    assert cropping_pool.cut(content, picture_format, [BOX], None)[0].content == first[0].content


@pytest.mark.parametrize(
    "content", [b"not a picture", CASES["TIFF"][0][:-400], tiff(GREY)[:100]], ids=["text", "cut short", "header"]
)
def test_what_does_not_decode_is_told(content: bytes, cropping_pool: CroppingPool) -> None:
    with pytest.raises(UncroppablePictureError, match="it cannot be decoded: picture-"):
        cropping_pool.show(content, "TIFF")


def test_a_picture_that_takes_too_long_is_told_and_the_next_is_decoded() -> None:
    content, picture_format, _array = CASES["PNG"]
    with CroppingPool(DecodingSettings(workers=1, seconds=5)) as pool:
        with pytest.raises(UncroppablePictureError, match="more than 5 s"):
            pool.run(time.sleep, 30, failure=UncroppablePictureError)
        assert pool.show(content, picture_format).width == 40


def test_boxes_are_drawn_on_a_thumbnail(cropping_pool: CroppingPool) -> None:
    content = saved(Image.new("RGB", (640, 320), "white"), "PNG")

    drawn = cropping_pool.draw(content, "PNG", [Box(160, 80, 320, 240)])

    with Image.open(io.BytesIO(drawn)) as small:
        assert small.size == (160, 80)
        red = [place for place in ((40, 40), (79, 40), (60, 20), (60, 59)) if small.getpixel(place)[1] < 150]
        assert len(red) == 4
        assert small.getpixel((60, 40))[1] > 220


def test_a_crop_repeats_a_customary_resolution_in_its_own_unit(cropping_pool: CroppingPool) -> None:
    content = saved(Image.fromarray(RGB), "PNG", dpi=(300, 300))  # a PNG says it in pixels per metre
    whole = cropping_pool.inspect(content, "PNG").result().properties
    assert whole is not None
    assert whole.enrichment is not None
    assert whole.enrichment.pixel_size is None

    (cut,) = cropping_pool.cut(content, "PNG", [BOX], whole.enrichment)

    with Image.open(io.BytesIO(cut.content)) as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_a_crop_of_a_picture_that_names_its_time_zone_was_taken_at_the_same_moment(
    cropping_pool: CroppingPool,
) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({36867: "2026:03:04 05:06:07", 36881: "+02:00"})
    content = saved(Image.fromarray(RGB), "JPEG", exif=exif)
    whole = cropping_pool.inspect(content, "JPEG").result().properties
    assert whole is not None
    assert whole.enrichment is not None

    (cut,) = cropping_pool.cut(content, "JPEG", [BOX], whole.enrichment)

    part = cut.properties.enrichment
    assert part is not None
    assert part.captured is not None
    assert part.captured.instant == datetime(2026, 3, 4, 3, 6, 7, tzinfo=UTC)
