"""`nachet labels`: photographs under several species, pictures that wait for a name, and what somebody decided."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
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
    from nachet_pipeline.database.connection import Connection
    from nachet_pipeline.models.judgements.outcomes import Applied
    from nachet_pipeline.picture_sets.labels import Decided, LabelledFile
    from nachet_pipeline.picture_sets.naming import Named, WaitingSet

app = typer.Typer(
    no_args_is_help=True, help="Photographs under several species, pictures that wait for a name, and decisions."
)

PictureSetArgument = Annotated[
    UUID,
    typer.Argument(metavar="PICTURE_SET", help="Identifier of a picture set; `nachet labels waiting` lists them."),
]
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

    with _deciding(by) as (connection, follow):
        done = decide_label(connection, picture, species, by=by, why=why)
        follow([one.picture for one in done.pictures])
    _report_decided(done, as_json=as_json)


@app.command()
def undecide(picture: PictureArgument, by: SaidByOption, why: WhyOption, *, as_json: JsonOption = False) -> None:
    """Take back what was decided of a photograph: what people judged, or its uploaders say, counts again."""
    from nachet_pipeline.picture_sets.labels import undecide_label

    with _deciding(by) as (connection, follow):
        done = undecide_label(connection, picture, by=by, why=why)
        applied = follow([one.picture for one in done.pictures])
    _report_decided(done, as_json=as_json, otherwise="as people judged" if applied.labels else "as its uploaders say")


@contextmanager
def _deciding(by: str) -> "Iterator[tuple[Connection, Callable[[Sequence[UUID]], Applied]]]":
    """A transaction in which somebody decides of pictures, and what lets people's judgements of them follow."""
    from nachet_pipeline.models.judgements.outcomes import apply_again, wait_for_judging
    from nachet_pipeline.models.judgements.policy import Policy

    with open_services() as opened, opened.database.connection() as connection:
        wait_for_judging(connection, by)
        yield connection, lambda pictures: apply_again(connection, pictures, Policy.of(opened.settings.judging), by=by)


def _report_decided(done: "Decided", *, as_json: bool, otherwise: str = "") -> None:
    write_result(done, asdict, partial(_decided_lines, otherwise=otherwise), as_json=as_json)


def _decided_lines(done: "Decided", otherwise: str) -> list[str]:
    before = f" (before: {done.before})" if done.before and done.before != done.species else ""
    decided = f"{done.species or otherwise}{before}{'' if done.new else ', as before'}"
    return [decided, *(f"  {_line(one)}" for one in done.pictures)]


@app.command()
def waiting(*, as_json: JsonOption = False) -> None:
    """List the pictures whose seeds nobody has named: no training set has them until somebody does.

    By picture set, and by what their uploader guessed; those that wait longest come first. With --json one line each.
    """
    from nachet_pipeline.picture_sets.naming import waiting_for_names

    with open_services() as opened, opened.database.reading() as connection:
        found = waiting_for_names(connection)
    for one in found.sets:
        write_result(one, asdict, _waiting_line, as_json=as_json)
    if not as_json:
        note(f"{found.pictures} pictures wait for a name" if found.pictures else "no picture waits for a name")


def _waiting_line(one: "WaitingSet") -> str:
    from nachet_pipeline.contract.names import printable

    guess = f"  perhaps {printable(one.guess)}{f' ({one.rank})' if one.rank else ''}" if one.guess else ""
    several = f" ({one.several} with other species)" if one.several else ""
    return (
        f"{one.picture_set}  {one.pictures} pictures{several}  since {one.since:%Y-%m-%d}  {one.owner}"
        f"  {one.place}{guess}"
    )


@app.command()
def name(
    picture_set: PictureSetArgument,
    species: Annotated[str, typer.Option("--species", help="Name or identifier of the species that they show.")],
    by: SaidByOption,
    why: WhyOption,
    *,
    as_json: JsonOption = False,
) -> None:
    """Name the seeds of all pictures of a picture set that wait for a name: training sets take them so from now on.

    Each is decided of, as by `decide`. Left are pictures with several kinds of seeds, those that were decided of
    before, and those whose photograph is stored under another species.
    """
    from nachet_pipeline.picture_sets.naming import name_pictures

    with open_services() as opened, opened.database.connection() as connection:
        done = name_pictures(connection, picture_set, species, by=by, why=why)
    write_result(done, asdict, _named_lines, as_json=as_json)


@app.command()
def unname(picture_set: PictureSetArgument, by: SaidByOption, why: WhyOption, *, as_json: JsonOption = False) -> None:
    """Take back what `name` did with a picture set: its pictures wait for a name again."""
    from nachet_pipeline.picture_sets.labels import pictures_of_set
    from nachet_pipeline.picture_sets.naming import unname_pictures

    with _deciding(by) as (connection, follow):
        done = unname_pictures(connection, picture_set, by=by, why=why)
        follow(pictures_of_set(connection, picture_set))
    write_result(done, asdict, _named_lines, as_json=as_json)


def _named_lines(done: "Named") -> list[str]:
    if done.species is None:
        return [f"{done.pictures} pictures wait for a name again"]
    said = f"{done.species}: {done.pictures} pictures named" if done.new else f"{done.species}, as before"
    left = [f"{done.several} left: they show several kinds of seeds"] if done.several else []
    left += [f"{done.decided} left: they were decided of before"] if done.decided and done.new else []
    if done.elsewhere:
        left.append(f"{done.elsewhere} left: stored elsewhere as another species; `nachet labels decide` settles one")
    return [said, *left, *(f"  {_line(one)}" for one in done.left)]
