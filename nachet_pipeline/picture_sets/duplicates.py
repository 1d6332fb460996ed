"""Stored pictures that are the same or look alike, found by index, and what operators decided about them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from psycopg.rows import dict_row, tuple_row

from nachet_pipeline.contract.duplicates import NEAR_BITS
from nachet_pipeline.contract.shown import UNKNOWN
from nachet_pipeline.contract.stored import Candidate, Match, Relation
from nachet_pipeline.database.audit import record
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch
from nachet_pipeline.pictures.perceptual_hash import hash_bands

# Of very many look-alikes, so many are compared; the closest of those is as good as any.
_MOST_ALIKE = 200
_LISTED_ALIKE = 10
_PAGE = 500


class UnknownPictureError(LookupError):
    """There is no picture of this identifier."""


class OneFileError(ValueError):
    """Two pictures are the same file, so that there is nothing to decide about them."""


class Decision(StrEnum):
    """An operator's decision about two pictures that look alike."""

    DUPLICATE = "duplicate"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two stored pictures that are the same or look alike.

    Attributes:
        first: the one with the smaller identifier.
        second: the other.
        relation: how they are the same.
        distance: bits in which their perceptual hashes differ, 0 if they are the same.
        first_owner: e-mail of its owner.
        second_owner: e-mail of its owner.
        first_species: names of the species that the first shows, as its uploader stated; `unknown` for those that
            nobody has named.
        second_species: likewise.
        decision: an operator's decision; pairs that were decided to be different are not listed.
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
    """SQL for the names of the species that uploaders stated for a picture, sorted; `unknown` is the last."""
    return (
        f"array(select coalesce(name, '{UNKNOWN}') from (select distinct k.name from picture_seed l"
        " left join seeds o on o.id = l.seed_id left join seeds k on k.id = coalesce(o.merged_into, o.id)"
        f" where l.picture_id = {picture}) stated order by name)"
    )


def _bits(of: str) -> str:
    return f"('x' || encode({of}, 'hex'))::bit(256)"


def _decisions(one: str, other: str) -> str:
    """What was decided about two pictures: about their files, or about others with the same pixels; by index."""
    files = (
        "(select {of}.sha256 as file union all select same.sha256 from pictures same"
        " where same.pixel_sha256 = {of}.pixel_sha256 and same.sha256 <> {of}.sha256)"
    )
    return (
        f"from {files.format(of=one)} x cross join {files.format(of=other)} y join duplicate_decision d"
        " on d.file_a = least(x.file, y.file) and d.file_b = greatest(x.file, y.file)"
    )


def _alike(picture: str, *, other: str = "p") -> str:
    """What pictures are the same as one, each found by its own index."""
    apart = f"bit_count({_bits(f'{other}.perceptual_hash')} # {_bits(f'{picture}.perceptual_hash')})"
    # A crop shows what its parent shows: only whole pictures can be duplicates; a deleted folder's are nobody's, nor is
    # what a correction took out.
    live = (
        f"{other}.parent is null and {other}.superseded_at is null"
        f" and not exists (select from picture_set s where s.id = {other}.picture_set_id and s.deleted_at is not null)"
    )
    # That a file is itself is not to be decided.
    files_undecided = (
        f"{live} and not exists (select from duplicate_decision d where d.decision = 'different'"
        f" and d.file_a = least({other}.sha256, {picture}.sha256)"
        f" and d.file_b = greatest({other}.sha256, {picture}.sha256))"
    )
    undecided = f"{live} and not exists (select {_decisions(picture, other)} where d.decision = 'different')"
    return (
        f"(select {other}.id, 1 as rank, 0 as distance from pictures {other}"
        f" where {other}.sha256 = {picture}.sha256 and {{which}} and {live} order by {other}.id limit 1)"
        f" union all (select {other}.id, 2, 0 from pictures {other} where {other}.pixel_sha256 = {picture}.pixel_sha256"
        f" and {other}.sha256 <> {picture}.sha256 and {{which}} and {files_undecided} order by {other}.id limit 1)"
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
    owner: UUID | None = None,
) -> dict[str, Match]:
    """The closest stored picture of each that has one, whosever it is; never the picture itself.

    Args:
        connection: to the database.
        candidates: the pictures, some thousand at most.
        bits: pictures look alike whose perceptual hashes differ in no more; up to `FOUND_BITS` all of them are found.
        apart_from: picture sets whose pictures do not count: those that the candidates become themselves.
        owner: the user who reads the matches; the places of their own pictures are added.

    Returns:
        By path of the candidate.
    """
    rows = fetch(connection, dict_row, FIND, duplicates_query(candidates, bits=bits, apart_from=apart_from))
    places = _places(connection, [row["id"] for row in rows], owner) if owner and rows else {}
    return {
        candidates[row["number"]].path: Match(
            _RELATIONS[row["rank"]], row["id"], row["distance"], places.get(row["id"])
        )
        for row in rows
    }


def _places(connection: Connection, pictures: Sequence[UUID], owner: UUID) -> dict[UUID, str]:
    """Folder, session and name of those pictures that are a user's."""
    rows = fetch(
        connection,
        tuple_row,
        "select p.id, case when up.id is not null then concat_ws('/', up.folder, nullif(s.session, ''), p.name)"
        " when c.id is not null then c.name || '/' || coalesce(p.picture #>> '{image_data,source}', p.name)"
        " else concat_ws('/', s.name, p.name) end as place"
        " from pictures p join picture_set s on s.id = p.picture_set_id"
        " left join upload up on up.id = s.upload_id left join mass_import m on m.id = s.mass_import_id"
        " left join container c on c.id = m.container_id where p.id = any(%s) and s.owner_id = %s",
        (list(pictures), owner),
    )
    return dict(rows)


def duplicates_query(
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
) -> Iterator[DuplicatePair]:
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
        f" left join lateral (select d.decision {_decisions('a', 'b')} order by d.decided_at desc limit 1) decision"
        " on true"
        f" where b.parent is null and b.superseded_at is null and second_set.deleted_at is null{mine if user else ''}"
    )
    most = _LISTED_ALIKE if near else 0
    with connection.cursor("duplicate_pairs", row_factory=dict_row) as cursor:
        cursor.itersize = _PAGE
        for row in cursor.execute(query, {"user": user, "bits": bits, "most": most}):
            decision = row["decision"]
            yield DuplicatePair(
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


def decide_pair(
    connection: Connection, one: UUID, other: UUID, decision: Decision, *, by: str, note: str | None = None
) -> bool:
    """Store an operator's decision about two pictures, with a row of the audit trail.

    It holds for all rows of the two files, and for all that have the same pixels as those.

    Args:
        connection: in whose transaction it is stored.
        one: a picture.
        other: another one.
        decision: whether they are duplicates.
        by: who decided.
        note: why.

    Returns:
        Whether that is new.

    Raises:
        UnknownPictureError: one of the pictures is not stored.
        OneFileError: both are the same file.
        ValueError: both are one picture, or `by` is empty.
    """
    if not by.strip():
        raise ValueError("somebody must have decided it")
    first, second = sorted((one, other))
    files = _files_of_pair(connection, first, second)
    # An older decision about others with the same pixels is replaced by this one: two photographs have one.
    older = connection.execute(
        f"select d.file_a, d.file_b, d.decision, d.note from pictures a cross join pictures b cross join lateral"
        f" (select d.* {_decisions('a', 'b')}) d where a.id = %s and b.id = %s order by d.decided_at desc, d.file_a",
        (first, second),
    ).fetchall()
    before = {name: older[0][name] for name in ("decision", "note")} if older else None
    after = {"decision": decision.value, "note": note}
    if before == after:
        return False
    for row in older:
        connection.execute(
            "delete from duplicate_decision where file_a = %s and file_b = %s", (row["file_a"], row["file_b"])
        )
    connection.execute(
        "insert into duplicate_decision (file_a, file_b, decision, decided_by, note) values (%s, %s, %s, %s, %s)"
        " on conflict (file_a, file_b) do update set decision = excluded.decision,"
        " decided_by = excluded.decided_by, decided_at = excluded.decided_at, note = excluded.note",
        (*files, decision.value, by, note),
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


def _files_of_pair(connection: Connection, first: UUID, second: UUID) -> list[bytes]:
    """The SHA-256 of two pictures' files, sorted; both rows are locked until the transaction ends."""
    if first == second:
        raise ValueError("two pictures are needed, and these are one")
    rows = fetch(
        connection,
        tuple_row,
        "select id, sha256 from pictures where id = any(%s) order by id for share",
        ([first, second],),
    )
    stored: dict[UUID, bytes] = dict(rows)
    for missing in {first, second} - stored.keys():
        raise UnknownPictureError(f"there is no picture {missing}")
    files = sorted(stored.values())
    if files[0] == files[1]:
        raise OneFileError(f"{first} and {second} are the same file: there is nothing to decide about it")
    return files
