"""Registered seeds: bringing the table up to the reviewed registry, and reading it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import UUID

from psycopg.rows import class_row, tuple_row
from psycopg.types.json import Jsonb

from nachet_pipeline.database import audit
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch, fetch_value
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.identifiers import picture_seed_id, seed_id
from nachet_pipeline.registry.problems import check_seeds
from nachet_pipeline.registry.seeds import Seed, SeedRegistry
from nachet_pipeline.registry.species_file import registry_version

SeedAction = Literal["added", "renamed", "changed", "restored", "merged", "relinked", "retired"]
"""The changes of a seed.

`relinked`: a seed that had been merged earlier had pictures again; `restored`: a retired one is registered again.
"""

_LOCK = 7209138
_LINKS_AT_A_TIME = 10_000


class RegistryConflictError(RefusedError, LookupError):
    """The registry cannot be loaded without losing what pictures show; nothing was changed."""


@dataclass(frozen=True, slots=True)
class SeedChange:
    """One change of a seed.

    Attributes:
        action: what became of it.
        id: which seed.
        name: its scientific name; for a merged one that of the seed it is part of now.
        before: its name before, None if there was none.
        pictures: how many pictures were linked to another seed.
    """

    action: SeedAction
    id: UUID
    name: str
    before: str | None
    pictures: int = 0


@dataclass(frozen=True, slots=True)
class RegistryChanges:
    """The changes of loading a registry, in their order."""

    changes: tuple[SeedChange, ...] = ()

    @property
    def total(self) -> int:
        """How many changes there were."""
        return len(self.changes)

    def count(self, action: SeedAction) -> int:
        """How many there were of a kind."""
        return sum(change.action == action for change in self.changes)


@dataclass(frozen=True, slots=True)
class PlannedChanges(RegistryChanges):
    """The changes that loading a registry would make.

    Attributes:
        conflicts: why it cannot be loaded, a sentence each.
    """

    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadedFrom:
    """Where the registered seeds come from.

    Attributes:
        source: the files, for people.
        version: what they said when they were loaded.
        packaged: whether it is the package's own registry.
    """

    source: str
    version: str
    packaged: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the table."""

    id: UUID
    name: str
    information: dict[str, Any]
    merged_into: UUID | None
    active: bool

    def audited(self) -> dict[str, Any]:
        merged_into = str(self.merged_into) if self.merged_into else None
        return {"name": self.name, "information": self.information, "active": self.active, "merged_into": merged_into}


@dataclass(slots=True)
class _Plan:
    """The steps of loading a registry.

    Attributes:
        write: seeds that are new or differ from their row, with what that is called.
        merge: rows that become part of another seed, with the seed.
        retire: rows that the registry no longer names.
        conflicts: why the registry cannot be loaded, a sentence each.
    """

    write: list[tuple[Seed, SeedAction]] = field(default_factory=list)
    merge: list[tuple[_Row, UUID]] = field(default_factory=list)
    retire: list[_Row] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


def load_seeds(connection: Connection, seeds: Iterable[Seed], *, actor: str | None = None) -> RegistryChanges:
    """Bring the table up to a registry, with every picture linked to the seed that it shows by that registry.

    All is done in the caller's transaction, each change with its row of the audit trail; a registry that is loaded
    already changes nothing and waits for nobody. Two that load at once come one after the other, and an import either
    ends before or sees the result.

    A seed that the registry no longer names is retired and not deleted: its identifier may stand in manifests and
    receipts, and must never come to mean another species.

    Args:
        connection: in whose transaction all is done.
        seeds: the registry.
        actor: whom the audit trail names; without one, the packaged registry and its version: its review, not the
            account that happens to run the upgrade, is what decides on a name.

    Raises:
        RegistryError: the registry contradicts itself.
        RegistryConflictError: an entry is gone that pictures refer to, or a merged seed would be taken apart.
    """
    entries = list(seeds)
    check_seeds(entries)
    if _settled(connection, _plan(_rows(connection), entries)):
        return RegistryChanges()
    connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
    # The rows stay locked, so that no import links a picture to a seed that is merged or retired meanwhile.
    rows = _rows(connection, lock=True)
    plan = _plan(rows, entries)
    if conflicts := [*plan.conflicts, *_in_use(connection, plan.retire)]:
        raise RegistryConflictError(f"the registry cannot be loaded: {'; '.join(conflicts)}")
    by = actor or f"registry {registry_version()}"
    return RegistryChanges((*_carry_out(connection, plan, rows, by), *_relink(connection, plan, rows, by)))


def planned_changes(connection: Connection, seeds: Iterable[Seed]) -> PlannedChanges:
    """What `load_seeds` would change now; nothing is changed, and nobody waits.

    Args:
        connection: in whose transaction the table is read.
        seeds: the registry.

    Raises:
        RegistryError: the registry contradicts itself.
    """
    entries = list(seeds)
    check_seeds(entries)
    rows = _rows(connection)
    plan = _plan(rows, entries)
    registered = {seed.id: seed for seed in entries}
    pictures = _pictures_of(connection, [row.id for row, _ in plan.merge])
    merges = (
        SeedChange("merged", row.id, registered[survivor].scientific_name, row.name, pictures=pictures.get(row.id, 0))
        for row, survivor in plan.merge
    )
    conflicts = (*plan.conflicts, *_in_use(connection, plan.retire))
    return PlannedChanges((*_written(plan, rows), *_retired(plan), *merges), conflicts)


def registered_seeds(connection: Connection) -> SeedRegistry:
    """The seeds that an upload may name, with the identifiers of those that were merged into them."""
    rows = _rows(connection)
    return SeedRegistry.of(
        (Seed.model_validate(row.information) for row in rows.values() if row.active),
        {row.id: row.merged_into for row in rows.values() if row.merged_into},
    )


def seeds_with_ids(connection: Connection, identifiers: Iterable[UUID]) -> dict[UUID, Seed]:
    """Seeds by identifier, retired and merged ones too."""
    query = "select id, name, information, merged_into, active from seeds where id = any(%s)"
    rows = fetch(connection, class_row(_Row), query, (list(identifiers),))
    return {row.id: Seed.model_validate(row.information) for row in rows}


def add_unregistered(connection: Connection, taxa: Iterable[Seed], *, actor: str) -> None:
    """Give taxa a row that no entry names, so that what refers to them refers to something; no picture can name them.

    A taxon that has a row stays as it is.

    Args:
        connection: in whose transaction it is done.
        taxa: such as the genus that a training set labels species as.
        actor: whom the audit trail names.
    """
    for seed in taxa:
        row = _Row(seed.id, seed.scientific_name, seed.model_dump(mode="json"), None, active=False)
        inserted = connection.execute(
            "insert into seeds (id, name, information, active) values (%s, %s, %s, false) on conflict do nothing",
            (row.id, row.name, Jsonb(row.information)),
        )
        if inserted.rowcount:
            noted = audit.Noted("labelled", row.id, None, row.audited())
            audit.record_all(connection, [noted], actor=actor, subject="seed")


def loaded_from(connection: Connection) -> LoadedFrom | None:
    """The registry that was loaded last, None if none was."""
    found = fetch(connection, class_row(LoadedFrom), "select source, version, packaged from registry_source")
    return found[0] if found else None


def record_source(connection: Connection, source: LoadedFrom, *, changed: bool) -> None:
    """Record where the registered seeds come from, and when they changed last if they just did."""
    connection.execute(
        # Seeds of an earlier release changed before anything was recorded.
        "insert into registry_source (source, version, packaged, loaded_at)"
        " values (%s, %s, %s, case when %s then now() else 'epoch' end) on conflict (one) do update"
        " set source = excluded.source, version = excluded.version, packaged = excluded.packaged,"
        " loaded_at = greatest(excluded.loaded_at, registry_source.loaded_at)"
        " where %s or (registry_source.source, registry_source.version, registry_source.packaged)"
        " is distinct from (excluded.source, excluded.version, excluded.packaged)",
        (source.source, source.version, source.packaged, changed, changed),
    )


def count_seeds(connection: Connection) -> int:
    """Rows of the table, of retired and merged seeds too."""
    return int(fetch_value(connection, "select count(*) from seeds"))


def surviving_seeds(connection: Connection) -> dict[UUID, UUID]:
    """For every seed that a picture may still be linked to, the seed to link it to: itself, or what it is part of.

    Until the transaction ends no seed is merged or retired.
    """
    query = "select id, coalesce(merged_into, id) from seeds where active or merged_into is not null order by id"
    return dict(fetch(connection, tuple_row, f"{query} for key share"))


def _rows(connection: Connection, *, lock: bool = False) -> dict[UUID, _Row]:
    # By id, so that two who lock rows never wait for each other.
    query = f"select id, name, information, merged_into, active from seeds order by id{' for update' if lock else ''}"
    rows = fetch(connection, class_row(_Row), query)
    return {row.id: row for row in sorted(rows, key=lambda row: row.name)}


def _plan(rows: Mapping[UUID, _Row], entries: list[Seed]) -> _Plan:
    """Plan the steps that a registry asks for; a merged seed that would be taken apart is a conflict."""
    registered = {seed.id: seed for seed in entries}
    survivors = {seed_id(name): seed.id for seed in entries for name in seed.merged_from}
    plan = _Plan()

    def survivor_of(row: _Row) -> UUID | None:
        if stated := survivors.get(row.id):
            return stated
        if row.merged_into is None or row.merged_into in registered:
            return row.merged_into
        return survivor_of(rows[row.merged_into]) or row.merged_into

    for seed in entries:
        row = rows.get(seed.id)
        if row and row.merged_into:
            plan.conflicts.append(
                f"{seed.first_name} was merged into {rows[row.merged_into].name} and cannot be an entry again: its"
                " pictures can no longer be told apart; register it with another registeredAs"
            )
        elif row is None:
            plan.write.append((seed, "added"))
        elif not row.active:
            plan.write.append((seed, "restored"))
        elif row.name != seed.scientific_name:
            plan.write.append((seed, "renamed"))
        elif not _states(row.information, seed):
            plan.write.append((seed, "changed"))
    for row in rows.values():
        if row.id in registered:
            continue
        survivor = survivor_of(row)
        if survivor is None:
            plan.retire.append(row)
        elif row.merged_into in registered and survivor != row.merged_into:
            plan.conflicts.append(
                f"{row.name} was merged into {registered[row.merged_into].scientific_name}, so"
                f" {registered[survivor].scientific_name} cannot have it in mergedFrom"
            )
        elif survivor != row.merged_into:
            plan.merge.append((row, survivor))
    return plan


def _states(information: Mapping[str, Any], seed: Seed) -> bool:
    """Whether a row says what a seed does; a term that it is too old to have says nothing, as an empty one does."""
    stated = seed.model_dump(mode="json")
    return all(information[term] == value if term in information else not value for term, value in stated.items())


def _settled(connection: Connection, plan: _Plan) -> bool:
    """Whether there is nothing to do."""
    if plan.conflicts or plan.write or plan.merge or any(row.active for row in plan.retire):
        return False
    stray = connection.execute(
        "select from picture_seed where seed_id in (select id from seeds where merged_into is not null) limit 1"
    )
    return stray.fetchone() is None


def _pictures_of(connection: Connection, seeds: list[UUID]) -> dict[UUID, int]:
    """How many pictures show each of these seeds, or one that was merged into it; none is left out."""
    used = fetch(
        connection,
        tuple_row,
        "select coalesce(seeds.merged_into, seeds.id), count(distinct picture_id)"
        " from picture_seed join seeds on seeds.id = seed_id"
        " where coalesce(seeds.merged_into, seeds.id) = any(%s) group by 1",
        (seeds,),
    )
    return dict(used)


def _in_use(connection: Connection, gone: list[_Row]) -> list[str]:
    """Why seeds cannot be retired."""
    seeds = [row.id for row in gone]
    pictures = _pictures_of(connection, seeds)
    decided = fetch(
        connection,
        tuple_row,
        "select coalesce(seeds.merged_into, seeds.id), count(distinct p.id) from label_decision d"
        " join seeds on seeds.id = d.seed_id join pictures p on p.sha256 = d.sha256 and p.parent is null"
        " where coalesce(seeds.merged_into, seeds.id) = any(%s) and not exists (select from picture_seed l"
        "  where l.picture_id = p.id and l.seed_id = seeds.id) group by 1",
        (seeds,),
    )
    for seed, number in decided:
        pictures[seed] = pictures.get(seed, 0) + number
    return [
        f"{row.name} is no longer an entry, but {pictures[row.id]} pictures show it: restore the entry, or list"
        f" {row.information.get('registeredAs') or row.name} in the mergedFrom of another"
        for row in gone
        if row.id in pictures
    ]


def _written(plan: _Plan, rows: Mapping[UUID, _Row]) -> list[SeedChange]:
    return [
        SeedChange(action, seed.id, seed.scientific_name, rows[seed.id].name if seed.id in rows else None)
        for seed, action in plan.write
    ]


def _retired(plan: _Plan) -> list[SeedChange]:
    return [SeedChange("retired", row.id, row.name, row.name) for row in plan.retire if row.active]


def _carry_out(connection: Connection, plan: _Plan, rows: Mapping[UUID, _Row], actor: str) -> list[SeedChange]:
    # A name can only be taken when its last owner has left it, so all names that change are left first.
    leaving = [row.id for row, _ in plan.merge] + [row.id for row in plan.retire]
    connection.execute("update seeds set active = false where id = any(%s) and active", (leaving,))
    renamed = [seed.id for seed, action in plan.write if action in {"renamed", "restored"}]
    connection.execute("update seeds set name = id::text where id = any(%s)", (renamed,))
    after = [
        _Row(seed.id, seed.scientific_name, seed.model_dump(mode="json"), None, active=True) for seed, _ in plan.write
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into seeds (id, name, information) values (%s, %s, %s) on conflict (id) do update"
            " set name = excluded.name, information = excluded.information, active = true",
            ((row.id, row.name, Jsonb(row.information)) for row in after),
        )
    noted = [_noted(action, rows.get(row.id), row) for (_, action), row in zip(plan.write, after, strict=True)]
    noted += [_noted("retired", row, replace(row, active=False)) for row in plan.retire if row.active]
    audit.record_all(connection, noted, actor=actor, subject="seed")
    return [*_written(plan, rows), *_retired(plan)]


def _relink(connection: Connection, plan: _Plan, rows: Mapping[UUID, _Row], actor: str) -> list[SeedChange]:
    """Make seeds part of others; what is linked to a merged seed, now or since it was merged, goes to the other."""
    for row, survivor in plan.merge:
        connection.execute("update seeds set merged_into = %s where id = %s", (survivor, row.id))
    current = _rows(connection)
    survivors = {row.id: row.merged_into for row in current.values() if row.merged_into}
    with audit.changing(connection, actor=actor, action="relinked"):
        moved = _move_links(connection, survivors)
    merged = {row.id for row, _ in plan.merge}
    changes, noted = [], []
    for identifier, survivor in survivors.items():
        if identifier in merged or moved[identifier]:
            action: SeedAction = "merged" if identifier in merged else "relinked"
            pictures = moved[identifier]
            noted.append(_noted(action, rows[identifier], current[identifier], pictures=pictures))
            changes.append(
                SeedChange(action, identifier, current[survivor].name, rows[identifier].name, pictures=pictures)
            )
    audit.record_all(connection, noted, actor=actor, subject="seed")
    return changes


def _move_links(connection: Connection, survivors: Mapping[UUID, UUID]) -> Counter[UUID]:
    """Link pictures of merged seeds to the surviving ones; a picture that shows both keeps one link, with the sum."""
    moved: Counter[UUID] = Counter()
    # A cursor of the server sees the links as they were: it never has to pass over those that are moved already.
    with connection.cursor("links_of_merged_seeds", row_factory=tuple_row) as cursor:
        cursor.execute("select id, picture_id, seed_id from picture_seed where seed_id = any(%s)", (list(survivors),))
        while links := cursor.fetchmany(_LINKS_AT_A_TIME):
            moved.update(seed for _, _, seed in links)
            connection.execute(
                "insert into picture_seed (id, picture_id, seed_id, upload_date, number_of_seeds)"
                " select other.id, picture_id, other.seed_id, min(upload_date),"
                " case when bool_and(number_of_seeds is not null) then sum(number_of_seeds) end"
                " from unnest(%s::uuid[], %s::uuid[], %s::uuid[]) as other (link, id, seed_id)"
                " join picture_seed l on l.id = other.link group by other.id, picture_id, other.seed_id"
                # What is all that a picture shows stays so.
                " on conflict (picture_id, seed_id) do update"
                "  set number_of_seeds = picture_seed.number_of_seeds + excluded.number_of_seeds"
                " where picture_seed.number_of_seeds is not null",
                (
                    [link for link, _, _ in links],
                    [picture_seed_id(picture, survivors[seed]) for _, picture, seed in links],
                    [survivors[seed] for _, _, seed in links],
                ),
            )
            connection.execute("delete from picture_seed where id = any(%s)", ([link for link, _, _ in links],))
            connection.execute(
                "update picture_seed l set number_of_seeds = null where picture_id = any(%s)"
                " and number_of_seeds is not null"
                " and not exists (select from picture_seed o where o.picture_id = l.picture_id and o.id <> l.id)",
                ([picture for _, picture, _ in links],),
            )
    return moved


def _noted(action: SeedAction, before: _Row | None, after: _Row, **numbers: int) -> audit.Noted:
    return audit.Noted(action, after.id, before.audited() if before else None, {**after.audited(), **numbers})
