import pytest
from pydantic import SecretStr

from nachet_pipeline.contract.folder_contract import contract_page
from nachet_pipeline.contract.receipt import State
from nachet_pipeline.identifiers import user_id
from nachet_pipeline.local.sample import sample_picture
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.users.registering import register_user
from nachet_pipeline_tests.users.keys import ACTOR, onboarding
from nachet_pipeline_tests.workbench import Workbench


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


def test_onboarding_brings_a_template_that_names_its_user_and_repeating_it_changes_nothing(
    workbench: Workbench,
) -> None:
    email = f"new.{workbench.user.email}"
    done = onboarding(workbench).onboard(email.upper(), actor=ACTOR)
    assert (done.new, done.key is not None) == (True, True)
    container = done.user.upload_container
    template = workbench.contents(container)
    assert set(template) == {
        "_template/CONTRACT.md",
        "_template/CONTRAT.md",
        "_template/README.txt",
        "_template/index.yaml",
        "_template/pictures/session1/index.yaml",
    }
    assert f"clientEmail: {email}" in template["_template/index.yaml"].decode()
    assert template["_template/CONTRACT.md"].decode() == contract_page("en")
    assert template["_template/CONTRAT.md"].decode() == contract_page("fr")
    workbench.blobs.upload(container, "_template/index.yaml", b"own: words", content_type="text/plain", overwrite=True)
    rows, blobs = workbench.rows(), workbench.versions(container)

    again = onboarding(workbench).onboard(f" {email} ", actor=ACTOR)

    assert (again.new, again.key, again.user) == (False, None, done.user)
    assert (workbench.rows(), workbench.versions(container)) == (rows, blobs)


def test_a_user_registered_before_gets_the_contract_as_it_is_now(workbench: Workbench) -> None:
    register_user(workbench.database, workbench.blobs, workbench.user.email)
    container, old = workbench.user.upload_container, b"# The contract of last year"
    workbench.blobs.upload(container, "_template/CONTRACT.md", old, content_type="text/markdown", overwrite=True)

    onboarding(workbench).onboard(workbench.user.email, actor=ACTOR)

    template = workbench.contents(container)
    assert template["_template/CONTRACT.md"].decode() == contract_page("en")
    assert "_template/CONTRAT.md" in template


def test_the_template_with_two_pictures_is_a_folder_that_is_importable(workbench: Workbench) -> None:
    onboarding(workbench).onboard(workbench.user.email, actor=ACTOR)
    for blob, content in workbench.contents(workbench.user.upload_container).items():
        if blob.endswith(".yaml"):
            workbench.put(blob.replace("_template", "mine"), content)
    for number in (1, 2):
        picture = sample_picture(number, picture_format="png", width=48, height=32)
        workbench.put(f"mine/pictures/session1/{number}.png", picture)
    workbench.put("mine/_COMPLETE", b"")

    (arrival,) = workbench.due()

    assert workbench.run(arrival.upload).receipt.state is State.IMPORTED
