"""A version is evaluated by what it said of a test split, and a person names the champion."""

import hashlib
import io
import json
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml
from PIL import Image

from nachet_pipeline.models.drift import drift, read_said
from nachet_pipeline.models.evaluation.evaluating import evaluate, worst_mistakes
from nachet_pipeline.training.contact_sheets import Thumbnails
from nachet_pipeline_tests.command import Answer, Nachet
from nachet_pipeline_tests.labelled import ARVENSE, JUNCEA, NAPUS
from nachet_pipeline_tests.workbench import Workbench

SPECIES = (NAPUS, JUNCEA)
GROUPS, IN_A_GROUP = 12, 5
PICTURES = GROUPS * IN_A_GROUP


def content(number: object) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


@dataclass
class Laboratory:
    """A training set whose test split has 60 photographs in 12 groups, of two species by turns, and models."""

    bench: Workbench
    nachet: Nachet
    digest: str
    training_set: UUID
    picture: dict[str, Any]

    @classmethod
    def of(cls, bench: Workbench, nachet: Nachet) -> "Laboratory":
        bench.run(bench.stage(bench.sample(pictures=1)))
        taxa = [
            {"label": f"{index:03d} {name}", "class_index": index, "scientific_name": name, "taxon_id": str(row["id"])}
            for index, name in enumerate(SPECIES)
            for row in bench.query("select id from seeds where name = %s", name)
        ]
        (picture,) = bench.query("select * from pictures")
        made = cls(bench, nachet, "ab" * 32, uuid4(), picture)
        made.execute(
            "insert into training_set (id, name, digest, container, blob, pictures, groups, classes, recipe, notes)"
            " values (%s, 'seeds', %s, 'training-seeds', 'x', %s, %s, %s, '{}', '[]')",
            made.training_set, made.digest, PICTURES, GROUPS, json.dumps(taxa),
        )  # fmt: skip
        for number in range(PICTURES):
            made.add(number)
            made.member(number, number // IN_A_GROUP % 2, number // IN_A_GROUP)
        return made

    def execute(self, query: str, *arguments: object) -> None:
        self.bench.query(query, *arguments)

    def add(self, number: object, *, parent: UUID | None = None, box: list[int] | None = None) -> UUID:
        """A photograph, or a crop of one."""
        identifier = UUID(bytes=content(number)[:16])
        self.execute(
            "insert into pictures (id, picture, picture_set_id, parent, nb_object, name, blob, sha256, size, format,"
            " width, height, bounding_box, detector, quality_score)"
            " select %s, %s::jsonb, picture_set_id, %s::uuid, nb_object, %s, %s, %s, size, format, 200,"
            " 100, %s::integer[], %s, 0.7 from pictures where id = %s",
            identifier,
            json.dumps({"terms": {"ac:captureDevice": "Camera"}, "user_data": {"zoom": 30}}),
            parent,
            f"{number}.png",
            f"{number}.png",
            content(number),
            box,
            box and "by hand",
            self.picture["id"],
        )
        return identifier

    def member(self, number: object, index: int, group: int, *, split: int = 2) -> None:
        self.execute(
            'insert into training_set_member (training_set_id, picture_id, split, class_index, "group")'
            " values (%s, %s, %s, %s, %s)",
            self.training_set,
            UUID(bytes=content(number)[:16]),
            split,
            index,
            UUID(int=group),
        )

    def register(self, version: str, *, task: str = "classify", training_set: str | None = None) -> str:
        file = self.bench.place / "seed-model.yaml"
        stated = {
            "version": version,
            "task": task,
            "classes": [*({"label": name.upper(), "taxon": name} for name in (*SPECIES, ARVENSE)), {"label": "dust"}],
            "training_set": training_set or self.digest,
        }
        file.write_text(yaml.safe_dump({"owner": "lab@example.org", "versions": [stated]}))
        assert self.nachet("model", "register", file).code == 0
        return f"seed-model@{version}"

    def predict(self, version: str, said: dict[object, int | None], score: float = 0.9) -> None:
        """Record which class a version named first of each picture; None: that it found nothing."""
        model, _, number = version.partition("@")
        for picture, index in said.items():
            self.execute(
                "insert into prediction (id, model_version_id, sha256, at, objects, candidate_object, candidate_class,"
                " candidate_score) select %s, v.id, %s, now(), %s, %s::smallint[], %s::integer[], %s::real[]"
                " from model_version v"
                " join model m on m.id = v.model_id where m.name = %s and v.version = %s",
                uuid4(),
                content(picture),
                int(index is not None),
                [] if index is None else [1, 1],
                [] if index is None else [index, (index + 1) % 4],
                [] if index is None else [score, 1 - score],
                model,
                number,
            )

    def truth(self) -> dict[object, int | None]:
        return {number: number // IN_A_GROUP % 2 for number in range(PICTURES)}

    def evaluate(self, version: str, *more: str) -> dict[str, Any]:
        answer: Answer = self.nachet("model", "evaluate", version, *more, "--json")
        assert answer.out, answer.err
        found = json.loads(answer.out)
        assert isinstance(found, dict)
        return found


@pytest.fixture
def laboratory(workbench: Workbench, nachet: Nachet) -> Laboratory:
    return Laboratory.of(workbench, nachet)


def verdict(found: dict[str, Any], name: str) -> dict[str, Any]:
    (one,) = [one for one in found["verdicts"] if one["name"] == name]
    assert isinstance(one, dict)
    return one


def test_a_version_is_evaluated_once_and_its_champion_named_by_a_person(laboratory: Laboratory) -> None:
    nachet, bench = laboratory.nachet, laboratory.bench
    first = laboratory.register("1.0")
    answer = nachet("model", "evaluate", first)
    assert (answer.code, "answered none of the 60 pictures of the test split" in answer.err) == (1, True)
    assert "was never evaluated" in nachet("model", "promote", first, "--why", "it is good").err

    laboratory.predict(first, laboratory.truth() | {2: 1, 12: 3, 23: None})
    found = laboratory.evaluate(first)
    assert (found["answered"], found["members"], found["trained_on"]) == (60, 60, 0)
    assert found["classification"]["accuracy"]["value"] == pytest.approx(57 / 60)
    assert found["classification"]["accuracy"]["low"] < 57 / 60 < found["classification"]["accuracy"]["high"]
    assert found["classification"]["confusion"] == [[0, 0, 27], [0, 1, 1], [0, 2, 2], [1, 1, 30]]
    assert [one["passed"] for one in found["verdicts"]] == [True] * 6
    assert {one["true"] for one in found["mistakes"]} == {"000 Brassica napus"}
    assert {one["said"] for one in found["mistakes"]} == {"001 Brassica juncea", "none of the classes"}
    again = nachet("model", "evaluate", first)
    assert (again.code, "60 of 60 pictures answered, as before" in again.out) == (0, True)
    assert bench.query("select count(*) from model_evaluation") == [{"count": 1}]

    laboratory.predict(first, {2: 0})
    assert laboratory.evaluate(first)["classification"]["accuracy"]["value"] == pytest.approx(58 / 60), (
        "the newest count"
    )
    assert bench.query("select count(*) from model_evaluation") == [{"count": 2}]

    done = nachet("model", "promote", first, "--why", "The first", "--by", "ada@example.org")
    assert done.out == "seed-model@1.0 is champion\n"
    assert "as before" in nachet("model", "promote", first, "--why", "The first").out
    assert "ada@example.org  The first" in nachet("model", "champion", "history", "seed-model").out
    (row,) = bench.query("select actor, after from audit_trail where action = 'promoted'")
    assert (row["actor"], row["after"]["champion"], row["after"]["why"]) == ("ada@example.org", first, "The first")


def test_a_version_that_is_worse_on_a_listed_species_is_not_named_champion(laboratory: Laboratory) -> None:
    laboratory.execute(
        "update seeds set information = jsonb_set(information, '{listedIn}', '[\"Weed Seeds Order\"]') where name = %s",
        JUNCEA,
    )
    first, second = laboratory.register("1.0"), laboratory.register("2.0")
    half_wrong = {number: 1 if number % 2 else right for number, right in laboratory.truth().items()}
    laboratory.predict(first, half_wrong)
    assert laboratory.evaluate(first)["passed"]
    laboratory.nachet("model", "promote", first, "--why", "The first")

    forgets = {number: 0 if right and number % 3 == 0 else right for number, right in laboratory.truth().items()}
    laboratory.predict(second, forgets)
    found = laboratory.evaluate(second)
    worse = verdict(found, "not_worse_than_champion")
    assert found["champion_compared"][0]["change"]["value"] > 0, "in all it is better"
    assert (worse["passed"], [row["of"] for row in worse["rows"]]) == (False, ["001 Brassica juncea"])
    refused = laboratory.nachet("model", "promote", second, "--why", "Newer")
    assert (refused.code, "fewer are right than of seed-model@1.0, the champion" in refused.err) == (1, True)


def test_a_version_is_not_named_champion_beside_one_that_hardly_answered_anything(laboratory: Laboratory) -> None:
    first, second = laboratory.register("1.0"), laboratory.register("2.0")
    laboratory.predict(first, laboratory.truth())
    laboratory.evaluate(first)
    laboratory.nachet("model", "promote", first, "--why", "The first")
    kept = content(0)
    laboratory.execute("delete from prediction where sha256 <> %s", kept)
    laboratory.predict(
        second, {number: 1 if number % 3 == 0 else right for number, right in laboratory.truth().items()}
    )
    worse = verdict(laboratory.evaluate(second), "not_worse_than_champion")
    assert (worse["passed"], worse["numbers"]) == (False, {"pictures": 1})
    assert "the champion, answered 1 of 60 pictures" in worse["summary"]


def test_what_a_version_was_trained_on_is_left_out_by_content_with_crops_and_their_photographs(
    laboratory: Laboratory,
) -> None:
    version = laboratory.register("1.0")
    # A crop that was trained on, of a photograph in the test split; and a photograph of which a crop is in it.
    photograph = laboratory.add("photograph")
    laboratory.add("crop", parent=photograph, box=[0, 0, 20, 20])
    laboratory.member("crop", 1, 90)
    laboratory.member("photograph", 1, 91, split=0)
    laboratory.add("crop of 3", parent=UUID(bytes=content(3)[:16]), box=[0, 0, 20, 20])
    laboratory.member("crop of 3", 0, 92, split=0)
    # And the photograph that was trained on, in another file.
    laboratory.execute("update pictures set pixel_sha256 = '\\x01'::bytea || substring(sha256 for 31)")
    laboratory.execute(
        "update pictures set pixel_sha256 = (select pixel_sha256 from pictures where sha256 = %s) where sha256 = %s",
        content("photograph"), content(8),
    )  # fmt: skip
    laboratory.predict(version, laboratory.truth() | {"crop": 1})
    found = laboratory.evaluate(version)
    assert (found["members"], found["trained_on"], found["answered"]) == (61, 3, 58)
    failing = verdict(found, "no_train_on_test")
    assert (failing["passed"], failing["numbers"]) == (False, {"trained_on": 3})
    assert not found["passed"]
    # Who delivers predictions is told the same.
    file = laboratory.bench.place / "predictions.jsonl"
    answers = [{"sha256": content(one).hex(), "candidates": []} for one in ("crop", 3, 7, 8)]
    file.write_text("".join(f"{json.dumps(one)}\n" for one in answers))
    (told,) = json.loads(f"[{laboratory.nachet('predictions', 'import', file, '--model', version, '--json').out}]")
    assert (told["new"], told["on_trained"]) == (4, 3)


def test_deleted_and_withdrawn_pictures_judge_no_version(laboratory: Laboratory) -> None:
    version, gone = laboratory.register("1.0"), uuid4()
    laboratory.predict(version, laboratory.truth())
    laboratory.execute(
        "insert into picture_set (id, picture_set, owner_id, name, container_id, upload_id, digest, deleted_at)"
        " select %s, picture_set, owner_id, 'gone', container_id, upload_id, digest, now() from picture_set limit 1",
        gone,
    )
    laboratory.execute("update pictures set picture_set_id = %s where sha256 = %s", gone, content(3))
    laboratory.execute("update pictures set withdrawn_at = now() where sha256 = %s", content(8))
    assert laboratory.evaluate(version)["members"] == PICTURES - 2
    # The same photograph, stored elsewhere as well, is there still.
    laboratory.execute("update pictures set sha256 = %s where id = %s", content(3), laboratory.picture["id"])
    assert laboratory.evaluate(version)["members"] == PICTURES - 1


def test_a_version_that_a_withdrawn_photograph_taught_is_named_champion_only_by_who_says_so(
    laboratory: Laboratory,
) -> None:
    version = laboratory.register("1.0")
    laboratory.predict(version, laboratory.truth())
    laboratory.add("learned")
    laboratory.member("learned", 1, 99, split=0)
    laboratory.execute("update pictures set withdrawn_at = now() where sha256 = %s", content("learned"))
    assert laboratory.evaluate(version)["passed"]
    promoting = ("model", "promote", version, "--why", "The first")
    refused = laboratory.nachet(*promoting)
    assert (refused.code, "champions_clean: it was trained on 1 photographs" in refused.err) == (1, True)
    done = laboratory.nachet(*promoting, "--despite", "champions_clean", "--json")
    assert json.loads(done.out)["despite"] == ["champions_clean"]


def test_boxes_in_photographs_are_judged_by_the_crops_that_were_cut_from_them(laboratory: Laboratory) -> None:
    version = laboratory.register("1.0", task="both")
    model, _, number = version.partition("@")
    for place in range(PICTURES):
        laboratory.add(f"crop of {place}", parent=UUID(bytes=content(place)[:16]), box=[20, 10, 60, 50])
        laboratory.execute(
            "insert into prediction (id, model_version_id, sha256, at, objects, boxes, box_scores, candidate_object,"
            " candidate_class, candidate_score)"
            " select %s, v.id, %s, now(), 2, %s::real[], '{0.9,0.2}', '{1,2}', %s::integer[], '{0.8,0.7}'"
            " from model_version v join model m on m.id = v.model_id where m.name = %s and v.version = %s",
            uuid4(),
            content(place),
            [0.1, 0.1, 0.3, 0.5, 0.7, 0.7, 0.9, 0.9],
            [place // IN_A_GROUP % 2, 3],
            model,
            number,
        )
    found = laboratory.evaluate(version)
    assert found["detection"]["ap50"]["value"] == pytest.approx(1)
    assert found["finding"]["ap"]["value"] == pytest.approx(1)
    assert found["detection"]["seeds"] == PICTURES

    judged = (
        "insert into judged (sha256, region, outcome, seed_id, agreement, persons, experts, policy)"
        " values (%s, %s, %s, (select id from seeds where name = %s), 1, 1, 1, 'x')"
    )
    laboratory.execute(judged, content(0), "750,100,950,300", "taxon", NAPUS)
    laboratory.execute(judged, content("crop of 1"), "", "not_a_seed", None)
    found = laboratory.evaluate(version)
    assert (found["detection"]["pictures"], found["detection"]["seeds"]) == (PICTURES - 1, PICTURES)
    assert found["detection"]["ap50"]["value"] < 1, "a seed was missed"


def test_a_version_that_learned_elsewhere_is_judged_by_the_set_that_is_named(laboratory: Laboratory) -> None:
    version = laboratory.register("1.0", training_set="cd" * 32)
    laboratory.predict(version, laboratory.truth())
    assert "say whose test split" in laboratory.nachet("model", "evaluate", version).err
    found = laboratory.evaluate(version, "--on", "seeds")
    assert (found["passed"], verdict(found, "no_train_on_test")["passed"]) == (True, False)
    promoting = ("model", "promote", version, "--why", "The only one")
    refused = laboratory.nachet(*promoting)
    assert (refused.code, laboratory.bench.query("select number from model_champion")) == (1, [])
    assert "no_train_on_test: it is not known what the version was trained on" in refused.err
    assert "say so: --despite no_train_on_test" in refused.err
    assert laboratory.nachet(*promoting, "--despite", "no_train_on_test").code == 0
    (row,) = laboratory.bench.query("select after from audit_trail where action = 'promoted'")
    assert (row["after"]["champion"], row["after"]["despite"]) == (version, ["no_train_on_test"])


def test_a_month_is_read_beside_the_year_before_with_what_people_judged(laboratory: Laboratory) -> None:
    version = laboratory.register("1.0")
    laboratory.predict(version, {0: 0, 1: 1, 2: 0, 3: None}, score=0.4)
    laboratory.execute("update prediction set at = '2026-03-05T00:00Z' where sha256 = %s", content(0))
    laboratory.execute("update prediction set at = '2026-04-30T23:00Z' where sha256 <> %s", content(0))
    for number, verdict in ((0, "right"), (1, "wrong")):
        laboratory.execute(
            "insert into judgement (id, person, at, recorded_by, source, prediction_id, object, sha256, verdict)"
            " select %s, 'ada@example.org', now(), 'x', 'x', id, 1, sha256, %s from prediction where sha256 = %s",
            uuid4(),
            verdict,
            content(number),
        )
    (identifier,) = [row["id"] for row in laboratory.bench.query("select id from model_version")]
    with laboratory.bench.database.reading() as connection:
        april = read_said(connection, identifier, date(2026, 4, 2))
    assert sorted(zip(april.named.tolist(), april.judged.tolist(), april.in_month.tolist(), strict=True)) == [
        (0, -1, True),
        (0, 0, False),
        (1, 1, True),
    ]
    assert april.score.tolist() == pytest.approx([0.4] * 3)
    assert len(set(april.group.tolist())) == 1, "they came in one session"
    found = drift(april)
    assert (found.answers, found.answers_before, found.changes) == (2, 1, ())


def test_the_worst_mistakes_are_shown_with_what_was_said(laboratory: Laboratory) -> None:
    bench, picture = laboratory.bench, laboratory.picture
    laboratory.execute("delete from training_set_member where picture_id = %s", UUID(bytes=content(2)[:16]))
    laboratory.execute(
        'insert into training_set_member (training_set_id, picture_id, split, class_index, "group")'
        " values (%s, %s, 2, 0, %s)",
        laboratory.training_set, picture["id"], UUID(int=0),
    )  # fmt: skip
    version = laboratory.register("1.0")
    laboratory.predict(version, laboratory.truth())
    laboratory.execute(
        "update prediction set sha256 = %s, candidate_class = '{1,0}' where sha256 = %s",
        bytes(picture["sha256"]),
        content(2),
    )
    found = evaluate(bench.database, version, limits=bench.settings.evaluation)
    assert [(one.picture, one.said) for one in found.mistakes] == [(picture["id"], "001 Brassica juncea")]
    thumbnails = Thumbnails(bench.blobs, bench.pool, concurrency=2, memory_bytes=10**8)
    sheet = worst_mistakes(found, bench.database, thumbnails)
    assert sheet is not None
    with Image.open(io.BytesIO(sheet)) as shown:
        assert shown.height > shown.width, "a caption stands below the picture"
    assert [name for name, png in found.plots() if png.startswith(b"\x89PNG")] == ["confusion", "reliability", "slices"]
