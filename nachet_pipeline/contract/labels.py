"""Photographs that are under two species: in the same upload, or here and among those stored before."""

from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.stored import LabelledPicture, OtherLabel, StoredPictures
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.support.batches import batched
from nachet_pipeline.support.i18n import Bilingual

_BATCH = 1000


_EXPECTED = Bilingual("one species for one photograph", "une seule espèce par photographie")
_SAME = {True: Bilingual("the same file", "le même fichier"), False: Bilingual("the same pixels", "les mêmes pixels")}
_STORED = {
    True: Bilingual("the same file is stored as", "le même fichier est enregistré comme"),
    False: Bilingual("the same pixels are stored as", "les mêmes pixels sont enregistrés comme"),
}


def label_conflicts(
    inventory: Inventory,
    sessions: Iterable[str],
    picture_sets: Mapping[str, UUID],
    registry: SeedRegistry,
    stored: StoredPictures | None,
) -> Iterator[Finding]:
    """A finding for every picture whose photograph is under another species as well.

    Of what other users stored nothing but the species is told.

    Args:
        inventory: holds the pictures.
        sessions: paths of the upload's.
        picture_sets: which picture set each session is, by path; empty where no owner is known.
        registry: knows the species' names.
        stored: knows what is stored; None where nothing is.
    """
    names = {str(identifier): seed.scientific_name for identifier, seed in registry.by_id.items()}
    for path, seed, other, other_seed, same_file in inventory.under_two_seeds():
        same, here, there = _SAME[same_file], names[seed], names[other_seed]
        yield _finding(
            path,
            Bilingual(f"{here} here; {other}, {same.en}, is {there}", f"{here} ici; {other}, {same.fr}, est {there}"),
        )
    own = set(picture_sets.values())
    for session in sessions:
        if stored is None or session not in picture_sets:
            continue
        for batch in batched(_labelled(inventory, session), _BATCH):
            found = stored.other_labels(batch, own)
            for picture in batch:
                if picture.path in found:
                    yield _finding(picture.path, _stored(names[str(picture.seed_id)], found[picture.path]))


def _labelled(inventory: Inventory, session: str) -> Iterator[LabelledPicture]:
    for path, sha256, pixel_sha256, seed in inventory.picture_seeds(session):
        yield LabelledPicture(
            path, bytes.fromhex(sha256), bytes.fromhex(pixel_sha256) if pixel_sha256 else None, UUID(seed)
        )


def _stored(here: str, other: OtherLabel) -> Bilingual:
    stored = _STORED[other.same_file]
    place = Bilingual("", "")
    if other.folder is not None:
        place = Bilingual(f", in your folder {other.folder}", f", dans votre dossier {other.folder}")
        if other.session:
            place = Bilingual(f"{place.en}, session {other.session}", f"{place.fr}, session {other.session}")
    return Bilingual(
        f"{here} here; {stored.en} {other.species}{place.en}", f"{here} ici; {stored.fr} {other.species}{place.fr}"
    )


def _finding(path: str, found: Bilingual) -> Finding:
    return Finding(code="label-conflict", path=path, expected=_EXPECTED, found=found)
