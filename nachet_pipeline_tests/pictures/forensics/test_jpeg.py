import struct

import pytest
from PIL import Image

from nachet_pipeline.pictures.forensics.jpeg import walk_jpeg
from nachet_pipeline.pictures.forensics.metadata import Metadata
from nachet_pipeline.pictures.issues import Issues
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline_tests.pictures.files import (
    LIMITS,
    PHP,
    changed_bits,
    codes,
    exif_of,
    inspect,
    only,
    saved,
    seed_image,
    with_segments,
    zip_archive,
)

JPEG = saved(seed_image(), "JPEG")
APP1, APP2, APP11, APP13, COMMENT = 0xE1, 0xE2, 0xEB, 0xED, 0xFE


def _scans(number: int) -> bytes:
    """A progressive picture with its last scan repeated."""
    content = saved(seed_image("L", (64, 64)), "JPEG", progressive=True)
    start = content.rfind(b"\xff\xda")
    scans = content.count(b"\xff\xda")
    return content[:-2] + content[start:-2] * (number - scans) + content[-2:]


def test_a_picture_of_many_scans_is_refused_before_it_can_keep_a_decoder_busy() -> None:
    issue = only("JPEG", _scans(1_000))

    assert issue.code == "picture-too-complex"
    assert issue.expected is not None
    assert issue.expected.en == "at most 32 scans"


def test_an_ordinary_number_of_scans_is_accepted() -> None:
    assert "picture-too-complex" not in codes("JPEG", _scans(32))
    assert codes("JPEG", saved(seed_image(), "JPEG", progressive=True)) == set()


def test_a_file_of_nothing_but_segments_is_refused() -> None:
    content = with_segments(JPEG, *[(COMMENT, b"")] * 10_001)

    assert codes("JPEG", content) == {"picture-too-complex"}


@pytest.mark.parametrize("run", [b"\xff" * 300_000, b"\xff\0" * 150_000], ids=["fill", "stuffed"])
def test_a_long_run_of_fill_bytes_does_not_slow_the_walk_down(run: bytes) -> None:
    start = JPEG.rindex(b"\xff\xda") + 20

    # Quadratic time would be minutes.
    assert inspect("JPEG", JPEG[:start] + run).properties is None


def test_fill_bytes_before_a_marker_are_allowed() -> None:
    comment = b"\xff\xff\xff\xff\xfe\0\4ab"

    assert codes("JPEG", JPEG[:2] + comment + JPEG[2:]) == set()


def test_bytes_between_two_segments_are_found() -> None:
    place = JPEG.index(b"\xff\xdb")

    found = inspect("JPEG", JPEG[:place] + zip_archive() + JPEG[place:])

    assert [issue.code for issue in found.issues] == ["hidden-data"]
    assert found.properties is not None


def test_a_second_picture_behind_the_first_is_refused() -> None:
    found = codes("JPEG", saved(seed_image(), "MPO", save_all=True, append_images=[seed_image()]))

    assert found == {"several-pages"}


def test_a_picture_that_lost_its_second_one_in_an_export_is_accepted() -> None:
    phone = saved(seed_image(), "MPO", save_all=True, append_images=[seed_image()])

    found = inspect("JPEG", phone[: phone.index(b"\xff\xd9\xff\xd8") + 2])

    assert found.issues == ()
    assert found.properties is not None


def test_a_jpeg_behind_another_that_announces_none_is_data_that_somebody_put_there() -> None:
    assert codes("JPEG", JPEG + JPEG) == {"trailing-data"}


def test_a_phones_video_behind_its_picture_is_named() -> None:
    issue = only("JPEG", JPEG + b"\0\0\0\x18ftypmp42" + bytes(1_000))

    assert issue.code == "trailing-data"
    assert issue.found is not None
    assert "a video" in issue.found.en


def test_an_archive_in_a_value_is_found_even_where_the_value_is_spread_over_segments() -> None:
    archive = zip_archive(100_000)
    parts = [archive[:3], archive[3:60_000], archive[60_000:]]
    segments = [(APP2, b"ICC_PROFILE\0" + bytes((number, 3)) + part) for number, part in enumerate(parts, 1)]

    issue = only("JPEG", with_segments(JPEG, *segments))

    assert (issue.code, issue.field) == ("suspicious-metadata", "ICC_PROFILE")


def test_values_are_measured_when_they_are_put_together() -> None:
    limits = PictureLimits(metadata_bytes=100_000)
    part = b"ICC_PROFILE\0\1\2" + bytes(60_000)

    assert codes("JPEG", with_segments(JPEG, (APP2, part)), limits) == set()
    issue = only("JPEG", with_segments(JPEG, (APP2, part), (APP2, part)), limits)
    assert (issue.code, issue.field) == ("oversized-metadata", "ICC_PROFILE")


def test_honest_segments_are_no_reason_for_a_remark() -> None:
    segments = [
        (APP1, b"Exif\0\0" + exif_of()),
        (APP1, b"http://ns.adobe.com/xap/1.0/\0<?xpacket begin='x'?><x:xmpmeta/><?xpacket end='w'?>"),
        (APP2, b"ICC_PROFILE\0\1\1" + bytes(range(256)) * 12),
        (APP11, b"JP\0\1\0\0\0\1" + bytes(500)),
        (APP13, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\0"),
        (COMMENT, b"taken with a microscope <30x>, 5 % of the seeds"),
    ]

    assert codes("JPEG", with_segments(JPEG, *segments)) == set()


def test_a_script_in_a_comment_is_found() -> None:
    issue = only("JPEG", with_segments(JPEG, (COMMENT, b"nice picture " + PHP)))

    assert (issue.code, issue.field) == ("suspicious-metadata", "COM")
    assert issue.found is not None
    assert "script" in issue.found.en
    assert "system" not in issue.found.en


def test_data_in_a_segment_that_no_picture_has_is_looked_at_too() -> None:
    found = inspect("JPEG", with_segments(JPEG, (0xF0, zip_archive()))).issues

    assert ("suspicious-metadata", "FFF0") in {(issue.code, issue.field) for issue in found}


@pytest.mark.parametrize("marker", [b"\xff\xfe\0\1", b"\xff\xd8"], ids=["shorter than itself", "second start"])
def test_markers_that_make_no_sense_are_damage(marker: bytes) -> None:
    assert "picture-damaged" in codes("JPEG", JPEG[:2] + marker + JPEG[2:])


def test_a_picture_without_a_frame_is_damaged() -> None:
    assert codes("JPEG", b"\xff\xd8\xff\xfe\0\2\xff\xd9") == {"picture-damaged"}


def test_a_huge_frame_is_refused_before_it_is_decoded() -> None:
    place = JPEG.index(b"\xff\xc0")

    assert codes("JPEG", JPEG[: place + 5] + struct.pack(">HH", 65_500, 65_500) + JPEG[place + 9 :]) == {
        "picture-too-large"
    }


@pytest.mark.parametrize(
    "options", [{"quality": 5}, {"quality": 100}, {"subsampling": 0}, {"optimize": True}, {"restart_marker_blocks": 1}]
)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpegs_as_programs_write_them_are_accepted(mode: str, options: dict[str, int]) -> None:
    found = inspect("JPEG", saved(seed_image(mode, (33, 17)), "JPEG", **options))

    assert found.issues == ()
    assert found.properties is not None
    assert found.properties.mode == mode


def test_some_flipped_bits_are_found() -> None:
    """56 of 200 when this was written; nothing but a checksum tells the others from good pictures."""
    image = Image.effect_mandelbrot((320, 240), (-2, -1.2, 1, 1.2), 60).convert("RGB")
    content = saved(image, "JPEG", quality=90)
    start = content.rindex(b"\xff\xda") + 14

    copies = changed_bits(content, start, len(content) - 2, 200)

    assert sum(not inspect("JPEG", copy).properties for copy in copies) >= 50


@pytest.mark.parametrize("frame", [0xC0, 0xC1, 0xC2, 0xC9, 0xCA, 0xCB])
def test_a_frame_says_how_it_is_coded(frame: int) -> None:
    place = JPEG.index(b"\xff\xc0")
    content = JPEG[: place + 1] + bytes([frame]) + JPEG[place + 2 :]

    found = walk_jpeg(content, LIMITS, Issues(), Metadata(Issues(), LIMITS))

    assert found is not None
    assert found.frame == frame
