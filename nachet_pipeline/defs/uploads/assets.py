"""`validated_manifest`, `stored_pictures`, `picture_metadata`: one step that imports the run's uploads in turn.

They are one multi-asset, because a run over several partitions of ordinary assets marks all partitions alike. This step
yields its events for each upload. A refusal is a verdict: the manifest is materialized, its checks are red, the other
two assets stay as they are, and the run succeeds. A run fails only where the pipeline or a service failed.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetExecutionContext,
    AssetMaterialization,
    AssetObservation,
    AssetSpec,
    BackfillPolicy,
    Failure,
    MetadataValue,
    ResourceParam,
    multi_asset,
)

from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.defs.executor import chosen_partitions
from nachet_pipeline.defs.instance import written_together
from nachet_pipeline.defs.metadata import manifest_metadata, table, upload_metadata, uploads_list
from nachet_pipeline.defs.partitions import uploads
from nachet_pipeline.defs.progress_log import drop_missing_outputs, now_and_then
from nachet_pipeline.defs.resources import BlobStorageResource, CommandImport, DatabaseResource, ImportProgress
from nachet_pipeline.defs.runs import say_whose
from nachet_pipeline.defs.table_schemas import PICTURES as PICTURES_TABLE
from nachet_pipeline.defs.uploads.checks import (
    MANIFEST,
    METADATA,
    PICTURES,
    check_specs,
    contract_evaluations,
    imported_evaluation,
    not_imported_evaluation,
    not_imported_reason,
    stored_evaluation,
)
from nachet_pipeline.picture_sets.queries import RowsWritten
from nachet_pipeline.picture_sets.storing import StoredCounts
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.settings import TransferSettings, Verification
from nachet_pipeline.support.progress import StepProgress
from nachet_pipeline.uploads.importing import Importer, ImportOutcome, UnknownUploadError
from nachet_pipeline.uploads.queries import upload_of_partition

Event = AssetMaterialization | AssetObservation | AssetCheckEvaluation
_ROWS = 100


def _spec(name: str, deps: list[str], kinds: set[str], description: str, **metadata: Any) -> AssetSpec:
    return AssetSpec(
        name,
        deps=deps,
        skippable=True,
        partitions_def=uploads,
        group_name="uploads",
        kinds=kinds,
        owners=["team:ai-lab"],
        description=description,
        metadata=metadata,
    )


@multi_asset(
    name="import_upload",
    specs=[
        _spec(
            "validated_manifest",
            ["staged_upload"],
            {"python"},
            "What the upload will import: every file with its checksum, every value with its origin, every identifier;"
            " and the report of the folder contract's checks. Valid or not, it is made. Materialize a partition to"
            " import its upload again. **A failed check**: the upload was refused; its user has something to correct."
            " **Red**: the pipeline or a service failed; the run says where, and the upload is tried again by itself.",
        ),
        _spec(
            "stored_pictures",
            ["validated_manifest"],
            {"azure"},
            "The upload's pictures in their user's container, byte for byte. A refused upload stores none: its"
            " partition is missing, not failed. **Red**: storage did not answer, or holds other bytes than were"
            " validated.",
        ),
        _spec(
            "picture_metadata",
            ["stored_pictures"],
            {"postgres"},
            "The upload's rows: picture sets, pictures and the seeds they show, written in one transaction. A refused"
            " upload has none: its partition is missing. **Red**: the import failed; the check `imported` says why.",
            **PICTURES_TABLE,
        ),
    ],
    check_specs=check_specs,
    can_subset=True,
    backfill_policy=BackfillPolicy.single_run(),
)
def import_upload(
    context: AssetExecutionContext,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    transfer_settings: ResourceParam[TransferSettings],
    rule_set: ResourceParam[RuleSet],
    contract_limits: ResourceParam[ContractLimits],
    decoding: ResourceParam[DecodingSettings],
    import_progress: ResourceParam[ImportProgress],
    command_import: ResourceParam[CommandImport],
) -> Iterator[Event]:
    """Validate, store and record each upload of the run. A failure of one does not stop the others."""
    drop_missing_outputs(context)
    partitions = chosen_partitions(context)
    if not partitions:
        return
    failed: dict[str, str] = {}
    left_out: dict[str, str] = {}
    states: Counter[str] = Counter()
    with ExitStack() as stack:
        if command_import.outcome:
            import_one = _imported_by_command(command_import.outcome)
        else:
            pool = stack.enter_context(DecodingPool(decoding))
            pool.begin()  # a decoder starts while the first folder is listed
            db, blobs = stack.enter_context(database.open()), stack.enter_context(blob_storage.open())
            with db.connection() as connection:
                registry = registered_seeds(connection)
                known = filter(None, (upload_of_partition(connection, partition) for partition in partitions))
                # At once: what a run was about is asked of one that was cancelled, above all.
                if first := next(known, None):
                    say_whose(context, first.owner.email, first.folder, len(partitions))
            importer = Importer(db, blobs, pool, registry, rule_set, contract_limits, transfer_settings, context.run_id)
            import_one = _imported_by(importer)
        log = now_and_then(context)
        for number, partition in enumerate(partitions, start=1):
            what = f"upload {number} of {len(partitions)}, {partition}"
            try:
                outcome = import_one(partition, _progress(log, what, import_progress.tell))
            except UnknownUploadError as error:
                context.log.warning("%s; clear_old_imports will remove it, and staging a folder adds one", error)
                continue
            except Exception as error:  # a defect that one upload meets must not fail its neighbours
                context.log.exception("%s failed unexpectedly", partition)
                failed[partition] = left_out[partition] = f"{type(error).__name__}: {error}"
                states[State.FAILED] += 1
                yield not_imported_evaluation(partition, failed[partition])
                continue
            receipt = outcome.receipt
            if receipt.state is State.FAILED:
                failed[partition] = receipt.failure or "no reason given"
            if not receipt.state.is_as_wanted:
                left_out[partition] = not_imported_reason(receipt)
            states[receipt.state] += 1
            yield from _events(context, partition, outcome, transfer_settings.verify_stored, blob_storage.account_url)
    if states:
        yield _summary(states, left_out)
    if failed:
        raise Failure(
            f"{len(failed)} of {len(partitions)} uploads could not be imported; the first, {next(iter(failed))}:"
            f" {next(iter(failed.values()))}",
            metadata={"failed": uploads_list(failed)},
            allow_retries=False,
        )


def _imported_by(importer: Importer) -> Callable[[str, StepProgress], ImportOutcome]:
    def import_one(partition: str, progress: StepProgress) -> ImportOutcome:
        importer.progress = progress
        return importer.import_partition(partition)

    return import_one


def _imported_by_command(
    outcome: Callable[[StepProgress], ImportOutcome],
) -> Callable[[str, StepProgress], ImportOutcome]:
    """Waits for the command that imports the run's one upload."""
    return lambda _, progress: outcome(progress)


def _summary(states: Mapping[str, int], left_out: Mapping[str, str]) -> AssetObservation:
    """What became of the run's uploads, as its last event: "12 uploads: 10 imported, 2 refused", with links."""
    number = sum(states.values())
    counts = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in states.items())
    said = f"{number} {'upload' if number == 1 else 'uploads'}: {counts}"
    # The log of a run shows metadata, and not the description.
    metadata = {"result": MetadataValue.text(said), **({"not_imported": uploads_list(left_out)} if left_out else {})}
    return AssetObservation(staged_upload.key, description=said, metadata=metadata)


def _progress(log: Callable[[str], None], what: str, listener: StepProgress | None) -> StepProgress:
    def report(step: str, done: int, total: int) -> None:
        if listener:
            listener(step, done, total)
        log(f"{what}: {step}, {done} of {total} pictures")

    return report


def _events(
    context: AssetExecutionContext,
    partition: str,
    outcome: ImportOutcome,
    verification: Verification,
    account_url: str,
) -> Iterator[Event]:
    receipt, validation = outcome.receipt, outcome.validation
    # Written first, because verdicts refer to them.
    with written_together(context.instance) as materialized:
        # This comes first, or the UI would report the manifest as out of sync with its upload.
        yield AssetMaterialization(
            staged_upload.key, partition=partition, description=receipt.state.value, metadata=upload_metadata(receipt)
        )
        if validation:
            metadata = manifest_metadata(validation) | {"seconds": round(outcome.seconds.get("validate", 0), 3)}
            yield AssetMaterialization(MANIFEST, partition=partition, metadata=metadata)
        if outcome.stored and outcome.rows:
            metadata = _stored_metadata(receipt, outcome.stored, outcome.seconds.get("store", 0), account_url)
            yield AssetMaterialization(PICTURES, partition=partition, metadata=metadata)
    # With the last materialization, by which settle_failed_imports knows that all was reported.
    with written_together(context.instance):
        if validation:
            just = materialized.get((MANIFEST, partition))
            yield from contract_evaluations(context.instance, partition, validation.report, receipt.state, just)
        if (outcome.stored and outcome.rows) or outcome.wrong_blob:
            just = materialized.get((PICTURES, partition))
            yield stored_evaluation(context.instance, partition, outcome, verification, just)
        if outcome.stored and outcome.rows:
            metadata = _recorded_metadata(receipt, outcome.rows, outcome.seconds.get("record", 0))
            yield AssetMaterialization(METADATA, partition=partition, metadata=metadata)
        yield imported_evaluation(partition, receipt)


def _stored_metadata(receipt: Receipt, stored: StoredCounts, seconds: float, account_url: str) -> dict[str, Any]:
    return {
        "pictures": stored.pictures,
        "bytes": stored.size,
        "new": stored.new,
        "container": MetadataValue.text(receipt.container or ""),
        "dagster/uri": f"{account_url.rstrip('/')}/{receipt.container}",
        "seconds": round(seconds, 3),
        "pictures_per_second": round(stored.pictures / seconds, 1) if seconds else 0.0,
    }


def _recorded_metadata(receipt: Receipt, rows: RowsWritten, seconds: float) -> dict[str, Any]:
    return {
        "picture_sets": table(
            {
                "id": str(item.id),
                "session": item.session,
                "scientificName": item.seed,
                "pictures": item.pictures,
                "bytes": item.size,
            }
            for item in receipt.picture_sets[:_ROWS]
        ),
        "rows_changed": rows.picture_sets + rows.pictures + rows.picture_seeds,
        "pictures": receipt.pictures,
        "dagster/partition_row_count": receipt.pictures,
        **(receipt.correction.model_dump() if receipt.correction else {}),
        "seconds": round(seconds, 3),
    }


staged_upload = AssetSpec(
    "staged_upload",
    # What a folder shows, it names by this. Were it a dependency of the manifest, the manifest would be no root of what
    # Materialize all materializes, and Dagster would ask for no uploads and preview none.
    deps=["registered_seeds"],
    partitions_def=uploads,
    group_name="uploads",
    kinds={"azure"},
    owners=["team:ai-lab"],
    description="A folder that a user staged in Blob storage: what the sensor start_imports saw, and what came of it:"
    " imported, partly imported, refused, withdrawn, failed. Its events also sum up each run, with links to what was"
    " not imported. It cannot be materialized and is never red.",
)
