"""`nachet labels`: photographs that are stored under several species, and which of those training sets take."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from nachet_pipeline.cli.terminal import (
    JsonOption,
    SaidByOption,
    WhyOption,
    note,
    open_services,
    write,
    write_json,
    write_result,
)

if TYPE_CHECKING:
    from nachet_pipeline.picture_sets.labels import Decided, LabelledFile

app = typer.Typer(no_args_is_help=True, help="Photographs that are stored under several species, and decisions.")

PictureArgument = Annotated[UUID, typer.Argument(help="Identifier of a picture of the photograph, or of a crop of it.")]


@app.command()
def conflicts(
    near: Annotated[
        bool, typer.Option("--near", help="Also pictures of different species that look alike; they are doubts only.")
    ] = False,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the photographs that are stored under several species: no training set has them until that is settled.

    With --json one line each.
    """
    from nachet_pipeline.picture_sets.labels import doubts, stored_conflicts

    with open_services() as opened, opened.database.reading() as connection:
        number = 0
        for pictures in stored_conflicts(connection):
            number += 1
            _report(pictures, "the same photograph", {"relation": "same"}, as_json=as_json)
        for first, second, bits in doubts(connection) if near else ():
            _report(
                (first, second),
                f"look alike ({bits} bits)",
                {"relation": "near", "distance": bits},
                as_json=as_json,
            )
    if not as_json:
        note(f"{number} photographs in conflict" if number else "no photograph is in conflict")


def _report(pictures: "tuple[LabelledFile, ...]", title: str, relation: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        write_json({**relation, "pictures": [asdict(one) for one in pictures]})
    else:
        write(title, *(f"  {_line(one)}" for one in pictures))


def _line(one: "LabelledFile") -> str:
    return f"{one.picture}  {' and '.join(one.species)}  {one.owner}  {one.place}"


@app.command()
def decide(
    picture: PictureArgument,
    species: Annotated[str, typer.Option("--species", help="Name or identifier of the species that it shows.")],
    by: SaidByOption,
    why: WhyOption,
    *,
    as_json: JsonOption = False,
) -> None:
    """Say which species a photograph shows: training sets take it so, whatever its uploaders say, now and later.

    What they said stays as it is. Deciding again replaces what was decided.
    """
    from nachet_pipeline.picture_sets.labels import decide_label

    with open_services() as opened, opened.database.connection() as connection:
        done = decide_label(connection, picture, species, by=by, why=why)
    _report_decided(done, as_json=as_json)


@app.command()
def undecide(picture: PictureArgument, by: SaidByOption, why: WhyOption, *, as_json: JsonOption = False) -> None:
    """Take back what was decided of a photograph: what its uploaders say counts again."""
    from nachet_pipeline.picture_sets.labels import undecide_label

    with open_services() as opened, opened.database.connection() as connection:
        done = undecide_label(connection, picture, by=by, why=why)
    _report_decided(done, as_json=as_json)


def _report_decided(done: "Decided", *, as_json: bool) -> None:
    write_result(done, asdict, _decided_lines, as_json=as_json)


def _decided_lines(done: "Decided") -> list[str]:
    before = f" (before: {done.before})" if done.before and done.before != done.species else ""
    decided = f"{done.species or 'as its uploaders say'}{before}{'' if done.new else ', as before'}"
    return [decided, *(f"  {_line(one)}" for one in done.pictures)]
