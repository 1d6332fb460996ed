"""Every change of a user, picture set, picture, label or training set is in the audit trail, whoever makes it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from nachet_pipeline.database.audit import PROGRAM, changing, entries
from nachet_pipeline.database.connection import DatabaseError
from nachet_pipeline.folders.keeper import FolderKeeper
from nachet_pipeline.reprocessing.queries import Versions, record_seen
from nachet_pipeline.reprocessing.verdicts import Verdict, VerdictState
from nachet_pipeline.training.building import build
from nachet_pipeline.training.recipe import Recipe
from nachet_pipeline.users.queries import add_user
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.mass_import.containers import Filled, picture
from nachet_pipeline_tests.reconciliation.drifted import imported, pictures, repair
from nachet_pipeline_tests.workbench import Workbench, edit

WATCHED = {
    "users": "user",
    "picture_set": "picture set",
    "pictures": "picture",
    "picture_seed": "picture seed",
    "training_set": "training set",
}


def contents(bench: Workbench) -> dict[tuple[str, UUID], dict[str, Any]]:
    """The rows of the watched tables."""
    return {
        (subject, row["id"]): {name: value for name, value in row["row"].items() if name != "updated_at"}
        for table, subject in WATCHED.items()
        for row in bench.query(f"select id, to_jsonb(t) as row from {table} t")
    }


def noted_since(bench: Workbench, number: int) -> list[dict[str, Any]]:
    return bench.query(
        "select * from audit_trail where id > %s and subject = any(%s) order by id", number, [*WATCHED.values()]
    )


def last(bench: Workbench) -> int:
    return int(bench.query("select coalesce(max(id), 0) as id from audit_trail")[0]["id"])


def register(bench: Workbench) -> None:
    with bench.database.connection() as connection:
        add_user(connection, f"{uuid4().hex}@example.org")


def first_import(bench: Workbench) -> None:
    imported(bench, "first", seed=3)


def correct(bench: Workbench) -> None:
    folder = bench.place / "project"
    edit(next(folder.rglob("index.yaml")), "userData", zoom=77)
    upload = bench.stage(folder, replace=True)
    bench.run(upload)


def relabel(bench: Workbench) -> None:
    folder = bench.place / "project"
    edit(
        next(folder.rglob("session*/index.yaml")), "seedData", seedID=None, seedGenus="Bromus", seedSpecies="secalinus"
    )
    bench.run(bench.stage(folder, replace=True))


def relabel_by_hand(bench: Workbench) -> None:
    bench.query(
        "update picture_seed set seed_id = (select id from seeds where id not in (select seed_id from picture_seed)"
        " limit 1)"
    )


def find(bench: Workbench) -> None:
    Filled.of(bench, {"set/a.png": picture(11), "set/b.png": picture(12)}).run()


def reprocess(bench: Workbench) -> None:
    with bench.database.connection() as connection:
        accepted = Verdict(VerdictState.ACCEPTED, ())
        record_seen(connection, {pictures(bench)[0]["id"]: (None, accepted)}, Versions("other rules", "other code"))


def relink(bench: Workbench) -> None:
    bench.query("update pictures set blob = 'lost.png' where id = %s", pictures(bench)[0]["id"])
    repair(bench)


def train(bench: Workbench) -> None:
    build(Recipe(name="all-pictures"), bench.database, bench.blobs)


def folder_of(bench: Workbench) -> UUID:
    return UUID(str(bench.query("select id from picture_set")[0]["id"]))


def keeper(bench: Workbench) -> FolderKeeper:
    return FolderKeeper(bench.database, bench.blobs)


def delete(bench: Workbench) -> None:
    keeper(bench).delete(folder_of(bench), by="ann", why="asked")


def delete_and_undo(bench: Workbench) -> None:
    delete(bench)
    keeper(bench).undo(folder_of(bench), by="ann", why="a mistake")


def purge(bench: Workbench) -> None:
    delete(bench)
    bench.query("update folder_tombstone set undo_until = now() - interval '1 minute'")
    assert keeper(bench).purge().purged == 1


def archive(bench: Workbench) -> None:
    keeper(bench).archive(folder_of(bench), by="ann", why="asked")


def archive_and_undo(bench: Workbench) -> None:
    archive(bench)
    keeper(bench).undo(folder_of(bench), by="ann", why="a mistake")


def by_hand(bench: Workbench) -> None:
    bench.query("update pictures set verified = true")


def without_triggers(bench: Workbench) -> None:
    bench.query("set session_replication_role = replica; update pictures set verified = true")


def by_a_role_with_few_rights(bench: Workbench) -> None:
    """As another program does, which may change pictures and nothing else."""
    role = f"few_{uuid4().hex}"
    bench.query(f"create role {role}; grant select, update on pictures to {role}")
    bench.query(f"set role {role}; update pictures set verified = true; reset role")
    bench.query(f"drop owned by {role}; drop role {role}")


def beside_a_table_that_stands_in_for_the_trail(bench: Workbench) -> None:
    bench.query(
        "create temp table audit_trail (like public.audit_trail including all); update pictures set verified = true;"
        " drop table pg_temp.audit_trail"
    )


@pytest.mark.parametrize(
    "change",
    [
        register,
        first_import,
        correct,
        relabel,
        relabel_by_hand,
        find,
        reprocess,
        relink,
        train,
        delete,
        delete_and_undo,
        purge,
        archive,
        archive_and_undo,
        by_hand,
        without_triggers,
        by_a_role_with_few_rights,
        beside_a_table_that_stands_in_for_the_trail,
    ],
)
def test_every_row_that_changes_is_noted(workbench: Workbench, change: Callable[[Workbench], None]) -> None:
    imported(workbench)
    before, number = contents(workbench), last(workbench)

    change(workbench)

    after, noted = contents(workbench), noted_since(workbench, number)
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    assert {(row["subject"], row["subject_id"]) for row in noted} >= changed
    assert noted
    assert all(row["actor"] and (row["before"] or row["after"]) for row in noted)


@pytest.mark.parametrize("change", [register, first_import, find, train, delete, by_hand, reprocess])
def test_one_row_is_written_for_each_change_and_no_more(
    workbench: Workbench, change: Callable[[Workbench], None]
) -> None:
    imported(workbench)
    number = last(workbench)

    change(workbench)

    noted = noted_since(workbench, number)
    assert len(noted) == len({(row["subject"], row["subject_id"]) for row in noted}) > 0


@pytest.mark.parametrize("statement", ["update audit_trail set actor = 'x'", "delete from audit_trail"])
def test_a_role_that_was_given_everything_can_change_nothing_in_the_trail(workbench: Workbench, statement: str) -> None:
    role, before = f"importing_{uuid4().hex}", last(workbench)
    workbench.query(f"create role {role}; grant all on all tables in schema public to {role}")
    try:
        with pytest.raises(DatabaseError, match="can only be added to"):
            workbench.query(f"set role {role}; {statement}")
        assert last(workbench) == before
    finally:
        workbench.query(f"drop owned by {role}; drop role {role}")


def test_an_import_that_changes_nothing_notes_nothing(workbench: Workbench) -> None:
    upload = imported(workbench)
    number = last(workbench)
    workbench.run(upload)
    assert noted_since(workbench, number) == []


def test_a_row_says_what_changed_from_and_to(workbench: Workbench) -> None:
    imported(workbench)
    number, row = last(workbench), pictures(workbench)[0]
    workbench.query(
        "update pictures set verified = true, picture = jsonb_set(picture, '{user_data,zoom}', '99') where id = %s",
        row["id"],
    )
    (noted,) = noted_since(workbench, number)
    zoom = noted["before"].pop("picture.user_data.zoom")
    assert zoom != 99
    assert {name: value for name, value in noted["before"].items() if name != "zoom"} == {"verified": False}
    assert noted["after"].items() >= {"verified": True, "picture.user_data.zoom": 99}.items()


def test_a_column_that_is_hidden_is_never_in_the_trail(workbench: Workbench) -> None:
    workbench.query("create table secrets (id uuid primary key, label text, secret text)")
    workbench.query("call audit_watch('secrets', 'secret', array['label'], array['secret'])")
    number, identifier = last(workbench), uuid4()
    workbench.query("insert into secrets values (%s, 'first', 'abc')", identifier)
    workbench.query("update secrets set label = 'second', secret = 'def'")
    workbench.query("update secrets set secret = 'ghi'")
    workbench.query("delete from secrets")
    noted = workbench.query("select action, before, after from audit_trail where id > %s order by id", number)
    assert noted == [
        {"action": "added", "before": None, "after": {"label": "first"}},
        {"action": "changed", "before": {"label": "first"}, "after": {"label": "second"}},
        {"action": "removed", "before": {"label": "second"}, "after": None},
    ]


def test_a_long_value_stands_as_its_checksum(workbench: Workbench) -> None:
    imported(workbench)
    number = last(workbench)
    workbench.query("update pictures set name = repeat('x', 5000) where id = %s", pictures(workbench)[0]["id"])
    (noted,) = noted_since(workbench, number)
    assert str(noted["after"]["name"]).startswith("md5 ")


def test_who_makes_a_change_is_said_for_that_change_alone(workbench: Workbench) -> None:
    imported(workbench)
    number, (one, other) = last(workbench), [row["id"] for row in pictures(workbench)]
    with workbench.database.connection() as connection:
        with changing(connection, actor="ann", action="checked", note={"why": "asked"}):
            connection.execute("update pictures set verified = true where id = %s", (one,))
        connection.execute("update pictures set verified = true where id = %s", (other,))
    first, second = noted_since(workbench, number)
    assert (first["actor"], first["action"], first["after"]) == ("ann", "checked", {"verified": True, "why": "asked"})
    assert second["action"] == "changed"
    assert second["actor"] not in {"ann", PROGRAM, ""}


def test_a_change_that_fails_tells_why_and_leaves_nothing(workbench: Workbench) -> None:
    imported(workbench)
    number = last(workbench)
    with (
        pytest.raises(DatabaseError, match="violates"),
        workbench.database.connection() as connection,
        changing(connection, actor="ann"),
    ):
        connection.execute("update pictures set size = -1")
    assert noted_since(workbench, number) == []


def test_the_trail_is_read_by_subject_and_time(workbench: Workbench) -> None:
    imported(workbench)
    identifier = str(pictures(workbench)[0]["id"])
    now = workbench.query("select clock_timestamp() as now")[0]["now"]
    with workbench.database.connection() as connection:
        assert {one.subject for one in entries(connection, subject="picture")} == {"picture"}
        (found,) = entries(connection, subject=identifier)
        assert (found.action, found.actor) == ("added", PROGRAM)
        assert list(entries(connection, since=now)) == []
        assert len(list(entries(connection, most=1))) == 1


def test_the_command_shows_the_trail(workbench: Workbench, nachet: Nachet) -> None:
    for more in ((), ("--json",)):
        code, shown, _ = nachet("audit", "--subject", "user", *more)
        assert code == 0
        assert workbench.user.email in shown
        login = psycopg.conninfo.conninfo_to_dict(workbench.database_url.get_secret_value())["user"]
        assert (f'"login": "{login}"' if more else f" ({login})  added user ") in shown
