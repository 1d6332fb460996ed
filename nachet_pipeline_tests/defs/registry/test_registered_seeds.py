from pathlib import Path
from typing import Any

from dagster import ExecuteInProcessResult, TableMetadataValue, materialize

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.defs.registry.assets import registered_seeds
from nachet_pipeline.defs.resources import DatabaseResource
from nachet_pipeline.identifiers import seed_id
from nachet_pipeline.registry.seeds import Seed
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.registry.upgrade import upgrade
from nachet_pipeline.settings import SpeciesSettings
from nachet_pipeline_tests.registries import merged, renamed, seed, table, without
from nachet_pipeline_tests.workbench import Workbench, edit


def run(workbench: Workbench, *files: Path) -> ExecuteInProcessResult:
    """Loads the species of these files."""
    database = DatabaseResource(url=workbench.database_url.get_secret_value())
    resources = {"database": database, "species_settings": SpeciesSettings(species_file=files)}
    return materialize([registered_seeds], resources=resources, raise_on_error=False)


def load(workbench: Workbench, seeds: list[Seed]) -> dict[str, Any]:
    """The metadata that loading a registry shows."""
    result = run(workbench, table(workbench.place / "species.csv", seeds))
    (event,) = result.asset_materializations_for_node("registered_seeds")
    return {
        name: [dict(record.data) for record in value.records] if isinstance(value, TableMetadataValue) else value.value
        for name, value in event.metadata.items()
        if not name.startswith("dagster/")
    }


def test_the_registry_is_shown_as_a_table(workbench: Workbench) -> None:
    shown = load(workbench, packaged_seeds())
    assert len(shown.pop("registry")) == shown.pop("seeds") == 15
    assert (shown.pop("source"), len(shown.pop("version"))) == ("species.csv", 16)
    assert set(shown.values()) == {0}
    rows = {row["id"]: row for row in load(workbench, packaged_seeds())["registry"]}
    assert rows[str(seed_id("Solanum carolinense"))] == {
        "scientificName": "Solanum carolinense L.",
        "rank": "species",
        "family": "Solanaceae",
        "English": "horse nettle, horse-nettle, Carolina horsenettle",
        "français": "morelle de la Caroline",
        "synonyms": "",
        "gbifID": "2932011",
        "eppoCode": "SOLCA",
        "listed in": "",
        "id": str(seed_id("Solanum carolinense")),
    }


def test_what_changed_is_counted_and_shown(workbench: Workbench) -> None:
    assert workbench.run(workbench.stage(workbench.sample(sessions=2))).receipt.state is State.IMPORTED
    seeds = merged(packaged_seeds(), "Brassica juncea", "Brassica napus")
    seeds = renamed(without(seeds, "Lolium temulentum"), "Bromus japonicus", "Bromus patulus")
    shown = load(workbench, [*seeds, seed("Avena fatua")])
    counts = ("seeds", "changed", "added", "renamed", "merged", "retired", "relinked_pictures")
    assert [shown[name] for name in counts] == [14, 5, 1, 1, 1, 1, 2]
    changes = {row["change"]: row for row in shown["changes"]}
    assert changes["renamed"]["before"] == "Bromus japonicus"
    assert changes["renamed"]["scientificName"] == "Bromus patulus"
    assert changes["merged"] == {
        "change": "merged",
        "before": "Brassica juncea",
        "scientificName": "Brassica napus",
        "relinked pictures": 2,
        "id": str(seed_id("Brassica juncea")),
    }


def test_a_folder_of_a_new_species_is_imported_by_itself_once_the_species_is_registered(workbench: Workbench) -> None:
    folder = workbench.sample()
    edit(
        folder / "pictures/session1/index.yaml",
        "seedData",
        seedFamily="Poaceae",
        seedGenus="Avena",
        seedSpecies="fatua",
    )
    upload = workbench.stage(folder)
    assert workbench.import_as_the_sensor_does(upload).receipt.state is State.REFUSED
    assert load(workbench, packaged_seeds())["uploads_looked_at_again"] == 0
    assert workbench.due() == []

    shown = load(workbench, [*packaged_seeds(), seed("Avena fatua")])

    assert shown["uploads_looked_at_again"] == 1
    assert workbench.import_as_the_sensor_does(upload).receipt.state is State.IMPORTED


def test_it_is_so_if_a_command_loaded_the_species_before(workbench: Workbench) -> None:
    folder = workbench.sample()
    edit(folder / "pictures/session1/index.yaml", "seedData", seedFamily="x", seedGenus="Avena", seedSpecies="fatua")
    assert workbench.import_as_the_sensor_does(workbench.stage(folder)).receipt.state is State.REFUSED
    file = table(workbench.place / "species.csv", [*packaged_seeds(), seed("Avena fatua")])
    assert upgrade(workbench.database_url, (file,)) == 1
    shown = load(workbench, [*packaged_seeds(), seed("Avena fatua")])
    assert (shown["changed"], shown["uploads_looked_at_again"]) == (0, 1)


def test_a_wrong_file_changes_nothing_and_the_run_says_where_it_is_wrong(workbench: Workbench, tmp_path: Path) -> None:
    before = workbench.query("select * from seeds order by id")
    wrong = tmp_path / "weeds.csv"
    wrong.write_text("scientificName,family,gbifID\nAvena fatua,Poaceae,unknown\nAvena sativa,,1\n")

    result = run(workbench, wrong)

    (failed,) = [event for event in result.all_events if event.is_step_failure]
    told = failed.step_failure_data.user_failure_data
    assert f"{wrong}:2: gbifID: expected a whole number, found 'unknown'" in told.description
    (second,) = [dict(row.data) for row in told.metadata["problems"].records][1:]
    assert second == {
        "code": "missing-term",
        "message": "expected a value",
        "file": str(wrong),
        "line": 3,
        "field": "family",
    }
    assert workbench.query("select * from seeds order by id") == before


def test_a_file_that_loses_a_species_with_pictures_changes_nothing(workbench: Workbench, tmp_path: Path) -> None:
    assert workbench.run(workbench.stage(workbench.sample())).receipt.state is State.IMPORTED
    before = workbench.query("select * from seeds order by id")

    result = run(workbench, table(tmp_path / "weeds.csv", [seed("Avena fatua")]))

    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert "Brassica napus is no longer an entry, but 2 pictures" in str(failed.step_failure_data.user_failure_data)
    assert workbench.query("select * from seeds order by id") == before
