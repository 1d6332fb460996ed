"""`recorded_predictions`, `model_evaluation`, `model_health`: one partition a version of a model. `judged_pictures`."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from math import isfinite
from typing import TYPE_CHECKING, Any

from dagster import (
    AllPartitionMapping,
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetDep,
    AssetExecutionContext,
    AssetMaterialization,
    AssetSpec,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
    multi_asset,
)

from nachet_pipeline.database.audit import PROGRAM
from nachet_pipeline.database.connection import Database
from nachet_pipeline.defs.checks import evaluation_target
from nachet_pipeline.defs.executor import chosen_partitions
from nachet_pipeline.defs.failures import failing_on
from nachet_pipeline.defs.metadata import tables
from nachet_pipeline.defs.models.checks import (
    EVALUATION,
    FILES_VALID,
    NO_DRIFT,
    evaluation_specs,
    health_specs,
    predictions_specs,
)
from nachet_pipeline.defs.partitions import versions
from nachet_pipeline.defs.progress_log import drop_missing_outputs
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource
from nachet_pipeline.defs.runs import say_whose
from nachet_pipeline.errors import RefusedError, UsageError
from nachet_pipeline.identifiers import predictions_container
from nachet_pipeline.models.judgements.outcomes import apply_all
from nachet_pipeline.models.judgements.policy import Policy, Result
from nachet_pipeline.models.judgements.queries import outcome_counts
from nachet_pipeline.models.model import ModelVersion
from nachet_pipeline.models.predictions.containers import due_files, record_arrived
from nachet_pipeline.models.predictions.queries import PredictionFile, prediction_files
from nachet_pipeline.models.queries import model_versions, version_named
from nachet_pipeline.pictures.contact_sheet import as_markdown
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.settings import EvaluationSettings, JudgingSettings, TransferSettings
from nachet_pipeline.support.files import FileChangedError

if TYPE_CHECKING:
    from nachet_pipeline.models.evaluation.evaluating import Evaluation

_FILES, _ROWS = 1_000, 100
_PUT_RIGHT = (RefusedError, UsageError)
_AI_LAB = ["team:ai-lab"]


@asset(
    deps=[AssetDep(name, partition_mapping=AllPartitionMapping()) for name in ("picture_metadata", "picture_crops")],
    partitions_def=versions,
    group_name="models",
    kinds={"azure", "postgres"},
    owners=_AI_LAB,
    check_specs=predictions_specs,
)
def recorded_predictions(
    context: AssetExecutionContext, database: DatabaseResource, blob_storage: BlobStorageResource
) -> Iterator[MaterializeResult[None]]:
    """What a version of a model says of stored pictures, from the files that were put into `predictions-<model>`.

    The sensor `start_predictions` starts it when files arrive in the folder of the version. A file with an error is
    refused as a whole: its check fails, and the receipt beside it says what is wrong. **Red**: a service is away.
    """
    with failing_on(*_PUT_RIGHT), database.open() as db, blob_storage.open() as blobs:
        version = _version(context, db)
        with db.reading() as connection:
            versions = model_versions(connection, version.model)
        read = []
        for arrived in due_files(versions, blobs):
            if arrived.version.id == version.id:
                try:
                    read.append(record_arrived(db, blobs, arrived, by=PROGRAM).file)
                except FileChangedError as error:  # it is due again
                    context.log.warning("%s", error)
                    continue
                context.log.info("%s: %s, %d answers", arrived.place, read[-1].state, read[-1].lines)
        with db.reading() as connection:
            files = prediction_files(connection, version.id, most=_FILES)
        # Of a name that was written anew, what it holds now counts; what a command refused, that said.
        last = {file.place: file for file in reversed(files)}
        container = predictions_container(version.model)
        refused = [
            file
            for place, file in last.items()
            if file.state == "refused"
            and place.startswith(f"{container}/")
            and blobs.properties_of(container, place.removeprefix(f"{container}/"))
        ]
    yield MaterializeResult(
        metadata={
            "files_read_now": len(read),
            "answers_read_now": sum(file.lines for file in read),
            "unknown_pictures": sum(file.unknown_pictures for file in last.values()),
            "on_trained": sum(file.on_trained for file in last.values()),
            **tables(findings=_finding_rows(refused), files=map(_file_row, files[:_ROWS])),
        },
        check_results=[
            AssetCheckResult(
                check_name=FILES_VALID,
                passed=not refused,
                severity=AssetCheckSeverity.ERROR,
                description=", ".join(file.place for file in refused[:3]) or None,
                metadata={"refused": len(refused), **tables(findings=_finding_rows(refused))},
            )
        ],
    )


def _version(context: AssetExecutionContext, db: Database) -> ModelVersion:
    """The version that a run works on; the run is tagged with whose it is, and where its predictions are put."""
    with db.reading() as connection:
        version = version_named(connection, context.partition_key)
    say_whose(context, version.owner, f"{predictions_container(version.model)}/{version.version}")
    return version


def _file_row(file: PredictionFile) -> dict[str, str | int]:
    return {
        "file": file.place,
        "state": file.state,
        "answers": file.lines,
        "recorded": file.predictions,
        "new": file.new,
        "of pictures not stored": file.unknown_pictures,
        "of what it was trained on": file.on_trained,
        "read": f"{file.recorded_at:%Y-%m-%d %H:%M}",
        "by": file.recorded_by,
    }


def _finding_rows(files: list[PredictionFile]) -> list[dict[str, str | int]]:
    rows = [
        {
            "file": file.place,
            "code": group["code"],
            "count": group["count"],
            "line": one["line"],
            "field": one["field"],
            "expected": one["expected"]["en"],
            "found": one["found"]["en"],
        }
        for file in files
        for group in file.findings
        for one in group["shown"][:3]
    ]
    return rows[:_ROWS]


@multi_asset(
    name="evaluate_model",
    specs=[
        AssetSpec(
            EVALUATION,
            deps=["recorded_predictions", AssetDep("training_set", partition_mapping=AllPartitionMapping())],
            skippable=True,
            partitions_def=versions,
            group_name="models",
            kinds={"postgres"},
            owners=_AI_LAB,
            description="How well a version of a model does on the test split of the training set that it was trained"
            " on, with intervals, by parts, and beside the champion. The sensor `start_evaluations` starts it when"
            " predictions came. If it cannot be judged yet, the run says why and makes nothing. A version that passes"
            " becomes champion when a person says so (`nachet model promote`), never by itself.",
        )
    ],
    check_specs=evaluation_specs,
    can_subset=True,
)
def evaluate_model(
    context: AssetExecutionContext,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    evaluation_settings: ResourceParam[EvaluationSettings],
    transfer_settings: ResourceParam[TransferSettings],
    decoding: ResourceParam[DecodingSettings],
) -> Iterator[AssetMaterialization | AssetCheckEvaluation]:
    """Evaluate a version, and show what it got right and wrong."""
    from nachet_pipeline.models.evaluation.evaluating import (  # noqa: PLC0415 (scikit-learn)
        NotEvaluableError,
        evaluate,
        worst_mistakes,
    )
    from nachet_pipeline.training.contact_sheets import Thumbnails  # noqa: PLC0415

    drop_missing_outputs(context)
    if not chosen_partitions(context):
        return
    partition = context.partition_key
    with failing_on(*_PUT_RIGHT), database.open() as db, blob_storage.open() as blobs:
        _version(context, db)
        try:
            evaluation = evaluate(db, partition, limits=evaluation_settings)
        except NotEvaluableError as error:
            context.log.warning("%s", error)
            return
        with DecodingPool(decoding) as pool:
            thumbnails = Thumbnails(
                blobs,
                pool,
                concurrency=transfer_settings.transfer_concurrency,
                memory_bytes=transfer_settings.memory_bytes,
            )
            mistakes = worst_mistakes(evaluation, db, thumbnails)
    yield AssetMaterialization(EVALUATION, partition=partition, metadata=_evaluation_metadata(evaluation, mistakes))
    target = evaluation_target(context.instance, EVALUATION, partition)
    for verdict in evaluation.verdicts:
        yield AssetCheckEvaluation(
            asset_key=EVALUATION,
            check_name=verdict.name,
            passed=verdict.passed,
            severity=AssetCheckSeverity.ERROR if verdict.grave else AssetCheckSeverity.WARN,
            description=verdict.summary or None,
            metadata={**verdict.numbers, **tables(found=verdict.rows)},
            partition=partition,
            target_materialization_data=target,
        )


@asset(
    deps=["picture_metadata", "picture_crops"],
    group_name="models",
    kinds={"postgres"},
    owners=_AI_LAB,
)
def judged_pictures(
    context: AssetExecutionContext, database: DatabaseResource, judging_settings: ResourceParam[JudgingSettings]
) -> Iterator[MaterializeResult[None]]:
    """What people's judgements of predictions, crops and pictures come to.

    A judgement counts at once. Every night all are decided anew, because settings, species and what is stored may have
    changed since. Materialize it to decide now. Disputed ones wait for somebody who knows. **Red**: a service is away.
    """
    with database.open() as db:
        done = apply_all(db, Policy.of(judging_settings), by=PROGRAM)
        with db.reading() as connection:
            counts = outcome_counts(connection)
    context.log.info("%d outcomes and %d labels of photographs changed", done.subjects, done.labels)
    yield MaterializeResult(
        metadata={
            **{result.value: counts.get(result, 0) for result in Result},
            "outcomes_changed": done.subjects,
            "labels_changed": done.labels,
            "verified_changed": done.verified,
        }
    )


def _evaluation_metadata(evaluation: "Evaluation", mistakes: bytes | None) -> dict[str, Any]:
    """What the UI shows of an evaluation; Dagster draws numbers as plots over the evaluations."""
    from nachet_pipeline.models.evaluation.formatting import class_rows, interval_text, measures  # noqa: PLC0415

    metrics, measured = evaluation.metrics, dict(measures(evaluation))
    pictures = dict(evaluation.plots()) | ({"worst_mistakes": mistakes} if mistakes else {})
    return {
        "passed": MetadataValue.bool(evaluation.passed),
        "training_set": f"{evaluation.training_set.name}@{evaluation.training_set.digest}",
        "champion": metrics["champion"] or "none",
        "pictures": metrics["answered"],
        "trained_on": metrics["trained_on"],
        **{name: found["value"] for name, found in measured.items() if found["value"] is not None},
        **tables(
            measured=({"measure": name, "with its interval": interval_text(one)} for name, one in measured.items()),
            classes=islice(class_rows(evaluation), _ROWS),
        ),
        **{name: MetadataValue.md(as_markdown(content, name.replace("_", " "))) for name, content in pictures.items()},
    }


@asset(
    deps=["recorded_predictions"],
    partitions_def=versions,
    group_name="models",
    kinds={"postgres"},
    owners=_AI_LAB,
    check_specs=health_specs,
)
def model_health(context: AssetExecutionContext, database: DatabaseResource) -> Iterator[MaterializeResult[None]]:
    """What a version says in a month, beside what it said before: classes, confidence, how often it is not sure.

    A schedule looks every night at versions that said something in yesterday's month. **Amber**: a change that is
    neither small nor chance; look at what the pictures are, before you trust the answers. **Red**: a service is away.
    """
    from nachet_pipeline.models.drift import drift, read_said  # noqa: PLC0415 (pyarrow)

    with failing_on(*_PUT_RIGHT), database.open() as db:
        version = _version(context, db)
        # On the first of a month the one before is whole.
        month = (datetime.now(UTC) - timedelta(days=1)).date()
        with db.reading() as connection:
            said = read_said(connection, version.id, month)
    found = drift(said)
    # What nobody judged has no share.
    changes = [one for one in found.changes if isfinite(one.month) and isfinite(one.before)]
    rows = [
        {
            "what": change.name,
            "in the month": round(change.month, 4),
            "before": round(change.before, 4),
            "size": round(change.size, 4),
            "chance": round(change.chance, 4),
            "drift": change.drift,
        }
        for change in changes
    ]
    yield MaterializeResult(
        metadata={
            "month": f"{month:%Y-%m}",
            "answers": found.answers,
            "answers_before": found.answers_before,
            "groups": found.groups,
            **{change.name: change.month for change in changes},
            **tables(changes=rows),
        },
        check_results=[
            AssetCheckResult(
                check_name=NO_DRIFT,
                passed=not found.found,
                severity=AssetCheckSeverity.WARN,
                description=", ".join(change.name for change in found.found) or None,
                metadata=tables(changes=rows),
            )
        ],
    )
