"""The report of a validation, its record as JSON Lines, and its view as text.

`report_page.py` renders the view for browsers. Both views can be rendered from the record alone.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from nachet_pipeline.contract.catalogue import CATALOGUE, RULE_SET_VERSION, Check, Severity
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.contract.understood import UnderstoodSession, summary_of, understood_lines
from nachet_pipeline.support.i18n import Bilingual, Language

GROUPS_KEPT = 500
"""A report carries this many groups of findings at most, errors first; its counts are always complete."""

PLACES_KEPT = 20
"""A group names this many places at most; its count is always complete."""


_SEVERITIES = list(Severity)


class Place(BaseModel):
    """Where something was found.

    Attributes:
        path: the file, relative to the upload; empty for the upload as a whole.
        line: 1-based line in the file.
        column: 1-based column in the line.
        sessions: sessions that inherit the value; empty where `path` says which session is concerned.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    line: int | None = None
    column: int | None = None
    sessions: tuple[str, ...] = ()

    def __str__(self) -> str:
        """`path:line:column`, which editors and terminals can open."""
        return ":".join(str(part) for part in (self.path or ".", self.line, self.column) if part is not None)


class Group(BaseModel):
    """Findings that differ in their place only.

    Attributes:
        code: a key of the catalogue.
        severity: their severity.
        rule: the rule that found them, which is also the check in the UI.
        field: the key concerned.
        expected: what the contract asks for.
        found: what is there.
        suggestion: the value that was probably meant.
        advice: what to do about them, in place of their code's remedy.
        other: path of another picture of the upload that they are about, such as the one that is equal.
        count: how many there are.
        places: where, `PLACES_KEPT` of them at most.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    severity: Severity
    rule: str
    field: str | None = None
    expected: Bilingual | None = None
    found: Bilingual | None = None
    suggestion: Bilingual | None = None
    other: str | None = None
    advice: Bilingual | None = None
    count: int
    places: tuple[Place, ...]

    @classmethod
    def of(cls, count: int, alike: Sequence[Finding]) -> Self:
        """A group of findings that are alike; at least one."""
        first = alike[0]
        return cls(
            code=first.code,
            severity=first.severity,
            rule=first.rule,
            field=first.field,
            expected=first.expected,
            found=first.found,
            suggestion=first.suggestion,
            other=first.other,
            advice=first.advice,
            count=count,
            places=tuple(
                Place(path=one.path, line=one.line, column=one.column, sessions=one.sessions) for one in alike
            ),
        )

    @property
    def what_to_do(self) -> Bilingual:
        """Their advice, else the remedy of their code."""
        return self.advice or CATALOGUE[self.code].remedy

    @property
    def findings(self) -> Iterator[Finding]:
        """The findings whose places are named."""
        return (
            Finding(
                code=self.code,
                severity=self.severity,
                path=place.path,
                sessions=place.sessions,
                field=self.field,
                line=place.line,
                column=place.column,
                expected=self.expected,
                found=self.found,
                suggestion=self.suggestion,
                other=self.other,
                advice=self.advice,
            )
            for place in self.places
        )


class Report(BaseModel):
    """What a validation found.

    Attributes:
        rule_set_version: version of the rules that judged.
        severities: codes whose severity differed from the catalogue's, with that severity.
        counts: findings by severity.
        codes: findings by code.
        groups: the findings, errors first, then in the catalogue's order; at most `GROUPS_KEPT` groups.
    """

    model_config = ConfigDict(frozen=True)

    rule_set_version: str = RULE_SET_VERSION
    severities: dict[str, Severity] = {}
    counts: dict[Severity, int]
    codes: dict[str, int]
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, inventory: Inventory) -> Self:
        """The report on an inventory's findings."""
        groups = inventory.alike_findings(groups=GROUPS_KEPT, places=PLACES_KEPT)
        return cls(
            rule_set_version=inventory.rule_set.version,
            severities=dict(inventory.rule_set.severities),
            counts=inventory.severity_counts(),
            codes=inventory.finding_counts(),
            groups=tuple(sorted((Group.of(count, alike) for count, alike in groups), key=_worst_first)),
        )

    @classmethod
    def empty(cls) -> Self:
        """The report of nothing found."""
        return cls(counts=dict.fromkeys(Severity, 0), codes={}, groups=())

    @classmethod
    def of_findings(cls, findings: Iterable[Finding], rule_set: RuleSet | None = None) -> Self:
        """A report of a few findings that need no inventory."""
        with Inventory(rule_set=rule_set, in_memory=True) as inventory:
            for finding in findings:
                inventory.add_finding(finding)
            return cls.of(inventory)

    def with_code(self, code: str, findings: Iterable[Finding], count: int) -> Self:
        """The report with what was found later of one code, in the place of what it said of that code before.

        Args:
            code: the code.
            findings: the first of its findings.
            count: how many there are.
        """
        later = self.of_findings(findings, RuleSet(self.severities))
        severity, before = self.severity_of(code), self.codes.get(code, 0)
        codes = {name: number for name, number in {**self.codes, code: count}.items() if number}
        groups = sorted((*(one for one in self.groups if one.code != code), *later.groups), key=_worst_first)
        return self.model_copy(
            update={
                "codes": dict(sorted(codes.items())),
                "counts": {**self.counts, severity: self.counts[severity] - before + count},
                "groups": tuple(groups),
            }
        )

    @property
    def findings(self) -> list[Finding]:
        """The findings whose places are named, errors first."""
        return [finding for group in self.groups for finding in group.findings]

    @property
    def importable(self) -> bool:
        """Whether nothing found keeps the upload from being imported."""
        return self.counts[Severity.ERROR] == 0

    def severity_of(self, code: str) -> Severity:
        """The severity that findings of a code had."""
        return self.severities.get(code, CATALOGUE[code].severity)

    def errors_of(self, check: Check) -> dict[str, int]:
        """The error-level codes that fail a check, with their counts; empty if it passes."""
        return {
            code: count
            for code, count in self.codes.items()
            if CATALOGUE[code].check is check and self.severity_of(code) is Severity.ERROR
        }

    def groups_of(self, check: Check) -> list[Group]:
        """The groups of findings that belong to a check."""
        return [group for group in self.groups if group.rule == check.value]

    @property
    def by_code(self) -> list[tuple[str, list[Group]]]:
        """Every code found, the worst first, with its groups that were kept; none, if there were too many before."""
        order = list(CATALOGUE)
        codes = sorted(self.codes, key=lambda code: (_SEVERITIES.index(self.severity_of(code)), order.index(code)))
        return [(code, [group for group in self.groups if group.code == code]) for code in codes]


def _worst_first(group: Group) -> tuple[int, int, tuple[tuple[str, int, int], ...], str]:
    places = tuple((place.path, place.line or 0, place.column or 0) for place in group.places)
    alike = group.model_dump_json(include={"field", "expected", "found", "suggestion", "advice"})
    return _SEVERITIES.index(group.severity), list(CATALOGUE).index(group.code), places, alike


# The record

_TEXTS = ("expected", "found", "suggestion", "advice")


def as_json_lines(
    findings: Iterable[Finding], report: Report, understood: Iterable[UnderstoodSession] = ()
) -> Iterator[str]:
    """The record of a validation: every finding as a JSON object on a line of its own, then a summary.

    Args:
        findings: all of them, not only those that the report keeps; they are written as they come.
        report: the report on them.
        understood: what was understood of the upload's sessions.
    """
    for finding in findings:
        yield json.dumps(_record_of(finding, report.rule_set_version), ensure_ascii=False)
    summary = {
        "record": "summary",
        "importable": report.importable,
        "counts": report.counts,
        "codes": report.codes,
        "severities": report.severities,
        "rule_set_version": report.rule_set_version,
        "sessions": [one.model_dump(mode="json", exclude_none=True) for one in understood],
    }
    yield json.dumps(summary, ensure_ascii=False)


def _record_of(finding: Finding, rule_set_version: str) -> dict[str, Any]:
    record: dict[str, Any] = {
        "record": "finding",
        "code": finding.code,
        "severity": finding.severity,
        "rule": finding.rule,
        "rule_set_version": rule_set_version,
        "path": finding.path,
        "sessions": finding.sessions or None,
        "field": finding.field,
        "line": finding.line,
        "column": finding.column,
        **{name: _both(getattr(finding, name)) for name in _TEXTS},
        "other": finding.other,
        "message": _both(finding.kind.message),
        "remedy": _both(finding.kind.remedy),
    }
    return {name: value for name, value in record.items() if value is not None}


def _both(text: Bilingual | None) -> dict[str, str] | None:
    return {"en": text.en, "fr": text.fr} if text else None


# The text

GROUPS_SHOWN = 20
"""The text shows this many groups of a code at most; the record has them all."""

PLACES_SHOWN = 10
"""The text shows this many places of a group at most."""

SESSIONS_SHOWN = 5
"""This many of the sessions that inherit a value are named; the others are counted."""

SEVERITY_NAMES: Mapping[Severity, tuple[Bilingual, Bilingual]] = MappingProxyType(
    {
        Severity.ERROR: (Bilingual("error", "erreur"), Bilingual("errors", "erreurs")),
        Severity.WARNING: (Bilingual("warning", "avertissement"), Bilingual("warnings", "avertissements")),
        Severity.INFO: (Bilingual("info", "info"), Bilingual("infos", "infos")),
    }
)
"""What one finding of a severity is called, and what several are."""

_TITLE = Bilingual("{} {} ({}): {}", "{} {} ({}) : {}")
# The texts of a French explanation have colons of their own.
_EXPLAINED = Bilingual("{}: {}", "{} — {}")
_EXPECTED = Bilingual("expected {}", "attendu : {}")
_FOUND = Bilingual("found {}", "trouvé : {}")
# In French, what was expected may itself be a list with commas after a colon.
_BETWEEN = Bilingual(", ", "; ")
_SUGGESTION = Bilingual("did you mean {}?", "vouliez-vous dire {} ?")
_INHERITED = Bilingual("inherited by {}", "hérité par {}")
_MORE = Bilingual("… {} more", "… {} de plus")
_OTHERS = Bilingual("{} and {} more", "{} et {} de plus")
_IMPORTABLE = Bilingual("Importable", "Importable")
_REFUSED = Bilingual("Not importable", "Non importable")
_PARTLY = Bilingual("Importable in part", "Importable en partie")
_IMPORTED = Bilingual("Imported", "Importé")
_PARTLY_IMPORTED = Bilingual("Imported in part", "Importé en partie")
_VERDICT = Bilingual("{}: {}.", "{} : {}.")


def as_text(
    report: Report,
    language: Language = "en",
    *,
    partly: bool = False,
    imported: bool = False,
    understood: Sequence[UnderstoodSession] = (),
    number_of_sessions: int | None = None,
) -> Iterator[str]:
    """The report's lines for people: grouped by code, the worst first, each with what to do.

    Below them is what was understood, and last the verdict.

    Args:
        report: what was found.
        language: of all texts.
        partly: whether the sessions without errors are imported although others are refused.
        imported: whether that is done already.
        understood: what was understood of the upload's sessions.
        number_of_sessions: how many there are, if not all of them are given.
    """
    for code, groups in report.by_code:
        kind, severity = CATALOGUE[code], report.severity_of(code)
        name = SEVERITY_NAMES[severity][0].in_language(language).upper()
        yield _TITLE.in_language(language).format(name, code, report.codes[code], kind.message.in_language(language))
        shown = groups[:GROUPS_SHOWN]
        together = needs_remedy(shown)
        for group, following in zip_longest(shown, shown[1:]):
            yield from (f"  {line}" for line in _lines_of(group, language))
            if not together and not (following and following.what_to_do == group.what_to_do):
                yield f"  → {group.what_to_do.in_language(language)}"
        if more := report.codes[code] - sum(group.count for group in shown):
            yield f"  {_MORE.in_language(language).format(more)}"
        if together:
            yield f"  → {kind.remedy.in_language(language)}"
        yield ""
    if understood:
        yield from understood_lines(understood, language, number_of_sessions=number_of_sessions)
        yield ""
    counted = [one for one in understood if one.imported or not imported]
    summary = summary_of(counted, number_of_sessions=None if partly else number_of_sessions)
    yield _verdict(report, partly, imported, summary, language)


def _verdict(report: Report, partly: bool, imported: bool, summary: Bilingual, language: Language) -> str:
    """`Importable: 2 sessions, 8 pictures of Brassica napus; 1 warning.`, or what is in its place."""
    if imported:
        verdict = _PARTLY_IMPORTED if partly else _IMPORTED
    else:
        verdict = _IMPORTABLE if report.importable else _PARTLY if partly else _REFUSED
    refused = not (imported or report.importable or partly)
    # Of a refused folder the table says what was understood.
    parts = [part.in_language(language) for part in ([] if refused else [summary]) + [counts_of(report)]]
    said = "; ".join(filter(None, parts))
    name = verdict.in_language(language)
    return _VERDICT.in_language(language).format(name, said) if said else f"{name}."


def needs_remedy(groups: Sequence[Group]) -> bool:
    """Whether one remedy is said for all groups of a code; else each says what to do, so that none is told twice."""
    return all(group.advice is None for group in groups)


def counts_of(report: Report) -> Bilingual:
    """How many findings of each severity there are; empty if there is none."""

    def counted(language: Language) -> str:
        return ", ".join(
            f"{count} {SEVERITY_NAMES[severity][count > 1].in_language(language)}"
            for severity, count in report.counts.items()
            if count
        )

    return Bilingual(counted("en"), counted("fr"))


def explanation_of(group: Group, language: Language = "en") -> str:
    """What was expected, found and probably meant; empty if the group says none of it."""
    parts = [
        words.in_language(language).format(text.in_language(language))
        for words, text in ((_EXPECTED, group.expected), (_FOUND, group.found))
        if text
    ]
    known = _BETWEEN.in_language(language).join(parts)
    if not group.suggestion:
        return known
    suggestion = _SUGGESTION.in_language(language).format(group.suggestion.in_language(language))
    return f"{known}; {suggestion}" if known else suggestion


def inheritance_of(place: Place) -> Bilingual | None:
    """Which sessions inherit a value, the first by name; None if the place does not say it."""
    if not place.sessions:
        return None
    named = ", ".join(session.rpartition("/")[2] or "." for session in place.sessions[:SESSIONS_SHOWN])
    more = len(place.sessions) - SESSIONS_SHOWN
    names = (
        Bilingual(_OTHERS.en.format(named, more), _OTHERS.fr.format(named, more)) if more > 0 else Bilingual.same(named)
    )
    return Bilingual(_INHERITED.en.format(names.en), _INHERITED.fr.format(names.fr))


def _lines_of(group: Group, language: Language) -> Iterator[str]:
    """One line for a single place; else a line with what was found, and the places below it."""
    explanation = explanation_of(group, language)
    if group.count == 1:
        (place,) = group.places
        where = f"{place} {group.field}" if group.field else str(place)
        yield _explained(where, explanation, language) + _heirs(place, language)
        return
    indent = ""
    if what := _explained(group.field, explanation, language):
        yield what
        indent = "  "
    for place in group.places[:PLACES_SHOWN]:
        yield f"{indent}{place}{_heirs(place, language)}"
    if more := group.count - len(group.places[:PLACES_SHOWN]):
        yield indent + _MORE.in_language(language).format(more)


def _explained(where: str | None, explanation: str, language: Language) -> str:
    if where and explanation:
        return _EXPLAINED.in_language(language).format(where, explanation)
    return where or explanation


def _heirs(place: Place, language: Language) -> str:
    heirs = inheritance_of(place)
    return f" ({heirs.in_language(language)})" if heirs else ""
