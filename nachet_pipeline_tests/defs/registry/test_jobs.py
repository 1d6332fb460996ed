"""Onboarding and keys in Dagster: the job with a form, the reviewed file, and the nightly rotation."""

import uuid
from pathlib import Path

import pytest
from dagster import ExecuteInProcessResult, SensorResult, SkipReason, build_sensor_context

from nachet_pipeline.defs.forms import FormError
from nachet_pipeline.settings import SpeciesSettings, UserSettings
from nachet_pipeline_tests.deployment import Deployment
from nachet_pipeline_tests.registries import seed, table
from nachet_pipeline_tests.workbench import settings_with


@pytest.fixture
def email() -> str:
    return f"{uuid.uuid4().hex[:12]}@example.org"


def run(deployment: Deployment, job: str, *, users_file: Path | None = None, **config: str) -> ExecuteInProcessResult:
    definitions = deployment.definitions
    if users_file:
        from nachet_pipeline.definitions import definitions as define  # noqa: PLC0415 (reads the environment)

        definitions = define(settings_with(deployment.settings, users_file=users_file))
    return definitions.resolve_job_def(job).execute_in_process(
        instance=deployment.instance,
        raise_on_error=False,
        run_config=config or None,
    )


def failure(result: ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.user_failure_data
    assert error
    return error.description or ""


def keys(deployment: Deployment, email: str) -> list[dict[str, object]]:
    with deployment.database.connection() as connection:
        return connection.execute(
            "select number, revoked_at is null as live, created_by from upload_key join users on users.id = user_id"
            " where email = %s order by number",
            (email,),
        ).fetchall()


def test_the_form_of_the_launchpad_onboards_a_user_once(deployment: Deployment, email: str) -> None:
    first = run(deployment, "onboard_user", email=email.upper(), by="ada@example.org")
    again = run(deployment, "onboard_user", email=email, by="bo@example.org")

    assert first.success
    assert again.success
    assert keys(deployment, email) == [{"number": 1, "live": True, "created_by": "ada@example.org"}]
    with deployment.database.connection() as connection:
        names = connection.execute(
            "select name from container join users on users.id = owner_id where email = %s", (email,)
        ).fetchall()
    assert len(names) == 2
    assert all(deployment.blobs.container_exists(str(row["name"])) for row in names)


@pytest.mark.parametrize("wrong", ["nobody", "two@@example.org"])
def test_a_form_with_a_bad_address_starts_no_run(deployment: Deployment, wrong: str) -> None:
    with pytest.raises(FormError, match=f"email: expected an e-mail address, name@example.org; found {wrong!r}"):
        run(deployment, "onboard_user", email=wrong, by="ada@example.org")


def test_a_form_that_is_not_filled_in_starts_no_run_and_names_every_field(deployment: Deployment) -> None:
    with pytest.raises(FormError) as refused:
        run(deployment, "onboard_user", email=" ")
    assert str(refused.value) == (
        "email: expected e-mail address of the user, such as name@example.org; found nothing; by: expected who"
        " registers the user, for the audit trail, such as you@example.org; found nothing"
    )


@pytest.mark.parametrize(("value", "found"), [(None, "nothing"), ("a\0b", "a character NUL")])
def test_a_hint_that_was_deleted_and_what_no_database_holds_start_no_run(
    deployment: Deployment, value: str | None, found: str
) -> None:
    with pytest.raises(FormError, match=f"by: expected who registers the user, .*; found {found}"):
        run(deployment, "onboard_user", email="name@example.org", by=value)


def test_the_reviewed_file_is_applied_and_shown(deployment: Deployment, email: str, tmp_path: Path) -> None:
    file = tmp_path / "users.yaml"
    file.write_text(f"users:\n  - email: {email}\n  - {{email: {deployment.user.email}, state: disabled}}\n")

    result = run(deployment, "load_users", users_file=file)

    assert result.success
    (event,) = result.asset_materializations_for_node("registered_users")
    numbers = {name: event.metadata[name].value for name in ("listed", "added", "disabled", "enabled", "unchanged")}
    assert numbers == {"listed": 2, "added": 1, "disabled": 1, "enabled": 0, "unchanged": 0}
    rows = {row.data["user"]: row.data["change"] for row in event.metadata["changes"].records}
    assert rows == {email: "added", deployment.user.email: "disabled"}
    assert len(keys(deployment, email)) == 1
    again = run(deployment, "load_users", users_file=file)
    (event,) = again.asset_materializations_for_node("registered_users")
    assert event.metadata["unchanged"].value == 2
    assert "changes" not in event.metadata


def test_a_wrong_file_fails_with_its_line_and_changes_nobody(
    deployment: Deployment, email: str, tmp_path: Path
) -> None:
    file = tmp_path / "users.yaml"
    file.write_text(f"users:\n  - email: {email}\n  - email: nobody\n")

    result = run(deployment, "load_users", users_file=file)

    assert not result.success
    assert f"{file}:3: email: expected an e-mail address" in failure(result)
    assert keys(deployment, email) == []


def test_without_a_file_nothing_is_applied_and_the_setting_is_named(deployment: Deployment) -> None:
    result = run(deployment, "load_users")

    assert result.success
    (event,) = result.asset_materializations_for_node("registered_users")
    assert "NACHET_USERS_FILE names no file" in event.metadata["nothing_configured"].value


def test_the_nightly_job_rotates_and_revokes_and_shows_no_key(deployment: Deployment, email: str) -> None:
    gone = f"gone.{email}"
    for one in (email, gone):
        assert run(deployment, "onboard_user", email=one, by="ada@example.org").success
    with deployment.database.connection() as connection:
        connection.execute(
            "update upload_key set expires_at = now() + interval '5 day' where user_id = (select id from users where"
            " email = %s)",
            (email,),
        )
        connection.execute("update users set disabled_at = now() where email = %s", (gone,))

    result = run(deployment, "rotate_upload_keys")

    assert result.success
    assert [(key["number"], key["live"]) for key in keys(deployment, email)] == [(1, True), (2, True)]
    assert [(key["number"], key["live"]) for key in keys(deployment, gone)] == [(1, False)]


def test_species_are_loaded_when_a_file_of_them_changed_and_only_then(deployment: Deployment, tmp_path: Path) -> None:
    sensor = deployment.definitions.get_repository_def().get_sensor_def("sync_registry")
    folder = tmp_path / "species"
    folder.mkdir()
    table(folder / "weeds.csv", [seed("Avena fatua")])

    def tick(cursor: str | None, *files: Path) -> SensorResult | SkipReason:
        resources = {**deployment.resources, "species_settings": SpeciesSettings(species_file=files)}
        with build_sensor_context(instance=deployment.instance, resources=resources, cursor=cursor) as context:
            return sensor(context)

    packaged = tick(None)
    assert isinstance(packaged, SensorResult)
    assert isinstance(tick(packaged.cursor), SkipReason)
    first = tick(packaged.cursor, folder)
    assert isinstance(first, SensorResult)
    assert len(first.run_requests or []) == 1
    assert isinstance(tick(first.cursor, folder), SkipReason)
    table(folder / "more.csv", [seed("Avena sativa")])
    assert isinstance(tick(first.cursor, folder), SensorResult)


def test_the_file_is_applied_when_it_changed_and_only_then(deployment: Deployment, tmp_path: Path) -> None:
    sensor = deployment.definitions.get_repository_def().get_sensor_def("sync_users")
    file = tmp_path / "users.yaml"

    def tick(cursor: str | None, settings: UserSettings) -> SensorResult | SkipReason:
        resources = {**deployment.resources, "user_settings": settings}
        with build_sensor_context(instance=deployment.instance, resources=resources, cursor=cursor) as context:
            return sensor(context)

    named = UserSettings(users_file=file)
    nothing = tick(None, UserSettings())
    assert isinstance(nothing, SkipReason)
    assert "NACHET_USERS_FILE" in str(nothing.skip_message)
    file.write_text("users: []\n")
    first = tick(None, named)
    assert isinstance(first, SensorResult)
    assert len(first.run_requests or []) == 1
    assert isinstance(tick(first.cursor, named), SkipReason)
    file.write_text("users: [] # reviewed\n")
    second = tick(first.cursor, named)
    assert isinstance(second, SensorResult)
    assert second.cursor != first.cursor
