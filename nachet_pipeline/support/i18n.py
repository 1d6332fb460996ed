"""Short texts in English and French. Records carry both; people read one."""

from dataclasses import dataclass
from typing import Literal, Self

Language = Literal["en", "fr"]


@dataclass(frozen=True, slots=True)
class Bilingual:
    """The same statement in both languages of the agency.

    >>> Bilingual("a whole number", "un nombre entier").in_language("fr")
    'un nombre entier'
    """

    en: str
    fr: str

    def in_language(self, language: Language) -> str:
        """The text in one of the languages."""
        return self.fr if language == "fr" else self.en

    @classmethod
    def same(cls, text: str) -> Self:
        """A text that is the same in both: a name, a value as somebody wrote it, a number with its unit's symbol."""
        return cls(text, text)
