"""What an inspection has to say of a picture, before anybody weighs it."""

from collections.abc import Iterator
from dataclasses import dataclass

from nachet_pipeline.contract.catalogue import CATALOGUE
from nachet_pipeline.phrases import Phrase

MOST_REMARKS = 50
"""A crafted picture could otherwise have something wrong in each of a million places."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to say of a picture.

    Attributes:
        code: a key of the contract's catalogue.
        field: the tag or chunk concerned, such as `GPSInfo` or `tEXt Author`; None for the file as a whole.
        expected: what was expected.
        found: what is there; never somebody's name or whereabouts.
    """

    code: str
    field: str | None = None
    expected: Phrase | None = None
    found: Phrase | None = None

    @property
    def fatal(self) -> bool:
        """Whether the picture cannot be imported, however a deployment weighs findings."""
        return CATALOGUE[self.code].fixed


class Remarks:
    """The remarks on one picture: each code once a field, and not without end."""

    def __init__(self) -> None:
        self._remarks: dict[tuple[str, str | None], Remark] = {}

    def __iter__(self) -> Iterator[Remark]:
        return iter(self._remarks.values())

    def add(
        self, code: str, field: str | None = None, *, expected: Phrase | None = None, found: Phrase | None = None
    ) -> None:
        """Note a remark; what makes a picture impossible to import always finds room."""
        remark = Remark(code, field, expected, found)
        key = (code, field)
        if key in self._remarks:
            return
        if len(self._remarks) >= MOST_REMARKS:
            if not remark.fatal or self.fatal():
                return
            self._remarks.popitem()
        self._remarks[key] = remark

    def fatal(self) -> bool:
        """Whether one of them makes the picture impossible to import."""
        return any(remark.fatal for remark in self)
