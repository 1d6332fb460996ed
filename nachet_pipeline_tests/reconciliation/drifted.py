"""Storage and database that disagree, for tests: imported for real, then damaged."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.reconciliation.comparing import Compared, Comparer
from nachet_pipeline.reconciliation.queries import Drift, DriftKind
from nachet_pipeline.reconciliation.repairing import Repair, RepairAction, Repairer
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline_tests.workbench import Workbench


def imported(bench: Workbench, name: str = "project", *, pictures: int = 2, sessions: int = 1, seed: int = 0) -> Upload:
    """Import a folder as the sensor does."""
    upload = bench.stage(bench.sample(name, pictures=pictures, sessions=sessions, seed=seed))
    assert bench.import_as_the_sensor_does(upload).receipt.state is State.IMPORTED
    return bench.now(upload)


def comparer(bench: Workbench, *, margin: timedelta = -timedelta(minutes=1), **settings: Any) -> Comparer:
    """One that takes blobs that were written just now for old."""
    return bench.comparer(settings=bench.settings.reconciliation.model_copy(update=settings), margin=margin)


def repairer(bench: Workbench, comparer: Comparer) -> Repairer:
    return Repairer(bench.database, bench.blobs, comparer, bench.settings.arrival, bench.limits)


def compare(bench: Workbench, *, read: bool = False, **settings: Any) -> Compared:
    return comparer(bench, **settings).compare(bench.user, read=read)


def drift(bench: Workbench, *, read: bool = False, **settings: Any) -> list[Drift]:
    """What comparing the bench's user finds."""
    one = comparer(bench, **settings)
    found = list(one.drift_of(one.compare(bench.user, read=read).users))
    assert all(item.owner_id == bench.user.id for item in found)
    return found


def kinds(bench: Workbench, **settings: Any) -> dict[DriftKind, set[str]]:
    """The names of what disagrees, by kind."""
    found: dict[DriftKind, set[str]] = {}
    for one in drift(bench, **settings):
        found.setdefault(one.kind, set()).add(one.name)
    return found


def repair(bench: Workbench, *, after_days: int = 0) -> list[Repair]:
    """Compare, let what was found in storage have been there for so long, and repair."""
    one = comparer(bench)
    users = one.compare(bench.user).users
    # Storage itself cannot be told that a blob is old.
    bench.query("update drift set modified = modified - interval '1 day' * %s", after_days)
    return list(repairer(bench, one).repair(users))


def actions(repairs: list[Repair]) -> list[tuple[DriftKind, RepairAction, bool]]:
    return [(one.drift.kind, one.remedy.action, one.done) for one in repairs]


def pictures(bench: Workbench) -> list[dict[str, Any]]:
    """The rows of the user's pictures."""
    return bench.query(
        "select p.id, p.blob, p.picture_set_id, p.size, encode(p.sha256, 'hex') as sha256 from pictures p"
        " join picture_set s on s.id = p.picture_set_id where s.owner_id = %s order by p.blob",
        bench.user.id,
    )


def store(bench: Workbench, name: str, content: bytes, container: str | None = None) -> str:
    """Write a blob where the pipeline keeps its own."""
    place = container or bench.user.user_container
    bench.blobs.upload(place, name, content, content_type="image/png", overwrite=True)
    return name


def orphan(bench: Workbench, content: bytes = b"picture") -> str:
    """A stored blob without row, as a killed import leaves it."""
    return store(bench, f"{uuid.uuid4()}/{uuid.uuid4()}.png", content)


def later(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def trail(bench: Workbench) -> list[dict[str, Any]]:
    """What the audit trail says, but for the registry, and for what an import or the test itself writes to rows."""
    return bench.query(
        "select actor, action, subject, subject_id, before, after from audit_trail where subject <> 'seed'"
        " and not (subject in ('user', 'picture set', 'picture', 'picture seed')"
        "  and action in ('added', 'changed', 'removed'))"
        " order by id"
    )
