"""Judgements for tests: stored pictures with crops, predictions about them, and what people say."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from nachet_pipeline.identifiers import picture_seed_id, seed_id
from nachet_pipeline.models.judgements.judgement import Box, Stated, Verdict, box_of
from nachet_pipeline.models.judgements.policy import Policy
from nachet_pipeline.models.judgements.recording import Recorded, record_judgements, withdraw_judgement
from nachet_pipeline_tests.workbench import Workbench

ANN, BO, CY = "ann@example.org", "bo@example.org", "cy@example.org"
DEFAULT = Policy()
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
LABELS = ("Brassica napus", "Brassica juncea", "Cirsium arvense")


def experts(bench: Workbench, *emails: str) -> None:
    """Name experts."""
    for email in emails:
        bench.query("insert into expert (email, named_by, why) values (%s, 'a test', 'knows them')", email)


def judge(bench: Workbench, *stated: Stated, policy: Policy = DEFAULT) -> Recorded:
    """Record judgements."""
    with bench.database.connection() as connection:
        return record_judgements(connection, stated, by="a test", source="test", policy=policy)


def says(person: str, verdict: Verdict, taxon: str | None = None, *, at: int = 0, **about: Any) -> Stated:
    """A judgement, so many minutes after noon."""
    return Stated(person, verdict, NOON + timedelta(minutes=at), taxon=taxon, **about)


def judgements(bench: Workbench, **columns: str) -> list[UUID]:
    where = " and ".join(f"{name} = %s" for name in columns) or "true"
    rows = bench.query(f"select id from judgement where {where} order by at, id", *columns.values())
    return [row["id"] for row in rows]


def take_back(bench: Workbench, judgement: UUID, *, by: str = ANN) -> Recorded:
    with bench.database.connection() as connection:
        return withdraw_judgement(connection, judgement, by=by, why="it was another", policy=DEFAULT)


def outcomes(bench: Workbench) -> dict[tuple[bytes, str], tuple[str, str | None]]:
    """What was made of judgements, by content and region."""
    rows = bench.query("select sha256, region, outcome, s.name from judged left join seeds s on s.id = seed_id")
    return {(bytes(row["sha256"]), row["region"]): (row["outcome"], row["name"]) for row in rows}


def content_of(bench: Workbench, picture: UUID) -> bytes:
    return bytes(bench.query("select sha256 from pictures where id = %s", picture)[0]["sha256"])


def crop(bench: Workbench, parent: UUID, box: Sequence[int]) -> UUID:
    """A crop of a picture, as a row: what it was cut from is in its content."""
    identifier = uuid4()
    sha256 = hashlib.sha256(f"{parent} {box}".encode()).digest()
    bench.query(
        "insert into pictures (id, picture, picture_set_id, parent, nb_object, name, blob, sha256, size, format, width,"
        " height, bounding_box, detector, pixel_sha256) select %s, picture, picture_set_id, id, 1, name, %s, %s, 100,"
        " format, %s, %s, %s, 'a test', %s from pictures where id = %s",
        identifier,
        f"{identifier}.png",
        sha256,
        box[2] - box[0],
        box[3] - box[1],
        list(box),
        hashlib.sha256(sha256).digest(),
        parent,
    )
    for row in bench.query("select seed_id from picture_seed where picture_id = %s", parent):
        link = picture_seed_id(identifier, row["seed_id"])
        bench.query(
            "insert into picture_seed (id, picture_id, seed_id) values (%s, %s, %s)", link, identifier, row["seed_id"]
        )
    return identifier


def model(bench: Workbench, name: str = "seed-classifier", version: str = "1.0.0") -> UUID:
    """A version of a model with the classes `LABELS`, and `background`."""
    identifier, of_model = uuid4(), uuid4()
    bench.query("insert into model (id, name, owner) values (%s, %s, 'a test') on conflict do nothing", of_model, name)
    bench.query(
        "insert into model_version (id, model_id, version, task, digest, registered_by)"
        " select %s, id, %s, 'both', 'x', 'a test' from model where name = %s",
        identifier,
        version,
        name,
    )
    for index, label in enumerate((*LABELS, "background")):
        seed = seed_id(label) if label in LABELS else None
        bench.query("insert into model_class values (%s, %s, %s, %s)", identifier, index, f"{index} {label}", seed)
    return identifier


def predict(bench: Workbench, version: UUID, sha256: bytes, *objects: tuple[Box | None, Sequence[int]]) -> UUID:
    """A prediction: of each object its box, None for the whole picture, and its candidates' classes, best first."""
    identifier = uuid4()
    boxes = [side for box, _ in objects for side in box or ()]
    candidates = [(number, index) for number, (_, classes) in enumerate(objects, 1) for index in classes]
    bench.query(
        "insert into prediction (id, model_version_id, sha256, at, objects, boxes, box_scores, candidate_object,"
        " candidate_class, candidate_score) values (%s, %s, %s, now(), %s, %s, %s, %s, %s, %s)",
        identifier,
        version,
        sha256,
        len(objects),
        boxes,
        [0.9] * (len(boxes) // 4),
        [number for number, _ in candidates],
        [index for _, index in candidates],
        [0.8 / (1 + place) for place in range(len(candidates))],
    )
    return identifier


def pixels(left: int, top: int, right: int, bottom: int) -> Box:
    """A box of a test's photograph, in fractions: those have 64 x 48 pixels."""
    return box_of(left / 64, top / 48, right / 64, bottom / 48)
