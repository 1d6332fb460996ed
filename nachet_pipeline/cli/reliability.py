"""`nachet reconcile` and `nachet retention`: what keeps storage and database one, and staging short."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from nachet_pipeline.cli.terminal import (
    REFUSED,
    JsonOption,
    name_services,
    open_services,
    progress_bar,
    registered,
    write,
    write_json,
    write_result,
)

if TYPE_CHECKING:
    from nachet_pipeline.reconciliation.retention import Clearing

app = typer.Typer()


@app.command()
def reconcile(
    user: Annotated[str | None, typer.Option("--user", help="E-mail address of the one user to compare.")] = None,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Do what is safe about what is found: complete, re-link, remove orphans.")
    ] = False,
    read: Annotated[
        bool, typer.Option("--read", help="Read every picture and compare its bytes, instead of storage's notes.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare what is staged, what is stored and what the database says, and say what a repair would do.

    With --json, one line for each disagreement and a last one that sums up. No row is ever removed by a repair, and a
    blob only if no row points at it, it is older than NACHET_ORPHAN_GRACE_DAYS and the audit trail says so. Exit code 1
    means that something is left that disagrees.
    """
    from nachet_pipeline.reconciliation.comparing import Comparer
    from nachet_pipeline.reconciliation.formatting import drift_record, drift_text, summary_record, summary_text
    from nachet_pipeline.reconciliation.repairing import Repairer

    repaired = left = 0
    with open_services() as opened:
        settings = opened.settings
        one = registered(opened, user) if user else None
        with progress_bar("Comparing") as bar:
            comparer = Comparer(opened.database, opened.blobs, settings.reconciliation, settings.transfer, progress=bar)
            result = comparer.compare(one, read=read)
        repairer = Repairer(opened.database, opened.blobs, comparer, settings.arrival, opened.limits)
        for found in repairer.repair(result.users) if repair else repairer.plan(result.users):
            repaired, left = repaired + found.done, left + (not found.done)
            write_result(found, drift_record, lambda one: drift_text(one, planned=not repair), as_json=as_json)
    if as_json:
        write_json({"summary": summary_record(result, repaired=repaired, left=left)})
    else:
        write(*summary_text(result, repaired=repaired, left=left))
    if left:
        raise typer.Exit(REFUSED)


@app.command()
def retention(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be cleared; change nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Clear staged folders and partitions of imports that are old, recorded and verified.

    Imports as a whole alone, older than NACHET_RETAIN_STAGED_DAYS (partitions: NACHET_RETAIN_PARTITIONS_DAYS), whose
    receipt is in the database and whose rows and blobs are all there; `nachet status` answers for them as before.
    """
    from nachet_pipeline.defs.instance import dagster_home, dagster_instance
    from nachet_pipeline.reconciliation.comparing import Comparer
    from nachet_pipeline.reconciliation.retention import Cleared, Retention

    with open_services() as opened:
        settings = opened.settings
        name_services(settings, dagster_home(settings.home))
        from nachet_pipeline.defs.partitions import forgetting

        with dagster_instance() as instance:
            result = Cleared()
            cleaner = Retention(
                opened.database,
                opened.blobs,
                settings.retention,
                Comparer(opened.database, opened.blobs, settings.reconciliation, settings.transfer),
                settings.arrival,
                opened.limits,
                forgetting(instance),
            )
            for one in cleaner.clear(dry_run=dry_run):
                result.add(one)
                write_result(one, asdict, lambda found: _cleared_line(found, dry_run=dry_run), as_json=as_json)
            if not dry_run:
                result.events, result.predictions = cleaner.clear_events(), cleaner.clear_predictions()
    if not as_json:
        write(
            f"{result.folders} folders, {result.size:,} bytes; {result.partitions} partitions;"
            f" {result.events} events; {result.predictions} predictions;"
            f" {result.kept_number} folders kept"
        )


def _cleared_line(one: "Clearing", *, dry_run: bool) -> str:
    if one.kept:
        return f"kept       {one.what} {one.name} of {one.owner}: {one.kept}"
    return f"{'would be ' if dry_run else ''}cleared  {one.what} {one.name} of {one.owner}"


@app.command()
def health(*, as_json: JsonOption = False) -> None:
    """Say how the pipeline is: each check with what it found, and what to do if it fails.

    The asset pipeline_health shows the same and more. Exit code 1 means that a check fails.
    """
    from nachet_pipeline.defs.instance import dagster_home, dagster_instance
    from nachet_pipeline.health.report import check_health

    with open_services() as opened:
        settings = opened.settings
        name_services(settings, dagster_home(settings.home))
        from nachet_pipeline.definitions import defs
        from nachet_pipeline.defs.maintenance.health import WhatRuns, look

        with dagster_instance() as instance, opened.database.reading() as connection:
            found = look(connection, instance, WhatRuns.of(defs), settings.health)
    results = list(check_health(found, settings.health))
    if as_json:
        write_json({one.check.value: {"passed": one.passed, "found": one.text} for one in results})
    else:
        write(*(f"{'ok    ' if one.passed else 'amiss '} {one.check.value}: {one.text}" for one in results))
        write(*(f"{state}: {count} uploads" for state, count in found.open_uploads.items()))
        write(
            *(
                f"{state} in {settings.health.health_days} days: {count} uploads"
                for state, count in found.settled.items()
            ),
            *(f"refused for {one.name}: {one.uploads} uploads" for one in found.by_code),
        )
        if found.unnamed.since:
            write(
                f"unnamed: {found.unnamed.pictures} pictures, since {found.unnamed.since:%Y-%m-%d};"
                " `nachet labels waiting` lists them"
            )
    if not all(one.passed for one in results):
        raise typer.Exit(REFUSED)
