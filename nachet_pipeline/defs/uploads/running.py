"""The process that writes the run of an import that a command does into the instance that the UI shows.

It reads from a socket: the environment that names services and instance, the run's identifier with the upload,
progress, and how the import ended. It answers with a text, empty if the run is written. If the command is gone, the
run fails.
"""

import os
import pickle
import socket
from contextlib import suppress
from typing import Any

import dagster_postgres  # noqa: F401 (now, while the command does other things; the instance needs it)
from dagster import DagsterInstance, Definitions, JobDefinition

from nachet_pipeline.defs.executor import one_process
from nachet_pipeline.defs.resources import CommandBuild, CommandImport, ImportProgress, of_environment, of_settings
from nachet_pipeline.defs.runs import REPOSITORY, REPOSITORY_TAG, whose
from nachet_pipeline.defs.uploads import definitions as uploads
from nachet_pipeline.defs.uploads.unprinted import instance_without_capture
from nachet_pipeline.errors import ActionableError
from nachet_pipeline.pictures.worker import receive_message, send_message
from nachet_pipeline.settings import Settings
from nachet_pipeline.support.progress import StepProgress
from nachet_pipeline.uploads.importing import ImportOutcome
from nachet_pipeline.uploads.upload import Upload


class InterruptedImportError(Exception):
    """The command ended before its import did."""


def command_job(settings: Settings, command: CommandImport) -> JobDefinition:
    """The import job as the code location has it, made without the groups that have nothing to do with it.

    Args:
        settings: checked settings; the environment names the services.
        command: imports.
    """
    resources = {
        **of_environment(settings),
        **of_settings(settings),
        "import_progress": ImportProgress(),
        "command_build": CommandBuild(),
        "command_import": command,
        "what_runs": None,  # no part of this job
    }
    own = Definitions(executor=one_process, resources=resources)
    return Definitions.merge(uploads.definitions(settings.sensor), own).resolve_job_def("import_uploads")


class _Command:
    """The command at the other end of the socket."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def next(self) -> Any:
        return pickle.loads(receive_message(self._channel))  # noqa: S301 (from the process that started this one)

    def answer(self, failure: str) -> None:
        send_message(self._channel, pickle.dumps(failure))

    def outcome(self, progress: StepProgress) -> ImportOutcome:
        """How the import ended; progress until then.

        Raises:
            InterruptedImportError: the command is gone.
            Exception: the defect that ended the import.
        """
        while True:
            try:
                message = self.next()
            except (EOFError, OSError):
                raise InterruptedImportError("the command that imported it ended before it was done") from None
            if isinstance(message, ImportOutcome):
                return message
            if isinstance(message, Exception):
                raise message
            progress(*message)


def _write_run(command: _Command) -> None:
    os.environ.update(command.next())
    with instance_without_capture() as instance:
        job = command_job(Settings.from_environment(), CommandImport(command.outcome))
        run_id, upload = command.next()
        _execute(job, instance, run_id, upload)


def _execute(job: JobDefinition, instance: DagsterInstance, run_id: str, upload: Upload) -> None:
    instance.add_dynamic_partitions("upload", [upload.partition])
    job.execute_in_process(
        instance=instance,
        partition_key=upload.partition,
        raise_on_error=False,
        run_id=run_id,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        # The UI lists a run under its job only if it knows the code location.
        tags={REPOSITORY_TAG: REPOSITORY, **whose(upload.owner.email, upload.folder)},
    )


def main(channel: int) -> None:
    """Write one run.

    Args:
        channel: number of the socket to the command.
    """
    command = _Command(socket.socket(fileno=channel))
    failure = ""
    try:
        _write_run(command)
    except (EOFError, ConnectionError):  # the command ended before it had something to import
        return
    except ActionableError as error:
        failure = str(error)
    except Exception as error:  # noqa: BLE001 (the command reports it)
        failure = f"{type(error).__name__}: {error}"
    with suppress(OSError):  # the command is gone, and its run has failed
        command.answer(failure)
