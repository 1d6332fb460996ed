"""Looking again at stored pictures, after the rules or the enrichment changed: in batches, within a budget, resumable.

A picture is stale if what judged or enriched it is another version than today's. Reprocessing reads it from storage,
judges and enriches it anew, and writes what it found. No picture is ever removed or unlinked by it: whether one that
would be refused today stays is for people to decide.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.database.connection import Database
from nachet_pipeline.pictures import enrichment
from nachet_pipeline.pictures.decoding_pool import DecodingPool
from nachet_pipeline.pictures.inspection import Properties, Thumbnail
from nachet_pipeline.reprocessing.queries import (
    DuePicture,
    PagePlace,
    StaleGroup,
    Standing,
    Versions,
    count_found,
    found_pictures,
    record_seen,
    reprocessing_lock,
    stale_groups,
    stale_pictures,
    standing,
)
from nachet_pipeline.reprocessing.verdicts import Verdict, VerdictChange, VerdictState, changes, codes_of
from nachet_pipeline.settings import TransferSettings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.support.bounded import MemoryBudget, bounded_map
from nachet_pipeline.support.files import FileChangedError
from nachet_pipeline.support.shards import WHOLE, Shard

log = logging.getLogger(__name__)

BATCH = 100
"""Pictures in one transaction: as many at most are looked at again after an interruption."""

PAGE = 1000
"""Pictures in one query."""

NAMED = 5
"""Pictures that a difference names and shows."""

Progress = Callable[[int, int], None]
"""Told how many pictures are done, and how many there are to do."""


class Ending(StrEnum):
    """Why reprocessing ended."""

    DONE = "done"
    PICTURES = "budget of pictures"
    SECONDS = "budget of seconds"


@dataclass(frozen=True, slots=True)
class ReprocessRequest:
    """Which pictures are to be looked at.

    Attributes:
        since: those only that were imported then or later.
        rule: instead of the stale ones those, stale or not, of which this check or code was said last.
        pictures: so many at most.
        seconds: none is begun after so long.
        part: those of this part; several parts are done at the same time by several processes.
    """

    since: datetime | None = None
    rule: str | None = None
    pictures: int | None = None
    seconds: float | None = None
    part: Shard = WHOLE

    @property
    def codes(self) -> list[str] | None:
        """The codes of the rule, None if no rule is asked for.

        Raises:
            UnknownRuleError: there is no such rule or code.
        """
        return None if self.rule is None else sorted(codes_of(self.rule))


@dataclass(frozen=True, slots=True)
class Plan:
    """What reprocessing would do.

    Attributes:
        current: the versions of today.
        groups: what is stale, by versions.
        pictures: how many pictures would be looked at, without a budget.
    """

    current: Versions
    groups: list[StaleGroup]
    pictures: int

    @property
    def stale(self) -> int:
        """Number of stale pictures."""
        return sum(group.pictures for group in self.groups)

    @property
    def oldest(self) -> datetime | None:
        """When the stale picture was looked at last that waits longest."""
        return min((group.oldest for group in self.groups), default=None)


@dataclass(slots=True)
class VerdictDifference:
    """Pictures whose verdicts differ from those before in the same way.

    Attributes:
        change: what differs.
        count: number of pictures.
        pictures: the first of them.
        thumbnails: a few of them, as small JPEGs.
    """

    change: VerdictChange
    count: int = 0
    pictures: list[UUID] = field(default_factory=list)
    thumbnails: list[bytes] = field(default_factory=list, repr=False)


@dataclass(slots=True)
class Reprocessed:
    """What reprocessing did.

    Attributes:
        current: the versions that it brought pictures to.
        looked_at: number of pictures.
        updated: pictures of which something else is stored now than before, versions included.
        changed_verdicts: pictures of which something else is said than before.
        states: number of pictures in each state.
        differences: how verdicts differ from those before, most frequent first.
        seconds: how long it took.
        ending: why it ended.
        left: what is stale now.
        standing: what stored pictures are worth now, those of earlier runs included.
    """

    current: Versions
    looked_at: int = 0
    updated: int = 0
    changed_verdicts: int = 0
    states: dict[VerdictState, int] = field(default_factory=dict)
    differences: list[VerdictDifference] = field(default_factory=list)
    seconds: float = 0.0
    ending: Ending = Ending.DONE
    left: list[StaleGroup] = field(default_factory=list)
    standing: Standing = field(default_factory=lambda: Standing({}, {}))

    @property
    def left_stale(self) -> int:
        """Number of pictures that are stale still."""
        return sum(group.pictures for group in self.left)

    @property
    def oldest_left(self) -> datetime | None:
        """When the stale picture was looked at last that waits longest."""
        return min((group.oldest for group in self.left), default=None)

    @property
    def pictures_per_second(self) -> float:
        """Pictures looked at in a second."""
        return self.looked_at / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """A picture that was looked at; without properties if it cannot be decoded."""

    picture: DuePicture
    verdict: Verdict
    properties: Properties | None = None
    thumbnail: bytes | None = None


@dataclass(slots=True)
class Reprocessor:
    """Looks at stored pictures again.

    Attributes:
        database: where rows are.
        blobs: where pictures are.
        pool: decodes pictures.
        rules: what judges pictures today.
        transfer: how many pictures, and how many bytes of them, are read at a time.
        progress: told after every picture.
        batch: told after every batch, when its rows are written.
    """

    database: Database
    blobs: BlobStorage
    pool: DecodingPool
    rules: RuleSet
    transfer: TransferSettings
    progress: Progress | None = None
    batch: Callable[[int], None] | None = None

    def plan(self, wanted: ReprocessRequest) -> Plan:
        """What `reprocess` would look at; nothing is changed.

        Raises:
            UnknownRuleError: there is no such rule.
            DatabaseError: the database does not answer.
        """
        return plan(self.database, self.rules, wanted)

    def reprocess(self, wanted: ReprocessRequest) -> Reprocessed:
        """Look at pictures again, and write what was found, batch by batch.

        Interrupted, it leaves all batches before written; another call goes on from there.

        Raises:
            UnknownRuleError: there is no such rule.
            ReprocessingBusyError: another process does some of the same right now.
            StorageError: storage does not answer.
            DatabaseError: the database does not answer.
        """
        with self.database.connection() as connection, reprocessing_lock(connection, wanted.part):
            return self._reprocess(wanted)

    def _reprocess(self, wanted: ReprocessRequest) -> Reprocessed:
        started = time.monotonic()
        planned = plan(self.database, self.rules, wanted)
        work = _Work(self, planned.current)
        total = planned.pictures if wanted.pictures is None else min(planned.pictures, wanted.pictures)
        due = self._due(wanted, planned)
        within = _Budget(due, wanted, started)
        batch: list[_Seen] = []
        for done, seen in enumerate(work.look_at(within), start=1):
            batch.append(seen)
            if len(batch) == BATCH:
                work.write(batch)
                batch.clear()
            if self.progress:
                self.progress(done, max(total, done))
        if batch:
            work.write(batch)
        result = work.result
        result.differences = sorted(work.differences.values(), key=lambda one: (-one.count, one.change.code))
        result.ending = within.ending
        result.seconds = time.monotonic() - started
        with self.database.connection() as connection:
            result.left = stale_groups(connection, planned.current)
            result.standing = standing(connection)
        return result

    def _due(self, wanted: ReprocessRequest, planned: Plan) -> Iterator[DuePicture]:
        """The pictures to look at, page by page, so that memory does not grow with their number."""
        codes = wanted.codes
        if codes is not None:
            yield from self._pages(
                PagePlace(None),
                lambda place: self._query(
                    found_pictures, codes, place, since=wanted.since, most=PAGE, part=wanted.part
                ),
            )
            return
        for group in planned.groups:
            yield from self._pages(
                PagePlace(group.versions),
                lambda place: self._query(
                    stale_pictures, planned.current, place, since=wanted.since, most=PAGE, part=wanted.part
                ),
            )

    def _pages(self, place: PagePlace, page: Callable[[PagePlace], list[DuePicture]]) -> Iterator[DuePicture]:
        while pictures := page(place):
            yield from pictures
            place = PagePlace(place.versions, pictures[-1].id)

    def _query(self, query: Callable[..., list[DuePicture]], *arguments: Any, **settings: Any) -> list[DuePicture]:
        with self.database.reading() as connection:
            return query(connection, *arguments, **settings)


def current_versions(rules: RuleSet) -> Versions:
    """What judges and enriches pictures today."""
    return Versions(rules.stamp, enrichment.ENRICHMENT_VERSION)


def plan(database: Database, rules: RuleSet, wanted: ReprocessRequest) -> Plan:
    """What reprocessing would look at; nothing is changed.

    Raises:
        UnknownRuleError: there is no such rule.
        DatabaseError: the database does not answer.
    """
    codes, current = wanted.codes, current_versions(rules)
    with database.reading() as connection:
        groups = stale_groups(connection, current, wanted.since, wanted.part)
        pictures = (
            sum(group.pictures for group in groups)
            if codes is None
            else count_found(connection, codes, wanted.since, wanted.part)
        )
    return Plan(current, groups, pictures)


class _Budget:
    """The pictures that there is a budget for.

    Attributes:
        ending: why there are no more; settled when they are used up.
    """

    def __init__(self, due: Iterator[DuePicture], wanted: ReprocessRequest, started: float) -> None:
        self._due = due
        self._pictures = wanted.pictures
        self._until = None if wanted.seconds is None else started + wanted.seconds
        self.ending = Ending.DONE

    def __iter__(self) -> Iterator[DuePicture]:
        for number, picture in enumerate(self._due):
            if self._pictures is not None and number >= self._pictures:
                self.ending = Ending.PICTURES
                return
            if self._until is not None and time.monotonic() >= self._until:
                self.ending = Ending.SECONDS
                return
            yield picture


class _Work:
    """Looks at pictures, a bounded number and a bounded number of bytes at a time, and writes what was found.

    Attributes:
        result: what was done until now.
        differences: how verdicts differ from those before, by what differs.
    """

    def __init__(self, reprocessor: Reprocessor, current: Versions) -> None:
        self._with = reprocessor
        self._rules = reprocessor.rules
        self._room = MemoryBudget(reprocessor.transfer.memory_bytes)
        self.result = Reprocessed(current)
        self.differences: dict[VerdictChange, VerdictDifference] = {}

    def look_at(self, due: "_Budget") -> Iterator[_Seen]:
        """What is seen of the pictures, in their order."""
        threads = self._with.transfer.transfer_concurrency + self._with.pool.settings.workers
        # Threads wait for the network and for the decoders alike, so there are enough of them for both.
        with ThreadPoolExecutor(threads, thread_name_prefix="reprocess") as executor:
            try:
                tasks: Iterator[Future[_Seen]] = (executor.submit(self._look_at, picture) for picture in due)
                for future in bounded_map(tasks, 2 * threads):
                    yield future.result()
            except BaseException:
                executor.shutdown(wait=True, cancel_futures=True)
                raise

    def _look_at(self, picture: DuePicture) -> _Seen:
        with self._room.taken(picture.size):
            content = self._read(picture)
            if isinstance(content, VerdictState):
                return _Seen(picture, Verdict.of_blob(content))
            inspection = self._with.pool.inspect(content, picture.picture_format, thumbnail=Thumbnail.IF_REMARKABLE)
            del content
            seen = inspection.result()
        verdict = Verdict.of_picture(seen, self._rules)
        return _Seen(picture, verdict, seen.properties, seen.thumbnail)

    def _read(self, picture: DuePicture) -> bytes | VerdictState:
        """The stored file, or why it is not the one that was stored.

        Raises:
            StorageError: storage does not answer; that says nothing of the picture.
        """
        blobs = self._with.blobs
        try:
            content = blobs.read(picture.container, picture.blob, size=picture.size)
        except FileChangedError:
            there = blobs.properties_of(picture.container, picture.blob)
            return VerdictState.CHANGED if there else VerdictState.MISSING
        except StorageError as error:
            if not blobs.container_exists(picture.container):
                return VerdictState.MISSING
            log.warning("%s/%s cannot be read: %s", picture.container, picture.blob, error)
            return VerdictState.UNREADABLE
        if hashlib.sha256(content).hexdigest() != picture.sha256:
            return VerdictState.CHANGED
        return content

    def write(self, batch: list[_Seen]) -> None:
        """Write what was seen of some pictures in one transaction, then count it."""
        current = self.result.current
        with self._with.database.connection() as connection:
            updated = record_seen(
                connection, {seen.picture.id: (seen.properties, seen.verdict) for seen in batch}, current
            )
        self.result.updated += updated
        for seen in batch:
            self._count(seen)
        if self._with.batch:
            self._with.batch(self.result.looked_at)

    def _count(self, seen: _Seen) -> None:
        result, state = self.result, seen.verdict.state
        result.looked_at += 1
        result.states[state] = result.states.get(state, 0) + 1
        changed = list(changes(seen.picture.verdict, seen.verdict))
        result.changed_verdicts += bool(changed)
        for change in changed:
            difference = self.differences.setdefault(change, VerdictDifference(change))
            difference.count += 1
            if len(difference.pictures) < NAMED:
                difference.pictures.append(seen.picture.id)
            if seen.thumbnail and len(difference.thumbnails) < NAMED:
                difference.thumbnails.append(seen.thumbnail)
