import io
import itertools
import struct
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from nachet_pipeline.pictures.inspected import Thumbnail
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline_tests.pictures.files import (
    HTML,
    PHP,
    Entry,
    changed_bits,
    codes,
    directory,
    grey_tiff,
    inspect,
    long,
    noise,
    only,
    position,
    saved,
    seed_image,
    short,
    text,
    tiff_of,
    zip_archive,
)

SUBFILE, DESCRIPTION, SUB_DIRECTORIES, EXIF, GPS, PRIVATE = 254, 270, 330, 34665, 34853, 50000
END = len(grey_tiff())
COMPRESSIONS = (None, "lzw", "zlib", "packbits", "zstd")


def _page(place: int, *more: Entry, width: int = 8, following: int = 0) -> bytes:
    """A further directory of a picture whose pixels are the first one's."""
    entries: list[Entry] = [(256, *short(width)), (257, *short(8)), (258, *short(8)), (262, *short(1))]
    entries += [(259, *short(1)), (273, *long(8)), (279, *long(8 * width)), *more]
    return directory(entries, place, following)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("u1", "L"), ("u2", "I;16"), ("i2", "I"), ("u4", "I"), ("i4", "I"), ("f4", "F"), ("f8", "L;64F"), ("f2", "L;16F")],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_greys_of_any_depth_and_byte_order_are_accepted(kind: str, mode: str, order: str) -> None:
    for compression, tile, big in itertools.product(COMPRESSIONS, (None, (16, 16)), (False, True)):
        content = tiff_of(noise((40, 50), kind), compression=compression, tile=tile, byteorder=order, bigtiff=big)

        found = inspect("TIFF", content, thumbnail=Thumbnail.ALWAYS)

        assert found.issues == ()
        assert found.properties is not None
        assert (found.properties.width, found.properties.height) == (50, 40)
        assert found.properties.mode in {mode, f"{mode}B"}
        assert found.properties.resolution is None
        assert found.thumbnail


@pytest.mark.parametrize(("kind", "mode"), [("u1", "RGB"), ("u2", "RGB;16"), ("f4", "RGB;32F")])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_colours_of_any_depth_and_arrangement_are_accepted(kind: str, mode: str, planes: str) -> None:
    array = noise((40, 50, 3), kind)
    if planes == "separate":
        array = np.moveaxis(array, -1, 0)
    for compression, tile, order in itertools.product(COMPRESSIONS, (None, (16, 32)), "<>"):
        options: dict[str, Any] = {"photometric": "rgb", "planarconfig": planes, "byteorder": order, "tile": tile}

        found = inspect("TIFF", tiff_of(array, compression=compression, **options), thumbnail=Thumbnail.ALWAYS)

        assert found.issues == ()
        assert found.properties is not None
        assert found.properties.mode in {mode, "RGB"}  # Pillow reads 16 bits as 8 where it can
        assert found.thumbnail


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
@pytest.mark.parametrize("compression", ["lzw", "zlib"])
def test_predictors_are_understood(kind: str, compression: str) -> None:
    content = tiff_of(noise((40, 50, 3), kind), photometric="rgb", compression=compression, predictor=True)

    assert codes("TIFF", content) == set()


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "I;16", "F"])
def test_the_kinds_of_pixels_that_other_programs_write_are_accepted(mode: str, compression: str | None) -> None:
    found = inspect("TIFF", saved(seed_image(mode, (33, 17)), "TIFF", compression=compression))

    assert found.issues == ()
    assert found.properties is not None
    assert found.properties.mode == mode


@pytest.mark.parametrize("compression", ["jpeg", "group3", "group4", "tiff_deflate", "zstd", "lzma"])
def test_other_compressions_are_accepted(compression: str) -> None:
    image = seed_image("1" if compression.startswith("group") else "RGB", (64, 48))

    found = inspect("TIFF", saved(image, "TIFF", compression=compression))

    assert found.issues == ()
    assert found.properties is not None


@pytest.mark.parametrize("compression", ["webp", "jpeg2000", "jpeg"])
def test_compressions_that_slide_scanners_use_are_accepted(compression: str) -> None:
    found = inspect("TIFF", tiff_of(noise((40, 50, 3)), photometric="rgb", compression=compression))

    assert found.issues == ()
    assert found.properties is not None
    assert found.properties.mode == "RGB"


def test_a_picture_that_stands_on_its_side_is_described_as_it_is_shown() -> None:
    found = inspect("TIFF", tiff_of(noise((40, 50)), extratags=[(274, "H", 1, 6, False)]))

    assert found.properties is not None
    assert (found.properties.width, found.properties.height) == (40, 50)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda: grey_tiff(without=[279]), id="no byte counts"),
        pytest.param(lambda: grey_tiff([(279, *long(0))]), id="byte count zero"),
        pytest.param(lambda: grey_tiff(without=[278]), id="no rows per strip"),
        pytest.param(lambda: grey_tiff([(278, *long(2**32 - 1))]), id="as many rows per strip as can be"),
        pytest.param(lambda: grey_tiff([(DESCRIPTION, *text(b"a seed"))], behind=b"\0"), id="an odd end"),
        pytest.param(lambda: grey_tiff(behind=b"\0" * 3_000), id="padding"),
        pytest.param(lambda: grey_tiff(behind=b"creator"), id="a short signature of the program"),
        pytest.param(lambda: grey_tiff([(PRIVATE, 99, 7, b"\1\2\3\4")]), id="a type that nobody knows"),
        pytest.param(lambda: tiff_of(noise((40, 50)), imagej=True), id="ImageJ"),
        pytest.param(
            lambda: tiff_of(noise((40, 50), "u2"), imagej=True, metadata={"Info": "x" * 999, "Labels": ["a"]}),
            id="ImageJ with its own tags",
        ),
        pytest.param(lambda: tiff_of(noise((40, 50)), ome=True, metadata={"axes": "YX"}), id="OME"),
        pytest.param(
            lambda: tiff_of(noise((40, 50)), extratags=[(34412, "B", 300_000, bytes(range(250)) * 1_200, False)]),
            id="a microscope's private tag",
        ),
        pytest.param(
            lambda: tiff_of(noise((40, 50)), extratags=[(34675, "B", 3_000, bytes(range(250)) * 12, False)]),
            id="a colour profile",
        ),
        pytest.param(lambda: tiff_of(np.zeros((64, 64), "u1"), tile=(16, 16), compression="lzw"), id="blank tiles"),
        pytest.param(lambda: tiff_of(np.zeros((64, 64), "u1"), rowsperstrip=1), id="blank strips"),
    ],
)
def test_odd_but_honest_files_are_accepted_without_a_remark(content: Callable[[], bytes]) -> None:
    found = inspect("TIFF", content())

    assert found.issues == ()
    assert found.properties is not None


def test_blank_strips_that_share_their_bytes_are_accepted() -> None:
    content = grey_tiff([(278, *short(1)), (273, *long(*[8] * 8)), (279, *long(*[8] * 8))])

    assert codes("TIFF", content) <= {"unused-bytes"}


def test_a_directory_at_an_odd_place_is_accepted() -> None:
    content = grey_tiff()
    moved = content[:4] + struct.pack("<I", 73) + content[8:72] + b"\0" + content[72:]

    assert codes("TIFF", moved) == set()


# --- several pictures -------------------------------------------------------------------------------------------------


def test_several_pages_are_refused() -> None:
    content = saved(seed_image(), "TIFF", save_all=True, append_images=[seed_image()])

    assert codes("TIFF", content) == {"several-pages"}


@pytest.mark.parametrize("kind", [1, 4, 5], ids=["thumbnail", "mask", "mask of a thumbnail"])
def test_a_thumbnail_or_a_mask_is_no_second_page(kind: int) -> None:
    content = grey_tiff(following=END, behind=_page(END, (SUBFILE, *long(kind))))

    assert codes("TIFF", content) == set()


def test_a_thumbnail_in_a_directory_below_is_no_second_page() -> None:
    entry = (SUB_DIRECTORIES, *long(END + 12))
    content = grey_tiff([entry])
    assert len(content) == END + 12

    assert codes("TIFF", content + _page(len(content), width=4)) == set()
    assert codes("TIFF", content + _page(len(content), width=8)) == {"several-pages"}


def test_a_stack_of_imagej_with_one_directory_is_refused() -> None:
    frame = noise((40, 50))
    first = tiff_of(frame, description="ImageJ=1.54f\nimages=3\nslices=3\n", metadata=None)

    assert codes("TIFF", first + frame.tobytes() * 2) >= {"z-stack"}


# --- structure --------------------------------------------------------------------------------------------------------


def test_a_chain_of_many_directories_is_refused_at_once() -> None:
    chain = b"".join(struct.pack("<HHHIII", 1, 254, 4, 1, 1, END + (number + 1) * 18) for number in range(100_000))

    assert "picture-too-complex" in codes("TIFF", grey_tiff(following=END, behind=chain))


def test_directories_up_to_the_limit_are_followed() -> None:
    pages = b""
    for number in range(10):
        place = END + len(pages)
        size = len(_page(place, (SUBFILE, *long(1))))
        pages += _page(place, (SUBFILE, *long(1)), following=place + size if number < 9 else 0)
    content = grey_tiff(following=END, behind=pages)

    assert codes("TIFF", content, PictureLimits(tiff_directories=11)) == set()
    assert codes("TIFF", content, PictureLimits(tiff_directories=10)) == {"picture-too-complex"}


@pytest.mark.parametrize("tag", [EXIF, GPS, SUB_DIRECTORIES])
def test_a_directory_that_leads_back_to_the_first_is_refused(tag: int) -> None:
    assert codes("TIFF", grey_tiff([(tag, *long(72))])) == {"picture-too-complex"}


def test_a_chain_that_ends_where_it_began_is_refused() -> None:
    assert codes("TIFF", grey_tiff(following=72)) == {"picture-too-complex"}


def test_a_directory_of_too_many_tags_is_refused() -> None:
    few = [(60_000 + number, *short(1)) for number in range(400)]
    many = [(60_000 + number, *short(1)) for number in range(600)]

    assert codes("TIFF", grey_tiff(few)) == set()
    assert codes("TIFF", grey_tiff(many)) == {"picture-too-complex"}


def test_more_strips_than_any_picture_has_are_refused() -> None:
    strips = struct.pack("<I", 8) * 200_001

    content = grey_tiff([(273, 4, 200_001, strips), (279, 4, 200_001, strips)])

    assert codes("TIFF", content) == {"picture-too-complex"}


@pytest.mark.parametrize("count", [2**16, 2**31, 2**32 - 1])
def test_a_value_that_claims_more_than_the_file_holds_is_damage_and_named(count: int) -> None:
    found = inspect("TIFF", grey_tiff([(DESCRIPTION, 2, count, b"\x08\0\0\0")]))

    assert [(one.code, one.field) for one in found.issues] == [("picture-damaged", "ImageDescription")]


def test_values_that_share_the_same_bytes_over_and_over_are_refused() -> None:
    size = 1_000_000
    place = len(grey_tiff([(40_000 + number, 7, size, b"xxxx") for number in range(400)]))
    entries = [(40_000 + number, 7, size - number, struct.pack("<I", place + number)) for number in range(400)]

    assert codes("TIFF", grey_tiff(entries, behind=bytes(size))) == {"picture-too-complex"}


@pytest.mark.parametrize(
    ("entries", "field"),
    [
        ([(273, *long(5_000))], "StripOffsets"),
        ([(273, *long(0))], "StripOffsets"),
        ([(279, *long(5_000))], "StripOffsets"),
        ([(278, *short(4))], "StripOffsets"),
        ([(277, *short(0))], "StripOffsets"),
        ([(256, *short(0))], None),
        ([(279, *long(63))], "StripByteCounts"),
    ],
)
def test_pixels_that_are_not_where_they_should_be_are_damage(entries: list[Entry], field: str | None) -> None:
    found = inspect("TIFF", grey_tiff(entries))

    assert [(one.code, one.field) for one in found.issues] == [("picture-damaged", field)]


def test_a_tile_that_is_larger_than_any_picture_is_refused_before_room_is_made_for_it() -> None:
    tiles = [(322, *long(2**31)), (323, *long(16)), (324, *long(8)), (325, *long(64))]

    assert codes("TIFF", grey_tiff([*tiles, (259, *short(5))], without=[273, 278, 279])) == {"picture-too-large"}


def test_a_compression_that_nobody_knows_is_damage() -> None:
    found = inspect("TIFF", grey_tiff([(259, *short(33_333))]))

    assert [one.code for one in found.issues] == ["picture-damaged"]
    assert found.issues[0].found is not None
    assert "33333" in found.issues[0].found.en


# --- bytes that are no part of the picture ----------------------------------------------------------------------------


def _with_gap(gap: bytes) -> bytes:
    """Bytes between the pixels and the directory."""
    content = grey_tiff()
    return content[:4] + struct.pack("<I", 72 + len(gap)) + content[8:72] + gap + content[72:]


@pytest.mark.parametrize(
    ("gap", "code"),
    [
        (bytes(100_000), None),
        (b"padding", None),
        (noise((4_000,)).tobytes(), "unused-bytes"),
        (noise((65_000,)).tobytes(), "unused-bytes"),
        (noise((66_000,)).tobytes(), "hidden-data"),
        (zip_archive(), "hidden-data"),
        (b"  " + PHP, "hidden-data"),
        (HTML, "hidden-data"),
    ],
    ids=["zeros", "few", "some", "at the limit", "many", "zip", "php", "html"],
)
def test_bytes_in_a_gap_are_judged_by_their_number_and_their_look(gap: bytes, code: str | None) -> None:
    found = inspect("TIFF", _with_gap(gap))

    assert {issue.code for issue in found.issues} == ({code} if code else set())
    assert found.properties is not None


def test_many_small_gaps_are_added_up() -> None:
    rows = 4_000
    pixels = b"".join(bytes(8) + b"\1" * 20 for _ in range(rows))
    entries = [
        (257, *short(rows)),
        (278, *short(1)),
        (273, *long(*[END + 2 * 4 * rows + 28 * row for row in range(rows)])),
        (279, *long(*[8] * rows)),
    ]
    content = grey_tiff(entries)

    assert "hidden-data" in codes("TIFF", content + pixels)


@pytest.mark.parametrize(
    ("tail", "code"),
    [
        (noise((4_000,)).tobytes(), "unused-bytes"),
        (noise((66_000,)).tobytes(), "trailing-data"),
        (zip_archive(100_000), "trailing-data"),
    ],
)
def test_bytes_behind_the_last_part_are_judged_likewise(tail: bytes, code: str) -> None:
    assert codes("TIFF", grey_tiff(behind=tail)) == {code}


def test_parts_that_overlap_more_than_by_rounding_are_found() -> None:
    pixels = noise((100, 100)).tobytes()
    entries = [(256, *short(100)), (257, *short(100)), (278, *short(100)), (279, *long(10_000)), (273, *long(END + 12))]
    content = grey_tiff([*entries, (PRIVATE, 7, 9_000, struct.pack("<I", END + 512))])
    little = grey_tiff([*entries, (PRIVATE, 7, 2_000, struct.pack("<I", END + 512))])

    assert codes("TIFF", content + pixels) >= {"hidden-data"}
    assert "hidden-data" not in codes("TIFF", little + pixels)


@pytest.mark.parametrize(("surplus", "code"), [(4_000, None), (5_000, "hidden-data")])
def test_a_raw_strip_may_be_rounded_up_and_not_hold_anything_else(surplus: int, code: str | None) -> None:
    content = _with_gap(b"\1" * surplus)
    content = content.replace(struct.pack("<HHII", 279, 4, 1, 64), struct.pack("<HHII", 279, 4, 1, 64 + surplus))

    assert codes("TIFF", content) == ({code} if code else set())


def test_a_strip_of_a_deflate_picture_holds_its_pixels_and_nothing_else() -> None:
    def of(stream: bytes) -> bytes:
        entries = [(259, *short(8)), (273, *long(END)), (279, *long(len(stream)))]
        return grey_tiff(entries, behind=stream)

    pixels = noise((64,)).tobytes()

    assert codes("TIFF", of(zlib.compress(pixels))) == {"unused-bytes"}  # the raw pixels are still in the file
    assert "hidden-data" in codes("TIFF", of(zlib.compress(pixels) + zip_archive()))
    assert "hidden-data" in codes("TIFF", of(zlib.compress(pixels + PHP * 5)))
    assert "picture-damaged" in codes("TIFF", of(zlib.compress(pixels[:-1])))
    assert "picture-damaged" in codes("TIFF", of(zlib.compress(pixels)[:-1]))


@pytest.mark.parametrize(
    ("pixels", "code"),
    [(64, None), (63, "picture-damaged"), (65, "unused-bytes"), (72, "unused-bytes"), (73, "hidden-data")],
)
def test_a_strip_of_an_lzw_picture_holds_its_pixels_and_nothing_else(pixels: int, code: str | None) -> None:
    wide = tiff_of(noise((1, pixels)), compression="lzw", metadata=None)
    with tifffile.TiffFile(io.BytesIO(wide)) as file:
        (start,), (size,) = file.pages.first.dataoffsets, file.pages.first.databytecounts
    stream = wide[start : start + size]
    content = struct.pack("<2sHI", b"II", 42, 8 + len(stream) + len(stream) % 2) + stream + b"\0" * (len(stream) % 2)
    tags = [(256, *short(8)), (257, *short(8)), (258, *short(8)), (259, *short(5)), (262, *short(1)), (273, *long(8))]
    content += directory([*tags, (277, *short(1)), (278, *short(8)), (279, *long(len(stream)))], len(content))

    found = inspect("TIFF", content)

    assert {issue.code for issue in found.issues} == ({code} if code else set())


def test_a_sound_lzw_picture_is_read_by_the_faster_decoder_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known by what libtiff says of a byte that it lacks; if it said that in other words, this would fail."""

    def counting(*_: object, **__: object) -> bytes:
        raise AssertionError

    monkeypatch.setattr(imagecodecs, "lzw_decode", counting)

    assert inspect("TIFF", tiff_of(noise((40, 50)), compression="lzw")).issues == ()


@pytest.mark.parametrize(
    ("compression", "archive"),
    [
        # Where LZW ends no decoder tells, and to search it all would take longer than to decode it.
        ("lzw", zip_archive()),
        *itertools.product(("packbits", "zlib", "zstd", "jpeg"), (zip_archive(), PHP, HTML)),
    ],
)
def test_what_is_counted_as_the_end_of_the_last_strip_is_found(compression: str, archive: bytes) -> None:
    content = tiff_of(noise((40, 50)), compression=compression, metadata=None)
    (place,) = [
        place for place in range(len(content) - 12) if content[place : place + 8] == struct.pack("<HHI", 279, 4, 1)
    ] or [0]
    (count,) = struct.unpack_from("<I", content, place + 8)
    longer = content[: place + 8] + struct.pack("<I", count + len(archive)) + content[place + 12 :] + archive

    assert codes("TIFF", longer) == {"hidden-data"}


# --- damage -----------------------------------------------------------------------------------------------------------


def _flips_found(content: bytes, start: int, end: int) -> int:
    return sum(bool(inspect("TIFF", copy).issues) for copy in changed_bits(content, start, end, 200))


@pytest.mark.parametrize(
    ("compression", "least"),
    [("zlib", 200), ("lzw", 120), ("packbits", 20), (None, 0)],
)
def test_flipped_bits_in_pixels_are_found_as_far_as_the_compression_allows(compression: str | None, least: int) -> None:
    """What is not found is a picture like any other, but for a checksum that the sender supplies."""
    ramp = (np.add.outer(np.arange(120), np.arange(160)) // 3).astype("u1")
    content = tiff_of(ramp, compression=compression, metadata=None)
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        (start,), (size,) = file.pages.first.dataoffsets, file.pages.first.databytecounts

    assert _flips_found(content, start, start + size) >= least


# --- metadata ---------------------------------------------------------------------------------------------------------


def test_a_position_and_names_are_found_in_the_directories_of_exif() -> None:
    def place(count: int) -> int:
        return END + 12 * count + 10

    content = grey_tiff([(315, *text(b"Ann Botanist")), (EXIF, *long(0)), (GPS, *long(0))])
    exif_at = len(content)
    exif = directory([(0xA430, *text(b"Ann Botanist"))], exif_at)
    gps = directory(position(), exif_at + len(exif))
    content = grey_tiff([(315, *text(b"Ann Botanist")), (EXIF, *long(exif_at)), (GPS, *long(exif_at + len(exif)))])

    found = inspect("TIFF", content + exif + gps)

    assert {(one.code, one.field) for one in found.issues} == {
        ("name-in-picture", "Artist"),
        ("name-in-picture", "CameraOwnerName"),
        ("location-in-picture", "GPSInfo"),
    }
    assert found.properties is not None
    assert "Ann" not in str(found.issues)


def test_a_script_in_a_tag_is_found_and_named() -> None:
    issue = only("TIFF", grey_tiff([(DESCRIPTION, *text(b"a seed " + PHP))]))

    assert (issue.code, issue.field) == ("suspicious-metadata", "ImageDescription")


def test_an_archive_in_a_private_tag_is_found() -> None:
    archive = zip_archive()

    issue = only("TIFF", grey_tiff([(PRIVATE, 7, len(archive), archive)]))

    assert (issue.code, issue.field) == ("suspicious-metadata", "tag 50000")


def test_a_value_above_the_limit_is_found_and_the_picture_described_all_the_same() -> None:
    found = inspect("TIFF", grey_tiff([(PRIVATE, 7, 10_001, bytes(10_001))]), PictureLimits(metadata_bytes=10_000))

    assert [(one.code, one.field) for one in found.issues] == [("oversized-metadata", "tag 50000")]
    assert found.properties is not None


def test_the_microscopist_that_ome_names_is_found() -> None:
    xml = b"<OME><Experimenter ID='Experimenter:0' FirstName='Ann' LastName='Botanist'/></OME>"

    issue = only("TIFF", grey_tiff([(DESCRIPTION, *text(xml))]))

    assert (issue.code, issue.field) == ("name-in-picture", "ImageDescription")
