"""Pictures whose seeds nobody has named yet: which wait, and naming those of a picture set at once.

To name is to decide, as `labels.decide_label` does of one photograph: it holds for the content, for what is cut from
it, now and later, and lies over what the uploader said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import dict_row, tuple_row

from nachet_pipeline.database.audit import record
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch
from nachet_pipeline.picture_sets.labels import (
    SUBJECT,
    LabelledFile,
    UndecidableLabelError,
    species_named,
    stored_files,
    wait_for_decisions,
)

_LISTED = 20


@dataclass(frozen=True, slots=True)
class WaitingSet:
    """Pictures of a picture set that wait for a name, and of which their uploader guessed the same.

    Attributes:
        picture_set: which one.
        owner: e-mail of the user whose it is.
        folder: of the upload, or the container that a mass import found.
        session: path of its session there.
        guess: what the uploader takes the seeds for, in words of their own; None if they did not say.
        rank: of the guess, None if they did not say.
        pictures: how many wait.
        several: how many of those show seeds of other species as well, so that they are not named at once.
        since: when the first was imported.
    """

    picture_set: UUID
    owner: str
    folder: str
    session: str
    guess: str | None
    rank: str | None
    pictures: int
    several: int
    since: datetime

    @property
    def place(self) -> str:
        """Folder and session."""
        return "/".join(part for part in (self.folder, self.session) if part)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a name.

    Attributes:
        pictures: how many in all.
        since: when the first of them was imported; None if none waits.
        sets: the picture sets, those that wait longest first; perhaps not all.
    """

    pictures: int
    since: datetime | None
    sets: Sequence[WaitingSet]


@dataclass(frozen=True, slots=True)
class Named:
    """What naming a picture set, or taking that back, did.

    Attributes:
        picture_set: which one.
        species: the name of the species; None if the names were taken back.
        pictures: how many pictures were named, or wait again.
        several: how many were left because they show several kinds of seeds.
        decided: how many were left because it was decided before what they show.
        elsewhere: how many were left because the same photograph is stored under another species.
        left: the first of those.
        new: False if all that was done before.
    """

    picture_set: UUID
    species: str | None
    pictures: int
    several: int = 0
    decided: int = 0
    elsewhere: int = 0
    left: Sequence[LabelledFile] = ()
    new: bool = True


def waiting_for_names(connection: Connection, *, most: int | None = None) -> Waiting:
    """What waits for a name.

    Args:
        connection: to the database.
        most: how many picture sets at most.
    """
    rows = fetch(
        connection,
        dict_row,
        "select w.picture_set_id as picture_set, u.email as owner,"
        " coalesce(s.picture_set -> 'audit_trail' ->> 'folder', '') as folder,"
        " coalesce(s.picture_set -> 'audit_trail' ->> 'session', s.name, '') as session,"
        " p.picture -> 'terms' ->> 'dwc:verbatimIdentification' as guess,"
        " p.picture -> 'terms' ->> 'dwc:verbatimTaxonRank' as rank, count(*) as pictures,"
        " count(w.number_of_seeds) as several, min(p.upload_date) as since, sum(count(*)) over ()::bigint as in_all"
        " from unnamed_picture w join pictures p on p.id = w.picture_id"
        " join picture_set s on s.id = w.picture_set_id join users u on u.id = s.owner_id"
        " group by 1, 2, 3, 4, 5, 6 order by since, picture_set, guess, rank limit %s",
        (most,),
    )
    pictures = rows[0].pop("in_all") if rows else 0
    return Waiting(
        pictures,
        rows[0]["since"] if rows else None,
        [WaitingSet(**{name: row[name] for name in WaitingSet.__dataclass_fields__}) for row in rows],
    )


# A picture that shows another species elsewhere, or several kinds, is not named with hundreds of others: somebody has
# to look at it. What equals it may be a crop, which is under the species of what it was cut from, at the top.
_NAMING = """
with waiting as materialized (
    select p.id, p.sha256, p.pixel_sha256, w.number_of_seeds is not null as several
    from unnamed_picture w join pictures p on p.id = w.picture_id where w.picture_set_id = %(set)s
), elsewhere as materialized (
    select distinct w.id from waiting w cross join lateral (
        select e.id, e.parent, e.superseded_at, e.withdrawn_at from pictures e where e.sha256 = w.sha256
        union select e.id, e.parent, e.superseded_at, e.withdrawn_at from pictures e
            where e.pixel_sha256 = w.pixel_sha256
    ) e
        left join pictures q on q.id = e.parent left join pictures g on g.id = q.parent
        join pictures r on r.id = coalesce(g.id, q.id, e.id) and r.superseded_at is null and r.withdrawn_at is null
        join picture_set s on s.id = r.picture_set_id and s.deleted_at is null
    where not several and (e.superseded_at is null or e.parent is not null) and e.withdrawn_at is null
        and exists (select from picture_seed l left join seeds o on o.id = l.seed_id where l.picture_id = r.id
            and case when o.id is null then l.number_of_seeds is not null
                else coalesce(o.merged_into, o.id) <> %(seed)s end)
        and not exists (select from label_decision_of(r.id))
), named as materialized (
    select * from waiting where not several and id not in (select id from elsewhere)
), decided as (
    insert into label_decision (sha256, pixel_sha256, seed_id, decided_by, why, named_with)
    select distinct on (sha256) sha256, pixel_sha256, %(seed)s::uuid, %(by)s, %(why)s, %(set)s::uuid
    from named order by sha256, pixel_sha256
), noted as (
    select count(*) as pictures from named cross join lateral audit_note(%(by)s, 'decided', %(subject)s, named.id, null,
        jsonb_build_object('species', %(species)s::text, 'why', %(why)s::text, 'picture_set', %(set)s::uuid,
            'sha256', jsonb_build_array(encode(sha256, 'hex')),
            'pixel_sha256', to_jsonb(array_remove(array[encode(pixel_sha256, 'hex')], null))))
)
select noted.pictures, (select count(*) from waiting where several) as several,
    (select count(*) from elsewhere) as elsewhere, array(select id from elsewhere order by id limit %(most)s) as ids
from noted
"""

_DECIDED_ALONE = "`nachet labels decide PICTURE` decides anew of a single photograph"
_NAMED_WITH = """
select distinct d.named_with, coalesce(s.merged_into, s.id)
from pictures p join label_decision d on d.sha256 = p.sha256 or d.pixel_sha256 = p.pixel_sha256
    join seeds s on s.id = d.seed_id
where p.picture_set_id = %(set)s and p.parent is null order by 1, 2 limit 20
"""
"""The picture sets that pictures of a set were named with, null for single decisions, and as which species."""

_ONE_UNKNOWN_KIND = (
    "select p.id from picture_seed l join pictures p on p.id = l.picture_id where p.picture_set_id = %s"
    " and l.seed_id is null and l.number_of_seeds is null and p.parent is null and p.superseded_at is null"
    " and p.withdrawn_at is null"
)


def name_pictures(connection: Connection, picture_set: UUID, species: str, *, by: str, why: str) -> Named:
    """Name the seeds of all pictures of a set that wait for a name; the audit trail records who named them.

    Left are pictures that show several kinds of seeds, those that somebody decided of before, and those whose
    photograph is stored under another species.

    Args:
        connection: in whose transaction it is done.
        picture_set: the picture set.
        species: the name or identifier of a registered species.
        by: who names them.
        why: the reason.

    Raises:
        UndecidableLabelError: there is no such picture set or species, or no picture of it can be named.
        ValueError: `by` or `why` is empty.
    """
    seed = species_named(connection, species)
    wait_for_decisions(connection, by, why)
    _picture_set(connection, picture_set)
    arguments = {
        "set": picture_set,
        "seed": seed.id,
        "species": seed.scientific_name,
        "by": by,
        "why": why,
        "subject": SUBJECT,
        "most": _LISTED,
    }
    (row,) = fetch(connection, dict_row, _NAMING, arguments)
    (decided,) = connection.execute(f"select count(*) as number from ({_ONE_UNKNOWN_KIND}) one", (picture_set,))
    done = Named(
        picture_set,
        seed.scientific_name,
        row["pictures"],
        row["several"],
        decided["number"] - row["pictures"] - row["elsewhere"],
        row["elsewhere"],
        stored_files(connection, row["ids"]),
    )
    if not done.pictures:
        return _nothing_named(connection, done, seed.id)
    record(
        connection,
        actor=by,
        action="named",
        subject="picture set",
        subject_id=picture_set,
        after={"species": done.species, "why": why, "pictures": done.pictures},
    )
    return done


def _nothing_named(connection: Connection, done: Named, seed: UUID) -> Named:
    """Nothing waits because all was named so before; or say why nothing can be named.

    Raises:
        UndecidableLabelError: for another reason.
    """
    before = fetch(
        connection,
        tuple_row,
        "select d.seed_id, s.name, count(*) from label_decided d join seeds s on s.id = d.seed_id"
        f" where d.picture_id in ({_ONE_UNKNOWN_KIND}) group by 1, 2 order by 3 desc, 2",
        (done.picture_set,),
    )
    others = any(known != seed for known, _, _ in before)
    with_sets = fetch(connection, tuple_row, _NAMED_WITH, {"set": done.picture_set})
    # What somebody named otherwise, with another set of the same photographs, is no other name of this one.
    as_before = (done.picture_set, seed) in with_sets or (before and not others)
    if as_before and not done.elsewhere:
        return Named(done.picture_set, done.species, 0, done.several, done.decided, new=False)
    reasons = [f"{number} were named {name} before" for _, name, number in before]
    if others:
        reasons += [
            f"`nachet labels unname {one}` takes back what was named at once" if one else _DECIDED_ALONE
            for one in dict.fromkeys(one for one, known in with_sets if known != seed)
        ]
    if done.several:
        reasons.append(f"{done.several} show several kinds of seeds")
    if done.elsewhere:
        reasons.append(f"{done.elsewhere} are stored elsewhere under another species, {done.left[0].picture} is one")
        reasons.append("`nachet labels decide PICTURE` settles each")
    said = "; ".join(reasons) or "none of its pictures waits for a name"
    raise UndecidableLabelError(f"nothing of the picture set {done.picture_set} was named: {said}")


_TAKING_BACK = """
with taken_back as (
    delete from label_decision d using seeds s where s.id = d.seed_id and d.named_with = %(set)s
    returning d.sha256, s.name, d.why
), noted as (
    select p.id, t.name from taken_back t
        join pictures p on p.sha256 = t.sha256 and p.picture_set_id = %(set)s and p.parent is null
        cross join lateral audit_note(%(by)s, 'taken back', %(subject)s, p.id,
            jsonb_build_object('species', t.name, 'why', t.why), jsonb_build_object('why', %(why)s::text))
)
select t.name, (select count(*) from noted where noted.name = t.name) from taken_back t group by 1 order by 1
"""


def unname_pictures(connection: Connection, picture_set: UUID, *, by: str, why: str) -> Named:
    """Take back what `name_pictures` did with a set: its pictures wait for a name again.

    What was decided of a photograph by itself stays. What was named with a set that was deleted since is taken back
    too, as it counts for the same photographs elsewhere.

    Raises:
        UndecidableLabelError: there is no such picture set, or it was not named.
        ValueError: `by` or `why` is empty.
    """
    wait_for_decisions(connection, by, why)
    _picture_set(connection, picture_set, deleted_too=True)
    waiting = _waiting_of(connection, picture_set)
    arguments = {"set": picture_set, "by": by, "why": why, "subject": SUBJECT}
    rows = fetch(connection, tuple_row, _TAKING_BACK, arguments)
    if not rows:
        raise UndecidableLabelError(f"the picture set {picture_set} was not named")
    pictures: int = sum(number for _, number in rows)
    before = {"species": [name for name, _ in rows], "pictures": pictures}
    record(
        connection,
        actor=by,
        action="name taken back",
        subject="picture set",
        subject_id=picture_set,
        before=before,
        after={"why": why},
    )
    # Those that their uploader named since, or withdrew, do not wait.
    return Named(picture_set, None, _waiting_of(connection, picture_set) - waiting)


def _waiting_of(connection: Connection, picture_set: UUID) -> int:
    """How many pictures of a set wait for a name."""
    query = "select count(*) from unnamed_picture where picture_set_id = %s"
    ((number,),) = fetch(connection, tuple_row, query, (picture_set,))
    return int(number)


def _picture_set(connection: Connection, picture_set: UUID, *, deleted_too: bool = False) -> None:
    """Be sure that there is a picture set.

    Raises:
        UndecidableLabelError: there is none, or it was deleted.
    """
    found = fetch(connection, tuple_row, "select deleted_at from picture_set where id = %s", (picture_set,))
    if not found:
        raise UndecidableLabelError(f"there is no picture set {picture_set}")
    if found[0][0] and not deleted_too:
        raise UndecidableLabelError(f"the picture set {picture_set} was deleted")
