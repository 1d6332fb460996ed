"""Stages a local folder in a user's upload container. Staging can be resumed, and a staged folder corrected."""

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import PurePosixPath

from nachet_pipeline.contract.names import is_hidden, is_litter, printable, why_unsafe
from nachet_pipeline.contract.structure import COMPLETE_MARKER, is_marker
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.identifiers import TEMPLATE_FOLDER
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.bounded import bounded_map
from nachet_pipeline.support.files import SourceFolder, StagedFile
from nachet_pipeline.support.progress import Progress, silent

_CORRECTABLE = {".yaml", ".yml"}
_NAMED_IN_ERRORS = 5


class StagingError(RefusedError):
    """A folder cannot be staged; the message says which files and what to do."""


@dataclass(frozen=True, slots=True)
class Staged:
    """The result of staging.

    Attributes:
        sent: files sent.
        unchanged: files that were there already.
        removed: staged files removed because the local folder does not have them.
        size: bytes of the whole folder.
    """

    sent: int
    unchanged: int
    removed: int
    size: int


@dataclass(frozen=True, slots=True)
class _Plan:
    send: list[StagedFile]
    remove: list[str]
    differing: list[str]
    unchanged: int
    size: int
    marked: bool


def stage_folder(
    blobs: BlobStorage,
    folder: SourceFolder,
    container: str,
    name: str,
    *,
    replace: bool = False,
    may_delete: bool = True,
    concurrency: int = 4,
    progress: Progress = silent,
) -> Staged:
    """Stage a folder; files that are staged already are not sent again.

    The marker of a complete folder is removed before anything changes; `mark_complete` puts it back. Pictures are sent
    first and indexes last, so that a folder that is seen meanwhile is incomplete and is not imported.

    Args:
        blobs: the storage account.
        folder: the local folder.
        container: the user's upload container.
        name: the folder's name there.
        replace: replace staged pictures that differ, and remove staged files that the local folder does not have.
            Corrected YAML files always replace staged ones.
        may_delete: whether staged files may be removed; an upload key does not allow it.
        concurrency: files sent at a time.
        progress: called after every file.

    Raises:
        StagingError: a name is unsafe, or the staged folder holds other pictures and `replace` is not given.
        FileChangedError: a local file changed meanwhile.
        StorageError: storage does not answer.
    """
    if problem := why_unsafe(name):
        raise StagingError(f"{printable(name)}: a folder cannot be staged under a name with {problem.en}")
    if name.casefold() == TEMPLATE_FOLDER:
        raise StagingError(f"{name}: this folder shows what to upload and is never imported; use --name for another")
    plan = _plan(blobs, folder, container, name, replace=replace)
    if not may_delete:
        _refuse_removing(plan, name)
    elif plan.send or plan.remove:
        blobs.delete(container, f"{name}/{COMPLETE_MARKER}")
    for path in plan.remove:
        blobs.delete(container, f"{name}/{path}")
    done = plan.size - sum(file.size for file in plan.send)
    progress(done, plan.size)

    def send(file: StagedFile) -> int:
        content = folder.read(file)
        kind = mimetypes.guess_type(file.path)[0] or "application/octet-stream"
        blobs.upload(container, f"{name}/{file.path}", content, content_type=kind, overwrite=True)
        return file.size

    for files in _in_turn(plan.send):
        for size in bounded_map(send, files, workers=concurrency, name="stage"):
            done += size
            progress(done, plan.size)
    return Staged(len(plan.send), plan.unchanged, len(plan.remove), plan.size)


def _in_turn(files: list[StagedFile]) -> list[list[StagedFile]]:
    """The files in three groups: pictures, their YAML files, indexes."""
    groups: list[list[StagedFile]] = [[], [], []]
    for file in files:
        path = PurePosixPath(file.path.lower())
        groups[0 if path.suffix not in _CORRECTABLE else 2 if path.stem == "index" else 1].append(file)
    return groups


def _refuse_removing(plan: _Plan, name: str) -> None:
    """Refuse a plan that an upload key does not allow.

    Such a key cannot remove files, nor replace pictures of a complete folder, which may be being imported.

    Raises:
        StagingError: the plan needs one of both.
    """
    kept = plan.remove or (plan.differing if plan.marked else [])
    if kept:
        raise StagingError(
            f"an upload key cannot remove files, nor replace pictures of a folder that is complete: {name} holds"
            f" {_first(kept)}; stage the corrected folder under another name, with --name"
        )


def mark_complete(blobs: BlobStorage, container: str, name: str) -> None:
    """Mark a staged folder as complete, so that it is imported without waiting."""
    blobs.upload(container, f"{name}/{COMPLETE_MARKER}", b"complete\n", content_type="text/plain", overwrite=True)


def _plan(blobs: BlobStorage, folder: SourceFolder, container: str, name: str, *, replace: bool) -> _Plan:
    staged = {path: (size, md5) for path, size, md5 in blobs.md5s(container, name)}
    markers = [path for path in staged if is_marker(path)]
    for path in markers:
        del staged[path]
    send: list[StagedFile] = []
    differing: list[str] = []
    unchanged = size = 0
    for file in folder.files():
        if is_litter(file.path) or is_marker(file.path):
            continue
        if (problem := why_unsafe(file.path)) or not file.regular:
            if is_hidden(file.path):  # validation ignores it too
                continue
            reason = problem.en if problem else "a link or special file"
            raise StagingError(f"{printable(file.path)}: cannot be staged: {reason}")
        size += file.size
        there = staged.pop(file.path, None)
        if there is None:
            send.append(file)
        elif there[0] == file.size and there[1] == _md5(folder, file):
            unchanged += 1
        else:
            send.append(file)
            if PurePosixPath(file.path).suffix.lower() not in _CORRECTABLE:
                differing.append(file.path)
    surplus = sorted(staged)
    if (differing or surplus) and not replace:
        what = [f"{path} (differs)" for path in differing] + [f"{path} (only there)" for path in surplus]
        raise StagingError(
            f"a folder {name} is staged already and holds other files: {_first(what)};"
            " use --replace if yours is its correction, or --name to stage it under another name"
        )
    return _Plan(send, surplus, differing, unchanged, size, bool(markers))


def _first(paths: list[str]) -> str:
    more = f" and {len(paths) - _NAMED_IN_ERRORS} more" if len(paths) > _NAMED_IN_ERRORS else ""
    return f"{', '.join(paths[:_NAMED_IN_ERRORS])}{more}"


def _md5(folder: SourceFolder, file: StagedFile) -> bytes:
    return hashlib.md5(folder.read(file), usedforsecurity=False).digest()
