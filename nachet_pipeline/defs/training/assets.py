"""`training_set`: what a trainer reads, one partition a recipe."""

from collections.abc import Iterator

from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    MaterializeResult,
    ResourceParam,
    asset,
)

from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.defs.failures import failing_on
from nachet_pipeline.defs.freshness import NIGHTLY
from nachet_pipeline.defs.partitions import recipes
from nachet_pipeline.defs.progress_log import now_and_then
from nachet_pipeline.defs.resources import BlobStorageResource, CommandBuild, DatabaseResource
from nachet_pipeline.defs.table_schemas import MANIFEST
from nachet_pipeline.defs.training.checks import check_results, check_specs
from nachet_pipeline.defs.training.metadata import version_metadata
from nachet_pipeline.errors import UsageError
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.settings import TrainingSettings, TransferSettings


@asset(
    # A recipe depends on all partitions of these, because its name is no partition of theirs.
    deps=[
        AssetDep(name, partition_mapping=AllPartitionMapping())
        for name in ("picture_metadata", "picture_crops", "mass_imported_container")
    ],
    partitions_def=recipes,
    group_name="training",
    kinds={"parquet", "azure", "postgres"},
    owners=["team:ai-lab"],
    check_specs=check_specs,
    freshness_policy=NIGHTLY,
    metadata=MANIFEST,
)
def training_set(
    context: AssetExecutionContext,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    training_settings: ResourceParam[TrainingSettings],
    transfer_settings: ResourceParam[TransferSettings],
    rule_set: ResourceParam[RuleSet],
    decoding: ResourceParam[DecodingSettings],
    command_build: ResourceParam[CommandBuild],
) -> Iterator[MaterializeResult[None]]:
    """A frozen selection of stored pictures, as a recipe says, with a split that leaks nothing, and a card.

    A version is published whatever the checks say of it; one that leaks, has an empty class or one under its minimum
    does not become the current one, and its checks are red. Materialize a partition to publish today's pictures; if
    nothing changed, the version that is there is found again. **Red**: the recipe, the pipeline or a service is at
    fault; the run says which.
    """
    # These import pyarrow, which loading the definitions must not.
    from nachet_pipeline.training.publishing import publish  # noqa: PLC0415
    from nachet_pipeline.training.recipe import packaged_recipes, recipe_named  # noqa: PLC0415

    partition, published = context.partition_key, command_build.published
    if published is None:
        with failing_on(UsageError):  # the recipe's
            recipe = recipe_named(partition, training_settings.recipes_folder or packaged_recipes())
            with database.open() as db, blob_storage.open() as blobs, DecodingPool(decoding) as pool:
                log = now_and_then(context)
                published = publish(
                    recipe,
                    db,
                    blobs,
                    pool,
                    rule_set,
                    transfer_settings,
                    progress=lambda step, done, total: log(f"{step}, {done} of {total}"),
                )
    built = published.built
    context.log.info("%s/%s: %d pictures", built.container, built.blob, built.pictures)
    if not published.released:
        said = "; ".join(verdict.summary for verdict in published.verdicts if verdict.grave and not verdict.passed)
        context.log.warning("%s did not become the current version of %s: %s", built.digest, partition, said)
    yield MaterializeResult(
        metadata=version_metadata(published, blob_storage.account_url),
        check_results=list(check_results(published.verdicts)),
    )
