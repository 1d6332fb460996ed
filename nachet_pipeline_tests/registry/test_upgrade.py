"""Which registry a database follows."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from nachet_pipeline.database.connection import Database
from nachet_pipeline.local.prepare import prepare
from nachet_pipeline.local.services import Services
from nachet_pipeline.registry.problems import RegistryError
from nachet_pipeline.registry.queries import RegistryConflictError, planned_changes
from nachet_pipeline.registry.species_file import packaged_seeds, read_species, registry_version
from nachet_pipeline.registry.upgrade import planned_species, upgrade
from nachet_pipeline.settings import PACKAGED_SPECIES
from nachet_pipeline_tests.databases import own_database
from nachet_pipeline_tests.registries import load, many, merged, renamed, seed, table, without
from nachet_pipeline_tests.workbench import Workbench


def active(workbench: Workbench) -> int:
    (found,) = workbench.query("select count(*) as n from seeds where active")
    return int(found["n"])


def test_a_database_follows_the_files_of_its_deployment_and_what_leaves_them_is_retired(
    workbench: Workbench, tmp_path: Path
) -> None:
    url, weeds = workbench.database_url, table(tmp_path / "weeds.csv", [seed("Avena fatua"), seed("Avena sativa")])
    assert upgrade(url, (weeds,)) == 17
    assert active(workbench) == 2
    assert upgrade(url, (weeds,)) == 0
    table(weeds, [seed("Avena fatua")])
    assert upgrade(url, (weeds,)) == 1
    retired = workbench.query("select name from seeds where not active and name like 'Avena%%'")
    assert [one["name"] for one in retired] == ["Avena sativa"]
    actors = {
        one["actor"].rpartition(" ")[0]
        for one in workbench.query("select actor from audit_trail where subject = 'seed'")
    }
    assert actors == {"registry", "species of weeds.csv"}


def test_who_forgets_to_name_the_files_does_not_put_the_packages_species_in_their_place(
    workbench: Workbench, tmp_path: Path
) -> None:
    url, weeds = workbench.database_url, table(tmp_path / "weeds.csv", [seed("Avena fatua")])
    upgrade(url, (weeds,))
    with pytest.raises(RegistryConflictError, match=r"those of weeds\.csv, but NACHET_SPECIES_FILE names no file"):
        upgrade(url)
    assert active(workbench) == 1
    with workbench.database.reading() as connection:
        (told,) = planned_species(connection, read_species()).conflicts
        assert not planned_species(connection, read_species((PACKAGED_SPECIES,))).conflicts
    assert "NACHET_SPECIES_FILE names no file" in told
    assert upgrade(url, (PACKAGED_SPECIES,)) == 16
    assert upgrade(url) == 0
    (source,) = workbench.query("select source, version, packaged from registry_source")
    assert source == {"source": "packaged", "version": registry_version(), "packaged": True}


def test_a_wrong_file_changes_no_species(workbench: Workbench, tmp_path: Path) -> None:
    wrong = tmp_path / "weeds.csv"
    wrong.write_text("scientificName\nAvena fatua\n")
    with pytest.raises(RegistryError, match=r"weeds\.csv:2: family: expected a value"):
        upgrade(workbench.database_url, (wrong,))
    assert active(workbench) == 15


def test_a_mistake_in_a_file_keeps_nobody_from_this_machines_services(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weeds = table(tmp_path / "weeds.csv", [seed("Avena fatua")])
    monkeypatch.setenv("NACHET_SPECIES_FILE", str(weeds))
    with own_database(services) as own, Database(SecretStr(own.database_url)) as database:
        right = weeds.read_text()
        weeds.write_text("scientificName\nAvena fatua\n")
        with pytest.raises(RegistryError, match=r"weeds\.csv:2: family"):
            prepare(own)
        weeds.write_text(right)
        prepare(own)
        assert not capsys.readouterr().err

        table(weeds, [seed("Avena sterilis")])
        prepare(own, follow=False)
        weeds.write_text("scientificName\nAvena fatua\n")
        prepare(own)
        assert f"the registered species stay as they were: {weeds}:2: family: " in capsys.readouterr().err
        with database.connection() as connection:
            assert connection.execute("select name from seeds where active").fetchall() == [{"name": "Avena fatua"}]


def test_a_database_of_an_earlier_release_keeps_its_species_while_somebody_only_asks(
    services: Services, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weeds = table(tmp_path / "weeds.csv", [seed("Avena fatua")])
    with own_database(services) as own, Database(SecretStr(own.database_url)) as database:
        prepare(own, ())
        with database.connection() as connection:
            connection.execute("delete from registry_source")
        prepare(own, (weeds,), follow=False)
        with database.reading() as connection:
            assert connection.execute("select from seeds where active").rowcount == 15
        weeds.write_text("scientificName\nAvena fatua\n")
        prepare(own, (weeds,))
        assert "the registered species stay as they were" in capsys.readouterr().err


# What a registry would change


def test_what_loading_would_change_is_told_before_and_changes_nothing(workbench: Workbench) -> None:
    workbench.run(workbench.stage(workbench.sample(sessions=3)))
    seeds = renamed(packaged_seeds(), "Brassica napus", "Brassica oleracea")
    seeds = without(merged(seeds, "Brassica juncea", "Bromus japonicus"), "Lolium temulentum")
    seeds.append(seed("Avena fatua"))
    before = workbench.query("select * from seeds order by id")
    with workbench.database.connection() as connection:
        told = planned_changes(connection, seeds)
    assert workbench.query("select * from seeds order by id") == before
    assert not told.conflicts
    assert [(one.action, one.name, one.pictures) for one in told.changes] == [
        ("renamed", "Brassica oleracea", 0),
        ("changed", "Bromus japonicus", 0),
        ("added", "Avena fatua", 0),
        ("retired", "Lolium temulentum", 0),
        ("merged", "Bromus japonicus", 2),
    ]
    assert load(workbench, seeds).changes == told.changes


def test_every_reason_against_a_registry_is_told(workbench: Workbench) -> None:
    workbench.run(workbench.stage(workbench.sample(sessions=3)))
    load(workbench, merged(packaged_seeds(), "Brassica juncea", "Bromus japonicus"))
    with workbench.database.connection() as connection:
        told = planned_changes(connection, without(packaged_seeds(), "Cirsium arvense"))
    again, gone = told.conflicts
    assert "Brassica juncea was merged into Bromus japonicus and cannot be an entry again" in again
    assert "Cirsium arvense is no longer an entry, but 2 pictures show it" in gone


def test_thousands_of_species_are_loaded_each_with_its_row_of_the_trail(workbench: Workbench) -> None:
    seeds = [*packaged_seeds(), *many(1_000)]
    assert load(workbench, seeds).count("added") == 1_000
    assert active(workbench) == 1_015
    (noted,) = workbench.query("select count(*) as n from audit_trail where actor = 'test' and action = 'added'")
    assert noted["n"] == 1_000
    assert load(workbench, seeds).total == 0
