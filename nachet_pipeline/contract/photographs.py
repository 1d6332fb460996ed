"""Photographs that somebody judged before: withdrawn from training, or named; and those that wait for a name."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.shown import Shown
from nachet_pipeline.contract.stored import OtherLabel, StoredPictures
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.support.batches import batched
from nachet_pipeline.support.i18n import Bilingual, in_words

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
    names = {identifier: seed.scientific_name for identifier, seed in registry.by_id.items()}
    for path, shows, other, other_shows, same_file in inventory.under_two_labels():
        same, here, there = _SAME[same_file], _named(shows, names), _named(other_shows, names)
        yield _conflict(
            path,
            Bilingual(
                f"{here.en} here; {other}, {same.en}, is {there.en}",
                f"{here.fr} ici; {other}, {same.fr}, est {there.fr}",
            ),
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
                    yield _conflict(one.path, _stored_as(_named(one.shows, names), labels[one.path]))


def waiting_pictures(
    inventory: Inventory, sessions: Iterable[str], picture_sets: Mapping[str, UUID], stored: StoredPictures | None
) -> dict[str, int]:
    """How many pictures of each session show seeds that nobody has named, without sessions that have none.

    Args:
        inventory: holds the pictures.
        sessions: paths of the upload's sessions.
        picture_sets: which picture set each session is, by path; empty where no owner is known.
        stored: answers what was decided and withdrawn; None where nothing is stored.
    """
    waiting: Counter[str] = Counter()
    for session in sessions:
        for batch in batched(inventory.candidates(session, picture_sets.get(session), unnamed=True), _BATCH):
            # What is withdrawn from training waits for nothing.
            settled = {*stored.named(batch), *stored.withdrawn(batch)} if stored else set()
            waiting[session] += len(batch) - len(settled)
    return dict(+waiting)


def _named(shows: Iterable[Shown], names: Mapping[UUID, str]) -> Bilingual:
    return in_words(sorted(names[kind.seed] for kind in shows if kind.seed))


def _stored_as(here: Bilingual, other: OtherLabel) -> Bilingual:
    stored, there = _STORED[other.same_file], in_words(other.species)
    place = Bilingual("", "")
    if other.folder is not None:
        place = Bilingual(f", in your folder {other.folder}", f", dans votre dossier {other.folder}")
        if other.session:
            place = Bilingual(f"{place.en}, session {other.session}", f"{place.fr}, session {other.session}")
    return Bilingual(
        f"{here.en} here; {stored.en} {there.en}{place.en}", f"{here.fr} ici; {stored.fr} {there.fr}{place.fr}"
    )


def _conflict(path: str, found: Bilingual) -> Finding:
    return Finding(code="label-conflict", path=path, expected=_ONE_SPECIES, found=found)
