"""Reads an uploader's YAML without trusting it.

It reads the event stream of the parser and uses no loader. So nesting is counted before anything is built, and anchors,
aliases, tags, second documents and duplicate keys are found at their place. Every scalar stays text, so that `no`,
`1_000` or `12:30` mean what the uploader wrote; the models decide the type of a value.
"""

import codecs
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from nachet_pipeline.contract.documents import kind_of_document
from nachet_pipeline.contract.yaml_problems import Line, explain
from nachet_pipeline.support.i18n import Bilingual

# Written as escapes, because neither a database nor a terminal takes these characters.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_REPLACEMENT = "\ufffd"
_LINE_END = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_OTHER_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_MAX_PROBLEMS = 50
_SHOWN = 80
_LONGEST_LINE = 1_000

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class YamlLimits:
    """How large a YAML file may be.

    Attributes:
        bytes: of the file.
        depth: levels of nesting.
        events: keys, values, and beginnings and ends of mappings and lists.
    """

    bytes: int = 1024 * 1024
    depth: int = 20
    events: int = 20_000


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text, both numbers from 1."""

    line: int
    column: int


class YamlError(ValueError):
    """A text is not YAML as the contract allows it.

    Attributes:
        problem: `syntax`, `duplicate` or `forbidden`.
        position: where, if known.
        expected: what the contract asks for.
        found: what is there.
        suggestion: what was probably meant, if that can be guessed.
        advice: what to do, a sentence.
        path: the keys that lead to the place, as written; empty if they are not known.
    """

    def __init__(
        self,
        problem: str,
        position: Position | None,
        expected: Bilingual,
        found: Bilingual,
        *,
        suggestion: Bilingual | None = None,
        advice: Bilingual | None = None,
        path: Path = (),
    ) -> None:
        super().__init__(f"expected {expected.en}, found {found.en}")
        self.problem = problem
        self.position = position
        self.expected = expected
        self.found = found
        self.suggestion = suggestion
        self.advice = advice
        self.path = path


@dataclass(slots=True)
class YamlDocument:
    """A mapping as it was written, with the place of every key.

    Attributes:
        values: keys to text, None (an empty value), mappings or lists of the same.
        positions: from the path of keys to the place of the key.
    """

    values: dict[str, Any] = field(default_factory=dict)
    positions: dict[Path, Position] = field(default_factory=dict)


_DEFAULT_LIMITS = YamlLimits()
YAML = Bilingual("YAML", "du YAML")
"""What is expected where nothing more exact can be said."""

_PLAIN_VALUES = Bilingual("plain keys and values", "de simples clés et valeurs")
_KEYS_AND_VALUES = Bilingual("keys and values (zoom: 30)", "des clés et des valeurs (zoom: 30)")
_TEXT_WITHOUT_CONTROLS = Bilingual("text without control characters", "du texte sans caractère de commande")
_PLAIN_TEXT = Bilingual("a plain text file", "un fichier de texte brut")
_UTF8 = Bilingual("UTF-8 text", "du texte en UTF-8")
_SAVE_AS_UTF8 = Bilingual(
    "In the editor, save the file again with the encoding UTF-8.",
    "Dans l'éditeur, enregistrez de nouveau le fichier avec l'encodage UTF-8.",
)
_QUOTES_OR_PLAIN = Bilingual(
    "Write the value itself; put quotes around a text that starts with *.",
    "Écrivez la valeur elle-même; mettez entre guillemets droits un texte qui commence par *.",
)
_ONE_DOCUMENT = Bilingual("Remove the line ---.", "Supprimez la ligne ---.")
_NO_DASHES = Bilingual(
    "Remove the dash (-) before each key.",
    "Supprimez le tiret (-) devant chaque clé.",
)
_COLON_AFTER_KEY = Bilingual(
    "Put a colon and a space after each key, as in zoom: 30.",
    "Mettez un deux-points et un espace après chaque clé, comme dans zoom: 30.",
)
_REMOVE_IT = Bilingual(
    "Remove the character; if it cannot be seen, type the line anew.",
    "Supprimez le caractère; s'il ne se voit pas, retapez la ligne.",
)
_TEXT_EDITOR = Bilingual(
    "Write it anew with a text editor (Notepad, TextEdit in plain text mode), and save it as UTF-8.",
    "Récrivez-le avec un éditeur de texte (Bloc-notes, TextEdit en mode texte brut) et enregistrez-le en UTF-8.",
)


def read_yaml(
    content: bytes, limits: YamlLimits = _DEFAULT_LIMITS, problems: list[YamlError] | None = None
) -> YamlDocument:
    """Read one YAML mapping.

    Args:
        content: the file's bytes: UTF-8, with or without a byte order mark, with any line ends.
        limits: how large it may be.
        problems: takes problems that let the rest be read: duplicate keys (the first value is kept), anchors, tags and
            control characters. If it is not given, they are raised too.

    Raises:
        YamlError: it is not UTF-8, not YAML, not one mapping, too large, or has aliases.
    """
    if len(content) > limits.bytes:
        raise too_many_bytes(len(content), limits)
    if other := kind_of_document(content):
        # One reason: what a parser says of its bytes helps nobody.
        raise YamlError("syntax", None, _PLAIN_TEXT, other, advice=_TEXT_EDITOR)
    found: list[YamlError] = [] if problems is None else problems
    document = _Builder(limits, found).build(_without_controls(_decoded(content), found))
    if problems is None and found:
        raise found[0]
    return document


def too_many_bytes(size: int, limits: YamlLimits) -> YamlError:
    """The error for a file of too many bytes."""
    return YamlError(
        "forbidden",
        None,
        Bilingual(f"at most {limits.bytes} bytes", f"au plus {limits.bytes} octets"),
        Bilingual(f"{size} bytes", f"{size} octets"),
    )


def _decoded(content: bytes) -> str:
    for mark, name in _OTHER_ENCODINGS:
        if content.startswith(mark):
            raise _not_utf8(Position(1, 1), Bilingual(f"text in {name}", f"du texte en {name}"))
    if len(content) > 1 and 0 in content[:2] and content[0] != content[1]:
        # Every second byte of English UTF-16 is zero.
        raise _not_utf8(Position(1, 1), Bilingual("text in UTF-16", "du texte en UTF-16"))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", errors="replace")
        byte = content[error.start]
        meant = bytes([byte]).decode("cp1252", errors="ignore")
        code = f"0x{byte:02x}" + (f" ({meant} in Windows-1252)" if meant.isalpha() else "")
        code_fr = code.replace(" in ", " en ")
        raise _not_utf8(_end_of(before), Bilingual(f"the byte {code}", f"l'octet {code_fr}")) from None


def _not_utf8(position: Position, found: Bilingual) -> YamlError:
    return YamlError("syntax", position, _UTF8, found, advice=_SAVE_AS_UTF8)


def _end_of(text: str, start: Position = Position(1, 1)) -> Position:
    """The place right after a text that starts at a place."""
    ends = list(_LINE_END.finditer(text))
    if not ends:
        return Position(start.line, start.column + len(text))
    return Position(start.line + len(ends), len(text) - ends[-1].end() + 1)


def _without_controls(text: str, problems: list[YamlError]) -> str:
    """Replace control characters and record each of them: the parser would stop at the first."""
    place, done = Position(1, 1), 0
    for control in _CONTROL.finditer(text):
        if len(problems) >= _MAX_PROBLEMS:
            break
        place, done = _end_of(text[done : control.start()], place), control.start()
        problems.append(_control(control[0], place))
    return _CONTROL.sub(_REPLACEMENT, text)


def _control(character: str, position: Position, path: Path = ()) -> YamlError:
    code = f"U+{ord(character):04X}"
    found = Bilingual(f"the character {code}", f"le caractère {code}")
    return YamlError("forbidden", position, _TEXT_WITHOUT_CONTROLS, found, advice=_REMOVE_IT, path=path)


def _position(event: Any) -> Position:
    return Position(event.start_mark.line + 1, event.start_mark.column + 1)


def _events(text: str, limits: YamlLimits) -> Iterator[Any]:
    try:
        for number, event in enumerate(yaml.parse(text, Loader=_Loader), start=1):
            if number > limits.events:
                expected = Bilingual(f"at most {limits.events} values", f"au plus {limits.events} valeurs")
                raise YamlError("forbidden", _position(event), expected, Bilingual("more", "davantage"))
            yield event
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if error.context in _BEGINS_THERE and error.problem in _ENDS_LATER and error.context_mark:
            mark = error.context_mark
        position = Position(mark.line + 1, mark.column + 1) if mark else None
        here, above = _lines_at(text, position.line) if position else (None, None)
        said = error.problem or ""
        if said == "did not find expected node content" and position and position.line > text.count("\n"):
            said = _UNFINISHED.get(error.context or "", said)
        problem = explain(said, here, position.column if position else 1, above)
        if problem.place:
            position = Position(*problem.place)
        raise YamlError(
            "syntax", position, YAML, problem.found, suggestion=problem.suggestion, advice=problem.advice
        ) from None
    except yaml.YAMLError as error:
        problem = explain(getattr(error, "reason", None) or "")
        raise YamlError("syntax", None, YAML, problem.found, advice=problem.advice) from None


# Where the parser reports the end of something, people look for its beginning.
_BEGINS_THERE = {
    "while scanning a quoted scalar",
    "while scanning a simple key",
    "while scanning an alias",
    "while scanning an anchor",
}
_ENDS_LATER = {
    "found unexpected end of stream",
    "could not find expected ':'",
    "did not find expected alphabetic or numeric character",
}


# At the end of the file a bracket is open, whatever else was expected there.
_UNFINISHED = {"while parsing a flow node": "did not find expected ',' or ']'"}


def _lines_at(text: str, wanted: int) -> tuple[Line, Line | None]:
    """A line, and the last one before it that is not empty; at most the first thousand characters of each."""
    start, above, here = 0, None, Line(wanted, "")
    ends = (end.span() for end in _LINE_END.finditer(text))
    for number, (end, following) in enumerate((*ends, (len(text), len(text))), start=1):
        here = Line(number, text[start : min(end, start + _LONGEST_LINE)])
        start = following
        if number >= wanted:
            break
        above = here if here.text.strip() else above
    return here, above


@dataclass(slots=True)
class _Level:
    path: Path
    container: dict[str, Any] | list[Any]
    key: str | None = None
    again: bool = False


class _Builder:
    """Builds a document of events, without recursion."""

    def __init__(self, limits: YamlLimits, problems: list[YamlError]) -> None:
        self.document = YamlDocument()
        self.limits = limits
        self.problems = problems
        self.levels: list[_Level] = []
        self.documents = 0

    def build(self, text: str) -> YamlDocument:
        for event in _events(text, self.limits):
            self._check(event)
            self._take(event)
        return self.document

    def _here(self) -> Path:
        level = self.levels[-1] if self.levels else None
        if level is None:
            return ()
        return level.path if level.key is None else (*level.path, level.key)

    def _forbid(self, event: Any, found: Bilingual, sign: str) -> None:
        if len(self.problems) < _MAX_PROBLEMS:
            advice = Bilingual(
                f"Put double quotes around a text that starts with {sign}.",
                f"Mettez entre guillemets droits un texte qui commence par {sign}.",
            )
            place = _position(event)
            self.problems.append(YamlError("forbidden", place, _PLAIN_VALUES, found, advice=advice, path=self._here()))

    def _check(self, event: Any) -> None:
        """Record what is forbidden in a value; an alias is raised, because it hides the value."""
        anchor: str | None = getattr(event, "anchor", None)
        tag: str | None = getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent) and anchor is not None:
            name = f"*{anchor[:_SHOWN]}"
            found = Bilingual(f"an alias ({name})", f"un alias ({name})")
            raise YamlError(
                "forbidden",
                _position(event),
                _PLAIN_VALUES,
                found,
                advice=_QUOTES_OR_PLAIN,
                path=self._here(),
            )
        if anchor is not None:
            self._forbid(event, Bilingual(f"an anchor (&{anchor[:_SHOWN]})", f"une ancre (&{anchor[:_SHOWN]})"), "&")
        if tag is not None:
            self._forbid(event, Bilingual(f"the tag {tag[:_SHOWN]}", f"l'étiquette {tag[:_SHOWN]}"), "!")
        control = _CONTROL.search(getattr(event, "value", None) or "")
        if control:
            if len(self.problems) < _MAX_PROBLEMS:
                self.problems.append(_control(control[0], _position(event), self._here()))
            event.value = _CONTROL.sub(_REPLACEMENT, event.value)

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                one, two = Bilingual("one document", "un seul document"), Bilingual("a second one", "un deuxième")
                raise YamlError("forbidden", _position(event), one, two, advice=_ONE_DOCUMENT)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open({}, event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open([], event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self.levels.pop()
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)

    def _open(self, container: dict[str, Any] | list[Any], event: Any) -> None:
        if len(self.levels) >= self.limits.depth:
            expected = Bilingual(f"at most {self.limits.depth} levels", f"au plus {self.limits.depth} niveaux")
            found = Bilingual("deeper nesting", "une imbrication plus profonde")
            raise YamlError("forbidden", _position(event), expected, found)
        if not self.levels:
            if not isinstance(container, dict):
                a_list = Bilingual("a list", "une liste")
                raise YamlError("syntax", _position(event), _KEYS_AND_VALUES, a_list, advice=_NO_DASHES)
            self.document.values = container
            self.levels.append(_Level((), container))
            return
        self.levels.append(_Level(self._place(container, event), container))

    def _scalar(self, event: Any) -> None:
        if not self.levels:
            if event.value == "" and event.implicit[0]:
                return  # an empty document
            text = event.value[:40]
            found = Bilingual(f"the text {text!r}", f"le texte {text!r}")
            raise YamlError("syntax", _position(event), _KEYS_AND_VALUES, found, advice=_COLON_AFTER_KEY)
        level = self.levels[-1]
        if isinstance(level.container, dict) and level.key is None:
            self._key(level, event)
            return
        plain = event.style is None or event.style == ""
        empty = plain and event.value in {"", "~", "null", "Null", "NULL"}
        self._place(None if empty else event.value, event)

    def _key(self, level: _Level, event: Any) -> None:
        path = (*level.path, event.value)
        level.again = event.value in level.container
        level.key = event.value
        if level.again and len(self.problems) < _MAX_PROBLEMS:
            first = self.document.positions[path]
            key = event.value[:_SHOWN] or "''"
            found = Bilingual(f"{key}, as in line {first.line}", f"{key}, comme à la ligne {first.line}")
            once = Bilingual("each key once", "chaque clé une seule fois")
            self.problems.append(YamlError("duplicate", _position(event), once, found, path=path))
        self.document.positions.setdefault(path, _position(event))

    def _place(self, value: Any, event: Any) -> Path:
        level = self.levels[-1]
        if isinstance(level.container, list):
            path: Path = (*level.path, len(level.container))
            level.container.append(value)
            self.document.positions.setdefault(path, _position(event))
            return path
        if level.key is None:
            expected = Bilingual("text as a key", "du texte comme clé")
            found = Bilingual("a group of keys or a list as a key", "un groupe de clés ou une liste comme clé")
            raise YamlError("forbidden", _position(event), expected, found)
        path = (*level.path, level.key)
        if not level.again:
            level.container[level.key] = value
        level.key = None
        return path


def listed_entries(
    document: YamlDocument, key: str, known: Collection[str], source: str, problem: type[ValueError]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The entries of an operator's file whose one key holds a list of them: the line of each, and what it says.

    Args:
        document: the file.
        key: the one key.
        known: keys that an entry may have.
        source: the file's name.
        problem: the type of the error.

    Raises:
        ValueError: something else is there; the error has the type `problem`.
    """
    entries = document.values.get(key)
    if not isinstance(entries, list) or set(document.values) != {key}:
        found = ", ".join(sorted(document.values)) or "nothing"
        raise problem(f"{source}:1: expected the one key {key} with a list, found {found[:200]}")
    for number, entry in enumerate(entries):
        line = document.positions[key, number].line
        if not isinstance(entry, dict):
            raise problem(f"{source}:{line}: expected keys and values, found {str(entry)[:80]!r}")
        if unknown := sorted(set(entry) - set(known)):
            raise problem(f"{source}:{line}: expected keys of {', '.join(known)}, found {unknown[0][:80]!r}")
        yield line, entry


def yaml_document(text: str, source: str, problem: type[ValueError]) -> YamlDocument:
    """Read an operator's YAML file.

    Raises:
        ValueError: it cannot be read; the error has the type `problem`.
    """
    try:
        return read_yaml(text.encode("utf-8", "surrogatepass"))
    except YamlError as error:
        line = f":{error.position.line}" if error.position else ""
        raise problem(f"{source}{line}: {error}") from None
