"""What a person reads about each of a hundred mistakes is mistakes.md, word for word, in both languages."""

import re
from pathlib import Path

import pytest

from nachet_pipeline.contract.report import Group, Report
from nachet_pipeline.pictures.decoding_pool import DecodingPool
from nachet_pipeline_tests.contract.folders import Files
from nachet_pipeline_tests.contract.mistakes import LANGUAGES, MISTAKES, report_on, said_of

_SECTION = re.compile(r"^## ([^\n]+)\n\n```\n(.*?)\n```\n\n```\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
PROSE = {
    name: dict(zip(LANGUAGES, texts, strict=True))
    for name, *texts in _SECTION.findall(Path(__file__).with_name("mistakes.md").read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_as_a_person_should_read_it(name: str, pool: DecodingPool, tmp_path: Path) -> None:
    report = report_on(MISTAKES[name], pool, tmp_path / "folder")

    assert {language: said_of(report, language) for language in LANGUAGES} == {
        language: PROSE[name][language].splitlines() for language in LANGUAGES
    }
    _check_that_suggestions_are_values_and_advice_is_a_sentence(report)


def _check_that_suggestions_are_values_and_advice_is_a_sentence(report: Report) -> None:
    for group in report.groups:
        for language in LANGUAGES:
            suggestion = group.suggestion.in_language(language) if group.suggestion else "a value"
            advice = group.advice.in_language(language) if group.advice else "A sentence."
            assert not suggestion.endswith((".", " "))
            assert re.fullmatch(r"\S.*\.", advice)
            assert advice[0].isupper() or advice[0].isdigit(), advice


def _corrected(files: Files, group: Group) -> Files:
    """The folder after its uploader took a suggestion as it is."""
    assert group.suggestion is not None
    place, meant = group.places[0], group.suggestion.en
    lines = files[place.path].decode().split("\n")
    line = lines[(place.line or 0) - 1]
    indentation = line[: len(line) - len(line.lstrip())]
    key, _, value = line.partition(":")
    if group.code == "index-syntax":
        line = f"{indentation}{meant}"
    elif group.code in {"missing-key", "unknown-key"}:
        line = f"{indentation}{meant.rpartition('.')[2]}:{value}"
    elif group.code == "unregistered-seed":
        lines = ["" if re.match(" +seed(Genus|Species)", other) else other for other in lines]
        line = f"{indentation}seedName: {meant}"
    else:
        line = f"{key}: {meant}"
    lines[(place.line or 0) - 1] = line
    return {**files, place.path: "\n".join(lines).encode()}


_NO_MISTAKE = {"unnamed-seeds"}
"""What remains to be told of a folder with no mistake: how many pictures wait for a name."""


def test_who_takes_a_suggestion_blindly_has_a_folder_that_is_right(pool: DecodingPool, tmp_path: Path) -> None:
    taken = 0
    for number, (name, files) in enumerate(MISTAKES.items()):
        suggested = [group for group in report_on(files, pool, tmp_path / f"{number}").groups if group.suggestion]
        for group in suggested:
            if group.places[0].path == "index.yaml":
                taken += 1
                again = report_on(_corrected(files, group), pool, tmp_path / f"{number}-{taken}")
                assert set(again.codes) <= _NO_MISTAKE, (name, group.suggestion, again.codes)
    assert taken > 20


def test_the_page_has_a_hundred_mistakes_and_no_other() -> None:
    assert list(PROSE) == list(MISTAKES)
    assert len(MISTAKES) >= 100
