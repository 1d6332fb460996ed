"""`nachet stage`, `nachet import` and `nachet status`: an upload's way into the pipeline."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nachet_pipeline.cli.terminal import (
    REFUSED,
    UNAVAILABLE,
    FolderArgument,
    JsonOption,
    LangOption,
    Opened,
    name_services,
    note,
    open_services,
    progress_bar,
    read_settings,
    registered,
    write,
    write_json,
    write_result,
)
from nachet_pipeline.settings import Settings

if TYPE_CHECKING:
    from uuid import UUID

    from nachet_pipeline.contract.receipt import Receipt
    from nachet_pipeline.storage.blobs import BlobStorage
    from nachet_pipeline.support.i18n import Language
    from nachet_pipeline.uploads.upload import Upload

app = typer.Typer()

UserOption = Annotated[str, typer.Option("--user", help="E-mail address of the registered user whose upload it is.")]
NameOption = Annotated[
    str | None, typer.Option("--name", help="Name of the staged folder, if not the folder's own name.")
]
ReplaceOption = Annotated[
    bool,
    typer.Option("--replace", help="The folder is a correction: let its pictures replace those that are staged."),
]
AcceptValidOption = Annotated[
    bool,
    typer.Option(
        "--accept-valid", help="Import the sessions without errors although others are refused, which stay staged."
    ),
]


@app.command()
def stage(
    folder: FolderArgument,
    user: Annotated[
        str | None, typer.Option("--user", help="E-mail address of the registered user whose upload it is.")
    ] = None,
    name: NameOption = None,
    *,
    sas: Annotated[
        str | None,
        typer.Option(
            "--sas",
            help="Instead of --user: the address that `nachet user key show` printed; nothing else is needed."
            " A single - asks for it, so that it stays out of the shell's history.",
            show_default=False,
        ),
    ] = None,
    replace: ReplaceOption = False,
    accept_valid: AcceptValidOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a folder into a user's upload container; a running pipeline then imports it by itself.

    A second call sends only what is missing. Prints the upload's id, for `nachet status`.
    """
    if (user is None) == (sas is None):
        raise typer.BadParameter("expected one of --user and --sas")
    if sas is not None:
        if accept_valid:
            raise typer.BadParameter("--accept-valid needs --user; or put acceptValid: true into index.yaml")
        _stage_by_key(folder, name, sas, replace=replace, as_json=as_json)
        return
    if user is None:
        raise typer.BadParameter("expected --user")
    with open_services() as opened:
        upload = _stage(opened, user, folder, name, replace=replace, accept_valid=accept_valid)
        from nachet_pipeline.uploads.staging import mark_complete

        mark_complete(opened.blobs, upload.staging_container, upload.folder)
    _write_staged(upload.id, upload.partition, as_json=as_json)


@app.command("import")
def import_(
    folder: FolderArgument,
    user: UserOption,
    name: NameOption = None,
    *,
    replace: ReplaceOption = False,
    accept_valid: AcceptValidOption = False,
    language: LangOption = "en",
    as_json: JsonOption = False,
) -> None:
    """Stage a folder and import it now, in this process; prints the receipt.

    Exit code 0 means that all of it is imported, 1 that it was refused, or with --accept-valid a part of it, 3 that
    it failed. The run is recorded in the same Dagster instance as all others, so the UI shows it.
    """
    from dataclasses import replace as replace_fields

    from nachet_pipeline.contract.receipt import State
    from nachet_pipeline.defs.instance import dagster_home
    from nachet_pipeline.uploads.discovery import Arrival, queue, take_snapshot
    from nachet_pipeline.uploads.importing import reported_if_full
    from nachet_pipeline.uploads.queries import find_upload
    from nachet_pipeline.uploads.staged_folder import StagedFolder
    from nachet_pipeline.uploads.staging import mark_complete

    # Before anything is staged, because the import needs it.
    instance = dagster_home(read_settings().home)
    with open_services() as opened:
        settings = opened.settings
        upload = _stage(opened, user, folder, name, replace=replace, accept_valid=accept_valid)
        staged = StagedFolder(opened.blobs, upload.staging_container, upload.folder)
        with reported_if_full(opened.database, opened.blobs, upload):
            # It is this process's before it is marked as complete, so that no sensor asks for a run as well.
            look = take_snapshot(staged, settings.arrival, opened.limits)
            queue(opened.database, [Arrival(upload, look)])
        mark_complete(opened.blobs, upload.staging_container, upload.folder)
        with reported_if_full(opened.database, opened.blobs, replace_fields(upload, state=State.QUEUED)):
            name_services(settings, instance)
            from nachet_pipeline.definitions import definitions
            from nachet_pipeline.defs.resources import ImportProgress
            from nachet_pipeline.defs.uploads.running import run_import

            with progress_bar("Importing") as bar:
                progress = ImportProgress(lambda _step, done, total: bar(done, total))
                run_import(definitions(settings, progress), upload)
        with opened.database.connection() as connection:
            done = find_upload(connection, upload.id)
    if done is None or done.receipt is None or done.state != done.receipt.state or done.state == "importing":
        note("nachet: the import was interrupted; the folder stays staged, and the same command completes it")
        raise typer.Exit(UNAVAILABLE)
    _write_receipt(done.receipt, language, as_json=as_json)
    if done.receipt.state is State.FAILED:
        note(f"nachet: {done.receipt.failure}; the folder stays staged, and the same command completes it")
        raise typer.Exit(UNAVAILABLE)
    if done.receipt.state is not State.IMPORTED:
        raise typer.Exit(REFUSED)


@app.command()
def status(
    upload: Annotated[
        str | None, typer.Argument(help="The upload's id, partition or folder; without one, the latest are listed.")
    ] = None,
    *,
    language: LangOption = "en",
    as_json: JsonOption = False,
) -> None:
    """Show where an upload stands: its receipt, with what was found."""
    from nachet_pipeline.uploads.queries import search_uploads

    with open_services() as opened, opened.database.reading() as connection:
        found = search_uploads(connection, upload)
    if upload and not found:
        note(f"nachet: there is no upload {upload}; `nachet status` lists the latest")
        raise typer.Exit(REFUSED)
    if upload and len(found) == 1:
        one = found[0]
        if one.receipt and one.receipt.state == one.state:
            _write_receipt(one.receipt, language, as_json=as_json)
            return
    if as_json:
        listed = [
            {"upload": one.id, "owner": one.owner.email, "folder": one.folder, "state": one.state} for one in found
        ]
        write_json(listed[0] if upload and len(listed) == 1 else listed)
        return
    for one in found:
        write(f"{one.id}  {one.state:<15}  {one.owner.email}  {one.folder}")


def _stage(
    opened: Opened, email: str, folder: Path, given_name: str | None, *, replace: bool, accept_valid: bool
) -> "Upload":
    from nachet_pipeline.contract.sessions import Owner
    from nachet_pipeline.uploads.queries import record_wishes, see_upload

    user, name = registered(opened, email), given_name or folder.resolve().name
    with opened.database.connection() as connection:
        upload = see_upload(connection, Owner(user.id, user.email), name)
        record_wishes(connection, upload.id, accept_valid=accept_valid, replace=replace)
    _send(opened.blobs, user.upload_container, folder, name, opened.settings, replace=replace)
    return upload


def _stage_by_key(folder: Path, given_name: str | None, sas: str, *, replace: bool, as_json: bool) -> None:
    """Stage with an upload key alone: no database, no other credential."""
    from nachet_pipeline.identifiers import partition_key, upload_id
    from nachet_pipeline.uploads.staging import mark_complete
    from nachet_pipeline.users.upload_address import UploadAddress

    if sas.strip() == "-":
        sas = typer.prompt("Address with the key", hide_input=True, err=True)
    address, name = UploadAddress.parse(sas), given_name or folder.resolve().name
    with address.open() as blobs:
        settings = Settings.from_environment()
        _send(blobs, address.container, folder, name, settings, replace=replace, may_delete=False)
        mark_complete(blobs, address.container, name)
    upload = upload_id(address.owner, name)
    _write_staged(upload, partition_key(upload, name), as_json=as_json)


def _send(
    blobs: "BlobStorage",
    container: str,
    folder: Path,
    name: str,
    settings: Settings,
    *,
    replace: bool,
    may_delete: bool = True,
) -> None:
    from nachet_pipeline.support.files import LocalFolder
    from nachet_pipeline.uploads.staging import stage_folder

    with progress_bar("Staging", of_bytes=True) as bar:
        staged = stage_folder(
            blobs,
            LocalFolder(folder),
            container,
            name,
            replace=replace,
            may_delete=may_delete,
            concurrency=settings.transfer.transfer_concurrency,
            progress=bar,
        )
    removed = f", {staged.removed} removed" if staged.removed else ""
    note(f"{staged.sent} files sent, {staged.unchanged} there already{removed}")


def _write_staged(upload: "UUID", partition: str, *, as_json: bool) -> None:
    write_result(upload, lambda one: {"upload": one, "partition": partition}, str, as_json=as_json)


def _write_receipt(receipt: "Receipt", language: "Language", *, as_json: bool) -> None:
    from nachet_pipeline.uploads.formatting import receipt_lines

    lines = [receipt.model_dump_json(exclude_none=True)] if as_json else receipt_lines(receipt, language)
    write(*lines)
