"""The import job on a real Dagster instance: what an operator sees of each upload."""

from contextlib import suppress
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetKey,
    AssetRecordsFilter,
    DagsterEventType,
    DagsterInstance,
)
from dagster._core.definitions.asset_checks.asset_check_spec import AssetCheckKey
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from nachet_pipeline.contract.catalogue import Check
from nachet_pipeline.defs.partitions import uploads
from nachet_pipeline.uploads.importing import Importer, ImportOutcome
from nachet_pipeline_tests.deployment import Deployment

IMPORT_ASSETS = ("validated_manifest", "stored_pictures", "picture_metadata")


def _spoil(folder):
    (folder / "pictures" / "session1" / "2.tiff").write_text("not a picture")
    return folder


def _status(instance: DagsterInstance, asset: str) -> tuple[set[str], set[str]]:
    """Materialized and failed partitions, as the UI counts them."""
    cached = get_and_update_asset_status_cache_value(
        instance, AssetKey(asset), uploads, dynamic_partitions_loader=instance
    )
    materialized = cached.deserialize_materialized_partition_subsets(uploads)
    failed = cached.deserialize_failed_partition_subsets(uploads)
    failing = set(failed.get_partition_keys())
    return set(materialized.get_partition_keys()) - failing, failing


def test_a_refused_upload_has_a_manifest_and_no_more_and_nothing_failed(deployment: Deployment) -> None:
    good = deployment.stage(deployment.sample("good"))
    bad = deployment.stage(_spoil(deployment.sample("bad", seed=1)))
    after = deployment.stage(deployment.sample("after", seed=2))

    result = deployment.run_import(good, bad, after)

    assert result.success
    for asset in IMPORT_ASSETS:
        materialized, failed = _status(deployment.instance, asset)
        assert {good.partition, after.partition} <= materialized, asset
        assert (bad.partition in materialized) is (asset == "validated_manifest"), asset
        assert not failed & {good.partition, bad.partition, after.partition}, asset
    verdict = _verdict(deployment, "validated_manifest", Check.PICTURE_CONTENT.value)
    assert (verdict.passed, verdict.severity, verdict.partition) == (False, AssetCheckSeverity.ERROR, bad.partition)


def _verdict(deployment: Deployment, asset: str, check: str) -> AssetCheckEvaluation:
    """The latest evaluation of a check that did not pass."""
    key = AssetCheckKey(AssetKey(asset), check)
    for record in deployment.instance.event_log_storage.get_asset_check_execution_history(key, limit=10):
        assert record.event is not None
        evaluation = record.event.dagster_event.event_specific_data
        if isinstance(evaluation, AssetCheckEvaluation) and not evaluation.passed:
            return evaluation
    raise AssertionError(f"{check} of {asset} never failed")


def test_a_refused_upload_beside_one_that_failed_is_missing_again_once_it_is_reported(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = deployment.stage(_spoil(deployment.sample("beside", seed=1)))
    failing = deployment.stage(deployment.sample("failing"))
    imported = Importer.import_partition

    def import_partition(importer: Importer, key: str) -> ImportOutcome:
        if key == failing.partition:
            raise OSError("the disk is gone")
        return imported(importer, key)

    with monkeypatch.context() as patched:
        patched.setattr(Importer, "import_partition", import_partition)
        result = deployment.run_import(bad, failing)
    (request,) = deployment.failure_is_seen(result.dagster_run)

    (failure,) = (event.step_failure_data for event in result.all_events if event.is_step_failure)
    assert failure.user_failure_data.description == (
        f"1 of 2 uploads could not be imported; the first, {failing.partition}: OSError: the disk is gone"
    )
    assert request.tags["dagster/asset_partition_range_end"] == bad.partition
    assert deployment.run_import(bad).success
    for asset in IMPORT_ASSETS[1:]:
        materialized, failed = _status(deployment.instance, asset)
        assert (bad.partition in materialized | failed, failing.partition in failed) == (False, True), asset


def test_a_corrected_upload_is_imported_and_its_checks_pass(deployment: Deployment) -> None:
    folder = deployment.sample("corrected")
    picture = folder / "pictures" / "session1" / "2.tiff"
    right = picture.read_bytes()
    upload = deployment.stage(_spoil(folder))
    deployment.run_import(upload)
    assert deployment.now(upload).state == "refused"
    picture.write_bytes(right)
    deployment.stage(folder, replace=True)

    assert deployment.run_import(upload).success

    for asset in IMPORT_ASSETS:
        materialized, failed = _status(deployment.instance, asset)
        assert upload.partition in materialized, asset
        assert upload.partition not in failed, asset


def test_a_partly_imported_upload_is_stored_and_its_checks_warn_of_what_was_left_out(
    deployment: Deployment,
) -> None:
    folder = deployment.sample("partly", sessions=2)
    (folder / "pictures" / "session2" / "2.tiff").write_text("not a picture")
    index = folder / "index.yaml"
    index.write_text(index.read_text() + "uploadData: {acceptValid: true}\n")
    upload = deployment.stage(folder)

    result = deployment.run_import(upload)

    assert result.success
    assert deployment.now(upload).state == "partly_imported"
    for asset in IMPORT_ASSETS:
        assert upload.partition in _status(deployment.instance, asset)[0], asset
    verdicts = [
        _verdict(deployment, "validated_manifest", Check.PICTURE_CONTENT.value),
        _verdict(deployment, "picture_metadata", "imported"),
    ]
    assert [(one.severity, one.partition) for one in verdicts] == [(AssetCheckSeverity.WARN, upload.partition)] * 2
    assert verdicts[1].description == "partly_imported, without pictures/session2: picture-format (1)"


def test_a_refused_upload_leaves_no_picture_and_no_row(deployment: Deployment) -> None:
    upload = deployment.stage(_spoil(deployment.sample("nothing")))

    deployment.run_import(upload)

    assert deployment.now(upload).state == "refused"
    assert deployment.stored() == []
    assert [deployment.count(table) for table in ("picture_set", "pictures", "picture_seed")] == [0, 0, 0]


def test_the_reasons_of_a_refusal_are_on_the_page_of_the_upload(deployment: Deployment) -> None:
    upload = deployment.stage(_spoil(deployment.sample("reasons", seed=73)))

    deployment.run_import(upload)

    for asset in ("validated_manifest", "staged_upload"):
        records = deployment.instance.fetch_materializations(
            AssetRecordsFilter(AssetKey(asset), asset_partitions=[upload.partition]), limit=1
        ).records
        rows = [record.data for record in records[0].asset_materialization.metadata["findings"].records]
        assert [(row["code"], row["where"]) for row in rows] == [("picture-format", "pictures/session1/2.tiff")]
        assert rows[0]["what"] == "expected TIFF, found text"


def test_every_check_of_the_contract_is_evaluated_for_every_upload(deployment: Deployment) -> None:
    good = deployment.stage(deployment.sample("checked"))
    bad = deployment.stage(_spoil(deployment.sample("checked-bad", seed=1)))

    run_id = deployment.run_import(good, bad).run_id

    expected = {(check.value, good.partition): True for check in Check}
    expected |= {(check.value, bad.partition): check is not Check.PICTURE_CONTENT for check in Check}
    found = {}
    for check in Check:
        history = deployment.instance.event_log_storage.get_asset_check_execution_history(
            AssetCheckKey(AssetKey("validated_manifest"), check.value), limit=100
        )
        for record in history:
            if record.run_id == run_id and record.event is not None:
                evaluation = record.event.dagster_event.event_specific_data
                if hasattr(evaluation, "passed"):
                    found[check.value, evaluation.partition] = evaluation.passed
                    assert not evaluation.blocking
    assert found == expected


def test_a_run_says_whose_and_which_and_its_last_event_what_became_of_them(deployment: Deployment) -> None:
    good = deployment.stage(deployment.sample("told-good"))
    bad = deployment.stage(_spoil(deployment.sample("told-bad", seed=1)))

    run_id = deployment.run_import(good, bad).run_id

    run = deployment.instance.get_run_by_id(run_id)
    assert run is not None
    assert (run.tags["nachet/owner"], run.tags["nachet/folder"]) == (deployment.user.email, "told-good, +1 more")
    log = deployment.instance.all_logs(run_id)
    assert not [entry.user_message for entry in log if "expected outputs" in entry.user_message]
    # Planned checks would let the UI show the verdicts on any of the run's uploads; unplanned, on the last one.
    assert not deployment.instance.all_logs(run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED)
    for check in Check:
        (latest,) = deployment.instance.event_log_storage.get_asset_check_execution_history(
            AssetCheckKey(AssetKey("validated_manifest"), check.value), limit=1
        )
        assert (latest.run_id, latest.partition) == (run_id, bad.partition)
    by_the_step = [entry.dagster_event for entry in log if entry.step_key and entry.dagster_event]
    summary, end = by_the_step[-2:]
    assert end.event_type is DagsterEventType.STEP_SUCCESS
    metadata = summary.asset_observation_data.asset_observation.metadata
    assert metadata["result"].value == "2 uploads: 1 imported, 1 refused"
    shown, address = bad.partition.replace("~", r"\~"), quote(bad.partition, safe="")
    link = f"[{shown}](/assets/validated_manifest?view=partitions&partition={address})"
    assert metadata["not_imported"].value == rf"- {link}: refused: picture-format \(1\)"  # nothing of it is markup


def test_a_partition_of_no_upload_does_nothing_and_says_so(
    deployment: Deployment, capfd: pytest.CaptureFixture[str]
) -> None:
    deployment.instance.add_dynamic_partitions("upload", ["gone~000000000000"])

    result = deployment.definitions.resolve_job_def("import_uploads").execute_in_process(
        instance=deployment.instance,
        raise_on_error=False,
        partition_key="gone~000000000000",
    )

    assert result.success
    assert result.get_asset_materialization_events() == []
    assert "there is no upload of the partition gone~000000000000" in capfd.readouterr().err


def test_a_run_by_hand_says_whose_before_it_imports(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = deployment.stage(deployment.sample("terminated"))
    partitions = ["gone~000000000001", upload.partition]
    deployment.instance.add_dynamic_partitions("upload", partitions)

    def terminated(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Importer, "import_partition", terminated)
    job = deployment.definitions.resolve_job_def("import_uploads")
    tags = {"dagster/asset_partition_range_start": partitions[0], "dagster/asset_partition_range_end": partitions[1]}
    with suppress(KeyboardInterrupt):
        job.execute_in_process(instance=deployment.instance, raise_on_error=False, tags=tags)

    run = deployment.instance.get_runs(limit=1)[0]
    assert run.tags["nachet/owner"] == deployment.user.email
    assert run.tags["nachet/folder"] == "terminated, +1 more"


def test_importing_again_changes_nothing(deployment: Deployment) -> None:
    upload = deployment.stage(deployment.sample("twice", sessions=2))
    assert deployment.run_import(upload).success
    before = (deployment.stored(), [deployment.count(table) for table in ("picture_set", "pictures", "picture_seed")])

    assert deployment.run_import(upload).success

    after = (deployment.stored(), [deployment.count(table) for table in ("picture_set", "pictures", "picture_seed")])
    assert after == before
    assert before[1] == [2, 4, 4]


def test_no_secret_reaches_dagsters_tables(deployment: Deployment) -> None:
    upload = deployment.stage(_spoil(deployment.sample("secrets")))
    deployment.run_import(upload)

    services = deployment.services
    passwords = [urlsplit(url).password for url in (services.database_url, services.importer_url, services.reader_url)]
    with psycopg.connect(services.importer_url) as connection:
        for table in ("event_logs", "runs", "run_tags", "snapshots", "asset_keys"):
            found = connection.execute(
                f"select count(*) from dagster.{table} t where t::text like any(%s)",
                ([f"%{secret}%" for secret in (*passwords, services.blob_key)],),
            ).fetchone()
            assert found == (0,), table
