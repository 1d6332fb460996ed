"""The uploader is registered and owns the container that the folder lies in."""

from collections.abc import Iterator

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.metadata import finding_about
from nachet_pipeline.contract.sessions import Context
from nachet_pipeline.support.i18n import Bilingual

_FIELD = "clientData.clientEmail"


def uploader_registered(context: Context) -> Iterator[Finding]:
    """Indexes that name another user than the owner of the container."""
    if context.owner is None:
        return
    files = [context.project, *(session.index for session in context.sessions)]
    for file in files:
        named = file.values.get(_FIELD) if file else None
        if named and named.value != context.owner.email:
            email = Bilingual.same(context.owner.email)
            yield finding_about(named, "not-the-owner", _FIELD, email, Bilingual.same(str(named.value)))
