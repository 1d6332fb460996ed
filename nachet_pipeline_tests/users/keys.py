"""What tests of upload keys share: the keys of a workbench, and a look at what a key opens."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContainerClient
from pydantic import SecretStr

from nachet_pipeline.storage.blobs import CLIENT_OPTIONS
from nachet_pipeline.users.encryption import new_secret_key
from nachet_pipeline.users.lifecycle import Onboarding
from nachet_pipeline.users.upload_keys import UploadKeys
from nachet_pipeline_tests.workbench import Workbench

SECRET_KEY = new_secret_key()
ACTOR = "operator@example.org"


def upload_keys(
    workbench: Workbench,
    *,
    after: timedelta = timedelta(0),
    secret_keys: Sequence[SecretStr] = (SECRET_KEY,),
    **settings: Any,
) -> UploadKeys:
    """The workbench's keys, so long after now."""
    given = workbench.settings.key.model_copy(update=settings)
    return UploadKeys(workbench.database, workbench.blobs, secret_keys, given, now=datetime.now(UTC) + after)


def onboarding(workbench: Workbench, **changes: Any) -> Onboarding:
    return Onboarding(workbench.database, workbench.blobs, upload_keys(workbench, **changes))


def shown_url(workbench: Workbench, **changes: Any) -> str:
    """The address with the workbench's user's newest key."""
    return upload_keys(workbench, **changes).show(workbench.user.email, to=ACTOR).url.get_secret_value()


def opens(url: str) -> bool:
    """Whether a key lets somebody write into its container, list it, and read what was written."""
    with ContainerClient.from_container_url(url, **CLIENT_OPTIONS) as container:
        try:
            container.upload_blob("tried/1.txt", b"1", overwrite=True)
            assert "tried/1.txt" in list(container.list_blob_names())
            assert container.download_blob("tried/1.txt").readall() == b"1"
        except HttpResponseError as error:
            if error.status_code != 403:
                raise
            return False
    return True


def audited(workbench: Workbench) -> list[tuple[str, str]]:
    """What the audit trail says of users and keys: what, and to which."""
    rows = workbench.query(
        "select action, subject, after from audit_trail where subject in ('user', 'upload key')"
        " and coalesce(after->>'email', after->>'user') = %s order by id",
        workbench.user.email,
    )
    return [
        (row["action"], f"key {row['after']['number']}" if row["subject"] == "upload key" else "user") for row in rows
    ]
