"""Running the import job in this process, in the instance that the UI shows."""

from dagster import DagsterInstance, Definitions

from nachet_pipeline.defs.runs import REPOSITORY, REPOSITORY_TAG, whose
from nachet_pipeline.uploads.upload import Upload


def run_import(definitions: Definitions, upload: Upload) -> str:
    """Run the import job for one upload, and wait for it.

    The upload's receipt says how it ended. The UI shows the run like any other.

    Args:
        definitions: the whole project's. The environment names their services, and by DAGSTER_HOME the instance.
        upload: what is imported.

    Returns:
        The run's identifier.
    """
    job = definitions.resolve_job_def("import_uploads")
    with DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("upload", [upload.partition])
        result = job.execute_in_process(
            instance=instance,
            partition_key=upload.partition,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            # The UI lists a run under its job only if it knows the code location.
            tags={REPOSITORY_TAG: REPOSITORY, **whose(upload.owner.email, upload.folder)},
        )
        return result.run_id
