"""Delivering events to webhooks: at least once, those of one subject in their order.

One connection to the database reads and records; threads wait for the receivers. Each webhook is held by one process at
a time. If that process is killed between sending and recording, the next one sends the same event with the same
`webhook-id`. A receiver that does not answer is asked less and less often, and takes one thread for a few seconds then.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import SecretStr

from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.events.event import CloudEvent
from nachet_pipeline.events.queries import find_events
from nachet_pipeline.users.encryption import SecretBox, UndecipherableError
from nachet_pipeline.webhooks.queries import (
    LEAST_ATTEMPTS,
    Delivery,
    Target,
    defer,
    fan_out,
    held_webhooks,
    next_deliveries,
    pause_webhook,
    record_delivered,
    record_failed,
    spare,
)
from nachet_pipeline.webhooks.sending import Answer, Sender
from nachet_pipeline.webhooks.webhook import GONE

log = logging.getLogger(__name__)

SECONDS = 20.0
"""How long one call delivers, at most; a tick of the sensor."""
_THREADS = 16
_AT_A_TIME = 4
_PAUSE_OF_WHO_REFUSES_ALL = timedelta(minutes=1)
_FIRST_PAUSE, _FACTOR, _LONGEST_PAUSE = 5.0, 4, 3600.0


def pause_after(failures: int) -> timedelta:
    """How long to wait after so many failures in a row: 5 s at first, an hour at last, by chance a quarter off."""
    seconds = min(_LONGEST_PAUSE, _FIRST_PAUSE * _FACTOR ** min(failures - 1, 10))
    return timedelta(seconds=seconds * random.uniform(0.75, 1.25))  # noqa: S311 (no secret)


@dataclass(slots=True)
class Delivered:
    """What one call did.

    Attributes:
        delivered: events that were accepted, once for each webhook.
        failed: attempts that failed.
    """

    delivered: int = 0
    failed: int = 0


_Opened = tuple[SecretStr, tuple[SecretStr, ...]]


def open_target(box: SecretBox, target: Target) -> _Opened:
    """Address and secrets of a webhook.

    Raises:
        UndecipherableError: they were encrypted with another key.
    """
    secrets = (target.encrypted_secret, target.encrypted_former_secret)
    return box.decrypt(target.encrypted_url), tuple(box.decrypt(one) for one in secrets if one)


@dataclass(frozen=True)
class Deliverer:
    """Delivers events.

    Attributes:
        database: has the events.
        box: decrypts addresses and secrets.
        sender: sends.
        source: names this pipeline in what is sent.
        seconds: how long one call lasts, at most.
        now: the time.
    """

    database: Database
    box: SecretBox
    sender: Sender
    source: str
    seconds: float = SECONDS
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def deliver(self) -> Delivered:
        """Deliver what is due to all webhooks that nobody else delivers to.

        Raises:
            DatabaseError: the database does not answer; what was not recorded is delivered again.
        """
        # What begins later could last longer than the call may.
        last_start, done = time.monotonic() + self.seconds - self.sender.seconds, Delivered()
        with self.database.connection() as connection, held_webhooks(connection, self.now()) as targets:
            fan_out(connection, [one.id for one in targets], self.now())
            connection.commit()
            opened = dict(self._open(targets))
            answering: set[UUID] = set()
            under_way: dict[Future[Answer], Delivery] = {}
            with ThreadPoolExecutor(_THREADS) as executor:
                while True:
                    if time.monotonic() <= last_start:
                        places = _places(opened, answering, under_way.values())
                        started = self._start(connection, executor, opened, places, list(under_way.values()))
                        under_way.update(started)
                    if not under_way:
                        return done
                    for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                        delivery, answer = under_way.pop(future), future.result()
                        (answering.discard if answer.unavailable else answering.add)(delivery.webhook)
                        self._record(connection, delivery, answer, done)
                        connection.commit()

    def _open(self, targets: Iterable[Target]) -> Iterator[tuple[UUID, _Opened]]:
        for one in targets:
            try:
                yield one.id, open_target(self.box, one)
            except UndecipherableError as error:
                log.error("webhook %s is told nothing: %s", one.id, error)  # noqa: TRY400 (its message is all)

    def _start(
        self,
        connection: Connection,
        executor: ThreadPoolExecutor,
        opened: Mapping[UUID, _Opened],
        places: Mapping[UUID, int],
        under_way: Collection[Delivery],
    ) -> Iterator[tuple[Future[Answer], Delivery]]:
        """Send what is due next."""
        room = _THREADS - len(under_way)
        due = next_deliveries(connection, places, under_way, self.now(), most=room) if places and room else []
        events = {event.number: event for event in find_events(connection, [one.number for one in due])}
        connection.commit()
        for one in due:
            event = events.get(one.number)
            if event is None:  # cleared meanwhile, or of a type that only a newer release knows
                now = self.now()
                defer(connection, one, "this release does not know its type", now, now + pause_after(one.attempts + 1))
                connection.commit()
                continue
            content = CloudEvent.of(event, self.source).content()
            yield executor.submit(self.sender.send, *opened[one.webhook], str(event.id), content), one

    def _record(self, connection: Connection, delivery: Delivery, answer: Answer, done: Delivered) -> None:
        webhook = delivery.webhook
        if answer.error is None:
            record_delivered(connection, delivery)
            done.delivered += 1
            return
        done.failed += 1
        log.warning("webhook %s, event %d: %s", webhook, delivery.number, answer.error)
        now, asked = self.now(), timedelta(seconds=answer.retry_after)
        again = now + max(asked, pause_after(delivery.attempts + 1))
        failed = record_failed(connection, delivery, answer.error, now, again)
        if answer.unavailable:
            spare(connection, webhook, now, now + max(asked, pause_after(failed)))
        elif failed >= LEAST_ATTEMPTS:
            spare(connection, webhook, now, now + _PAUSE_OF_WHO_REFUSES_ALL)
        if answer.gone:
            pause_webhook(connection, webhook, GONE)


def _places(opened: Collection[UUID], answering: set[UUID], under_way: Collection[Delivery]) -> dict[UUID, int]:
    """How many more events each webhook takes: one until it has answered."""
    busy = Counter(one.webhook for one in under_way)
    places = {one: (_AT_A_TIME if one in answering else 1) - busy[one] for one in opened}
    return {one: number for one, number in places.items() if number > 0}
