"""Reporting a mass import that was done by command, so that the UI shows it like one that a run did."""

from dagster import AssetCheckEvaluation, AssetMaterialization, DagsterInstance

from nachet_pipeline.defs.mass_import.assets import outcome_metadata
from nachet_pipeline.defs.mass_import.checks import ASSET, complete_result
from nachet_pipeline.defs.partitions import containers
from nachet_pipeline.mass_import.importing import MassImportOutcome


def report(instance: DagsterInstance, container: str, outcome: MassImportOutcome) -> None:
    """Report what a command imported from a container, and the verdict on it; not a dry run, which imports nothing."""
    verdict = complete_result(container, outcome)
    instance.add_dynamic_partitions(str(containers.name), [container])
    instance.report_runless_asset_event(
        AssetMaterialization(
            ASSET, partition=container, description="by nachet mass-import", metadata=outcome_metadata(outcome)
        )
    )
    instance.report_runless_asset_event(
        AssetCheckEvaluation(
            asset_key=ASSET,
            check_name=str(verdict.check_name),
            passed=verdict.passed,
            severity=verdict.severity,
            description=verdict.description,
            metadata=verdict.metadata,
        )
    )
