"""`nachet sample` and `nachet validate`: what needs no service."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nachet_pipeline.cli.species import SpeciesOption, registry_of
from nachet_pipeline.cli.terminal import REFUSED, FolderArgument, LangOption, note, progress_bar, write
from nachet_pipeline.settings import Settings

if TYPE_CHECKING:
    from nachet_pipeline.contract.report import Report
    from nachet_pipeline.pictures.decoding_pool import DecodingPool
    from nachet_pipeline.support.i18n import Language

app = typer.Typer()


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="Where to write the project folder; it must be new or empty.")],
    sessions: Annotated[int, typer.Option(min=1, max=1000, help="Session folders, each of another species.")] = 1,
    pictures: Annotated[int, typer.Option(min=1, max=1_000_000, help="Pictures in each session.")] = 4,
    picture_format: Annotated[
        Literal["tiff", "png", "jpeg"], typer.Option("--format", help="Format of the pictures.")
    ] = "tiff",
    seed: Annotated[int, typer.Option(min=0, help="The same number writes the same files.")] = 0,
    email: Annotated[str, typer.Option(help="The uploader that index.yaml names.")] = "sample.user@example.org",
) -> None:
    """Write a project folder of generated seed pictures with their YAML, to try things with."""
    from nachet_pipeline.local.sample import write_sample

    try:
        write_sample(
            folder,
            sessions=sessions,
            pictures=pictures,
            picture_format=picture_format,
            seed=seed,
            email=email,
        )
    except (FileExistsError, NotADirectoryError):
        raise typer.BadParameter(f"{folder} is not a new or empty folder") from None
    write(str(folder))
    note(f"its uploader is {email}: `nachet user add {email}`, then `nachet import {folder} --user {email}`")


@app.command()
def validate(
    folder: FolderArgument,
    output: Annotated[
        Literal["text", "jsonl", "html"],
        typer.Option("--format", help="Text for people, a page for browsers, JSON Lines for programs."),
    ] = "text",
    language: LangOption = "en",
    species: SpeciesOption = None,
) -> None:
    """Check a folder against the contract, without any service.

    Every finding has a stable code, and says where it is, what was expected and what was found. Seeds are looked up
    in the files of species; whether the uploader is registered is checked on import. JSON Lines hold every finding,
    in both languages; text and page (`--format html > report.html`) name the first of many that are alike. All end
    with what was understood: sessions, species, zoom, seeds and pictures.
    """
    from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings

    settings = Settings.from_environment()
    with DecodingPool(DecodingSettings.of(settings.decoder, settings.picture)) as pool:
        pool.begin()  # a decoder starts while the rest is imported
        importable = _validate(folder, pool, settings, output, language, species)
    if not importable:
        raise typer.Exit(REFUSED)


def _validate(
    folder: Path,
    pool: "DecodingPool",
    settings: Settings,
    output: str,
    language: "Language",
    species: "list[Path] | None",
) -> bool:
    """Validate a folder and write its report; whether it can be imported."""
    from nachet_pipeline.contract.inventory import Inventory
    from nachet_pipeline.contract.limits import ContractLimits
    from nachet_pipeline.contract.receipt import Spread
    from nachet_pipeline.contract.report import as_json_lines, as_text
    from nachet_pipeline.contract.report_page import Told, as_page
    from nachet_pipeline.contract.rule_set import RuleSet
    from nachet_pipeline.contract.validation import validate as validate_folder
    from nachet_pipeline.support.files import LocalFolder

    with Inventory(rule_set=RuleSet.of(settings.contract)) as inventory:
        with progress_bar("Validating") as bar:
            validation = validate_folder(
                LocalFolder(folder),
                inventory,
                pool,
                registry_of(species),
                limits=ContractLimits.of(settings.contract, settings.transfer),
                for_storing=False,
                readers=settings.transfer.transfer_concurrency,
                progress=bar,
                early=_report_early,
            )
        report, understood, sessions = validation.report, validation.understood, len(validation.sessions)
        if output == "html":
            told = Told(
                at=datetime.now(UTC),
                understood=understood,
                number_of_sessions=sessions,
                quality=Spread.of(validation.quality),
                sharpness=Spread.of(validation.sharpness),
            )
            name, thumbnails = folder.resolve().name, {**validation.thumbnails, **dict(inventory.thumbnails())}
            write(as_page(report, title=name, language=language, thumbnails=thumbnails, told=told).rstrip())
        elif output == "jsonl":
            for line in as_json_lines(inventory.findings(), report, understood):
                write(line)
        else:
            write(*as_text(report, language, understood=understood, number_of_sessions=sessions))
    return report.importable


def _report_early(report: "Report") -> None:
    """Say at once what names and indexes alone are refused for: reading many pictures takes its time."""
    errors = ", ".join(
        f"{code} ({count})" for code, count in report.codes.items() if report.severity_of(code) == "error"
    )
    note(f"nachet: not importable: {errors}; reading the pictures for the full report")
