"""The manifest of a published version, brought here for an export."""

from pathlib import Path

from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.files import FileChangedError
from nachet_pipeline.training.exports.errors import ChoiceError
from nachet_pipeline.training.queries import Version


def bring_manifest(blobs: BlobStorage, version: Version, file: Path) -> None:
    """Write a version's manifest to a file.

    Raises:
        ChoiceError: it is not in storage any more.
        StorageError: storage does not answer.
    """
    try:
        file.write_bytes(blobs.read(version.container, version.blob))
    except FileChangedError:
        place = f"{version.container}/{version.blob}"
        raise ChoiceError(f"{version.name}@{version.digest[:12]}: its manifest {place} is not in storage") from None
