"""Whatever is logged, stored or shown after onboarding and importing, no secret is in it."""

import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from dagster import DagsterInstance

from nachet_pipeline.local.postgres import _programs
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.uploads.staging import stage_folder
from nachet_pipeline.users.key_queries import upload_keys_of
from nachet_pipeline.users.upload_address import UploadAddress
from nachet_pipeline.users.upload_keys import UploadKeys
from nachet_pipeline_tests.deployment import SECRET_KEY, Deployment

_PG_DUMP = _programs() / "pg_dump"


def secrets_of(deployment: Deployment, urls: list[str]) -> dict[str, str]:
    """Every secret that there is, in each form it is written in."""
    found = {"account key": deployment.services.blob_key, "secret key": SECRET_KEY}
    for name in ("database_url", "importer_url", "reader_url"):
        found[name] = urlsplit(getattr(deployment.services, name)).password or ""
    for number, url in enumerate(urls):
        signature = url.partition("sig=")[2].partition("&")[0]
        found |= {f"signature {number}": signature, f"bare signature {number}": unquote(signature)}
    assert all(len(secret) > 12 for secret in found.values()), sorted(found)
    return found


def dump(deployment: Deployment) -> str:
    """The whole database, Dagster's tables too, as a backup would hold it."""
    done = subprocess.run([str(_PG_DUMP), deployment.services.database_url], capture_output=True, text=True, check=True)
    assert "COPY" in done.stdout
    assert "upload_key" in done.stdout
    assert "event_logs" in done.stdout
    return done.stdout


def runs(instance: DagsterInstance) -> Iterator[str]:
    """What Dagster keeps of each run: configuration, tags, and events with their metadata."""
    for run in instance.get_runs():
        yield repr((run.run_config, run.tags, run.job_name))
        yield from (record.event_log_entry.to_json() for record in instance.get_records_for_run(run.run_id).records)


def blobs_of(deployment: Deployment) -> Iterator[str]:
    """Receipts, reports, descriptors, manifests and the template, in both of the user's containers."""
    for container in (deployment.user.upload_container, deployment.user.user_container):
        names = [file.path for file in deployment.blobs.files(container, "")]
        yield from (deployment.blobs.read(container, name).decode("latin-1") for name in names)


def files_of(instance: DagsterInstance, place: Path) -> Iterator[str]:
    for folder in {Path(instance.root_directory), place}:
        for file in folder.rglob("*"):
            if file.is_file() and not file.is_symlink():
                yield file.read_bytes().decode("latin-1")


def test_no_secret_is_logged_stored_or_shown(
    deployment: Deployment, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    good, bad = deployment.sample("told-good", seed=7101), deployment.sample("told-bad", seed=7102)
    (bad / "pictures/session1/1.tiff").write_text("no picture")
    onboarded = deployment.definitions.resolve_job_def("onboard_user").execute_in_process(
        instance=deployment.instance,
        run_config={"email": deployment.user.email, "by": "ada@example.org"},
    )
    keys = UploadKeys(deployment.database, deployment.blobs, deployment.settings.secret_keys, deployment.settings.key)
    email = deployment.user.email
    urls = [keys.show(email, to="ada@example.org").url.get_secret_value()]
    keys.rotate(email, actor="ada@example.org")
    urls.append(keys.show(email, to="ada@example.org").url.get_secret_value())
    address = UploadAddress.parse(urls[1])
    with address.connect() as storage, address.explaining():
        stage_folder(storage, LocalFolder(good), address.container, good.name, may_delete=False)
    imported = deployment.run_import(deployment.stage(good), deployment.stage(bad))
    rotated = deployment.definitions.resolve_job_def("rotate_upload_keys").execute_in_process(
        instance=deployment.instance
    )
    assert onboarded.success
    assert rotated.success
    assert imported.success
    assert deployment.count("pictures") == 2
    with deployment.database.connection() as connection:
        stored = upload_keys_of(connection, deployment.user.id)
    assert [bool(key.encrypted_sas) for key in stored] == [True, True]

    output = capfd.readouterr()
    seen = {
        "log": caplog.text,
        "output": output.out + output.err,
        "pg_dump": dump(deployment),
        "runs": "\n".join(runs(deployment.instance)),
        "blobs": "\n".join(blobs_of(deployment)),
        "files": "\n".join(files_of(deployment.instance, deployment.scratch)),
        "representations": repr((deployment.settings, deployment.services, stored, keys)),
    }
    assert "onboard" in seen["runs"]
    assert "told-good" in seen["blobs"]
    assert email in seen["pg_dump"]
    found = [
        (name, place)
        for name, secret in secrets_of(deployment, urls).items()
        for place, text in seen.items()
        if secret in text
    ]
    assert found == []
