"""What lies in a container, folder by folder, kept on disk: a container may hold millions of blobs.

Blobs come sorted by their whole name, in which a folder's own files are not neighbours: its subfolders lie between.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from nachet_pipeline.contract.structure import picture_format
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.files import StagedFile
from nachet_pipeline.support.scratch import Scratch

_SCHEMA = """
create table file (
    folder text, name text, size integer, version text, modified text, picture integer, primary key (folder, name)
) without rowid;
"""


@dataclass(frozen=True, slots=True)
class ListedFolder:
    """A folder that holds files itself.

    Attributes:
        path: its path in the container; empty for what lies at the top.
        files: how many files it holds.
        pictures: how many of them have the name of a picture.
        size: bytes of those.
    """

    path: str
    files: int
    pictures: int
    size: int


class ContainerListing(Scratch):
    """The blobs of a container; a context manager that forgets them at the end."""

    def __init__(self) -> None:
        super().__init__(_SCHEMA)

    def read(
        self,
        blobs: BlobStorage,
        container: str,
        prefix: str = "",
        wanted: Callable[[str], bool] = lambda folder: True,
    ) -> None:
        """List a container, or one folder of it with all below.

        Args:
            blobs: where the container is.
            container: the container.
            prefix: the one folder, empty for all.
            wanted: says which folders are kept.

        Raises:
            StorageError: storage does not answer.
        """
        above = prefix.strip("/")
        last, keep = None, False
        for file in blobs.files(container, above):
            folder, _, name = (f"{above}/{file.path}" if above else file.path).rpartition("/")
            if folder != last:
                last, keep = folder, wanted(folder)
            if not keep:
                continue
            is_picture = picture_format(name) is not None
            self._db.execute(
                "insert or replace into file values (?, ?, ?, ?, ?, ?)",
                (folder, name, file.size, file.version, file.modified.isoformat(), is_picture),
            )

    def folders(self) -> Iterator[ListedFolder]:
        """The folders that hold files, sorted by path."""
        query = (
            "select folder, count(*), sum(picture), sum(case when picture then size else 0 end) from file"
            " group by folder order by folder"
        )
        return (ListedFolder(*row) for row in self._db.execute(query))

    def files(self, folder: str) -> Iterator[StagedFile]:
        """The files directly in a folder, sorted by name, under their blobs' names."""
        query = "select name, size, version, modified from file where folder = ? order by name"
        for name, size, version, modified in self._db.execute(query, (folder,)):
            path = f"{folder}/{name}" if folder else name
            yield StagedFile(path, size, version, datetime.fromisoformat(modified))

    def digest(self, folder: str) -> str:
        """SHA-256 over names, sizes and versions: changes when anything directly in the folder does."""
        digest = hashlib.sha256()
        query = "select name, size, version from file where folder = ? order by name"
        for row in self._db.execute(query, (folder,)):
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()

    def pictures(self) -> int:
        """How many files have the name of a picture."""
        return int(self._db.execute("select coalesce(sum(picture), 0) from file").fetchone()[0])
