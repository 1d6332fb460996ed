"""The species that pictures can show, for a form that asks for one."""

import time
from threading import Lock

from nachet_pipeline.client.services import Services
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.registry.queries import LoadedFrom, loaded_from, registered_seeds
from nachet_pipeline.registry.seeds import FoundSeed, SeedRegistry
from nachet_pipeline.registry.species_file import read_species

_KEPT_SECONDS = 60.0


class Registry:
    """The species that pictures can show."""

    def __init__(self, services: Services) -> None:
        """Use services; with an upload key alone, the species are those of the files that the settings name."""
        self._services = services
        self._lock = Lock()
        self._read: tuple[float, SeedRegistry] | None = None
        self._loaded_from: LoadedFrom | None = None

    def search(self, text: str, *, limit: int = 10) -> list[FoundSeed]:
        """The species with a name of which words begin as those of a text, in Latin, English or French.

        For the auto-completion of a form. The table is read again after a minute, if other species were loaded.

        Raises:
            UnavailableError: the database does not answer.
            UsageError: a file of species is wrong.
        """
        return self._seeds().search(text, limit=limit)

    def _seeds(self) -> SeedRegistry:
        database = self._services.database if self._services.stored else None
        with self._lock:
            now = time.monotonic()
            if self._read is None or (database and now - self._read[0] > _KEPT_SECONDS):
                self._read = now, database.call(self._stored) if database else self._named()
            return self._read[1]

    def _named(self) -> SeedRegistry:
        return SeedRegistry.of(read_species(self._services.settings.species.species_file).seeds)

    def _stored(self, connection: Connection) -> SeedRegistry:
        """The registry of the database: what was read before, with its index, if it is still the one."""
        loaded = loaded_from(connection)
        if self._read and loaded and loaded == self._loaded_from:
            return self._read[1]
        self._loaded_from = loaded
        return registered_seeds(connection)
