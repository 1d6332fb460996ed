"""Registered models, their versions and classes, and which versions were champions."""

from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from uuid import UUID

from psycopg.rows import class_row, tuple_row

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch, fetch_column
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.models.model import ModelClass, ModelVersion, split_name
from nachet_pipeline.training.recipe import SPLITS


class UnknownModelError(RefusedError, LookupError):
    """There is no such model or version."""


@dataclass(frozen=True, slots=True)
class Champion:
    """A version that a person named champion.

    Attributes:
        version: which; None: the model had no champion any more.
        named_at: when.
        named_by: by whom.
        why: the reason.
        evaluation: the evaluation that it passed; None if there is none.
    """

    version: str | None
    named_at: datetime
    named_by: str
    why: str
    evaluation: UUID | None


_VERSIONS = (
    "select v.id, m.id as model_id, m.name as model, v.version, v.task, v.weights, v.training_set_digest,"
    " (select t.name from training_set t where t.digest = v.training_set_digest order by t.created_at limit 1)"
    "  as training_set, v.trained_at, v.facts, v.registered_at, v.registered_by, m.owner, m.description,"
    " (select count(*) from model_class c where c.model_version_id = v.id) as classes,"
    " v.id is not distinct from (select c.model_version_id from model_champion c where c.model_id = m.id"
    "  order by c.number desc limit 1) as champion"
    " from model_version v join model m on m.id = v.model_id"
)


_KIN = (
    "pictures p {join} left join pictures q on q.id = p.parent left join pictures r on r.id = q.parent"
    " cross join lateral unnest("
    "array[p.sha256, p.pixel_sha256, q.sha256, q.pixel_sha256, r.sha256, r.pixel_sha256]) known (hash)"
)


def trained_on(which: str) -> str:
    """The beginning of a query: `trained` has the SHA-256 of all that taught `%(versions)s`, with the version.

    What taught one is in the split `train`, or was cut from the same photograph, or is that photograph; or has the same
    bytes or pixels as one of these.

    Args:
        which: of which pictures it is asked, as a condition on `pictures p`.
    """
    members = (
        "join training_set_member m on m.picture_id = p.id join training_set t on t.id = m.training_set_id"
        " join model_version v on v.training_set_digest = t.digest"
    )
    return (
        f"with member (version, hash) as (select v.id, known.hash from {_KIN.format(join=members)}"
        f" where v.id = any(%(versions)s) and m.split = {SPLITS.index('train')} and known.hash is not null),"
        f" kin (sha256, hash) as (select p.sha256, known.hash from {_KIN.format(join='')} where {which}),"
        " trained as materialized (select distinct version, sha256 from kin join member using (hash))"
    )


def model_versions(connection: Connection, model: str | None = None) -> list[ModelVersion]:
    """All versions, or those of a model, by name, the one that was registered last first.

    Raises:
        UnknownModelError: there is no such model.
    """
    query = (
        f"{_VERSIONS} where %(model)s::text is null or m.name = %(model)s order by m.name, v.registered_at desc, v.id"
    )
    found = fetch(connection, class_row(ModelVersion), query, {"model": model})
    if model is not None and not found:
        raise _unknown(connection, model)
    return found


def version_named(connection: Connection, name: str) -> ModelVersion:
    """The version of `NAME@VERSION`.

    Raises:
        ModelError: it is no such name.
        UnknownModelError: there is no such model or version.
    """
    model, version = split_name(name)
    found = model_versions(connection, model)
    for one in found:
        if one.version == version:
            return one
    raise UnknownModelError(f"{model} has no version {version}, but {', '.join(one.version for one in found[:10])}")


def _unknown(connection: Connection, model: str) -> UnknownModelError:
    names = fetch_column(connection, "select name from model order by name")
    near = get_close_matches(model, names, n=1)
    hint = f"; did you mean {near[0]}?" if near else "; `nachet model list` names all"
    return UnknownModelError(f"there is no model {model[:80]}{hint}")


def classes_of(connection: Connection, version: UUID) -> list[ModelClass]:
    """The classes of a version, in the order of its indices."""
    return fetch(
        connection,
        class_row(ModelClass),
        "select c.class_index as index, c.label, n.id as seed, n.name as taxon from model_class c"
        " left join seeds s on s.id = c.seed_id left join seeds n on n.id = coalesce(s.merged_into, s.id)"
        " where c.model_version_id = %s order by c.class_index",
        (version,),
    )


def champions(connection: Connection, model: str) -> list[Champion]:
    """Which versions of a model were champions, the latest first.

    Raises:
        UnknownModelError: there is no such model.
    """
    (model_id, *_) = [one.model_id for one in model_versions(connection, model)]
    return fetch(
        connection,
        class_row(Champion),
        "select v.version, c.named_at, c.named_by, c.why, c.evaluation_id as evaluation from model_champion c"
        " left join model_version v on v.id = c.model_version_id where c.model_id = %s order by c.number desc",
        (model_id,),
    )


def recorded_of_files(connection: Connection) -> dict[str, int]:
    """How many predictions files brought, by `NAME@VERSION`; of versions that files brought none of, nothing."""
    return dict(
        fetch(
            connection,
            tuple_row,
            "select m.name || '@' || v.version, sum(f.new)::bigint from prediction_file f"
            " join model_version v on v.id = f.model_version_id join model m on m.id = v.model_id"
            " where f.new > 0 group by 1",
        )
    )


def versions_that_spoke(connection: Connection, since: date) -> list[str]:
    """The versions that predicted something since a day, as `NAME@VERSION`."""
    return fetch_column(
        connection,
        "select m.name || '@' || v.version as name from model_version v join model m on m.id = v.model_id"
        " where exists (select from prediction p where p.model_version_id = v.id and p.at >= %s) order by 1",
        (since,),
    )
