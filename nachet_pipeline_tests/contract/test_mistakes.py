"""What a person reads about each of a hundred mistakes is mistakes.md, word for word, in both languages."""

import re
from pathlib import Path

import pytest

from nachet_pipeline.contract.report import Report
from nachet_pipeline.pictures.decoding_pool import DecodingPool
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


def test_the_page_has_a_hundred_mistakes_and_no_other() -> None:
    assert list(PROSE) == list(MISTAKES)
    assert len(MISTAKES) >= 100
