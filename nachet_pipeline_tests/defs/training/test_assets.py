"""The training sets of recipes as Dagster shows them: on a real instance, database and storage."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    RunRequest,
    SensorResult,
    SkipReason,
    build_schedule_context,
    build_sensor_context,
)
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from nachet_pipeline.defs.partitions import recipes
from nachet_pipeline.defs.resources import BlobStorageResource, CommandBuild, DatabaseResource, of_settings
from nachet_pipeline.defs.training.assets import training_set
from nachet_pipeline.defs.training.jobs import build_training_set
from nachet_pipeline.settings import Settings, TrainingSettings
from nachet_pipeline_tests.workbench import Workbench, settings_with

GRAVE = {"no_leaks", "no_conflicting_labels", "no_empty_class", "classes_large_enough"}
CHECKS = GRAVE | {"classes_on_every_side", "pictures_current"}
_ASSET = AssetKey("training_set")


@dataclass
class Kitchen:
    """A folder of recipes beside a database of the test's own, and what Dagster makes of them."""

    workbench: Workbench
    folder: Path
    instance: DagsterInstance
    name: str

    @property
    def settings(self) -> Settings:
        return settings_with(self.workbench.settings, recipes_folder=self.folder)

    def recipe(self, name: str = "", text: str = "near_duplicate_bits: null") -> str:
        """Write a recipe under a name that no other test's container has."""
        full = f"{self.name}{name}"
        (self.folder / f"{full}.yaml").write_text(text + "\n", encoding="utf-8")
        return full

    def build(self, recipe: str) -> ExecuteInProcessResult:
        self.instance.add_dynamic_partitions("recipe", [recipe])
        bench = self.workbench
        found = Definitions(
            assets=[training_set],
            jobs=[build_training_set],
            resources={
                "database": DatabaseResource(url=bench.database_url.get_secret_value()),
                "blob_storage": BlobStorageResource(
                    account_url=bench.blobs.account_url, key=bench.blob_key.get_secret_value()
                ),
                **of_settings(self.settings),
                "command_build": CommandBuild(),
            },
        )
        return found.resolve_job_def("build_training_set").execute_in_process(
            partition_key=recipe, instance=self.instance, raise_on_error=False
        )

    def blob(self, recipe: str, name: str) -> bytes:
        return self.workbench.blobs.read(f"training-{recipe}", name)

    def blobs(self, recipe: str) -> set[str]:
        return {file.path for file in self.workbench.blobs.files(f"training-{recipe}", "")}


@pytest.fixture
def kitchen(workbench: Workbench, environment: dict[str, str], tmp_path: Path) -> Iterator[Kitchen]:
    (tmp_path / "recipes").mkdir()
    with DagsterInstance.get() as instance:
        yield Kitchen(workbench, tmp_path / "recipes", instance, f"k{workbench.user.id.hex[:10]}")


def materialization(result: ExecuteInProcessResult) -> AssetMaterialization:
    (event,) = result.asset_materializations_for_node("training_set")
    return event


def shown(result: ExecuteInProcessResult) -> dict[str, Any]:
    return {name: value.value for name, value in materialization(result).metadata.items()}


def evaluations(result: ExecuteInProcessResult) -> dict[str, AssetCheckEvaluation]:
    return {event.check_name: event for event in result.get_asset_check_evaluations()}


def failed(result: ExecuteInProcessResult) -> set[str]:
    return {name for name, event in evaluations(result).items() if not event.passed}


def import_sessions(workbench: Workbench, name: str = "project", **settings: int) -> None:
    workbench.run(workbench.stage(workbench.sample(name, **settings)))


def red(instance: DagsterInstance) -> set[str]:
    """The partitions that the UI shows as failed."""
    cached = get_and_update_asset_status_cache_value(instance, _ASSET, recipes, dynamic_partitions_loader=instance)
    assert cached is not None
    return set(cached.deserialize_failed_partition_subsets(recipes).get_partition_keys())


def test_a_recipe_becomes_a_version_with_a_card_that_is_the_current_one(kitchen: Kitchen) -> None:
    import_sessions(kitchen.workbench, sessions=2, pictures=2)
    recipe = kitchen.recipe()

    result = kitchen.build(recipe)

    assert result.success
    values = shown(result)
    assert materialization(result).partition == recipe
    assert (values["current"], values["new"], values["pictures"], values["classes"]) == (True, True, 4, 2)
    latest = json.loads(kitchen.blob(recipe, "latest.json"))
    assert latest["digest"] == values["digest"]
    card = kitchen.blob(recipe, f"{values['digest']}/README.md").decode()
    beside = {name.partition("/")[2] for name in kitchen.blobs(recipe)}
    linked = set(re.findall(r"\]\(([^)]+\.(?:png|jpg))\)", card))
    assert linked
    assert linked <= beside
    assert {"contact-000-brassica-juncea.jpg", "contact-001-brassica-napus.jpg"} <= linked
    assert values["digest"] in card


def test_the_page_of_a_recipe_shows_the_whole_card_with_its_pictures_and_where_the_version_is(kitchen: Kitchen) -> None:
    import_sessions(kitchen.workbench, sessions=2, pictures=3)
    recipe = kitchen.recipe()
    values = shown(kitchen.build(recipe))

    published = kitchen.blob(recipe, f"{values['digest']}/README.md").decode()
    text = published.partition("\n---\n")[2]
    assert re.sub(r"\]\(data:[^)]*\)\n\n\*.*\*", "](PICTURE)", values["card"]) == re.sub(
        r"(!\[.*\])\(.*\)", r"\1(PICTURE)", text.strip()
    )
    images = re.findall(r"^!\[(.*)\]\(data:image/(png|jpeg);base64,(.*)\)\n\n\*(.*)\*$", values["card"], re.MULTILINE)
    titles = {title for title, _, _, caption in images if title == caption}
    assert {"Pictures per class and split", "Sharpness by class", "000 Brassica juncea"} <= titles
    for title, kind, data, _ in images:
        content = base64.b64decode(data, validate=True)
        assert content.startswith(b"\x89PNG" if kind == "png" else b"\xff\xd8"), title
        assert len(content) < 150_000, title
    assert values["dagster/uri"].endswith(f"/training-{recipe}/{values['digest']}/manifest.parquet")
    assert values["dagster/row_count"] == 6
    rows = [record.data for record in values["pictures_by_class"].records]
    assert [(row["class"], row["all"]) for row in rows] == [("000 Brassica juncea", 3), ("001 Brassica napus", 3)]
    assert values["recipe"]["near_duplicate_bits"] is None
    assert (values["stale"], values["withdrawn"], values["refused_today"], values["broken_files"]) == (0, 0, 0, 0)


def test_every_check_has_a_verdict_for_the_partition(kitchen: Kitchen) -> None:
    import_sessions(kitchen.workbench, sessions=2)
    recipe = kitchen.recipe()

    found = evaluations(kitchen.build(recipe))

    assert set(found) == CHECKS
    assert {event.partition for event in found.values()} == {recipe}
    assert all(event.passed for name, event in found.items() if name in GRAVE)


def test_building_again_changes_nothing(kitchen: Kitchen) -> None:
    import_sessions(kitchen.workbench, sessions=2)
    recipe = kitchen.recipe()
    first = shown(kitchen.build(recipe))
    before = kitchen.workbench.versions(f"training-{recipe}")

    second = shown(kitchen.build(recipe))

    assert (first["new"], second["new"]) == (True, False)
    assert second["digest"] == first["digest"]
    after = kitchen.workbench.versions(f"training-{recipe}")
    assert {name: version for name, version in after.items() if name != "latest.json"} == {
        name: version for name, version in before.items() if name != "latest.json"
    }
    assert second["card"] == first["card"]


def test_a_version_with_too_small_a_class_is_published_but_not_current_and_its_check_says_so(kitchen: Kitchen) -> None:
    import_sessions(kitchen.workbench, sessions=2)
    good, small = kitchen.recipe(), kitchen.recipe("-small", "minimum_per_class: 50")

    fine, result = kitchen.build(good), kitchen.build(small)

    assert fine.success
    assert result.success
    assert shown(result)["current"] is False
    assert failed(result) & GRAVE == {"classes_large_enough"}
    digest = shown(result)["digest"]
    assert "latest.json" not in kitchen.blobs(small)
    assert f"{digest}/manifest.parquet" in kitchen.blobs(small)
    assert "Do not train with this version" in kitchen.blob(small, f"{digest}/README.md").decode()
    assert not {small, good} & red(kitchen.instance)


def test_a_failed_version_leaves_the_current_one_and_the_next_good_one_follows_it(kitchen: Kitchen) -> None:
    import_sessions(kitchen.workbench, sessions=2)
    recipe = kitchen.recipe()
    first = shown(kitchen.build(recipe))["digest"]
    kitchen.recipe(text="minimum_per_class: 50")
    assert failed(kitchen.build(recipe)) & GRAVE == {"classes_large_enough"}
    assert json.loads(kitchen.blob(recipe, "latest.json"))["digest"] == first

    import_sessions(kitchen.workbench, "more", sessions=2, seed=5)
    kitchen.recipe()
    result = kitchen.build(recipe)

    values = shown(result)
    assert result.success
    assert json.loads(kitchen.blob(recipe, "latest.json"))["digest"] == values["digest"] != first
    (since,) = [record.data for record in values["since_previous"].records]
    assert (since["previous version"], since["added"], since["removed"]) == (first, 4, 0)
    assert "*Added and removed by class*" in values["card"]
    assert first in kitchen.blob(recipe, f"{values['digest']}/README.md").decode()
    assert recipe not in red(kitchen.instance)


def test_a_set_without_pictures_never_becomes_the_current_one(kitchen: Kitchen) -> None:
    recipe = kitchen.recipe()
    result = kitchen.build(recipe)
    assert failed(result) & GRAVE == {"no_empty_class"}
    assert "latest.json" not in kitchen.blobs(recipe)


def test_a_species_of_the_recipe_without_pictures_is_an_empty_class(kitchen: Kitchen) -> None:
    import_sessions(kitchen.workbench)
    result = kitchen.build(kitchen.recipe(text="species: [Brassica napus, Solanum nigrum]"))
    (row,) = [record.data for record in evaluations(result)["no_empty_class"].metadata["found"].value.records]
    assert row["class"].endswith("Solanum nigrum")


def test_stale_and_broken_pictures_are_amber_and_keep_nothing_back(kitchen: Kitchen) -> None:
    import_sessions(kitchen.workbench, sessions=1, pictures=3)
    kitchen.workbench.query("update pictures set enrichment_version = '0' where id = (select id from pictures limit 1)")

    result = kitchen.build(kitchen.recipe())

    assert result.success
    assert "pictures_current" in failed(result)
    assert shown(result)["stale"] == 1


def test_a_picture_whose_file_is_gone_is_left_out_of_the_contact_sheet_only(kitchen: Kitchen) -> None:
    import_sessions(kitchen.workbench, pictures=2)
    (one, _) = kitchen.workbench.query(
        "select c.name, p.blob from pictures p join picture_set s on s.id = p.picture_set_id"
        " join container c on c.id = s.container_id"
    )
    kitchen.workbench.blobs.delete(one["name"], one["blob"])
    result = kitchen.build(kitchen.recipe())
    assert result.success
    assert "*000 Brassica napus*" in shown(result)["card"]


def test_pictures_that_look_alike_are_shown_in_pairs(kitchen: Kitchen) -> None:
    import_sessions(kitchen.workbench, "one", pictures=2)
    import_sessions(kitchen.workbench, "two", pictures=2, seed=3)
    kitchen.workbench.query("update pictures set perceptual_hash = decode(repeat('0f', 32), 'hex')")
    recipe = kitchen.recipe(text="near_duplicate_bits: 12")

    values = shown(kitchen.build(recipe))

    assert values["near_duplicate_pairs"] == 4
    assert "*Pairs of pictures that look alike*" in values["card"]
    assert len(values["nearest_pairs"].records) == 4
    assert values["groups"] == 1
    assert f"{values['digest']}/near-duplicates.jpg" in kitchen.blobs(recipe)


def test_a_recipe_that_is_gone_or_wrong_fails_its_own_run_in_one_line(kitchen: Kitchen) -> None:
    for recipe in (f"{kitchen.name}-gone", kitchen.recipe("-wrong", "splits: {train: 2}")):
        result = kitchen.build(recipe)
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        assert recipe in str(failure.event_specific_data)
        assert not result.get_asset_check_evaluations()


# Partitions, sensor, schedule


def look(kitchen: Kitchen, deployment_definitions: Any) -> SensorResult | SkipReason:
    sensor = deployment_definitions.get_repository_def().get_sensor_def("sync_recipes")
    with build_sensor_context(
        instance=kitchen.instance, resources={"training_settings": kitchen.settings.training}
    ) as context:
        result = sensor(context)
    if isinstance(result, SensorResult):
        for request in result.dynamic_partitions_requests or []:
            if type(request).__name__ == "AddDynamicPartitionsRequest":
                kitchen.instance.add_dynamic_partitions("recipe", request.partition_keys)
            else:
                for key in request.partition_keys:
                    kitchen.instance.delete_dynamic_partition("recipe", key)
    return result


def known(kitchen: Kitchen) -> set[str]:
    return set(kitchen.instance.get_dynamic_partitions("recipe"))


@pytest.fixture
def deployed_definitions(environment: dict[str, str]) -> Any:
    from nachet_pipeline.definitions import definitions  # noqa: PLC0415 (reads the environment)

    return definitions(Settings.from_environment({k: v for k, v in environment.items() if k.startswith("NACHET_")}))


def test_the_partitions_follow_the_folder(kitchen: Kitchen, deployed_definitions: Any) -> None:
    one, two = kitchen.recipe("-one"), kitchen.recipe("-two")
    look(kitchen, deployed_definitions)
    assert known(kitchen) == {one, two}
    (kitchen.folder / f"{two}.yaml").unlink()
    look(kitchen, deployed_definitions)
    assert known(kitchen) == {one}
    assert isinstance(look(kitchen, deployed_definitions), SkipReason)


def test_a_recipe_that_cannot_be_read_fails_the_tick_and_breaks_no_other(
    kitchen: Kitchen, deployed_definitions: Any
) -> None:
    one, wrong = kitchen.recipe("-one"), kitchen.recipe("-wrong")
    look(kitchen, deployed_definitions)
    kitchen.recipe("-wrong", "seed: many")
    three = kitchen.recipe("-three")
    look(kitchen, deployed_definitions)
    assert known(kitchen) == {one, wrong, three}
    with pytest.raises(Exception, match=rf"{wrong}\.yaml.*seed"):
        look(kitchen, deployed_definitions)


def test_a_folder_that_is_gone_takes_no_partition_with_it(kitchen: Kitchen, deployed_definitions: Any) -> None:
    one = kitchen.recipe("-one")
    look(kitchen, deployed_definitions)
    kitchen.folder.rename(kitchen.folder.with_name("elsewhere"))
    with pytest.raises(Exception, match="expected a folder of recipes"):
        look(kitchen, deployed_definitions)
    assert one in known(kitchen)


def night(instance: DagsterInstance, found: Any, settings: TrainingSettings) -> list[RunRequest]:
    """What the schedule asks for at two o'clock."""
    repository = found.get_repository_def()
    with build_schedule_context(
        instance=instance,
        repository_def=repository,
        scheduled_execution_time=datetime(2026, 5, 2, 2, tzinfo=UTC),
        resources={"training_settings": settings},
    ) as context:
        return list(repository.get_schedule_def("nightly_training_set").evaluate_tick(context).run_requests or [])


def test_every_night_each_nightly_recipe_is_built_in_a_run_of_its_own(
    kitchen: Kitchen, deployed_definitions: Any
) -> None:
    kitchen.recipe("-manual", "schedule: manual")
    kitchen.recipe("-wrong", "schedule: sometimes")
    nightly = [kitchen.recipe(name, "schedule: nightly") for name in ("-a", "-b")]

    requests = night(kitchen.instance, deployed_definitions, kitchen.settings.training)

    assert [request.partition_key for request in requests] == nightly
    assert len({request.run_key for request in requests}) == 2
    assert set(nightly) <= known(kitchen)
    assert [
        request.run_key for request in night(kitchen.instance, deployed_definitions, kitchen.settings.training)
    ] == [r.run_key for r in requests]


def test_a_night_without_nightly_recipes_builds_nothing(kitchen: Kitchen, deployed_definitions: Any) -> None:
    kitchen.recipe("-manual", "schedule: manual")
    assert night(kitchen.instance, deployed_definitions, kitchen.settings.training) == []


def test_the_packaged_recipe_of_all_pictures_is_built_every_night(deployed_definitions: Any) -> None:
    with DagsterInstance.get() as instance:
        requests = night(instance, deployed_definitions, TrainingSettings())
    assert [request.partition_key for request in requests] == ["all-pictures"]
