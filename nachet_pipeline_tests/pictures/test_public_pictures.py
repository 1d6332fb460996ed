"""What some eleven thousand public pictures showed, made again: honest oddities, damage, and places to hide in.

The pictures came from the test folders of programs that read pictures, and from collections of what cameras, phones and
microscopes write. None of them is kept here.
"""

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from imagecodecs import jpeg8_encode, lzw_encode, zstd_encode

from nachet_pipeline.pictures.forensics.inflating import ends_as_lzw
from nachet_pipeline.pictures.forensics.jpeg import frame_of
from nachet_pipeline.pictures.forensics.signatures import harmful, harmful_in_pixels
from nachet_pipeline_tests.pictures import cameras
from nachet_pipeline_tests.pictures.cameras import APP1, APP2, XMP, jpeg
from nachet_pipeline_tests.pictures.files import (
    ELF,
    HTML,
    PHP,
    SHELL,
    Entry,
    codes,
    directory,
    grey_tiff,
    inspect,
    is_refused,
    long,
    noise,
    only,
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
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(document.domain)"/>'
PAYLOADS = {
    "zip": zip_archive(),
    "gzip": gzip.compress(noise((300,)).tobytes(), mtime=0),
    "shell": SHELL,
    "php": PHP,
    "html": HTML,
    "svg": SVG,
    "elf": ELF,
}
ISO_GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0" + bytes(60)
WIDTH = 64
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _picture(side: int, place: int, size: int, *more: Entry) -> dict[int, Entry]:
    """The entries of a grey picture of 64 by 48 pixels, or of another width and height, with one strip."""
    height = 48 if side == WIDTH else side
    entries = [(256, *short(side)), (257, *short(height)), (258, *short(8)), (259, *short(1)), (262, *short(1))]
    entries += [(273, *long(place)), (277, *short(1)), (278, *short(height)), (279, *long(size)), *more]
    return {entry[0]: entry for entry in entries}


def _with_strip(strip: bytes, compression: int, *more: Entry) -> bytes:
    """A TIFF with one strip, whatever that holds."""
    head = b"II*\0\x08\0\0\0"
    more = ((259, *short(compression)), *more)
    place = 8 + len(directory(_picture(WIDTH, 8, len(strip), *more).values(), 8))
    return head + directory(_picture(WIDTH, place, len(strip), *more).values(), 8) + strip


def _lowest_bit_first() -> bytes:
    return _with_strip(lzw_encode(noise((48, 64)).tobytes()).translate(REVERSED), 5, (266, *short(2)))


HONEST: dict[str, tuple[str, Callable[[], bytes]]] = {
    "Ultra HDR as ISO has it, of full size": (
        "JPEG",
        lambda: cameras.multi_picture(jpeg(), (0, with_segments(jpeg(), (APP2, ISO_GAIN_MAP)))),
    ),
    "LZW with the lowest bit first": ("TIFF", _lowest_bit_first),
    "strips of JPEG": ("TIFF", lambda: saved(seed_image("RGB", (64, 48)), "TIFF", compression="jpeg")),
    "tiles of JPEG with common tables": (
        "TIFF",
        lambda: tiff_of(noise((64, 64, 3)), compression="jpeg", tile=(32, 32)),
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_oddity_is_taken(name: str) -> None:
    picture_format, content = HONEST[name]

    found = inspect(picture_format, content())

    assert found.issues == ()
    assert found.properties is not None


def test_a_lossless_jpeg_is_taken_and_ends_no_worker() -> None:
    """The strict decoder crashes on some of them."""
    content = bytes(jpeg8_encode(noise((48, 64)), lossless=True))

    assert frame_of(content) == 0xC3
    assert inspect("JPEG", content).issues == ()


def test_the_photograph_behind_a_portrait_of_googles_camera_is_told_to_be_a_second_one() -> None:
    xmp = XMP + b'<x:xmpmeta xmlns:Container="http://ns.google.com/photos/1.0/container/"><Container:Directory/>'

    issue = only("JPEG", with_segments(jpeg(), (APP1, xmp)) + jpeg())

    assert issue.code == "several-pages"
    assert issue.advice is not None
    assert "Save the first photograph alone" in issue.advice.en


# --- damage that decoders pass over ----------------------------------------------------------------------------------


def test_a_damaged_strip_of_jpeg_is_damage() -> None:
    content = bytearray(saved(seed_image("RGB", (200, 150)), "TIFF", compression="jpeg"))
    for place in range(2_000, len(content) - 2_000, 3_000):
        content[place] ^= 0x55

    assert codes("TIFF", bytes(content)) == {"picture-damaged"}


@pytest.mark.parametrize("palettes", [[], [b""], [bytes(4)], [bytes(6), bytes(6)], [bytes(3 * 257)]])
def test_a_picture_without_one_whole_palette_has_no_colours(palettes: list[bytes]) -> None:
    header, *others = [chunk for chunk in png_chunks(saved(seed_image("P"), "PNG")) if chunk[0] != b"PLTE"]

    assert codes("PNG", png_of([header, *((b"PLTE", palette) for palette in palettes), *others])) == {"picture-damaged"}


def test_a_palette_after_the_pixels_is_none() -> None:
    chunks = png_chunks(saved(seed_image("P"), "PNG"))
    palette = next(chunk for chunk in chunks if chunk[0] == b"PLTE")
    others = [chunk for chunk in chunks if chunk is not palette]

    assert codes("PNG", png_of([*others[:-1], palette, others[-1]])) == {"picture-damaged"}


# --- one cause, one finding ------------------------------------------------------------------------------------------


def _only(content: bytes) -> tuple[str, str | None]:
    issue = only("TIFF", content)
    return issue.code, issue.found.en if issue.found else None


def test_a_raw_file_with_previews_is_a_raw_file_and_nothing_else() -> None:
    content = cameras.with_thumbnail((262, *short(32803)), pixels=bytes(64))

    assert _only(content) == ("other-format", "a camera's raw file")


def test_a_thumbnail_before_the_picture_is_the_layout_of_a_raw_file() -> None:
    end = len(grey_tiff([(254, *long(1)), (330, *long(0))]))
    pixels = bytes(1_024)
    below = directory(_picture(32, end, len(pixels)).values(), end + len(pixels))

    content = grey_tiff([(254, *long(1)), (330, *long(end + len(pixels)))], behind=pixels + below)

    assert _only(content) == ("other-format", "a camera's raw file")


def test_a_stack_of_metamorph_is_told_to_hold_several_pictures() -> None:
    """All planes follow the first one's pixels; a private tag has a value for each."""
    planes = noise((3, 8, 8)).tobytes()
    content = grey_tiff([(33629, 5, 3, bytes(24))], behind=planes)

    assert _only(content) == ("several-pages", "3 pictures")


# --- where something can hide ----------------------------------------------------------------------------------------


def _in_jpeg(payload: bytes) -> dict[str, bytes]:
    return {
        "a segment about lines (DNL)": with_segments(jpeg(), (0xDC, payload)),
        "a name in Samsung's trailer": jpeg() + cameras.samsung((0xB01, payload, b"1")),
    }


def _in_png(payload: bytes) -> dict[str, bytes]:
    chunks = png_chunks(PNG)
    grey = saved(seed_image("L", (64, 48)), "PNG")
    return {
        "the end": png_of([*chunks[:-1], (b"IEND", payload)]),
        "the resolution": png_of([*chunks[:-1], (b"pHYs", payload), chunks[-1]]),
        "a palette that nobody needs": with_chunks(PNG, (b"PLTE", payload)),
        "a transparent colour": png_of([*png_chunks(grey)[:1], (b"tRNS", payload), *png_chunks(grey)[1:]]),
        "a keyword": with_chunks(PNG, (b"tEXt", payload + b"\0of a text")),
        "behind a compressed text": with_chunks(PNG, (b"zTXt", b"Comment\0\0" + zlib.compress(b"seeds") + payload)),
        "behind a profile": with_chunks(PNG, (b"iCCP", b"icc\0\0" + zlib.compress(bytes(128)) + payload)),
    }


def _strips_in_exif(payload: bytes) -> bytes:
    """Strips where no picture is, in a directory that says to be one in old JPEG."""
    place = len(grey_tiff([(34665, *long(0))]))
    entries = _picture(1, place, len(payload), (259, *short(6)), (513, *long(8)), (514, *long(4)))
    behind = payload + directory(entries.values(), place + len(payload))
    return grey_tiff([(34665, *long(place + len(payload)))], behind=behind)


def _in_tiff(payload: bytes) -> dict[str, bytes]:
    def tag(code: int, kind: int = 7) -> bytes:
        return grey_tiff([(code, kind, len(payload), payload)])

    numbers = payload.ljust(-(-len(payload) // 4) * 4, b"\0")
    pixels = noise((48, 64)).tobytes()
    packed = b"".join(b"\x3f" + pixels[place : place + 64] for place in range(0, len(pixels), 64))
    small = saved(seed_image("L", (64, 48)), "JPEG")
    return {
        "places of unused bytes": tag(288),
        "strips of old JPEG in the directory of Exif": _strips_in_exif(payload),
        "sizes of unused bytes": grey_tiff([(289, 4, len(numbers) // 4, numbers)]),
        "places of directories": tag(330),
        "the place of Exif": tag(34665, 2),
        "the place of a thumbnail": tag(513),
        "sizes of tiles": tag(325, 1),
        "behind raw pixels": _with_strip(pixels + payload, 1),
        "behind LZW": _with_strip(lzw_encode(pixels) + payload, 5),
        "behind LZW, before noise": _with_strip(lzw_encode(pixels) + payload + pixels[:900], 5),
        "behind packed bits": _with_strip(packed + payload, 32773),
        "behind Zstandard": _with_strip(zstd_encode(pixels) + payload, 50000),
        "behind a JPEG in a strip": _with_strip(small + payload, 7),
        "in a JPEG in a strip": _with_strip(with_segments(small, (0xFE, payload)), 7),
    }


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize(("picture_format", "places"), [("JPEG", _in_jpeg), ("PNG", _in_png), ("TIFF", _in_tiff)])
def test_no_place_hides_something_harmful(picture_format: str, places: Callable[[bytes], Any], payload: str) -> None:
    taken = [place for place, content in places(PAYLOADS[payload]).items() if not is_refused(picture_format, content)]

    assert taken == []


@pytest.mark.parametrize(("picture_format", "places"), [("JPEG", _in_jpeg), ("PNG", _in_png), ("TIFF", _in_tiff)])
def test_the_same_places_hold_numbers_of_any_kind(picture_format: str, places: Callable[[bytes], Any]) -> None:
    """What is refused above is refused for what it holds."""
    harmless = places(noise((60,)).tobytes())
    odd = {"sizes of tiles"}  # fewer of them than tiles

    refused = [place for place, content in harmless.items() if is_refused(picture_format, content)]

    assert set(refused) <= odd


def test_a_script_in_an_unused_table_of_a_jpeg_is_found() -> None:
    assert is_refused("JPEG", with_segments(jpeg(), (0xDB, b"\x03" + SHELL.ljust(64, b"\x01")[:64])))


@pytest.mark.parametrize("payload", [*PAYLOADS.values(), b"\xff" * 3_000 + SHELL, b"a seed " * 900 + SHELL])
def test_a_fast_search_finds_the_same_in_compressed_pixels(payload: bytes) -> None:
    pixels = noise((200_000,)).tobytes()

    assert harmful_in_pixels(pixels) is None
    assert harmful_in_pixels(pixels[:50_000] + payload + pixels[50_000:]) is not None
    assert harmful(pixels[:50_000] + payload + pixels[50_000:], text=False) is not None


def test_lzw_ends_with_a_code_that_text_does_not_end_with() -> None:
    pixels = noise((3_000,)).tobytes()

    assert all(ends_as_lzw(lzw_encode(pixels[:size])) for size in range(1, 3_000, 13))
    assert not any(ends_as_lzw(lzw_encode(pixels) + text) for text in (SHELL, PHP, HTML, SVG, b"a seed"))


def test_a_file_of_words_all_over_is_searched_as_a_whole() -> None:
    """The fast search looks around a few words alone."""
    words = (b"x" * 20 + b"\0") * 40_000

    assert harmful_in_pixels(words) is None
    assert harmful_in_pixels(words + SHELL + words) is not None


def test_the_header_of_gzip_alone_is_no_archive() -> None:
    header = b"\x1f\x8b\x08\0\0\0\0\0\0\x03"

    assert harmful(b"noise" + header + b"\xff" * 200, text=False) is None
