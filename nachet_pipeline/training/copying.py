"""Copying a version's pictures into its training set's container, on the server's side."""

import hashlib
from functools import partial
from typing import IO

from nachet_pipeline.identifiers import training_picture_blob
from nachet_pipeline.storage.blobs import BlobProperties, BlobStorage, StorageError
from nachet_pipeline.support.bounded import bounded_map
from nachet_pipeline.support.files import FileChangedError
from nachet_pipeline.support.progress import Progress, silent
from nachet_pipeline.training.manifest import FILE_COLUMNS, PictureFile, open_manifest

_CONCURRENCY = 4


def copy_pictures(
    manifest: IO[bytes],
    blobs: BlobStorage,
    container: str,
    *,
    progress: Progress = silent,
) -> int:
    """Copy every picture of a manifest to `pictures/<sha256><suffix>`, never over another blob.

    A picture that is there already, from this or an earlier version or an interrupted call, is compared and left.

    Args:
        manifest: the version's manifest.
        blobs: the storage account.
        container: the training set's.
        progress: receives how many are done, of how many.

    Returns:
        How many were copied now.

    Raises:
        StorageError: storage does not answer; a picture is not there or not what the manifest says; or another file
            lies where it should go.
    """
    with open_manifest(manifest) as opened:
        total = opened.pictures
        pictures = (
            PictureFile(**row) for batch in opened.rows(FILE_COLUMNS, batch_rows=1_000) for row in batch.to_pylist()
        )
        copy = partial(_copy, blobs, container)
        copied = 0
        for done, created in enumerate(bounded_map(copy, pictures, workers=_CONCURRENCY, name="copy"), start=1):
            copied += created
            progress(done, total)
    return copied


def _copy(blobs: BlobStorage, container: str, picture: PictureFile) -> bool:
    target = training_picture_blob(picture.sha256, picture.format)
    stated = {"sha256": picture.sha256}
    if (found := blobs.properties_of(container, target)) is not None:
        _compare(container, target, picture, found)
        return False
    source = blobs.properties_of(picture.container, picture.blob)
    if source is None or source.size != picture.size:
        raise StorageError(
            f"{picture.container}/{picture.blob}: expected the {picture.size} bytes of the picture"
            f" {picture.picture_id}, found {'nothing' if source is None else f'{source.size} bytes'}"
        )
    md5 = source.md5
    if source.metadata.get("sha256") != picture.sha256 or md5 is None:
        # The metadata of a blob that we did not write cannot be trusted.
        md5 = _read_md5(blobs, picture, source.version)
    try:
        created = blobs.copy(
            (picture.container, picture.blob), (container, target), version=source.version, md5=md5, metadata=stated
        )
    except FileChangedError:
        raise StorageError(f"{picture.container}/{picture.blob} changed while it was copied") from None
    if not created and (found := blobs.properties_of(container, target)) is not None:
        _compare(container, target, picture, found)
    return created


def _compare(container: str, target: str, picture: PictureFile, found: BlobProperties) -> None:
    stored = found.size, found.metadata
    if stored != (picture.size, {"sha256": picture.sha256}):
        raise StorageError(
            f"{container}/{target} is not the picture {picture.picture_id}: expected {picture.size} bytes with SHA-256"
            f" {picture.sha256}, found {stored}"
        )


def _read_md5(blobs: BlobStorage, picture: PictureFile, version: str) -> str:
    try:
        content = blobs.read(picture.container, picture.blob, version)
    except FileChangedError:
        raise StorageError(f"{picture.container}/{picture.blob} changed while it was read") from None
    if (found := hashlib.sha256(content).hexdigest()) != picture.sha256:
        raise StorageError(
            f"{picture.container}/{picture.blob}: expected the picture {picture.picture_id} with SHA-256"
            f" {picture.sha256}, found {found}"
        )
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
