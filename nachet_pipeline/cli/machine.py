"""`nachet up` and `nachet down`: the pipeline of this machine."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

from typing import Annotated

import typer

from nachet_pipeline.cli.terminal import note, read_settings, write
from nachet_pipeline.settings import ENV_FILE, Settings, SettingsError

app = typer.Typer()


@app.command()
def up(
    *,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay here until Ctrl-C instead of going to the background.")
    ] = False,
    env: Annotated[
        bool,
        typer.Option(
            "--env",
            help="Write where everything is to the file .env of this folder, for Dagster's own commands and for"
            " programs. It holds secrets, and only you can read it.",
        ),
    ] = False,
) -> None:
    """Start this machine's PostgreSQL, Azurite, Dagster UI and daemon, or find them running.

    The Dagster instance is the one that DAGSTER_HOME names, else one in NACHET_HOME.
    """
    if env and foreground:
        raise typer.BadParameter("expected one of --env and --foreground")
    from nachet_pipeline.defs.instance import dagster_home
    from nachet_pipeline.local.embedded import meant, require_extra

    settings = read_settings()
    if not meant(settings):
        perhaps = f", perhaps in the file {ENV_FILE}" if ENV_FILE.is_file() else ""
        raise SettingsError(
            f"NACHET_DATABASE_URL: is set{perhaps}; `nachet up` brings services of its own, so unset it, or start"
            " `dagster dev`"
        )
    require_extra()
    from nachet_pipeline.local.env_file import require_no_other, write_env_file
    from nachet_pipeline.local.supervisor import up as start

    if env:
        require_no_other(ENV_FILE)
    instance = dagster_home(settings.home)
    found = start(settings.home, instance=instance, foreground=foreground)
    if env:
        write_env_file(ENV_FILE, settings.home, instance)
    if not foreground:
        write(found.url)


@app.command()
def down() -> None:
    """Stop what `nachet up` started; everything is kept for the next time."""
    from nachet_pipeline.local.embedded import require_extra

    require_extra()
    from nachet_pipeline.local.supervisor import down as stop

    note("stopped" if stop(Settings.from_environment().home) else "nothing was running")
