"""`nachet user` and `nachet mail`, as people type them, and what the sensor and the page on health make of it."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from dagster import SkipReason, build_sensor_context

from nachet_pipeline.defs.maintenance.sensors import send_mail
from nachet_pipeline.defs.resources import DatabaseResource
from nachet_pipeline.settings import MailSettings
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.mail.servers import Mailbox, smtp_server
from nachet_pipeline_tests.users.keys import SECRET_KEY
from nachet_pipeline_tests.workbench import Workbench


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with smtp_server() as server:
        monkeypatch.setenv("NACHET_SMTP_URL", server.url)
        monkeypatch.setenv("NACHET_MAIL_FROM", "nachet@example.org")
        monkeypatch.setenv("NACHET_SECRET_KEYS", SECRET_KEY.get_secret_value())
        yield server


def test_who_is_told_what_is_set_shown_and_audited(
    nachet: Nachet, workbench: Workbench, server: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = f"new.{workbench.user.email}"
    assert nachet("user", "add", email, "--by", "ada", "--language", "fr", "--notify", "refused,key").code == 0
    shown = nachet("user", "show", email).out
    assert "language          fr\nnotify            refused,key\n" in shown
    assert nachet("user", "notify", email, "--notify", "none", "--by", "ada").out == f"{email}: fr, notify none\n"
    assert nachet("user", "notify", email, "--notify", "none").out == f"{email}: fr, notify none, as before\n"
    wrong = nachet("user", "notify", email, "--notify", "everything")
    assert (wrong.code, "expected all, none, or some of refused" in wrong.err.replace("\n", " ")) == (2, True)
    assert nachet("user", "notify", email).code == 2
    changes = workbench.query(
        "select actor, after -> 'notify' as notify from audit_trail where subject_id ="
        " (select id from users where email = %s) and after ? 'notify' and action = 'changed' order by id",
        email,
    )
    assert [(one["actor"], one["notify"]) for one in changes] == [("ada", ["refused", "key"]), ("ada", [])]

    monkeypatch.setenv("NACHET_NOTIFY", "failed")
    listed = {one["email"]: one for one in json.loads(nachet("user", "list", "--json").out)}
    assert [listed[one]["notify"] for one in (email, workbench.user.email)] == [[], ["failed"]]
    assert "notify            failed (NACHET_NOTIFY)" in nachet("user", "show", workbench.user.email).out


def test_a_mail_that_came_back_is_shown_with_its_user(nachet: Nachet, workbench: Workbench) -> None:
    workbench.query(
        "insert into mail (id, user_id, kind, first, last, created_at, due_at, attempts, failure, outcome, ended_at)"
        " select gen_random_uuid(), %s, 'refused', 1, 1, at, at, 1, '550 no such user', 'failed', at"
        " from (values ('2026-11-29 14:05Z'::timestamptz)) as moment (at)",
        workbench.user.id,
    )
    shown = nachet("user", "show", workbench.user.email).out
    assert "refused  given up on 2026-11-29 " in shown
    assert ": 550 no such user" in shown
    (mail,) = json.loads(nachet("user", "show", workbench.user.email, "--json").out)["mails"]
    assert "550 no such user" in mail["state"]
    assert "mail_sent" in nachet("health").out


def test_a_test_mail_says_what_the_server_said(nachet: Nachet, server: Mailbox) -> None:
    done = nachet("mail", "test", "ada@example.org", "--language", "fr")
    assert (done.code, "took it" in done.out) == (0, True)
    assert server.subjects == ["Un essai de nachet"]
    server.rcpt = ["550 5.1.1 no such user"]
    refused = nachet("mail", "test", "ada@example.org")
    assert (refused.code, refused.err) == (1, "nachet: ada@example.org: 550 5.1.1 no such user\n")
    assert nachet("mail", "test", "nobody").code == 2


def test_a_test_mail_without_a_server_says_what_to_set(nachet: Nachet) -> None:
    done = nachet("mail", "test", "ada@example.org")
    assert (done.code, done.err.startswith("nachet: NACHET_SMTP_URL: is not set")) == (2, True)


def test_the_sensor_makes_mails_of_what_happened_and_does_nothing_where_mail_is_off(
    workbench: Workbench, server: Mailbox
) -> None:
    def tick(settings: MailSettings) -> str:
        database = DatabaseResource(url=workbench.database_url.get_secret_value())
        with build_sensor_context(resources={"database": database, "mail_settings": settings}) as context:
            skipped = send_mail(context)
        assert isinstance(skipped, SkipReason)
        return str(skipped.skip_message)

    assert tick(MailSettings()) == "NACHET_SMTP_URL is not set, so no mail is sent."
    on = MailSettings.model_validate({"smtp_url": server.url, "mail_from": "nachet@example.org", "notify": "refused"})
    assert tick(on) == "0 mails sent, 0 given up, 0 tried again later."
    workbench.query(
        "insert into event (type, subject, owner_id, data) values ('upload.refused', 'an upload', %s, '{}')",
        workbench.user.id,
    )
    tick(on)
    (mail,) = workbench.query("select kind, outcome, due_at - created_at as waits from mail")
    assert mail == {"kind": "refused", "outcome": None, "waits": timedelta(minutes=5)}
