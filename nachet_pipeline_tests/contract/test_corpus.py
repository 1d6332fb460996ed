"""Every code of the catalogue: a folder that raises it where it should, and raises nothing that it should not."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from PIL import Image

from nachet_pipeline.contract.findings import CATALOGUE
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline_tests.contract.folders import (
    Files,
    Validate,
    changed,
    picture,
    picture_of_many_pixels,
    progressive_jpeg_of_many_scans,
    project,
    session,
    without,
)

ADA = Owner(UUID(int=1), "ada@example.org")
INDEX, PICTURE, METADATA = "pictures/session1/index.yaml", "pictures/session1/1.tiff", "pictures/session1/1.yaml"

NOT_IN_A_FOLDER = {
    # Raised by `nachet stage` and `nachet import` before they look at a folder, so tested with the database.
    "unregistered-uploader",
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


def _link(folder: Path) -> None:
    (folder / "pictures/session1/3.tiff").symlink_to(folder / PICTURE)


CASES = [
    Case("empty-upload", {}, ""),
    Case("wrong-structure", {f"trip/seeds/{path}": content for path, content in project().items()}, ""),
    Case("empty-session", without(session(), "1.tiff", "2.tiff"), "", also=frozenset({"missing-picture"})),
    Case("unexpected-file", _with("pictures/session1/notes.txt", b"seen today"), "pictures/session1/notes.txt"),
    Case("empty-file", _with("pictures/session1/2.tiff", b""), "pictures/session1/2.tiff"),
    Case(
        "name-collision",
        {**changed(project(), INDEX, b"Images: 2", b"Images: 3"), "pictures/session1/2.TIFF": picture(5)},
        "pictures/session1/2.tiff",
        also=frozenset({"ambiguous-picture"}),
    ),
    Case("ignored-file", _with("pictures/.DS_Store", b"\0"), "pictures/.DS_Store"),
    Case("missing-index", without(project(), INDEX), INDEX),
    Case("missing-key", changed(session(), "index.yaml", b"  zoom: 30\n", b""), "index.yaml", "userData.zoom"),
    Case("index-syntax", changed(project(), INDEX, b"  seedGenus: Brassica", b"  seedGenus: [Brassica"), INDEX, line=6),
    Case("index-content", changed(project(), INDEX, b"2", b"two"), INDEX, "imageData.numberOfImages", 2),
    Case("unknown-key", changed(project(), INDEX, b"seedFamily", b"seedFamly"), INDEX, "seedData.seedFamly", 4),
    Case("duplicate-key", _with(METADATA, b"userData:\n  zoom: 1\n  zoom: 2\n"), METADATA, line=3),
    Case("missing-picture", changed(project(), INDEX, b"2", b"3"), INDEX, "imageData.numberOfImages", 2),
    Case("surplus-picture", changed(project(), INDEX, b"2", b"1"), INDEX, "imageData.numberOfImages", 2),
    Case("metadata-without-picture", _with("pictures/session1/7.yaml", b"{}"), "pictures/session1/7.yaml"),
    Case(
        "ambiguous-picture",
        {**changed(project(), INDEX, b"2", b"3"), "pictures/session1/1.png": picture(3, "png")},
        PICTURE,
    ),
    Case("picture-metadata-syntax", _with(METADATA, b"userData:\n  zoom: 1\n zoom"), METADATA, line=3),
    Case("picture-metadata-content", _with(METADATA, b"userData:\n  zoom: -1\n"), METADATA, "userData.zoom", 2),
    Case("picture-format", _with(PICTURE, picture(3, "png")), PICTURE),
    Case("picture-damaged", _with(PICTURE, picture()[:-100]), PICTURE),
    Case("picture-too-large", _with("pictures/session2/1.png", _long_png()), "pictures/session2/1.png"),
    Case(
        "picture-too-slow",
        _with("pictures/session2/2.jpeg", progressive_jpeg_of_many_scans()),
        "pictures/session2/2.jpeg",
        decoding=DecodingSettings(workers=1, seconds=2),
    ),
    Case(
        "picture-crashes-decoder",
        _with("pictures/session2/1.png", picture_of_many_pixels()),
        "pictures/session2/1.png",
        decoding=DecodingSettings(workers=1, seconds=60, memory_bytes=300 * 1024**2),
    ),
    Case("several-pages", _with(PICTURE, _pages()), PICTURE),
    Case(
        "trailing-data",
        _with("pictures/session2/2.jpeg", picture(4, "jpeg") + b"PK\x03\x04 and so on"),
        "pictures/session2/2.jpeg",
    ),
    Case("unsafe-name", _with("pictures/session1/con.txt", b"1"), "pictures/session1/con.txt"),
    Case("special-file", project(), "pictures/session1/3.tiff", arrange=_link),
    Case("forbidden-yaml", changed(project(), INDEX, b"Brassica\n", b"&genus Brassica\n"), INDEX, line=5),
    Case("unregistered-seed", changed(project(), INDEX, b"napus", b"nappus"), INDEX, "seedData.seedSpecies", 6),
    Case(
        "contradictory-seed",
        changed(project(), INDEX, b"  seedFamily: Brassicaceae", b"  seedName: Solanum nigrum"),
        INDEX,
        "seedData.seedSpecies",
        6,
    ),
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
    assert (finding.path, finding.field, finding.line) == (case.path, case.field, case.line)
    assert outcome.codes == {case.code} | case.also
    assert outcome.report.importable == (CATALOGUE[case.code].severity != "error")


@pytest.mark.parametrize("files", [project(), session()], ids=["project", "session"])
def test_a_good_folder_gets_no_finding_at_all(files: Files, validated: Validate) -> None:
    outcome = validated(files, owner=ADA)

    assert outcome.report.findings == []
    assert outcome.report.importable
    assert outcome.validation.pictures == sum(path.endswith((".tiff", ".png", ".jpeg")) for path in files)


def test_every_code_of_the_catalogue_has_a_folder_that_raises_it() -> None:
    assert {case.code for case in CASES} | NOT_IN_A_FOLDER == set(CATALOGUE)
