"""`nachet predictions`: what models say of pictures."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

from pathlib import Path
from typing import Annotated

import typer

from nachet_pipeline.cli.terminal import REFUSED, DoneByOption, JsonOption, LangOption, open_services, write, write_json

app = typer.Typer(no_args_is_help=True, help="Predictions: which version of a model said what of which picture.")


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="JSON Lines or Parquet.")],
    model: Annotated[str, typer.Option("--model", metavar="NAME@VERSION", help="Whose predictions these are.")],
    by: DoneByOption = "",
    *,
    lang: LangOption = "en",
    as_json: JsonOption = False,
) -> None:
    """Record files of predictions, each as a whole or not at all; what is recorded already stays as it is.

    Predictions of pictures that are not stored are counted, and the first are named. With --json one line each.
    """
    from nachet_pipeline.models.formatting import file_line, file_record
    from nachet_pipeline.models.predictions.recording import record_file
    from nachet_pipeline.models.queries import version_named

    refused = False
    with open_services() as opened:
        with opened.database.reading() as connection:
            version = version_named(connection, model)
        for file in files:
            receipt = record_file(opened.database, version, file, by=by)
            refused |= not receipt.recorded
            if as_json:
                write_json(file_record(receipt.file))
            else:
                write(*receipt.findings.lines(lang, file.name), file_line(receipt.file))
    if refused:
        raise typer.Exit(REFUSED)


@app.command("list")
def list_(
    model: Annotated[
        str | None, typer.Argument(metavar="[NAME@VERSION]", help="Only predictions of this version.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the files of predictions that were read, the latest first, and what became of each."""
    from nachet_pipeline.models.formatting import file_line, file_record
    from nachet_pipeline.models.predictions.queries import prediction_files
    from nachet_pipeline.models.queries import version_named

    with open_services() as opened, opened.database.reading() as connection:
        version = version_named(connection, model).id if model else None
        found = prediction_files(connection, version)
    if as_json:
        write_json([file_record(one) for one in found])
    else:
        write(*map(file_line, found))
