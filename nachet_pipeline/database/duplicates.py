"""Stored pictures that are the same or look alike, found by index, and what operators decided about them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast
from uuid import UUID

from psycopg.rows import dict_row

from nachet_pipeline.contract.duplicates import NEAR_BITS, Candidate, Match, Relation
from nachet_pipeline.database.audit import record
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.pictures.perceptual_hash import hash_bands

# Of very many that look alike, so many are looked at; the closest of those is as good as any.
_MOST_ALIKE = 200
_LISTED_ALIKE = 10
_PAGE = 500


class UnknownPictureError(LookupError):
    """There is no picture of this identifier."""


class Decision(StrEnum):
    """What an operator says of two pictures that look alike."""

    DUPLICATE = "duplicate"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two stored pictures that are the same or look alike.

    Attributes:
        first: the one with the smaller identifier.
        second: the other.
        relation: how they are the same.
        distance: bits in which their perceptual hashes differ, 0 if they are the same.
        first_owner: e-mail of its owner.
        second_owner: e-mail of its owner.
        first_species: names of the species that the one shows, as its uploader says.
        second_species: likewise.
        decision: what an operator said of them; pairs that were said to be different are not listed.
    """

    first: UUID
    second: UUID
    relation: Relation
    distance: int
    first_owner: str
    second_owner: str
    first_species: tuple[str, ...]
    second_species: tuple[str, ...]
    decision: Decision | None


def species_of(picture: str) -> str:
    """In SQL, the names of the species that uploaders say a picture shows, sorted."""
    return (
        "array(select distinct k.name from picture_seed l join seeds o on o.id = l.seed_id"
        f" join seeds k on k.id = coalesce(o.merged_into, o.id) where l.picture_id = {picture} order by k.name)"
    )


def _bits(of: str) -> str:
    return f"('x' || encode({of}, 'hex'))::bit(256)"


def _alike(picture: str, *, other: str = "p") -> str:
    """What pictures are the same as one, each found by its own index."""
    apart = f"bit_count({_bits(f'{other}.perceptual_hash')} # {_bits(f'{picture}.perceptual_hash')})"
    # A crop shows what its parent shows: only whole pictures can be duplicates; a deleted folder's are nobody's.
    undecided = (
        f"{other}.parent is null"
        f" and not exists (select from picture_set s where s.id = {other}.picture_set_id and s.deleted_at is not null)"
        f" and not exists (select from duplicate_decision d where d.decision = 'different'"
        f" and d.picture_a = least({other}.id, {picture}.id) and d.picture_b = greatest({other}.id, {picture}.id))"
    )
    return (
        f"(select {other}.id, 1 as rank, 0 as distance from pictures {other}"
        f" where {other}.sha256 = {picture}.sha256 and {{which}} and {undecided} order by {other}.id limit 1)"
        f" union all (select {other}.id, 2, 0 from pictures {other} where {other}.pixel_sha256 = {picture}.pixel_sha256"
        f" and {other}.sha256 <> {picture}.sha256 and {{which}} and {undecided} order by {other}.id limit 1)"
        f" union all (select * from (select {other}.id, 3, {apart}::integer as distance from pictures {other}"
        f" where {other}.hash_bands && {picture}.hash_bands and {other}.pixel_sha256 <> {picture}.pixel_sha256"
        f" and {other}.sha256 <> {picture}.sha256 and {apart} <= %(bits)s and {{which}} and {undecided}"
        f" limit {_MOST_ALIKE}) near order by distance, id limit %(most)s)"
    )


_ANOTHER = "p.id <> asked.id and p.picture_set_id <> all(%(apart_from)s::uuid[])"
_RELATIONS = {1: Relation.SAME_FILE, 2: Relation.SAME_PIXELS, 3: Relation.NEAR}
FIND = (
    "with asked as materialized (select number, id, sha256, pixel_sha256, perceptual_hash,"
    " bands::integer[] as hash_bands"
    " from unnest(%(numbers)s::integer[], %(ids)s::uuid[], %(files)s::bytea[], %(pixels)s::bytea[], %(looks)s::bytea[],"
    " %(bands)s::text[]) as given (number, id, sha256, pixel_sha256, perceptual_hash, bands))"
    " select distinct on (number) number, found.id, found.rank, found.distance from asked cross join lateral"
    f" ({_alike('asked').format(which=_ANOTHER)}) as found order by number, rank, distance, found.id"
)
"""Gives the closest stored picture of each that is asked for."""


def find_duplicates(
    connection: Connection,
    candidates: Sequence[Candidate],
    *,
    bits: int = NEAR_BITS,
    apart_from: Collection[UUID] = (),
) -> dict[str, Match]:
    """The closest stored picture of each that has one, whosever it is; never the picture itself.

    Args:
        connection: to the database.
        candidates: the pictures, some thousand at most.
        bits: pictures look alike whose perceptual hashes differ in no more; up to `FOUND_BITS` all of them are found.
        apart_from: picture sets whose pictures do not count: those that the candidates become themselves.

    Returns:
        By path of the candidate.
    """
    rows = connection.execute(FIND, query_of(candidates, bits=bits, apart_from=apart_from)).fetchall()
    return {
        candidates[cast(int, row["number"])].path: Match(
            _RELATIONS[cast(int, row["rank"])], cast(UUID, row["id"]), cast(int, row["distance"])
        )
        for row in rows
    }


def query_of(
    candidates: Sequence[Candidate], *, bits: int = NEAR_BITS, apart_from: Collection[UUID] = ()
) -> Mapping[str, object]:
    """What `FIND` is asked with."""
    return {
        "numbers": list(range(len(candidates))),
        "ids": [one.id for one in candidates],
        "files": [one.sha256 for one in candidates],
        "pixels": [one.pixel_sha256 for one in candidates],
        "looks": [one.looks for one in candidates],
        "bands": [f"{{{','.join(map(str, hash_bands(one.looks)))}}}" if one.looks else None for one in candidates],
        "bits": bits,
        "most": 1,
        "apart_from": list(apart_from),
    }


def duplicate_pairs(
    connection: Connection, *, user: str | None = None, near: bool = False, bits: int = NEAR_BITS
) -> Iterator[Pair]:
    """All pairs of stored pictures that are the same, and perhaps of those that look alike, one after the other.

    Of several that are all the same, each is listed with the first of them.

    Args:
        connection: to the database; its transaction stays open while pairs are read.
        user: e-mail of somebody whom at least one of the two belongs to; everybody's if None.
        near: whether those that look alike are listed too.
        bits: see `find_duplicates`.
    """
    mine = " and (lower(first_user.email) = lower(%(user)s) or lower(second_user.email) = lower(%(user)s))"
    query = (
        "select found.id as first, b.id as second, found.rank, found.distance, first_user.email as first_owner,"
        " second_user.email as second_owner, decision.decision,"
        f" {species_of('a.id')} as first_species, {species_of('b.id')} as second_species from pictures b"
        " cross join lateral"
        f" ({_alike('b').format(which='p.id < b.id')}) as found"
        " join pictures a on a.id = found.id"
        " join picture_set first_set on first_set.id = a.picture_set_id"
        " join users first_user on first_user.id = first_set.owner_id"
        " join picture_set second_set on second_set.id = b.picture_set_id"
        " join users second_user on second_user.id = second_set.owner_id"
        " left join duplicate_decision decision on decision.picture_a = found.id and decision.picture_b = b.id"
        f" where b.parent is null and second_set.deleted_at is null{mine if user else ''}"
    )
    most = _LISTED_ALIKE if near else 0
    with connection.cursor("duplicate_pairs", row_factory=dict_row) as cursor:
        cursor.itersize = _PAGE
        for row in cursor.execute(query, {"user": user, "bits": bits, "most": most}):
            decision = row["decision"]
            yield Pair(
                row["first"],
                row["second"],
                _RELATIONS[row["rank"]],
                row["distance"],
                row["first_owner"],
                row["second_owner"],
                tuple(row["first_species"]),
                tuple(row["second_species"]),
                Decision(decision) if decision else None,
            )


def decide(
    connection: Connection, one: UUID, other: UUID, decision: Decision, *, by: str, note: str | None = None
) -> bool:
    """Store what an operator says of two pictures, with a row of the audit trail.

    Args:
        connection: in whose transaction it is stored.
        one: a picture.
        other: another one.
        decision: whether they are duplicates.
        by: who says so.
        note: why.

    Returns:
        Whether that is new.

    Raises:
        UnknownPictureError: one of the pictures is not stored.
        ValueError: both are the same, or nobody says so.
    """
    if one == other:
        raise ValueError("two pictures are needed, and these are one")
    if not by.strip():
        raise ValueError("somebody must have decided it")
    first, second = sorted((one, other))
    stored = {
        row["id"]
        for row in connection.execute(
            "select id from pictures where id = any(%s) order by id for share", ([first, second],)
        )
    }
    for missing in {first, second} - stored:
        raise UnknownPictureError(f"there is no picture {missing}")
    before = connection.execute(
        "select decision, note from duplicate_decision where picture_a = %s and picture_b = %s for update",
        (first, second),
    ).fetchone()
    after = {"decision": decision.value, "note": note}
    if before == after:
        return False
    connection.execute(
        "insert into duplicate_decision (picture_a, picture_b, decision, decided_by, note) values (%s, %s, %s, %s, %s)"
        " on conflict (picture_a, picture_b) do update set decision = excluded.decision,"
        " decided_by = excluded.decided_by, decided_at = excluded.decided_at, note = excluded.note",
        (first, second, decision.value, by, note),
    )
    record(
        connection,
        actor=by,
        action="decided",
        subject="pair of pictures",
        subject_id=first,
        before=before,
        after={**after, "other": str(second)},
    )
    return True
