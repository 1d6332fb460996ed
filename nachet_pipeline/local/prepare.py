"""Making the embedded services ready for use."""

from pydantic import SecretStr

from nachet_pipeline.database.upgrade import upgrade
from nachet_pipeline.local.services import Services


def prepare(services: Services) -> None:
    """Bring the database up to this version of the package.

    Raises:
        DatabaseError: the database does not answer, or refuses.
    """
    upgrade(SecretStr(services.database_url))
