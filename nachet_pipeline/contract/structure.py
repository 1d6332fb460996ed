"""Which of the contract's two shapes a folder has, and what each file in it is."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import PurePosixPath

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.folder import Folder
from nachet_pipeline.contract.inventory import FileKind, Inventory
from nachet_pipeline.contract.metadata import INDEX_NAME
from nachet_pipeline.contract.names import fold, is_litter, printable, why_unsafe

PICTURES_FOLDER = "pictures"
COMPLETE_MARKER = "_COMPLETE"
PICTURE_FORMATS = {".tiff": "TIFF", ".tif": "TIFF", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""From a picture's suffix, in lower case, to its format."""
_YAML_SUFFIXES = {".yaml", ".yml"}
_INDEX_NAMES = {INDEX_NAME, "index.yml"}


class Shape(StrEnum):
    """The shapes of an upload."""

    PROJECT = "project"
    SESSION = "session"


def picture_format(path: str) -> str | None:
    """The format that a picture's name says, None if the name is not a picture's."""
    return PICTURE_FORMATS.get(PurePosixPath(path).suffix.lower())


def is_index(path: str) -> bool:
    """Whether a file is an index, however its name is written."""
    return path.rsplit("/", 1)[-1].casefold() in _INDEX_NAMES


def is_marker(path: str) -> bool:
    """Whether a file says that its upload is complete."""
    return path == COMPLETE_MARKER


def shape_of(paths: Iterable[str]) -> Shape | None:
    """The shape of a folder with these paths, None if it has neither."""
    session = False
    for path in paths:
        if is_litter(path) or is_marker(path):
            continue
        folder, _, rest = path.partition("/")
        if rest and folder.casefold() == PICTURES_FOLDER:
            return Shape.PROJECT
        session = session or (not rest and (picture_format(path) is not None or is_index(path)))
    return Shape.SESSION if session else None


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
    if is_marker(path):
        return FileKind.MARKER
    if shape is None:
        return FileKind.UNEXPECTED
    if session_of(path, shape) is None:
        root_index = "/" not in path and is_index(path) and shape is Shape.PROJECT
        return FileKind.PROJECT_INDEX if root_index else FileKind.UNEXPECTED
    if is_index(path):
        return FileKind.SESSION_INDEX
    if picture_format(path):
        return FileKind.PICTURE
    yaml = PurePosixPath(path).suffix.lower() in _YAML_SUFFIXES
    return FileKind.PICTURE_METADATA if yaml else FileKind.UNEXPECTED


_IN_SESSION = {FileKind.SESSION_INDEX, FileKind.PICTURE, FileKind.PICTURE_METADATA}


def take_inventory(folder: Folder, inventory: Inventory) -> Shape | None:
    """List a folder into an inventory and classify every file.

    Findings about single names are noted at once; a file with an unsafe name is left out of everything that follows.

    Returns:
        The folder's shape, None if it has neither.
    """
    for file in folder.files():
        problem = why_unsafe(file.path)
        if problem:
            inventory.add_finding(Finding(code="unsafe-name", path=printable(file.path), found=problem))
        elif not file.regular:
            inventory.add_finding(Finding(code="special-file", path=file.path))
        else:
            inventory.add_file(file, fold(file.path))
    shape = shape_of(inventory.paths())
    indexed: set[tuple[FileKind, str | None]] = set()
    for path in inventory.paths():
        kind = kind_of(path, shape)
        session = session_of(path, shape) if shape and kind in _IN_SESSION else None
        if kind in {FileKind.PROJECT_INDEX, FileKind.SESSION_INDEX}:
            if (kind, session) in indexed:  # index.yaml and index.yml: only one of them can count
                kind, session = FileKind.UNEXPECTED, None
            indexed.add((kind, session))
        inventory.classify(path, kind, session, path.rpartition(".")[0])
    return shape
