"""`registered_seeds` and `registered_users`: the reviewed files of species and users, as applied to the database."""

from collections import Counter
from dataclasses import asdict

from dagster import (
    AssetExecutionContext,
    Failure,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
)

from nachet_pipeline.defs.failures import failing_on
from nachet_pipeline.defs.metadata import table, tables
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource, SecretKeysResource
from nachet_pipeline.defs.table_schemas import SEEDS, USERS
from nachet_pipeline.errors import ActionableError
from nachet_pipeline.registry.problems import RegistryError
from nachet_pipeline.registry.queries import RegistryConflictError, SeedChange, count_seeds
from nachet_pipeline.registry.seeds import Seed
from nachet_pipeline.registry.species_file import read_species
from nachet_pipeline.registry.upgrade import load_species
from nachet_pipeline.settings import KeySettings, SpeciesSettings, UserSettings
from nachet_pipeline.uploads.queries import look_again_at_unknown_species
from nachet_pipeline.users.errors import UsersFileError
from nachet_pipeline.users.queries import all_users
from nachet_pipeline.users.registering import SYSTEM_ACTOR
from nachet_pipeline.users.users_file import UserChange, apply_users, read_users

# A page of the UI shows no more.
_ROWS = 1_000


@asset(
    group_name="registry",
    kinds={"postgres", "yaml"},
    owners=["team:ai-lab"],
    metadata=SEEDS,
)
def registered_seeds(
    context: AssetExecutionContext, database: DatabaseResource, species_settings: ResourceParam[SpeciesSettings]
) -> MaterializeResult[None]:
    """The species that pictures may show, from the files that `NACHET_SPECIES_FILE` names, or else from the package.

    The sensor `sync_registry` loads the files when they changed; materializing it again changes nothing. Renamed
    species keep their identifier; pictures of merged ones are linked to the species they are part of; what is in no
    file any more is retired, and never lost; every change is in the table `audit_trail`. Folders that were refused for
    a species which was not registered are looked at again. **Red**: a file is wrong or would lose what pictures show,
    and nothing was changed, or the database did not answer; the run says which.
    """
    try:
        species = read_species(species_settings.species_file)
    except RegistryError as error:
        problems = tables(problems=(asdict(problem) for problem in error.problems[:_ROWS]))
        raise Failure(str(error), metadata=problems, allow_retries=False) from error
    with database.open() as db, db.connection() as connection:
        with failing_on(RegistryConflictError):
            loaded = load_species(connection, species)
        waiting = look_again_at_unknown_species(connection)
        rows = count_seeds(connection)
    seeds = species.seeds
    context.log.info("%d seeds of %s, %d changes", len(seeds), species.source, loaded.total)
    return MaterializeResult(
        metadata={
            "source": species.source,
            "version": species.version,
            "seeds": len(seeds),
            "dagster/row_count": rows,
            "changed": loaded.total,
            "uploads_looked_at_again": waiting,
            "added": loaded.count("added"),
            "renamed": loaded.count("renamed"),
            "merged": loaded.count("merged"),
            "retired": loaded.count("retired"),
            "relinked_pictures": sum(change.pictures for change in loaded.changes),
            "registry": table(map(_seed_row, seeds[:_ROWS])),
            **tables(changes=map(_registry_change_row, loaded.changes[:_ROWS])),
        }
    )


def _seed_row(seed: Seed) -> dict[str, str]:
    return {
        "scientificName": seed.full_name,
        "rank": seed.taxon_rank,
        "family": seed.family,
        "English": ", ".join(seed.vernacular_names.en),
        "français": ", ".join(seed.vernacular_names.fr),
        "synonyms": ", ".join(seed.synonyms),
        "gbifID": str(seed.gbif_id or ""),
        "eppoCode": seed.eppo_code or "",
        "listed in": ", ".join(seed.listed_in),
        "id": str(seed.id),
    }


def _registry_change_row(change: SeedChange) -> dict[str, str | int]:
    return {
        "change": change.action,
        "before": change.before or "",
        "scientificName": change.name,
        "relinked pictures": change.pictures,
        "id": str(change.id),
    }


@asset(group_name="registry", kinds={"postgres", "azure", "yaml"}, owners=["team:ai-lab"], metadata=USERS)
def registered_users(
    context: AssetExecutionContext,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    secret_keys: SecretKeysResource,
    user_settings: ResourceParam[UserSettings],
    key_settings: ResourceParam[KeySettings],
) -> MaterializeResult[None]:
    """The users of the reviewed file that `NACHET_USERS_FILE` names: added, disabled, enabled.

    Materialize it to apply the file at once; the sensor `sync_users` does so when it changed. A new user gets both
    containers, a folder that shows what to upload, and an upload key, which `nachet user key show` shows once. Who is
    not in the file stays as they are, and nothing of anybody's is removed. **Red**: the file cannot be read, or a
    service did not answer; the run says which.
    """
    file = user_settings.users_file
    if file is None:
        said = "NACHET_USERS_FILE names no file of users, so nothing was applied."
        context.log.info(said)
        return MaterializeResult(metadata={"nothing_configured": MetadataValue.text(said)})
    with failing_on(UsersFileError):
        users = read_users(file)
    with database.open() as db, blob_storage.open() as blobs:
        onboarding = secret_keys.onboarding(db, blobs, key_settings)
        with failing_on(ActionableError):
            changes = list(apply_users(db, onboarding, users, actor=f"{SYSTEM_ACTOR} ({file.name})"))
        with db.connection() as connection:
            registered = sum(1 for _ in all_users(connection))
    counts = Counter(change for _user, change in changes)
    context.log.info("%d users listed; %s", len(users), ", ".join(f"{n} {name}" for name, n in counts.items()))
    changed = [(user, change) for user, change in changes if change is not UserChange.UNCHANGED][:_ROWS]
    return MaterializeResult(
        metadata={
            "listed": len(users),
            "registered": registered,
            "dagster/row_count": registered,
            **{change.name.lower(): counts[change] for change in UserChange},
            **tables(changes=({"user": user.email, "change": change.value} for user, change in changed)),
        }
    )
