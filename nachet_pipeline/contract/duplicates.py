"""Pictures that exist already: in the same upload, or stored before by any user."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.misnamed import copy_of
from nachet_pipeline.contract.stored import Candidate, Match, Relation
from nachet_pipeline.support.batches import batched
from nachet_pipeline.support.i18n import Bilingual

NEAR_BITS = 12
"""Two pictures look alike if their perceptual hashes differ in at most this many of their 256 bits.

Measured: the same picture saved as JPEG of quality 50, at half its size or brighter differs in at most 4 bits, cut by
0.3 % in at most 8; the two most alike of 122 different pictures of seeds on plain grounds differ in 72. It must not
exceed `FOUND_BITS` of `perceptual_hash.py`: up to that distance two hashes always share a band, so no match is missed.
"""

_BATCH = 1000


_ALREADY = {
    Relation.SAME_FILE: Bilingual("the same file as {}", "le même fichier que {}"),
    Relation.SAME_PIXELS: Bilingual(
        "the same pixels, in another file, as {}", "les mêmes pixels, dans un autre fichier, que {}"
    ),
    Relation.NEAR: Bilingual("a picture that looks like {}", "une image qui ressemble à {}"),
}
_CODES = {
    Relation.SAME_FILE: "duplicate-picture",
    Relation.SAME_PIXELS: "duplicate-picture",
    Relation.NEAR: "near-duplicate-picture",
}
_NEW = Bilingual("a picture that is not there yet", "une image qui n'est pas encore là")


Known = Callable[[Sequence[Candidate], Collection[UUID]], Mapping[str, Match]]
"""Finds the closest stored picture of each candidate, by path; it is called with a thousand candidates at a time.

It is also given the picture sets that the upload becomes, because an earlier import may have stored them.
"""


def duplicates(
    inventory: Inventory, sessions: Iterable[str], picture_sets: Mapping[str, UUID], known: Known | None
) -> Iterator[Finding]:
    """A finding for every picture that exists already, about the closest one.

    A stored picture of the same user is named by folder, session and file; of another user's only the identifier is
    reported.

    Args:
        inventory: holds the pictures.
        sessions: paths of the upload's sessions.
        picture_sets: which picture set each session is, by path; empty where no owner is known.
        known: finds stored pictures; None where nothing is stored.
    """
    own = set(picture_sets.values())
    for session in sessions:
        picture_set = picture_sets.get(session)
        for batch in batched(inventory.candidates(session, picture_set), _BATCH):
            stored = known(batch, own) if known and picture_set else {}
            for candidate in batch:
                finding = _finding(inventory, candidate, stored.get(candidate.path))
                if finding:
                    yield finding
    for path, first in inventory.contradicting_copies():
        yield Finding(code="copies-differ", path=path, expected=_ONE_DESCRIPTION, found=_as_well(first))


_ONE_DESCRIPTION = Bilingual("one description of one file", "une seule description d'un même fichier")


def _as_well(first: str) -> Bilingual:
    return Bilingual(f"the same file as {first}, described otherwise", f"le même fichier que {first}, décrit autrement")


def _finding(inventory: Inventory, candidate: Candidate, stored: Match | None) -> Finding | None:
    here = inventory.same_as(candidate.path, NEAR_BITS)
    order, path = list(Relation), candidate.path
    other_path: str | None
    if here and (stored is None or order.index(Relation(here[0])) <= order.index(stored.relation)):
        relation, other_path = Relation(here[0]), here[1]
        if copy_of(other_path.rpartition("/")[2]) == path.rpartition("/")[2]:
            # Who leaves one of the two out leaves out the one that is named as the copy.
            path, other_path = other_path, path
        other = Bilingual.same(other_path)
    elif stored:
        relation, other, other_path = stored.relation, _stored(stored), None
    else:
        return None
    words = _ALREADY[relation]
    return Finding(
        code=_CODES[relation],
        path=path,
        expected=_NEW,
        found=Bilingual(words.en.replace("{}", other.en), words.fr.replace("{}", other.fr)),
        other=other_path,
    )


def _stored(match: Match) -> Bilingual:
    """A stored picture as its owner knows it; of another user's nothing but the identifier is said."""
    if match.place is None:
        return Bilingual(
            f"another user's picture (identifier {match.picture})",
            f"l'image d'un autre utilisateur (identifiant {match.picture})",
        )
    return Bilingual(
        f"{match.place}, which is stored already (identifier {match.picture})",
        f"{match.place}, déjà enregistrée (identifiant {match.picture})",
    )
