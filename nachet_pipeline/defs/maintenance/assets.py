"""`reprocessed_pictures`, `reconciled_storage` and `cleared_imports`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from dagster import (
    AssetCheckKey,
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    AssetObservation,
    AssetSpec,
    DagsterEventType,
    DagsterRunStatus,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
    multi_asset,
)
from pydantic import Field

from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.database.connection import Database
from nachet_pipeline.defs.fan_out import SHARD_FIELD, SHARD_TAG, WHOLE_FIELD, fan_out, runs_of_fan_out
from nachet_pipeline.defs.forms import Form, is_usable, optional
from nachet_pipeline.defs.freshness import NIGHTLY
from nachet_pipeline.defs.maintenance.checks import (
    reconciled_result,
    reconciled_specs,
    reprocessed_results,
    reprocessed_specs,
    stale_rows,
    tally_rows,
)
from nachet_pipeline.defs.metadata import tables
from nachet_pipeline.defs.partitions import forgetting, uploads
from nachet_pipeline.defs.progress_log import drop_missing_outputs, logged_pictures
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource
from nachet_pipeline.pictures.contact_sheet import as_markdown, contact_sheet
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.reconciliation.comparing import Compared, Comparer
from nachet_pipeline.reconciliation.formatting import found_text
from nachet_pipeline.reconciliation.queries import DriftKind
from nachet_pipeline.reconciliation.repairing import Repair, Repairer
from nachet_pipeline.reconciliation.retention import Cleared, Retention
from nachet_pipeline.reprocessing.formatting import result_record
from nachet_pipeline.reprocessing.merging import merge, what_is_left
from nachet_pipeline.reprocessing.queries import of_concern
from nachet_pipeline.reprocessing.reprocessor import Reprocessed, Reprocessor, ReprocessRequest, VerdictDifference, plan
from nachet_pipeline.reprocessing.verdicts import codes_of, message_of
from nachet_pipeline.settings import (
    ArrivalSettings,
    ReconciliationSettings,
    ReprocessingSettings,
    RetentionSettings,
    TransferSettings,
)
from nachet_pipeline.support.shards import WHOLE, Shard, shards
from nachet_pipeline.uploads.queries import unknown_partitions
from nachet_pipeline.users.queries import find_user

_ASSET = AssetKey("reprocessed_pictures")
_SHEETS = 5
_NAMED = 100
_WORTH_A_RUN = 1000
"""How many pictures are worth another run: one run does fewer before a second machine has started."""


class ReprocessForm(Form):
    """What one run reads; nothing has to be filled in."""

    since: str = optional("only pictures imported since, such as 2026-05-01")
    rule: str = optional("not the stale pictures, but all with this check or finding, such as picture-too-slow")
    limit: int = Field(0, description="pictures at most; 0: as many as NACHET_REPROCESS_PER_NIGHT says")
    part: str = Field("", description=SHARD_FIELD)
    whole: bool = Field(False, description=WHOLE_FIELD)

    def problems(self) -> list[str]:
        """Also a limit under 0, and a date, a rule or a part that is none."""
        found = super().problems()
        if self.limit < 0:
            found.append(f"limit: expected a number of pictures, or 0; found {self.limit}")
        for name, read in (("since", self._since), ("rule", self._codes), ("part", self._shard)):
            try:
                read()
            except ValueError as error:
                found.append(f"{name}: {error}")
        return found

    def wanted(self, settings: ReprocessingSettings) -> ReprocessRequest:
        """The request of a form without problems, within the budgets of the settings. A shard has its share."""
        shard = self._shard()
        return ReprocessRequest(
            since=self._since(),
            rule=self.rule or None,
            pictures=shard.share(self.limit or settings.reprocess_per_night),
            seconds=settings.reprocess_seconds,
            shard=shard,
        )

    def _since(self) -> datetime | None:
        if not self.since:
            return None
        try:
            since = datetime.fromisoformat(self.since)
        except ValueError:
            raise ValueError(f"expected a date such as 2026-05-01; found {self.since[:80]!r}") from None
        return since.replace(tzinfo=since.tzinfo or UTC)

    def _codes(self) -> None:
        if self.rule:
            codes_of(self.rule)

    def _shard(self) -> Shard:
        return Shard.of(self.part) if self.part else WHOLE

    @property
    def may_be_cut(self) -> bool:
        """Whether it may become several runs."""
        return not (self.part or self.whole or self.rule)


@multi_asset(
    name="reprocessed_pictures",
    specs=[
        AssetSpec(
            _ASSET,
            deps=["picture_metadata"],
            skippable=True,
            group_name="maintenance",
            kinds={"azure", "postgres"},
            owners=["team:ai-lab"],
            freshness_policy=NIGHTLY,
            description="Stored pictures, judged by today's rules and measured by today's code. Every night a budget of"
            " those that are stale is looked at again, from their files in storage. Materialize it to go on at once."
            " A picture that would be refused today is reported, and stays; files that are missing or changed are"
            " reported likewise: then a check is amber. **Red**: the database or storage did not answer.",
        )
    ],
    check_specs=reprocessed_specs,
    # This makes the checks optional too: a shard has no verdict on the whole.
    can_subset=True,
)
def reprocessed_pictures(
    context: AssetExecutionContext,
    config: ReprocessForm,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    reprocessing_settings: ResourceParam[ReprocessingSettings],
    transfer_settings: ResourceParam[TransferSettings],
    rule_set: ResourceParam[RuleSet],
    decoding: ResourceParam[DecodingSettings],
) -> Iterator[MaterializeResult[None] | AssetObservation | AssetCheckResult]:
    """Reprocess stored pictures, or one shard of them, or split them into shards."""
    drop_missing_outputs(context)
    if not is_usable(context, config.problems()):
        return
    wanted = config.wanted(reprocessing_settings)
    with database.open() as db:
        cut_into = _shards(db, wanted, rule_set, reprocessing_settings.reprocess_runs) if config.may_be_cut else [WHOLE]
        if len(cut_into) > 1:
            yield fan_out(context, _ASSET, cut_into)
            return
        before = _done_by_shards(context)
        records = [record for record, _ in before]
        with blob_storage.open() as blobs, DecodingPool(decoding) as pool:
            reprocessor = Reprocessor(db, blobs, pool, rule_set, transfer_settings, progress=logged_pictures(context))
            result = reprocessor.reprocess(what_is_left(wanted, records))
        with db.reading() as connection:
            concern = of_concern(connection, most=_NAMED)
    context.log.info(
        "%d pictures looked at, %d rows changed, %d verdicts changed, %d left stale",
        result.looked_at,
        result.updated,
        result.changed_verdicts,
        result.left_stale,
    )
    if wanted.shard != WHOLE:
        metadata = _reprocessed_metadata(result, concern) | {"result": MetadataValue.json(result_record(result))}
        yield AssetObservation(_ASSET, description=f"part {wanted.shard}", metadata=metadata)
        return
    result = merge(result, records)
    metadata = _reprocessed_metadata(result, concern)
    samples = [sample for _, sample in before if sample]
    if samples and "sample" not in metadata:
        metadata["sample"] = MetadataValue.md(samples[0])
    verdicts, checks = list(reprocessed_results(result)), context.selected_asset_check_keys
    if context.selected_asset_keys:
        yield MaterializeResult(asset_key=_ASSET, metadata=metadata, check_results=verdicts)
    else:  # the checks alone were launched
        yield from (one for one in verdicts if AssetCheckKey(_ASSET, one.check_name or "") in checks)


def _shards(db: Database, wanted: ReprocessRequest, rules: RuleSet, most: int) -> list[Shard]:
    if most == 1:
        return [WHOLE]
    due = min(plan(db, rules, wanted).pictures, wanted.pictures or 0)
    return shards(max(1, min(most, due // _WORTH_A_RUN)))


def _done_by_shards(context: AssetExecutionContext) -> list[tuple[dict[str, Any], str | None]]:
    """What the shards reported before this last run, each with its sample of pictures."""
    found = []
    for run in runs_of_fan_out(context.instance, context.run):
        if run.status is not DagsterRunStatus.SUCCESS:
            context.log.warning("part %s failed; this run does what it left", run.tags[SHARD_TAG])
            continue
        records = context.instance.get_records_for_run(run.run_id, of_type=DagsterEventType.ASSET_OBSERVATION).records
        for record in records:
            said = record.asset_observation
            if said and "result" in said.metadata:
                sample = said.metadata.get("sample")
                found.append((said.metadata["result"].value, str(sample.value) if sample else None))
    return found


def _reprocessed_metadata(result: Reprocessed, concern: list[dict[str, Any]]) -> dict[str, Any]:
    """What the UI shows; Dagster draws numbers as plots over the runs."""
    oldest = result.oldest_left
    sample = _sample(result.differences)
    return {
        **tables(differences=map(_difference_row, result.differences[:_NAMED])),
        **({"sample": MetadataValue.md(sample)} if sample else {}),
        **tables(not_accepted_today=map(_concern_row, concern), stale=stale_rows(result)),
        "looked_at": result.looked_at,
        "changed": result.updated,
        "changed_verdicts": result.changed_verdicts,
        "refused_today": result.standing.refused,
        "broken_files": result.standing.broken,
        "left_stale": result.left_stale,
        "oldest_stale_days": (datetime.now(UTC) - oldest).days if oldest else 0,
        "pictures_per_second": round(result.pictures_per_second, 1),
        "seconds": round(result.seconds, 3),
        "ended": MetadataValue.text(result.ending.value),
        "rule_set_version": MetadataValue.text(result.current.rules),
        "enrichment_version": MetadataValue.text(result.current.enrichment),
    }


def _difference_row(one: VerdictDifference) -> dict[str, Any]:
    return {
        "rule": one.change.rule,
        "code": one.change.code,
        "before": _weight(one.change.before),
        "now": _weight(one.change.now),
        "pictures": one.count,
        "what": message_of(one.change.code).en,
        "first": " ".join(str(picture) for picture in one.pictures),
    }


def _concern_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "state": row["state"],
        "codes": ", ".join(row["codes"]),
        "picture": str(row["id"]),
        "blob": f"{row['container']}/{row['blob']}",
    }


def _sample(differences: list[VerdictDifference]) -> str:
    """A few pictures of the most frequent differences."""
    parts = []
    for one in [one for one in differences if one.thumbnails][:_SHEETS]:
        sheet = contact_sheet(one.thumbnails)
        title = f"{one.change.code}: {_weight(one.change.before)} → {_weight(one.change.now)}"
        if sheet:
            parts.append(as_markdown(sheet, f"{title}: {len(one.thumbnails)} of {one.count} pictures"))
    return "\n\n".join(parts)


def _weight(severity: Severity | None) -> str:
    return severity.value if severity else "not found"


class RetentionForm(Form):
    """What one run does; nothing has to be filled in."""

    dry_run: bool = Field(False, description="say what would be cleared, and change nothing")


@asset(
    deps=["picture_metadata"],
    group_name="maintenance",
    kinds={"azure", "postgres"},
    owners=["team:ai-lab"],
    freshness_policy=NIGHTLY,
)
def cleared_imports(
    context: AssetExecutionContext,
    config: RetentionForm,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    retention_settings: ResourceParam[RetentionSettings],
    reconciliation_settings: ResourceParam[ReconciliationSettings],
    transfer_settings: ResourceParam[TransferSettings],
    arrival_settings: ResourceParam[ArrivalSettings],
    contract_limits: ResourceParam[ContractLimits],
) -> MaterializeResult[None]:
    """Staged folders and partitions of old imports, cleared.

    Only of uploads that were imported as a whole, whose receipt is in the database, whose rows and blobs are all there
    and right, and whose folder is still what was imported. The database keeps answering for them. A partition that
    somebody added by hand, and that no upload has, is removed too. Materialize it to clear now; what was kept is listed
    with the reason. **Red**: the database or storage did not answer.
    """
    with database.open() as db, blob_storage.open() as blobs:
        retention = Retention(
            db,
            blobs,
            retention_settings,
            Comparer(db, blobs, reconciliation_settings, transfer_settings),
            arrival_settings,
            contract_limits,
            forgetting(context.instance),
        )
        result = retention.run(dry_run=config.dry_run)
        with db.reading() as connection:
            unknown = unknown_partitions(connection, context.instance.get_dynamic_partitions(str(uploads.name)))
    if not config.dry_run:
        forgetting(context.instance)(unknown)
    context.log.info(
        "%d staged folders, %d partitions and %d partitions of no upload cleared, %d folders kept",
        result.folders,
        result.partitions,
        len(unknown),
        result.kept_number,
    )
    return MaterializeResult(metadata=_cleared_metadata(result) | {"unknown_partitions": len(unknown)})


def _cleared_metadata(result: Cleared) -> dict[str, Any]:
    """What the UI shows; Dagster draws numbers as plots over the runs."""
    return {
        **tables(kept=({"owner": one.owner, "folder": one.name, "why": one.kept or ""} for one in result.kept)),
        "folders": result.folders,
        "partitions": result.partitions,
        "events": result.events,
        "predictions": result.predictions,
        "bytes": result.size,
        "kept_folders": result.kept_number,
        "seconds": round(result.seconds, 3),
    }


_REPAIRS_NAMED = 100


class ReconcileForm(Form):
    """What one run compares; nothing has to be filled in."""

    user: str = optional("e-mail address of the one user to compare, such as name@example.org")
    read: bool = Field(False, description="read every picture and compare its bytes, instead of what storage noted")
    repair: bool = Field(False, description="do what is safe about what is found")


@multi_asset(
    name="reconciled_storage",
    specs=[
        AssetSpec(
            "reconciled_storage",
            deps=["picture_metadata", "mass_imported_container"],
            skippable=True,
            group_name="maintenance",
            kinds={"azure", "postgres"},
            owners=["team:ai-lab"],
            freshness_policy=NIGHTLY,
            description="Staged folders, stored blobs and rows of all users, compared. What disagrees is in the table"
            " `drift`, since when, and here as a table of the first hundred with what a repair does about each."
            " Materialize it to compare now. Nothing is changed unless the run is asked to repair. A failed check"
            " `no_drift`: something disagrees. **Red**: the database or storage did not answer.",
        )
    ],
    check_specs=reconciled_specs,
    # This makes the check optional too: of a user whom nobody knows there is no verdict.
    can_subset=True,
)
def reconciled_storage(
    context: AssetExecutionContext,
    config: ReconcileForm,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    reconciliation_settings: ResourceParam[ReconciliationSettings],
    transfer_settings: ResourceParam[TransferSettings],
    arrival_settings: ResourceParam[ArrivalSettings],
    contract_limits: ResourceParam[ContractLimits],
) -> Iterator[MaterializeResult[None] | AssetCheckResult]:
    """Compare all users, or one, and repair what is safe if asked to."""
    drop_missing_outputs(context)
    with database.open() as db, blob_storage.open() as blobs:
        user = None
        if config.user:
            with db.connection() as connection:
                user = find_user(connection, config.user)
            if user is None:
                is_usable(context, [f"user: expected a registered user; found {config.user[:80]!r}"])
                return
        comparer = Comparer(db, blobs, reconciliation_settings, transfer_settings)
        result = comparer.compare(user, read=config.read)
        repairer = Repairer(db, blobs, comparer, arrival_settings, contract_limits)
        repaired: list[Repair] = []
        done = 0
        if config.repair:
            for repair in repairer.repair(result.users):
                done += repair.done
                if len(repaired) < _REPAIRS_NAMED:
                    repaired.append(repair)
            comparer.count(result)
        left = list(islice(repairer.plan(result.users), _REPAIRS_NAMED))
    context.log.info(
        "%d pictures and %d blobs compared, %d disagreements, %d repaired",
        result.pictures,
        result.blobs,
        result.drift,
        done,
    )
    if not context.selected_asset_keys:  # the check alone was launched
        yield reconciled_result(result)
        return
    yield MaterializeResult(
        metadata=_reconciled_metadata(result, repaired, left, done), check_results=[reconciled_result(result)]
    )


def _reconciled_metadata(result: Compared, repaired: list[Repair], left: list[Repair], done: int) -> dict[str, Any]:
    """What the UI shows; Dagster draws numbers as plots over the runs."""
    return {
        **tables(tally=tally_rows(result), first=map(_repair_row, left), repairs=map(_repair_row, repaired)),
        "drift": result.drift,
        **{kind.value.replace("-", "_"): result.number_of(kind) for kind in DriftKind},
        "repaired": done,
        "under_way": result.under_way,
        "users": len(result.users),
        "pictures": result.pictures,
        "blobs": result.blobs,
        "read": result.read,
        "seconds": round(result.seconds, 3),
    }


def _repair_row(repair: Repair) -> dict[str, Any]:
    drift = repair.drift
    return {
        "kind": drift.kind.value,
        "blob": f"{drift.container}/{drift.name}",
        "what": found_text(drift).removeprefix(": "),
        "action": repair.remedy.action.value,
        "why": repair.remedy.why,
    }
