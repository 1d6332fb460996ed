import pytest
from pydantic import SecretStr

from nachet_pipeline.onboarding import register_user
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.storage.naming import user_id
from nachet_pipeline_tests.uploads import Workbench


def containers(workbench: Workbench) -> list[str]:
    names = (f"{prefix}{workbench.user.id}" for prefix in ("user-", "upload-"))
    return [name for name in names if workbench.blobs.container_exists(name)]


def test_a_new_user_gets_a_row_and_two_containers(workbench: Workbench) -> None:
    user = workbench.user
    assert containers(workbench) == [user.user_container, user.upload_container]
    assert workbench.query("select id, email from users") == [{"id": user.id, "email": user.email}]
    rows = workbench.query("select name, owner_id, public from container order by name")
    assert [(row["name"], row["owner_id"], row["public"]) for row in rows] == [
        (user.upload_container, user.id, False),
        (user.user_container, user.id, False),
    ]


def test_registering_a_user_again_in_any_case_changes_nothing(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    rows, staged = workbench.rows(), workbench.versions(upload.staging_container)
    assert register_user(workbench.database, workbench.blobs, f" {workbench.user.email.upper()} ") == workbench.user
    assert workbench.rows() == rows
    assert workbench.versions(upload.staging_container) == staged


@pytest.mark.parametrize("email", ["", "nobody", "two@@example.org", "a b@example.org", "x@example.org\n, y@z.org"])
def test_what_is_no_address_registers_nobody(workbench: Workbench, email: str) -> None:
    rows = workbench.rows()
    with pytest.raises(ValueError, match="expected an e-mail address"):
        register_user(workbench.database, workbench.blobs, email)
    assert workbench.rows() == rows


def test_registering_that_storage_interrupted_is_completed_by_repeating_it(workbench: Workbench) -> None:
    email = f"late.{workbench.user.email}"
    with (
        BlobStorage.connect("http://127.0.0.1:1/account", SecretStr(workbench.blob_key.get_secret_value())) as down,
        pytest.raises(StorageError),
    ):
        register_user(workbench.database, down, email)
    user = register_user(workbench.database, workbench.blobs, email)
    assert user.id == user_id(email)
    for container in (user.user_container, user.upload_container):
        assert workbench.blobs.container_exists(container)
    assert len(workbench.query("select id from users where email = %s", email)) == 1
