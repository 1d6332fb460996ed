"""A contact sheet: a few pictures of an upload at a glance."""

import base64
import io
import re
from collections.abc import Collection, Sequence

from PIL import Image, ImageDraw, ImageFont

from nachet_pipeline.pictures.thumbnails import THUMBNAIL_SIDE

_COLUMNS = 4
_GAP = 6
_TEXT = 11
_CAPTION = 2 * _TEXT + 8


def contact_sheet(thumbnails: Collection[bytes], captions: Sequence[str] = ()) -> bytes | None:
    """One JPEG with all thumbnails in rows of four, None if there are none.

    Args:
        thumbnails: JPEGs.
        captions: what is written below each, in two lines at most; nothing, if there are none.
    """
    if not thumbnails:
        return None
    cell = THUMBNAIL_SIDE + _GAP
    below = _CAPTION if captions else 0
    columns = min(_COLUMNS, len(thumbnails))
    rows = -(-len(thumbnails) // columns)
    sheet = Image.new("RGB", (columns * cell + _GAP, rows * (cell + below) + _GAP), "white")
    for number, content in enumerate(thumbnails):
        with Image.open(io.BytesIO(content)) as small:
            left = _GAP + number % columns * cell + (THUMBNAIL_SIDE - small.width) // 2
            top = _GAP + number // columns * (cell + below) + (THUMBNAIL_SIDE - small.height) // 2
            sheet.paste(small, (left, top))
    for number, caption in enumerate(captions):
        place = _GAP + number % columns * cell, number // columns * (cell + below) + cell
        ImageDraw.Draw(sheet).multiline_text(place, caption, "black", ImageFont.load_default(_TEXT), spacing=1)
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=70)
    return stream.getvalue()


def as_markdown(picture: bytes, caption: str) -> str:
    """Markdown with the JPEG or PNG embedded, and a caption below it, whose characters have no other meaning."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    plain = re.sub(r"([\\`*_\[\]<>#!|~])", r"\\\1", caption)
    return f"![{plain}](data:image/{kind};base64,{base64.b64encode(picture).decode()})\n\n*{plain}*"
