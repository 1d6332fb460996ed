"""`nachet mass-import`: rows for pictures that lie in a container already."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nachet_pipeline.cli.terminal import (
    REFUSED,
    JsonOption,
    LangOption,
    name_services,
    note,
    open_services,
    progress_bar,
    read_settings,
    registered,
    write,
    write_json,
)

if TYPE_CHECKING:
    from nachet_pipeline.mass_import.importing import MassImportOutcome, MassImportRequest
    from nachet_pipeline.mass_import.mapping import FolderMapping
    from nachet_pipeline.support.i18n import Language

app = typer.Typer()


@app.command("mass-import")
def mass_import(
    container: Annotated[str, typer.Argument(help="A container of the storage account, full of pictures.")],
    owner: Annotated[str, typer.Option(help="E-mail address of the registered user whom the pictures belong to.")],
    seed: Annotated[str | None, typer.Option(help="The species, where the mapping does not say it.")] = None,
    zoom: Annotated[str | None, typer.Option(help="The zoom, where the mapping does not say it.")] = None,
    seeds_per_picture: Annotated[
        str | None, typer.Option(help="Seeds in each picture, where the mapping does not say it.")
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option("--map", exists=True, dir_okay=False, help="CSV or YAML file that says what the folders show."),
    ] = None,
    prefix: Annotated[str, typer.Option(help="The one folder to look into, with all below.")] = "",
    *,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Copy the pictures into the owner's container; else they stay in place.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
    language: LangOption = "en",
    as_json: JsonOption = False,
) -> None:
    """Give rows to pictures that lie in a container already: each folder becomes one picture set.

    Each picture is read, checked and hashed; no byte is moved or rewritten. What was not taken is listed with its
    reason. Interrupted, the same command goes on where it was. The UI shows it like one that a run did. Exit code 0
    means that nothing was refused.
    """
    from nachet_pipeline.mass_import.formatting import outcome_record
    from nachet_pipeline.mass_import.importing import MassImportRequest

    options = {"species": seed, "zoom": zoom, "seeds": seeds_per_picture}
    request = MassImportRequest(
        container, owner, _folder_mapping(mapping, options), prefix, adopt=adopt, dry_run=dry_run
    )
    outcome = _run(request)
    if as_json:
        write_json(outcome_record(outcome))
    else:
        _write_outcome(outcome, language)
    if not outcome.report.importable:
        raise typer.Exit(REFUSED)


def _folder_mapping(file: Path | None, options: dict[str, str | None]) -> "FolderMapping":
    from nachet_pipeline.mass_import.errors import MappingError
    from nachet_pipeline.mass_import.mapping import FolderMapping

    try:
        text = file.read_text(encoding="utf-8-sig") if file else None
    except UnicodeDecodeError:
        raise MappingError(f"{file}: expected UTF-8 text") from None
    return FolderMapping.of(text, str(file or ""), options)


def _run(request: "MassImportRequest") -> "MassImportOutcome":
    from nachet_pipeline.defs.instance import dagster_home, dagster_instance
    from nachet_pipeline.mass_import.importing import MassImporter
    from nachet_pipeline.pictures.decoding_pool import DecodingPool
    from nachet_pipeline.registry.queries import registered_seeds

    waiting = f"nachet: another mass import of {request.container} is under way; waiting for its end"
    instance_home = dagster_home(read_settings().home)  # before anything is imported, because that is reported there
    with open_services(start=True) as opened:
        registered(opened, request.owner, option="--owner", active=False)
        with opened.database.connection() as connection:
            registry = registered_seeds(connection)
        with DecodingPool(opened.decoding) as pool, progress_bar("Importing") as bar:
            outcome = MassImporter(
                opened.database,
                opened.blobs,
                pool,
                registry,
                opened.rules,
                opened.limits,
                opened.settings.transfer,
                progress=bar,
                waiting=lambda: note(waiting),
            ).run(request)
        if not outcome.dry_run:
            name_services(opened.settings, instance_home)
            from nachet_pipeline.defs.mass_import.running import report

            with dagster_instance() as instance:
                report(instance, request.container, outcome)
        return outcome


def _write_outcome(outcome: "MassImportOutcome", language: "Language") -> None:
    from rich.console import Console

    from nachet_pipeline.contract.report import as_text
    from nachet_pipeline.mass_import.formatting import print_outcome

    print_outcome(outcome, Console(soft_wrap=not sys.stdout.isatty()))
    if outcome.report.groups:
        write(*as_text(outcome.report, language, partly=bool(outcome.taken)))
        if outcome.report_blob:
            note(f"everything found is listed in {outcome.report_blob}, in the owner's upload container")
