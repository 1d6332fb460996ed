"""Which names a staged file may have, and which files every operating system leaves behind."""

import unicodedata

MAX_NAME_BYTES = 200
_LITTER = {".ds_store", "thumbs.db", "desktop.ini", "__macosx"}
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
# Control, format, surrogate, private use and unassigned characters: Unicode general categories.
_REFUSED_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn"}
# Those, and the separators of lines and paragraphs.
_UNPRINTABLE_CATEGORIES = {*_REFUSED_CATEGORIES, "Zl", "Zp"}


def printable(text: str) -> str:
    """A text as one line that any output can carry: what steers a terminal, or is no UTF-8, is shown as escapes."""
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _UNPRINTABLE_CATEGORIES
        else character
        for character in text
    )


def is_litter(path: str) -> bool:
    """Whether an operating system left the file behind (`.DS_Store`, `._1.tiff`, `Thumbs.db`, …)."""
    return any(part.casefold() in _LITTER or part.startswith("._") for part in path.split("/"))


def fold(path: str) -> str:
    """The form in which two names collide on a file system that ignores case or the encoding of accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def why_unsafe(path: str) -> str | None:
    """What makes a path, relative to its upload and with `/` between its parts, unsafe; None if nothing does."""
    for part in path.split("/"):
        if part in {"", ".", ".."}:
            return "an empty part, . or .."
        if len(part.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
            return f"a name of more than {MAX_NAME_BYTES} bytes"
        if "\\" in part:
            return "a backslash"
        for character in part:
            if unicodedata.category(character) in _REFUSED_CATEGORIES:
                return f"the character U+{ord(character):04X}"
        if part.split(".", 1)[0].rstrip(" ").casefold() in _RESERVED:
            return f"{part}, a name reserved by Windows"
    return None
