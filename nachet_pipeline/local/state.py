"""What a supervisor says about itself, in `run/state.json` of its home."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from nachet_pipeline.local.files import write_private
from nachet_pipeline.local.processes import ProcessIdentity


@dataclass(frozen=True)
class Running:
    """A pipeline that runs on this machine.

    Attributes:
        url: address of its web page.
        pid: number of its supervisor.
        log: what it and Dagster wrote.
    """

    url: str
    pid: int
    log: Path


class SupervisorState(BaseModel):
    """A supervisor and its children.

    Attributes:
        supervisor: the supervisor's process.
        log: what it and Dagster wrote.
        doing: what it does, in a few words.
        dagster: Dagster's processes by name, those that others descend from.
        url: address of the web page, once it answers.
        stopping: whether everything is being stopped, or is.
        failure: why it gave up.
    """

    model_config = ConfigDict(frozen=True)

    supervisor: ProcessIdentity
    log: Path
    doing: str = "starting"
    dagster: dict[str, ProcessIdentity] = {}
    url: str | None = None
    stopping: bool = False
    failure: str | None = None

    @property
    def alive(self) -> bool:
        """Whether the supervisor still runs."""
        return self.supervisor.find() is not None

    @property
    def running(self) -> Running | None:
        """The pipeline, if it is ready, or was before it was stopped."""
        if self.url is None:
            return None
        return Running(url=self.url, pid=self.supervisor.pid, log=self.log)


def state_file(home: Path) -> Path:
    """The file that holds the state."""
    return home / "run" / "state.json"


def read_state(home: Path) -> SupervisorState | None:
    """The state that was last written, by a supervisor that may have ended since; None if there is none."""
    try:
        text = state_file(home).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return SupervisorState.model_validate_json(text)
    except ValidationError:
        # Of another version of this program: it says nothing that could be used.
        return None


def write_state(home: Path, state: SupervisorState) -> None:
    """Replace the state in one step."""
    write_private(state_file(home), state.model_dump_json(indent=2) + "\n")
