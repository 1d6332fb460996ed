"""Reporting a version that was built by command, by a run in this process, so that the UI shows it like any other."""

from dagster import DagsterInstance, Definitions

from nachet_pipeline.defs.partitions import recipes
from nachet_pipeline.defs.runs import REPOSITORY, REPOSITORY_TAG


def run_report(definitions: Definitions, recipe: str) -> None:
    """Run the job that builds training sets for one recipe, and wait for it.

    Dagster takes checks of a partition outside of a run once only, so there is a run.

    Args:
        definitions: the whole project's, with the version as their resource `command_build`.
        recipe: the partition.
    """
    job = definitions.resolve_job_def("build_training_set")
    with DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(str(recipes.name), [recipe])
        job.execute_in_process(
            instance=instance,
            partition_key=recipe,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            # The UI lists a run under its job only if it knows the code location.
            tags={REPOSITORY_TAG: REPOSITORY, "nachet/built_by": "nachet training-set build"},
        )
