"""Pictures that hang their decoder, exhaust its memory or end it; the next one is decoded all the same."""

import io
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import psutil
import pytest
from PIL import Image

from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.report import Report
from nachet_pipeline.contract.validation import validate
from nachet_pipeline.local.sample import write_sample
from nachet_pipeline.pictures import workers
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.pictures.inspected import Inspected, Thumbnail
from nachet_pipeline.pictures.issues import Issue
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.pictures.workers import WorkersUnavailableError
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.support.i18n import Bilingual
from nachet_pipeline.support.progress import Progress, silent
from nachet_pipeline_tests.contract.folders import picture
from nachet_pipeline_tests.pictures.decoders import CrashingPool, DyingPool, decoders
from nachet_pipeline_tests.pictures.files import saved

NO_LIMIT_TO_SCANS = PictureLimits(jpeg_scans=1_000_000)


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_PAUSE", 0.05)


@cache
def _hanging_jpeg() -> bytes:
    """A picture of a few megabytes that keeps a decoder busy for minutes, were its scans not counted."""
    content = saved(Image.new("L", (3_000, 3_000), 90), "JPEG", progressive=True)
    start = content.rfind(b"\xff\xda")
    return content[:-2] + content[start:-2] * 10_000 + content[-2:]


@cache
def _picture_of_many_pixels(picture_format: str) -> bytes:
    """A small file of 81 megapixels, which take 324 MB once they are decoded."""
    options = {"compression": "packbits"} if picture_format == "TIFF" else {}
    stream = io.BytesIO()
    Image.new("RGB", (9_000, 9_000)).save(stream, picture_format, **options)
    return stream.getvalue()


def _decodes(pool: DecodingPool) -> bool:
    return pool.inspect(picture(), "TIFF").result().properties is not None


def test_pictures_are_described_in_the_order_they_are_asked_for(pool: DecodingPool) -> None:
    asked = [
        pool.inspect(picture(1, "png"), "PNG"),
        pool.inspect(picture(2, "jpeg"), "JPEG", thumbnail=Thumbnail.ALWAYS),
        pool.inspect(b"text", "TIFF"),
    ]

    png, jpeg, text = [one.result() for one in asked]

    assert png.properties is not None
    assert jpeg.properties is not None
    assert (png.properties.picture_format, png.properties.width, png.thumbnail) == ("PNG", 64, None)
    assert (jpeg.properties.picture_format, jpeg.thumbnail is not None) == ("JPEG", True)
    assert text == Inspected(
        None, (Issue("picture-format", None, Bilingual("TIFF", "TIFF"), Bilingual("text", "du texte")),)
    )


def test_what_a_decoder_warns_of_is_no_verdict(pool: DecodingPool) -> None:
    content = saved(Image.new("P", (4, 4)), "PNG", transparency=b"\0" * 10)

    assert pool.inspect(content, "PNG", thumbnail=Thumbnail.ALWAYS).result().properties is not None


def test_a_picture_of_many_scans_is_refused_without_decoding_it() -> None:
    with DecodingPool(DecodingSettings(workers=1, seconds=60)) as pool:
        found = pool.inspect(_hanging_jpeg(), "JPEG").result()

    assert [issue.code for issue in found.issues] == ["picture-too-complex"]


def test_a_picture_that_hangs_its_decoder_is_refused_and_the_next_one_decoded() -> None:
    with DecodingPool(DecodingSettings(workers=1, seconds=2, limits=NO_LIMIT_TO_SCANS)) as pool:
        found = pool.inspect(_hanging_jpeg(), "JPEG").result()

        limit = Bilingual("at most 2 s", "au plus 2 s")
        assert found == Inspected(None, (Issue("picture-too-slow", None, limit, Bilingual("more", "davantage")),))
        assert _decodes(pool)


@pytest.mark.parametrize("picture_format", ["PNG", "TIFF"])
def test_a_picture_that_exhausts_its_decoders_memory_is_refused_and_the_next_one_decoded(picture_format: str) -> None:
    content = _picture_of_many_pixels(picture_format)

    with DecodingPool(DecodingSettings(workers=1, seconds=60, memory_bytes=300 * 1024**2)) as pool:
        found = pool.inspect(content, picture_format).result()

        expected = Bilingual("a picture that fits in memory", "une image qui tient en mémoire")
        memory = Bilingual("no memory left", "plus de mémoire disponible")
        assert found == Inspected(None, (Issue("picture-crashes-decoder", None, expected, memory),))
        assert _decodes(pool)


def test_a_large_photograph_is_measured_in_the_least_memory_that_a_decoder_may_be_given() -> None:
    photograph = saved(Image.effect_noise((5_000, 4_000), 60).convert("RGB"), "PNG", compress_level=1)

    with DecodingPool(DecodingSettings(workers=1, seconds=60, memory_bytes=512 * 1024**2)) as pool:
        found = pool.inspect(photograph, "PNG").result()

    assert found.properties is not None
    assert found.properties.enrichment is not None


def test_a_picture_that_ends_its_decoders_is_refused() -> None:
    with CrashingPool(DecodingSettings(workers=1, seconds=60)) as pool:
        found = pool.inspect().result()

    assert found.properties is None
    (issue,) = found.issues
    assert issue.code == "picture-crashes-decoder"
    assert issue.expected == Bilingual("a picture that decodes", "une image décodable")
    assert issue.found == Bilingual("a decoder that ended with code -11", "un décodeur arrêté avec le code -11")


@pytest.mark.usefixtures("_short_pauses")
def test_a_picture_whose_decoders_are_killed_from_outside_is_not_refused() -> None:
    with (
        DyingPool(DecodingSettings(workers=1, seconds=60)) as pool,
        pytest.raises(WorkersUnavailableError, match="short of memory"),
    ):
        pool.inspect().result()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_decoder_that_dies_while_nobody_needs_it_harms_no_picture(number: int) -> None:
    before = decoders()
    with DecodingPool(DecodingSettings(workers=2, seconds=60)) as pool:
        asked = [pool.inspect(picture(n), "TIFF") for n in range(20)]
        assert all(inspection.result().properties for inspection in asked)
        for decoder in decoders() - before:
            decoder.send_signal(number)

        assert all(inspection.result().properties for inspection in [pool.inspect(picture(), "TIFF") for _ in range(6)])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGCONT])
def test_a_decoder_that_is_stopped_and_may_die_harms_no_picture(number: int) -> None:
    before = decoders()
    with DecodingPool(DecodingSettings(workers=2, seconds=3)) as pool:
        asked = [pool.inspect(picture(n), "TIFF") for n in range(20)]
        assert all(inspection.result().properties for inspection in asked)
        stopped = decoders() - before
        for decoder in stopped:
            decoder.suspend()
        asked = [pool.inspect(picture(n), "TIFF") for n in range(20)]
        for decoder in stopped:
            decoder.send_signal(number)

        assert all(inspection.result().properties for inspection in asked)


def test_decoders_that_stay_stopped_harm_no_picture() -> None:
    before = decoders()
    with DecodingPool(DecodingSettings(workers=2, seconds=2)) as pool:
        assert _decodes(pool)
        for decoder in decoders() - before:
            decoder.suspend()

        assert all(inspection.result().properties for inspection in [pool.inspect(picture(), "TIFF") for _ in range(6)])


@pytest.mark.usefixtures("_short_pauses")
def test_a_folder_is_validated_right_although_a_decoder_is_killed_time_and_again(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "project", sessions=3, pictures=40, picture_format="png", width=320, height=240)
    before = decoders()
    killed = []

    def kill_one(done: int, _total: int) -> None:
        if done % 8 == 0:
            for decoder in list(decoders() - before)[:1]:
                decoder.kill()
                killed.append(decoder)

    with DecodingPool(DecodingSettings(workers=2, seconds=60)) as pool:
        undisturbed = _validated(folder, pool)
        disturbed = _validated(folder, pool, kill_one)

    assert len(killed) > 6
    assert disturbed == undisturbed
    assert disturbed.importable


def _validated(folder: Path, pool: DecodingPool, progress: Progress = silent) -> Report:
    with Inventory() as inventory:
        seeds = SeedRegistry.of(packaged_seeds())
        return validate(LocalFolder(folder), inventory, pool, seeds, progress=progress).report


def test_a_pool_applies_the_limits_it_was_given() -> None:
    with DecodingPool(DecodingSettings(workers=1, seconds=60, limits=PictureLimits(side=50))) as pool:
        found = pool.inspect(picture(), "TIFF").result()

    assert [issue.code for issue in found.issues] == ["picture-too-large"]


def test_a_pool_leaves_no_process_behind_even_when_a_picture_hangs() -> None:
    before = decoders()

    with DecodingPool(DecodingSettings(workers=1, seconds=600, limits=NO_LIMIT_TO_SCANS)) as pool:
        assert _decodes(pool)
        pool.inspect(_hanging_jpeg(), "JPEG")

    assert decoders() == before


def test_a_pool_that_was_never_asked_starts_no_process() -> None:
    before = decoders()

    with DecodingPool(DecodingSettings()):
        assert decoders() == before


def test_pictures_that_arrive_at_once_share_one_pool() -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with DecodingPool(DecodingSettings(workers=2)) as pool, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: pool.inspect(b"", "PNG").result(), range(16)))
        started = {child.pid for child in psutil.Process().children(recursive=True)} - before
    assert len(started) == 2


def test_a_worker_keeps_what_a_decoder_mutters_to_itself(capfd: pytest.CaptureFixture[str]) -> None:
    whole = saved(Image.effect_noise((64, 64), 60), "TIFF", compression="tiff_lzw")
    damaged = whole[:2_000] + bytes(200) + whole[2_200:]

    with DecodingPool(DecodingSettings(workers=1, seconds=60)) as pool:
        assert pool.inspect(damaged, "TIFF").result().properties is None

    assert capfd.readouterr().err == ""


def test_decoders_are_imported_by_workers_and_not_by_the_process_that_asks_them() -> None:
    code = (
        "import sys, nachet_pipeline.pictures.decoding_pool as _;"
        "names = ('numpy', 'cv2', 'blake3', 'tifffile', 'imagecodecs', 'simplejpeg');"
        "print([name for name in names if name in sys.modules])"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
