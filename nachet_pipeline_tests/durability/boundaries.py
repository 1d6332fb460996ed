"""The step boundaries of an import, and a process that ends itself at one of them as SIGKILL would.

Nothing in the package knows of this: in a process made for it, whatever the import does that others could see
(requests to storage, transactions, events to Dagster) and what it tells of its progress is wrapped.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from threading import Lock
from typing import Any

from dagster import DagsterInstance

from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.storage.blobs import BlobStorage

_STORAGE = ("upload", "copy", "delete", "read", "top_level", "top_page", "ensure_container", "stored")
_BESIDE = (
    (".receipt.json", "receipt"),
    (".report.html", "report"),
    (".manifest.jsonl", "manifest"),
    ("_COMPLETE", "marker"),
    (".json", "descriptor"),
    (".yaml", "index"),
)


@dataclass
class Boundaries:
    """Counts the boundaries that this process comes to, and ends it at one.

    Attributes:
        end_at: a boundary as `name#3`, its third time; None: the process goes on to its end.
        passed: every boundary that was come to, in order.
    """

    end_at: str | None = None
    passed: list[str] = field(default_factory=list)
    _times: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def come_to(self, name: str) -> None:
        """Note a boundary; the last one is never left."""
        with self._lock:
            self._times[name] += 1
            here = f"{name}#{self._times[name]}"
            self.passed.append(here)
            if here == self.end_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def progress(self, step: str, _done: int, _total: int) -> None:
        """What the importer tells its listener."""
        self.come_to(f"progress: {step}")

    def watch(self) -> None:
        """Wrap what an import does that others can see, in this process, for good."""
        for method in _STORAGE:
            if hasattr(BlobStorage, method):
                setattr(BlobStorage, method, self._around(getattr(BlobStorage, method), method))
        Database.connection = self._around_transaction(Database.connection)  # type: ignore[method-assign]
        DagsterInstance.handle_new_event = self._around_event(DagsterInstance.handle_new_event)  # type: ignore[method-assign]

    def _around(self, method: Callable[..., Any], name: str) -> Callable[..., Any]:
        @wraps(method)
        def wrapped(storage: BlobStorage, *arguments: Any, **settings: Any) -> Any:
            what = f"storage {name}{_kind(arguments)}"
            self.come_to(f"before {what}")
            result = method(storage, *arguments, **settings)
            self.come_to(f"after {what}")
            return result

        return wrapped

    def _around_transaction(self, connection: Callable[[Database], Any]) -> Callable[[Database], Any]:
        @contextmanager
        def wrapped(database: Database) -> Iterator[Connection]:
            where = _asking()
            with connection(database) as opened:
                yield opened
                if where:
                    self.come_to(f"before commit {where}")
            if where:
                self.come_to(f"after commit {where}")

        return wrapped

    def _around_event(self, handle: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(handle)
        def wrapped(instance: DagsterInstance, event: Any, **settings: Any) -> Any:
            if not event.is_dagster_event:
                return handle(instance, event, **settings)
            asset = event.dagster_event.asset_key
            what = f"event {event.dagster_event_type.value}{f' {asset.to_user_string()}' if asset else ''}"
            self.come_to(f"before {what}")
            result = handle(instance, event, **settings)
            self.come_to(f"after {what}")
            return result

        return wrapped


def _kind(arguments: tuple[Any, ...]) -> str:
    """What a blob is to the pipeline, from its name."""
    name = arguments[1] if len(arguments) > 1 and isinstance(arguments[1], str) else ""
    return next((f" {kind}" for ending, kind in _BESIDE if name.endswith(ending)), "")


def _asking() -> str | None:
    """The function that asked for a connection; None if it is none of the package's."""
    frame = sys._getframe(2)
    while frame.f_code.co_filename.endswith(("contextlib.py", "database/connection.py")) and frame.f_back:
        frame = frame.f_back
    module = frame.f_globals["__name__"]
    if not module.startswith("nachet_pipeline."):
        return None
    return f"{module.rpartition('.')[2]}.{frame.f_code.co_name.strip('_')}"
