"""`make demo`: everything started on this machine, a sample upload staged, and the sensor left to import it."""

import logging
import os
import sys
import time
from pathlib import Path

from pydantic import SecretStr
from rich.console import Console

from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.database.connection import Database
from nachet_pipeline.defs.instance import dagster_home, project_folder
from nachet_pipeline.errors import ActionableError, UnavailableError
from nachet_pipeline.local.embedded import meant, running
from nachet_pipeline.local.processes import signals_as_exit
from nachet_pipeline.local.sample import write_sample
from nachet_pipeline.local.secret_keys import own_secret_keys
from nachet_pipeline.local.supervisor import up
from nachet_pipeline.settings import Settings, SettingsError, read_env_file
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.uploads.queries import find_upload, see_upload
from nachet_pipeline.uploads.staging import mark_complete, stage_folder
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline.users.lifecycle import Onboarding
from nachet_pipeline.users.registering import SYSTEM_ACTOR
from nachet_pipeline.users.upload_keys import UploadKeys

EMAIL = "sample.user@example.org"
FOLDER = "sample-upload"
_IMPORT_SECONDS = 300
_POLL_SECONDS = 1.0


class DemoError(UnavailableError):
    """The demo did not come to its end; the message says why."""


def run(home: Path, console: Console, *, tools: Path | None = None) -> tuple[str, Receipt]:
    """Start everything, stage the sample upload if it is not there, and wait until the sensor has imported it.

    Args:
        home: folder of everything that is kept on this machine.
        console: where progress is shown.
        tools: folder under which Azurite is installed once; the home if not given.

    Returns:
        The address of the UI, and the upload's receipt.

    Raises:
        LocalServiceError: something of this machine does not start.
        DemoError: the upload was not imported in time.
    """
    pipeline = up(home, instance=dagster_home(home, project_folder()), tools=tools)
    services = running(home)
    if services is None:
        raise DemoError("the services ended right after they started; see the log of the supervisor")
    with (
        signals_as_exit(),
        console.status("staging a sample upload") as status,
        Database(SecretStr(services.importer_url), reader_url=SecretStr(services.reader_url)) as database,
        BlobStorage.connect(services.blob_account_url, SecretStr(services.blob_key)) as blobs,
    ):
        upload = _stage(home, database, blobs)
        status.update("waiting for the sensor to import it")
        return pipeline.url, _wait(database, upload)


def _stage(home: Path, database: Database, blobs: BlobStorage) -> Upload:
    folder = home / FOLDER
    if not (folder / "index.yaml").exists():
        write_sample(folder, sessions=2, pictures=4, email=EMAIL)
    settings = Settings.from_environment()
    secrets = settings.secret_keys or [SecretStr(key) for key in own_secret_keys(home).split(",")]
    keys = UploadKeys(database, blobs, secrets, settings.key)
    user = Onboarding(database, blobs, keys).onboard(EMAIL, actor=SYSTEM_ACTOR).user
    with database.connection() as connection:
        upload = see_upload(connection, Owner(user.id, user.email), FOLDER)
    staged = stage_folder(blobs, LocalFolder(folder), user.upload_container, FOLDER)
    if staged.sent or upload.state is State.STAGED:
        mark_complete(blobs, user.upload_container, FOLDER, staged.marker)
    return upload


def _wait(database: Database, upload: Upload) -> Receipt:
    deadline = time.monotonic() + _IMPORT_SECONDS
    while time.monotonic() < deadline:
        with database.connection() as connection:
            now = find_upload(connection, upload.id)
        if now and now.receipt and now.state.has_ended:
            return now.receipt
        time.sleep(_POLL_SECONDS)
    raise DemoError(f"the sensor did not import the upload within {_IMPORT_SECONDS} s; see the UI or the log")


def _home() -> Path:
    read_env_file()
    settings = Settings.from_environment()
    if not meant(settings):
        raise SettingsError(
            "NACHET_DATABASE_URL: is set, or stands in the file .env; the demo brings services of its own, so unset it"
        )
    return settings.home.resolve()


def main() -> int:
    """Run the demo, and say what it did."""
    logging.basicConfig(level=logging.WARNING)
    console = Console(stderr=True)
    out = Console(highlight=False, soft_wrap=True)
    try:
        url, receipt = run(_home(), console)
    except KeyboardInterrupt:
        console.print("interrupted; `make demo` goes on, `make down` stops")
        return 130
    except ActionableError as error:
        console.print(f"[red]demo:[/red] {error}")
        return 1
    nachet = os.path.relpath(Path(sys.executable).parent / "nachet")
    out.print(f"The sensor imported the sample upload: {receipt.state}, {receipt.pictures} pictures.")
    for item in receipt.picture_sets:
        out.print(f"  {item.session}: {item.pictures} pictures of {item.seed}")
    out.print(f"Look at it:  {url}/asset-groups")
    out.print(f"Its receipt: {nachet} status {FOLDER}")
    out.print(f"Models:      {nachet} story")
    out.print("Stop:        make down")
    return 0 if receipt.state is State.IMPORTED else 1


if __name__ == "__main__":
    sys.exit(main())
