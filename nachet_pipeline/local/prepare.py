"""Making the embedded services ready for use."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

from nachet_pipeline.database.connection import Database, is_newest, migrate
from nachet_pipeline.database.logins import Role, hand_over_dagster, make_login
from nachet_pipeline.local.services import IMPORTER, READER, Services
from nachet_pipeline.registry.problems import RegistryError
from nachet_pipeline.registry.queries import RegistryConflictError, count_seeds
from nachet_pipeline.registry.upgrade import follow_species
from nachet_pipeline.settings import Settings

_ACTOR = "nachet on this machine"


def prepare(services: Services, species: Sequence[Path] | None = None, *, follow: bool = True) -> None:
    """Bring the database up to this version of the package, and make the logins that the pipeline works with.

    Args:
        services: those of this machine.
        species: the files of species, see `read_species`; those that the setting names, if not given.
        follow: whether a database that has species gets others if the files changed.

    Raises:
        DatabaseError: the database does not answer, or refuses.
        RegistryError: a file of species is wrong, and the database has no species yet.
    """
    owner = SecretStr(services.database_url)
    named = Settings.from_environment().species.species_file if species is None else species
    with Database(owner) as database:
        if not database.call(is_newest):
            migrate(owner)
        with database.connection() as connection:
            # Earlier releases loaded species without recording where they come from.
            empty = count_seeds(connection) == 0
            try:
                if follow or empty:
                    follow_species(connection, named)
            except (RegistryError, RegistryConflictError) as error:
                if empty:
                    raise
                # A mistake in that file must not keep anybody from asking what became of an upload.
                sys.stderr.write(f"nachet: the registered species stay as they were: {error}\n")
            for name, role in ((IMPORTER, Role.IMPORTER), (READER, Role.READER)):
                make_login(connection, name, role, services.password_of(name), by=_ACTOR, renew=False)
            hand_over_dagster(connection)
