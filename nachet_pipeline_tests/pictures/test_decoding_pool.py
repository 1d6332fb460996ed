"""Pictures that hang their decoder, exhaust its memory or end it; the next one is decoded all the same."""

import contextlib
import io
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from PIL import Image

from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.pictures.inspection import Fault, Limits, Properties
from nachet_pipeline_tests.contract.folders import picture, picture_of_many_pixels, progressive_jpeg_of_many_scans


def _decodes(pool: DecodingPool) -> bool:
    return isinstance(pool.inspect(picture(), "TIFF").result(), Properties)


def test_pictures_are_described_in_the_order_they_are_asked_for(pool: DecodingPool) -> None:
    asked = [
        pool.inspect(picture(1, "png"), "PNG"),
        pool.inspect(picture(2, "jpeg"), "JPEG", thumbnail=True),
        pool.inspect(b"text", "TIFF"),
    ]

    png, jpeg, text = [one.result() for one in asked]

    assert isinstance(png, Properties)
    assert isinstance(jpeg, Properties)
    assert (png.picture_format, png.width, png.height, png.thumbnail) == ("PNG", 64, 48, None)
    assert (jpeg.picture_format, jpeg.thumbnail is not None) == ("JPEG", True)
    assert text == Fault("picture-format", "TIFF", "text")


def test_what_a_decoder_warns_of_is_no_verdict(pool: DecodingPool) -> None:
    stream = io.BytesIO()
    Image.new("P", (4, 4)).save(stream, "PNG", transparency=b"\0" * 10)

    assert isinstance(pool.inspect(stream.getvalue(), "PNG", thumbnail=True).result(), Properties)


def test_a_picture_that_hangs_its_decoder_is_refused_and_the_next_one_decoded() -> None:
    with DecodingPool(DecodingSettings(workers=1, seconds=2)) as pool:
        found = pool.inspect(progressive_jpeg_of_many_scans(), "JPEG").result()

        assert found == Fault("picture-too-slow", "at most 2 s", "more")
        assert _decodes(pool)


@pytest.mark.parametrize("picture_format", ["PNG", "TIFF"])
def test_a_picture_that_exhausts_its_decoders_memory_is_refused_and_the_next_one_decoded(picture_format: str) -> None:
    content = picture_of_many_pixels(picture_format)

    with DecodingPool(DecodingSettings(workers=1, seconds=60, memory_bytes=300 * 1024**2)) as pool:
        found = pool.inspect(content, picture_format).result()

        assert found == Fault("picture-crashes-decoder", "a picture that fits in memory", "no memory left")
        assert _decodes(pool)


def _workers() -> set[psutil.Process]:
    """This process's decoders."""
    found = set()
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(process.cmdline()):
                found.add(process)
    return found


def _at_work(before: set[psutil.Process]) -> psutil.Process:
    """Wait for a new decoder, and for it to be busy with more than its start."""
    for _ in range(3_000):
        for process in _workers() - before:
            if process.cpu_times().user > 1:
                return process
        time.sleep(0.02)
    raise AssertionError("no worker decodes")


def test_a_picture_that_ends_its_decoder_is_refused_and_the_next_one_decoded() -> None:
    before = _workers()
    with DecodingPool(DecodingSettings(workers=1, seconds=600)) as pool:
        inspection = pool.inspect(progressive_jpeg_of_many_scans(), "JPEG")
        _at_work(before).kill()

        found = inspection.result()

        assert isinstance(found, Fault)
        assert (found.code, found.expected) == ("picture-crashes-decoder", "a picture that decodes")
        assert _decodes(pool)


def test_a_pool_applies_the_limits_it_was_given() -> None:
    with DecodingPool(DecodingSettings(workers=1, seconds=60, limits=Limits(side=50))) as pool:
        found = pool.inspect(picture(), "TIFF").result()

    assert isinstance(found, Fault)
    assert found.code == "picture-too-large"


def test_a_pool_leaves_no_process_behind_even_when_a_picture_hangs() -> None:
    before = _workers()

    with DecodingPool(DecodingSettings(workers=1, seconds=600)) as pool:
        assert _decodes(pool)
        pool.inspect(progressive_jpeg_of_many_scans(), "JPEG")

    assert _workers() == before


def test_a_pool_that_was_never_asked_starts_no_process() -> None:
    before = _workers()

    with DecodingPool(DecodingSettings()):
        assert _workers() == before


def test_pictures_that_arrive_at_once_share_one_pool() -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with DecodingPool(DecodingSettings(workers=2)) as pool, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: pool.inspect(b"", "PNG").result(), range(16)))
        started = {child.pid for child in psutil.Process().children(recursive=True)} - before
    # Python's own resource tracker may be among them; a second pool would bring two more.
    assert 2 <= len(started) <= 3
