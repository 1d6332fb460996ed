"""The jobs on species, users and upload keys, and the schedule that rotates keys."""

from typing import Any

from dagster import (
    Failure,
    MetadataValue,
    OpExecutionContext,
    ResourceParam,
    define_asset_job,
    job,
    op,
)

from nachet_pipeline.contract.metadata import normalise_email
from nachet_pipeline.defs.automation import running_schedule
from nachet_pipeline.defs.failures import failing_on
from nachet_pipeline.defs.forms import Form, form_of_job, required
from nachet_pipeline.defs.registry.assets import registered_seeds, registered_users
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource, SecretKeysResource
from nachet_pipeline.defs.runs import SHORT_PLACE
from nachet_pipeline.errors import ActionableError
from nachet_pipeline.settings import KeySettings
from nachet_pipeline.users.registering import SYSTEM_ACTOR

load_seeds = define_asset_job(
    "load_seeds",
    selection=[registered_seeds],
    tags=SHORT_PLACE,
    description="Brings the species of the database up to the files that NACHET_SPECIES_FILE names, or to those of the"
    " package. sync_registry runs it by itself when they changed. Pressing it again changes nothing; a wrong file"
    " changes nothing either, and the run says what is wrong, with file and line.",
)

load_users = define_asset_job(
    "load_users",
    selection=[registered_users],
    tags=SHORT_PLACE,
    description="Applies the reviewed file of users that NACHET_USERS_FILE names. sync_users runs it when the file"
    " changed. It fails in one line if the file cannot be read.",
)


class OnboardForm(Form):
    """Whom to register, and who does it."""

    email: str = required("e-mail address of the user", "name@example.org")
    by: str = required("who registers the user, for the audit trail", "you@example.org")

    def problems(self) -> list[str]:
        """Also an address that is none."""
        if self.email:
            try:
                normalise_email(self.email)
            except ValueError as error:
                return [f"email: {error}; found {self.email[:80]!r}", *super().problems()]
        return super().problems()


@op(name="onboard", description="Registers a user, makes their containers and default folder, issues an upload key.")
def _onboard(
    context: OpExecutionContext,
    config: OnboardForm,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    secret_keys: SecretKeysResource,
    key_settings: ResourceParam[KeySettings],
) -> None:
    with database.open() as db, blob_storage.open() as blobs, failing_on(ActionableError):
        onboarding = secret_keys.onboarding(db, blobs, key_settings)
        done = onboarding.onboard(config.email, actor=config.by)
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
    tags=SHORT_PLACE,
    config=form_of_job("onboard", OnboardForm),
    description="Registers a user: the row, both containers, a folder that shows what to upload, and an upload key."
    " Fill in the form in the launchpad. Who is registered already stays as they are. The key is shown once, by"
    " `nachet user key show`, never here.",
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
    with database.open() as db, blob_storage.open() as blobs, failing_on(ActionableError):
        done = secret_keys.upload_keys(db, blobs, key_settings).maintain(actor=f"{SYSTEM_ACTOR} (schedule)")
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
    description="Rotates upload keys that are about to expire, revokes those of disabled users, and repairs access"
    " policies that are not what the database says. It runs every night and prints no key. It fails if the keys of a"
    " user could not be kept; its last event names them.",
)
def rotate_upload_keys() -> None:
    """Maintain all upload keys."""
    _maintain()


nightly_key_rotation = running_schedule(
    name="nightly_key_rotation",
    job=rotate_upload_keys,
    cron_schedule="0 1 * * *",
    description="Runs rotate_upload_keys every night at 01:00 UTC. While it is off, keys expire and users cannot"
    " upload.",
)
