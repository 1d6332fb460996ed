"""A folder that a user staged in Blob storage."""

from collections.abc import Iterator

from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.files import FileChangedError, StagedFile


class StagedFolder:
    """An upload's folder in its user's upload container. Reading pins the version that was listed.

    Attributes:
        blobs: the storage account; it may be replaced while the folder is being listed.
    """

    staged = True

    def __init__(self, blobs: BlobStorage, container: str, folder: str) -> None:
        self.blobs = blobs
        self._container = container
        self._folder = folder

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self._folder

    def files(self) -> Iterator[StagedFile]:
        """All blobs of the folder, in the service's order. No request is open between two pages."""
        after = ""
        while True:
            files, after = self.blobs.files_page(self._container, self._folder, after)
            yield from files
            if not after:
                return

    def read(self, file: StagedFile) -> bytes:
        """The bytes of a blob, exactly as it was listed.

        Raises:
            FileChangedError: it changed or vanished since.
        """
        try:
            return self.blobs.read(self._container, f"{self._folder}/{file.path}", file.version)
        except FileChangedError as error:
            raise FileChangedError(file.path) from error

    def start(self, file: StagedFile, size: int) -> bytes:
        """The first bytes of a blob, which may be of any size.

        Raises:
            FileChangedError: it changed or vanished since.
        """
        try:
            return self.blobs.read_start(self._container, f"{self._folder}/{file.path}", file.version, size)
        except FileChangedError as error:
            raise FileChangedError(file.path) from error
