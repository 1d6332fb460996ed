"""`registered_users`: the reviewed file of users, applied; and the jobs on users that are no asset."""

from collections import Counter
from typing import Any

from dagster import (
    AssetExecutionContext,
    Config,
    Failure,
    MaterializeResult,
    MetadataValue,
    OpExecutionContext,
    ResourceParam,
    TableRecord,
    asset,
    in_process_executor,
    job,
    op,
)
from pydantic import Field

from nachet_pipeline.database.users import all_users
from nachet_pipeline.errors import ActionableError, UnavailableError
from nachet_pipeline.onboarding.errors import UsersFileError
from nachet_pipeline.onboarding.registering import PROGRAM
from nachet_pipeline.onboarding.users_file import Change, apply_users, read_users
from nachet_pipeline.resources.blob_storage import BlobStorageResource
from nachet_pipeline.resources.database import DatabaseResource
from nachet_pipeline.resources.secret_keys import SecretKeysResource
from nachet_pipeline.settings import KeySettings, UserSettings

_ROWS = 1_000


@asset(group_name="registry", kinds={"postgres", "azure", "yaml"}, owners=["team:ai-lab"])
def registered_users(
    context: AssetExecutionContext,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    secret_keys: SecretKeysResource,
    user_settings: ResourceParam[UserSettings],
    key_settings: ResourceParam[KeySettings],
) -> MaterializeResult[None]:
    """The users of the reviewed file that `NACHET_USERS_FILE` names: added, disabled, enabled.

    A new user gets both containers, a folder that shows what to upload, and an upload key, which
    `nachet user key show` shows once. Who is not in the file stays as they are, and nothing of anybody's is removed.
    """
    file = user_settings.users_file
    if file is None:
        raise Failure("NACHET_USERS_FILE: is not set; it names the file of users", allow_retries=False)
    try:
        users = read_users(file)
    except UsersFileError as error:
        raise Failure(str(error), allow_retries=False) from None
    with database.open() as db, blob_storage.open() as blobs:
        onboarding = secret_keys.onboarding(db, blobs, key_settings)
        try:
            changes = list(apply_users(db, onboarding, users, actor=f"{PROGRAM} ({file.name})"))
        except ActionableError as error:
            raise _failure(error) from error
        with db.connection() as connection:
            registered = sum(1 for _ in all_users(connection))
    counts = Counter(change for _user, change in changes)
    context.log.info("%d users listed; %s", len(users), ", ".join(f"{n} {name}" for name, n in counts.items()))
    changed = [(user, change) for user, change in changes if change is not Change.UNCHANGED][:_ROWS]
    return MaterializeResult(
        metadata={
            "listed": len(users),
            "registered": registered,
            **{change.name.lower(): counts[change] for change in Change},
            # Dagster shows no table without a row.
            **(
                {"changes": MetadataValue.table([_row(user.email, change) for user, change in changed])}
                if changed
                else {}
            ),
        }
    )


def _row(email: str, change: Change) -> TableRecord:
    return TableRecord({"user": email, "change": change.value})


class OnboardConfig(Config):
    """What the launchpad asks for."""

    email: str = Field(description="e-mail address of the user, name@example.org")
    by: str = Field(description="who registers the user, for the audit trail")


@op(name="onboard", description="Registers a user, makes their containers and default folder, issues an upload key.")
def _onboard(
    context: OpExecutionContext,
    config: OnboardConfig,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    secret_keys: SecretKeysResource,
    key_settings: ResourceParam[KeySettings],
) -> None:
    with database.open() as db, blob_storage.open() as blobs:
        onboarding = secret_keys.onboarding(db, blobs, key_settings)
        try:
            done = onboarding.onboard(config.email, actor=config.by)
        except ValueError as error:
            raise Failure(f"{config.email[:254]!r}: {error}", allow_retries=False) from None
        except ActionableError as error:
            raise _failure(error) from error
    user, key = done.user, done.key
    context.log.info("%s %s", user.email, "is registered now" if done.new else "was registered already")
    context.add_output_metadata(
        {
            "user": user.email,
            "id": str(user.id),
            "new": done.new,
            "upload_container": user.upload_container,
            "user_container": user.user_container,
            "key": MetadataValue.md(
                f"issued, until {key.expires_at:%Y-%m-%d}: `nachet user key show {user.email}` shows it, once"
                if key
                else "as it was"
            ),
        }
    )


@job(
    name="onboard_user",
    executor_def=in_process_executor,
    description="Register a user: the row, both containers, a default folder and an upload key. Fill in the e-mail"
    " address in the launchpad; who is registered already stays as they are.",
)
def onboard_user() -> None:
    """Onboard one user."""
    _onboard()


@op(name="maintain_upload_keys", description="Rotates, revokes, and lets storage follow the database.")
def _maintain(
    context: OpExecutionContext,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    secret_keys: SecretKeysResource,
    key_settings: ResourceParam[KeySettings],
) -> None:
    with database.open() as db, blob_storage.open() as blobs:
        try:
            done = secret_keys.upload_keys(db, blobs, key_settings).maintain(actor=f"{PROGRAM} (schedule)")
        except ActionableError as error:
            raise _failure(error) from error
    metadata: dict[str, int | MetadataValue[Any]] = {
        "rotated": len(done.rotated),
        "revoked": len(done.revoked),
        "repaired": len(done.repaired),
        "forgotten": done.forgotten,
        "failed": len(done.failed),
        "users": MetadataValue.json(
            {"rotated": done.rotated, "revoked": done.revoked, "repaired": done.repaired, "failed": done.failed}
        ),
    }
    context.add_output_metadata(metadata)
    if done.failed:
        raise Failure(f"the keys of {len(done.failed)} users could not be kept", metadata=metadata)


@job(
    name="rotate_upload_keys",
    executor_def=in_process_executor,
    description="Rotate upload keys that are about to expire, revoke those of disabled users, and repair access"
    " policies that are not what the database says. It prints no key.",
)
def rotate_upload_keys() -> None:
    """Keep all upload keys."""
    _maintain()


def _failure(error: ActionableError) -> Failure:
    """What a person must put right is not tried again; a service that does not answer is."""
    return Failure(str(error), allow_retries=isinstance(error, UnavailableError))
