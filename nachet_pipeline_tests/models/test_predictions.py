"""Predictions: what their files may say, what is wrong with one that says otherwise, and what is recorded of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from nachet_pipeline.client import Client, UsageError
from nachet_pipeline.identifiers import training_set_id
from nachet_pipeline.models.findings import SHOWN_OF_A_CODE, Findings
from nachet_pipeline.models.model import ModelDocument, ModelVersion
from nachet_pipeline.models.predictions import reading, recording
from nachet_pipeline.models.predictions.checking import Vocabulary, check_block
from nachet_pipeline.models.predictions.containers import due_files, record_arrived
from nachet_pipeline.models.predictions.keys import PredictionKeys
from nachet_pipeline.models.predictions.reading import read_blocks
from nachet_pipeline.models.predictions.recording import FileReceipt, record_file
from nachet_pipeline.models.registering import register_model
from nachet_pipeline.settings import KeySettings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.support.files import FileChangedError
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.labelled import import_as, photograph
from nachet_pipeline_tests.workbench import Workbench

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
LABELS = ("Brassica napus", "Brassica juncea", "background")
SOME = sha256(photograph(1)).hexdigest()


def whole(**keys: Any) -> dict[str, Any]:
    """An answer about a whole picture, of which some keys are others; None takes one out."""
    stated = {"sha256": SOME, "candidates": [{"label": LABELS[0], "score": 0.75}, {"index": 1, "score": 0.25}]}
    return {key: value for key, value in (stated | keys).items() if value is not None}


def found(*boxes: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """An answer of boxes; a box is that of a seed of the first class, of which some keys are others."""
    seed = {"box": [0.25, 0.25, 0.5, 0.5], "score": 0.75, "candidates": [{"index": 0, "score": 1}]}
    listed = [{key: value for key, value in (seed | box).items() if value is not None} for box in boxes]
    return whole(candidates=None, boxes=listed, **keys)


def lines(*answers: object) -> bytes:
    return b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in answers)


def findings_of(file: Path, content: bytes, task: str = "both") -> Findings:
    file.write_bytes(content)
    found = Findings()
    for block in read_blocks(file):
        found.add(check_block(block, Vocabulary(task, LABELS), NOW)[1])  # type: ignore[arg-type]
    return found


# What a file may say


@pytest.mark.parametrize(
    ("answer", "code", "field"),
    [
        (b"{\n", "not-json", ""),
        (b"[1]\n", "not-json", ""),
        (b'{"sha256": "\xff"}\n', "not-json", ""),
        (b'{"sha256": "a", "sha256": "b"}\n', "repeated-key", "sha256"),
        (b'{"sha256": "\\ud800", "boxes": []}\n', "wrong-type", "sha256"),
        (whole(label="x"), "unknown-key", "label"),
        (whole(candidates=[{"lable": "x", "score": 1}]), "unknown-key", "candidates.0.lable"),
        (whole(candidates=[{"index": 0, "score": 1}, {"index": 1, "score": "1"}]), "wrong-type", "candidates.1.score"),
        (whole(candidates=[{"index": 0.5, "score": 1}]), "wrong-type", "candidates.0.index"),
        (whole(candidates={}), "wrong-type", "candidates"),
        (found({"box": "all"}), "wrong-type", "boxes.0.box"),
        (whole(sha256=None), "no-subject", ""),
        (whole(picture=str(UUID(int=1))), "no-subject", ""),
        (whole(sha256="3f"), "wrong-sha256", "sha256"),
        (whole(sha256=None, picture="1.png"), "wrong-picture", "picture"),
        (whole(boxes=[]), "no-answer", ""),
        (whole(candidates=None), "no-answer", ""),
        (whole(at="yesterday"), "wrong-time", "at"),
        (whole(at="2026-11-29T10:00:00"), "wrong-time", "at"),
        (whole(at="2027-01-01T00:00:00Z"), "wrong-time", "at"),
        (found({}, {"box": [0.5, 0.25, 0.25, 0.5]}), "wrong-box", "boxes.1.box"),
        (found({"box": [0, 0, 1.5, 1]}), "wrong-box", "boxes.0.box"),
        (found({"box": [0, 0, 1]}), "wrong-box", "boxes.0.box"),
        (found({"box": [0, None, 1, 1]}), "wrong-box", "boxes.0.box"),
        (found({"box": None}), "wrong-box", "boxes.0.box"),
        (found({"score": 75}), "wrong-score", "boxes.0.score"),
        (found({}, {"score": None}), "missing-key", "boxes.1.score"),
        (
            b'{"sha256": "%s", "candidates": [{"index": 0, "score": NaN}]}\n' % SOME.encode(),
            "wrong-score",
            "candidates.0.score",
        ),
        (whole(candidates=[{"index": 0}]), "wrong-score", "candidates.0.score"),
        (whole(candidates=[{"score": 1}]), "no-class", "candidates.0"),
        (whole(candidates=[None]), "no-class", "candidates.0"),
        (whole(candidates=[{"label": "Brassica napsu", "score": 1}]), "unknown-label", "candidates.0.label"),
        (found({}, {"candidates": [{"index": 3, "score": 1}]}), "unknown-index", "boxes.1.candidates.0.index"),
        (
            whole(candidates=[{"index": 0, "score": 1}, {"label": LABELS[0], "score": 0}]),
            "repeated-class",
            "candidates.1",
        ),
        (whole(candidates=[{"index": 0, "score": 0.1}] * 11), "many-candidates", "candidates"),
        (whole(probabilities=[0.5, 0.5]), "wrong-probabilities", "probabilities"),
        (found({"probabilities": [1, 0, -1]}), "wrong-probabilities", "boxes.0.probabilities"),
        (found({}, {"probabilities": [1, 0, 0]}), "missing-key", "boxes.0.probabilities"),
        (found({}, probabilities=[1, 0, 0]), "misplaced-key", "probabilities"),
        (whole(embedding=[]), "wrong-embedding", "embedding"),
        (found({"embedding": [1]}, {"embedding": [1, 2]}), "wrong-embedding", "boxes.1.embedding"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_its_key(
    answer: object, code: str, field: str, tmp_path: Path
) -> None:
    wrong = findings_of(tmp_path / "x.jsonl", lines(whole(), b"\n", found(), answer, whole()))
    assert (code, 4, field) in [(one.code, one.line, one.field) for one in wrong.shown]
    # Two things are wrong with a candidate that is null, or there eleven times; else one thing is one finding.
    assert {one.line for one in wrong.shown} == {4}
    assert set(wrong.counts) <= {code, "repeated-class", "wrong-score"}


def test_what_is_right_has_no_finding(tmp_path: Path) -> None:
    right = [
        found(),
        found({"box": [0, 0, 1, 1]}),
        found({"candidates": None, "score": None}, {"candidates": [], "score": None}),
        found({"probabilities": [1, 0, 0], "embedding": [1.5]}, {"probabilities": [0, 1, 0], "embedding": [-2]}),
        whole(candidates=[]),
        whole(at="2026-11-29 10:00:00+02:00", probabilities=[0.5, 0.25, 0.25], embedding=[0.0] * 8),
        whole(sha256=None, picture=str(UUID(int=1))),
        whole(sha256=SOME.upper()),
    ]
    content = b"\xef\xbb\xbf" + lines(*right).replace(b"\n", b"\r\n")
    assert list(findings_of(tmp_path / "x.jsonl", content).lines()) == []
    assert list(findings_of(tmp_path / "x.jsonl", b"\n \n").lines()) == []


@pytest.mark.parametrize(("task", "answer"), [("detect", whole()), ("classify", found())])
def test_a_version_answers_what_it_is_for(task: str, answer: object, tmp_path: Path) -> None:
    assert list(findings_of(tmp_path / "x.jsonl", lines(answer), task).counts) == ["wrong-task"]


def test_the_lines_of_a_file_of_many_blocks_are_counted_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_BLOCK", 100)
    answers = [whole() if number % 7 else whole(sha256="3f") for number in range(50)]
    wrong = findings_of(tmp_path / "x.jsonl", lines(*answers))
    assert [one.line for one in wrong.shown] == [1, 8, 15, 22, 29, 36, 43, 50]


def test_findings_are_said_in_both_languages_and_all_are_counted(tmp_path: Path) -> None:
    wrong = findings_of(tmp_path / "x.jsonl", lines(*[whole(sha256="3f")] * 150))
    english, french = list(wrong.lines("en", "x.jsonl")), list(wrong.lines("fr", "x.jsonl"))
    assert english[0] == "x.jsonl:1: sha256: expected the SHA-256 of a file, 64 hexadecimal digits, found 3f"
    assert french[0] == "x.jsonl:1 : sha256 : attendu : le SHA-256 d'un fichier, 64 chiffres hexadécimaux; trouvé : 3f"
    assert (english[-1], french[-1]) == ("… and 50 more", "… 50 de plus")
    (group,) = wrong.record()
    assert (group["code"], group["count"], len(group["shown"])) == ("wrong-sha256", 150, 100)


_NUMBERS = st.one_of(st.none(), st.floats(-1, 2, width=32), st.integers(-1, 2))
_CANDIDATES = st.lists(
    st.fixed_dictionaries(
        {}, optional={"label": st.sampled_from(["x", *LABELS]), "index": st.integers(-1, 3), "score": _NUMBERS}
    ),
    max_size=3,
)
_OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "box": st.lists(_NUMBERS, max_size=5),
        "score": _NUMBERS,
        "candidates": _CANDIDATES,
        "probabilities": st.lists(_NUMBERS, max_size=3),
    },
)
_ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "sha256": st.sampled_from([SOME, "", "é"]),
        "boxes": st.lists(_OBJECTS, max_size=2),
        "candidates": _CANDIDATES,
    },
)


@given(st.lists(_ANSWERS, min_size=1, max_size=4))
def test_a_block_is_read_line_by_line_as_it_is_at_once(answers: list[Mapping[str, Any]]) -> None:
    block = lines(*answers)
    at_once = reading._by_arrow(block)
    by_line = reading._line_by_line(block, 1, "")
    assert by_line.findings == ()
    assert by_line.answers.equals(at_once)


# What is recorded


@dataclass(frozen=True)
class Lab:
    """A model's version whose predictions are recorded, and three stored photographs."""

    bench: Workbench
    version: ModelVersion
    pictures: list[str]

    def record(self, *answers: object, name: str = "x.jsonl") -> FileReceipt:
        file = self.bench.place / name
        file.write_bytes(lines(*answers))
        return record_file(self.bench.database, self.version, file, by="ann@example.org")

    def rows(self) -> list[dict[str, Any]]:
        query = "select * from prediction where model_version_id = %s order by recorded_at, at, id"
        return self.bench.query(query, self.version.id)


def version_of(bench: Workbench, name: str, **version: Any) -> ModelVersion:
    classes = [LABELS[0], LABELS[1], {"label": LABELS[2]}]
    stated = {"version": "1", "task": "both", "classes": classes, **version}
    document = ModelDocument.model_validate({"name": name, "owner": "lab", "versions": [stated]})
    (done,) = bench.database.call(register_model, document, by="ann@example.org")
    return done.version


@pytest.fixture(scope="module")
def pictures(bench: Workbench) -> list[str]:
    import_as(bench, "stored", "s", LABELS[0], {f"{number}.png": photograph(number) for number in (1, 2, 3)})
    return [sha256(photograph(number)).hexdigest() for number in (1, 2, 3)]


@pytest.fixture
def lab(bench: Workbench, pictures: list[str], request: pytest.FixtureRequest) -> Lab:
    name = sha256(request.node.name.encode()).hexdigest()[:20]
    return Lab(bench, version_of(bench, f"m-{name}"), pictures)


def test_every_object_is_recorded_with_its_candidates_the_best_first(lab: Lab) -> None:
    box = {"box": [0.5, 0.5, 0.75, 1], "candidates": [{"index": 2, "score": 0.25}, {"label": LABELS[1], "score": 0.5}]}
    done = lab.record(
        found({}, box, at="2026-11-29T10:00:00Z"), whole(sha256=lab.pictures[1]), found(sha256=lab.pictures[2])
    )
    assert (done.recorded, done.file.predictions, done.file.new) == (True, 3, 3)
    row, *_ = lab.rows()
    assert (row["sha256"].hex(), row["at"]) == (SOME, datetime(2026, 11, 29, 10, tzinfo=UTC))
    assert (row["objects"], row["boxes"]) == (2, [0.25, 0.25, 0.5, 0.5, 0.5, 0.5, 0.75, 1])
    assert row["candidate_object"] == [1, 2, 2]
    assert (row["candidate_class"], row["candidate_score"]) == ([0, 1, 2], [1, 0.5, 0.25])
    assert (row["probabilities"], row["embedding"], row["file_id"]) == (None, None, done.file.id)
    seen = lab.bench.query(
        "select encode(p.sha256, 'hex') as sha256, object, box, label, score, s.name from predicted_object p"
        " left join seeds s on s.id = p.seed_id where model_version_id = %s order by p.object desc, box",
        lab.version.id,
    )
    assert [tuple(one.values()) for one in seen] == [
        (SOME, 2, [0.5, 0.5, 0.75, 1], LABELS[1], 0.5, LABELS[1]),
        (SOME, 1, [0.25, 0.25, 0.5, 0.5], LABELS[0], 1, LABELS[0]),
        (lab.pictures[1], 1, None, LABELS[0], 0.75, LABELS[0]),
    ]
    assert [one["objects"] for one in lab.rows() if one["sha256"].hex() == lab.pictures[2]] == [0]


def test_the_same_answer_is_one_prediction_whatever_the_file_and_the_time(lab: Lab, tmp_path: Path) -> None:
    answers = [
        found({"probabilities": [1, 0, 0], "embedding": [0.1, 2]}, at="2026-11-29T10:00:00Z"),
        whole(sha256=lab.pictures[1]),
    ]
    assert lab.record(*answers).file.new == 2
    again = lab.record(*answers)
    assert (again.file.predictions, again.file.new) == (2, 2), "those that the file brought"
    table = pa.Table.from_pylist([{"boxes": None, "candidates": None, **one, "at": NOW} for one in answers])
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    as_table = record_file(lab.bench.database, lab.version, tmp_path / "x.parquet", by="ann@example.org")
    assert (as_table.recorded, as_table.file.predictions, as_table.file.new) == (True, 2, 0)
    assert lab.record(found({"score": 0.5}), answers[0], answers[0]).file.new == 1
    assert [row["at"] for row in lab.rows() if row["embedding"]] == [datetime(2026, 11, 29, 10, tzinfo=UTC)]
    assert len(lab.rows()) == 3
    assert (lab.record(b"\n").recorded, len(lab.rows())) == (True, 3)


def test_a_table_of_other_columns_is_refused(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    pyarrow.parquet.write_table(pa.table({"candidates": [[{"lable": "x"}]], "boxes": ["x"], "score": [0.5]}), file)
    done = record_file(lab.bench.database, lab.version, file, by="ann@example.org")
    assert [(one.code, one.field) for one in done.findings.shown] == [
        ("unknown-key", "candidates.lable"),
        ("unknown-key", "score"),
        ("wrong-type", "boxes"),
    ]
    file.write_bytes(b"PAR1")
    done = record_file(lab.bench.database, lab.version, file, by="ann@example.org")
    assert list(done.findings.counts) == ["not-parquet"]


def test_a_damaged_table_is_refused_rather_than_read_in_vain_again_and_again(lab: Lab, tmp_path: Path) -> None:
    file, table = tmp_path / "x.parquet", pa.table({"sha256": [SOME] * 9})
    pyarrow.parquet.write_table(table, file, compression="zstd")
    content = bytearray(file.read_bytes())
    content[4:40] = bytes(36)  # the header of the first page; the footer is whole
    file.write_bytes(content)
    done = record_file(lab.bench.database, lab.version, file, by="ann@example.org")
    assert (done.recorded, list(done.findings.counts)) == (False, ["not-parquet"])
    pyarrow.parquet.write_table(pa.table([[SOME], [SOME]], names=["sha256", "sha256"]), file)
    done = record_file(lab.bench.database, lab.version, file, by="ann@example.org")
    assert (done.recorded, list(done.findings.counts)) == (False, ["repeated-key"])
    with pytest.raises(FileNotFoundError):
        next(read_blocks(tmp_path / "none.parquet"))


def test_what_is_wrong_a_million_times_is_counted_and_the_first_told(tmp_path: Path) -> None:
    many = 50_000
    candidates = b'{"sha256": "%s", "candidates": [%s]}\n' % (SOME.encode(), b",".join([b"{}"] * many))
    for content, counts in (
        (b"{}\n" * many, {"no-subject": many, "no-answer": many}),
        (b"x\n" * many, {"not-json": many}),
        (candidates, {"many-candidates": 1, "no-class": many, "wrong-score": many}),
    ):
        file = tmp_path / "x.jsonl"
        file.write_bytes(content)
        (block,) = read_blocks(file)
        told = check_block(block, Vocabulary("classify", LABELS), NOW)[1]
        assert len(told) <= len(counts) * (SHOWN_OF_A_CODE + 1), "what nobody is told takes no memory"
        found = Findings()
        found.add(told)
        assert (found.counts, found.errors) == (counts, sum(counts.values()))
        assert len(found.shown) == sum(min(one, SHOWN_OF_A_CODE) for one in counts.values())


def test_a_file_that_is_written_while_it_is_read_is_not_recorded(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def written_meanwhile(path: Path) -> Iterator[reading.Block]:
        path.write_bytes(lines(whole(), whole(sha256=lab.pictures[1])))
        return read_blocks(path)

    monkeypatch.setattr(recording, "read_blocks", written_meanwhile)
    with pytest.raises(FileChangedError):
        lab.record(whole())
    assert lab.rows() == []
    assert lab.bench.query("select id from prediction_file where model_version_id = %s", lab.version.id) == []


def test_a_key_of_any_characters_is_told_in_one_line(lab: Lab) -> None:
    done = lab.record({"a\0\x1b[2J\ud800\nb": 1, "candidates": []})
    assert not done.recorded
    assert done.findings.record()[0]["shown"][0]["field"] == r"a\x00\x1b[2J\ud800\nb"
    assert all(line.isprintable() for line in done.findings.lines(file="a\x1b[2J\n.jsonl"))


def test_a_file_with_an_error_is_refused_as_a_whole(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_BLOCK", 100)
    done = lab.record(whole(), whole(sha256=lab.pictures[1]), whole(candidates=[{"label": "soil", "score": 1}]))
    assert (done.file.state, done.file.lines, done.file.predictions, done.file.new) == ("refused", 3, 0, 0)
    assert lab.rows() == []
    (kept,) = lab.bench.query("select state, findings from prediction_file where id = %s", done.file.id)
    assert kept["state"] == "refused"
    (group,) = kept["findings"]
    assert group["shown"][0] == {
        "line": 3,
        "field": "candidates.0.label",
        "expected": {"en": "a label of the version", "fr": "une étiquette de la version"},
        "found": {"en": "soil", "fr": "soil"},
    }


def test_pictures_that_are_not_stored_are_named_and_recorded_once_they_are(lab: Lab) -> None:
    (stored,) = lab.bench.query("select id from pictures where sha256 = %s limit 1", bytes.fromhex(SOME))
    later = photograph(int(lab.version.id.hex[:6], 16))
    answers = [
        whole(sha256=None, picture=str(stored["id"])),
        whole(sha256=sha256(later).hexdigest()),
        whole(sha256=None, picture=str(UUID(int=7))),
    ]
    done = lab.record(*answers)
    assert (done.file.state, done.file.predictions, done.file.new, done.file.unknown_pictures) == ("recorded", 1, 1, 2)
    assert [(one.line, one.field, one.found) for one in done.findings.shown] == [
        (3, "picture", str(UUID(int=7))),
        (0, "sha256", sha256(later).hexdigest()),
    ]
    (row,) = lab.rows()
    assert (row["picture_id"], row["sha256"].hex()) == (stored["id"], SOME)

    import_as(lab.bench, "later", "s", LABELS[0], {"1.png": later})
    done = lab.record(*answers)
    assert (done.file.predictions, done.file.new, done.file.unknown_pictures, len(lab.rows())) == (2, 2, 1, 2)


def test_answers_about_what_a_version_was_trained_on_are_counted(bench: Workbench, pictures: list[str]) -> None:
    digest = sha256(b"a training set").hexdigest()
    identifier = training_set_id("seeds", digest)
    bench.query(
        "insert into training_set (id, name, digest, container, blob, pictures) values (%s, 'seeds', %s, 'x', 'x', 2)",
        identifier,
        digest,
    )
    for picture, split in zip(pictures, (0, 2, 0), strict=True):
        bench.query(
            'insert into training_set_member (training_set_id, picture_id, split, class_index, "group")'
            " select %s, id, %s, 0, id from pictures where sha256 = %s limit 1",
            identifier,
            split,
            bytes.fromhex(picture),
        )
    trained = Lab(bench, version_of(bench, "trained", training_set=digest), pictures)
    assert trained.record(*(whole(sha256=one) for one in pictures)).file.on_trained == 2


# How files come


def test_the_command_records_a_file_and_says_what_is_wrong_with_one(workbench: Workbench, nachet: Nachet) -> None:
    version_of(workbench, "seed-classifier")
    import_as(workbench, "stored", "s", LABELS[0], {"1.png": photograph(1)})
    good, bad = workbench.place / "good.jsonl", workbench.place / "bad.jsonl"
    good.write_bytes(lines(whole(), whole(sha256="3f" * 32)))
    bad.write_bytes(lines(whole(sha256="3f")))
    answer = nachet("predictions", "import", good, "--model", "seed-classifier@1")
    assert answer.code == 0
    assert (
        "good.jsonl  seed-classifier@1  recorded: 1 of 2 predictions, 1 of them by this file, 1 of pictures"
        in answer.out
    )
    answer = nachet("predictions", "import", bad, "--model", "seed-classifier@1", "--lang", "fr")
    assert (answer.code, answer.out.startswith("bad.jsonl:1 : sha256 : attendu : le SHA-256")) == (1, True)
    listed = json.loads(nachet("predictions", "list", "seed-classifier@1", "--json").out)
    assert [(one["place"], one["state"]) for one in listed] == [("bad.jsonl", "refused"), ("good.jsonl", "recorded")]
    answer = nachet("predictions", "import", good, "--model", "seed-classifier@2")
    assert (answer.code, "seed-classifier has no version 2, but 1" in answer.err) == (1, True)


def test_a_program_registers_a_model_and_records_what_it_says(workbench: Workbench) -> None:
    client = Client(workbench.settings, workbench.blobs, database=workbench.database, by="my backend")
    name = f"m-{workbench.user.id.hex[:20]}"
    versions = [{"version": "1", "task": "both", "classes": [LABELS[0], {"label": "soil"}]}]
    (version,) = client.models.register({"name": name, "owner": "lab", "versions": versions})
    assert client.models.versions(name) == [version] == [client.models.version(f"{name}@1")]
    assert [one.taxon for one in client.models.classes(version.name)] == [LABELS[0], None]
    import_as(workbench, "stored", "s", LABELS[0], {"1.png": photograph(1)})
    done = client.predictions.record(version.name, (whole() for _ in range(3)))
    assert (done.recorded, done.file.lines, done.file.new, done.file.place) == (True, 3, 1, "client")
    refused = client.predictions.record(version.name, [whole(candidates=[{"label": "sol", "score": 1}])])
    assert (refused.recorded, [one.line for one in refused.findings.shown]) == (False, [1])
    assert [one.recorded_by for one in client.predictions.files(version.name)] == ["my backend"] * 2
    with pytest.raises(UsageError, match=r"versions\.0\.task"):
        client.models.register({"name": name, "owner": "lab", "versions": [versions[0] | {"task": "guess"}]})


def test_a_file_that_is_put_with_a_key_is_recorded_and_answered_beside_it(workbench: Workbench, nachet: Nachet) -> None:
    name = f"m-{workbench.user.id.hex[:20]}"
    version = version_of(workbench, name)
    import_as(workbench, "stored", "s", LABELS[0], {"1.png": photograph(1)})
    url = nachet("model", "key", "new", name).out.strip()
    account, _, sas = url.partition(f"/predictions-{name}?")
    database, blobs, container = workbench.database, workbench.blobs, f"predictions-{name}"

    with BlobStorage.connect_by_sas(account, SecretStr(sas)) as lab:
        for blob, content in (("1/a.jsonl", lines(whole())), ("1/notes.txt", b"x"), ("2/a.jsonl", lines(whole()))):
            lab.upload(container, blob, content, content_type="application/json")
        (due,) = due_files([version], blobs)
        assert due.place == f"{container}/1/a.jsonl"
        assert record_arrived(database, blobs, due, by="sensor").file.new == 1
        receipt = json.loads(lab.read(container, "1/a.jsonl.receipt.json"))
        assert (receipt["state"], receipt["new"], receipt["version"]) == ("recorded", 1, f"{name}@1")
        assert list(due_files([version], blobs)) == []

        lab.upload(container, "1/a.jsonl", lines(whole(sha256="3f")), content_type="application/json", overwrite=True)
        (due,) = due_files([version], blobs)
        assert not record_arrived(database, blobs, due, by="sensor").recorded
        assert json.loads(lab.read(container, "1/a.jsonl.receipt.json"))["findings"][0]["code"] == "wrong-sha256"

        lab.upload(container, "1/.jsonl", lines(whole()), content_type="application/json")
        (due,) = due_files([version], blobs)
        assert record_arrived(database, blobs, due, by="sensor").recorded, "the name has no suffix to a path"

        keys = PredictionKeys(database, blobs, KeySettings())
        second = keys.issue(name, actor="ann@example.org")
        assert second.former_until is not None
        lab.read(container, "1/a.jsonl")
        keys.issue(name, actor="ann@example.org", at_once=True)
        assert nachet("model", "key", "revoke", name).out == "1 key revoked\n"
        with pytest.raises(StorageError):
            lab.read(container, "1/a.jsonl")
    trail = workbench.query(
        "select action, after::text as after from audit_trail where subject = 'model key' order by id"
    )
    assert [row["action"] for row in trail] == ["issued", "issued", "issued", "revoked"]
    assert "sig" not in "".join(row["after"] for row in trail)
