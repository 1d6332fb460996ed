"""What importing a session once more changes: which pictures are new, relabelled, or removed.

A stored picture that is no longer in the session may have been deleted, or it was sent earlier and the session now
holds an addition. It counts as deleted if the session was corrected in place: at least one of its pictures is still the
staged file that was imported. It also counts as deleted if the uploader asks for it. Otherwise it stays.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from unicodedata import normalize
from uuid import UUID

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.misnamed import misspelling_of
from nachet_pipeline.contract.sessions import Session, Wishes
from nachet_pipeline.contract.stored import Correction, StoredSet
from nachet_pipeline.support.i18n import Bilingual

_NAMED = 5
_SUGGESTED = 20


@dataclass(slots=True)
class Corrected:
    """What an import changes in the stored picture sets.

    Attributes:
        sessions: what importing each session changes, by its path.
        removed: picture sets of the sessions that the uploader wants to remove, by the session's path.
        findings: what to report about it.
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
    """Compare an upload with its earlier imports, and record in the inventory what becomes of each stored picture.

    Args:
        inventory: holds the pictures, each file of a session once, and the stored ones.
        sessions: the upload's sessions without errors.
        stored: the picture sets that are stored of the upload, by session; None where nothing can be.
        wishes: how the uploader wants the upload to be treated.
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
    # Keyboards and some file systems encode accents differently.
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
            unknown += 1  # comparing with thousands of names is slow
            near = misspelling_of(path, known) if unknown <= _SUGGESTED else None
            result.findings.append(_of_removed("unknown-session", wanted, wishes, near))
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
