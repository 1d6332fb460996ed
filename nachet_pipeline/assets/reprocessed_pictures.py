"""`reprocessed_pictures`: stored pictures under today's rules and code."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetObservation,
    AssetSpec,
    Config,
    DagsterEventType,
    DagsterRunStatus,
    Failure,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    TableRecord,
    multi_asset,
)
from pydantic import Field

from nachet_pipeline.assets.freshness import NIGHTLY
from nachet_pipeline.assets.progress_log import logged_pictures
from nachet_pipeline.checks.reprocessed_pictures import check_results, check_specs, stale_table
from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.cut_runs import PART_FIELD, PART_TAG, WHOLE_FIELD, cut, runs_of_cut
from nachet_pipeline.database.connection import Database
from nachet_pipeline.database.reprocessing import of_concern
from nachet_pipeline.parts import WHOLE, Part, PartError, parts
from nachet_pipeline.pictures.contact_sheet import as_markdown, contact_sheet
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.reprocessing.reprocessor import Difference, Reprocessed, Reprocessor, Wanted, plan
from nachet_pipeline.reprocessing.telling import result_record
from nachet_pipeline.reprocessing.together import together, what_is_left
from nachet_pipeline.reprocessing.verdicts import message_of
from nachet_pipeline.resources.blob_storage import BlobStorageResource
from nachet_pipeline.resources.database import DatabaseResource
from nachet_pipeline.settings import ReprocessingSettings, TransferSettings

_ASSET = AssetKey("reprocessed_pictures")
_SHEETS = 5
_NAMED = 100
_WORTH_A_RUN = 1000
"""Pictures for which a run more is started: fewer are done before its machine is up."""


class ReprocessConfig(Config):
    """What one run looks at; all of it may be left as it is."""

    since: str | None = Field(None, description="only pictures imported on or after this date, such as 2026-05-01")
    rule: str | None = Field(
        None,
        description="instead of stale pictures those, stale or not, of which this check or finding was said last,"
        " such as picture-too-slow",
    )
    limit: int | None = Field(
        None, ge=1, description="pictures at most; the setting NACHET_REPROCESS_PER_NIGHT if empty"
    )
    part: str | None = Field(None, description=PART_FIELD)
    whole: bool = Field(False, description=WHOLE_FIELD)

    def wanted(self, settings: ReprocessingSettings) -> Wanted:
        """The same, within the budgets of the settings; a part has its share of the pictures.

        Raises:
            ValueError: `since` is no date.
            PartError: `part` is none.
        """
        since = datetime.fromisoformat(self.since) if self.since else None
        part = Part.of(self.part) if self.part else WHOLE
        return Wanted(
            since=since.replace(tzinfo=since.tzinfo or UTC) if since else None,
            rule=self.rule or None,
            pictures=part.share(self.limit or settings.reprocess_per_night),
            seconds=settings.reprocess_seconds,
            part=part,
        )

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
            group_name="uploads",
            kinds={"azure", "postgres"},
            owners=["team:ai-lab"],
            freshness_policy=NIGHTLY,
            description="Stored pictures, judged by today's rules and enriched by today's code. Every night a budget of"
            " those that are stale is looked at again, from their files in storage. A picture that would be refused"
            " today is reported, and stays; files that are missing or changed are reported likewise.",
        )
    ],
    check_specs=check_specs,
    # Makes the checks optional as well: a part has no verdict on the whole.
    can_subset=True,
)
def reprocessed_pictures(
    context: AssetExecutionContext,
    config: ReprocessConfig,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    reprocessing_settings: ResourceParam[ReprocessingSettings],
    transfer_settings: ResourceParam[TransferSettings],
    rule_set: ResourceParam[RuleSet],
    decoding: ResourceParam[DecodingSettings],
) -> Iterator[MaterializeResult[None] | AssetObservation]:
    """Reprocess stored pictures, or a part of them, or cut them into parts."""
    try:
        wanted = config.wanted(reprocessing_settings)
    except PartError as error:
        raise Failure(f"part: {error}", allow_retries=False) from error
    with database.open() as db:
        cut_into = _parts(db, wanted, rule_set, reprocessing_settings.reprocess_runs) if config.may_be_cut else [WHOLE]
        if len(cut_into) > 1:
            cut(context, cut_into)
            yield AssetObservation(
                _ASSET, description=f"cut into {len(cut_into)} parts", metadata={"parts": len(cut_into)}
            )
            return
        before = _done_by_parts(context)
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
    if wanted.part != WHOLE:
        metadata = _metadata(result, concern) | {"result": MetadataValue.json(result_record(result))}
        yield AssetObservation(_ASSET, description=f"part {wanted.part}", metadata=metadata)
        return
    result = together(result, records)
    metadata = _metadata(result, concern)
    samples = [sample for _, sample in before if sample]
    if samples and "sample" not in metadata:
        metadata["sample"] = MetadataValue.md(samples[0])
    yield MaterializeResult(asset_key=_ASSET, metadata=metadata, check_results=list(check_results(result)))


def _parts(db: Database, wanted: Wanted, rules: RuleSet, most: int) -> list[Part]:
    if most == 1:
        return [WHOLE]
    due = min(plan(db, rules, wanted).pictures, wanted.pictures or 0)
    return parts(max(1, min(most, due // _WORTH_A_RUN)))


def _done_by_parts(context: AssetExecutionContext) -> list[tuple[dict[str, Any], str | None]]:
    """What the parts said before this run ends the whole, each with its sample of pictures."""
    found = []
    for run in runs_of_cut(context.instance, context.run):
        if run.status is not DagsterRunStatus.SUCCESS:
            context.log.warning("part %s did not end well; what it left is done now", run.tags[PART_TAG])
            continue
        records = context.instance.get_records_for_run(run.run_id, of_type=DagsterEventType.ASSET_OBSERVATION).records
        for record in records:
            said = record.asset_observation
            if said and "result" in said.metadata:
                sample = said.metadata.get("sample")
                found.append((said.metadata["result"].value, str(sample.value) if sample else None))
    return found


def _metadata(result: Reprocessed, concern: list[dict[str, Any]]) -> dict[str, Any]:
    """What the UI shows; Dagster shows no table without a row, and draws numbers as plots over the runs."""
    oldest = result.oldest_left
    metadata: dict[str, Any] = {}
    if result.differences:
        metadata["differences"] = MetadataValue.table([_difference_row(one) for one in result.differences[:_NAMED]])
    if sample := _sample(result.differences):
        metadata["sample"] = MetadataValue.md(sample)
    if concern:
        metadata["not_accepted_today"] = MetadataValue.table([_concern_row(row) for row in concern])
    if result.left:
        metadata["stale"] = stale_table(result)
    return metadata | {
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


def _difference_row(one: Difference) -> TableRecord:
    return TableRecord(
        {
            "rule": one.change.rule,
            "code": one.change.code,
            "before": _weight(one.change.before),
            "now": _weight(one.change.now),
            "pictures": one.count,
            "what": message_of(one.change.code).en,
            "first": " ".join(str(picture) for picture in one.pictures),
        }
    )


def _concern_row(row: dict[str, Any]) -> TableRecord:
    return TableRecord(
        {
            "state": row["state"],
            "codes": ", ".join(row["codes"]),
            "picture": str(row["id"]),
            "blob": f"{row['container']}/{row['blob']}",
        }
    )


def _sample(differences: list[Difference]) -> str:
    """A few pictures of the most frequent differences."""
    parts = []
    for one in [one for one in differences if one.thumbnails][:_SHEETS]:
        sheet = contact_sheet(one.thumbnails)
        title = f"{one.change.code}: {_weight(one.change.before)} → {_weight(one.change.now)}"
        if sheet:
            parts.append(f"**{title}**, {one.count} pictures\n\n{as_markdown(sheet, title)}")
    return "\n\n".join(parts)


def _weight(severity: Severity | None) -> str:
    return severity.value if severity else "not found"
