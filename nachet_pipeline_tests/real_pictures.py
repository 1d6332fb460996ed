"""Two real photographs of seeds, read where they are and never part of this repository."""

import os
from pathlib import Path

import pytest

_FOLDER = Path(os.environ.get("REAL_PICTURES") or Path(__file__).resolve().parents[2] / "shared" / "data" / "real")
_NAMES = ("cfia-one-seed-638x559.png", "cfia-two-seeds-1920x1080-lzw.tiff")
SPECIES = {".png": ("Brassica juncea", 1), ".tiff": ("Brassica napus", 2)}
"""What the tests call them, and how many seeds they show; their source states no species."""


@pytest.fixture
def real_pictures() -> list[Path]:
    """The photographs; the test is skipped, saying so, where they are absent."""
    pictures = [_FOLDER / name for name in _NAMES]
    if not all(picture.is_file() for picture in pictures):
        pytest.skip(f"the real pictures are not in {_FOLDER}; REAL_PICTURES names another folder")
    return pictures


def write_project(folder: Path, pictures: list[Path], email: str) -> Path:
    """A project folder with a session for each photograph."""
    for picture in pictures:
        species, seeds = SPECIES[picture.suffix]
        session = folder / "pictures" / picture.stem
        session.mkdir(parents=True)
        (session / f"1{picture.suffix}").write_bytes(picture.read_bytes())
        (session / "index.yaml").write_text(
            f"imageData: {{numberOfImages: 1}}\nseedData: {{seedName: {species}}}\n"
            f"userData: {{description: a real photograph, numberOfSeeds: {seeds}, zoom: 30}}\n"
        )
    (folder / "index.yaml").write_text(f"clientData: {{clientEmail: {email}, clientExpertise: botany}}\n")
    return folder
