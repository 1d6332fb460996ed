"""Reading an uploader's YAML without trusting it.

Only the event stream of the parser is used, never a loader: nesting is counted before anything is built, and
anchors, aliases, tags, second documents and duplicate keys are refused where they stand. Every scalar stays text, so
that `no`, `1_000` or `12:30` mean what the uploader wrote; the models decide what a value is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

# Written as escapes; a database cannot store the first of them.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
MAX_BYTES = 1024 * 1024
MAX_DEPTH = 20
MAX_EVENTS = 20_000

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text, both numbers from 1."""

    line: int
    column: int


class YamlError(ValueError):
    """A text that cannot be read as the contract's YAML.

    Attributes:
        problem: `syntax`, `duplicate` or `forbidden`.
        position: where, if known.
        expected: what the contract asks for.
        found: what is there.
    """

    def __init__(self, problem: str, position: Position | None, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.problem = problem
        self.position = position
        self.expected = expected
        self.found = found


@dataclass(slots=True)
class YamlDocument:
    """A mapping as it was written, with the place of every key.

    Attributes:
        values: keys to text, None (an empty value), mappings or lists of the same.
        positions: from the path of keys to the place of the key.
    """

    values: dict[str, Any] = field(default_factory=dict)
    positions: dict[Path, Position] = field(default_factory=dict)


def read_yaml(content: bytes) -> YamlDocument:
    """Read one YAML mapping.

    Args:
        content: the file's bytes: UTF-8, with or without a byte order mark, with any line ends.

    Raises:
        YamlError: it is not UTF-8, not YAML, not one mapping, or uses a forbidden construct.
    """
    if len(content) > MAX_BYTES:
        raise YamlError("forbidden", None, f"at most {MAX_BYTES} bytes", f"{len(content)} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise YamlError(
            "syntax", Position(line, column), "UTF-8 text", f"the byte 0x{content[error.start]:02x}"
        ) from None
    return _Builder().build(text)


def _position(event: Any) -> Position:
    return Position(event.start_mark.line + 1, event.start_mark.column + 1)


def _events(text: str) -> Iterator[Any]:
    try:
        for number, event in enumerate(yaml.parse(text, Loader=_Loader), start=1):
            if number > MAX_EVENTS:
                raise YamlError("forbidden", _position(event), f"at most {MAX_EVENTS} values", "more")
            yield event
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(mark.line + 1, mark.column + 1) if mark else None
        problem = (error.problem or "a syntax error").removeprefix("found ")
        raise YamlError("syntax", position, "YAML", problem) from None
    except yaml.YAMLError as error:
        # The reader's errors (a control character, say) carry an offset in bytes instead of a mark.
        offset = getattr(error, "position", None)
        position = None
        if isinstance(offset, int):
            before = text.encode()[:offset].decode(errors="ignore")
            position = Position(before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise YamlError("syntax", position, "YAML", getattr(error, "reason", None) or "a syntax error") from None


@dataclass(slots=True)
class _Level:
    path: Path
    container: dict[str, Any] | list[Any]
    key: str | None = None


class _Builder:
    """Turns events into a document, one level of nesting after another, without recursion."""

    def __init__(self) -> None:
        self.document = YamlDocument()
        self.levels: list[_Level] = []
        self.documents = 0

    def build(self, text: str) -> YamlDocument:
        for event in _events(text):
            if getattr(event, "anchor", None) is not None:
                what = "an alias" if isinstance(event, yaml.AliasEvent) else "an anchor"
                raise YamlError("forbidden", _position(event), "plain values", f"{what} ({event.anchor})")
            if getattr(event, "tag", None) is not None:
                raise YamlError("forbidden", _position(event), "plain values", f"the tag {event.tag}")
            control = _CONTROL.search(getattr(event, "value", None) or "")
            if control:
                raise YamlError("forbidden", _position(event), "text", f"the character U+{ord(control[0]):04X}")
            self._take(event)
        return self.document

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise YamlError("forbidden", _position(event), "one document", "a second document")
        elif isinstance(event, yaml.MappingStartEvent):
            self._open({}, event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open([], event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self.levels.pop()
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)

    def _open(self, container: dict[str, Any] | list[Any], event: Any) -> None:
        if len(self.levels) >= MAX_DEPTH:
            raise YamlError("forbidden", _position(event), f"at most {MAX_DEPTH} levels", "deeper nesting")
        if not self.levels:
            if not isinstance(container, dict):
                raise YamlError("syntax", _position(event), "keys and values", "a list")
            self.document.values = container
            self.levels.append(_Level((), container))
            return
        self.levels.append(_Level(self._place(container, event), container))

    def _scalar(self, event: Any) -> None:
        if not self.levels:
            if event.value == "" and event.implicit[0]:
                return  # an empty document
            raise YamlError("syntax", _position(event), "keys and values", f"the text {event.value[:40]!r}")
        level = self.levels[-1]
        if isinstance(level.container, dict) and level.key is None:
            if event.value in level.container:
                raise YamlError("duplicate", _position(event), "each key once", f"{event.value[:80]} again")
            level.key = event.value
            self.document.positions[(*level.path, event.value)] = _position(event)
            return
        plain = event.style is None or event.style == ""
        empty = plain and event.value in {"", "~", "null", "Null", "NULL"}
        self._place(None if empty else event.value, event)

    def _place(self, value: Any, event: Any) -> Path:
        level = self.levels[-1]
        if isinstance(level.container, list):
            path: Path = (*level.path, len(level.container))
            level.container.append(value)
            self.document.positions[path] = _position(event)
            return path
        if level.key is None:
            raise YamlError("forbidden", _position(event), "text as a key", "a mapping or list as a key")
        path = (*level.path, level.key)
        level.container[level.key] = value
        level.key = None
        return path
