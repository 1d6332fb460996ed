"""The check on what all stored pictures show, on a real instance: amber while a photograph is under two species."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
import yaml
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    SensorResult,
    SkipReason,
    build_sensor_context,
)
from pydantic import SecretStr

from nachet_pipeline.database.connection import Database
from nachet_pipeline.picture_sets.labels import decide_label, undecide_label
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline_tests.deployment import Deployment
from nachet_pipeline_tests.labelled import JUNCEA, NAPUS, photograph

CHECK = AssetCheckKey(AssetKey("picture_metadata"), "labels_agree")
BY = {"by": "ann@example.org", "why": "looked at it"}

Tick = Callable[[], "AssetCheck | None"]


class AssetCheck:
    """What the instance has of the check's latest evaluation."""

    def __init__(self, deployment: Deployment) -> None:
        record = deployment.instance.get_latest_asset_check_evaluation_record(CHECK)
        assert record is not None
        assert record.evaluation is not None
        self.run_id = record.run_id
        self.evaluation = record.evaluation

    @property
    def pictures(self) -> set[str]:
        table = self.evaluation.metadata.get("conflicts")
        return {str(row.data["picture"]) for row in table.value.records} if table else set()  # type: ignore[union-attr]


@pytest.fixture
def tick(deployment: Deployment) -> Tick:
    """Lets the sensor look; what the check says then, None if the sensor had nothing to say."""
    sensor = deployment.definitions.get_repository_def().get_sensor_def("report_label_conflicts")
    cursor: list[str | None] = [None]

    def evaluate() -> AssetCheck | None:
        with build_sensor_context(
            instance=deployment.instance,
            cursor=cursor[0],
            resources={"database": deployment.resources["database"]},
        ) as context:
            result = sensor(context)
        if isinstance(result, SkipReason):
            return None
        assert isinstance(result, SensorResult)
        cursor[0] = result.cursor
        for event in result.asset_events:  # as the daemon does with what a tick returns
            deployment.instance.report_runless_asset_event(event)
        return AssetCheck(deployment) if result.asset_events else None

    return evaluate


def staged(deployment: Deployment, name: str, species: str, number: int) -> Upload:
    folder = deployment.scratch / name
    _write(folder, species, number)
    return deployment.stage(folder)


def _write(folder: Path, species: str, number: int) -> None:
    folder.mkdir()
    index = {
        "imageData": {"numberOfImages": 1},
        "seedData": {"seedName": species},
        "userData": {"description": "to be told apart", "numberOfSeeds": 2, "zoom": 30},
    }
    (folder / "index.yaml").write_text(yaml.safe_dump(index))
    (folder / f"{folder.name}.png").write_bytes(photograph(number))


def pictures(deployment: Deployment) -> list[UUID]:
    with deployment.database.connection() as connection:
        rows = connection.execute(
            "select p.id from pictures p join picture_set s on s.id = p.picture_set_id where s.owner_id = %s"
            " and p.parent is null order by p.id",
            (deployment.user.id,),
        ).fetchall()
    return [UUID(str(row["id"])) for row in rows]


def settle(deployment: Deployment, picture: UUID, species: str | None) -> None:
    """Decide, or take back, as the command does: in a connection of its own, which is closed then."""
    with Database(SecretStr(deployment.services.importer_url)) as database, database.connection() as connection:
        if species:
            decide_label(connection, picture, species, **BY)
        else:
            undecide_label(connection, picture, **BY)


def test_the_check_turns_amber_after_an_import_and_green_after_the_decision(deployment: Deployment, tick: Tick) -> None:
    assert deployment.run_import(staged(deployment, "spring", NAPUS, 71)).success
    before = tick()
    assert before is not None
    assert before.evaluation.passed
    assert tick() is None  # nothing changed

    assert deployment.run_import(staged(deployment, "summer", JUNCEA, 71)).success

    amber = tick()
    assert amber is not None
    assert not amber.evaluation.passed
    assert amber.evaluation.severity is AssetCheckSeverity.WARN
    assert amber.run_id == ""  # of no run
    one, other = pictures(deployment)
    assert amber.pictures == {str(one), str(other)}
    assert "nachet labels decide" in str(amber.evaluation.description)
    assert tick() is None

    settle(deployment, one, NAPUS)
    green = tick()
    assert green is not None
    assert green.evaluation.passed
    assert green.evaluation.metadata["photographs"].value == 0
    settle(deployment, one, None)
    again = tick()
    assert again is not None
    assert again.pictures == {str(one), str(other)}
    settle(deployment, one, JUNCEA)
    assert tick() is not None


def test_an_import_that_changes_nothing_of_it_leaves_the_check_evaluated_for_what_was_imported(
    deployment: Deployment, tick: Tick
) -> None:
    tick()
    result = deployment.run_import(staged(deployment, "autumn", NAPUS, 72))

    assert result.success
    assert "labels_agree" not in {event.check_name for event in result.get_asset_check_evaluations()}
    told = tick()
    assert told is not None
    latest = deployment.instance.get_latest_materialization_event(AssetKey("picture_metadata"))
    record = deployment.instance.get_latest_asset_check_evaluation_record(CHECK)
    assert latest is not None
    assert record is not None
    assert record.create_timestamp > latest.timestamp


def test_the_check_can_be_run_by_hand(deployment: Deployment) -> None:
    check = deployment.definitions.get_repository_def().asset_checks_defs_by_key[CHECK]
    result = check(database=deployment.resources["database"])
    assert result.passed is not None


def test_a_run_that_skips_the_check_does_not_hide_its_verdict(deployment: Deployment, tick: Tick) -> None:
    assert deployment.run_import(staged(deployment, "shown", NAPUS, 77)).success
    assert tick()
    assert tick() is None
    deployment.instance.add_dynamic_partitions("upload", ["canola-2026"])

    everything = deployment.definitions.resolve_implicit_global_asset_job_def()
    by_hand = everything.execute_in_process(
        instance=deployment.instance, asset_selection=[CHECK.asset_key], partition_key="canola-2026"
    )

    record = deployment.instance.get_latest_asset_check_evaluation_record(CHECK)
    assert by_hand.success
    assert record is not None
    assert not isinstance(record.evaluation, AssetCheckEvaluation)
    assert tick()
    assert tick() is None
