"""The group `models` as Dagster loads it: models, predictions, evaluations, drift."""

from dagster import Definitions

from nachet_pipeline.defs.code import with_code
from nachet_pipeline.defs.models.assets import evaluate_model, judged_pictures, model_health, recorded_predictions
from nachet_pipeline.defs.models.jobs import (
    apply_judgements,
    evaluate_models,
    look_for_drift,
    nightly_drift,
    nightly_judgements,
    record_predictions,
)
from nachet_pipeline.defs.models.sensors import start_evaluations, start_predictions, sync_models


def definitions() -> Definitions:
    """The group's assets, checks, jobs, sensors and schedules."""
    return Definitions(
        assets=with_code([recorded_predictions, evaluate_model, judged_pictures, model_health]),
        jobs=[record_predictions, evaluate_models, apply_judgements, look_for_drift],
        sensors=[sync_models, start_predictions, start_evaluations],
        schedules=[nightly_judgements, nightly_drift],
    )
