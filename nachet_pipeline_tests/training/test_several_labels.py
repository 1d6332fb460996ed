"""Pictures that show several species, or seeds that nobody has named, and what training sets make of them."""

import hashlib
import io
import json
import struct
from collections.abc import Sequence
from random import Random
from typing import Any
from uuid import UUID, uuid4, uuid5

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.database.connection import DatabaseError
from nachet_pipeline.identifiers import NAMESPACE, seed_id
from nachet_pipeline.picture_sets.labels import Labels, undecide_label
from nachet_pipeline.registry.seeds import Seed
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.training.building import Built
from nachet_pipeline.training.kinds import NO_NUMBER, Kinds
from nachet_pipeline.training.manifest import (
    LABEL_COLUMNS,
    MULTI_SCHEMA,
    ManifestClass,
    ManifestError,
    ManifestWriter,
    open_manifest,
)
from nachet_pipeline.training.queries import difference, memberships
from nachet_pipeline.training.recipe import Recipe, RecipeError, read_recipe
from nachet_pipeline.training.selection import capped
from nachet_pipeline.training.splitting import split
from nachet_pipeline.training.statistics import statistics
from nachet_pipeline.training.verifying import no_conflicting_labels, picture_keys
from nachet_pipeline.training.versions import membership_lines
from nachet_pipeline_tests.labelled import decided, import_as, photograph, picture_of
from nachet_pipeline_tests.registries import load, merged, renamed
from nachet_pipeline_tests.training.rows import classes, several, sha256, uuid
from nachet_pipeline_tests.training.test_building import (
    Generated,
    built,
    codes,
    generated,
    known_pictures,
    pictures,
    rows,
)
from nachet_pipeline_tests.training.test_label_conflicts import failed, published
from nachet_pipeline_tests.workbench import Workbench

__all__ = ["generated"]

NAPUS, JUNCEA, ARVENSE, NIGRUM = "Brassica napus", "Brassica juncea", "Cirsium arvense", "Solanum nigrum"
MULTI = {"name": "several", "labels": "multi"}
Shows = dict[str | None, int | None]
"""Numbers of seeds by species; None for seeds that nobody has named, and for all seeds of the picture."""


def show(workbench: Workbench, picture: UUID, shows: Shows) -> None:
    """Let a picture show something else."""
    total = sum(number or 0 for number in shows.values())
    workbench.query("delete from picture_seed where picture_id = %s", picture)
    if total:
        workbench.query("update pictures set nb_object = %s where id = %s", total, picture)
    for name, number in shows.items():
        workbench.query(
            "insert into picture_seed (id, picture_id, seed_id, number_of_seeds) values (%s, %s, %s, %s)",
            uuid4(),
            picture,
            seed_id(name) if name else None,
            number,
        )


def multi_rows(workbench: Workbench, made: Built) -> dict[str, dict[str, Any]]:
    """The rows of a manifest of several labels, by picture."""
    content = workbench.blobs.read(made.container, made.blob)
    with open_manifest(io.BytesIO(content)) as manifest:
        manifest.verify()
        assert manifest.metadata.digest == made.digest
    table = pq.read_table(io.BytesIO(content))
    assert table.schema.equals(MULTI_SCHEMA)
    return {row["picture_id"]: row for row in table.to_pylist()}


def said(made: Built, code: str) -> list[str]:
    return [note.message for note in made.notes if note.code == code]


# Seeds that nobody has named


def test_a_picture_is_left_out_until_somebody_names_its_seeds_and_again_when_that_is_taken_back(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(6), species=2)
    waiting = known_pictures(workbench)[:3]
    before = built(workbench)
    for picture in waiting:
        show(workbench, picture, {None: None})
    without = built(workbench)
    assert pictures(workbench, without) == pictures(workbench, before) - set(map(str, waiting))
    assert said(without, "unnamed-seeds") == [
        "3 pictures were left out because nobody has named their seeds: `nachet labels waiting` lists them."
    ]
    assert codes(built(workbench, name="chosen", species=(NAPUS, JUNCEA))).count("unnamed-seeds") == 0

    for picture in waiting:
        decided(workbench, picture, ARVENSE)
    named = built(workbench)
    assert pictures(workbench, named) == pictures(workbench, before)
    assert said(named, "unnamed-seeds") == []
    labels = {row["picture_id"]: row["label"] for row in rows(workbench, named)}
    assert {labels[str(picture)] for picture in waiting} == {"002 Cirsium arvense"}
    with workbench.database.reading() as connection:
        since = difference(connection, without.id, named.id)
    assert (since.added.count, since.removed.count, since.relabelled.count) == (3, 0, 0)
    assert set(since.added.sample) == set(waiting)

    with workbench.database.connection() as connection:
        undecide_label(connection, waiting[0], by="ann", why="not sure any more")
    assert pictures(workbench, built(workbench)) == pictures(workbench, named) - {str(waiting[0])}


def test_the_card_counts_what_waits_for_a_name(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(2), species=1)
    show(workbench, known_pictures(workbench)[0], {None: None})
    made = published(workbench)
    assert "1 pictures were left out because nobody has named their seeds" in made.text
    show(workbench, known_pictures(workbench)[0], {NAPUS: 2, None: 1})
    assert "1 pictures were left out because nobody has named their seeds" in published(workbench).text
    made = published(workbench, **{**MULTI, "name": f"several-{uuid4().hex[:12]}"})
    assert "1 pictures were left out because nobody has named their seeds" in made.text
    assert "A photograph that is stored under two sets of species, and of which nobody" in made.text
    assert (made.built.pictures, made.facts.counted.number_of_classes) == (3, {1: 3})


def test_a_set_in_which_nothing_is_named_is_empty(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(1))
    for picture in known_pictures(workbench):
        show(workbench, picture, {None: None})
    for recipe in ({}, MULTI):
        made = built(workbench, **recipe)
        assert (made.pictures, made.classes, codes(made)) == (0, (), ["unnamed-seeds"])


def test_a_photograph_with_unnamed_seeds_beside_a_species_is_in_no_set_under_another_row_either(
    workbench: Workbench,
) -> None:
    seeds = [{"seedName": NAPUS, "numberOfSeeds": 1}, {"seedName": "unknown", "numberOfSeeds": 1}]
    import_as(workbench, "spring", "east", seeds, {"1.png": photograph(1)})
    other = workbench.another_user(f"{uuid4().hex}@example.org")
    import_as(other, "summer", "west", NAPUS, {"1.tiff": photograph(1, "TIFF"), "2.png": photograph(2)})
    for recipe in ({}, MULTI, {"label_rank": "genus"}, {"species": (NAPUS,)}):
        made = built(workbench, **recipe)
        assert pictures_of(workbench, made) == {"2.png"}
        assert said(made, "unnamed-seeds")[0].startswith("2 pictures were left out")

    decided(workbench, picture_of(workbench, "east"), NAPUS)
    for recipe in ({}, MULTI):
        assert pictures_of(workbench, built(workbench, **recipe)) == {"1.png", "1.tiff", "2.png"}


def pictures_of(workbench: Workbench, made: Built) -> set[str]:
    """The names of the pictures of a version."""
    members = "select name from pictures join training_set_member on picture_id = id where training_set_id = %s"
    return {row["name"] for row in workbench.query(members, made.id)}


# Several species at a rank, and in crops


def test_two_species_of_one_genus_are_one_label_at_that_rank_whole_and_as_crops(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(3))
    one, other = known_pictures(workbench)[:2]
    show(workbench, one, {NAPUS: 2, JUNCEA: 3})
    show(workbench, other, {NAPUS: 2, ARVENSE: 3})
    for parent in (one, other):
        crop = uuid5(parent, "crop")
        workbench.query(
            "insert into pictures (id, picture, picture_set_id, parent, nb_object, name, blob, sha256, size, format,"
            " width, height, bounding_box, detector) select %s, '{}', picture_set_id, id, 1, name, blob || 'c',"
            " sha256(%s), 5, 'TIFF', 8, 6, array[1, 2, 9, 8], 'test 1' from pictures where id = %s",
            crop,
            crop.bytes,
            parent,
        )
        workbench.query(
            "insert into picture_seed (id, picture_id, seed_id) select gen_random_uuid(), %s, seed_id from picture_seed"
            " where picture_id = %s",
            crop,
            parent,
        )
    by_genus = built(workbench, name="genus", label_rank="genus")
    labels = {row["picture_id"]: row["label"] for row in rows(workbench, by_genus)}
    assert labels[str(one)] == "000 Brassica"
    assert str(other) not in labels
    assert said(by_genus, "several-species") == ["1 pictures show more than one species and were left out."]
    assert pictures(workbench, built(workbench)) == pictures(workbench, by_genus) - {str(one)}
    chosen = built(workbench, name="napus", label_rank="genus", species=(NAPUS,))
    assert not pictures(workbench, chosen) & {str(one), str(other)}
    assert said(chosen, "several-species") == ["2 pictures show more than one species and were left out."]

    (crop,) = rows(workbench, built(workbench, name="genus-crops", label_rank="genus", pictures="crops"))
    assert (crop["parent_id"], crop["label"]) == (str(one), "000 Brassica")
    waiting = built(workbench, name="crops", pictures="crops")
    assert waiting.pictures == 0
    (told,) = said(waiting, "several-species")
    assert told.startswith("2 crops are of photographs that show more than one species and were left out: they wait")


# Several labels


def test_a_picture_has_a_label_for_each_species_that_it_shows_with_its_seeds(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(3))
    one, alone, decided_of = known_pictures(workbench)[:3]
    show(workbench, one, {NAPUS: 2, ARVENSE: 3})
    show(workbench, alone, {JUNCEA: None})
    show(workbench, decided_of, {NAPUS: 2, None: 5})
    decided(workbench, decided_of, JUNCEA)
    made = built(workbench, **MULTI)
    assert [one.label for one in made.classes] == [f"000 {JUNCEA}", f"001 {NAPUS}", f"002 {ARVENSE}"]
    found = multi_rows(workbench, made)
    assert {found[str(one)][name] for name in LABEL_COLUMNS} == {None}
    lists = {name: found[str(one)][name] for name in (*LABEL_COLUMNS.values(), "seeds_of_class", "number_of_seeds")}
    assert lists == {
        "labels": [f"001 {NAPUS}", f"002 {ARVENSE}"],
        "class_indices": [1, 2],
        "scientific_names": [NAPUS, ARVENSE],
        "taxon_ids": [str(seed_id(NAPUS)), str(seed_id(ARVENSE))],
        "seeds_of_class": [2, 3],
        "number_of_seeds": 5,
    }
    shown = found[str(alone)]
    assert (shown["class_indices"], shown["seeds_of_class"]) == ([0], [shown["number_of_seeds"]])
    assert (found[str(decided_of)]["class_indices"], found[str(decided_of)]["seeds_of_class"]) == ([0], [7])
    assert sum(sum(one.counts.values()) for one in made.classes) == made.pictures + 1 == 7

    with workbench.database.reading() as connection:
        (place,) = memberships(connection, one, made.id)
    assert (place.class_index, place.class_indices) == (None, [1, 2])
    assert [line.split() for line in membership_lines(place)][3] == ["class", "indices", "1,", "2"]
    again = built(workbench, **MULTI)
    assert (again.digest, again.new) == (made.digest, False)
    show(workbench, one, {NAPUS: 3, ARVENSE: 2})
    assert built(workbench, **MULTI).digest != made.digest


def test_a_picture_with_a_species_that_is_not_chosen_or_of_a_wider_rank_is_left_out_and_told(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(3))
    one = known_pictures(workbench)[0]
    show(workbench, one, {NAPUS: 2, ARVENSE: 3})
    chosen = built(workbench, **MULTI, species=(NAPUS, JUNCEA))
    assert str(one) not in multi_rows(workbench, chosen)
    assert said(chosen, "several-species") == [
        "1 pictures show species that the recipe does not choose beside ones that it does, and were left out."
    ]
    wide = load_genus(workbench)
    show(workbench, one, {NAPUS: 2, wide: 3})
    made = built(workbench, **{**MULTI, "name": "wide"}, label_rank="species")
    assert str(one) not in multi_rows(workbench, made)
    assert said(made, "wider-than-labels") == [
        "Pictures of Brassica (1) were left out: they are not identified to a species, as labels are."
    ]
    by_genus = multi_rows(workbench, built(workbench, **{**MULTI, "name": "genus"}, label_rank="genus"))
    assert (by_genus[str(one)]["labels"], by_genus[str(one)]["seeds_of_class"]) == (["000 Brassica"], [5])


def load_genus(workbench: Workbench) -> str:
    from nachet_pipeline_tests.training.test_ranks import BRASSICA  # noqa: PLC0415 (for this alone)

    load(workbench, [*packaged_seeds(), BRASSICA])
    return "Brassica"


GENUS = {NAPUS: "Brassica", JUNCEA: "Brassica", ARVENSE: "Cirsium", NIGRUM: "Solanum"}
DRAWN: Sequence[str | None] = (NAPUS, JUNCEA, ARVENSE, NIGRUM, None)


def drawn(random: Random) -> Shows:
    """One to four kinds with their seeds; one kind is mostly all that the picture shows."""
    kinds = random.sample(DRAWN, random.choice((1, 1, 2, 3, 4)))
    if len(kinds) == 1 and random.random() < 0.7:
        return {kinds[0]: None}
    return {kind: random.randint(1, 6) for kind in kinds}


def expected(shows: Shows, total: int, label_of: dict[str, str]) -> dict[str, int]:
    """Seeds by label."""
    found: dict[str, int] = {}
    for name, number in shows.items():
        assert name
        label = label_of[name]
        found[label] = found.get(label, 0) + (number or total)
    return found


@pytest.mark.parametrize("number", [1, 2])
def test_labels_are_what_pictures_show_after_roll_ups_new_names_and_mergers_and_single_sets_know_nothing_of_it(
    workbench: Workbench, generated: Generated, number: int
) -> None:
    random = Random(number)
    generated.fill(range(24), each=3, species=2)
    every = known_pictures(workbench)
    shows = {str(picture): drawn(random) for picture in every}
    single = {picture: one for picture, one in shows.items() if len(one) == 1 and None not in one}
    workbench.query("update pictures set withdrawn_at = now() where id <> all(%s)", [UUID(one) for one in single])
    for picture in map(UUID, single):
        show(workbench, picture, shows[str(picture)])
    alone = built(workbench)
    workbench.query("update pictures set withdrawn_at = null")
    for picture in every:
        show(workbench, picture, shows[str(picture)])
    assert (built(workbench).digest, pictures(workbench, built(workbench))) == (alone.digest, single.keys())

    named = {picture: one for picture, one in shows.items() if None not in one}
    same = dict(zip(GENUS, GENUS, strict=True))
    one_less = merged(packaged_seeds(), JUNCEA, NAPUS)
    steps: list[tuple[list[Seed], dict[str, str], str | None]] = [
        (packaged_seeds(), same, None),
        (packaged_seeds(), GENUS, "genus"),
        (one_less, {**same, JUNCEA: NAPUS}, None),
        (renamed(one_less, NIGRUM, "Zinnia nigra"), {**same, JUNCEA: NAPUS, NIGRUM: "Zinnia nigra"}, None),
    ]
    for seeds, label_of, rank in steps:
        load(workbench, seeds)
        for picture in every:
            # Also links that wait to be those of the surviving species.
            show(workbench, picture, shows[str(picture)])
        made = built(workbench, **{**MULTI, "name": f"by-{rank or 'species'}"}, label_rank=rank)
        found = multi_rows(workbench, made)
        assert found.keys() == named.keys()
        for shown, row in found.items():
            of_class = dict(zip(row["scientific_names"], row["seeds_of_class"], strict=True))
            assert of_class == expected(shows[shown], row["number_of_seeds"], label_of)
            assert row["class_indices"] == sorted(row["class_indices"])
        sides: dict[str, set[str]] = {}
        for row in found.values():
            sides.setdefault(row["picture_set_id"], set()).add(row["split"])
        assert {len(side) for side in sides.values()} == {1}
    workbench.query("cluster picture_seed using picture_seed_pkey")
    assert built(workbench, **{**MULTI, "name": "by-species"}).digest == made.digest


def test_a_recipe_that_goes_over_to_several_labels_relabels_only_what_has_others_and_keeps_its_indices(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(6))
    first = built(workbench)
    one = known_pictures(workbench)[0]
    second = built(workbench, labels="multi")
    show(workbench, one, {NAPUS: 2, ARVENSE: 3})
    third = built(workbench, labels="multi")
    assert [c.label for c in first.classes] == [c.label for c in second.classes] == [c.label for c in third.classes]
    with workbench.database.reading() as connection:
        assert difference(connection, first.id, second.id).relabelled.count == 0
        assert difference(connection, first.id, third.id).relabelled.sample == (one,)
        back = difference(connection, third.id, first.id)
    assert (back.relabelled.count, back.added.count, back.removed.count) == (1, 0, 0)


def test_the_database_has_one_way_to_say_a_members_labels(workbench: Workbench, generated: Generated) -> None:
    generated.fill(range(1))
    built(workbench, **MULTI)
    with pytest.raises(DatabaseError, match="training_set_member_labels"):
        workbench.query("update training_set_member set class_index = 0")


def test_a_version_of_several_labels_is_checked_explained_and_made_current(
    workbench: Workbench, generated: Generated
) -> None:
    generated.fill(range(12))
    for picture in known_pictures(workbench)[:5]:
        show(workbench, picture, {NAPUS: 2, ARVENSE: 3})
    recipe = {**MULTI, "name": f"several-{workbench.user.id.hex[:12]}", "minimum_per_class": 3}
    made = published(workbench, **recipe)
    assert (made.released, failed(made)) == (True, {})
    counted = made.facts.counted
    assert (counted.total, counted.number_of_classes) == (24, {1: 19, 2: 5})
    assert sum(counted.of_class(one.class_index) for one in made.built.classes) == 29
    assert counted.quality_of().total == 24
    assert f"| 001 {NAPUS} | 002 {ARVENSE} | 5 |" in made.text
    assert "classes-together.png" in made.pictures
    assert "multi-label-image-classification" in made.text
    assert "--format imagefolder" not in made.text
    code = made.text.split("def multi_hot")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(f"def multi_hot{code}", names)  # noqa: S102 (our own words)
    assert names["multi_hot"]({"labels": [0, 2]}) == [1.0, 0.0, 1.0]
    assert failed(published(workbench, **{**recipe, "minimum_per_class": 1000})).keys() == {"classes_large_enough"}


def test_what_uploaders_say_of_their_sessions_is_what_a_set_of_several_labels_has(workbench: Workbench) -> None:
    folder = workbench.sample("mixed", sessions=3)
    shows: tuple[Any, ...] = (
        [{"seedName": NAPUS, "numberOfSeeds": 2}, {"seedName": ARVENSE, "numberOfSeeds": 1}],
        "unknown",
        [{"seedName": JUNCEA, "numberOfSeeds": 2}, {"seedName": "unknown", "numberOfSeeds": 1}],
    )
    for number, seeds in enumerate(shows, start=1):
        session = folder / "pictures" / f"session{number}"
        index = {"imageData": {"numberOfImages": 2}, "seedData": seeds, "userData": {"numberOfSeeds": 3}}
        (session / "index.yaml").write_text(yaml.safe_dump(index))
        (session / "1.yaml").unlink()
    outcome = workbench.run(workbench.stage(folder))
    assert outcome.receipt.state is State.IMPORTED, [str(one) for one in outcome.receipt.report.findings]

    made = built(workbench, **MULTI)
    found = [(row["scientific_names"], row["seeds_of_class"]) for row in multi_rows(workbench, made).values()]
    assert found == [([NAPUS, ARVENSE], [2, 1])] * 2
    assert said(made, "unnamed-seeds")[0].startswith("4 pictures were left out because nobody has named their seeds")
    assert built(workbench).pictures == 0


# The manifest, without a database

RECIPE = "ab" * 32


def written(*shown: dict[str, Any]) -> tuple[str, bytes]:
    stream = io.BytesIO()
    settings: dict[str, Any] = {"recipe": {}, "recipe_digest": RECIPE, "classes": classes(3), "several_labels": True}
    with ManifestWriter(stream, name="some", **settings) as writer:
        writer.write(several(*shown))
        return writer.finish(), stream.getvalue()


def digest_of(shown: Sequence[dict[str, Any]], of_classes: Sequence[ManifestClass]) -> str:
    """The digest of version 3 as the module tells it, row by row."""
    found = hashlib.sha256(f"nachet training set 3\n{RECIPE}\n".encode())
    for one in of_classes:
        found.update(json.dumps([one.class_index, one.taxon_id, one.label]).encode() + b"\n")
    found.update(b"\n" + struct.pack("<q", len(shown)))
    packed = []
    for one in shown:
        lists = [one[name] for name in ("class_indices", "taxon_ids", "labels", "seeds_of_class")]
        label = json.dumps([list(each) for each in zip(*lists, strict=True)]).encode()
        packed.append(
            bytes.fromhex(one["sha256"])
            + struct.pack("<5i", -1, -1, -1, -1, one["number_of_seeds"])
            + hashlib.sha256(label).digest()[:16]
            + struct.pack("<b", ("train", "validation", "test").index(one["split"]))
        )
    for one in sorted(packed):
        assert len(one) == 69
        found.update(one)
    return found.hexdigest()


SHOWN = st.lists(st.dictionaries(st.integers(0, 2), st.none() | st.integers(0, 9), min_size=1), max_size=12)


@settings(max_examples=60, deadline=None)
@given(SHOWN, st.randoms(use_true_random=False))
def test_the_digest_is_what_the_docstring_says_and_depends_on_no_order(
    shown: list[dict[int, int | None]], random: Random
) -> None:
    table = [one for part in [several(*map(row_of, range(len(shown)), shown))] for one in part.to_pylist()]
    digest, content = written(*map(row_of, range(len(shown)), shown))
    assert digest == digest_of(table, classes(3))
    shuffled = list(map(row_of, range(len(shown)), shown))
    random.shuffle(shuffled)
    assert written(*shuffled)[0] == digest
    with open_manifest(io.BytesIO(content)) as manifest:
        manifest.verify()
        assert manifest.metadata.several_labels
        assert [one for part in manifest.rows() for one in part.to_pylist()] == table


def row_of(number: int, shown: dict[int, int | None]) -> dict[str, Any]:
    return {"number": number, "shows": shown}


def test_a_manifest_whose_lists_were_changed_or_that_calls_itself_one_of_single_labels_is_refused() -> None:
    _, content = written(row_of(1, {0: 2, 1: 3}), row_of(2, {1: None}))
    table = pq.read_table(io.BytesIO(content))
    stated = json.loads(pq.ParquetFile(io.BytesIO(content)).metadata.metadata[b"nachet_training_set"])

    def changed(column: str, values: list[Any], **metadata: Any) -> io.BytesIO:
        place = table.schema.get_field_index(column)
        other = table.set_column(place, table.schema.field(column), pa.array(values, table.schema.field(column).type))
        stream = io.BytesIO()
        said = {b"nachet_training_set": json.dumps({**stated, **metadata}).encode()}
        pq.write_table(other.replace_schema_metadata(said), stream)
        return stream

    for column, values in (
        ("class_indices", [[0, 2], [1]]),
        ("seeds_of_class", [[3, 2], [None]]),
        ("labels", [["000 a", "b"], ["c"]]),
        ("taxon_ids", [[uuid(1)], [uuid(2)]]),
    ):
        with open_manifest(changed(column, values)) as manifest, pytest.raises(ManifestError, match="is damaged"):
            manifest.verify()
    with pytest.raises(ManifestError, match="found another Parquet file"):
        open_manifest(changed("split", ["train", "train"], digest_version=2))


def test_a_photograph_has_the_same_labels_wherever_it_is_and_those_that_were_decided() -> None:
    none = Labels([], [], [], [])
    same = {"pixel_sha256": sha256("same")}
    rows_ = row_of(1, {0: 2, 1: 3}) | same, row_of(2, {0: 1, 1: 4}) | same, row_of(3, {0: None})
    keys = picture_keys([several(rows_[0]), several(*rows_[1:])])
    assert no_conflicting_labels(keys, classes(3), none).passed
    keys = picture_keys([several(rows_[0]), several(row_of(2, {0: 1}) | same)])
    torn = no_conflicting_labels(keys, classes(3), none)
    assert torn.summary == "1 photographs are under two labels"
    assert {row["label"] for row in torn.rows} == {
        "000 Brassica napus and 001 Brassica juncea",
        "000 Brassica napus",
    }
    keys = picture_keys([several(*rows_)])
    wanted = Labels([], [], [], [(uuid(1), uuid(900)), (uuid(3), uuid(900))])
    found = no_conflicting_labels(keys, classes(3), wanted)
    assert (found.numbers["not_as_decided"], found.rows[0]["picture"]) == (1, uuid(1))


def test_statistics_count_each_picture_once_and_under_each_of_its_classes() -> None:
    shown = [row_of(1, {0: 1, 1: 2}), row_of(2, {0: 1, 1: 2, 2: 1}), row_of(3, {2: None})]
    counted = statistics([several(*shown[:1]), several(*shown[1:])])
    assert (counted.total, counted.by_split(), counted.bytes_by_split) == (3, {"train": 3}, {"train": 3000})
    assert counted.pictures == {(0, "train"): 2, (1, "train"): 2, (2, "train"): 2}
    assert counted.number_of_classes == {1: 1, 2: 1, 3: 1}
    assert counted.together == {(0, 1): 2, (0, 2): 1, (1, 2): 1}
    assert (counted.quality_of().total, counted.quality_of(0).total) == (3, 2)
    assert {index: len(few) for index, few in counted.samples.items()} == {0: 2, 1: 2, 2: 2}


# Recipes


def test_several_labels_are_of_whole_pictures_and_single_ones_change_no_recipe(tmp_path: Any) -> None:
    file = tmp_path / "several.yaml"
    file.write_text("pictures: crops\nseed: 1\nlabels: multi\n")
    with pytest.raises(RecipeError) as told:
        read_recipe(file)
    assert str(told.value).startswith(f"{file}:3: labels: expected single, as crops show one seed each, found multi")
    file.write_text("labels: many\n")
    with pytest.raises(RecipeError, match="labels: expected single or multi, found 'many'"):
        read_recipe(file)
    single, multi = Recipe(name="one"), Recipe(name="one", labels="multi")
    assert "labels" not in single.document()
    assert multi.document()["labels"] == "multi"
    assert single.digest == Recipe(name="one", labels="single").digest != multi.digest


# What pictures show, caps and splits


@st.composite
def kinds(draw: st.DrawFn, *, most: int = 30) -> list[dict[int, int]]:
    of_one = st.dictionaries(st.integers(0, 4), st.integers(NO_NUMBER, 9).filter(bool), min_size=1, max_size=4)
    return draw(st.lists(of_one, min_size=1, max_size=most))


def kinds_of(shown: list[dict[int, int]]) -> Kinds:
    listed = [(place, code, seeds) for place, one in enumerate(shown) for code, seeds in one.items()]
    picture, code, seeds = np.array(listed, np.int64).T
    return Kinds.of(picture, code, seeds, len(shown))


def as_dicts(found: Kinds) -> list[dict[int, int]]:
    return [
        dict(zip(found.code[a:b].tolist(), found.seeds[a:b].tolist(), strict=True))
        for a, b in zip(found.begin[:-1], found.begin[1:], strict=True)
    ]


@given(kinds(), st.data())
def test_kinds_are_merged_chosen_and_compared(shown: list[dict[int, int]], data: st.DataObject) -> None:
    found = kinds_of(shown)
    assert as_dicts(found) == shown
    assert [list(one) for one in as_dicts(found)] == [sorted(one) for one in shown]
    sets = found.sets().tolist()
    assert [[a == b for a in sets] for b in sets] == [[a.keys() == b.keys() for a in shown] for b in shown]
    places = data.draw(st.lists(st.integers(0, len(shown) - 1)))
    assert as_dicts(found.take(np.array(places, np.int64))) == [shown[place] for place in places]
    codes = np.array([7, 7, 3, 3, 5])
    merged_: list[dict[int, int]] = []
    for one in shown:
        merged_.append({})
        for code, seeds in one.items():
            before = merged_[-1].get(int(codes[code]), 0)
            merged_[-1][int(codes[code])] = NO_NUMBER if NO_NUMBER in (before, seeds) else before + seeds
    assert as_dicts(found.renamed(codes)) == merged_


@settings(deadline=None)
@given(kinds(), st.integers(0, 9), st.integers(1, 6), st.randoms(use_true_random=False))
def test_a_cap_lets_no_class_have_more_and_leaves_out_nobody_without_need(
    shown: list[dict[int, int]], seed: int, most: int, random: Random
) -> None:
    def stays(order: list[int]) -> set[int]:
        found = kinds_of([shown[one] for one in order])
        content = np.array([list(uuid5(NAMESPACE, str(one)).bytes) for one in order], np.uint8)
        kept = capped(found.code, np.arange(len(order)), content, most=most, seed=seed, picture=found.picture)
        return {order[place] for place in np.flatnonzero(kept)}

    order = list(range(len(shown)))
    kept = stays(order)
    counts = [sum(code in shown[one] for one in kept) for code in range(5)]
    assert max(counts) <= most
    for left in set(order) - kept:
        assert any(counts[code] == most for code in shown[left])
    random.shuffle(order)
    assert stays(order) == kept
    single = kinds_of([{min(one): 1} for one in shown])
    content = np.array([list(uuid5(NAMESPACE, str(one)).bytes) for one in range(len(shown))], np.uint8)
    group = np.arange(len(shown))
    plain = capped(single.code, group, content, most=most, seed=seed)
    assert (capped(single.code, group, content, most=most, seed=seed, picture=single.picture) == plain).all()


def test_each_class_is_split_near_the_fractions_though_pictures_have_several() -> None:
    random = Random(4)
    shown = [dict.fromkeys(random.sample(range(5), random.choice((1, 2, 2, 3))), 1) for _ in range(1500)]
    found = kinds_of(shown)
    group = np.arange(len(shown)) // 2 * 2
    key = np.array([list(uuid5(NAMESPACE, str(one)).bytes) for one in range(len(shown))], np.uint8)
    fractions = {"train": 0.7, "validation": 0.15, "test": 0.15}
    made = split(group, found.code, fractions=fractions, seed=3, key=key, picture=found.picture)
    assert (made.split[::2] == made.split[1::2]).all()
    assert not made.notes
    for code in range(5):
        sides = made.split[found.picture[found.code == code]]
        shares = np.bincount(sides, minlength=3) / len(sides)
        assert np.abs(shares - list(fractions.values())).max() < 0.04
