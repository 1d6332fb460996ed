"""The containers into which predictions are put: which files of them are due, and recording one with its receipt.

A model's container has a folder for each version. Beside a file that was read lies its receipt, for whoever put it
there with nothing but a key.
"""

import json
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from nachet_pipeline.database.connection import Database
from nachet_pipeline.identifiers import RECEIPT_SUFFIX, predictions_container
from nachet_pipeline.models.model import ModelVersion
from nachet_pipeline.models.predictions.queries import FileReceipt, read_places
from nachet_pipeline.models.predictions.reading import SUFFIXES
from nachet_pipeline.models.predictions.recording import record_file
from nachet_pipeline.models.queries import model_versions
from nachet_pipeline.storage.blobs import BlobStorage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ArrivedFile:
    """A file of predictions that was put into its model's container.

    Attributes:
        version: whose predictions these are, by the folder.
        container: the container.
        blob: the file's name there.
    """

    version: ModelVersion
    container: str
    blob: str

    @property
    def place(self) -> str:
        """Where it is."""
        return f"{self.container}/{self.blob}"


def due_files(database: Database, blobs: BlobStorage) -> Iterator[ArrivedFile]:
    """The files of predictions that were not read since they were written.

    What lies in no version's folder is logged, and waits until the version is registered.

    Raises:
        DatabaseError: the database does not answer.
        StorageError: storage does not answer.
    """
    with database.connection() as connection:
        versions = {(one.model, one.version): one for one in model_versions(connection)}
        read = read_places(connection)
    for model in dict.fromkeys(model for model, _ in versions):
        container = predictions_container(model)
        for found in blobs.listing(container) if blobs.container_exists(container) else ():
            folder, _, name = found.name.partition("/")
            if not name.endswith(SUFFIXES):
                continue
            if (version := versions.get((model, folder))) is None:
                log.warning("%s/%s: %s has no version %s", container, found.name, model, folder)
                continue
            arrived = ArrivedFile(version, container, found.name)
            before = read.get(arrived.place)
            if before is None or before < found.modified:
                yield arrived


def record_arrived(database: Database, blobs: BlobStorage, arrived: ArrivedFile, *, by: str) -> FileReceipt:
    """Record a file of a container, and write its receipt beside it; see `record_file`.

    Raises:
        FileChangedError: it is gone, or was changed while it was read.
        DatabaseError: the database does not answer.
        StorageError: storage does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="nachet-") as place:
        path = Path(place) / f"predictions{PurePosixPath(arrived.blob).suffix}"
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
    )
    return receipt
