"""Making the embedded services ready for use."""

from pydantic import SecretStr

from nachet_pipeline.database.connection import Database
from nachet_pipeline.database.logins import Role, hand_over_dagster, make_login
from nachet_pipeline.local.services import IMPORTER, READER, Services
from nachet_pipeline.registry.upgrade import upgrade

_ACTOR = "nachet on this machine"


def prepare(services: Services) -> None:
    """Bring the database up to this version of the package, and make the logins that the pipeline works with.

    Raises:
        DatabaseError: the database does not answer, or refuses.
    """
    owner = SecretStr(services.database_url)
    upgrade(owner)
    with Database(owner) as database, database.connection() as connection:
        for name, role in ((IMPORTER, Role.IMPORTER), (READER, Role.READER)):
            make_login(connection, name, role, services.password_of(name), by=_ACTOR, renew=False)
        hand_over_dagster(connection)
