import threading
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.database.connection import DatabaseError, migrate
from nachet_pipeline.identifiers import picture_seed_id, seed_id
from nachet_pipeline.registry.problems import RegistryError
from nachet_pipeline.registry.queries import RegistryConflictError, load_seeds, registered_seeds, surviving_seeds
from nachet_pipeline.registry.seeds import Seed, SeedRegistry
from nachet_pipeline.registry.species_file import packaged_seeds, registry_version
from nachet_pipeline.registry.upgrade import upgrade
from nachet_pipeline_tests.meeting import until_one_waits
from nachet_pipeline_tests.registries import changed, load, merged, renamed, seed, without
from nachet_pipeline_tests.workbench import Workbench

NAPUS, JUNCEA, ARVENSE = map(seed_id, ("Brassica napus", "Brassica juncea", "Cirsium arvense"))


@pytest.fixture
def imported(workbench: Workbench) -> Workbench:
    """A workbench with two pictures each of Brassica napus, Brassica juncea and Cirsium arvense."""
    outcome = workbench.run(workbench.stage(workbench.sample(sessions=3, pictures=2)))
    assert outcome.receipt.state is State.IMPORTED
    assert set(links(workbench).values()) == {NAPUS, JUNCEA, ARVENSE}
    return workbench


def links(workbench: Workbench) -> dict[UUID, UUID]:
    """The seed of every picture; every link has the identifier that follows from both."""
    rows = workbench.query("select id, picture_id, seed_id from picture_seed")
    assert all(row["id"] == picture_seed_id(row["picture_id"], row["seed_id"]) for row in rows)
    assert len({row["picture_id"] for row in rows}) == len(rows)
    return {row["picture_id"]: row["seed_id"] for row in rows}


def row(workbench: Workbench, identifier: UUID) -> dict[str, Any]:
    (found,) = workbench.query("select name, merged_into, active, information from seeds where id = %s", identifier)
    return found


def trail(workbench: Workbench) -> list[dict[str, Any]]:
    """What the tests' own loads left in the audit trail."""
    return workbench.query("select * from audit_trail where actor = 'test' and subject = 'seed' order by id")


def told(workbench: Workbench) -> list[tuple[str, UUID]]:
    return [(noted["action"], noted["subject_id"]) for noted in trail(workbench)]


def state(workbench: Workbench) -> list[list[dict[str, Any]]]:
    queries = ("select * from seeds order by id", "select * from picture_seed order by id")
    return [workbench.query(query) for query in (*queries, "select * from audit_trail order by id")]


def registry(workbench: Workbench) -> SeedRegistry:
    with workbench.database.connection() as connection:
        return registered_seeds(connection)


# Loading


def test_the_registry_in_the_database_is_the_one_that_was_loaded(workbench: Workbench) -> None:
    assert registry(workbench) == SeedRegistry.of(sorted(packaged_seeds(), key=lambda one: one.scientific_name))


def test_the_first_load_notes_every_seed_as_added_by_the_version_of_the_registry(workbench: Workbench) -> None:
    noted = workbench.query("select * from audit_trail where subject = 'seed' order by id")
    assert [one["subject_id"] for one in noted] == [one.id for one in packaged_seeds()]
    assert {(one["actor"], one["action"], one["subject"]) for one in noted} == {
        (f"registry {registry_version()}", "added", "seed")
    }
    assert noted[0]["before"] is None
    assert noted[0]["after"] == {
        "name": "Brassica napus",
        "information": packaged_seeds()[0].model_dump(mode="json"),
        "active": True,
        "merged_into": None,
    }


@pytest.mark.parametrize(
    "registry",
    [
        packaged_seeds(),
        renamed(packaged_seeds(), "Brassica juncea", "Brassica besseriana"),
        merged(packaged_seeds(), "Brassica juncea", "Brassica napus"),
        without(packaged_seeds(), "Lolium temulentum"),
        [*packaged_seeds(), seed("Avena fatua")],
    ],
    ids=["same", "renamed", "merged", "retired", "added"],
)
def test_a_registry_that_is_loaded_already_changes_nothing(registry: list[Seed], imported: Workbench) -> None:
    load(imported, registry)
    before = state(imported)
    assert load(imported, registry).total == 0
    assert state(imported) == before


def test_a_new_seed_is_added(workbench: Workbench) -> None:
    avena = seed("Avena fatua")
    loaded = load(workbench, [*packaged_seeds(), avena])
    assert (loaded.total, loaded.count("added")) == (1, 1)
    assert told(workbench) == [("added", avena.id)]
    assert registry(workbench).named("Avena fatua") == avena


def test_another_statement_of_a_seed_is_changed_and_noted(workbench: Workbench) -> None:
    loaded = load(workbench, changed(packaged_seeds(), "Brassica napus", synonyms=["Brassica x"]))
    assert (loaded.total, loaded.count("changed")) == (1, 1)
    (noted,) = trail(workbench)
    assert noted["before"]["information"]["synonyms"] == ["Brassica oleifera"]
    assert noted["after"]["information"]["synonyms"] == ["Brassica x"]
    found = registry(workbench)
    assert found.named("Brassica x") == found.named("Brassica napus")
    assert found.named("Brassica oleifera") is None


def test_a_registry_that_contradicts_itself_is_not_loaded(workbench: Workbench) -> None:
    before = state(workbench)
    with pytest.raises(RegistryError, match="the name 'Brassica juncea' is taken by Brassica napus"):
        load(workbench, changed(packaged_seeds(), "Brassica napus", synonyms=["Brassica juncea"]))
    assert state(workbench) == before


# Renaming


def test_a_renamed_seed_keeps_its_identifier_and_its_pictures(imported: Workbench) -> None:
    before = links(imported)
    loaded = load(imported, renamed(packaged_seeds(), "Brassica juncea", "Brassica besseriana"))
    assert (loaded.total, loaded.count("renamed")) == (1, 1)
    assert links(imported) == before
    assert row(imported, JUNCEA)["name"] == row(imported, JUNCEA)["information"]["scientificName"]
    (noted,) = trail(imported)
    assert (noted["action"], noted["subject_id"]) == ("renamed", JUNCEA)
    assert (noted["before"]["name"], noted["after"]["name"]) == ("Brassica juncea", "Brassica besseriana")


def test_two_seeds_can_change_names_with_each_other(imported: Workbench) -> None:
    before = links(imported)
    swapped = renamed(packaged_seeds(), "Brassica juncea", "Brassica zeta")
    swapped = renamed(swapped, "Brassica napus", "Brassica juncea")
    swapped = renamed(swapped, "Brassica zeta", "Brassica napus")
    # Each goes without a synonym here: the earlier name of either is the name of the other.
    loaded = load(imported, swapped)
    assert loaded.count("renamed") == 2
    assert links(imported) == before
    assert (row(imported, NAPUS)["name"], row(imported, JUNCEA)["name"]) == ("Brassica juncea", "Brassica napus")
    found = registry(imported).named("Brassica napus")
    assert found is not None
    assert found.id == JUNCEA


def test_a_new_seed_can_take_the_name_that_a_renamed_one_had(workbench: Workbench) -> None:
    seeds = renamed(packaged_seeds(), "Brassica juncea", "Brassica besseriana")
    other = seed("Brassica juncea", registeredAs="Brassica juncea of 2027")
    loaded = load(workbench, [other, *seeds])
    assert (loaded.count("added"), loaded.count("renamed")) == (1, 1)
    assert registry(workbench).named("Brassica juncea") == other


# Merging


def test_pictures_of_a_merged_seed_are_linked_to_the_surviving_one(imported: Workbench) -> None:
    before = links(imported)
    dates = {one["picture_id"]: one["upload_date"] for one in imported.query("select * from picture_seed")}
    loaded = load(imported, merged(packaged_seeds(), "Brassica juncea", "Brassica napus"))
    assert [(one.action, one.id, one.name, one.before, one.pictures) for one in loaded.changes] == [
        ("changed", NAPUS, "Brassica napus", "Brassica napus", 0),
        ("merged", JUNCEA, "Brassica napus", "Brassica juncea", 2),
    ]
    assert links(imported) == {picture: NAPUS if taxon == JUNCEA else taxon for picture, taxon in before.items()}
    assert dates == {one["picture_id"]: one["upload_date"] for one in imported.query("select * from picture_seed")}
    assert told(imported) == [("changed", NAPUS), ("merged", JUNCEA)]
    noted = trail(imported)[-1]
    assert (noted["before"]["active"], noted["before"]["merged_into"]) == (True, None)
    assert (noted["after"]["active"], noted["after"]["merged_into"]) == (False, str(NAPUS))
    assert noted["after"]["pictures"] == 2


def test_a_merged_seed_keeps_its_row_and_its_identifier_finds_the_surviving_one(imported: Workbench) -> None:
    load(imported, merged(packaged_seeds(), "Brassica juncea", "Brassica napus"))
    kept = row(imported, JUNCEA)
    assert (kept["name"], kept["merged_into"], kept["active"]) == ("Brassica juncea", NAPUS, False)
    found = registry(imported)
    assert found.with_id(str(JUNCEA)) == found.named("Brassica juncea") == found.named("Brassica napus")
    assert JUNCEA not in found.by_id


def test_a_picture_that_showed_both_keeps_one_link(imported: Workbench) -> None:
    picture = next(picture for picture, taxon in links(imported).items() if taxon == NAPUS)
    imported.query(
        "insert into picture_seed (id, picture_id, seed_id) values (%s, %s, %s)",
        picture_seed_id(picture, JUNCEA),
        picture,
        JUNCEA,
    )
    loaded = load(imported, merged(packaged_seeds(), "Brassica juncea", "Brassica napus"))
    assert loaded.changes[-1].pictures == 3
    assert links(imported)[picture] == NAPUS


@pytest.mark.parametrize("at_a_time", [1, 10_000])
def test_a_picture_of_two_species_that_are_merged_shows_the_sum_of_their_seeds(
    at_a_time: int, imported: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nachet_pipeline.registry.queries._LINKS_AT_A_TIME", at_a_time)
    both, third, unknown = list(links(imported))[:3]
    shown: dict[UUID, list[tuple[UUID | None, int]]] = {
        both: [(NAPUS, 3), (JUNCEA, 2), (ARVENSE, 1)],
        third: [(NAPUS, 3), (JUNCEA, 2), (seed_id("Lolium temulentum"), 4)],
        unknown: [(JUNCEA, 2), (ARVENSE, 5), (None, 1)],
    }
    imported.query("delete from picture_seed where picture_id = any(%s)", list(shown))
    for picture, kinds in shown.items():
        for taxon, number in kinds:
            imported.query(
                "insert into picture_seed (id, picture_id, seed_id, number_of_seeds) values (%s, %s, %s, %s)",
                picture_seed_id(picture, taxon),
                picture,
                taxon,
                number,
            )

    seeds = merged(merged(packaged_seeds(), "Brassica juncea", "Brassica napus"), "Cirsium arvense", "Brassica napus")
    load(imported, seeds)

    rows = imported.query("select * from picture_seed where picture_id = any(%s)", list(shown))
    assert all(row["id"] == picture_seed_id(row["picture_id"], row["seed_id"]) for row in rows)
    assert {(row["picture_id"], row["seed_id"], row["number_of_seeds"]) for row in rows} == {
        (both, NAPUS, None),  # all that it shows
        (third, NAPUS, 5),
        (third, seed_id("Lolium temulentum"), 4),
        (unknown, NAPUS, 7),
        (unknown, None, 1),
    }


def test_many_pictures_are_linked_anew_part_by_part(imported: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nachet_pipeline.registry.queries._LINKS_AT_A_TIME", 1)
    seeds = merged(merged(packaged_seeds(), "Brassica juncea", "Brassica napus"), "Cirsium arvense", "Brassica napus")
    loaded = load(imported, seeds)
    assert {one.id: one.pictures for one in loaded.changes if one.action == "merged"} == {JUNCEA: 2, ARVENSE: 2}
    assert set(links(imported).values()) == {NAPUS}


@pytest.mark.parametrize("at_once", [True, False])
def test_a_seed_merged_into_one_that_is_merged_itself_ends_at_the_last(at_once: bool, imported: Workbench) -> None:
    first = merged(packaged_seeds(), "Brassica juncea", "Brassica napus")
    if not at_once:
        load(imported, first)
    load(imported, merged(first, "Brassica napus", "Cirsium arvense"))
    assert set(links(imported).values()) == {ARVENSE}
    assert row(imported, JUNCEA)["merged_into"] == row(imported, NAPUS)["merged_into"] == ARVENSE
    found = registry(imported)
    assert found.with_id(str(JUNCEA)) == found.with_id(str(NAPUS)) == found.named("Cirsium arvense")


def test_a_merge_that_the_registry_forgets_to_repeat_is_remembered_by_the_database(imported: Workbench) -> None:
    load(imported, merged(packaged_seeds(), "Brassica juncea", "Brassica napus"))
    seeds = changed(without(packaged_seeds(), "Brassica napus"), "Cirsium arvense", mergedFrom=["Brassica napus"])
    load(imported, without(seeds, "Brassica juncea"))
    found = registry(imported)
    assert found.with_id(str(JUNCEA)) == found.named("Cirsium arvense")
    assert set(links(imported).values()) == {ARVENSE}


def test_a_seed_can_be_merged_into_a_new_one_that_takes_its_name(imported: Workbench) -> None:
    new = seed("Brassica juncea", registeredAs="Brassica juncea s.l.", mergedFrom=["Brassica juncea"])
    load(imported, [new, *without(packaged_seeds(), "Brassica juncea")])
    assert set(links(imported).values()) == {NAPUS, new.id, ARVENSE}
    assert row(imported, JUNCEA)["name"] == row(imported, new.id)["name"] == "Brassica juncea"
    assert registry(imported).named("Brassica juncea") == new


def test_a_merged_seed_cannot_become_an_entry_again(imported: Workbench) -> None:
    load(imported, merged(packaged_seeds(), "Brassica juncea", "Brassica napus"))
    before = state(imported)
    with pytest.raises(RegistryConflictError, match="Brassica juncea was merged into Brassica napus and cannot be an"):
        load(imported, packaged_seeds())
    assert state(imported) == before
    again = renamed(packaged_seeds(), "Brassica juncea", "Brassica juncea")
    again = changed(again, "Brassica juncea", registeredAs="Brassica juncea of 2027")
    load(imported, changed(again, "Brassica napus", mergedFrom=["Brassica juncea"]))
    found = registry(imported).named("Brassica juncea")
    assert found is not None
    assert found.id == seed_id("Brassica juncea of 2027")


def test_a_merged_seed_cannot_go_over_to_another_while_its_own_survivor_stays(imported: Workbench) -> None:
    load(imported, merged(packaged_seeds(), "Brassica juncea", "Brassica napus"))
    before = state(imported)
    with pytest.raises(RegistryConflictError, match="so Cirsium arvense cannot have it in mergedFrom"):
        load(imported, merged(packaged_seeds(), "Brassica juncea", "Cirsium arvense"))
    assert state(imported) == before


# Retiring


def test_an_entry_that_pictures_refer_to_cannot_vanish(imported: Workbench) -> None:
    before = state(imported)
    seeds = renamed(without(packaged_seeds(), "Brassica juncea"), "Brassica napus", "Brassica alpha")
    with pytest.raises(RegistryConflictError) as refused:
        load(imported, [*seeds, seed("Avena fatua")])
    assert str(refused.value) == (
        "the registry cannot be loaded: Brassica juncea is no longer an entry, but 2 pictures show it: restore the"
        " entry, or list Brassica juncea in the mergedFrom of another"
    )
    assert isinstance(refused.value, LookupError)
    assert refused.value.exit_code == 1
    assert state(imported) == before


def test_an_entry_is_told_by_the_name_that_mergedfrom_needs(imported: Workbench) -> None:
    load(imported, renamed(packaged_seeds(), "Brassica juncea", "Brassica besseriana"))
    with pytest.raises(RegistryConflictError, match=r"Brassica besseriana is no .* list Brassica juncea in"):
        load(imported, without(packaged_seeds(), "Brassica juncea"))


def test_a_seed_that_others_were_merged_into_cannot_vanish_either(imported: Workbench) -> None:
    seeds = merged(packaged_seeds(), "Brassica juncea", "Lolium temulentum")
    load(imported, seeds)
    with pytest.raises(RegistryConflictError, match="Lolium temulentum is no longer an entry, but 2 pictures"):
        load(imported, without(without(packaged_seeds(), "Brassica juncea"), "Lolium temulentum"))


def test_an_entry_without_pictures_is_retired_and_can_be_restored(imported: Workbench) -> None:
    lolium = seed_id("Lolium temulentum")
    loaded = load(imported, without(packaged_seeds(), "Lolium temulentum"))
    assert (loaded.total, loaded.count("retired")) == (1, 1)
    assert (row(imported, lolium)["name"], row(imported, lolium)["active"]) == ("Lolium temulentum", False)
    found = registry(imported)
    assert found.named("Lolium temulentum") is found.named("darnel") is found.with_id(str(lolium)) is None
    loaded = load(imported, packaged_seeds())
    assert (loaded.total, loaded.count("restored")) == (1, 1)
    assert told(imported) == [("retired", lolium), ("restored", lolium)]
    assert registry(imported).named("Lolium temulentum") is not None


def test_a_retired_seed_can_still_be_merged(imported: Workbench) -> None:
    load(imported, without(packaged_seeds(), "Lolium temulentum"))
    load(imported, merged(packaged_seeds(), "Lolium temulentum", "Brassica napus"))
    found = registry(imported)
    assert found.with_id(str(seed_id("Lolium temulentum"))) == found.named("Brassica napus")


# With imports beside it


def test_an_import_validated_before_a_merge_is_linked_to_the_surviving_seed(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample(sessions=2))
    importer = workbench.importer()
    load(workbench, merged(packaged_seeds(), "Brassica juncea", "Brassica napus"))
    assert importer.import_upload(upload.id).receipt.state is State.IMPORTED
    assert set(links(workbench).values()) == {NAPUS}
    # The same import again, with the registry of today, meets its own rows.
    before = links(workbench)
    assert workbench.run(upload).receipt.state is State.IMPORTED
    assert links(workbench) == before


def test_an_import_validated_before_its_seed_was_retired_fails_and_can_be_tried_again(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    importer = workbench.importer()
    load(workbench, without(packaged_seeds(), "Brassica napus"))
    receipt = importer.import_upload(upload.id).receipt
    assert receipt.state is State.FAILED
    assert "retired from the registry meanwhile" in str(receipt.failure)
    assert links(workbench) == {}
    assert workbench.run(upload).receipt.state is State.REFUSED


def test_loading_waits_for_an_import_and_takes_its_pictures_along(imported: Workbench) -> None:
    picture = next(picture for picture, taxon in links(imported).items() if taxon == ARVENSE)
    done = threading.Event()

    def merge() -> None:
        load(imported, merged(packaged_seeds(), "Brassica juncea", "Brassica napus"))
        done.set()

    loading = threading.Thread(target=merge)
    with imported.database.connection() as connection:
        assert surviving_seeds(connection)[JUNCEA] == JUNCEA
        loading.start()
        until_one_waits(imported)
        assert not done.is_set()
        connection.execute("delete from picture_seed where picture_id = %s", (picture,))
        connection.execute(
            "insert into picture_seed (id, picture_id, seed_id) values (%s, %s, %s)",
            (picture_seed_id(picture, JUNCEA), picture, JUNCEA),
        )
    loading.join()
    assert done.is_set()
    assert links(imported)[picture] == NAPUS


def test_an_import_waits_for_loading_and_sees_its_result(workbench: Workbench) -> None:
    seen: dict[UUID, UUID] = {}
    done = threading.Event()

    def look() -> None:
        with workbench.database.connection() as connection:
            seen.update(surviving_seeds(connection))
        done.set()

    looking = threading.Thread(target=look)
    with workbench.database.connection() as connection:
        seeds = without(merged(packaged_seeds(), "Brassica juncea", "Brassica napus"), "Lolium temulentum")
        load_seeds(connection, seeds, actor="test")
        looking.start()
        until_one_waits(workbench)
        assert not done.is_set()
    looking.join()
    assert seen[JUNCEA] == seen[NAPUS] == NAPUS
    assert seed_id("Lolium temulentum") not in seen


def test_two_that_load_at_once_do_it_once(imported: Workbench) -> None:
    seeds = [*merged(packaged_seeds(), "Brassica juncea", "Brassica napus"), seed("Avena fatua")]
    start, totals = threading.Barrier(3), []

    def work() -> None:
        start.wait()
        totals.append(load(imported, seeds).total)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(totals) == [0, 0, 3]
    assert len(trail(imported)) == 3


def test_pictures_that_another_program_links_to_a_merged_seed_are_linked_anew_at_the_next_load(
    imported: Workbench,
) -> None:
    seeds = merged(packaged_seeds(), "Brassica juncea", "Brassica napus")
    load(imported, seeds)
    picture = next(picture for picture, taxon in links(imported).items() if taxon == ARVENSE)
    imported.query(
        "update picture_seed set id = %s, seed_id = %s where picture_id = %s",
        picture_seed_id(picture, JUNCEA),
        JUNCEA,
        picture,
    )
    loaded = load(imported, seeds)
    assert [(one.action, one.id, one.pictures) for one in loaded.changes] == [("relinked", JUNCEA, 1)]
    assert links(imported)[picture] == NAPUS
    assert trail(imported)[-1]["after"]["pictures"] == 1


def test_loading_is_undone_with_the_callers_transaction(imported: Workbench) -> None:
    before = state(imported)
    with imported.database.connection() as connection:
        load_seeds(connection, merged(packaged_seeds(), "Brassica juncea", "Brassica napus"))
        connection.rollback()
    assert state(imported) == before


# Tables


def test_a_database_of_the_first_version_is_brought_up_with_its_seeds(workbench: Workbench) -> None:
    url = workbench.database_url
    workbench.query("drop schema public cascade")
    workbench.query("create schema public")
    migrate(url, "0001")
    first = {"scientificName": "Brassica napus", "family": "Brassicaceae", "genus": "Brassica"}
    workbench.query(
        "insert into seeds (id, name, information) values (%s, 'Brassica napus', %s)",
        NAPUS,
        Jsonb({**first, "specificEpithet": "napus", "taxonRank": "species"}),
    )
    assert upgrade(url) == 15
    assert upgrade(url) == 0
    actions = workbench.query("select action, count(*) as n from audit_trail group by action order by action")
    assert [(one["action"], one["n"]) for one in actions] == [("added", 14), ("changed", 1)]


def test_a_database_that_was_not_upgraded_says_what_to_run(workbench: Workbench) -> None:
    workbench.query("alter table seeds drop column merged_into cascade")
    with pytest.raises(DatabaseError, match="run `nachet db upgrade`"):
        registry(workbench)


@pytest.mark.parametrize(
    "statement",
    [
        "update seeds set merged_into = %s where id = %s",
        "update seeds set merged_into = id, active = false where id in (%s, %s)",
        "update seeds set name = (select name from seeds where id = %s) where id = %s",
        "update seeds set active = false, merged_into = '00000000-0000-0000-0000-000000000001' where id in (%s, %s)",
    ],
    ids=["merged and active", "merged into itself", "same name", "merged into nothing"],
)
def test_the_database_refuses_seeds_that_make_no_sense(statement: str, workbench: Workbench) -> None:
    before = state(workbench)
    with pytest.raises(DatabaseError):
        workbench.query(statement, NAPUS, JUNCEA)
    assert state(workbench) == before
