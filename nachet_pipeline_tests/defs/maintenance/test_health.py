"""`pipeline_health` as operators read it: which uploads were refused, which runs failed, what does not run."""

from typing import Any

import yaml
from dagster import ExecuteInProcessResult

from nachet_pipeline.defs.maintenance.health import longest_interval
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline_tests.deployment import Deployment
from nachet_pipeline_tests.outbox import told


def run(deployment: Deployment, job: str, **settings: Any) -> ExecuteInProcessResult:
    definition = deployment.definitions.resolve_job_def(job)
    return definition.execute_in_process(instance=deployment.instance, raise_on_error=False, **settings)


def page(deployment: Deployment) -> dict[str, Any]:
    """What the page shows: values by name; of a table its rows."""
    (event,) = run(deployment, "check_health").asset_materializations_for_node("pipeline_health")
    return {
        name: [record.data for record in shown.value.records] if hasattr(shown.value, "records") else shown.value
        for name, shown in event.metadata.items()
    }


def checks(deployment: Deployment) -> dict[str, tuple[bool, str]]:
    result = run(deployment, "check_health")
    return {one.check_name: (one.passed, one.description) for one in result.get_asset_check_evaluations()}


def refused(deployment: Deployment, name: str) -> Upload:
    folder = deployment.sample(name)
    next(folder.rglob("1.tiff")).write_bytes(b"no picture")
    upload = deployment.stage(folder)
    deployment.run_import(upload)
    return deployment.now(upload)


def test_which_uploads_are_refused_and_why_is_on_the_page_with_a_link_to_each(deployment: Deployment) -> None:
    upload = refused(deployment, "odd [name]|here")

    shown = page(deployment)

    (row,) = (line for line in shown["refused"].splitlines() if upload.partition in line)
    assert f"](/assets/validated_manifest?view=partitions&partition={upload.partition})" in row
    assert f"](/runs/{upload.run_id})" in row
    assert row.replace(r"\|", "").count("|") == 5
    assert (deployment.user.email in row, "picture-format" in row) == (True, True)
    assert {one["code"] for one in shown["refused_by_code"]} >= {"picture-format"}
    assert {one["uploads"] for one in shown["refused_by_user"] if one["user"] == deployment.user.email} == {1}
    assert shown["uploads_refused_in_7_days"] >= 1
    assert shown["event_log_mib"] > 0


def test_pictures_that_wait_for_a_name_are_on_the_page_with_the_command_to_name_them(deployment: Deployment) -> None:
    folder = deployment.sample("odd")
    index = next(folder.glob("pictures/*/index.yaml"))
    said = yaml.safe_load(index.read_text())
    said["seedData"] = {"seedName": "unknown", "guess": "a | in [it]", "guessRank": "genus"}
    index.write_text(yaml.safe_dump(said))
    kinds = [{"seedName": name, "numberOfSeeds": 1} for name in ("canola", "unknown")]
    next(index.parent.glob("2.*")).with_suffix(".yaml").write_text(yaml.safe_dump({"seedData": kinds}))
    upload = deployment.stage(folder)
    deployment.run_import(upload)

    shown = page(deployment)

    (picture_set,) = (one.id for one in deployment.now(upload).receipt.picture_sets)  # type: ignore[union-attr]
    several, row = sorted(line for line in shown["unnamed"].splitlines() if str(picture_set) in line)
    assert several.startswith("| 1 |")
    assert several.endswith(f"| several kinds of seeds: their uploader corrects the list ({picture_set}) |")
    assert row.endswith(f"| `nachet labels name {picture_set}` |")
    assert "odd/pictures/" in row
    assert r"a \| in \[it\] \(genus\)" in row
    assert shown["pictures_unnamed"] >= 1


def test_rows_that_the_ui_would_hide_are_one_click_away_and_the_first_are_shown(deployment: Deployment) -> None:
    with deployment.database.connection() as connection:
        connection.execute(
            "insert into upload (id, owner_id, folder, state, run_id, receipt) select gen_random_uuid(), %s,"
            " 'many-' || n, 'refused', 'run', '{}' from generate_series(1, 30) n",
            (deployment.user.id,),
        )

    shown = page(deployment)

    assert len(shown["refused"]) < 1000
    assert shown["refused"].endswith("and more, in `refused_all`")
    assert shown["refused_all"].count("[many-") == 30
    with deployment.database.connection() as connection:
        long_ago = "update upload set updated_at = now() - interval '1 year' where owner_id = %s"
        connection.execute(long_ago, (deployment.user.id,))


def test_a_job_that_failed_by_itself_is_amiss_until_it_succeeds(deployment: Deployment) -> None:
    def import_container(owner: str) -> ExecuteInProcessResult:
        deployment.instance.add_dynamic_partitions("container", ["nowhere"])
        config = {"ops": {"import_container": {"config": {"owner": owner}}}}
        listed = {"dagster/sensor_name": "start_mass_imports"}
        return run(deployment, "mass_import", tags=listed, run_config=config, partition_key="nowhere")

    failed = import_container(deployment.user.email)
    passed, text = checks(deployment)["jobs_succeed"]
    listed = page(deployment)["failed_runs"]
    import_container("")  # does nothing

    assert (failed.success, passed) == (False, False)
    assert "mass_import" in text
    assert f"/runs/{failed.run_id}) |" in listed
    assert checks(deployment)["jobs_succeed"][0]


def test_without_a_daemon_nothing_runs_by_itself_and_the_page_says_so(deployment: Deployment) -> None:
    passed, text = checks(deployment)["automation_alive"]

    assert not passed
    assert "start the daemon" in text
    assert {row["state"] for row in page(deployment)["automation"]} == {"dead"}


def test_the_longest_interval_of_a_schedule_is_read_off_its_fields() -> None:
    found = {cron: longest_interval(cron).days for cron in ("30 5 * * *", "0 0 * * 1", "0 0 1 * *")}

    assert found == {"30 5 * * *": 1, "0 0 * * 1": 7, "0 0 1 * *": 31}
    assert longest_interval("0 * * * *").total_seconds() == 3600
    assert longest_interval(["0 4 * * *", "0 * * * *"]).total_seconds() == 3600


def test_that_a_check_turned_is_told_once_and_again_when_it_passes(deployment: Deployment) -> None:
    def turns() -> list[str]:
        return [event.type for event in told(deployment.database) if event.subject == "no_failures"]

    def look(state: str) -> None:
        with deployment.database.connection() as connection:
            connection.execute(
                "update upload set state = case when folder = 'broken' then %s else 'refused' end", (state,)
            )
        checks(deployment)

    refused(deployment, "broken")
    for state in ("refused", "failed", "failed", "refused", "refused"):
        look(state)
    assert turns() == ["health.failing", "health.passing"]
