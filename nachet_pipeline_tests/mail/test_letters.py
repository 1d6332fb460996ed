"""What is told by e-mail is letters.md, word for word, in both languages."""

import re

import pytest

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.mail.letters import Letter, letter_on_uploads
from nachet_pipeline_tests.mail.letters import FILE, LETTERS, OWNER, page, told, with_footer

_ALL = [(name, letter) for name, letters in LETTERS.items() for letter in letters.values()]


def test_every_mail_reads_as_a_person_should_read_it() -> None:
    assert page() == FILE.read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "letter"), _ALL, ids=[f"{name} ({letter.language})" for name, letter in _ALL])
def test_html_says_the_same_and_loads_nothing(name: str, letter: Letter) -> None:
    html = with_footer(name, letter).html
    assert not re.search(r"<(img|script|link|iframe|form|a)\b|url\(|@import|https?:", html)
    shown = re.sub(r"<style>.*?</style>|<title>.*?</title>|<[^>]+>", "", html, flags=re.DOTALL)
    words = re.sub(r"[\W_]+", " ", shown.replace("&#39;", "'")).casefold().split()
    text = re.sub(r"[\W_]+", " ", with_footer(name, letter).text).casefold().split()
    assert words == text


@pytest.mark.parametrize(
    "folder", ["→" * 80, "canola " * 40, "a" * 300, "* → " * 50], ids=["arrows", "words", "a word", "both"]
)
def test_text_fits_into_72_columns_whatever_folders_are_called(folder: str) -> None:
    letter = letter_on_uploads("refused", [told(folder, State.REFUSED)], "en", OWNER)
    lines = with_footer("", letter).text.splitlines()
    assert [one for one in lines if len(one) > 72 and " " in one.strip(" *→")] == []
