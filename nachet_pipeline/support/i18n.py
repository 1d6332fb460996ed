"""Short texts in English and French. Records carry both; people read one."""

from collections.abc import Sequence
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


def in_words(names: Sequence[str]) -> Bilingual:
    """Names that are the same in both languages, as people list them.

    >>> in_words(["A", "B", "C"]).en
    'A, B and C'
    """
    first, last = ", ".join(names[:-1]), "".join(names[-1:])
    return Bilingual(f"{first} and {last}", f"{first} et {last}") if first else Bilingual.same(last)
