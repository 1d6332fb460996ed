"""Every folder of the contract has its index, and together the indexes say all that is needed."""

from collections.abc import Iterator, Mapping

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.metadata import INDEX_NAME, Value
from nachet_pipeline.contract.sessions import Context, Session, seed_names
from nachet_pipeline.contract.structure import Shape

_NEEDED = {
    "imageData.numberOfImages": "the number of pictures in the session",
    "userData.numberOfSeeds": "the number of seeds in each picture",
    "userData.zoom": "the zoom the pictures were taken at",
}


def index_present(context: Context) -> Iterator[Finding]:
    """Missing index files, and values that are given nowhere."""
    if context.shape is None:
        return
    if context.shape is Shape.PROJECT:
        if context.project is None:
            yield Finding(code="missing-index", path=INDEX_NAME, expected="the project's index.yaml")
        elif not context.project.findings and "clientData.clientEmail" not in context.project.values:
            yield _missing(context.project.path, "clientData.clientEmail", "the uploader's e-mail address")
    for session in context.sessions:
        if session.index is None:
            path = f"{session.path}/{INDEX_NAME}".lstrip("/")
            yield Finding(code="missing-index", path=path, expected="the session's index.yaml")
            continue
        unreadable = any(finding.code == "index-syntax" for finding in session.index.findings)
        if not unreadable:
            yield from _missing_values(session, session.index.path)


def _missing_values(session: Session, path: str) -> Iterator[Finding]:
    # A value that is there but wrong is reported as such; to call it missing too would be noise.
    wrong = {finding.field for finding in session.index.findings} if session.index else set()
    for name, meaning in _NEEDED.items():
        if name not in session.values and name not in wrong:
            yield _missing(path, name, meaning)
    wrong_seed = any(name and name.startswith("seedData") for name in wrong)
    if not seed_names(session.values) and not wrong_seed:
        given = _given(session.values, "seedData.")
        yield _missing(path, "seedData", "the seed, by seedGenus and seedSpecies, seedName or seedID", given)


def _given(values: Mapping[str, Value], prefix: str) -> str | None:
    names = [name.removeprefix(prefix) for name in values if name.startswith(prefix)]
    return f"only {', '.join(names)}" if names else None


def _missing(path: str, name: str, meaning: str, found: str | None = None) -> Finding:
    return Finding(code="missing-key", path=path, field=name, expected=meaning, found=found)


def index_content(context: Context) -> Iterator[Finding]:
    """What was wrong with the text of the indexes."""
    if context.project:
        yield from context.project.findings
    for session in context.sessions:
        if session.index:
            yield from session.index.findings
