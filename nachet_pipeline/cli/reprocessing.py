"""`nachet reprocess`: judging and enriching stored pictures anew."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

from datetime import UTC, datetime
from typing import Annotated

import typer

from nachet_pipeline.cli.terminal import JsonOption, open_services, progress_bar, write_result

app = typer.Typer()


@app.command()
def reprocess(
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only pictures imported on or after this day, UTC.")
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            help="Instead of stale pictures those, stale or not, of which this check or finding was said last, such"
            " as `picture-too-slow` or `personal_data`."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Pictures at most; all of them, if not given.")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is stale and why; change nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Judge and enrich stored pictures anew, where the rules or the enrichment's code changed since.

    Reads every picture that is concerned from storage. None is ever removed: those that would be refused today are
    reported and stay. Interrupted, the same command goes on where it was; the nightly schedule does the same.
    """
    from nachet_pipeline.pictures.decoding_pool import DecodingPool
    from nachet_pipeline.reprocessing.formatting import plan_record, plan_text, result_record, result_text
    from nachet_pipeline.reprocessing.reprocessor import Reprocessor, ReprocessRequest
    from nachet_pipeline.reprocessing.verdicts import UnknownRuleError, codes_of

    try:
        codes_of(rule) if rule is not None else None
    except UnknownRuleError as error:
        raise typer.BadParameter(str(error)) from None
    wanted = ReprocessRequest(since=since.replace(tzinfo=UTC) if since else None, rule=rule, pictures=limit)
    with (
        open_services() as opened,
        DecodingPool(opened.decoding) as pool,
        progress_bar("Reprocessing") as bar,
    ):
        reprocessor = Reprocessor(
            opened.database, opened.blobs, pool, opened.rules, opened.settings.transfer, progress=bar
        )
        if dry_run:
            planned = reprocessor.plan(wanted)
        else:
            result = reprocessor.reprocess(wanted)
    if dry_run:
        write_result(planned, plan_record, plan_text, as_json=as_json)
    else:
        write_result(result, result_record, result_text, as_json=as_json)
