"""Who wants to be told is told: what concerns them, once, in their language, whatever the mail server does."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest
from pydantic import SecretStr

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.receipt import State
from nachet_pipeline.events.event import CheckTurned, EventType, KeyEnding
from nachet_pipeline.events.queries import record_event
from nachet_pipeline.local.services import Services
from nachet_pipeline.mail import transports
from nachet_pipeline.mail.queries import mails_of, stuck_mails
from nachet_pipeline.reconciliation.retention_queries import delete_old_events
from nachet_pipeline.settings import MailSettings
from nachet_pipeline.users.queries import set_disabled, set_notices
from nachet_pipeline_tests.mail.post_office import (
    DAY,
    ERROR,
    HOUR,
    MINUTE,
    WARNING,
    PostOffice,
    post_office,
    text_of,
)
from nachet_pipeline_tests.mail.servers import silent_server

JANE = "jane.doe@example.org"


@pytest.fixture
def office(services: Services, migrated_database: str) -> Iterator[PostOffice]:
    with post_office(services, migrated_database) as found:
        yield found


def subjects(mails: Sequence[EmailMessage]) -> list[str]:
    return [str(mail["Subject"]) for mail in mails]


def test_the_owner_of_a_refused_folder_is_told_why_in_their_language(office: PostOffice) -> None:
    jane = office.user(JANE, "refused", language="fr")
    office.user("other@example.org", "refused")
    office.import_folder(jane, "canola", State.REFUSED, ERROR)
    office.tick()
    assert office.server.mails == []
    assert office.tick(5 * MINUTE).sent == 1
    ((recipients, mail),) = office.server.mails
    assert recipients == [JANE]
    assert mail["Subject"] == "Non accepté\u00a0: canola"
    for kind in ("plain", "html"):
        said = text_of(mail, kind)
        assert "L'espèce n'est pas enregistrée." in said or "L&#39;espèce n&#39;est pas enregistrée." in said
        assert "canola.report.html" in said
        assert "other@example.org" not in said
    assert mail["List-Unsubscribe"].strip() == "<mailto:operators@example.org?subject=unsubscribe>"
    assert office.tick(DAY).sent == 0


def test_nobody_is_told_what_they_did_not_ask_for(office: PostOffice) -> None:
    silent, gone = office.user(JANE, said=False), office.user("gone@example.org", "refused")
    with office.database.connection() as connection:
        set_disabled(connection, gone, disabled=True, actor="a test")
    for user in (silent, gone):
        office.import_folder(user, "canola", State.REFUSED, ERROR)
    office.tick(), office.tick(HOUR)
    assert office.server.mails == []
    assert office.outcomes() == []


def test_the_deployment_says_what_those_are_told_who_never_said(services: Services, migrated_database: str) -> None:
    with post_office(services, migrated_database, notify=("refused",)) as office:
        silent, never = office.user(JANE, said=False), office.user("never@example.org")
        for user in (silent, never):
            office.import_folder(user, "canola", State.REFUSED, ERROR)
        office.tick(), office.tick(HOUR)
        assert [recipients for recipients, _ in office.server.mails] == [[JANE]]


def test_who_wants_no_more_mail_gets_not_even_the_one_that_waits(office: PostOffice) -> None:
    jane = office.user(JANE, "refused")
    office.import_folder(jane, "canola", State.REFUSED, ERROR)
    office.tick()
    with office.database.connection() as connection:
        set_notices(connection, jane, actor="a test", notify=())
    office.tick(HOUR)
    assert office.server.mails == []
    assert office.outcomes() == [("refused", "unneeded")]


def test_a_hundred_refusals_are_one_mail(office: PostOffice) -> None:
    jane = office.user(JANE, "refused")
    for number in range(100):
        office.import_folder(jane, f"canola-{number:03}", State.REFUSED, ERROR)
        if number % 25 == 0:
            office.tick(MINUTE)
    assert office.tick(3 * MINUTE).sent == 1
    (mail,) = office.mails_to(JANE)
    assert mail["Subject"] == "100 folders need a correction"
    assert text_of(mail).count("\n* canola-") == 20
    assert "… and 80 more" in text_of(mail)
    # What is refused meanwhile waits: mails are half an hour apart.
    office.import_folder(jane, "late", State.REFUSED, ERROR)
    office.tick()
    assert office.tick(6 * MINUTE).sent == 0
    assert office.tick(24 * MINUTE).sent == 1


def test_a_folder_that_was_corrected_meanwhile_needs_no_mail(office: PostOffice) -> None:
    jane = office.user(JANE, "refused")
    for folder in ("canola", "mustard"):
        office.import_folder(jane, folder, State.REFUSED, ERROR)
    office.tick()
    office.import_folder(jane, "canola", State.IMPORTED)
    office.tick(HOUR)
    assert subjects(office.mails_to(JANE)) == ["Not accepted: mustard"]


def test_who_was_told_why_a_folder_was_refused_is_not_told_again_after_it_was_tried_again_by_itself(
    office: PostOffice,
) -> None:
    """The clock of the database counts here: the mail is sent before what happens next."""
    jane = office.user(JANE, "refused")

    def refuse(*findings: Finding, submission: str = "a") -> int:
        office.now = datetime.now(UTC)
        before = len(office.server.mails)
        office.import_folder(jane, "canola", State.REFUSED, *findings, submission=submission)
        office.tick(-6 * MINUTE)
        office.query("update mail set due_at = %s where outcome is null returning id", office.now)
        office.tick(6 * MINUTE)
        return len(office.server.mails) - before

    assert refuse(ERROR) == 1
    assert [refuse(ERROR), refuse(ERROR)] == [0, 0]
    assert refuse(ERROR, WARNING) == 1
    assert refuse(ERROR, WARNING, submission="b") == 1
    assert refuse(ERROR, WARNING, submission="b") == 0
    office.import_folder(jane, "canola", State.IMPORTED)
    assert refuse(ERROR, WARNING, submission="b") == 1


def test_what_was_being_tried_again_when_the_mail_left_is_told_by_the_next(office: PostOffice) -> None:
    jane = office.user(JANE, "refused")
    office.now = datetime.now(UTC)
    for folder in ("canola", "mustard"):
        office.import_folder(jane, folder, State.REFUSED, ERROR, submission="a")
    office.tick()
    with office.database.connection() as connection:
        connection.execute("update upload set state = 'queued', batch = 'a batch' where folder = 'canola'")
    office.tick(HOUR)
    office.import_folder(jane, "canola", State.REFUSED, ERROR, submission="a")
    office.tick(), office.tick(HOUR)
    assert subjects(office.mails_to(JANE)) == ["Not accepted: mustard", "Not accepted: canola"]


def test_a_clock_that_was_ahead_for_a_while_keeps_no_mail_back(office: PostOffice) -> None:
    jane = office.user(JANE, "refused")
    office.import_folder(jane, "canola", State.REFUSED, ERROR)
    office.tick(), office.tick(365 * DAY)
    office.import_folder(jane, "mustard", State.REFUSED, ERROR)
    office.tick(-365 * DAY), office.tick(HOUR)
    assert subjects(office.mails_to(JANE)) == ["Not accepted: canola", "Not accepted: mustard"]


@pytest.mark.parametrize("tried", [False, True])
def test_what_was_noticed_or_tried_by_a_clock_that_was_ahead_is_sent_when_it_is_right_again(
    office: PostOffice, tried: bool
) -> None:
    jane = office.user(JANE, "refused")
    office.import_folder(jane, "canola", State.REFUSED, ERROR)
    if tried:
        office.tick()
        office.server.data = ["451 4.3.0 try later"]
    # Nothing is told of what nobody collected for days, so the clock is ahead by less.
    assert office.tick(2 * DAY).later == tried
    office.tick(-2 * DAY), office.tick(MINUTE)
    assert subjects(office.mails_to(JANE)) == ["Not accepted: canola"]


def test_what_failed_is_told_when_it_is_not_tried_again(office: PostOffice) -> None:
    jane = office.user(JANE, "failed")
    for attempts in (1, 2):
        office.import_folder(jane, "canola", State.FAILED, attempts=attempts)
        office.tick(), office.tick(HOUR)
    assert office.server.mails == []
    office.import_folder(jane, "canola", State.FAILED, attempts=3)
    office.tick(), office.tick(HOUR)
    assert subjects(office.mails_to(JANE)) == ["Not imported yet: canola"]


def test_a_key_that_ends_is_told_with_what_to_do(office: PostOffice) -> None:
    jane = office.user(JANE, "key")
    data = KeyEnding(user=JANE, key=3, ends=office.now + 14 * DAY, replaced_by=4)
    for ending in (data.model_copy(update={"key": 2, "ends": office.now + 2 * DAY}), data):
        office.database.call(record_event, EventType.KEY_ENDING, str(jane.id), ending, owner=jane.id)
    office.tick(), office.tick(HOUR)
    (mail,) = office.mails_to(JANE)
    assert mail["Subject"] == "Your upload key ends on 2026-12-01"
    assert "Your upload key 2 works until 2026-12-01 14:00 UTC." in text_of(mail)
    assert "Your upload key 3 works until 2026-12-13 14:00 UTC." in text_of(mail)
    assert "Key 4 takes its place" in text_of(mail)


def turn(office: PostOffice, check: str, *verdicts: bool) -> None:
    for passed in verdicts:
        kind = EventType.CHECK_PASSING if passed else EventType.CHECK_FAILING
        data = CheckTurned(check=check, passed=passed, urgent=True, found="2 uploads failed.")
        office.database.call(record_event, kind, check, data)


def test_operators_are_told_which_checks_turned_but_not_which_flapped(office: PostOffice) -> None:
    turn(office, "no_failures", False)
    turn(office, "disk_free", False, True)
    turn(office, "queue_moves", False, True, False)
    office.tick(), office.tick(HOUR)
    (mail,) = office.mails_to("operators@example.org")
    assert mail["Subject"] == "Pipeline health: 2 checks fail"
    assert "disk_free" not in text_of(mail)
    turn(office, "no_failures", True, False)
    office.tick(), office.tick(HOUR)
    assert len(office.server.mails) == 1
    turn(office, "no_failures", True)
    office.tick(), office.tick(HOUR)
    assert subjects(office.mails_to("operators@example.org"))[1:] == ["Pipeline health: no_failures passes again"]


def test_an_operator_whom_the_server_does_not_know_is_shown_while_the_others_are_told(office: PostOffice) -> None:
    operators = ("gone@example.org", "operators@example.org")
    office.settings = office.settings.model_copy(update={"notify_operators": operators})
    office.server.rcpt = ["550 gone"]
    turn(office, "no_failures", False)
    office.tick(), office.tick(HOUR)
    assert [recipients for recipients, _ in office.server.mails] == [["operators@example.org"]]
    (shown,) = office.database.call(stuck_mails, office.now - 24 * HOUR, 10)
    assert shown.outcome == "sent"
    assert "not for gone@example.org: 550 gone" in str(shown.failure)


@pytest.mark.parametrize(
    "folder",
    [
        "x\r\nBcc: evil@example.org\r\n\r\nhello",
        "<img src=x onerror=alert(1)>",
        "\u202egnp.exe\u202c \u05d0\u05d1",
        "é" * 100,
        "=?utf-8?q?Bcc?= \u2028 a {{ 7 * 7 }} %s {0}",
        "of.somebody.else@example.org",
        "=?utf-8?q?x=0d=0aBcc=3a_evil=40example.org=0d=0a=0d=0ahello?=",
        "=?utf-8?q?=e2=80=aegnp_somebody.else=40example.org?=",
    ],
)
def test_a_folders_name_does_no_harm(office: PostOffice, folder: str) -> None:
    jane = office.user(JANE, "refused")
    bad = ERROR.model_copy(update={"path": f"{folder}/index.yaml", "field": folder})
    office.import_folder(jane, folder, State.REFUSED, bad)
    office.tick(), office.tick(HOUR)
    ((recipients, mail),) = office.server.mails
    assert recipients == [JANE]
    assert set(mail.keys()) == {
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "MIME-Version"),
        *("Content-Language", "Reply-To", "List-Unsubscribe", "Content-Type"),
    }
    text, page = text_of(mail), text_of(mail, "html")
    assert "<img" not in page
    assert "src=" not in page.replace("src=x", "")
    assert not {"\u202e", "\u2028"} & {*text, *page, *str(mail["Subject"])}
    assert "else@example.org" not in text + page + str(mail["Subject"])
    assert "Bcc: evil@example.org" not in text.splitlines()
    assert len(str(mail["Subject"])) < 120


@pytest.mark.parametrize(
    "email", ["jane(doe)@example.org", "jane:doe@example.org", "\u202ejane@example.org", "=?utf-8?q?a?=@example.org"]
)
def test_an_address_that_may_be_understood_as_another_is_not_written_to(office: PostOffice, email: str) -> None:
    jane = office.user(email, "refused")
    office.import_folder(jane, "canola", State.REFUSED, ERROR)
    office.tick(), office.tick(HOUR)
    assert office.server.mails == []
    with office.database.reading() as connection:
        (kept,) = mails_of(connection, jane.id)
    assert "is no address that mails are sent to" in kept.state


# What servers do


def test_an_unknown_recipient_is_not_tried_again_and_is_shown(office: PostOffice) -> None:
    jane = office.user(JANE, "refused")
    office.import_folder(jane, "canola", State.REFUSED, ERROR)
    office.tick()
    office.server.rcpt = ["550 5.1.1 no such user"]
    assert office.tick(HOUR).failed == 1
    assert office.tick(DAY).sent == 0
    with office.database.reading() as connection:
        (kept,) = mails_of(connection, jane.id)
    assert kept.state == f"given up on 2026-11-29 15:00: {JANE}: 550 5.1.1 no such user"


def test_a_server_that_takes_nothing_for_a_day_loses_nothing(office: PostOffice) -> None:
    jane = office.user(JANE, "refused", "failed")
    office.import_folder(jane, "canola", State.REFUSED, ERROR)
    office.import_folder(jane, "mustard", State.FAILED, attempts=3)
    office.tick()
    office.settings = office.settings.model_copy(update={"smtp_url": SecretStr("smtp://127.0.0.1:1")})
    tried = 0
    for _ in range(12):
        done = office.tick(2 * HOUR)
        assert done.sent == 0
        assert done.trouble is None or "127.0.0.1:1" in done.trouble
        tried += done.later
    assert 5 < tried < 15  # it backs off
    office.settings = office.settings.model_copy(update={"smtp_url": SecretStr(office.server.url)})
    office.tick(4 * HOUR)
    assert sorted(subjects(office.mails_to(JANE))) == ["Not accepted: canola", "Not imported yet: mustard"]


def test_a_mail_that_cannot_be_written_keeps_no_other_from_leaving(office: PostOffice) -> None:
    for name in ("jane", "jill"):
        office.import_folder(office.user(f"{name}@example.org", "refused"), "canola", State.REFUSED, ERROR)
    office.tick()
    with office.database.connection() as connection:
        connection.execute(
            "update upload set receipt = jsonb_set(receipt, '{report,groups,0}', '{\"code\": \"unregistered-seed\"}')"
            " where owner_id = (select id from users where email = 'jane@example.org')"
        )
    done = office.tick(HOUR)
    assert (done.sent, done.failed) == (1, 1)
    assert office.query("select failure from mail where outcome = 'failed'") == [
        {"failure": "it could not be written (ValidationError)"}
    ]


def test_mails_of_a_kind_leave_in_their_order(office: PostOffice) -> None:
    jane = office.user(JANE, "refused")
    office.import_folder(jane, "canola", State.REFUSED, ERROR)
    office.tick()
    for _ in range(5):
        office.server.data = ["451 4.3.0 try later"]
        office.tick(HOUR)
    office.import_folder(jane, "mustard", State.REFUSED, ERROR)
    office.tick()
    assert office.tick(10 * MINUTE).sent == 0
    assert office.tick(4 * HOUR).sent == 2
    assert subjects(office.mails_to(JANE)) == ["Not accepted: canola", "Not accepted: mustard"]


def test_what_a_mail_is_still_to_tell_is_not_cleared(office: PostOffice) -> None:
    jane = office.user(JANE, "refused")
    office.import_folder(jane, "told", State.REFUSED, ERROR)
    office.tick(), office.tick(HOUR)
    office.import_folder(jane, "canola", State.REFUSED, ERROR)
    office.tick()
    assert office.database.call(delete_old_events, datetime.now(UTC) + DAY, 100) > 0
    assert office.tick(HOUR).sent == 1
    assert subjects(office.mails_to(JANE)) == ["Not accepted: told", "Not accepted: canola"]


def test_a_mail_that_waits_since_mail_was_switched_off_keeps_the_outbox_no_longer(office: PostOffice) -> None:
    jane = office.user(JANE, "refused")
    office.import_folder(jane, "canola", State.REFUSED, ERROR)
    office.tick()
    assert office.database.call(delete_old_events, office.now + 29 * DAY, 100) == 3
    assert office.database.call(delete_old_events, office.now + 31 * DAY, 100) > 0
    assert office.tick(HOUR).sent == 0
    assert office.outcomes() == [("refused", "unneeded")]


def test_after_three_days_a_mail_is_given_up(office: PostOffice) -> None:
    jane = office.user(JANE, "refused")
    office.import_folder(jane, "canola", State.REFUSED, ERROR)
    office.tick()
    for _ in range(20):
        office.server.data = ["451 4.3.0 try later"]
        office.tick(4 * HOUR)
    office.server.data = []
    assert office.tick(DAY).sent == 0
    assert office.outcomes() == [("refused", "failed")]


def test_a_server_that_never_answers_holds_up_no_tick(office: PostOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "SEND_SECONDS", 0.5)
    for number in range(20):
        office.import_folder(office.user(f"user{number}@example.org", "refused"), "canola", State.REFUSED, ERROR)
    office.tick()
    with silent_server(b"220 here\r\n") as url:
        office.settings = office.settings.model_copy(update={"smtp_url": SecretStr(url)})
        begun = time.monotonic()
        done = office.tick(HOUR)
        assert (done.sent, done.later) == (0, 1)
        assert "no answer within 0.5 s" in (done.trouble or "")
        assert time.monotonic() - begun < 20 * 0.5  # it is not asked twenty times
    office.settings = office.settings.model_copy(update={"smtp_url": SecretStr(office.server.url)})
    assert office.tick(HOUR).sent == 20


def test_of_two_ticks_at_a_time_each_sends_other_mails(office: PostOffice) -> None:
    for number in range(10):
        office.import_folder(office.user(f"user{number}@example.org", "refused"), "canola", State.REFUSED, ERROR)
    office.tick()
    office.now += HOUR
    threads = [threading.Thread(target=office.tick) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(office.server.mails) == 10
    assert len({mail["Message-ID"] for _, mail in office.server.mails}) == 10


def test_nobody_is_told_what_happened_while_mail_was_off(office: PostOffice) -> None:
    jane = office.user(JANE, "refused")
    office.import_folder(jane, "old", State.REFUSED, ERROR)
    office.tick(timedelta(days=4)), office.tick(HOUR)
    office.import_folder(jane, "new", State.REFUSED, ERROR)
    office.tick(), office.tick(HOUR)
    assert subjects(office.mails_to(JANE)) == ["Not accepted: new"]


# The digest


def test_a_days_imports_with_warnings_are_one_mail_in_the_morning(office: PostOffice) -> None:
    jane = office.user(JANE, "imported")
    office.import_folder(jane, "clean", State.IMPORTED)
    office.import_folder(jane, "warned", State.IMPORTED, WARNING)
    office.tick(HOUR)
    office.import_folder(jane, "counted", State.IMPORTED)
    office.cut_out_seeds(jane, "counted", WARNING)
    office.cut_out_seeds(jane, "clean")
    office.tick(HOUR)
    assert office.server.mails == []
    office.tick(DAY)
    (mail,) = office.mails_to(JANE)
    assert mail["Subject"] == "2 imported folders are worth a look"
    assert "* clean" not in text_of(mail)
    assert text_of(mail).count("WARNING: Another number of seeds") == 2


def test_mail_is_off_without_a_setting() -> None:
    assert not MailSettings().on


# Killed

_SENT_AND_STUCK = """
import os, sys, time
from datetime import datetime
from pydantic import SecretStr
from nachet_pipeline.database.connection import Database
from nachet_pipeline.mail import sending
from nachet_pipeline.settings import MailSettings

def stuck(*_):
    print("sent", flush=True)
    time.sleep(600)

sending.end_mail = stuck
settings = MailSettings(smtp_url=SecretStr(sys.argv[2]), mail_from="nachet@example.org")
with Database(SecretStr(sys.argv[1])) as database:
    sending.deliver(database, settings, clock=lambda: datetime.fromisoformat(sys.argv[3]))
"""


def test_who_is_killed_between_sending_and_recording_has_it_sent_again_as_the_same(
    office: PostOffice, services: Services
) -> None:
    jane = office.user(JANE, "refused")
    office.import_folder(jane, "canola", State.REFUSED, ERROR)
    office.tick()
    office.now += HOUR
    name = office.query("select current_database() as name")[0]["name"]
    url = f"{services.database_url.rpartition('/')[0]}/{name}"
    command = [sys.executable, "-c", _SENT_AND_STUCK, url, office.server.url, office.now.isoformat()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "sent\n"
        # What happens meanwhile is told by another mail, because this one may have been read already.
        office.import_folder(jane, "mustard", State.REFUSED, ERROR)
        assert office.tick().sent == 0
        process.send_signal(signal.SIGKILL)
    assert office.tick(2 * MINUTE).sent == 1
    office.tick(HOUR), office.tick(HOUR)
    first, second, third = (mail for _, mail in office.server.mails)
    assert first["Message-ID"] == second["Message-ID"] != third["Message-ID"]
    assert subjects([first, second, third]) == ["Not accepted: canola"] * 2 + ["Not accepted: mustard"]
