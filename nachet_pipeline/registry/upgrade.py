"""Bringing a database up to this version of the package, and to the registry of species that is meant for it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr

from nachet_pipeline.database.connection import Connection, Database, migrate
from nachet_pipeline.registry.queries import (
    LoadedFrom,
    PlannedChanges,
    RegistryChanges,
    RegistryConflictError,
    load_seeds,
    loaded_from,
    planned_changes,
    record_source,
)
from nachet_pipeline.registry.species_file import Species, read_species, species_version


def upgrade(url: SecretStr, named: Sequence[Path] = ()) -> int:
    """Upgrade a database; one that is up to date stays as it is.

    Args:
        url: of the login that owns the tables.
        named: the files of species; see `read_species`.

    Returns:
        How many seeds were added, changed, merged or retired.

    Raises:
        DatabaseError: the database does not answer, or refuses.
        RegistryError: a file of species is wrong; no seed was changed.
        RegistryConflictError: the database has species that the registry must not lose; no seed was changed.
    """
    migrate(url)
    with Database(url) as database, database.connection() as connection:
        return follow_species(connection, named).total


def follow_species(connection: Connection, named: Sequence[Path]) -> RegistryChanges:
    """Load a registry unless the database has it already; files that did not change are not read.

    Raises:
        RegistryError: a file is wrong; no seed was changed.
        RegistryConflictError: the database has species that the registry must not lose; no seed was changed.
    """
    loaded = loaded_from(connection)
    if named and loaded and loaded.version == species_version(named):
        return RegistryChanges()
    return load_species(connection, read_species(named))


def planned_species(connection: Connection, species: Species) -> PlannedChanges:
    """What `load_species` would change now; nothing is changed."""
    planned = planned_changes(connection, species.seeds)
    reason = _unnamed(connection, species)
    return replace(planned, conflicts=(reason, *planned.conflicts)) if reason else planned


def _unnamed(connection: Connection, species: Species) -> str | None:
    """Why a registry that nobody named cannot be loaded."""
    loaded = loaded_from(connection)
    if loaded is None or loaded.packaged or species.chosen:
        return None
    return (
        f"the species of this database are those of {loaded.source}, but NACHET_SPECIES_FILE names no file: set it,"
        " or set it to `packaged` for the species of the package"
    )


def load_species(connection: Connection, species: Species) -> RegistryChanges:
    """Bring the table up to a registry, and remember which it is.

    Who forgets to name the deployment's files must not replace its species by those of the package.

    Raises:
        RegistryConflictError: nothing was changed; see `load_seeds`, or the registry is the package's because no other
            is named, while the database has another one.
    """
    if reason := _unnamed(connection, species):
        raise RegistryConflictError(reason)
    changes = load_seeds(connection, species.seeds, actor=species.actor)
    loaded_as = LoadedFrom(species.source, species.version, species.packaged)
    record_source(connection, loaded_as, changed=changes.total > 0)
    return changes
