"""Which of the contract's two shapes a folder has, and what each file in it is."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from enum import StrEnum
from posixpath import splitext

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import FileKind, FileList, Inventory
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.marks import (
    COMPLETE_MARKER,
    LEAST_READ_BYTES,
    MARKERS,
    MOST_LIST_BYTES,
    WITHDRAWN_MARKER,
    CompleteMarker,
    ListError,
    Mark,
    too_long_list,
)
from nachet_pipeline.contract.metadata import INDEX_NAME
from nachet_pipeline.contract.names import fold, is_hidden, is_litter, unusual_part, usual, why_unsafe
from nachet_pipeline.pictures.forensics.formats import format_by_name
from nachet_pipeline.support.batches import batched, result_of
from nachet_pipeline.support.files import EntryKind, SourceFolder, StagedFile
from nachet_pipeline.support.i18n import Bilingual

PICTURES_FOLDER = "pictures"
PICTURE_FORMATS = {".tiff": "TIFF", ".tif": "TIFF", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""From a picture's suffix, in lower case, to its format."""
_YAML_SUFFIXES = {".yaml", ".yml"}
_INDEX_NAMES = {INDEX_NAME, "index.yml"}
_CHECKSUMS_NAMES = {"sha256sums", "sha256sums.txt", "sha256sum", "sha256sum.txt"}
_DEFAULT_LIMITS = ContractLimits()
_FILES_A_STEP = 500

_SPECIAL = {
    EntryKind.SYMBOLIC_LINK: Bilingual("a symbolic link", "un lien symbolique"),
    EntryKind.HARD_LINK: Bilingual(
        "a hard link: a file with a second name elsewhere", "un lien physique : un fichier avec un second nom ailleurs"
    ),
    EntryKind.PIPE: Bilingual("a named pipe", "un tube nommé"),
    EntryKind.SOCKET: Bilingual("a socket", "un socket"),
    EntryKind.DEVICE: Bilingual("a device", "un périphérique"),
    EntryKind.DEEP_FOLDER: Bilingual(
        "a folder in too many others to be looked into", "un dossier dans trop d'autres pour être examiné"
    ),
}


class Shape(StrEnum):
    """The shapes of an upload."""

    PROJECT = "project"
    SESSION = "session"


def picture_format(path: str) -> str | None:
    """The format that a picture's name says, None if the name is not a picture's."""
    return PICTURE_FORMATS.get(splitext(path)[1].lower())


def is_any_picture(path: str) -> bool:
    """Whether the name is a picture's, be it of a format that is imported or of another."""
    return picture_format(path) is not None or format_by_name(path) is not None


def is_index(path: str) -> bool:
    """Whether a file is an index, however its name is written."""
    return path.rsplit("/", 1)[-1].casefold() in _INDEX_NAMES


def is_marker(path: str) -> bool:
    """Whether a file marks its upload as complete or withdrawn."""
    return path in MARKERS


def is_ignored(path: str) -> bool:
    """Whether validation ignores a file: litter, a hidden file, or a marker."""
    return is_marker(path) or is_litter(path) or is_hidden(path)


def shape_of(paths: Iterable[str]) -> Shape | None:
    """The shape of a folder with these paths, None if it has neither.

    A folder has no shape if its pictures lie where neither shape has pictures.
    """
    seen = _Seen()
    for path in paths:
        seen.add(path)
    return seen.shape


@dataclass(slots=True)
class _Seen:
    """Finds the shape of a folder from its paths, in any order."""

    root_index: bool = False
    root_picture: bool = False
    project: bool = False
    in_session: bool = False
    misplaced: bool = False

    def add(self, path: str) -> None:
        if is_ignored(path):
            return
        is_picture = is_any_picture(path)
        folder = path.rpartition("/")[0]
        if not folder:
            self.root_index, self.root_picture = self.root_index or is_index(path), self.root_picture or is_picture
        elif session_of(path, Shape.PROJECT) is not None and (is_picture or is_index(path)):
            self.in_session = True
        else:
            self.misplaced = self.misplaced or is_picture
        self.project = self.project or (bool(folder) and folder.split("/", 1)[0].casefold() == PICTURES_FOLDER)

    @property
    def shape(self) -> Shape | None:
        if self.in_session:
            return Shape.PROJECT
        if self.root_picture:
            return Shape.SESSION
        if self.misplaced:
            return None
        if self.project:
            return Shape.PROJECT
        return Shape.SESSION if self.root_index else None


def session_of(path: str, shape: Shape) -> str | None:
    """Path of the session's folder that a file lies directly in, None if it lies elsewhere."""
    folder, _, _name = path.rpartition("/")
    if shape is Shape.SESSION:
        return "" if not folder else None
    parts = folder.split("/")
    in_session = len(parts) == 2 and parts[0].casefold() == PICTURES_FOLDER  # noqa: PLR2004 (pictures/<session>)
    return folder if in_session else None


def kind_of(path: str, shape: Shape | None) -> FileKind:
    """What a file is to the contract, by its path alone."""
    if is_litter(path):
        return FileKind.IGNORED
    if is_hidden(path):
        return FileKind.HIDDEN
    if is_marker(path):
        return FileKind.MARKER
    if shape is None:
        return FileKind.UNEXPECTED
    in_session, at_root = session_of(path, shape) is not None, "/" not in path
    if (in_session or at_root) and path.rsplit("/", 1)[-1].casefold() in _CHECKSUMS_NAMES:
        return FileKind.CHECKSUMS
    if not in_session:
        return FileKind.PROJECT_INDEX if at_root and is_index(path) else FileKind.UNEXPECTED
    if is_index(path):
        return FileKind.SESSION_INDEX
    if picture_format(path):
        return FileKind.PICTURE
    if format_by_name(path):
        return FileKind.OTHER_PICTURE
    yaml = splitext(path)[1].lower() in _YAML_SUFFIXES
    return FileKind.PICTURE_METADATA if yaml else FileKind.UNEXPECTED


_IN_SESSION = {FileKind.SESSION_INDEX, FileKind.PICTURE, FileKind.OTHER_PICTURE, FileKind.PICTURE_METADATA}


def take_inventory(
    folder: SourceFolder, inventory: Inventory, limits: ContractLimits = _DEFAULT_LIMITS
) -> Shape | None:
    """List a folder into an inventory and classify every file.

    Findings about single names are added at once. A file with an unsafe name is left out of the inventory.

    Returns:
        The folder's shape, None if it has neither.

    Raises:
        FileChangedError: the folder changed while it was listed.
    """
    return result_of(taking_inventory(folder, inventory, limits))


def taking_inventory(
    folder: SourceFolder, inventory: Inventory, limits: ContractLimits = _DEFAULT_LIMITS
) -> Generator[int, None, Shape | None]:
    """Like `take_inventory`, some hundred files at a time; yields after each step how many were handled so far.

    Raises:
        FileChangedError: the folder changed while it was listed.
    """
    seen, listed = _Seen(), 0
    for listed, file in enumerate(folder.files(), start=1):
        if listed % _FILES_A_STEP == 0:
            yield listed
        if refused := _refused(file, limits):
            inventory.add_finding(refused)
            continue
        inventory.add_file(file, fold(file.path))
        seen.add(file.path)
    if folder.staged:
        yield from _reading_marks(folder, inventory, limits, listed)
    if inventory.file_list is FileList.USED:
        seen = _Seen()
        for path in inventory.paths():
            seen.add(path)
    shape = seen.shape
    indexed: dict[FileKind, str | None] = {}
    last_unusual = None
    for number, path in enumerate(inventory.paths(), start=1):
        if number % _FILES_A_STEP == 0:
            yield listed + number
        unusual = None if is_ignored(path) else unusual_part(path)
        if unusual and unusual[0] != last_unusual:  # report a folder's name once, not for every file in it
            last_unusual = unusual[0]
            _report_unusual(inventory, *unusual)
        kind = kind_of(path, shape)
        session = session_of(path, shape) if shape and kind in _IN_SESSION else None
        if kind in {FileKind.PROJECT_INDEX, FileKind.SESSION_INDEX}:
            if kind in indexed and indexed[kind] == session:  # index.yaml and index.yml: only one of them can count
                kind, session = FileKind.UNEXPECTED, None
            else:
                indexed[kind] = session
        inventory.classify(path, kind, session, path.rpartition(".")[0])
    return shape


def _report_unusual(inventory: Inventory, part: str, why: Bilingual) -> None:
    """Report an unusual name; that it collides with another one is told by a rule."""
    right = usual(part)
    # Who renames a file blindly must not write over another one.
    free = not inventory.holds(right)
    if free or fold(right) != fold(part):
        meant = Bilingual.same(right) if free else None
        inventory.add_finding(Finding(code="unusual-name", path=part, found=why, suggestion=meant))


def _reading_marks(
    folder: SourceFolder, inventory: Inventory, limits: ContractLimits, listed: int
) -> Generator[int, None, None]:
    """Read what the markers say, and leave out the files that a list does not name.

    Yields:
        After some lines of a list, how many files and lines were handled so far; `listed` files were before.

    Raises:
        FileChangedError: the marker changed since it was listed.
    """
    complete, withdrawn = inventory.file(COMPLETE_MARKER), inventory.file(WITHDRAWN_MARKER)
    if withdrawn and (complete is None or complete.modified <= withdrawn.modified):
        inventory.mark = Mark.WITHDRAWN
        return
    if complete is None:
        return
    inventory.mark = Mark.COMPLETE
    if complete.size < LEAST_READ_BYTES:
        return
    try:
        if complete.size > MOST_LIST_BYTES:
            raise too_long_list(complete.size)
        marker = CompleteMarker.read(folder.read(complete))
        if marker.staging:
            inventory.mark = Mark.STAGING
        if not marker.lists:
            return
        for files in batched(marker.files(limits.name_bytes), _FILES_A_STEP):
            inventory.add_listed(files)
            listed += len(files)
            yield listed
    except ListError as error:
        inventory.file_list = FileList.UNUSABLE
        inventory.forget_findings()  # the names may be those of files that do not belong to the folder
        inventory.add_finding(
            Finding(
                code="file-list-content",
                path=COMPLETE_MARKER,
                line=error.line,
                expected=error.expected,
                found=error.found,
            )
        )
        return
    inventory.replace_wanted = marker.replace
    # What was found so far are names that cannot be listed, so it concerns files that do not belong to the folder.
    inventory.forget_findings()
    number, first = inventory.apply_list()
    if first is not None:
        more = Bilingual(f"{number} files, the first {first}", f"{number} fichiers, le premier {first}")
        inventory.add_finding(
            Finding(code="not-listed", path=COMPLETE_MARKER, found=more if number > 1 else Bilingual.same(first))
        )


def _refused(file: StagedFile, limits: ContractLimits) -> Finding | None:
    """Why an entry is left out of the inventory; None if it is not."""
    unsafe = why_unsafe(file.path, limits.name_bytes)
    if (unsafe or not file.regular) and is_litter(file.path):  # it is never opened, whatever it is
        return Finding(code="ignored-file", path=file.path)
    if (unsafe or not file.regular) and is_hidden(file.path):
        return Finding(code="hidden-file", path=file.path)
    if unsafe:
        return Finding(code="unsafe-name", path=file.path, found=unsafe)
    if not file.regular:
        expected = Bilingual("a file with content of its own", "un fichier avec son propre contenu")
        return Finding(code="special-file", path=file.path, expected=expected, found=_SPECIAL[file.kind])
    return None
