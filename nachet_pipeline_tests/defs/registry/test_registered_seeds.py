from typing import Any

import pytest
from dagster import TableMetadataValue, materialize

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.defs.registry import assets as module
from nachet_pipeline.defs.resources import DatabaseResource
from nachet_pipeline.identifiers import seed_id
from nachet_pipeline.registry.seeds import Seed, packaged_seeds
from nachet_pipeline_tests.registries import merged, renamed, seed, without
from nachet_pipeline_tests.workbench import Workbench, edit


def load(workbench: Workbench, monkeypatch: pytest.MonkeyPatch, seeds: list[Seed]) -> dict[str, Any]:
    """The metadata that loading a registry shows."""
    monkeypatch.setattr(module, "packaged_seeds", lambda: seeds)
    database = DatabaseResource(url=workbench.database_url.get_secret_value())
    result = materialize([module.registered_seeds], resources={"database": database})
    (event,) = result.asset_materializations_for_node("registered_seeds")
    return {
        name: [dict(record.data) for record in value.records] if isinstance(value, TableMetadataValue) else value.value
        for name, value in event.metadata.items()
        if not name.startswith("dagster/")
    }


def test_the_registry_is_shown_as_a_table(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = load(workbench, monkeypatch, packaged_seeds())
    assert len(shown.pop("registry")) == shown.pop("seeds") == 15
    assert set(shown.values()) == {0}
    rows = {row["id"]: row for row in load(workbench, monkeypatch, packaged_seeds())["registry"]}
    assert rows[str(seed_id("Solanum carolinense"))] == {
        "scientificName": "Solanum carolinense L.",
        "family": "Solanaceae",
        "English": "horse nettle, horse-nettle, Carolina horsenettle",
        "français": "morelle de la Caroline",
        "synonyms": "",
        "gbifID": "2932011",
        "eppoCode": "SOLCA",
        "id": str(seed_id("Solanum carolinense")),
    }


def test_what_changed_is_counted_and_shown(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert workbench.run(workbench.stage(workbench.sample(sessions=2))).receipt.state is State.IMPORTED
    seeds = merged(packaged_seeds(), "Brassica juncea", "Brassica napus")
    seeds = renamed(without(seeds, "Lolium temulentum"), "Bromus japonicus", "Bromus patulus")
    shown = load(workbench, monkeypatch, [*seeds, seed("Avena fatua")])
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


def test_a_folder_of_a_new_species_is_imported_by_itself_once_the_species_is_registered(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert load(workbench, monkeypatch, packaged_seeds())["uploads_looked_at_again"] == 0
    assert workbench.due() == []

    shown = load(workbench, monkeypatch, [*packaged_seeds(), seed("Avena fatua")])

    assert shown["uploads_looked_at_again"] == 1
    assert workbench.import_as_the_sensor_does(upload).receipt.state is State.IMPORTED
