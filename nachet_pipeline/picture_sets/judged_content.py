"""Which pictures are verified: `pictures.verified` follows what people judged of contents, in whatever row they lie."""

from typing import Any

from nachet_pipeline.database.connection import Connection

# Of a crop its own judgement counts, and without one that of the whole picture. A photograph is verified only as what
# was judged, not as what somebody decided otherwise. The limits keep PostgreSQL from making the whole view.
_VERIFIED = """
select p.id, case
    when own.outcome in ('not_a_seed', 'unusable', 'disputed') then false
    when p.parent is not null and own.outcome = 'taxon' then true
    else exists (select from judged_picture v cross join lateral label_decision_of(v.picture_id) d
        where v.picture_id = coalesce(g.id, q.id, p.id) and v.outcome = 'taxon' and v.seed_id = d.seed_id)
end as verified
from pictures p left join pictures q on q.id = p.parent left join pictures g on g.id = q.parent
    left join lateral (select v.outcome from judged_picture v where v.picture_id = p.id limit 1) own on true
where ({where})
"""

_CONCERNED = (
    "p.verified or exists (select from judged j where j.sha256 = p.sha256)"
    " or exists (select from judged j where j.pixel_sha256 = p.pixel_sha256)"
    " or exists (select from pictures f where f.id = p.parent"
    " and (f.verified or exists (select from judged j where j.sha256 = f.sha256)))"
)


def follow_judgements(connection: Connection, where: str, arguments: dict[str, Any]) -> int:
    """Let pictures that were written just now be verified as their content is.

    Args:
        connection: in whose transaction they were written, after `wait_for_withdrawing`.
        where: which rows, as a condition on `pictures p`.
        arguments: of the condition.

    Returns:
        How many rows changed.
    """
    if connection.execute("select from judged limit 1").fetchone() is None:
        return 0
    return set_verified(connection, f"({where}) and ({_CONCERNED})", arguments)


def set_verified(connection: Connection, where: str, arguments: dict[str, Any]) -> int:
    """Set what is verified of these rows; see `follow_judgements`."""
    return connection.execute(
        f"with wanted as materialized ({_VERIFIED.format(where=where)}),"
        " held as (select p.id, wanted.verified from pictures p join wanted using (id)"
        "  where p.verified <> wanted.verified order by p.id for no key update of p)"
        " update pictures p set verified = held.verified from held where held.id = p.id",
        arguments,
    ).rowcount
