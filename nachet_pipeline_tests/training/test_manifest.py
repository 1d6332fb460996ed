import hashlib
import io
import json
from typing import Any
from uuid import UUID, uuid5

import pyarrow.parquet as pq

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.registry.seeds import packaged_seeds
from nachet_pipeline.storage.naming import NAMESPACE, picture_seed_id, seed_id
from nachet_pipeline.training.manifest import SCHEMA, TrainingSet, build_training_set, split_of
from nachet_pipeline_tests.registries import load, merged, renamed
from nachet_pipeline_tests.uploads import Workbench, edit


def import_sample(workbench: Workbench, name: str = "project", **settings: int) -> None:
    outcome = workbench.run(workbench.stage(workbench.sample(name, **settings)))
    assert outcome.receipt.state is State.IMPORTED


def build(workbench: Workbench) -> TrainingSet:
    return build_training_set(workbench.database, workbench.blobs)


def manifest(workbench: Workbench, published: TrainingSet) -> list[dict[str, Any]]:
    content = workbench.blobs.read(published.container, published.blob)
    table = pq.read_table(io.BytesIO(content))
    assert table.schema.equals(SCHEMA)
    return table.to_pylist()


def test_every_row_agrees_with_the_database_and_with_the_bytes_it_points_at(workbench: Workbench) -> None:
    import_sample(workbench, sessions=3, pictures=2)
    published = build(workbench)
    rows = manifest(workbench, published)
    known = workbench.query(
        "select p.id::text as picture_id, p.picture_set_id::text, s.owner_id::text, seeds.name as scientific_name,"
        " seeds.id::text as taxon_id, seeds.id::text as seed_id, nb_object as number_of_seeds,"
        " 30.0::float8 as zoom, c.name as container, blob,"
        " encode(sha256, 'hex') as sha256, size, format, width, height from pictures p"
        " join picture_set s on s.id = picture_set_id join container c on c.id = container_id"
        " join picture_seed l on l.picture_id = p.id join seeds on seeds.id = l.seed_id order by p.id"
    )
    assert [{name: value for name, value in row.items() if name not in {"split", "url"}} for row in rows] == known
    assert published.pictures == len(rows) == 6
    for row in rows:
        container, _, blob = row["url"].removeprefix(f"{workbench.blobs.account_url}/").partition("/")
        content = workbench.blobs.read(container, blob)
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
        assert len(content) == row["size"]
        assert row["split"] == split_of(UUID(row["picture_set_id"]))


def test_the_same_pictures_are_not_published_twice(workbench: Workbench) -> None:
    import_sample(workbench, sessions=2)
    first = build(workbench)
    version = workbench.versions(first.container)[first.blob]
    again = build(workbench)
    assert (first.new, again.new) == (True, False)
    assert again.digest == first.digest
    assert workbench.versions(first.container)[first.blob] == version
    assert len(workbench.query("select id from training_set")) == 1


def test_another_picture_makes_another_version_and_the_first_stays(workbench: Workbench) -> None:
    import_sample(workbench, "first", sessions=1)
    first = build(workbench)
    import_sample(workbench, "second", sessions=1, seed=3)
    second = build(workbench)
    assert second.new
    assert second.digest != first.digest
    kept = {row["picture_id"]: row for row in manifest(workbench, first)}
    later = {row["picture_id"]: row for row in manifest(workbench, second)}
    assert kept.items() <= later.items()
    assert (len(kept), len(later)) == (2, 4)
    latest = json.loads(workbench.blobs.read(second.container, "latest.json"))
    assert (latest["digest"], latest["manifest"], latest["pictures"]) == (second.digest, second.blob, 4)
    rows = workbench.query("select digest, pictures from training_set order by pictures")
    assert [(row["digest"], row["pictures"]) for row in rows] == [(first.digest, 2), (second.digest, 4)]


def test_a_corrected_species_makes_another_version(workbench: Workbench) -> None:
    folder = workbench.sample()
    workbench.run(workbench.stage(folder))
    first = build(workbench)
    edit(folder / "pictures/session1/index.yaml", "seedData", seedSpecies="juncea")
    workbench.run(workbench.stage(folder))
    second = build(workbench)
    assert second.digest != first.digest
    assert {row["scientific_name"] for row in manifest(workbench, second)} == {"Brassica juncea"}


def labels(workbench: Workbench, published: TrainingSet) -> dict[str, tuple[str, str]]:
    """The taxon's identifier and name of every picture."""
    rows = manifest(workbench, published)
    assert len({row["picture_id"] for row in rows}) == len(rows)
    return {row["picture_id"]: (row["taxon_id"], row["scientific_name"]) for row in rows}


def test_labels_stay_when_a_species_is_renamed(workbench: Workbench) -> None:
    import_sample(workbench, sessions=2, pictures=2)
    first = labels(workbench, build(workbench))
    load(workbench, renamed(packaged_seeds(), "Brassica juncea", "Brassica besseriana"))
    second = labels(workbench, build(workbench))
    assert {picture: taxon for picture, (taxon, _) in second.items()} == {
        picture: taxon for picture, (taxon, _) in first.items()
    }
    assert {name for _, name in first.values()} == {"Brassica napus", "Brassica juncea"}
    assert {name for _, name in second.values()} == {"Brassica napus", "Brassica besseriana"}


def test_labels_of_a_merged_species_become_those_of_the_surviving_one(workbench: Workbench) -> None:
    import_sample(workbench, sessions=2, pictures=2)
    first = labels(workbench, build(workbench))
    load(workbench, merged(packaged_seeds(), "Brassica juncea", "Brassica napus"))
    second = labels(workbench, build(workbench))
    survivor = (str(seed_id("Brassica napus")), "Brassica napus")
    assert second == dict.fromkeys(first, survivor)
    assert {picture for picture, label in first.items() if label != survivor}


def test_a_picture_that_still_waits_to_be_linked_to_the_surviving_species_has_its_label_once(
    workbench: Workbench,
) -> None:
    import_sample(workbench, pictures=2)
    load(workbench, merged(packaged_seeds(), "Brassica juncea", "Brassica napus"))
    waiting, both = [row["id"] for row in workbench.query("select id from pictures order by id")]
    late = seed_id("Brassica juncea")
    workbench.query("update picture_seed set seed_id = %s where picture_id = %s", late, waiting)
    workbench.query(
        "insert into picture_seed (id, picture_id, seed_id) values (%s, %s, %s)",
        picture_seed_id(both, late),
        both,
        late,
    )
    survivor = (str(seed_id("Brassica napus")), "Brassica napus")
    assert labels(workbench, build(workbench)) == {str(waiting): survivor, str(both): survivor}


def test_pictures_of_one_session_are_never_on_two_sides(workbench: Workbench) -> None:
    import_sample(workbench, sessions=6, pictures=2)
    published = build(workbench)
    sides: dict[str, set[str]] = {}
    for row in manifest(workbench, published):
        sides.setdefault(row["picture_set_id"], set()).add(row["split"])
    assert len(sides) == 6
    assert all(len(side) == 1 for side in sides.values())
    counted = sum(count for splits in published.classes.values() for count in splits.values())
    assert counted == published.pictures == 12


def test_the_sides_hold_about_seventy_fifteen_and_fifteen_percent_of_the_picture_sets() -> None:
    sides = [split_of(uuid5(NAMESPACE, str(number))) for number in range(4000)]
    for side, share in {"train": 0.70, "validation": 0.15, "test": 0.15}.items():
        assert abs(sides.count(side) / len(sides) - share) < 0.03


def test_a_picture_set_stays_on_its_side() -> None:
    # Changing how the side is found would move pictures from training to test.
    known = {0: "train", 5: "validation", 9: "validation", 11: "test"}
    assert {number: split_of(UUID(int=number)) for number in known} == known


def test_an_empty_database_makes_an_empty_training_set(workbench: Workbench) -> None:
    published = build(workbench)
    assert (published.pictures, published.classes) == (0, {})
    assert manifest(workbench, published) == []
    assert not build(workbench).new
