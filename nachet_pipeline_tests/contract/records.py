"""The record of a validation, read back."""

import json
from collections.abc import Iterable

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.report import Report
from nachet_pipeline.contract.rule_set import RuleSet


def findings_in(record: Iterable[str]) -> list[Finding]:
    """The findings of a record, in its order."""
    return [
        Finding.model_validate({key: value for key, value in line.items() if key in Finding.model_fields})
        for line in map(json.loads, record)
        if line["record"] == "finding"
    ]


def report_of(record: list[str]) -> Report:
    """The report that a record is of: its last line is the summary."""
    summary = json.loads(record[-1])
    severities = {finding.code: finding.severity for finding in findings_in(record)}
    with Inventory(rule_set=RuleSet(severities)) as inventory:
        for finding in findings_in(record):
            inventory.add_finding(finding)
        report = Report.of(inventory)
    judged = {"rule_set_version": summary["rule_set_version"], "severities": summary["severities"]}
    return Report.model_validate({**report.model_dump(), **judged})
