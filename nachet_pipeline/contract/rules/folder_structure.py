"""The folder has one of the two shapes and holds nothing else."""

from collections.abc import Iterator, Set
from posixpath import splitext
from unicodedata import normalize

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import FileKind
from nachet_pipeline.contract.marks import COMPLETE_MARKER
from nachet_pipeline.contract.metadata import INDEX_NAME
from nachet_pipeline.contract.misnamed import misnamed
from nachet_pipeline.contract.names import fold, too, visible
from nachet_pipeline.contract.rules.layout import FolderLayout
from nachet_pipeline.contract.sessions import Context
from nachet_pipeline.contract.structure import PICTURE_FORMATS, PICTURES_FOLDER, Shape, is_index
from nachet_pipeline.pictures.issues import CONTENT
from nachet_pipeline.support.i18n import Bilingual

_NOT_EMPTY = (
    FileKind.PROJECT_INDEX,
    FileKind.SESSION_INDEX,
    FileKind.PICTURE,
    FileKind.OTHER_PICTURE,
    FileKind.PICTURE_METADATA,
)
_LEFT_OUT = {FileKind.IGNORED: "ignored-file", FileKind.HIDDEN: "hidden-file"}
_ONE_INDEX = Bilingual(
    "Keep the right one of the two as index.yaml, and remove the other.",
    "Gardez celui des deux qui est le bon sous le nom index.yaml, et supprimez l'autre.",
)
_MARKER = Bilingual(
    f"Put {COMPLETE_MARKER}, named exactly so, into the uploaded folder itself.",
    f"Placez {COMPLETE_MARKER}, nommé exactement ainsi, dans le dossier téléversé lui-même.",
)
_NOTHING = Bilingual("none", "aucune")
_SESSION_FOLDER = f"{PICTURES_FOLDER}/<session>/"
_SUFFIXES = ", ".join(PICTURE_FORMATS)
_PLACES = Bilingual(
    f"{INDEX_NAME}, pictures ({_SUFFIXES}) and their YAML files, directly in a session's folder",
    f"{INDEX_NAME}, images ({_SUFFIXES}) et leurs fichiers YAML, directement dans le dossier d'une session",
)


def folder_structure(context: Context) -> Iterator[Finding]:
    """Empty folders and sessions, unknown shapes, files without a place, empty and ignored files, colliding names."""
    reported = set(context.stand_ins.values())
    for kind, code in _LEFT_OUT.items():
        for entry in context.inventory.files(kind):
            if entry.file.path not in reported:
                yield _left_out(code, entry.file.path)
    for listed in context.inventory.listed_without_file():
        yield Finding(
            code="listed-file-missing",
            path=listed.path,
            expected=Bilingual(f"what line {listed.line} lists", f"ce que liste la ligne {listed.line}"),
            found=Bilingual("no such file", "aucun fichier de ce nom"),
        )
    if context.shape is None:
        yield _shapeless(context)
    else:
        yield from _out_of_place(context, context.shape)
        yield from _empty(context)
    yield from _collisions(context)


def _left_out(code: str, path: str) -> Finding:
    """A file that plays no part; but a hidden one may stand for a file that a cloud service keeps."""
    known = misnamed(path.rpartition("/")[2]) if code == "hidden-file" else None
    if known and known.placeholder:
        return Finding(code="not-downloaded", path=path, expected=CONTENT, found=known.found)
    return Finding(code=code, path=path)


def _out_of_place(context: Context, shape: Shape) -> Iterator[Finding]:
    sessions = {session.path for session in context.sessions}
    reported = set(context.stand_ins.values())
    for entry in context.inventory.files(FileKind.UNEXPECTED):
        if entry.file.path not in reported:
            yield _unexpected(entry.file.path, shape, sessions)


def _empty(context: Context) -> Iterator[Finding]:
    for kind in _NOT_EMPTY:
        for entry in context.inventory.files(kind):
            if entry.file.size == 0:
                content = Bilingual("a file with content", "un fichier avec un contenu")
                yield Finding(
                    code="empty-file", path=entry.file.path, expected=content, found=Bilingual("0 bytes", "0 octet")
                )
    if not context.sessions:
        expected = Bilingual("at least one session", "au moins une session")
        yield Finding(code="empty-session", path=PICTURES_FOLDER, expected=expected, found=_NOTHING)
    for session in context.sessions:
        if not session.pictures and not context.would_be_pictures[session.path]:
            expected = Bilingual("at least one picture", "au moins une image")
            yield Finding(code="empty-session", path=session.path, expected=expected, found=_NOTHING)


def _shapeless(context: Context) -> Finding:
    layout = FolderLayout.of(context.inventory.paths())
    if not layout.tops:
        expected = Bilingual(f"{INDEX_NAME} and pictures", f"{INDEX_NAME} et des images")
        return Finding(code="empty-upload", expected=expected, found=Bilingual("no file", "aucun fichier"))
    expected = Bilingual(
        f"{INDEX_NAME} with {_SESSION_FOLDER}, or {INDEX_NAME} beside pictures",
        f"{INDEX_NAME} avec {_SESSION_FOLDER}, ou {INDEX_NAME} à côté d'images",
    )
    return Finding(code="wrong-structure", expected=expected, found=layout.found, advice=layout.advice())


def _unexpected(path: str, shape: Shape, sessions: Set[str]) -> Finding:
    folder = path.rpartition("/")[0]
    if is_index(path) and (not folder or folder in sessions):
        one = Bilingual(f"one {INDEX_NAME} in a folder", f"un seul {INDEX_NAME} par dossier")
        return Finding(code="unexpected-file", path=path, expected=one, advice=_ONE_INDEX)
    if known := misnamed(path.rpartition("/")[2]):
        return Finding(code="unexpected-file", path=path, found=known.found, advice=known.advice)
    return Finding(code="unexpected-file", path=path, expected=_PLACES, advice=_place(path, shape, sessions))


def _place(path: str, shape: Shape, sessions: Set[str]) -> Bilingual | None:
    """Where a file probably belongs, in the same words for all files of a folder; None if it cannot be guessed."""
    here, _, name = path.rpartition("/")
    suffix = splitext(name)[1].lower()
    if name.casefold().startswith(COMPLETE_MARKER.casefold()):
        return _MARKER
    if suffix not in PICTURE_FORMATS and suffix not in {".yaml", ".yml"}:
        return None
    parts = here.split("/") if here else []
    if shape is Shape.SESSION:
        target = INDEX_NAME
        return Bilingual(
            f"Move the content of {here}/ up beside {target}.", f"Déplacez le contenu de {here}/ à côté de l'{target}."
        )
    if here.casefold() in {"", PICTURES_FOLDER}:
        return Bilingual(
            f"Move it into the folder of its session: {_SESSION_FOLDER}.",
            f"Déplacez-le dans le dossier de sa session : {_SESSION_FOLDER}.",
        )
    session = "/".join(parts[:2])
    if session in sessions:
        return Bilingual(
            f"Move the content of {here}/ to {session}/.", f"Déplacez le contenu de {here}/ vers {session}/."
        )
    return Bilingual(f"Move {here}/ into {PICTURES_FOLDER}/.", f"Déplacez {here}/ dans {PICTURES_FOLDER}/.")


def _collisions(context: Context) -> Iterator[Finding]:
    """Names that are the same to a file system that ignores case or the encoding of accents."""
    sessions = {session.path for session in context.sessions}
    own = Bilingual("names of their own", "des noms distincts")
    reported: set[tuple[str, ...]] = set()
    for first, other in context.inventory.collisions():
        # In two folders whose names collide, both sessions are concerned.
        folders = tuple(sorted({first.rpartition("/")[0], other.rpartition("/")[0]}))
        both = folders if len(folders) > 1 and sessions.issuperset(folders) else ()
        reported.add(both)
        yield Finding(code="name-collision", path=other, sessions=both, expected=own, found=_same_name(first, other))
    folded: dict[str, str] = {}
    for session in sorted(sessions):
        first = folded.setdefault(fold(session), session)
        if first != session and tuple(sorted((first, session))) not in reported:
            found = _same_name(first, session)
            yield Finding(code="name-collision", path=session, sessions=(first, session), expected=own, found=found)


def _same_name(first: str, other: str) -> Bilingual:
    """The other of two paths that a file system takes for one; where both look alike, how each is written."""
    if normalize("NFC", first) != normalize("NFC", other):
        return too(first)
    here = visible(other, "en")
    there = visible(first, "en")
    return Bilingual(f"{there} beside {here}", f"{visible(first, 'fr')} à côté de {visible(other, 'fr')}")
