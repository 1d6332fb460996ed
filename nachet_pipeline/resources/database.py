"""PostgreSQL as a Dagster resource."""

from dagster import ConfigurableResource
from pydantic import Field, SecretStr

from nachet_pipeline.database.connection import Database


class DatabaseResource(ConfigurableResource[Database]):
    """The database of pictures."""

    url: str = Field(description="postgresql://…, from NACHET_DATABASE_URL")
    reader_url: str | None = Field(
        None, description="for what only reads, from NACHET_DATABASE_READER_URL; absent: the same as url"
    )

    def open(self) -> Database:
        """Pools of connections; a context manager."""
        return Database(SecretStr(self.url), reader_url=SecretStr(self.reader_url) if self.reader_url else None)
