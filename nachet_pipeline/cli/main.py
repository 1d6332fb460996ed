"""The command `nachet`: the same functions that Dagster calls, for a terminal.

Nothing heavy is imported until a command needs it, so that help answers at once.
"""

# ruff: noqa: PLC0415 (imports inside commands are the point of this module)

import json
import sqlite3
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from nachet_pipeline.cli import folders, labels, reliability, secrets, users
from nachet_pipeline.cli.crops import crops
from nachet_pipeline.cli.terminal import (
    REFUSED,
    UNAVAILABLE,
    JsonOption,
    Lang,
    LangOption,
    Opened,
    name_services,
    note,
    open_services,
    progress_bar,
    read_settings,
    registered,
    write,
)
from nachet_pipeline.cli.training_sets import app as training_set_app
from nachet_pipeline.errors import ActionableError
from nachet_pipeline.settings import Settings, SettingsError
from nachet_pipeline.support.machine import full_disk

if TYPE_CHECKING:
    from nachet_pipeline.contract.receipt import Receipt
    from nachet_pipeline.contract.report import Report
    from nachet_pipeline.support.i18n import Language
    from nachet_pipeline.uploads.upload import Upload

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    help="Import folders of seed photographs: staged folder → validated manifest → Blob storage → PostgreSQL →"
    " training set.\n\nWithout NACHET_DATABASE_URL and NACHET_BLOB_ACCOUNT_URL, services of this machine are used;"
    " they are started when needed and stopped at the end, or kept running by `nachet up`.\n\nExit codes: 0 done,"
    " 1 refused (the findings say why), 2 wrong usage or setting, 3 a service does not answer or a disk is full.",
)
db_app = typer.Typer(no_args_is_help=True, help="The database's tables.")
app.add_typer(users.app, name="user")
app.add_typer(secrets.app, name="secrets")
app.add_typer(db_app, name="db")
duplicates_app = typer.Typer(help="Stored pictures that are the same or look alike, and what was decided about them.")
app.add_typer(duplicates_app, name="duplicates")
app.add_typer(labels.app, name="labels")
app.add_typer(training_set_app, name="training-set")
app.command()(crops)
app.add_typer(reliability.app)
app.add_typer(folders.app, name="folder")
app.add_typer(folders.trail_app)


class Format(StrEnum):
    """How a report is written."""

    TEXT = "text"
    JSONL = "jsonl"
    HTML = "html"


class PictureSuffix(StrEnum):
    """Formats of sample pictures."""

    TIFF = "tiff"
    PNG = "png"
    JPEG = "jpeg"


class LoginRole(StrEnum):
    """What a login of PostgreSQL is for."""

    IMPORTER = "importer"
    READER = "reader"


class PairIs(StrEnum):
    """What two pictures are to each other."""

    DUPLICATE = "duplicate"
    DIFFERENT = "different"


FolderArgument = Annotated[
    Path, typer.Argument(exists=True, file_okay=False, readable=True, help="The project or session folder.")
]
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
def sample(
    folder: Annotated[Path, typer.Argument(help="Where to write the project folder; it must be new or empty.")],
    sessions: Annotated[int, typer.Option(min=1, max=1000, help="Session folders, each of another species.")] = 1,
    pictures: Annotated[int, typer.Option(min=1, max=1_000_000, help="Pictures in each session.")] = 4,
    picture_format: Annotated[PictureSuffix, typer.Option("--format", help="Format of the pictures.")] = (
        PictureSuffix.TIFF
    ),
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
            picture_format=picture_format.value,
            seed=seed,
            email=email,
        )
    except (FileExistsError, NotADirectoryError):
        raise typer.BadParameter(f"{folder} is not a new or empty folder") from None
    write(str(folder))


@app.command()
def validate(
    folder: FolderArgument,
    output: Annotated[
        Format, typer.Option("--format", help="Text for people, a page for browsers, JSON Lines for programs.")
    ] = Format.TEXT,
    language: LangOption = Lang.EN,
) -> None:
    """Check a folder against the contract, without any service.

    Every finding has a stable code, and says where it is, what was expected and what was found. Seeds are looked up
    in the package's registry; whether the uploader is registered is checked on import. JSON Lines hold every finding,
    in both languages; text and page (`--format html > report.html`) name the first of many that are alike.
    """
    from nachet_pipeline.contract.inventory import Inventory
    from nachet_pipeline.contract.limits import ContractLimits
    from nachet_pipeline.contract.report import as_json_lines, as_text
    from nachet_pipeline.contract.report_page import as_page
    from nachet_pipeline.contract.rule_set import RuleSet
    from nachet_pipeline.contract.validation import validate as validate_folder
    from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
    from nachet_pipeline.registry.seeds import SeedRegistry, packaged_seeds
    from nachet_pipeline.support.files import LocalFolder

    settings = Settings.from_environment()
    decoding = DecodingSettings.of(settings.decoder, settings.picture)
    with Inventory(rule_set=RuleSet.of(settings.contract)) as inventory:
        with DecodingPool(decoding) as pool, progress_bar("Validating") as bar:
            report = validate_folder(
                LocalFolder(folder),
                inventory,
                pool,
                SeedRegistry.of(packaged_seeds()),
                limits=ContractLimits.of(settings.contract, settings.transfer),
                for_storing=False,
                readers=settings.transfer.transfer_concurrency,
                progress=bar,
                early=_report_early,
            ).report
        if output is Format.HTML:
            name, thumbnails = folder.resolve().name, dict(inventory.thumbnails())
            write(as_page(report, title=name, language=language.language, thumbnails=thumbnails).rstrip())
        else:
            as_lines = as_json_lines(inventory.findings(), report) if output is Format.JSONL else None
            for line in as_lines or as_text(report, language.language):
                write(line)
    if not report.importable:
        raise typer.Exit(REFUSED)


def _report_early(report: "Report") -> None:
    """Say at once what names and indexes alone are refused for: reading many pictures takes its time."""
    errors = ", ".join(
        f"{code} ({count})" for code, count in report.codes.items() if report.severity_of(code) == "error"
    )
    note(f"nachet: not importable: {errors}; reading the pictures for the full report")


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
    write(json.dumps({"upload": str(upload.id), "partition": upload.partition}) if as_json else str(upload.id))


@app.command("import")
def import_(
    folder: FolderArgument,
    user: UserOption,
    name: NameOption = None,
    *,
    replace: ReplaceOption = False,
    accept_valid: AcceptValidOption = False,
    language: LangOption = Lang.EN,
    as_json: JsonOption = False,
) -> None:
    """Stage a folder and import it now, in this process; prints the receipt.

    Exit code 0 means that all of it is imported, 1 that it was refused, or with --accept-valid a part of it, 3 that
    it failed. The run is recorded in the same Dagster instance as all others, so the UI shows it.
    """
    from dataclasses import replace as replace_fields

    from nachet_pipeline.contract.limits import ContractLimits
    from nachet_pipeline.contract.receipt import State
    from nachet_pipeline.defs.instance import dagster_home
    from nachet_pipeline.uploads.discovery import Arrival, queue, snapshot
    from nachet_pipeline.uploads.importing import reported_if_full
    from nachet_pipeline.uploads.queries import find_upload
    from nachet_pipeline.uploads.staged_folder import StagedFolder
    from nachet_pipeline.uploads.staging import mark_complete

    with open_services() as opened:
        settings = opened.settings
        upload = _stage(opened, user, folder, name, replace=replace, accept_valid=accept_valid)
        staged = StagedFolder(opened.blobs, upload.staging_container, upload.folder)
        with reported_if_full(opened.database, opened.blobs, upload):
            # It is this process's before it is marked as complete, so that no sensor asks for a run as well.
            look = snapshot(staged, settings.arrival, ContractLimits.of(settings.contract, settings.transfer))
            queue(opened.database, [Arrival(upload, look)])
        mark_complete(opened.blobs, upload.staging_container, upload.folder)
        with reported_if_full(opened.database, opened.blobs, replace_fields(upload, state=State.QUEUED)):
            name_services(settings, dagster_home(settings.home))
            from nachet_pipeline.defs.uploads.running import run_import

            with progress_bar("Importing") as bar:
                run_import(settings, upload.partition, lambda _step, done, total: bar(done, total))
        with opened.database.connection() as connection:
            done = find_upload(connection, upload.id)
    if done is None or done.receipt is None or done.state != done.receipt.state or done.state == "importing":
        note("nachet: the import was interrupted; the folder stays staged, and the same command completes it")
        raise typer.Exit(UNAVAILABLE)
    _show(done.receipt, as_json=as_json, language=language.language)
    if done.receipt.state is State.FAILED:
        note(f"nachet: {done.receipt.failure}; the folder stays staged, and the same command completes it")
        raise typer.Exit(UNAVAILABLE)
    if done.receipt.state is not State.IMPORTED:
        raise typer.Exit(REFUSED)


@app.command("mass-import")
def mass_import(
    container: Annotated[str, typer.Argument(help="A container of the storage account, full of pictures.")],
    owner: Annotated[str, typer.Option(help="E-mail address of the registered user whom the pictures belong to.")],
    seed: Annotated[str | None, typer.Option(help="The species, where the mapping does not say it.")] = None,
    zoom: Annotated[str | None, typer.Option(help="The zoom, where the mapping does not say it.")] = None,
    seeds_per_picture: Annotated[
        str | None, typer.Option(help="Seeds in each picture, where the mapping does not say it.")
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option("--map", exists=True, dir_okay=False, help="CSV or YAML file that says what the folders show."),
    ] = None,
    prefix: Annotated[str, typer.Option(help="The one folder to look into, with all below.")] = "",
    *,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Copy the pictures into the owner's container; else they stay in place.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
    language: LangOption = Lang.EN,
    as_json: JsonOption = False,
) -> None:
    """Give rows to pictures that lie in a container already: each folder becomes one picture set.

    Each picture is read, checked and hashed; no byte is moved or rewritten. What was not taken is listed with its
    reason. Interrupted, the same command goes on where it was. Exit code 0 means that nothing was refused.
    """
    from rich.console import Console

    from nachet_pipeline.contract.limits import ContractLimits
    from nachet_pipeline.contract.report import as_text
    from nachet_pipeline.contract.rule_set import RuleSet
    from nachet_pipeline.mass_import.errors import MappingError
    from nachet_pipeline.mass_import.formatting import outcome_record, print_outcome
    from nachet_pipeline.mass_import.importing import MassImporter, MassImportRequest
    from nachet_pipeline.mass_import.mapping import FolderMapping
    from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
    from nachet_pipeline.registry.queries import registered_seeds

    options = {"species": seed, "zoom": zoom, "seeds": seeds_per_picture}
    try:
        text = mapping.read_text(encoding="utf-8-sig") if mapping else None
    except UnicodeDecodeError:
        raise MappingError(f"{mapping}: expected UTF-8 text") from None
    request = MassImportRequest(
        container, owner, FolderMapping.of(text, str(mapping or ""), options), prefix, adopt=adopt, dry_run=dry_run
    )
    with open_services() as opened:
        registered(opened, owner, option="--owner", active=False)
        with opened.database.connection() as connection:
            registry = registered_seeds(connection)
        settings = opened.settings
        decoding = DecodingSettings.of(settings.decoder, settings.picture)
        with DecodingPool(decoding) as pool, progress_bar("Importing") as bar:
            outcome = MassImporter(
                opened.database,
                opened.blobs,
                pool,
                registry,
                RuleSet.of(settings.contract),
                ContractLimits.of(settings.contract, settings.transfer),
                settings.transfer,
                progress=bar,
                waiting=lambda: note(f"nachet: another mass import of {container} is under way; waiting for its end"),
            ).run(request)
    if as_json:
        write(json.dumps(outcome_record(outcome), ensure_ascii=False))
    else:
        print_outcome(outcome, Console(soft_wrap=not sys.stdout.isatty()))
        if outcome.report.groups:
            for line in as_text(outcome.report, language.language, partly=bool(outcome.taken)):
                write(line)
        if outcome.report_blob and outcome.report.groups:
            note(f"everything found is listed in {outcome.report_blob}, in the owner's upload container")
    if not outcome.report.importable:
        raise typer.Exit(REFUSED)


@app.command()
def status(
    upload: Annotated[
        str | None, typer.Argument(help="The upload's id, partition or folder; without one, the latest are listed.")
    ] = None,
    *,
    language: LangOption = Lang.EN,
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
            _show(one.receipt, as_json=as_json, language=language.language)
            return
    if as_json:
        listed = [
            {"upload": str(one.id), "owner": one.owner.email, "folder": one.folder, "state": one.state} for one in found
        ]
        write(json.dumps(listed[0] if upload and len(listed) == 1 else listed))
        return
    for one in found:
        write(f"{one.id}  {one.state:<15}  {one.owner.email}  {one.folder}")


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
    from nachet_pipeline.contract.rule_set import RuleSet
    from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
    from nachet_pipeline.reprocessing.formatting import plan_record, plan_text, result_record, result_text
    from nachet_pipeline.reprocessing.reprocessor import Reprocessor, ReprocessRequest
    from nachet_pipeline.reprocessing.verdicts import UnknownRuleError, codes_of

    try:
        codes_of(rule) if rule is not None else None
    except UnknownRuleError as error:
        raise typer.BadParameter(str(error)) from None
    wanted = ReprocessRequest(since=since.replace(tzinfo=UTC) if since else None, rule=rule, pictures=limit)
    with open_services() as opened:
        settings = opened.settings
        rules = RuleSet.of(settings.contract)
        decoding = DecodingSettings.of(settings.decoder, settings.picture)
        with DecodingPool(decoding) as pool, progress_bar("Reprocessing") as bar:
            reprocessor = Reprocessor(opened.database, opened.blobs, pool, rules, settings.transfer, progress=bar)
            if dry_run:
                planned = reprocessor.plan(wanted)
                lines = [json.dumps(plan_record(planned))] if as_json else list(plan_text(planned))
            else:
                result = reprocessor.reprocess(wanted)
                lines = [json.dumps(result_record(result))] if as_json else list(result_text(result))
    for line in lines:
        write(line)


@duplicates_app.callback(invoke_without_command=True)
def duplicates(
    context: typer.Context,
    user: Annotated[str | None, typer.Option("--user", help="Only pairs in which a picture of this user's is.")] = None,
    near: Annotated[bool, typer.Option("--near", help="Pictures that look alike too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List pairs of stored pictures that are the same; those decided to be different are left out."""
    if context.invoked_subcommand:
        return
    from nachet_pipeline.picture_sets.duplicates import duplicate_pairs

    with open_services() as opened:
        if user:
            registered(opened, user, active=False)
        with opened.database.reading() as connection:
            for pair in duplicate_pairs(connection, user=user, near=near):
                if as_json:
                    fields = {name: getattr(pair, name) for name in pair.__dataclass_fields__}
                    write(json.dumps({**fields, "first": str(pair.first), "second": str(pair.second)}))
                    continue
                relation = f"{pair.relation} ({pair.distance} bits)" if pair.distance else pair.relation.value
                decision = f", decided: {pair.decision}" if pair.decision else ""
                owners = f"{pair.first_owner}, {pair.second_owner}"
                species = ", ".join(dict.fromkeys((*pair.first_species, *pair.second_species)))
                write(f"{pair.first}  {pair.second}  {relation}  {owners}  {species}{decision}")


@duplicates_app.command("decide")
def duplicates_decide(
    first: Annotated[UUID, typer.Argument(help="Identifier of a picture.")],
    second: Annotated[UUID, typer.Argument(help="Identifier of the other.")],
    decision: Annotated[PairIs, typer.Option("--as", help="What the two are.")],
    by: Annotated[str, typer.Option("--by", help="Who says so, for the audit trail.")],
    note: Annotated[str | None, typer.Option(help="Why.")] = None,
) -> None:
    """Store what an operator says of a pair; one that is said to be different is never reported again."""
    from nachet_pipeline.picture_sets.duplicates import Decision, OneFileError, UnknownPictureError, decide

    if first == second:
        raise typer.BadParameter("two pictures are needed, and these are one")
    if not by.strip():
        raise typer.BadParameter("somebody must have decided it", param_hint="--by")
    with open_services() as opened, opened.database.connection() as connection:
        try:
            new = decide(connection, first, second, Decision(decision.value), by=by, note=note)
        except (OneFileError, UnknownPictureError) as error:
            raise typer.BadParameter(str(error)) from None
    write(f"{first} and {second}: {decision.value}{'' if new else ', as before'}")


@app.command()
def up(
    *,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay here until Ctrl-C instead of going to the background.")
    ] = False,
) -> None:
    """Start this machine's PostgreSQL, Azurite, Dagster UI and daemon, or find them running."""
    from nachet_pipeline.defs.instance import project_folder
    from nachet_pipeline.local.supervisor import up as start

    running = start(read_settings().home, project=project_folder(), foreground=foreground)
    if not foreground:
        write(running.url)


@app.command()
def down() -> None:
    """Stop what `nachet up` started; everything is kept for the next time."""
    from nachet_pipeline.local.supervisor import down as stop

    note("stopped" if stop(Settings.from_environment().home) else "nothing was running")


@db_app.command("upgrade")
def db_upgrade() -> None:
    """Bring the database's tables, and the species registry in it, up to this version of the package."""
    from nachet_pipeline.local.embedded import with_services
    from nachet_pipeline.registry.upgrade import upgrade

    with with_services(Settings.from_environment()) as settings:
        if settings.database_url is None:
            raise SettingsError("NACHET_DATABASE_URL: is not set")
        changed = upgrade(settings.database_owner_url or settings.database_url)
    note(f"the tables are up to date; {changed} seeds changed")


@db_app.command("login")
def db_login(
    name: Annotated[str, typer.Argument(help="Name of the login.")],
    role: Annotated[LoginRole, typer.Option("--role", help="What it is for.")],
    by: Annotated[str, typer.Option("--by", help="Who wants it, for the audit trail.")],
) -> None:
    """Make a login of PostgreSQL that may do what its role may, in this database alone; prints its address once.

    One that is there gets a new password, and the old one opens nothing any more. The first importer of a database
    takes over Dagster's tables: stop Dagster before, and start it with the new address.
    """
    from nachet_pipeline.database.connection import Database
    from nachet_pipeline.database.logins import Role, address_of, hand_over_dagster, make_login, new_password
    from nachet_pipeline.local.embedded import with_services

    if not by.strip():
        raise typer.BadParameter("somebody must want it", param_hint="--by")
    with with_services(Settings.from_environment()) as settings:
        owner = settings.database_owner_url or settings.database_url
        if owner is None:
            raise SettingsError("NACHET_DATABASE_URL: is not set")
        password = new_password()
        with Database(owner) as database, database.connection() as connection:
            new = make_login(connection, name, Role(role.value), password, by=by)
            moved = hand_over_dagster(connection) if role is LoginRole.IMPORTER else 0
    if moved:
        note(f"{moved} tables of Dagster belong to the importers now; start Dagster with this address")
    note(f"{name}: {'a new login' if new else 'a new password'}; its address is shown this once")
    write(address_of(owner, name, password).get_secret_value())


def _stage(
    opened: Opened, email: str, folder: Path, given_name: str | None, *, replace: bool, accept_valid: bool
) -> "Upload":
    from nachet_pipeline.contract.sessions import Owner
    from nachet_pipeline.support.files import LocalFolder
    from nachet_pipeline.uploads.queries import record_wishes, see_upload
    from nachet_pipeline.uploads.staging import stage_folder

    user, name = registered(opened, email), given_name or folder.resolve().name
    with opened.database.connection() as connection:
        upload = see_upload(connection, Owner(user.id, user.email), name)
        record_wishes(connection, upload.id, accept_valid=accept_valid, replace=replace)
    with progress_bar("Staging", of_bytes=True) as bar:
        staged = stage_folder(
            opened.blobs,
            LocalFolder(folder),
            user.upload_container,
            name,
            replace=replace,
            concurrency=opened.settings.transfer.transfer_concurrency,
            progress=bar,
        )
    removed = f", {staged.removed} removed" if staged.removed else ""
    note(f"{staged.sent} files sent, {staged.unchanged} there already{removed}")
    return upload


def _stage_by_key(folder: Path, given_name: str | None, sas: str, *, replace: bool, as_json: bool) -> None:
    """Stage with an upload key alone: no database, no other credential."""
    from nachet_pipeline.identifiers import partition_key, upload_id
    from nachet_pipeline.support.files import LocalFolder
    from nachet_pipeline.uploads.staging import mark_complete, stage_folder
    from nachet_pipeline.users.upload_address import UploadAddress

    if sas.strip() == "-":
        sas = typer.prompt("Address with the key", hide_input=True, err=True)
    address, name = UploadAddress.parse(sas), given_name or folder.resolve().name
    with address.open() as blobs:
        with progress_bar("Staging", of_bytes=True) as bar:
            staged = stage_folder(
                blobs,
                LocalFolder(folder),
                address.container,
                name,
                replace=replace,
                may_delete=False,
                concurrency=Settings.from_environment().transfer.transfer_concurrency,
                progress=bar,
            )
        mark_complete(blobs, address.container, name)
    note(f"{staged.sent} files sent, {staged.unchanged} there already")
    upload = upload_id(address.owner, name)
    partition = partition_key(upload, name)
    write(json.dumps({"upload": str(upload), "partition": partition}) if as_json else str(upload))


def _show(receipt: "Receipt", *, as_json: bool, language: "Language" = "en") -> None:
    from nachet_pipeline.contract.report import as_text
    from nachet_pipeline.support.i18n import Bilingual

    if as_json:
        write(receipt.model_dump_json(exclude_none=True))
        return
    write(f"{receipt.state.upper()} {receipt.folder} ({receipt.upload})")
    size = Bilingual(f"{receipt.size:,} bytes", f"{receipt.size:,} octets".replace(",", " "))
    rows = [
        (Bilingual("owner", "propriétaire"), receipt.owner),
        (Bilingual("pictures", "images"), f"{receipt.pictures} ({size.in_language(language)})"),
    ]
    for item in receipt.picture_sets:
        stored = Bilingual(f"{item.pictures} of {item.seed}", f"{item.pictures} de {item.seed}").in_language(language)
        rows.append((Bilingual("stored", "stockées"), f"{receipt.container}/{item.id}: {stored}"))
    if told := receipt.correction:
        changed = Bilingual(
            f"{told.added} added, {told.removed} removed, {told.relabelled} relabelled, {told.unchanged} unchanged",
            f"{told.added} ajoutées, {told.removed} retirées, {told.relabelled} réétiquetées,"
            f" {told.unchanged} inchangées",
        )
        rows.append((Bilingual("changes", "changements"), changed.in_language(language)))
    rows.extend((Bilingual("removed", "retirées"), session) for session in receipt.removed_sessions)
    rows.extend((Bilingual("refused", "refusées"), session.session) for session in receipt.refused_sessions)
    if receipt.failure:
        rows.append((Bilingual("failure", "échec"), receipt.failure))
    width = max(10, *(len(label.in_language(language)) for label, _value in rows))
    for label, value in rows:
        write(f"  {label.in_language(language):<{width}} {value}")
    if receipt.report:
        for line in as_text(receipt.report, language, partly=bool(receipt.refused_sessions)):
            write(line)


def main() -> None:
    """Run the command; what a person can put right is said in one line, and the exit code says what kind it is."""
    try:
        app()
    except ActionableError as error:
        note(f"nachet: {error}")
        sys.exit(error.exit_code)
    except (OSError, sqlite3.Error) as error:
        if (failure := full_disk(error)) is None:
            raise
        note(f"nachet: {failure}")
        sys.exit(UNAVAILABLE)


if __name__ == "__main__":
    main()
