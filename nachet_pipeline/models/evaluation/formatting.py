"""Evaluations as lines for people and as records for programs."""

from collections.abc import Iterator
from typing import Any

from nachet_pipeline.models.evaluation.evaluating import Evaluation, as_json
from nachet_pipeline.models.evaluation.intervals import Interval

_MEASURES = (
    ("accuracy", "classification", "accuracy"),
    ("top 5", "classification", "top5"),
    ("ECE", "calibration", "ece"),
    ("AP .5", "detection", "ap50"),
    ("AP .5:.95", "detection", "ap"),
    ("AP .5, any class", "finding", "ap50"),
    ("AP .5:.95, any class", "finding", "ap"),
)


def measures(evaluation: Evaluation) -> Iterator[tuple[str, dict[str, float | None]]]:
    """What was measured of all pictures: a name, and value, low and high end."""
    for name, section, value in _MEASURES:
        if evaluation.metrics[section]:
            yield name, evaluation.metrics[section][value]


def class_rows(evaluation: Evaluation) -> Iterator[dict[str, str | int]]:
    """How well each class of the test split is told from the others, as rows of a table."""
    if evaluation.classification:
        for label, one in zip(evaluation.labels, evaluation.classification.classes, strict=True):
            scores = {name: interval_text(as_json(getattr(one, name))) for name in ("precision", "recall", "f1")}
            yield {"class": label, "pictures": one.pictures, "groups": one.groups, **scores}


def evaluation_lines(evaluation: Evaluation) -> Iterator[str]:
    """An evaluation: what was measured, and what the checks say."""
    trained, metrics = evaluation.training_set, evaluation.metrics
    again = "" if evaluation.new else ", as before"
    yield (
        f"{evaluation.version.name} on the test split of {trained.name}@{trained.digest[:12]}:"
        f" {metrics['answered']:,} of {metrics['members']:,} pictures answered{again}"
    )
    for name, found in measures(evaluation):
        yield f"{name:22}  {interval_text(found)}"
    for verdict in evaluation.verdicts:
        said = "passed" if verdict.passed else "FAILED" if verdict.grave else "warns"
        yield f"{verdict.name:24}  {said}{f': {verdict.summary}' if verdict.summary else ''}"


def interval_text(found: dict[str, float | None]) -> str:
    """A measure with its interval."""
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
