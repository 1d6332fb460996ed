"""Files of judgements: what people write, what their tools give back, and what the predecessor kept."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.models.judgements import coco, label_studio
from nachet_pipeline.models.judgements.formatting import judgement_record
from nachet_pipeline.models.judgements.importing import import_judgements
from nachet_pipeline.models.judgements.judgement import Box, Verdict, box_of
from nachet_pipeline.models.judgements.queries import judgements_page
from nachet_pipeline.models.judgements.reading import Otherwise
from nachet_pipeline.models.judgements.recording import JudgementsRefusedError, Recorded
from nachet_pipeline.models.judgements.tasks import Task, tasks
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline_tests.labelled import ARVENSE, JUNCEA, NAPUS, decided, import_as, photograph, picture_of
from nachet_pipeline_tests.models.judgements.judging import (
    ANN,
    BO,
    CY,
    DEFAULT,
    NOON,
    content_of,
    judge,
    judgements,
    model,
    pixels,
    predict,
    says,
)
from nachet_pipeline_tests.registries import load, merged
from nachet_pipeline_tests.workbench import Workbench

LEFT, MIDDLE, RIGHT = pixels(0, 0, 20, 48), pixels(22, 0, 42, 48), pixels(44, 0, 64, 48)
MOVED = pixels(1, 3, 22, 48)
NEXT_DAY = datetime(2026, 11, 2, 9, tzinfo=UTC)


def handed_in(bench: Workbench, content: object, name: str = "judged.json", **named: Any) -> Recorded:
    """Import a file with this content."""
    file = bench.place / name
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    if "inferences" in named:
        results = bench.place / "inferences.json"
        results.write_text(json.dumps(named["inferences"]))
        named["inferences"] = [results]
    with bench.database.connection() as connection:
        return import_judgements(connection, file, by="a test", policy=DEFAULT, **named)


def refused(bench: Workbench, content: object, name: str = "judged.json", **named: Any) -> list[str]:
    """What is wrong with a file, in the order of its lines."""
    with pytest.raises(JudgementsRefusedError) as caught:
        handed_in(bench, content, name, **named)
    return list(caught.value.findings.lines())


def said(bench: Workbench) -> list[tuple[str, str, str | None, Box | None]]:
    """Person, verdict, taxon and corrected box of all judgements."""
    with bench.database.reading() as connection:
        return [
            (one.judgement.person, one.judgement.verdict.value, one.taxon, one.judgement.corrected_box)
            for one in judgements_page(connection)
        ]


def lines(bench: Workbench) -> str:
    """All judgements as `nachet judge list --json` writes them."""
    with bench.database.reading() as connection:
        return "".join(json.dumps(judgement_record(one)) + "\n" for one in judgements_page(connection))


@pytest.fixture
def stored(workbench: Workbench) -> Workbench:
    import_as(workbench, "spring", "east", NAPUS, {"1.png": photograph(1), "2.png": photograph(2)})
    return workbench


@pytest.fixture
def version(stored: Workbench) -> UUID:
    return model(stored)


@pytest.fixture
def prediction(stored: Workbench, version: UUID) -> UUID:
    """Three objects in the first photograph: napus, juncea, and one of no taxon."""
    content = content_of(stored, picture_of(stored, "east"))
    return predict(stored, version, content, (LEFT, [0, 1]), (MIDDLE, [1, 0]), (RIGHT, [3]))


def chosen(connection: Connection, version: UUID) -> list[Task]:
    return tasks(connection, version, "seed-classifier@1.0.0", which="all")


def test_lines_and_tables_are_recorded_once_and_written_as_they_are_read(stored: Workbench, prediction: UUID) -> None:
    picture = str(picture_of(stored, "east", "2.png"))
    rows = [
        {"person": "Ann@Example.org", "at": "2026-11-01T12:00:00Z", "prediction": str(prediction), "object": 1}
        | {"verdict": "right", "sure": 0.9},
        {"person": BO, "at": "2026-11-01T13:00:00+01:00", "picture": picture, "verdict": "taxon", "taxon": JUNCEA},
        {"person": BO, "at": "2026-11-01T12:00:01Z", "picture": picture, "box": LEFT, "verdict": "not_a_seed"}
        | {"note": "a stone", "facts": {"shelf": 3}},
        {"person": CY, "at": "2026-11-01T12:00:02Z", "prediction": str(prediction), "verdict": "missed"}
        | {"corrected_box": MOVED, "taxon": "Brassica"},
        {"person": CY, "at": "2026-11-01T12:00:03Z", "picture": str(uuid4()), "verdict": "unusable"},
    ]
    done = handed_in(stored, "\n".join(map(json.dumps, rows)), "judged.jsonl")
    assert (done.new, done.known, done.unknown) == (4, 0, 1)
    assert list(done.findings.lines()) == [
        f"5: picture: expected one that is stored, found {rows[4]['picture']}",
    ]
    assert said(stored)[-1] == (CY, "missed", "Brassica", MOVED)
    # The same as a table, and as what is listed.
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = [
        [" ".join(map(str, value)) if isinstance(value, tuple) else value for value in map(row.get, keys)]
        for row in rows[:2] + rows[3:4]
    ]
    table = "\n".join(";".join("" if cell is None else str(cell) for cell in row) for row in [keys, *cells])
    again = handed_in(stored, f"\ufeff{table}\n", "judged.csv")
    assert (again.new, again.known) == (0, 3)
    listed = handed_in(stored, lines(stored), "listed.jsonl")
    assert (listed.new, listed.known) == (0, 4)


def test_everything_that_is_wrong_is_found_in_its_line_and_nothing_recorded(
    stored: Workbench, prediction: UUID
) -> None:
    about = {"person": ANN, "at": "2026-11-01T12:00:00Z", "prediction": str(prediction), "object": 1}
    wrong: list[Any] = [
        {**about, "verdict": "right"},
        {**about, "verdict": "perhaps"},
        {**about, "verdict": "taxon", "taxon": "Brassica napvs"},
        {**about, "verdict": "taxon"},
        {**about, "object": 4, "verdict": "right"},
        {**about, "verdict": "box", "corrected_box": [0.5, 0, 0.4, 1]},
        {**about, "at": "2026-11-01T12:00:00", "verdict": "right", "certain": 1},
        {"person": ANN, "at": "2026-11-01T12:00:00Z", "verdict": "unsure"},
        [],
    ]
    found = refused(stored, "\n".join(map(json.dumps, wrong)), "judged.jsonl")
    assert [line.split(" ")[:2] for line in found] == [
        ["2:", "verdict:"],
        ["3:", "taxon:"],
        ["4:", "taxon:"],
        ["5:", "object:"],
        ["6:", "corrected_box:"],
        ["7:", "at:"],
        ["7:", "certain:"],
        ["8:", "expected"],
        ["9:", "expected"],
    ]
    assert "did you mean Brassica napus?" in found[1]
    assert said(stored) == []
    assert refused(stored, "person;whatever\n", "judged.csv")[0].startswith("1: whatever: expected person, at, verdict")
    with pytest.raises(JudgementsRefusedError) as caught:
        handed_in(stored, json.dumps(wrong[4]), "judged.jsonl")
    assert list(caught.value.findings.lines("fr")) == ["1 : object : attendu : 1 … 3; trouvé : 4"]


def test_what_cannot_be_kept_is_found_in_its_line(stored: Workbench) -> None:
    about = {"person": ANN, "at": "2026-11-01T12:00:00Z", "picture": str(picture_of(stored, "east"))}
    wrong = [
        {**about, "verdict": "unsure", "at": "2099-01-01T00:00:00Z"},
        {**about, "verdict": "unsure", "at": "0001-01-01T00:00:00+14:00"},
        {**about, "verdict": "unsure", "note": "a\0b"},
        {**about, "verdict": "unsure", "facts": {"a": ["\0"]}},
        {**about, "verdict": "unsure", "facts": {"a": float("nan")}},
        {**about, "verdict": "unsure", "facts": {"a": "\ud800"}},
        {**about, "verdict": "unsure", "person": "\0"},
        {**about, "verdict": "unsure", "note": "x" * 500_000},
    ]
    found = refused(stored, "\n".join(map(json.dumps, wrong)), "judged.jsonl")
    assert [line.split(" ")[:2] for line in found] == [
        ["1:", "at:"],
        ["2:", "at:"],
        ["3:", "note:"],
        ["4:", "facts:"],
        ["5:", "facts:"],
        ["6:", "facts:"],
        ["7:", "person:"],
        ["8:", "note:"],
    ]
    kept = {**about, "verdict": "unsure", "note": "a\\u0000b", "facts": {"é": "\\u0000"}}
    assert handed_in(stored, json.dumps(kept), "judged.jsonl").new == 1
    # A table that is not in UTF-8: its notes would be others than people wrote.
    file = stored.place / "judged.csv"
    row = f"{ANN};2026-11-01T12:00:00Z;{about['picture']};unsure;"
    file.write_bytes(f"person;at;picture;verdict;note\n{row}mûre\n{row}sèche\n".encode("cp1252"))
    with pytest.raises(JudgementsRefusedError) as caught, stored.database.connection() as connection:
        import_judgements(connection, file, by="a test", policy=DEFAULT)
    assert [line.split(", found")[0] for line in caught.value.findings.lines()] == [
        "2: expected text in UTF-8, as programs save it by “CSV UTF-8”",
        "3: expected text in UTF-8, as programs save it by “CSV UTF-8”",
    ]


def test_the_same_judgement_is_kept_once_whatever_became_of_its_taxon(stored: Workbench, prediction: UUID) -> None:
    first, second = (str(picture_of(stored, "east", name)) for name in ("1.png", "2.png"))
    about = {"person": BO, "at": "2026-11-01T12:00:00Z"}
    rows = [
        {**about, "picture": first, "verdict": "right", "sure": 0.9},
        {**about, "picture": second, "verdict": "taxon", "taxon": JUNCEA, "box": [0.1, 0.2, 0.3, 0.7]},
        {**about, "prediction": str(prediction), "object": 2, "verdict": "wrong"},
    ]
    text = "\n".join(map(json.dumps, rows))
    assert handed_in(stored, text, "judged.jsonl").new == 3
    listed = lines(stored)
    decided(stored, picture_of(stored, "east"), ARVENSE)
    with stored.database.reading() as connection:
        seeds = list(registered_seeds(connection).by_id.values())
    load(stored, merged(seeds, JUNCEA, ARVENSE))
    for again in (text, listed, lines(stored)):
        done = handed_in(stored, again, "judged.jsonl")
        assert (done.new, done.known) == (0, 3)
    changed = {**rows[1], "taxon": NAPUS}
    assert handed_in(stored, json.dumps(changed), "judged.jsonl").new == 1


def test_what_is_taken_back_may_stand_below_or_be_left_out(stored: Workbench) -> None:
    judge(stored, says(ANN, Verdict.TAXON, JUNCEA, picture=picture_of(stored, "east"), at=60))
    (judgement,) = judgements(stored)
    back = {"person": ANN, "at": "2026-11-01T12:00:00Z", "verdict": "withdrawn", "withdraws": str(judgement)}
    assert handed_in(stored, json.dumps(back), "judged.jsonl").new == 1
    listed = lines(stored)
    assert '"withdraws"' in listed.splitlines()[0]
    stored.query("truncate judgement")
    assert handed_in(stored, listed, "judged.jsonl").new == 2
    # Of a picture that is not stored, what was said and what took that back are left out.
    said_of = {"person": ANN, "at": "2026-11-01T12:00:00Z", "picture": str(uuid4()), "verdict": "unusable"}
    done = handed_in(stored, "\n".join(map(json.dumps, [back | {"withdraws": str(uuid4())}, said_of])), "other.jsonl")
    assert (done.new, done.unknown) == (0, 2)


def test_label_studio_gives_back_what_it_was_given_and_what_people_drew(
    stored: Workbench, version: UUID, prediction: UUID
) -> None:
    second = content_of(stored, picture_of(stored, "east", "2.png"))
    whole = predict(stored, version, second, (None, [0, 1]))
    judge(
        stored,
        says(ANN, Verdict.RIGHT, prediction=prediction, object=1, note="surely"),
        says(ANN, Verdict.WRONG, prediction=prediction, object=2, sure=0.5),
        replace(says(ANN, Verdict.MISSED, ARVENSE, prediction=prediction), corrected_box=MOVED),
        says(BO, Verdict.NOT_A_SEED, prediction=prediction, object=3, at=1),
        says(BO, Verdict.TAXON, ARVENSE, sha256=second, box=LEFT, at=2),
        says("a trainee", Verdict.UNSURE, sha256=second, at=3),
    )
    before = said(stored)
    with stored.database.reading() as connection:
        exported = json.loads(json.dumps(list(label_studio.exported(chosen(connection, version)))))
    assert f'<Label value="{JUNCEA}"/>' in label_studio.interface([JUNCEA])

    # The round trip: nothing new, and nothing lost.
    back = handed_in(stored, exported)
    assert (back.new, back.known, said(stored)) == (0, len(before), before)

    # Cy starts from the prediction: leaves one, names and moves another, deletes the third, and adds a fourth.
    (task,) = [one for one in exported if one["data"]["prediction"] == str(prediction)]
    first, middle, _ = (dict(region) for region in task["predictions"][0]["result"])
    middle["value"] = {**middle["value"], "rectanglelabels": [ARVENSE], "x": 33.0}
    added = {**first, "id": "Xy-1", "value": {"x": 70, "y": 10, "width": 10, "height": 80, "rectanglelabels": [JUNCEA]}}
    task["annotations"] = [
        {"completed_by": {"email": CY}, "updated_at": "2026-11-02T09:00:00Z", "result": [first, middle, added]},
        {"completed_by": {"email": CY}, "was_cancelled": True, "result": []},
    ]
    (other,) = [one for one in exported if one["data"]["prediction"] == str(whole)]
    shown = {**other["predictions"][0]["result"][0], "value": {"choices": ["(not sure)"]}}
    other["annotations"] = [{"completed_by": 7, "created_at": "2026-11-02T09:00:00Z", "result": [shown]}]
    assert "annotations.completed_by: expected who judged, or --person" in refused(stored, exported)[0]

    done = handed_in(stored, exported, otherwise=Otherwise(person=CY))
    assert done.new == 5
    by_cy = [(verdict, taxon, box) for person, verdict, taxon, box in said(stored) if person == CY]
    moved = box_of(0.33, 0, 0.33 + 20 / 64, 1)
    assert sorted(by_cy, key=str) == sorted(
        [
            ("right", NAPUS, None),
            ("taxon", ARVENSE, pytest.approx(moved)),
            ("not_a_seed", None, None),
            ("missed", JUNCEA, pytest.approx(box_of(0.7, 0.1, 0.8, 0.9))),
            ("unsure", None, None),
        ],
        key=str,
    )


def test_a_note_or_a_turn_in_label_studio_is_a_new_word(stored: Workbench, version: UUID, prediction: UUID) -> None:
    judge(stored, says(ANN, Verdict.RIGHT, prediction=prediction, object=1))
    with stored.database.reading() as connection:
        tasks_given = json.loads(json.dumps(list(label_studio.exported(chosen(connection, version)))))
    (annotation,) = tasks_given[0]["annotations"]
    annotation["updated_at"] = "2026-11-02T09:00:00Z"
    first, middle, _ = annotation["result"]
    first["meta"]["text"] = ["I looked again"]
    middle["value"] |= {"rotation": 90, "x": 75, "y": 25, "width": 37.5, "height": 50, "rectanglelabels": [JUNCEA]}
    assert handed_in(stored, tasks_given).new == 2
    rows = stored.query("select verdict, note, corrected_box from judgement where at > '2026-11-02' order by object")
    assert [(row["verdict"], row["note"]) for row in rows] == [("right", "I looked again"), ("box", None)]
    # A rectangle of 24 by 24 pixels, turned about its left upper corner at 48, 12.
    assert rows[1]["corrected_box"] == pytest.approx(pixels(24, 12, 48, 36))
    # A label that is taken off a box says nothing of it, and a new box without one is a seed of any kind.
    del middle["value"]["rectanglelabels"]
    middle["type"] = "rectangle"
    added = {**middle, "id": "Xy-1", "meta": {}, "value": {"x": 50, "y": 80, "width": 10, "height": 10}}
    annotation |= {"completed_by": {"email": CY}, "updated_at": "2026-11-03T09:00:00Z"}
    annotation["result"].append(added)
    assert handed_in(stored, tasks_given).new == 2
    assert {(verdict, taxon) for person, verdict, taxon, _ in said(stored) if person == CY} == {
        ("right", NAPUS),
        ("missed", None),
    }


def test_coco_gives_back_what_it_was_given_and_what_people_drew(
    stored: Workbench, version: UUID, prediction: UUID
) -> None:
    with stored.database.reading() as connection:
        exported = json.loads(json.dumps(coco.exported(chosen(connection, version), [NAPUS, JUNCEA, ARVENSE])))
    assert refused(stored, exported)[0].startswith(".: expected who judged, and when")
    by_ann = {"otherwise": Otherwise(ANN, NOON)}
    assert handed_in(stored, exported, **by_ann).new == 3
    assert [verdict for _, verdict, _, _ in said(stored)] == ["right"] * 3
    assert handed_in(stored, exported, **by_ann).known == 3

    # A copy of a box, with its number, is another object.
    copied = exported | {"annotations": [*exported["annotations"], exported["annotations"][0] | {"bbox": [2, 2, 9, 8]}]}
    assert handed_in(stored, copied, otherwise=Otherwise(CY, NOON)).new == 4
    assert sorted(verdict for person, verdict, _, _ in said(stored) if person == CY) == ["missed", *["right"] * 3]

    # Another tool keeps neither scores nor numbers.
    number = {one["name"]: one["id"] for one in exported["categories"]}
    first, _, last = exported["annotations"]
    kept = ("id", "image_id", "category_id", "bbox")
    exported["annotations"] = [
        {name: first[name] for name in kept} | {"category_id": number[ARVENSE]},
        {name: last[name] for name in kept} | {"bbox": [46, 2, 18, 46]},
        {**{name: last[name] for name in kept}, "id": 9, "category_id": number[NAPUS], "bbox": [2, 2, 60, 8]},
    ]
    assert handed_in(stored, exported, otherwise=Otherwise(BO, NEXT_DAY)).new == 4
    assert sorted((verdict, taxon) for person, verdict, taxon, _ in said(stored) if person == BO) == [
        ("box", None),
        ("missed", NAPUS),
        ("not_a_seed", None),
        ("taxon", ARVENSE),
    ]


def predecessors(picture: UUID) -> dict[str, Any]:
    """The result of an inference, with boxes in pixels."""
    boxes = {"a": (LEFT, "0 Brassica napus"), "b": (MIDDLE, "1 Brassica juncea"), "c": (RIGHT, "Brassica juncea")}
    return {
        "inference_id": "cfc57f69-3b68-4579-acf5-de8d96089782",
        "picture_id": str(picture),
        "totalBoxes": 3,
        "models": [{"name": "swin", "version": "1"}],
        "boxes": [
            {"box_id": name, "box": in_pixels(box), "label": label, "score": 0.5, "topN": []}
            for name, (box, label) in boxes.items()
        ],
    }


def in_pixels(box: Box) -> dict[str, float]:
    left, top, right, bottom = box
    return {"topX": 64 * left, "topY": 48 * top, "bottomX": 64 * right, "bottomY": 48 * bottom}


@pytest.mark.parametrize("recorded", [False, True], ids=["unknown to us", "recorded"])
def test_the_predecessors_feedback_is_kept_without_loss(stored: Workbench, version: UUID, *, recorded: bool) -> None:
    picture = picture_of(stored, "east")
    if recorded:
        predict(stored, version, content_of(stored, picture), (LEFT, [0]), (MIDDLE, [1]), (RIGHT, [1]))
    inference = predecessors(picture)
    about = {"inferenceId": inference["inference_id"], "userId": str(stored.user.id)}
    box = {one["box_id"]: one["box"] for one in inference["boxes"]}
    corrections = [
        {"boxId": "a", "label": ARVENSE, "classId": "x", "box": box["a"], "comment": "look at the hilum"},
        {"boxId": "b", "label": JUNCEA, "classId": "x", "box": in_pixels(pixels(23, 1, 42, 48))},
        {"boxId": "c", "label": "", "classId": "", "box": box["c"]},
        {"boxId": "", "label": NAPUS, "classId": "", "box": in_pixels(MOVED)},
    ]
    feedback = [
        {**about, "boxes": [{"boxId": "b"}]},
        {**about, "boxes": corrections},
        {**about, "boxes": [{"boxId": "c", "label": "Nullus flos", "classId": "", "box": box["c"]}]},
    ]
    assert "at: expected when, by --at" in refused(stored, feedback, inferences=[inference])[0]

    done = handed_in(stored, feedback, otherwise=Otherwise(at=NOON), inferences=[inference])

    assert (done.new, done.unknown) == (6, 0)
    found = stored.query(
        "select j.*, s.name from judgement j left join seeds s on s.id = seed_id order by facts -> 'box' ->> 'boxId',"
        " verdict"
    )
    assert [(row["facts"]["box"].get("boxId"), row["verdict"], row["name"]) for row in found] == [
        ("", "missed", NAPUS),
        ("a", "taxon", ARVENSE),
        ("b", "box", JUNCEA),
        ("b", "right", JUNCEA),
        ("c", "not_a_seed", None),
        ("c", "wrong", JUNCEA),
    ]
    given = [one for each in feedback for one in each["boxes"]]
    assert sorted(json.dumps(row["facts"]["box"], sort_keys=True) for row in found) == sorted(
        json.dumps(one, sort_keys=True) for one in given
    )
    assert {row["facts"]["inference"] for row in found} == {inference["inference_id"]}
    assert found[1]["note"] == "look at the hilum"
    assert {row["person"] for row in found} == {stored.user.email}
    assert [row["object"] for row in found] == ([None, 1, 2, 2, 3, 3] if recorded else [None] * 6)
    assert handed_in(stored, feedback, otherwise=Otherwise(at=NOON), inferences=[inference]).known == 6


def test_a_file_of_no_known_kind_says_which_there_are(stored: Workbench) -> None:
    for content in ({"what": "ever"}, [1, 2], "not json at all"):
        with pytest.raises(Exception, match=r"expected (one of jsonl, csv|JSON in UTF-8)"):
            handed_in(stored, content)
    broken = [{"data": {"prediction": str(uuid4())}, "annotations": [{"completed_by": {"email": ANN}, "result": "no"}]}]
    assert "what the tool exports" in refused(stored, broken, otherwise=Otherwise(at=NOON))[0]
    assert Path(stored.place / "judged.json").exists()
