"""What the pictures of a training set look like: thumbnails of a few, made from their files in storage."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from nachet_pipeline.pictures.contact_sheet import contact_sheet
from nachet_pipeline.pictures.decoding_pool import DecodingPool
from nachet_pipeline.pictures.inspected import Thumbnail
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.support.bounded import MemoryBudget, bounded_map
from nachet_pipeline.support.files import FileChangedError
from nachet_pipeline.training.manifest import PictureFile
from nachet_pipeline.training.plots import side_by_side

SHOWN_PAIRS = 8


class Thumbnails:
    """Makes thumbnails of stored pictures, a few at a time."""

    def __init__(self, blobs: BlobStorage, pool: DecodingPool, *, concurrency: int, memory_bytes: int) -> None:
        """Prepare for it; nothing is read yet.

        Args:
            blobs: where the pictures are.
            pool: decodes them: files that were stored long ago are as little trusted as new ones.
            concurrency: pictures read at a time.
            memory_bytes: bytes of pictures held at a time; a larger one waits until it is alone.
        """
        self._blobs = blobs
        self._pool = pool
        self._concurrency = concurrency
        self._budget = MemoryBudget(memory_bytes)

    def sheets(self, samples: Mapping[str, Sequence[PictureFile]]) -> Iterator[tuple[str, bytes]]:
        """A contact sheet for each name, in order; none where no picture can be shown."""
        small = self._of(picture for pictures in samples.values() for picture in pictures)
        for name, pictures in samples.items():
            shown = [content for _, content in zip(pictures, small, strict=False) if content is not None]
            if sheet := contact_sheet(shown):
                yield name, sheet

    def pairs(self, pairs: Sequence[tuple[PictureFile, PictureFile]]) -> bytes | None:
        """Pairs of pictures side by side; None if there are none that can be shown."""
        small = list(self._of(picture for pair in pairs[:SHOWN_PAIRS] for picture in pair))
        whole = [
            (one, other)
            for one, other in zip(small[::2], small[1::2], strict=True)
            if one is not None and other is not None
        ]
        return side_by_side(whole) if whole else None

    def captioned(self, pictures: Sequence[tuple[PictureFile, str]]) -> bytes | None:
        """A contact sheet of pictures with something written below each; None if none can be shown."""
        small = list(self._of(picture for picture, _ in pictures))
        shown = [
            (content, caption) for content, (_, caption) in zip(small, pictures, strict=True) if content is not None
        ]
        return contact_sheet([content for content, _ in shown], [caption for _, caption in shown])

    def _of(self, pictures: Iterable[PictureFile]) -> Iterator[bytes | None]:
        return bounded_map(
            self._thumbnail,
            pictures,
            workers=self._concurrency,
            budget=self._budget,
            size=lambda picture: picture.size,
            name="thumbnail",
        )

    def _thumbnail(self, picture: PictureFile) -> bytes | None:
        """None if the file is not what was stored: the sheet leaves it out, and `pictures_current` reports it."""
        try:
            content = self._blobs.read(picture.container, picture.blob, size=picture.size)
        except (FileChangedError, StorageError):
            return None
        if hashlib.sha256(content).hexdigest() != picture.sha256:
            return None
        return self._pool.inspect(content, picture.format, thumbnail=Thumbnail.ALWAYS).result().thumbnail
