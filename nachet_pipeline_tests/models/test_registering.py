"""Registering models: from reviewed files, from the predecessor's, and never twice with something else."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from nachet_pipeline.models.model import ModelError
from nachet_pipeline.models.model_file import model_of, read_model_file
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.documents import block_beginning
from nachet_pipeline_tests.workbench import Workbench

DIGEST = "3f" * 32


def written(place: Path, name: str = "seed-classifier", **version: Any) -> Path:
    """A model's file with one version, of which some keys are others."""
    stated = {"version": "1.2.0", "task": "classify", "classes": ["Brassica napus", {"label": "background"}]}
    file = place / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"owner": "lab@example.org", "versions": [stated | version]}))
    return file


def test_the_example_of_a_model_is_read(tmp_path: Path) -> None:
    file = tmp_path / "seed-classifier.yaml"
    file.write_text(block_beginning("owner: ai-lab", "yaml"))
    (model,) = read_model_file(file)
    assert (model.name, model.versions[0].classes[1].taxon) == ("seed-classifier", "Brassica juncea")


def test_a_registered_version_is_shown_with_what_its_classes_mean(workbench: Workbench, nachet: Nachet) -> None:
    file = written(
        workbench.place,
        classes=["Brassica napus", {"label": "B_juncea", "taxon": "brassica  Juncea"}, {"label": "background"}],
        training_set=DIGEST,
        trained_at="2026-05-01",
        facts={"epochs": 40},
    )
    assert nachet("model", "register", file, "--by", "ann@example.org").code == 0

    shown = json.loads(nachet("model", "show", "seed-classifier@1.2.0", "--json").out)
    assert shown["training_set_digest"] == DIGEST
    assert (shown["trained_at"], shown["registered_by"]) == ("2026-05-01 00:00:00+00:00", "ann@example.org")
    assert [(one["label"], one["taxon"]) for one in shown["class_list"]] == [
        ("Brassica napus", "Brassica napus"),
        ("B_juncea", "Brassica juncea"),
        ("background", None),
    ]
    assert "background  (no taxon)" in nachet("model", "show", "seed-classifier@1.2.0").out
    assert "seed-classifier@1.2.0  classify  3 classes" in nachet("model", "list").out
    trail = workbench.query("select actor, action, subject from audit_trail where subject like 'model%%' order by id")
    assert [tuple(row.values()) for row in trail] == [
        ("ann@example.org", "registered", "model"),
        ("ann@example.org", "registered", "model version"),
    ]
    assert workbench.blobs.container_exists("predictions-seed-classifier")


def test_a_version_never_changes_and_its_model_may(workbench: Workbench, nachet: Nachet) -> None:
    file = written(workbench.place)
    nachet("model", "register", file)
    assert "as before" in nachet("model", "register", file).out
    audited = "select count(*) from audit_trail where subject like 'model%%'"
    assert workbench.query(audited) == [{"count": 2}]

    answer = nachet("model", "register", written(workbench.place, classes=["Brassica juncea"], task="both"))
    assert (answer.code, "registered with other task, classes" in answer.err) == (1, True)

    file.write_text(written(workbench.place).read_text().replace("lab@", "botany@"))
    nachet("model", "register", file)
    assert "botany@example.org" in nachet("model", "list", "seed-classifier").out
    assert workbench.query("select count(*) from model_version") == [{"count": 1}]


def test_classes_that_mean_no_registered_taxon_are_all_named_and_nothing_is_registered(
    workbench: Workbench, nachet: Nachet
) -> None:
    answer = nachet("model", "register", written(workbench.place, classes=["Brassica napsu", "Brassica napus", "soil"]))
    assert answer.code == 1
    assert (
        "classes.0.taxon: expected a registered taxon, found 'Brassica napsu'; did you mean Brassica napus?"
        in answer.err
    )
    assert "classes.2.taxon: expected a registered taxon, found 'soil'" in answer.err
    assert workbench.query("select name from model") == []


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ({"task": "guess"}, "seed-classifier.yaml:6: versions.0.task: expected"),
        ({"classes": ["a", "a"]}, "expected each label once, found 'a' twice"),
        ({"classes": []}, "expected classes, found none"),
        ({"weights": "https://x.example.org/w?sig=secret"}, "expected an address without user, query and fragment"),
        ({"weights": "https://x.example.org/w#token=secret"}, "expected an address without user, query and fragment"),
        ({"trained_at": "9999-12-31T23:59:59-10:00"}, "versions.0.trained_at: expected a year from 2 to 9998"),
        ({"version": "1 2"}, "versions.0.version: "),
        ({"wieghts": "w"}, "found 'wieghts'; did you mean weights?"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_place(version: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as refused:
        read_model_file(written(tmp_path, **version))
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
@pytest.mark.parametrize("key", ["owner", "description", "facts"])
def test_a_program_states_only_what_a_database_can_keep(key: str, text: str) -> None:
    version = {"version": "1", "task": "classify", "classes": ["Brassica napus"]}
    stated = {"name": "some", "owner": "lab", "versions": [version]}
    with pytest.raises(ModelError, match=f"^{key}"):
        model_of(stated | {key: {"x": [{text: 1}]} if key == "facts" else text})
    deep: list[Any] = []
    for _ in range(3000):
        deep = [deep]
    with pytest.raises(ModelError, match="nesting"):
        model_of(stated | {"facts": {"x": deep}})


def test_a_training_set_is_named_for_good(workbench: Workbench, nachet: Nachet) -> None:
    for wanted, said in (
        ("seeds", "expected NAME@DIGEST"),
        ("seeds@", "expected NAME@DIGEST"),
        ("seeds@3f", "there is no training set seeds@3f"),
    ):
        answer = nachet("model", "register", written(workbench.place, training_set=wanted))
        assert (answer.code, said in answer.err) == (1, True)


def test_who_was_champion_is_listed(workbench: Workbench, nachet: Nachet) -> None:
    nachet("model", "register", written(workbench.place))
    assert nachet("model", "champion", "history", "seed-classifier").out == ""
    workbench.query(
        "insert into model_champion (model_id, model_version_id, named_by, why)"
        " select model_id, id, 'ann@example.org', 'best so far' from model_version"
    )
    assert "seed-classifier@1.2.0  ann@example.org  best so far" in (
        nachet("model", "champion", "history", "seed-classifier").out
    )
    assert "champion" in nachet("model", "list").out
    answer = nachet("model", "champion", "history", "seed-clasifier")
    assert (answer.code, "did you mean seed-classifier?" in answer.err) == (1, True)


def predecessors(**detector: Any) -> dict[str, Any]:
    """The predecessor's JSON: a detector, a classifier, and a pipeline of both."""
    swin = {
        "task": "classification",
        "model_name": "swin-endpoint",
        "version": "1",
        "created_by": "Ada",
        "description": "",
    }
    return {
        "version": "0.1.1",
        "date": "2024-02-26",
        "pipelines": [
            {
                "models": ["seed-detector", "swin-endpoint"],
                "pipeline_name": "Swin transformer",
                "version": "1",
                "default": True,
            }
        ],
        "models": [
            {
                "task": "object-detection",
                "api_call_function": "seed_detector",
                "endpoint": "https://secret.example.org/score",
                "api_key": "secret key",
                "content_type": "application/json",
                "model_name": "seed-detector",
                "version": "1",
                "creation_date": "2023-12-02",
                "created_by": "Ada",
                "job_name": "neat_cartoon",
                "dataset": "",
                "identifiable": [],
                **detector,
            },
            {**swin, "endpoint": "e", "api_key": "secret key", "identifiable": ["Brassica napus", "Brassica juncea"]},
        ],
    }


def test_the_predecessors_models_and_pipelines_are_registered_without_their_keys(
    workbench: Workbench, nachet: Nachet
) -> None:
    file = workbench.place / "pipelines.json"
    file.write_text(json.dumps(predecessors()))
    answer = nachet("model", "register", file, "--json")
    assert answer.code == 0, answer.err
    found = {one["name"]: one for one in json.loads(answer.out)}
    assert {name: (one["task"], one["classes"], one["owner"]) for name, one in found.items()} == {
        "seed-detector@1": ("detect", 0, "Ada"),
        "swin-endpoint@1": ("classify", 2, "Ada"),
        "swin-transformer@1": ("both", 2, "unknown"),
    }
    assert found["seed-detector@1"]["trained_at"] == "2023-12-02 00:00:00+00:00"
    assert found["swin-transformer@1"]["facts"]["models"] == ["seed-detector@1", "swin-endpoint@1"]
    rows = workbench.query("select (m.*, v.*)::text as row from model m join model_version v on v.model_id = m.id")
    rows += workbench.query("select after::text as row from audit_trail where subject like 'model%%'")
    assert not any("secret" in row["row"] for row in rows)
    assert "as before" in nachet("model", "register", file).out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "expected JSON of pipelines and models"),
        ("[]", "expected the keys models and pipelines"),
        (predecessors(task="segmentation"), "models.0: task: expected one of object-detection"),
        (predecessors(model_name="other"), "pipelines.0: models: expected names of its models, found 'seed-detector'"),
        (predecessors(model_name=""), "models.0: "),
    ],
)
def test_what_is_wrong_in_the_predecessors_file_is_said(content: Any, said: str, tmp_path: Path) -> None:
    file = tmp_path / "pipelines.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ModelError) as refused:
        read_model_file(file)
    assert said in str(refused.value)
