"""Explains the messages of the YAML parser to the author of an index.yaml, in both languages."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nachet_pipeline.support.i18n import Bilingual


@dataclass(frozen=True, slots=True)
class Problem:
    """A syntax error in words.

    Attributes:
        found: what is there.
        suggestion: what was probably meant, if that can be guessed.
    """

    found: Bilingual
    suggestion: Bilingual | None = None


_ALIGN = Bilingual(
    "the same number of spaces before all keys of a section",
    "le même nombre d'espaces devant toutes les clés d'une section",
)
_QUOTE = Bilingual(
    "quotes around the value if it contains a colon: description: 'taken at 12: again', or the same indentation "
    "as the line above",
    "des guillemets droits autour de la valeur si elle contient un deux-points : description: 'prise à 12: encore', "
    "ou le même retrait que la ligne précédente",
)
_COLON = Bilingual(
    "a colon and a space after the key (zoom: 30)", "un deux-points et un espace après la clé (zoom: 30)"
)
_QUOTE_START = Bilingual(
    "quotes around a value that starts with a special character: description: '@ 30 h'",
    "des guillemets droits autour d'une valeur qui commence par un caractère spécial : description: '@ 30 h'",
)
_CLOSE_QUOTE = Bilingual("the same quote at the end of the value", "le même guillemet droit à la fin de la valeur")
_BRACKET = Bilingual(
    "the closing bracket, or quotes around a value that starts with [ or {",
    "le crochet fermant, ou des guillemets droits autour d'une valeur qui commence par [ ou {",
)
_BACKSLASH = Bilingual(
    "single quotes ('…') around a value with backslashes",
    "des apostrophes ('…') autour d'une valeur avec des barres obliques inverses",
)
_SPACES = Bilingual("spaces in place of each tab", "des espaces à la place de chaque tabulation")
_TAB = Problem(Bilingual("a tab as indentation", "une tabulation comme retrait"), _SPACES)

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
                "the list on lines of its own, or quotes around a value that starts with -",
                "la liste sur ses propres lignes, ou des guillemets droits autour d'une valeur qui commence par -",
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
            Bilingual(
                "the end of the file inside a quoted value", "la fin du fichier dans une valeur entre guillemets"
            ),
            _CLOSE_QUOTE,
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
                Bilingual("no line that starts with %", "aucune ligne qui commence par %"),
            ),
        ),
        "control characters are not allowed": Problem(
            Bilingual("a control character", "un caractère de commande"),
        ),
        "": Problem(Bilingual("something else", "autre chose")),
    }
)


def explain(problem: str, line: str) -> Problem:
    """Explain a message of the parser; an unknown one is returned as it is.

    Args:
        problem: the parser's message.
        line: the text of the line up to and with the place of the problem.
    """
    indentation = line[: len(line) - len(line.lstrip(" \t"))]
    if "\t" in indentation:
        # Whatever the parser reports, the tab is the cause: YAML does not allow it as indentation.
        return _TAB
    return _PROBLEMS.get(problem) or Problem(Bilingual.same(problem))
