"""`nachet mail`: what people are told by e-mail."""

# ruff: noqa: PLC0415 (imports inside commands, so that help answers at once)

from typing import Annotated

import typer

from nachet_pipeline.cli.terminal import read_settings, write
from nachet_pipeline.support.i18n import Language

app = typer.Typer(no_args_is_help=True, help="What people are told by e-mail.")


@app.callback()  # or the only command would be the group
def _group() -> None:
    """What people are told by e-mail."""


@app.command("test")
def try_(
    address: Annotated[str, typer.Argument(help="Where to send it.")],
    language: Annotated[Language, typer.Option("--language", help="Its language.")] = "en",
) -> None:
    """Send one mail now, with nothing in it, and print what the server said."""
    from nachet_pipeline.contract.metadata import normalise_email
    from nachet_pipeline.mail.sending import send_test

    try:
        to = normalise_email(address)
    except ValueError as error:
        raise typer.BadParameter(f"{address}: {error}") from None
    write(send_test(read_settings().mail, to, language))
