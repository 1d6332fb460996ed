import hashlib
import io
import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4, uuid5

import psycopg
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.database.connection import Database
from nachet_pipeline.identifiers import NAMESPACE, picture_seed_id, seed_id
from nachet_pipeline.picture_sets.duplicates import Decision, decide_pair
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.storage.blobs import StorageError
from nachet_pipeline.training import building
from nachet_pipeline.training.building import Built, build, make_current
from nachet_pipeline.training.manifest import SCHEMA, open_manifest
from nachet_pipeline.training.queries import (
    UnknownTrainingSetError,
    WithdrawnMeanwhileError,
    current_version,
    difference,
    memberships,
    version_of,
    versions,
    withdraw,
)
from nachet_pipeline.training.recipe import Recipe, RecipeError
from nachet_pipeline.users.registering import register_user
from nachet_pipeline_tests.outbox import told
from nachet_pipeline_tests.registries import load, merged, renamed
from nachet_pipeline_tests.workbench import Workbench, edit

EVERY = Recipe(name="all-pictures", near_duplicate_bits=None)


def import_sample(workbench: Workbench, name: str = "project", **settings: int) -> None:
    outcome = workbench.run(workbench.stage(workbench.sample(name, **settings)))
    assert outcome.receipt.state is State.IMPORTED


def built(workbench: Workbench, **recipe: Any) -> Built:
    return build(Recipe.model_validate({**EVERY.model_dump(), **recipe}), workbench.database, workbench.blobs)


def released(workbench: Workbench, **recipe: Any) -> Built:
    """A version that is the current one now."""
    made = built(workbench, **recipe)
    make_current(made, workbench.database, workbench.blobs)
    return made


def rows(workbench: Workbench, made: Built) -> list[dict[str, Any]]:
    content = workbench.blobs.read(made.container, made.blob)
    with open_manifest(io.BytesIO(content)) as manifest:
        manifest.verify()
        assert manifest.metadata.digest == made.digest
    table = pq.read_table(io.BytesIO(content))
    assert table.schema.equals(SCHEMA)
    found = table.to_pylist()
    assert len(found) == made.pictures
    return found


def pictures(workbench: Workbench, made: Built) -> set[str]:
    return {row["picture_id"] for row in rows(workbench, made)}


def known_pictures(workbench: Workbench, where: str = "true") -> list[UUID]:
    return [row["id"] for row in workbench.query(f"select id from pictures p where {where} order by id")]


def codes(made: Built) -> list[str]:
    return [note.code for note in made.notes]


class Generated:
    """Rows of pictures whose files nobody has: sets of some pictures, each set of one species."""

    def __init__(self, workbench: Workbench, database: Database, owner: UUID) -> None:
        self.database = database
        self.workbench = workbench
        self.owner = owner

    def fill(self, sets: range, *, each: int = 2, species: int = 3, backwards: bool = False) -> None:
        """Pictures of these sets; nothing but their numbers decides what they are."""
        with self.database.connection() as connection:
            upload = uuid5(NAMESPACE, f"upload {sets}")
            container = connection.execute("select id from container where owner_id = %s", (self.owner,)).fetchone()
            assert container
            connection.execute(
                "insert into upload (id, owner_id, folder, state) values (%s, %s, %s, 'imported')",
                (upload, self.owner, f"folder {sets}"),
            )
            names = ["Brassica napus", "Brassica juncea", "Cirsium arvense"][:species]
            for number in reversed(sets) if backwards else sets:
                self._add_set(connection, number, upload, container["id"], names[number % species], each)

    def _add_set(self, connection: Any, number: int, upload: UUID, container: UUID, name: str, each: int) -> None:
        picture_set = uuid5(NAMESPACE, f"set {number}")
        connection.execute(
            "insert into picture_set (id, picture_set, owner_id, name, container_id, upload_id, digest)"
            " values (%s, '{}', %s, %s, %s, %s, '')",
            (picture_set, self.owner, f"session {number}", container, upload),
        )
        for place in range(each):
            picture = uuid5(NAMESPACE, f"picture {number} {place}")
            chance = hashlib.sha256(picture.bytes)
            connection.execute(
                "insert into pictures (id, picture, picture_set_id, nb_object, name, blob, sha256, size, format, width,"
                " height, pixel_sha256, perceptual_hash, quality_score, sharpness, captured_at)"
                " values (%s, %s, %s, %s, %s, %s, %s, 10, 'TIFF', 64, 48, %s, %s, %s, %s, '2026-05-01T12:00:00Z')",
                (
                    picture,
                    json.dumps({"user_data": {"zoom": 10 + number}}),
                    picture_set,
                    1 + number % 3,
                    f"{place}.tiff",
                    f"{picture_set}/{picture}.tiff",
                    chance.digest(),
                    hashlib.sha256(b"pixels" + picture.bytes).digest(),
                    hashlib.sha256(b"looks" + picture.bytes).digest(),
                    (number % 10) / 10,
                    number * 10.0,
                ),
            )
            connection.execute(
                "insert into picture_seed (id, picture_id, seed_id) values (%s, %s, %s)",
                (picture_seed_id(picture, seed_id(name)), picture, seed_id(name)),
            )


@pytest.fixture
def generated(workbench: Workbench) -> Generated:
    return Generated(workbench, workbench.database, workbench.user.id)


# What is in it


def test_every_row_agrees_with_the_database_and_with_the_bytes_it_points_at(workbench: Workbench) -> None:
    import_sample(workbench, sessions=3, pictures=2)
    made = built(workbench)
    found = rows(workbench, made)
    known = workbench.query(
        "select p.id::text as picture_id, p.picture_set_id::text, s.owner_id::text, seeds.name as scientific_name,"
        " seeds.id::text as taxon_id, p.nb_object as number_of_seeds, 30.0::float8 as zoom, c.name as container, blob,"
        " encode(sha256, 'hex') as sha256, size, format, width, height, encode(pixel_sha256, 'hex') as pixel_sha256,"
        " encode(perceptual_hash, 'hex') as perceptual_hash, sharpness::float8, quality_score::float8, captured_at"
        " from pictures p join picture_set s on s.id = picture_set_id join container c on c.id = container_id"
        " join picture_seed l on l.picture_id = p.id join seeds on seeds.id = l.seed_id order by p.id"
    )
    assert [{name: row[name] for name in known[0]} for row in found] == known
    assert made.pictures == len(found) == 6
    for row in found:
        container, _, blob = row["url"].removeprefix(f"{workbench.blobs.account_url}/").partition("/")
        content = workbench.blobs.read(container, blob)
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
        assert len(content) == row["size"]
        assert row["label"] == f"{row['class_index']:03} {row['scientific_name']}"
    members = workbench.query('select picture_id::text, split, class_index, "group"::text from training_set_member')
    sides = ("train", "validation", "test")
    columns = ("picture_id", "split", "class_index", "group")
    recorded = [{**one, "split": sides[one["split"]]} for one in members]
    stated = [[row[name] for name in columns] for row in found]
    assert sorted([one[name] for name in columns] for one in recorded) == stated
    counted = {one.label: {side: count for side, count in one.counts.items() if count} for one in made.classes}
    for label, counts in counted.items():
        assert counts == {side: sum((row["label"], row["split"]) == (label, side) for row in found) for side in counts}


def test_an_empty_database_makes_an_empty_training_set(workbench: Workbench) -> None:
    made = built(workbench)
    assert (made.pictures, made.classes, made.groups, rows(workbench, made)) == (0, (), 0, [])
    assert not built(workbench).new


def test_a_picture_that_shows_two_species_is_left_out_and_counted(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(3))
    both = known_pictures(workbench)[0]
    other = seed_id("Solanum nigrum")
    workbench.query(
        "insert into picture_seed (id, picture_id, seed_id) values (%s, %s, %s)",
        picture_seed_id(both, other),
        both,
        other,
    )
    made = built(workbench)
    assert str(both) not in pictures(workbench, made)
    assert made.pictures == 5
    assert [str(note) for note in made.notes if note.code == "several-species"] == [
        "1 pictures show more than one species and were left out."
    ]
    shown = workbench.query(
        "select name from seeds join picture_seed on seed_id = seeds.id where picture_id = %s", both
    )
    for species in shown:
        assert str(both) not in pictures(workbench, built(workbench, species=(species["name"],)))


@pytest.mark.parametrize(
    ("recipe", "where"),
    [
        ({"species": ("brassica NAPUS",)}, "nb_object = 1"),
        ({"seeds_per_picture": (2, 3)}, "nb_object in (2, 3)"),
        ({"zoom": {"min": 12, "max": 14}}, "(picture -> 'user_data' ->> 'zoom')::float between 12 and 14"),
        ({"verified_only": True}, "verified"),
        ({"minimum_sharpness": 30}, "sharpness >= 30"),
        ({"minimum_quality": 0.45}, "quality_score >= 0.45"),
        ({"captured": {"from": "2026-05-01", "to": "2026-05-01"}}, "captured_at is not null"),
        ({"captured": {"from": "2026-05-02"}}, "false"),
        ({"captured": {"to": "2026-04-30"}}, "false"),
        ({"imported": {"to": "2020-12-31"}}, "upload_date < '2021-01-01T00:00:00Z'"),
        ({"imported": {"from": "2021-01-01"}}, "upload_date >= '2021-01-01T00:00:00Z'"),
    ],
)
def test_a_recipe_chooses_the_pictures_that_it_says(
    workbench: Workbench, generated: Generated, recipe: dict[str, Any], where: str
) -> None:
    generated.fill(range(9))
    workbench.query("update pictures set verified = true where nb_object = 2 and name = '0.tiff'")
    workbench.query(
        "update pictures set sharpness = null, quality_score = null, captured_at = null where name = '1.tiff'"
    )
    workbench.query("update pictures set upload_date = '2020-12-31T23:59:59.9Z' where nb_object = 3")
    wanted = {str(one) for one in known_pictures(workbench, where)}
    assert pictures(workbench, built(workbench, **recipe)) == wanted
    if where != "false":
        assert 0 < len(wanted) < 18


def test_a_recipe_chooses_by_owner(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(2))
    other = workbench.another_user("other-owner@example.org")
    Generated(workbench, workbench.database, other.user.id).fill(range(10, 13))
    mine = built(workbench, users=("Other-Owner@Example.org",))
    assert {row["owner_id"] for row in rows(workbench, mine)} == {str(other.user.id)}
    assert mine.pictures == 6


def test_crops_are_chosen_instead_of_whole_pictures_and_know_what_they_were_cut_from(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(4))
    parents = known_pictures(workbench)
    for parent in parents[:3]:
        for place in range(2):
            crop = uuid5(NAMESPACE, f"crop {parent} {place}")
            workbench.query(
                "insert into pictures (id, picture, picture_set_id, parent, nb_object, name, blob, sha256, size,"
                " format, width, height, bounding_box, detector, superseded_at) select %s, '{}', picture_set_id, id, 1,"
                " name, blob || %s, sha256(%s), 5, 'TIFF', 8, 6, array[1, 2, 9, 8], 'test 1', %s::timestamptz"
                " from pictures where id = %s",
                crop,
                str(place),
                crop.bytes,
                "2026-01-01" if parent == parents[2] and place else None,
                parent,
            )
            workbench.query(
                "insert into picture_seed (id, picture_id, seed_id) select %s, %s, seed_id from picture_seed"
                " where picture_id = %s",
                uuid5(NAMESPACE, f"link {crop}"),
                crop,
                parent,
            )
    assert built(workbench).pictures == 8
    found = rows(workbench, built(workbench, pictures="crops"))
    assert [row["parent_id"] for row in found].count(str(parents[2])) == 1
    assert {row["parent_id"] for row in found} == {str(one) for one in parents[:3]}
    assert {tuple(row[f"box_{side}"] for side in ("left", "top", "right", "bottom")) for row in found} == {(1, 2, 9, 8)}
    assert {row["zoom"] for row in found} <= {10.0, 11.0, 12.0, 13.0}
    assert all(row["captured_at"] is not None for row in found)
    sides: dict[str, set[str]] = {}
    for row in found:
        sides.setdefault(row["parent_id"], set()).add(row["split"])
    assert all(len(side) == 1 for side in sides.values())
    with workbench.database.connection() as connection:
        withdraw(connection, parents[0], by="Ada", why="The wrong species")
    assert {row["parent_id"] for row in rows(workbench, built(workbench, pictures="crops"))} == {
        str(one) for one in parents[1:3]
    }


def test_no_class_has_more_than_its_cap_and_most_of_it_stays_when_pictures_are_added(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(60), species=2)
    first = built(workbench, cap_per_class=21, seed=2)
    assert [sum(one.counts.values()) for one in first.classes] == [21, 21]
    assert "capped" in codes(first)
    generated.fill(range(60, 66), species=2)
    second = built(workbench, cap_per_class=21, seed=2)
    assert [sum(one.counts.values()) for one in second.classes] == [21, 21]
    assert len(pictures(workbench, first) & pictures(workbench, second)) >= 34
    assert pictures(workbench, built(workbench, cap_per_class=21, seed=1)) != pictures(workbench, second)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (
            {"species": ("Brassica nappus",)},
            "species: expected a registered species, found 'Brassica nappus'; did you mean",
        ),
        ({"label_map": {"Unknown plant": 1}}, "label_map: expected a registered species, found 'Unknown plant'"),
        ({"species": ("Brassica napus", str(seed_id("Brassica napus")))}, "species: expected each species once"),
        ({"users": ("nobody@example.org",)}, "users: expected a registered user, found 'nobody@example.org'"),
        ({"keep_held_out_from": "other"}, "keep_held_out_from: expected a training set that was built, found other"),
    ],
)
def test_a_recipe_that_names_what_is_not_there_is_refused(
    workbench: Workbench, recipe: dict[str, Any], said: str
) -> None:
    with pytest.raises(RecipeError, match=f"recipe all-pictures: {said}"):
        built(workbench, **recipe)
    assert workbench.query("select id from training_set") == []


# Its identity


def test_the_same_pictures_are_not_published_twice(workbench: Workbench) -> None:
    import_sample(workbench, sessions=2)
    first = built(workbench)
    version = workbench.versions(first.container)[first.blob]
    again = built(workbench)
    assert (first.new, again.new) == (True, False)
    assert replace(again, new=True) == first
    assert workbench.versions(first.container)[first.blob] == version
    assert len(workbench.query("select id from training_set")) == 1
    assert len(workbench.query("select picture_id from training_set_member")) == first.pictures
    assert [
        row["action"] for row in workbench.query("select action from audit_trail where subject = 'training set'")
    ] == ["built"]


def test_another_database_and_another_order_of_imports_make_the_same_digest(
    workbench: Workbench, generated: Generated, migrated_database: str
) -> None:
    generated.fill(range(30))
    here = built(workbench, near_duplicate_bits=12)
    name = f"{migrated_database[:40]}_other"
    place, _, _ = workbench.database_url.get_secret_value().rpartition("/")
    with psycopg.connect(workbench.database_url.get_secret_value(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_database}"')
    try:
        with Database(SecretStr(f"{place}/{name}")) as database:
            # The same person, as identifiers follow from the address; everything else in another order.
            register_user(database, workbench.blobs, "first@example.org")
            user = register_user(database, workbench.blobs, workbench.user.email)
            there = Generated(workbench, database, user.id)
            there.fill(range(15, 30), backwards=True)
            there.fill(range(15), backwards=True)
            other = build(Recipe(name="all-pictures"), database, workbench.blobs)
    finally:
        with psycopg.connect(workbench.database_url.get_secret_value(), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    assert other.new
    assert other.digest == here.digest
    assert (other.classes, other.groups) == (here.classes, here.groups)


def test_another_address_of_the_account_makes_the_same_digest(
    workbench: Workbench, generated: Generated, monkeypatch: pytest.MonkeyPatch
) -> None:
    generated.fill(range(3))
    written: list[str] = []
    real = building._write
    for address in ("https://one.example", "http://127.0.0.1:1/two"):
        monkeypatch.setattr(
            building, "_write", lambda *given, at=address: written.append(real(*given[:4], at, given[5])) or written[-1]
        )
        built(workbench)
    assert len(set(written)) == 1 < len(written)


def test_another_picture_makes_another_version_and_the_first_stays(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(3))
    first = released(workbench)
    generated.fill(range(3, 5))
    second = released(workbench)
    assert second.new
    assert second.digest != first.digest
    assert pictures(workbench, first) < pictures(workbench, second)
    assert second.previous == first.digest
    assert second.difference is not None
    assert (second.difference.added.count, second.difference.removed.count) == (4, 0)
    assert {str(one) for one in second.difference.added.sample} == pictures(workbench, second) - pictures(
        workbench, first
    )
    latest = json.loads(workbench.blobs.read(second.container, "latest.json"))
    assert (latest["digest"], latest["manifest"], latest["pictures"]) == (second.digest, second.blob, 10)
    stored = workbench.query("select digest, pictures from training_set order by pictures")
    assert [(row["digest"], row["pictures"]) for row in stored] == [(first.digest, 6), (second.digest, 10)]


def test_a_version_is_current_only_when_it_is_made_so(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(3))
    first = released(workbench)
    generated.fill(range(3, 5))
    second = built(workbench)
    with workbench.database.connection() as connection:
        current = current_version(connection, "all-pictures")
        assert current is not None
        assert current.digest == first.digest
        assert version_of(connection, "all-pictures").digest == first.digest
    assert json.loads(workbench.blobs.read(first.container, "latest.json"))["digest"] == first.digest
    make_current(second, workbench.database, workbench.blobs)
    make_current(second, workbench.database, workbench.blobs)
    with workbench.database.connection() as connection:
        assert [(one.digest, one.current) for one in versions(connection, "all-pictures")] == [
            (second.digest, True),
            (first.digest, False),
        ]
    audit = workbench.query("select action from audit_trail where subject = 'training set' order by id")
    assert [row["action"] for row in audit] == ["built", "made current", "built", "made current"]


def test_a_corrected_species_makes_another_version_that_tells_it(workbench: Workbench) -> None:
    folder = workbench.sample()
    workbench.run(workbench.stage(folder))
    first = released(workbench)
    edit(folder / "pictures/session1/index.yaml", "seedData", seedSpecies="juncea")
    workbench.run(workbench.stage(folder))
    second = built(workbench)
    assert second.digest != first.digest
    assert {row["label"] for row in rows(workbench, second)} == {"001 Brassica juncea"}
    assert "class-index-unused" in codes(second)
    assert second.difference is not None
    assert second.difference.relabelled.count == 2
    assert set(second.difference.relabelled.sample) == set(known_pictures(workbench))


# Labels


def labels(workbench: Workbench, made: Built) -> dict[str, tuple[str, str]]:
    """The taxon's identifier and the label of every picture."""
    found = rows(workbench, made)
    assert len({row["picture_id"] for row in found}) == len(found)
    return {row["picture_id"]: (row["taxon_id"], row["label"]) for row in found}


def test_labels_stay_when_a_species_is_renamed_and_when_one_is_added(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(4), species=2)
    first = labels(workbench, built(workbench))
    assert {label for _, label in first.values()} == {"000 Brassica juncea", "001 Brassica napus"}
    load(workbench, renamed(packaged_seeds(), "Brassica juncea", "Zinnia besseriana"))
    generated.fill(range(5, 6))
    second = labels(workbench, built(workbench))
    assert {picture: second[picture][0] for picture in first} == {
        picture: taxon for picture, (taxon, _) in first.items()
    }
    assert {label for _, label in second.values()} == {
        "000 Zinnia besseriana",
        "001 Brassica napus",
        "002 Cirsium arvense",
    }


def test_labels_of_a_merged_species_become_those_of_the_surviving_one(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(4), species=2)
    first = labels(workbench, built(workbench))
    load(workbench, merged(packaged_seeds(), "Brassica juncea", "Brassica napus"))
    second = labels(workbench, built(workbench))
    assert second == dict.fromkeys(first, (str(seed_id("Brassica napus")), "001 Brassica napus"))


def test_a_picture_that_still_waits_to_be_linked_to_the_surviving_species_has_its_label_once(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(1))
    load(workbench, merged(packaged_seeds(), "Brassica juncea", "Brassica napus"))
    waiting, both = known_pictures(workbench)
    late = seed_id("Brassica juncea")
    workbench.query("update picture_seed set seed_id = %s where picture_id = %s", late, waiting)
    workbench.query(
        "insert into picture_seed (id, picture_id, seed_id) values (%s, %s, %s)",
        picture_seed_id(both, late),
        both,
        late,
    )
    survivor = (str(seed_id("Brassica napus")), "000 Brassica napus")
    for species in ((), ("Brassica napus",)):
        assert labels(workbench, built(workbench, species=species)) == {str(waiting): survivor, str(both): survivor}


def test_species_that_a_recipe_names_are_classes_in_its_order_even_without_pictures(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(4), species=2)
    made = built(workbench, species=("Solanum nigrum", "Brassica napus"))
    assert [(one.label, sum(one.counts.values())) for one in made.classes] == [
        ("000 Solanum nigrum", 0),
        ("001 Brassica napus", 4),
    ]
    mapped = built(workbench, name="mapped", label_map={"Brassica napus": 5, "Solanum nigrum": 2})
    assert [(one.class_index, sum(one.counts.values())) for one in mapped.classes] == [(2, 0), (5, 4), (6, 4)]
    with pytest.raises(RecipeError, match="label_map: the index 4 stands against what earlier versions"):
        built(workbench, name="mapped", label_map={"Brassica napus": 4})


# Groups and sides


def test_pictures_of_one_session_are_never_on_two_sides(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(30))
    made = built(workbench)
    sides: dict[str, set[str]] = {}
    groups: dict[str, set[str]] = {}
    for row in rows(workbench, made):
        sides.setdefault(row["picture_set_id"], set()).add(row["split"])
        groups.setdefault(row["group"], set()).add(row["picture_id"])
    assert made.groups == len(sides) == len(groups) == 30
    assert all(len(side) == 1 for side in sides.values())
    assert all(group == min(members) for group, members in groups.items())
    assert {side for one in sides.values() for side in one} == {"train", "validation", "test"}


def test_equal_files_equal_pixels_and_equal_looks_make_one_group_and_decisions_count(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(12), each=1, species=1)
    ids = known_pictures(workbench)
    copying = "update pictures set {0} = (select {0} from pictures where id = %s) where id = %s"
    for place, column in enumerate(("sha256", "pixel_sha256", "perceptual_hash", "perceptual_hash")):
        workbench.query(copying.format(column), ids[2 * place], ids[2 * place + 1])
    with workbench.database.connection() as connection:
        decide_pair(connection, ids[6], ids[7], Decision.DIFFERENT, by="Ada")
        decide_pair(connection, ids[8], ids[9], Decision.DUPLICATE, by="Ada")
    made = built(workbench, near_duplicate_bits=12)
    group = {row["picture_id"]: row["group"] for row in rows(workbench, made)}
    together = [group[str(one)] == group[str(other)] for one, other in zip(ids[::2], ids[1::2], strict=True)]
    assert together == [True, True, True, False, True, False], group
    assert [ids.index(UUID(group[str(one)])) for one in ids] == [0, 0, 2, 2, 4, 4, 6, 7, 8, 8, 10, 11]
    assert made.groups == 8
    assert made.near_pairs.sample == ((ids[4], ids[5], 0),)
    without = built(workbench, near_duplicate_bits=None)
    assert without.groups == 9
    assert without.near_pairs.count == 0


def held_out(workbench: Workbench, made: Built) -> dict[str, str]:
    return {row["picture_id"]: row["split"] for row in rows(workbench, made) if row["split"] != "train"}


@pytest.mark.parametrize("source", ["previous", "first"])
def test_what_an_earlier_version_held_out_stays_held_out(
    workbench: Workbench, generated: Generated, source: str
) -> None:
    generated.fill(range(40))
    first = released(workbench, name="first")
    held = held_out(workbench, first)
    generated.fill(range(40, 60))
    name = "first" if source == "previous" else "second"
    kept = released(workbench, name=name, keep_held_out_from=source, seed=7)
    assert held.items() <= held_out(workbench, kept).items()
    again = released(workbench, name=name, keep_held_out_from=source, seed=7)
    assert (again.digest, again.new) == (kept.digest, False)
    assert not held.items() <= held_out(workbench, built(workbench, name="other", seed=7)).items()


def test_crops_stay_held_out_with_the_pictures_they_were_cut_from(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(40), each=1)
    whole = released(workbench, name="whole")
    workbench.query(
        "insert into pictures (id, picture, picture_set_id, parent, nb_object, name, blob, sha256, size, format, width,"
        " height, bounding_box, detector) select md5(id::text)::uuid, '{}', picture_set_id, id, 1, name, blob || 'c',"
        " sha256(id::text::bytea), 5, 'TIFF', 8, 6, array[1, 2, 9, 8], 'test 1' from pictures"
    )
    workbench.query(
        "insert into picture_seed (id, picture_id, seed_id) select md5(picture_id::text || 'l')::uuid,"
        " md5(picture_id::text)::uuid, seed_id from picture_seed"
    )
    crops = released(workbench, name="crops", pictures="crops", keep_held_out_from="whole", seed=5)
    parents = {row["parent_id"]: row["split"] for row in rows(workbench, crops)}
    held = held_out(workbench, whole)
    assert held
    assert held.items() <= parents.items()
    back = built(workbench, name="back", keep_held_out_from="crops", seed=9)
    sides = {row["picture_id"]: row["split"] for row in rows(workbench, back)}
    assert {picture: side for picture, side in parents.items() if side != "train"}.items() <= sides.items()


# From set to picture and back, withdrawing


def test_a_set_leads_to_picture_upload_and_owner_and_a_picture_to_its_sets(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(3))
    one, other = released(workbench), built(workbench, name="other")
    picture = known_pictures(workbench)[0]
    with workbench.database.connection() as connection:
        found = memberships(connection, picture)
        (place,) = memberships(connection, picture, one.id)
    assert {(item.name, item.digest, item.current) for item in found} == {
        ("all-pictures", one.digest, True),
        ("other", other.digest, False),
    }
    (row,) = [row for row in rows(workbench, one) if row["picture_id"] == str(picture)]
    assert (place.split, place.class_index, str(place.group)) == (row["split"], row["class_index"], row["group"])
    assert (place.container, place.blob, place.owner) == (row["container"], row["blob"], workbench.user.email)
    assert place.folder == "folder range(0, 3)"
    with workbench.database.connection() as connection, pytest.raises(UnknownTrainingSetError, match="no picture"):
        memberships(connection, UUID(int=1))


def test_withdrawing_a_picture_names_the_sets_it_taints_and_keeps_it_out_of_later_ones(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(3))
    first = released(workbench)
    built(workbench, name="napus", species=("Brassica napus",))
    picture = known_pictures(workbench, "nb_object = 2")[0]
    with workbench.database.connection() as connection:
        done = withdraw(connection, picture, by="ada@example.org", why="Its owner asks for it")
        again = withdraw(connection, picture, by="ada@example.org", why="Its owner asks for it")
    assert [(version.name, version.withdrawn) for version in done.tainted] == [("all-pictures", 1)]
    assert [event.subject for event in told(workbench.database, "training_set.tainted")] == ["all-pictures"]
    assert (done.new, again.new) == ((picture,), ())
    audit = workbench.query("select actor, action, subject_id, after from audit_trail where action = 'withdrawn'")
    assert len(audit) == 1
    assert (audit[0]["actor"], audit[0]["action"], audit[0]["subject_id"]) == ("ada@example.org", "withdrawn", picture)
    assert audit[0]["after"]["why"] == "Its owner asks for it"
    assert audit[0]["after"]["training_sets"] == [f"all-pictures@{first.digest}"]
    second = built(workbench)
    assert pictures(workbench, first) - pictures(workbench, second) == {str(picture)}
    assert second.difference is not None
    assert second.difference.removed.sample == (picture,)


def test_a_picture_that_is_withdrawn_while_a_set_is_built_is_not_recorded_in_it(
    workbench: Workbench, generated: Generated, monkeypatch: pytest.MonkeyPatch
) -> None:
    generated.fill(range(3))
    picture = known_pictures(workbench)[0]
    real = building._arrange

    def late(*given: Any) -> Any:
        with workbench.database.connection() as connection:
            withdraw(connection, picture, by="Ada", why="Late")
        return real(*given)

    monkeypatch.setattr(building, "_arrange", late)
    with pytest.raises(WithdrawnMeanwhileError, match=f"the picture {picture} was withdrawn or deleted while"):
        built(workbench)
    assert workbench.query("select id from training_set") == []
    assert workbench.query("select picture_id from training_set_member") == []
    monkeypatch.undo()
    assert built(workbench).pictures == 5


@pytest.mark.parametrize(("by", "why"), [(" ", "x"), ("x", "")])
def test_nobody_withdraws_a_picture_anonymously_or_for_no_reason(workbench: Workbench, by: str, why: str) -> None:
    with workbench.database.connection() as connection, pytest.raises(ValueError, match="for a reason"):
        withdraw(connection, UUID(int=1), by=by, why=why)


def test_two_versions_are_compared_either_way(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(30))
    one = built(workbench)
    other = built(workbench, seed=5, species=("Brassica napus", "Cirsium arvense"))
    first = {row["picture_id"]: row["split"] for row in rows(workbench, one)}
    second = {row["picture_id"]: row["split"] for row in rows(workbench, other)}
    with workbench.database.connection() as connection:
        there, back = difference(connection, one.id, other.id), difference(connection, other.id, one.id)
        assert difference(connection, one.id, one.id).moved.count == 0
    moved = sum(first[picture] != side for picture, side in second.items())
    assert (there.added.count, there.removed.count, there.moved.count, there.relabelled.count) == (0, 20, moved, 0)
    assert (back.added.count, back.removed.count, back.moved.count) == (20, 0, moved)
    assert len(there.removed.sample) == 20


def test_versions_are_found_by_name_and_by_the_beginning_of_their_digest(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(3))
    one, other = built(workbench), built(workbench, name="other", seed=3)
    with workbench.database.connection() as connection:
        for wanted in (one.digest, one.digest[:10], f"all-pictures@{one.digest[:4]}", "all-pictures"):
            assert version_of(connection, wanted).digest == one.digest
        assert version_of(connection, "other").digest == other.digest
        for wanted in ("absent", f"other@{one.digest}"):
            with pytest.raises(UnknownTrainingSetError, match="there is no training set"):
                version_of(connection, wanted)
        built(workbench, name="twin")
        with pytest.raises(UnknownTrainingSetError, match="means several training sets"):
            version_of(connection, one.digest)


# Copying


def test_pictures_are_copied_once_and_whole_and_an_interrupted_copy_goes_on(workbench: Workbench) -> None:
    import_sample(workbench, sessions=2, pictures=2)
    made = built(workbench, name=(name := f"copied-{uuid4().hex[:8]}"), copy_pictures=True)
    assert made.copied == 4
    stored = {
        name: content for name, content in workbench.contents(made.container).items() if name.startswith("pictures/")
    }
    assert {name: hashlib.sha256(content).hexdigest() for name, content in stored.items()} == {
        f"pictures/{row['sha256']}.png": row["sha256"] for row in rows(workbench, made)
    }
    before = workbench.versions(made.container)
    first = min(stored)
    workbench.blobs.delete(made.container, first)
    again = built(workbench, name=name, copy_pictures=True)
    assert (again.copied, again.digest) == (1, made.digest)
    after = workbench.versions(made.container)
    assert {name: etag for name, etag in after.items() if name != first} == {
        name: etag for name, etag in before.items() if name != first
    }


def test_a_picture_that_is_gone_or_another_one_is_not_copied(workbench: Workbench) -> None:
    name = f"copied-{uuid4().hex[:8]}"
    import_sample(workbench, pictures=1)
    (picture,) = workbench.query("select blob, size, id from pictures")
    container, blob = workbench.user.user_container, picture["blob"]
    content = workbench.blobs.read(container, blob)
    workbench.blobs.delete(container, blob)
    with pytest.raises(StorageError, match=rf"the {picture['size']} bytes of the picture .*, found nothing"):
        built(workbench, name=name, copy_pictures=True)
    workbench.blobs.upload(container, blob, bytes(len(content)), content_type="image/png")
    with pytest.raises(StorageError, match=r"expected the picture .* with SHA-256"):
        built(workbench, name=name, copy_pictures=True)
    workbench.blobs.upload(container, blob, content, content_type="image/png", overwrite=True)
    assert built(workbench, name=name, copy_pictures=True).copied == 1
    place = f"pictures/{hashlib.sha256(content).hexdigest()}.png"
    workbench.blobs.upload(f"training-{name}", place, b"other", content_type="image/png", overwrite=True)
    with pytest.raises(StorageError, match=f"{place} is not the picture"):
        built(workbench, name=name, copy_pictures=True)
