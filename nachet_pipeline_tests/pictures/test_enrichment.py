"""What pictures tell about themselves: each measure on a picture for which it is known by construction."""

import hashlib
import io
import json
import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from tifffile import imwrite

import nachet_pipeline.pictures.pixels
from nachet_pipeline.contract.duplicates import NEAR_BITS
from nachet_pipeline.local.sample import SPECIES, sample_picture
from nachet_pipeline.picture_sets.records import enrichment_terms
from nachet_pipeline.pictures.enrichment import Clipping, Device, Enrichment, PixelSize
from nachet_pipeline.pictures.inspection import inspect_picture
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.pictures.perceptual_hash import FOUND_BITS, distance, hash_bands, perceptual_hash
from nachet_pipeline.pictures.pixels import of_array, of_image, shrunk
from nachet_pipeline_tests.pictures import cameras
from nachet_pipeline_tests.pictures.files import with_chunks, with_segments

Array = NDArray[Any]


def enriched(content: bytes, picture_format: str = "PNG") -> Enrichment:
    found = inspect_picture(content, picture_format, PictureLimits(), enriched=True)
    assert found.properties is not None, found.issues
    assert found.properties.enrichment is not None
    return found.properties.enrichment


def saved(pixels: Array | Image.Image, picture_format: str = "PNG", **how: Any) -> bytes:
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, picture_format, **how)
    return stream.getvalue()


def ground(level: int = 240, width: int = 320, height: int = 240) -> Array:
    return np.full((height, width, 3), level, dtype="uint8")


def with_squares(*places: tuple[int, int], side: int = 48, level: int = 60) -> Array:
    picture = ground()
    for x, y in places:
        picture[y : y + side, x : x + side] = level
    return picture


def noise(seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (60, 81, 3), dtype="uint8")


def written_by_tifffile(pixels: Array, **how: Any) -> bytes:
    stream = io.BytesIO()
    imwrite(stream, pixels, **how)
    return stream.getvalue()


# Pixels


def test_the_same_pixels_have_one_checksum_whatever_file_they_lie_in() -> None:
    pixels = noise()
    predicted = {"compression": "lzw", "predictor": True, "photometric": "rgb"}
    opaque = Image.fromarray(pixels)
    opaque.putalpha(255)
    tiffs = [
        *(saved(pixels, "TIFF", compression=name) for name in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits")),
        written_by_tifffile(pixels, **predicted),
        written_by_tifffile(pixels, **predicted, rowsperstrip=7),
        written_by_tifffile(pixels, photometric="rgb", tile=(16, 16), compression="lzw"),
        written_by_tifffile(pixels.transpose(2, 0, 1), photometric="rgb", planarconfig="separate", compression="lzw"),
    ]
    pngs = [saved(pixels), saved(pixels, compress_level=1), saved(opaque), saved(pixels, dpi=(300, 300))]

    checksums = {enriched(content, "TIFF").pixel_sha256 for content in tiffs}
    checksums |= {enriched(content).pixel_sha256 for content in pngs}

    assert len(checksums) == 1
    changed = pixels.copy()
    changed[30, 40, 1] ^= 1
    assert enriched(saved(changed)).pixel_sha256 not in checksums
    assert enriched(saved(np.ascontiguousarray(pixels.transpose(1, 0, 2)))).pixel_sha256 not in checksums


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_tiff_is_measured_and_hashed_as_it_is_shown_however_it_is_compressed(orientation: int) -> None:
    rotated = {"photometric": "rgb", "extratags": [(274, "H", 1, orientation, True)]}
    plain = written_by_tifffile(noise(), **rotated)
    predicted = written_by_tifffile(noise(), **rotated, compression="lzw", predictor=True)
    with Image.open(io.BytesIO(plain)) as image:
        image.load()
        shown = enriched(saved(image))

    for content in (plain, predicted):
        found = enriched(content, "TIFF")
        assert (found.width, found.height) == (shown.width, shown.height)
        assert (found.pixel_sha256, found.perceptual_hash) == (shown.pixel_sha256, shown.perceptual_hash)


def test_grey_pixels_of_eight_and_of_sixteen_bits_have_one_checksum_in_every_file() -> None:
    for pixels in (noise()[:, :, 0], noise()[:, :, 0].astype("uint16") * 257):
        found = {
            enriched(saved(pixels)).pixel_sha256,
            enriched(saved(pixels, "TIFF"), "TIFF").pixel_sha256,
            enriched(written_by_tifffile(pixels, compression="lzw"), "TIFF").pixel_sha256,
            enriched(written_by_tifffile(pixels, byteorder=">"), "TIFF").pixel_sha256,
        }
        assert len(found) == 1


def test_the_checksum_of_pixels_is_the_documented_one() -> None:
    pixels = noise()

    assert enriched(saved(pixels)).pixel_sha256 == (
        hashlib.sha256(b"nachet-pixels 2 RGB 81 60\n" + blake3(pixels.tobytes()).digest()).hexdigest()
    )


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "I;16"])
def test_a_picture_too_large_to_be_held_twice_is_taken_in_bands_to_the_same_checksum_and_the_same_figures(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = np.random.default_rng(1).integers(0, 256, (1_030, 1_101, 4), dtype="uint8")
    image = Image.fromarray(samples, "RGBA")
    image = Image.fromarray(samples.view("uint16")[..., 0]) if mode == "I;16" else image.convert(mode)
    at_once = of_image(image)

    monkeypatch.setattr(nachet_pipeline.pictures.pixels, "_BAND_BYTES", 50_000)
    in_bands = of_image(image)

    assert in_bands.sha256 == at_once.sha256
    assert np.array_equal(in_bands.reduced, at_once.reduced)


@pytest.mark.parametrize("by", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("size", [(64, 96), (67, 101), (3, 40), (40, 1), (1, 1)])
def test_a_shrunk_picture_is_the_mean_of_its_parts_and_of_what_is_left_over(size: tuple[int, int], by: int) -> None:
    pixels = np.random.default_rng(by).integers(0, 256, (*size, 3), dtype="uint8")

    found = shrunk(pixels, by)

    expected = np.asarray(Image.fromarray(pixels).reduce(by)).astype(int)
    assert found.shape == expected.shape
    # Rounded once for each time that it is halved.
    assert np.abs(found - expected).max() <= 2


def test_numbers_beyond_eight_bits_are_measured_whatever_the_order_of_their_bytes() -> None:
    for kind in ("u2", "i4", "f4", "f8"):
        values = np.random.default_rng(2).integers(0, 65_536, (60, 81)).astype(kind)
        little, big = of_array(values.astype(f"<{kind}"), "x"), of_array(values.astype(f">{kind}"), "x")

        assert little.sha256 == big.sha256
        assert np.array_equal(little.reduced, big.reduced)
        assert np.abs(little.reduced.astype(int) - values.astype("float64") // 257).max() <= 3


def test_a_jpeg_keeps_its_checksum_of_pixels_when_only_its_metadata_change() -> None:
    exif = Image.Exif()
    exif[271] = "Somebody"
    plain, told = saved(noise(), "JPEG"), saved(noise(), "JPEG", exif=exif, comment=b"hello", dpi=(300, 300))

    assert plain != told
    assert enriched(plain, "JPEG").pixel_sha256 == enriched(told, "JPEG").pixel_sha256
    assert enriched(saved(noise(1), "JPEG"), "JPEG").pixel_sha256 != enriched(plain, "JPEG").pixel_sha256


def test_jpegs_that_show_other_colours_have_other_checksums_of_pixels() -> None:
    jpeg = saved(noise(), "JPEG")
    bare = jpeg[:2] + jpeg[20:]  # without JFIF's segment, Adobe's says what the numbers mean
    versions = [with_segments(bare, (0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))) for transform in (0, 1)]

    as_rgb, as_ycc = (np.asarray(Image.open(io.BytesIO(content))) for content in versions)
    assert not np.array_equal(as_rgb, as_ycc)
    assert enriched(versions[0], "JPEG").pixel_sha256 != enriched(versions[1], "JPEG").pixel_sha256


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"])
def test_every_kind_of_pixels_that_is_accepted_is_measured(mode: str) -> None:
    image = Image.fromarray(noise()).convert("L" if mode in {"LAB", "I;16", "PA"} else mode)
    if mode in {"LAB", "PA"}:
        image = Image.merge("LAB", [image] * 3) if mode == "LAB" else image.convert("LA").convert("PA")
    elif mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype("uint16") * 257)
    picture_format = "PNG" if mode in {"LA", "P", "RGBA"} else "TIFF"

    found = enriched(saved(image, picture_format), picture_format)

    assert (found.width, found.height) == (81, 60)
    assert 0.3 < found.exposure.mean < 0.7


def test_a_picture_of_one_pixel_is_measured_and_worth_nothing() -> None:
    found = enriched(saved(np.zeros((1, 1), dtype="uint8")))

    assert (found.sharpness, found.perceptual_hash, found.quality_score, found.objects_found) == (None, None, 0.0, 0)


# Exposure, clipping, sharpness, ground


def test_exposure_tells_mean_and_percentiles_of_brightness() -> None:
    picture = np.repeat(np.arange(0, 200, dtype="uint8"), 2)[None].repeat(100, 0)

    exposure = enriched(saved(picture)).exposure

    assert exposure.mean == pytest.approx(99.5 / 255, abs=1e-4)
    assert [exposure.p1, exposure.p5, exposure.p50, exposure.p95, exposure.p99] == pytest.approx(
        [1 / 255, 9 / 255, 99 / 255, 189 / 255, 197 / 255], abs=1.1 / 255
    )


def test_clipping_tells_the_share_of_black_and_of_white_pixels_of_each_channel() -> None:
    picture = ground(100)
    picture[:60, :, 0] = 0
    picture[:, :32, 1] = 255

    assert enriched(saved(picture)).clipping == (
        Clipping(channel="R", black=0.25, white=0),
        Clipping(channel="G", black=0, white=0.1),
        Clipping(channel="B", black=0, white=0),
    )


def test_what_has_no_darkest_and_no_brightest_level_is_not_told_to_be_clipped() -> None:
    fractions = np.linspace(0, 1, 320 * 240, dtype="float32").reshape(240, 320)

    assert enriched(written_by_tifffile(fractions, photometric="minisblack"), "TIFF").clipping == ()


def test_a_seed_that_is_evenly_curved_is_not_taken_for_a_sharp_one() -> None:
    picture = ground()
    picture[90:114, 120:144] = (20 + (np.arange(24) - 12) ** 2)[None, :, None]

    # The Laplacian is 2 everywhere on it: it has a mean, and no variance.
    assert enriched(saved(picture)).sharpness == 0


def test_sharpness_is_the_variance_of_the_laplacian_on_the_seed_alone() -> None:
    picture = with_squares((100, 80), side=80)
    y, x = np.mgrid[0:80, 0:80]
    picture[80:160, 100:180] = np.where((x + y) % 2, 60, 100)[:, :, None]
    grainy = picture.copy()
    y, x = np.mgrid[0:60, 0:320]
    grainy[180:] = np.where((x + y) % 2, 235, 245)[:, :, None]

    # Every pixel differs by 40 from all four neighbours: the Laplacian is 160 or -160.
    assert enriched(saved(picture)).sharpness == pytest.approx(160**2)
    assert enriched(saved(grainy)).sharpness == pytest.approx(160**2)
    assert enriched(saved(with_squares((100, 80), side=80))).sharpness == 0


def test_a_blurred_picture_is_less_sharp_and_worth_less_in_every_format() -> None:
    sharp = Image.open(io.BytesIO(sample_picture(1, seeds=2)))
    blurred = sharp.filter(ImageFilter.GaussianBlur(4))
    for picture_format in ("PNG", "TIFF", "JPEG"):
        one = enriched(saved(sharp, picture_format), picture_format)
        other = enriched(saved(blurred, picture_format), picture_format)
        assert one.sharpness is not None
        assert other.sharpness is not None
        assert other.sharpness < one.sharpness / 2
        assert other.quality_score < one.quality_score


def test_the_same_picture_measures_alike_whatever_decoder_it_goes_through() -> None:
    tiff = sample_picture(1, seeds=2, width=1920, height=1080)
    picture = Image.open(io.BytesIO(tiff))
    found = [enriched(tiff, "TIFF"), enriched(saved(picture, compress_level=1))]
    found.append(enriched(saved(picture, "JPEG", quality=95, subsampling=0), "JPEG"))

    assert {one.objects_found for one in found} == {2}
    for one in found[1:]:
        assert one.sharpness == pytest.approx(found[0].sharpness, rel=0.25)
        assert one.exposure.mean == pytest.approx(found[0].exposure.mean, abs=0.01)
        assert distance(bytes.fromhex(one.perceptual_hash or ""), bytes.fromhex(found[0].perceptual_hash or "")) <= 4


def test_an_even_ground_is_uniform_and_one_lit_from_the_side_is_not() -> None:
    lit = with_squares((150, 100))
    lit[:, :, :] = np.minimum(lit, np.linspace(190, 240, 320, dtype="uint8")[None, :, None])

    assert enriched(saved(with_squares((150, 100)))).background_uniformity == 1
    # From the 5th to the 95th percentile of 50 levels.
    assert enriched(saved(lit)).background_uniformity == pytest.approx(1 - 45 / 255, abs=0.015)


@pytest.mark.parametrize("places", [[], [(20, 20)], [(20, 20), (120, 30), (220, 150)]])
def test_things_on_the_ground_are_counted_specks_and_scale_bars_are_not(places: list[tuple[int, int]]) -> None:
    picture = with_squares(*places)
    picture[100:104, 10:13] = 0
    picture[225:231, 250:310] = 10

    found = enriched(saved(picture))

    assert found.objects_found == len(places)
    assert found.object_share == pytest.approx(len(places) * 48 * 48 / (320 * 240), abs=0.01)
    assert (found.sharpness is None) == (not places)


def test_pale_things_on_a_dark_ground_are_counted_too() -> None:
    assert enriched(saved(255 - with_squares((20, 20), (120, 30)))).objects_found == 2


def test_the_seeds_of_the_real_photographs_are_found_and_the_scale_bar_is_none(real_pictures: list[Path]) -> None:
    one, two = (enriched(file.read_bytes(), "PNG" if file.suffix == ".png" else "TIFF") for file in real_pictures)

    assert (one.objects_found, two.objects_found) == (1, 2)
    assert (one.compression, two.compression, one.bit_depth) == ("deflate", "LZW", 8)
    assert min(one.quality_score, two.quality_score) > 0.8


def test_drawn_seeds_are_counted_in_every_picture_of_the_sample() -> None:
    for seeds in (1, 2, 6):
        for number in range(5):
            content = sample_picture(
                100 * seeds + number, seeds=seeds, species=SPECIES[3 * number], width=512, height=384
            )
            assert enriched(content, "TIFF").objects_found == seeds


def test_black_pictures_white_ones_and_those_of_noise_have_finite_numbers() -> None:
    for picture in (ground(0), ground(255), noise(), np.full((50, 60), np.nan, dtype="float32")):
        content = written_by_tifffile(picture, photometric="rgb" if picture.ndim == 3 else "minisblack")
        assert 0 <= enriched(content, "TIFF").quality_score <= 1


# Looks


def test_the_looks_of_a_picture_stay_when_it_is_resized_brightened_or_saved_anew() -> None:
    picture = Image.open(io.BytesIO(sample_picture(1, seeds=2))).convert("RGB")
    looks = enriched(saved(picture)).perceptual_hash
    others = [
        enriched(saved(picture.resize((512, 384)))),
        enriched(saved(picture.point(lambda level: level * 0.9))),
        enriched(saved(picture, "JPEG", quality=50), "JPEG"),
    ]

    assert looks is not None
    for other in others:
        assert other.perceptual_hash is not None
        assert distance(bytes.fromhex(looks), bytes.fromhex(other.perceptual_hash)) <= 8


def test_different_pictures_of_seeds_on_a_plain_ground_look_far_apart() -> None:
    looks = [
        perceptual_hash(
            np.asarray(
                Image.open(io.BytesIO(sample_picture(number, seeds=1 + number % 2, width=256, height=192))).convert("L")
            )
        )
        for number in range(30)
    ]

    apart = [distance(one, other) for place, one in enumerate(looks) for other in looks[:place] if one and other]

    assert len(apart) == 30 * 29 / 2
    assert min(apart) > 48


def test_pictures_that_show_nothing_have_no_looks() -> None:
    assert enriched(saved(ground(200))).perceptual_hash is None


def test_each_bit_of_a_hash_is_in_one_band_of_its_own_with_the_bands_place_in_front() -> None:
    nothing = [place << 20 for place in range(13)]
    assert hash_bands(bytes(32)) == nothing

    for bit in range(256):
        bands = hash_bands((1 << 255 - bit).to_bytes(32, "big"))
        assert [place for place in range(13) if bands[place] != nothing[place]] == [bit % 13]
        assert [band >> 20 for band in bands] == list(range(13))


_HASHES = st.binary(min_size=32, max_size=32)
_PLACES = st.integers(0, 255)


@given(_HASHES, st.sets(_PLACES, max_size=FOUND_BITS))
def test_hashes_that_differ_in_as_many_bits_as_look_alikes_may_share_a_band(looks: bytes, differing: set[int]) -> None:
    other = (int.from_bytes(looks, "big") ^ sum(1 << bit for bit in differing)).to_bytes(32, "big")

    assert distance(looks, other) == len(differing)
    assert set(hash_bands(looks)) & set(hash_bands(other))


def test_all_that_count_as_look_alikes_are_found_by_their_bands() -> None:
    assert NEAR_BITS <= FOUND_BITS == 12
    apart = sum(1 << bit for bit in range(FOUND_BITS + 1)).to_bytes(32, "big")
    assert not set(hash_bands(bytes(32))) & set(hash_bands(apart))  # one more, in a band of its own each


@given(_HASHES, _HASHES)
def test_different_hashes_have_different_bands(one: bytes, other: bytes) -> None:
    assert (hash_bands(one) == hash_bands(other)) == (one == other)


def test_different_pictures_of_a_laboratory_share_few_bands() -> None:
    bands = [
        set(hash_bands(looks))
        for number in range(200)
        if (
            looks := perceptual_hash(
                np.asarray(Image.open(io.BytesIO(sample_picture(number, seeds=1, width=128, height=96))).convert("L"))
            )
        )
    ]

    sharing = sum(bool(one & other) for place, one in enumerate(bands) for other in bands[:place])

    assert len(bands) > 190
    assert sharing <= len(bands) ** 2 / 2 / 1_000


# What the file says


def _tiff(description: str = "", **tags: Any) -> bytes:
    directory = ImageFileDirectory_v2()
    for code, value in {270: description, **{int(name[1:]): value for name, value in tags.items()}}.items():
        if value != "":
            directory[code] = value
    return saved(noise(), "TIFF", tiffinfo=directory)


def test_a_resolution_is_told_with_its_unit_and_is_a_pixel_size_unless_it_is_a_customary_one() -> None:
    measured = enriched(saved(noise(), "TIFF", dpi=(2540, 5080)), "TIFF")
    customary = enriched(saved(noise(), "TIFF", dpi=(300, 300)), "TIFF")
    metric = enriched(saved(noise(), "PNG", dpi=(5080, 5080)))
    photograph = enriched(saved(noise(), "JPEG", dpi=(96, 96)), "JPEG")

    assert measured.resolution is not None
    assert (measured.resolution.x, measured.resolution.y, measured.resolution.unit) == (2540, 5080, "inch")
    assert measured.pixel_size == PixelSize(x=10, y=5, source="TIFF")
    assert customary.resolution is not None
    assert customary.pixel_size is None
    assert metric.resolution is not None
    assert (metric.resolution.x, metric.resolution.unit, metric.resolution.source) == (200_000, "metre", "pHYs")
    assert metric.pixel_size == PixelSize(x=5, y=5, source="pHYs")
    assert photograph.resolution is not None
    assert (photograph.resolution.x, photograph.resolution.source) == (96, "JFIF")
    assert enriched(saved(noise(), "PNG")).resolution is None


@pytest.mark.parametrize(("unit", "told"), [(1, True), (0, False)])
def test_the_proportions_of_a_png_are_no_resolution_unless_they_have_a_unit(unit: int, *, told: bool) -> None:
    content = with_chunks(saved(noise()), (b"pHYs", struct.pack(">IIB", 400_000, 400_000, unit)))

    found = enriched(content)

    assert (found.resolution is not None, found.pixel_size is not None) == (told, told)


def test_ome_xml_and_imagej_tell_the_pixel_size_of_a_microscope() -> None:
    ome = '<OME><Image><Pixels SizeX="81" PhysicalSizeX="{}" PhysicalSizeY="0.5"{}/></Image></OME>'
    named = _tiff(ome.format("0.25", ' PhysicalSizeXUnit="nm" PhysicalSizeYUnit="mm"'))

    assert enriched(_tiff(ome.format("0.25", "")), "TIFF").pixel_size == PixelSize(x=0.25, y=0.5, source="OME")
    assert enriched(named, "TIFF").pixel_size is None  # a quarter of a nanometre
    assert enriched(_tiff(ome.format("nan", "")), "TIFF").pixel_size is None
    imagej = _tiff("ImageJ=1.53t\nunit=micron\n", t282=4.0, t283=2.0, t296=1)
    assert enriched(imagej, "TIFF").pixel_size == PixelSize(x=0.25, y=0.5, source="ImageJ")
    assert enriched(imagej, "TIFF").resolution is None


def test_an_ome_tiff_of_one_plane_keeps_its_scale_and_its_channel() -> None:
    found = enriched(cameras.ome(z=12), "TIFF")

    assert found.pixel_size == PixelSize(x=0.65, y=0.65, source="OME")
    assert found.channel == "TL Brightfield"
    assert enrichment_terms(found) | {"ome:ChannelName": "TL Brightfield", "ome:PhysicalSizeXUnit": "µm"} == (
        enrichment_terms(found)
    )
    assert enriched(cameras.ome(c=2), "TIFF").channel is None


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "TIFF"])
def test_exif_tells_when_and_with_what_a_picture_was_taken(picture_format: str) -> None:
    main = {271: "Keyence\0", 272: "VHX-7000", 305: "VHX\nviewer", 306: "2024:01:01 00:00:00"}
    details = {0x9003: "2023:05:06 07:08:09", 0x9011: "-04:00", 0x9291: "25"}
    if picture_format == "TIFF":
        content = _tiff(**{f"t{code}": value for code, value in main.items()}, t34665=details)
    else:
        exif = Image.Exif()
        exif.update(main)
        exif[0x8769] = details
        content = saved(noise(), picture_format, exif=exif)

    found = enriched(content, picture_format)

    assert found.device == Device(make="Keyence", model="VHX-7000", software="VHXviewer")
    assert found.captured is not None
    moment = datetime(2023, 5, 6, 7, 8, 9, 250_000, timezone(timedelta(hours=-4)))
    assert (found.captured.at, found.captured.source) == (moment, "DateTimeOriginal")


def test_a_date_without_an_offset_has_no_time_zone_and_one_that_is_none_is_left_out() -> None:
    found = enriched(_tiff(t306="2023:05:06 07:08:09"), "TIFF").captured

    assert found is not None
    assert found.at == datetime(2023, 5, 6, 7, 8, 9)
    assert found.instant == datetime(2023, 5, 6, 7, 8, 9, tzinfo=UTC)
    for nonsense in ("0000:00:00 00:00:00", "2023:13:06 07:08:09", "yesterday", "    :  :     :  :  "):
        assert enriched(_tiff(t306=nonsense), "TIFF").captured is None


def test_an_enrichment_reads_back_from_json_as_it_was() -> None:
    found = enriched(sample_picture(1), "TIFF")

    assert Enrichment.from_json(found.as_json()) == found


def test_a_picture_is_not_measured_unless_that_is_asked_for() -> None:
    found = inspect_picture(saved(noise()), "PNG", PictureLimits())

    assert found.properties is not None
    assert found.properties.enrichment is None


@pytest.mark.parametrize("read", [Enrichment.from_record, lambda record: Enrichment.from_json(json.dumps(record))])
def test_an_enrichment_of_another_version_is_not_read(read: Callable[[Any], Enrichment]) -> None:
    record = enriched(saved(noise())).as_record()
    assert read(record).as_record() == record
    for wrong in (
        record | {"of_another_version": 1},
        record | {"exposure": record["exposure"] | {"p0": 0.5}},
        record | {"object_share": 1.5},
        record | {"sharpness": math.inf},
        record | {"pixel_sha256": "0" * 63},
        {name: value for name, value in record.items() if name != "clipping"},
    ):
        with pytest.raises(ValueError, match=r"."):
            read(wrong)
