"""`nachet webhook`: programs that are told of events."""

# ruff: noqa: PLC0415 (imports inside commands, so that help answers at once)

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nachet_pipeline.cli.terminal import UNAVAILABLE, DoneByOption, JsonOption, note, open_services, write, write_json

if TYPE_CHECKING:
    from pydantic import SecretStr

    from nachet_pipeline.webhooks.subscribing import Webhooks
    from nachet_pipeline.webhooks.webhook import Webhook

app = typer.Typer(no_args_is_help=True, help="Webhooks: programs that are told of events.")

WebhookArgument = Annotated[str, typer.Argument(help="The webhook's id, or how it begins.", metavar="WEBHOOK")]
SecretOption = Annotated[
    Path | None,
    typer.Option(
        "--secret-file",
        help="File with the secret, whsec_… in base64; - reads it from the standard input. Without it a new one is made"
        " and printed once.",
        allow_dash=True,
        show_default=False,
    ),
]


@contextmanager
def _webhooks(*, start: bool = False) -> Iterator["Webhooks"]:
    from nachet_pipeline.webhooks.sending import Sender
    from nachet_pipeline.webhooks.subscribing import Webhooks

    with open_services(start=start) as opened:
        settings = opened.settings
        sender = Sender(settings.webhook.webhook_private_addresses)
        yield Webhooks(opened.database, settings.secret_keys, sender, opened.blobs.account_url)


def _secret(file: Path | None) -> "SecretStr | None":
    from nachet_pipeline.webhooks.webhook import WebhookError, given_secret

    if file is None:
        return None
    try:
        return given_secret(typer.get_text_stream("stdin").read() if file == Path("-") else file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise WebhookError(f"--secret-file: {file} cannot be read: {reason}") from None


def _show_secret(secret: "SecretStr", given: Path | None) -> None:
    if given is None:
        note("The secret that signs its messages. It is not shown again:")
        write(secret.get_secret_value())


@app.command("add")
def add(
    url: Annotated[str, typer.Argument(help="https address; - reads one line from the standard input.")],
    events: Annotated[str, typer.Option("--events", help="Types of events, such as 'upload.*,crops.done'.")],
    secret_file: SecretOption = None,
    by: DoneByOption = "",
    *,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Tell it all events that are kept, not only those from now on.")
    ] = False,
) -> None:
    """Let a program be told of events; prints the webhook's id, and its secret if that is a new one."""
    from pydantic import SecretStr

    from nachet_pipeline.webhooks.webhook import event_types

    types = event_types(events)
    given = typer.get_text_stream("stdin").readline().strip() if url == "-" else url
    with _webhooks(start=True) as webhooks:
        webhook, secret = webhooks.add(
            SecretStr(given), types, _secret(secret_file), by=by, from_beginning=from_beginning
        )
    write(str(webhook.id))
    _show_secret(secret, secret_file)


@app.command("list")
def list_(*, as_json: JsonOption = False) -> None:
    """List the webhooks: where they lead, what they are told, how they are. No path of an address is shown."""
    from dataclasses import asdict

    with _webhooks() as webhooks:
        found = webhooks.all()
    if as_json:
        write_json([{**asdict(one), "state": one.state} for one in found])
        return
    for one in found:
        write(
            f"{one.id}  {one.place}  {','.join(one.types)}  {one.state}  {one.waiting} waiting  {one.dead} dead"
            + (f"  {one.paused_because}" if one.paused_because else "")
            + (f"  {one.last_error}" if one.last_error else "")
        )


@app.command("pause")
def pause(webhook: WebhookArgument, by: DoneByOption = "") -> None:
    """Tell a webhook nothing until it is resumed; what happens meanwhile is kept as long as other events."""
    with _webhooks() as webhooks:
        found, changed = webhooks.pause(webhook, by=by)
    _report(found, "paused", changed)


@app.command("resume")
def resume(webhook: WebhookArgument, by: DoneByOption = "") -> None:
    """Tell a webhook again, beginning with what it was not told."""
    with _webhooks() as webhooks:
        found, changed = webhooks.resume(webhook, by=by)
    _report(found, "resumed", changed)


@app.command("remove")
def remove(webhook: WebhookArgument, by: DoneByOption = "") -> None:
    """Remove a webhook, and what it was still to be told."""
    with _webhooks() as webhooks:
        found, _ = webhooks.remove(webhook, by=by)
    _report(found, "removed")


@app.command("retry")
def retry(webhook: WebhookArgument, by: DoneByOption = "") -> None:
    """Try again to tell a webhook what was given up after three days."""
    with _webhooks() as webhooks:
        found, number = webhooks.retry(webhook, by=by)
    _report(found, f"{number} events are tried again")


@app.command("rotate-secret")
def rotate_secret(
    webhook: WebhookArgument,
    secret_file: SecretOption = None,
    by: DoneByOption = "",
    *,
    at_once: Annotated[bool, typer.Option("--at-once", help="Do not sign with the former secret any more.")] = False,
) -> None:
    """Sign with another secret, and for a day with the former one as well, so that no message is refused."""
    with _webhooks() as webhooks:
        found, secret = webhooks.rotate_secret(webhook, _secret(secret_file), by=by, at_once=at_once)
    note(f"{found.name}: signed with another secret")
    _show_secret(secret, secret_file)


@app.command("ping")
def ping(webhook: WebhookArgument) -> None:
    """Send a test event, nachet.ping, and say what the receiver answers; exit code 3 if it does not accept it."""
    with _webhooks() as webhooks:
        found, answer = webhooks.ping(webhook)
    write(f"{found.name}: {answer.error or f'it answers {answer.status}'}, after {answer.seconds:.2f} s")
    if answer.error:
        raise typer.Exit(UNAVAILABLE)


def _report(webhook: "Webhook", what: str, changed: int = 1) -> None:
    write(f"{webhook.name}: {what}{'' if changed else ', as before'}")
