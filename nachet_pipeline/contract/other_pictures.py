"""Pictures in formats that are not imported: each is one finding, which says what it is and how to export it."""

from itertools import chain, islice
from posixpath import splitext

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import FileKind, Inventory
from nachet_pipeline.contract.structure import Shape, session_of
from nachet_pipeline.pictures.forensics.formats import (
    ACCEPTED,
    START_BYTES,
    OtherFormat,
    format_by_name,
    other_format,
    renamed_to,
)
from nachet_pipeline.pictures.forensics.signatures import imported_format
from nachet_pipeline.support.files import SourceFolder
from nachet_pipeline.support.i18n import Bilingual

MOST_STARTS_READ = 500
"""Files whose first bytes are read, each with a request of its own; of further ones the name decides."""


def record_other_pictures(folder: SourceFolder, inventory: Inventory, shape: Shape | None) -> None:
    """Recognise pictures in other formats among an upload's files by their bytes, and report each.

    A file without a place in the contract that lies in a session and is such a picture gets its place.

    Raises:
        FileChangedError: a file changed or vanished since it was listed.
    """
    if shape is None:
        return
    sessions = set(inventory.sessions())
    unexpected = (
        entry
        for entry in inventory.files(FileKind.UNEXPECTED)
        if session_of(entry.file.path, shape) in sessions and entry.file.size
    )
    # Both lists are read before one of them changes.
    others = list(islice(inventory.files(FileKind.OTHER_PICTURE), MOST_STARTS_READ))
    candidates = list(islice(unexpected, MOST_STARTS_READ - len(others)))
    found: dict[str, OtherFormat] = {}
    renamed: set[str] = set()
    for entry in chain(others, candidates):
        path = entry.file.path
        start = folder.start(entry.file, START_BYTES) if entry.file.size else b""
        if other := other_format(start, path):
            found[path] = other
            if entry.kind is FileKind.UNEXPECTED:
                inventory.classify(path, FileKind.OTHER_PICTURE, session_of(path, shape), splitext(path)[0])
        elif entry.kind is FileKind.OTHER_PICTURE and (imported := imported_format(start)):
            renamed.add(path)
            inventory.add_finding(_of_another_name(path, imported))
    for entry in inventory.files(FileKind.OTHER_PICTURE):
        path = entry.file.path
        if entry.file.size and path not in renamed:  # a rule tells of an empty one
            _report(inventory, path, entry.stem, found.get(path) or _by_name(path))


def _by_name(path: str) -> OtherFormat:
    known = format_by_name(path)
    if known is None:
        raise AssertionError(f"{path} has no picture's name")
    return known


def _report(inventory: Inventory, path: str, stem: str, other: OtherFormat) -> None:
    advice = other.advice
    if inventory.is_picture_stem(stem):
        advice = Bilingual(
            "A picture of the same name is in the folder already; if it is the export of this file, take this file out"
            " of the folder.",
            "Une image du même nom se trouve déjà dans le dossier; si c'est l'exportation de ce fichier, retirez ce"
            " fichier du dossier.",
        )
    inventory.add_finding(Finding(code="other-format", path=path, expected=ACCEPTED, found=other.name, advice=advice))


def _of_another_name(path: str, imported: str) -> Finding:
    return Finding(
        code="picture-format",
        path=path,
        expected=Bilingual("a suffix that fits the content", "un suffixe qui correspond au contenu"),
        found=Bilingual.same(imported),
        advice=renamed_to(imported),
    )
