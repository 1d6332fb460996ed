"""The species that pictures can show, for a form that asks for one."""

import time
from threading import Lock

from nachet_pipeline.client.services import Services
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.registry.seeds import FoundSeed, SeedRegistry, packaged_seeds

_KEPT_SECONDS = 60.0


class Registry:
    """The species that pictures can show."""

    def __init__(self, services: Services) -> None:
        """Use services; with an upload key alone, the registry is the one that the package carries."""
        self._services = services
        self._lock = Lock()
        self._read: tuple[float, SeedRegistry] | None = None

    def search(self, text: str, *, limit: int = 10) -> list[FoundSeed]:
        """The species with a name of which a word begins with a text, in Latin, English or French.

        For the auto-completion of a form. The table is read again after a minute.

        Raises:
            UnavailableError: the database does not answer.
        """
        return self._seeds().search(text, limit=limit)

    def _seeds(self) -> SeedRegistry:
        database = self._services.database if self._services.stored else None
        with self._lock:
            now = time.monotonic()
            if self._read is None or (database and now - self._read[0] > _KEPT_SECONDS):
                seeds = database.call(registered_seeds) if database else SeedRegistry.of(packaged_seeds())
                self._read = now, seeds
            return self._read[1]
