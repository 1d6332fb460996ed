"""Models in Dagster: files of predictions are read once, an evaluation follows, and a month that differs is amber."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import yaml
from dagster import (
    AddDynamicPartitionsRequest,
    AssetCheckEvaluation,
    AssetCheckSeverity,
    DeleteDynamicPartitionsRequest,
    ExecuteInProcessResult,
    RunRequest,
    SensorResult,
    SkipReason,
    build_schedule_context,
    build_sensor_context,
)

from nachet_pipeline.defs.resources import of_settings
from nachet_pipeline.identifiers import predictions_container
from nachet_pipeline.models.model import ModelDocument, ModelError
from nachet_pipeline.models.registering import register_model
from nachet_pipeline_tests.deployment import Deployment
from nachet_pipeline_tests.workbench import settings_with

LABELS = ("Brassica napus", "Brassica juncea")


@dataclass
class Lab:
    """A version of a model of the test's own, and the jobs, sensors and schedule that work on it."""

    deployment: Deployment
    model: str

    @property
    def version(self) -> str:
        return f"{self.model}@1.0"

    def execute(self, query: str, *arguments: object) -> list[Any]:
        """Rows of a query, as the owner of the database."""
        with psycopg.connect(self.deployment.services.database_url) as connection:
            found = connection.execute(query, arguments)
            return found.fetchall() if found.description else []

    def register(
        self, classes: Sequence[str] = LABELS, training_set: str | None = None, *, version: str = "1.0"
    ) -> None:
        stated = {"version": version, "task": "classify", "classes": classes, "training_set": training_set}
        document = ModelDocument.model_validate({"name": self.model, "owner": "lab@example.org", "versions": [stated]})
        self.deployment.database.call(register_model, document, by="a test")
        self.deployment.blobs.ensure_container(predictions_container(self.model))

    def put(self, *answers: dict[str, Any], file: str = "1.0/monday.jsonl") -> None:
        content = b"".join(json.dumps(one).encode() + b"\n" for one in answers)
        self.deployment.blobs.upload(
            predictions_container(self.model), file, content, content_type="text/plain", overwrite=True
        )

    def tick(self, sensor: str, cursor: str | None = None) -> tuple[list[RunRequest], str | None]:
        """The runs of this model that a sensor requests, and its cursor."""
        found = self.deployment.definitions.get_repository_def().get_sensor_def(sensor)
        with build_sensor_context(
            instance=self.deployment.instance,
            definitions=self.deployment.definitions,
            resources={name: self.deployment.resources[name] for name in ("database", "blob_storage")},
            cursor=cursor,
        ) as context:
            result = found(context)
        if isinstance(result, SkipReason):
            return [], cursor
        for request in result.dynamic_partitions_requests or ():
            if isinstance(request, AddDynamicPartitionsRequest):
                self.deployment.instance.add_dynamic_partitions("model_version", request.partition_keys)
            for key in request.partition_keys if isinstance(request, DeleteDynamicPartitionsRequest) else ():
                self.deployment.instance.delete_dynamic_partition("model_version", key)
        requested = [one for one in result.run_requests or () if str(one.partition_key).startswith(f"{self.model}@")]
        return requested, result.cursor

    def run(self, job: str) -> ExecuteInProcessResult:
        return self.deployment.definitions.resolve_job_def(job).execute_in_process(
            instance=self.deployment.instance, raise_on_error=False, partition_key=self.version
        )


@pytest.fixture
def lab(deployment: Deployment) -> Iterator[Lab]:
    made = Lab(deployment, f"m-{uuid4().hex[:20]}")
    yield made
    made.execute(
        "delete from model_evaluation where training_set_id in (select id from training_set where name = %s)",
        made.model,
    )
    made.execute("delete from training_set where name = %s", made.model)


def shown(result: ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (event,) = [one for one in result.get_asset_materialization_events() if one.asset_key.path == [asset]]
    assert event.partition is not None
    return {name: value.value for name, value in event.materialization.metadata.items()}


def verdicts(result: ExecuteInProcessResult) -> dict[str, AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def answer(sha256: str, index: int = 0) -> dict[str, Any]:
    return {"sha256": sha256, "candidates": [{"index": index, "score": 0.75}]}


def test_a_file_of_predictions_is_read_once_and_the_version_evaluated_once(lab: Lab) -> None:
    deployment = lab.deployment
    deployment.run_import(deployment.stage(deployment.sample(lab.model, pictures=2, sessions=2, seed=11)))
    pictures = lab.execute(
        "select p.id, encode(p.sha256, 'hex'), n.name from pictures p join picture_set s on s.id = p.picture_set_id"
        " join picture_seed l on l.picture_id = p.id join seeds n on n.id = l.seed_id where s.owner_id = %s",
        deployment.user.id,
    )
    assert len(pictures) == 4
    names, digest = sorted({name for _, _, name in pictures}), hashlib.sha256(lab.model.encode()).hexdigest()
    (training_set,) = lab.execute(
        "insert into training_set (id, name, digest, container, blob, pictures, groups, classes, recipe, notes)"
        " select %s, %s, %s, 'training-x', 'x', 4, 4, jsonb_agg(jsonb_build_object('label', name, 'class_index',"
        "  array_position(%s::text[], name) - 1, 'scientific_name', name, 'taxon_id', id)), '{}', '[]'"
        " from seeds where name = any(%s) returning id",
        uuid4(), lab.model, digest, names, names,
    )  # fmt: skip
    for picture, _, name in pictures:
        lab.execute(
            'insert into training_set_member (training_set_id, picture_id, split, class_index, "group")'
            " values (%s, %s, 2, %s, %s)",
            *training_set, picture, names.index(name), picture,
        )  # fmt: skip
    assert lab.tick("start_predictions")[0] == []
    lab.register(names, digest)
    deployment.instance.add_dynamic_partitions("model_version", ["nobody@1"])
    assert lab.tick("start_predictions")[0] == []
    assert not deployment.instance.has_dynamic_partition("model_version", "nobody@1")
    assert deployment.instance.has_dynamic_partition("model_version", lab.version)

    said = [answer(content, names.index(name)) for _, content, name in pictures]
    said[0]["candidates"][0]["index"] ^= 1
    lab.put(*said, answer("ab" * 32))
    requested, _ = lab.tick("start_predictions")
    assert len(requested) == 1
    assert lab.tick("start_predictions")[0] == requested, "of the same files there is one run, by its key"
    read = lab.run("record_predictions")
    assert read.success
    found = shown(read, "recorded_predictions")
    assert (found["files_read_now"], found["answers_read_now"], found["unknown_pictures"]) == (1, 5, 1)
    assert verdicts(read)["files_valid"].passed
    run = deployment.instance.get_run_by_id(read.run_id)
    assert run is not None
    assert run.tags["nachet/owner"] == "lab@example.org"
    assert lab.tick("start_predictions")[0] == []

    requested, cursor = lab.tick("start_evaluations")
    assert len(requested) == 1
    evaluated = lab.run("evaluate_models")
    assert evaluated.success
    found = shown(evaluated, "model_evaluation")
    assert (found["pictures"], found["trained_on"], found["passed"], found["champion"]) == (4, 0, False, "none")
    assert {name for name in ("confusion", "reliability") if "](data:image/png;base64," in found[name]} == {
        "confusion",
        "reliability",
    }
    assert "](data:image/jpeg;base64," in found["worst_mistakes"]
    assert found["accuracy"] == 0.75
    (accuracy, *_) = [one.data for one in found["measured"].records]
    assert (accuracy["measure"], accuracy["with its interval"][:8]) == ("accuracy", "0.750  (")
    assert [(one.data["class"], one.data["pictures"]) for one in found["classes"].records] == [
        (name, 2) for name in names
    ]
    checks = verdicts(evaluated)
    assert {name: one.passed for name, one in checks.items()} == {
        "enough_pictures": False,
        "no_train_on_test": True,
        "worst_class_above": True,
        "no_slice_far_below": True,
        "calibrated": True,
        "not_worse_than_champion": True,
    }
    assert {one.partition for one in checks.values()} == {lab.version}
    assert checks["enough_pictures"].description

    # What is known brings nothing new, so nothing is to be evaluated.
    lab.put(*said, file="1.0/tuesday.jsonl")
    assert shown(lab.run("record_predictions"), "recorded_predictions")["files_read_now"] == 1
    assert lab.tick("start_evaluations", cursor) == ([], cursor)
    lab.put({**said[0], "candidates": []}, file="1.0/wednesday.jsonl")
    lab.run("record_predictions")
    assert len(lab.tick("start_evaluations", cursor)[0]) == 1


def test_a_refused_file_is_a_red_check_with_what_is_wrong_until_it_is_gone(lab: Lab) -> None:
    lab.register()
    lab.tick("start_predictions")
    lab.put({"sha256": "3f", "candidates": [{"index": 7, "score": 2}]})
    result = lab.run("record_predictions")
    assert result.success
    assert shown(result, "recorded_predictions")["files_read_now"] == 1
    check = verdicts(result)["files_valid"]
    assert (check.passed, check.severity) == (False, AssetCheckSeverity.ERROR)
    assert check.description == f"predictions-{lab.model}/1.0/monday.jsonl"
    rows = [one.data for one in check.metadata["findings"].records]
    assert {row["code"] for row in rows} >= {"wrong-sha256", "wrong-score"}
    assert {row["line"] for row in rows} == {1}
    assert lab.tick("start_predictions")[0] == [], "it has its receipt"

    lab.deployment.blobs.delete(predictions_container(lab.model), "1.0/monday.jsonl")
    assert verdicts(lab.run("record_predictions"))["files_valid"].passed


def test_a_file_waits_until_its_version_is_registered(lab: Lab) -> None:
    lab.register()
    lab.put(answer("ab" * 32), file="2.0/monday.jsonl")
    requested, cursor = lab.tick("start_predictions")
    assert requested == []
    assert lab.tick("start_predictions", cursor) == ([], cursor)
    lab.register(version="2.0")
    assert [one.partition_key for one in lab.tick("start_predictions", cursor)[0]] == [f"{lab.model}@2.0"]


def test_a_version_that_cannot_be_judged_yet_is_missing_and_not_failed(lab: Lab) -> None:
    lab.register()
    lab.tick("start_predictions")
    result = lab.run("evaluate_models")
    assert result.success
    assert result.get_asset_materialization_events() == []
    assert verdicts(result) == {}


def test_a_month_in_which_a_version_says_something_else_is_amber(lab: Lab) -> None:
    lab.register()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    before = yesterday.replace(day=1, hour=0, minute=0) - timedelta(days=3)
    lab.execute(
        "insert into prediction (id, model_version_id, sha256, at, objects, candidate_object, candidate_class,"
        " candidate_score) select gen_random_uuid(), v.id, sha256(n::text::bytea), case when n %% 2 = 0 then"
        " %s::timestamptz else %s end, 1, '{1}', array[n %% 2], array[0.9 - n %% 2 * 0.5]::real[]"
        " from model_version v join model m on m.id = v.model_id, generate_series(1, 200) n where m.name = %s",
        before, yesterday, lab.model,
    )  # fmt: skip
    repository = lab.deployment.definitions.get_repository_def()
    with build_schedule_context(
        instance=lab.deployment.instance,
        repository_def=repository,
        scheduled_execution_time=yesterday + timedelta(days=1),
        resources={"database": lab.deployment.resources["database"]},
    ) as context:
        requests = repository.get_schedule_def("nightly_drift").evaluate_tick(context).run_requests
    assert lab.version in {one.partition_key for one in requests or ()}

    result = lab.run("look_for_drift")
    assert result.success
    found = shown(result, "model_health")
    assert (found["answers"], found["answers_before"]) == (100, 100)
    check = verdicts(result)["no_drift"]
    assert (check.passed, check.severity) == (False, AssetCheckSeverity.WARN)
    assert check.description == "classes, confidence, not_sure"
    rows = [one.data for one in found["changes"].records]
    assert [row["what"] for row in rows] == ["classes", "confidence", "not_sure"], "nobody judged anything"
    assert found["not_sure"] == 1


def test_the_models_of_a_folder_are_registered_and_what_is_wrong_with_one_fails_the_tick_alone(lab: Lab) -> None:
    deployment, folder = lab.deployment, lab.deployment.scratch / "models"
    folder.mkdir()
    good = {"owner": "lab@example.org", "versions": [{"version": "1.0", "task": "classify", "classes": [*LABELS]}]}
    (folder / f"{lab.model}.yaml").write_text(yaml.safe_dump(good))
    (folder / "a-wrong.yml").write_text(yaml.safe_dump(good).replace("napus", "napuss"))
    sensor = deployment.definitions.get_repository_def().get_sensor_def("sync_models")
    settings = settings_with(deployment.settings, models_folder=folder)

    def tick(cursor: str | None = None) -> SensorResult | SkipReason:
        names = ("database", "blob_storage", "training_settings")
        resources = {name: {**deployment.resources, **of_settings(settings)}[name] for name in names}
        with build_sensor_context(instance=deployment.instance, resources=resources, cursor=cursor) as context:
            return sensor(context)

    with pytest.raises(ModelError, match=r"a-wrong: versions 1.0: classes.0.taxon: .* did you mean Brassica napus"):
        tick()
    assert lab.execute("select task from model_version v join model m on m.id = model_id where name = %s", lab.model)
    (folder / "a-wrong.yml").unlink()
    done = tick()
    assert isinstance(done, SensorResult)
    assert isinstance(tick(done.cursor), SkipReason)


def test_every_night_judgements_are_decided_by_the_experts_of_today(lab: Lab) -> None:
    content, person = hashlib.sha256(lab.model.encode()).digest(), f"{lab.model}@example.org"
    lab.execute(
        "insert into judgement (id, person, at, recorded_by, source, sha256, verdict, seed_id)"
        " select %s, %s, now(), 'a test', 'a test', %s, 'taxon', id from seeds where name = %s",
        uuid4(), person, content, LABELS[0],
    )  # fmt: skip

    def decided() -> tuple[str, dict[str, Any]]:
        job = lab.deployment.definitions.resolve_job_def("apply_judgements")
        result = job.execute_in_process(instance=lab.deployment.instance)
        (event,) = result.get_asset_materialization_events()
        ((outcome,),) = lab.execute("select outcome from judged where sha256 = %s", content)
        return outcome, {name: value.value for name, value in event.materialization.metadata.items()}

    assert decided()[0] == "open"
    lab.execute("insert into expert (email, named_by, why) values (%s, 'a test', 'knows them')", person)
    outcome, metadata = decided()
    assert (outcome, metadata["outcomes_changed"], metadata["taxon"]) == ("taxon", 1, 1)
    schedule = lab.deployment.definitions.get_repository_def().get_schedule_def("nightly_judgements")
    with build_schedule_context(
        instance=lab.deployment.instance, resources={"database": lab.deployment.resources["database"]}
    ) as context:
        assert isinstance(schedule(context), RunRequest)
    lab.execute("delete from judged where sha256 = %s", content)
    lab.execute("delete from judgement where person = %s", person)
    lab.execute("delete from expert where email = %s", person)
