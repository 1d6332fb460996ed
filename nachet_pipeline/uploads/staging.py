"""Stages a local folder in a user's upload container. Staging can be resumed, and a staged folder corrected.

Everything can be done with an upload key, which can write and not delete: the marker of the complete folder lists the
files that belong to it, and whatever else is staged there is ignored.
"""

import hashlib
import mimetypes
import time
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath

from nachet_pipeline.contract.marks import (
    COMPLETE,
    COMPLETE_MARKER,
    MARKERS,
    MOST_LIST_BYTES,
    STAGING,
    WITHDRAWN_MARKER,
    CompleteMarker,
    ListedFile,
    ListError,
    fits_list,
    render_list,
)
from nachet_pipeline.contract.names import is_hidden, is_litter, printable, why_unsafe
from nachet_pipeline.contract.structure import is_marker, picture_format
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.identifiers import TEMPLATE_FOLDER
from nachet_pipeline.storage.blobs import BlobStorage, TooLargeError
from nachet_pipeline.support.bounded import MemoryBudget, bounded_map
from nachet_pipeline.support.files import FileChangedError, SourceFolder, StagedFile
from nachet_pipeline.support.progress import Progress, silent

_CORRECTABLE = {".yaml", ".yml"}
_NAMED_IN_ERRORS = 5
_TIMES_MARKED = 5
_BEFORE_ITS_MARKER = datetime.min.replace(tzinfo=UTC)  # all that matters of when a file was sent


class StagingError(RefusedError):
    """A folder cannot be staged; the message says which files and what to do."""


@dataclass(frozen=True, slots=True)
class Staged:
    """The result of staging, to be completed by `mark_complete`.

    Attributes:
        sent: files sent.
        unchanged: files that were there already.
        removed: staged files removed because the local folder does not have them.
        left_out: staged files that stay there and do not belong to the folder any more.
        size: bytes of the whole folder.
        marker: the content for the marker that completes it: the list of its files.
        files: all that is staged in it now, but for what somebody else changed meanwhile.
    """

    sent: int
    unchanged: int
    removed: int
    size: int
    left_out: int = 0
    marker: bytes = field(default=COMPLETE, repr=False, compare=False)
    files: Sequence[StagedFile] = field(default=(), repr=False, compare=False)


@dataclass(slots=True)
class _Plan:
    """What staging has to do.

    Attributes:
        send: local files to send.
        listed: files that are there already, as the marker lists them.
        differing: pictures that are there with another content.
        surplus: staged files that the local folder does not have.
        size: bytes of the whole folder.
        staged: what is staged, by path.
        left_out: staged files that do not belong to the staged folder, because its marker does not list them.
    """

    send: list[StagedFile]
    listed: list[ListedFile]
    differing: list[str]
    surplus: dict[str, tuple[int, bytes | None]]
    size: int
    staged: dict[str, StagedFile]
    left_out: Set[str]

    @property
    def fits_list(self) -> bool:
        """Whether the marker can list the folder's files."""
        there = ((one.path, one.size or 0) for one in self.listed)
        return fits_list((*there, *((file.path, file.size) for file in self.send)))


def stage_folder(
    blobs: BlobStorage,
    folder: SourceFolder,
    container: str,
    name: str,
    *,
    replace: bool = False,
    may_delete: bool = True,
    concurrency: int = 4,
    memory: int = 1024**3,
    progress: Progress = silent,
) -> Staged:
    """Stage a folder; files that are staged already are not sent again. `mark_complete` completes it.

    While a folder that is there is changed, its marker says so, and it is not imported. Pictures are sent first and
    indexes last, so that a new folder that is seen meanwhile is incomplete.

    Args:
        blobs: the storage account.
        folder: the local folder.
        container: the user's upload container.
        name: the folder's name there.
        replace: the local folder is a correction: its pictures replace staged ones that differ, and staged pictures
            that it does not have belong to the folder no more. Renamed pictures, corrected YAML files and files that
            have no place in the folder need no leave.
        may_delete: whether staged files may be removed. An upload key does not allow it; the marker's list then leaves
            them out.
        concurrency: files sent at a time.
        memory: bytes of them that are held at a time; a larger file is sent alone.
        progress: called after every file.

    Raises:
        StagingError: a name is unsafe, or the staged folder holds other pictures and `replace` is not given.
        FileChangedError: a local file changed meanwhile.
        StorageError: storage does not answer.
    """
    _check_name(name)
    plan = _plan(blobs, folder, container, name)
    _check_plan(plan, folder, name, replace=replace, may_delete=may_delete)
    removed = list(plan.surplus) if replace and may_delete else []
    now = plan.staged
    if now and (plan.send or removed):
        _write_marker(blobs, container, name, COMPLETE_MARKER, STAGING)
    for path in removed:
        blobs.delete(container, f"{name}/{path}")
        del now[path]
    sent = []
    done = plan.size - sum(file.size for file in plan.send)
    progress(done, plan.size)
    for listed, there in _sending(blobs, folder, container, name, plan, concurrency, memory):
        sent.append(listed)
        now[there.path] = there
        done += there.size
        progress(done, plan.size)
    return Staged(
        sent=len(sent),
        unchanged=len(plan.listed),
        removed=len(removed),
        size=plan.size,
        left_out=len(plan.surplus) - len(removed),
        marker=render_list((*plan.listed, *sent), replace=replace) if plan.fits_list else COMPLETE,
        files=tuple(now.values()),
    )


def _sending(
    blobs: BlobStorage, folder: SourceFolder, container: str, name: str, plan: _Plan, concurrency: int, memory: int
) -> Iterator[tuple[ListedFile, StagedFile]]:
    """Send what a plan says, in turn; yields each file as the marker lists it and as it is staged."""
    checked, budget = not plan.fits_list, MemoryBudget(memory)

    def send(file: StagedFile) -> tuple[ListedFile, StagedFile]:
        content = folder.read(file)
        kind = mimetypes.guess_type(file.path)[0] or "application/octet-stream"
        # A list has the file's SHA-256, which the import compares with what it reads.
        there = _written(blobs, container, name, file.path, content, kind, checked=checked)
        return _listed(file, content), there

    for files in _in_turn(plan.send):
        yield from bounded_map(
            send, files, workers=concurrency, budget=budget, size=lambda file: file.size, name="stage"
        )


def mark_complete(blobs: BlobStorage, container: str, name: str, marker: bytes = COMPLETE) -> StagedFile:
    """Mark a staged folder as complete, so that it is imported without waiting.

    Args:
        blobs: the storage account.
        container: the user's upload container.
        name: the folder's name there.
        marker: as staging it returned; without a list every file that is staged belongs to the folder.

    Returns:
        The marker, as it is staged now.
    """
    return _write_marker(blobs, container, name, COMPLETE_MARKER, marker)


class SentFolder:
    """A staged folder as whoever staged and completed it knows it, whatever others change in it meanwhile.

    So what was sent is identified without another look at storage, which might already find somebody else's files.
    """

    staged = True

    def __init__(self, name: str, staged: Staged, marker: StagedFile) -> None:
        """Take what `stage_folder` and `mark_complete` returned."""
        self.name = name
        self._marker = staged.marker
        self._files = sorted({**{file.path: file for file in staged.files}, marker.path: marker}.items())

    def files(self) -> Iterator[StagedFile]:
        """All files of the folder."""
        return (file for _, file in self._files)

    def read(self, file: StagedFile) -> bytes:
        """The content of the marker; nothing else is kept.

        Raises:
            FileChangedError: it is another file.
        """
        if file.path != COMPLETE_MARKER:
            raise FileChangedError(file.path)
        return self._marker

    def start(self, file: StagedFile, size: int) -> bytes:
        """The first bytes of the marker.

        Raises:
            FileChangedError: it is another file.
        """
        return self.read(file)[:size]


def withdraw_folder(blobs: BlobStorage, container: str, name: str) -> None:
    """Mark a staged folder as withdrawn: it is not imported. Marking it as complete takes that back.

    Raises:
        StagingError: no such folder is staged.
        StorageError: storage does not answer.
    """
    _check_name(name)
    if not blobs.files_page(container, name)[0]:
        raise StagingError(f"no folder {name} is staged; nothing is withdrawn")
    _write_marker(blobs, container, name, WITHDRAWN_MARKER, b"")


def _check_name(name: str) -> None:
    if problem := why_unsafe(name):
        raise StagingError(f"{printable(name)}: a folder cannot be staged under a name with {problem.en}")
    if "/" in name:  # it would be a part of another folder
        raise StagingError(f"{printable(name)}: a folder cannot be staged under a name with a slash")
    if name.casefold() == TEMPLATE_FOLDER:
        raise StagingError(f"{name}: this folder shows what to upload and is never imported; use --name for another")


def _write_marker(blobs: BlobStorage, container: str, name: str, marker: str, content: bytes) -> StagedFile:
    """Write a marker, so that it is later than the folder's other one: the service's clock counts whole seconds."""
    (other,) = (one for one in MARKERS if one != marker)
    for _ in range(_TIMES_MARKED):
        written = _written(blobs, container, name, marker, content, "text/plain")
        before = blobs.properties_of(container, f"{name}/{other}")
        if before is None or written.modified > before.modified:
            break
        time.sleep(1)
    return written


def _written(
    blobs: BlobStorage, container: str, name: str, path: str, content: bytes, kind: str, *, checked: bool = True
) -> StagedFile:
    """Write a file of a folder, whatever was there."""
    written = blobs.upload(container, f"{name}/{path}", content, content_type=kind, overwrite=True, checked=checked)
    if written is None:  # what may be overwritten is not in the way
        raise FileChangedError(path)
    return StagedFile(path, len(content), written.version, written.modified or _BEFORE_ITS_MARKER)


def _in_turn(files: list[StagedFile]) -> list[list[StagedFile]]:
    """The files in three groups: pictures, their YAML files, indexes."""
    groups: list[list[StagedFile]] = [[], [], []]
    for file in files:
        path = PurePosixPath(file.path.lower())
        groups[0 if path.suffix not in _CORRECTABLE else 2 if path.stem == "index" else 1].append(file)
    return groups


def _plan(blobs: BlobStorage, folder: SourceFolder, container: str, name: str) -> _Plan:
    found = list(blobs.md5s(container, name))
    staged = {file.path: file for file, _ in found}
    surplus = {file.path: (file.size, md5) for file, md5 in found if not is_marker(file.path)}
    plan = _Plan([], [], [], surplus, 0, staged, _left_out(blobs, container, name, staged))
    for file in folder.files():
        if is_litter(file.path) or is_marker(file.path):
            continue
        if (problem := why_unsafe(file.path)) or not file.regular:
            if is_hidden(file.path):  # validation ignores it too
                continue
            reason = problem.en if problem else "a link or special file"
            raise StagingError(f"{printable(file.path)}: cannot be staged: {reason}")
        plan.size += file.size
        there = surplus.pop(file.path, None)
        content = folder.read(file) if there and there[0] == file.size else None
        if there and content is not None and there[1] == _md5(content):
            plan.listed.append(_listed(file, content))
            continue
        plan.send.append(file)
        if there and picture_format(file.path) and file.path not in plan.left_out:
            plan.differing.append(file.path)
    return plan


def _left_out(blobs: BlobStorage, container: str, name: str, staged: Iterable[str]) -> frozenset[str]:
    """The staged files that the marker's list leaves out; none if there is no list that can be used."""
    if COMPLETE_MARKER not in staged:
        return frozenset()
    try:
        content = blobs.read(container, f"{name}/{COMPLETE_MARKER}", limit=MOST_LIST_BYTES)
        marker = CompleteMarker.read(content)
        return frozenset(staged) - {one.path for one in marker.files()} if marker.lists else frozenset()
    except (FileChangedError, TooLargeError, ListError):
        return frozenset()


def _check_plan(plan: _Plan, folder: SourceFolder, name: str, *, replace: bool, may_delete: bool) -> None:
    """Refuse what nobody has asked for: pictures that differ or vanish may be those of another folder.

    Raises:
        StagingError: it needs `replace`, or another name.
    """
    gone = [path for path in sorted(plan.surplus) if picture_format(path) and path not in plan.left_out]
    if (plan.differing or gone) and not replace:
        gone = _without_renamed(gone, plan, folder)
        what = [f"{path} (differs)" for path in plan.differing] + [f"{path} (only there)" for path in gone]
        if what:
            raise StagingError(
                f"a folder {name} is staged already and holds other pictures: {_first(what)}; use --replace if yours"
                " is its correction: then yours replace them, and what yours does not have belongs to it no more; or"
                " --name to stage yours under another name"
            )
    if plan.surplus and not plan.fits_list and not (replace and may_delete):
        how = "use --replace to remove them" if may_delete else "an upload key cannot remove them; use --name"
        raise StagingError(
            f"{name} holds files that yours does not have: {_first(sorted(plan.surplus))}; yours has too many files for"
            f" a list in {COMPLETE_MARKER} that leaves them out; {how}"
        )


def _without_renamed(gone: Sequence[str], plan: _Plan, folder: SourceFolder) -> list[str]:
    """The staged pictures among those that no file to send has the content of."""
    sizes = {plan.surplus[path][0] for path in gone}
    sent = {_md5(folder.read(file)) for file in plan.send if file.size in sizes}
    return [path for path in gone if plan.surplus[path][1] not in sent]


def _first(paths: list[str]) -> str:
    more = f" and {len(paths) - _NAMED_IN_ERRORS} more" if len(paths) > _NAMED_IN_ERRORS else ""
    return f"{', '.join(paths[:_NAMED_IN_ERRORS])}{more}"


def _md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


def _listed(file: StagedFile, content: bytes) -> ListedFile:
    return ListedFile(file.path, len(content), hashlib.sha256(content).hexdigest())
