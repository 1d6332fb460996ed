"""Mails reach real servers, encrypted and with a password, and what a server answers is understood."""

import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from azure.core.credentials import AccessToken
from pydantic import SecretStr

from nachet_pipeline.mail import transports
from nachet_pipeline.mail.errors import MailRefusedError, TransportError
from nachet_pipeline.mail.letters import as_message, trial_letter
from nachet_pipeline.mail.transports import open_transport
from nachet_pipeline.settings import MailSettings
from nachet_pipeline_tests.certificates import certificate_of_a_server
from nachet_pipeline_tests.mail.servers import (
    PASSWORD,
    TOKEN,
    Mailbox,
    Service,
    communication_services,
    silent_server,
    smtp_server,
)

TO = "jane.doe@example.org"
_MAIL = UUID(int=7)


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A server that wants STARTTLS and a password, whose certificate this machine trusts."""
    file, tls = certificate_of_a_server(tmp_path, "localhost", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with smtp_server(tls) as server:
        yield server


def by(url: str, **more: str) -> MailSettings:
    return MailSettings.model_validate({"smtp_url": url, "mail_from": "Nachet <nachet@example.org>", **more})


def mail(*to: str) -> EmailMessage:
    return as_message(
        trial_letter("en"),
        identifier=_MAIL,
        sender="Nachet <nachet@example.org>",
        to=to or (TO,),
        at=datetime(2026, 11, 29, tzinfo=UTC),
    )


def sent(settings: MailSettings, message: EmailMessage | None = None) -> str:
    with open_transport(settings) as transport:
        return transport.send(message or mail(), uuid4())


def test_a_mail_arrives_encrypted_after_a_password_was_given(ours: Mailbox) -> None:
    assert "took it" in sent(by(ours.url, smtp_starttls="required"))
    ((recipients, message),) = ours.mails
    assert ours.encrypted
    assert recipients == [TO]
    assert message["From"] == "Nachet <nachet@example.org>"
    assert message["Message-ID"] == f"<{_MAIL}@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_several_mails_go_by_one_connection_even_if_one_is_refused(ours: Mailbox) -> None:
    ours.rcpt = ["250 OK", "550 5.1.1 no such user", "250 OK"]
    with open_transport(by(ours.url, smtp_starttls="required")) as transport:
        transport.send(mail(), _MAIL)
        with pytest.raises(MailRefusedError, match=r"jane\.doe@example\.org: 550 5\.1\.1 no such user") as refused:
            transport.send(mail(), _MAIL)
        transport.send(mail(), _MAIL)
    assert refused.value.permanent
    assert len(ours.mails) == 2


@pytest.mark.parametrize("answer", ["250 taken", "421 4.7.0 enough for now"])
def test_a_server_that_ends_the_connection_after_a_mail_gets_the_next_by_another(answer: str) -> None:
    with smtp_server() as server, open_transport(by(server.url)) as transport:
        server.hangs_up, server.data = True, [answer]
        with suppress(MailRefusedError):
            transport.send(mail(), _MAIL)
        time.sleep(0.2)
        transport.send(mail(), _MAIL)
    assert len(server.mails) == 1 + answer.startswith("250")


def test_a_server_that_looks_at_a_mail_for_longer_than_it_takes_to_connect_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transports, "CONNECT_SECONDS", 0.5)
    with smtp_server() as server:
        server.slow = 1.0
        assert "took it" in sent(by(server.url))


@pytest.mark.parametrize(
    ("rcpt", "data", "permanent"),
    [
        (["450 4.2.1 try later", "450 4.2.1 try later"], [], False),
        ([], ["451 4.3.0 greylisted"], False),
        ([], ["554 5.7.1 looks like spam"], True),
        (["550 gone", "451 later"], [], False),
    ],
)
def test_what_a_server_refuses_now_is_told_from_what_it_refuses_for_good(
    rcpt: list[str], data: list[str], permanent: bool
) -> None:
    with smtp_server() as server:
        server.rcpt, server.data = rcpt, data
        with pytest.raises(MailRefusedError) as refused:
            sent(by(server.url), mail(TO, "other@example.org"))
    assert refused.value.permanent is permanent
    assert "\n" not in str(refused.value)


def test_of_two_recipients_one_may_be_refused() -> None:
    with smtp_server() as server:
        server.rcpt = ["550 gone"]
        said = sent(by(server.url), mail("gone@example.org", TO))
    assert "took it, but not for gone@example.org: 550 gone" in said
    assert [recipients for recipients, _ in server.mails] == [[TO]]


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(ours: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(TransportError, match="CERTIFICATE_VERIFY_FAILED"):
        sent(by(ours.url, smtp_starttls="required"))
    assert ours.mails == []


def test_where_encryption_is_required_nothing_is_sent_without(tmp_path: Path) -> None:
    with smtp_server() as server, pytest.raises(TransportError, match="STARTTLS extension not supported"):
        sent(by(server.url, smtp_starttls="required"))
    assert server.mails == []


def test_a_wrong_password_is_told_without_showing_it(ours: Mailbox) -> None:
    wrong = ours.url.replace(PASSWORD, "wrong-s3cret")
    with pytest.raises(TransportError, match=r"the mail server localhost:\d+ answers 535") as failed:
        sent(by(wrong, smtp_starttls="required"))
    shown = "".join(traceback.format_exception(failed.value)) + repr(by(wrong))
    assert "wrong-s3cret" not in shown
    assert failed.value.__context__ is None


@pytest.mark.parametrize("greeting", [b"", b"220 here\r\n"], ids=["no greeting", "no answer"])
def test_a_server_that_never_ends_its_answer_is_cut_off(greeting: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(transports, "SEND_SECONDS", 0.5)
    with silent_server(greeting) as url, pytest.raises(TransportError, match=r"no answer within 0\.5 s"):
        sent(by(url))


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(TransportError, match=r"the mail server 127\.0\.0\.1:1: .*refused"):
        sent(by("smtp://127.0.0.1:1"))


# Azure Communication Services


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    file, tls = certificate_of_a_server(tmp_path, "localhost", "127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    with communication_services(tls) as found:
        yield found


def acs(service: Service) -> MailSettings:
    return MailSettings(
        acs_connection_string=SecretStr(service.connection_string), mail_from="Nachet <nachet@example.org>"
    )


def test_azure_takes_a_mail_once_however_often_it_is_sent(service: Service) -> None:
    with open_transport(acs(service)) as transport:
        assert transport.send(mail(), _MAIL) == "Azure Communication Services took it: Succeeded"
        service.answers = [409]
        assert transport.send(mail(), _MAIL) == "Azure Communication Services took it before"
    assert list(service.sent) == [str(_MAIL)]
    record = service.sent[str(_MAIL)]
    assert record["senderAddress"] == "nachet@example.org"
    assert record["recipients"] == {"to": [{"address": TO}]}
    assert record["content"]["subject"] == "A test of nachet"
    assert "Mails of the pipeline arrive here." in record["content"]["plainText"]
    assert record["content"]["html"].startswith("<!DOCTYPE html>")
    assert record["headers"]["Auto-Submitted"] == "auto-generated"
    assert record["userEngagementTrackingDisabled"] is True


def test_what_azure_refuses_is_told_from_what_it_cannot_do_now(service: Service) -> None:
    with open_transport(acs(service)) as transport:
        service.answers = [400, 429, 503]
        with pytest.raises(MailRefusedError, match=r"400 .*no such recipient") as refused:
            transport.send(mail(), _MAIL)
        assert refused.value.permanent
        for status in (429, 503):
            with pytest.raises(TransportError, match=f"Azure Communication Services answers {status}"):
                transport.send(mail(), _MAIL)
        service.outcome = "Failed"
        with pytest.raises(MailRefusedError, match="suppressed"):
            transport.send(mail(), _MAIL)


def test_without_a_key_the_machines_identity_is_used(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    class Identity:
        def get_token(self, *scopes: str, **_: object) -> AccessToken:
            assert scopes == ("https://communication.azure.com//.default",)
            return AccessToken(TOKEN, int(time.time()) + 3600)

    monkeypatch.setattr("azure.identity.DefaultAzureCredential", Identity)
    sent(MailSettings(acs_endpoint=service.url, mail_from="nachet@example.org"))
    assert len(service.sent) == 1


def test_a_wrong_key_of_azure_is_told_without_showing_it(service: Service) -> None:
    settings = acs(service)
    service.key = b"another key"
    with open_transport(settings) as transport, pytest.raises(TransportError, match="answers 401") as failed:
        transport.send(mail(), _MAIL)
    secret = settings.acs_connection_string
    assert secret is not None
    key = secret.get_secret_value().partition("accesskey=")[2]
    assert key not in "".join(traceback.format_exception(failed.value)) + repr(settings)
