"""Storage at which several processes meet before they work, so that they really work at the same time."""

from collections import Counter
from threading import Barrier, Lock
from typing import Any

from nachet_pipeline.storage.blobs import BlobStorage


class MeetingStorage(BlobStorage):
    """The real storage, which counts what is read; every process reads its first picture when all have begun."""

    everybody: Barrier
    reads: Counter[str]
    _met = False
    _lock = Lock()

    def read(self, container: str, blob: str, *arguments: Any, **settings: Any) -> bytes:
        with self._lock:
            self.reads[blob] += 1
            first, self._met = not self._met, True
        if first:
            self.everybody.wait(60)
        return super().read(container, blob, *arguments, **settings)
