"""What is withdrawn, by content: whatever row has a withdrawn file or withdrawn pixels, or is cut from one that has.

A row's own `withdrawn_at` is what queries read. It follows the table `withdrawn_content`: when something is withdrawn,
in all rows there are, and with `hold_withdrawn` in every row that is written or measured afterwards.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, tuple_row

from nachet_pipeline.contract.stored import Candidate
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch, fetch_column
from nachet_pipeline.events.event import EventType, ModelTainted
from nachet_pipeline.events.queries import record_event

LOCK_WITHDRAWING = 7209139
"""Advisory lock: exclusive for whoever withdraws pictures, shared for whoever writes them."""

# What has the same bytes or pixels, or is cut from what has, over any number of steps; each found by its own index.
_SAME = (
    "same (id, sha256, pixel_sha256) as (select id, sha256, pixel_sha256 from pictures p where {of} union"
    " select found.* from same cross join lateral ("
    "select id, sha256, pixel_sha256 from pictures p where p.parent = same.id"
    " union all select id, sha256, pixel_sha256 from pictures p where p.sha256 = same.sha256"
    " union all select id, sha256, pixel_sha256 from pictures p where p.pixel_sha256 = same.pixel_sha256) found)"
)


@dataclass(frozen=True, slots=True)
class TaughtModel:
    """A version of a model that was trained on some pictures.

    Attributes:
        id: its identifier.
        model: the model's name.
        version: the version's.
        champion: whether it is the champion of its model.
        training_set: what it was trained on, as `NAME@DIGEST`.
        pictures: how many of the pictures taught it.
    """

    id: UUID
    model: str
    version: str
    champion: bool
    training_set: str
    pictures: int

    @property
    def name(self) -> str:
        """As people name it."""
        return f"{self.model}@{self.version}"

    @property
    def line(self) -> str:
        """The version in a list."""
        champion = ", the champion" if self.champion else ""
        return f"the model {self.name}{champion}, trained on {self.pictures} of {self.training_set}"


def wait_for_withdrawing(connection: Connection) -> None:
    """Let nobody withdraw anything until the transaction ends: what is written meanwhile is neither missed nor late.

    Before any row is locked: a withdrawal that waits for one would be waited for.
    """
    connection.execute("select pg_advisory_xact_lock_shared(%s, 0)", (LOCK_WITHDRAWING,))


def withdrawing(connection: Connection) -> None:
    """Let nobody else withdraw anything, nor write what could be withdrawn, until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(%s, 0)", (LOCK_WITHDRAWING,))


def live_elsewhere(picture: str) -> str:
    """The condition that another row of a picture's file or pixels is wanted, whatever became of this one."""
    return (
        "exists (select from (select e.* from pictures e"
        f" where e.sha256 = {picture}.sha256 union all select e.* from pictures e"
        f" where e.pixel_sha256 = {picture}.pixel_sha256) e join picture_set es on es.id = e.picture_set_id"
        f" where e.id <> {picture}.id and e.superseded_at is null and e.withdrawn_at is null and es.deleted_at is null)"
    )


def rows_of_content(connection: Connection, picture: UUID) -> dict[UUID, bool]:
    """All rows of a picture's content and of all that was cut from them, and whether each is withdrawn already."""
    rows = fetch(
        connection,
        tuple_row,
        f"with recursive {_SAME.format(of='p.id = %s')} select distinct p.id, p.withdrawn_at is not null as withdrawn"
        " from same join pictures p on p.id = same.id order by p.id",
        (picture,),
    )
    return dict(rows)


def record_withdrawn(connection: Connection, pictures: Sequence[UUID], *, by: str, why: str) -> None:
    """Let the content of these rows be withdrawn, and the rows with it."""
    connection.execute(
        "insert into withdrawn_content (sha256, pixel_sha256, withdrawn_by, why)"
        " select distinct on (sha256) sha256, pixel_sha256, %(by)s, %(why)s from pictures where id = any(%(pictures)s)"
        " order by sha256, pixel_sha256 on conflict (sha256) do nothing",
        {"pictures": list(pictures), "by": by, "why": why},
    )
    connection.execute(
        "update pictures set withdrawn_at = now() where id = any(%s) and withdrawn_at is null", (list(pictures),)
    )


def hold_withdrawn(connection: Connection, where: str, arguments: dict[str, Any]) -> int:
    """Withdraw what was written or measured just now, if its content is withdrawn, or that of what it was cut from.

    Args:
        connection: in whose transaction they were written, after `wait_for_withdrawing`.
        where: which rows, as a condition on `pictures p`.
        arguments: of the condition.

    Returns:
        How many rows are withdrawn now that were not.
    """
    if connection.execute("select from withdrawn_content limit 1").fetchone() is None:
        return 0
    connection.execute(
        "update withdrawn_content w set pixel_sha256 = p.pixel_sha256 from pictures p"
        f" where ({where}) and w.sha256 = p.sha256 and p.pixel_sha256 <> coalesce(w.pixel_sha256, '')",
        arguments,
    )
    pictures = fetch_column(
        connection,
        f"with recursive {_SAME.format(of=_FRESH.format(where=where))}"
        " select distinct p.id from same join pictures p on p.id = same.id where p.withdrawn_at is null order by p.id",
        arguments,
    )
    if not pictures:
        return 0
    # The same photograph in another file, or measured anew: its new file and its new pixels are withdrawn as well.
    connection.execute(
        "insert into withdrawn_content (sha256, pixel_sha256, withdrawn_by, why)"
        " select distinct on (p.sha256) p.sha256, p.pixel_sha256, w.withdrawn_by, w.why from pictures p"
        " left join pictures q on q.id = p.parent left join pictures g on g.id = q.parent"
        " join withdrawn_content w on w.sha256 in (p.sha256, q.sha256, g.sha256)"
        " or w.pixel_sha256 in (p.pixel_sha256, q.pixel_sha256, g.pixel_sha256)"
        " where p.id = any(%s) order by p.sha256, w.withdrawn_at, w.sha256 on conflict (sha256) do nothing",
        (pictures,),
    )
    record_tainted(connection, "p.id = any(%(pictures)s)", {"pictures": pictures}, why="withdrawn")
    return connection.execute("update pictures set withdrawn_at = now() where id = any(%s)", (pictures,)).rowcount


def record_tainted(connection: Connection, where: str, arguments: dict[str, Any], *, why: str) -> None:
    """Record that versions of training sets hold pictures that nobody may use any more, and taught versions of models.

    Args:
        connection: in whose transaction the pictures are withdrawn or deleted.
        where: which pictures, as a condition on `pictures p`.
        arguments: of the condition.
        why: what was done to the pictures.
    """
    connection.execute(
        "insert into event (type, subject, data) select %(kind)s, t.name, jsonb_build_object('training_set', t.id,"
        " 'name', t.name, 'digest', t.digest, 'container', t.container, 'manifest', t.blob, 'pictures', t.pictures,"
        " 'why', %(why)s::text) from training_set t where t.id in (select m.training_set_id from pictures p"
        f" join training_set_member m on m.picture_id = p.id where {where}) order by t.name, t.created_at, t.id",
        {**arguments, "kind": EventType.TRAINING_SET_TAINTED, "why": why},
    )
    for one in models_taught_by(connection, where, arguments):
        said = ModelTainted(
            model_version=one.id,
            name=one.name,
            champion=one.champion,
            training_set=one.training_set,
            pictures=one.pictures,
            why=why,
        )
        record_event(connection, EventType.MODEL_TAINTED, one.model, said)


def models_taught_by(connection: Connection, where: str, arguments: dict[str, Any]) -> list[TaughtModel]:
    """The versions of models that pictures taught, champions first.

    Args:
        connection: to the database.
        where: which pictures, as a condition on `pictures p`.
        arguments: of the condition.
    """
    # As an array, the pictures are known when their memberships are looked up by index.
    return fetch(
        connection,
        class_row(TaughtModel),
        "select t.model_version_id as id, t.model, t.version, c.since is not null as champion,"
        " t.training_set || '@' || t.digest as training_set, count(distinct t.picture_id) as pictures"
        f" from taught t left join champion c using (model_version_id) where t.picture_id = any(array("
        f"select p.id from pictures p where {where})) group by 1, 2, 3, 4, 5 order by champion desc, model, version",
        arguments,
    )


_FRESH = (
    "({where}) and (p.withdrawn_at is not null"
    " or exists (select from withdrawn_content w where w.sha256 = p.sha256)"
    " or exists (select from withdrawn_content w where w.pixel_sha256 = p.pixel_sha256)"
    " or exists (select from pictures q where q.id = p.parent and q.withdrawn_at is not null))"
)


def withdrawn_among(connection: Connection, candidates: Sequence[Candidate]) -> Collection[str]:
    """The paths of those whose file or pixels are withdrawn."""
    numbers = fetch_column(
        connection,
        "select number from unnest(%s::integer[], %s::bytea[], %s::bytea[]) as given (number, sha256, pixel_sha256)"
        " where exists (select from withdrawn_content w where w.sha256 = given.sha256)"
        " or exists (select from withdrawn_content w where w.pixel_sha256 = given.pixel_sha256)",
        (
            list(range(len(candidates))),
            [one.sha256 for one in candidates],
            [one.pixel_sha256 for one in candidates],
        ),
    )
    return {candidates[number].path for number in numbers}
