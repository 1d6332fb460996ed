import io
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from nachet_pipeline.local.sample import SPECIES, PictureFormat, sample_picture, write_sample

FORMATS: list[PictureFormat] = ["tiff", "png", "jpeg"]


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _count_dark_areas(picture: bytes) -> int:
    """How many things lie on the ground, apart from the scale bar at the bottom."""
    with Image.open(io.BytesIO(picture)) as opened:
        grey: NDArray[np.uint8] = np.asarray(opened.convert("L").reduce(4))
    dark = {(int(y), int(x)) for y, x in np.argwhere(grey[: -grey.shape[0] // 24] < 170)}
    count = 0
    while dark:
        count += 1
        reached = [dark.pop()]
        while reached:
            y, x = reached.pop()
            beside = {(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)} & dark
            dark -= beside
            reached += beside
    return count


def test_a_sample_is_a_project_folder_with_an_index_in_every_folder(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "project", sessions=2, pictures=2, width=320, height=240)

    assert list(_contents(folder)) == [
        "index.yaml",
        "pictures/session1/1.tiff",
        "pictures/session1/1.yaml",
        "pictures/session1/2.tiff",
        "pictures/session1/index.yaml",
        "pictures/session2/1.tiff",
        "pictures/session2/1.yaml",
        "pictures/session2/2.tiff",
        "pictures/session2/index.yaml",
    ]


def test_what_a_sample_declares_is_true(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "project", sessions=3, pictures=2, seed=5)

    project = yaml.safe_load((folder / "index.yaml").read_text())
    assert project["clientData"]["clientEmail"] == "sample.user@example.org"
    sessions = sorted((folder / "pictures").iterdir())
    assert len(sessions) == 3
    for session in sessions:
        index = yaml.safe_load((session / "index.yaml").read_text())
        pictures = sorted(session.glob("*.tiff"))
        seeds = index["userData"].get("numberOfSeeds", project["userData"]["numberOfSeeds"])
        named = (index["seedData"]["seedFamily"], index["seedData"]["seedGenus"], index["seedData"]["seedSpecies"])
        assert index["imageData"]["numberOfImages"] == len(pictures)
        assert [_count_dark_areas(picture.read_bytes()) for picture in pictures] == [seeds] * len(pictures)
        assert named in {(species.family, species.genus, species.epithet) for species in SPECIES}


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    first = write_sample(tmp_path / "1", pictures=1, seed=1, width=320, height=240)
    again = write_sample(tmp_path / "2", pictures=1, seed=1, width=320, height=240)
    other = write_sample(tmp_path / "3", pictures=1, seed=2, width=320, height=240)

    assert _contents(first) == _contents(again)
    assert (first / "pictures/session1/1.tiff").read_bytes() != (other / "pictures/session1/1.tiff").read_bytes()


@pytest.mark.parametrize("picture_format", FORMATS)
def test_a_picture_has_the_format_the_size_and_a_resolution(picture_format: PictureFormat) -> None:
    content = sample_picture(picture_format=picture_format, width=640, height=480)

    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == picture_format.upper()
        assert picture.size == (640, 480)
        assert picture.mode == "RGB"
        assert picture.info["dpi"] == pytest.approx((2540, 2540), rel=1e-3)
        if picture_format == "tiff":
            assert picture.info["compression"] == "tiff_lzw"


@pytest.mark.parametrize("species", SPECIES, ids=lambda species: f"{species.genus} {species.epithet}")
@pytest.mark.parametrize("seeds", [0, 1, 2, 6, 20])
def test_the_seeds_of_every_species_lie_apart(species: object, seeds: int) -> None:
    assert isinstance(species, type(SPECIES[0]))
    picture = sample_picture(seeds, species=species, seeds=seeds, picture_format="png")

    assert _count_dark_areas(picture) == seeds


def test_a_jpeg_of_a_microscope_is_about_as_large_as_a_real_one() -> None:
    content = sample_picture(picture_format="jpeg", width=1600, height=1200)

    assert len(content) == pytest.approx(125_000, rel=0.15)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(FileExistsError, match="is not empty"):
        write_sample(tmp_path)

    assert [found.name for found in tmp_path.iterdir()] == ["mine.txt"]
