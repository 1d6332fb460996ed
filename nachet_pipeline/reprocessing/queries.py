"""SQL of reprocessing: which stored pictures are stale, and what was found in them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, kwargs_row, tuple_row
from psycopg.types.json import Jsonb

from nachet_pipeline.database.audit import PROGRAM, changing
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch, fetch_value
from nachet_pipeline.database.shard_locks import shard_lock
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.picture_sets.queries import enrichment_columns
from nachet_pipeline.picture_sets.records import MODEL_VERSION, enrichment_terms
from nachet_pipeline.picture_sets.withdrawn_content import hold_withdrawn, wait_for_withdrawing
from nachet_pipeline.pictures.enrichment import Enrichment
from nachet_pipeline.pictures.inspected import Properties
from nachet_pipeline.reprocessing.verdicts import StoredFinding, Verdict, VerdictState
from nachet_pipeline.support.shards import WHOLE, Shard

_LOCK = "reprocessing of stored pictures"

# A picture that could not be brought up to date keeps its versions; its verdict shows that it was checked.
_NOT_LOOKED_AT = "(v.picture_id is null or v.rule_set_version <> %(rules)s or v.enrichment_version <> %(enrichment)s)"
_NOT_DELETED = (
    "p.purged_at is null"
    " and not exists (select from picture_set gone where gone.id = p.picture_set_id and gone.deleted_at is not null)"
)
_SINCE = "(%(since)s::timestamptz is null or p.upload_date >= %(since)s)"
_IN_SHARD = "p.id between %(lowest)s and %(highest)s"
_OF_VERSIONS = (
    "coalesce(p.rule_set_version, '') = %(old_rules)s and coalesce(p.enrichment_version, '') = %(old_enrichment)s"
)


class ReprocessingBusyError(RefusedError):
    """Another process reprocesses stored pictures right now."""


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions that judged and enriched a picture; empty where none did yet.

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
        oldest: when the one that has been stale longest was checked or imported last.
    """

    versions: Versions
    pictures: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class DuePicture:
    """A stored picture that is to be checked.

    Attributes:
        id: its identifier.
        container: where its file is.
        blob: its file's name there.
        size: of the file that was stored, in bytes.
        sha256: of that file, in hexadecimal.
        picture_format: `TIFF`, `PNG` or `JPEG`.
        verdict: its last verdict; None if it was not checked since its import.
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
    """How many stored pictures today's rules refuse, of those that were checked.

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
def reprocessing_lock(connection: Connection, shard: Shard = WHOLE) -> Iterator[None]:
    """Keep other processes from reprocessing these pictures, as long as the connection lives.

    Raises:
        ReprocessingBusyError: another process does so already.
    """
    busy = ReprocessingBusyError("another process reprocesses the stored pictures right now; try again later")
    with shard_lock(connection, _LOCK, shard, busy=busy):
        yield


def stored_versions(connection: Connection) -> list[Versions]:
    """The versions of stored pictures, found without reading every picture."""
    return fetch(
        connection,
        class_row(Versions),
        "with recursive version(rules, enrichment) as ("
        " (select coalesce(rule_set_version, ''), coalesce(enrichment_version, '') from pictures order by 1, 2 limit 1)"
        " union all"
        " select following.rules, following.enrichment from version, lateral ("
        "  select coalesce(rule_set_version, '') as rules, coalesce(enrichment_version, '') as enrichment"
        "  from pictures where (coalesce(rule_set_version, ''), coalesce(enrichment_version, ''))"
        "   > (version.rules, version.enrichment) order by 1, 2 limit 1) as following"
        ") select rules, enrichment from version",
    )


def stale_groups(
    connection: Connection, current: Versions, since: datetime | None = None, shard: Shard = WHOLE
) -> list[StaleGroup]:
    """Count the stale pictures by their versions.

    Args:
        connection: where to look.
        current: the versions of today.
        since: count only those imported then or later.
        shard: count those of this shard.
    """
    groups: list[StaleGroup] = []
    for versions in stored_versions(connection):
        group = fetch(
            connection,
            kwargs_row(partial(StaleGroup, versions)),
            "select count(*) as pictures, min(coalesce(v.checked_at, p.upload_date)) as oldest"
            " from pictures p left join picture_verdict v on v.picture_id = p.id"
            f" where {_stale(versions, current)} and {_IN_SHARD} and {_SINCE} and {_NOT_DELETED}",
            _parameters(current, since, versions, shard),
        )
        groups += [one for one in group if one.pictures]
    return groups


def stale_pictures(
    connection: Connection,
    versions: Versions,
    current: Versions,
    *,
    after: UUID,
    since: datetime | None,
    most: int,
    shard: Shard = WHOLE,
) -> list[DuePicture]:
    """The next stale pictures of certain versions, in order of their identifiers.

    Args:
        connection: where to look.
        versions: those of the pictures.
        current: the versions of today.
        after: the picture before.
        since: only those imported then or later.
        most: how many at most.
        shard: those of this shard.
    """
    return _due(
        connection,
        f"{_stale(versions, current)} and p.id > %(after)s and {_IN_SHARD} and {_SINCE}",
        _parameters(current, since, versions, shard) | {"after": after, "most": most},
    )


def pictures_with(
    connection: Connection,
    codes: Sequence[str],
    *,
    after: UUID,
    since: datetime | None,
    most: int,
    shard: Shard = WHOLE,
) -> list[DuePicture]:
    """The next pictures whose last verdict has one of the codes, stale or not; see `stale_pictures`."""
    return _due(
        connection,
        f"v.codes && %(codes)s and p.id > %(after)s and {_IN_SHARD} and {_SINCE}",
        {"codes": list(codes), "after": after, "since": since, "most": most} | _range(shard),
    )


def count_pictures_with(
    connection: Connection, codes: Sequence[str], since: datetime | None = None, shard: Shard = WHOLE
) -> int:
    """Count the pictures whose last verdict has one of the codes."""
    counted = fetch_value(
        connection,
        "select count(*) from pictures p join picture_verdict v on v.picture_id = p.id"
        f" where v.codes && %(codes)s and {_IN_SHARD} and {_SINCE} and {_NOT_DELETED}",
        {"codes": list(codes), "since": since} | _range(shard),
    )
    return int(counted or 0)


def _stale(versions: Versions, current: Versions) -> str:
    """The condition for stale pictures of some versions.

    Pictures of today's versions are stale only if other versions checked them in between and did not accept them.
    """
    refused_by_others = "v.state <> 'accepted' and " if versions == current else ""
    return f"{_OF_VERSIONS} and {refused_by_others}{_NOT_LOOKED_AT}"


def _range(shard: Shard) -> dict[str, Any]:
    return {"lowest": shard.lowest, "highest": shard.highest}


def _parameters(current: Versions, since: datetime | None, old: Versions, shard: Shard) -> dict[str, Any]:
    return _range(shard) | {
        "rules": current.rules,
        "enrichment": current.enrichment,
        "old_rules": old.rules,
        "old_enrichment": old.enrichment,
        "since": since,
    }


def _due(connection: Connection, where: str, parameters: dict[str, Any]) -> list[DuePicture]:
    return fetch(
        connection,
        kwargs_row(_due_picture),
        "select p.id, c.name as container, p.blob, p.size, encode(p.sha256, 'hex') as sha256,"
        " p.format as picture_format, v.state, v.findings from pictures p"
        " join picture_set s on s.id = p.picture_set_id join container c on c.id = s.container_id"
        " left join picture_verdict v on v.picture_id = p.id"
        f" where {where} and s.deleted_at is null and p.purged_at is null order by p.id limit %(most)s",
        parameters,
    )


def _due_picture(state: str | None, findings: list[object], **picture: Any) -> DuePicture:
    verdict = None
    if state is not None:
        verdict = Verdict(VerdictState(state), tuple(StoredFinding.model_validate(one) for one in findings))
    return DuePicture(**picture, verdict=verdict)


def read_standing(connection: Connection) -> Standing:
    """Count the stored pictures that would be refused today or are broken, by state and by error."""
    states = fetch(
        connection,
        tuple_row,
        "select v.state, count(*) from picture_verdict v join pictures p on p.id = v.picture_id"
        f" where v.state <> 'accepted' and {_NOT_DELETED} group by v.state",
    )
    errors = fetch(
        connection,
        tuple_row,
        "select finding ->> 'code' as code, count(distinct v.picture_id)"
        " from picture_verdict v join pictures p on p.id = v.picture_id, jsonb_array_elements(v.findings) as finding"
        f" where v.state <> 'accepted' and finding ->> 'severity' = 'error' and {_NOT_DELETED}"
        " group by 1 order by 2 desc, 1",
    )
    return Standing(
        {VerdictState(state): pictures for state, pictures in states},
        dict(errors),
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


# Values are cast to the columns' types before they are compared: a `real` has fewer digits than a Python float.
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
    """Record what was found in pictures, in the caller's transaction; their own rows change only where values differ.

    A refused picture keeps the version of the rules that accepted it. A picture without row is left out.

    Args:
        connection: in whose transaction all is written.
        seen: the verdict on each picture, and the properties of those that decode.
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
    # Locked in order until the end: an import of the same pictures waits, and is not overwritten.
    rows = fetch(
        connection,
        tuple_row,
        "select id, picture from pictures where id = any(%s) order by id for no key update",
        (list(seen),),
    )
    pictures: dict[UUID, dict[str, Any]] = dict(rows)
    changed = 0
    for picture, stored in pictures.items():
        properties, verdict = seen[picture]
        enrichment = properties.enrichment if properties else None
        enriched = _enrich(connection, picture, stored, enrichment) if enrichment else 0
        accepted = _accept(connection, picture, current.rules) if verdict.state is VerdictState.ACCEPTED else 0
        changed += bool(enriched or accepted)
    if changed:
        # A picture measured again may turn out to have the pixels of withdrawn content.
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
    """The JSON of a picture with another enrichment; what its uploader said does not change."""
    # Other programs write to this table too: a key may be missing.
    others = {name: value for name, value in stored.get("terms", {}).items() if name.startswith(_TERMS_OF_OTHERS)}
    return stored | {
        "model_version": MODEL_VERSION,
        "quality_check": stored.get("quality_check", {}) | {"quality_score": found.quality_score},
        "enrichment": found.as_record(),
        "terms": others | enrichment_terms(found),
    }


def _accept(connection: Connection, picture: UUID, rules: str) -> int:
    return connection.execute(
        "update pictures set rule_set_version = %(rules)s"
        " where id = %(id)s and rule_set_version is distinct from %(rules)s",
        {"id": picture, "rules": rules},
    ).rowcount


def _record_verdicts(connection: Connection, verdicts: Sequence[tuple[UUID, Verdict]], current: Versions) -> None:
    """Record the verdicts on pictures; a verdict that changes keeps the previous one beside it."""
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
