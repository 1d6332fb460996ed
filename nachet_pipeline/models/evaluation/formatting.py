"""Evaluations as lines for people and as records for programs."""

from collections.abc import Iterator
from typing import Any

from nachet_pipeline.models.evaluation.evaluating import Evaluation, as_json
from nachet_pipeline.models.evaluation.intervals import Interval


def evaluation_lines(evaluation: Evaluation) -> Iterator[str]:
    """An evaluation: what was measured, and what the checks say."""
    trained, metrics = evaluation.training_set, evaluation.metrics
    again = "" if evaluation.new else ", as before"
    yield (
        f"{evaluation.version.name} on the test split of {trained.name}@{trained.digest[:12]}:"
        f" {metrics['answered']:,} of {metrics['members']:,} pictures answered{again}"
    )
    for name, section, value in (
        ("accuracy", "classification", "accuracy"),
        ("top 5", "classification", "top5"),
        ("ECE", "calibration", "ece"),
        ("AP .5", "detection", "ap50"),
        ("AP .5:.95", "detection", "ap"),
        ("AP .5, any class", "finding", "ap50"),
        ("AP .5:.95, any class", "finding", "ap"),
    ):
        if metrics[section]:
            yield f"{name:22}  {_interval(metrics[section][value])}"
    for verdict in evaluation.verdicts:
        said = "passed" if verdict.passed else "FAILED" if verdict.grave else "warns"
        yield f"{verdict.name:24}  {said}{f': {verdict.summary}' if verdict.summary else ''}"


def _interval(found: dict[str, float | None]) -> str:
    known = [value for name in Interval.__dataclass_fields__ if (value := found[name]) is not None]
    if not known:
        return "not known"
    return f"{known[0]:.3f}" + (f"  ({known[1]:.3f} to {known[2]:.3f})" if len(known) > 1 else "")


def evaluation_record(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation for programs."""
    return {
        "id": str(evaluation.id),
        "version": evaluation.version.name,
        "new": evaluation.new,
        "passed": evaluation.passed,
        "verdicts": as_json(evaluation.verdicts),
        **evaluation.metrics,
    }
