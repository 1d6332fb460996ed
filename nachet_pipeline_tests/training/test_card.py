from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from nachet_pipeline.training.card import (
    DIFFERENCE,
    IMPORTS,
    NEAR_DUPLICATES,
    PICTURES_PER_CLASS,
    SEEDS_PER_PICTURE,
    SHARPNESS,
    Facts,
    Since,
    draw,
    render,
    sheet_name,
)
from nachet_pipeline.training.recipe import Recipe
from nachet_pipeline.training.statistics import statistics
from nachet_pipeline.training.verifying import SetVerdict
from nachet_pipeline_tests.training.rows import batch, classes, row, uuid

DIGEST = "ab" * 32


def facts(*rows: Mapping[str, Any], **changes: Any) -> Facts:
    recipe = Recipe(name="brassica", description="Brassica of 2026", splits={"train": 0.75, "test": 0.25})
    shown = rows or [row(1), row(2), row(3, index=1), row(4, index=1, split="test", number_of_seeds=2)]
    plain = Facts(
        name="brassica",
        digest=DIGEST,
        container="training-brassica",
        recipe=recipe.document(),
        classes=classes(2),
        counted=statistics([batch(*map(dict, shown))]),
        groups=4,
        near_bits=12,
        near_pairs=0,
        near_pairs_counted_all=True,
        shown_pairs=[],
        notes=[],
        imported={date(2026, 5, 1): 4},
        since=None,
        verdicts=[SetVerdict("no_leaks", True, True)],
    )
    return replace(plain, **changes)


def header(text: str) -> dict[str, Any]:
    start, stated, _ = text.split("---\n", 2)
    assert start == ""
    found = yaml.safe_load(stated)
    assert isinstance(found, dict)
    return found


def test_the_header_is_what_hugging_face_reads() -> None:
    found = header(render(facts(), []))
    assert found["task_categories"] == ["image-classification"]
    assert found["size_categories"] == ["n<1K"]
    assert found["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train-*.parquet"},
        {"split": "test", "path": "data/test-*.parquet"},
    ]
    assert [(one["name"], one["num_examples"]) for one in found["dataset_info"]["splits"]] == [
        ("train", 3),
        ("test", 1),
    ]
    assert "license" not in found


def test_a_license_is_stated_if_the_recipe_states_one() -> None:
    recipe = Recipe(name="brassica", license="cc-by-4.0").document()
    assert header(render(facts(recipe=recipe), []))["license"] == "cc-by-4.0"


def test_datasets_loads_the_splits_that_the_card_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    (tmp_path / "set" / "data").mkdir(parents=True)
    (tmp_path / "set" / "README.md").write_text(render(facts(), []), encoding="utf-8")
    for split, labels in {"train": [0, 0, 1], "test": [1]}.items():
        pq.write_table(pa.table({"label": labels}), tmp_path / "set" / "data" / f"{split}-00000-of-00001.parquet")

    loaded = datasets.load_dataset(str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"))

    assert {name: part["label"][:] for name, part in loaded.items()} == {"train": [0, 0, 1], "test": [1]}


def test_the_card_tells_what_is_in_the_set() -> None:
    text = render(facts(), [])
    assert "| 000 Brassica napus | 0 | 2 | 0 | 0 | 2 |" in text
    assert "| 001 Brassica juncea | 1 | 1 | 0 | 1 | 2 |" in text
    assert "| train | 75% | 3 | 75.0% |" in text
    assert DIGEST in text
    assert "Brassica of 2026" in text
    assert "15 % of `train` at random" in text
    assert "nachet training-set export brassica@abababababab DIR --format parquet" in text
    assert "This is the first version." in text
    assert "Do not train" not in text


def test_the_recipe_stands_in_the_card_as_a_recipe_that_makes_the_same_set() -> None:
    recipe = Recipe(
        name="brassica",
        zoom={"min": 10},
        seeds_per_picture=(1, 2),
        near_duplicate_bits=None,
        imported={"from": "2026-05-01"},
    )
    text = render(facts(recipe=recipe.document()), [])
    stated = yaml.safe_load(text.split("```yaml\n", 1)[1].split("```", 1)[0])
    assert "captured" not in stated
    assert Recipe(**stated).digest == recipe.digest


def test_a_version_that_failed_a_check_warns_before_all_else() -> None:
    bad = facts(verdicts=[SetVerdict("no_leaks", False, True, "pictures of one session are on two sides | here")])
    text = render(bad, [])
    assert "Do not train with this version" in text
    assert text.index("Do not train") < text.index("## Recipe")
    assert "on two sides \\| here |" in text
    light = facts(verdicts=[SetVerdict("pictures_current", False, False, "3 pictures are stale")])
    assert "Do not train" not in render(light, [])


def test_what_changed_since_the_previous_version_is_told_and_drawn() -> None:
    later = facts(since=Since("cd" * 32, 3, 1, 2, 0, {0: (3, 0), 1: (0, 1)}))
    drawn = draw(later)
    text = render(later, list(drawn))
    assert DIFFERENCE in drawn
    assert "cd" * 32 in text
    assert "| added | 3 |\n| removed | 1 |\n| moved to another split | 2 |" in text
    assert f"]({DIFFERENCE})" in text
    assert DIFFERENCE not in draw(facts())


def test_near_duplicates_are_counted_and_named() -> None:
    some = facts(near_pairs=1234, shown_pairs=[(uuid(1), uuid(2), 7)])
    text = render(some, [NEAR_DUPLICATES])
    assert "1,234 pairs" in text
    assert f"| `{uuid(1)}` | `{uuid(2)}` | 7 |" in text
    assert f"]({NEAR_DUPLICATES})" in text
    assert "More than 1,234" in render(replace(some, near_pairs_counted_all=False), [])
    assert "## Near duplicates" not in render(facts(near_bits=None), [])


def test_only_pictures_that_are_beside_the_card_are_shown() -> None:
    drawn = draw(facts())
    assert set(drawn) == {PICTURES_PER_CLASS, SEEDS_PER_PICTURE, IMPORTS, SHARPNESS}
    sheet = sheet_name("000 Brassica napus")
    text = render(facts(), [*drawn, sheet])
    assert all(f"]({name})" in text for name in (*drawn, sheet))
    assert "1 class without a contact sheet" in text
    assert "![" not in render(facts(), [])


def test_a_set_that_was_not_measured_has_no_plot_of_sharpness() -> None:
    unmeasured = facts(row(1, sharpness=None, quality_score=None))
    assert SHARPNESS not in draw(unmeasured)
    assert "No picture of this version was measured." in render(unmeasured, [])


def test_an_empty_set_has_a_card_and_nothing_to_draw() -> None:
    empty = replace(facts(), classes=[], counted=statistics([batch()]), groups=0, imported={})
    assert draw(empty) == {}
    assert "configs" not in header(render(empty, []))


@pytest.mark.parametrize(
    ("pictures", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10_000, "10K<n<100K"), (1_000_000, "1M<n<10M")],
)
def test_the_size_category_is_one_of_those_that_hugging_face_knows(pictures: int, category: str) -> None:
    counted = statistics([batch(row(1))])
    counted.of_split = type(counted.of_split)({"train": pictures})
    assert header(render(facts(counted=counted), []))["size_categories"] == [category]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("000 Brassica napus", "contact-000-brassica-napus.jpg"),
        ("001 Cirsium \N{MULTIPLICATION SIGN} ../\N{LATIN SMALL LETTER E WITH ACUTE}", "contact-001-cirsium.jpg"),
        ("002 A|b) (c", "contact-002-a-b-c.jpg"),
    ],
)
def test_names_of_contact_sheets_are_safe_in_links_and_paths(label: str, name: str) -> None:
    assert sheet_name(label) == name
