import pytest

from nachet_pipeline.contract.findings import CATALOGUE, CHECKS, Check, Finding, Severity, UndeclaredFindingError


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_entry_of_the_catalogue_says_what_is_wrong_and_what_to_do_in_both_languages(code: str) -> None:
    kind = CATALOGUE[code]

    for texts in (kind.message, kind.remedy):
        assert set(texts) == {"en", "fr"}
        assert all(text.strip() == text and text.endswith(".") for text in texts.values())
        assert texts["en"] != texts["fr"]


def test_every_check_has_a_description_and_a_code_that_fails_it() -> None:
    assert set(CHECKS) == set(Check)
    assert all(CHECKS.values())
    assert {kind.check for kind in CATALOGUE.values() if kind.severity is Severity.ERROR} == set(Check)


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
        ("non\u00a0breaking", "non\u00a0breaking"),
    ],
)
def test_what_an_uploader_wrote_cannot_steer_the_terminal_it_is_shown_on(written: str, shown: str) -> None:
    finding = Finding(
        code="unregistered-seed", path=written, field=written, expected=written, found=written, suggestion=written
    )

    assert {finding.path, finding.field, finding.expected, finding.found, finding.suggestion} == {shown}


def test_a_finding_reads_back_from_json_as_it_was() -> None:
    finding = Finding(code="index-content", path="index.yaml", field="userData.zoom", line=4, column=3, found="'x\\n'")

    assert Finding.model_validate_json(finding.model_dump_json()) == finding
