"""The sensors on a real instance: what is due, asked for once, and owed after a run died."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from dagster import (
    MAX_RUNTIME_SECONDS_TAG,
    AssetKey,
    AssetRecordsFilter,
    DagsterRunStatus,
    RunRequest,
    SensorResult,
    build_sensor_context,
)
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test

from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.defs.runs import PLACE_TAG, SHORT_IMPORT
from nachet_pipeline.defs.uploads import sensors
from nachet_pipeline.folders.keeper import FolderKeeper
from nachet_pipeline.identifiers import receipt_blob
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.uploads.discovery import Arrival, queue, take_snapshot
from nachet_pipeline.uploads.importing import Importer, fail_upload
from nachet_pipeline.uploads.queries import mark_importing, mark_queued, search_uploads
from nachet_pipeline.uploads.staged_folder import StagedFolder
from nachet_pipeline.uploads.staging import withdraw_folder
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline_tests.deployment import Deployment

START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@pytest.fixture
def tick(deployment: Deployment):
    """Evaluates the sensor on staged folders once."""
    sensor = deployment.definitions.get_repository_def().get_sensor_def("start_imports")

    def evaluate() -> SensorResult:
        with build_sensor_context(instance=deployment.instance, resources=deployment.resources) as context:
            return sensor(context)

    return evaluate


def _asked(request: RunRequest, deployment: Deployment) -> set[str]:
    """The partitions that a run request takes."""
    keys = deployment.instance.get_dynamic_partitions("upload")
    return set(keys[keys.index(request.tags[START]) : keys.index(request.tags[END]) + 1])


def _requests(result: SensorResult, deployment: Deployment) -> list[RunRequest]:
    """The run requests that take an upload of this test's user; other tests' folders lie in the same account."""
    with deployment.database.connection() as connection:
        own = {
            upload.partition
            for upload in search_uploads(connection, None, limit=1000)
            if upload.owner == deployment.owner
        }
    return [request for request in result.run_requests or [] if own & _asked(request, deployment)]


def test_a_complete_folder_is_asked_for_once(deployment: Deployment, tick) -> None:
    upload = deployment.stage(deployment.sample("arrived"))

    first, second = _requests(tick(), deployment), _requests(tick(), deployment)

    assert len(first) == 1
    assert deployment.instance.has_dynamic_partition("upload", upload.partition)
    assert second == []
    assert deployment.now(upload).state == "queued"


def test_folders_that_arrive_together_share_one_run(deployment: Deployment, tick) -> None:
    uploads = [deployment.stage(deployment.sample(f"together{n}", seed=n)) for n in range(3)]

    requests = _requests(tick(), deployment)

    assert len(requests) == 1
    assert {upload.partition for upload in uploads} <= _asked(requests[0], deployment)


def test_the_list_of_runs_says_whose_folders_a_run_takes_and_which(deployment: Deployment, tick) -> None:
    uploads = [deployment.stage(deployment.sample(f"whose{number}", seed=number)) for number in range(2)]

    (request,) = _requests(tick(), deployment)

    assert request.tags["nachet/owner"] == deployment.user.email
    assert request.tags["nachet/folder"] in {f"{upload.folder}, +1 more" for upload in uploads}


def test_what_the_sensor_saw_is_on_the_page_of_the_upload(deployment: Deployment, tick) -> None:
    upload = deployment.stage(deployment.sample("seen"))

    result = tick()

    events = [event for event in result.asset_events if event.partition == upload.partition]
    assert [event.asset_key.to_user_string() for event in events] == ["staged_upload"]
    assert events[0].metadata["owner"].value == deployment.user.email
    assert upload.partition in events[0].metadata["manifest"].value.replace("%7E", "~")


def test_an_imported_folder_is_not_asked_for_again(deployment: Deployment, tick) -> None:
    upload = deployment.stage(deployment.sample("done"))
    deployment.run_import(upload)

    assert _requests(tick(), deployment) == []


def test_a_corrected_folder_is_asked_for_again_in_a_run_of_its_own(deployment: Deployment, tick) -> None:
    folder = deployment.sample("wrong")
    index = folder / "index.yaml"
    right = index.read_text()
    index.write_text(right.replace("zoom", "zum"))
    upload = deployment.stage(folder)
    deployment.run_import(upload)
    assert deployment.now(upload).state == "refused"
    assert _requests(tick(), deployment) == []
    index.write_text(right)
    deployment.stage(folder)

    requests = _requests(tick(), deployment)

    assert [(r.tags[START], r.tags[END]) for r in requests] == [(upload.partition, upload.partition)]


def test_corrected_folders_that_are_neighbours_in_the_order_of_partitions_share_a_run_and_others_do_not(
    deployment: Deployment, tick
) -> None:
    first, second, between, last = uploads = [
        deployment.stage(deployment.sample(f"neighbour{number}", seed=number)) for number in range(4)
    ]
    deployment.instance.add_dynamic_partitions("upload", [upload.partition for upload in uploads])
    with deployment.database.connection() as connection:
        connection.execute("update upload set state = 'importing', run_id = 'x' where id = %s", (between.id,))

    requests = _requests(tick(), deployment)

    assert [(request.tags[START], request.tags[END]) for request in requests] == [
        (first.partition, second.partition),
        (last.partition, last.partition),
    ]


def test_a_small_upload_does_not_wait_for_a_large_one_that_arrives_with_it(
    deployment: Deployment, tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "_SHORT_FILES", 12)
    large = deployment.stage(deployment.sample("a-large-one", pictures=12))
    small, another = (deployment.stage(deployment.sample(f"small{number}", seed=number)) for number in (1, 2))

    requests = _requests(tick(), deployment)

    short, long = sorted(requests, key=lambda request: request.tags.get(PLACE_TAG, ""), reverse=True)
    assert short.tags.items() >= SHORT_IMPORT.items()
    assert _asked(short, deployment) == {small.partition, another.partition}
    assert PLACE_TAG not in long.tags  # the queue gives it a shared one
    assert _asked(long, deployment) == {large.partition}


def test_of_many_small_uploads_the_first_are_imported_soon_and_the_others_together(
    deployment: Deployment, tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "_SHORT_FILES", 12)
    for number in range(5):  # of six files each, with the marker
        deployment.stage(deployment.sample(f"small{number}", seed=number))

    requests = _requests(tick(), deployment)

    assert [(request.tags.get(PLACE_TAG), request.tags["nachet/uploads"]) for request in requests] == [
        ("short", "2"),
        (None, "3"),
    ]


def test_small_uploads_that_arrive_while_a_run_waits_for_its_place_share_the_next_run(
    deployment: Deployment, tick
) -> None:
    here = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("nachet_pipeline"), "__repository__")
    waiting = create_run_for_test(
        deployment.instance,
        job_name="import_uploads",
        status=DagsterRunStatus.QUEUED,
        tags=SHORT_IMPORT,
        remote_job_origin=RemoteJobOrigin(here, "import_uploads"),
    )
    first = deployment.stage(deployment.sample("first", seed=1))
    assert _requests(tick(), deployment) == []
    second = deployment.stage(deployment.sample("second", seed=2))
    deployment.instance.delete_run(waiting.run_id)

    (request,) = _requests(tick(), deployment)

    assert _asked(request, deployment) == {first.partition, second.partition}


def test_of_many_folders_that_arrive_together_none_is_told_by_itself(
    deployment: Deployment, tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "_MOST_REPORTED_ONE_BY_ONE", 1)
    uploads = [deployment.stage(deployment.sample(f"many{number}", seed=number)) for number in range(2)]

    result = tick()

    assert list(result.asset_events) == []
    assert [request.tags["nachet/uploads"] for request in _requests(result, deployment)] == ["2"]
    assert {deployment.now(upload).state for upload in uploads} == {"queued"}


def test_a_run_that_died_leaves_a_receipt_of_what_it_was_at_and_nothing_of_what_it_had_not_begun_with(
    deployment: Deployment,
) -> None:
    upload = deployment.stage(deployment.sample("died"))
    waiting = deployment.stage(deployment.sample("waiting", seed=1))
    run_id = str(uuid4())
    with deployment.database.connection() as connection:
        mark_queued(connection, "abc", {waiting.id: "digest"})
        mark_importing(connection, upload.id, run_id)

    _die(deployment, run_id, "abc")

    now = deployment.now(upload)
    assert (now.state, now.attempts) == ("failed", 1)
    assert run_id in now.receipt.failure
    beside = json.loads(deployment.blobs.read(upload.staging_container, receipt_blob(upload.folder)))
    assert beside["state"] == "failed"
    neighbour = deployment.now(waiting)
    assert (neighbour.state, neighbour.attempts, neighbour.receipt) == ("staged", 0, None)


def test_a_request_that_never_became_a_run_is_made_again(deployment: Deployment, tick) -> None:
    upload = deployment.stage(deployment.sample("lost"))
    first = _requests(tick(), deployment)
    with deployment.database.connection() as connection:
        connection.execute("update upload set queued_at = now() - interval '1 hour' where id = %s", (upload.id,))

    second = _requests(tick(), deployment)

    assert len(first) == len(second) == 1
    assert upload.partition in _asked(second[0], deployment)


def test_a_folder_without_marker_waits_until_it_is_complete(deployment: Deployment, tick) -> None:
    folder = deployment.sample("growing")
    missing = folder / "pictures" / "session1" / "2.tiff"
    content = missing.read_bytes()
    missing.unlink()
    upload = deployment.stage(folder)
    deployment.blobs.delete(upload.staging_container, f"{upload.folder}/_COMPLETE")
    before = _requests(tick(), deployment)
    missing.write_bytes(content)
    deployment.stage(folder)

    after = _requests(tick(), deployment)

    assert before == []
    assert len(after) == 1


def test_a_folder_that_is_withdrawn_asks_for_no_run_and_the_ui_says_so(deployment: Deployment, tick) -> None:
    upload = deployment.stage(deployment.sample("given-up"))
    assert len(_requests(tick(), deployment)) == 1
    with deployment.database.connection() as connection:
        connection.execute("update upload set state = 'refused' where id = %s", (upload.id,))
    withdraw_folder(deployment.blobs, upload.staging_container, upload.folder)

    result = tick()

    assert _requests(result, deployment) == []
    (event,) = result.asset_events
    assert (event.asset_key.to_user_string(), event.partition) == ("staged_upload", upload.partition)
    assert event.description.startswith("withdrawn: The folder was withdrawn: nothing of it is imported.")


# Runs that die


def _die(
    deployment: Deployment,
    run_id: str | None = None,
    batch: str | None = None,
    *,
    report: int = 0,
    tags: dict[str, str] | None = None,
) -> list[RunRequest]:
    """Let a run of these tags have died, and the sensor on failed runs see it; the runs that it asks for."""
    tags = {"nachet/batch": batch} if batch else {"nachet/report": str(report)} if report else tags
    job = deployment.definitions.resolve_job_def("import_uploads")
    run = deployment.instance.create_run_for_job(job, run_id=run_id, tags=tags, status=DagsterRunStatus.FAILURE)
    return deployment.failure_is_seen(run)


@pytest.mark.parametrize("species", ["napus", "nigrum"], ids=["imported", "refused"])
def test_an_upload_that_was_settled_before_its_run_died_untold_is_reported_by_a_run_of_its_own(
    deployment: Deployment, species: str
) -> None:
    folder = deployment.sample("untold")
    refused = species != "napus"
    index = folder / "pictures" / "session1" / "index.yaml"
    index.write_text(index.read_text().replace("seedSpecies: napus", f"seedSpecies: {species}"))
    upload = deployment.stage(folder)
    told = deployment.stage(deployment.sample("told", seed=1))
    run_id = str(uuid4())
    _import_untold(deployment, upload, run_id)
    done_by = deployment.run_import(told).dagster_run

    (request,) = _die(deployment, run_id)

    assert {request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end")} == {upload.partition}
    assert deployment.failure_is_seen(done_by) == []
    before = deployment.now(upload)
    result = deployment.run_import(upload)
    assert result.success
    assert deployment.now(upload).state == before.state == ("refused" if refused else "imported")
    asset = AssetKey("validated_manifest" if refused else "picture_metadata")
    assert deployment.instance.fetch_materializations(
        AssetRecordsFilter(asset, asset_partitions=[upload.partition]), limit=1
    ).records
    # One that dies again and again is not asked for without end.
    again = deployment.stage(folder, replace=True)
    _import_untold(deployment, again, run_id := str(uuid4()))
    assert _die(deployment, run_id, report=3) == []


_Meanwhile = Callable[[Deployment, Upload], object]


def _empty(deployment: Deployment, upload: Upload) -> None:
    for file in deployment.blobs.files(upload.staging_container, upload.folder):
        deployment.blobs.delete(upload.staging_container, f"{upload.folder}/{file.path}")


def _delete(deployment: Deployment, upload: Upload) -> None:
    keeper = FolderKeeper(database=deployment.database, blobs=deployment.blobs)
    with deployment.database.reading() as connection:
        (row,) = connection.execute("select id from picture_set where upload_id = %s", (upload.id,)).fetchall()
    keeper.delete(row["id"], by="ann@example.org", why="asked")


@pytest.mark.parametrize(
    "meanwhile",
    [
        _empty,
        _delete,
        lambda deployment, upload: deployment.instance.delete_dynamic_partition("upload", upload.partition),
    ],
    ids=["the staged folder is gone", "the folder was deleted", "the partition was deleted"],
)
def test_what_changed_after_a_run_settled_it_and_died_untold_is_not_imported_again_to_be_reported(
    deployment: Deployment, meanwhile: _Meanwhile
) -> None:
    upload = deployment.stage(deployment.sample("changed after"))
    run_id = str(uuid4())
    _import_untold(deployment, upload, run_id)
    meanwhile(deployment, upload)

    assert _die(deployment, run_id) == []

    assert deployment.now(upload).state == "imported"


def test_what_a_disabled_user_sent_is_refused_once_and_not_reported_by_further_runs(deployment: Deployment) -> None:
    upload = deployment.stage(deployment.sample("disabled"))
    with deployment.database.connection() as connection:
        connection.execute("update users set disabled_at = now() where id = %s", (deployment.user.id,))

    run = deployment.run_import(upload).dagster_run

    assert deployment.now(upload).state == "refused"
    assert deployment.failure_is_seen(run) == []


def test_the_report_of_an_upload_has_the_time_that_its_import_had(deployment: Deployment) -> None:
    upload = deployment.stage(deployment.sample("long"))
    run_id = str(uuid4())
    _import_untold(deployment, upload, run_id)

    (request,) = _die(deployment, run_id, tags={MAX_RUNTIME_SECONDS_TAG: "86400"})

    assert request.tags[MAX_RUNTIME_SECONDS_TAG] == "86400"


def _import_untold(deployment: Deployment, upload: Upload, run_id: str) -> None:
    """Import as a run does whose events never reach Dagster."""
    settings = deployment.settings
    limits = ContractLimits.of(settings.contract, settings.transfer)
    staged = StagedFolder(deployment.blobs, upload.staging_container, upload.folder)
    queue(deployment.database, [Arrival(upload, take_snapshot(staged, settings.arrival, limits))])
    deployment.instance.add_dynamic_partitions("upload", [upload.partition])
    with deployment.database.connection() as connection:
        registry = registered_seeds(connection)
    with DecodingPool(DecodingSettings.of(settings.decoder, settings.picture)) as pool:
        importer = Importer(
            deployment.database, deployment.blobs, pool, registry, RuleSet(), limits, settings.transfer, run_id
        )
        importer.import_upload(upload.id)


@dataclass
class Rounds:
    """Ticks of the sensor, and runs that die of one of the uploads."""

    deployment: Deployment
    tick: Callable[[], SensorResult]
    uploads: list[Upload]
    culprit: Upload
    begins: bool
    runs: list[list[str]] = field(default_factory=list)

    def go_on(self) -> list[RunRequest]:
        """A tick, and the runs that it asks for."""
        with self.deployment.database.connection() as connection:
            connection.execute("update upload set updated_at = updated_at - interval '1 hour'")
        requests = _requests(self.tick(), self.deployment)
        for request in requests:
            asked = _asked(request, self.deployment)
            own = [upload for upload in self.uploads if upload.partition in asked]
            self.runs.append([upload.folder for upload in own])
            self._run(own, request)
        return requests

    def _run(self, own: list[Upload], request: RunRequest) -> None:
        run_id = str(uuid4())
        if self.culprit in own and not self.begins:
            _die(self.deployment, run_id, request.tags["nachet/batch"])
            return
        for upload in own:
            with self.deployment.database.connection() as connection:
                mark_importing(connection, upload.id, run_id)
                if upload != self.culprit:
                    connection.execute("update upload set state = 'imported' where id = %s", (upload.id,))
            if upload == self.culprit:
                _die(self.deployment, run_id, request.tags["nachet/batch"])
                return

    def states(self) -> dict[str, tuple[str, int]]:
        now = [self.deployment.now(upload) for upload in self.uploads]
        return {upload.folder: (upload.state.value, upload.attempts) for upload in now}


def test_an_upload_that_kills_its_run_ends_alone_and_all_its_neighbours_are_imported(
    deployment: Deployment, tick
) -> None:
    uploads = [deployment.stage(deployment.sample(f"six{n}", pictures=1, seed=n)) for n in range(6)]
    rounds = Rounds(deployment, tick, uploads, uploads[2], begins=True)

    while rounds.go_on():
        pass

    culprit = uploads[2].folder
    assert rounds.states() == {
        upload.folder: ("failed", 3) if upload.folder == culprit else ("imported", 0) for upload in uploads
    }
    assert [sorted(run) for run in rounds.runs if culprit in run][1:] == [[culprit]] * 2
    assert all(sum(folder in run for run in rounds.runs) <= 2 for folder in rounds.states() if folder != culprit)


def test_a_batch_whose_run_dies_before_it_begins_is_asked_for_in_halves_until_the_culprit_is_alone(
    deployment: Deployment, tick
) -> None:
    uploads = [deployment.stage(deployment.sample(f"unbegun{n}", pictures=1, seed=n)) for n in range(6)]
    rounds = Rounds(deployment, tick, uploads, uploads[2], begins=False)

    for _ in range(4):
        rounds.go_on()

    sizes = [len(run) for run in rounds.runs if "unbegun2" in run]
    assert sizes in ([6, 3, 2, 1], [6, 3, 1, 1])
    assert rounds.states() == {f"unbegun{n}": ("staged", 0) if n == 2 else ("imported", 0) for n in range(6)}


def test_what_has_ended_by_the_time_its_run_is_found_dead_is_not_failed(deployment: Deployment) -> None:
    upload = deployment.stage(deployment.sample("done meanwhile"))
    with deployment.database.connection() as connection:
        mark_importing(connection, upload.id, "run-1")
    seen = deployment.now(upload)
    deployment.run_import(upload)

    told = fail_upload(deployment.database, deployment.blobs, seen, "run-1 ended before it was done")

    now = deployment.now(upload)
    assert told is None
    assert (now.state, now.attempts) == ("imported", 0)
    beside = json.loads(deployment.blobs.read(upload.staging_container, receipt_blob(upload.folder)))
    assert beside["state"] == "imported"


def test_an_upload_that_needs_five_times_the_longest_run_is_imported_in_the_end(deployment: Deployment, tick) -> None:
    upload = deployment.stage(deployment.sample("long"))
    usual = deployment.instance.run_monitoring_max_runtime_seconds
    given: list[float] = []
    while requests := _requests(tick(), deployment):
        (request,) = requests
        given.append(float(request.tags.get(MAX_RUNTIME_SECONDS_TAG, usual)))
        if given[-1] > 5 * usual:
            deployment.run_import(upload)
            break
        run_id = str(uuid4())
        with deployment.database.connection() as connection:
            mark_importing(connection, upload.id, run_id)
        _die(deployment, run_id, request.tags["nachet/batch"])
        with deployment.database.connection() as connection:
            connection.execute("update upload set updated_at = updated_at - interval '1 hour'")

    assert given == [usual, 4 * usual, 16 * usual]
    assert deployment.now(upload).state == "imported"


def test_dagster_does_not_retry_by_itself_what_the_sensor_asks_for_in_halves(deployment: Deployment) -> None:
    job = deployment.definitions.resolve_job_def("import_uploads")

    assert job.run_tags["dagster/max_retries"] == "0"
