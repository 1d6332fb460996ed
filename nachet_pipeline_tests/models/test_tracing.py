"""What taught the version that said something, and what rests on a photograph, both ways."""

import csv
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from nachet_pipeline.client import Client
from nachet_pipeline.folders.queries import delete_folder
from nachet_pipeline.health.queries import tainted_champions
from nachet_pipeline.models.trace_queries import PictureTrace
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.documents import PAGES, fenced
from nachet_pipeline_tests.labelled import JUNCEA, NAPUS
from nachet_pipeline_tests.models.test_evaluating import Laboratory, content
from nachet_pipeline_tests.outbox import told
from nachet_pipeline_tests.workbench import Workbench

PREDICTION = "6f1d3c9e-0a52-4e0b-9c57-1d2f7f0f5a11"


@pytest.fixture
def laboratory(workbench: Workbench, nachet: Nachet) -> Laboratory:
    """A version that learned from two crops of one photograph, and from a photograph of somebody else."""
    made = Laboratory.of(workbench, nachet)
    whole = made.add("ada's")
    for number in (1, 2):
        made.add(f"ada's crop {number}", parent=whole, box=[0, 0, 10 * number, 10])
    made.add("bo's")
    made.execute("insert into users (id, email) values (%s, 'bo@example.org')", UUID(int=8))
    made.execute(
        "insert into picture_set (id, picture_set, owner_id, name, container_id, upload_id, session, digest)"
        " select %s, '{}', %s, 'of bo', container_id, upload_id, 'elsewhere', digest from picture_set",
        UUID(int=9),
        UUID(int=8),
    )
    made.execute("update pictures set picture_set_id = %s where sha256 = %s", UUID(int=9), content("bo's"))
    for number, taught in enumerate(("ada's crop 1", "ada's crop 2", "bo's")):
        made.member(taught, 0, 100 + number, split=0)
        made.execute(
            "insert into picture_seed (id, picture_id, seed_id) select %s, %s, id from seeds where name = %s",
            uuid4(),
            UUID(bytes=content(taught)[:16]),
            NAPUS,
        )
    return made


def traced(laboratory: Laboratory, subject: object) -> dict[str, Any]:
    answer = laboratory.nachet("trace", subject, "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert isinstance(found, dict)
    return found


def promoted(laboratory: Laboratory, version: str) -> None:
    laboratory.execute(
        "insert into model_champion (model_id, model_version_id, named_by, why) select model_id, id, 'ada', 'best'"
        " from model_version where version = %s",
        version.partition("@")[2],
    )


def test_a_prediction_leads_to_the_photographs_that_taught_it_and_a_photograph_back(laboratory: Laboratory) -> None:
    version = laboratory.register("1.0")
    promoted(laboratory, version)
    laboratory.predict(version, {0: 0, "ada's": 1})
    said = {bytes(row["sha256"]): row["id"] for row in laboratory.bench.query("select id, sha256 from prediction")}

    found = traced(laboratory, said[content(0)])
    assert (found["learned"], found["said"][0]["label"]) == (False, NAPUS.upper())
    assert traced(laboratory, said[content("ada's")])["learned"], "it was trained on crops of it"
    laboratory.add("ada's crop 3", parent=UUID(bytes=content("ada's")[:16]), box=[0, 0, 9, 9])
    laboratory.predict("seed-model@1.0", {"ada's crop 3": 0})
    (beside,) = laboratory.bench.query("select id from prediction where sha256 = %s", content("ada's crop 3"))
    assert traced(laboratory, beside["id"])["learned"], "it was trained on other crops of the photograph"
    laboratory.execute("delete from prediction where id = %s", beside["id"])
    assert traced(laboratory, version) == {"traced": "version", **found["by"]}
    taught = found["by"]["taught"]
    assert found["by"]["champion_since"]
    assert (taught["photographs"], taught["pictures"], taught["relabelled"], found["by"]["predictions"]) == (2, 3, 0, 2)
    by_whom = {one["email"]: (one["photographs"], one["withdrawn"]) for one in taught["uploaders"]}
    assert by_whom == {laboratory.bench.user.email: (1, 0), "bo@example.org": (1, 0)}

    listed = list(csv.DictReader(laboratory.nachet("trace", version, "--list", "csv").out.splitlines()))
    listed.sort(key=lambda one: one["pictures"], reverse=True)
    assert [(one["sha256"], one["pictures"]) for one in listed] == [
        (content("ada's").hex(), "2"),
        (content("bo's").hex(), "1"),
    ]
    for subject in (listed[0]["photograph"], listed[0]["sha256"], listed[0]["place"]):
        back = traced(laboratory, subject)
        assert [(one["split"], one["relation"], one["pictures"]) for one in back["training_sets"]] == [
            ("train", "crop", 2)
        ]
        assert [(one["version"], one["champion"], one["pictures"]) for one in back["models"]] == [("1.0", True, 2)]
        assert (back["resting"], back["predictions"]) == (2, 1)
    rows = laboratory.nachet("trace", listed[0]["photograph"], "--list", "jsonl").out.splitlines()
    assert {json.loads(row)["prediction"] for row in rows} == set(map(str, said.values()))
    assert "taught the model seed-model@1.0, the champion" in laboratory.nachet("trace", listed[0]["sha256"]).out
    assert "1  bo@example.org" in laboratory.nachet("trace", said[content(0)]).out

    laboratory.execute(
        "insert into label_decision (sha256, seed_id, decided_by, why) select %s, id, 'ada', 'seen' from seeds"
        " where name = %s",
        content("ada's"),
        JUNCEA,
    )
    assert traced(laboratory, version)["taught"]["relabelled"] == 2
    assert laboratory.nachet("trace", uuid4()).code == 1
    assert "expected the identifier" in laboratory.nachet("trace", "seeds").err
    bench = laboratory.bench
    with Client(bench.settings, bench.blobs, database=bench.database) as client:
        again = client.trace(content("ada's crop 1").hex())
    assert isinstance(again, PictureTrace)
    assert {row.relation for row in again.rows} == {"same", "whole"}


def test_what_is_withdrawn_or_deleted_names_the_models_and_champions_that_it_taught(laboratory: Laboratory) -> None:
    version, bench = laboratory.register("1.0"), laboratory.bench
    laboratory.register("2.0", training_set="cd" * 32)
    promoted(laboratory, version)
    laboratory.predict(version, {0: 0})
    laboratory.predict("seed-model@2.0", {0: 0})
    laboratory.execute(
        "update prediction set id = %s where model_version_id = (select id from model_version where version = '1.0')",
        PREDICTION,
    )
    first, second = fenced(PAGES["docs/models.md"], "sql")
    assert bench.query(second) == []

    whole = UUID(bytes=content("ada's")[:16])
    done = laboratory.nachet("training-set", "withdraw", whole, "--by", "Ada", "--why", "Not mine", "--json")
    (named,) = json.loads(done.out)["models"]
    assert (named["name"], named["champion"], named["pictures"]) == (version, True, 2)
    again = laboratory.nachet("training-set", "withdraw", whole, "--by", "Ada", "--why", "Not mine")
    assert f"tainted: the model {version}, the champion, trained on 2 of seeds@" in again.out
    with bench.database.connection() as connection:
        deleted = delete_folder(connection, UUID(int=9), by="Bo", why="No longer", undo_days=30)
    assert deleted.models == (version,)
    events = told(bench.database, "model.tainted")
    assert [(one.subject, one.data.name, one.data.why, one.data.pictures) for one in events] == [  # type: ignore[union-attr]
        ("seed-model", version, "withdrawn", 2),
        ("seed-model", version, "deleted", 1),
    ]
    with bench.database.reading() as connection:
        (rests,) = tainted_champions(connection)
    assert rests.found == f"champion {version} rests on 1 withdrawn and 1 deleted photographs"
    taught = traced(laboratory, version)["taught"]
    assert (taught["withdrawn"], taught["deleted"], taught["relabelled"]) == (1, 1, 0)

    assert {(row["uploader"], row["gone"]) for row in bench.query(first)} == {
        (bench.user.email, "withdrawn"),
        ("bo@example.org", "deleted"),
    }
    assert [str(row["id"]) for row in bench.query(second)] == [PREDICTION]

    promoted(laboratory, "seed-model@2.0")
    with bench.database.reading() as connection:
        assert tainted_champions(connection) == []
