"""What importing a session once more changes: which pictures are new, which are corrected, which are taken out.

That a picture is not there any more means that it is to be removed only where it cannot mean that it was sent earlier:
the staged session must be the one that was imported, corrected in place. It is as soon as one picture of it is still
the staged file that was imported then. Otherwise what comes is an addition, unless the uploader says that it replaces.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from unicodedata import normalize
from uuid import UUID

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.sessions import Session, Wishes
from nachet_pipeline.contract.stored import Correction, StoredSet
from nachet_pipeline.support.i18n import Bilingual

_NAMED = 5
_SUGGESTED = 20


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
    stored: Mapping[str, StoredSet] | None,
    wishes: Wishes,
) -> Corrected:
    """Compare an upload with what earlier imports of it stored; the inventory takes what becomes of each picture.

    Args:
        inventory: holds the pictures, each file of a session once, and what is known of earlier ones.
        sessions: those of the upload's that are right.
        stored: the picture sets that are stored of the upload, by session; None where nothing can be.
        wishes: the uploader's.
    """
    result = Corrected()
    known = stored or {}
    if stored is not None:
        for session in sessions:
            before = known.get(session.path)
            in_place = before is not None and inventory.still_staged(session.path, before.staged_until)
            result.sessions[session.path] = inventory.correct(session.path, in_place=in_place, replace=wishes.replace)
            result.findings.extend(_of_absent(inventory, session))
    staged = set(inventory.sessions())
    # An accent is written in one way by keyboards, and in another by some file systems.
    paths = {normalize("NFC", path): path for path in (*known, *staged)} | {path: path for path in (*known, *staged)}
    unknown = 0
    for wanted in wishes.removed_sessions:
        name = normalize("NFC", wanted).strip("/")
        named = (wanted, f"pictures/{wanted}", name, f"pictures/{name}")
        path = next((paths[one] for one in named if one in paths), f"pictures/{wanted}")
        if path in staged:
            result.findings.append(_of_removed("removed-session-staged", wanted, wishes))
        elif path in known:
            result.removed[path] = known[path].id
        elif stored is not None:
            unknown += 1  # comparing with thousands of names takes its time
            near = get_close_matches(path, list(known), 1) if unknown <= _SUGGESTED else ()
            result.findings.append(_of_removed("unknown-session", wanted, wishes, *near))
    return result


def _of_absent(inventory: Inventory, session: Session) -> Iterator[Finding]:
    for code, taken_out in (("pictures-taken-out", True), ("pictures-sent-earlier", False)):
        number, names = inventory.absent(session.path, taken_out=taken_out, most=_NAMED)
        if number:
            listed = ", ".join(names) + (", …" if number > len(names) else "")
            yield Finding(code=code, path=session.index_path, found=_pictures(number, listed))


def _pictures(number: int, names: str) -> Bilingual:
    return Bilingual(
        f"{number} picture{'s' * (number != 1)} imported before and not in the session now: {names}",
        f"{number} image{'s' * (number > 1)} importée{'s' * (number > 1)} auparavant et absente{'s' * (number > 1)}"
        f" de la session : {names}",
    )


def _of_removed(code: str, wanted: str, wishes: Wishes, near: str | None = None) -> Finding:
    return Finding(
        code=code,
        path=wishes.source,
        field="uploadData.removedSessions",
        line=wishes.removed_line,
        found=Bilingual.same(wanted),
        suggestion=Bilingual.same(near) if near else None,
    )
