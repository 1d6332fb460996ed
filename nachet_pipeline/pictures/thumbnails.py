"""Thumbnails: small JPEGs by which people recognise a picture."""

import io

from PIL import Image

THUMBNAIL_SIDE = 160
"""Width or height of a thumbnail at most, in pixels."""


def thumbnail_of(image: Image.Image) -> bytes:
    """Render a JPEG of at most `THUMBNAIL_SIDE` pixels; values beyond 8 bits are stretched to the visible range."""
    if image.mode.startswith("I;16"):
        image = image.convert("I")  # Pillow gives the extremes of this mode in any byte order
    if image.mode in {"I", "F"}:
        low, high = image.getextrema()
        scale = 255 / max(float(high) - float(low), 1.0)  # type: ignore[arg-type]
        image = image.convert("F").point(lambda value: (value - float(low)) * scale)  # type: ignore[arg-type]
        image = image.convert("L")
    small = image.reduce(max(1, min(image.size) // (2 * THUMBNAIL_SIDE)))
    if small.mode in {"RGBA", "LA", "PA", "P"}:
        small = small.convert("RGBA")
        background = Image.new("RGBA", small.size, "white")
        small = Image.alpha_composite(background, small)
    small = small.convert("RGB")
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=70)
    return stream.getvalue()
