"""PostgreSQL as a Dagster resource."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster import ConfigurableResource, InitResourceContext
from pydantic import Field, SecretStr

from nachet_pipeline.database.connection import Database
from nachet_pipeline.database.run_locks import sign_of_life


class DatabaseResource(ConfigurableResource[Database]):
    """The database of pictures. A run that uses it gives a sign of life there."""

    url: str = Field(description="postgresql://…, from NACHET_DATABASE_URL")
    reader_url: str | None = Field(
        None, description="for what only reads, from NACHET_DATABASE_READER_URL; absent: the same as url"
    )

    def open(self) -> Database:
        """Pools of connections; a context manager."""
        return Database(SecretStr(self.url), reader_url=SecretStr(self.reader_url) if self.reader_url else None)

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator[Any]:
        """The resource; while a run has it, the sensor `dead_runs` sees that the run's process lives."""
        if context.run is None:  # a sensor's
            yield self
            return
        with sign_of_life(SecretStr(self.url), context.run.run_id):
            yield self
