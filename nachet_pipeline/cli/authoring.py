"""`nachet init` and `nachet contract`: for those who prepare a folder; neither needs a service."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from nachet_pipeline.cli.species import SpeciesOption, read_named, registry_of
from nachet_pipeline.cli.terminal import note, write
from nachet_pipeline.settings import Settings
from nachet_pipeline.support.i18n import Bilingual, Language

if TYPE_CHECKING:
    from nachet_pipeline.contract.new_project import NewSession
    from nachet_pipeline.registry.seeds import SeedRegistry

app = typer.Typer()

_Answer = TypeVar("_Answer")

_EMAIL = Bilingual("Your e-mail address", "Votre adresse courriel")
_EXPERTISE = Bilingual("What you know of seeds, e.g. botanist", "Ce que vous connaissez des semences, p. ex. botaniste")
_PROJECT = Bilingual("What the project is", "En quoi consiste le projet")
_SESSION = Bilingual("Name of a session's folder (empty to end)", "Nom du dossier d'une session (vide pour finir)")
_SPECIES = Bilingual(
    "{}: species (unknown if nobody can name it)", "{} : espèce (inconnue si personne ne peut la nommer)"
)
_SEEDS = Bilingual("{}: seeds in each picture", "{} : semences par image")
_ZOOM = Bilingual("{}: zoom", "{} : zoom")
_PICTURES = Bilingual("{}: pictures (empty if not known yet)", "{} : images (vide si encore inconnu)")

_KEPT = Bilingual("{} was there and stays as it is", "{} existait déjà et reste tel quel")
_PUT = Bilingual(
    "put the pictures into {}, and their number into its index.yaml",
    "mettez les images dans {}, et leur nombre dans son index.yaml",
)
_THEN = Bilingual("then `nachet validate {}`", "puis `nachet validate {} --lang fr`")


@app.command()
def contract(
    language: Annotated[Language, typer.Option("--lang", help="Language of the page.")] = "en",
    species: SpeciesOption = None,
) -> None:
    """Print the folder contract: what a folder must look like, with a complete example and the registered species."""
    from nachet_pipeline.contract.folder_contract import contract_page
    from nachet_pipeline.pictures.limits import PictureLimits

    limits = PictureLimits.of(Settings.from_environment().picture)
    write(contract_page(language, limits=limits, seeds=read_named(species).seeds).rstrip())


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The project folder; it may be new, or hold pictures already.")],
    email: Annotated[str | None, typer.Option(help="The uploader's e-mail address.")] = None,
    expertise: Annotated[str | None, typer.Option(help="What the uploader knows of seeds.")] = None,
    name: Annotated[str | None, typer.Option(help="What the project is, in a line.")] = None,
    session: Annotated[
        list[str] | None,
        typer.Option(
            help="A session, as NAME:SPECIES:SEEDS:ZOOM, with :PICTURES if its pictures are not there yet; repeatable."
        ),
    ] = None,
    language: Annotated[Language, typer.Option("--lang", help="Language of questions and comments.")] = "en",
    species: SpeciesOption = None,
) -> None:
    """Write a project folder with its index files; in a terminal, ask for what no option says.

    Pictures that lie in pictures/NAME already are counted. A file that is there is never overwritten.
    """
    from nachet_pipeline.contract.new_project import (
        NewProject,
        counted_pictures,
        email_of,
        read_session,
        write_project,
    )

    registry = registry_of(species)
    asking = sys.stdin.isatty()
    counted = counted_pictures(folder)
    said = [read_session(text, counted, registry) for text in session or ()]
    if not asking and (email is None or not said):
        missing = "--email" if email is None else "--session"
        raise typer.BadParameter("expected a value, or a terminal to ask in", param_hint=missing)
    project = NewProject(
        email=email_of(email) if email is not None else _ask(_EMAIL, email_of, language),
        expertise=_text(_EXPERTISE, expertise, "", language, asking=asking),
        description=_text(_PROJECT, name, folder.resolve().name, language, asking=asking),
        sessions=said or _ask_for_sessions(counted, registry, language),
    )
    for index, written in write_project(folder, project, language):
        write(str(index))
        if not written:
            note(_KEPT.in_language(language).format(index))
    for one in project.sessions:
        if one.pictures is None:
            note(_PUT.in_language(language).format(f"{folder}/pictures/{one.name}"))
    note(_THEN.in_language(language).format(folder))


def _ask_for_sessions(counted: Mapping[str, int], registry: "SeedRegistry", language: Language) -> list["NewSession"]:
    """Ask for what the folders with pictures show, then for more sessions; one answer is the next one's default."""
    from nachet_pipeline.contract.new_project import (
        NewSession,
        pictures_of,
        seed_named,
        seeds_of,
        session_name,
        zoom_of,
    )

    sessions: list[NewSession] = []
    waiting = list(counted)
    while True:
        name = waiting.pop(0) if waiting else _ask(_SESSION, lambda text: text and session_name(text), language, "")
        if not name:
            if sessions:
                return sessions
            continue
        last = sessions[-1] if sessions else None
        seed = _ask(_SPECIES, lambda text: seed_named(text, registry), language, None, name)
        seeds = _ask(_SEEDS, seeds_of, language, str(last.seeds) if last else None, name)
        zoom = _ask(_ZOOM, zoom_of, language, f"{last.zoom:g}" if last else None, name)
        pictures = counted.get(name) or _ask(_PICTURES, pictures_of, language, "", name)
        sessions.append(NewSession(name, seed, seeds, zoom, pictures))


def _text(question: Bilingual, given: str | None, default: str, language: Language, *, asking: bool) -> str:
    """A text that may be left out."""
    if given is not None:
        return given
    return _ask(question, str, language, default) if asking else default


def _ask(
    question: Bilingual,
    read: Callable[[str], _Answer],
    language: Language,
    default: str | None = None,
    about: str = "",
) -> _Answer:
    """Ask until the answer can be used; what is wrong with one is said."""
    from nachet_pipeline.contract.new_project import NewProjectError

    def answer(text: str) -> _Answer:
        try:
            return read(text)
        except NewProjectError as error:
            raise typer.BadParameter(error.said.in_language(language)) from None

    shown = question.in_language(language).replace("{}", about)
    found: _Answer = typer.prompt(
        shown,
        default=default,
        value_proc=answer,
        prompt_suffix=" : " if language == "fr" else ": ",
        show_default=bool(default),
        err=True,
    )
    return found
