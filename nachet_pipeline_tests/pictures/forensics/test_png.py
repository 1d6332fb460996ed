import struct
import zlib

import pytest

from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline_tests.pictures.files import (
    PHP,
    changed_bits,
    codes,
    exif_of,
    inspect,
    interlaced_png,
    only,
    pixels_of,
    png_chunks,
    png_of,
    position,
    saved,
    seed_image,
    with_chunks,
    with_pixels,
    zip_archive,
)

PNG = saved(seed_image(), "PNG")
RAW = zlib.decompress(pixels_of(PNG))


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_every_flipped_bit_is_found(mode: str) -> None:
    content = saved(seed_image(mode), "PNG")

    for place in range(len(content)):
        damaged = content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]
        assert inspect("PNG", damaged).properties is None, place


def test_every_flipped_bit_of_the_pixels_is_found_even_if_the_checksum_of_their_chunk_is_made_anew() -> None:
    stream = pixels_of(PNG)

    copies = changed_bits(stream, 0, len(stream), 200)

    assert [copy for copy in copies if inspect("PNG", with_pixels(PNG, copy)).properties] == []


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 1), (3, 3), (8, 8), (23, 17)])
def test_an_interlaced_picture_of_any_size_is_accepted(size: tuple[int, int], bits: int) -> None:
    found = inspect("PNG", interlaced_png(*size, bits))

    assert found.issues == ()
    assert found.properties is not None
    assert (found.properties.width, found.properties.height) == size


def test_pixels_in_many_chunks_are_accepted() -> None:
    stream = pixels_of(PNG)
    header, *_, end = png_chunks(PNG)

    content = png_of([header, *[(b"IDAT", stream[place : place + 7]) for place in range(0, len(stream), 7)], end])

    assert codes("PNG", content) == set()


def test_an_archive_after_the_pixels_in_their_own_chunk_is_found() -> None:
    found = inspect("PNG", with_pixels(PNG, pixels_of(PNG) + zip_archive()))

    assert [(issue.code, issue.field) for issue in found.issues] == [("hidden-data", "IDAT")]
    assert found.properties is not None


def test_data_compressed_with_the_pixels_is_found() -> None:
    issue = only("PNG", with_pixels(PNG, zlib.compress(RAW + bytes(100))))

    assert (issue.code, issue.field) == ("hidden-data", "IDAT")


def test_some_padding_after_the_pixels_is_not_worth_a_word() -> None:
    assert codes("PNG", with_pixels(PNG, pixels_of(PNG) + bytes(4))) == set()


def test_too_few_pixels_are_damage() -> None:
    assert codes("PNG", with_pixels(PNG, zlib.compress(RAW[:-1]))) == {"picture-damaged"}
    assert codes("PNG", with_pixels(PNG, b"")) == {"picture-damaged"}


def test_a_bomb_behind_a_few_pixels_is_never_inflated() -> None:
    bomb = zlib.compressobj(9)
    stream = b"".join(bomb.compress(bytes(1_000_000)) for _ in range(300)) + bomb.flush()

    assert codes("PNG", with_pixels(PNG, stream)) == {"hidden-data"}


def test_pixels_that_are_inflated_piece_by_piece_are_judged_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nachet_pipeline.pictures.forensics.inflating._IN_ONE_PIECE", 0)
    monkeypatch.setattr("nachet_pipeline.pictures.forensics.inflating._PIECE", 100)

    assert codes("PNG", PNG) == set()
    assert codes("PNG", with_pixels(PNG, zlib.compress(RAW + bytes(100)))) == {"hidden-data"}
    assert codes("PNG", with_pixels(PNG, pixels_of(PNG) + zip_archive())) == {"hidden-data"}
    assert codes("PNG", with_pixels(PNG, pixels_of(PNG)[:-3])) == {"picture-damaged"}
    assert codes("PNG", with_pixels(PNG, zlib.compress(RAW[:-9]))) == {"picture-damaged"}


def test_an_animation_is_refused() -> None:
    content = saved(seed_image(), "PNG", save_all=True, append_images=[seed_image().rotate(180)])

    assert codes("PNG", content) == {"several-pages"}


def test_a_file_of_nothing_but_chunks_is_refused() -> None:
    issue = only("PNG", with_chunks(PNG, *[(b"tEXt", b"a\0")] * 20_000))

    assert issue.code == "picture-too-complex"
    assert codes("PNG", with_chunks(PNG, *[(b"tEXt", b"a\0")] * 1_000)) == set()


@pytest.mark.parametrize(
    "header",
    [
        struct.pack(">IIBBBBB", 0, 16, 8, 2, 0, 0, 0),
        struct.pack(">IIBBBBB", 24, 16, 7, 2, 0, 0, 0),
        struct.pack(">IIBBBBB", 24, 16, 8, 5, 0, 0, 0),
        struct.pack(">IIBBBBB", 24, 16, 8, 2, 1, 0, 0),
        struct.pack(">IIBBBBB", 24, 16, 8, 2, 0, 0, 2),
        b"short",
    ],
)
def test_a_header_that_makes_no_sense_is_damage(header: bytes) -> None:
    _, *others = png_chunks(PNG)

    assert "picture-damaged" in codes("PNG", png_of([(b"IHDR", header), *others]))


def test_a_header_that_does_not_come_first_is_damage() -> None:
    header, *others = png_chunks(PNG)

    assert "picture-damaged" in codes("PNG", png_of([(b"tEXt", b"a\0b"), header, *others]))


@pytest.mark.parametrize(
    "chunk",
    [
        (b"tEXt", b"Comment\0" + PHP),
        (b"zTXt", b"Comment\0\0" + zlib.compress(PHP)),
        (b"iTXt", b"Comment\0\0\0\0\0" + PHP),
        (b"iTXt", b"Comment\0\1\0fr\0Commentaire\0" + zlib.compress(PHP)),
    ],
)
def test_a_script_in_a_text_is_found_compressed_or_not(chunk: tuple[bytes, bytes]) -> None:
    found = inspect("PNG", with_chunks(PNG, chunk))

    assert [(one.code, one.field) for one in found.issues] == [("suspicious-metadata", f"{chunk[0].decode()} Comment")]
    assert found.properties is not None


def test_an_archive_in_a_chunk_of_its_own_is_found() -> None:
    issue = only("PNG", with_chunks(PNG, (b"prVt", zip_archive())))

    assert (issue.code, issue.field) == ("suspicious-metadata", "prVt")


def test_honest_chunks_are_no_reason_for_a_remark() -> None:
    chunks = [
        (b"tEXt", b"Software\0a microscope's <fine> program, 100 %"),
        (b"iTXt", b"Description\0\0\0fr\0\0Graines de bl\xc3\xa9"),
        (b"iCCP", b"sRGB\0\0" + zlib.compress(bytes(range(256)) * 9)),
        (b"gAMA", struct.pack(">I", 45455)),
        (b"eXIf", exif_of()),
        (b"tEXt", b"Author\0 "),
    ]

    assert codes("PNG", with_chunks(PNG, *chunks)) == set()


def test_a_text_that_inflates_without_end_is_not_inflated() -> None:
    bomb = zlib.compress(bytes(30_000_000), 9)

    found = inspect("PNG", with_chunks(PNG, (b"zTXt", b"Comment\0\0" + bomb)))

    assert [(one.code, one.field) for one in found.issues] == [("oversized-metadata", "zTXt Comment")]
    assert found.properties is not None
    assert found.issues[0].found is not None
    assert found.issues[0].found.en == "more than 4194304 bytes"


def test_many_texts_that_are_each_small_enough_are_not_all_inflated() -> None:
    bomb = zlib.compress(bytes(4_000_000), 9)

    found = inspect("PNG", with_chunks(PNG, *[(b"zTXt", b"Comment\0\0" + bomb)] * 1_000))

    assert [one.code for one in found.issues] == ["oversized-metadata"]


def test_a_long_text_below_the_limit_is_accepted() -> None:
    text = b"Comment\0\0" + zlib.compress(b"many seeds, " * 250_000)

    assert codes("PNG", with_chunks(PNG, (b"zTXt", text))) == set()
    assert codes("PNG", with_chunks(PNG, (b"zTXt", text)), PictureLimits(metadata_bytes=2_000_000)) == {
        "oversized-metadata"
    }


def test_an_authors_name_is_found_and_not_repeated() -> None:
    issue = only("PNG", with_chunks(PNG, (b"tEXt", b"Author\0Ann Botanist")))

    assert (issue.code, issue.field) == ("name-in-picture", "tEXt Author")
    assert "Ann" not in str(issue)


@pytest.mark.parametrize("kind", [b"exif", b"APP1"])
def test_a_position_in_a_profile_of_hexadecimal_digits_is_found(kind: bytes) -> None:
    block = b"Exif\0\0" + exif_of(gps=position())
    profile = b"\n%b\n%8d\n%b\n" % (kind, len(block), block.hex().encode())

    issue = only("PNG", with_chunks(PNG, (b"zTXt", b"Raw profile type " + kind + b"\0\0" + zlib.compress(profile))))

    assert (issue.code, issue.field) == ("location-in-picture", "GPSInfo")
