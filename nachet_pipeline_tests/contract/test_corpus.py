"""Every code of the catalogue: a folder that raises it where it should, and raises nothing that it should not."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from PIL import Image

from nachet_pipeline.contract.catalogue import CATALOGUE
from nachet_pipeline.contract.marks import STAGING
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline_tests.contract.folders import (
    PROJECT_INDEX,
    SESSION_INDEX,
    Files,
    Validate,
    changed,
    file_list,
    picture,
    picture_of_many_pixels,
    progressive_jpeg_of_many_scans,
    project,
    session,
    without,
)
from nachet_pipeline_tests.pictures import cameras
from nachet_pipeline_tests.pictures.files import (
    PHP,
    exif_of,
    grey_tiff,
    pixels_of,
    position,
    text,
    with_chunks,
    with_pixels,
    with_segments,
    zip_archive,
)

ADA = Owner(UUID(int=1), "ada@example.org")
INDEX, PICTURE, METADATA = "pictures/session1/index.yaml", "pictures/session1/1.tiff", "pictures/session1/1.yaml"

JPEG, PNG, SUMS = "pictures/session2/2.jpeg", "pictures/session2/1.png", "pictures/session1/SHA256SUMS"
ANY = "any"
"""Of a case: the finding names a field, and another test says which."""

NOT_IN_A_FOLDER = {
    # Raised by `nachet stage` and `nachet import` before they look at a folder, so tested with the database.
    "unregistered-uploader",
    # Raised for all that lies in a container, so tested with the database.
    "disabled-uploader",
    # Raised by a mass import only, so tested with storage.
    "undescribed-folder",
    "mapping-content",
    "not-a-picture",
    "changed-meanwhile",
    "picture-replaced",
    # Raised where an earlier import stored something, so tested with the database.
    "pictures-taken-out",
    "pictures-sent-earlier",
    "withdrawn-picture",
    # Never raised alone, so tested with the manifest.
    "copies-differ",
    "unknown-session",
    # Raised when stored pictures are cropped, so tested with storage.
    "seed-count-differs",
}


@dataclass(frozen=True)
class Case:
    code: str
    files: Files
    path: str
    field: str | None = None
    line: int | None = None
    also: frozenset[str] = frozenset()
    owner: Owner | None = None
    arrange: Callable[[Path], None] | None = None
    decoding: DecodingSettings | None = None


def _with(path: str, content: bytes) -> Files:
    return {**project(), path: content}


def _pages() -> bytes:
    stream = io.BytesIO()
    page = Image.new("L", (8, 8))
    page.save(stream, "TIFF", save_all=True, append_images=[page])
    return stream.getvalue()


def _long_png() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (30_001, 1)).save(stream, "PNG")
    return stream.getvalue()


def _jpeg_with_exif(exif: bytes) -> bytes:
    return with_segments(picture(4, "jpeg"), (0xE1, b"Exif\0\0" + exif))


def _sum(name: str) -> bytes:
    content = project().get(f"pictures/session1/{name}", b"")
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()


def _sums(*names: str) -> bytes:
    return b"".join(_sum(name) for name in names)


def _link(folder: Path) -> None:
    (folder / "pictures/session1/3.tiff").symlink_to(folder / PICTURE)


def _listing(files: Files, kept: int) -> Files:
    """A folder whose list names these files, and of whose pictures in a session only so many are there."""
    there = {path: content for path, content in files.items() if path != f"pictures/session1/{kept + 1}.tiff"}
    return {**there, "_COMPLETE": file_list(files)}


_NAMED = b"seedFamily: Brassicaceae\n  seedGenus: Brassica\n  seedSpecies: napus"
_ONE_SEED = {"pictures/session1/1.yaml": b"userData:\n  numberOfSeeds: 1\n"}


def _listed(*species: str) -> Files:
    """A project whose first session lists several species, and no picture of which says another number."""
    lines = "\n".join(f"- {one}" for one in species)
    return without(changed(project(), INDEX, b"  " + _NAMED, lines.encode()), *_ONE_SEED)


CASES = [
    Case("empty-upload", {}, ""),
    Case("wrong-structure", {f"trip/seeds/{path}": content for path, content in project().items()}, ""),
    Case("empty-session", without(session(), "1.tiff", "2.tiff"), ""),
    Case("unexpected-file", _with("pictures/session1/notes.txt", b"seen today"), "pictures/session1/notes.txt"),
    Case("empty-file", _with("pictures/session1/2.tiff", b""), "pictures/session1/2.tiff"),
    Case(
        "name-collision",
        {**changed(project(), INDEX, b"Images: 2", b"Images: 3"), "pictures/session1/2.TIFF": picture(5)},
        "pictures/session1/2.tiff",
    ),
    Case("not-listed", {**_with("notes.txt", b"seen today"), "_COMPLETE": file_list(project())}, "_COMPLETE"),
    Case(
        "listed-file-missing",
        _listing({**changed(project(), INDEX, b"Images: 2", b"Images: 3"), "pictures/session1/3.tiff": picture(5)}, 2),
        "pictures/session1/3.tiff",
    ),
    Case("file-list-content", _with("_COMPLETE", b"files:\nindex.yaml\n../index.yaml\n"), "_COMPLETE", line=3),
    Case("staging-interrupted", _with("_COMPLETE", STAGING), "_COMPLETE"),
    Case("not-downloaded", _with("pictures/session1/2.tiff", bytes(5_000)), "pictures/session1/2.tiff"),
    Case("ignored-file", _with("pictures/.DS_Store", b"\0"), "pictures/.DS_Store"),
    Case("hidden-file", _with("pictures/session1/.Rhistory", b"q()"), "pictures/session1/.Rhistory"),
    Case(
        "unusual-name",
        {**changed(project(), INDEX, b"Images: 2", b"Images: 3"), "pictures/session1/ 3.tiff": picture(5)},
        "pictures/session1/ 3.tiff",
    ),
    Case("missing-index", without(project(), INDEX), INDEX),
    Case("missing-key", changed(session(), "index.yaml", b"  zoom: 30\n", b""), "index.yaml", "userData.zoom"),
    Case("index-syntax", changed(project(), INDEX, b"  seedGenus: Brassica", b"  seedGenus: [Brassica"), INDEX, line=6),
    Case("index-content", changed(project(), INDEX, b"2", b"two"), INDEX, "imageData.numberOfImages", 2),
    Case("unknown-key", changed(project(), INDEX, b"seedFamily", b"seedFamly"), INDEX, "seedData.seedFamly", 4),
    Case("duplicate-key", _with(METADATA, b"userData:\n  zoom: 1\n  zoom: 2\n"), METADATA, "userData.zoom", 3),
    Case("missing-picture", changed(project(), INDEX, b"2", b"3"), INDEX, "imageData.numberOfImages", 2),
    Case("surplus-picture", changed(project(), INDEX, b"2", b"1"), INDEX, "imageData.numberOfImages", 2),
    Case("metadata-without-picture", _with("pictures/session1/7.yaml", b"{}"), "pictures/session1/7.yaml"),
    Case(
        "ambiguous-picture",
        {**changed(project(), INDEX, b"2", b"3"), "pictures/session1/1.png": picture(6, "png")},
        PICTURE,
    ),
    Case("picture-metadata-syntax", _with(METADATA, b"userData:\n  zoom: 1\n zoom"), METADATA, line=3),
    Case("picture-metadata-content", _with(METADATA, b"userData:\n  zoom: -1\n"), METADATA, "userData.zoom", 2),
    Case(
        "duplicate-picture",
        {**without(project(), METADATA), "pictures/session1/2.tiff": picture(1)},
        "pictures/session1/2.tiff",
    ),
    Case(
        "removed-session-staged",
        _with("index.yaml", PROJECT_INDEX + b"uploadData: {removedSessions: [session2]}\n"),
        "index.yaml",
        "uploadData.removedSessions",
        PROJECT_INDEX.count(b"\n") + 1,
    ),
    Case("near-duplicate-picture", _with(JPEG, picture(1, "jpeg")), JPEG),
    Case("label-conflict", _with(PNG, picture(1, "png")), PNG, also=frozenset({"duplicate-picture"})),
    Case("picture-format", _with(PICTURE, picture(3, "png")), PICTURE),
    Case("other-format", _with(PICTURE, b"ZISRAWFILE" + bytes(90)), PICTURE),
    Case("z-stack", _with(PICTURE, cameras.ome(2, z=2)), PICTURE),
    Case("several-channels", _with(PICTURE, cameras.ome(2, c=2)), PICTURE),
    Case("time-series", _with(PICTURE, cameras.imagej(frames=2)), PICTURE),
    Case("slide-pyramid", _with(PICTURE, cameras.slide()), PICTURE),
    Case("scanned-pages", _with(PICTURE, cameras.scanned()), PICTURE),
    Case(
        "film-in-picture",
        _with(JPEG, picture(4, "jpeg") + cameras.samsung((0xA30, b"MotionPhoto_Data", cameras.film()))),
        JPEG,
    ),
    Case("damaged-metadata", _with(PNG, with_chunks(picture(3, "png"), (b"sRGB", b""))), PNG, "sRGB"),
    Case("picture-damaged", _with(PICTURE, picture()[:-100]), PICTURE),
    Case("picture-too-large", _with("pictures/session2/1.png", _long_png()), "pictures/session2/1.png"),
    Case(
        "picture-too-slow",
        _with(JPEG, progressive_jpeg_of_many_scans()),
        JPEG,
        decoding=DecodingSettings(workers=1, seconds=2, limits=PictureLimits(jpeg_scans=1_000_000)),
    ),
    Case(
        "picture-crashes-decoder",
        _with("pictures/session2/1.png", picture_of_many_pixels()),
        "pictures/session2/1.png",
        decoding=DecodingSettings(workers=1, seconds=60, memory_bytes=300 * 1024**2),
    ),
    Case("several-pages", _with(PICTURE, _pages()), PICTURE),
    Case("picture-too-complex", _with(JPEG, progressive_jpeg_of_many_scans(40)), JPEG),
    Case("unused-bytes", _with(PICTURE, grey_tiff(behind=b"left over " * 10)), PICTURE),
    Case(
        "hidden-data",
        _with(PNG, with_pixels(picture(3, "png"), pixels_of(picture(3, "png")) + zip_archive())),
        PNG,
        "IDAT",
    ),
    Case("suspicious-metadata", _with(PNG, with_chunks(picture(3, "png"), (b"tEXt", b"Comment\0" + PHP))), PNG, ANY),
    Case(
        "oversized-metadata",
        _with(PNG, with_chunks(picture(3, "png"), (b"tEXt", b"Comment\0" + b"a" * 2_000))),
        PNG,
        ANY,
        decoding=DecodingSettings(workers=1, limits=PictureLimits(metadata_bytes=1_000)),
    ),
    Case("location-in-picture", _with(JPEG, _jpeg_with_exif(exif_of(gps=position()))), JPEG, ANY),
    Case("name-in-picture", _with(JPEG, _jpeg_with_exif(exif_of([(315, *text(b"Ada"))]))), JPEG, "Artist"),
    Case(
        "checksum-mismatch",
        _with(SUMS, f"{'0' * 64}  1.tiff\n".encode()),
        PICTURE,
        also=frozenset({"file-without-checksum"}),
    ),
    Case(
        "checksum-without-file",
        _with(SUMS, _sums("1.tiff", "1.yaml", "2.tiff", "index.yaml") + _sum("3.tiff")),
        SUMS,
        line=5,
    ),
    Case(
        "checksum-syntax", _with(SUMS, _sums("1.tiff", "1.yaml", "2.tiff", "index.yaml") + b"and so on\n"), SUMS, line=5
    ),
    Case("file-without-checksum", _with(SUMS, _sums("1.tiff", "1.yaml", "index.yaml")), "pictures/session1/2.tiff"),
    Case(
        "trailing-data",
        _with("pictures/session2/2.jpeg", picture(4, "jpeg") + b"PK\x03\x04 and so on"),
        "pictures/session2/2.jpeg",
    ),
    Case("unsafe-name", _with("pictures/session1/con.txt", b"1"), "pictures/session1/con.txt"),
    Case(
        "listed-file-differs",
        {**changed(project(), PICTURE, picture(1), picture(1)[:-9]), "_COMPLETE": file_list(project())},
        PICTURE,
    ),
    Case("special-file", project(), "pictures/session1/3.tiff", arrange=_link),
    Case(
        "forbidden-yaml", changed(project(), INDEX, b"Brassica\n", b"&genus Brassica\n"), INDEX, "seedData.seedGenus", 5
    ),
    Case("unregistered-seed", changed(project(), INDEX, b"napus", b"nappus"), INDEX, "seedData.seedSpecies", 6),
    Case(
        "contradictory-seed",
        changed(project(), INDEX, b"  seedFamily: Brassicaceae", b"  seedName: Solanum nigrum"),
        INDEX,
        "seedData.seedSpecies",
        6,
    ),
    Case(
        "species-twice",
        _listed("{seedName: canola, numberOfSeeds: 1}", "{seedName: colza, numberOfSeeds: 1}"),
        INDEX,
        "seedData.2.seedName",
        5,
    ),
    Case(
        "seed-numbers-differ",
        {
            **_listed("{seedName: canola, numberOfSeeds: 1}", "{seedName: Brassica juncea, numberOfSeeds: 2}"),
            **_ONE_SEED,
        },
        "pictures/session1/1.yaml",
        "userData.numberOfSeeds",
        2,
    ),
    Case("guess-beside-species", changed(project(), INDEX, b"seedFamily", b"guess"), INDEX, "seedData.guess", 4),
    Case("unnamed-seeds", changed(project(), INDEX, _NAMED, b"seedName: unknown"), INDEX, "seedData", 4),
    Case("other-family", changed(project(), INDEX, b"Brassicaceae", b"Poaceae"), INDEX, "seedData.seedFamily", 4),
    Case(
        "not-the-owner",
        changed(project(), "index.yaml", b"ada@", b"eve@"),
        "index.yaml",
        "clientData.clientEmail",
        2,
        owner=ADA,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_a_folder_with_one_thing_wrong_gets_that_finding_at_its_place_and_no_other(
    case: Case, validated: Validate
) -> None:
    outcome = validated(case.files, owner=case.owner, arrange=case.arrange, decoding=case.decoding)

    finding = outcome.only(case.code)
    assert (finding.path, finding.line) == (case.path, case.line)
    assert finding.field == case.field or (finding.field and case.field == ANY)
    for phrase in (finding.expected, finding.found, finding.suggestion, finding.advice):
        assert phrase is None or (phrase.en.strip() and phrase.fr.strip())
    assert outcome.codes == {case.code} | case.also
    assert outcome.report.importable == (CATALOGUE[case.code].severity != "error")


@pytest.mark.parametrize("files", [project(), session()], ids=["project", "session"])
def test_a_good_folder_gets_no_finding_at_all(files: Files, validated: Validate) -> None:
    outcome = validated(files, owner=ADA)

    assert outcome.report.findings == []
    assert outcome.report.importable
    assert outcome.validation.pictures == sum(path.endswith((".tiff", ".png", ".jpeg")) for path in files)


def _lenient() -> Files:
    """A good project as people and their programs really write it."""
    return {
        "Index.yml": b"\xef\xbb\xbf" + PROJECT_INDEX.replace(b"\n", b"\r\n").replace(b"zoom: 30", b"zoom: 30x"),
        "Pictures/Session 1/index.YAML": SESSION_INDEX.replace(b"numberOfImages", b"number_of_images")
        .replace(b"seedData", b"SeedData")
        .replace(b"seedSpecies: napus", b"seed-species: Napus")
        .replace(b"images: 2", b"images: 3"),
        "Pictures/Session 1/1.tif": picture(1),
        "Pictures/Session 1/2.TIFF": picture(2),
        "Pictures/Session 1/3 \u00e9t\u00e9.JPG": picture(4, "jpeg"),
        "Pictures/Session 1/2.yml": b"UserData: {ZOOM: '12,5', description: }\r\n",
        "Pictures/Session 1/SHA256SUMS": b"",
        "Pictures/Session 1/Thumbs.db": b"1",
        "Pictures/.DS_Store": b"1",
        "__MACOSX/._index.yaml": b"1",
    }


def test_a_good_folder_as_people_and_their_programs_really_write_it_is_importable(validated: Validate) -> None:
    outcome = validated(_lenient(), owner=ADA)

    assert outcome.report.importable, outcome.report.findings
    ignored = {finding.path for finding in outcome.report.findings if finding.code == "ignored-file"}
    assert ignored == {"Pictures/Session 1/Thumbs.db", "Pictures/.DS_Store", "__MACOSX/._index.yaml"}
    (session_1,) = outcome.validation.sessions
    assert (session_1.pictures, session_1.seed and session_1.seed.scientific_name) == (3, "Brassica napus")
    assert session_1.values["userData.zoom"].value == 30


def test_every_code_of_the_catalogue_has_a_folder_that_raises_it() -> None:
    assert {case.code for case in CASES} | NOT_IN_A_FOLDER == set(CATALOGUE)
