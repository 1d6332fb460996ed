"""The findings of a validation, and the two ways to read them: text for people, JSON Lines for programs."""

import json
from collections.abc import Iterable, Iterator
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


_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "expected": "expected",
        "found": "found",
        "suggestion": "did you mean {}?",
        "more": "… {} more",
        "importable": "Importable",
        "refused": "Not importable",
    },
    "fr": {
        "expected": "attendu :",
        "found": "trouvé :",
        "suggestion": "vouliez-vous dire {} ?",
        "more": "… {} de plus",
        "importable": "Importable",
        "refused": "Non importable",
    },
}


def as_text(report: Report, language: Language = "en") -> Iterator[str]:
    """The report's lines for people: grouped by code, the worst first, each with its remedy."""
    words = _WORDS[language]
    severities, checks = list(Severity), list(CHECKS)

    def worst_first(code: str) -> tuple[int, int, str]:
        kind = CATALOGUE[code]
        return severities.index(kind.severity), checks.index(kind.check), code

    for code in sorted(report.codes, key=worst_first):
        kind = CATALOGUE[code]
        listed = [finding for finding in report.findings if finding.code == code][:_SHOWN_PER_CODE]
        yield f"{kind.severity.upper()} {code} ({report.codes[code]}): {kind.message[language]}"
        yield from (f"  {line_of(finding, language)}" for finding in listed)
        if more := report.codes[code] - len(listed):
            yield f"  {words['more'].format(more)}"
        if kind.severity is not Severity.INFO:
            yield f"  → {kind.remedy[language]}"
    counts = ", ".join(f"{count} {severity}" for severity, count in report.counts.items() if count)
    verdict = words["importable" if report.importable else "refused"]
    yield f"{verdict}: {counts}." if counts else f"{verdict}."


def line_of(finding: Finding, language: Language = "en") -> str:
    """One line about a finding: where, which field, what was expected, found and probably meant."""
    where = finding.place + (f" {finding.field}" if finding.field else "")
    explanation = explanation_of(finding, language)
    return f"{where}: {explanation}" if explanation else where


def explanation_of(finding: Finding, language: Language = "en") -> str:
    """What was expected, found and probably meant; empty if the code alone says it."""
    words = _WORDS[language]
    parts = []
    if finding.expected:
        parts.append(f"{words['expected']} {finding.expected}")
    if finding.found:
        parts.append(f"{words['found']} {finding.found}")
    if not finding.suggestion:
        return ", ".join(parts)
    suggestion = words["suggestion"].format(finding.suggestion)
    return f"{', '.join(parts)}; {suggestion}" if parts else suggestion


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
