import json

import pytest

from nachet_pipeline.contract.findings import RULE_SET_VERSION, Check, Finding, Severity
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.report import FINDINGS_KEPT, Report, as_json_lines, as_text, line_of
from nachet_pipeline_tests.contract.folders import Validate, changed, project

INDEX = "pictures/session1/index.yaml"


def _mixed() -> Report:
    return Report.of_findings(
        [
            Finding(code="ignored-file", path=".DS_Store"),
            Finding(code="unknown-key", path="index.yaml", field="colour", line=2, column=1, found="colour"),
            Finding(code="picture-damaged", path="1.tiff", expected="a complete picture", found="the end of the file"),
            Finding(code="picture-damaged", path="2.tiff", expected="a complete picture", found="the end of the file"),
            Finding(code="missing-index", path="index.yaml", expected="the project's index.yaml"),
        ]
    )


def test_the_text_begins_with_the_worst_and_ends_with_the_verdict() -> None:
    assert list(as_text(_mixed())) == [
        "ERROR missing-index (1): A folder has no index.yaml.",
        "  index.yaml: expected the project's index.yaml",
        "  → Add an index.yaml; the README of the pipeline shows a complete example.",
        "ERROR picture-damaged (2): The picture cannot be decoded completely.",
        "  1.tiff: expected a complete picture, found the end of the file",
        "  2.tiff: expected a complete picture, found the end of the file",
        "  → Upload the picture again from its original, or export it again.",
        "WARNING unknown-key (1): The contract does not know this key; its value is not imported.",
        "  index.yaml:2:1 colour: found colour",
        "  → Correct the spelling, or remove the key.",
        "INFO ignored-file (1): A file that the operating system left behind was ignored.",
        "  .DS_Store",
        "Not importable: 3 error, 1 warning, 1 info.",
    ]


def test_the_text_in_french_says_the_same_codes_and_places() -> None:
    english, french = list(as_text(_mixed())), list(as_text(_mixed(), "fr"))

    assert "ERROR missing-index (1): Un dossier n'a pas d'index.yaml." in french
    assert "  → Corrigez l'orthographe ou supprimez la clé." in french
    assert len(english) == len(french)
    assert [_head(line) for line in english] == [_head(line) for line in french]


def _head(line: str) -> str:
    """What both languages share of a line: a place, a title up to its text, the arrow of a remedy, the counts."""
    if line.startswith("  "):
        return line[:3] if line.startswith("  →") else line.partition(": ")[0]
    return line.partition("): ")[0] if "): " in line else line.partition(": ")[2]


def test_a_report_without_findings_is_one_line() -> None:
    assert list(as_text(Report.of_findings([]))) == ["Importable."]


def test_a_line_ends_with_what_was_probably_meant() -> None:
    finding = Finding(
        code="unregistered-seed",
        path=INDEX,
        field="seedData.seedSpecies",
        line=6,
        column=3,
        expected="a registered seed",
        found="Brassica nappus",
        suggestion="Brassica napus",
    )

    assert line_of(finding) == (
        f"{INDEX}:6:3 seedData.seedSpecies: expected a registered seed, found Brassica nappus;"
        " did you mean Brassica napus?"
    )


def test_each_json_line_is_an_object_and_the_last_is_the_summary() -> None:
    lines = [json.loads(line) for line in as_json_lines(_mixed())]

    assert [line["record"] for line in lines] == ["finding"] * 5 + ["summary"]
    assert lines[1] == {
        "record": "finding",
        "code": "unknown-key",
        "severity": "warning",
        "path": "index.yaml",
        "field": "colour",
        "line": 2,
        "column": 1,
        "found": "colour",
        "message": "The contract does not know this key; its value is not imported.",
        "check": "index_content",
    }
    assert lines[-1] == {
        "record": "summary",
        "importable": False,
        "counts": {"error": 3, "warning": 1, "info": 1},
        "codes": {"ignored-file": 1, "missing-index": 1, "picture-damaged": 2, "unknown-key": 1},
        "rule_set_version": RULE_SET_VERSION,
    }


def test_a_check_fails_for_its_errors_alone() -> None:
    report = _mixed()

    assert report.errors_of(Check.PICTURE_CONTENT) == {"picture-damaged": 2}
    assert report.errors_of(Check.INDEX_CONTENT) == {}
    assert [finding.code for finding in report.findings_of(Check.INDEX_CONTENT)] == ["unknown-key"]
    assert not report.importable


def test_warnings_keep_nothing_from_being_imported(validated: Validate) -> None:
    report = validated(changed(project(), INDEX, b"seedFamily", b"seedFamly")).report

    assert report.importable
    assert list(as_text(report))[-1] == "Importable: 1 warning."


def test_a_report_of_thousands_lists_some_and_counts_all() -> None:
    with Inventory() as inventory:
        inventory.add_finding(Finding(code="ignored-file", path=".DS_Store"))
        for number in range(FINDINGS_KEPT + 500):
            inventory.add_finding(Finding(code="empty-file", path=f"{number:05}.tiff"))
        report = Report.of(inventory)

    assert len(report.findings) == FINDINGS_KEPT
    assert report.codes == {"empty-file": FINDINGS_KEPT + 500, "ignored-file": 1}
    assert report.counts == {Severity.ERROR: FINDINGS_KEPT + 500, Severity.WARNING: 0, Severity.INFO: 1}
    text = list(as_text(report))
    assert text[0].startswith(f"ERROR empty-file ({FINDINGS_KEPT + 500})")
    assert text[1] == "  00000.tiff"
    assert text[21] == f"  … {FINDINGS_KEPT + 480} more"
    assert text[-1] == f"Not importable: {FINDINGS_KEPT + 500} error, 1 info."


def test_a_report_reads_back_from_json_as_it_was() -> None:
    report = _mixed()

    assert Report.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_line_of_a_report_stays_one_line_whatever_the_uploader_wrote(language: str, validated: Validate) -> None:
    files = changed(project(), INDEX, b"napus", b'"a\\nb\\u2028c\\u202e"')
    report = validated(files).report

    assert report.codes == {"unregistered-seed": 1}
    lines = [*as_text(report, "fr" if language == "fr" else "en"), *as_json_lines(report)]
    assert all(len(line.splitlines()) == 1 for line in lines)
    assert "\\u202e" in lines[1]
