"""`nachet crops`: cropping one upload now."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

from typing import TYPE_CHECKING, Annotated

import typer

from nachet_pipeline.cli.terminal import REFUSED, JsonOption, note, open_services, progress_bar, write_result

if TYPE_CHECKING:
    from nachet_pipeline.crops.cropping import Cropped


app = typer.Typer()


@app.command()
def crops(
    upload: Annotated[str, typer.Argument(help="The upload's identifier, partition or folder name.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Find the seeds in an imported upload's pictures and store each as a picture of its own.

    What was looked at before is left as it is. Exit code 1: some pictures could not be cropped. That another number of
    seeds was found than is declared is said, and is no failure.
    """
    from nachet_pipeline.crops.cropping import Cropper
    from nachet_pipeline.crops.cutting import CroppingPool
    from nachet_pipeline.errors import RefusedError
    from nachet_pipeline.models.predictions.detected import detector_predictions
    from nachet_pipeline.uploads.queries import search_uploads

    with open_services() as opened:
        with opened.database.connection() as connection:
            found = search_uploads(connection, upload)
        if not found:
            raise RefusedError(f"there is no upload {upload}; `nachet status` lists those that there are")
        if len(found) > 1:
            named = ", ".join(one.partition for one in found)
            raise RefusedError(f"several uploads are called {upload}; name one of {named}")
        settings = opened.settings
        with CroppingPool(opened.decoding) as pool, progress_bar("Cropping") as bar:
            cropper = Cropper(
                opened.database,
                opened.blobs,
                pool,
                settings.crop,
                opened.rules,
                settings.transfer,
                progress=bar,
                predicted=detector_predictions(opened.database, settings.crop),
            )
            outcome = cropper.crop(found[0])
    write_result(outcome, lambda done: _record(found[0].partition, done), _lines, as_json=as_json)
    for one in outcome.not_cropped:
        note(f"nachet: {one.name}: {one.reason}")
    if outcome.failed:
        raise typer.Exit(REFUSED)


def _lines(outcome: "Cropped") -> list[str]:
    counts = f"{outcome.pictures} pictures, {outcome.crops} crops, {outcome.new} of them new"
    lines = [f"{counts}; found by {outcome.method.found_by}."]
    lines += [
        f"seed-count-differs  {one.finding.path if one.finding else one.parent.name}:"
        f" expected {one.parent.declared}, found {one.found}"
        for one in outcome.differing
    ]
    if outcome.pictures_differing > len(outcome.differing):
        lines.append(f"… and {outcome.pictures_differing - len(outcome.differing)} more")
    return lines


def _record(partition: str, outcome: "Cropped") -> dict[str, object]:
    return {
        "partition": partition,
        "detector": outcome.method.found_by,
        "margin_percent": outcome.method.margin_percent,
        "pictures": outcome.pictures,
        "crops": outcome.crops,
        "new": outcome.new,
        "differing": outcome.pictures_differing,
        "findings": [
            one.finding.model_dump(mode="json", exclude_none=True) for one in outcome.differing if one.finding
        ],
        "not_cropped": [{"picture": one.picture, "name": one.name, "why": one.reason} for one in outcome.not_cropped],
    }
