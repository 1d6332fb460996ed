"""Every session holds as many pictures as it declares."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import FileKind
from nachet_pipeline.contract.marks import COMPLETE_MARKER
from nachet_pipeline.contract.metadata import Value, finding_about
from nachet_pipeline.contract.misnamed import copy_of
from nachet_pipeline.contract.sessions import Context, Session
from nachet_pipeline.contract.structure import picture_format, session_of
from nachet_pipeline.support.i18n import Bilingual

_FIELD = "imageData.numberOfImages"
_NAMES_LOOKED_AT = 10_000


def file_count(context: Context) -> Iterator[Finding]:
    """Missing and surplus pictures, against `numberOfImages`."""
    shape = context.shape
    # A picture that the list in _COMPLETE names and that is not there is reported by its name.
    listed = context.inventory.listed_without_file() if shape else ()
    absent = Counter(session_of(one.path, shape) for one in listed if shape and picture_format(one.path))
    more = context.would_be_pictures
    for session in context.sessions:
        declared = session.values.get(_FIELD)
        # A session without any picture, and files that are no pictures yet, are told of by another rule.
        if declared is None or not session.pictures:
            continue
        known = session.pictures + absent[session.path]
        # Between the two numbers all may be well, once those files are pictures.
        if known > declared.value or known + more[session.path] < declared.value:
            yield _differs(context, session, declared, absent[session.path], more[session.path])


def _differs(context: Context, session: Session, declared: Value, absent: int, more: int) -> Finding:
    inherited = session.inherits(declared)
    where = Bilingual(session.path, session.path) if session.path else Bilingual("the session", "la session")
    found = _pictures(session.pictures)
    missing = session.pictures + absent < declared.value
    if absent:
        found = Bilingual(
            f"{found.en} and {absent} more in the list in {COMPLETE_MARKER}",
            f"{found.fr} et {absent} de plus dans la liste de {COMPLETE_MARKER}",
        )
    if missing and more:
        found = Bilingual(
            f"{found.en} and {more} file{'s' * (more > 1)} that may become pictures",
            f"{found.fr} et {more} fichier{'s' * (more > 1)} qui peu{'ven' * (more > 1)}t devenir des images",
        )
    advice = _own_count(session) if inherited else None if missing else _copies(context, session)
    return finding_about(
        declared,
        "missing-picture" if missing else "surplus-picture",
        _FIELD,
        Bilingual(f"{_pictures(declared.value).en} in {where.en}", f"{_pictures(declared.value).fr} dans {where.fr}"),
        found,
        sessions=(session.path,) if inherited else (),
        advice=advice,
    )


def _own_count(session: Session) -> Bilingual:
    """Where all sessions inherit one number, each needs its own."""
    return Bilingual(
        f"Write an {_FIELD} of its own into {session.index_path}, or correct the pictures.",
        f"Écrivez un {_FIELD} propre à la session dans {session.index_path}, ou corrigez les images.",
    )


def _copies(context: Context, session: Session) -> Bilingual | None:
    """The first picture that is named like a copy of another one in the session."""
    pictures = islice(context.inventory.files(FileKind.PICTURE, session.path), _NAMES_LOOKED_AT)
    names = {entry.file.path.rpartition("/")[2] for entry in pictures}
    copy = next((name for name in sorted(names) if copy_of(name) in names), None)
    if copy is None:
        return None
    return Bilingual(
        f"{copy} is named like a copy of {copy_of(copy)}: remove it if it shows the same; else correct numberOfImages.",
        f"{copy} porte le nom d'une copie de {copy_of(copy)} : supprimez-la si elle montre la même chose; sinon, "
        "corrigez numberOfImages.",
    )


def _pictures(number: int) -> Bilingual:
    return Bilingual(f"{number} picture{'' if number == 1 else 's'}", f"{number} image{'s' if number > 1 else ''}")
