"""Photographs that are stored under several species, what was decided of them, and who must know.

A photograph is its content: equal files, or equal pixels, and what was cut from them. Which are in conflict is a view,
`label_conflict`; what was decided lies over what uploaders said, which stays as it is.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, dict_row, tuple_row

from nachet_pipeline.contract.shown import UNKNOWN
from nachet_pipeline.contract.stored import Candidate, OtherLabel, Relation
from nachet_pipeline.database.audit import record
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch, fetch_column, fetch_value
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.picture_sets.duplicates import duplicate_pairs, species_of
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.registry.seeds import Seed

SUBJECT = "label of a photograph"
"""What the audit trail calls it."""

_PAGE = 500
_COPIES_LOOKED_AT = 20


class UndecidableLabelError(RefusedError, LookupError):
    """There is no such picture, species or decision."""


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A stored picture with its place and its species.

    Attributes:
        picture: its identifier.
        name: its file's name.
        owner: e-mail of the user whose it is.
        folder: of the upload, or the container that a mass import found.
        session: path of its session there, empty if the folder is the session.
        species: names of the species that its uploader stated, mostly one; `unknown` for seeds that nobody has named.
    """

    picture: UUID
    name: str
    owner: str
    folder: str
    session: str
    species: tuple[str, ...]

    @property
    def place(self) -> str:
        """Folder, session and file."""
        return "/".join(part for part in (self.folder, self.session, self.name) if part)


@dataclass(frozen=True, slots=True)
class LabelStanding:
    """How things stand.

    Attributes:
        photographs: how many are in conflict.
        pictures: how many stored pictures those are.
        fingerprint: changes with what is in conflict.
    """

    photographs: int
    pictures: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Decided:
    """What deciding did.

    Attributes:
        species: name of the species that counts now; None if the decision was taken back.
        before: the one that was decided before, None if none was.
        pictures: the photograph's live pictures.
        new: False if that was decided before, for the same reason.
    """

    species: str | None
    before: str | None
    pictures: tuple[LabelledFile, ...]
    new: bool


_LIVE = "p.parent is null and p.superseded_at is null and p.withdrawn_at is null"
# What one query a thousand pictures costs, two look-ups by index each, is nothing beside decoding them. `offset 0`
# keeps it so. Without it PostgreSQL, which does not know how few pictures have an equal one, may go through all that is
# stored for each of them, and ask what was decided of it. A crop is under the species of what it was cut from, at the
# top, for as long as that is there; and was decided of with it.
_SAME = (
    "(select equal.id, top.picture_set_id, {rank} as rank, stated.names as species"
    " from (select p.id, coalesce(g.id, q.id, p.id) as top"
    "  from pictures p left join pictures q on q.id = p.parent left join pictures g on g.id = q.parent"
    "  where p.{column} = asked.{column} and (p.superseded_at is null or p.parent is not null)"
    "  and p.withdrawn_at is null offset 0) equal"
    " cross join lateral (select r.picture_set_id from pictures r join picture_set s on s.id = r.picture_set_id"
    "  where r.id = equal.top and r.superseded_at is null and r.withdrawn_at is null and s.deleted_at is null"
    "  and s.id <> all(%(apart_from)s::uuid[]) offset 0) top"
    # Seeds that nobody has named are in conflict with nothing.
    " cross join lateral (select array_agg(distinct k.id order by k.id) as seeds,"
    "  array_agg(distinct k.name order by k.name) as names from picture_seed l join seeds o on o.id = l.seed_id"
    "  join seeds k on k.id = coalesce(o.merged_into, o.id) where l.picture_id = equal.top offset 0) stated"
    " where stated.seeds <> asked.seeds and not exists (select from label_decision_of(equal.top))"
    f" limit {_COPIES_LOOKED_AT})"
)
OTHER_LABELS = (
    "with stated as (select number, array_agg(distinct coalesce(s.merged_into, s.id)"
    "  order by coalesce(s.merged_into, s.id)) as seeds from unnest(%(of)s::integer[], %(seeds)s::uuid[])"
    "  as given (number, seed) join seeds s on s.id = given.seed group by number),"
    " asked as materialized (select number, sha256, pixel_sha256, seeds"
    " from unnest(%(numbers)s::integer[], %(files)s::bytea[], %(pixels)s::bytea[])"
    " as given (number, sha256, pixel_sha256) join stated using (number)"
    " where not exists (select from label_decision d where d.sha256 = given.sha256)"
    " and not exists (select from label_decision d where d.pixel_sha256 = given.pixel_sha256))"
    " select distinct on (number) number, found.rank, found.species, s.owner_id = %(owner)s as own,"
    " s.picture_set -> 'audit_trail' ->> 'folder' as folder, s.picture_set -> 'audit_trail' ->> 'session' as session"
    f" from asked cross join lateral ({_SAME.format(rank=1, column='sha256')}"
    f" union all {_SAME.format(rank=2, column='pixel_sha256')}) found"
    " join picture_set s on s.id = found.picture_set_id order by number, rank, own desc, found.id"
)
"""Gives, for each picture that is asked for, one of the same photograph that is stored under other species."""


def other_labels(
    connection: Connection, pictures: Sequence[Candidate], *, owner: UUID, apart_from: Collection[UUID] = ()
) -> dict[str, OtherLabel]:
    """Of each picture whose photograph is stored under other species, and was not decided of, one that is.

    A picture whose seeds are all unknown has no species that another could differ from.

    Args:
        connection: to the database.
        pictures: some thousand at most.
        owner: the user who reads the places of their own pictures.
        apart_from: picture sets that do not count: those that the pictures become themselves.

    Returns:
        By path.
    """
    rows = fetch(connection, dict_row, OTHER_LABELS, labels_query(pictures, owner=owner, apart_from=apart_from))
    return {
        pictures[row["number"]].path: OtherLabel(
            row["rank"] == 1,
            tuple(row["species"]),
            (row["folder"] or "") if row["own"] else None,
            (row["session"] or "") if row["own"] else "",
        )
        for row in rows
    }


def labels_query(
    pictures: Sequence[Candidate], *, owner: UUID, apart_from: Collection[UUID] = ()
) -> Mapping[str, object]:
    """What `OTHER_LABELS` is asked with."""
    named = [(number, kind.seed) for number, one in enumerate(pictures) for kind in one.shows if kind.seed]
    return {
        "numbers": list(range(len(pictures))),
        "files": [one.sha256 for one in pictures],
        "pixels": [one.pixel_sha256 for one in pictures],
        "of": [number for number, _ in named],
        "seeds": [seed for _, seed in named],
        "owner": owner,
        "apart_from": list(apart_from),
    }


def named_among(connection: Connection, pictures: Sequence[Candidate]) -> list[str]:
    """The paths of the pictures whose photograph somebody decided the species of.

    Args:
        connection: to the database.
        pictures: some thousand at most.
    """
    rows = fetch(
        connection,
        tuple_row,
        "select path from unnest(%s::text[], %s::bytea[], %s::bytea[]) as asked (path, sha256, pixel_sha256)"
        " where exists (select from label_decision d where d.sha256 = asked.sha256)"
        " or exists (select from label_decision d where d.pixel_sha256 = asked.pixel_sha256)"
        # A crop that is sent as a picture is named with the photograph that it was cut from.
        " or exists (select from (select p.id from pictures p where p.parent is not null and p.sha256 = asked.sha256"
        "  offset 0) crop where exists (select from label_decision_of(crop.id)))"
        " or exists (select from (select p.id from pictures p where p.parent is not null"
        "  and p.pixel_sha256 = asked.pixel_sha256 offset 0) crop"
        "  where exists (select from label_decision_of(crop.id)))",
        ([one.path for one in pictures], [one.sha256 for one in pictures], [one.pixel_sha256 for one in pictures]),
    )
    return [path for (path,) in rows]


def conflict_standing(connection: Connection) -> LabelStanding:
    """How many photographs are in conflict."""
    (found,) = fetch(
        connection,
        class_row(LabelStanding),
        "select count(distinct photograph) as photographs, count(*) as pictures,"
        " coalesce(md5(string_agg(picture_id::text || species::text, ',' order by picture_id)), '') as fingerprint"
        " from label_conflict",
    )
    return found


def conflict_changes(connection: Connection) -> int:
    """A number that is another one after anything changed that conflicts follow from; costs nothing to ask.

    PostgreSQL counts the rows written, and publishes the count after a second at most, or when the writer disconnects.
    """
    written = fetch_value(
        connection,
        "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint as written from pg_stat_user_tables"
        " where relid = any('{pictures,picture_set,picture_seed,seeds,label_decision}'::regclass[])",
    )
    return int(written)


_STORED = (
    "p.id as picture, p.name, u.email as owner, coalesce(s.picture_set -> 'audit_trail' ->> 'folder', '') as folder,"
    f" coalesce(s.picture_set -> 'audit_trail' ->> 'session', s.name, '') as session, {species_of('p.id')} as species"
)
_PLACES = "join picture_set s on s.id = p.picture_set_id join users u on u.id = s.owner_id"


def stored_conflicts(connection: Connection, *, most: int | None = None) -> Iterator[tuple[LabelledFile, ...]]:
    """The photographs in conflict, each as its stored pictures, read as they are needed.

    Args:
        connection: to the database; its transaction stays open meanwhile.
        most: how many photographs at most.
    """
    query = (
        f"select c.photograph, {_STORED} from (select *, dense_rank() over (order by photograph) as place"
        f" from label_conflict) c join pictures p on p.id = c.picture_id {_PLACES}"
        " where %(most)s::integer is null or place <= %(most)s order by c.photograph, u.email, p.id"
    )
    with connection.cursor("label_conflicts", row_factory=dict_row) as cursor:
        cursor.itersize = _PAGE
        cursor.execute(query, {"most": most})
        for _, found in groupby(cursor, key=lambda row: row["photograph"]):
            yield tuple(_picture(row) for row in found)


def pictures_of_set(connection: Connection, picture_set: UUID) -> list[UUID]:
    """The whole pictures of a set."""
    query = "select id from pictures where picture_set_id = %s and parent is null order by id"
    return fetch_column(connection, query, (picture_set,))


def stored_files(connection: Connection, pictures: Sequence[UUID]) -> list[LabelledFile]:
    """The live ones of some pictures, in the order of their identifiers."""
    return _stored(connection, "p.id = any(%s)", (list(pictures),), order="p.id")


def _stored(connection: Connection, which: str, arguments: Sequence[object], *, order: str) -> list[LabelledFile]:
    """The live pictures of a condition."""
    rows = fetch(
        connection,
        dict_row,
        f"select {_STORED} from pictures p {_PLACES} where {which} and {_LIVE} order by {order}",
        arguments,
    )
    return [_picture(row) for row in rows]


def _picture(row: dict[str, Any]) -> LabelledFile:
    values = {name: row[name] for name in LabelledFile.__dataclass_fields__}
    return LabelledFile(**values | {"species": tuple(row["species"])})


def doubts(connection: Connection) -> Iterator[tuple[LabelledFile, LabelledFile, int]]:
    """Pairs of pictures that look alike and are under different species, with the bits in which their looks differ.

    Nothing is left out for them: that two look alike is no proof that they are one. Of each picture the ten closest
    are compared, and pairs that were decided to be different are left out.
    """
    named = dict(registered_seeds(connection).by_id)
    rows = fetch(connection, tuple_row, "select picture_id, seed_id from label_decided")
    decided = {picture: (named[seed].scientific_name,) for picture, seed in rows if seed in named}
    for pair in duplicate_pairs(connection, near=True):
        first = decided.get(pair.first, pair.first_species)
        second = decided.get(pair.second, pair.second_species)
        # Seeds that nobody has named may be of any species.
        if pair.relation is Relation.NEAR and first != second and UNKNOWN not in (*first, *second):
            found = stored_files(connection, [pair.first, pair.second])
            if len(found) == 2:  # noqa: PLR2004 (a pair)
                yield found[0], found[1], pair.distance


# Deciding


@dataclass(frozen=True, slots=True)
class _Photograph:
    """A stored photograph.

    Attributes:
        picture: the whole picture that was meant.
        whole: SHA-256 of the file and of the pixels, None if they were never measured, of every whole picture of it:
            those of equal content, those that it was cut from or that were cut from it.
        files: SHA-256 of all its files, and of what was cut from them.
        pixels: the same of pixels.
    """

    picture: UUID
    whole: dict[bytes, bytes | None]
    files: list[bytes]
    pixels: list[bytes]


def decide_label(connection: Connection, picture: UUID, species: str, *, by: str, why: str) -> Decided:
    """Decide the species of a photograph, whatever its uploaders stated; the audit trail records who decided.

    It holds for every picture of that file or those pixels that is or will ever be stored, for what is cut from them,
    and for what they were cut from. Earlier decisions are replaced.

    Args:
        connection: in whose transaction it is stored.
        picture: a stored picture of it; a crop means what it was cut from.
        species: the name or identifier of a registered species.
        by: who decided.
        why: the reason.

    Raises:
        UndecidableLabelError: there is no such picture or species.
        ValueError: `by` or `why` is empty.
    """
    seed = species_named(connection, species)
    wait_for_decisions(connection, by, why)
    photograph = _photograph(connection, picture)
    earlier = _forget(connection, photograph)
    connection.execute(
        "insert into label_decision (sha256, pixel_sha256, seed_id, decided_by, why)"
        " select file, pixels, %s, %s, %s from unnest(%s::bytea[], %s::bytea[]) as whole (file, pixels)",
        (seed.id, by, why, list(photograph.whole), list(photograph.whole.values())),
    )
    return _recorded(connection, photograph, "decided", earlier, {"species": seed.scientific_name, "why": why}, by)


def species_named(connection: Connection, species: str) -> Seed:
    """The registered species of a name or an identifier.

    Raises:
        UndecidableLabelError: there is none.
    """
    registry = registered_seeds(connection)
    seed = registry.with_id(species) or registry.named(species)
    if seed is None:
        near = registry.nearest(species)
        raise UndecidableLabelError(
            f"expected a registered species, found {species[:80]!r}{f'; did you mean {near}?' if near else ''}"
        )
    return seed


def wait_for_decisions(connection: Connection, by: str, why: str) -> None:
    """Let nobody else decide until the transaction ends: who decides later sees what was decided.

    Raises:
        ValueError: `by` or `why` is empty.
    """
    if not (by.strip() and why.strip()):
        raise ValueError("somebody decides for a reason")
    connection.execute("lock table label_decision in share row exclusive mode")


def undecide_label(connection: Connection, picture: UUID, *, by: str, why: str) -> Decided:
    """Revoke the decision about a photograph: what its uploaders stated counts again.

    Raises:
        UndecidableLabelError: there is no such picture, or nothing was decided of it.
        ValueError: `by` or `why` is empty.
    """
    wait_for_decisions(connection, by, why)
    photograph = _photograph(connection, picture)
    earlier = _forget(connection, photograph, judged_too=False)
    if not earlier:
        raise UndecidableLabelError(
            f"nothing was decided of the picture {picture}; what follows from judgements goes when they are taken back,"
            " by `nachet judge withdraw`"
        )
    return _recorded(connection, photograph, "taken back", earlier, {"why": why}, by)


def _photograph(connection: Connection, picture: UUID) -> _Photograph:
    found = fetch(
        connection,
        dict_row,
        "with recursive same (id, parent, sha256, pixel_sha256) as ("
        "select id, parent, sha256, pixel_sha256 from pictures where id = %s union"
        " select found.* from same cross join lateral ("
        "select id, parent, sha256, pixel_sha256 from pictures p where p.id = same.parent"
        " union all select id, parent, sha256, pixel_sha256 from pictures p where p.parent = same.id"
        # Crops of several pictures that equal each other alone prove nothing: a piece of white ground equals any other.
        " union all select id, parent, sha256, pixel_sha256 from pictures p where p.sha256 = same.sha256"
        " and (p.parent is null or same.parent is null)"
        " union all select id, parent, sha256, pixel_sha256 from pictures p where p.pixel_sha256 = same.pixel_sha256"
        " and (p.parent is null or same.parent is null)) found) select * from same order by id",
        (picture,),
    )
    rows = {row["id"]: row for row in found}
    if not rows:
        raise UndecidableLabelError(f"there is no picture {picture}")
    whole: dict[bytes, bytes | None] = {}
    for row in rows.values():
        if row["parent"] is None:
            # Where the file was stored several times and not measured each time, its pixels are known all the same.
            whole[row["sha256"]] = row["pixel_sha256"] or whole.get(row["sha256"])
    root = picture
    while rows[root]["parent"] is not None:
        root = rows[root]["parent"]
    return _Photograph(
        root,
        whole,
        sorted({row["sha256"] for row in rows.values()}),
        sorted({row["pixel_sha256"] for row in rows.values() if row["pixel_sha256"]}),
    )


def _forget(connection: Connection, photograph: _Photograph, *, judged_too: bool = True) -> list[dict[str, Any]]:
    """Remove what was decided of a photograph, by judgements too or by somebody alone; the latest is first."""
    rows = fetch(
        connection,
        dict_row,
        "delete from label_decision d using seeds s where s.id = d.seed_id"
        " and (d.sha256 = any(%s) or d.pixel_sha256 = any(%s)) and (%s or not d.from_judgements)"
        " returning s.name as species, d.why, d.decided_at, d.sha256, d.pixel_sha256",
        (photograph.files, photograph.pixels, judged_too),
    )
    return sorted(rows, key=lambda row: row["decided_at"], reverse=True)


def _recorded(
    connection: Connection,
    photograph: _Photograph,
    action: str,
    earlier: list[dict[str, Any]],
    after: dict[str, Any],
    by: str,
) -> Decided:
    before = {"species": earlier[0]["species"], "why": earlier[0]["why"]} if earlier else None
    settled = {row["sha256"] for row in earlier} | {row["pixel_sha256"] for row in earlier} - {None}
    same = all({"species": row["species"], "why": row["why"]} == after for row in earlier)
    new = not same or any(not settled & {*content} for content in photograph.whole.items())
    if new:
        content = {"sha256": [file.hex() for file in photograph.whole]}
        pixels = sorted({pixels.hex() for pixels in photograph.whole.values() if pixels})
        record(
            connection,
            actor=by,
            action=action,
            subject=SUBJECT,
            subject_id=photograph.picture,
            before=before,
            after={**after, **content, **({"pixel_sha256": pixels} if pixels else {})},
        )
    same_photograph = "(p.sha256 = any(%s) or p.pixel_sha256 = any(%s)) and s.deleted_at is null"
    stored = _stored(connection, same_photograph, (photograph.files, photograph.pixels), order="u.email, p.id")
    return Decided(
        after.get("species"),
        before["species"] if before else None,
        tuple(stored),
        new,
    )


# Training


@dataclass(frozen=True, slots=True)
class Labels:
    """What a version of a training set must agree with.

    Attributes:
        conflicting: pictures of photographs in conflict, and all that was cut from them.
        files: SHA-256 of the files of those photographs, in hexadecimal.
        pixels: those of their pixels.
        decided: pictures of photographs that somebody decided of, and all that was cut from them, with the species.
    """

    conflicting: Sequence[str]
    files: Sequence[str]
    pixels: Sequence[str]
    decided: Sequence[tuple[str, str]]


_CUT = (
    "with recursive cut as (select picture_id as id, {what} as what from {view} union"
    " select p.id, cut.what from pictures p join cut on p.parent = cut.id)"
)


def labels(connection: Connection) -> Labels:
    """What is in conflict, and what was decided."""
    # What people judged of a crop itself counts for it, whatever the photograph is under.
    unjudged = (
        " where cut.id not in (select j.picture_id from judged_picture j join pictures w on w.id = j.picture_id"
        " where j.outcome = 'taxon' and w.parent is not null)"
    )
    conflicting = connection.execute(
        f"{_CUT.format(what='picture_id', view='label_conflict')} select cut.id, encode(p.sha256, 'hex') as file,"
        " encode(p.pixel_sha256, 'hex') as pixels from cut left join pictures p on p.id = cut.id and p.id = cut.what"
        f"{unjudged}"
    ).fetchall()
    decided = connection.execute(
        f"{_CUT.format(what='seed_id', view='label_decided')} select id, what from cut{unjudged}"
    )
    return Labels(
        [str(row["id"]) for row in conflicting],
        [str(row["file"]) for row in conflicting if row["file"]],
        [str(row["pixels"]) for row in conflicting if row["pixels"]],
        [(str(row["id"]), str(row["what"])) for row in decided.fetchall()],
    )


def species_at_odds(connection: Connection, pictures: Sequence[UUID]) -> dict[UUID, set[UUID]]:
    """All species that photographs in conflict are under, by a whole picture of each."""
    rows = fetch(
        connection,
        tuple_row,
        "select c.picture_id, array_agg(distinct one) as species from label_conflict c join label_conflict o"
        " on o.photograph = c.photograph cross join lateral unnest(o.species) one where c.picture_id = any(%s)"
        " group by c.picture_id",
        (list(pictures),),
    )
    return {picture: set(species) for picture, species in rows}
