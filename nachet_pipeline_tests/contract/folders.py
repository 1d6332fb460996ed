"""Folders to validate, as mappings from path to content, and what validating one makes."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.marks import ListedFile, render_list
from nachet_pipeline.contract.report import Report
from nachet_pipeline.contract.validation import Validation
from nachet_pipeline.local.sample import PictureFormat, sample_picture
from nachet_pipeline.support.i18n import Bilingual

Files = dict[str, bytes]


def english(phrase: Bilingual | None) -> str | None:
    return phrase.en if phrase else None


PROJECT_INDEX = b"""\
clientData:
  clientEmail: ada@example.org
  clientExpertise: Botanist
userData:
  description: Seeds on white paper
  numberOfSeeds: 6
  zoom: 30
"""

SESSION_INDEX = b"""\
imageData:
  numberOfImages: 2
seedData:
  seedFamily: Brassicaceae
  seedGenus: Brassica
  seedSpecies: napus
"""

LONE_SESSION_INDEX = (
    SESSION_INDEX
    + b"""\
userData:
  numberOfSeeds: 6
  zoom: 30
"""
)


@cache
def picture(number: int = 1, picture_format: PictureFormat = "tiff") -> bytes:
    return sample_picture(number, seeds=1, picture_format=picture_format, width=64, height=48)


@cache
def progressive_jpeg_of_many_scans(scans: int = 100_000) -> bytes:
    """A picture of about a megabyte that keeps a decoder busy for half a minute."""
    stream = io.BytesIO()
    Image.new("L", (1500, 1500), 90).save(stream, "JPEG", progressive=True)
    content = stream.getvalue()
    start = content.rfind(b"\xff\xda")
    header = content[start : start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")]
    return content[:-2] + header * scans + content[-2:]


@cache
def picture_of_many_pixels(picture_format: str = "PNG") -> bytes:
    """A small file of 81 megapixels, which take 324 MB once they are decoded."""
    stream = io.BytesIO()
    options = {"compression": "tiff_adobe_deflate"} if picture_format == "TIFF" else {}
    Image.new("RGB", (9000, 9000)).save(stream, picture_format, **options)
    return stream.getvalue()


def project() -> Files:
    """A good project of two sessions, with every kind of file."""
    return {
        "index.yaml": PROJECT_INDEX,
        "pictures/session1/index.yaml": SESSION_INDEX,
        "pictures/session1/1.tiff": picture(1),
        "pictures/session1/1.yaml": b"userData:\n  numberOfSeeds: 1\n",
        "pictures/session1/2.tiff": picture(2),
        "pictures/session2/index.yaml": SESSION_INDEX.replace(b"napus", b"juncea"),
        "pictures/session2/1.png": picture(3, "png"),
        "pictures/session2/2.jpeg": picture(4, "jpeg"),
    }


def session() -> Files:
    """A good session upload."""
    return {"index.yaml": LONE_SESSION_INDEX, "1.tiff": picture(1), "2.tiff": picture(2)}


def changed(files: Files, path: str, old: bytes, new: bytes) -> Files:
    """The same files, one of them with one thing changed."""
    assert files[path].count(old) == 1
    return {**files, path: files[path].replace(old, new)}


def without(files: Files, *paths: str) -> Files:
    return {path: content for path, content in files.items() if path not in paths}


def write(folder: Path, files: Files) -> Path:
    folder.mkdir()
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


@dataclass(frozen=True)
class Outcome:
    """What validating a folder made: the validation, and each session's manifest."""

    validation: Validation
    manifests: dict[str, list[str]]

    @property
    def report(self) -> Report:
        return self.validation.report

    @property
    def codes(self) -> set[str]:
        return set(self.report.codes)

    def only(self, code: str) -> Finding:
        """The one finding of a code."""
        found = [finding for finding in self.report.findings if finding.code == code]
        assert len(found) == 1, found
        return found[0]


Validate = Callable[..., Outcome]


def file_list(files: Files, *, replace: bool = False) -> bytes:
    """A `_COMPLETE` that lists these files as `nachet stage` does."""
    listed = (ListedFile(path, len(found), hashlib.sha256(found).hexdigest()) for path, found in files.items())
    return render_list(listed, replace=replace)
