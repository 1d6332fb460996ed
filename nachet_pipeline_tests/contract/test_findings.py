import re

import pytest

from nachet_pipeline.contract.catalogue import CATALOGUE, Check, Severity
from nachet_pipeline.contract.findings import Finding, UndeclaredFindingError
from nachet_pipeline.contract.rules import FOLDER_RULES
from nachet_pipeline.pictures.issues import FATAL
from nachet_pipeline.support.i18n import Bilingual


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_entry_of_the_catalogue_says_what_is_wrong_and_what_to_do_in_both_languages(code: str) -> None:
    kind = CATALOGUE[code]

    for phrase in (kind.message, kind.remedy):
        assert all(text.strip() == text and text.endswith(".") and "  " not in text for text in (phrase.en, phrase.fr))
        assert phrase.en != phrase.fr


@pytest.mark.parametrize("code", CATALOGUE)
def test_the_french_of_the_catalogue_is_set_as_in_canada(code: str) -> None:
    kind = CATALOGUE[code]

    for text in (kind.message.fr, kind.remedy.fr):
        assert not re.search(r"\w:(?!\S)| [;!]|\u2019|\u201c", text), text


@pytest.mark.parametrize("code", [code for code, kind in CATALOGUE.items() if kind.fixed])
def test_only_an_error_can_be_fixed(code: str) -> None:
    assert CATALOGUE[code].severity is Severity.ERROR


def test_the_issues_that_keep_a_picture_from_being_imported_are_fixed_in_the_catalogue() -> None:
    # The last is found when the picture is stored, not by an inspection.
    fixed = {code for code, kind in CATALOGUE.items() if kind.fixed and kind.check is Check.PICTURE_CONTENT}
    # A file that is not there yet may be any file.
    assert fixed - {"picture-replaced"} | {"not-downloaded"} == FATAL
    assert CATALOGUE["not-downloaded"].fixed


def test_every_check_has_a_description_and_codes_of_its_own() -> None:
    assert all(check.description for check in Check)
    failing = {kind.check for kind in CATALOGUE.values() if kind.severity is Severity.ERROR}
    # What is personal, and what is there twice, is the uploader's to weigh, unless a deployment says otherwise.
    assert failing == set(Check) - {Check.PERSONAL_DATA, Check.DUPLICATES}
    assert {kind.check for kind in CATALOGUE.values()} == set(Check)


def test_a_rule_is_named_as_its_check() -> None:
    assert {rule.__name__ for rule in FOLDER_RULES} <= set(Check)


def test_a_code_that_the_catalogue_does_not_have_is_a_programming_error() -> None:
    with pytest.raises(UndeclaredFindingError, match="no-such-code"):
        Finding(code="no-such-code")


def test_a_finding_weighs_what_the_catalogue_says_unless_it_says_so_itself() -> None:
    assert Finding(code="unknown-key").severity is Severity.WARNING
    assert Finding(code="ignored-file").severity is Severity.INFO
    assert Finding(code="unknown-key", severity=Severity.ERROR).severity is Severity.ERROR


def test_the_place_of_a_finding_is_what_an_editor_understands() -> None:
    assert Finding(code="empty-upload").place == "."
    assert Finding(code="empty-file", path="1.tiff").place == "1.tiff"
    assert Finding(code="index-syntax", path="index.yaml", line=3).place == "index.yaml:3"
    assert Finding(code="index-syntax", path="index.yaml", line=3, column=7).place == "index.yaml:3:7"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("a\nb", "a\\nb"),
        ("\x1b[2J", "\\x1b[2J"),
        ("nul\0", "nul\\x00"),
        ("\u202egnp", "\\u202egnp"),
        ("a\u2028b", "a\\u2028b"),
        ("Möhre à 10 h 日本", "Möhre à 10 h 日本"),
    ],
)
def test_what_an_uploader_wrote_cannot_steer_the_terminal_it_is_shown_on(written: str, shown: str) -> None:
    finding = Finding(
        code="unregistered-seed",
        path=written,
        sessions=(written,),
        field=written,
        expected=Bilingual(written, "x"),
        found=Bilingual("x", written),
        suggestion=Bilingual.same(written),
    )

    assert {finding.path, finding.field, *finding.sessions} == {shown}
    assert (finding.expected, finding.found) == (Bilingual(shown, "x"), Bilingual("x", shown))
    assert finding.suggestion == Bilingual.same(shown)


@pytest.mark.parametrize(
    ("written", "en", "fr"),
    [
        ("30\u00a0x", "30[no-break space]x", "30[espace insécable]x"),
        ("2\u202fimages", "2[narrow no-break space]images", "2[espace fine insécable]images"),
        ("Brassica\u200bnapus", "Brassica[zero-width space]napus", "Brassica[espace sans chasse]napus"),
        ("\ufeffindex", "[byte order mark]index", "[indicateur d'ordre des octets]index"),
        ("e\u0301te\u0301", "\u00e9t\u00e9 (\u00e9 written e + U+0301)", "\u00e9t\u00e9 (\u00e9 écrit e + U+0301)"),
        ("Möhre été", "Möhre été", "Möhre été"),
    ],
)
def test_what_nobody_sees_is_made_visible_in_what_was_found(written: str, en: str, fr: str) -> None:
    finding = Finding(code="unregistered-seed", found=Bilingual.same(written), expected=Bilingual.same(written))

    assert finding.found == finding.expected == Bilingual(en, fr)
    assert Finding.model_validate_json(finding.model_dump_json()) == finding


def test_a_finding_reads_back_from_json_as_it_was() -> None:
    finding = Finding(
        code="index-content",
        path="index.yaml",
        field="userData.zoom",
        line=4,
        column=3,
        found=Bilingual("a", "à"),
        advice=Bilingual("Do b.", "Faites b."),
    )

    assert Finding.model_validate_json(finding.model_dump_json()) == finding
