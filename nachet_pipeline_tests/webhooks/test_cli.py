"""`nachet webhook`, as operators type it, and the sensor that delivers."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import SkipReason, build_sensor_context

from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.deployment import Deployment
from nachet_pipeline_tests.users.keys import SECRET_KEY
from nachet_pipeline_tests.webhooks.receivers import Receiver, receiver
from nachet_pipeline_tests.workbench import Workbench, settings_with


@pytest.fixture
def to() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def webhook(nachet: Nachet, monkeypatch: pytest.MonkeyPatch) -> Nachet:
    monkeypatch.setenv("NACHET_SECRET_KEYS", SECRET_KEY.get_secret_value())
    monkeypatch.setenv("NACHET_WEBHOOK_PRIVATE_ADDRESSES", "true")
    return lambda *arguments: nachet("webhook", *arguments)


def test_a_webhook_from_its_first_day_to_its_last(
    webhook: Nachet, nachet: Nachet, to: Receiver, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, place = f"{to.url}?token=TOKEN", to.url.removesuffix("/hook")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{url}\n"))
    added = webhook("add", "-", "--events", "upload.*,crops.done", "--by", "ada@example.org")
    identifier, secret = added.out.split()
    assert "is not shown again" in added.err
    name = f"{place.removeprefix('http://')} ({identifier[:8]})"
    to.secrets = [secret]

    pinged = webhook("ping", identifier)
    assert (pinged.code, to.told()) == (0, ["ping"])
    assert pinged.out.startswith(f"{name}: it answers 204, after 0.")
    to.answer = lambda _: 500
    assert webhook("ping", identifier).code == 3

    (line,) = webhook("list").out.splitlines()
    assert line == f"{identifier}  {place}  upload.*,crops.done  active  0 waiting  0 dead"
    (record,) = json.loads(webhook("list", "--json").out)
    assert (record["place"], record["state"], record["created_by"]) == (place, "active", "ada@example.org")

    assert webhook("pause", identifier[:8]).out == f"{name}: paused\n"
    assert webhook("pause", identifier[:8]).out == f"{name}: paused, as before\n"
    assert "  paused  0 waiting" in webhook("list").out
    assert webhook("resume", identifier).out == f"{name}: resumed\n"
    assert webhook("retry", identifier).out == f"{name}: 0 events are tried again\n"

    rotated = webhook("rotate-secret", identifier, "--by", "bo@example.org")
    assert rotated.out.strip() != secret
    to.answer = lambda _: 204
    assert webhook("ping", identifier).code == 0  # signed with the former one as well
    to.secrets = [rotated.out.strip()]
    assert webhook("ping", identifier).code == 0
    assert webhook("rotate-secret", identifier, "--at-once").code == 0
    assert webhook("ping", identifier).code == 3

    assert nachet("secrets", "rotate").out == "0 keys encrypted anew\n1 webhook encrypted anew\n"
    assert webhook("remove", identifier).out == f"{name}: removed\n"
    assert webhook("list").out == ""
    trail = workbench.query("select actor, action, after::text from audit_trail where subject = 'webhook' order by id")
    assert [row["action"] for row in trail] == [
        "added",
        "paused",
        "resumed",
        "secret rotated",
        "secret rotated",
        "removed",
    ]
    assert (trail[0]["actor"], trail[3]["actor"]) == ("ada@example.org", "bo@example.org")
    assert "TOKEN" not in str(trail) + line + str(record) + pinged.out


def test_a_secret_of_somebody_elses_comes_from_a_file_or_the_standard_input_and_is_not_shown(
    webhook: Nachet, to: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{to.secrets[0]}\n")
    added = webhook("add", to.url, "--events", "*", "--secret-file", file)
    assert (len(added.out.split()), added.err) == (1, "")
    assert webhook("ping", added.out.strip()).code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(to.secrets[0]))
    assert webhook("rotate-secret", added.out.strip(), "--secret-file", "-").out == ""
    assert webhook("ping", added.out.strip()).code == 0


def test_what_cannot_be_is_refused_in_one_line_without_the_token(
    webhook: Nachet, to: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("TOKEN")
    wrong = {
        ("http://8.8.8.8/?t=TOKEN", "*"): "nachet: 8.8.8.8: 8.8.8.8 is a public address, which takes https",
        ("https://169.254.169.254/?t=TOKEN", "*"): "an address that no webhook may lead to",
        ("https://ada:TOKEN@example.org/", "*"): "without user, password and fragment",
        (to.url, "upload.eaten"): "--events: expected some of upload.staged, ",
        (to.url, "*", "--secret-file", str(tmp_path / "secret")): "24 to 64 bytes in base64",
        (to.url, "*", "--secret-file", str(tmp_path / "none")): "cannot be read: No such file or directory",
    }
    for (url, events, *more), said in wrong.items():
        answer = webhook("add", url, "--events", events, *more)
        assert (answer.code, answer.out) == (2, ""), answer
        (line,) = answer.err.splitlines()
        assert said in line
        assert "TOKEN" not in line
    monkeypatch.delenv("NACHET_WEBHOOK_PRIVATE_ADDRESSES")
    assert "expected https://HOST/PATH" in webhook("add", to.url, "--events", "*").err
    monkeypatch.delenv("NACHET_SECRET_KEYS")
    assert "NACHET_SECRET_KEYS" in webhook("add", "https://8.8.8.8/", "--events", "*").err
    assert webhook("list").out == ""


def test_the_sensor_tells_what_an_import_did(deployment: Deployment, command: Nachet, to: Receiver) -> None:
    sensor = deployment.definitions.get_repository_def().get_sensor_def("deliver_events")

    def tick() -> str:
        private = settings_with(deployment.settings, webhook_private_addresses=True).webhook
        resources = {name: deployment.resources[name] for name in ("database", "blob_storage", "secret_keys")}
        with build_sensor_context(
            instance=deployment.instance, resources={**resources, "webhook_settings": private}
        ) as context:
            result = sensor(context)
        assert isinstance(result, SkipReason)
        return str(result.skip_message)

    assert tick() == "No webhook is to be told anything."
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NACHET_WEBHOOK_PRIVATE_ADDRESSES", "true")
        identifier, to.secrets[0] = command("webhook", "add", to.url, "--events", "upload.*").out.split()
    deployment.run_import(deployment.stage(deployment.sample("told", seed=24)))

    assert tick() == "4 events delivered, 0 attempts failed."
    assert to.told() == ["upload.staged", "upload.queued", "upload.importing", "upload.imported"]
    assert {message.event.get_source() for message in to.accepted} == {deployment.blobs.account_url}
    command("webhook", "remove", identifier)
