"""`nachet trace`: what taught the version that said something, and what a photograph taught."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

import csv
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import typer

from nachet_pipeline.cli.terminal import JsonOption, open_services, write, write_json, write_result
from nachet_pipeline.contract.names import printable

app = typer.Typer()


@app.command()
def trace(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="PREDICTION|PICTURE|NAME@VERSION",
            help="An identifier, of a picture also its SHA-256 or CONTAINER/BLOB, or a version of a model.",
        ),
    ],
    listing: Annotated[
        Literal["table", "csv", "jsonl"] | None,
        typer.Option(
            "--list",
            help="List all photographs that taught the version; of a picture, all predictions that rest on it.",
        ),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Trace a prediction or a version to the photographs that taught it, or a picture to what it taught.

    Of a version: its training set, who uploaded what taught it, how much of that is withdrawn, deleted or labelled
    otherwise since, and its evaluations. Of a picture, by content: training sets, models and champions that it taught,
    and what was predicted and judged of it.
    """
    from nachet_pipeline.models.formatting import trace_lines, trace_record
    from nachet_pipeline.models.trace_queries import listed
    from nachet_pipeline.models.trace_queries import trace as trace_subject

    with open_services() as opened, opened.database.reading() as connection:
        if listing:
            _write_list(*listed(connection, subject), listing)
        else:
            write_result(trace_subject(connection, subject), trace_record, trace_lines, as_json=as_json)


def _write_list(columns: Sequence[str], rows: Iterator[tuple[Any, ...]], listing: str) -> None:
    if listing == "csv":
        written = csv.writer(sys.stdout, lineterminator="\n")
        written.writerow(columns)
        written.writerows(rows)
        return
    for row in rows:
        if listing == "jsonl":
            write_json(dict(zip(columns, row, strict=True)))
        else:
            write("  ".join("-" if value is None else printable(str(value)) for value in row))
