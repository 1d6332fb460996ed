"""How long a file of predictions takes to be recorded, and how much memory, whatever its size.

    .venv/bin/python -m benchmarks.predictions --predictions 1000000

The pictures are rows alone, one for each prediction. A prediction has five candidates, of the whole picture or of each
of some boxes (`--boxes`). Each file is recorded by a process of its own; the first one again at last, when nothing
in it is new.
"""

import argparse
import hashlib
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from pydantic import SecretStr
from rich.console import Console

from benchmarks.own_services import in_own_process, memory_mib, own_services
from nachet_pipeline.database.connection import Database
from nachet_pipeline.models.model import ModelDocument
from nachet_pipeline.models.predictions.recording import record_file
from nachet_pipeline.models.queries import version_named
from nachet_pipeline.models.registering import register_model

TARGET_SECONDS, TARGET_PREDICTIONS = 60.0, 1_000_000
_LABELS = [f"class {number}" for number in range(15)]
_VERSION = "seed-classifier@1"
_DIGEST = hashlib.sha256(b"benchmark").hexdigest()


# Without triggers and foreign keys: the trail of a million invented pictures is not what is measured.
_FILL = """
set local session_replication_role = replica;
insert into users (id, email) values (md5('user')::uuid, 'ada@example.org');
insert into container (id, owner_id, name) values (md5('user')::uuid, md5('user')::uuid, 'user-x');
insert into upload (id, owner_id, folder, state) values (md5('upload')::uuid, md5('user')::uuid, 'folder', 'imported');
insert into picture_set (id, picture_set, owner_id, name, container_id, upload_id, digest)
    values (md5('set')::uuid, '{}', md5('user')::uuid, 'x', md5('user')::uuid, md5('upload')::uuid, 'x');
insert into pictures (id, picture, picture_set_id, nb_object, name, blob, sha256, size, format, width, height)
    select md5('picture' || n)::uuid, '{}', md5('set')::uuid, 1, n, n, sha256(n::text::bytea), 1, 'PNG', 1, 1
    from generate_series(1, %(pictures)s) n;
insert into training_set (id, name, digest, container, blob, pictures, groups, recipe, notes, classes)
    values (md5('t')::uuid, 'seeds', %(digest)s, 'training-seeds', 'x', %(trained)s, 9, '{}', '[]', '[]');
insert into training_set_member (training_set_id, picture_id, split, class_index, "group")
    select md5('t')::uuid, md5('picture' || n)::uuid, 0, 1, md5('user')::uuid from generate_series(1, %(trained)s) n;
analyze
"""


def _fill(database: Database, pictures: int, trained: int) -> None:
    """Make rows of pictures whose contents are their numbers, and a version of a model that some of them taught."""
    classes = [{"label": label} for label in _LABELS]
    versions = [{"version": "1", "task": "both", "classes": classes, "training_set": f"seeds@{_DIGEST}"}]
    document = {"name": "seed-classifier", "owner": "lab", "versions": versions}
    with database.connection() as connection:
        for statement in _FILL.split(";\n"):
            connection.execute(statement, {"pictures": pictures, "trained": trained, "digest": _DIGEST})
        register_model(connection, ModelDocument.model_validate(document), by="benchmark")


def _write(file: Path, number: int, boxes: int) -> None:
    chance = random.Random(1)  # noqa: S311 (invented predictions)

    def candidates() -> list[dict[str, object]]:
        scores = sorted((round(chance.random(), 6) for _ in range(5)), reverse=True)
        return [
            {"label": label, "score": score} for label, score in zip(chance.sample(_LABELS, 5), scores, strict=True)
        ]

    def box() -> dict[str, object]:
        left, top = (round(chance.random() / 2, 5) for _ in range(2))
        corners = [left, top, round(left + 0.1, 5), round(top + 0.1, 5)]
        return {"box": corners, "score": round(chance.random(), 5), "candidates": candidates()}

    with file.open("w", encoding="ascii") as stream:
        for picture in range(1, number + 1):
            answer: dict[str, object] = {"sha256": hashlib.sha256(str(picture).encode()).hexdigest()}
            answer |= {"boxes": [box() for _ in range(boxes)]} if boxes else {"candidates": candidates()}
            stream.write(f"{json.dumps(answer)}\n")


def _record(file: Path) -> None:
    """Record a file, and write the figures."""
    with Database(SecretStr(os.environ["NACHET_DATABASE_URL"])) as database:
        version = database.call(version_named, _VERSION)
        before, start, used = memory_mib(), time.perf_counter(), time.process_time()
        receipt = record_file(database, version, file, by="benchmark")
        figures = {"seconds": time.perf_counter() - start, "processor": time.process_time() - used}
        sys.stdout.write(
            json.dumps(
                figures
                | {"recorded": receipt.file.predictions, "trained": receipt.file.on_trained or 0}
                | {"before": before, "most": memory_mib()}
            )
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--predictions", type=int, default=TARGET_PREDICTIONS)
    parser.add_argument("--boxes", type=int, default=0)
    parser.add_argument("--trained", type=int, default=0, help="how many of the pictures taught the version")
    parser.add_argument("--record", type=Path)
    given = parser.parse_args()
    if given.record:
        _record(given.record)
        return
    console = Console()
    with own_services() as (_, services), tempfile.TemporaryDirectory() as place:
        with Database(SecretStr(services.database_url)) as database:
            _fill(database, given.predictions, given.trained)
        few = given.predictions // 10
        for number in (few, given.predictions, few):
            file = Path(place) / f"{number}.jsonl"
            if not file.exists():
                _write(file, number, given.boxes)
            found = in_own_process("benchmarks.predictions", "--record", str(file))
            console.print(
                f"{found['recorded']:.0f} predictions, {found['trained']:.0f} of what taught it:"
                f" {found['seconds']:.1f} s, {found['processor']:.1f} s of its"
                f" processor, {found['before']:.0f} MiB before and {found['most']:.0f} MiB at most"
            )
    console.print(f"target: {TARGET_PREDICTIONS} in {TARGET_SECONDS:.0f} s")


if __name__ == "__main__":
    main()
