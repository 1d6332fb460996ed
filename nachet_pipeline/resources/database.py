"""PostgreSQL as a Dagster resource."""

from dagster import ConfigurableResource
from pydantic import Field, SecretStr

from nachet_pipeline.database.connection import Database


class DatabaseResource(ConfigurableResource[Database]):
    """The database of pictures."""

    url: str = Field(description="postgresql://…, from NACHET_DATABASE_URL")

    def open(self) -> Database:
        """A pool of connections; a context manager."""
        return Database(SecretStr(self.url))
