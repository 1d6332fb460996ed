"""What the detector that crops are cut by says of pictures, as predictions of a registered version."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nachet_pipeline.crops.queries import CroppedPicture
from nachet_pipeline.database.connection import Database
from nachet_pipeline.models.model import ModelError
from nachet_pipeline.models.queries import UnknownModelError, version_named
from nachet_pipeline.settings import CropSettings, SettingsError
from nachet_pipeline.support.lazy_import import LazyModule

if TYPE_CHECKING:
    from nachet_pipeline.models.predictions import recording
else:
    recording = LazyModule("nachet_pipeline.models.predictions.recording")


def detector_predictions(
    database: Database, settings: CropSettings
) -> Callable[[Sequence[CroppedPicture]], None] | None:
    """What records the detector's answers; None if the settings name no version of a model for it.

    Raises:
        SettingsError: NACHET_DETECTOR_MODEL names no registered version.
        DatabaseError: the database does not answer.
    """
    if settings.detector_model is None:
        return None
    try:
        version = database.call(version_named, settings.detector_model)
    except (ModelError, UnknownModelError) as error:
        raise SettingsError(f"NACHET_DETECTOR_MODEL: {error}") from None

    def record(pictures: Sequence[CroppedPicture]) -> None:
        answers = [_answer(one, named=version.classes > 0) for one in pictures]
        database.call(recording.record_answers, version, answers)

    return record


def _answer(picture: CroppedPicture, *, named: bool) -> Mapping[str, Any]:
    """What was said of a picture; who tells no classes apart calls everything the same, which is left out."""
    # Some answers have scores for some boxes alone: those say nothing that could be compared.
    scored = all(one.score is not None for one in picture.regions)
    boxes = [
        {
            "box": [one.left, one.top, one.right, one.bottom],
            "score": one.score if scored else None,
            "candidates": [{"label": label, "score": score} for label, score in one.candidates if named],
        }
        for one in picture.regions
    ]
    return {"sha256": picture.parent.sha256, "boxes": boxes}
