"""Every folder of the contract has its index, and the indexes give all required values."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.metadata import INDEX_NAME, NUMBER_OF_SEEDS, MetadataFile, Value
from nachet_pipeline.contract.misnamed import copy_of, misnamed
from nachet_pipeline.contract.rules.seed_registered import NAME_OR_UNKNOWN, SEED_NAME, only_given
from nachet_pipeline.contract.sessions import Context, Session, names_seeds, stated_seeds
from nachet_pipeline.contract.structure import Shape
from nachet_pipeline.support.i18n import Bilingual

_EMAIL = "clientData.clientEmail"
_COUNT = "imageData.numberOfImages"
_UPLOADER = Bilingual("the uploader's e-mail address", "l'adresse courriel de la personne qui téléverse")
_NEEDED = {
    _COUNT: Bilingual("the number of pictures in the session", "le nombre d'images de la session"),
    NUMBER_OF_SEEDS: Bilingual("the number of seeds in each picture", "le nombre de semences par image"),
    "userData.zoom": Bilingual("the zoom the pictures were taken at", "le zoom auquel les images ont été prises"),
}
_ADD_EMAIL = Bilingual(
    "Add clientEmail below clientData: the address of the person to whom the upload container belongs.",
    "Ajoutez clientEmail sous clientData : l'adresse de la personne à qui appartient le conteneur de téléversement.",
)


def index_present(context: Context) -> Iterator[Finding]:
    """Missing index files, and values that are given nowhere."""
    if context.shape is None:
        return
    if context.shape is Shape.PROJECT and context.project is None:
        yield _missing_index(context, INDEX_NAME, Bilingual("the project's index.yaml", "l'index.yaml du projet"))
    for session in context.sessions:
        if session.index is None:
            expected = Bilingual("the session's index.yaml", "l'index.yaml de la session")
            yield _missing_index(context, session.index_path, expected)
    yield from _Missing(context).findings


def _missing_index(context: Context, path: str, expected: Bilingual) -> Finding:
    """A folder without index; what stands there in its place is told of here alone."""
    stand_in = context.stand_ins.get(path)
    if stand_in is None:
        return Finding(code="missing-index", path=path, expected=expected)
    name = stand_in.rpartition("/")[2]
    if stand_in.rpartition("/")[0] != path.rpartition("/")[0]:
        above = Bilingual(
            f"Move {stand_in} up, out of the folder it lies in.",
            f"Déplacez {stand_in} hors du dossier où il se trouve.",
        )
        return Finding(code="missing-index", path=path, expected=expected, found=Bilingual.same(stand_in), advice=above)
    known = misnamed(name)
    if known is None or not known.index:
        advice = Bilingual(
            f"Rename {name} to {INDEX_NAME} if it was meant as that; else write an {INDEX_NAME}.",
            f"Renommez {name} en {INDEX_NAME} s'il s'agit bien de celui-ci; sinon, écrivez un {INDEX_NAME}.",
        )
        return Finding(code="missing-index", path=path, expected=expected, found=Bilingual.same(name), advice=advice)
    what = known.found
    found = what if name in what.en else Bilingual(f"{name}, {what.en}", f"{name}, {what.fr}")
    # Without the one that it is a copy of there is nothing to choose.
    rename = Bilingual(f"Rename {name} to {INDEX_NAME}.", f"Renommez {name} en {INDEX_NAME}.")
    what_to_do = _DOWNLOAD if known.placeholder else rename if copy_of(name) else known.advice
    return Finding(code="missing-index", path=path, expected=expected, found=found, advice=what_to_do)


_DOWNLOAD = Bilingual(
    "Download the file (Finder → Download Now), then send the folder again.",
    "Téléchargez le fichier (Finder → Télécharger maintenant), puis envoyez de nouveau le dossier.",
)


@dataclass(slots=True)
class _Cause:
    """A key that is spelt otherwise or stands elsewhere, so that the value it was meant to give is missing.

    Attributes:
        unknown: the finding about that key, which is not reported a second time.
        missing: the field that is missing, or the section.
        expected: what that field means.
        sessions: sessions that miss it.
    """

    unknown: Finding
    missing: str
    expected: Bilingual
    sessions: list[str] = field(default_factory=list)


class _Missing:
    """The values that are given nowhere, each with the key that was meant to give it.

    Attributes:
        findings: what is reported.
        causes: findings about unknown keys that these findings replace.
    """

    def __init__(self, context: Context) -> None:
        self.findings: list[Finding] = []
        self.causes: set[int] = set()
        self._context = context
        self._found: dict[tuple[int, str], _Cause] = {}
        project = context.project
        # The project's index gives what its sessions inherit; while there is none, each of them would miss that.
        self._orphans = context.shape is Shape.PROJECT and project is None
        if context.shape is Shape.PROJECT and project and _EMAIL not in project.values and not project.is_wrong(_EMAIL):
            self._miss(_EMAIL, _UPLOADER, None, project)
        for session in context.sessions:
            if session.index:
                self._miss_values(session, session.index)
        for cause in self._found.values():
            self.causes.add(id(cause.unknown))
            self.findings.append(_because_of(cause, context.project))

    def _miss_values(self, session: Session, index: MetadataFile) -> None:
        project = self._context.project

        def is_wrong(name: str) -> bool:
            # A wrong value is reported as wrong; to report it as missing too would be noise.
            return index.is_wrong(name) or (project is not None and project.is_wrong(name))

        listed = index.lists_seeds or (project is not None and project.lists_seeds)
        for name, meaning in _NEEDED.items():
            if name in session.values or is_wrong(name) or (self._orphans and name != _COUNT):
                continue
            if name == NUMBER_OF_SEEDS and listed:
                continue  # what is wrong with the list is reported, and its numbers are enough
            self._miss(name, meaning, session, index)
        if not is_wrong("seedData") and not self._orphans and not names_seeds(session.values):
            self._miss("seedData", SEED_NAME, session, index)

    def _miss(self, name: str, meaning: Bilingual, session: Session | None, index: MetadataFile) -> None:
        for file in filter(None, (index, self._context.project)):
            cause = next((one for one in file.findings if _gives(one, name)), None)
            if cause is None:
                continue
            section = cause.suggestion.en if cause.suggestion else name
            # A section that is misspelt takes all its keys with it.
            whole = name if "." in section or section == name else section
            expected = meaning if whole == name else Bilingual(f"the section {whole}", f"la section {whole}")
            known = self._found.setdefault((id(cause), whole), _Cause(cause, whole, expected))
            if session and file is self._context.project and session.path not in known.sessions:
                known.sessions.append(session.path)
            return
        if name == "seedData" and session:
            self.findings.extend(missing_seed(session.values, index.path))
        else:
            advice = _ADD_EMAIL if name == _EMAIL else None
            self.findings.append(_missing(index.path, name, meaning, advice=advice))


def _gives(finding: Finding, name: str) -> bool:
    """Whether a finding is about a key that was meant to give a field, or its whole section."""
    if finding.code != "unknown-key" or finding.suggestion is None:
        return False
    meant = finding.suggestion.en
    return meant == name or name.startswith(f"{meant}.") or (name == "seedData" and meant.startswith("seedData."))


def _because_of(cause: _Cause, project: MetadataFile | None) -> Finding:
    unknown = cause.unknown
    return Finding(
        code="missing-key",
        path=unknown.path,
        sessions=tuple(cause.sessions) if project and unknown.path == project.path else (),
        field=cause.missing,
        line=unknown.line,
        column=unknown.column,
        expected=cause.expected,
        found=unknown.found,
        suggestion=unknown.suggestion if unknown.advice is None else None,
        advice=unknown.advice or _SPELLING,
    )


_SPELLING = Bilingual("Correct the spelling of the key.", "Corrigez l'orthographe de la clé.")


def missing_seed(values: dict[str, Value], path: str) -> Iterator[Finding]:
    """A finding if these values of a file, with those it inherits, do not name a seed."""
    if not names_seeds(values):
        given = next((only_given(one) for one in stated_seeds(values)), None)
        yield _missing(path, "seedData", SEED_NAME, given, NAME_OR_UNKNOWN if given else None)


def _missing(
    path: str, name: str, meaning: Bilingual, found: Bilingual | None = None, advice: Bilingual | None = None
) -> Finding:
    return Finding(code="missing-key", path=path, field=name, expected=meaning, found=found, advice=advice)


def index_content(context: Context) -> Iterator[Finding]:
    """What is wrong with the text of the indexes."""
    causes = _Missing(context).causes if context.shape else set()
    files = [context.project, *(session.index for session in context.sessions)]
    for file in filter(None, files):
        yield from (finding for finding in file.findings if id(finding) not in causes)
