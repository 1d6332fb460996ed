"""`registered_seeds`: the reviewed species registry, loaded into the database."""

from dagster import (
    AssetExecutionContext,
    AutomationCondition,
    MaterializeResult,
    MetadataValue,
    TableMetadataValue,
    TableRecord,
    asset,
)

from nachet_pipeline.database.seeds import RegistryChanges, load_seeds
from nachet_pipeline.registry.seeds import Seed, packaged_seeds, registry_version
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

    A new version of the file is loaded by itself. Renamed species keep their identifier; pictures of merged ones are
    linked to the species they are part of; every change is in the table `audit_trail`.
    """
    seeds = packaged_seeds()
    with database.open() as db, db.connection() as connection:
        loaded = load_seeds(connection, seeds)
    context.log.info("%d seeds in the registry, %d changes", len(seeds), loaded.total)
    return MaterializeResult(
        metadata={
            "seeds": len(seeds),
            "changed": loaded.total,
            "added": loaded.count("added"),
            "renamed": loaded.count("renamed"),
            "merged": loaded.count("merged"),
            "retired": loaded.count("retired"),
            "relinked_pictures": sum(change.pictures for change in loaded.changes),
            "registry": _registry_table(seeds),
            # Dagster shows no table without a row.
            **({"changes": _changes_table(loaded)} if loaded.total else {}),
        }
    )


def _registry_table(seeds: list[Seed]) -> TableMetadataValue:
    return MetadataValue.table(
        [
            TableRecord(
                {
                    "scientificName": seed.full_name,
                    "family": seed.family,
                    "English": ", ".join(seed.vernacular_names.en),
                    "français": ", ".join(seed.vernacular_names.fr),
                    "synonyms": ", ".join(seed.synonyms),
                    "gbifID": str(seed.gbif_id or ""),
                    "eppoCode": seed.eppo_code or "",
                    "id": str(seed.id),
                }
            )
            for seed in seeds
        ]
    )


def _changes_table(loaded: RegistryChanges) -> TableMetadataValue:
    return MetadataValue.table(
        [
            TableRecord(
                {
                    "change": change.action,
                    "before": change.before or "",
                    "scientificName": change.name,
                    "relinked pictures": change.pictures,
                    "id": str(change.id),
                }
            )
            for change in loaded.changes
        ]
    )
