"""Measuring a decoded picture: exposure, clipping, sharpness of what it shows, evenness of the ground, a score.

Everything is measured on the picture at a fraction of its size (`pixels.factor`), so that figures of large and small
pictures can be compared, and so that it costs little. The quality score is the product

    sharp^0.5 × contrast^0.2 × unclipped^0.15 × uniformity^0.15

of `sharp` = s ÷ (s + 60) with s the sharpness; `contrast` = (p99 - p1) ÷ 0.5 of the luminance, at most 1;
`unclipped`, the share of the seeds' pixels that are neither black nor white; and `uniformity` of the ground. It is 0
if nothing stands out from the ground. It orders pictures; it decides nothing.
"""  # noqa: RUF002 (multiplication)

# ruff: noqa: PLC0415 (NumPy is needed in workers alone)

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from nachet_pipeline.pictures.declared import Declared
from nachet_pipeline.pictures.enrichment import Clipping, Enrichment, Exposure
from nachet_pipeline.pictures.ground import Ground, tell_apart
from nachet_pipeline.pictures.perceptual_hash import perceptual_hash
from nachet_pipeline.pictures.pixels import Pixels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COARSE_SIDE = 128
_WHITE = 255
_CLIPPED_BY = 2
_HALF_SHARP = 60.0
_FULL_CONTRAST = 0.5
_WEIGHTS = {"sharp": 0.5, "contrast": 0.2, "unclipped": 0.15, "uniformity": 0.15}


@dataclass(frozen=True, slots=True)
class Stored:
    """How a file stores its picture.

    Attributes:
        width: in pixels.
        height: in pixels.
        mode: Pillow's name of the pixel format, or one like it.
        bit_depth: bits of a sample.
        compression: what it is compressed with.
    """

    width: int
    height: int
    mode: str
    bit_depth: int
    compression: str


def enrich(pixels: Pixels, stored: Stored, declared: Declared) -> Enrichment:
    """Everything a picture tells about itself.

    Args:
        pixels: what was decoded.
        stored: how the file stores it.
        declared: what the file says of it.
    """
    import numpy as np

    reduced = pixels.reduced
    luminance = reduced if reduced.mode == "L" else reduced.convert("L")
    by = max(1, -(-max(reduced.size) // _COARSE_SIDE))
    coarse = reduced.reduce(by)
    ground = tell_apart(coarse)
    exposure = _exposure(luminance)
    light = np.asarray(luminance)
    sharpness, unclipped = _of_objects(light, ground, by)
    uniformity = _uniformity(np.asarray(coarse if coarse.mode == "L" else coarse.convert("L")), ground)
    looks = perceptual_hash(luminance)
    return Enrichment(
        width=stored.width,
        height=stored.height,
        mode=stored.mode,
        bit_depth=stored.bit_depth,
        compression=stored.compression,
        resolution=declared.resolution,
        pixel_size=declared.pixel_size,
        captured=declared.captured,
        device=declared.device,
        exposure=exposure,
        clipping=_clipping(reduced) if pixels.absolute else (),
        sharpness=sharpness,
        background_uniformity=uniformity,
        objects_found=ground.objects,
        object_share=round(float(ground.on_objects.mean()), 4),
        pixel_sha256=pixels.sha256.hex(),
        perceptual_hash=looks.hex() if looks else None,
        quality_score=quality_score(
            sharpness=sharpness, contrast=exposure.p99 - exposure.p1, unclipped=unclipped, uniformity=uniformity
        ),
    )


def quality_score(*, sharpness: float | None, contrast: float, unclipped: float, uniformity: float | None) -> float:
    """The score that this module's description defines, from 0 to 1.

    >>> quality_score(sharpness=None, contrast=1, unclipped=1, uniformity=1)
    0.0
    >>> quality_score(sharpness=60, contrast=0.5, unclipped=1, uniformity=1)
    0.7071
    """
    if sharpness is None or uniformity is None:
        return 0.0
    parts = {
        "sharp": sharpness / (sharpness + _HALF_SHARP),
        "contrast": min(1.0, max(0.0, contrast) / _FULL_CONTRAST),
        "unclipped": unclipped,
        "uniformity": uniformity,
    }
    score = 1.0
    for name, weight in _WEIGHTS.items():
        score *= parts[name] ** weight
    return round(score, 4)


def _exposure(luminance: Image.Image) -> Exposure:
    import numpy as np

    counts = np.array(luminance.histogram())
    total = int(counts.sum())
    below = np.cumsum(counts)
    levels = {
        f"p{percent}": round(int(np.searchsorted(below, percent / 100 * total)) / _WHITE, 4)
        for percent in (1, 5, 50, 95, 99)
    }
    return Exposure(mean=round(float(counts @ np.arange(_WHITE + 1)) / total / _WHITE, 4), **levels)


def _clipping(reduced: Image.Image) -> tuple[Clipping, ...]:
    counts = reduced.histogram()
    total = reduced.width * reduced.height
    return tuple(
        Clipping(
            channel=channel,
            black=round(counts[256 * number] / total, 4),
            white=round(counts[256 * number + _WHITE] / total, 4),
        )
        for number, channel in enumerate(reduced.getbands())
    )


def _of_objects(light: "NDArray[np.uint8]", ground: Ground, by: int) -> tuple[float | None, float]:
    """Variance of the Laplacian within the objects, and the share of their pixels that are neither black nor white."""
    import numpy as np

    inner = _inner(ground.on_objects)
    rows, columns = np.flatnonzero(inner.any(axis=1)), np.flatnonzero(inner.any(axis=0))
    if not rows.size or min(light.shape) < 3:  # noqa: PLR2004 (the Laplacian's own size)
        return None, 0.0
    # One pixel of the picture's edge has no Laplacian.
    top, bottom = max(1, int(rows[0]) * by), min(light.shape[0] - 1, (int(rows[-1]) + 1) * by)
    left, right = max(1, int(columns[0]) * by), min(light.shape[1] - 1, (int(columns[-1]) + 1) * by)
    mask = np.repeat(np.repeat(inner, by, axis=0), by, axis=1)[top:bottom, left:right]
    patch = light[top - 1 : bottom + 1, left - 1 : right + 1].astype("int16")
    laplacian = -4 * patch[1:-1, 1:-1]
    laplacian += patch[:-2, 1:-1]
    laplacian += patch[2:, 1:-1]
    laplacian += patch[1:-1, :-2]
    laplacian += patch[1:-1, 2:]
    values = laplacian[mask]
    if not values.size:
        return None, 0.0
    seen = patch[1:-1, 1:-1][mask]
    clipped = np.count_nonzero((seen <= _CLIPPED_BY) | (seen >= _WHITE - _CLIPPED_BY))
    return round(float(values.var(dtype="float32")), 2), 1 - clipped / values.size


def _inner(on_objects: "NDArray[np.bool_]") -> "NDArray[Any]":
    """Objects without their rims, which contrast with the ground however blurred they are; the whole of small ones."""
    inner = on_objects.copy()
    inner[1:] &= on_objects[:-1]
    inner[:-1] &= on_objects[1:]
    inner[:, 1:] &= on_objects[:, :-1]
    inner[:, :-1] &= on_objects[:, 1:]
    return inner if 4 * int(inner.sum()) >= int(on_objects.sum()) else on_objects


def _uniformity(coarse: "NDArray[np.uint8]", ground: Ground) -> float | None:
    """1 less the range of the ground's luminance, from the 5th to the 95th percentile."""
    import numpy as np

    values = coarse[ground.on_ground]
    if not values.size:
        return None
    values = np.sort(values)
    low, high = int(values[values.size // 20]), int(values[values.size - 1 - values.size // 20])
    return round(1 - (high - low) / _WHITE, 4)
