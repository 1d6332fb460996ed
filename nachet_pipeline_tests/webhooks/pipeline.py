"""A pipeline that tells others: a database of its own, a clock that can be set, and webhooks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import SecretStr

from nachet_pipeline.database.connection import Database
from nachet_pipeline.events.event import CheckTurned, EventType
from nachet_pipeline.events.queries import record_event
from nachet_pipeline.local.services import Services
from nachet_pipeline.users.encryption import SecretBox, new_secret_key
from nachet_pipeline.webhooks.delivering import Delivered, Deliverer
from nachet_pipeline.webhooks.sending import Sender
from nachet_pipeline.webhooks.subscribing import Webhooks
from nachet_pipeline.webhooks.webhook import Webhook, event_types
from nachet_pipeline_tests.databases import own_database
from nachet_pipeline_tests.webhooks.receivers import Receiver

SOURCE = "https://account.blob.core.windows.net"
KEYS = (new_secret_key(),)


@dataclass
class Pipeline:
    """What happens, and who is told."""

    database: Database
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    sender: Sender = field(default_factory=lambda: Sender(private=True, seconds=5))

    @property
    def webhooks(self) -> Webhooks:
        return Webhooks(self.database, KEYS, self.sender, SOURCE)

    def subscribe(self, to: Receiver, events: str = "*", *, from_beginning: bool = False) -> Webhook:
        webhook, _ = self.webhooks.add(
            SecretStr(to.url),
            event_types(events),
            SecretStr(to.secrets[0]),
            by="ada@example.org",
            from_beginning=from_beginning,
        )
        return webhook

    def happen(self, *subjects: str, kind: EventType = EventType.CHECK_FAILING) -> None:
        """Let something happen to each of the subjects, one after the other."""
        for subject in subjects:
            data = CheckTurned(check=subject, passed=False, urgent=True, found="something")
            self.database.call(record_event, kind, subject, data)

    def deliver(self, *, seconds: float = 20) -> Delivered:
        """Deliver once, as a tick of the sensor does."""
        box = SecretBox(KEYS)
        return Deliverer(self.database, box, self.sender, SOURCE, seconds=seconds, now=lambda: self.at).deliver()

    def let_pass(self, time: timedelta, *, step: timedelta = timedelta(minutes=10)) -> int:
        """Let time pass, with a tick now and then; how many attempts failed meanwhile."""
        end, failed = self.at + time, 0
        while self.at < end:
            self.at = min(end, self.at + step)
            failed += self.deliver().failed
        return failed

    def now(self, webhook: Webhook) -> Webhook:
        """The webhook as it is now."""
        (found,) = (one for one in self.webhooks.all() if one.id == webhook.id)
        return found

    def events(self) -> list[tuple[UUID, str, int]]:
        """Identifier, subject and number of all events."""
        with self.database.reading() as connection:
            rows = connection.execute("select id, subject, number from event order by number").fetchall()
        return [(row["id"], str(row["subject"]), row["number"]) for row in rows]  # type: ignore[misc]


@contextmanager
def pipeline_of(services: Services, template: str) -> Iterator[Pipeline]:
    """A pipeline with a database of its own."""
    with own_database(services, template=template) as own, Database(SecretStr(own.database_url)) as database:
        yield Pipeline(database)
