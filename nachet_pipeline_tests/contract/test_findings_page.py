import subprocess
import sys

import pytest

from nachet_pipeline.contract.catalogue import CATALOGUE, Check
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.findings_page import findings_page
from nachet_pipeline.settings import PREFIX, ContractSettings
from nachet_pipeline_tests.deployment import PROJECT


def _section(code: str) -> str:
    """What the page says of a code, without the escapes of Markdown."""
    return findings_page().partition(f"#### `{code}`\n")[2].partition("\n#")[0].replace("\\", "")


def test_the_documentation_of_the_findings_is_that_of_the_catalogue() -> None:
    committed = (PROJECT / "docs" / "findings.md").read_text(encoding="utf-8")

    assert committed == findings_page(), "docs/findings.md is not up to date; run `make docs`"


def test_the_command_behind_make_docs_writes_the_page_on_any_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nachet_pipeline.contract.findings_page"],
        capture_output=True,
        check=True,
        env={"PYTHONIOENCODING": "ascii"},
    )

    assert done.stdout.decode("utf-8").splitlines() == findings_page().splitlines()


@pytest.mark.parametrize("code", CATALOGUE)
def test_the_page_says_of_every_code_what_it_weighs_and_both_texts_in_both_languages(code: str) -> None:
    kind, section = CATALOGUE[code], _section(code)

    weight = "fixed" if kind.fixed else "a deployment may change it"
    assert f"{kind.severity.value.capitalize()}; {weight}." in section
    for text in (kind.message.en, kind.message.fr, kind.remedy.en, kind.remedy.fr):
        assert text in section


def test_the_page_lists_every_code_once_under_its_check() -> None:
    check, listed = "", []
    for line in findings_page().splitlines():
        if line.startswith("### "):
            check = line.split("`")[1]
        elif line.startswith("#### "):
            listed.append((check, line.split("`")[1]))

    assert sorted(listed) == sorted((kind.check.value, code) for code, kind in CATALOGUE.items())
    assert {check for check, _code in listed} == set(Check)


@pytest.mark.parametrize("name", Finding.model_fields)
def test_the_page_explains_every_field_of_a_finding(name: str) -> None:
    table = findings_page().partition("| key | meaning |")[2].partition("\n\n")[0]

    assert f"`{name}`" in table


def test_the_page_names_the_setting_that_weighs_findings_differently() -> None:
    assert "severities_file" in ContractSettings.model_fields
    assert f"`{PREFIX}SEVERITIES_FILE`" in findings_page()
