"""Pictures of an upload that were withdrawn from training before, and stay so."""

from collections.abc import Iterable, Iterator

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.stored import Content, StoredPictures
from nachet_pipeline.support.batches import batched
from nachet_pipeline.support.i18n import Bilingual

_BATCH = 1000
_WANTED = Bilingual("a picture that models may learn from", "une image dont des modèles peuvent apprendre")
_FOUND = Bilingual("a photograph that was withdrawn from training", "une photographie retirée de l'entraînement")


def withdrawn_pictures(
    inventory: Inventory, sessions: Iterable[str], stored: StoredPictures | None
) -> Iterator[Finding]:
    """One finding for every picture that is withdrawn; who wanted it, and why, is not the uploader's to know.

    Args:
        inventory: holds the pictures.
        sessions: paths of the upload's.
        stored: knows what is withdrawn; None where nothing is stored.
    """
    for session in sessions if stored else ():
        contents = (
            Content(path, bytes.fromhex(sha256), bytes.fromhex(pixel_sha256) if pixel_sha256 else None)
            for path, sha256, pixel_sha256, _looks, _stored_id in inventory.picture_looks(session)
        )
        for batch in batched(contents, _BATCH):
            found = stored.withdrawn(batch) if stored else ()
            for content in batch:
                if content.path in found:
                    yield Finding(code="withdrawn-picture", path=content.path, expected=_WANTED, found=_FOUND)
