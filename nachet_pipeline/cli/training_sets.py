"""`nachet training-set`: building versions of training sets, and looking at them."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from nachet_pipeline.cli.terminal import (
    REFUSED,
    USAGE,
    JsonOption,
    WantedByOption,
    WhyOption,
    name_services,
    note,
    open_services,
    progress_bar,
    write,
    write_json,
    write_result,
)
from nachet_pipeline.training.exports.choices import ExportFormat, ExportLayout

if TYPE_CHECKING:
    from nachet_pipeline.cli.terminal import Opened
    from nachet_pipeline.training.exports.exporting import Exported
    from nachet_pipeline.training.exports.source import Picture
    from nachet_pipeline.training.recipe import Recipe

app = typer.Typer(no_args_is_help=True, help="Training sets: versions of what a recipe chooses, and what is in them.")

VersionArgument = Annotated[
    str, typer.Argument(help="A training set's name (its current version), the start of a digest, or NAME@DIGEST.")
]


@app.command()
def build(
    recipes: Annotated[list[str] | None, typer.Argument(help="Names of recipes.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="All recipes of the folder.")] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--recipes",
            exists=True,
            file_okay=False,
            help="The folder of recipes, if not that of NACHET_RECIPES_FOLDER or of the package.",
        ),
    ] = None,
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy the pictures into the training set's container too.")
    ] = False,
    *,
    as_json: JsonOption = False,
) -> None:
    """Build a version of each training set, check it, and let it be the current one if it passes.

    What was built before is found again, so that nothing is made twice. The UI shows it as one that a run built. Exit
    code 1: a version failed its checks and did not become the current one. With --all a recipe that cannot be read
    hides none of the others.
    """
    from nachet_pipeline.defs.instance import dagster_home
    from nachet_pipeline.settings import Settings
    from nachet_pipeline.training.recipe import RecipeError, packaged_recipes, recipe_files, recipe_named

    if bool(recipes) == every:
        raise typer.BadParameter("expected names of recipes, or --all")
    place = folder or Settings.from_environment().training.recipes_folder or packaged_recipes()
    known: list[Recipe] = []
    failed = 0
    for name in recipes or recipe_files(place):
        try:
            known.append(recipe_named(name, place))
        except RecipeError as error:
            if not every:
                raise
            note(f"nachet: {error}")
            failed = USAGE
    with open_services(start=True) as opened:
        # Before anything is built: the build is reported to Dagster, so that the UI shows it.
        name_services(opened.settings, dagster_home(opened.settings.home))
        for recipe in known:
            try:
                released = _build(opened, recipe, copy=copy, as_json=as_json)
            except RecipeError as error:
                if not every:
                    raise
                note(f"nachet: {error}")
                failed = USAGE
            else:
                failed = failed or (0 if released else REFUSED)
    if failed:
        raise typer.Exit(failed)


def _build(opened: "Opened", recipe: "Recipe", *, copy: bool, as_json: bool) -> bool:
    from nachet_pipeline.definitions import definitions
    from nachet_pipeline.defs.resources import CommandBuild
    from nachet_pipeline.defs.training.running import run_report
    from nachet_pipeline.pictures.decoding_pool import DecodingPool
    from nachet_pipeline.training.publishing import publish
    from nachet_pipeline.training.versions import published_lines, published_record

    if copy:
        recipe = recipe.model_copy(update={"copy_pictures": True})
    with DecodingPool(opened.decoding) as pool, progress_bar(f"Building {recipe.name}") as bar:
        published = publish(
            recipe,
            opened.database,
            opened.blobs,
            pool,
            opened.rules,
            opened.settings.transfer,
            progress=lambda _step, done, total: bar(done, total),
        )
    run_report(definitions(opened.settings, build=CommandBuild(published)), recipe.name)
    write_result(published, published_record, published_lines, as_json=as_json)
    return published.released


@app.command("list")
def list_(
    recipe: Annotated[str | None, typer.Argument(help="Only versions of this recipe.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List all versions, the newest first within each training set."""
    from nachet_pipeline.training.queries import versions
    from nachet_pipeline.training.versions import version_line, version_record

    with open_services() as opened, opened.database.reading() as connection:
        found = versions(connection, recipe)
    if recipe and not found:
        note(f"nachet: there is no version of {recipe}; `nachet training-set build {recipe}` makes one")
        raise typer.Exit(REFUSED)
    if as_json:
        write_json([version_record(version) for version in found])
    else:
        write(*map(version_line, found))


@app.command()
def show(
    wanted: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|DIGEST]",
            help="A training set's name (its current version), the start of a digest, or NAME@DIGEST.",
        ),
    ] = None,
    picture: Annotated[
        UUID | None,
        typer.Option(help="A picture: where it is in the version, and whence; without a version, all that it is in."),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show a version, or where a picture of it comes from: picture set, upload, owner."""
    from nachet_pipeline.training.queries import memberships, version_of
    from nachet_pipeline.training.versions import membership_lines, membership_record, version_lines, version_record

    if wanted is None and picture is None:
        raise typer.BadParameter("expected a training set, or --picture")
    with open_services() as opened, opened.database.reading() as connection:
        version = version_of(connection, wanted) if wanted is not None else None
        found = memberships(connection, picture, version.id if version else None) if picture else None
    if found is None:
        if version:
            write_result(version, version_record, version_lines, as_json=as_json)
        return
    if as_json:
        write_json([membership_record(one) for one in found])
    else:
        write(*(line for one in found for line in membership_lines(one)))
    if not found:
        note(f"nachet: the picture {picture} is in no {'training set' if version is None else 'row of it'}")
        raise typer.Exit(REFUSED)


@app.command()
def diff(earlier: VersionArgument, later: VersionArgument, *, as_json: JsonOption = False) -> None:
    """Say which pictures were added, removed, moved to another side, or given another species."""
    from nachet_pipeline.training.queries import difference, version_of
    from nachet_pipeline.training.versions import difference_lines, difference_record

    with open_services() as opened, opened.database.reading() as connection:
        first, second = version_of(connection, earlier), version_of(connection, later)
        found = difference(connection, first.id, second.id)
    write_result(found, difference_record, difference_lines, as_json=as_json)


@app.command()
def withdraw(
    picture: Annotated[UUID, typer.Argument(help="Identifier of the picture.")],
    by: WantedByOption,
    why: WhyOption,
    *,
    as_json: JsonOption = False,
) -> None:
    """Let no later version have a photograph, whatever row it has or will have, nor what was cut from it.

    Names the versions that have it. Of a crop, that crop alone is withdrawn.

    Those stay as they are, because they are frozen; build their recipes again, and train anew what was trained on them.
    """
    from nachet_pipeline.training.queries import withdraw as withdraw_picture
    from nachet_pipeline.training.versions import withdrawal_lines, withdrawal_record

    with open_services() as opened, opened.database.connection() as connection:
        done = withdraw_picture(connection, picture, by=by, why=why)
    write_result(done, withdrawal_record, withdrawal_lines, as_json=as_json)


@app.command()
def export(
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="NAME|DIGEST|FILE",
            help="A training set's name (its current version), the start of a digest, NAME@DIGEST, or a manifest file.",
        ),
    ],
    folder: Annotated[Path, typer.Argument(file_okay=False, help="Where to; new, empty, or of an interrupted export.")],
    kind: Annotated[ExportFormat, typer.Option("--format", help="What the files are made for.")],
    split: Annotated[
        list[str] | None, typer.Option(help="Only this split; may be repeated.", show_default=False)
    ] = None,
    layout: Annotated[
        ExportLayout,
        typer.Option(help="Of an ImageFolder: a tree for each number of seeds in a picture, or one for all."),
    ] = ExportLayout.SEEDS,
    shard_size: Annotated[
        int, typer.Option(min=1, max=65_536, help="Pixels in a shard at most, in MiB before they are compressed.")
    ] = 1024,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write a version's pictures as RGB TIFFs of 8 bits, in folders or files that trainers read.

    Each picture is compared with its SHA-256 first. Interrupted, the same command goes on where it was and ends in the
    same files. Exit code 1: pictures are missing from storage or were changed; they are named, and all others are
    there.
    """
    import tempfile

    from nachet_pipeline.training.exports.converting import ConvertingPool
    from nachet_pipeline.training.exports.exporting import ExportRequest
    from nachet_pipeline.training.exports.exporting import export as export_pictures
    from nachet_pipeline.training.exports.fetching import Fetcher

    with open_services() as opened, tempfile.TemporaryDirectory() as place:
        manifest = _manifest(opened, wanted, Path(place))
        request = ExportRequest(manifest, folder, kind, tuple(split or ()), layout, shard_size)
        transfer, decoder = opened.settings.transfer, opened.settings.decoder
        with ConvertingPool(opened.decoding) as pool, progress_bar("Exporting") as bar:
            fetcher = Fetcher(
                opened.blobs,
                pool,
                readers=max(transfer.transfer_concurrency, 2 * decoder.decode_workers),
                memory_bytes=transfer.memory_bytes,
                places=lambda picture: _places(opened, picture),
            )
            done = export_pictures(request, fetcher, progress=bar)
    _report_exported(done, as_json=as_json)
    if done.failed:
        raise typer.Exit(REFUSED)


def _manifest(opened: "Opened", wanted: str, place: Path) -> Path:
    """The manifest file that was named, or that of the version that was, brought to a place."""
    from nachet_pipeline.training.exports.published import bring_manifest
    from nachet_pipeline.training.queries import version_of

    manifest = Path(wanted)
    if manifest.is_file():
        return manifest
    with opened.database.reading() as connection:
        version = version_of(connection, wanted)
    manifest = place / "manifest.parquet"
    bring_manifest(opened.blobs, version, manifest)
    if version.withdrawn:
        note(f"nachet: {version.withdrawn} pictures of this version were withdrawn since; build a new one")
    return manifest


def _places(opened: "Opened", picture: "Picture") -> list[tuple[str, str]]:
    from nachet_pipeline.training.version_pictures import places_of

    with opened.database.reading() as connection:
        return places_of(connection, UUID(picture.identifier), picture.sha256)


def _report_exported(done: "Exported", *, as_json: bool) -> None:
    write_result(
        done, asdict, lambda one: f"{one.folder}: {one.pictures} pictures, {one.made} of them now", as_json=as_json
    )
    if done.empty:
        note(f"nachet: {len(done.empty)} class folders are empty, such as {done.empty[0]}; see README.md there")
    for failure in done.failures:
        note(f"nachet: not exported: {failure}")
    if done.failed > len(done.failures):
        more = done.failed - len(done.failures)
        note(f"nachet: … and {more} more; failures.jsonl names all")
