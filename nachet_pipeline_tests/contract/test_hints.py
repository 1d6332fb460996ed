"""What was meant by a wrong value or a wrong name: suggested only where who takes it blindly changes nothing."""

import pytest

from nachet_pipeline.contract.hints import hint
from nachet_pipeline.contract.metadata import ClientData, ImageData, UserData
from nachet_pipeline.contract.misnamed import copy_of, misnamed, misspelling_of


@pytest.mark.parametrize(
    ("name", "written", "meant"),
    [
        ("numberOfImages", "two", "2"),
        ("numberOfImages", "Deux", "2"),
        ("numberOfImages", "2 images", "2"),
        ("numberOfImages", "2\u00a0photos.", "2"),
        ("numberOfImages", "« 2 »", "2"),
        ("numberOfImages", "1 000", "1000"),
        ("numberOfImages", "1\u202f000", "1000"),
        ("numberOfImages", "2 seeds", None),
        ("numberOfImages", "2 folders", None),
        ("numberOfImages", "1,000", None),
        ("numberOfSeeds", "6,0", "6"),
        ("numberOfSeeds", "6.00", "6"),
        ("numberOfSeeds", "6 graines", "6"),
        ("numberOfSeeds", "6,5", None),
        ("numberOfSeeds", "6 images", None),
        ("numberOfSeeds", "5-6", None),
        ("numberOfSeeds", "6 to 8", None),
        ("numberOfSeeds", "~6", None),
        ("numberOfSeeds", "environ 6", None),
        ("numberOfSeeds", "6+", None),
        ("numberOfSeeds", "0", None),
        ("numberOfSeeds", "0,0", None),
        ("numberOfSeeds", "-6", None),
        ("numberOfSeeds", "99999", None),
        ("numberOfSeeds", "", None),
        ("zoom", "30 fois", "30"),
        ("zoom", "3,5 fois", "3.5"),
        ("zoom", "“30”", "30"),
        ("zoom", "10x-40x", None),
        ("zoom", "40x/0.65", None),
        ("zoom", "1,000", None),
        ("zoom", "30 %", None),
        ("zoom", "30 mm", None),
        ("clientEmail", "ada @example.org", "ada@example.org"),
        ("clientEmail", "Ada <ada@example.org>", "ada@example.org"),
        ("clientEmail", "mailto:ada@example.org", "ada@example.org"),
        ("clientEmail", "“ada@example.org”", "ada@example.org"),
        ("clientEmail", "ada lovelace@example.org", None),
        ("clientEmail", "ada@example.org, eve@example.org", None),
        ("clientEmail", "ada@example.org eve@example.org", None),
        ("clientEmail", "ada", None),
        ("seedSpecies", "x" * 500, None),
    ],
)
def test_a_value_is_suggested_only_where_nothing_else_can_be_meant(name: str, written: str, meant: str | None) -> None:
    assert hint(name, written).suggestion == meant
    if meant:
        for model in (ClientData, ImageData, UserData):
            if name in {field.alias for field in model.model_fields.values()}:
                assert model.model_validate({name: meant}), "who takes it is done"


@pytest.mark.parametrize("written", ["9" * 200, "1 " * 100, "~" * 200, "a@" * 100, "x" * 200, " " * 200 + "é"])
@pytest.mark.parametrize("name", ["numberOfImages", "numberOfSeeds", "zoom", "clientEmail"])
def test_whatever_is_written_a_hint_takes_no_time(name: str, written: str) -> None:
    assert hint(name, written).suggestion != written


@pytest.mark.parametrize(
    ("name", "names", "meant"),
    [
        ("wheat_O1", ["wheat_01", "wheat_02"], "wheat_01"),
        ("wheat_1", ["wheat_01"], "wheat_01"),
        ("whreat_01", ["wheat_01"], "wheat_01"),
        ("leaf_01", ["leaf_02"], None),
        ("seed_a", ["seed_b"], None),
        ("IMG_0012", ["IMG_0021"], None),
        ("left", ["right"], None),
        ("napus-day1", ["napus-day2", "juncea-day1"], None),
        ("sessions1", ["session1", "sesssions1"], None),
        ("", ["a"], None),
    ],
)
def test_a_misspelt_name_means_another_only_if_no_number_and_no_short_word_differs(
    name: str, names: list[str], meant: str | None
) -> None:
    assert misspelling_of(name, names) == meant


@pytest.mark.parametrize(
    ("name", "original"),
    [
        ("index (1).yaml", "index.yaml"),
        ("1 (12).png", "1.png"),
        ("1 - Copy.png", "1.png"),
        ("1 - Copie (2).png", "1.png"),
        ("1 copy.png", "1.png"),
        ("1 copie 3.png", "1.png"),
        ("Copy of 1.png", "1.png"),
        ("Copie de 1.png", "1.png"),
        ("1 (Ada's conflicted copy 2026-11-29).png", "1.png"),
        ("1 (copie en conflit de Ada).png", "1.png"),
        ("index2.yaml", "index.yaml"),
        ("1.png", None),
        ("napus (left).png", None),
        ("napus 2.png", None),
        ("photocopy.png", None),
    ],
)
def test_a_copy_is_known_by_the_names_that_browsers_and_file_managers_give(name: str, original: str | None) -> None:
    assert copy_of(name) == original


@pytest.mark.parametrize("name", ["notes", "1.yaml", "1.png", ".Rhistory", ".notes.txt.icloud", "README"])
def test_of_another_name_nothing_is_known(name: str) -> None:
    assert misnamed(name) is None
