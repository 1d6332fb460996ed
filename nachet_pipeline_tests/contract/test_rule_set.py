from pathlib import Path

import pytest

from nachet_pipeline.contract.catalogue import CATALOGUE, RULE_SET_VERSION, Severity
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.findings_page import findings_page
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.report import Report
from nachet_pipeline.contract.rule_set import RuleSet, RuleSetError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "severities.yaml"


@pytest.mark.parametrize("code", CATALOGUE)
def test_without_a_file_every_finding_weighs_what_the_catalogue_says(code: str) -> None:
    assert RuleSet().severity_of(code) is CATALOGUE[code].severity


def test_a_file_makes_findings_weigh_more_or_less(file: Path) -> None:
    file.write_text("# ours\nunknown-key: error\nhidden-file: info\nunexpected-file: warning\n")

    rule_set = RuleSet.read(file)

    assert rule_set.severity_of("unknown-key") is Severity.ERROR
    assert rule_set.severity_of("hidden-file") is Severity.INFO
    assert rule_set.severity_of("unexpected-file") is Severity.WARNING
    assert rule_set.severity_of("empty-file") is Severity.ERROR
    assert rule_set.version == RULE_SET_VERSION


def test_only_what_differs_from_the_catalogue_is_kept_for_the_report(file: Path) -> None:
    file.write_text("unknown-key: warning\nempty-file: error\nhidden-file: error\n")

    assert RuleSet.read(file).severities == {"hidden-file": Severity.ERROR}


def test_an_empty_file_changes_nothing(file: Path) -> None:
    file.write_text("")

    assert RuleSet.read(file) == RuleSet()


@pytest.mark.parametrize("code", [code for code, kind in CATALOGUE.items() if kind.fixed])
@pytest.mark.parametrize("weight", ["warning", "info"])
def test_what_cannot_be_imported_at_all_stays_an_error(code: str, weight: str, file: Path) -> None:
    file.write_text(f"unknown-key: error\n{code}: {weight}\n")

    with pytest.raises(RuleSetError, match=f"yaml:2: {code} stays an error"):
        RuleSet.read(file)


@pytest.mark.parametrize("code", [code for code, kind in CATALOGUE.items() if not kind.fixed])
@pytest.mark.parametrize("severity", Severity)
def test_every_other_code_can_weigh_anything(code: str, severity: Severity, file: Path) -> None:
    file.write_text(f"{code}: {severity}\n")

    assert RuleSet.read(file).severity_of(code) is severity


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("unknown-keys: error", r"severities.yaml:1: there is no finding 'unknown-keys'; unknown-key\?"),
        ("\n\nfrobnicate: error", "severities.yaml:3: there is no finding 'frobnicate'$"),
        ("unknown-key: fatal", "severities.yaml:1: expected error, warning or info, found 'fatal'"),
        ("unknown-key: [error]", "severities.yaml:1: expected error, warning or info"),
        ("unknown-key: {is: error}", "severities.yaml:1: expected error, warning or info"),
        ("unknown-key:", "severities.yaml:1: expected error, warning or info"),
        ("unknown-key: error\nunknown-key: info", "severities.yaml"),
        ("unknown-key: &a error", "severities.yaml"),
        ("unknown-key: [error", "severities.yaml"),
        ("- unknown-key", "severities.yaml"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line_that_says_where(text: str, says: str, file: Path) -> None:
    file.write_text(text)

    with pytest.raises(RuleSetError, match=says) as raised:
        RuleSet.read(file)
    assert len(str(raised.value).splitlines()) == 1


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RuleSetError, match=r"nowhere\.yaml cannot be read: No such file"):
        RuleSet.read(tmp_path / "nowhere.yaml")


def test_the_example_of_the_documentation_is_a_file_that_can_be_used(file: Path) -> None:
    file.write_text(findings_page().partition("```yaml\n")[2].partition("```")[0])

    assert RuleSet.read(file).severities == {"unknown-key": Severity.ERROR, "hidden-file": Severity.INFO}


def test_a_finding_weighs_in_a_report_what_the_deployment_says_and_the_report_says_so() -> None:
    with Inventory(rule_set=RuleSet({"unknown-key": Severity.ERROR}, version="77")) as inventory:
        inventory.add_finding(Finding(code="unknown-key", path="index.yaml"))
        report = Report.of(inventory)

    assert not report.importable
    assert report.counts[Severity.ERROR] == 1
    assert report.findings[0].severity is Severity.ERROR
    assert report.errors_of(CATALOGUE["unknown-key"].check) == {"unknown-key": 1}
    assert (report.rule_set_version, report.severities) == ("77", {"unknown-key": Severity.ERROR})
