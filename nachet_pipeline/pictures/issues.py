"""What an inspection finds in a picture, before the rule set weighs it."""

from collections.abc import Iterator
from dataclasses import dataclass

from nachet_pipeline.support.i18n import Bilingual

SEVERAL_PICTURES = frozenset(
    {"scanned-pages", "several-channels", "several-pages", "slide-pyramid", "time-series", "z-stack"}
)
"""Codes of issues about a file of more than one picture."""

FATAL = SEVERAL_PICTURES | frozenset(
    {
        "other-format",
        "not-downloaded",
        "picture-crashes-decoder",
        "picture-damaged",
        "picture-format",
        "picture-too-complex",
        "picture-too-large",
        "picture-too-slow",
    }
)
"""Codes of issues that make a picture impossible to import, whatever a deployment makes of them."""

CONTENT = Bilingual("the content of the file", "le contenu du fichier")
ONLY_ZEROS = Bilingual("zeros only", "uniquement des zéros")
"""What a file holds that a cloud service has not downloaded."""

MORE = Bilingual("more", "davantage")

MOST_ISSUES = 50
"""A crafted picture could otherwise have something wrong in each of a million places."""


@dataclass(frozen=True, slots=True)
class Issue:
    """Something found in a picture.

    Attributes:
        code: says what was found; the code of a finding in the contract's catalogue.
        field: the tag or chunk concerned, such as `GPSInfo` or `tEXt Author`; None for the file as a whole.
        expected: what was expected.
        found: what is there; never somebody's name or whereabouts.
        advice: what to do about it, a sentence, where the code alone does not say.
    """

    code: str
    field: str | None = None
    expected: Bilingual | None = None
    found: Bilingual | None = None
    advice: Bilingual | None = None

    @property
    def fatal(self) -> bool:
        """Whether it makes the picture impossible to import."""
        return self.code in FATAL


class Issues:
    """The issues of one picture: each code once per field, `MOST_ISSUES` at most."""

    def __init__(self) -> None:
        self._issues: dict[tuple[str, str | None], Issue] = {}

    def __iter__(self) -> Iterator[Issue]:
        return iter(self._issues.values())

    def add(
        self,
        code: str,
        field: str | None = None,
        *,
        expected: Bilingual | None = None,
        found: Bilingual | None = None,
        advice: Bilingual | None = None,
    ) -> None:
        """Add an issue. When there is no room, a fatal one replaces the last."""
        issue = Issue(code, field, expected, found, advice)
        key = (code, field)
        if key in self._issues:
            return
        if len(self._issues) >= MOST_ISSUES:
            if not issue.fatal or self.fatal():
                return
            self._issues.popitem()
        self._issues[key] = issue

    def include(self, others: "Issues") -> None:
        """Add those of a part of the picture."""
        for issue in others:
            self.add(issue.code, issue.field, expected=issue.expected, found=issue.found, advice=issue.advice)

    def too_complex(self, expected: Bilingual, found: Bilingual = MORE) -> None:
        """Add that a picture is too complex."""
        self.add("picture-too-complex", expected=expected, found=found)

    def several_pages(self, found: Bilingual, code: str = "several-pages", *, advice: Bilingual | None = None) -> None:
        """Add that a file holds more than one picture; of several reasons the first counts."""
        if not any(issue.code in SEVERAL_PICTURES for issue in self):
            self.add(code, expected=Bilingual("one picture", "une seule image"), found=found, advice=advice)

    def fatal(self) -> bool:
        """Whether one of them makes the picture impossible to import."""
        return any(issue.fatal for issue in self)
