"""Which names a staged file may have, and which files every operating system leaves behind."""

import re
import unicodedata
from fnmatch import translate

from nachet_pipeline.support.i18n import Bilingual, Language

MAX_NAME_BYTES = 200
_LITTER = (
    # macOS
    *(".ds_store", "._*", "__macosx", "icon\r", ".spotlight-v100", ".trashes", ".fseventsd", ".temporaryitems"),
    *(".documentrevisions-v100", ".apdisk", ".appledouble", ".appledb", ".appledesktop", ".localized"),
    *(".volumeicon.icns", "network trash folder", "temporary items"),
    # Windows
    *("thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin"),
    *("system volume information", "*:zone.identifier"),
    # Linux, and storage boxes of the network
    *(".directory", ".trash-*", ".nfs*", "lost+found", "@eadir", "@tmp", "#recycle"),
    # Editors and office programs: locks and copies of a file that is open or was changed
    *("~$*", ".~lock.*#", ".[#]*", "[#]*[#]", "*~", ".*.sw[nop]"),
)
_LITTER_PATTERN = re.compile("|".join(translate(pattern) for pattern in _LITTER))
_PORTS = (f"{port}{n}" for port in ("com", "lpt") for n in (*range(1, 10), "¹", "²", "³"))
_RESERVED = {"con", "prn", "aux", "nul", "conin$", "conout$", *_PORTS}
# Control, format, surrogate, private use and unassigned characters, separators of lines and of paragraphs.
_REFUSED_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_NO_NAMES = {"", ".", ".."}
_INVISIBLE = {
    "\u00a0": Bilingual("no-break space", "espace insécable"),
    "\u00ad": Bilingual("soft hyphen", "trait d'union conditionnel"),
    "\u2007": Bilingual("figure space", "espace de chiffre"),
    "\u2009": Bilingual("thin space", "espace fine"),
    "\u200b": Bilingual("zero-width space", "espace sans chasse"),
    "\u200c": Bilingual("zero-width non-joiner", "antiliant sans chasse"),
    "\u200d": Bilingual("zero-width joiner", "liant sans chasse"),
    "\u202f": Bilingual("narrow no-break space", "espace fine insécable"),
    "\u2060": Bilingual("word joiner", "gluon de mots"),
    "\u3000": Bilingual("ideographic space", "espace idéographique"),
    "\ufeff": Bilingual("byte order mark", "indicateur d'ordre des octets"),
}
_INVISIBLE_PATTERN = re.compile(f"[{''.join(_INVISIBLE)}]")
_WITH_MARKS = re.compile(r"\w[\u0300-\u036f]+")
_WRITTEN = Bilingual("written", "écrit")


def printable(text: str) -> str:
    """A text as one line that is safe for any output: control characters and invalid UTF-8 become escapes."""
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _REFUSED_CATEGORIES
        else character
        for character in text
    )


def visible(text: str, language: Language) -> str:
    """A text in which characters that nobody sees are named, and accents that are characters of their own are told.

    >>> visible("30\u00a0x", "en")
    '30[no-break space]x'
    >>> visible("e\u0301te\u0301", "en") == "\u00e9t\u00e9 (\u00e9 written e + U+0301)"
    True
    """
    if text.isascii():
        return text
    seen = _INVISIBLE_PATTERN.sub(lambda found: f"[{_INVISIBLE[found[0]].in_language(language)}]", text)
    written = dict.fromkeys(
        found[0] for found in _WITH_MARKS.finditer(seen) if len(unicodedata.normalize("NFC", found[0])) == 1
    )
    if not written:
        return seen
    word = _WRITTEN.in_language(language)
    told = ", ".join(f"{unicodedata.normalize('NFC', one)} {word} {_spelt(one)}" for one in written)
    return f"{unicodedata.normalize('NFC', seen)} ({told})"


def _spelt(cluster: str) -> str:
    """A letter and the marks after it, each mark by its code."""
    return " + ".join([cluster[0], *(f"U+{ord(mark):04X}" for mark in cluster[1:])])


def is_litter(path: str) -> bool:
    """Whether a system or a program left the file behind (`.DS_Store`, `._1.tiff`, `Thumbs.db`, `~$notes.docx`, …)."""
    parts = path.split("/")
    return _NO_NAMES.isdisjoint(parts) and any(_LITTER_PATTERN.fullmatch(part.casefold()) for part in parts)


def is_hidden(path: str) -> bool:
    """Whether the name of the file, or of a folder around it, starts with a dot."""
    hidden = path.startswith(".") or "/." in path
    return hidden and _NO_NAMES.isdisjoint(path.split("/"))


def fold(path: str) -> str:
    """A key that is equal for two names that some file systems take for one: without case, accents normalised."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def too(path: str) -> Bilingual:
    """The other path of two with the same name, as a finding shows it."""
    return Bilingual(f"{path} too", f"{path} aussi")


def usual(path: str) -> str:
    """A path as every system writes it: accents composed, names without outer spaces and without a final dot."""
    parts = unicodedata.normalize("NFC", path).split("/")
    return "/".join(part.strip().rstrip(". ") or part for part in parts)


def why_unsafe(path: str, max_bytes: int = MAX_NAME_BYTES) -> Bilingual | None:
    """Why a path is unsafe; None if it is safe.

    Args:
        path: relative to its upload, with `/` between its parts.
        max_bytes: the longest part, in bytes of UTF-8.
    """
    for part in path.split("/"):
        if part in _NO_NAMES:
            return Bilingual("an empty part, . or ..", "une partie vide, . ou ..")
        if len(part.encode("utf-8", "surrogatepass")) > max_bytes:
            return Bilingual(f"a name of more than {max_bytes} bytes", f"un nom de plus de {max_bytes} octets")
        if "\\" in part:
            return Bilingual("a backslash", "une barre oblique inverse")
        # A printable text has no refused category; a space may be unprintable and still allowed.
        for character in "" if part.isprintable() else part:
            if unicodedata.category(character) in _REFUSED_CATEGORIES:
                return _character(character)
        if part.split(".", 1)[0].rstrip(" ").casefold() in _RESERVED:
            return Bilingual(f"{part}, a name reserved by Windows", f"{part}, un nom réservé par Windows")
    return None


def unusual_part(path: str) -> tuple[str, Bilingual] | None:
    """The first name in a safe path that some systems write or show differently.

    Returns:
        The path up to and including that name, and what is unusual about it; None if nothing is.
    """
    parts = path.split("/")
    for number, part in enumerate(parts, start=1):
        if why := _why_unusual(part):
            return "/".join(parts[:number]), why
    return None


def _why_unusual(part: str) -> Bilingual | None:
    if part != part.strip():
        return Bilingual("a space at the beginning or end of a name", "un espace au début ou à la fin d'un nom")
    if part.endswith("."):
        return Bilingual("a dot at the end of a name", "un point à la fin d'un nom")
    if not unicodedata.is_normalized("NFC", part):
        return Bilingual("accents written as characters of their own", "des accents écrits comme caractères séparés")
    return None


def _character(character: str) -> Bilingual:
    code = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "")
    return Bilingual(f"the character {code} {name}".rstrip(), f"le caractère {code} {name}".rstrip())
