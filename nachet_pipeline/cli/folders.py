"""`nachet folder` and `nachet audit`: putting folders away, bringing them back, and who changed what."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from nachet_pipeline.cli.terminal import (
    REFUSED,
    JsonOption,
    WantedByOption,
    WhyOption,
    note,
    open_services,
    progress_bar,
    registered,
    write_result,
)

if TYPE_CHECKING:
    from nachet_pipeline.cli.terminal import Opened
    from nachet_pipeline.database.audit import AuditEntry
    from nachet_pipeline.folders.folder import Folder
    from nachet_pipeline.folders.keeper import FolderKeeper
    from nachet_pipeline.picture_sets.tombstones import Tombstone

app = typer.Typer(no_args_is_help=True, help="A user's folders: what is in them, deleting, archiving, bringing back.")
trail_app = typer.Typer()

FolderArgument = Annotated[
    str, typer.Argument(metavar="FOLDER", help="The folder's id; or, with --user, its name or that of its upload.")
]
UserOption = Annotated[str | None, typer.Option("--user", help="E-mail address of the user whose folder it is.")]


@app.command("list")
def list_(
    user: Annotated[str, typer.Option("--user", help="E-mail address of the user.")],
    *,
    every: Annotated[bool, typer.Option("--all", help="Those that are deleted or archived as well.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List a user's folders, the latest first; with --json one line each."""
    from nachet_pipeline.folders.formatting import folder_line, folder_record
    from nachet_pipeline.folders.queries import folders_of

    with open_services() as opened:
        owner = registered(opened, user)
        with opened.database.reading() as connection:
            for folder in folders_of(connection, owner.id, put_away=every):
                write_result(folder, folder_record, folder_line, as_json=as_json)


@app.command()
def delete(
    folder: FolderArgument,
    by: WantedByOption,
    why: WhyOption,
    user: UserOption = None,
    *,
    keep_for_training: Annotated[
        bool, typer.Option("--keep-for-training", help="Move the pictures to the archive instead, for training.")
    ] = False,
    delete_all: Annotated[bool, typer.Option("--delete-all", help="Delete all of it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a folder. One with imported or verified pictures needs a decision: --keep-for-training or --delete-all.

    Without it, says what is in the folder and changes nothing; exit code 1. A deleted folder is hidden at once, and
    removed when NACHET_UNDO_DAYS have passed; until then `nachet folder undo` brings it back.
    """
    from nachet_pipeline.folders.folder import FolderState
    from nachet_pipeline.folders.formatting import decision_lines, folder_record
    from nachet_pipeline.folders.queries import models_of, training_sets_of

    if keep_for_training and delete_all:
        raise typer.BadParameter("expected one of --keep-for-training and --delete-all")
    with _keeping(folder, user) as (opened, keeper, found):
        undecided = not keep_for_training and not delete_all
        if undecided and found.needs_decision and found.state is FolderState.THERE:
            with opened.database.connection() as connection:
                training_sets, models = training_sets_of(connection, found.id), models_of(connection, found.id)
            write_result(
                found,
                lambda one: folder_record(one, training_sets, models),
                lambda one: decision_lines(one, training_sets, models, keeper.undo_days),
                as_json=as_json,
            )
            note(f"nachet: {found.name} needs --keep-for-training or --delete-all; nothing was changed")
            raise typer.Exit(REFUSED)
        act = keeper.archive if keep_for_training else keeper.delete
        _report(act(found.id, by=by, why=why), as_json=as_json)


@app.command()
def archive(
    folder: FolderArgument, by: WantedByOption, why: WhyOption, user: UserOption = None, *, as_json: JsonOption = False
) -> None:
    """Move a folder's pictures to its user's archive, where they stay for training; interrupted, call it again."""
    with _keeping(folder, user) as (_opened, keeper, found):
        _report(keeper.archive(found.id, by=by, why=why), as_json=as_json)


@app.command()
def undo(
    folder: FolderArgument, by: WantedByOption, why: WhyOption, user: UserOption = None, *, as_json: JsonOption = False
) -> None:
    """Bring a folder back that was deleted or archived within the last NACHET_UNDO_DAYS."""
    with _keeping(folder, user) as (_opened, keeper, found):
        _report(keeper.undo(found.id, by=by, why=why), as_json=as_json)


@contextmanager
def _keeping(wanted: str, user: str | None) -> "Iterator[tuple[Opened, FolderKeeper, Folder]]":
    from nachet_pipeline.folders.keeper import FolderKeeper
    from nachet_pipeline.folders.queries import find_folder

    with open_services() as opened, progress_bar("Moving") as bar:
        owner = registered(opened, user) if user else None
        with opened.database.connection() as connection:
            found = find_folder(connection, wanted, owner)
        keeper = FolderKeeper(opened.database, opened.blobs, opened.settings.folder.undo_days, progress=bar)
        yield opened, keeper, found


def _report(tombstone: "Tombstone", *, as_json: bool) -> None:
    from nachet_pipeline.folders.formatting import tombstone_lines, tombstone_record

    write_result(tombstone, tombstone_record, tombstone_lines, as_json=as_json)


@trail_app.command()
def audit(
    subject: Annotated[
        str | None,
        typer.Option(help="A kind of thing (user, picture set, picture, training set, seed, …), or one thing's id."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Only what was changed then or later, UTC."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Changes at most; all of them, if not given.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Say who changed what, when, from what and to what: the latest first, with --json one line for each change.

    Behind who it was, as far as programs said, stands the login of PostgreSQL that did it.
    """
    from nachet_pipeline.database.audit import entries

    moment = since.replace(tzinfo=UTC) if since else None
    with open_services() as opened, opened.database.reading() as connection:
        for one in entries(connection, subject=subject, since=moment, most=limit):
            write_result(one, _entry_record, _entry_line, as_json=as_json)


def _entry_record(one: "AuditEntry") -> dict[str, object]:
    return asdict(one) | {"at": one.at.astimezone(UTC).isoformat()}


def _entry_line(one: "AuditEntry") -> str:
    what = " → ".join(json.dumps(state, ensure_ascii=False) for state in (one.before, one.after) if state is not None)
    who = f"{one.actor} ({one.login})" if one.login else one.actor
    subject = f"{one.subject} {one.subject_id or ''}"
    return f"{one.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}  {who}  {one.action} {subject}  {what}".rstrip()
