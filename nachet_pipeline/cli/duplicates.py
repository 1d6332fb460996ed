"""`nachet duplicates`: stored pictures that are the same or look alike, and decisions about them."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import typer

from nachet_pipeline.cli.terminal import JsonOption, open_services, registered, write, write_result

if TYPE_CHECKING:
    from nachet_pipeline.picture_sets.duplicates import DuplicatePair

app = typer.Typer(help="Stored pictures that are the same or look alike, and what was decided about them.")


@app.callback(invoke_without_command=True)
def duplicates(
    context: typer.Context,
    user: Annotated[str | None, typer.Option("--user", help="Only pairs in which a picture of this user's is.")] = None,
    near: Annotated[bool, typer.Option("--near", help="Pictures that look alike too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List pairs of stored pictures that are the same; those decided to be different are left out."""
    if context.invoked_subcommand:
        return
    from nachet_pipeline.picture_sets.duplicates import duplicate_pairs

    with open_services() as opened:
        if user:
            registered(opened, user, active=False)
        with opened.database.reading() as connection:
            for pair in duplicate_pairs(connection, user=user, near=near):
                write_result(pair, asdict, _line, as_json=as_json)


def _line(pair: "DuplicatePair") -> str:
    relation = f"{pair.relation} ({pair.distance} bits)" if pair.distance else pair.relation.value
    decision = f", decided: {pair.decision}" if pair.decision else ""
    owners = f"{pair.first_owner}, {pair.second_owner}"
    species = ", ".join(dict.fromkeys((*pair.first_species, *pair.second_species)))
    return f"{pair.first}  {pair.second}  {relation}  {owners}  {species}{decision}"


@app.command()
def decide(
    first: Annotated[UUID, typer.Argument(help="Identifier of a picture.")],
    second: Annotated[UUID, typer.Argument(help="Identifier of the other.")],
    decision: Annotated[Literal["duplicate", "different"], typer.Option("--as", help="What the two are.")],
    by: Annotated[str, typer.Option("--by", help="Who says so, for the audit trail.")],
    note: Annotated[str | None, typer.Option(help="Why.")] = None,
) -> None:
    """Store what an operator says of a pair; one that is said to be different is never reported again."""
    from nachet_pipeline.picture_sets.duplicates import Decision, OneFileError, UnknownPictureError, decide_pair

    if first == second:
        raise typer.BadParameter("two pictures are needed, and these are one")
    if not by.strip():
        raise typer.BadParameter("somebody must have decided it", param_hint="--by")
    with open_services() as opened, opened.database.connection() as connection:
        try:
            new = decide_pair(connection, first, second, Decision(decision), by=by, note=note)
        except (OneFileError, UnknownPictureError) as error:
            raise typer.BadParameter(str(error)) from None
    write(f"{first} and {second}: {decision}{'' if new else ', as before'}")
