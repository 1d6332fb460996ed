"""A finding: one thing that a rule reports about an upload."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from nachet_pipeline.contract.catalogue import CATALOGUE, FindingKind, Severity
from nachet_pipeline.contract.names import printable, visible
from nachet_pipeline.support.i18n import Bilingual


class UndeclaredFindingError(LookupError):
    """A rule used a code that the catalogue does not have: a programming error."""


def _printable_in_both(text: Bilingual) -> Bilingual:
    return Bilingual(printable(text.en), printable(text.fr))


def _visible_in_both(text: Bilingual) -> Bilingual:
    return Bilingual(printable(visible(text.en, "en")), printable(visible(text.fr, "fr")))


# An uploader's text must not steer the terminal, the log or the database that a finding ends in.
_Line = Annotated[str, AfterValidator(printable)]
_Words = Annotated[Bilingual, AfterValidator(_printable_in_both)]
# Two texts that look alike are expected and found: what is different must be seen.
_Compared = Annotated[Bilingual, AfterValidator(_visible_in_both)]


class Finding(BaseModel):
    """One thing found in an upload. Each of its texts is one printable line.

    Raises:
        UndeclaredFindingError: the code is not in the catalogue.

    Attributes:
        code: a key of `CATALOGUE`, stable over versions.
        severity: the catalogue's, unless the rule set changes it.
        path: the file concerned, relative to the upload; empty for the upload as a whole.
        sessions: paths of the sessions that inherit a wrong value; empty where `path` says which session is concerned.
        field: the key concerned, as users write it (`seedData.seedGenus`), or a picture's tag (`GPSInfo`).
        line: 1-based line in the file.
        column: 1-based column in the line.
        expected: what the contract asks for.
        found: what is there.
        suggestion: the value that was probably meant, in place of the one that was found.
        advice: what to do about this finding, a sentence; it takes the place of its code's remedy.
        other: path of another picture of the upload that it is about, such as the one that is equal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    severity: Severity = Field(default_factory=lambda given: CATALOGUE[given["code"]].severity)
    path: _Line = ""
    sessions: tuple[_Line, ...] = ()
    field: _Line | None = None
    line: int | None = None
    column: int | None = None
    expected: _Compared | None = None
    found: _Compared | None = None
    suggestion: _Words | None = None
    other: _Line | None = None
    advice: _Words | None = None

    @field_validator("code")
    @classmethod
    def _declared(cls, code: str) -> str:
        if code not in CATALOGUE:
            raise UndeclaredFindingError(f"{code!r} is not in the catalogue of findings")
        return code

    @property
    def kind(self) -> FindingKind:
        """The catalogue's entry."""
        return CATALOGUE[self.code]

    @property
    def rule(self) -> str:
        """The rule that found it: the check it belongs to."""
        return self.kind.check.value

    @property
    def place(self) -> str:
        """Where it is, as `path:line:column`."""
        return ":".join(str(part) for part in (self.path or ".", self.line, self.column) if part is not None)
