"""Pictures that are there already: in the same upload, or stored before by whomever."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from nachet_pipeline.batches import batched
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.manifest import ManifestSession, name_within_session
from nachet_pipeline.phrases import Phrase
from nachet_pipeline.storage.naming import picture_id

NEAR_BITS = 12
"""Two pictures look alike if their perceptual hashes differ in no more of their 256 bits.

Measured: the same picture saved as JPEG of quality 50, at half its size or brighter differs in at most 4 bits, cut by
0.3 % in at most 8; of 122 different pictures of seeds on plain grounds the two most alike differ in 72. No more
than `FOUND_BITS` of `perceptual_hash.py`: up to there a match is found with certainty, for the hashes share a band.
"""

_BATCH = 1000


class Relation(StrEnum):
    """How two pictures are the same; the closest first."""

    SAME_FILE = "same file"
    SAME_PIXELS = "same pixels"
    NEAR = "near"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture that may be there already.

    Attributes:
        path: relative to its upload.
        id: what it would be stored as; a stored picture of this identifier is itself.
        sha256: of its file.
        pixel_sha256: of its pixels, None if they were not measured.
        looks: its perceptual hash, None if it has none.
    """

    path: str
    id: UUID
    sha256: bytes
    pixel_sha256: bytes | None
    looks: bytes | None


@dataclass(frozen=True, slots=True)
class Match:
    """A stored picture that another one equals.

    Attributes:
        relation: how.
        picture: the stored one.
        distance: bits in which their perceptual hashes differ, 0 if they are the same.
    """

    relation: Relation
    picture: UUID
    distance: int = 0


Known = Callable[[Sequence[Candidate], Collection[UUID]], Mapping[str, Match]]
"""Gives, for a thousand pictures at a time, the closest stored one of each that has one, by path.

The picture sets that the upload becomes are given too: an upload that is imported once more finds them there.
"""

_ALREADY = {
    Relation.SAME_FILE: Phrase("the same file as {}", "le même fichier que {}"),
    Relation.SAME_PIXELS: Phrase(
        "the same pixels, in another file, as {}", "les mêmes pixels, dans un autre fichier, que {}"
    ),
    Relation.NEAR: Phrase("a picture that looks like {}", "une image qui ressemble à {}"),
}
_CODES = {
    Relation.SAME_FILE: "duplicate-picture",
    Relation.SAME_PIXELS: "duplicate-picture",
    Relation.NEAR: "near-duplicate-picture",
}
_NEW = Phrase("a picture that is not there yet", "une image qui n'est pas encore là")


def duplicates(inventory: Inventory, sessions: Iterable[ManifestSession], known: Known | None) -> Iterator[Finding]:
    """One finding for every picture that is there already, about the closest that it equals.

    Of stored pictures nothing but the identifier is told: they may be somebody else's.

    Args:
        inventory: holds the pictures.
        sessions: of the upload.
        known: knows what is stored; None where nothing is.
    """
    described = list(sessions)
    own = {session.picture_set_id for session in described if session.picture_set_id}
    for session in described:
        for batch in batched(_candidates(inventory, session), _BATCH):
            stored = known(batch, own) if known and session.picture_set_id else {}
            for candidate in batch:
                finding = _finding(inventory, candidate, stored.get(candidate.path))
                if finding:
                    yield finding


def _candidates(inventory: Inventory, session: ManifestSession) -> Iterator[Candidate]:
    nobody = UUID(int=0)
    for path, sha256, pixel_sha256, looks in inventory.picture_looks(session.path):
        yield Candidate(
            path=path,
            id=picture_id(session.picture_set_id or nobody, name_within_session(path), sha256),
            sha256=bytes.fromhex(sha256),
            pixel_sha256=bytes.fromhex(pixel_sha256) if pixel_sha256 else None,
            looks=bytes.fromhex(looks) if looks else None,
        )


def _finding(inventory: Inventory, candidate: Candidate, stored: Match | None) -> Finding | None:
    here = inventory.same_as(candidate.path, NEAR_BITS)
    order = list(Relation)
    if here and (stored is None or order.index(Relation(here[0])) <= order.index(stored.relation)):
        relation = Relation(here[0])
        other = Phrase(here[1], here[1])
    elif stored:
        relation = stored.relation
        other = Phrase(f"the stored picture {stored.picture}", f"l'image stockée {stored.picture}")
    else:
        return None
    words = _ALREADY[relation]
    return Finding(
        code=_CODES[relation],
        path=candidate.path,
        expected=_NEW,
        found=Phrase(words.en.replace("{}", other.en), words.fr.replace("{}", other.fr)),
    )
