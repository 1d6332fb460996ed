"""Rendering versions of training sets for the command: lines for people, records for programs."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nachet_pipeline.training.queries import Membership, Version, VersionChange, VersionDifference, Withdrawal

if TYPE_CHECKING:
    from nachet_pipeline.training.publishing import Published

_SHORT = 12
_WIDTH = 14


def short(name: str, digest: str) -> str:
    """A version as people may name it to `nachet training-set show`."""
    return f"{name}@{digest[:_SHORT]}"


def version_record(version: Version) -> dict[str, Any]:
    """A version as JSON."""
    return {
        **asdict(version),
        "id": str(version.id),
        "created_at": version.created_at.isoformat(),
        "current_since": version.current_since.isoformat() if version.current_since else None,
    }


def version_line(version: Version) -> str:
    """A version in a list."""
    line = f"{short(version.name, version.digest)}  {version.created_at:%Y-%m-%d %H:%M}  {version.pictures} pictures"
    if version.withdrawn:
        line += f", {version.withdrawn} withdrawn since"
    return f"{line}  current" if version.current else line


def version_lines(version: Version) -> Iterator[str]:
    """Everything of a version."""
    yield f"{version.name}@{version.digest}"
    stated = {
        "manifest": f"{version.container}/{version.blob}",
        "made": f"{version.created_at:%Y-%m-%d %H:%M %Z}",
        "current": "yes" if version.current else "no",
        "previous": version.previous or "none",
        "pictures": str(version.pictures),
        "groups": "unknown" if version.groups is None else str(version.groups),
        "withdrawn": str(version.withdrawn),
    }
    for label, value in stated.items():
        yield f"  {label:<{_WIDTH}}{value}"
    for one in version.classes or ():
        counts = ", ".join(f"{count} {side}" for side, count in one["counts"].items())
        yield f"  {one['label']}: {counts}"
    for one in version.notes or ():
        yield f"  {one['message']}"


def membership_record(found: Membership) -> dict[str, Any]:
    """A picture in a version as JSON."""
    values = {name: str(value) if name in _IDENTIFIERS and value else value for name, value in asdict(found).items()}
    return {**values, "withdrawn_at": found.withdrawn_at.isoformat() if found.withdrawn_at else None}


_IDENTIFIERS = {"version", "group", "picture", "picture_set", "upload", "mass_import"}


def membership_lines(found: Membership) -> Iterator[str]:
    """A picture in a version."""
    yield f"{short(found.name, found.digest)}{'  current' if found.current else ''}"
    stated = {
        "picture": str(found.picture),
        "split": found.split,
        **_labels(found),
        "group": str(found.group),
        "stored": f"{found.container}/{found.blob}",
        "picture set": str(found.picture_set),
        "upload": f"{found.upload} ({found.folder})" if found.upload else f"mass import {found.mass_import}",
        "owner": found.owner,
        "withdrawn": f"{found.withdrawn_at:%Y-%m-%d %H:%M %Z}" if found.withdrawn_at else "no",
    }
    for label, value in stated.items():
        yield f"  {label:<{_WIDTH}}{value}"


def _labels(found: Membership) -> dict[str, str]:
    if found.class_indices is None:
        return {"class index": str(found.class_index)}
    return {"class indices": ", ".join(map(str, found.class_indices))}


def difference_record(found: VersionDifference) -> dict[str, Any]:
    """A difference as JSON."""
    return {name: _change(getattr(found, name)) for name in VersionDifference.__dataclass_fields__}


def _change(change: VersionChange) -> dict[str, Any]:
    return {"count": change.count, "sample": [str(picture) for picture in change.sample]}


def difference_lines(found: VersionDifference) -> Iterator[str]:
    """A difference, with the first pictures of each kind."""
    for name in VersionDifference.__dataclass_fields__:
        change: VersionChange = getattr(found, name)
        yield f"{name:<{_WIDTH}}{change.count}"
        for picture in change.sample:
            yield f"  {picture}"
        if change.count > len(change.sample):
            yield f"  and {change.count - len(change.sample)} more"


def withdrawal_record(found: Withdrawal) -> dict[str, Any]:
    """What withdrawing a picture did, as JSON."""
    return {
        "pictures": [str(picture) for picture in found.pictures],
        "new": [str(picture) for picture in found.new],
        "tainted": [
            {"name": version.name, "digest": version.digest, "current": version.current} for version in found.tainted
        ],
        "models": [
            {"name": one.name, "champion": one.champion, "training_set": one.training_set, "pictures": one.pictures}
            for one in found.models
        ],
    }


def withdrawal_lines(found: Withdrawal) -> Iterator[str]:
    """What withdrawing a picture did."""
    others = len(found.pictures) - 1
    with_crops = f", with {others} that are the same photograph or cut from it" if others else ""
    yield f"{'withdrawn' if found.new else 'withdrawn before'}{with_crops}"
    for version in found.tainted:
        yield f"  tainted: {version_line(version)}"
    for one in found.models:
        yield f"  tainted: {one.line}"
    if not found.tainted:
        yield "  no training set holds it"


def published_record(published: "Published") -> dict[str, Any]:
    """What building did, as JSON."""
    built = published.built
    return {
        "name": built.name,
        "digest": built.digest,
        "new": built.new,
        "released": published.released,
        "manifest": f"{built.container}/{built.blob}",
        "card": f"{built.container}/{published.card}",
        "pictures": built.pictures,
        "groups": built.groups,
        "classes": [asdict(one) for one in built.classes],
        "notes": [asdict(note) for note in built.notes],
        "near_pairs": built.near_pairs.count,
        "previous": built.previous,
        "difference": difference_record(built.difference) if built.difference else None,
        "copied": built.copied,
        "checks": [{"name": one.name, "passed": one.passed, "summary": one.summary} for one in published.verdicts],
    }


def published_lines(published: "Published") -> Iterator[str]:
    """What building did."""
    built = published.built
    yield f"{short(built.name, built.digest)}  {built.pictures} pictures, {'new' if built.new else 'as before'}"
    for one in built.classes:
        counts = ", ".join(f"{count} {side}" for side, count in one.counts.items())
        yield f"  {one.label}: {counts}"
    if built.difference and built.new:
        changes = (f"{getattr(built.difference, name).count} {name}" for name in VersionDifference.__dataclass_fields__)
        yield f"  since {(built.previous or '')[:_SHORT]}: {', '.join(changes)}"
    if built.copied is not None:
        yield f"  {built.copied} pictures copied"
    for note in built.notes:
        yield f"  {note}"
    for verdict in published.verdicts:
        if not verdict.passed:
            yield f"  {verdict.name}: {verdict.summary}"
    if not published.released:
        yield "  It failed its checks, so it does not become the current version."
