"""Some thousand hostile inputs; `python -m nachet_pipeline_tests.fuzz` tries as many as wanted."""

from pathlib import Path

import pytest

from nachet_pipeline.pictures.inspected import Inspected, Properties
from nachet_pipeline.pictures.issues import Issue
from nachet_pipeline.support.i18n import Bilingual
from nachet_pipeline_tests import fuzz


def test_no_mutated_picture_breaks_a_promise() -> None:
    tally = fuzz.fuzz_pictures(1_000, seed=2)

    assert tally.broken == []
    assert tally.inputs == 1_000
    # The mutations reach far enough to be told apart, and leave some pictures whole.
    assert tally.outcomes["nothing to say"] > 10
    assert len(tally.outcomes) > 30


def test_no_mutated_yaml_breaks_a_promise() -> None:
    tally = fuzz.fuzz_yaml(1_000, seed=2)

    assert tally.broken == []
    assert tally.inputs == 1_000
    assert tally.outcomes["nothing to say"] > 10
    assert len(tally.outcomes) > 10


def test_an_input_can_be_made_again_from_its_seed_and_number() -> None:
    assert fuzz.mutated_picture(3, 14) == fuzz.mutated_picture(3, 14) != fuzz.mutated_picture(3, 15)
    assert fuzz.mutated_yaml(3, 14) == fuzz.mutated_yaml(3, 14) != fuzz.mutated_yaml(4, 14)


def _remark(code: str, found: Bilingual | None) -> Issue:
    return Issue(code, None, Bilingual("a whole picture", "une image entière"), found)


_SOMETHING = Bilingual("something", "quelque chose")


@pytest.mark.parametrize(
    ("inspected", "broken"),
    [
        (Inspected(None, (_remark("picture-damaged", _SOMETHING),)), None),
        (Inspected(None), "contradict"),
        (Inspected(Properties("PNG", 1, 1, "L", None), (_remark("picture-damaged", _SOMETHING),)), "contradict"),
        (Inspected(None, (_remark("no-such-code", _SOMETHING),)), "catalogue"),
        (Inspected(None, (_remark("picture-damaged", _SOMETHING),) * 2), "twice"),
        (Inspected(None, (_remark("picture-damaged", None),)), "languages"),
        (Inspected(None, (_remark("picture-damaged", Bilingual("something", "")),)), "languages"),
    ],
)
def test_a_broken_promise_is_noticed(inspected: Inspected, broken: str | None) -> None:
    found = fuzz.broken_promise(inspected)

    assert found is None if broken is None else broken in (found or "")


def test_what_breaks_a_promise_is_kept_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a reader that fails")

    monkeypatch.setattr(fuzz, "read_metadata", fails)

    code = fuzz.main(["--target", "yaml", "--inputs", "3", "--seed", "5", "--keep", str(tmp_path)])

    assert code == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["5-0.yaml", "5-1.yaml", "5-2.yaml"]
    assert (tmp_path / "5-1.yaml").read_bytes() == fuzz.mutated_yaml(5, 1)
    printed = capsys.readouterr().out
    assert "3 inputs" in printed
    assert "3 broken promises" in printed
    assert "a reader that fails" in printed
