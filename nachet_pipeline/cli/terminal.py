"""What every command needs of its terminal: the services, output, progress bars, and options of one meaning."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from nachet_pipeline.errors import UsageError
from nachet_pipeline.settings import Settings, SettingsError
from nachet_pipeline.support.i18n import Language
from nachet_pipeline.support.progress import Progress, silent

if TYPE_CHECKING:
    from nachet_pipeline.contract.limits import ContractLimits
    from nachet_pipeline.contract.rule_set import RuleSet
    from nachet_pipeline.database.connection import Database
    from nachet_pipeline.pictures.decoding_pool import DecodingSettings
    from nachet_pipeline.storage.blobs import BlobStorage
    from nachet_pipeline.users.user import User

REFUSED, USAGE, UNAVAILABLE = 1, 2, 3


_Found = TypeVar("_Found")


def _some_text(option: typer.CallbackParam, value: str) -> str:
    if not value.strip():
        raise typer.BadParameter("expected some text", param_hint=option.opts[0])
    return value


FolderArgument = Annotated[
    Path, typer.Argument(exists=True, file_okay=False, readable=True, help="The project or session folder.")
]
LangOption = Annotated[Language, typer.Option("--lang", help="Language of the report.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
DoneByOption = Annotated[
    str,
    typer.Option(
        "--by",
        help="Who does it, for the audit trail; the login, if not given.",
        callback=lambda given: given.strip() or _login(),
        show_default=False,
    ),
]
WantedByOption = Annotated[str, typer.Option("--by", help="Who wants it, for the audit trail.", callback=_some_text)]
SaidByOption = Annotated[str, typer.Option("--by", help="Who says so, for the audit trail.", callback=_some_text)]
WhyOption = Annotated[str, typer.Option("--why", help="The reason, for the audit trail.", callback=_some_text)]


@dataclass(frozen=True)
class Opened:
    """The settings and the services that they name."""

    settings: Settings
    database: "Database"
    blobs: "BlobStorage"

    @property
    def rules(self) -> "RuleSet":
        """How findings weigh."""
        from nachet_pipeline.contract.rule_set import RuleSet

        return RuleSet.of(self.settings.contract)

    @property
    def limits(self) -> "ContractLimits":
        """What no folder may exceed."""
        from nachet_pipeline.contract.limits import ContractLimits

        return ContractLimits.of(self.settings.contract, self.settings.transfer)

    @property
    def decoding(self) -> "DecodingSettings":
        """How pictures are decoded."""
        from nachet_pipeline.pictures.decoding_pool import DecodingSettings

        return DecodingSettings.of(self.settings.decoder, self.settings.picture)


def read_settings() -> Settings:
    """The settings; a file of severities that cannot be used is reported now, not in the middle of an import.

    Raises:
        SettingsError: a setting, or the file that it names, cannot be used; the message names it.
    """
    settings = Settings.from_environment()
    if settings.contract.severities_file:
        from nachet_pipeline.contract.rule_set import RuleSet

        RuleSet.of(settings.contract)
    return settings


class NoPipelineError(UsageError):
    """There is nothing here that could be asked."""


@contextmanager
def open_services(*, start: bool = False, follow: bool = True) -> Iterator[Opened]:
    """The services that the settings name, or those of this machine, made ready.

    Args:
        start: whether services of this machine are made where there are none yet. What asks, or changes something that
            must be there, makes none.
        follow: whether the database of this machine follows the files of species now.

    Raises:
        NoPipelineError: the settings name none, there are none on this machine, and none are to be made.
    """
    from nachet_pipeline.database.connection import Database
    from nachet_pipeline.local.embedded import exist, meant, with_services
    from nachet_pipeline.storage.blobs import BlobStorage

    with ExitStack() as stack:
        given = read_settings()
        if not start and meant(given) and not exist(given.home):
            raise NoPipelineError(
                f"no pipeline runs here: there is nothing in {given.home.resolve()}. To ask another one, set"
                " NACHET_DATABASE_URL and NACHET_BLOB_ACCOUNT_URL; with an upload key, ask"
                " `nachet status FOLDER --sas URL`; to start one here, run `nachet up`"
            )
        settings = stack.enter_context(with_services(given, follow=follow))
        if settings.database_url is None or settings.blob_account_url is None:
            raise SettingsError("NACHET_DATABASE_URL: is not set")
        database = stack.enter_context(Database(settings.database_url, reader_url=settings.database_reader_url))
        blobs = stack.enter_context(BlobStorage.connect(settings.blob_account_url, settings.blob_key))
        yield Opened(settings, database, blobs)


def _login() -> str:
    """Who types the command, for the audit trail."""
    import getpass

    from nachet_pipeline import __version__

    try:
        return f"{getpass.getuser()} (nachet {__version__})"
    except (OSError, KeyError):  # a process whose number has no name
        return f"nachet {__version__}"


def write(*lines: str) -> None:
    """Write what the command was asked for to the standard output."""
    for line in lines:
        typer.echo(line)


def write_json(record: object) -> None:
    """Write a record as one line of JSON; identifiers and paths become texts."""
    write(json.dumps(record, ensure_ascii=False, default=str))


def write_result(
    found: _Found,
    record: Callable[[_Found], object],
    lines: Callable[[_Found], str | Iterable[str]],
    *,
    as_json: bool,
) -> None:
    """Write what a command found, as a record for programs or as lines for people."""
    if as_json:
        write_json(record(found))
        return
    shown = lines(found)
    write(*((shown,) if isinstance(shown, str) else shown))


def note(text: str) -> None:
    """Write something beside the result to the standard error, where it is in no program's way."""
    typer.echo(text, err=True)


def registered(opened: Opened, email: str, option: str = "--user", *, active: bool = True) -> "User":
    """The user of an e-mail address; a refusal, as a finding, if there is none, or one who is to be active is not."""
    from nachet_pipeline.contract.findings import Finding
    from nachet_pipeline.contract.report import Report, as_text
    from nachet_pipeline.support.i18n import Bilingual
    from nachet_pipeline.users.queries import find_user

    with opened.database.reading() as connection:
        user = find_user(connection, email)
    if user is None or (active and user.disabled_at is not None):
        finding = Finding(
            code="disabled-uploader" if user else "unregistered-uploader",
            field=option,
            expected=None if user else Bilingual("a registered user", "une personne enregistrée"),
            found=Bilingual.same(email.strip()[:254]),
        )
        write(*as_text(Report.of_findings([finding])))
        if user is None:
            note("nachet: whoever operates the pipeline registers them, by `nachet user add`")
        raise typer.Exit(REFUSED)
    return user


def services_named(settings: Settings, home: Path) -> dict[str, str]:
    """The environment that Dagster's configuration reads; this process holds the services."""
    from nachet_pipeline.local.embedded import HELD_FOR

    own = {HELD_FOR: str(settings.home.resolve()), "DAGSTER_HOME": str(home.resolve())}
    return settings.of_services() | own


def name_services(settings: Settings, home: Path) -> None:
    """Put `services_named` into the environment of this process."""
    os.environ.update(services_named(settings, home))


@contextmanager
def progress_bar(title: str, *, of_bytes: bool = False) -> Iterator[Progress]:
    """A bar in the terminal, gone at the end; none where nobody looks."""
    if not sys.stderr.isatty():
        yield silent
        return
    from rich import progress as bars
    from rich.console import Console

    amount = bars.DownloadColumn() if of_bytes else bars.MofNCompleteColumn()
    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), amount, bars.TimeElapsedColumn())
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
