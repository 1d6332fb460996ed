"""`nachet stage`, `nachet import` and `nachet status`: an upload's way into the pipeline."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

import os
from contextlib import contextmanager
from dataclasses import dataclass
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
    from collections.abc import Iterator
    from uuid import UUID

    from nachet_pipeline.contract.receipt import Receipt
    from nachet_pipeline.storage.blobs import BlobStorage
    from nachet_pipeline.support.i18n import Language
    from nachet_pipeline.uploads.discovery import FolderSnapshot
    from nachet_pipeline.uploads.following import Standing
    from nachet_pipeline.uploads.staging import Staged
    from nachet_pipeline.uploads.upload import Upload

app = typer.Typer()

UserOption = Annotated[str, typer.Option("--user", help="E-mail address of the registered user whose upload it is.")]
NameOption = Annotated[
    str | None, typer.Option("--name", help="Name of the staged folder, if not the folder's own name.")
]
ReplaceOption = Annotated[
    bool,
    typer.Option(
        "--replace",
        help="The folder is a correction: its pictures replace those that are staged, and staged pictures that it does"
        " not have belong to it no more.",
    ),
]
AcceptValidOption = Annotated[
    bool,
    typer.Option(
        "--accept-valid", help="Import the sessions without errors although others are refused, which stay staged."
    ),
]


SasOption = Annotated[
    str | None,
    typer.Option(
        "--sas",
        help="The address that `nachet user key show` printed; nothing else is needed."
        " A single - asks for it, so that it stays out of the shell's history.",
        show_default=False,
    ),
]


@app.command()
def stage(
    folder: Annotated[Path, typer.Argument(help="The project or session folder; with --withdraw, its name is enough.")],
    user: Annotated[
        str | None, typer.Option("--user", help="E-mail address of the registered user whose upload it is.")
    ] = None,
    name: NameOption = None,
    *,
    sas: SasOption = None,
    replace: ReplaceOption = False,
    accept_valid: AcceptValidOption = False,
    withdraw: Annotated[
        bool,
        typer.Option(
            "--withdraw",
            help="Give a staged folder up: it is not imported. What was imported of it before stays. Staging it again"
            " takes that back.",
        ),
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the receipt of what was sent, and print it.")] = False,
    timeout: Annotated[float, typer.Option(min=0, help="With --wait: for so many seconds at most.")] = 3600,
    language: LangOption = "en",
    as_json: JsonOption = False,
) -> None:
    """Bring a folder into a user's upload container; a running pipeline then imports it by itself.

    A second call sends only what is missing. Prints the upload's id, for `nachet status`.

    Exit code with --wait: 0 all of it is imported, 1 it was refused, or a part of it, or withdrawn meanwhile, 3 it
    failed, it was changed meanwhile, or there was no receipt in time.
    """
    from nachet_pipeline.uploads.importing import read_receipt
    from nachet_pipeline.uploads.staging import mark_complete, withdraw_folder

    if (user is None) == (sas is None):
        raise typer.BadParameter("expected one of --user and --sas")
    if sas is not None and accept_valid:
        raise typer.BadParameter("--accept-valid needs --user; or put acceptValid: true into index.yaml")
    if withdraw and (replace or accept_valid):
        raise typer.BadParameter("--withdraw changes no file: it goes with neither --replace nor --accept-valid")
    if not withdraw and not (folder.is_dir() and os.access(folder, os.R_OK)):
        raise typer.BadParameter(f"{folder} is no folder that can be read", param_hint="FOLDER")
    staged_name = name or folder.resolve().name
    with _place(user, sas) as place:
        before = None
        if withdraw:
            withdraw_folder(place.blobs, place.container, staged_name)
            note(f"{staged_name} is withdrawn; nothing of it is removed, and staging it again takes that back")
        else:
            if place.opened:
                _, changed = _seen(place.opened, place, staged_name, accept_valid=accept_valid, replace=replace)
                before = read_receipt(place.blobs, place.container, staged_name) if changed else None
            sent = _send(place, folder, staged_name, replace=replace)
            mark_complete(place.blobs, place.container, staged_name, sent.marker)
        staged = place.look(staged_name).snapshot
        note(f"submission {staged.digest}")
        if not wait:
            _write_staged(place.owner, staged_name, staged.digest, as_json=as_json)
            return
        receipt = _wait(place, staged_name, staged, timeout, before)
    _write_receipt(receipt, language, as_json=as_json)
    _exit_as(receipt)


@dataclass(frozen=True)
class _Place:
    """Where a folder is staged: by an upload key alone, or with all services.

    Attributes:
        blobs: what the key opens, or the whole account.
        container: the upload container.
        owner: whose it is.
        settings: of this machine.
        opened: the services; None with an upload key.
    """

    blobs: "BlobStorage"
    container: str
    owner: "UUID"
    settings: Settings
    opened: Opened | None = None

    def look(self, folder: str) -> "Standing":
        """Where a staged folder stands."""
        from nachet_pipeline.contract.limits import ContractLimits
        from nachet_pipeline.uploads.following import standing

        limits = ContractLimits.of(self.settings.contract, self.settings.transfer)
        return standing(self.blobs, self.container, folder, self.settings.arrival, limits)


@contextmanager
def _place(user: str | None, sas: str | None) -> "Iterator[_Place]":
    if user is not None:
        with open_services(start=True) as opened:
            yield _of_user(opened, user)
        return
    from nachet_pipeline.users.upload_address import UploadAddress

    address = UploadAddress.parse(_asked_for(sas))
    with address.open() as blobs:
        yield _Place(blobs, address.container, address.owner, Settings.from_environment())


def _asked_for(sas: str | None) -> str:
    """The address that was given, or is asked for now."""
    if sas is None or sas.strip() == "-":
        return str(typer.prompt("Address with the key", hide_input=True, err=True))
    return sas


def _of_user(opened: Opened, email: str) -> _Place:
    user = registered(opened, email)
    return _Place(opened.blobs, user.upload_container, user.id, opened.settings, opened)


def _wait(place: _Place, folder: str, sent: "FolderSnapshot", seconds: float, before: "Receipt | None") -> "Receipt":
    from nachet_pipeline.uploads.following import SupersededError, looks, wait_for_verdict

    following = looks(
        place.blobs, place.container, folder, sent, look=lambda: place.look(folder).snapshot, other_than=before
    )
    try:
        receipt = wait_for_verdict(following, seconds=seconds, report=lambda line: note(f"{folder}: {line}"))
    except SupersededError as error:
        if error.withdrawn:
            note(f"nachet: {folder} was withdrawn meanwhile, so it is not imported; staging it again takes that back")
            raise typer.Exit(REFUSED) from None
        note(
            f"nachet: {folder} was changed meanwhile, so there will be no receipt of this submission;"
            f" `nachet status {folder}` asks about what is staged now"
        )
        raise typer.Exit(UNAVAILABLE) from None
    if receipt is None:
        note(
            f"nachet: there is no receipt of this submission of {folder} after {seconds:g} s; the folder stays staged,"
            f" and `nachet status {folder}` asks again"
        )
        raise typer.Exit(UNAVAILABLE)
    return receipt


def _exit_as(receipt: "Receipt", again: str = "the pipeline tries again by itself") -> None:
    """End the command with the exit code of a receipt, unless all is well; of a failure it says how it goes on."""
    from nachet_pipeline.contract.receipt import State

    if receipt.state is State.FAILED:
        note(f"nachet: {receipt.failure}; the folder stays staged, and {again}")
        raise typer.Exit(UNAVAILABLE)
    if not receipt.state.is_as_wanted:
        raise typer.Exit(REFUSED)


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
    from nachet_pipeline.uploads.discovery import Arrival, queue
    from nachet_pipeline.uploads.importing import reported_if_full
    from nachet_pipeline.uploads.queries import find_upload
    from nachet_pipeline.uploads.staging import mark_complete

    # Before anything is staged, because the import needs it.
    instance = dagster_home(read_settings().home)
    with open_services(start=True) as opened:
        settings, place, staged_name = opened.settings, _of_user(opened, user), name or folder.resolve().name
        upload, _ = _seen(opened, place, staged_name, accept_valid=accept_valid, replace=replace)
        sent = _send(place, folder, staged_name, replace=replace)
        with reported_if_full(opened.database, opened.blobs, upload):
            # It is this process's before it is marked as complete, so that no sensor asks for a run as well.
            queue(opened.database, [Arrival(upload, place.look(staged_name).snapshot)])
            mark_complete(opened.blobs, upload.staging_container, upload.folder, sent.marker)
            queue(opened.database, [Arrival(upload, place.look(staged_name).snapshot)])
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
    _exit_as(done.receipt, "the same command completes it")


@app.command()
def status(
    upload: Annotated[
        str | None,
        typer.Argument(
            metavar="[UPLOAD]",
            help="The upload's id, partition or folder; without one, the latest are listed. With --sas: the folder.",
        ),
    ] = None,
    *,
    sas: SasOption = None,
    language: LangOption = "en",
    as_json: JsonOption = False,
) -> None:
    """Show where an upload stands: its receipt, with what was found.

    Exit code with --sas: 0 all of it is imported, 1 it was refused, or a part of it, 3 it failed, or there is no
    receipt of what is staged yet.
    """
    from nachet_pipeline.uploads.queries import search_uploads

    if sas is not None:
        _status_by_key(upload, sas, language, as_json=as_json)
        return
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


def _status_by_key(folder: str | None, sas: str, language: "Language", *, as_json: bool) -> None:
    """Show where a folder stands with an upload key alone."""
    from nachet_pipeline.client import Client

    if not folder:
        raise typer.BadParameter("expected the name of a staged folder with --sas")
    with Client.from_upload_key(_asked_for(sas)) as client:
        found = client.status(Path(folder).resolve().name)
    if found.receipt:
        _write_receipt(found.receipt, language, as_json=as_json)
        _exit_as(found.receipt)
        return
    if as_json:
        write_json(found.model_dump(exclude={"receipt"}))
    else:
        write(f"{found.folder}: {found.files} files, {found.size:,} bytes; {found.reason}")
    raise typer.Exit(UNAVAILABLE)


def _seen(opened: Opened, place: _Place, folder: str, *, accept_valid: bool, replace: bool) -> tuple["Upload", bool]:
    """The upload of a folder, once the database has its uploader's wishes; and whether these are others than before."""
    from nachet_pipeline.uploads.queries import FolderName, record_wishes, see_uploads

    with opened.database.connection() as connection:
        (upload,) = see_uploads(connection, [FolderName(place.owner, folder)])
        changed = record_wishes(connection, upload.id, accept_valid=accept_valid, replace=replace)
    return upload, changed


def _send(place: _Place, folder: Path, name: str, *, replace: bool) -> "Staged":
    from nachet_pipeline.support.files import LocalFolder
    from nachet_pipeline.uploads.staging import stage_folder

    with progress_bar("Staging", of_bytes=True) as bar:
        staged = stage_folder(
            place.blobs,
            LocalFolder(folder),
            place.container,
            name,
            replace=replace,
            may_delete=place.opened is not None,
            concurrency=place.settings.transfer.transfer_concurrency,
            progress=bar,
        )
    removed = f", {staged.removed} removed" if staged.removed else ""
    left = f", {staged.left_out} of an earlier staging left out" if staged.left_out else ""
    note(f"{staged.sent} file{'s' * (staged.sent != 1)} sent, {staged.unchanged} there already{removed}{left}")
    return staged


def _write_staged(owner: "UUID", folder: str, submission: str, *, as_json: bool) -> None:
    from nachet_pipeline.identifiers import partition_key, upload_id

    upload = upload_id(owner, folder)
    record = {"upload": upload, "partition": partition_key(upload, folder), "submission": submission}
    write_result(record, lambda one: one, lambda one: str(one["upload"]), as_json=as_json)


def _write_receipt(receipt: "Receipt", language: "Language", *, as_json: bool) -> None:
    from nachet_pipeline.uploads.formatting import receipt_lines

    lines = [receipt.model_dump_json(exclude_none=True)] if as_json else receipt_lines(receipt, language)
    write(*lines)
