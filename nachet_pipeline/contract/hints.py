"""What was meant by a value that its field does not take: `2 images` for 2, `6,0` for 6, an address in brackets."""

import re
from difflib import get_close_matches
from typing import NamedTuple

from nachet_pipeline.contract.shown import UNKNOWN, UNKNOWN_WORDS
from nachet_pipeline.support.i18n import Bilingual

_WORDS = {
    **dict.fromkeys(("one", "un", "une"), 1),
    **dict.fromkeys(("two", "deux"), 2),
    **dict.fromkeys(("three", "trois"), 3),
    **dict.fromkeys(("four", "quatre"), 4),
    **dict.fromkeys(("five", "cinq"), 5),
    **dict.fromkeys(("six",), 6),
    **dict.fromkeys(("seven", "sept"), 7),
    **dict.fromkeys(("eight", "huit"), 8),
    **dict.fromkeys(("nine", "neuf"), 9),
    **dict.fromkeys(("ten", "dix"), 10),
    **dict.fromkeys(("twelve", "douze"), 12),
    **dict.fromkeys(("twenty", "vingt"), 20),
}
_UNITS = {
    "numberOfImages": r"images?|pictures?|photos?|photographs?|photographies?|fichiers?|files?|tiffs?|jpe?gs?",
    "numberOfSeeds": r"seeds?|semences?|graines?|grains?",
    "zoom": r"x|×|times|fois|magnification|grossissement",  # noqa: RUF001 (people write it)
}
_QUOTES = "\"'“”„‘’«»‹› \t\u00a0\u202f"  # noqa: RUF001 (people write them)
_NUMBER = re.compile(r"\d{1,9}")
_WITH_UNIT = re.compile(r"(\d{1,9}(?:[.,]\d{1,2})?) ?([^\W\d]+|×)\.?", re.IGNORECASE)  # noqa: RUF001
_WHOLE = re.compile(r"(\d{1,9})[.,]0{1,2}")
_GROUPED = re.compile(r"\d{1,3}(?:[ '’]\d{3}){1,2}")  # noqa: RUF001
_COMMA_OF_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3}){1,2}")
_RANGE = re.compile(r"\D*\d+[.,]?\d*\D{1,12}\d+[.,]?\d*\D*")
_ROUGHLY = re.compile(
    r"(?:~|≈|±|<|>|about|around|approx\.?|approximately|ca\.?|circa|environ|env\.?|près de|plus de|over) ?\d{1,9}.*"
    r"|\d{1,9} ?(?:\+|\?|or so|environ)",
    re.IGNORECASE,
)

_ALONE = Bilingual(
    "Write the number alone, in digits, without a word or a unit.",
    "Écrivez le nombre seul, en chiffres, sans mot ni unité.",
)
_COUNT = Bilingual(
    "Count them, and write the number alone, in digits.", "Comptez et écrivez le nombre seul, en chiffres."
)
_ONE_NUMBER = {
    "numberOfImages": _COUNT,
    "numberOfSeeds": Bilingual(
        "Write the number that most pictures show; a picture that shows another one says so in its own YAML file"
        " (1.yaml for 1.jpg).",
        "Écrivez le nombre que montrent la plupart des images; une image qui en montre un autre le dit dans son propre"
        " fichier YAML (1.yaml pour 1.jpg).",
    ),
    "zoom": Bilingual(
        "Write one zoom; put pictures of another zoom into a session of their own.",
        "Écrivez un seul zoom; mettez les images d'un autre zoom dans une session à part.",
    ),
}
_TWO_READINGS = Bilingual(
    "Write 1000 for one thousand, or 1.0 for one: 1,000 means the one in English and the other in French.",
    "Écrivez 1000 pour mille, ou 1,0 pour un : 1,000 veut dire l'un en anglais et l'autre en français.",
)
_ONE_ADDRESS = Bilingual(
    "Write one address: that of the person to whom the upload container belongs.",
    "Écrivez une seule adresse : celle de la personne à qui appartient le conteneur de téléversement.",
)
EACH_SPECIES = Bilingual(
    "If each picture shows one species, give each species a session of its own. If each picture shows all of them,"
    " write them as a list under seedData, each as - {seedName: …, numberOfSeeds: …}.",
    "Si chaque image montre une seule espèce, donnez à chaque espèce sa propre session. Si chaque image les montre"
    " toutes, écrivez-les en liste sous seedData, chacune comme - {seedName: …, numberOfSeeds: …}.",
)
"""For several species where one was expected: what the pictures show decides."""
LISTED_SPECIES = Bilingual(
    "Write each species as - {seedName: …, numberOfSeeds: …}, with the number of its seeds in each picture.",
    "Écrivez chaque espèce comme - {seedName: …, numberOfSeeds: …}, avec le nombre de ses semences par image.",
)
"""For an entry of a list of species that is a mere name."""
_NAME_BELOW = Bilingual(
    "Write seedName: and the name on the line below, after two spaces. If nobody can name the seeds, write seedData:"
    " unknown.",
    "Écrivez seedName: et le nom sur la ligne suivante, après deux espaces. Si personne ne peut nommer les semences,"
    " écrivez seedData: inconnue.",
)
_MEANS_UNKNOWN = {
    *("?", "??", "???", "unidentified", "undetermined", "indet", "indet.", "not known", "not identified"),
    *("to be determined", "tbd", "indéterminé", "indéterminée", "indetermine", "indeterminee", "non identifié"),
    *("non identifiée", "non identifie", "non identifiee", "à déterminer"),
}
_RANK_WORDS = {
    "family": "family",
    "famille": "family",
    "genus": "genus",
    "genre": "genus",
    "species": "species",
    "espèce": "species",
    "espece": "species",
    "subspecies": "subspecies",
    "sous-espèce": "subspecies",
    "sous-espece": "subspecies",
    "variety": "variety",
    "variété": "variety",
    "variete": "variety",
    "form": "form",
    "forme": "form",
}
_LONGEST_WORD = 20
_ONE_VALUE = Bilingual("Write one value after the colon.", "Écrivez une seule valeur après le deux-points.")
_ADDRESS = re.compile(r"[^\s<>,;:\"']{1,64}@[^\s<>,;:\"']{1,250}")


class Hint(NamedTuple):
    """What was meant, and what to do; each only if that is known."""

    suggestion: str | None = None
    advice: Bilingual | None = None


SECTION_HINT = Hint(
    advice=Bilingual(
        "Write the keys on the lines below, each after two spaces.",
        "Écrivez les clés sur les lignes suivantes, chacune après deux espaces.",
    )
)
"""For a section whose keys are not below it."""


def hint(name: str, written: object) -> Hint:
    """What was probably meant by a wrong value.

    Who follows a suggestion blindly must not change what the pictures are said to show. So a number is suggested only
    where the text holds that number and nothing else that counts.

    Args:
        name: the key, in the contract's spelling, without its section.
        written: the value as it was written: text, a list, or keys and values.
    """
    if not isinstance(written, str):
        return Hint(advice=_ONE_ADDRESS if name == "clientEmail" else _of_several(name))
    text = written[:200].strip(_QUOTES)
    if name in _UNITS:
        return _number(name, " ".join(text.replace("\u00a0", " ").replace("\u202f", " ").split()), written)
    if name == "clientEmail":
        return _address(text)
    if name == "guessRank":
        near = get_close_matches(text.casefold()[:_LONGEST_WORD], _RANK_WORDS, n=1, cutoff=0.75)
        return Hint(_RANK_WORDS[near[0]]) if near else Hint()
    return Hint()


def rank_of(word: str) -> str:
    """The rank that a word means, in English; the word itself if it means none."""
    return _RANK_WORDS.get(word.strip().casefold(), word)


def unknown_meant(text: str) -> str | None:
    """`unknown` if a text that names no seed was meant as that; who follows it gives the pictures no species."""
    word = " ".join(text[:80].strip(_QUOTES).split()).casefold()
    near = len(word) <= _LONGEST_WORD and get_close_matches(word, UNKNOWN_WORDS, n=1, cutoff=0.8)
    return UNKNOWN if near or word in _MEANS_UNKNOWN else None


def seed_hint(written: str) -> Hint:
    """What was probably meant by a text after `seedData:`."""
    meant = unknown_meant(written)
    return Hint(meant) if meant else Hint(advice=_NAME_BELOW)


def _of_several(name: str) -> Bilingual:
    return EACH_SPECIES if name in {"seedID", "seedName", "seedGenus", "seedSpecies"} else _ONE_VALUE


def _number(name: str, text: str, written: str) -> Hint:
    if (word := _WORDS.get(text.casefold())) is not None:
        return Hint(str(word))
    if _NUMBER.fullmatch(text):  # only quotes were too many, or it is out of range
        return Hint(text if int(text) > 0 and text != written.strip() else None)
    if whole := _WHOLE.fullmatch(text):
        return Hint(whole[1] if int(whole[1]) else None)
    unit = _WITH_UNIT.fullmatch(text)
    if unit and re.fullmatch(_UNITS[name], unit[2], re.IGNORECASE) and (name == "zoom" or unit[1].isdigit()):
        return Hint(unit[1].replace(",", "."))
    if _GROUPED.fullmatch(text):
        return Hint(re.sub(r"\D", "", text))
    if _COMMA_OF_THOUSANDS.fullmatch(text):
        return Hint(advice=_TWO_READINGS)
    if _ROUGHLY.fullmatch(text):
        return Hint(advice=_COUNT if name != "zoom" else _ALONE)
    if re.fullmatch(r"-?\d+([.,]\d+)?", text):
        return Hint()
    return Hint(advice=_ONE_NUMBER[name] if _RANGE.fullmatch(text) else _ALONE)


def _address(text: str) -> Hint:
    if text.count("@") > 1:
        return Hint(advice=_ONE_ADDRESS)
    closer = re.sub(r" ?([@.]) ?", r"\1", text)
    found = _ADDRESS.findall(closer)
    # Of several words only an address in brackets is plain: a space may stand for any letter.
    alone = closer.removeprefix("mailto:")
    if len(found) == 1 and (alone == found[0] or f"<{found[0]}>" in closer):
        return Hint(found[0])
    return Hint()
