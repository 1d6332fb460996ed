"""The findings of a validation, and the two ways to read them: text for people, JSON Lines for programs."""

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from nachet_pipeline.contract.findings import CATALOGUE, CHECKS, RULE_SET_VERSION, Check, Finding, Severity
from nachet_pipeline.contract.inventory import Inventory

FINDINGS_KEPT = 1_000
"""A receipt carries this many findings at most, errors first; the counts are always complete."""

_SHOWN_PER_CODE = 20
Language = Literal["en", "fr"]


class Report(BaseModel):
    """What a validation found.

    Attributes:
        rule_set_version: version of the rules that judged.
        counts: findings by severity.
        codes: findings by code.
        findings: the findings, errors first, at most `FINDINGS_KEPT`.
    """

    model_config = ConfigDict(frozen=True)

    rule_set_version: str = RULE_SET_VERSION
    counts: dict[Severity, int]
    codes: dict[str, int]
    findings: list[Finding]

    @classmethod
    def of(cls, inventory: Inventory) -> Self:
        """The report on an inventory's findings."""
        return cls(
            counts=inventory.severity_counts(),
            codes=inventory.finding_counts(),
            findings=list(inventory.findings(limit=FINDINGS_KEPT)),
        )

    @classmethod
    def of_findings(cls, findings: Iterable[Finding]) -> Self:
        """A report of a few findings that need no inventory."""
        listed = list(findings)
        return cls(
            counts={severity: sum(f.severity is severity for f in listed) for severity in Severity},
            codes={code: sum(f.code == code for f in listed) for code in sorted({f.code for f in listed})},
            findings=listed,
        )

    @property
    def importable(self) -> bool:
        """Whether nothing found keeps the upload from being imported."""
        return self.counts[Severity.ERROR] == 0

    @property
    def truncated(self) -> int:
        """How many findings are counted but not listed."""
        return sum(self.codes.values()) - len(self.findings)

    def errors_of(self, check: Check) -> dict[str, int]:
        """The error-level codes that fail a check, with their counts; empty if it passes."""
        return {
            code: count
            for code, count in self.codes.items()
            if CATALOGUE[code].check is check and CATALOGUE[code].severity is Severity.ERROR
        }

    def findings_of(self, check: Check) -> list[Finding]:
        """The listed findings that belong to a check."""
        return [finding for finding in self.findings if finding.kind.check is check]


def as_text(report: Report, language: Language = "en") -> Iterator[str]:
    """The report's lines for people: grouped by code, the worst first, each with its remedy."""
    for code, group in groupby(
        sorted(
            report.findings,
            key=lambda f: (list(Severity).index(f.severity), list(CHECKS).index(f.kind.check), f.code),
        ),
        key=lambda f: f.code,
    ):
        kind = CATALOGUE[code]
        listed = list(group)
        yield f"{kind.severity.upper()} {code} ({report.codes[code]}): {kind.message[language]}"
        yield from (f"  {line_of(finding)}" for finding in listed[:_SHOWN_PER_CODE])
        more = report.codes[code] - min(len(listed), _SHOWN_PER_CODE)
        if more:
            yield f"  … {more} more"
        if kind.severity is not Severity.INFO:
            yield f"  → {kind.remedy[language]}"
    counts = ", ".join(f"{count} {severity}" for severity, count in report.counts.items() if count)
    yield ("Importable" if report.importable else "Not importable") + (f": {counts}." if counts else ".")


def line_of(finding: Finding) -> str:
    """One line about a finding: where, which field, what was expected, found and probably meant."""
    where = finding.place + (f" {finding.field}" if finding.field else "")
    explanation = explanation_of(finding)
    return f"{where}: {explanation}" if explanation else where


def explanation_of(finding: Finding) -> str:
    """What was expected, found and probably meant; empty if the code alone says it."""
    parts = []
    if finding.expected:
        parts.append(f"expected {finding.expected}")
    if finding.found:
        parts.append(f"found {finding.found}")
    explanation = ", ".join(parts)
    if finding.suggestion:
        explanation += f"{'; ' if explanation else ''}did you mean {finding.suggestion}?"
    return explanation


def as_json_lines(report: Report) -> Iterator[str]:
    """The report as JSON objects, one a line: every finding, then a summary."""
    for finding in report.findings:
        record = {"record": "finding", **finding.model_dump(mode="json", exclude_none=True)}
        record["message"] = finding.kind.message["en"]
        record["check"] = finding.kind.check
        yield json.dumps(record, ensure_ascii=False)
    summary = {
        "record": "summary",
        "importable": report.importable,
        "counts": report.counts,
        "codes": report.codes,
        "rule_set_version": report.rule_set_version,
    }
    yield json.dumps(summary, ensure_ascii=False)
