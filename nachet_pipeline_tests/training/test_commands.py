import json
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, AssetRecordsFilter, DagsterEventType, DagsterInstance

from nachet_pipeline.defs.instance import dagster_home
from nachet_pipeline_tests.command import Answer, Nachet
from nachet_pipeline_tests.defs.training.test_assets import CHECKS
from nachet_pipeline_tests.deployment import PROJECT
from nachet_pipeline_tests.workbench import Workbench

RECIPES = {
    "every": "splits: {train: 1}\nnear_duplicate_bits:\n",
    "napus": "species: [Brassica napus]\nsplits: {train: 1}\nminimum_per_class: 100\n",
    "broken": "seed: x\n",
}


class Terminal:
    """`nachet training-set` on a workbench's services, with recipes of its own."""

    def __init__(self, workbench: Workbench, nachet: Nachet, monkeypatch: pytest.MonkeyPatch) -> None:
        self.workbench = workbench
        self._nachet = nachet
        self.recipes = workbench.place / "recipes"
        self.recipes.mkdir()
        for name, text in RECIPES.items():
            (self.recipes / f"{name}.yaml").write_text(text)
        monkeypatch.setenv("NACHET_RECIPES_FOLDER", str(self.recipes))
        monkeypatch.setenv("DAGSTER_HOME", str(dagster_home(workbench.place, PROJECT)))

    def run(self, *arguments: str) -> Answer:
        return self._nachet("training-set", *arguments)

    def json(self, *arguments: str) -> Any:
        code, written, noted = self.run(*arguments, "--json")
        assert code == 0, (written, noted)
        return json.loads(written)


@pytest.fixture
def terminal(workbench: Workbench, nachet: Nachet, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    workbench.run(workbench.stage(workbench.sample(sessions=2, pictures=2)))
    return Terminal(workbench, nachet, monkeypatch)


def built_in_the_ui(recipe: str) -> list[str]:
    """The digests that the UI shows of a recipe, the latest first; every check has its verdict on the latest."""
    asked = AssetRecordsFilter(AssetKey("training_set"), asset_partitions=[recipe])
    with DagsterInstance.get() as instance:
        assert instance.has_dynamic_partition("recipe", recipe)
        found = instance.fetch_materializations(asked, limit=10).records
        checks = instance.all_logs(found[0].run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION)
    assert {(one.asset_check_evaluation.check_name, one.asset_check_evaluation.partition) for one in checks} == {
        (name, recipe) for name in CHECKS
    }
    return [str(one.asset_materialization.metadata["digest"].value) for one in found if one.asset_materialization]


def test_a_data_scientist_builds_lists_shows_and_compares_versions(terminal: Terminal) -> None:
    first = terminal.json("build", "every")
    assert (first["new"], first["released"], first["pictures"]) == (True, True, 4)
    code, written, _ = terminal.run("build", "every")
    assert code == 0
    assert written.startswith(f"every@{first['digest'][:12]}  4 pictures, as before\n")
    listed = terminal.json("list", "every")
    assert [(one["digest"], one["current"], one["pictures"]) for one in listed] == [(first["digest"], True, 4)]
    assert built_in_the_ui("every") == [first["digest"]] * 2
    code, written, _ = terminal.run("show", "every")
    assert code == 0
    assert written.startswith(f"every@{first['digest']}\n")
    assert "000 Brassica juncea: 2 train" in written

    picture = terminal.workbench.query("select id::text from pictures order by id")[0]["id"]
    (place,) = terminal.json("show", "every", "--picture", picture)
    assert (place["split"], place["owner"], place["folder"]) == ("train", terminal.workbench.user.email, "project")
    assert [one["name"] for one in terminal.json("show", "--picture", picture)] == ["every"]

    done = terminal.json("withdraw", picture, "--by", "Ada", "--why", "Not a seed")
    assert [(one["name"], one["digest"]) for one in done["tainted"]] == [("every", first["digest"])]
    second = terminal.json("build", "every")
    assert (second["pictures"], second["previous"]) == (3, first["digest"])
    found = terminal.json("diff", first["digest"], "every")
    assert (found["removed"], found["added"]["count"]) == ({"count": 1, "sample": [picture]}, 0)
    code, written, _ = terminal.run("diff", f"every@{first['digest'][:8]}", "every")
    assert (code, f"  {picture}" in written) == (0, True)
    code, written, _ = terminal.run("list")
    assert [line.split()[0] for line in written.splitlines()] == [
        f"every@{second['digest'][:12]}",
        f"every@{first['digest'][:12]}",
    ]
    assert "1 withdrawn since" in written.splitlines()[1]


def test_a_version_that_fails_its_checks_is_kept_but_not_current_and_says_why(terminal: Terminal) -> None:
    code, written, _ = terminal.run("build", "napus")
    assert code == 1
    assert "It failed its checks, so it does not become the current version." in written
    assert "classes_large_enough" in written
    assert [one["current"] for one in terminal.json("list", "napus")] == [False]


def test_with_all_a_recipe_that_cannot_be_read_hides_none_of_the_others(terminal: Terminal) -> None:
    (terminal.recipes / "napus.yaml").unlink()
    (terminal.recipes / "nowhere.yaml").write_text("users: [nobody@example.org]\n")
    code, written, noted = terminal.run("build", "--all")
    assert code == 2
    assert written.startswith("every@")
    assert "broken.yaml:1: seed: expected a whole number, found 'x'" in noted
    assert "recipe nowhere: users: expected a registered user, found 'nobody@example.org'" in noted


def test_pictures_are_copied_when_asked_for(terminal: Terminal, tmp_path: Path) -> None:
    other = tmp_path / "others"
    other.mkdir()
    (other / "copied-here.yaml").write_text("splits: {train: 1}\n")
    made = terminal.json("build", "copied-here", "--recipes", str(other), "--copy")
    stored = terminal.workbench.versions("training-copied-here")
    hashes = terminal.workbench.query("select encode(sha256, 'hex') as sha256 from pictures")
    assert {f"pictures/{row['sha256']}.png" for row in hashes} <= set(stored)
    assert made["copied"] is not None


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("build",), 2, "names of recipes, or --all"),
        (("build", "every", "--all"), 2, "names of recipes, or --all"),
        (("build", "evry"), 2, "found 'evry'; did you mean every?"),
        (("build", "broken"), 2, "broken.yaml:1: seed: expected a whole number"),
        (("list", "absent"), 1, "there is no version of absent"),
        (("show",), 2, "a training set, or --picture"),
        (("show", "absent"), 1, "there is no training set absent"),
        (("show", "--picture", "00000000-0000-0000-0000-000000000001"), 1, "there is no picture"),
        (("diff", "one", "two"), 1, "there is no training set one"),
        (("withdraw", "00000000-0000-0000-0000-000000000001", "--by", "a", "--why", "b"), 1, "there is no picture"),
        (("withdraw", "00000000-0000-0000-0000-000000000001", "--by", " ", "--why", "b"), 2, "expected some text"),
    ],
)
def test_what_cannot_be_done_is_said_in_words_with_its_exit_code(
    workbench: Workbench,
    nachet: Nachet,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    found, _, noted = Terminal(workbench, nachet, monkeypatch).run(*arguments)
    assert found == code
    assert said in " ".join(noted.split())


def test_a_picture_that_is_in_no_training_set_is_said_to_be_in_none(terminal: Terminal) -> None:
    picture = terminal.workbench.query("select id::text from pictures limit 1")[0]["id"]
    code, written, noted = terminal.run("show", "--picture", picture)
    assert (code, written) == (1, "")
    assert f"the picture {picture} is in no training set" in noted
