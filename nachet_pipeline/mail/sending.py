"""Making mails of the outbox, and sending those that are due."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from uuid import uuid4

from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.mail.errors import MailRefusedError, TransportError
from nachet_pipeline.mail.letters import (
    OPERATORS_FOOTER,
    Letter,
    as_message,
    letter_on_checks,
    letter_on_keys,
    letter_on_uploads,
    owner_footer,
    trial_letter,
)
from nachet_pipeline.mail.queries import (
    RETRIED,
    ClaimedMail,
    claim_mail,
    collect_mails,
    end_mail,
    record_failure,
    told_checks,
    told_keys,
    told_uploads,
)
from nachet_pipeline.mail.transports import Transport, open_transport
from nachet_pipeline.settings import MailSettings
from nachet_pipeline.support.i18n import Language
from nachet_pipeline.users.queries import user_of

log = logging.getLogger(__name__)

SECONDS = 20.0
"""No mail is begun after so long."""


def now_utc() -> datetime:
    """The time."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Delivered:
    """What was done.

    Attributes:
        sent: mails that were sent.
        failed: mails that were given up.
        later: mails that are tried again.
        trouble: why no more were tried.
    """

    sent: int = 0
    failed: int = 0
    later: int = 0
    trouble: str | None = None


def deliver(database: Database, settings: MailSettings, *, clock: Callable[[], datetime] = now_utc) -> Delivered:
    """Make mails of what happened, and send those that are due, one after the other.

    A mail is sent at least once, always with the same Message-ID: who is killed between sending and recording it has
    it sent again. Of two that deliver at a time, each sends other mails.

    Args:
        database: where events and mails are.
        settings: what to tell whom, and what to send it by.
        clock: tells the time.

    Raises:
        SettingsError: there is nothing to send by.
        DatabaseError: the database does not answer.
    """
    done, end = Delivered(), time.monotonic() + SECONDS
    database.call(collect_mails, clock(), settings.notify, operators=bool(settings.notify_operators))
    with open_transport(settings) as transport:
        while done.trouble is None and time.monotonic() < end:
            mail = database.call(claim_mail, clock())
            if mail is None:
                break
            _deliver_one(database, settings, transport, mail, clock, done)
    return done


def _deliver_one(
    database: Database,
    settings: MailSettings,
    transport: Transport,
    mail: ClaimedMail,
    clock: Callable[[], datetime],
    done: Delivered,
) -> None:
    try:
        message = database.call(write_mail, mail, settings, clock())
        if message is None:
            database.call(end_mail, mail.id, clock(), "unneeded")
            return
        said = transport.send(message, mail.id)
    except (MailRefusedError, TransportError) as error:
        if isinstance(error, TransportError):
            done.trouble = str(error)
        permanent = isinstance(error, MailRefusedError) and error.permanent
        if permanent or clock() - mail.tried_at >= RETRIED:
            done.failed += 1
            log.warning("mail %s was given up: %s", mail.id, error)
            database.call(end_mail, mail.id, clock(), "failed", str(error))
        else:
            done.later += 1
            log.warning("mail %s is tried again later: %s", mail.id, error)
            database.call(record_failure, mail.id, str(error))
        return
    done.sent += 1
    database.call(end_mail, mail.id, clock(), "sent", said if "not for" in said else None)


def write_mail(connection: Connection, mail: ClaimedMail, settings: MailSettings, at: datetime) -> EmailMessage | None:
    """A mail as it is sent; None if nobody needs it any more.

    Raises:
        MailRefusedError: a defect of ours keeps it from being written; the log says where.
    """
    try:
        written = _letter(connection, mail, settings)
        if written is None:
            return None
        letter, to = written
        return as_message(
            letter,
            identifier=mail.id,
            sender=settings.mail_from or "",
            to=to,
            at=at,
            operators=settings.notify_operators if mail.user_id else (),
        )
    except (LookupError, TypeError, ValueError) as error:
        log.exception("mail %s could not be written", mail.id)
        raise MailRefusedError(f"it could not be written ({type(error).__name__})", permanent=True) from None


def _letter(connection: Connection, mail: ClaimedMail, settings: MailSettings) -> tuple[Letter, tuple[str, ...]] | None:
    if mail.user_id is None:
        checks = told_checks(connection, mail)
        if not checks or not settings.notify_operators:
            return None
        return letter_on_checks(checks).with_footer(OPERATORS_FOOTER), settings.notify_operators
    user = user_of(connection, mail.user_id)
    wanted = settings.notify if user.notify is None else user.notify
    if user.disabled_at is not None or mail.kind not in wanted:
        return None
    if mail.kind == "key":
        keys = told_keys(connection, mail)
        letter = letter_on_keys(keys, user.language) if keys else None
    else:
        uploads = told_uploads(connection, mail)
        letter = letter_on_uploads(mail.kind, uploads, user.language, user.email) if uploads else None
    if letter is None:
        return None
    return letter.with_footer(owner_footer(user.email, settings.notify_operators, user.language)), (user.email,)


def send_test(settings: MailSettings, to: str, language: Language) -> str:
    """Send a mail that says nothing, now.

    Returns:
        What the server said.

    Raises:
        SettingsError: there is nothing to send by.
        MailRefusedError: the server does not take it.
        TransportError: the server takes none.
    """
    with open_transport(settings) as transport:
        identifier = uuid4()
        sender = settings.mail_from or ""
        message = as_message(trial_letter(language), identifier=identifier, sender=sender, to=(to,), at=now_utc())
        return transport.send(message, identifier)
