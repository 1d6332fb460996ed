from pathlib import Path

from nachet_pipeline.pictures.inspected import Thumbnail
from nachet_pipeline_tests.pictures.files import inspect, zip_archive


def test_real_photographs_of_seeds_are_accepted_without_a_remark(real_pictures: list[Path]) -> None:
    found = [
        inspect("PNG" if file.suffix == ".png" else "TIFF", file.read_bytes(), thumbnail=Thumbnail.ALWAYS)
        for file in real_pictures
    ]

    assert [one.issues for one in found] == [(), ()]
    described = [one.properties for one in found]
    assert all(described)
    assert [(one.width, one.height, one.mode) for one in described if one] == [
        (638, 559, "RGBA"),
        (1920, 1080, "RGB"),
    ]
    assert all(one.thumbnail for one in found)


def test_a_real_photograph_cut_off_or_with_an_archive_behind_it_is_not(real_pictures: list[Path]) -> None:
    for file in real_pictures:
        picture_format = "PNG" if file.suffix == ".png" else "TIFF"
        content = file.read_bytes()

        assert inspect(picture_format, content[: len(content) * 2 // 3]).properties is None
        assert [one.code for one in inspect(picture_format, content + zip_archive()).issues] == ["trailing-data"]
