"""What an inspection has to say of a picture, before anybody weighs it."""

from collections.abc import Iterator
from dataclasses import dataclass

from nachet_pipeline.contract.catalogue import CATALOGUE
from nachet_pipeline.support.i18n import Bilingual

MOST_ISSUES = 50
"""A crafted picture could otherwise have something wrong in each of a million places."""


@dataclass(frozen=True, slots=True)
class Issue:
    """Something to say of a picture.

    Attributes:
        code: a key of the contract's catalogue.
        field: the tag or chunk concerned, such as `GPSInfo` or `tEXt Author`; None for the file as a whole.
        expected: what was expected.
        found: what is there; never somebody's name or whereabouts.
    """

    code: str
    field: str | None = None
    expected: Bilingual | None = None
    found: Bilingual | None = None

    @property
    def fatal(self) -> bool:
        """Whether the picture cannot be imported, however a deployment weighs findings."""
        return CATALOGUE[self.code].fixed


class Issues:
    """The issues on one picture: each code once a field, and not without end."""

    def __init__(self) -> None:
        self._issues: dict[tuple[str, str | None], Issue] = {}

    def __iter__(self) -> Iterator[Issue]:
        return iter(self._issues.values())

    def add(
        self, code: str, field: str | None = None, *, expected: Bilingual | None = None, found: Bilingual | None = None
    ) -> None:
        """Note an issue; what makes a picture impossible to import always finds room."""
        issue = Issue(code, field, expected, found)
        key = (code, field)
        if key in self._issues:
            return
        if len(self._issues) >= MOST_ISSUES:
            if not issue.fatal or self.fatal():
                return
            self._issues.popitem()
        self._issues[key] = issue

    def fatal(self) -> bool:
        """Whether one of them makes the picture impossible to import."""
        return any(issue.fatal for issue in self)
