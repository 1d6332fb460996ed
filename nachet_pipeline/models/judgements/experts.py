"""Experts: whose word counts alone. Whoever is named or is one no more counts so for all that they ever judged."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from nachet_pipeline.database.audit import record
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.models.judgements.outcomes import Applied, apply_judgements, wait_for_judging
from nachet_pipeline.models.judgements.policy import Policy
from nachet_pipeline.models.judgements.queries import judged_contents

SUBJECT = "expert"
"""What the audit trail calls one."""


class NoExpertError(RefusedError, LookupError):
    """This person is no expert."""


@dataclass(frozen=True, slots=True)
class Expert:
    """Whose word counts alone.

    Attributes:
        email: who.
        named_by: by whom.
        why: for which reason.
        named_at: since when.
        ended_at: until when; None: now.
    """

    email: str
    named_by: str
    why: str
    named_at: datetime
    ended_at: datetime | None


def experts(connection: Connection, *, former: bool = False) -> list[Expert]:
    """Who is an expert, or was one, in the order of their addresses."""
    query = "select * from expert where %s or ended_at is null order by email"
    return fetch(connection, class_row(Expert), query, (former,))


def name_expert(connection: Connection, email: str, *, by: str, why: str, policy: Policy) -> Applied:
    """Name an expert, and let what they judged count so.

    Raises:
        ValueError: an argument is empty.
    """
    person = _person(email, why)
    wait_for_judging(connection, by)
    named = connection.execute(
        "insert into expert (email, named_by, why) values (%s, %s, %s) on conflict (email) do update"
        " set named_by = excluded.named_by, why = excluded.why, named_at = now(), ended_at = null"
        " where expert.ended_at is not null",
        (person, by, why),
    )
    if not named.rowcount:
        return Applied()
    record(connection, actor=by, action="named", subject=SUBJECT, after={"email": person, "why": why})
    return apply_judgements(connection, judged_contents(connection, person), policy, by=by)


def end_expert(connection: Connection, email: str, *, by: str, why: str, policy: Policy) -> Applied:
    """Let somebody be an expert no more, and what they judged count as anybody's.

    Raises:
        NoExpertError: they are none.
        ValueError: an argument is empty.
    """
    person = _person(email, why)
    wait_for_judging(connection, by)
    ended = connection.execute("update expert set ended_at = now() where email = %s and ended_at is null", (person,))
    if not ended.rowcount:
        raise NoExpertError(f"{person} is no expert; `nachet judge experts list` lists them")
    record(connection, actor=by, action="ended", subject=SUBJECT, before={"email": person}, after={"why": why})
    return apply_judgements(connection, judged_contents(connection, person), policy, by=by)


def _person(email: str, why: str) -> str:
    if not (email.strip() and why.strip()):
        raise ValueError("somebody is an expert for a reason")
    return email.strip().lower()
