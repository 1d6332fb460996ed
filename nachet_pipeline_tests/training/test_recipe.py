from pathlib import Path

import pytest

from nachet_pipeline.training.recipe import (
    Recipe,
    RecipeError,
    packaged_recipes,
    read_recipe,
    recipe_files,
    recipe_named,
)
from nachet_pipeline.training.recipe_folder import read_folder


def write(folder: Path, text: str, name: str = "two-seeds.yaml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_recipe_says_which_pictures_and_how_they_are_split(tmp_path: Path) -> None:
    recipe = read_recipe(
        write(
            tmp_path,
            "species: [Brassica napus, brassica juncea]\nseeds_per_picture: [1, 2]\nzoom: {min: 20, max: 40.5}\n"
            "imported: {from: 2026-01-01, to: 2026-12-31}\nsplits: {test: 0.2, train: 0.8}\nverified_only: yes\n"
            "near_duplicate_bits:\nlabel_map: {Brassica napus: 4}\nkeep_held_out_from: previous\n",
        )
    )
    assert recipe.name == "two-seeds"
    assert recipe.species == ("Brassica napus", "brassica juncea")
    assert recipe.seeds_per_picture == (1, 2)
    assert (recipe.zoom.min, recipe.zoom.max) == (20, 40.5)
    assert str(recipe.imported.first) == "2026-01-01"
    assert list(recipe.splits.items()) == [("train", 0.8), ("test", 0.2)]
    assert recipe.verified_only
    assert recipe.near_duplicate_bits is None
    assert recipe.label_map == {"Brassica napus": 4}
    assert recipe.pictures == "whole"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("speces: [a]", 2, "expected keys of .*, found 'speces'; did you mean species?"),
        ("zoom:\n  mx: 4", 3, "expected keys of min, max, found 'mx'; did you mean max?"),
        ("zoom: {min: 3, max: 2}", 2, "zoom: expected min to be at most max, found 3 and 2"),
        ("splits: {train: 0.7}", 2, "splits: expected parts that add up to 1, found 0.7"),
        ("splits: {test: 1}", 2, "splits: expected a part for train, found none"),
        ("splits: {train: 1.5, test: -0.5}", 2, "splits: expected a number from 0 to 1 for train, found 1.5"),
        ("splits: {train: 0.5, exam: 0.5}", 2, "splits: expected parts of train, validation, test, found 'exam'"),
        ("seed: many", 2, "seed: expected a whole number, found 'many'"),
        ("seed: -1", 2, "seed: expected a number of at least 0, found '-1'"),
        ("near_duplicate_bits: 16", 2, "near_duplicate_bits: expected a number of at most 15, found '16'"),
        ("pictures: halves", 2, "pictures: expected whole or crops, found 'halves'"),
        ("species: napus", 2, "species: expected a list, found 'napus'"),
        ("users: [a@b.org, a@b.org]", 2, "users: expected each once, found 'a@b.org' twice"),
        ("captured: {from: yesterday}", 2, "captured.from: expected a day, such as 2026-05-01, found 'yesterday'"),
        ("captured: {from: 2026-05-02, to: 2026-05-01}", 2, "captured: expected from to be no later than to"),
        ("minimum_quality: nan", 2, "minimum_quality: expected a number, found 'nan'"),
        ("label_map: {a: 1, b: 1}", 2, "label_map: expected each once, found 1 twice"),
        ("keep_held_out_from: Last Year", 2, "keep_held_out_from: expected a name of at most 42 small letters"),
        ("name: other", 2, "name: expected no such key, as the file's name is it"),
        ("seed: 1\nseed: 2", 3, "expected each key once, found seed, as in line 2"),
        ("species: [", 3, "expected YAML"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_field_expected_and_found(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    file = write(tmp_path, f"description: Two seeds\n{text}\n")
    with pytest.raises(RecipeError, match=said) as told:
        read_recipe(file)
    assert str(told.value).startswith(f"{file}:{line}: ")
    assert "\n" not in str(told.value)
    assert told.value.exit_code == 2


@pytest.mark.parametrize("name", ["Two.yaml", "a--b.yaml", "-a.yaml", "previous.yaml", "a" * 43 + ".yaml", "a_b.yaml"])
def test_a_file_whose_name_cannot_be_a_containers_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecipeError, match="expected a name of at most 42 small letters"):
        read_recipe(write(tmp_path, "seed: 1\n", name))


def test_what_does_not_choose_pictures_does_not_change_a_recipes_digest() -> None:
    plain = Recipe(name="one")
    assert plain.digest == Recipe(name="two", description="Others", schedule="nightly", copy_pictures=True).digest
    assert plain.digest == Recipe(name="one", splits={"test": 0.15, "train": 0.7, "validation": 0.15}, seed=0).digest
    changed = [
        Recipe(name="one", seed=1),
        Recipe(name="one", near_duplicate_bits=None),
        Recipe(name="one", near_duplicate_bits=11),
        Recipe(name="one", species=("Brassica napus",)),
        Recipe(name="one", cap_per_class=5),
        Recipe(name="one", minimum_per_class=5),
    ]
    assert len({plain.digest, *(recipe.digest for recipe in changed)}) == len(changed) + 1


def test_the_order_of_users_and_numbers_of_seeds_does_not_matter() -> None:
    one = Recipe(name="one", users=("a@b.org", "c@b.org"), seeds_per_picture=(2, 1))
    assert one.digest == Recipe(name="one", users=("c@b.org", "a@b.org"), seeds_per_picture=(1, 2)).digest


def test_a_recipes_digest_stays_from_one_version_of_the_package_to_the_next() -> None:
    # Another value would make a new version of every training set there is.
    assert Recipe(name="one").digest == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    other = Recipe.model_validate({"name": "one", "seed": 5, "zoom": {"min": 2}, "captured": {"from": "2026-05-01"}})
    assert other.digest == "41df0aab1cb27c7eac52cde4eb0b74bbb4e42a9765c982faaf4b37aa626ada09"


def test_the_packaged_recipes_can_be_read() -> None:
    found = read_folder(packaged_recipes())
    assert found.unreadable == {}
    assert found.recipes["all-pictures"].schedule == "nightly"
    assert found.recipes["all-pictures"].digest == Recipe(name="all-pictures").digest


def test_a_recipe_that_cannot_be_read_keeps_nobody_from_finding_the_others(tmp_path: Path) -> None:
    write(tmp_path, "seed: 1\n", "good.yml")
    write(tmp_path, "seed: x\n", "bad.yaml")
    write(tmp_path, "", "notes.txt")
    assert list(recipe_files(tmp_path)) == ["bad", "good"]
    assert recipe_named("good", tmp_path).seed == 1
    with pytest.raises(RecipeError, match=r"bad\.yaml:1: seed"):
        recipe_named("bad", tmp_path)
    with pytest.raises(RecipeError, match=r"expected a recipe of bad, good, found 'goood'; did you mean good\?"):
        recipe_named("goood", tmp_path)


def test_two_files_of_one_name_and_a_folder_that_is_not_there_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "seed: 1\n", "a.yml")
    write(tmp_path, "seed: 1\n", "a.yaml")
    with pytest.raises(RecipeError, match=r"expected one file for each recipe, found a\.yaml too"):
        recipe_files(tmp_path)
    with pytest.raises(RecipeError, match="expected a folder of recipes"):
        recipe_files(tmp_path / "absent")
