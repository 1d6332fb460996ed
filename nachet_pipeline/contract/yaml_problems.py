"""Explains the messages of the YAML parser to the author of an index.yaml, in both languages."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nachet_pipeline.support.i18n import Bilingual


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file.

    Attributes:
        number: from 1.
        text: its first thousand characters, without the line's end.
    """

    number: int
    text: str

    @property
    def indentation(self) -> str:
        """The spaces and tabs before its first word."""
        return self.text[: len(self.text) - len(self.text.lstrip(" \t"))]


@dataclass(frozen=True, slots=True)
class Problem:
    """A syntax error in words.

    Attributes:
        found: what is there.
        advice: what to do, a sentence.
        suggestion: the line that was probably meant, if that can be guessed.
        place: line and column, where the parser stopped at another one.
    """

    found: Bilingual
    advice: Bilingual | None = None
    suggestion: Bilingual | None = None
    place: tuple[int, int] | None = None


_ALIGN = Bilingual(
    "Put the same number of spaces before all keys of a section.",
    "Mettez le même nombre d'espaces devant toutes les clés d'une section.",
)
_QUOTE = Bilingual(
    'Put quotes around a value that contains a colon: description: "taken at 12: again".',
    "Mettez des guillemets droits autour d'une valeur qui contient un deux-points, comme dans "
    'description: "prise à 12: encore".',
)
_COLON = Bilingual(
    "Put a colon and a space after the key, as in zoom: 30.",
    "Mettez un deux-points et un espace après la clé, comme dans zoom: 30.",
)
_QUOTE_START = Bilingual(
    'Put quotes around a value that starts with a special character: description: "@ 30 h".',
    "Mettez des guillemets droits autour d'une valeur qui commence par un caractère spécial, comme dans "
    'description: "@ 30 h".',
)
_CLOSE_QUOTE = Bilingual(
    "Put the same quote at the end of the value, in the line in which it begins.",
    "Mettez le même guillemet droit à la fin de la valeur, dans la ligne où elle commence.",
)
_BRACKET = Bilingual(
    "Add the closing bracket, or put quotes around a value that starts with [ or {.",
    "Ajoutez le crochet fermant, ou mettez des guillemets droits autour d'une valeur qui commence par [ ou {.",
)
_BACKSLASH = Bilingual(
    "Put single quotes ('…') around a value with backslashes.",
    "Mettez des apostrophes droites ('…') autour d'une valeur qui contient des barres obliques inverses.",
)
_TAB = Problem(
    Bilingual("a tab as indentation", "une tabulation comme retrait"),
    Bilingual("Put spaces in place of each tab.", "Remplacez chaque tabulation par des espaces."),
)

_PROBLEMS: Mapping[str, Problem] = MappingProxyType(
    {
        "mapping values are not allowed in this context": Problem(
            Bilingual("a colon where no value can begin", "un deux-points là où aucune valeur ne peut commencer"),
            _QUOTE,
        ),
        "mapping keys are not allowed in this context": Problem(
            Bilingual("a key where none can stand", "une clé là où il ne peut y en avoir"), _ALIGN
        ),
        "block sequence entries are not allowed in this context": Problem(
            Bilingual("a list item (-) where none can stand", "un élément de liste (-) là où il ne peut y en avoir"),
            Bilingual(
                "Write the list on lines of its own, or put quotes around a value that starts with -.",
                "Écrivez la liste sur ses propres lignes, ou mettez des guillemets droits autour d'une valeur qui "
                "commence par -.",
            ),
        ),
        "could not find expected ':'": Problem(
            Bilingual("a line without a colon", "une ligne sans deux-points"), _COLON
        ),
        "did not find expected key": Problem(
            Bilingual("a line that does not fit those above it", "une ligne qui ne correspond pas aux précédentes"),
            _ALIGN,
        ),
        "did not find expected '-' indicator": Problem(
            Bilingual(
                "a line that is no list item among list items", "une ligne sans tiret parmi des éléments de liste"
            ),
            _ALIGN,
        ),
        "did not find expected ',' or ']'": Problem(
            Bilingual("a list in brackets that does not end", "une liste entre crochets qui ne se termine pas"),
            _BRACKET,
        ),
        "did not find expected ',' or '}'": Problem(
            Bilingual("keys in braces that do not end", "des clés entre accolades qui ne se terminent pas"), _BRACKET
        ),
        "did not find expected node content": Problem(
            Bilingual("a sign where a value was expected", "un signe là où une valeur était attendue"), _QUOTE_START
        ),
        "did not find expected <document start>": Problem(
            Bilingual("text after the end of the keys and values", "du texte après la fin des clés et des valeurs"),
            _ALIGN,
        ),
        "found character that cannot start any token": Problem(
            Bilingual("a character that no value can start with", "un caractère par lequel aucune valeur ne commence"),
            _QUOTE_START,
        ),
        "found unexpected end of stream": Problem(
            Bilingual("a quote that is opened and not closed", "un guillemet ouvert et jamais fermé"), _CLOSE_QUOTE
        ),
        "found unexpected document indicator": Problem(
            Bilingual("--- or ... inside a quoted value", "--- ou ... dans une valeur entre guillemets"), _CLOSE_QUOTE
        ),
        "found unexpected ':'": Problem(Bilingual("a colon inside brackets", "un deux-points entre crochets"), _QUOTE),
        "found unknown escape character": Problem(
            Bilingual(
                "a backslash before an ordinary character", "une barre oblique inverse devant un caractère ordinaire"
            ),
            _BACKSLASH,
        ),
        "did not find expected hexdecimal number": Problem(
            Bilingual("an incomplete escape (\\x, \\u)", "un code incomplet (\\x, \\u)"), _BACKSLASH
        ),
        "found invalid Unicode character escape code": Problem(
            Bilingual("the code of no character", "un code qui ne désigne aucun caractère"), _BACKSLASH
        ),
        "did not find expected alphabetic or numeric character": Problem(
            Bilingual("& or * at the beginning of a value", "& ou * au début d'une valeur"), _QUOTE_START
        ),
        "did not find expected comment or line break": Problem(
            Bilingual("text after | or >", "du texte après | ou >"), _QUOTE_START
        ),
        "found a tab character where an indentation space is expected": _TAB,
        "found a tab character that violates indentation": _TAB,
        "found a tab character that violate indentation": _TAB,
        "found an indentation indicator equal to 0": Problem(
            Bilingual("an indentation of 0 after | or >", "un retrait de 0 après | ou >"), _QUOTE_START
        ),
        **dict.fromkeys(
            (
                "found undefined tag handle",
                "did not find expected tag URI",
                "did not find URI escaped octet",
                "did not find expected whitespace or line break",
                "did not find the expected '>'",
                "did not find expected '!'",
            ),
            Problem(Bilingual("a value that starts with !", "une valeur qui commence par !"), _QUOTE_START),
        ),
        **dict.fromkeys(
            (
                "found unknown directive name",
                "found unexpected non-alphabetical character",
                "could not find expected directive name",
                "did not find expected version number",
                "did not find expected digit or '.' character",
                "did not find expected whitespace",
                "found extremely long version number",
                "found duplicate %YAML directive",
                "found duplicate %TAG directive",
                "found incompatible YAML document",
            ),
            Problem(
                Bilingual("a line that starts with %", "une ligne qui commence par %"),
                Bilingual("Remove the line that starts with %.", "Supprimez la ligne qui commence par %."),
            ),
        ),
        "control characters are not allowed": Problem(
            Bilingual("a control character", "un caractère de commande"),
        ),
        "": Problem(Bilingual("something else", "autre chose")),
    }
)

_KEY = r"(?P<key>[ \t]*(?:- )?[\w-]{1,80}[ \t]*:)"
_QUOTED = re.compile(_KEY + r"[ \t]+(?P<quote>['\"])(?P<value>.*)")
_VALUE_WITH_COLON = re.compile(_KEY + r"[ \t]+(?P<value>[^'\"\[{].*:.*)")
_NO_SPACE = re.compile(_KEY + r"(?P<value>[^\s/].*)")
_NO_COLON = re.compile(r"(?P<key>[ \t]*[\w-]{1,80})(?:[ \t]*=[ \t]*|[ \t]+)(?P<value>\S{1,80})[ \t]*")
_KEY_ALONE = re.compile(r"[ \t]*[\w-]{1,80}[ \t]*")
_SHOWN = 80


def explain(problem: str, here: Line | None = None, column: int = 1, above: Line | None = None) -> Problem:
    """Explain a message of the parser; an unknown one is returned as it is.

    Args:
        problem: the parser's message.
        here: the line in which the parser stopped.
        column: where in it, from 1.
        above: the last line before it that is not empty.
    """
    if here is not None:
        # Whatever the parser reports, the tab is the cause: YAML does not allow it as indentation.
        if "\t" in here.indentation[: max(column, 1)]:
            return _TAB
        guess = _GUESSES.get(problem)
        if guess and (found := guess(here, column, above)):
            return found
    return _PROBLEMS.get(problem) or Problem(Bilingual.same(problem))


def _after_quoted(here: Line, column: int, _above: Line | None) -> Problem | None:
    """Something follows a quoted value: mostly an apostrophe within single quotes."""
    if here.text[: column - 1].rstrip()[-1:] not in {"'", '"'}:
        return None
    line = _QUOTED.fullmatch(here.text)
    if line is None:
        found = Bilingual("text after the end of a quoted value", "du texte après la fin d'une valeur entre guillemets")
        return Problem(found, _CLOSE_QUOTE)
    quote, (value, closing, rest) = line["quote"], line["value"].rpartition(line["quote"])
    # The last quote of the line ends the value only if nothing but a comment follows it.
    whole = bool(closing) and quote in value and (not rest.strip() or rest.lstrip().startswith("#"))
    if quote == '"':
        found = Bilingual(
            "a double quote inside a value in double quotes, which ends the value there",
            "un guillemet droit dans une valeur entre guillemets droits, qui la termine à cet endroit",
        )
        advice = Bilingual(
            "Put single quotes around the value, or a backslash before each double quote inside it.",
            "Mettez la valeur entre apostrophes droites, ou une barre oblique inverse devant chaque guillemet droit "
            "qu'elle contient.",
        )
        other = "'" if "'" not in value else None
    else:
        found = Bilingual(
            "an apostrophe inside a value in single quotes, which ends the value there",
            "une apostrophe dans une valeur entre apostrophes droites, qui la termine à cet endroit",
        )
        advice = Bilingual(
            "Put double quotes around the value, or double each apostrophe inside it: 'l''automne'.",
            "Mettez la valeur entre guillemets droits, ou doublez chaque apostrophe qu'elle contient, comme dans "
            "'l''automne'.",
        )
        other = '"' if not {'"', "\\"} & set(value) else None
    meant = f"{line['key'].strip()} {other}{value}{other}" if whole and other else None
    return Problem(found, advice, Bilingual.same(meant) if meant and len(meant) <= _SHOWN else None)


def _second_colon(here: Line, column: int, above: Line | None) -> Problem | None:
    """A colon where no value can begin: the fault is in the line above, in the indentation, or in the value."""
    if above and (missing := _NO_SPACE.fullmatch(above.text)):
        return _without_space(above, missing["key"], missing["value"])
    if above and _KEY_ALONE.fullmatch(above.text):
        key = above.text.strip()
        return Problem(
            Bilingual(f"{key} without a colon", f"{key} sans deux-points"),
            _COLON,
            Bilingual.same(f"{key}:"),
            (above.number, len(above.indentation) + 1),
        )
    if line := _VALUE_WITH_COLON.fullmatch(here.text):
        meant = f'{line["key"].strip()} "{line["value"].rstrip()}"'
        fits = len(meant) <= _SHOWN and not {'"', "\\", "#"} & set(line["value"])
        return Problem(
            Bilingual("a colon inside a value", "un deux-points dans une valeur"),
            _QUOTE,
            Bilingual.same(meant) if fits else None,
        )
    if above and len(here.indentation) > len(above.indentation):
        return Problem(
            Bilingual("a line further to the right than those above it", "une ligne plus à droite que les précédentes"),
            _ALIGN,
            place=(here.number, len(here.indentation) + 1),
        )
    return None


def _without_colon(here: Line, _column: int, _above: Line | None) -> Problem | None:
    """A line without a colon and a space after its key."""
    if missing := _NO_SPACE.fullmatch(here.text):
        return _without_space(here, missing["key"], missing["value"])
    if _KEY_ALONE.fullmatch(here.text):
        key = here.text.strip()
        return Problem(Bilingual(f"{key} without a colon", f"{key} sans deux-points"), _COLON)
    if line := _NO_COLON.fullmatch(here.text):
        meant = Bilingual.same(f"{line['key'].strip()}: {line['value']}")
        return Problem(_PROBLEMS["could not find expected ':'"].found, _COLON, meant)
    return None


def _without_space(line: Line, key: str, value: str) -> Problem:
    key, value = key.strip(), value.strip()
    name = key.rstrip(": ")
    return Problem(
        Bilingual(f"no space after the colon of {name}", f"aucun espace après le deux-points de {name}"),
        _COLON,
        Bilingual.same(f"{key} {value}") if len(value) <= _SHOWN else None,
        (line.number, len(line.indentation) + 1),
    )


_GUESSES = {
    "did not find expected key": _after_quoted,
    "mapping values are not allowed in this context": _second_colon,
    "could not find expected ':'": _without_colon,
}
