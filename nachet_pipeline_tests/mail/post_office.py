"""A database with users whose folders are imported and refused, a clock, and a server that gets their mails."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

from psycopg.types.json import Jsonb
from pydantic import SecretStr

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.report import Report
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.local.services import Services
from nachet_pipeline.mail.sending import Delivered, deliver
from nachet_pipeline.settings import MailSettings, Notice
from nachet_pipeline.support.i18n import Language
from nachet_pipeline.uploads.queries import close_upload, mark_importing, mark_queued, see_upload
from nachet_pipeline.users.queries import add_user, set_notices
from nachet_pipeline.users.user import User
from nachet_pipeline_tests.databases import own_database
from nachet_pipeline_tests.mail.servers import Mailbox, smtp_server

ERROR = Finding(code="unregistered-seed", path="index.yaml", line=5, field="seedData.seedName")
WARNING = Finding(code="seed-count-differs", path="1.tiff")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass
class PostOffice:
    """What happens, what is sent of it, and when.

    Attributes:
        database: where uploads and mails are.
        server: gets the mails.
        settings: of the deployment.
        now: the time.
    """

    database: Database
    server: Mailbox
    settings: MailSettings
    now: datetime = field(default_factory=lambda: datetime(2026, 11, 29, 14, 0, tzinfo=UTC))

    def user(
        self, email: str = "jane.doe@example.org", *notify: Notice, language: Language = "en", said: bool = True
    ) -> User:
        """A user who wants to be told something; or who never said so."""

        def add(connection: Connection) -> User:
            user = add_user(connection, email)
            if said:
                set_notices(connection, user, actor="a test", language=language, notify=notify)
            return user

        return self.database.call(add)

    def import_folder(
        self,
        user: User,
        folder: str,
        state: State,
        *findings: Finding,
        attempts: int = 0,
        submission: str | None = None,
    ) -> None:
        """Import a folder, which ends so; what failed did so for the so-manieth time."""

        def work(connection: Connection) -> None:
            upload = see_upload(connection, Owner(user.id, user.email), folder)
            mark_queued(connection, "a batch", {upload.id: "digest"})
            mark_importing(connection, upload.id, "a run")
            if attempts:
                connection.execute("update upload set attempts = %s where id = %s", (attempts - 1, upload.id))
            close_upload(
                connection,
                Receipt(
                    upload=upload.id,
                    partition=upload.partition,
                    owner=user.email,
                    folder=folder,
                    state=state,
                    pictures=2,
                    submission=submission,
                    report=Report.of_findings(findings),
                ),
            )

        self.database.call(work)

    def cut_out_seeds(self, user: User, folder: str, *findings: Finding) -> None:
        """Cut the seeds out of a folder's pictures; its report says then what was found."""

        def work(connection: Connection) -> None:
            report = Jsonb(Report.of_findings(findings).model_dump(mode="json"))
            mine = "(select id from upload where owner_id = %s and folder = %s)"
            connection.execute(
                f"update upload set receipt = jsonb_set(receipt, '{{report}}', %s) where id = {mine}",
                (report, user.id, folder),
            )
            connection.execute(f"delete from upload_crops where upload_id = {mine}", (user.id, folder))
            connection.execute(
                "insert into upload_crops (upload_id, stamp, upload_changed)"
                " select id, 'a stamp', updated_at from upload where owner_id = %s and folder = %s",
                (user.id, folder),
            )
            finished = f"update upload_crops set finished_at = now() where upload_id = {mine}"
            connection.execute(finished, (user.id, folder))

        self.database.call(work)

    def tick(self, after: timedelta = timedelta(0)) -> Delivered:
        """Let the sensor tick so long after the last time."""
        self.now += after
        return deliver(self.database, self.settings, clock=lambda: self.now)

    def mails_to(self, email: str) -> list[EmailMessage]:
        """The mails that a user got."""
        return [mail for recipients, mail in self.server.mails if email in recipients]

    def query(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        """Rows of the database."""
        with self.database.connection() as connection:
            return connection.execute(query, arguments).fetchall()

    def outcomes(self) -> list[tuple[str, str | None]]:
        """The kinds of mails and what became of each."""
        return [(row["kind"], row["outcome"]) for row in self.query("select * from mail order by created_at, first")]


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    """What a mail says."""
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


@contextmanager
def post_office(services: Services, template: str, notify: Sequence[Notice] = ()) -> Iterator[PostOffice]:
    """One whose sensor has ticked before: what happens from now on is told."""
    with (
        own_database(services, template=template) as own,
        Database(SecretStr(own.database_url)) as database,
        smtp_server() as server,
    ):
        settings = MailSettings(
            smtp_url=SecretStr(server.url),
            mail_from="nachet@example.org",
            notify=tuple(notify),
            notify_operators=("operators@example.org",),
        )
        office = PostOffice(database, server, settings)
        office.tick()
        yield office
