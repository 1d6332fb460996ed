"""Models and what they predict, as a client changes and reads them."""

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nachet_pipeline.client.services import Services
from nachet_pipeline.errors import UsageError
from nachet_pipeline.models.model import ModelClass, ModelDocument, ModelVersion
from nachet_pipeline.models.predictions.queries import FileReceipt, PredictionFile, prediction_files
from nachet_pipeline.models.queries import classes_of, model_versions, version_named
from nachet_pipeline.support.lazy_import import LazyModule

if TYPE_CHECKING:
    from nachet_pipeline.models import model_file, registering
    from nachet_pipeline.models.predictions import recording
else:
    model_file = LazyModule("nachet_pipeline.models.model_file")
    registering = LazyModule("nachet_pipeline.models.registering")
    recording = LazyModule("nachet_pipeline.models.predictions.recording")


class Models:
    """Models and their versions; every call can be repeated.

    What each raises is said once: `RefusedError` where there is no such model or taxon, or a version is registered with
    something else in it; `UsageError` where a document or a name is wrong; `UnavailableError` where a service does not
    answer.
    """

    def __init__(self, services: Services, by: str) -> None:
        """Use services; `by` is whom the audit trail names."""
        self._services = services
        self._by = by

    def register(self, model: ModelDocument | Mapping[str, Any] | str | os.PathLike[str]) -> list[ModelVersion]:
        """Register a model with its versions, or those of a file, with a container for its predictions.

        Args:
            model: a document, the same as keys and values, or a YAML or JSON file.
        """
        if isinstance(model, str | os.PathLike):
            documents = model_file.read_model_file(Path(model))
        else:
            documents = [model if isinstance(model, ModelDocument) else model_file.model_of(model)]
        done = registering.register_models(self._services.database, self._services.blobs, documents, by=self._by)
        return [one.version for one in done]

    def versions(self, model: str | None = None) -> list[ModelVersion]:
        """All versions, or those of a model, the one that was registered last first within each model."""
        return self._services.reading(model_versions, model)

    def version(self, name: str) -> ModelVersion:
        """The version of `NAME@VERSION`."""
        return self._services.reading(version_named, name)

    def classes(self, name: str) -> list[ModelClass]:
        """What the version of `NAME@VERSION` tells apart, in the order of its indices."""
        return self._services.reading(classes_of, self.version(name).id)


class Predictions:
    """What models say of pictures; every call can be repeated.

    A file that is refused is no error: its receipt says what is wrong. What each call raises is as for `Models`.
    """

    def __init__(self, services: Services, by: str) -> None:
        """Use services; `by` is who brought what is recorded."""
        self._services = services
        self._by = by

    def record(self, model: str, answers: Iterable[Mapping[str, Any]], *, place: str = "client") -> FileReceipt:
        """Record a batch of answers, as a whole or not at all.

        Args:
            model: whose these are, as `NAME@VERSION`.
            answers: each as a line of a file says it; as many as there are, they are not kept in memory.
            place: what the receipt calls where they come from.
        """
        with tempfile.TemporaryDirectory(prefix="nachet-") as folder:
            file = Path(folder) / "answers.jsonl"
            with file.open("w", encoding="utf-8") as stream:
                try:
                    stream.writelines(f"{json.dumps(dict(one))}\n" for one in answers)
                except (TypeError, ValueError) as error:
                    raise UsageError(f"answers: expected what JSON can say: {error}") from None
            return self._record(model, file, place)

    def import_file(self, model: str, file: str | os.PathLike[str]) -> FileReceipt:
        """Record a file of JSON Lines or Parquet, as a whole or not at all.

        Raises:
            OSError: it cannot be read.
        """
        return self._record(model, Path(file), Path(file).name)

    def files(self, model: str | None = None, *, limit: int = 100) -> list[PredictionFile]:
        """The files that were read, of a version or of all, the latest first."""
        version = self._services.reading(version_named, model).id if model is not None else None
        return self._services.reading(prediction_files, version, most=limit)

    def _record(self, model: str, file: Path, place: str) -> FileReceipt:
        version = self._services.reading(version_named, model)
        return recording.record_file(self._services.database, version, file, by=self._by, place=place)
