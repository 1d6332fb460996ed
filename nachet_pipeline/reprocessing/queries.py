"""Which stored pictures are stale, and what reprocessing found of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from psycopg.types.json import Jsonb

from nachet_pipeline.database.audit import PROGRAM, changing
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.shard_locks import shard_lock
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.picture_sets.queries import enrichment_columns
from nachet_pipeline.picture_sets.records import MODEL_VERSION, enrichment_terms
from nachet_pipeline.picture_sets.withdrawn_content import hold_withdrawn, wait_for_withdrawing
from nachet_pipeline.pictures.enrichment import Enrichment
from nachet_pipeline.pictures.inspection import Properties
from nachet_pipeline.reprocessing.verdicts import StoredFinding, Verdict, VerdictState
from nachet_pipeline.support.shards import WHOLE, Shard

_LOCK = "reprocessing of stored pictures"
_FIRST = UUID(int=0)

# A picture that could not be brought up to date keeps its versions; its verdict says that it was looked at.
_NOT_LOOKED_AT = "(v.picture_id is null or v.rule_set_version <> %(rules)s or v.enrichment_version <> %(enrichment)s)"
_NOT_DELETED = (
    "p.purged_at is null"
    " and not exists (select from picture_set gone where gone.id = p.picture_set_id and gone.deleted_at is not null)"
)
_SINCE = "(%(since)s::timestamptz is null or p.upload_date >= %(since)s)"
_IN_PART = "p.id between %(lowest)s and %(highest)s"
_OF_VERSIONS = (
    "coalesce(p.rule_set_version, '') = %(old_rules)s and coalesce(p.enrichment_version, '') = %(old_enrichment)s"
)


class ReprocessingBusyError(RefusedError):
    """Another process reprocesses stored pictures right now."""


@dataclass(frozen=True, slots=True)
class Versions:
    """What judged and what enriched a picture; empty where nothing did yet.

    Attributes:
        rules: stamp of the rule set.
        enrichment: version of the enrichment's code.
    """

    rules: str
    enrichment: str


@dataclass(frozen=True, slots=True)
class StaleGroup:
    """Stale pictures of the same versions.

    Attributes:
        versions: those versions.
        pictures: how many there are.
        oldest: when the one was looked at, or imported, that waits longest.
    """

    versions: Versions
    pictures: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class PagePlace:
    """Where reading stands: behind a picture of certain versions; without versions, behind one of any.

    Attributes:
        versions: of the pictures that are read.
        picture: the last one that was read.
    """

    versions: Versions | None
    picture: UUID = _FIRST


@dataclass(frozen=True, slots=True)
class DuePicture:
    """A stored picture that is to be looked at.

    Attributes:
        id: its identifier.
        container: where its file is.
        blob: its file's name there.
        size: of the file that was stored, in bytes.
        sha256: likewise, in hexadecimal.
        picture_format: `TIFF`, `PNG` or `JPEG`.
        verdict: what was said of it last, None if that was its import.
    """

    id: UUID
    container: str
    blob: str
    size: int
    sha256: str
    picture_format: str
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What stored pictures are worth today, as far as they were looked at.

    Attributes:
        states: number of pictures in each state but `accepted`.
        errors: number of such pictures for each code that is an error.
    """

    states: dict[VerdictState, int]
    errors: dict[str, int]

    @property
    def refused(self) -> int:
        """Pictures that would be refused if they were imported today."""
        return self.states.get(VerdictState.REFUSED, 0)

    @property
    def broken(self) -> int:
        """Pictures whose file is missing, changed or unreadable."""
        return sum(count for state, count in self.states.items() if state is not VerdictState.REFUSED)


@contextmanager
def reprocessing_lock(connection: Connection, part: Shard = WHOLE) -> Iterator[None]:
    """Keep other processes from reprocessing these pictures, for as long as the connection lives at most.

    Raises:
        ReprocessingBusyError: one does already.
    """
    busy = ReprocessingBusyError("another process reprocesses the stored pictures right now; try again later")
    with shard_lock(connection, _LOCK, part, busy=busy):
        yield


def stored_versions(connection: Connection) -> list[Versions]:
    """The versions that there are among stored pictures, found without reading the pictures."""
    rows = connection.execute(
        "with recursive version(rules, enrichment) as ("
        " (select coalesce(rule_set_version, ''), coalesce(enrichment_version, '') from pictures order by 1, 2 limit 1)"
        " union all"
        " select following.rules, following.enrichment from version, lateral ("
        "  select coalesce(rule_set_version, '') as rules, coalesce(enrichment_version, '') as enrichment"
        "  from pictures where (coalesce(rule_set_version, ''), coalesce(enrichment_version, ''))"
        "   > (version.rules, version.enrichment) order by 1, 2 limit 1) as following"
        ") select rules, enrichment from version"
    )
    return [Versions(str(row["rules"]), str(row["enrichment"])) for row in rows]


def stale_groups(
    connection: Connection, current: Versions, since: datetime | None = None, part: Shard = WHOLE
) -> list[StaleGroup]:
    """The stale pictures, counted by their versions.

    Args:
        connection: where to look.
        current: the versions of today.
        since: count those only that were imported then or later.
        part: count those of this part.
    """
    groups = []
    for versions in stored_versions(connection):
        row = connection.execute(
            "select count(*) as pictures, min(coalesce(v.checked_at, p.upload_date)) as oldest"
            " from pictures p left join picture_verdict v on v.picture_id = p.id"
            f" where {_stale(versions, current)} and {_IN_PART} and {_SINCE} and {_NOT_DELETED}",
            _parameters(current, since, versions, part),
        ).fetchone()
        if row and row["pictures"]:
            groups.append(StaleGroup(versions, _int(row["pictures"]), _moment(row["oldest"])))
    return groups


def stale_pictures(
    connection: Connection,
    current: Versions,
    place: PagePlace,
    *,
    since: datetime | None,
    most: int,
    part: Shard = WHOLE,
) -> list[DuePicture]:
    """The next stale pictures of certain versions, in order of their identifiers.

    Args:
        connection: where to look.
        current: the versions of today.
        place: behind which picture of which versions.
        since: those only that were imported then or later.
        most: how many at most.
        part: those of this part.

    Raises:
        ValueError: the place names no versions.
    """
    if place.versions is None:
        raise ValueError("stale pictures are read by their versions")
    return _due(
        connection,
        f"{_stale(place.versions, current)} and p.id > %(after)s and {_IN_PART} and {_SINCE}",
        _parameters(current, since, place.versions, part) | {"after": place.picture, "most": most},
    )


def found_pictures(
    connection: Connection,
    codes: Sequence[str],
    place: PagePlace,
    *,
    since: datetime | None,
    most: int,
    part: Shard = WHOLE,
) -> list[DuePicture]:
    """The next pictures of which one of the codes was said last, stale or not; see `stale_pictures`."""
    return _due(
        connection,
        f"v.codes && %(codes)s and p.id > %(after)s and {_IN_PART} and {_SINCE}",
        {"codes": list(codes), "after": place.picture, "since": since, "most": most} | _range(part),
    )


def count_found(
    connection: Connection, codes: Sequence[str], since: datetime | None = None, part: Shard = WHOLE
) -> int:
    """How many pictures there are of which one of the codes was said last."""
    row = connection.execute(
        "select count(*) as pictures from pictures p join picture_verdict v on v.picture_id = p.id"
        f" where v.codes && %(codes)s and {_IN_PART} and {_SINCE} and {_NOT_DELETED}",
        {"codes": list(codes), "since": since} | _range(part),
    ).fetchone()
    return _int(row["pictures"]) if row else 0


def _stale(versions: Versions, current: Versions) -> str:
    """What is true of stale pictures of some versions.

    Those of today's are stale only if they were looked at in between by others, and not accepted: rules came back.
    """
    refused_by_others = "v.state <> 'accepted' and " if versions == current else ""
    return f"{_OF_VERSIONS} and {refused_by_others}{_NOT_LOOKED_AT}"


def _range(part: Shard) -> dict[str, Any]:
    return {"lowest": part.lowest, "highest": part.highest}


def _parameters(current: Versions, since: datetime | None, old: Versions, part: Shard) -> dict[str, Any]:
    return _range(part) | {
        "rules": current.rules,
        "enrichment": current.enrichment,
        "old_rules": old.rules,
        "old_enrichment": old.enrichment,
        "since": since,
    }


def _due(connection: Connection, where: str, parameters: dict[str, Any]) -> list[DuePicture]:
    rows = connection.execute(
        "select p.id, c.name as container, p.blob, p.size, encode(p.sha256, 'hex') as sha256, p.format,"
        " v.state, v.findings from pictures p"
        " join picture_set s on s.id = p.picture_set_id join container c on c.id = s.container_id"
        " left join picture_verdict v on v.picture_id = p.id"
        f" where {where} and s.deleted_at is null and p.purged_at is null order by p.id limit %(most)s",
        parameters,
    )
    return [_due_picture(row) for row in rows]


def _due_picture(row: dict[str, Any]) -> DuePicture:
    verdict = None
    if row["state"] is not None:
        findings = tuple(StoredFinding.model_validate(one) for one in row["findings"])
        verdict = Verdict(VerdictState(row["state"]), findings)
    return DuePicture(
        id=row["id"],
        container=row["container"],
        blob=row["blob"],
        size=row["size"],
        sha256=row["sha256"],
        picture_format=row["format"],
        verdict=verdict,
    )


def _int(value: object) -> int:
    return int(str(value))


def _moment(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"PostgreSQL gave {type(value).__name__} for a moment")
    return value


def standing(connection: Connection) -> Standing:
    """How many stored pictures would be refused today or are broken, and for which errors."""
    states = connection.execute(
        "select v.state, count(*) as pictures from picture_verdict v join pictures p on p.id = v.picture_id"
        f" where v.state <> 'accepted' and {_NOT_DELETED} group by v.state"
    ).fetchall()
    errors = connection.execute(
        "select finding ->> 'code' as code, count(distinct v.picture_id) as pictures"
        " from picture_verdict v join pictures p on p.id = v.picture_id, jsonb_array_elements(v.findings) as finding"
        f" where v.state <> 'accepted' and finding ->> 'severity' = 'error' and {_NOT_DELETED}"
        " group by 1 order by 2 desc, 1"
    ).fetchall()
    return Standing(
        {VerdictState(str(row["state"])): _int(row["pictures"]) for row in states},
        {str(row["code"]): _int(row["pictures"]) for row in errors},
    )


def of_concern(connection: Connection, *, most: int) -> list[dict[str, Any]]:
    """The first pictures that are not accepted today: `id`, `container`, `blob`, `state` and `codes`."""
    return connection.execute(
        "select v.picture_id as id, c.name as container, p.blob, v.state, v.codes from picture_verdict v"
        " join pictures p on p.id = v.picture_id join picture_set s on s.id = p.picture_set_id"
        " join container c on c.id = s.container_id"
        " where v.state <> 'accepted' and s.deleted_at is null order by v.state, v.picture_id limit %s",
        (most,),
    ).fetchall()


# Types are named because what is compared must be as it is stored: a real number has fewer digits than ours.
_TYPES = {
    "picture": "jsonb",
    "enrichment_version": "text",
    "pixel_sha256": "bytea",
    "perceptual_hash": "bytea",
    "hash_bands": "integer[]",
    "quality_score": "real",
    "sharpness": "real",
    "captured_at": "timestamptz",
}
_COLUMNS, _VALUES = ", ".join(_TYPES), ", ".join(f"%({name})s::{kind}" for name, kind in _TYPES.items())
_TERMS_OF_OTHERS = ("dwc:", "dcterms:", "ac:hash", "exif:Pixel")


def record_seen(
    connection: Connection, seen: Mapping[UUID, tuple[Properties | None, Verdict]], current: Versions
) -> int:
    """Write what was seen of pictures, in the caller's transaction; only what differs is written to their own rows.

    A refused picture keeps the version of the rules that accepted it; one that has no row any more is left out.

    Args:
        connection: in whose transaction all is written.
        seen: the verdict on each picture, and what decoding told of those that decode.
        current: the versions of today.

    Returns:
        Number of pictures whose row changed.
    """
    with changing(connection, actor=PROGRAM, action="reprocessed"):
        return _record_seen(connection, seen, current)


def _record_seen(
    connection: Connection, seen: Mapping[UUID, tuple[Properties | None, Verdict]], current: Versions
) -> int:
    wait_for_withdrawing(connection)
    # In order, and held until the end, so that an import of the same pictures waits instead of being overwritten.
    rows = connection.execute(
        "select id, picture from pictures where id = any(%s) order by id for no key update", (list(seen),)
    ).fetchall()
    pictures = {cast(UUID, row["id"]): cast(dict[str, Any], row["picture"]) for row in rows}
    changed = 0
    for picture, stored in pictures.items():
        properties, verdict = seen[picture]
        enrichment = properties.enrichment if properties else None
        enriched = _enrich(connection, picture, stored, enrichment) if enrichment else 0
        accepted = _accept(connection, picture, current.rules) if verdict.state is VerdictState.ACCEPTED else 0
        changed += bool(enriched or accepted)
    if changed:
        # What was measured anew may turn out to have the pixels of what is withdrawn.
        hold_withdrawn(connection, "p.id = any(%(seen)s)", {"seen": list(pictures)})
    _record_verdicts(connection, [(picture, seen[picture][1]) for picture in pictures], current)
    return changed


def _enrich(connection: Connection, picture: UUID, stored: dict[str, Any], found: Enrichment) -> int:
    columns = enrichment_columns(found) | {"picture": Jsonb(_enriched(stored, found)), "id": picture}
    return connection.execute(
        f"update pictures set ({_COLUMNS}) = ({_VALUES})"
        f" where id = %(id)s and ({_COLUMNS}) is distinct from ({_VALUES})",
        columns,
    ).rowcount


def _enriched(stored: dict[str, Any], found: Enrichment) -> dict[str, Any]:
    """The JSON of a picture with another enrichment; what its uploader said stays as it was said."""
    # Other programs write to this table too: a part may be missing.
    others = {name: value for name, value in stored.get("terms", {}).items() if name.startswith(_TERMS_OF_OTHERS)}
    return stored | {
        "model_version": MODEL_VERSION,
        "quality_check": stored.get("quality_check", {}) | {"quality_score": found.quality_score},
        "enrichment": found.model_dump(mode="json"),
        "terms": others | enrichment_terms(found),
    }


def _accept(connection: Connection, picture: UUID, rules: str) -> int:
    return connection.execute(
        "update pictures set rule_set_version = %(rules)s"
        " where id = %(id)s and rule_set_version is distinct from %(rules)s",
        {"id": picture, "rules": rules},
    ).rowcount


def _record_verdicts(connection: Connection, verdicts: Sequence[tuple[UUID, Verdict]], current: Versions) -> None:
    """Write what was said of pictures; where it is something else than before, what it replaces stays beside it."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into picture_verdict as v"
            " (picture_id, state, codes, findings, rule_set_version, enrichment_version)"
            " values (%s, %s, %s, %s, %s, %s)"
            " on conflict (picture_id) do update set state = excluded.state, codes = excluded.codes,"
            " findings = excluded.findings, rule_set_version = excluded.rule_set_version,"
            " enrichment_version = excluded.enrichment_version, checked_at = excluded.checked_at,"
            " previous = case when (v.state, v.codes) is distinct from (excluded.state, excluded.codes)"
            " then jsonb_build_object('state', v.state, 'codes', v.codes, 'rule_set_version', v.rule_set_version,"
            " 'checked_at', v.checked_at) else v.previous end",
            [
                (
                    picture,
                    verdict.state.value,
                    list(verdict.weights),
                    Jsonb([finding.model_dump(mode="json") for finding in verdict.findings]),
                    current.rules,
                    current.enrichment,
                )
                for picture, verdict in verdicts
            ],
        )
