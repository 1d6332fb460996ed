"""Check stored pictures again after the rules or the enrichment changed: in batches, within a budget, resumable.

A picture is stale if another version than today's judged or enriched it. Reprocessing reads it from storage, judges and
measures it again, and records what it found. It never removes or unlinks a picture: people decide whether one that
would be refused today stays.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from uuid import UUID

from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.database.connection import Database
from nachet_pipeline.pictures import enrichment
from nachet_pipeline.pictures.decoding_pool import DecodingPool
from nachet_pipeline.pictures.inspected import Properties, Thumbnail
from nachet_pipeline.reprocessing.queries import (
    DuePicture,
    StaleGroup,
    Standing,
    Versions,
    count_pictures_with,
    pictures_with,
    read_standing,
    record_seen,
    reprocessing_lock,
    stale_groups,
    stale_pictures,
)
from nachet_pipeline.reprocessing.verdicts import Verdict, VerdictChange, VerdictState, codes_of, verdict_changes
from nachet_pipeline.settings import TransferSettings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.support.batches import pages
from nachet_pipeline.support.bounded import MemoryBudget, bounded_map
from nachet_pipeline.support.files import FileChangedError
from nachet_pipeline.support.progress import Progress, silent
from nachet_pipeline.support.shards import WHOLE, Shard

log = logging.getLogger(__name__)

BATCH = 100
"""Pictures in one transaction: at most so many are repeated after an interruption."""

_PAGE = 1000
"""Pictures in one query."""

NAMED = 5
"""Pictures that a difference names and shows, at most."""

_FIRST = UUID(int=0)


class Ending(StrEnum):
    """Why reprocessing ended."""

    DONE = "done"
    PICTURES = "budget of pictures"
    SECONDS = "budget of seconds"


@dataclass(frozen=True, slots=True)
class ReprocessRequest:
    """Which pictures to check.

    Attributes:
        since: only those imported then or later.
        rule: not the stale ones, but those whose last verdict has this check or code, stale or not.
        pictures: how many at most.
        seconds: no picture is begun after so long.
        shard: only those of this shard; several processes do several shards at the same time.
    """

    since: datetime | None = None
    rule: str | None = None
    pictures: int | None = None
    seconds: float | None = None
    shard: Shard = WHOLE

    @property
    def codes(self) -> list[str] | None:
        """The codes of the rule; None if no rule is given.

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
        pictures: how many pictures would be checked, without a budget.
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
        """Last check of the picture that has been stale longest."""
        return min((group.oldest for group in self.groups), default=None)


@dataclass(slots=True)
class VerdictDifference:
    """Pictures whose verdicts changed in the same way.

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
        current: the versions of today.
        looked_at: number of pictures that were checked.
        updated: pictures whose row changed, versions included.
        changed_verdicts: pictures whose verdict changed.
        states: number of pictures in each state.
        differences: how verdicts changed, most frequent first.
        seconds: how long it took.
        ending: why it ended.
        left: what is stale now.
        standing: how many stored pictures today's rules refuse, including those that earlier runs checked.
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
        """Number of pictures that are still stale."""
        return sum(group.pictures for group in self.left)

    @property
    def oldest_left(self) -> datetime | None:
        """Last check of the picture that has been stale longest."""
        return min((group.oldest for group in self.left), default=None)

    @property
    def pictures_per_second(self) -> float:
        """Pictures checked in a second."""
        return self.looked_at / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """A picture that was checked; without properties if it cannot be decoded."""

    picture: DuePicture
    verdict: Verdict
    properties: Properties | None = None
    thumbnail: bytes | None = None


@dataclass(slots=True)
class Reprocessor:
    """Checks stored pictures again.

    Attributes:
        database: where rows are.
        blobs: where pictures are.
        pool: decodes pictures.
        rules: judges pictures today.
        transfer: how many pictures and bytes are read at a time.
        progress: called after every picture.
        batch: called after every batch, when its rows are written.
    """

    database: Database
    blobs: BlobStorage
    pool: DecodingPool
    rules: RuleSet
    transfer: TransferSettings
    progress: Progress = silent
    batch: Callable[[int], None] = silent

    def plan(self, wanted: ReprocessRequest) -> Plan:
        """What `reprocess` would check; nothing is changed.

        Raises:
            UnknownRuleError: there is no such rule.
            DatabaseError: the database does not answer.
        """
        return plan(self.database, self.rules, wanted)

    def reprocess(self, wanted: ReprocessRequest) -> Reprocessed:
        """Check pictures again, and record what was found, batch by batch.

        An interrupted call leaves its finished batches recorded; another call continues from there.

        Raises:
            UnknownRuleError: there is no such rule.
            ReprocessingBusyError: another process reprocesses some of the same pictures.
            StorageError: storage does not answer.
            DatabaseError: the database does not answer.
        """
        with self.database.connection() as connection, reprocessing_lock(connection, wanted.shard):
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
            self.progress(done, max(total, done))
        if batch:
            work.write(batch)
        result = work.result
        result.differences = sorted(work.differences.values(), key=lambda one: (-one.count, one.change.code))
        result.ending = within.ending
        result.seconds = time.monotonic() - started
        with self.database.connection() as connection:
            result.left = stale_groups(connection, planned.current)
            result.standing = read_standing(connection)
        return result

    def _due(self, wanted: ReprocessRequest, planned: Plan) -> Iterator[DuePicture]:
        """Read the pictures to check, page by page: memory does not grow with their number."""
        codes = wanted.codes
        if codes is None:
            for group in planned.groups:
                stale = partial(stale_pictures, versions=group.versions, current=planned.current)
                yield from self._pages(stale, wanted)
        else:
            yield from self._pages(partial(pictures_with, codes=codes), wanted)

    def _pages(self, query: Callable[..., list[DuePicture]], wanted: ReprocessRequest) -> Iterator[DuePicture]:
        def page(after: UUID) -> list[DuePicture]:
            with self.database.reading() as connection:
                return query(connection, after=after, since=wanted.since, most=_PAGE, shard=wanted.shard)

        return pages(page, first=_FIRST, key=lambda picture: picture.id)


def current_versions(rules: RuleSet) -> Versions:
    """The versions that judge and enrich pictures today."""
    return Versions(rules.stamp, enrichment.ENRICHMENT_VERSION)


def plan(database: Database, rules: RuleSet, wanted: ReprocessRequest) -> Plan:
    """What reprocessing would check; nothing is changed.

    Raises:
        UnknownRuleError: there is no such rule.
        DatabaseError: the database does not answer.
    """
    codes, current = wanted.codes, current_versions(rules)
    with database.reading() as connection:
        groups = stale_groups(connection, current, wanted.since, wanted.shard)
        pictures = (
            sum(group.pictures for group in groups)
            if codes is None
            else count_pictures_with(connection, codes, wanted.since, wanted.shard)
        )
    return Plan(current, groups, pictures)


class _Budget:
    """The pictures that the budget allows.

    Attributes:
        ending: why there are no more; set when iteration ends.
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
    """Checks pictures, with a bounded number of them and of their bytes at a time, and records what was found.

    Attributes:
        result: what was done so far.
        differences: how verdicts changed, by the change.
    """

    def __init__(self, reprocessor: Reprocessor, current: Versions) -> None:
        self._with = reprocessor
        self._rules = reprocessor.rules
        self._budget = MemoryBudget(reprocessor.transfer.memory_bytes)
        self.result = Reprocessed(current)
        self.differences: dict[VerdictChange, VerdictDifference] = {}

    def look_at(self, due: "_Budget") -> Iterator[_Seen]:
        """Check the pictures; yield the results in their order."""
        threads = self._with.transfer.transfer_concurrency + self._with.pool.settings.workers
        # Threads wait for the network and for the decoders; there are enough for both.
        return bounded_map(
            self._look_at,
            due,
            workers=threads,
            budget=self._budget,
            size=lambda picture: picture.size,
            name="reprocess",
        )

    def _look_at(self, picture: DuePicture) -> _Seen:
        content = self._read(picture)
        if isinstance(content, VerdictState):
            return _Seen(picture, Verdict.of_blob(content))
        inspection = self._with.pool.inspect(content, picture.picture_format, thumbnail=Thumbnail.IF_REMARKABLE)
        del content
        seen = inspection.result()
        verdict = Verdict.of_picture(seen, self._rules)
        return _Seen(picture, verdict, seen.properties, seen.thumbnail)

    def _read(self, picture: DuePicture) -> bytes | VerdictState:
        """Read the stored file; return a state if it is not the file that was stored.

        Raises:
            StorageError: storage does not answer, which says nothing about the picture.
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
        """Record what was found in some pictures, in one transaction, then count it."""
        current = self.result.current
        updated = self._with.database.call(
            record_seen, {seen.picture.id: (seen.properties, seen.verdict) for seen in batch}, current
        )
        self.result.updated += updated
        for seen in batch:
            self._count(seen)
        self._with.batch(self.result.looked_at)

    def _count(self, seen: _Seen) -> None:
        result, state = self.result, seen.verdict.state
        result.looked_at += 1
        result.states[state] = result.states.get(state, 0) + 1
        changed = list(verdict_changes(seen.picture.verdict, seen.verdict))
        result.changed_verdicts += bool(changed)
        for change in changed:
            difference = self.differences.setdefault(change, VerdictDifference(change))
            difference.count += 1
            if len(difference.pictures) < NAMED:
                difference.pictures.append(seen.picture.id)
            if seen.thumbnail and len(difference.thumbnails) < NAMED:
                difference.thumbnails.append(seen.thumbnail)
