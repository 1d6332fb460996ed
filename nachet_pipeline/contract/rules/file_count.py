"""Every session holds as many pictures as it declares."""

from collections import Counter
from collections.abc import Iterator

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.metadata import Value, finding_about
from nachet_pipeline.contract.sessions import Context, Session
from nachet_pipeline.contract.structure import picture_format, session_of
from nachet_pipeline.support.i18n import Bilingual

_FIELD = "imageData.numberOfImages"


def file_count(context: Context) -> Iterator[Finding]:
    """Missing and surplus pictures, against `numberOfImages`."""
    shape = context.shape
    # A picture that the list in _COMPLETE names and that is not there is reported by its name.
    listed = context.inventory.listed_without_file() if shape else ()
    absent = Counter(session_of(one.path, shape) for one in listed if shape and picture_format(one.path))
    for session in context.sessions:
        declared = session.values.get(_FIELD)
        if declared is not None and declared.value != session.pictures + absent[session.path]:
            yield _differs(session, declared)


def _differs(session: Session, declared: Value) -> Finding:
    inherited = session.inherits(declared)
    where = Bilingual(session.path, session.path) if session.path else Bilingual("the session", "la session")
    own = Bilingual(f"an {_FIELD} of its own in {session.index_path}", f"un {_FIELD} propre dans {session.index_path}")
    return finding_about(
        declared,
        "missing-picture" if session.pictures < declared.value else "surplus-picture",
        _FIELD,
        Bilingual(f"{_pictures(declared.value).en} in {where.en}", f"{_pictures(declared.value).fr} dans {where.fr}"),
        _pictures(session.pictures),
        suggestion=own if inherited else None,
        sessions=(session.path,) if inherited else (),
    )


def _pictures(number: int) -> Bilingual:
    return Bilingual(f"{number} picture{'' if number == 1 else 's'}", f"{number} image{'s' if number > 1 else ''}")
