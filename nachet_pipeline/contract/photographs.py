"""Photographs that somebody judged before: withdrawn from training, or labelled as another species."""

from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.stored import OtherLabel, StoredPictures
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.support.batches import batched
from nachet_pipeline.support.i18n import Bilingual

_BATCH = 1000

_TRAINABLE = Bilingual("a picture that models may learn from", "une image dont des modèles peuvent apprendre")
_WITHDRAWN = Bilingual("a photograph that was withdrawn from training", "une photographie retirée de l'entraînement")
_ONE_SPECIES = Bilingual("one species for one photograph", "une seule espèce par photographie")
_SAME = {True: Bilingual("the same file", "le même fichier"), False: Bilingual("the same pixels", "les mêmes pixels")}
_STORED = {
    True: Bilingual("the same file is stored as", "le même fichier est enregistré comme"),
    False: Bilingual("the same pixels are stored as", "les mêmes pixels sont enregistrés comme"),
}


def judged_photographs(
    inventory: Inventory,
    sessions: Iterable[str],
    picture_sets: Mapping[str, UUID],
    registry: SeedRegistry,
    stored: StoredPictures | None,
) -> Iterator[Finding]:
    """A finding for every withdrawn picture, and for every picture whose photograph has another label somewhere.

    Who withdrew a photograph, and why, is not reported. Of another user's picture only the species is.

    Args:
        inventory: holds the pictures.
        sessions: paths of the upload's sessions.
        picture_sets: which picture set each session is, by path; empty where no owner is known.
        registry: gives the species' names.
        stored: answers what is stored; None where nothing is.
    """
    names = {str(identifier): seed.scientific_name for identifier, seed in registry.by_id.items()}
    for path, seed, other, other_seed, same_file in inventory.under_two_seeds():
        same, here, there = _SAME[same_file], names[seed], names[other_seed]
        yield _conflict(
            path,
            Bilingual(f"{here} here; {other}, {same.en}, is {there}", f"{here} ici; {other}, {same.fr}, est {there}"),
        )
    if stored is None:
        return
    own = set(picture_sets.values())
    for session in sessions:
        picture_set = picture_sets.get(session)
        for batch in batched(inventory.candidates(session, picture_set), _BATCH):
            withdrawn = stored.withdrawn(batch)
            labels = stored.other_labels(batch, own) if picture_set else {}
            for one in batch:
                if one.path in withdrawn:
                    yield Finding(code="withdrawn-picture", path=one.path, expected=_TRAINABLE, found=_WITHDRAWN)
                if one.path in labels:
                    yield _conflict(one.path, _stored_as(names[str(one.seed_id)], labels[one.path]))


def _stored_as(here: str, other: OtherLabel) -> Bilingual:
    stored = _STORED[other.same_file]
    place = Bilingual("", "")
    if other.folder is not None:
        place = Bilingual(f", in your folder {other.folder}", f", dans votre dossier {other.folder}")
        if other.session:
            place = Bilingual(f"{place.en}, session {other.session}", f"{place.fr}, session {other.session}")
    return Bilingual(
        f"{here} here; {stored.en} {other.species}{place.en}", f"{here} ici; {stored.fr} {other.species}{place.fr}"
    )


def _conflict(path: str, found: Bilingual) -> Finding:
    return Finding(code="label-conflict", path=path, expected=_ONE_SPECIES, found=found)
