"""Every button, pressed in a browser on a running pipeline: each does what it says, or says what to choose.

Starting the pipeline and its runs takes nearly all of the time, so all buttons are pressed first, one after the other,
while the runs of those before them go on.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from pydantic import SecretStr

from nachet_pipeline.database.connection import Database
from nachet_pipeline.defs.instance import dagster_home
from nachet_pipeline.local.embedded import running
from nachet_pipeline.local.processes import wait_until
from nachet_pipeline.local.sample import write_sample
from nachet_pipeline.local.supervisor import down, up
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline.users.registering import register_user
from nachet_pipeline.users.user import User
from nachet_pipeline_tests.browser import ARGUMENTS, chromium
from nachet_pipeline_tests.deployment import PROJECT
from nachet_pipeline_tests.homes import furnish
from nachet_pipeline_tests.workbench import Uploader, edit

_SECONDS = 240
_EMAIL = "sample.user@example.org"
_PHANTOM = "canola-2026"
_ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


@dataclass
class Ui(Uploader):
    """A running pipeline with two uploads of its user, and its UI in a browser."""

    url: str
    page: Page
    database: Database
    blobs: BlobStorage
    user: User

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """What the page's own server answers to a query."""
        answer = self.page.request.post(f"{self.url}/graphql", data={"query": query, "variables": variables})
        return answer.json()["data"]

    def runs(self, **which: Any) -> list[dict[str, Any]]:
        """Runs that no sensor started, the latest first."""
        found = self.ask(
            "query ($which: RunsFilter) { runsOrError(filter: $which) { ... on Runs { results { runId status jobName"
            " tags { key value } } } } }",
            which=which,
        )["runsOrError"]["results"]
        tags = [{tag["key"]: tag["value"] for tag in run["tags"]} for run in found]
        return [run | {"tags": of} for run, of in zip(found, tags, strict=True) if "dagster/sensor_name" not in of]

    def said(self, run: str) -> list[str]:
        """The messages of a run's log, once it has ended."""
        query = (
            "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status eventConnection { events {"
            " ... on LogMessageEvent { message } } } } } }"
        )
        self.wait(lambda: self.ask(query, run=run)["runOrError"]["status"] in _ENDED, f"the end of the run {run}")
        found = self.ask(query, run=run)["runOrError"]
        said = [event["message"] for event in found["eventConnection"]["events"] if event]
        assert found["status"] == "SUCCESS", said
        return said

    def wait(self, what: Callable[[], bool], reason: str) -> None:
        if not wait_until(what, _SECONDS):
            pytest.fail(f"{reason} did not come within {_SECONDS} s:\n{self.page.url}\n{self.page.inner_text('body')}")

    def pressed(self, button: str) -> str:
        """Press a button that launches a run; returns the run."""
        known = {run["runId"] for run in self.runs()}

        def started() -> list[str]:
            # A backfill goes on starting runs meanwhile.
            runs = [run for run in self.runs() if "dagster/backfill" not in run["tags"]]
            return [str(run["runId"]) for run in runs if run["runId"] not in known]

        self.page.get_by_role("button", name=button).last.click()
        self.wait(lambda: bool(started()), f"the run of {button}")
        return started()[0]

    def choose_all_uploads(self, path: str, button: str) -> None:
        """Press a button that materializes, and choose all uploads in its dialog."""
        self.page.goto(f"{self.url}/{path}")
        self.page.get_by_role("button", name=button).first.click()
        self.page.get_by_role("button", name="All", exact=True).click()

    def launchpad(self, job: str) -> str:
        """Open the launchpad of a job; returns what it opens with."""
        self.page.goto(f"{self.url}/locations/nachet_pipeline/jobs/{job}/playground")
        self.page.locator(".CodeMirror-line").nth(1).wait_for()
        return str(self.page.evaluate("document.querySelector('.CodeMirror').CodeMirror.getValue()"))

    def fill_in(self, text: str) -> None:
        self.page.evaluate("text => document.querySelector('.CodeMirror').CodeMirror.setValue(text)", text)

    def backfill(self, *assets: str) -> str:
        """What became of the backfill of these assets alone, if there is one."""
        found = self.ask(
            "{ partitionBackfillsOrError { ... on PartitionBackfills { results { status assetSelection { path } } } } }"
        )["partitionBackfillsOrError"]["results"]
        keys = [[asset] for asset in assets]
        return next((str(one["status"]) for one in found if [k["path"] for k in one["assetSelection"]] == keys), "")

    def partitions(self, asset: str) -> dict[str, int]:
        """How many partitions of an asset are materialized, and how many failed."""
        found = self.ask("{ assetNodes { assetKey { path } partitionStats { numMaterialized numFailed } } }")
        return next(node["partitionStats"] for node in found["assetNodes"] if node["assetKey"]["path"] == [asset])


@pytest.fixture(scope="module")
def tab(tools: Path) -> Iterator[Page]:
    """One page for all tests of the module: what they do in it, one person does."""
    found = chromium(tools)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found.executable, args=ARGUMENTS, env={**os.environ, **found.environment}
        )
        # Without a language of its own, a browser takes C.UTF-8 for one that the UI does not start with.
        page = browser.new_page(viewport={"width": 1400, "height": 1000}, locale="en-US")
        page.set_default_timeout(_SECONDS * 1000)
        yield page
        browser.close()


@pytest.fixture(scope="module")
def ui(tools: Path, cluster: Path, tab: Page, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    place = tmp_path_factory.mktemp("ui")
    home = furnish(place / "home", cluster)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NACHET_DATABASE_URL", "NACHET_BLOB_ACCOUNT_URL", "NACHET_BLOB_KEY", "DAGSTER_HOME"):
            patch.delenv(name, raising=False)
        try:
            url = up(home, instance=dagster_home(home, PROJECT), tools=tools).url
            services = running(home)
            assert services is not None
            with (
                Database(SecretStr(services.importer_url)) as database,
                BlobStorage.connect(services.blob_account_url, SecretStr(services.blob_key)) as blobs,
            ):
                yield Ui(url, tab, database, blobs, register_user(database, blobs, _EMAIL))
        finally:
            down(home)


@pytest.fixture(scope="module")
def uploads(ui: Ui, tmp_path_factory: pytest.TempPathFactory) -> list[Upload]:
    """An upload that is imported, and one that is refused."""
    staged = []
    for number, name in enumerate(("good", "misspelt")):
        folder = tmp_path_factory.mktemp("staged") / name
        write_sample(folder, pictures=2, width=96, height=64, seed=number, email=_EMAIL)
        if name == "misspelt":
            edit(folder / "pictures" / "session1" / "index.yaml", "seedData", seedSpecies="napuss")
        staged.append(ui.stage(folder))
    ui.wait(lambda: {ui.now(one).state.value for one in staged} == {"imported", "refused"}, "the imports")
    return staged


@pytest.fixture(scope="module")
def runs(ui: Ui, uploads: list[Upload]) -> dict[str, str]:
    """The run of each button."""
    page, runs = ui.page, {}
    for path, button in (("asset-groups", "Materialize all"), ("assets/validated_manifest", "Materialize")):
        ui.choose_all_uploads(path, button)
        page.get_by_role("button", name="Launch backfill").click()
        expect(page.get_by_role("dialog")).to_have_count(0)

    for asset in ("validated_manifest", "reprocessed_pictures"):
        page.goto(f"{ui.url}/assets/{asset}?view=checks")
        runs[f"checks of {asset}"] = ui.pressed("Execute all")

    page.goto(f"{ui.url}/assets/validated_manifest")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_role("button", name="Add a partition").click()
    page.get_by_placeholder("name", exact=True).fill(_PHANTOM)
    page.get_by_role("button", name="Save").click()
    runs["a partition added by hand"] = ui.pressed("Launch 1 run")

    ui.launchpad("import_uploads")
    page.get_by_role("button", name="Launch Run").click()
    runs["import_uploads without a partition"] = ui.pressed("Confirm")

    assert ui.launchpad("onboard_user") == (
        "by: <who registers the user, for the audit trail, such as you@example.org>\n"
        "email: <e-mail address of the user, such as name@example.org>\n"
    )
    ui.fill_in("by: ada@example.org\nemail: new.user@example.org\n")
    runs["the form of onboard_user"] = ui.pressed("Launch Run")
    return runs


def test_a_form_that_is_left_empty_starts_no_run_and_says_what_it_lacks(ui: Ui) -> None:
    form = ui.launchpad("delete_folder")
    assert "folder: <identifier of the folder (`nachet folder list`), such as " in form
    assert "why: <the reason, for the audit trail, such as the seeds were mixed up>\n" in form
    assert "keep_for_training: false\n" in form
    assert "resources" not in form

    ui.page.get_by_role("button", name="Launch Run").click()

    expect(ui.page.get_by_role("dialog")).to_contain_text("why: expected the reason, for the audit trail")
    assert ui.runs(pipelineName="delete_folder") == []


def test_a_wrong_value_in_the_form_of_an_asset_s_job_starts_no_run(ui: Ui) -> None:
    form = ui.launchpad("reprocess_pictures")
    assert "resources" not in form
    ui.fill_in("ops:\n  reprocessed_pictures:\n    config:\n      rule: no-such-rule\n")

    ui.page.get_by_role("button", name="Launch Run").click()

    expect(ui.page.get_by_role("dialog")).to_contain_text("rule: there is no rule or finding 'no-such-rule'")
    assert ui.runs(pipelineName="reprocess_pictures") == []


def test_a_form_that_is_filled_in_is_done(ui: Ui, runs: dict[str, str]) -> None:
    ui.said(runs["the form of onboard_user"])

    with ui.database.connection() as connection:
        found = connection.execute("select 1 from users where email = 'new.user@example.org'").fetchall()
    assert len(found) == 1


def test_a_job_without_a_partition_does_nothing_and_says_what_to_choose(ui: Ui, runs: dict[str, str]) -> None:
    (said,) = ui.said(runs["import_uploads without a partition"])
    assert said.startswith("Nothing was done, because no upload was chosen. Choose Materialize on the page of ")
    assert "validated_manifest" in said


def test_execute_all_checks_of_uploads_does_nothing_and_says_what_to_choose(ui: Ui, runs: dict[str, str]) -> None:
    (said,) = ui.said(runs["checks of validated_manifest"])
    assert said.startswith(
        "Nothing was done, because these checks are evaluated when validated_manifest is materialized."
    )


def test_execute_all_checks_of_stored_pictures_evaluates_them(ui: Ui, runs: dict[str, str]) -> None:
    ui.said(runs["checks of reprocessed_pictures"])

    with ui.database.connection() as connection:
        found = connection.execute(
            "select evaluation_event is not null as evaluated from asset_check_executions where run_id = %s",
            (runs["checks of reprocessed_pictures"],),
        ).fetchall()
    assert [row["evaluated"] for row in found] == [True, True, True]


def test_a_partition_added_by_hand_is_not_red_and_is_removed_by_the_next_clearing(ui: Ui, runs: dict[str, str]) -> None:
    assert any(
        f"there is no upload of the partition {_PHANTOM}" in one for one in ui.said(runs["a partition added by hand"])
    )

    assert "dry_run: false" in ui.launchpad("clear_old_imports")
    ui.said(ui.pressed("Launch Run"))

    with ui.database.connection() as connection:
        rows = connection.execute("select partition from dynamic_partitions where partition like 'canola%%'").fetchall()
    assert rows == []

    ui.page.goto(f"{ui.url}/runs/{runs['a partition added by hand']}")
    (said,) = ui.said(ui.pressed("Re-execute all"))
    assert said.startswith(f"Nothing was done, because there is no partition {_PHANTOM} any more.")


def test_materialize_all_asks_for_uploads_and_previews_what_depends_on_them(ui: Ui, uploads: list[Upload]) -> None:
    ui.choose_all_uploads("asset-groups", "Materialize all")
    ui.page.get_by_role("button", name="Preview").click()

    # Twice: the dialog of the uploads is behind the preview.
    preview = ui.page.get_by_role("dialog").filter(has_text="Partitions to launch")
    for upload in uploads:
        expect(preview.get_by_text(upload.partition)).to_have_count(4)  # assets that have a partition for each upload
    expect(ui.page.get_by_text("Unexpected GraphQL error")).to_have_count(0)


def test_a_backfill_of_all_manifests_succeeds_with_a_refused_upload_in_it(ui: Ui, runs: dict[str, str]) -> None:
    ui.wait(lambda: ui.backfill("validated_manifest").startswith("COMPLETED"), "the end of the backfill")

    assert ui.backfill("validated_manifest") == "COMPLETED_SUCCESS"


def test_materialize_all_imports_again_and_nothing_turns_red(ui: Ui, runs: dict[str, str]) -> None:
    def imported_again() -> bool:
        backfill = [run for run in ui.runs() if "dagster/backfill" in run["tags"]]
        return any("dagster/asset_partition_range_start" in run["tags"] and run["status"] in _ENDED for run in backfill)

    ui.wait(imported_again, "the imports of the backfill")

    assert [run for run in ui.runs() if run["status"] == "FAILURE"] == []
    assert ui.partitions("validated_manifest") == {"numMaterialized": 2, "numFailed": 0}
    assert ui.partitions("picture_metadata") == {"numMaterialized": 1, "numFailed": 0}


def test_a_run_that_is_terminated_in_the_middle_is_cancelled_and_nothing_turns_red(
    ui: Ui, runs: dict[str, str], uploads: list[Upload]
) -> None:
    def is_now(status: str) -> bool:
        return run in [one["runId"] for one in ui.runs(statuses=[status])]

    with ui.database.connection() as connection:
        connection.execute("lock table pictures")  # no import ends while this lasts
        ui.page.goto(f"{ui.url}/assets/validated_manifest?view=partitions&partition={uploads[0].partition}")
        ui.page.get_by_role("button", name="Materialize").first.click()
        run = ui.pressed("Launch 1 run")
        ui.wait(lambda: is_now("STARTED"), "the start of the run")
        ui.page.goto(f"{ui.url}/runs/{run}")
        ui.page.get_by_role("button", name="Terminate").first.click()
        ui.page.get_by_role("button", name="Terminate 1 run").click()
        ui.wait(lambda: is_now("CANCELED"), "the run's being cancelled")

    assert ui.partitions("validated_manifest") == {"numMaterialized": 2, "numFailed": 0}
    assert ui.partitions("picture_metadata") == {"numMaterialized": 1, "numFailed": 0}
