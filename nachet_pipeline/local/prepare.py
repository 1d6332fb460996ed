"""Making the embedded services ready for use: tables and registry."""

from pydantic import SecretStr

from nachet_pipeline.database.connection import Database, migrate
from nachet_pipeline.database.seeds import load_seeds
from nachet_pipeline.local.services import Services
from nachet_pipeline.registry.seeds import packaged_seeds


def prepare(services: Services) -> None:
    """Bring the database's tables and its species registry up to date.

    Raises:
        DatabaseError: the database does not answer, or refuses.
    """
    url = SecretStr(services.database_url)
    migrate(url)
    with Database(url) as database, database.connection() as connection:
        load_seeds(connection, packaged_seeds())
