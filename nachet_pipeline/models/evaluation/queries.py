"""What evaluating reads of training sets and predictions, and what is kept of evaluations."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch
from nachet_pipeline.models.queries import trained_on
from nachet_pipeline.picture_sets.withdrawn_content import live_elsewhere
from nachet_pipeline.training.recipe import SPLITS

TEST = SPLITS.index("test")


@dataclass(frozen=True, slots=True)
class Member:
    """A picture of the test split of a training set; of several rows of one content, one.

    Attributes:
        picture_id: its identifier.
        sha256: its content.
        classes: the class indices that it is labelled with.
        group: what must stay together with it.
        whole_id: the photograph that it is, or was cut from.
        whole_sha256: that photograph's content.
        owner: e-mail of the user whose it is.
        device: what it was taken with; None: not known, as below.
        zoom: as stated.
        seeds: number of seeds in the photograph.
        taken_at: when it was taken, or else imported.
        quality: from 0 to 1.
        trained_on: versions, of those that were asked about, that it taught; see `trained_on`.
    """

    picture_id: UUID
    sha256: bytes
    classes: list[int]
    group: UUID
    whole_id: UUID
    whole_sha256: bytes
    owner: str
    device: str | None
    zoom: float | None
    seeds: int
    taken_at: datetime
    quality: float | None
    trained_on: list[UUID]


def test_members(connection: Connection, training_set: UUID, versions: Sequence[UUID]) -> list[Member]:
    """The test split of a training set as it is labelled there, without pictures that were withdrawn or deleted since.

    Args:
        connection: to the database.
        training_set: the version of the training set.
        versions: versions of models; each member says which of them were trained on it.
    """
    members = f"select picture_id from training_set_member where training_set_id = %(set)s and split = {TEST}"
    return fetch(
        connection,
        class_row(Member),
        f"{trained_on(f'p.id in ({members})')} select distinct on (p.sha256) p.id as picture_id, p.sha256,"
        ' coalesce(m.class_indices, array[m.class_index]) as classes, m."group", w.id as whole_id,'
        " w.sha256 as whole_sha256, u.email as owner, w.picture #>> '{terms,ac:captureDevice}' as device,"
        " coalesce(p.zoom, w.zoom) as zoom, w.nb_object as seeds,"
        " coalesce(p.captured_at, w.captured_at, w.upload_date) as taken_at, p.quality_score as quality,"
        " coalesce(t.versions, '{}') as trained_on"
        " from training_set_member m join pictures p on p.id = m.picture_id left join pictures q on q.id = p.parent"
        " join pictures w on w.id = coalesce(q.parent, q.id, p.id)"
        " join picture_set s on s.id = p.picture_set_id join users u on u.id = s.owner_id"
        " left join (select sha256, array_agg(version order by version) as versions from trained group by 1) t"
        "  on t.sha256 = p.sha256"
        f" where m.training_set_id = %(set)s and m.split = {TEST} and p.withdrawn_at is null and w.withdrawn_at is null"
        f" and (s.deleted_at is null or {live_elsewhere('p')})"
        " order by p.sha256, p.id",
        {"set": training_set, "versions": list(versions)},
    )


@dataclass(frozen=True, slots=True)
class SeedBox:
    """A seed in a photograph.

    Attributes:
        whole_id: the photograph.
        box: left, top, right, bottom, as fractions of its sides.
        classes: the class indices of its crop; None if that is no member.
        taxon: what people say it is, of a seed that was not cut out; else None.
    """

    whole_id: UUID
    box: list[float]
    classes: list[int] | None
    taxon: UUID | None


def boxes_in(connection: Connection, training_set: UUID, wholes: Sequence[UUID]) -> list[SeedBox]:
    """Where seeds are in photographs: what was cut out of them, and what people say was missed.

    Not among them are crops that a later detection took the place of, that were withdrawn, and of which people say that
    they are no seed, or unusable.
    """
    sides = ", ".join(
        f"c.bounding_box[{place}]::float8 / w.{side}" for place, side in enumerate(("width", "height") * 2, 1)
    )
    return fetch(
        connection,
        class_row(SeedBox),
        f"select w.id as whole_id, array[{sides}] as box,"
        " coalesce(m.class_indices, case when m.class_index is not null then array[m.class_index] end) as classes,"
        " null::uuid as taxon"
        " from pictures w join pictures c on c.parent = w.id"
        " left join training_set_member m on m.training_set_id = %(set)s and m.picture_id = c.id"
        " where w.id = any(%(wholes)s) and c.bounding_box is not null and c.withdrawn_at is null"
        " and c.superseded_at is null and not exists (select from judged j where j.sha256 = c.sha256 and j.region = ''"
        "  and j.outcome in ('not_a_seed', 'unusable'))"
        " union all select w.id, coalesce(j.box::float8[], array(select side::float8 / 1000"
        "  from unnest(string_to_array(j.region, ',')) with ordinality sides (side, place) order by place)), null,"
        " coalesce(s.merged_into, s.id) from pictures w join judged j on j.sha256 = w.sha256 and j.region <> ''"
        " join seeds s on s.id = j.seed_id where w.id = any(%(wholes)s) and j.outcome = 'taxon'"
        " and not exists (select from judged_crop k join pictures c on c.id = k.picture_id where k.parent = w.id"
        "  and (k.sha256, k.region) = (j.sha256, j.region) and c.superseded_at is null and c.withdrawn_at is null)"
        " order by whole_id, box",
        {"set": training_set, "wholes": list(wholes)},
    )


@dataclass(frozen=True, slots=True)
class Predicted:
    """The newest answer of a version about a content; see the table `prediction`."""

    id: UUID
    sha256: bytes
    objects: int
    boxes: list[float]
    box_scores: list[float]
    candidate_object: list[int]
    candidate_class: list[int]
    candidate_score: list[float]


def newest_predictions(connection: Connection, version: UUID, contents: Sequence[bytes]) -> dict[bytes, Predicted]:
    """What a version said last of some contents."""
    found = fetch(
        connection,
        class_row(Predicted),
        "select distinct on (sha256) id, sha256, objects, boxes, box_scores, candidate_object, candidate_class,"
        " candidate_score from prediction where model_version_id = %s and sha256 = any(%s)"
        " order by sha256, at desc, recorded_at desc, id",
        (version, list(contents)),
    )
    return {one.sha256: one for one in found}


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An evaluation that was recorded.

    Attributes:
        id: its identifier.
        training_set: what it was made by, as `NAME@DIGEST`.
        metrics: what was measured.
        verdicts: what the checks found, as JSON of verdicts.
        evaluated_at: when.
    """

    id: UUID
    training_set: str
    metrics: dict[str, Any]
    verdicts: list[dict[str, Any]]
    evaluated_at: datetime

    @property
    def failed(self) -> list[str]:
        """What is wrong, by the grave checks that failed."""
        return self._not_passed(grave=True)

    @property
    def warnings(self) -> list[str]:
        """What is wrong, by the other checks that failed."""
        return self._not_passed(grave=False)

    def _not_passed(self, *, grave: bool) -> list[str]:
        failed = (one for one in self.verdicts if not one["passed"] and one["grave"] is grave)
        return [f"{one['name']}: {one['summary']}" for one in failed]


def record_evaluation(
    connection: Connection,
    identifier: UUID,
    *,
    version: UUID,
    training_set: UUID,
    inputs: str,
    metrics: dict[str, Any],
    verdicts: list[dict[str, Any]],
) -> bool:
    """Keep an evaluation; one of the same inputs is the same, and becomes the latest again.

    Returns:
        False if it was there before.
    """
    row = connection.execute(
        "insert into model_evaluation (id, model_version_id, training_set_id, inputs_digest, metrics, verdicts)"
        " values (%s, %s, %s, %s, %s, %s) on conflict (id) do update set metrics = excluded.metrics,"
        " verdicts = excluded.verdicts, evaluated_at = excluded.evaluated_at returning xmax = 0 as inserted",
        (identifier, version, training_set, inputs, Jsonb(metrics), Jsonb(verdicts)),
    ).fetchone()
    return bool(row and row["inserted"])


def latest_evaluation(connection: Connection, version: UUID) -> Evaluated | None:
    """The evaluation of a version that was made last; None if it was never evaluated."""
    found = fetch(
        connection,
        class_row(Evaluated),
        "select e.id, t.name || '@' || t.digest as training_set, e.metrics, e.verdicts, e.evaluated_at"
        " from model_evaluation e join training_set t on t.id = e.training_set_id"
        " where e.model_version_id = %s order by e.evaluated_at desc, e.id limit 1",
        (version,),
    )
    return found[0] if found else None
