"""`mass_imported_container`: rows for the pictures of a container."""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetDep,
    AssetExecutionContext,
    AssetObservation,
    AssetSpec,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    SpecificPartitionsPartitionMapping,
    multi_asset,
)
from pydantic import Field

from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.defs.executor import chosen_partitions
from nachet_pipeline.defs.failures import failing_on
from nachet_pipeline.defs.fan_out import SHARD_FIELD, WHOLE_FIELD, fan_out
from nachet_pipeline.defs.forms import Form, is_usable, optional, required
from nachet_pipeline.defs.mass_import.checks import ASSET, check_specs, complete_result
from nachet_pipeline.defs.metadata import findings_table, table
from nachet_pipeline.defs.partitions import containers
from nachet_pipeline.defs.progress_log import drop_missing_outputs, logged_pictures
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource
from nachet_pipeline.defs.runs import say_whose
from nachet_pipeline.mass_import.errors import MappingError, MassImportError
from nachet_pipeline.mass_import.importing import FolderOutcome, MassImporter, MassImportOutcome, MassImportRequest
from nachet_pipeline.mass_import.mapping import FolderMapping
from nachet_pipeline.mass_import.queries import ContainerTakenError
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.settings import MassImportSettings, TransferSettings
from nachet_pipeline.support.shards import WHOLE, Shard, ShardError

_ROWS = 100
_COLUMNS = ("folder", "result", "scientificName", "zoom", "seeds", "split", "pictures", "bytes", "taken", "not taken")


class MassImportForm(Form):
    """Whose the pictures of a container are, and what its folders do not say of them."""

    owner: str = required("e-mail address of the user whose pictures they are", "name@example.org")
    seed: str = optional("species where the mapping has none, such as Brassica napus")
    zoom: str = optional("zoom where the mapping has none, such as '30'")
    seeds_per_picture: str = optional("seeds in a picture where the mapping has none, such as '6'")
    mapping: str = optional("text of a mapping, CSV or YAML, see docs/mass-imports.md")
    mapping_name: str = Field("mapping.yaml", description="its name, whose suffix says which of the two it is")
    prefix: str = optional("the one folder to look into, such as '2019'")
    adopt: bool = Field(False, description="copy the pictures into the owner's container; else they stay in place")
    dry_run: bool = Field(False, description="say what would be done, and write nothing")
    part: str = Field("", description=SHARD_FIELD)
    whole: bool = Field(False, description=WHOLE_FIELD)

    def request(self, container: str) -> MassImportRequest:
        """The same for the core.

        Raises:
            MappingError: the mapping cannot be read.
            ShardError: `part` is none.
        """
        options = {"species": self.seed, "zoom": self.zoom, "seeds": self.seeds_per_picture}
        return MassImportRequest(
            container=container,
            owner=self.owner,
            mapping=FolderMapping.of(self.mapping or None, self.mapping_name, options),
            prefix=self.prefix,
            adopt=self.adopt,
            dry_run=self.dry_run,
            part=Shard.of(self.part) if self.part else WHOLE,
        )

    @property
    def may_be_cut(self) -> bool:
        """Whether it may become several runs."""
        return not (self.part or self.whole or self.dry_run)


# A container is searched for pictures that uploads brought already. No upload makes a container due, though, because it
# needs its form. As a root beside the uploads, it would leave Materialize all without preview and choice of uploads.
_KNOWN_PICTURES = AssetDep("picture_metadata", partition_mapping=SpecificPartitionsPartitionMapping([]))


@multi_asset(
    name="import_container",
    specs=[
        AssetSpec(
            ASSET,
            deps=["registered_seeds", _KNOWN_PICTURES],
            skippable=True,
            partitions_def=containers,
            group_name="mass_import",
            kinds={"azure", "postgres"},
            owners=["team:ai-lab"],
            description="The pictures that lay in a container already: each folder a picture set, with rows that"
            " point at the blobs where they are, or at copies. What was not taken is listed with a reason, and the"
            " check is amber. **Red**: the container or the mapping could not be used; the run says why.",
        )
    ],
    check_specs=check_specs,
    # This makes the check optional too: a dry run has no verdict, and a part has none on the whole.
    can_subset=True,
)
def mass_imported_container(
    context: AssetExecutionContext,
    config: MassImportForm,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    mass_import_settings: ResourceParam[MassImportSettings],
    transfer_settings: ResourceParam[TransferSettings],
    rule_set: ResourceParam[RuleSet],
    contract_limits: ResourceParam[ContractLimits],
    decoding: ResourceParam[DecodingSettings],
) -> Iterator[MaterializeResult[None] | AssetObservation]:
    """Import one container, or a part of it, or cut it into parts; or observe what would be imported."""
    drop_missing_outputs(context)
    chosen = chosen_partitions(context)
    if not chosen:
        return
    (container,) = chosen
    if not is_usable(context, config.problems()):
        return
    with database.open() as db, blob_storage.open() as blobs, DecodingPool(decoding) as pool:
        with db.connection() as connection:
            registry = registered_seeds(connection)
        importer = MassImporter(
            db,
            blobs,
            pool,
            registry,
            rule_set,
            contract_limits,
            transfer_settings,
            progress=logged_pictures(context, container),
            waiting=lambda: context.log.info("another run imports the same of %s; waiting for its end", container),
        )
        with failing_on(MassImportError, MappingError, ContainerTakenError, ShardError):
            say_whose(context, config.owner, f"{container}/{config.prefix}".rstrip("/"))
            if not blobs.container_exists(container):
                # Nothing else would remove the partition of a name that somebody mistyped.
                context.instance.delete_dynamic_partition(str(containers.name), container)
                raise MassImportError(f"there is no container {container!r} in this account; its partition was removed")
            request = config.request(container)
            most = mass_import_settings.mass_import_pictures_per_run
            outcome = importer.run_or_fan_out(request, most) if config.may_be_cut else importer.run(request)
    if isinstance(outcome, list):
        yield fan_out(context, ASSET, outcome)
        return
    context.log.info("%s: %d pictures taken, %d files not", container, outcome.taken, outcome.not_taken)
    if outcome.dry_run or request.part != WHOLE:
        what = "dry run" if outcome.dry_run else f"part {request.part}"
        yield AssetObservation(ASSET, partition=container, description=what, metadata=outcome_metadata(outcome))
    else:
        yield MaterializeResult(
            asset_key=ASSET, metadata=outcome_metadata(outcome), check_results=[complete_result(container, outcome)]
        )


def outcome_metadata(outcome: MassImportOutcome) -> dict[str, Any]:
    """What the UI shows; what was not taken comes first."""
    report = outcome.report
    return {
        "not_taken": outcome.not_taken,
        **({"findings": findings_table(report.groups)} if report.groups else {}),
        "pictures": outcome.pictures,
        "bytes": outcome.size,
        "taken": outcome.taken,
        **{f"folders_{result.name.lower()}": count for result, count in outcome.results.items()},
        "rows_changed": outcome.rows.picture_sets + outcome.rows.pictures + outcome.rows.picture_seeds,
        **({"folders": table(map(_folder_row, outcome.folders[:_ROWS]), _COLUMNS)} if outcome.folders else {}),
        "owner": MetadataValue.text(outcome.owner),
        **({"report": MetadataValue.text(outcome.report_blob)} if outcome.report_blob else {}),
    }


def _folder_row(one: FolderOutcome) -> dict[str, str | int]:
    return {
        "folder": one.folder or "/",
        "result": one.result.value,
        "scientificName": one.species or "",
        "zoom": one.zoom or "",
        "seeds": one.seeds or "",
        "split": one.split or "",
        "pictures": one.pictures,
        "bytes": one.size,
        "taken": one.taken,
        "not taken": one.not_taken,
    }
