"""What importing a session once more changes: which pictures are new, which are corrected, which are taken out.

That a picture is not there any more means that it is to be removed only where it cannot mean that it was sent earlier:
the staged session must be the one that was imported, corrected in place. It is as soon as one picture of it is still
the staged file that was imported then. Otherwise what comes is an addition, unless the uploader says that it replaces.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from uuid import UUID

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.sessions import Session, Wishes
from nachet_pipeline.contract.stored import Correction, StoredPictures, StoredSet
from nachet_pipeline.phrases import Phrase, verbatim

_NAMED = 5


@dataclass(slots=True)
class Corrected:
    """What an import changes of what is stored.

    Attributes:
        sessions: what importing each session changes, by its path.
        removed: the picture sets of sessions that the uploader wants removed, by the session's path.
        findings: what is to be said of it.
    """

    sessions: dict[str, Correction] = field(default_factory=dict)
    removed: dict[str, UUID] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def correct(
    inventory: Inventory,
    sessions: list[Session],
    picture_sets: Mapping[str, UUID],
    stored: StoredPictures,
    wishes: Wishes,
) -> Corrected:
    """Compare an upload with what earlier imports of it stored; the inventory takes what becomes of each picture.

    Args:
        inventory: holds the pictures, each file of a session once, and what is known of earlier ones.
        sessions: the upload's.
        picture_sets: which picture set each session is, by path.
        stored: knows what is stored.
        wishes: the uploader's.
    """
    result, known = Corrected(), stored.sets()
    for session in sessions:
        if session.path not in picture_sets:
            continue
        before = known.get(session.path)
        in_place = before is not None and inventory.still_staged(session.path, before.staged_until)
        result.sessions[session.path] = inventory.correct(session.path, in_place=in_place, replace=wishes.replace)
        result.findings.extend(_of_absent(inventory, session))
    for wanted in wishes.removed_sessions:
        result.findings.extend(_remove(result, wanted, wishes, {one.path for one in sessions}, known))
    return result


def _of_absent(inventory: Inventory, session: Session) -> Iterator[Finding]:
    for code, taken_out in (("pictures-taken-out", True), ("pictures-sent-earlier", False)):
        number, names = inventory.absent(session.path, taken_out=taken_out, most=_NAMED)
        if number:
            listed = ", ".join(names) + (", …" if number > len(names) else "")
            yield Finding(code=code, path=session.index_path, found=_pictures(number, listed))


def _pictures(number: int, names: str) -> Phrase:
    return Phrase(
        f"{number} picture{'s' * (number != 1)} imported before and not in the session now: {names}",
        f"{number} image{'s' * (number > 1)} importée{'s' * (number > 1)} auparavant et absente{'s' * (number > 1)}"
        f" de la session : {names}",
    )


def _remove(
    result: Corrected, wanted: str, wishes: Wishes, staged: set[str], known: Mapping[str, StoredSet]
) -> Iterator[Finding]:
    path = wanted if wanted in staged or wanted in known else f"pictures/{wanted}"
    if path in known and path not in staged:
        result.removed[path] = known[path].id
        return
    near = None if path in staged else next(iter(get_close_matches(path, list(known), 1)), None)
    yield Finding(
        code="removed-session-staged" if path in staged else "unknown-session",
        path=wishes.source,
        field="uploadData.removedSessions",
        line=wishes.removed_line,
        found=verbatim(wanted),
        suggestion=verbatim(near) if near else None,
    )
