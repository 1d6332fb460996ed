"""An instance of Dagster for a process whose run prints nothing.

Dagster copies what a run prints to a file by four processes, of which two are Python's. They cost a tenth of a second.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._serdes import ConfigurableClassData


class NothingPrinted(LocalComputeLogManager):
    """Says that all is captured of what a run printed; the UI shows that it printed nothing."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """What the settings describe; the parent's describes the parent."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Capture nothing."""
        yield CapturedLogContext(log_key)
        complete = Path(self.complete_artifact_path(log_key))  # type: ignore[no-untyped-call]
        complete.parent.mkdir(parents=True, exist_ok=True)
        complete.touch()


def instance_without_capture() -> DagsterInstance:
    """The instance that DAGSTER_HOME names, which captures nothing of what runs print in this process."""
    home = os.environ["DAGSTER_HOME"]
    logs = {"base_dir": str(Path(home) / "storage")}
    unprinted = {"module": __name__, "class": NothingPrinted.__name__, "config": logs}
    return DagsterInstance.from_ref(InstanceRef.from_dir(home, overrides={"compute_logs": unprinted}))
