"""Imports and the deliverer of events killed by SIGKILL at random moments: does every event arrive, in its order?

One process forks the others: receivers, which answer errors now and then and write down what arrives; one that imports
folder after folder; one that delivers, in a time that goes by faster. The two are killed and started again. In the end
what arrived is compared with the outbox.
"""

import gc
import json
import os
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import SecretStr

from nachet_pipeline.database.connection import Database
from nachet_pipeline.local.prepare import prepare
from nachet_pipeline.local.services import Services
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.uploads.staging import mark_complete, stage_folder
from nachet_pipeline_tests.databases import own_database
from nachet_pipeline_tests.durability.boundaries import Boundaries
from nachet_pipeline_tests.durability.imports import Case, Import, Way, write_folder
from nachet_pipeline_tests.durability.killing import Forked, fork
from nachet_pipeline_tests.slow_imports import import_what_is_slow
from nachet_pipeline_tests.webhooks.pipeline import Pipeline
from nachet_pipeline_tests.webhooks.receivers import Message, Reply, receiver

_BEGAN, _FASTER = time.time(), 60
# Who was answered errors six times is tried again after an hour: in the end nobody waits for that.
_FASTER_IN_THE_END = 3600
_WRONG = (0.0, 0.1, 0.3)
"""Of each receiver, how often it answers an error."""
_SECONDS_TO_END = 60


@dataclass
class EventsTally:
    """What came of many kills.

    Attributes:
        kills: processes that were killed, by what they did.
        uploads: folders that were imported meanwhile, or were to be.
        events: events of the outbox.
        arrived: messages that a receiver accepted; more than events times receivers.
        again: those that had been accepted before.
        broken: what was lost or came in a wrong order.
        seconds: how long it took.
    """

    kills: dict[str, int] = field(default_factory=lambda: {"deliver": 0, "import": 0})
    uploads: int = 0
    events: int = 0
    arrived: int = 0
    again: int = 0
    broken: list[str] = field(default_factory=list)
    seconds: float = 0


def kill_deliveries(services: Services, kills: int, seed: int) -> EventsTally:
    """Kill so many processes that deliver, two of three, or import, and compare what arrived with the outbox."""
    began, chance, tally = time.monotonic(), random.Random(seed), EventsTally()
    with tempfile.TemporaryDirectory(prefix="nachet-events-") as folder, own_database(services) as own:
        place = Path(folder)
        import_what_is_slow()  # or every process would, which takes it longer than to import a few pictures
        gc.freeze()
        fork(lambda _: prepare(own)).answer()
        receiving = fork(lambda ready: _receive(own, place, seed, ready))
        receiving.wait_until_ready()
        work: dict[str, Callable[[Callable[[], None]], None]] = {
            "deliver": lambda ready: _deliver(own, ready),
            "import": lambda ready: _import(own, place, ready),
        }
        running: dict[str, Forked] = {}
        while sum(tally.kills.values()) < kills:
            for name in work.keys() - running.keys():
                running[name] = fork(work[name])
                running[name].wait_until_ready()
            name = chance.choice(("deliver", "deliver", "import"))
            running[name].kill_after(chance.uniform(0.0, 0.4))
            running.pop(name).answer()
            tally.kills[name] += 1
        for name, forked in running.items():
            forked.kill_after(0)
            forked.answer()
            tally.kills[name] += 1
        fork(lambda _: _end(own)).answer(_SECONDS_TO_END * 2)
        (place / "end").touch()
        receiving.answer()
        found = fork(lambda _: _outbox(own)).answer()
        _compare(found, place, tally)
    tally.seconds = round(time.monotonic() - began, 1)
    return tally


def _compare(found: dict[str, Any], place: Path, tally: EventsTally) -> None:
    numbers = {identifier: number for identifier, _, number in found["events"]}
    tally.events, tally.uploads = len(numbers), found["uploads"]
    tally.broken += found["broken"]
    for which in range(len(_WRONG)):
        lines = (place / f"arrived-{which}").read_text(encoding="utf-8").splitlines()
        accepted: dict[str, list[int]] = defaultdict(list)
        seen: dict[str, int] = {}
        for identifier, subject, number in map(json.loads, lines):
            tally.arrived += 1
            tally.again += identifier in seen
            if identifier not in seen:
                seen[identifier] = number
                accepted[subject].append(number)
        if seen != numbers:
            lost, odd = numbers.keys() - seen.keys(), seen.keys() - numbers.keys()
            tally.broken.append(f"receiver {which}: {len(lost)} events lost, {len(odd)} of no event")
        tally.broken += [
            f"receiver {which}: {subject} came as {came}" for subject, came in accepted.items() if came != sorted(came)
        ]


# In processes of their own


def _receive(services: Services, place: Path, seed: int, ready: Callable[[], None]) -> None:
    """Receive until the end, and write down what is accepted."""
    chance = random.Random(seed)
    with Database(SecretStr(services.database_url)) as database, ExitStack() as stack:
        pipeline = Pipeline(database)
        for which, wrong in enumerate(_WRONG):
            to = stack.enter_context(receiver())
            to.answer = _answering(place / f"arrived-{which}", wrong, chance)
            pipeline.subscribe(to, from_beginning=True)
        ready()
        while not (place / "end").exists():
            time.sleep(0.05)


def _answering(file: Path, wrong: float, chance: random.Random) -> Callable[[Message], Reply]:
    stream = file.open("a", encoding="utf-8", buffering=1)

    def answer(message: Message) -> Reply:
        if chance.random() < wrong:
            return chance.choice((500, 503))
        stream.write(json.dumps([message.id, message.subject, message.number]) + "\n")
        time.sleep(chance.uniform(0, 0.05))  # in which who sent it may be killed
        return 204

    return answer


def _deliver(services: Services, ready: Callable[[], None], *, until: Callable[[Pipeline], bool] | None = None) -> None:
    """Deliver until the process is killed, or everything is delivered."""
    _be_quiet()
    began = time.time()
    with Database(SecretStr(services.database_url)) as database:
        pipeline = Pipeline(database)
        ready()
        while not (until and until(pipeline)):
            here = (time.time() - began) * (_FASTER_IN_THE_END if until else _FASTER)
            pipeline.at = datetime.now(UTC) + timedelta(seconds=(began - _BEGAN) * _FASTER + here)
            pipeline.deliver()
            time.sleep(0.02)


def _import(services: Services, place: Path, ready: Callable[[], None]) -> None:
    """Import one folder after the other until the process is killed; first what a killed one left."""
    _be_quiet()
    os.environ.update(
        NACHET_DATABASE_URL=services.database_url,
        NACHET_BLOB_ACCOUNT_URL=services.blob_account_url,
        NACHET_BLOB_KEY=services.blob_key,
        NACHET_SETTLE_SECONDS="0",
    )
    email = f"{place.name}@example.org".lower()
    opened = Import(Way.CORE, Case.GOOD, place, email)
    ready()
    opened.recover(Boundaries(None))
    while True:
        case = random.choice(list(Case))
        folder = place / f"{case}-{os.getpid()}" / "project"
        if not folder.exists():
            write_folder(case, folder, email)
        name = f"{case}-{uuid4().hex[:8]}"
        stage_folder(opened.blobs, LocalFolder(folder), opened.user.upload_container, name)
        mark_complete(opened.blobs, opened.user.upload_container, name)
        opened.start(Boundaries(None))


def _end(services: Services) -> None:
    """Deliver what is left."""
    end = time.monotonic() + _SECONDS_TO_END

    def done(pipeline: Pipeline) -> bool:
        with pipeline.database.reading() as connection:
            row = connection.execute(
                "select not exists (select from webhook_delivery) and not exists (select from webhook"
                " where cursor < (select max(number) from event)) as done"
            ).fetchone()
        return bool(row and row["done"]) or time.monotonic() > end

    _deliver(services, lambda: None, until=done)


def _outbox(services: Services) -> dict[str, Any]:
    with Database(SecretStr(services.database_url)) as database:
        pipeline = Pipeline(database)
        with database.reading() as connection:
            (row,) = connection.execute("select count(*) as uploads from upload").fetchall()
        broken = [f"{one.waiting} events wait, {one.dead} are dead" for one in pipeline.webhooks.all() if one.waiting]
        events = [[str(identifier), subject, number] for identifier, subject, number in pipeline.events()]
    return {"events": events, "uploads": row["uploads"], "broken": broken}


def _be_quiet() -> None:
    # What a process that is to be killed says is nobody's business; what fails comes with its traceback.
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
