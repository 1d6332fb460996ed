"""Imports killed by SIGKILL and started again: does each end as one that nobody disturbed?

One process that has imported everything forks the others: lanes, which work side by side with a user each, and in
each lane, one after the other, the processes that import and are killed. What an undisturbed import of the same
upload by the same user leaves is kept as the reference; the rows and blobs of the disturbed one must equal it.
"""

import gc
import json
import os
import random
import select
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from dagster import DagsterInstance
from pydantic import SecretStr

from nachet_pipeline.defs.instance import dagster_home
from nachet_pipeline.identifiers import upload_container, user_container, user_id
from nachet_pipeline.local.prepare import prepare
from nachet_pipeline.local.services import Services
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline_tests.databases import database_name, own_database
from nachet_pipeline_tests.durability.boundaries import Boundaries
from nachet_pipeline_tests.durability.differing import differences
from nachet_pipeline_tests.durability.imports import Case, Import, Way, write_folder
from nachet_pipeline_tests.slow_imports import import_what_is_slow

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PROJECT = Path(__file__).resolve().parent.parent.parent
_READY = b"ready\n"
_SECONDS_A_PROCESS_MAY_TAKE = 120
_PLANS: tuple[tuple[tuple[Way, Case], ...], ...] = (
    ((Way.CORE, Case.GOOD), (Way.CORE, Case.PARTLY), (Way.CORE, Case.REFUSED)),
    ((Way.JOB, Case.GOOD), (Way.COMMAND, Case.GOOD), (Way.JOB, Case.PARTLY)),
)


@dataclass(frozen=True)
class Kill:
    """One import that was killed, and what came of it.

    Attributes:
        way: how it was started.
        case: what it imported.
        at: the boundary, or the second after its start, at which it was killed; a second one if the process that
            went on was killed too.
        differences: in what its end differs from that of an undisturbed import; none, if all is well.
    """

    way: str
    case: str
    at: tuple[str, ...]
    differences: tuple[str, ...]


@dataclass
class Tally:
    """What came of many kills.

    Attributes:
        kills: processes that were killed.
        imports: imports that were killed, some of them twice.
        boundaries: named boundaries at which a process was killed, of those there are, by way and case.
        broken: imports that did not end as an undisturbed one.
        seconds: how long it took.
    """

    kills: int = 0
    imports: int = 0
    at_random_moments: int = 0
    boundaries: dict[str, str] = field(default_factory=dict)
    broken: list[Kill] = field(default_factory=list)
    seconds: float = 0


@dataclass(frozen=True)
class _Reference:
    """An undisturbed import: what it leaves, the boundaries it came to, and how long it took."""

    kept: dict[str, Any]
    passed: list[str]
    seconds: float


# Processes


class ForkedError(RuntimeError):
    """A process that was to come to its end did not; the message is its traceback."""


@dataclass(frozen=True)
class Forked:
    """A process of ours: its number, and the end of a pipe that its answer comes from."""

    pid: int
    pipe: int

    def wait_until_ready(self) -> None:
        if os.read(self.pipe, len(_READY)) != _READY:
            raise ForkedError("the process ended before it began")

    def kill_after(self, seconds: float) -> None:
        """Kill it at a moment, unless it ends before."""
        if not select.select([self.pipe], [], [], seconds)[0]:
            os.kill(self.pid, signal.SIGKILL)

    def answer(self, seconds: float | None = _SECONDS_A_PROCESS_MAY_TAKE) -> Any:
        """What it came to; None if it was killed.

        Args:
            seconds: how long it may take; None: however long.

        Raises:
            ForkedError: it failed, or took longer.
        """
        content = b""
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self.pipe], [], [], left)[0]:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise ForkedError(f"the process did not end within {seconds} s")
            part = os.read(self.pipe, 1 << 16)
            if not part:
                break
            content += part
        os.close(self.pipe)
        _, status = os.waitpid(self.pid, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return None
        error, result = json.loads(content)
        if error:
            raise ForkedError(error)
        return result


def fork(work: Callable[[Callable[[], None]], Any]) -> Forked:
    """Do work in a process of its own; the work is given a function that says that it is ready to be killed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return Forked(pid, reading)
    os.close(reading)
    try:
        answer = (None, work(lambda: os.write(writing, _READY)))
    except BaseException:  # noqa: BLE001 (it is told to the process that asked, and this one ends)
        answer = (traceback.format_exc(), None)
    content = json.dumps(answer).encode()
    while content:
        content = content[os.write(writing, content) :]
    os._exit(0)


# A lane


class Lane:
    """A user whose imports are killed one after the other, each in a database of its own."""

    def __init__(self, number: int, services: Services, template: str, tables: Sequence[str], home: Path) -> None:
        self.services, self.template, self.tables, self.home = services, template, tables, home
        self.email = f"lane-{number}-{template[-12:]}@example.org"
        self.references: dict[tuple[Way, Case], _Reference] = {}
        self.base = services.database_url.rpartition("/")[0]

    def reference(self, way: Way, case: Case) -> _Reference:
        """The undisturbed import."""
        if (way, case) not in self.references:
            self._begin_anew()
            forked = fork(lambda ready: self._import(way, case, None, ready))
            forked.wait_until_ready()
            began = time.monotonic()
            passed = forked.answer()
            seconds = time.monotonic() - began
            kept = fork(lambda _: self._opened(way, case).kept(self.tables)).answer()
            self.references[way, case] = _Reference(kept, passed, seconds)
        return self.references[way, case]

    def kill(self, way: Way, case: Case, at: str | float, again_at: str | None) -> tuple[Kill | None, int]:
        """Kill an import at a boundary or a moment, let it go on, and compare.

        Returns:
            None if it ended before it could be killed; and how many processes were killed.
        """
        reference = self.reference(way, case)
        self._begin_anew()
        end_at = at if isinstance(at, str) else None
        forked = fork(lambda ready: self._import(way, case, end_at, ready))
        forked.wait_until_ready()
        if isinstance(at, float):
            forked.kill_after(at)
        if forked.answer() is not None:
            return None, 0
        moments = [at if isinstance(at, str) else f"{at:.3f} s"]
        if again_at and fork(lambda ready: self._recover(way, case, again_at, ready)).answer() is None:
            moments.append(again_at)
        try:
            kept = fork(lambda ready: self._recover(way, case, None, ready)).answer()
            told = tuple(differences(reference.kept, kept))
        except ForkedError as error:
            told = (str(error),)
        return Kill(way, case, tuple(moments), told), len(moments)

    def end(self) -> None:
        """Leave nothing behind."""
        self._drop()
        self._remove_blobs()

    def _begin_anew(self) -> None:
        self._drop()
        self._remove_blobs()
        with psycopg.connect(self.services.database_url, autocommit=True) as connection:
            connection.execute(f'create database "{self._database}" template "{self.template}" strategy file_copy')

    @property
    def _database(self) -> str:
        return f"{self.template}_{user_id(self.email).hex[:8]}"

    def _drop(self) -> None:
        with psycopg.connect(self.services.database_url, autocommit=True) as connection:
            connection.execute(f'drop database if exists "{self._database}" with (force)')

    def _remove_blobs(self) -> None:
        def remove(_: object) -> None:
            with BlobStorage.connect(self.services.blob_account_url, SecretStr(self.services.blob_key)) as blobs:
                user = user_id(self.email)
                for container in (upload_container(user), user_container(user)):
                    if blobs.container_exists(container):
                        blobs._service.delete_container(container)

        fork(remove).answer()

    # In a process of its own

    def _opened(self, way: Way, case: Case) -> Import:
        os.environ.update(
            NACHET_DATABASE_URL=f"{self.base}/{self._database}",
            NACHET_BLOB_ACCOUNT_URL=self.services.blob_account_url,
            NACHET_BLOB_KEY=self.services.blob_key,
            NACHET_HOME=str(self.home),
            NACHET_SETTLE_SECONDS="0",
            DAGSTER_HOME=str(dagster_home(self.home, PROJECT)),
        )
        # What a process that is to be killed says is nobody's business; what fails comes with its traceback.
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        folder = self.home / case / "project"
        if not folder.exists():
            write_folder(case, folder, self.email)
        return Import(way, case, folder, self.email)

    def _import(self, way: Way, case: Case, end_at: str | None, ready: Callable[[], None]) -> list[str]:
        opened = self._opened(way, case)
        opened.stage()
        boundaries = Boundaries(end_at)
        boundaries.watch()
        ready()
        opened.start(boundaries)
        return boundaries.passed

    def _recover(self, way: Way, case: Case, end_at: str | None, ready: Callable[[], None]) -> dict[str, Any]:
        opened = self._opened(way, case)
        boundaries = Boundaries(end_at)
        boundaries.watch()
        opened.recover(boundaries)
        return opened.kept(self.tables)


# Many kills


def run_lane(lane: Lane, kills: int, seed: int, plans: Sequence[tuple[Way, Case]]) -> Tally:
    """Kill so many imports of a lane, of the plans in turn: two of three at named boundaries, the third at random."""
    chance = random.Random(seed)
    tally = Tally()
    waiting: dict[tuple[Way, Case], list[str]] = {}
    hit: dict[tuple[Way, Case], set[str]] = {}
    number = 0
    while tally.kills < kills:
        plan = plans[number % len(plans)]
        number += 1
        reference = lane.reference(*plan)
        names = sorted({_name(one) for one in reference.passed})
        if not waiting.get(plan):
            waiting[plan] = chance.sample(names, len(names))
        at: str | float
        if number % 3:
            name = waiting[plan].pop()
            at = chance.choice([one for one in reference.passed if _name(one) == name])
        else:
            at = chance.uniform(0, reference.seconds)
        again = f"{chance.choice(names)}#1" if chance.random() < 0.2 and tally.kills + 2 <= kills else None
        kill, killed = lane.kill(*plan, at, again)
        if kill is None:
            continue
        tally.kills += killed
        tally.imports += 1
        tally.at_random_moments += isinstance(at, float)
        for one in kill.at:
            if "#" in one:
                hit.setdefault(plan, set()).add(_name(one))
        if kill.differences:
            tally.broken.append(kill)
    for plan, found in hit.items():
        names = {_name(one) for one in lane.references[plan].passed}
        tally.boundaries[" ".join(plan)] = f"{len(found & names)} of {len(names)}"
    return tally


def _name(boundary: str) -> str:
    return boundary.rpartition("#")[0]


def kill_imports(services: Services, kills: int, seed: int) -> Tally:
    """Kill so many importing processes, and compare what is left of each import with an undisturbed one."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nachet-durability-") as folder, own_database(services) as own:
        home, template = Path(folder), database_name(own)
        import_what_is_slow()  # or every process would, which takes it longer than to import a few pictures
        gc.freeze()  # or every process would copy the memory of this one when it first collects garbage
        tables = fork(lambda _: _prepare_template(own, home)).answer()
        working = []
        for number in range(len(_PLANS)):
            lane = Lane(number, services, template, tables, home / f"lane{number}")
            # A run with Dagster's events costs thrice what the importer alone does.
            share = kills * 2 // 3 if number == 0 else kills - kills * 2 // 3
            plans = _PLANS[number]
            working.append(fork(lambda _, lane=lane, n=share, p=plans, i=number: _whole(lane, n, seed + i, p)))
        total = Tally()
        for forked in working:
            _add(total, forked)
    total.seconds = round(time.monotonic() - began, 1)
    return total


def _whole(lane: Lane, kills: int, seed: int, plans: Sequence[tuple[Way, Case]]) -> dict[str, Any]:
    try:
        return asdict(run_lane(lane, kills, seed, plans))
    finally:
        lane.end()


def _add(total: Tally, forked: Forked) -> None:
    tally = forked.answer(None)
    total.kills += tally["kills"]
    total.imports += tally["imports"]
    total.at_random_moments += tally["at_random_moments"]
    total.boundaries |= tally["boundaries"]
    total.broken += [Kill(**one) for one in tally["broken"]]


def _prepare_template(services: Services, home: Path) -> list[str]:
    """Make our tables, then Dagster's; returns the names of ours."""
    prepare(services)
    with psycopg.connect(services.database_url) as connection:
        rows = connection.execute("select tablename from pg_tables where schemaname = 'public' order by tablename")
        # What happens while somebody is killed is told too; `events.py` compares it with what arrives.
        tables = [row[0] for row in rows if row[0] not in {"alembic_version", "event"}]
    os.environ.update(NACHET_DATABASE_URL=services.database_url, DAGSTER_HOME=str(dagster_home(home, PROJECT)))
    with DagsterInstance.get() as instance:
        instance.get_runs(limit=1)
        instance.get_dynamic_partitions("upload")
    return tables


def as_json(tally: "DataclassInstance") -> str:
    """A tally for programs."""
    return json.dumps(asdict(tally), indent=2, ensure_ascii=False)
