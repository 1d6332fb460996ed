"""What models and people say, recorded by commands that are killed by SIGKILL and started again.

A life is a sequence of commands, in a database of its own: predictions from a file and from a container, judgements,
an expert, another policy, an evaluation, a champion. In the reference nobody is disturbed. In the others each
command is killed. Then the database must be as it was before the command, or as it is after it; the command
is started again, and everything must be as in the reference.
"""

import contextlib
import gc
import hashlib
import io
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.rows import dict_row
from pydantic import SecretStr

from nachet_pipeline.cli.commands import app
from nachet_pipeline.database.connection import Database
from nachet_pipeline.identifiers import RECEIPT_SUFFIX, predictions_container, seed_id
from nachet_pipeline.local.prepare import prepare
from nachet_pipeline.local.services import Services
from nachet_pipeline.models.model import ModelDocument
from nachet_pipeline.models.predictions.containers import due_files, record_arrived
from nachet_pipeline.models.queries import model_versions
from nachet_pipeline.models.registering import register_model
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline_tests.databases import database_name, own_database
from nachet_pipeline_tests.durability.boundaries import Boundaries
from nachet_pipeline_tests.durability.killing import ForkedError, fork
from nachet_pipeline_tests.slow_imports import import_what_is_slow

_SPECIES = ("Brassica napus", "Brassica juncea")
_PICTURES, _TESTED, _ANSWERS = 600, 120, 10
_TABLES = (
    "prediction_file", "prediction", "judgement", "expert", "judged", "label_decision", "model_evaluation",
    "model_champion", "pictures", "audit_trail",
)  # fmt: skip
# When and in which order something was done.
_PASSING = ["id", "number", "at", "recorded_at", "named_at", "decided_at", "evaluated_at"]
_FILE = "1.0/more.jsonl"

# Without triggers: the trail is about what is done to these.
_FILL = """
set local session_replication_role = replica;
insert into users (id, email) values (md5('user')::uuid, 'ada@example.org');
insert into container (id, owner_id, name) values (md5('user')::uuid, md5('user')::uuid, 'user-x');
insert into upload (id, owner_id, folder, state) values (md5('upload')::uuid, md5('user')::uuid, 'folder', 'imported');
insert into picture_set (id, picture_set, owner_id, name, container_id, upload_id, digest)
    values (md5('set')::uuid, '{}', md5('user')::uuid, 'x', md5('user')::uuid, md5('upload')::uuid, 'x');
insert into pictures (id, picture, picture_set_id, nb_object, name, blob, sha256, size, format, width, height)
    select md5('picture' || n)::uuid, '{}', md5('set')::uuid, 1, n, n, sha256(n::text::bytea), 1, 'PNG', 64, 48
    from generate_series(1, %(pictures)s) n;
insert into training_set (id, name, digest, container, blob, pictures, groups, classes, recipe, notes)
    values (md5('set')::uuid, 'seeds', %(digest)s, 'training-seeds', 'x', %(tested)s, %(tested)s / 5, %(classes)s, '{}',
    '[]');
insert into training_set_member (training_set_id, picture_id, split, class_index, "group")
    select md5('set')::uuid, md5('picture' || n)::uuid, 2, n / 5 %% 2, md5('group' || n / 5)::uuid
    from generate_series(1, %(tested)s) n
"""


@dataclass
class ModelsTally:
    """What came of many kills.

    Attributes:
        kills: processes that were killed, by command.
        lives: sequences of commands that they were of.
        at_random_moments: kills that were not at a named boundary.
        boundaries: named boundaries at which a process was killed, of those there are.
        broken: what did not end as if nobody was disturbed.
        seconds: how long it took.
    """

    kills: dict[str, int] = field(default_factory=dict)
    lives: int = 0
    at_random_moments: int = 0
    boundaries: str = ""
    broken: list[str] = field(default_factory=list)
    seconds: float = 0


@dataclass(frozen=True)
class _Step:
    """A command in the reference: what was there before and after it, its boundaries, and how long it took."""

    before: dict[str, str]
    after: dict[str, str]
    passed: list[str]
    seconds: float


class _Commands:
    """The commands of a life, each as it is started by a person or by a run."""

    def __init__(self, place: Path, model: str) -> None:
        self.model = model
        self.container = predictions_container(model)
        self.version = f"{model}@1.0"
        said = {"at": "2026-11-01T10:00:00Z"}
        answers = [
            {"sha256": _content(number), "at": said["at"], "candidates": [
                {"index": number // 5 % 2, "score": round(0.5 + again / 64, 6)},
                {"index": 1 - number // 5 % 2, "score": round(0.5 - again / 64, 6)},
            ]}
            for again in range(_ANSWERS) for number in range(1, _PICTURES + 1)
        ]  # fmt: skip
        half = len(answers) // 2
        self.first, self.more, self.judgements = (place / f"{name}.jsonl" for name in ("first", "more", "judgements"))
        judgements = [
            {"person": f"{person}@example.org", "at": f"2026-11-02T10:0{place}:00Z", "sha256": _content(number),
             "verdict": "taxon", "taxon": _SPECIES[(number // 5 + (number % 7 == place)) % 2]}
            for place, person in enumerate(("ann", "bo", "cy")) for number in range(1, _PICTURES + 1)
        ]  # fmt: skip
        written = ((self.first, answers[:half]), (self.more, answers[half:]), (self.judgements, judgements))
        for file, records in written:
            file.write_text("".join(f"{json.dumps(one)}\n" for one in records))
        by = ("--by", "op@example.org", "--why", "tried")
        self.all: dict[str, Callable[[], None]] = {
            "import predictions": lambda: _nachet("predictions", "import", self.first, "--model", self.version),
            "record what arrived": self._record_arrived,
            "import judgements": lambda: _nachet("judge", "import", self.judgements, "--by", "op@example.org"),
            "name an expert": lambda: _nachet("judge", "experts", "add", "ann@example.org", *by),
            "apply another policy": lambda: _nachet("judge", "apply", *by[:2], NACHET_VERIFIED_BY_PERSONS="3"),
            "evaluate": lambda: _nachet("model", "evaluate", self.version),
            "promote": lambda: _nachet("model", "promote", self.version, *by, "--despite", "calibrated"),
        }

    def _record_arrived(self) -> None:
        with _opened() as (database, blobs):
            for arrived in due_files(database.call(model_versions), blobs):
                record_arrived(database, blobs, arrived, by="pipeline")


def _content(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def _nachet(*arguments: object, **settings: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as errors:
        os.environ.update(settings)
        try:
            app([str(one) for one in arguments], standalone_mode=False)
        except SystemExit as ended:
            if ended.code:
                raise RuntimeError(errors.getvalue()) from None


@contextmanager
def _opened() -> Iterator[tuple[Database, BlobStorage]]:
    key = SecretStr(os.environ["NACHET_BLOB_KEY"])
    with (
        Database(SecretStr(os.environ["NACHET_DATABASE_URL"])) as database,
        BlobStorage.connect(os.environ["NACHET_BLOB_ACCOUNT_URL"], key) as blobs,
    ):
        yield database, blobs


# In processes of their own


def _prepare(services: Services, model: str) -> None:
    prepare(services)
    classes = [
        {"label": f"{place:03d} {name}", "class_index": place, "scientific_name": name, "taxon_id": str(seed_id(name)),
         "counts": {"test": _TESTED // 2}}
        for place, name in enumerate(_SPECIES)
    ]  # fmt: skip
    arguments = {"pictures": _PICTURES, "tested": _TESTED, "digest": "ab" * 32, "classes": json.dumps(classes)}
    version = {"version": "1.0", "task": "classify", "training_set": "ab" * 32, "classes": list(_SPECIES)}
    document = {"name": model, "owner": "lab@example.org", "versions": [version]}
    with psycopg.connect(services.database_url, row_factory=dict_row) as connection:
        for statement in _FILL.split(";\n"):
            connection.execute(statement, arguments)
        register_model(connection, ModelDocument.model_validate(document), by="lab@example.org")


def _begin(commands: _Commands) -> None:
    """Let the file lie in the model's container, and no receipt of it."""
    with _opened() as (_, blobs):
        blobs.ensure_container(commands.container)
        blobs.delete(commands.container, f"{_FILE}{RECEIPT_SUFFIX}")
        content = commands.more.read_bytes()
        blobs.upload(commands.container, _FILE, content, content_type="application/json", overwrite=True)


def _run(command: Callable[[], None], end_at: str | None, ready: Callable[[], None]) -> list[str]:
    boundaries = Boundaries(end_at)
    boundaries.watch()
    ready()
    command()
    return boundaries.passed


def _end(commands: _Commands) -> None:
    with _opened() as (_, blobs):
        blobs._service.delete_container(commands.container)


def _receipt(commands: _Commands) -> dict[str, Any]:
    with _opened() as (_, blobs):
        read: dict[str, Any] = json.loads(blobs.read(commands.container, f"{_FILE}{RECEIPT_SUFFIX}"))
    return {name: value for name, value in read.items() if name != "recorded_at"}


def _kept(url: str) -> dict[str, str]:
    """Of each table how many rows there are and a digest of them, once nobody works on them any more."""
    with psycopg.connect(url, autocommit=True) as connection:
        others = "select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        while connection.execute(f"{others} and backend_type = 'client backend'").rowcount:
            time.sleep(0.005)
        row = "(to_jsonb(t) - %(passing)s::text[])::text"
        rows = f"select count(*), md5(string_agg({row}, '|' order by {row})) from {{}} t"
        found = {table: connection.execute(rows.format(table), {"passing": _PASSING}).fetchone() for table in _TABLES}
        return {table: str(row) for table, row in found.items()}


# Many kills


@dataclass
class _Lives:
    """Lives that begin as copies of one database."""

    services: Services
    template: str
    commands: _Commands
    place: Path
    reference: dict[str, _Step] = field(default_factory=dict)
    receipt: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def life(self) -> Iterator[str]:
        with own_database(self.services, template=self.template) as own:
            self._environment(own)
            fork(lambda _: _begin(self.commands)).answer()
            yield own.database_url

    def _environment(self, own: Services) -> None:
        os.environ.update(
            NACHET_DATABASE_URL=own.database_url,
            NACHET_BLOB_ACCOUNT_URL=own.blob_account_url,
            NACHET_BLOB_KEY=own.blob_key,
            NACHET_HOME=str(self.place),
        )

    def undisturbed(self) -> None:
        with self.life() as url:
            before = _kept(url)
            for name, command in self.commands.all.items():
                began = time.monotonic()
                passed = fork(lambda _, command=command: _run(command, None, lambda: None)).answer()
                seconds, after = time.monotonic() - began, _kept(url)
                assert before != after, f"{name}: nothing was done"
                self.reference[name] = _Step(before, after, passed, seconds)
                before = after
            self.receipt = fork(lambda _: _receipt(self.commands)).answer()

    def disturbed(self, chance: random.Random, tally: ModelsTally, most: int, hit: set[tuple[str, str]]) -> None:
        tally.lives += 1
        with self.life() as url:
            for name, command in self.commands.all.items():
                if sum(tally.kills.values()) < most:
                    self._kill(name, command, chance, tally, hit, url)
                try:
                    fork(lambda _, command=command: _run(command, None, lambda: None)).answer()
                except ForkedError as error:
                    tally.broken.append(f"{name}: started again, it failed: {error}")
                    return
                if wrong := _differing(_kept(url), self.reference[name].after):
                    tally.broken.append(f"{name}: {wrong} are not as if nobody was disturbed")
                    return
            if fork(lambda _: _receipt(self.commands)).answer() != self.receipt:
                tally.broken.append("the receipt in the container is another one")

    def _kill(
        self, name: str, command: Callable[[], None], chance: random.Random, tally: ModelsTally,
        hit: set[tuple[str, str]], url: str,
    ) -> None:  # fmt: skip
        """Kill a command once, at a boundary or at a moment; it may have ended before."""
        step = self.reference[name]
        missed = [one for one in step.passed if (name, one) not in hit]
        at = chance.choice(missed or step.passed) if chance.random() < 1 / 3 else None
        forked = fork(lambda ready: _run(command, at, ready))
        forked.wait_until_ready()
        if at is None:
            forked.kill_after(chance.uniform(0, step.seconds))
        if forked.answer() is not None:
            return
        tally.kills[name] = tally.kills.get(name, 0) + 1
        if at is None:
            tally.at_random_moments += 1
        else:
            hit.add((name, at))
        left = _kept(url)
        # Judgements are applied some hundreds at a time.
        if name != "apply another policy" and left not in (step.before, step.after):
            tally.broken.append(f"{name}, killed at {at or 'a random moment'}: a part of it was done")


def _differing(found: dict[str, str], wanted: dict[str, str]) -> str:
    return ", ".join(table for table in wanted if found[table] != wanted[table])


def kill_models(services: Services, kills: int, seed: int) -> ModelsTally:
    """Kill so many commands that record what models and people say, and compare what is left with a reference."""
    began, tally, hit = time.monotonic(), ModelsTally(), set[tuple[str, str]]()
    with tempfile.TemporaryDirectory(prefix="nachet-models-") as folder, own_database(services) as own:
        place = Path(folder)
        import_what_is_slow()  # or every process would, which takes it longer than its work
        gc.freeze()
        commands = _Commands(place, f"seeds-{uuid4().hex[:12]}")
        fork(lambda _: _prepare(own, commands.model)).answer()
        lives = _Lives(replace(services), database_name(own), commands, place)
        lives.undisturbed()
        number = 0
        while sum(tally.kills.values()) < kills and not tally.broken:
            lives.disturbed(random.Random(seed + number), tally, kills, hit)
            number += 1
        fork(lambda _: _end(commands)).answer()
    boundaries = {(name, one) for name, step in lives.reference.items() for one in step.passed}
    tally.boundaries = f"{len(hit & boundaries)} of {len(boundaries)}"
    tally.seconds = round(time.monotonic() - began, 1)
    return tally
