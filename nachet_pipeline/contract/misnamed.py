"""What a file was meant to be that has another name: a copy, a document, an archive, a hidden suffix.

Browsers, file managers, office programs and cloud services give files names of their own. What such a name means is
known; which of two files is the right one is not, so no advice chooses between them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from posixpath import splitext

from nachet_pipeline.contract.documents import DOCUMENTS
from nachet_pipeline.pictures.forensics.formats import format_by_name
from nachet_pipeline.support.i18n import Bilingual

_PICTURES = (".tiff", ".tif", ".png", ".jpg", ".jpeg")
_YAML = (".yaml", ".yml")
_INDEX = re.compile(r"index\.ya?ml")
# "index (1).yaml", "index - Copy (2).yaml", "index copie.yaml", "index (conflicted copy 2026-11-29).yaml"
_COPY = re.compile(
    r"(?P<stem>.+?)(?: \(\d{1,3}\)| - (?:copy|copie)(?: \(\d{1,3}\))?| (?:copy|copie)(?: \d{1,3})?"
    r"| ?\((?:[^()]{0,80}conflict[^()]{0,80}|copie en conflit[^()]{0,80})\))(?P<suffix>\.\w{1,5})",
    re.IGNORECASE,
)
_COPY_OF = re.compile(r"(?:copy of |copie de )(?P<stem>.+)(?P<suffix>\.\w{1,5})", re.IGNORECASE)
_NUMBERED_INDEX = re.compile(r"index[ _-]?\d{1,2}\.ya?ml")
_PLACEHOLDER = re.compile(r"\.(?P<name>.+)\.icloud", re.IGNORECASE)
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".gz", ".bz2", ".xz")
_UNFINISHED = (".crdownload", ".part", ".partial", ".download", ".opdownload")
_JPEGS = (".jfif", ".jpe", ".jif", ".jfi")
_TEXTS = ("", ".txt", ".text", ".json", ".md", ".yam", ".yalm", ".ymal", ".yaml_", ".ym")
_NOTES = {
    **dict.fromkeys((".txt", ".md", ".log"), Bilingual("a text", "un texte")),
    **dict.fromkeys((".csv", ".tsv"), Bilingual("a table", "un tableau")),
}
_SHORTCUTS = (".lnk", ".url", ".webloc")
_VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".wmv")

_WRITE_INDEX = Bilingual(
    "Write index.yaml with a text editor (Notepad, TextEdit in plain text mode), and leave the document out.",
    "Écrivez index.yaml avec un éditeur de texte (Bloc-notes, TextEdit en mode texte brut) et retirez le document.",
)
_SAY_IT_IN_INDEX = Bilingual(
    "Take it out of the folder. What is to be kept with the pictures is written into index.yaml (description).",
    "Retirez-le du dossier. Ce qui doit accompagner les images s'écrit dans index.yaml (description).",
)
_RENAME_TO_INDEX = Bilingual(
    "Rename it to index.yaml. Windows shows the whole name once View → Show → File name extensions is on.",
    "Renommez-le en index.yaml. Windows montre le nom entier une fois cochée l'option Affichage → Afficher → "
    "Extensions de noms de fichiers.",
)
_TAKE_TXT_OFF = Bilingual(
    "Take .txt off the end of the name. Windows shows the whole name once View → Show → File name extensions is on.",
    "Ôtez .txt de la fin du nom. Windows montre le nom entier une fois cochée l'option Affichage → Afficher → "
    "Extensions de noms de fichiers.",
)
_RENAME_JPEG = Bilingual(
    "Change the suffix to .jpg; nothing else of the file changes.",
    "Remplacez le suffixe par .jpg; rien d'autre ne change dans le fichier.",
)
_UNPACK = Bilingual(
    "Unpack it, put its content where it belongs, and leave the archive out.",
    "Décompressez-la, placez son contenu là où il doit être et retirez l'archive.",
)
_FINISH = Bilingual(
    "Download the file again to its end, and put the complete one in its place.",
    "Téléchargez de nouveau le fichier jusqu'au bout et mettez-le à la place de celui-ci.",
)
_THE_FILE_ITSELF = Bilingual(
    "Put the file itself in place of the shortcut.", "Mettez le fichier lui-même à la place du raccourci."
)
_HIDDEN_SUFFIX = Bilingual("a name with .txt at its end", "un nom qui finit par .txt")
_NO_VIDEO = Bilingual(
    "Take it out of the folder, or export single pictures of it as TIFF, PNG or JPEG.",
    "Retirez-la du dossier, ou exportez-en des images en TIFF, PNG ou JPEG.",
)


@dataclass(frozen=True, slots=True)
class Misnamed:
    """What is known of a file by its name.

    Attributes:
        found: what it is.
        advice: what to do.
        index: whether it was meant as an index.yaml.
        picture: whether it was meant as a picture.
        archive: whether it may hold any number of pictures.
        placeholder: whether a cloud service left it for a file that it has not downloaded.
    """

    found: Bilingual
    advice: Bilingual | None
    index: bool = False
    picture: bool = False
    archive: bool = False
    placeholder: bool = False


def copy_of(name: str) -> str | None:
    """The name of the file that a file is a copy of, as browsers and file managers name copies; None if it is none."""
    found = _COPY.fullmatch(name) or _COPY_OF.fullmatch(name)
    if found:
        return f"{found['stem']}{found['suffix']}"
    return f"index{splitext(name)[1]}" if _NUMBERED_INDEX.fullmatch(name.casefold()) else None


def misnamed(name: str) -> Misnamed | None:
    """What a file without a place in the contract was meant to be, by its name alone; None if that is not known."""
    lower = name.casefold()
    stem, suffix = splitext(lower)
    if hidden := _PLACEHOLDER.fullmatch(name):
        return _placeholder(hidden["name"])
    original = copy_of(name)
    if original and _INDEX.fullmatch(original.casefold()):
        return Misnamed(copied(original), keep_one(original), index=True)
    if suffix in DOCUMENTS:
        is_index = stem == "index" or bool(_INDEX.fullmatch(stem))
        return Misnamed(DOCUMENTS[suffix], _WRITE_INDEX if is_index else _SAY_IT_IN_INDEX, index=is_index)
    if (stem == "index" and suffix in _TEXTS) or (suffix == ".txt" and _INDEX.fullmatch(stem)):
        return Misnamed(Bilingual.same(name), _RENAME_TO_INDEX, index=True)
    if suffix == ".txt" and stem.endswith((*_PICTURES, *_YAML)):
        return Misnamed(_HIDDEN_SUFFIX, _TAKE_TXT_OFF, picture=stem.endswith(_PICTURES))
    return _by_suffix(lower)


def _by_suffix(lower: str) -> Misnamed | None:
    suffix = splitext(lower)[1]
    if suffix in _JPEGS:
        return Misnamed(
            Bilingual(f"a JPEG under its other suffix {suffix}", f"un JPEG sous son autre suffixe {suffix}"),
            _RENAME_JPEG,
            picture=True,
        )
    if suffix in _ARCHIVES:
        return Misnamed(Bilingual("an archive", "une archive"), _UNPACK, archive=True)
    if suffix in _UNFINISHED:
        return Misnamed(
            Bilingual("a download that is not finished", "un téléchargement inachevé"), _FINISH, picture=True
        )
    if other := format_by_name(lower):
        return Misnamed(other.name, other.advice, picture=True)
    if suffix in _SHORTCUTS:
        return Misnamed(
            Bilingual("a shortcut to a file elsewhere", "un raccourci vers un fichier ailleurs"), _THE_FILE_ITSELF
        )
    if suffix in _NOTES and not lower.startswith("_complete"):
        return Misnamed(_NOTES[suffix], _SAY_IT_IN_INDEX)
    if suffix in _VIDEOS:
        return Misnamed(Bilingual("a video", "une vidéo"), _NO_VIDEO)
    return None


def _placeholder(name: str) -> Misnamed | None:
    """What iCloud leaves in place of a file that it keeps elsewhere."""
    lower = name.casefold()
    is_index, is_picture = bool(_INDEX.fullmatch(lower)), lower.endswith(_PICTURES)
    if not (is_index or is_picture or lower.endswith(_YAML)):
        return None
    return Misnamed(
        Bilingual(f"iCloud's placeholder of {name}", f"ce qu'iCloud laisse à la place du fichier {name}"),
        None,
        index=is_index,
        picture=is_picture,
        placeholder=True,
    )


def copied(original: str) -> Bilingual:
    """That a file is a copy of another one."""
    return Bilingual(
        f"a copy of {original} that a browser or a computer made",
        f"une copie du fichier {original}, faite par un navigateur ou un ordinateur",
    )


def keep_one(name: str) -> Bilingual:
    """What to do with two files of which one is right: which one, a person decides."""
    return Bilingual(
        f"Keep the one of the two that is right, name it {name}, and remove the other.",
        f"Gardez celui des deux qui est le bon, nommez-le {name} et supprimez l'autre.",
    )


_TOKENS = re.compile(r"[^\W\d_]+|\d+")
_SHORTEST_WORD = 5
_LIKE = 0.85


def misspelling_of(name: str, names: Iterable[str]) -> str | None:
    """The one of some names that another one misspells; None if that is not plain.

    Who follows it blindly must not mix up two pictures or two sessions: `leaf_01` is not `leaf_02`, and `seed_a` is
    not `seed_b`. So numbers must be the same, and a word may differ only if it is long and nearly the same.
    """
    wanted = _tokens(name)
    found = {one for one in names if _is_misspelt(wanted, _tokens(one))}
    return next(iter(found)) if len(found) == 1 else None


def _tokens(name: str) -> list[str]:
    """The words and numbers of a name; a letter that looks like a digit beside digits is one."""
    text = re.sub(r"(?<=\d)o|o(?=\d)", "0", name[:200].casefold())
    text = re.sub(r"(?<=\d)[il]|[il](?=\d)", "1", text)
    return [token.lstrip("0") or "0" if token.isdigit() else token for token in _TOKENS.findall(text)]


def _is_misspelt(wanted: list[str], known: list[str]) -> bool:
    if len(wanted) != len(known) or not wanted:
        return False
    for one, other in zip(wanted, known, strict=True):
        if one == other:
            continue
        if one.isdigit() or other.isdigit() or min(len(one), len(other)) < _SHORTEST_WORD:
            return False
        if SequenceMatcher(None, one, other).ratio() < _LIKE:
            return False
    return True
