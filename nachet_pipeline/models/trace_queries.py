"""Tracing, both ways: what taught the version that said something, and what was taught by a photograph.

Everything goes by content: a picture is every row of its file or its pixels, with what it was cut from and what was cut
from it. The view `taught` has what each version was trained on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from string import hexdigits
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, tuple_row

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch, fetch_column, fetch_value
from nachet_pipeline.errors import RefusedError, UsageError
from nachet_pipeline.models.judgements.queries import RecordedJudgement, judgements_page
from nachet_pipeline.models.model import ModelVersion
from nachet_pipeline.models.queries import version_named
from nachet_pipeline.picture_sets.withdrawn_content import TaughtModel, models_taught_by, rows_of_content
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.training.ranks import labels_at
from nachet_pipeline.training.recipe import SPLITS

SHOWN = 20
"""Pictures, predictions, judgements and evaluations that are named, at most; their numbers are complete."""

_PAGE = 2000
_DIGITS = 64


class UntraceableError(RefusedError, LookupError):
    """There is no such prediction, picture or version."""


@dataclass(frozen=True, slots=True)
class Uploader:
    """Whose photographs taught a version: how many, and how many of them are withdrawn or deleted since."""

    email: str
    photographs: int
    withdrawn: int
    deleted: int


@dataclass(frozen=True, slots=True)
class Taught:
    """What taught a version: the side `train` of the training set that it was trained on.

    Attributes:
        training_set: as `NAME@DIGEST`.
        pictures: photographs or crops.
        relabelled: how many of them would have another label today.
        uploaders: who uploaded the photographs that these are or were cut from, most photographs first.
    """

    training_set: str
    pictures: int
    relabelled: int
    uploaders: list[Uploader]

    @property
    def photographs(self) -> int:
        """How many photographs taught it."""
        return sum(one.photographs for one in self.uploaders)

    @property
    def withdrawn(self) -> int:
        """How many of them were withdrawn since."""
        return sum(one.withdrawn for one in self.uploaders)

    @property
    def deleted(self) -> int:
        """How many were deleted since, while nothing else has the same content."""
        return sum(one.deleted for one in self.uploaders)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation of a version: by what, when, and which checks it failed."""

    id: UUID
    training_set: str
    evaluated_at: datetime
    failed: list[str]


@dataclass(frozen=True, slots=True)
class VersionTrace:
    """What taught a version, and what it said.

    Attributes:
        version: the version.
        champion_since: since when it is champion; None: it is not.
        taught: what taught it; None: it was trained on nothing that is known here.
        predictions: how many of it are kept.
        evaluations: of it, the latest first.
    """

    version: ModelVersion
    champion_since: datetime | None
    taught: Taught | None
    predictions: int
    evaluations: list[Evaluation]


@dataclass(frozen=True, slots=True)
class Said:
    """An object of a prediction with its best candidate; see the view `predicted_object`."""

    prediction: UUID
    version: str
    at: datetime
    object: int
    label: str | None
    score: float | None
    box: list[float] | None


@dataclass(frozen=True, slots=True)
class PredictionTrace:
    """Who said it, and what taught that version.

    Attributes:
        prediction: the prediction.
        sha256: of the content that it is about.
        at: when it was said.
        said: of each of its objects.
        learned: whether the version was trained on that content, on what it was cut from, or on whatever else was cut
            from that; as `trained_on` has it of many.
        by: the version.
    """

    prediction: UUID
    sha256: str
    at: datetime
    said: list[Said]
    learned: bool
    by: VersionTrace


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a picture.

    Attributes:
        picture: its identifier.
        relation: `same`: it has the content that was asked for; `whole`: that was cut from it; `crop`: it was cut from
            that.
        place: container and blob.
        uploader: whose it is.
        gone: `withdrawn` or `deleted`; None: neither.
    """

    picture: UUID
    relation: str
    place: str
    uploader: str
    gone: str | None


@dataclass(frozen=True, slots=True)
class Use:
    """How a version of a training set has a picture: in a split, how many rows of one relation."""

    training_set: str
    split: str
    relation: str
    pictures: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What judgements of a content, or of a region of it, come to; see the table `judged`."""

    region: str
    outcome: str
    taxon: str | None
    agreement: float
    persons: int


@dataclass(frozen=True, slots=True)
class PictureTrace:
    """What a picture taught, and what is said of it.

    Attributes:
        sha256: of the picture that was asked for.
        pictures: rows of it, of what it was cut from, and of what was cut from it.
        rows: the first of these.
        training_sets: that have one of them.
        models: versions of models that one of them taught, champions first.
        resting: predictions that these versions said.
        predictions: how many there are of the content itself.
        said: the latest of these.
        judgements: how many there are of the content.
        judged: the first of these.
        outcomes: what they come to.
    """

    sha256: str
    pictures: int
    rows: list[Row]
    training_sets: list[Use]
    models: list[TaughtModel]
    resting: int
    predictions: int
    said: list[Said]
    judgements: int
    judged: list[RecordedJudgement]
    outcomes: list[Outcome]


Trace = PredictionTrace | PictureTrace | VersionTrace


def trace(connection: Connection, wanted: str) -> Trace:
    """Trace a prediction, a picture or a version of a model.

    Args:
        connection: to the database.
        wanted: identifier of a prediction or of a picture; SHA-256 of a picture in hexadecimal, or where it is stored
            as `CONTAINER/BLOB`; or a version as `NAME@VERSION`.

    Raises:
        UsageError: it is none of these.
        UntraceableError: there is no such prediction or picture.
        UnknownModelError: there is no such version.
    """
    subject = _subject(connection, wanted.strip())
    if isinstance(subject, ModelVersion):
        return _of_version(connection, subject)
    return _of_prediction(connection, subject.id) if subject.predicted else _of_picture(connection, subject.id)


@dataclass(frozen=True, slots=True)
class _Subject:
    """A prediction or a picture."""

    id: UUID
    predicted: bool


def _subject(connection: Connection, wanted: str) -> _Subject | ModelVersion:
    """What is meant; see `trace`."""
    # A million pictures are grouped in memory.
    connection.execute("set local work_mem = '64MB'")
    if "/" in wanted or (len(wanted) == _DIGITS and set(wanted) <= set(hexdigits)):
        return _Subject(_stored(connection, wanted), predicted=False)
    if "@" in wanted:
        return version_named(connection, wanted)
    try:
        identifier = UUID(wanted)
    except ValueError:
        raise UsageError(
            "expected the identifier of a prediction or picture, a picture's SHA-256 or CONTAINER/BLOB, or"
            f" NAME@VERSION, found {wanted[:100]!r}"
        ) from None
    for table in ("prediction", "pictures"):
        if fetch_value(connection, f"select true from {table} where id = %s", (identifier,)):
            return _Subject(identifier, predicted=table == "prediction")
    raise UntraceableError(f"there is no prediction and no picture {identifier}")


def _stored(connection: Connection, wanted: str) -> UUID:
    """The picture of a SHA-256, or at a place.

    Raises:
        UntraceableError: there is none.
    """
    container, _, blob = wanted.partition("/")
    if blob:
        found = fetch_value(
            connection,
            "select p.id from container c join picture_set s on s.container_id = c.id"
            " join pictures p on p.picture_set_id = s.id where c.name = %s and p.blob = %s limit 1",
            (container, blob),
        )
    else:
        found = fetch_value(
            connection, "select id from pictures where sha256 = %s order by id limit 1", (bytes.fromhex(wanted),)
        )
    if found is None:
        raise UntraceableError(f"no picture is stored {'at' if blob else 'with the SHA-256'} {wanted[:200]}")
    return UUID(str(found))


# From a picture


_SAME = (
    "select id, parent, sha256, pixel_sha256 from pictures p where p.sha256 = {0}.sha256"
    " union all select id, parent, sha256, pixel_sha256 from pictures p where p.pixel_sha256 = {0}.pixel_sha256"
)
_RELATED = (
    "with recursive same as (select id, parent, sha256, pixel_sha256 from pictures p where p.id = %s"
    f" union select found.* from same cross join lateral ({_SAME.format('same')}) found),"
    " wholes as (select * from same union select found.* from wholes cross join lateral ("
    "  select id, parent, sha256, pixel_sha256 from pictures p where p.id = wholes.parent"
    f"  union all {_SAME.format('wholes')}) found),"
    " crops as (select * from same union select found.* from crops cross join lateral ("
    "  select id, parent, sha256, pixel_sha256 from pictures p where p.parent = crops.id"
    f"  union all {_SAME.format('crops')}) found)"
    " select distinct on (id) relation, id from (select 'same' as relation, 1 as far, id from same"
    "  union all select 'whole', 2, id from wholes union all select 'crop', 3, id from crops) found order by id, far"
)


def _related(connection: Connection, picture: UUID) -> dict[str, list[UUID]]:
    """All rows of a picture, of what it was cut from and of what was cut from it, by relation."""
    found: dict[str, list[UUID]] = {"same": [], "whole": [], "crop": []}
    for relation, identifier in fetch(connection, tuple_row, _RELATED, (picture,)):
        found[relation].append(identifier)
    return found


def _all_of(related: dict[str, list[UUID]]) -> list[UUID]:
    return [one for ids in related.values() for one in ids]


def _of_picture(connection: Connection, picture: UUID) -> PictureTrace:
    related = _related(connection, picture)
    all_of_it = _all_of(related)
    among = {
        "ids": all_of_it,
        "relations": [relation for relation, ids in related.items() for _ in ids],
        "shown": SHOWN,
        "splits": list(SPLITS),
    }
    given = "unnest(%(ids)s::uuid[], %(relations)s::text[]) given (id, relation)"
    rows = fetch(
        connection,
        class_row(Row),
        "select p.id as picture, given.relation, c.name || '/' || p.blob as place, u.email as uploader,"
        f" gone.why as gone from {given} join pictures p using (id) join picture_set s on s.id = p.picture_set_id"
        " join container c on c.id = s.container_id join users u on u.id = s.owner_id"
        " left join gone_picture gone on gone.picture_id = p.id"
        " order by array_position(array['same', 'whole', 'crop'], given.relation), p.id limit %(shown)s",
        among,
    )
    used = fetch(
        connection,
        class_row(Use),
        "select t.name || '@' || t.digest as training_set, (%(splits)s::text[])[m.split + 1] as split, given.relation,"
        f" count(*) as pictures from {given} join training_set_member m on m.picture_id = given.id"
        " join training_set t on t.id = m.training_set_id group by t.id, m.split, given.relation"
        " order by t.created_at desc, t.id, m.split, given.relation",
        among,
    )
    contents = fetch_column(
        connection, "select distinct sha256 from pictures where id = any(%s) order by 1", (related["same"],)
    )
    models = models_taught_by(connection, "p.id = any(%(ids)s)", {"ids": all_of_it})
    asked = fetch_column(connection, "select sha256 from pictures where id = %s", (picture,))
    return PictureTrace(
        bytes(asked[0]).hex(),
        len(all_of_it),
        rows,
        used,
        models,
        _number(connection, "prediction where model_version_id = any(%s)", [one.id for one in models]),
        _number(connection, "prediction where sha256 = any(%s)", contents),
        _said(connection, "sha256 = any(%s)", contents),
        _number(connection, "judgement where sha256 = any(%s)", contents),
        judgements_page(connection, contents=contents, limit=SHOWN),
        fetch(
            connection,
            class_row(Outcome),
            "select j.region, j.outcome, n.name as taxon, j.agreement, j.persons from judged j"
            " left join seeds s on s.id = j.seed_id left join seeds n on n.id = coalesce(s.merged_into, s.id)"
            " where j.sha256 = any(%s) order by j.region",
            (contents,),
        ),
    )


def _number(connection: Connection, rows: str, *arguments: object) -> int:
    return int(fetch_value(connection, f"select count(*) from {rows}", arguments))


def _said(connection: Connection, where: str, *arguments: object) -> list[Said]:
    """The latest objects of predictions."""
    return fetch(
        connection,
        class_row(Said),
        "select prediction_id as prediction, model || '@' || version as version, at, object, label,"
        " coalesce(score, box_score) as score, box from predicted_object o where prediction_id = any(array("
        f"select id from prediction where {where} order by at desc, id limit {SHOWN}))"
        f" order by at desc, prediction_id, object limit {SHOWN}",
        arguments,
    )


# From a version


def _said_by(connection: Connection, prediction: UUID) -> ModelVersion:
    """The version that said a prediction."""
    name = fetch_value(
        connection,
        "select m.name || '@' || v.version from prediction p join model_version v on v.id = p.model_version_id"
        " join model m on m.id = v.model_id where p.id = %s",
        (prediction,),
    )
    return version_named(connection, name)


def _of_prediction(connection: Connection, identifier: UUID) -> PredictionTrace:
    ((sha256, at, picture),) = fetch(
        connection,
        tuple_row,
        "select o.sha256, o.at, (select id from pictures p where p.sha256 = o.sha256 limit 1) from prediction o"
        " where o.id = %s",
        (identifier,),
    )
    by = _said_by(connection, identifier)
    related = _related(connection, picture) if picture else {}
    beside = [row for whole in related.get("whole", ()) for row in rows_of_content(connection, whole)]
    parts = {"ids": [*_all_of(related), *beside]}
    learned = any(one.id == by.id for one in models_taught_by(connection, "p.id = any(%(ids)s)", parts))
    return PredictionTrace(
        identifier,
        bytes(sha256).hex(),
        at,
        _said(connection, "id = %s", identifier),
        learned,
        _of_version(connection, by),
    )


def _of_version(connection: Connection, version: ModelVersion) -> VersionTrace:
    return VersionTrace(
        version,
        fetch_value(connection, "select since from champion where model_version_id = %s", (version.id,)),
        _taught(connection, version),
        _number(connection, "prediction where model_version_id = %s", version.id),
        fetch(
            connection,
            class_row(Evaluation),
            "select e.id, t.name || '@' || t.digest as training_set, e.evaluated_at, array(select one ->> 'name' from"
            " jsonb_array_elements(e.verdicts) one where not (one ->> 'passed')::boolean) as failed"
            " from model_evaluation e join training_set t on t.id = e.training_set_id where e.model_version_id = %s"
            " order by e.evaluated_at desc, e.id limit %s",
            (version.id, SHOWN),
        ),
    )


# A photograph of which one crop was withdrawn, and another was not, is a withdrawn one.
_PHOTOGRAPHS = (
    "select photograph_id, picture_set_id, count(*) as pictures, max(gone) as gone from taught"
    " where model_version_id = %(version)s and training_set_id = %(set)s group by 1, 2"
)


def _training_set(connection: Connection, version: ModelVersion) -> UUID | None:
    """The training set of ours that a version was trained on."""
    query = "select id from training_set where digest = %s order by created_at, id limit 1"
    found = fetch_column(connection, query, (version.training_set_digest,))
    return found[0] if found else None


def _taught(connection: Connection, version: ModelVersion) -> Taught | None:
    training_set = _training_set(connection, version)
    if training_set is None:
        return None
    uploaders = fetch(
        connection,
        class_row(Uploader),
        "select u.email, sum(photographs)::bigint as photographs, sum(withdrawn)::bigint as withdrawn,"
        " sum(deleted)::bigint as deleted from (select picture_set_id as id, count(*) as photographs,"
        " count(*) filter (where gone = 'withdrawn') as withdrawn, count(*) filter (where gone = 'deleted') as deleted"
        f" from ({_PHOTOGRAPHS}) photographs group by 1) found join picture_set s using (id)"
        " join users u on u.id = s.owner_id group by 1 order by 2 desc, 1",
        {"version": version.id, "set": training_set},
    )
    return Taught(
        f"{version.training_set}@{version.training_set_digest}",
        _number(connection, "training_set_member where training_set_id = %s and split = 0", training_set),
        _relabelled(connection, training_set),
        uploaders,
    )


def _relabelled(connection: Connection, training_set: UUID) -> int:
    """How many pictures that taught would have another label today, by the rules of `training.candidates`.

    Those that are gone have none.
    """
    registry = registered_seeds(connection)
    ((rank,),) = fetch(
        connection, tuple_row, "select recipe ->> 'label_rank' from training_set where id = %s", (training_set,)
    )
    labels = labels_at(registry, registry.by_id, rank)
    return int(
        fetch_value(
            connection,
            "with class as materialized (select (one ->> 'class_index')::integer as index,"
            "  coalesce(s.merged_into, (one ->> 'taxon_id')::uuid) as taxon from training_set t"
            "  cross join jsonb_array_elements(t.classes) one left join seeds s on s.id = (one ->> 'taxon_id')::uuid"
            "  where t.id = %(set)s),"
            " label as materialized (select s.id as seed, index from unnest(%(seeds)s::uuid[], %(labels)s::uuid[])"
            "  given (seed, taxon) join class using (taxon) join seeds s on given.seed in (s.id, s.merged_into)),"
            " member as (select picture_id, coalesce(class_indices, array[class_index]) as given"
            "  from training_set_member where training_set_id = %(set)s and split = 0"
            "  and picture_id not in (select picture_id from gone_picture)),"
            # What people said of few pictures, and then the links of all others.
            " said as materialized (select distinct on (picture_id) picture_id, given, seed_id from ("
            "  select j.picture_id, j.seed_id, 1 as far from judged_picture j join pictures p on p.id = j.picture_id"
            "   where j.seed_id is not null and p.parent is not null"
            "  union all select c.id, d.seed_id, 2 from label_decided d cross join lateral (select d.picture_id as id"
            "   union all select id from pictures c where c.parent = d.picture_id union all"
            "   select g.id from pictures c join pictures g on g.parent = c.id where c.parent = d.picture_id) c"
            "  ) found join member using (picture_id) order by picture_id, far)"
            " select (select count(*) from said left join label on label.seed = said.seed_id"
            "   where given is distinct from array[index])"
            "  + (select count(distinct picture_id) from member left join picture_seed l using (picture_id)"
            "   left join label on label.seed = l.seed_id where picture_id not in (select picture_id from said)"
            "   and (index is null or index <> all (given) or cardinality(given) > 1 and cardinality(given) >"
            "    (select count(*) from picture_seed k where k.picture_id = member.picture_id)))",
            {"set": training_set, "seeds": list(labels), "labels": [one.id for one in labels.values()]},
        )
    )


# Lists


PHOTOGRAPH_COLUMNS = ("photograph", "sha256", "place", "uploader", "folder", "pictures", "gone")
PREDICTION_COLUMNS = ("prediction", "version", "sha256", "at")


def listed(connection: Connection, wanted: str) -> tuple[Sequence[str], Iterator[tuple[Any, ...]]]:
    """All photographs that taught a version, or all predictions that rest on a picture, read as they are needed.

    Args:
        connection: to the database; it can be used for nothing else meanwhile.
        wanted: as for `trace`, which says what is raised.

    Returns:
        The columns, and the rows.
    """
    subject = _subject(connection, wanted.strip())
    if isinstance(subject, _Subject) and not subject.predicted:
        models = models_taught_by(connection, "p.id = any(%(ids)s)", {"ids": _all_of(_related(connection, subject.id))})
        return PREDICTION_COLUMNS, _resting(connection, [one.id for one in models])
    version = _said_by(connection, subject.id) if isinstance(subject, _Subject) else subject
    return PHOTOGRAPH_COLUMNS, _photographs(connection, version)


def _photographs(connection: Connection, version: ModelVersion) -> Iterator[tuple[Any, ...]]:
    query = (
        "select found.photograph_id, encode(p.sha256, 'hex'), c.name || '/' || p.blob, u.email, s.name,"
        f" found.pictures, found.gone from ({_PHOTOGRAPHS}) found join pictures p on p.id = found.photograph_id"
        " join picture_set s on s.id = found.picture_set_id join container c on c.id = s.container_id"
        " join users u on u.id = s.owner_id order by s.upload_date, s.id, found.photograph_id"
    )
    yield from _streamed(connection, query, {"version": version.id, "set": _training_set(connection, version)})


def _resting(connection: Connection, versions: Sequence[UUID]) -> Iterator[tuple[Any, ...]]:
    query = (
        "select p.id, m.name || '@' || v.version, encode(p.sha256, 'hex'), p.at from prediction p"
        " join model_version v on v.id = p.model_version_id join model m on m.id = v.model_id"
        " where p.model_version_id = any(%(versions)s) order by p.model_version_id, p.at, p.id"
    )
    yield from _streamed(connection, query, {"versions": list(versions)})


def _streamed(connection: Connection, query: str, arguments: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    with connection.cursor("traced", row_factory=tuple_row) as cursor:
        cursor.itersize = _PAGE
        yield from cursor.execute(query, arguments)
