"""What cameras, phones and microscopes write is taken as it is; with something harmful in it, never.

Each honest file is made as its maker's program lays it out, so none has to be kept here. `_places` puts a payload
wherever such a file has room: behind it, in its metadata, in its previews, between its parts.
"""

import struct
from collections.abc import Callable, Iterator
from random import Random

import pytest

from nachet_pipeline.contract.catalogue import CATALOGUE, Severity
from nachet_pipeline.pictures.forensics.signatures import begins_document, harmful
from nachet_pipeline_tests.pictures import cameras
from nachet_pipeline_tests.pictures.cameras import APP1, APP2, XMP, jpeg
from nachet_pipeline_tests.pictures.files import (
    ELF,
    HTML,
    PHP,
    SHELL,
    WINDOWS_PROGRAM,
    codes,
    grey_tiff,
    inspect,
    is_refused,
    noise,
    png_chunks,
    png_of,
    saved,
    seed_image,
    short,
    tiff_of,
    with_chunks,
    with_segments,
    zip_archive,
)

PNG = saved(seed_image("RGB", (64, 48)), "PNG")
UNKNOWN = noise((60_000,)).tobytes()
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(document.domain)"><circle r="4"/></svg>'
PAYLOADS = {
    "zip": zip_archive(),
    "shell": SHELL,
    "php": PHP,
    "html": HTML,
    "svg": SVG,
    "windows": WINDOWS_PROGRAM,
    "elf": ELF,
}
PREVIEW = jpeg(16, 12)
UNUSED, FILM, BROKEN = "unused-bytes", "film-in-picture", "damaged-metadata"

Honest = tuple[str, Callable[[], bytes], set[str]]
"""A format, the file, and what it may be remarked upon."""

HONEST: dict[str, Honest] = {
    # Phones
    "Samsung's trailer": ("JPEG", lambda: jpeg() + cameras.samsung(), set()),
    "Samsung's trailer of several blocks": (
        "JPEG",
        lambda: jpeg() + cameras.samsung((0xA01, b"Image_UTC_Data", b"1714"), (0xAA1, b"MCC_Data", b"302")),
        set(),
    ),
    "Samsung's picture of depth": (
        "JPEG",
        lambda: jpeg() + cameras.samsung((0xAB0, b"DualShot_DepthMap_1", noise((900,)).tobytes()), (1, b"x", PREVIEW)),
        set(),
    ),
    "Samsung's motion photo": (
        "JPEG",
        lambda: jpeg() + cameras.samsung((0xA30, b"MotionPhoto_Data", cameras.film())),
        {FILM},
    ),
    "Google's motion photo": (
        "JPEG",
        lambda: with_segments(jpeg(), (APP1, cameras.MOTION_PHOTO)) + cameras.film(),
        {FILM},
    ),
    "Ultra HDR": ("JPEG", cameras.ultra_hdr, set()),
    "Ultra HDR of full size": ("JPEG", lambda: cameras.ultra_hdr(jpeg()), set()),
    "Apple's gain map": ("JPEG", lambda: cameras.ultra_hdr(jpeg(), mark=cameras.APPLE_GAIN_MAP), set()),
    "vivo's notes": ("JPEG", lambda: jpeg() + b'vivo{"camera":"rear"}' * 4, {UNUSED}),
    # Cameras
    "a large thumbnail (MPF)": (
        "JPEG",
        lambda: cameras.multi_picture(jpeg(), (cameras.LARGE_THUMBNAIL, PREVIEW), (0, jpeg(32, 24)), gap=bytes(500)),
        set(),
    ),
    "a preview (Nikon)": ("JPEG", lambda: jpeg() + PREVIEW, set()),
    "a preview after padding": ("JPEG", lambda: jpeg() + bytes(2_000) + PREVIEW + bytes(50), set()),
    "a preview as large as the picture (Canon)": ("JPEG", cameras.canon, set()),
    "a preview of Minolta's": ("JPEG", lambda: cameras.minolta(jpeg(32, 24)[:2] + jpeg(32, 24)[20:]), set()),
    "one byte more (HP)": ("JPEG", lambda: jpeg() + b"\0", set()),
    "one byte more (Olympus)": ("JPEG", lambda: jpeg() + b"\x20", set()),
    "zeros up to a block": ("JPEG", lambda: jpeg() + bytes(32_768), set()),
    "ones up to a block": ("JPEG", lambda: jpeg() + b"\xff" * 32_768, set()),
    "an unknown trailer": ("JPEG", lambda: jpeg() + UNKNOWN, {UNUSED}),
    "Canon's recipe": ("JPEG", lambda: jpeg() + b"CANON OPTIONAL DATA\0" + bytes(range(1, 90)), {UNUSED}),
    "two bytes after XMP": ("JPEG", lambda: cameras.after_xmp(b"\x0a\x20"), set()),
    "an XMP of an editor": (
        "JPEG",
        lambda: with_segments(
            jpeg(),
            (APP1, XMP + b"<?xpacket begin='\xef\xbb\xbf'?><x:xmpmeta><rdf:RDF/></x:xmpmeta><?xpacket end='w'?>"),
            (APP2, b"ICC_PROFILE\0\1\1" + bytes(range(256)) * 12),
        ),
        set(),
    ),
    "a TIFF with a thumbnail": ("TIFF", lambda: cameras.with_thumbnail((254, *cameras.long(1))), set()),
    "a TIFF with a thumbnail of old": ("TIFF", lambda: cameras.with_thumbnail((255, *short(2))), set()),
    "a TIFF with the thumbnail of Exif": ("TIFF", cameras.with_jpeg_thumbnail, set()),
    "a TIFF with a reduced picture below": ("TIFF", cameras.with_reduced_below, set()),
    "a TIFF of shared colours": ("TIFF", cameras.shared_colours, {UNUSED}),
    "tiles where strips belong": ("TIFF", cameras.tiles_as_strips, set()),
    "compressed tiles where strips belong": ("TIFF", lambda: cameras.tiles_as_strips("lzw"), set()),
    # Microscopes
    "OME-TIFF": ("TIFF", cameras.ome, set()),
    "one plane of a z-stack": ("TIFF", lambda: cameras.ome(z=12), set()),
    "ImageJ": ("TIFF", lambda: cameras.imagej(slices=1), set()),
    "a microscope's own tag": (
        "TIFF",
        lambda: tiff_of(noise((48, 64)), extratags=[(34412, "B", 3_000, bytes(range(250)) * 12, False)]),
        set(),
    ),
    # Programs
    "a PNG with chunks of its program": (
        "PNG",
        lambda: with_chunks(PNG, (b"iDOT", bytes(28)), (b"prVW", noise((5_000,)).tobytes())),
        set(),
    ),
    "a PNG with a chunk cut short": ("PNG", lambda: with_chunks(PNG, (b"cHRM", bytes(20)), (b"sRGB", b"")), {BROKEN}),
    "a PNG with an unknown trailer": ("PNG", lambda: PNG + UNKNOWN, {UNUSED}),
    "a fax": ("TIFF", cameras.fax, set()),
}


@pytest.mark.parametrize("name", HONEST)
def test_what_an_honest_device_writes_is_taken(name: str) -> None:
    picture_format, content, remarks = HONEST[name]

    found = inspect(picture_format, content())

    assert {issue.code for issue in found.issues} == remarks
    assert found.properties is not None
    assert all(CATALOGUE[code].severity is not Severity.ERROR for code in remarks)


def _places(name: str, content: bytes, payload: bytes) -> Iterator[bytes]:
    """The file with a payload behind it, and within its metadata where the format has a place for anything."""
    yield content + payload
    yield content + bytes(64) + payload
    yield content + UNKNOWN[:40] + payload
    if HONEST[name][0] == "JPEG":
        yield from (with_segments(content, (marker, payload)) for marker in (0xE1, 0xE4, 0xEB, 0xED, 0xFE))
        yield with_segments(content, (0xE2, b"ICC_PROFILE\0\1\1" + payload))
        yield with_segments(content, (0xE5, b"Maker\0" + payload))
        yield with_segments(content, (0xE1, XMP + payload))
    elif HONEST[name][0] == "PNG":
        chunks = [(b"prVT", payload), (b"prVT", b"maker\0" + payload), (b"tEXt", b"Comment\0" + payload)]
        yield from (with_chunks(content, chunk) for chunk in chunks)


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("name", HONEST)
def test_the_same_file_with_something_harmful_in_it_is_not(name: str, payload: str) -> None:
    picture_format, content, _ = HONEST[name]

    taken = [
        number
        for number, hostile in enumerate(_places(name, content(), PAYLOADS[payload]))
        if not is_refused(picture_format, hostile)
    ]

    assert taken == []


def _within(payload: bytes) -> dict[str, tuple[str, bytes]]:
    """Files with a payload inside the parts that only some devices write."""
    hidden = with_segments(PREVIEW, (0xE4, payload))
    mp = cameras.multi_picture
    return {
        "a block of Samsung's": ("JPEG", jpeg() + cameras.samsung((0xA01, b"Image_UTC_Data", payload))),
        "before Samsung's blocks": ("JPEG", jpeg() + payload + cameras.samsung()),
        "a film of Samsung's": (
            "JPEG",
            jpeg() + cameras.samsung((0xA30, b"MotionPhoto_Data", cameras.film(payload))),
        ),
        "behind a film of Samsung's": (
            "JPEG",
            jpeg() + cameras.samsung((0xA30, b"MotionPhoto_Data", cameras.film() + payload)),
        ),
        "a film": ("JPEG", with_segments(jpeg(), (APP1, cameras.MOTION_PHOTO)) + cameras.film(payload)),
        "before a picture of the index": ("JPEG", mp(jpeg(), (0, PREVIEW), gap=payload)),
        "between pictures of the index": ("JPEG", mp(jpeg(), (0, PREVIEW + payload), (0, PREVIEW))),
        "a segment of a preview": ("JPEG", mp(jpeg(), (0, hidden))),
        "a segment of an unannounced preview": ("JPEG", jpeg() + hidden),
        "a segment of a preview in a block": ("JPEG", jpeg() + cameras.samsung((1, b"x", hidden))),
        "behind a preview in a block": ("JPEG", jpeg() + cameras.samsung((1, b"x", PREVIEW + payload))),
        "the index itself": ("JPEG", with_segments(jpeg(), (APP2, b"MPF\0II*\0\x08\0\0\0" + payload))),
        "after XMP": ("JPEG", cameras.after_xmp(payload)),
        "behind the thumbnail of a TIFF": ("TIFF", cameras.with_jpeg_thumbnail(PREVIEW + payload)),
        "a segment of the thumbnail of a TIFF": ("TIFF", cameras.with_jpeg_thumbnail(hidden)),
        "instead of the thumbnail of a TIFF": ("TIFF", cameras.with_jpeg_thumbnail(payload)),
        "the pixels of a thumbnail": ("TIFF", cameras.with_thumbnail((254, *cameras.long(1)), pixels=payload)),
        "the pixels of a reduced picture": ("TIFF", cameras.with_reduced_below(pixels=payload)),
        "a private tag": ("TIFF", grey_tiff([(50_000, 7, len(payload), payload)])),
    }


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("place", _within(b"x" * 20))
def test_what_only_some_devices_write_hides_nothing_harmful(place: str, payload: str) -> None:
    assert is_refused(*_within(PAYLOADS[payload])[place])


@pytest.mark.parametrize("what", [jpeg(), PNG, grey_tiff(), cameras.film(), b"GIF89a" + bytes(30), b"%PDF-1.7\n"])
@pytest.mark.parametrize("size", [0, 64], ids=["at once", "after padding"])
def test_a_second_document_behind_a_picture_is_no_trailer(what: bytes, size: int) -> None:
    assert is_refused("JPEG", jpeg() + bytes(size) + what)
    assert is_refused("PNG", PNG + bytes(size) + what)
    assert is_refused("TIFF", grey_tiff(behind=bytes(size) + what))


def test_more_than_any_trailer_holds_is_refused_however_it_is_divided() -> None:
    more = noise((70_000,)).tobytes()

    assert is_refused("JPEG", jpeg() + more)
    assert is_refused("PNG", PNG + more)
    assert is_refused("JPEG", jpeg() + more[:35_000] + PREVIEW + more[35_000:])


def test_a_second_photograph_as_large_as_the_first_is_named() -> None:
    found = inspect("JPEG", cameras.multi_picture(jpeg(), (cameras.LEFT_AND_RIGHT, jpeg())))

    (issue,) = found.issues
    assert issue.code == "several-pages"
    assert issue.found is not None
    assert "as large as the first" in issue.found.en


def test_a_preview_that_was_cut_off_is_part_of_an_unknown_trailer() -> None:
    assert codes("JPEG", jpeg() + PREVIEW[:-200]) == {"trailing-data"}


def test_a_trailer_that_only_looks_like_samsungs_is_an_unknown_one() -> None:
    """Its list points before the end of the picture, beyond itself, or has another length than it says."""
    whole = cameras.samsung()
    head = whole.index(b"SEFH")
    for place, number in ((head + 16, 10_000), (head + 20, 10_000), (head + 8, 4_000), (len(whole) - 8, 9)):
        broken = whole[:place] + struct.pack("<I", number) + whole[place + 4 :]

        assert codes("JPEG", jpeg() + broken) == {UNUSED}


def test_more_pictures_in_a_trailer_than_any_device_writes_are_no_trailer() -> None:
    some, many = ([(1, b"x", PREVIEW)] * number for number in (5, 40))

    assert inspect("JPEG", jpeg() + cameras.samsung(*some)).issues == ()
    assert codes("JPEG", jpeg() + cameras.samsung(*many)) == {"trailing-data"}
    assert codes("JPEG", jpeg() + PREVIEW * 40) == {"trailing-data"}


def test_no_noise_looks_harmful() -> None:
    """A megabyte contains a signature by chance less than twice in a million times, so sixteen do here: never."""
    for number in range(16):
        data = Random(number).randbytes(1_048_576)

        assert harmful(data, text=False) is None
    assert sum(begins_document(Random(number).randbytes(64)) is not None for number in range(20_000)) == 0


def test_a_damaged_chunk_of_a_png_is_damage_and_one_of_the_wrong_length_a_warning() -> None:
    content = with_chunks(PNG, (b"cHRM", bytes(20)))
    place = content.index(b"cHRM") + 4

    assert {issue.field for issue in inspect("PNG", content).issues} == {"cHRM"}
    damaged = content[:place] + b"\1" + content[place + 1 :]
    assert codes("PNG", damaged) == {"picture-damaged"}


def test_a_resolution_of_the_wrong_length_does_not_stop_a_decoder() -> None:
    chunks = [chunk for chunk in png_chunks(PNG) if chunk[0] != b"pHYs"]

    found = inspect("PNG", png_of([chunks[0], (b"pHYs", bytes(4)), *chunks[1:]]))

    assert {issue.code for issue in found.issues} == {BROKEN}
    assert found.properties is not None


def test_a_fax_that_its_decoder_calls_bad_is_damaged() -> None:
    content = bytearray(cameras.fax())
    found = []
    for number in range(20):
        damaged = bytearray(content)
        for place in Random(number).sample(range(200, len(content) - 400), 3):
            damaged[place] ^= 0x55
        found.append(codes("TIFF", bytes(damaged)))

    assert found.count({"picture-damaged"}) >= 18
    assert inspect("TIFF", bytes(content)).issues == ()
