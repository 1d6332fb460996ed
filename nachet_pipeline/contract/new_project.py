"""Writes a new project folder, with its index files, as the contract wants it: what `nachet init` does."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from nachet_pipeline.contract.hints import unknown_meant
from nachet_pipeline.contract.metadata import INDEX_NAME, ImageData, UserData, normalise_email
from nachet_pipeline.contract.names import is_hidden, is_litter, unusual_part, why_unsafe
from nachet_pipeline.contract.shown import UNKNOWN, is_unknown
from nachet_pipeline.contract.structure import PICTURES_FOLDER, is_ignored, is_index, picture_format
from nachet_pipeline.errors import UsageError
from nachet_pipeline.registry.seeds import Seed, SeedRegistry
from nachet_pipeline.support.i18n import Bilingual, Language

_PLAIN = re.compile(r"[^\W\d_][\w .'()/-]*", re.ASCII)
_RESERVED = {"true", "false", "null", "yes", "no", "on", "off"}
_PARTS = (4, 5)
_Model = TypeVar("_Model", UserData, ImageData)

_COMMENTS = {
    "en": {
        "project": "The project's index: who uploads, and what holds for all sessions.",
        "help": "`nachet contract` prints all that can be said here, `nachet validate` checks the folder.",
        "email": "the owner of the upload container",
        "session": "What the pictures of this folder show; all were taken under the same conditions.",
        "pictures": "how many pictures this folder holds",
        "unknown": "write here how many pictures this folder holds",
        "unnamed": UNKNOWN,
        "guess": "what it may be can be written on a line below, as in guess: Avena sp.",
        "seeds": "in each picture; one with another number says so in a YAML file of its name (1.yaml for 1.jpg)",
    },
    "fr": {
        "project": "L'index du projet : qui téléverse, et ce qui vaut pour toutes les sessions.",
        "help": "`nachet contract --lang fr` affiche ce qui peut se dire ici, `nachet validate` vérifie le dossier.",
        "email": "à qui appartient le conteneur de téléversement",
        "session": "Ce que montrent les images de ce dossier, toutes prises dans les mêmes conditions.",
        "pictures": "combien d'images contient ce dossier",
        "unknown": "écrivez ici combien d'images contient ce dossier",
        "unnamed": "inconnue",
        "guess": "ce que cela peut être peut s'écrire sur une ligne dessous, comme guess: Avena sp.",
        "seeds": "par image; une image qui en montre un autre nombre a son propre fichier YAML (1.yaml pour 1.jpg)",
    },
}


class NewProjectError(UsageError):
    """Something said of a new project cannot be used.

    Attributes:
        said: the message, in both languages.
    """

    def __init__(self, en: str, fr: str) -> None:
        super().__init__(en)
        self.said = Bilingual(en, fr)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session to be written.

    Attributes:
        name: of its folder.
        seed: what its pictures show; None if nobody can name it.
        seeds: number of seeds in each picture.
        zoom: the zoom.
        pictures: number of its pictures, None if that is not known yet.
    """

    name: str
    seed: Seed | None
    seeds: int
    zoom: float
    pictures: int | None = None


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project to be written.

    Attributes:
        email: the uploader.
        expertise: what the uploader knows of seeds; empty to leave it out.
        description: what the project is; empty to leave it out.
        sessions: its sessions.
    """

    email: str
    expertise: str
    description: str
    sessions: Sequence[NewSession]


def email_of(text: str) -> str:
    """The e-mail address that a text is.

    Raises:
        NewProjectError: it is none.
    """
    try:
        return normalise_email(text)
    except ValueError:
        raise NewProjectError(
            f"{text[:80]!r}: expected an e-mail address, name@example.org",
            f"{text[:80]!r} : adresse courriel attendue, nom@exemple.org",
        ) from None


def session_name(text: str) -> str:
    """The name of a session's folder.

    Raises:
        NewProjectError: it is none that every system takes.
    """
    name = text.strip()
    unsafe = why_unsafe(name) if name else None
    if not name or "/" in name or unsafe or unusual_part(name) or is_hidden(name) or is_litter(name):
        raise NewProjectError(
            f"{text[:80]!r}: expected a folder's name of letters, digits, hyphens and underscores",
            f"{text[:80]!r} : nom de dossier attendu, fait de lettres, chiffres, tirets et soulignés",
        )
    return name


def seed_named(text: str, registry: SeedRegistry) -> Seed | None:
    """The registered seed of a name, as an index may name it; None if the text says that it is unknown.

    Raises:
        NewProjectError: it is not registered; the message has the name that it misspells, if it misspells one.
    """
    if is_unknown(text):
        return None
    if seed := registry.named(text):
        return seed
    nearest = registry.nearest(text) or registry.meant(text) or unknown_meant(text)
    if nearest:
        raise NewProjectError(
            f"{text[:80]!r} is not registered; did you mean {nearest}?",
            f"{text[:80]!r} n'est pas enregistré; vouliez-vous dire {nearest} ?",
        )
    others = ", ".join(registry.of_genus(text))
    raise NewProjectError(
        f"{text[:80]!r} is not registered{f'; registered of its genus: {others}' if others else ''};"
        " `nachet contract` lists the species, the AI lab registers more; write unknown if nobody can name it",
        f"{text[:80]!r} n'est pas enregistré{f'; de son genre le sont : {others}' if others else ''};"
        " `nachet contract --lang fr` énumère les espèces, le laboratoire d'IA en enregistre d'autres; écrivez"
        " inconnue si personne ne peut la nommer",
    )


def seeds_of(text: str) -> int:
    """The number of seeds in each picture.

    Raises:
        NewProjectError: it is no such number.
    """
    return _read(UserData, "numberOfSeeds", text).number_of_seeds or 0


def zoom_of(text: str) -> float:
    """The zoom, as an index may say it.

    Raises:
        NewProjectError: it is none.
    """
    return _read(UserData, "zoom", text).zoom or 0.0


def pictures_of(text: str) -> int | None:
    """The number of pictures of a session, None if nothing is given.

    Raises:
        NewProjectError: it is no such number.
    """
    return _read(ImageData, "numberOfImages", text).number_of_images if text.strip() else None


def _read(model: type[_Model], name: str, text: str) -> _Model:
    if not text.strip():
        raise NewProjectError(f"{name}: expected a value", f"{name} : valeur attendue")
    try:
        return model.model_validate({name: text})
    except ValidationError:
        raise NewProjectError(
            f"{name}: {text[:80]!r} is out of range or no number",
            f"{name} : {text[:80]!r} est hors limites ou n'est pas un nombre",
        ) from None


def read_session(text: str, counted: Mapping[str, int], registry: SeedRegistry) -> NewSession:
    """A session as an option names it: `NAME:SPECIES:SEEDS:ZOOM`, and `:PICTURES` if they are not there yet.

    Args:
        text: the option.
        counted: the pictures that are there already, as `counted_pictures` finds them.
        registry: the registered seeds.

    Raises:
        NewProjectError: it does not.
    """
    parts = text.split(":")
    if len(parts) not in _PARTS:
        raise NewProjectError(
            f"{text[:80]!r}: expected NAME:SPECIES:SEEDS:ZOOM, such as 'day1:Brassica napus:6:30'",
            f"{text[:80]!r} : NOM:ESPÈCE:SEMENCES:ZOOM attendu, comme 'jour1:Brassica napus:6:30'",
        )
    name = session_name(parts[0])
    given = pictures_of(parts[4]) if len(parts) == _PARTS[1] else None
    pictures = counted.get(name) or given
    return NewSession(name, seed_named(parts[1], registry), seeds_of(parts[2]), zoom_of(parts[3]), pictures)


def counted_pictures(folder: Path) -> dict[str, int]:
    """The folders in `pictures` that hold pictures already, in order, with how many each holds."""
    place = folder / PICTURES_FOLDER
    found: dict[str, int] = {}
    if place.is_dir():
        for session in sorted(entry for entry in place.iterdir() if entry.is_dir()):
            number = sum(1 for entry in session.iterdir() if picture_format(entry.name) and not is_ignored(entry.name))
            if number:
                found[session.name] = number
    return found


def write_project(folder: Path, project: NewProject, language: Language) -> Iterator[tuple[Path, bool]]:
    """Write the index files that are not there yet; what is there stays as it is.

    Yields:
        Each index, and whether it was written; False if there was one.

    Raises:
        NewProjectError: something else lies where a folder is to be.
    """
    texts = {folder: _project_text(project, language)}
    for session in project.sessions:
        texts[folder / PICTURES_FOLDER / session.name] = _session_text(session, language)
    for place, text in texts.items():
        try:
            place.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise NewProjectError(
                f"{place}: something else than a folder lies there",
                f"{place} : il s'y trouve autre chose qu'un dossier",
            ) from None
        there = next((entry for entry in place.iterdir() if is_index(entry.name)), None)
        if there is not None:
            yield there, False
            continue
        index = place / INDEX_NAME
        with index.open("x", encoding="utf-8") as file:
            file.write(text)
        yield index, True


def _project_text(project: NewProject, language: Language) -> str:
    say = _COMMENTS[language]
    lines = [f"# {say['project']}", f"# {say['help']}", "clientData:"]
    lines.append(f"  clientEmail: {_scalar(project.email)}  # {say['email']}")
    if project.expertise.strip():
        lines.append(f"  clientExpertise: {_scalar(project.expertise)}")
    if project.description.strip():
        lines += ["userData:", f"  description: {_scalar(project.description)}"]
    return "\n".join(lines) + "\n"


def _session_text(session: NewSession, language: Language) -> str:
    say, seed = _COMMENTS[language], session.seed
    count = f" {session.pictures}  # {say['pictures']}" if session.pictures else f"  # {say['unknown']}"
    if seed is None:
        name = [f"  seedName: {say['unnamed']}  # {say['guess']}"]
    elif seed.taxon_rank == "species":
        name = [f"  seedFamily: {seed.family}", f"  seedGenus: {seed.genus}", f"  seedSpecies: {seed.specific_epithet}"]
    else:
        name = [f"  seedName: {_scalar(seed.scientific_name)}"]
    return "\n".join(
        [
            f"# {say['session']}",
            "imageData:",
            f"  numberOfImages:{count}",
            "seedData:",
            *name,
            "userData:",
            f"  numberOfSeeds: {session.seeds}  # {say['seeds']}",
            f"  zoom: {session.zoom:g}",
            "",
        ]
    )


def _scalar(text: str) -> str:
    """A text as a value of YAML: plain if it may be, else in double quotes."""
    line = " ".join(text.split())
    plain = _PLAIN.fullmatch(line) and line.casefold() not in _RESERVED and not line.endswith(":")
    return line if plain or re.fullmatch(r"[\w.+-]+@[\w.-]+", line, re.ASCII) else json.dumps(line, ensure_ascii=False)
