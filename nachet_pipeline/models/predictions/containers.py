"""The containers into which predictions are put: which files of them are due, and recording one with its receipt.

A model's container has a folder for each version. Beside a file that was read lies its receipt, for whoever put it
there with nothing but a key.
"""

import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nachet_pipeline.database.connection import Database
from nachet_pipeline.identifiers import PREDICTION_SUFFIXES, RECEIPT_SUFFIX, predictions_container
from nachet_pipeline.models.model import ModelVersion, digest_of
from nachet_pipeline.models.predictions.queries import FileReceipt
from nachet_pipeline.storage.blobs import BlobStorage

log = logging.getLogger(__name__)

_OF = "of"
"""Of a receipt's metadata: the content that it answers."""


@dataclass(frozen=True, slots=True)
class ArrivedFile:
    """A file of predictions that was put into its model's container.

    Attributes:
        version: whose predictions these are, by the folder.
        container: the container.
        blob: the file's name there.
        etag: which content of that name it is.
    """

    version: ModelVersion
    container: str
    blob: str
    etag: str

    @property
    def place(self) -> str:
        """Where it is."""
        return f"{self.container}/{self.blob}"


def state_of(model: str, versions: Sequence[ModelVersion], blobs: BlobStorage) -> str:
    """Changes with anything in a model's container, and with its versions. It costs a tenth of `due_files`.

    Raises:
        StorageError: storage does not answer.
    """
    container = predictions_container(model)
    files = blobs.files(container, "") if blobs.container_exists(container) else ()
    return digest_of(
        {"versions": [one.version for one in versions], "files": sorted((one.path, one.version) for one in files)}
    )


def due_files(versions: Sequence[ModelVersion], blobs: BlobStorage) -> Iterator[ArrivedFile]:
    """The files of predictions of some models' versions without a receipt of just that content.

    What lies in no version's folder is logged, and waits until the version is registered.

    Args:
        versions: all versions of these models.
        blobs: storage.

    Raises:
        StorageError: storage does not answer.
    """
    known = {(one.model, one.version): one for one in versions}
    for model in dict.fromkeys(one.model for one in versions):
        container = predictions_container(model)
        listed = list(blobs.listing(container)) if blobs.container_exists(container) else []
        answered = {(one.name, one.metadata.get(_OF)) for one in listed if one.name.endswith(RECEIPT_SUFFIX)}
        for one in listed:
            folder, _, name = one.name.partition("/")
            etag = one.version.strip('"')
            if not name.endswith(PREDICTION_SUFFIXES) or (f"{one.name}{RECEIPT_SUFFIX}", etag) in answered:
                continue
            if version := known.get((model, folder)):
                yield ArrivedFile(version, container, one.name, etag)
            else:
                log.warning("%s/%s: %s has no version %s", container, one.name, model, folder)


def record_arrived(database: Database, blobs: BlobStorage, arrived: ArrivedFile, *, by: str) -> FileReceipt:
    """Record a file of a container, and write its receipt beside it; see `record_file`.

    Raises:
        FileChangedError: it is gone, or was changed while it was read.
        DatabaseError: the database does not answer.
        StorageError: storage does not answer.
    """
    from nachet_pipeline.models.predictions.recording import record_file  # noqa: PLC0415 (pyarrow, which no look needs)

    with tempfile.TemporaryDirectory(prefix="nachet-") as place:
        # A file may be called just `.jsonl`: that is no suffix to a path.
        suffix = next(one for one in PREDICTION_SUFFIXES if arrived.blob.endswith(one))
        path = Path(place) / f"predictions{suffix}"
        with path.open("wb") as stream:
            blobs.download(arrived.container, arrived.blob, stream)
        receipt = record_file(database, arrived.version, path, by=by, place=arrived.place)
    content = json.dumps(asdict(receipt.file), ensure_ascii=False, default=str).encode()
    blobs.upload(
        arrived.container,
        f"{arrived.blob}{RECEIPT_SUFFIX}",
        content,
        content_type="application/json",
        overwrite=True,
        # Of what was listed: a file that was changed while it was read is due again.
        metadata={_OF: arrived.etag},
    )
    return receipt
