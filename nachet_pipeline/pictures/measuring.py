"""Measure a decoded picture: exposure, clipping, sharpness of its objects, evenness of its background, a score.

Everything is measured on the picture at a fraction of its size (`pixels.factor`), so that figures of large and small
pictures can be compared, and so that it costs little. The quality score is the product

    sharp^0.5 × contrast^0.2 × unclipped^0.15 × uniformity^0.15

of `sharp` = s ÷ (s + 60) with s the sharpness; `contrast` = (p99 - p1) ÷ 0.5 of the luminance, at most 1;
`unclipped`, the share of the seeds' pixels that are neither black nor white; and `uniformity` of the background. It
is 0 if nothing stands out from the background. The score only orders pictures; no rule depends on it.
"""  # noqa: RUF002 (multiplication)

from typing import Any

from nachet_pipeline.pictures.arrays import NDArray, cv2, np
from nachet_pipeline.pictures.background import Background, find_background
from nachet_pipeline.pictures.decoding import Decoded
from nachet_pipeline.pictures.enrichment import Clipping, Enrichment, Exposure
from nachet_pipeline.pictures.forensics.declared import Declared
from nachet_pipeline.pictures.perceptual_hash import perceptual_hash
from nachet_pipeline.pictures.pixels import Pixels, shrunk

_COARSE_SIDE = 128
_MANY = 65_536
# Dimensions of the array of a grey picture.
_GREY = 2
_WHITE = 255
_PERCENTS = (1, 5, 50, 95, 99)
_CLIPPED_BY = 2
_HALF_SHARP = 60.0
_FULL_CONTRAST = 0.5
_WEIGHTS = {"sharp": 0.5, "contrast": 0.2, "unclipped": 0.15, "uniformity": 0.15}


def enrich(pixels: Pixels, stored: Decoded, declared: Declared) -> Enrichment:
    """Measure a picture, and add what its file declares.

    Args:
        pixels: those of the picture.
        stored: how the file stores it.
        declared: what the file says of it.
    """
    reduced = pixels.reduced
    luminance = _luminance(reduced)
    by = max(1, -(-max(luminance.shape) // _COARSE_SIDE))
    coarse = shrunk(reduced, by)
    background = find_background(coarse)
    exposure = _exposure(luminance)
    sharpness, unclipped = _of_objects(luminance, background.on_objects, by)
    uniformity = _uniformity(_luminance(coarse), background)
    looks = perceptual_hash(luminance)
    return Enrichment(
        width=stored.width,
        height=stored.height,
        mode=stored.mode,
        bit_depth=stored.bit_depth,
        compression=stored.compression,
        resolution=declared.resolution,
        pixel_size=declared.pixel_size,
        channel=declared.channel,
        captured=declared.captured,
        device=declared.device,
        exposure=exposure,
        clipping=_clipping(reduced) if pixels.absolute else (),
        sharpness=sharpness,
        background_uniformity=uniformity,
        objects_found=background.objects,
        object_share=round(float(background.on_objects.mean()), 4),
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


def _luminance(picture: "NDArray[np.uint8]") -> "NDArray[Any]":
    return picture if picture.ndim == _GREY else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def _exposure(luminance: "NDArray[np.uint8]") -> Exposure:
    # In a large picture every fourth pixel is enough: counting is slow where the background is flat.
    counted = luminance[::2, ::2] if luminance.size > _MANY else luminance
    below = cv2.calcHist([np.ascontiguousarray(counted)], [0], None, [_WHITE + 1], [0, _WHITE + 1]).cumsum()
    found = np.searchsorted(below, [percent / 100 * counted.size for percent in _PERCENTS]).tolist()
    levels = {f"p{percent}": round(level / _WHITE, 4) for percent, level in zip(_PERCENTS, found, strict=True)}
    return Exposure(mean=round(cv2.mean(luminance)[0] / _WHITE, 4), **levels)


def _clipping(reduced: "NDArray[np.uint8]") -> tuple[Clipping, ...]:
    black, white = _shares_of(reduced, 0), _shares_of(reduced, _WHITE)
    channels = "L" if reduced.ndim == _GREY else "RGB"
    return tuple(
        Clipping(channel=channel, black=black[number], white=white[number]) for number, channel in enumerate(channels)
    )


def _shares_of(reduced: "NDArray[np.uint8]", level: int) -> list[float]:
    """The share of pixels at the least or greatest level, by channel."""
    reached = int(reduced.max()) if level else int(reduced.min())
    if reached != level:
        return [0.0] * 3
    return [round(share, 4) for share in cv2.mean((reduced == level).view("uint8"))]


def _of_objects(light: "NDArray[np.uint8]", on_objects: "NDArray[np.uint8]", by: int) -> tuple[float | None, float]:
    """Variance of the Laplacian within the objects, and the share of their pixels that are neither black nor white."""
    inner = _inner(on_objects)
    left, top, across, down = cv2.boundingRect(inner)
    if not across or min(light.shape) < 3:  # noqa: PLR2004 (the Laplacian's own size)
        return None, 0.0
    box = inner[top : top + down, left : left + across]
    mask: NDArray[Any] = cv2.resize(box, (across * by, down * by), interpolation=cv2.INTER_NEAREST)
    top, left = top * by, left * by
    # One pixel of the picture's edge has no Laplacian.
    above, before = int(top == 0), int(left == 0)
    bottom, right = min(light.shape[0] - 1, top + down * by), min(light.shape[1] - 1, left + across * by)
    top, left = top + above, left + before
    mask = mask[above : above + bottom - top, before : before + right - left]
    number = cv2.countNonZero(mask)
    if not number:
        return None, 0.0
    patch = light[top - 1 : bottom + 1, left - 1 : right + 1]
    laplacian = cv2.Laplacian(patch, cv2.CV_16S)[1:-1, 1:-1]
    seen = cv2.inRange(patch[1:-1, 1:-1], _CLIPPED_BY + 1, _WHITE - _CLIPPED_BY - 1)
    return round(_variance(laplacian, mask, number), 2), cv2.countNonZero(cv2.bitwise_and(seen, mask)) / number


def _variance(values: "NDArray[Any]", mask: "NDArray[Any]", number: int) -> float:
    """Of the values where the mask is 1, `number` in all; five times faster than OpenCV's own with a mask."""
    masked = values * mask
    mean: float = cv2.sumElems(masked)[0] / number
    squares: float = cv2.norm(masked, cv2.NORM_L2SQR) / number
    return max(0.0, squares - mean**2)


def _inner(on_objects: "NDArray[np.uint8]") -> "NDArray[Any]":
    """Objects without their rims, which contrast with the background even if blurred; small objects are kept whole."""
    inner = cv2.erode(on_objects, np.ones((3, 3), dtype="uint8"))
    return inner if 4 * cv2.countNonZero(inner) >= cv2.countNonZero(on_objects) else on_objects


def _uniformity(coarse: "NDArray[np.uint8]", background: Background) -> float | None:
    """1 minus the range of the background's luminance, from the 5th to the 95th percentile."""
    counts = cv2.calcHist([coarse], [0], background.on_background.view("uint8"), [_WHITE + 1], [0, _WHITE + 1])
    below = counts.cumsum()
    number = int(below[-1])
    if not number:
        return None
    low, high = below.searchsorted((number // 20, number - 1 - number // 20), side="right").tolist()
    return round(1 - float(high - low) / _WHITE, 4)
