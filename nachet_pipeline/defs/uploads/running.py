"""Running the import job in this process, on the instance that the UI shows."""

from collections.abc import Callable

from dagster import DagsterInstance

from nachet_pipeline.definitions import definitions
from nachet_pipeline.defs.runs import REPOSITORY, REPOSITORY_TAG
from nachet_pipeline.defs.uploads.assets import ImportProgress
from nachet_pipeline.settings import Settings


def run_import(settings: Settings, partition: str, tell: Callable[[str, int, int], None]) -> str:
    """Run the import job for one upload, and wait for it.

    The upload's receipt says how it ended; the run is seen in the UI like any other.

    Args:
        settings: name the services; the environment names the same, and DAGSTER_HOME the instance.
        partition: the upload's partition.
        tell: told the step, how many pictures are done, and how many there are.

    Returns:
        The run's identifier.
    """
    job = definitions(settings, ImportProgress(tell)).resolve_job_def("import_uploads")
    with DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("upload", [partition])
        result = job.execute_in_process(
            instance=instance,
            partition_key=partition,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            # The UI lists a run under its job only if it knows the code location.
            tags={REPOSITORY_TAG: REPOSITORY},
        )
        return result.run_id
