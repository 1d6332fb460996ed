"""Versions of training sets, their members, the labels they gave, and pictures that are withdrawn from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from psycopg.rows import class_row, dict_row, tuple_row
from psycopg.types.json import Jsonb

from nachet_pipeline.database.audit import changing
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.picture_sets.withdrawn_content import (
    TaughtModel,
    models_taught_by,
    record_tainted,
    record_withdrawn,
    rows_of_content,
    wait_for_withdrawing,
    withdrawing,
)
from nachet_pipeline.registry.queries import add_unregistered
from nachet_pipeline.registry.seeds import Seed
from nachet_pipeline.training.candidates import copied
from nachet_pipeline.training.identifiers import Bytes, from_hexadecimal
from nachet_pipeline.training.labels import GivenLabel, Taxon
from nachet_pipeline.training.recipe import SPLITS

ACTOR = "nachet training-set"
SAMPLE = 20
"""Pictures that are named of each kind of difference, at most."""

_LOCK_RECIPE = 7209138


# From these few to the many members, by index.
_GONE = (
    "select id from pictures where withdrawn_at is not null union"
    " select g.id from picture_set s join pictures g on g.picture_set_id = s.id where s.deleted_at is not null"
)


class UnknownTrainingSetError(RefusedError, LookupError):
    """There is no such training set, version or picture."""


class WithdrawnMeanwhileError(RefusedError):
    """Pictures were withdrawn while a version that holds them was made; nothing of it was recorded."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a training set.

    Attributes:
        id: its identifier.
        name: the training set's.
        digest: its identity, in hexadecimal.
        container: where it is published.
        blob: its manifest there.
        pictures: how many it has.
        groups: how many groups they make; None of a version made before there were recipes, as all below.
        created_at: when it was made.
        current_since: when it last became the training set's current version; None if it never was.
        recipe: the recipe as JSON.
        classes: its classes with their counts by split, as JSON.
        notes: its notes, as JSON.
        previous: digest of the version that was current when it was made, None if there was none.
        current: whether it is the current one.
        withdrawn: how many of its pictures were withdrawn since, or deleted with their folder while nothing else has
            the same content.
    """

    id: UUID
    name: str
    digest: str
    container: str
    blob: str
    pictures: int
    groups: int | None
    created_at: datetime
    current_since: datetime | None
    recipe: dict[str, Any] | None
    classes: list[dict[str, Any]] | None
    notes: list[dict[str, Any]] | None
    previous: str | None
    current: bool
    withdrawn: int


@dataclass(frozen=True, slots=True)
class VersionChange:
    """Pictures that differ in one way between two versions: how many, and the first of them."""

    count: int
    sample: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class VersionDifference:
    """How one version differs from another.

    Attributes:
        added: pictures that only the later one has.
        removed: pictures that only the earlier one has.
        moved: pictures of both that are on another side.
        relabelled: pictures of both that show another species, because it was corrected or merged into another.
    """

    added: VersionChange
    removed: VersionChange
    moved: VersionChange
    relabelled: VersionChange


@dataclass(frozen=True, slots=True)
class Membership:
    """A picture in a version, with where it comes from.

    Attributes:
        version: the version's identifier.
        name: the training set's.
        digest: the version's.
        current: whether it is the training set's current version.
        split: the side that the picture is on.
        class_index: its class; None in a set of several labels a picture.
        class_indices: its classes there; None in other sets.
        group: the smallest picture of its group.
        picture: the picture.
        picture_set: its picture set.
        container: where its bytes are.
        blob: its blob there.
        upload: the upload that it came with, None if it came otherwise.
        folder: that upload's folder.
        mass_import: the mass import that it came with, None if it came otherwise.
        owner: e-mail of the user whose it is.
        withdrawn_at: when it was withdrawn, None if it was not.
    """

    version: UUID
    name: str
    digest: str
    current: bool
    split: str
    class_index: int | None
    class_indices: list[int] | None
    group: UUID
    picture: UUID
    picture_set: UUID
    container: str
    blob: str
    upload: UUID | None
    folder: str | None
    mass_import: UUID | None
    owner: str
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True)
class Members:
    """The pictures of a version, as columns.

    Attributes:
        picture: (n, 16) identifiers.
        split: (n,) places in `SPLITS`.
        class_index: (n,) class indices; (m,) if pictures may have several.
        group: (n, 16) identifiers of the groups' smallest pictures.
        begin: (n + 1,) where those of each picture begin, if pictures may have several; else None.
    """

    picture: Bytes
    split: NDArray[np.int8]
    class_index: NDArray[np.int64]
    group: Bytes
    begin: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version to record.

    Attributes:
        id: its identifier.
        name: the training set's.
        digest: its own.
        container: where its manifest is.
        blob: the manifest's name.
        groups: how many groups its pictures make.
        recipe: the recipe as JSON.
        recipe_digest: the recipe's.
        classes: with their counts by split, as JSON.
        notes: as JSON.
        unregistered: the taxa of classes that are not registered.
    """

    id: UUID
    name: str
    digest: str
    container: str
    blob: str
    groups: int
    recipe: dict[str, Any]
    recipe_digest: str
    classes: list[dict[str, Any]]
    notes: list[dict[str, Any]]
    unregistered: Sequence[Seed] = ()


def lock_recipe(connection: Connection, name: str) -> None:
    """Wait until nobody else makes a version of this training set; nobody will until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(%s, hashtext(%s))", (_LOCK_RECIPE, name))


def begin_snapshot(connection: Connection) -> None:
    """Let everything that a new transaction reads be of one moment."""
    connection.execute("set transaction isolation level repeatable read, read only")
    # What is read is sorted, a million rows at times; the sort spills to disk whatever it is given.
    connection.execute("set local work_mem = '64MB'")


def taxa(connection: Connection, identifiers: Sequence[UUID]) -> dict[UUID, Taxon]:
    """Species by identifier, with the names they have today."""
    found = fetch(connection, class_row(Taxon), "select id, name from seeds where id = any(%s)", (list(identifiers),))
    return {one.id: one for one in found}


def given_labels(connection: Connection, recipe: str) -> list[GivenLabel]:
    """The class indices that earlier versions of a recipe gave."""
    return fetch(
        connection,
        class_row(GivenLabel),
        "select class_index as index, taxon_id as taxon, coalesce(merged_into, id) as survivor from training_label"
        " join seeds on seeds.id = taxon_id where recipe = %s order by class_index",
        (recipe,),
    )


Contents = tuple[bytes, ...]
"""All that one photograph is known by: the SHA-256 of its file and of its pixels."""


def decided_pairs(connection: Connection, decision: str) -> list[tuple[Contents, Contents]]:
    """Pairs of photographs that operators decided to be `duplicate` or `different`."""
    pixels = "array(select distinct pixel_sha256 from pictures where sha256 = {} and pixel_sha256 is not null)"
    rows = fetch(
        connection,
        tuple_row,
        f"select array[file_a] || {pixels.format('file_a')} as one, array[file_b] || {pixels.format('file_b')} as other"
        " from duplicate_decision where decision = %s order by file_a, file_b",
        (decision,),
    )
    return [(tuple(one), tuple(other)) for one, other in rows]


def held_out(connection: Connection, version: UUID) -> tuple[Bytes, NDArray[np.int8]]:
    """What a version held out, whatever row it is today, and what had left the set before it while it was held out.

    A photograph whose folder was deleted for a day, or that was in conflict for one, is missing from a version; when it
    is there again, models were compared by it all the same.

    Returns:
        (k, 16) the beginnings of the SHA-256 of files and of pixels, sorted, of its validation and test pictures and of
        the photographs that these were cut from; and their sides.
    """
    batches = list(
        copied(
            connection,
            "with held as (select picture_id, split from training_set_member"
            "  where training_set_id = %(version)s and split > 0"
            " union all select picture_id, split from (select distinct on (m.picture_id) m.picture_id, m.split"
            "   from training_set t join training_set_member m on m.training_set_id = t.id"
            "   where t.current_since is not null and t.id <> %(version)s"
            "   and t.name = (select name from training_set where id = %(version)s)"
            "   and not exists (select from training_set_member now"
            "    where now.training_set_id = %(version)s and now.picture_id = m.picture_id)"
            "   order by m.picture_id, t.current_since desc) gone where split > 0)"
            " select encode(substring(c.hash from 1 for 16), 'hex') as content, max(m.split) from held m"
            " join pictures p on p.id = m.picture_id left join pictures q on q.id = p.parent"
            " left join pictures r on r.id = coalesce(q.parent, p.parent)"
            " cross join lateral unnest(array[p.sha256, p.pixel_sha256, r.sha256, r.pixel_sha256]) as c (hash)"
            " where c.hash is not null"
            " group by substring(c.hash from 1 for 16) order by substring(c.hash from 1 for 16)",
            {"version": version},
            {"content": pa.string(), "split": pa.int8()},
        )
    )
    if not batches:
        return np.zeros((0, 16), np.uint8), np.zeros(0, np.int8)
    contents = np.concatenate([from_hexadecimal(batch.column("content"), 16) for batch in batches])
    return contents, np.concatenate([batch.column("split").to_numpy() for batch in batches])


def record_version(connection: Connection, version: NewVersion, members: Members) -> bool:
    """Record a version with its members and the labels it gave; the caller's transaction decides.

    Returns:
        False if it was recorded before; then nothing is changed.

    Raises:
        WithdrawnMeanwhileError: a member was withdrawn since it was chosen.
    """
    # Before members are written: a picture that is withdrawn later finds them, one that was is found here.
    wait_for_withdrawing(connection)
    previous = current_version(connection, version.name)
    with changing(connection, actor=ACTOR, action="built"):
        inserted = _insert(connection, version, len(members.picture), previous)
    if not inserted:
        return False
    _copy_members(connection, version.id, members)
    withdrawn = connection.execute(
        f"select gone.id from ({_GONE}) gone join training_set_member on picture_id = gone.id"
        " where training_set_id = %s order by gone.id limit 1",
        (version.id,),
    ).fetchone()
    if withdrawn:
        raise WithdrawnMeanwhileError(
            f"the picture {withdrawn['id']} was withdrawn or deleted while training-{version.name} was built;"
            " build it again"
        )
    add_unregistered(connection, version.unregistered, actor=ACTOR)
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into training_label (recipe, class_index, taxon_id) values (%s, %s, %s) on conflict do nothing",
            [(version.name, one["class_index"], one["taxon_id"]) for one in version.classes],
        )
    return True


def _insert(connection: Connection, version: NewVersion, pictures: int, previous: Version | None) -> int:
    return connection.execute(
        "insert into training_set (id, name, digest, container, blob, pictures, recipe, recipe_digest, groups, classes,"
        " notes, previous_id) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
        (
            version.id,
            version.name,
            version.digest,
            version.container,
            version.blob,
            pictures,
            Jsonb(version.recipe),
            version.recipe_digest,
            version.groups,
            Jsonb(version.classes),
            Jsonb(version.notes),
            previous.id if previous else None,
        ),
    ).rowcount


def _copy_members(connection: Connection, version: UUID, members: Members) -> None:
    labels: list[Any] = members.class_index.tolist()
    column = "class_index"
    if members.begin is not None:
        column = "class_indices"
        labels = [labels[start:end] for start, end in pairwise(members.begin.tolist())]
    columns = (members.picture, members.split.tolist(), labels, members.group)
    with (
        connection.cursor() as cursor,
        cursor.copy(
            f'copy training_set_member (training_set_id, picture_id, split, {column}, "group") from stdin'
        ) as copy,
    ):
        # As text: of all that psycopg can write, identifiers in hexadecimal cost least.
        for picture, split, label, group in zip(*columns, strict=True):
            copy.write_row((version.hex, picture.tobytes().hex(), split, label, group.tobytes().hex()))


_CURRENT = (
    "t.id = (select id from training_set newest where newest.name = t.name and newest.current_since is not null"
    " order by newest.current_since desc, newest.id limit 1)"
)
_VERSION = (
    "select t.id, t.name, t.digest, t.container, t.blob, t.pictures, t.groups, t.created_at, t.current_since, t.recipe,"
    f" t.classes, t.notes, p.digest as previous, coalesce({_CURRENT}, false) as current,"
    " (select count(*) from gone_picture join training_set_member m using (picture_id)"
    "  where m.training_set_id = t.id) as withdrawn"
    " from training_set t left join training_set p on p.id = t.previous_id"
)


def _versions(connection: Connection, rest: str, *arguments: object) -> list[Version]:
    return fetch(connection, class_row(Version), f"{_VERSION} {rest}", arguments)


def versions(connection: Connection, name: str | None = None) -> list[Version]:
    """All versions, or those of one training set, the newest first within each."""
    return _versions(
        connection, "where %s::text is null or t.name = %s order by t.name, t.created_at desc, t.id", name, name
    )


def current_version(connection: Connection, name: str) -> Version | None:
    """The current version of a training set: the last one that passed its checks."""
    found = _versions(connection, f"where t.name = %s and {_CURRENT}", name)
    return found[0] if found else None


def version_of(connection: Connection, wanted: str) -> Version:
    """A version as people name it.

    Args:
        connection: to the database.
        wanted: a training set's name, which means its current version, or else its newest; the beginning of a digest;
            or both, as `name@digest`.

    Raises:
        UnknownTrainingSetError: there is none, or there are several.
    """
    name, _, start = wanted.strip().partition("@")
    named = versions(connection, name)
    if named and not start:
        return next((version for version in named if version.current), named[0])
    among = named if start else versions(connection)
    start = (start or name).lower()
    found = [version for version in among if version.digest.startswith(start)]
    if not found:
        raise UnknownTrainingSetError(f"there is no training set {wanted[:80]}; `nachet training-set list` names all")
    if len({version.id for version in found}) > 1:
        which = ", ".join(f"{version.name}@{version.digest[:12]}" for version in found[:5])
        raise UnknownTrainingSetError(f"{wanted[:80]} means several training sets: {which}")
    return found[0]


def recorded(connection: Connection, identifier: UUID) -> Version:
    """The version of an identifier.

    Raises:
        UnknownTrainingSetError: there is none.
    """
    found = _versions(connection, "where t.id = %s", identifier)
    if not found:
        raise UnknownTrainingSetError(f"there is no training set {identifier}")
    return found[0]


def set_current(connection: Connection, version: UUID) -> None:
    """Let a version be its training set's current one."""
    already = connection.execute(f"select from training_set t where id = %s and {_CURRENT}", (version,)).fetchone()
    if already is not None:
        return
    with changing(connection, actor=ACTOR, action="made current"):
        connection.execute("update training_set set current_since = clock_timestamp() where id = %s", (version,))


def difference(connection: Connection, earlier: UUID, later: UUID) -> VersionDifference:
    """How one version differs from another."""
    kinds = {
        "added": "a.picture_id is null",
        "removed": "b.picture_id is null",
        "moved": "a.split <> b.split",
        "relabelled": "a.taxa <> b.taxa",
    }
    # A look-up for each picture and no join: of members that are new the planner has no statistics.
    taxon_of = (
        "(select jsonb_object_agg(one ->> 'class_index', one ->> 'taxon_id') from training_set t"
        " cross join lateral jsonb_array_elements(t.classes) one where t.id = %({which})s)"
    )
    side = (
        f"(select picture_id, split, case when class_indices is null then array[{taxon_of} ->> class_index::text]"
        f" else (select array_agg(taxon order by taxon) from unnest(class_indices) label"
        f" cross join lateral (select {taxon_of} ->> label::text) k (taxon)) end as taxa"
        " from training_set_member where training_set_id = %({which})s)"
    )
    wanted = ", ".join(
        f"count(*) filter (where {condition}) as {name},"
        f" (array_agg(picture_id order by picture_id) filter (where {condition}))[1:{SAMPLE}] as {name}_sample"
        for name, condition in kinds.items()
    )
    (values,) = fetch(
        connection,
        dict_row,
        f"select {wanted} from {side.format(which='earlier')} a full join {side.format(which='later')} b"
        " using (picture_id)",
        {"earlier": earlier, "later": later},
    )
    return VersionDifference(
        **{name: VersionChange(values[name], tuple(values[f"{name}_sample"] or ())) for name in kinds}
    )


def memberships(connection: Connection, picture: UUID, version: UUID | None = None) -> list[Membership]:
    """The versions that a picture is in, the newest first, or its place in one of them.

    Raises:
        UnknownTrainingSetError: there is no such picture.
    """
    if connection.execute("select from pictures where id = %s", (picture,)).fetchone() is None:
        raise UnknownTrainingSetError(f"there is no picture {picture}")
    return fetch(
        connection,
        class_row(Membership),
        f"select t.id as version, t.name, t.digest, coalesce({_CURRENT}, false) as current,"
        " (%s::text[])[m.split + 1] as split, m.class_index, m.class_indices,"
        ' m."group", p.id as picture, s.id as picture_set, c.name as container, p.blob, u.id as upload, u.folder,'
        " s.mass_import_id as mass_import, o.email as owner, p.withdrawn_at"
        " from training_set_member m join training_set t on t.id = m.training_set_id"
        " join pictures p on p.id = m.picture_id join picture_set s on s.id = p.picture_set_id"
        " join container c on c.id = s.container_id join users o on o.id = s.owner_id"
        " left join upload u on u.id = s.upload_id"
        " where m.picture_id = %s and (%s::uuid is null or t.id = %s) order by t.created_at desc, t.id",
        (list(SPLITS), picture, version, version),
    )


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What withdrawing a picture did.

    Attributes:
        pictures: every row of the picture's content, and of everything cut from those.
        new: those of them that were not withdrawn before.
        tainted: the versions that one of them is in.
        models: the versions of models that one of them taught.
    """

    pictures: tuple[UUID, ...]
    new: tuple[UUID, ...]
    tainted: tuple[Version, ...]
    models: tuple[TaughtModel, ...] = ()


def withdraw(connection: Connection, picture: UUID, *, by: str, why: str) -> Withdrawal:
    """Withdraw a picture's content, with all that was cut from it: no version will have it any more.

    Whatever row has the same file or the same pixels is withdrawn with it, today's and those to come. A crop is
    withdrawn alone: what it was cut from stays.

    Args:
        connection: in whose transaction it is done.
        picture: the picture.
        by: who wants it.
        why: the reason.

    Raises:
        UnknownTrainingSetError: there is no such picture.
        ValueError: nobody wants it, or for no reason.
    """
    if not (by.strip() and why.strip()):
        raise ValueError("somebody withdraws a picture for a reason")
    withdrawing(connection)
    rows = rows_of_content(connection, picture)
    if not rows:
        raise UnknownTrainingSetError(f"there is no picture {picture}")
    pictures = tuple(rows)
    new = tuple(identifier for identifier, withdrawn in rows.items() if not withdrawn)
    tainted = _with_one_of(connection, pictures)
    models = tuple(models_taught_by(connection, "p.id = any(%(pictures)s)", {"pictures": list(pictures)}))
    note = {
        "why": why,
        "picture": str(picture),
        "training_sets": [f"{version.name}@{version.digest}" for version in tainted],
        "models": [one.name for one in models],
    }
    with changing(connection, actor=by, action="withdrawn", note=note):
        record_withdrawn(connection, pictures, by=by, why=why)
    record_tainted(connection, "p.id = any(%(pictures)s)", {"pictures": list(new)}, why="withdrawn")
    return Withdrawal(pictures, new, tuple(_with_one_of(connection, pictures)), models)


def _with_one_of(connection: Connection, pictures: Sequence[UUID]) -> list[Version]:
    return _versions(
        connection,
        "where t.id in (select training_set_id from training_set_member where picture_id = any(%s))"
        " order by t.name, t.created_at desc, t.id",
        list(pictures),
    )
