"""Naming the champion of a model: a person does it, for a reason, and with a version that passed its evaluation.

A grave check that failed refuses it. A warning must be named by whoever accepts it.
"""

from collections.abc import Collection
from dataclasses import dataclass

from nachet_pipeline.database import audit
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch_value
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.models.evaluation.queries import Evaluated, latest_evaluation
from nachet_pipeline.models.model import ModelVersion
from nachet_pipeline.models.queries import model_versions, version_named

_CLEAN = "champions_clean"
"""What is accepted with a version that photographs taught which are gone; this check of the health stays amber then."""


class NotPromotedError(RefusedError):
    """A version cannot be named champion; the message says why."""


@dataclass(frozen=True)
class Promoted:
    """A version that is champion.

    Attributes:
        version: which.
        before: the champion before; None if there was none.
        evaluation: the evaluation that it passed.
        despite: the warnings that were accepted, of that evaluation or of photographs that are gone.
        new: False if it was champion already.
    """

    version: ModelVersion
    before: str | None
    evaluation: Evaluated
    despite: tuple[str, ...]
    new: bool


def promote(connection: Connection, name: str, *, by: str, why: str, despite: Collection[str] = ()) -> Promoted:
    """Name a version the champion of its model.

    Args:
        connection: in whose transaction it is done.
        name: `NAME@VERSION`.
        by: who wants it.
        why: the reason.
        despite: checks that warn and are accepted.

    Raises:
        UnknownModelError: there is no such version.
        NotPromotedError: its latest evaluation failed or warns of something that is not accepted, or compares it with
            another champion than today's, or there is none; or photographs that taught it are gone, and that is not
            accepted.
    """
    version = version_named(connection, name)
    # One at a time: a champion is compared with the one before.
    connection.execute("select from model where id = %s for update", (version.model_id,))
    versions = model_versions(connection, version.model)
    before = next((one.name for one in versions if one.champion), None)
    evaluation = latest_evaluation(connection, version.id)
    if evaluation is None:
        raise NotPromotedError(f"{version.name} was never evaluated: `nachet model evaluate {version.name}`")
    warned = {one.partition(":")[0]: one for one in evaluation.warnings}
    if gone := _gone(connection, version):
        warned[_CLEAN] = f"{_CLEAN}: it was trained on {gone:,} photographs that were withdrawn or deleted since"
    accepted = tuple(check for check in warned if check in despite)
    if before == version.name:
        return Promoted(version, before, evaluation, accepted, new=False)
    if failed := evaluation.failed:
        raise NotPromotedError(f"{version.name} did not pass its evaluation: {'; '.join(failed)}")
    if evaluation.metrics["champion"] != before:
        raise NotPromotedError(
            f"{version.name} was not compared with {before}, which is champion now: `nachet model evaluate"
            f" {version.name}` again"
        )
    if left := [check for check in warned if check not in despite]:
        raise NotPromotedError(
            f"{version.name} has warnings: {'; '.join(warned[check] for check in left)}. If it is right all the same,"
            f" say so: {' '.join(f'--despite {check}' for check in left)}"
        )
    connection.execute(
        "insert into model_champion (model_id, model_version_id, evaluation_id, named_by, why)"
        " values (%s, %s, %s, %s, %s)",
        (version.model_id, version.id, evaluation.id, by, why),
    )
    audit.record(
        connection,
        actor=by,
        action="promoted",
        subject="model version",
        subject_id=version.id,
        before={"champion": before},
        after={"champion": version.name, "evaluation": str(evaluation.id), "why": why, "despite": list(accepted)},
    )
    return Promoted(version, before, evaluation, accepted, new=True)


def _gone(connection: Connection, version: ModelVersion) -> int:
    """How many of the photographs that taught a version were withdrawn or deleted since."""
    query = "select count(distinct photograph_id) from taught where model_version_id = %s and gone is not null"
    return int(fetch_value(connection, query, (version.id,)))
