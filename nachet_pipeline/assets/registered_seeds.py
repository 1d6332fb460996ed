"""`registered_seeds`: the reviewed species registry, loaded into the database."""

from dagster import AssetExecutionContext, AutomationCondition, MaterializeResult, MetadataValue, TableRecord, asset

from nachet_pipeline.database.seeds import load_seeds
from nachet_pipeline.registry.seeds import packaged_seeds, registry_version
from nachet_pipeline.resources.database import DatabaseResource


@asset(
    group_name="registry",
    kinds={"postgres", "yaml"},
    owners=["team:ai-lab"],
    code_version=registry_version(),
    automation_condition=(AutomationCondition.missing() | AutomationCondition.code_version_changed())
    & ~AutomationCondition.in_progress(),
)
def registered_seeds(context: AssetExecutionContext, database: DatabaseResource) -> MaterializeResult[None]:
    """The species that pictures may show, from the package's reviewed file `registry/seeds.yaml`.

    A new version of the file is loaded by itself.
    """
    seeds = packaged_seeds()
    with database.open() as db, db.connection() as connection:
        changed = load_seeds(connection, seeds)
    context.log.info("%d seeds in the registry, %d new or changed", len(seeds), changed)
    records = [
        TableRecord({"scientificName": seed.scientific_name, "family": seed.family, "id": str(seed.id)})
        for seed in seeds
    ]
    return MaterializeResult(
        metadata={"seeds": len(seeds), "changed": changed, "registry": MetadataValue.table(records)}
    )
