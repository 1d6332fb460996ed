"""Files that stand where an index.yaml is missing, and files that would be a session's pictures under another name.

A file that is told of by one rule is told of by no other: one cause, one finding.
"""

from collections import Counter
from itertools import chain
from posixpath import splitext

from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.contract.inventory import FileKind, Inventory
from nachet_pipeline.contract.metadata import INDEX_NAME, MetadataFile
from nachet_pipeline.contract.misnamed import misnamed
from nachet_pipeline.contract.sessions import Session
from nachet_pipeline.contract.structure import PICTURES_FOLDER, Shape, is_ignored, is_index, picture_format, session_of

_NAMES_LOOKED_AT = 10_000
# An archive may hold any number of pictures.
_MANY = 1_000_000


def stand_ins(
    inventory: Inventory, shape: Shape | None, project: MetadataFile | None, sessions: list[Session]
) -> dict[str, str]:
    """From the path of each index.yaml that is missing to the file that was probably meant as that index."""
    if shape is None:
        return {}
    missing = [session.path for session in sessions if session.index is None]
    if shape is Shape.PROJECT and project is None:
        missing.append("")
    found = {}
    for folder in missing:
        if path := _stand_in(inventory, folder) or ("" if folder else _index_of_pictures(inventory, shape)):
            found[f"{folder}/{INDEX_NAME}".lstrip("/")] = path
    return found


def _index_of_pictures(inventory: Inventory, shape: Shape) -> str:
    """An index in pictures/ itself, which was meant for all sessions; empty if there is none."""
    if shape is not Shape.PROJECT:
        return ""
    top = next((path.partition("/")[0] for path in inventory.sessions()), PICTURES_FOLDER)
    paths = inventory.paths_in(top, _NAMES_LOOKED_AT)
    return next((path for path in paths if is_index(path) and path.count("/") == 1), "")


def _stand_in(inventory: Inventory, folder: str) -> str | None:
    paths = [path for path in inventory.paths_in(folder, _NAMES_LOOKED_AT) if path.rpartition("/")[0] == folder]
    for path in paths:
        known = misnamed(path.rpartition("/")[2])
        if known and known.index:
            return path
    # The one YAML file that describes no picture is probably the index under a name of its own.
    described = {splitext(path)[0] for path in paths if picture_format(path)}
    alone = [
        path
        for path in paths
        if path.casefold().endswith((".yaml", ".yml"))
        and not is_ignored(path)
        and splitext(path)[0] not in described
        and not picture_format(splitext(path)[0])
    ]
    return alone[0] if len(alone) == 1 else None


def would_be_pictures(inventory: Inventory, shape: Shape | None, sessions: list[Session]) -> Counter[str]:
    """How many files of each session would be pictures, once what is reported of them is done.

    They are pictures in other formats, files with another suffix, files one folder too deep, and archives, which may
    hold any number.
    """
    found = Counter({session.path: session.others for session in sessions})
    if shape is None or inventory.rule_set.severity_of("unexpected-file") is not Severity.ERROR:
        return found
    for entry in chain(inventory.files(FileKind.UNEXPECTED), inventory.files(FileKind.HIDDEN)):
        path = entry.file.path
        session = _session_around(path, shape)
        if session is None:
            continue
        known = misnamed(path.rpartition("/")[2])
        if known and known.archive:
            found[session] += _MANY
        elif (known and known.picture) or (picture_format(path) and session_of(path, shape) is None):
            found[session] += 1
    return found


def _session_around(path: str, shape: Shape) -> str | None:
    """The session that a file lies in, however deep."""
    if shape is Shape.SESSION:
        return ""
    return session_of("/".join(path.split("/")[:3]), shape)  # pictures/<session>/<file or folder>
