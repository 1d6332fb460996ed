"""What is wrong with a file that models or people deliver, line by line, in both languages."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.contract.names import printable
from nachet_pipeline.support.i18n import Bilingual, Language

SHOWN_OF_A_CODE = 100
"""Findings of a code that are kept, at most; all are counted."""

LONGEST_FOUND = 120
"""Characters of what is there that are told."""

_SENTENCE = Bilingual("{}: {}expected {}, found {}", "{} : {}attendu : {}; trouvé : {}")


@dataclass(frozen=True, slots=True)
class LineFinding:
    """Something wrong in a line of a file.

    Attributes:
        code: what kind it is, stable over versions.
        line: 1-based; of a table without lines, the row. 0: it concerns the file as a whole.
        field: the key concerned, such as `boxes.0.box`; empty if it concerns the line as a whole.
        expected: what belongs there.
        found: what is there, one printable line.
        severity: an error keeps the whole file from being recorded.
        times: how many it is counted as; one that stands for many comes after `SHOWN_OF_A_CODE` of its code.
    """

    code: str
    line: int
    field: str
    expected: Bilingual
    found: str | Bilingual
    severity: Severity = Severity.ERROR
    times: int = 1

    def text(self, language: Language = "en", file: str = "") -> str:
        """One line for people."""
        place = ":".join(part for part in (file, str(self.line or "")) if part) or "."
        colon = " : " if language == "fr" else ": "
        expected, found = self.expected.in_language(language), self._found.in_language(language)
        key = f"{self._key}{colon}" if self.field else ""
        return _SENTENCE.in_language(language).format(printable(place), key, expected, found)

    @property
    def _key(self) -> str:
        """The field as one printable line: a key that does not belong there may be any text."""
        return printable(self.field[:LONGEST_FOUND])

    @property
    def _found(self) -> Bilingual:
        found = self.found if isinstance(self.found, Bilingual) else Bilingual.same(self.found)
        return Bilingual(*(printable(text[:LONGEST_FOUND]) for text in (found.en, found.fr)))

    def record(self) -> dict[str, Any]:
        """The finding as it is stored, without code and severity, which are those of its group."""
        found, expected = self._found, self.expected
        return {
            "line": self.line,
            "field": self._key,
            "expected": {"en": expected.en, "fr": expected.fr},
            "found": {"en": found.en, "fr": found.fr},
        }


@dataclass(slots=True)
class Findings:
    """The findings of a file: all are counted, the first of each code kept.

    Attributes:
        counts: how many there are of each code.
        shown: the first of each code, in the order in which they were found.
    """

    counts: Counter[str] = field(default_factory=Counter)
    shown: list[LineFinding] = field(default_factory=list)
    errors: int = 0

    def add(self, findings: Iterable[LineFinding]) -> None:
        """Add findings."""
        for one in findings:
            self.counts[one.code] += one.times
            self.errors += one.times * (one.severity is Severity.ERROR)
            if self.counts[one.code] <= SHOWN_OF_A_CODE:
                self.shown.append(one)

    def condensed(self) -> list[LineFinding]:
        """The same findings, of each code as many as are kept, and one that stands for the others."""
        kept = Counter(one.code for one in self.shown)
        last = {one.code: one for one in self.shown}
        rest = ((one, self.counts[code] - kept[code]) for code, one in last.items())
        return [*self.shown, *(replace(one, times=times) for one, times in rest if times)]

    def more(self, code: str, number: int) -> None:
        """Count warnings of a code that are not told one by one."""
        if number:
            self.counts[code] += number

    def lines(self, language: Language = "en", file: str = "") -> Iterator[str]:
        """Those that were kept, in the order of lines, and how many more there are."""
        for one in sorted(self.shown, key=lambda one: one.line):
            yield one.text(language, file)
        if more := self.counts.total() - len(self.shown):
            yield f"… {more} de plus" if language == "fr" else f"… and {more} more"

    def record(self) -> list[dict[str, Any]]:
        """All as they are stored: a group for each code."""
        groups: dict[str, dict[str, Any]] = {}
        for one in self.shown:
            group: dict[str, Any] = {
                "code": one.code,
                "severity": one.severity.value,
                "count": self.counts[one.code],
                "shown": [],
            }
            groups.setdefault(one.code, group)["shown"].append(one.record())
        return list(groups.values())
