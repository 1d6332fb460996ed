"""Applying judgements: what they come to, which photographs are labelled by them, and which pictures are verified.

`judged` is made from `judgement` and never read to make it, so that it can be made anew at any time. All that is judged
of a photograph and of its crops is decided together.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

from psycopg.rows import tuple_row

from nachet_pipeline.crops.queries import corrected_boxes, crop_again
from nachet_pipeline.database.audit import changing
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.database.reading import fetch, fetch_column
from nachet_pipeline.models.judgements.policy import Broader, Cut, Outcome, Policy, Subject, decide, subjects
from nachet_pipeline.models.judgements.queries import judged_contents, judgements_of
from nachet_pipeline.picture_sets.judged_content import set_verified
from nachet_pipeline.picture_sets.labels import SUBJECT, wait_for_decisions
from nachet_pipeline.picture_sets.withdrawn_content import withdrawing
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.registry.seeds import RANKS, SeedRegistry
from nachet_pipeline.support.batches import batched
from nachet_pipeline.training.ranks import taxon_at

_CONTENTS = 500


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying judgements changed.

    Attributes:
        subjects: pictures, crops and regions with another outcome than before.
        labels: photographs whose species follows from judgements and is another than before, or none any more.
        verified: pictures that are verified now and were not, or the other way round.
    """

    subjects: int = 0
    labels: int = 0
    verified: int = 0

    def __add__(self, other: "Applied") -> "Applied":
        """The sum of both."""
        return Applied(self.subjects + other.subjects, self.labels + other.labels, self.verified + other.verified)


def wait_for_judging(connection: Connection, by: str) -> None:
    """Let nobody else judge or decide, nor write pictures, until the transaction ends; first of all in it.

    Raises:
        ValueError: `by` is empty.
    """
    withdrawing(connection)
    wait_for_decisions(connection, by, "judgements")


def apply_judgements(connection: Connection, contents: Iterable[bytes], policy: Policy, *, by: str) -> Applied:
    """Decide anew what the judgements of contents come to, and let labels and pictures follow.

    Args:
        connection: in whose transaction it is done, after `wait_for_judging`.
        contents: SHA-256 of pictures and crops that were judged.
        policy: how many must say the same.
        by: whom the audit trail names.
    """
    experts = set(fetch_column(connection, "select email from expert where ended_at is null"))
    broader = _broader(registered_seeds(connection))
    done = Applied()
    for batch in batched(contents, _CONTENTS):
        done += _apply(connection, _family(connection, batch), experts, policy, broader, by)
    return done


def apply_all(database: Database, policy: Policy, *, by: str) -> Applied:
    """Decide anew what all judgements come to: settings, the registry and what is stored may be others than they were.

    Each few hundred contents in a transaction of their own, so that imports go on meanwhile. If it is interrupted, what
    is left is decided by the next call.

    Raises:
        DatabaseError: the database does not answer.
    """
    done, last = Applied(), b""
    while contents := database.transact(judged_contents, after=last, limit=_CONTENTS):
        done += database.transact(_apply_some, contents, policy, by)
        last = contents[-1]
    return done


def _apply_some(connection: Connection, contents: Sequence[bytes], policy: Policy, by: str) -> Applied:
    wait_for_judging(connection, by)
    return apply_judgements(connection, contents, policy, by=by)


def _broader(registry: SeedRegistry) -> Broader:
    known: dict[UUID, frozenset[UUID]] = {}

    def broader(taxon: UUID) -> Collection[UUID]:
        if taxon not in known:
            seed = registry.by_id.get(taxon)
            wider = RANKS[: RANKS.index(seed.taxon_rank)] if seed else ()
            taxa = (taxon_at(registry, seed, rank) for rank in wider if seed)
            known[taxon] = frozenset(one.id for one in taxa if one)
        return known[taxon]

    return broader


def _family(connection: Connection, contents: Sequence[bytes]) -> list[bytes]:
    """These contents, all that have the same pixels, and all that are cut from each other with them."""
    return fetch_column(
        connection,
        "with recursive family (sha256) as (select unnest(%s::bytea[]) union"
        " select found.sha256 from family cross join lateral ("
        "select q.sha256 from pictures p join pictures q on q.id = p.parent where p.sha256 = family.sha256"
        " union all select c.sha256 from pictures p join pictures c on c.parent = p.id where p.sha256 = family.sha256"
        " union all select t.sha256 from pictures p join pictures t on t.pixel_sha256 = p.pixel_sha256"
        " where p.sha256 = family.sha256) found) select sha256 from family order by 1",
        (list(contents),),
    )


def _apply(
    connection: Connection,
    family: Sequence[bytes],
    experts: Collection[str],
    policy: Policy,
    broader: Broader,
    by: str,
) -> Applied:
    cuts = fetch(
        connection,
        tuple_row,
        "select distinct c.sha256, p.sha256, array[c.bounding_box[1]::real / p.width,"
        " c.bounding_box[2]::real / p.height, c.bounding_box[3]::real / p.width, c.bounding_box[4]::real / p.height]"
        " from pictures p join pictures c on c.parent = p.id and c.bounding_box is not null"
        " and c.superseded_at is null and c.withdrawn_at is null where p.sha256 = any(%s)",
        (family,),
    )
    single = fetch_column(
        connection,
        "select sha256 from pictures where sha256 = any(%s) and parent is null group by sha256"
        " having min(nb_object) = 1 and max(nb_object) = 1",
        (family,),
    )
    pixels = fetch(
        connection,
        tuple_row,
        "select array_agg(distinct sha256) from pictures where sha256 = any(%s) and pixel_sha256 is not null"
        " group by pixel_sha256 having count(distinct sha256) > 1",
        (family,),
    )
    judgements = judgements_of(connection, family)
    found = subjects(
        judgements,
        [Cut(crop, parent, tuple(box)) for crop, parent, box in cuts],
        set(single),
        [(one, other) for (same,) in pixels for one, other in pairwise(same)],
    )
    outcomes = {subject: decide(judged, experts, policy, broader) for subject, judged in found.items()}
    before = corrected_boxes(connection, family)
    changed = _record(connection, family, outcomes, policy)
    crop_again(connection, [content for content, _ in before ^ corrected_boxes(connection, family)])
    labels = _label(connection, family, _supported(connection, family, outcomes, broader), policy, by)
    pictures = fetch_column(
        connection,
        "with recursive concerned (id) as (select p.id from pictures p where p.sha256 = any(%(family)s)"
        " union select p.id from pictures o join pictures p on p.pixel_sha256 = o.pixel_sha256"
        "  where o.sha256 = any(%(family)s)"
        " union select c.id from concerned join pictures c on c.parent = concerned.id) select id from concerned",
        {"family": family},
    )
    with changing(connection, actor=by, action="judged"):
        verified = set_verified(connection, "p.id = any(%(pictures)s)", {"pictures": pictures})
    return Applied(changed, labels, verified)


def _record(
    connection: Connection, family: Sequence[bytes], outcomes: Mapping[Subject, Outcome], policy: Policy
) -> int:
    """Write the outcomes of contents, and remove those that are no more; how many changed."""
    there = list(outcomes)
    gone = connection.execute(
        "delete from judged where sha256 = any(%s) and (sha256, region) not in"
        " (select * from unnest(%s::bytea[], %s::text[]))",
        (family, [one.sha256 for one in there], [one.region for one in there]),
    ).rowcount
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into judged (sha256, region, pixel_sha256, outcome, seed_id, box, agreement, persons, experts,"
            " policy) values (%(sha256)s, %(region)s, (select pixel_sha256 from pictures where sha256 = %(sha256)s"
            "  and pixel_sha256 is not null limit 1), %(outcome)s, %(taxon)s, %(box)s::real[], %(agreement)s,"
            " %(persons)s, %(experts)s, %(policy)s)"
            " on conflict (sha256, region) do update set pixel_sha256 = excluded.pixel_sha256,"
            " outcome = excluded.outcome, seed_id = excluded.seed_id, box = excluded.box,"
            " agreement = excluded.agreement, persons = excluded.persons, experts = excluded.experts,"
            " policy = excluded.policy, decided_at = now()"
            " where (judged.pixel_sha256, judged.outcome, judged.seed_id, judged.box, judged.agreement,"
            "  judged.persons, judged.experts, judged.policy) is distinct from (excluded.pixel_sha256,"
            "  excluded.outcome, excluded.seed_id, excluded.box, excluded.agreement, excluded.persons,"
            "  excluded.experts, excluded.policy)",
            [
                {
                    "sha256": subject.sha256,
                    "region": subject.region,
                    "outcome": outcome.result.value,
                    "taxon": outcome.taxon,
                    "box": list(outcome.box) if outcome.box else None,
                    "agreement": outcome.agreement,
                    "persons": outcome.persons,
                    "experts": outcome.experts,
                    "policy": str(policy),
                }
                for subject, outcome in sorted(outcomes.items(), key=lambda one: (one[0].sha256, one[0].region))
            ],
        )
        return gone + max(cursor.rowcount, 0)


def _supported(
    connection: Connection, family: Sequence[bytes], outcomes: Mapping[Subject, Outcome], broader: Broader
) -> list[bytes]:
    """Photographs of which their uploaders say more than was judged: the species of a genus, say. They keep it."""
    stated = fetch(
        connection,
        tuple_row,
        "select p.sha256, array_agg(distinct l.seed_id) from pictures p join picture_seed l on l.picture_id = p.id"
        " where p.sha256 = any(%s) and p.parent is null and l.seed_id is not null group by p.sha256",
        (family,),
    )
    judged = {subject.sha256: outcome.taxon for subject, outcome in outcomes.items() if not subject.region}
    return [content for content, seeds in stated if all(judged.get(content) in broader(seed) for seed in seeds)]


# What a person decided of a photograph stays; whoever decides removes what follows from judgements.
_LABELLING = """
with wanted as materialized (
    select j.sha256, j.pixel_sha256, j.seed_id, j.persons from judged j
    where j.sha256 = any(%(family)s) and j.region = '' and j.outcome = 'taxon' and j.sha256 <> all(%(supported)s)
        and exists (select from pictures p where p.sha256 = j.sha256 and p.parent is null)
        and not exists (select from label_decision d where d.sha256 = j.sha256 and not d.from_judgements)
        and not exists (select from label_decision d where d.pixel_sha256 = j.pixel_sha256 and not d.from_judgements)
), before as materialized (
    select d.sha256, d.seed_id, d.pixel_sha256 from label_decision d
        where d.sha256 = any(%(family)s) and d.from_judgements
), gone as (
    delete from label_decision d where d.from_judgements and d.sha256 in (select sha256 from before)
        and d.sha256 not in (select sha256 from wanted) returning d.sha256
), made as (
    insert into label_decision (sha256, pixel_sha256, seed_id, decided_by, why, from_judgements)
    select sha256, pixel_sha256, seed_id, %(by)s, %(why)s, true from wanted
    on conflict (sha256) do update set pixel_sha256 = excluded.pixel_sha256, seed_id = excluded.seed_id,
        decided_by = excluded.decided_by, why = excluded.why, decided_at = now()
        where (label_decision.seed_id, label_decision.pixel_sha256)
            is distinct from (excluded.seed_id, excluded.pixel_sha256)
    returning sha256, seed_id
), changed as (
    select sha256, null::uuid as seed_id from gone union all select sha256, seed_id from made
)
select count(*) from changed left join before using (sha256)
    cross join lateral audit_note(%(by)s, case when changed.seed_id is null then 'taken back' else 'decided' end,
        %(subject)s,
        (select p.id from pictures p where p.sha256 = changed.sha256 and p.parent is null order by p.id limit 1),
        case when before.seed_id is not null then jsonb_build_object('species',
            (select name from seeds where id = before.seed_id), 'from_judgements', true) end,
        case when changed.seed_id is not null then jsonb_build_object('species',
            (select name from seeds where id = changed.seed_id), 'why', %(why)s::text, 'from_judgements', true,
            'sha256', jsonb_build_array(encode(changed.sha256, 'hex'))) end) noted
"""


def _label(connection: Connection, family: Sequence[bytes], supported: Sequence[bytes], policy: Policy, by: str) -> int:
    """Let the species of whole photographs follow from what was judged of them; how many changed."""
    arguments = {
        "family": family,
        "supported": supported,
        "by": by,
        "why": f"judged; policy: {policy}",
        "subject": SUBJECT,
    }
    ((number,),) = fetch(connection, tuple_row, _LABELLING, arguments)
    return int(number)


def apply_again(connection: Connection, pictures: Sequence[UUID], policy: Policy, *, by: str) -> Applied:
    """Let judgements of pictures count as they do now that somebody decided of these, or took that back.

    Args:
        connection: in whose transaction it is done, after `wait_for_judging`.
        pictures: whole pictures.
        policy: how many must say the same.
        by: whom the audit trail names.
    """
    contents = fetch_column(
        connection,
        "select distinct p.sha256 from pictures p join judged j on j.sha256 = p.sha256 where p.id = any(%s) order by 1",
        (list(pictures),),
    )
    return apply_judgements(connection, contents, policy, by=by)
