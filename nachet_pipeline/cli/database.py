"""`nachet db`: the database's tables and logins."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nachet_pipeline.cli.terminal import note, write
from nachet_pipeline.settings import Settings, SettingsError

if TYPE_CHECKING:
    from pydantic import SecretStr

app = typer.Typer(no_args_is_help=True, help="The database's tables.")


@app.command()
def upgrade() -> None:
    """Bring the database's tables up to this version of the package, and the species in it up to their files."""
    from nachet_pipeline.registry.upgrade import upgrade as upgrade_database

    with _owner_url() as owner:
        changed = upgrade_database(owner, Settings.from_environment().species.species_file)
    note(f"the tables are up to date; {changed} seeds changed")


@app.command()
def login(
    name: Annotated[str, typer.Argument(help="Name of the login.")],
    role: Annotated[Literal["importer", "reader"], typer.Option("--role", help="What it is for.")],
    by: Annotated[str, typer.Option("--by", help="Who wants it, for the audit trail.")],
) -> None:
    """Make a login of PostgreSQL that may do what its role may, in this database alone; prints its address once.

    One that is there gets a new password, and the old one opens nothing any more. The first importer of a database
    takes over Dagster's tables: stop Dagster before, and start it with the new address.
    """
    from nachet_pipeline.database.connection import Database
    from nachet_pipeline.database.logins import Role, address_of, hand_over_dagster, make_login, new_password

    if not by.strip():
        raise typer.BadParameter("somebody must want it", param_hint="--by")
    with _owner_url() as owner:
        password = new_password()
        with Database(owner) as database, database.connection() as connection:
            new = make_login(connection, name, Role(role), password, by=by)
            moved = hand_over_dagster(connection) if role == "importer" else 0
    if moved:
        note(f"{moved} tables of Dagster belong to the importers now; start Dagster with this address")
    note(f"{name}: {'a new login' if new else 'a new password'}; its address is shown this once")
    write(address_of(owner, name, password).get_secret_value())


@contextmanager
def _owner_url() -> "Iterator[SecretStr]":
    """Address of the database for the login that owns its tables."""
    from nachet_pipeline.local.embedded import with_services

    with with_services(Settings.from_environment()) as settings:
        owner = settings.database_owner_url or settings.database_url
        if owner is None:
            raise SettingsError("NACHET_DATABASE_URL: is not set")
        yield owner
