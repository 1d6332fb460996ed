"""`nachet up` and `nachet down`: the pipeline of this machine."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

from typing import Annotated

import typer

from nachet_pipeline.cli.terminal import note, read_settings, write
from nachet_pipeline.settings import Settings

app = typer.Typer()


@app.command()
def up(
    *,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay here until Ctrl-C instead of going to the background.")
    ] = False,
) -> None:
    """Start this machine's PostgreSQL, Azurite, Dagster UI and daemon, or find them running."""
    from nachet_pipeline.defs.instance import project_folder
    from nachet_pipeline.local.supervisor import up as start

    running = start(read_settings().home, project=project_folder(), foreground=foreground)
    if not foreground:
        write(running.url)


@app.command()
def down() -> None:
    """Stop what `nachet up` started; everything is kept for the next time."""
    from nachet_pipeline.local.supervisor import down as stop

    note("stopped" if stop(Settings.from_environment().home) else "nothing was running")
