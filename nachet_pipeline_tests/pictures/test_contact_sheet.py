import base64
import io

import pytest
from PIL import Image

from nachet_pipeline.pictures.contact_sheet import as_markdown, contact_sheet
from nachet_pipeline.pictures.thumbnails import THUMBNAIL_SIDE

CELL = THUMBNAIL_SIDE + 6


def _small(colour: str, size: tuple[int, int] = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize(("number", "columns", "rows"), [(1, 1, 1), (3, 3, 1), (4, 4, 1), (5, 4, 2), (12, 4, 3)])
def test_pictures_lie_in_rows_of_four(number: int, columns: int, rows: int) -> None:
    sheet = contact_sheet([_small("red")] * number)

    assert sheet is not None
    with Image.open(io.BytesIO(sheet)) as opened:
        assert opened.format == "JPEG"
        assert opened.size == (columns * CELL + 6, rows * CELL + 6)


def test_each_picture_is_in_its_own_place_and_in_the_middle_of_it() -> None:
    sheet = contact_sheet([_small("red"), _small("blue", (THUMBNAIL_SIDE, 20))])

    assert sheet is not None
    with Image.open(io.BytesIO(sheet)) as opened:
        image = opened.convert("RGB")
    pixels = [image.getpixel((x, CELL // 2)) for x in (CELL // 2, CELL + CELL // 2)]
    above = image.getpixel((CELL + CELL // 2, 20))
    assert isinstance(pixels[0], tuple)
    assert isinstance(pixels[1], tuple)
    assert isinstance(above, tuple)
    assert pixels[0][0] > 200
    assert pixels[0][2] < 60
    assert pixels[1][2] > 200
    assert pixels[1][0] < 60
    assert min(above) > 230


def test_without_pictures_there_is_no_sheet() -> None:
    assert contact_sheet([]) is None


def test_a_sheet_in_markdown_carries_its_picture_within_and_a_caption_that_means_nothing_else() -> None:
    encoded = base64.b64encode(b"\xff\xd8 picture").decode()

    markdown = as_markdown(b"\xff\xd8 picture", "upload_1 [a]")

    plain = r"upload\_1 \[a\]"
    assert markdown == f"![{plain}](data:image/jpeg;base64,{encoded})\n\n*{plain}*"


def test_captions_stand_below_their_pictures() -> None:
    plain, written = contact_sheet([_small("white")] * 5), contact_sheet([_small("white")] * 5, ["", "is a\nsaid b"])
    assert plain is not None
    assert written is not None
    with Image.open(io.BytesIO(plain)) as one, Image.open(io.BytesIO(written)) as other:
        assert other.height > one.height
        dark = other.convert("L").point(lambda value: 255 * (value < 128)).getbbox()
    assert dark is not None
    assert CELL <= dark[0] < 2 * CELL
    assert dark[1] >= CELL
