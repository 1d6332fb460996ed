"""Rendering a mass import's outcome: a table for people, one object for programs."""

from typing import Any

from rich.console import Console
from rich.table import Table

from nachet_pipeline.mass_import.importing import FolderOutcome, MassImportOutcome, Result

_FOLDERS = 200


def outcome_record(outcome: MassImportOutcome) -> dict[str, Any]:
    """The outcome as a JSON object; its findings stand in the report blob in full."""
    return {
        "container": outcome.container,
        "owner": outcome.owner,
        "dry_run": outcome.dry_run,
        "pictures": outcome.pictures,
        "bytes": outcome.size,
        "taken": outcome.taken,
        "not_taken": outcome.not_taken,
        "folders_by_result": {result.name.lower(): count for result, count in outcome.results.items()},
        "rows_changed": {
            "picture_set": outcome.rows.picture_sets,
            "pictures": outcome.rows.pictures,
            "picture_seed": outcome.rows.picture_seeds,
        },
        "report_blob": outcome.report_blob,
        "folders": [_folder_record(one) for one in outcome.folders],
        "report": outcome.report.model_dump(mode="json", exclude_none=True),
    }


def _folder_record(one: FolderOutcome) -> dict[str, Any]:
    return {
        "folder": one.folder,
        "result": one.result.name.lower(),
        "species": one.species,
        "zoom": one.zoom,
        "seeds": one.seeds,
        "split": one.split,
        "pictures": one.pictures,
        "bytes": one.size,
        "taken": one.taken,
        "not_taken": one.not_taken,
        "picture_set": str(one.picture_set) if one.picture_set else None,
        "adopted": one.adopted,
    }


def print_outcome(outcome: MassImportOutcome, console: Console) -> None:
    """Write the plan or the result as a table, and its totals."""
    title = f"{outcome.container}, what would be done" if outcome.dry_run else outcome.container
    table = Table(title=title)
    for name in ("folder", "species"):
        table.add_column(name, overflow="fold")
    for name in ("zoom", "seeds", "pictures", "bytes", "taken"):
        table.add_column(name, justify="right")
    table.add_column("result")
    for one in outcome.folders[:_FOLDERS]:
        table.add_row(
            one.folder or "/",
            one.species or "?",
            one.zoom or "?",
            one.seeds or "?",
            str(one.pictures),
            f"{one.size:,}",
            str(one.taken),
            _result(one),
        )
    console.print(table, markup=False)
    folders = sum(outcome.results.values())
    if folders > _FOLDERS:
        console.print(f"… and {folders - _FOLDERS} more folders", markup=False)
    verb = "would be taken" if outcome.dry_run else "taken"
    console.print(
        f"{outcome.taken} of {outcome.pictures} pictures {verb}; {outcome.not_taken} files not taken;"
        f" {outcome.results[Result.UNCHANGED]} of {folders} folders unchanged",
        markup=False,
        soft_wrap=True,
    )


def _result(one: FolderOutcome) -> str:
    copied = ", copied" if one.adopted and one.result is Result.TAKEN else ""
    return f"{one.result.value}{copied}"
