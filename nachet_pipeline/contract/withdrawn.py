"""Pictures of an upload that were withdrawn from training before, and stay so."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from nachet_pipeline.batches import batched
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.manifest import ManifestSession
from nachet_pipeline.phrases import Phrase

_BATCH = 1000
_WANTED = Phrase("a picture that models may learn from", "une image dont des modèles peuvent apprendre")
_FOUND = Phrase("a photograph that was withdrawn from training", "une photographie retirée de l'entraînement")


@dataclass(frozen=True, slots=True)
class Content:
    """What a picture is, wherever it lies.

    Attributes:
        path: relative to its upload.
        sha256: of its file.
        pixel_sha256: of its pixels, None if they were not measured.
    """

    path: str
    sha256: bytes
    pixel_sha256: bytes | None


Withdrawn = Callable[[Sequence[Content]], Collection[str]]
"""Gives, of a thousand pictures at a time, the paths of those that are withdrawn."""


def withdrawn_pictures(
    inventory: Inventory, sessions: Iterable[ManifestSession], withdrawn: Withdrawn | None
) -> Iterator[Finding]:
    """One finding for every picture that is withdrawn; who wanted it, and why, is not the uploader's to know.

    Args:
        inventory: holds the pictures.
        sessions: of the upload.
        withdrawn: knows what is withdrawn; None where nothing is stored.
    """
    for session in sessions if withdrawn else ():
        contents = (
            Content(path, bytes.fromhex(sha256), bytes.fromhex(pixel_sha256) if pixel_sha256 else None)
            for path, sha256, pixel_sha256, _looks in inventory.picture_looks(session.path)
        )
        for batch in batched(contents, _BATCH):
            found = withdrawn(batch) if withdrawn else ()
            for content in batch:
                if content.path in found:
                    yield Finding(code="withdrawn-picture", path=content.path, expected=_WANTED, found=_FOUND)
