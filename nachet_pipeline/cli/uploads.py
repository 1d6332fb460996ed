"""`nachet stage`, `nachet import` and `nachet status`: an upload's way into the pipeline."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

import os
from contextlib import contextmanager
from datetime import UTC, datetime
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
    note,
    open_services,
    progress_bar,
    read_settings,
    registered,
    services_named,
    write,
    write_json,
    write_result,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nachet_pipeline.client import Client, SeenUpload, Staged, Submission
    from nachet_pipeline.contract.receipt import Receipt, State
    from nachet_pipeline.defs.uploads.reporting import NotReportedError, ReportedRun
    from nachet_pipeline.pictures.decoding_pool import DecodingPool
    from nachet_pipeline.support.i18n import Language
    from nachet_pipeline.uploads.upload import Upload
    from nachet_pipeline.users.user import User

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
    if (user is None) == (sas is None):
        raise typer.BadParameter("expected one of --user and --sas")
    if sas is not None and accept_valid:
        raise typer.BadParameter("--accept-valid needs --user; or put acceptValid: true into index.yaml")
    if withdraw and (replace or accept_valid):
        raise typer.BadParameter("--withdraw changes no file: it goes with neither --replace nor --accept-valid")
    if not withdraw and not (folder.is_dir() and os.access(folder, os.R_OK)):
        raise typer.BadParameter(f"{folder} is no folder that can be read", param_hint="FOLDER")
    staged_name = name or folder.resolve().name
    with _client(user, sas) as client:
        if withdraw:
            client.withdraw(staged_name, owner=user)
            note(f"{staged_name} is withdrawn; nothing of it is removed, and staging it again takes that back")
            sent = client.submission(staged_name, owner=user)
        else:
            with progress_bar("Staging", of_bytes=True) as bar:
                sent = client.submit(
                    folder, name=staged_name, owner=user, replace=replace, accept_valid=accept_valid, progress=bar
                )
            _note_staged(sent.staged)
        note(f"submission {sent.digest}")
        if not wait:
            record = {"upload": sent.id, "partition": sent.partition, "submission": sent.digest}
            write_result(record, lambda one: one, lambda one: str(one["upload"]), as_json=as_json)
            return
        receipt = _wait(sent, timeout)
    _write_receipt(receipt, language, as_json=as_json)
    _exit_as(receipt)


@contextmanager
def _client(user: str | None, sas: str | None) -> "Iterator[Client]":
    """A client with all services, of a user who is registered; or with an upload key alone."""
    from nachet_pipeline.client import Client

    if user is None:
        with Client.from_upload_key(_asked_for(sas)) as client:
            yield client
        return
    with open_services(start=True) as opened:
        registered(opened, user)
        yield Client(opened.settings, opened.blobs, database=opened.database)


def _asked_for(sas: str | None) -> str:
    """The address that was given, or is asked for now."""
    if sas is None or sas.strip() == "-":
        return str(typer.prompt("Address with the key", hide_input=True, err=True))
    return sas


def _note_staged(staged: "Staged | None") -> None:
    if staged:
        removed = f", {staged.removed} removed" if staged.removed else ""
        left = f", {staged.left_out} of an earlier staging left out" if staged.left_out else ""
        note(f"{staged.sent} file{'s' * (staged.sent != 1)} sent, {staged.unchanged} there already{removed}{left}")


def _wait(sent: "Submission", seconds: float) -> "Receipt":
    from nachet_pipeline.client import NoReceiptYetError, SupersededError

    folder = sent.folder
    try:
        return sent.wait(seconds, report=lambda line: note(f"{folder}: {line}"))
    except SupersededError as error:
        if error.withdrawn:
            note(f"nachet: {folder} was withdrawn meanwhile, so it is not imported; staging it again takes that back")
            raise typer.Exit(REFUSED) from None
        note(
            f"nachet: {folder} was changed meanwhile, so there will be no receipt of this submission;"
            f" `nachet status {folder}` asks about what is staged now"
        )
    except NoReceiptYetError as error:
        note(f"nachet: {error}, and `nachet status {folder}` asks again")
    raise typer.Exit(UNAVAILABLE)


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
    context: typer.Context,
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
    from nachet_pipeline.defs.instance import dagster_home
    from nachet_pipeline.defs.uploads.reporting import ReportedRun

    # Before anything is staged, because the import needs it.
    instance = dagster_home(read_settings().home)
    with context.obj or ReportedRun() as run, open_services(start=True) as opened:
        run.prepare(services_named(opened.settings, instance))
        done, unreported = _stage_and_import(
            opened, run, folder, user, name, accept_valid=accept_valid, replace=replace
        )
    if done is None or done.receipt is None or done.state != done.receipt.state or done.state == "importing":
        note("nachet: the import was interrupted; the folder stays staged, and the same command completes it")
        raise typer.Exit(UNAVAILABLE)
    _write_receipt(done.receipt, language, as_json=as_json)
    if unreported:
        raise unreported
    _exit_as(done.receipt, "the same command completes it")


def _stage_and_import(
    opened: Opened, run: "ReportedRun", folder: Path, user: str, name: str | None, *, accept_valid: bool, replace: bool
) -> "tuple[Upload | None, NotReportedError | None]":
    """The upload once it is imported, and why Dagster does not show that, if it does not."""
    from dataclasses import replace as replace_fields

    from nachet_pipeline.contract.receipt import State
    from nachet_pipeline.defs.uploads.reporting import NotReportedError
    from nachet_pipeline.pictures.decoding_pool import DecodingPool
    from nachet_pipeline.uploads.importing import reported_if_full
    from nachet_pipeline.uploads.queries import find_upload

    unreported = None
    owner = registered(opened, user)
    with DecodingPool(opened.decoding) as pool:
        pool.begin()  # a decoder starts while the folder is sent
        upload = _stage_and_queue(opened, folder, owner, name, accept_valid=accept_valid, replace=replace)
        with reported_if_full(opened.database, opened.blobs, replace_fields(upload, state=State.QUEUED)):
            try:
                with run.of(upload):
                    _import_here(opened, upload, pool, run)
            except NotReportedError as error:
                unreported = error
    with opened.database.connection() as connection:
        return find_upload(connection, upload.id), unreported


def _import_here(opened: Opened, upload: "Upload", pool: "DecodingPool", run: "ReportedRun") -> None:
    """Import an upload in this process, for a run that reports it."""
    from nachet_pipeline.registry.queries import registered_seeds
    from nachet_pipeline.uploads.importing import Importer

    with progress_bar("Importing") as bar:

        def progress(step: str, done: int, total: int) -> None:
            bar(done, total)
            run.progress(step, done, total)

        importer = Importer(
            opened.database,
            opened.blobs,
            pool,
            opened.database.call(registered_seeds),
            opened.rules,
            opened.limits,
            opened.settings.transfer,
            run.id,
            progress,
        )
        try:
            run.end(importer.import_upload(upload.id))
        except Exception as error:  # noqa: BLE001 (the run shows it; what became of the upload is in its receipt)
            run.end(error)


def _stage_and_queue(
    opened: Opened, folder: Path, owner: "User", name: str | None, *, accept_valid: bool, replace: bool
) -> "Upload":
    """Stage a folder for this process to import, so that no sensor asks for a run as well."""
    from nachet_pipeline.contract.sessions import Owner
    from nachet_pipeline.support.files import LocalFolder
    from nachet_pipeline.uploads.discovery import Arrival, queue, take_snapshot
    from nachet_pipeline.uploads.importing import reported_if_full
    from nachet_pipeline.uploads.queries import record_wishes, see_upload
    from nachet_pipeline.uploads.staged_folder import StagedFolder
    from nachet_pipeline.uploads.staging import mark_complete, stage_folder

    settings, container, staged_name = opened.settings, owner.upload_container, name or folder.resolve().name
    with progress_bar("Staging", of_bytes=True) as bar:
        concurrency = settings.transfer.transfer_concurrency
        local = LocalFolder(folder)
        sent = stage_folder(
            opened.blobs, local, container, staged_name, replace=replace, concurrency=concurrency, progress=bar
        )
    _note_staged(sent)
    # Not before: what is refused must not change how the folder that is there is treated.
    with opened.database.connection() as connection:
        upload = see_upload(connection, Owner(owner.id, owner.email), staged_name)
        record_wishes(connection, upload.id, accept_valid=accept_valid, replace=replace)

    def queue_it() -> None:
        there = StagedFolder(opened.blobs, container, staged_name)
        queue(opened.database, [Arrival(upload, take_snapshot(there, settings.arrival, opened.limits))])

    with reported_if_full(opened.database, opened.blobs, upload):
        queue_it()  # before it is marked as complete
        mark_complete(opened.blobs, container, staged_name, sent.marker)
        queue_it()
    return upload


@app.command()
def status(
    upload: Annotated[
        str | None,
        typer.Argument(
            metavar="[UPLOAD]",
            help="The upload's id, partition or folder; without one, uploads are listed. With --sas: the folder.",
        ),
    ] = None,
    *,
    owner: Annotated[
        str | None, typer.Option("--owner", help="E-mail address of a user: their uploads alone.", show_default=False)
    ] = None,
    state: Annotated[
        str | None,
        typer.Option("--state", help="Uploads in this state alone: staged, refused, …", show_default=False),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="Uploads alone whose state changed then or later, UTC.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Uploads at most.")] = 20,
    sas: SasOption = None,
    language: LangOption = "en",
    as_json: JsonOption = False,
) -> None:
    """Show where an upload stands: its receipt, with what was found. Without one, list uploads, the latest first.

    The list says when each was first seen, when a run was last requested, and when its state last changed, in UTC;
    its last line, how many uploads are in which state.

    Exit code with --sas: 0 all of it is imported, 1 it was refused, or a part of it, 3 it failed, or there is no
    receipt of what is staged yet.
    """
    from nachet_pipeline.client import Client

    if sas is not None:
        if owner or state or since:
            raise typer.BadParameter("--owner, --state and --since list uploads, which needs the services")
        _status_by_key(upload, sas, language, as_json=as_json)
        return
    moment = since.replace(tzinfo=UTC) if since else None
    with open_services() as opened:
        client = Client(opened.settings, opened.blobs, database=opened.database)
        page = client.uploads(owner=owner, state=state, since=moment, named=upload, limit=limit)
        counts = client.uploads_by_state(owner=owner, since=moment) if upload is None and not as_json else {}
        receipt = client.receipt(page.items[0].id) if upload and len(page.items) == 1 else None
    if upload and not page.items:
        note(f"nachet: there is no upload {upload}; `nachet status` lists the latest")
        raise typer.Exit(REFUSED)
    if receipt:
        _write_receipt(receipt, language, as_json=as_json)
    elif as_json:
        listed = [_seen_record(one) for one in page.items]
        write_json(listed[0] if upload and len(listed) == 1 else listed)
    else:
        write(*_seen_lines(page.items), *([_counted(counts)] if counts else []))
        if page.after:
            note("there are more: --limit shows up to 1000, --owner, --state and --since choose among them")


def _seen_record(one: "SeenUpload") -> dict[str, object]:
    times = {"first_seen": one.first_seen, "queued_at": one.queued_at, "updated_at": one.updated_at}
    shown = {name: moment.astimezone(UTC).isoformat() if moment else None for name, moment in times.items()}
    return {"upload": one.id, "owner": one.owner, "folder": one.folder, "state": one.state, **shown}


def _seen_lines(uploads: "Sequence[SeenUpload]") -> "Iterator[str]":
    if uploads:
        yield f"{'upload':<36}  {'state':<15}  {'first seen':<16}  {'queued':<16}  {'changed':<16}  owner  folder"
    for one in uploads:
        seen, queued, changed = (
            f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else "-"
            for moment in (one.first_seen, one.queued_at, one.updated_at)
        )
        yield f"{one.id}  {one.state:<15}  {seen}  {queued:<16}  {changed}  {one.owner}  {one.folder}"


def _counted(counts: "Mapping[State, int]") -> str:
    number = sum(counts.values())
    each = ", ".join(f"{there:,} {state}" for state, there in counts.items())
    return f"{number:,} upload{'s' * (number != 1)}: {each}"


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


def _write_receipt(receipt: "Receipt", language: "Language", *, as_json: bool) -> None:
    from nachet_pipeline.uploads.formatting import receipt_lines

    lines = [receipt.model_dump_json(exclude_none=True)] if as_json else receipt_lines(receipt, language)
    write(*lines)
