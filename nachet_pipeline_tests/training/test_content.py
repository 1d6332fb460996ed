"""What a model has seen goes by a photograph's content, whatever rows it has, had or will have."""

import io
import threading
from typing import Any
from uuid import UUID, uuid4, uuid5

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.database.audit import changing
from nachet_pipeline.folders.keeper import FolderKeeper
from nachet_pipeline.identifiers import NAMESPACE
from nachet_pipeline.picture_sets.duplicates import Decision, decide_pair
from nachet_pipeline.picture_sets.withdrawn_content import LOCK_WITHDRAWING, hold_withdrawn, wait_for_withdrawing
from nachet_pipeline.reprocessing.reprocessor import current_versions
from nachet_pipeline.training.building import Built
from nachet_pipeline.training.queries import recorded, withdraw
from nachet_pipeline.training.selection import capped
from nachet_pipeline.training.splitting import split
from nachet_pipeline.training.version_pictures import not_current
from nachet_pipeline_tests.training.test_building import Generated, built, known_pictures, released, rows
from nachet_pipeline_tests.workbench import Workbench, edit

SAMPLE = {"sessions": 3, "pictures": 4}


@pytest.fixture
def generated(workbench: Workbench) -> Generated:
    return Generated(workbench, workbench.database, workbench.user.id)


@pytest.fixture
def other(workbench: Workbench) -> Workbench:
    return workbench.another_user(f"{uuid4().hex}@example.org")


def send(bench: Workbench, name: str = "project", **sample: int) -> None:
    outcome = bench.run(bench.stage(bench.sample(name, **SAMPLE | sample)))
    assert outcome.receipt.state is State.IMPORTED


def taken(bench: Workbench, picture: UUID, why: str = "Its owner asks for it") -> Any:
    with bench.database.connection() as connection:
        return withdraw(connection, picture, by="ada@example.org", why=why)


def files(bench: Workbench, made: Built) -> dict[str, set[str]]:
    """The sides that each file is on."""
    found: dict[str, set[str]] = {}
    for row in rows(bench, made):
        found.setdefault(row["sha256"], set()).add(row["split"])
    return found


def file_of(bench: Workbench, picture: UUID) -> str:
    return str(bench.query("select encode(sha256, 'hex') as sha256 from pictures where id = %s", picture)[0]["sha256"])


def cut(bench: Workbench, where: str = "true", *, box: str = "array[1, 2, 9, 8]", own_bytes: bool = True) -> None:
    """Crops of whole pictures: each with bytes of its own, or with such as follow from what it is cut from."""
    content = "id::text::bytea" if own_bytes else "sha256"
    crop = "md5('crop' || p.id || %s)::uuid"
    bench.query(
        "insert into pictures (id, picture, picture_set_id, parent, nb_object, name, blob, sha256, size, format, width,"
        f" height, bounding_box, detector) select {crop}, p.picture, picture_set_id, id, 1, name,"
        f" blob || %s, sha256({content} || %s), 5, 'TIFF', 8, 6, {box}, 'test 1' from pictures p"
        f" where parent is null and ({where})",
        box,
        box,
        box.encode(),
    )
    bench.query(
        f"insert into picture_seed (id, picture_id, seed_id) select gen_random_uuid(), {crop}, l.seed_id"
        f" from pictures p join picture_seed l on l.picture_id = p.id where parent is null and ({where})",
        box,
    )


_OTHER_COLUMNS = (
    "select string_agg(column_name, ', ') as names from information_schema.columns where table_name = 'pictures'"
    " and is_generated = 'NEVER' and column_name not in ('id', 'picture_set_id', 'parent', 'blob')"
)
_SENT_AGAIN = """
create temp table live on commit drop as select * from pictures where superseded_at is null;
insert into picture_set (id, picture_set, owner_id, name, container_id, upload_id, digest)
    select md5(id || {salt})::uuid, picture_set, {owner}, name, container_id, upload_id, digest from picture_set
    where id in (select picture_set_id from live);
update pictures set {kept} where id in (select id from live);
insert into pictures (id, picture_set_id, parent, blob, {names})
    select md5(id || {salt})::uuid, md5(picture_set_id || {salt})::uuid, md5(parent || {salt})::uuid, blob || 'again',
    {names} from live order by parent is not null;
insert into picture_seed (id, picture_id, seed_id)
    select gen_random_uuid(), md5(picture_id || {salt})::uuid, seed_id from picture_seed
    where picture_id in (select id from live)
"""


def sent_again(bench: Workbench, *, owner: UUID | None = None, kept: str = "superseded_at = now()") -> None:
    """The same photographs in other rows of other sets, as if sent in a folder of another name; what becomes of the
    first ones is said by `kept`."""
    (names,) = bench.query(_OTHER_COLUMNS)
    given_ = {"salt": f"'{uuid4()}'", "owner": f"'{owner}'" if owner else "owner_id", "kept": kept, **names}
    with bench.database.connection() as connection:
        for statement in _SENT_AGAIN.format(**given_).split(";\n"):
            connection.execute(statement)


# Withdrawing


def test_a_photograph_that_is_withdrawn_is_in_no_later_version_whatever_other_row_has_it(
    workbench: Workbench, other: Workbench
) -> None:
    send(workbench)
    send(other, "theirs")
    first = built(workbench)
    one, *same = known_pictures(workbench, "sha256 = (select sha256 from pictures order by id limit 1)")
    assert len(same) == 1

    done = taken(workbench, one)

    assert set(done.pictures) == set(done.new) == {one, *same}
    assert [version.digest for version in done.tainted] == [first.digest]
    second = built(workbench)
    assert file_of(workbench, one) not in files(workbench, second)
    assert second.pictures == first.pictures - 2
    trail = workbench.query(
        "select subject_id from audit_trail where action = 'withdrawn' and actor = 'ada@example.org'"
    )
    assert {row["subject_id"] for row in trail} == {one, *same}


def test_a_version_that_holds_another_row_of_a_withdrawn_photograph_is_tainted(
    workbench: Workbench, other: Workbench
) -> None:
    send(workbench)
    send(other, "theirs")
    made = built(workbench, users=(other.user.email,))
    theirs = {UUID(row["picture_id"]) for row in rows(workbench, made)}
    picture = next(one for one in known_pictures(workbench) if one not in theirs)
    assert [version.digest for version in taken(workbench, picture).tainted] == [made.digest]


def test_a_withdrawn_photograph_that_is_sent_again_stays_withdrawn_and_its_uploader_is_told_not_by_whom(
    workbench: Workbench, other: Workbench
) -> None:
    send(workbench)
    picture = known_pictures(workbench)[0]
    taken(workbench, picture)

    outcome = other.run(other.stage(other.sample("mine", **SAMPLE)))

    assert outcome.receipt.state is State.IMPORTED
    assert outcome.receipt.report is not None
    (told,) = [group for group in outcome.receipt.report.groups if group.code == "withdrawn-picture"]
    assert (told.severity, told.count) == ("warning", 1)
    assert told.found is not None
    assert "withdrawn" in told.found.en
    assert "retirée" in told.found.fr
    assert "ada@example.org" not in outcome.receipt.model_dump_json()
    found = workbench.query("select sha256 from pictures where withdrawn_at is not null")
    assert [row["sha256"].hex() for row in found] == 2 * [file_of(workbench, picture)]
    assert file_of(workbench, picture) not in files(workbench, built(workbench))
    assert not other.run(other.stage(other.sample("fresh", seed=77))).receipt.report.groups  # type: ignore[union-attr]


def test_the_same_pixels_in_another_file_are_withdrawn_too(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(6), each=1)
    one, another, *_ = known_pictures(workbench)
    workbench.query(
        "update pictures set pixel_sha256 = (select pixel_sha256 from pictures where id = %s) where id = %s",
        one,
        another,
    )
    assert set(taken(workbench, one).pictures) == {one, another}
    assert built(workbench).pictures == 4


def test_what_is_cut_from_any_row_of_a_withdrawn_photograph_is_withdrawn(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(3), each=1)
    sent_again(workbench, kept="verified = true")
    cut(workbench)
    picture = known_pictures(workbench, "parent is null")[0]
    done = taken(workbench, picture)
    assert len(done.pictures) == 4
    crops = rows(workbench, built(workbench, pictures="crops"))
    withdrawn = {str(one) for one in done.pictures}
    assert len(crops) == 4
    assert not {row["parent_id"] for row in crops} & withdrawn


def test_a_crop_is_withdrawn_without_the_photograph_that_it_was_cut_from(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(3), each=1)
    cut(workbench)
    crop = known_pictures(workbench, "parent is not null")[0]
    assert taken(workbench, crop).pictures == (crop,)
    assert (built(workbench).pictures, built(workbench, pictures="crops").pictures) == (3, 2)


def test_crops_that_are_cut_from_a_withdrawn_photograph_later_are_withdrawn(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(3), each=1)
    taken(workbench, known_pictures(workbench)[0])
    cut(workbench)
    with workbench.database.connection() as connection, changing(connection, actor="a test"):
        wait_for_withdrawing(connection)
        assert hold_withdrawn(connection, "p.parent is not null", {}) == 1
        assert hold_withdrawn(connection, "p.parent is not null", {}) == 0
    assert built(workbench, pictures="crops").pictures == 2


def test_pixels_that_are_measured_anew_withdraw_what_has_them(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(4), each=1)
    withdrawn, same, *_ = known_pictures(workbench)
    taken(workbench, withdrawn)
    # As other code measures them, the withdrawn file's and then another's.
    for picture in (withdrawn, same):
        workbench.query("update pictures set pixel_sha256 = sha256('measured anew') where id = %s", picture)
        with workbench.database.connection() as connection, changing(connection, actor="a test"):
            hold_withdrawn(connection, "p.id = %(id)s", {"id": picture})
    assert known_pictures(workbench, "withdrawn_at is not null") == sorted([withdrawn, same])


def test_a_withdrawal_at_the_moment_of_an_import_misses_nothing(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(2), each=1)
    picture = known_pictures(workbench)[0]
    with workbench.database.connection() as importing:
        wait_for_withdrawing(importing)
        importing.execute(
            "insert into pictures (id, picture, picture_set_id, nb_object, name, blob, sha256, size, format, width,"
            " height) select gen_random_uuid(), '{}', o.picture_set_id, 1, 'again', 'again', p.sha256, 1, 'PNG', 1, 1"
            " from pictures p join pictures o on o.id <> p.id where p.id = %s",
            (picture,),
        )
        hold_withdrawn(importing, "true", {})
        withdrawing = threading.Thread(target=taken, args=(workbench, picture))
        withdrawing.start()
        waiting = "select 1 as one from pg_locks where locktype = 'advisory' and classid = %s and not granted"
        while not workbench.query(waiting, LOCK_WITHDRAWING):
            assert withdrawing.is_alive()
    withdrawing.join()
    assert len(known_pictures(workbench, "withdrawn_at is not null")) == 2


# Holding out


def sides(bench: Workbench, made: Built, column: str = "sha256") -> dict[str, str]:
    return {row[column]: row["split"] for row in rows(bench, made)}


@pytest.mark.parametrize("pictures", ["whole", "crops"])
@pytest.mark.parametrize("owner", ["mine", "theirs"])
def test_what_was_held_out_stays_so_after_a_correction_and_when_it_is_sent_again_by_anybody(
    workbench: Workbench, other: Workbench, generated: Generated, pictures: str, owner: str
) -> None:
    generated.fill(range(40), each=4)
    cut(workbench, own_bytes=False)
    first = released(workbench, pictures=pictures)
    held = {file: side for file, side in sides(workbench, first).items() if side != "train"}
    # Of every session a picture is taken out, and what is left is sent as another session.
    workbench.query("update pictures set superseded_at = now() where name = '0.tiff'")
    sent_again(workbench, owner=other.user.id if owner == "theirs" else None)
    second = built(workbench, pictures=pictures, keep_held_out_from="previous", seed=7)
    now = sides(workbench, second)
    assert second.pictures == 120
    kept = held.keys() & now.keys()
    assert 3 * len(held) == 4 * len(kept)
    assert {file: now[file] for file in kept} == {file: held[file] for file in kept}


def test_whole_pictures_hold_out_the_crops_of_other_rows_and_crops_the_whole_ones(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(40), each=1)
    cut(workbench)
    whole, crops = released(workbench, name="whole"), released(workbench, name="crops", pictures="crops", seed=3)
    of_crop = {row["picture_id"]: row["photograph_sha256"] for row in rows(workbench, crops)}
    held_whole = {file: side for file, side in sides(workbench, whole).items() if side != "train"}
    held_crops = {of_crop[one]: side for one, side in sides(workbench, crops, "picture_id").items() if side != "train"}
    sent_again(workbench)
    after = built(workbench, name="a", pictures="crops", keep_held_out_from="whole", seed=5)
    assert held_whole.items() <= sides(workbench, after, "photograph_sha256").items()
    back = built(workbench, name="b", keep_held_out_from="crops", seed=6)
    assert held_crops.items() <= sides(workbench, back).items()


def test_other_files_of_the_pixels_that_were_held_out_are_held_out(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(40), each=1)
    first = released(workbench)
    held = {row["pixel_sha256"]: row["split"] for row in rows(workbench, first) if row["split"] != "train"}
    sent_again(workbench)
    workbench.query("update pictures set sha256 = sha256(sha256) where superseded_at is null")
    second = built(workbench, keep_held_out_from="previous", seed=7)
    assert held.items() <= sides(workbench, second, "pixel_sha256").items()


# On one side


def test_crops_of_two_rows_of_one_photograph_are_one_group_though_their_own_bytes_differ(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(30), each=1)
    sent_again(workbench, kept="verified = true")
    cut(workbench)
    made = built(workbench, pictures="crops")
    assert (made.pictures, made.groups) == (60, 30)
    found: dict[str, set[str]] = {}
    for row in rows(workbench, made):
        found.setdefault(row["photograph_sha256"], set()).add(row["split"])
    assert len(found) == 30
    assert all(len(side) == 1 for side in found.values())


@pytest.mark.parametrize("pictures", ["whole", "crops"])
def test_a_decision_about_two_photographs_holds_for_their_other_rows(
    workbench: Workbench, generated: Generated, pictures: str
) -> None:
    generated.fill(range(12), each=1)
    one, another, *_ = known_pictures(workbench)
    pair = {file_of(workbench, one), file_of(workbench, another)}
    with workbench.database.connection() as connection:
        decide_pair(connection, one, another, Decision.DUPLICATE, by="Ada")
    sent_again(workbench)
    cut(workbench, "superseded_at is null")
    column = "sha256" if pictures == "whole" else "photograph_sha256"
    made = rows(workbench, built(workbench, pictures=pictures))
    assert len({row["group"] for row in made if row[column] in pair}) == 1
    assert len({row["group"] for row in made}) == 11


def test_a_photograph_that_is_sent_again_in_another_folder_stays_on_its_side(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(60))
    recipe = {"cap_per_class": 21, "seed": 4}
    first = built(workbench, **recipe)
    sent_again(workbench)
    assert sides(workbench, built(workbench, **recipe)) == sides(workbench, first)


# The digest


def test_archiving_and_a_rename_and_other_rows_leave_the_digest_and_what_is_learned_changes_it(
    workbench: Workbench, other: Workbench, generated: Generated
) -> None:
    generated.fill(range(20))
    cut(workbench, own_bytes=False)
    recipes: tuple[dict[str, Any], ...] = ({"near_duplicate_bits": 12}, {"name": "crops", "pictures": "crops"})
    first = [built(workbench, **recipe).digest for recipe in recipes]

    def again() -> list[tuple[bool, bool]]:
        made = [built(workbench, **recipe) for recipe in recipes]
        return [(one.digest == digest, one.new) for one, digest in zip(made, first, strict=True)]

    for unimportant in (
        (
            "update pictures set name = 'renamed ' || name, blob = 'elsewhere/' || blob,"
            ' picture = picture || \'{"user_data": {"zoom": 3, "description": "corrected"}}\''
        ),
        "update pictures set sharpness = 1, quality_score = 0.5, captured_at = now()",
        "update picture_set set name = 'renamed', archived_at = now()",
    ):
        workbench.query(unimportant)
        assert again() == [(True, False)] * 2, unimportant
    sent_again(workbench, owner=other.user.id)
    assert again() == [(True, False)] * 2
    for important in (
        (
            "update pictures set sha256 = sha256(sha256) where id = any(array(select id from pictures"
            " where superseded_at is null and parent is null order by sha256 limit 1))"
            " or parent = any(array(select id from pictures where superseded_at is null and parent is null limit 1))"
        ),
        (
            "update pictures set nb_object = nb_object + 1, bounding_box ="
            " case when parent is not null then array[1, 2, 10, 8] end"
        ),
        (
            "update picture_seed set seed_id = (select id from seeds where name = 'Solanum nigrum')"
            " where seed_id = (select id from seeds where name = 'Brassica napus')"
        ),
    ):
        workbench.query(important)
        assert again() == [(False, True)] * 2, important
        first = [built(workbench, **recipe).digest for recipe in recipes]
    for other_split in ({"seed": 8}, {"splits": {"train": 0.5, "test": 0.5}}):
        assert built(workbench, **other_split).digest not in first


def test_a_folder_that_is_archived_leaves_the_digest_and_its_version_is_found_and_exported(
    workbench: Workbench,
) -> None:
    send(workbench)
    first = released(workbench)
    keeper = FolderKeeper(database=workbench.database, blobs=workbench.blobs)
    for row in workbench.query("select id from picture_set"):
        keeper.archive(row["id"], by="ada@example.org", why="Done with it")
    second = built(workbench)
    assert (second.digest, second.new, second.id) == (first.digest, False, first.id)
    with workbench.database.connection() as connection:
        assert recorded(connection, first.id).withdrawn == 0
    stated = pq.read_table(io.BytesIO(workbench.blobs.read(second.container, second.blob))).to_pylist()
    assert {row["container"] for row in stated} == {workbench.user.user_container}


def test_a_corrected_zoom_leaves_the_digest(workbench: Workbench) -> None:
    folder = workbench.sample()
    workbench.run(workbench.stage(folder))
    first = built(workbench)
    edit(folder / "pictures/session1/index.yaml", "userData", zoom=44, description="corrected")
    workbench.run(workbench.stage(folder, replace=True))
    assert workbench.query("select distinct zoom from pictures") != [{"zoom": 30.0}]
    assert (built(workbench).digest, built(workbench).new) == (first.digest, False)


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 5), st.integers(1, 40))
def test_in_whatever_order_rows_come_sides_and_caps_are_the_same_for_the_same_content(
    random: Any, seed: int, most: int
) -> None:
    n = 60
    content = np.array([list(uuid5(NAMESPACE, f"{number // 2}").bytes) for number in range(n)], np.uint8)
    label, session = np.arange(n) // 2 % 3, np.arange(n) // 6

    def chosen(order: list[int]) -> list[tuple[bytes, bool, int]]:
        first: dict[int, int] = {}
        group = np.array([first.setdefault(int(session[one]), place) for place, one in enumerate(order)])
        stays = capped(label[order], group, content[order], most=most, seed=seed)
        fractions = {"train": 0.6, "validation": 0.2, "test": 0.2}
        found = split(group, label[order], fractions=fractions, seed=seed, key=content[order])
        return sorted(zip((content[one].tobytes() for one in order), stays.tolist(), found.split.tolist(), strict=True))

    order = list(range(n))
    random.shuffle(order)
    assert chosen(order) == chosen(list(range(n)))


# What became of a version's pictures


def test_what_a_correction_took_out_is_told_apart_from_what_is_live_in_another_row(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(10))
    made = built(workbench)
    current = current_versions(workbench.rules)

    def counted() -> tuple[int, int, int]:
        with workbench.database.connection() as connection:
            found = not_current(connection, made.id, current)
            return found.superseded, found.withdrawn, recorded(connection, made.id).withdrawn

    assert counted() == (0, 0, 0)
    sent_again(workbench)
    assert counted() == (0, 0, 0)
    live = known_pictures(workbench, "superseded_at is null")
    workbench.query("update pictures set superseded_at = now() where id = any(%s)", live[:3])
    assert counted() == (3, 0, 0)
    taken(workbench, live[0])
    assert counted() == (2, 1, 1)
    workbench.query("update picture_set set deleted_at = now()")
    assert counted() == (0, 20, 20)


def test_a_manifest_says_which_photograph_a_crop_was_cut_from(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(2), each=1)
    cut(workbench)
    found = workbench.query(
        "select p.id::text, encode(q.sha256, 'hex') as file, encode(q.pixel_sha256, 'hex') as pixels"
        " from pictures p join pictures q on q.id = p.parent order by p.id"
    )
    stated = rows(workbench, built(workbench, pictures="crops"))
    names = ("picture_id", "photograph_sha256", "photograph_pixel_sha256")
    assert [tuple(row[name] for name in names) for row in stated] == [tuple(row.values()) for row in found]
    assert {row["photograph_sha256"] for row in rows(workbench, built(workbench))} == {None}


def test_what_is_missing_from_a_version_and_back_in_the_next_stays_held_out(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(40), each=1)
    held = {file: side for file, side in sides(workbench, released(workbench)).items() if side != "train"}
    # Their folders are deleted, a version is made without them, and somebody brings them back.
    hidden = [bytes.fromhex(file) for file in held]
    folders = "id in (select picture_set_id from pictures where sha256 = any(%s))"
    workbench.query(f"update picture_set set deleted_at = now() where {folders}", hidden)
    without = released(workbench, keep_held_out_from="previous", seed=7)
    assert not held.keys() & sides(workbench, without).keys()
    workbench.query(f"update picture_set set deleted_at = null where {folders}", hidden)

    after = built(workbench, keep_held_out_from="previous", seed=7)

    assert held.items() <= sides(workbench, after).items()
