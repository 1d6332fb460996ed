"""What metadata reveal, and what they only seem to reveal."""

import struct
from random import Random

import pytest

from nachet_pipeline.pictures.forensics.metadata import Metadata
from nachet_pipeline.pictures.forensics.signatures import harmful, opens_as_zip
from nachet_pipeline.pictures.issues import Issues
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline_tests.pictures.files import (
    ELF,
    HTML,
    PDF,
    PHP,
    WINDOWS_PROGRAM,
    Entry,
    codes,
    exif_of,
    inspect,
    only,
    position,
    saved,
    seed_image,
    text,
    with_segments,
    zip_archive,
)

JPEG = saved(seed_image(), "JPEG")
APP1, APP13 = 0xE1, 0xED


def _with_exif(block: bytes) -> bytes:
    return with_segments(JPEG, (APP1, b"Exif\0\0" + block))


def _with_xmp(body: bytes) -> bytes:
    return with_segments(JPEG, (APP1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>" + body + b"</x:xmpmeta>"))


def _with_iptc(*datasets: tuple[int, bytes]) -> bytes:
    data = b"".join(b"\x1c\x02" + struct.pack(">BH", number, len(value)) + value for number, value in datasets)
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(data)) + data
    return with_segments(JPEG, (APP13, b"Photoshop 3.0\0" + block))


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (_with_exif(exif_of([(0x013B, *text(b"Ann Botanist"))])), "Artist"),
        (_with_exif(exif_of([(0x013B, *text(b"Ann"))])), "Artist"),
        (_with_exif(exif_of([(0x9C9D, 1, 6, "Ann".encode("utf-16-le"))])), "XPAuthor"),
        (_with_exif(exif_of(exif=[(0xA430, *text(b"Ann Botanist"))])), "CameraOwnerName"),
        (_with_xmp(b"<dc:creator><rdf:Seq><rdf:li>Ann</rdf:li></rdf:Seq></dc:creator>"), "XMP dc:creator"),
        (_with_xmp(b"<rdf:Description aux:OwnerName='Ann'/>"), "XMP aux:OwnerName"),
        (_with_iptc((80, b"Ann Botanist")), "IPTC By-line"),
        (_with_iptc((5, b"a title"), (80, b"Ann Botanist")), "IPTC By-line"),
    ],
)
def test_a_name_is_found_wherever_programs_write_it_and_never_repeated(content: bytes, field: str) -> None:
    issue = only("JPEG", content)

    assert (issue.code, issue.field) == ("name-in-picture", field)
    assert "Ann" not in str(issue.found)


@pytest.mark.parametrize(
    "content",
    [
        _with_exif(exif_of([(0x013B, *text(b""))])),
        _with_exif(exif_of([(0x013B, *text(b"            "))])),
        _with_exif(exif_of(exif=[(0xA430, 2, 30, bytes(30))])),
        _with_xmp(b"<dc:creator><rdf:Seq><rdf:li></rdf:li></rdf:Seq></dc:creator>"),
        _with_xmp(b"<rdf:Description aux:OwnerName='' dc:title='Ann'/>"),
        _with_iptc((80, b" "), (5, b"By-line: none")),
    ],
)
def test_a_place_for_a_name_that_is_empty_is_no_name(content: bytes) -> None:
    assert codes("JPEG", content) == set()


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (_with_exif(exif_of(gps=position())), "GPSInfo"),
        (_with_xmp(b"<rdf:Description exif:GPSLatitude='45,25.0N'/>"), "XMP exif:GPSLatitude"),
        (_with_xmp(b"<exif:GPSLatitude>45,25.0N</exif:GPSLatitude>"), "XMP exif:GPSLatitude"),
    ],
)
def test_a_position_is_found_and_never_repeated(content: bytes, field: str) -> None:
    issue = only("JPEG", content)

    assert (issue.code, issue.field) == ("location-in-picture", field)
    assert "45" not in str(issue.found)


@pytest.mark.parametrize(
    "gps",
    [
        [(0, 1, 4, b"\2\3\0\0")],
        [(29, *text(b"2026:01:01"))],
        [(2, 5, 3, bytes(24)), (4, 5, 3, bytes(24))],
        position()[:2],
        [(2, 5, 1, struct.pack("<2I", 0, 1)), (4, 5, 1, struct.pack("<2I", 0, 1))],
    ],
    ids=["version", "date", "0/0", "latitude alone", "no fix"],
)
def test_a_camera_that_did_not_know_where_it_was_tells_no_position(gps: list[Entry]) -> None:
    assert codes("JPEG", _with_exif(exif_of(gps=gps))) == set()


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"XX*\0\x08\0\0\0",
        exif_of([(0x010E, 2, 2**31, b"\x08\0\0\0")]),
        exif_of([(0x010E, *text(b"a seed"))])[:-3],
        b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    ],
)
def test_a_damaged_exif_block_damages_no_pixel(block: bytes) -> None:
    found = inspect("JPEG", _with_exif(block))

    assert found.issues == ()
    assert found.properties is not None


def test_a_script_in_the_photographers_comment_is_found_in_any_encoding() -> None:
    for comment in (b"ASCII\0\0\0" + PHP, b"UNICODE\0" + PHP.decode().encode("utf-16-le")):
        issue = only("JPEG", _with_exif(exif_of(exif=[(0x9286, 7, len(comment), comment)])))

        assert (issue.code, issue.field) == ("suspicious-metadata", "UserComment")


def test_an_archive_between_the_tags_of_exif_is_found() -> None:
    issue = only("JPEG", _with_exif(exif_of([(0x010E, *text(b"a seed"))]) + zip_archive()))

    assert (issue.code, issue.field) == ("suspicious-metadata", "Exif")


def test_a_block_whose_values_lie_over_each_other_is_not_read_over_and_over() -> None:
    size = 60_000
    place = len(exif_of([(60_000 + number, 7, size, b"xxxx") for number in range(400)]))
    entries = [(60_000 + number, 7, size - number, struct.pack("<I", place)) for number in range(400)]

    read: list[int] = []
    metadata = Metadata(Issues(), PictureLimits())
    metadata.value = lambda field, data, *, text: read.append(len(data))  # type: ignore[method-assign]
    metadata.exif("Exif", exif_of(entries) + bytes(size))

    assert 0 < sum(read) < 5 * size


def test_resources_in_resources_are_read_once() -> None:
    block = b""
    for _ in range(200):
        resources = b"8BIM\x04\x22\0\0" + struct.pack(">I", len(block)) + block
        block = exif_of([(34377, 7, len(resources), resources)])

    assert codes("JPEG", with_segments(JPEG, (APP1, b"Exif\0\0" + block))) == set()


@pytest.mark.parametrize("run", [b"\n", b" ", b"<?=", b"<%=", b"<Experimenter ", b"<dc:creator>", b"#!/", b"MZ"])
def test_a_long_run_of_what_a_signature_starts_with_is_searched_in_linear_time(run: bytes) -> None:
    # Quadratic time would be hours.
    assert codes("JPEG", with_segments(JPEG, *[(0xFE, run * (60_000 // len(run)))] * 16)) == set()


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (PHP, "a script"),
        (b"<SCRIPT src='//x'></SCRIPT>", "a script"),
        (b"click javascript:alert(1)", "a script"),
        (b"#!/bin/sh\nrm -rf .", "a script"),
        (b"<%@ Page Language='C#' %>", "a script"),
        (b"<?= `id` ?>", "a script"),
        (b"<html><body>", "a web page"),
        (HTML, "a script"),
        (zip_archive(), "a ZIP archive"),
        (b"Rar!\x1a\x07\x01\0", "an archive"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "an archive"),
        (b"\x1f\x8b\x08\0\0\0", "an archive"),
        (WINDOWS_PROGRAM, "a program"),
        (b"some text " + WINDOWS_PROGRAM, "a program"),
        (ELF, "a program"),
        (PDF, "a PDF"),
        (PHP.decode().encode("utf-16"), "a script"),
    ],
)
def test_what_is_no_text_is_recognised_in_a_text(payload: bytes, what: str) -> None:
    found = harmful(payload, text=True)

    assert found is not None
    assert found.en == what
    assert found.fr


@pytest.mark.parametrize(
    "value",
    [
        b"MZ is how this sample is called, PE is another",
        b"<5 % of the seeds are black, <%RH is low, 5 % more than usual" + b" " * 3_000,
        b"<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta><rdf:RDF/></x:xmpmeta><?xpacket end='w'?>",
        b"<?xml version='1.0'?><OME><Image Name='seed'><Description>script</Description></Image></OME>",
        b"Written in Java, scripted in PHP; see http://example.org/#!/seeds",
        b"PK seeds; 50 % PDF",
        "Graines récoltées à l'été".encode(),
        b"",
        b"M",
    ],
)
def test_honest_text_is_not_taken_for_anything_else(value: bytes) -> None:
    assert harmful(value, text=True) is None


def test_noise_is_not_taken_for_anything_by_chance() -> None:
    """Colour profiles, makers' notes and thumbnails are noise; 30 MB of it hold each pair of bytes 450 times."""
    random = Random(8)

    assert [harmful(random.randbytes(1_000_000), text=False) for _ in range(30)] == [None] * 30


def test_a_zip_is_recognised_by_its_end_wherever_it_starts() -> None:
    assert opens_as_zip(JPEG + zip_archive())
    assert opens_as_zip(JPEG + b"PK\x05\x06" + bytes(18))
    assert not opens_as_zip(JPEG)
    assert not opens_as_zip(JPEG + b"PK\x05\x06 by chance, with no directory")
    assert not opens_as_zip(b"PK\x05\x06")
