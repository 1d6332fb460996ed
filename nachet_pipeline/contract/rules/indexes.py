"""Every folder of the contract has its index, and the indexes give all required values."""

from collections.abc import Iterator

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.metadata import INDEX_NAME, MetadataFile, Value
from nachet_pipeline.contract.sessions import Context, seed_names
from nachet_pipeline.contract.structure import Shape
from nachet_pipeline.support.i18n import Bilingual

_EMAIL = "clientData.clientEmail"
_UPLOADER = Bilingual("the uploader's e-mail address", "l'adresse courriel de la personne qui téléverse")
_NEEDED = {
    "imageData.numberOfImages": Bilingual("the number of pictures in the session", "le nombre d'images de la session"),
    "userData.numberOfSeeds": Bilingual("the number of seeds in each picture", "le nombre de semences par image"),
    "userData.zoom": Bilingual("the zoom the pictures were taken at", "le zoom auquel les images ont été prises"),
}
_SEED = Bilingual(
    "the seed, by seedGenus and seedSpecies, seedName or seedID",
    "la semence, par seedGenus et seedSpecies, seedName ou seedID",
)


def index_present(context: Context) -> Iterator[Finding]:
    """Missing index files, and values that are given nowhere."""
    if context.shape is None:
        return
    if context.shape is Shape.PROJECT:
        if context.project is None:
            expected = Bilingual("the project's index.yaml", "l'index.yaml du projet")
            yield Finding(code="missing-index", path=INDEX_NAME, expected=expected)
        elif _EMAIL not in context.project.values and not context.project.is_wrong(_EMAIL):
            yield _missing(context.project.path, _EMAIL, _UPLOADER)
    for session in context.sessions:
        if session.index is None:
            expected = Bilingual("the session's index.yaml", "l'index.yaml de la session")
            yield Finding(code="missing-index", path=session.index_path, expected=expected)
            continue
        yield from _missing_values(session.values, session.index, context.project)


def _missing_values(values: dict[str, Value], index: MetadataFile, project: MetadataFile | None) -> Iterator[Finding]:
    def is_wrong(name: str) -> bool:
        # A wrong value is reported as wrong; to report it as missing too would be noise.
        return index.is_wrong(name) or (project is not None and project.is_wrong(name))

    for name, meaning in _NEEDED.items():
        if name not in values and not is_wrong(name):
            yield _missing(index.path, name, meaning)
    if not is_wrong("seedData"):
        yield from missing_seed(values, index.path)


def missing_seed(values: dict[str, Value], path: str) -> Iterator[Finding]:
    """A finding if these values of a file, with those it inherits, do not name a seed."""
    if not seed_names(values):
        given = ", ".join(name.removeprefix("seedData.") for name in values if name.startswith("seedData."))
        yield _missing(path, "seedData", _SEED, Bilingual(f"only {given}", f"seulement {given}") if given else None)


def _missing(path: str, name: str, meaning: Bilingual, found: Bilingual | None = None) -> Finding:
    return Finding(code="missing-key", path=path, field=name, expected=meaning, found=found)


def index_content(context: Context) -> Iterator[Finding]:
    """What is wrong with the text of the indexes."""
    if context.project:
        yield from context.project.findings
    for session in context.sessions:
        if session.index:
            yield from session.index.findings
