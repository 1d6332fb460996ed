"""Every session holds as many pictures as it declares."""

from collections.abc import Iterator

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.sessions import Context

_FIELD = "imageData.numberOfImages"


def declared_counts(context: Context) -> Iterator[Finding]:
    """Missing and surplus pictures, against `numberOfImages`."""
    for session in context.sessions:
        declared = session.values.get(_FIELD)
        if declared is None or declared.value == session.pictures:
            continue
        fewer = session.pictures < declared.value
        inherited = session.index is not None and declared.source != session.index.path
        yield Finding(
            code="missing-picture" if fewer else "surplus-picture",
            path=declared.source,
            field=_FIELD,
            line=declared.line,
            column=declared.column,
            expected=f"{declared.value} pictures in {session.path or 'the session'}",
            found=f"{session.pictures} pictures",
            suggestion=f"an {_FIELD} of its own in {session.index.path}" if inherited and session.index else None,
        )
