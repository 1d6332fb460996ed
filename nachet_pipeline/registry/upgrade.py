"""Bringing a database up to this version of the package: its tables, and the species registry in it."""

from pydantic import SecretStr

from nachet_pipeline.database.connection import Database, migrate
from nachet_pipeline.registry.queries import load_seeds
from nachet_pipeline.registry.seeds import packaged_seeds


def upgrade(url: SecretStr) -> int:
    """Upgrade a database; one that is up to date stays as it is.

    Returns:
        How many seeds were added, changed, merged or retired.

    Raises:
        DatabaseError: the database does not answer, or refuses.
        RegistryConflictError: pictures refer to a seed that the registry has no more; no seed was changed.
    """
    migrate(url)
    with Database(url) as database, database.connection() as connection:
        return load_seeds(connection, packaged_seeds()).total
