"""Made-up uploads: project folders with drawn pictures of seeds, the same bytes for the same seed number."""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

PictureFormat = Literal["tiff", "png", "jpeg"]

PIXELS_PER_INCH = 2540.0  # 10 µm a pixel
ZOOM = 30
SEEDS_PER_PICTURE = 6
# How many seeds the pictures of the first, second, … session show.
_SEEDS_OF_SESSIONS = (6, 2, 1)
_JPEG_QUALITY = 83


@dataclass(frozen=True)
class Species:
    """A species as an upload names it, and what its seeds look like here.

    Attributes:
        family: its family.
        genus: its genus.
        epithet: the second part of its name.
        length: how many times longer than wide its seeds are.
        colour: red, green and blue of its seeds, 0 to 255.
    """

    family: str
    genus: str
    epithet: str
    length: float
    colour: tuple[int, int, int]


SPECIES = (
    Species("Brassicaceae", "Brassica", "napus", 1.08, (52, 44, 44)),
    Species("Brassicaceae", "Brassica", "juncea", 1.12, (112, 70, 42)),
    Species("Asteraceae", "Cirsium", "arvense", 2.2, (140, 104, 62)),
    Species("Asteraceae", "Cirsium", "vulgare", 2.0, (150, 122, 84)),
    Species("Asteraceae", "Carduus", "nutans", 1.9, (132, 98, 58)),
    Species("Poaceae", "Bromus", "secalinus", 2.8, (128, 92, 54)),
    Species("Poaceae", "Bromus", "hordeaceus", 2.6, (142, 112, 70)),
    Species("Poaceae", "Bromus", "japonicus", 3.0, (120, 88, 52)),
    Species("Poaceae", "Lolium", "temulentum", 2.4, (146, 118, 72)),
    Species("Solanaceae", "Solanum", "carolinense", 1.25, (156, 118, 56)),
    Species("Solanaceae", "Solanum", "nigrum", 1.3, (150, 120, 76)),
    Species("Solanaceae", "Solanum", "rostratum", 1.2, (60, 48, 42)),
    Species("Asteraceae", "Ambrosia", "artemisiifolia", 1.5, (98, 74, 50)),
    Species("Asteraceae", "Ambrosia", "trifida", 1.6, (88, 66, 46)),
    Species("Asteraceae", "Ambrosia", "psilostachya", 1.45, (104, 82, 58)),
)


def write_sample(
    folder: Path,
    *,
    sessions: int = 1,
    pictures: int = 4,
    picture_format: PictureFormat = "tiff",
    seed: int = 0,
    email: str = "sample.user@example.org",
    width: int = 1024,
    height: int = 768,
) -> Path:
    """Write a project folder as an uploader would stage it.

    Args:
        folder: the project folder, to be made; it may exist if it is empty.
        sessions: how many session folders, each of another species.
        pictures: how many pictures in each of them.
        picture_format: format of the pictures.
        seed: where chance begins; the same number gives the same files, byte for byte.
        email: who uploads.
        width: width of a picture, in pixels.
        height: height of a picture, in pixels.

    Returns:
        The folder.

    Raises:
        FileExistsError: there is something in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    _write_project_index(folder, email, seed)
    for place in range(sessions):
        species = SPECIES[(seed + place) % len(SPECIES)]
        seeds = _SEEDS_OF_SESSIONS[place % len(_SEEDS_OF_SESSIONS)]
        session = folder / "pictures" / f"session{place + 1}"
        session.mkdir(parents=True)
        _write_session_index(session, species, seeds, pictures)
        for number in range(1, pictures + 1):
            picture = sample_picture(
                np.random.default_rng((seed, place, number)),
                species=species,
                seeds=seeds,
                picture_format=picture_format,
                width=width,
                height=height,
            )
            (session / f"{number}.{picture_format}").write_bytes(picture)
        if pictures:
            _write_yaml(
                session / "1.yaml",
                {"userData": {"description": "First picture of the session", "numberOfSeeds": seeds}},
            )
    return folder


def sample_picture(
    chance: np.random.Generator | int = 0,
    *,
    species: Species = SPECIES[0],
    seeds: int = SEEDS_PER_PICTURE,
    picture_format: PictureFormat = "tiff",
    width: int = 1024,
    height: int = 768,
) -> bytes:
    """Draw dark seeds, none touching another, on the pale background of a microscope, with a scale bar of 1 mm.

    Args:
        chance: a generator, or the number that one is made from.
        species: whose seeds.
        seeds: how many.
        picture_format: format of the file; TIFF is compressed with LZW.
        width: width in pixels.
        height: height in pixels.

    Returns:
        The picture file.
    """
    generator = np.random.default_rng(chance)
    canvas = _background(generator, width, height)
    bar = max(6, height // 24)
    for centre, radius in _places(generator, seeds, width, height - bar):
        _draw_seed(generator, canvas, centre, radius, species)
    _draw_scale_bar(canvas, bar)
    picture = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    return _encoded(picture, picture_format)


def _write_project_index(folder: Path, email: str, seed: int) -> None:
    _write_yaml(
        folder / "index.yaml",
        {
            "clientData": {"clientEmail": email, "clientExpertise": "Developer"},
            "userData": {
                "description": f"Drawn seeds, sample {seed}",
                "numberOfSeeds": SEEDS_PER_PICTURE,
                "zoom": ZOOM,
            },
        },
    )


def _write_session_index(session: Path, species: Species, seeds: int, pictures: int) -> None:
    user_data: dict[str, object] = {"description": f"{species.genus} {species.epithet}"}
    if seeds != SEEDS_PER_PICTURE:
        user_data["numberOfSeeds"] = seeds
    _write_yaml(
        session / "index.yaml",
        {
            "imageData": {"numberOfImages": pictures},
            "seedData": {
                "seedFamily": species.family,
                "seedGenus": species.genus,
                "seedSpecies": species.epithet,
            },
            "userData": user_data,
        },
    )


def _write_yaml(file: Path, content: dict[str, object]) -> None:
    file.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _background(generator: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """A near-white background: lit unevenly, a little warm, with the noise of a camera."""
    coarse = generator.normal(0.0, 3.0, (5, 7)).astype(np.float32)
    uneven = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    noise = generator.standard_normal((height, width), dtype=np.float32)
    noise *= np.float32(1.6)
    noise += uneven
    return noise[:, :, None] + np.array((240, 239, 234), dtype=np.float32)


def _places(
    generator: np.random.Generator, seeds: int, width: int, height: int
) -> list[tuple[tuple[float, float], float]]:
    """Centres and long radii, each in a cell of its own, so that no two seeds meet."""
    if seeds == 0:
        return []
    columns = max(1, round(math.sqrt(seeds * width / height)))
    rows = math.ceil(seeds / columns)
    cell_width, cell_height = width / columns, height / rows
    largest = min(cell_width, cell_height, height / 2.2)
    cells = generator.permutation(columns * rows)[:seeds]
    found = []
    for cell in sorted(int(number) for number in cells):
        row, column = divmod(cell, columns)
        radius = largest * generator.uniform(0.26, 0.34)
        # What is left of the cell beside the seed, its shadow and a margin.
        room_x, room_y = cell_width / 2 - 1.25 * radius, cell_height / 2 - 1.25 * radius
        x = (column + 0.5) * cell_width + generator.uniform(-room_x, room_x)
        y = (row + 0.5) * cell_height + generator.uniform(-room_y, room_y)
        found.append(((x, y), radius))
    return found


def _draw_seed(
    generator: np.random.Generator,
    canvas: NDArray[np.float32],
    centre: tuple[float, float],
    radius: float,
    species: Species,
) -> None:
    reach = 1.25 * radius
    top, left = max(0, math.floor(centre[1] - reach)), max(0, math.floor(centre[0] - reach))
    patch = canvas[top : math.ceil(centre[1] + reach), left : math.ceil(centre[0] + reach)]
    height, width = patch.shape[:2]
    y, x = np.mgrid[top : top + height, left : left + width].astype(np.float32)
    angle = generator.uniform(0, math.pi)
    along, across = _along_and_across(x - centre[0], y - centre[1], angle)
    short = radius / species.length
    distance = np.hypot(along / radius, across / short)
    # An outline that is not quite an ellipse.
    turn = np.arctan2(across / short, along / radius)
    distance *= 1 + 0.03 * np.sin(2 * turn + generator.uniform(0, 6)) + 0.015 * np.sin(5 * turn)

    shift = 0.07 * radius
    shadow_along, shadow_across = _along_and_across(x - centre[0] - shift, y - centre[1] - shift, angle)
    shadow = np.hypot(shadow_along / radius, shadow_across / short)
    patch *= (1 - 0.22 * np.clip((1.16 - shadow) / 0.22, 0, 1))[:, :, None]

    light = np.clip((1 - distance**2), 0, 1) ** 0.5
    light = 0.55 + 0.5 * light - 0.12 * (x - centre[0] + y - centre[1]) / radius
    ridges = 1 + 0.09 * np.sin(across / short * generator.uniform(9, 13) + 0.6 * np.sin(along / radius * 4))
    grain = 1 + 0.07 * generator.standard_normal((height, width), dtype=np.float32)
    hue = np.array(species.colour, dtype=np.float32) * np.float32(generator.uniform(0.9, 1.08))
    # However bright its ridges, a seed stays darker than the background and its own shadow.
    body = np.minimum((light * ridges * grain)[:, :, None] * hue, 160)
    # Soft for some two pixels.
    inside = np.clip((1 - distance) * short / 2 + 0.5, 0, 1)[:, :, None]
    patch += inside * (body - patch)


def _along_and_across(
    x: NDArray[np.float32], y: NDArray[np.float32], angle: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return (
        x * np.float32(math.cos(angle)) + y * np.float32(math.sin(angle)),
        y * np.float32(math.cos(angle)) - x * np.float32(math.sin(angle)),
    )


def _draw_scale_bar(canvas: NDArray[np.float32], margin: int) -> None:
    height, width = canvas.shape[:2]
    length = min(round(PIXELS_PER_INCH / 25.4), width // 4)
    thickness = max(2, height // 256)
    bottom = height - margin // 2
    canvas[bottom - thickness : bottom, width - margin // 2 - length : width - margin // 2] = 20


def _encoded(picture: Image.Image, picture_format: PictureFormat) -> bytes:
    resolution = (PIXELS_PER_INCH, PIXELS_PER_INCH)
    file = io.BytesIO()
    if picture_format == "tiff":
        picture.save(file, "TIFF", compression="tiff_lzw", dpi=resolution)
    elif picture_format == "png":
        picture.save(file, "PNG", compress_level=3, dpi=resolution)
    else:
        picture.save(file, "JPEG", quality=_JPEG_QUALITY, dpi=resolution)
    return file.getvalue()
