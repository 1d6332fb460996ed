"""Folders and tombstones as lines for people, and as JSON for programs."""

from collections.abc import Iterator, Sequence
from typing import Any

from nachet_pipeline.folders.folder import Folder, FolderState
from nachet_pipeline.picture_sets.tombstones import PutAway, Tombstone


def folder_record(
    folder: Folder, training_sets: Sequence[str] | None = None, models: Sequence[str] = ()
) -> dict[str, Any]:
    """A folder as JSON."""
    return {
        "id": str(folder.id),
        "name": folder.name,
        "owner": folder.owner,
        "source": folder.source,
        "state": folder.state.value,
        "uploaded_at": folder.uploaded_at.isoformat(),
        "container": folder.container,
        "pictures": folder.pictures,
        "crops": folder.crops,
        "bytes": folder.bytes,
        "verified": folder.verified,
        "needs_decision": folder.needs_decision,
        **({} if training_sets is None else {"training_sets": list(training_sets), "models": list(models)}),
    }


def folder_line(folder: Folder) -> str:
    """A folder in one line."""
    state = "" if folder.state is FolderState.THERE else f"  {folder.state}"
    source = f" of {folder.source}" if folder.source and folder.source != folder.name else ""
    return f"{folder.id}  {folder.uploaded_at:%Y-%m-%d}  {folder.pictures:>9,} pictures  {folder.name}{source}{state}"


def decision_lines(
    folder: Folder, training_sets: Sequence[str], models: Sequence[str], undo_days: int
) -> Iterator[str]:
    """A folder's content, and the decision that it needs."""
    yield (
        f"The folder {folder.name} of {folder.owner} has {folder.pictures:,} pictures, {folder.bytes:,} bytes;"
        f" {folder.verified:,} of them verified" + (", all of them imported and checked." if folder.imported else ".")
    )
    if folder.crops:
        yield f"{folder.crops:,} pictures were cut from them, which go the same way."
    yield from _tainted(training_sets, models)
    yield "It needs a decision:"
    yield "  --keep-for-training   moves the pictures to the archive, where they stay for training"
    yield f"  --delete-all          deletes all of it; for {undo_days} days `nachet folder undo` brings it back"


def tombstone_record(tombstone: Tombstone) -> dict[str, Any]:
    """A tombstone as JSON."""
    found: dict[str, Any] = {}
    for name in Tombstone.__dataclass_fields__:
        value = getattr(tombstone, name)
        found[name] = value.isoformat() if hasattr(value, "isoformat") else value
    return found | {
        "picture_set_id": str(tombstone.picture_set_id),
        "owner_id": str(tombstone.owner_id),
        "action": tombstone.action.value,
        "training_sets": list(tombstone.training_sets),
        "models": list(tombstone.models),
    }


def tombstone_lines(tombstone: Tombstone) -> Iterator[str]:
    """How a folder was put away, or brought back."""
    what = f"{tombstone.name} of {tombstone.owner}, {tombstone.pictures:,} pictures, {tombstone.bytes:,} bytes"
    if tombstone.undone_at:
        yield f"brought back  {what}"
        return
    place = f", to {tombstone.archive}" if tombstone.action is PutAway.ARCHIVED else ""
    yield f"{tombstone.action}  {what}{place}"
    yield (
        f"`nachet folder undo {tombstone.picture_set_id} --by … --why …` brings it back until"
        f" {tombstone.undo_until:%Y-%m-%d %H:%M} UTC"
    )
    if tombstone.action is PutAway.DELETED:
        yield from _tainted(tombstone.training_sets, tombstone.models)


def _tainted(training_sets: Sequence[str], models: Sequence[str]) -> Iterator[str]:
    if training_sets:
        yield (
            "Pictures of it are in these versions of training sets, which are frozen and stay as they are; later"
            " versions will not have deleted ones, and what was trained on them has to be trained anew:"
        )
        yield from (f"  {version}" for version in training_sets)
    if models:
        yield "These versions of models were trained on them:"
        yield from (f"  {version}" for version in models)
