"""Decoders killed at random moments of validation, import, crops and export: does each end as undisturbed?

One process does the same work again and again, with the same decoders for as long as they live, while a thread of its
own sends signals to one of them at a time, whether it is starting, decoding or waiting: SIGKILL as a machine short of
memory does, SIGSEGV as a crash, SIGSTOP for a hang. What comes of it is compared with what the first, undisturbed
time left. Work that does not end ends the process, with the traceback of every thread.
"""

import contextlib
import faulthandler
import logging
import random
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
from pydantic import SecretStr

from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.validation import validate
from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.database.connection import Database, migrate
from nachet_pipeline.local.sample import write_sample
from nachet_pipeline.local.services import Services
from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline.registry.queries import load_seeds
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.training.exports.converting import ConvertingPool
from nachet_pipeline.users.registering import register_user
from nachet_pipeline_tests.databases import own_database
from nachet_pipeline_tests.durability.differing import differences
from nachet_pipeline_tests.pictures.decoders import decoders
from nachet_pipeline_tests.training.exports.sets import Sets, visible
from nachet_pipeline_tests.workbench import Workbench, settings_with

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGKILL,) * 8 + (signal.SIGSEGV, signal.SIGSTOP)
# A picture may be hit twice by chance, and is not to be blamed; it is right to blame it once it is hit often enough.
_KILLS_AT_ONCE = 3
_HANGS_AT_ONCE = 1
_SECONDS_A_PICTURE_MAY_TAKE = 10
_SECONDS_WORK_MAY_TAKE = 600
_TOLD = 5


class Work(StrEnum):
    """What is disturbed."""

    VALIDATION = "validation"
    IMPORT = "import"
    CROPS = "crops"
    EXPORT = "export"


@dataclass
class Tally:
    """What came of many kills.

    Attributes:
        kills: signals sent, by the work that they disturbed.
        signals: the same by signal.
        rounds: how often work was disturbed.
        broken: work that did not end as undisturbed, with the first differences.
        seconds: how long it took.
    """

    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Work, 0))
    signals: dict[str, int] = field(default_factory=dict)
    rounds: int = 0
    broken: list[tuple[str, list[str]]] = field(default_factory=list)
    seconds: float = 0


@dataclass
class _Bench:
    """A user with pictures in storage, and the decoders.

    Attributes:
        workbench: has the database, storage and the user; its pool cuts crops too.
        exports: makes exports.
        folder: what is validated: pictures of every kind of verdict.
    """

    workbench: Workbench
    pool: CroppingPool
    exports: Sets
    folder: Path

    def works(self) -> dict[Work, tuple[Callable[[], Any], Callable[[], Any]]]:
        """For each work what precedes it undisturbed, and what does it and gives all that came of it."""
        self.upload = self.workbench.stage(self.workbench.sample("staged", sessions=2, pictures=10, seed=7))
        return {
            Work.VALIDATION: (lambda: None, self.validate),
            Work.IMPORT: (lambda: self.workbench.forget(self.upload), self.import_again),
            Work.CROPS: (self.import_anew, self.crop),
            Work.EXPORT: (lambda: None, self.export),
        }

    def validate(self) -> Any:
        with Inventory() as inventory:
            registry = SeedRegistry.of(packaged_seeds())
            done = validate(LocalFolder(self.folder), inventory, self.pool, registry)
            findings = [finding.model_dump(mode="json") for finding in inventory.findings()]
            return {
                "report": done.report.model_dump(mode="json"),
                "findings": findings,
                "pictures": {one.path: repr(one) for one in inventory.pictures()},
                "thumbnails": done.thumbnails,
            }

    def import_again(self) -> Any:
        outcome = self.workbench.run(self.upload)
        return {
            "state": outcome.receipt.state,
            "why": outcome.receipt.failure,
            "rows": self.workbench.rows(without=("upload_date", "first_seen")),
            "blobs": self.workbench.contents(self.workbench.user.user_container),
        }

    def import_anew(self) -> None:
        self.workbench.forget(self.upload)
        self.workbench.run(self.upload)

    def crop(self) -> Any:
        bench = self.workbench
        cropper = bench.cropper(self.pool)
        outcome = cropper.crop(bench.now(self.upload))
        queries = {
            "pictures": "select to_jsonb(p) - 'upload_date' as row from pictures p order by id",
            "detection": "select to_jsonb(d) - 'detected_at' as row from detection d order by picture_id",
        }
        return {
            "crops": (outcome.crops, outcome.failure),
            "rows": {name: bench.query(query) for name, query in queries.items()},
            "blobs": bench.stored_pictures(),
        }

    def export(self) -> Any:
        folder = self.exports.place / "export"
        shutil.rmtree(folder, ignore_errors=True)
        done = self.exports.export("export", "imagefolder")
        return {"done": (done.pictures, done.failed), "files": visible(folder)}


@contextmanager
def _bench(services: Services, place: Path) -> Iterator[_Bench]:
    name = f"decoders-{uuid.uuid4().hex[:16]}"
    key = SecretStr(services.blob_key)
    settings = settings_with(decode_workers=2)
    decoding = DecodingSettings(workers=2, seconds=_SECONDS_A_PICTURE_MAY_TAKE, pictures=200)
    with own_database(services) as own:
        url = SecretStr(own.database_url)
        migrate(url)
        with (
            Database(url, connections=6) as database,
            BlobStorage.connect(services.blob_account_url, key) as blobs,
            CroppingPool(decoding) as pool,
            ConvertingPool(decoding) as converting,
        ):
            with database.connection() as connection:
                load_seeds(connection, packaged_seeds())
            user = register_user(database, blobs, f"{name}@example.org")
            exports = Sets(blobs, converting, place, f"{name}-pictures")
            blobs.ensure_container(exports.container)
            exports.usual(48)
            bench = Workbench(database, blobs, pool, user, place, url, key, settings)
            yield _Bench(bench, pool, exports, _folder_to_judge(place, user.email))
            for container in (user.user_container, user.upload_container, exports.container):
                blobs._service.delete_container(container)


def _folder_to_judge(place: Path, email: str) -> Path:
    """A folder of good pictures, a damaged one, one that hides something, and a text."""
    folder = write_sample(
        place / "judged", sessions=3, pictures=20, picture_format="png", email=email, width=320, height=240
    )
    session = folder / "pictures" / "session2"
    for number, spoil in enumerate(
        (lambda b: b[: len(b) // 2], lambda b: b + b"PK\x03\x04 more", lambda _: b"text"), 1
    ):
        file = session / f"{number}.png"
        file.write_bytes(spoil(file.read_bytes()))
    return folder


class _Disturber:
    """Sends signals to decoders while a block of work lasts."""

    def __init__(self, chance: random.Random, kills: int, pause: float) -> None:
        """Prepare to send so many signals at most, with random pauses, two of them within so many seconds."""
        self.sent: list[signal.Signals] = []
        self._chance, self._kills, self._pause = chance, kills, pause
        self._over = Event()
        self._thread = Thread(target=self._disturb, name="disturber")

    def __enter__(self) -> "_Disturber":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _disturb(self) -> None:
        while len(self.sent) < self._kills and not self._over.wait(self._chance.uniform(0, self._pause / 2)):
            living = sorted(decoders(), key=lambda process: process.pid)
            number = self._chance.choice(_SIGNALS)
            if number == signal.SIGSTOP and self.sent.count(number) == _HANGS_AT_ONCE:
                number = signal.SIGKILL
            with contextlib.suppress(psutil.NoSuchProcess):
                if living and (victim := self._chance.choice(living)).status() != psutil.STATUS_ZOMBIE:
                    victim.send_signal(number)
                    self.sent.append(number)


def kill_decoders(services: Services, kills: int, seed: int) -> Tally:
    """Kill so many decoders, spread over all kinds of work, and compare what comes of the work with undisturbed one."""
    began, chance, tally = time.monotonic(), random.Random(seed), Tally()
    wanted = {work: kills // len(Work) + (number < kills % len(Work)) for number, work in enumerate(Work)}
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nachet-decoders-")))
        bench = stack.enter_context(_bench(services, place))
        works = bench.works()
        undisturbed: dict[Work, tuple[Any, float]] = {}
        for work, (before, do) in works.items():
            before()
            started = time.monotonic()
            undisturbed[work] = do(), time.monotonic() - started
        while left := [work for work in Work if tally.kills[work] < wanted[work]]:
            for work in left:
                before, do = works[work]
                reference, seconds = undisturbed[work]
                before()
                faulthandler.dump_traceback_later(_SECONDS_WORK_MAY_TAKE, exit=True)
                most = min(chance.randint(1, _KILLS_AT_ONCE), wanted[work] - tally.kills[work])
                with _Disturber(chance, most, seconds) as disturber:
                    told = _told(reference, do)
                faulthandler.cancel_dump_traceback_later()
                tally.rounds += 1
                tally.kills[work] += len(disturber.sent)
                for number in disturber.sent:
                    tally.signals[number.name] = tally.signals.get(number.name, 0) + 1
                log.info("%d of %d killed, in %d rounds", sum(tally.kills.values()), kills, tally.rounds)
                if told:
                    tally.broken.append((f"{work} after {[number.name for number in disturber.sent]}", told))
                    log.warning("not as undisturbed: %s: %s", *tally.broken[-1])
    tally.seconds = round(time.monotonic() - began, 1)
    return tally


def _told(reference: Any, do: Callable[[], Any]) -> list[str]:
    try:
        found = do()
    except Exception as error:  # noqa: BLE001 (that there was one is what is told)
        return [f"{type(error).__name__}: {error}"]
    return [line[:300] for line in differences(reference, found)[:_TOLD]]
