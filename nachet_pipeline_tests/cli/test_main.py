"""The command `nachet` on real services, as its users type it."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from PIL import Image

from nachet_pipeline_tests.deployment import Deployment
from nachet_pipeline_tests.real_pictures import write_project
from nachet_pipeline_tests.receipts import valid_receipt
from nachet_pipeline_tests.warm import WarmNachet


@pytest.fixture
def nachet(environment: dict[str, str], tmp_path: Path, warm: WarmNachet):
    """Runs the command in a process that has imported it already."""

    def run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        return warm.run(*arguments, environment={**os.environ, **environment, **more}, folder=tmp_path)

    return run


@pytest.fixture
def nachet_anew(environment: dict[str, str], tmp_path: Path):
    """Runs the command as a terminal does."""

    def run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "nachet_pipeline.cli.main", *map(str, arguments)],
            env={**os.environ, **environment, **more},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_new_user_gets_an_id_and_an_upload_container(nachet_anew) -> None:
    email = f"{uuid.uuid4().hex[:8]}@Example.org"

    first, again = nachet_anew("user", "add", email), nachet_anew("user", "add", email.upper())

    identifier, container = first.stdout.split()
    assert container == f"upload-{identifier}"
    assert again.stdout == first.stdout


def test_a_word_that_is_no_address_is_a_usage_error(nachet) -> None:
    result = nachet("user", "add", "somebody")

    assert result.returncode == 2
    assert "somebody" in result.stderr
    assert "name@example.org" in result.stderr


def test_the_two_real_photographs_are_imported_byte_for_byte(
    nachet, deployment: Deployment, real_pictures: list[Path], tmp_path: Path
) -> None:
    folder = write_project(tmp_path / "real", real_pictures, deployment.user.email)

    result = nachet("import", folder, "--user", deployment.user.email, "--json")

    assert result.returncode == 0, result.stderr
    assert valid_receipt(result.stdout).state == "imported"
    with deployment.database.connection() as connection:
        rows = connection.execute(
            "select p.blob, p.nb_object, p.width, p.height, seeds.name from pictures p"
            " join picture_set s on s.id = p.picture_set_id join picture_seed l on l.picture_id = p.id"
            " join seeds on seeds.id = l.seed_id where s.owner_id = %s order by p.format",
            (deployment.user.id,),
        ).fetchall()
    assert [(row["nb_object"], row["width"], row["height"], row["name"]) for row in rows] == [
        (1, 638, 559, "Brassica juncea"),
        (2, 1920, 1080, "Brassica napus"),
    ]
    stored = {deployment.blobs.read(deployment.user.user_container, row["blob"]) for row in rows}
    assert stored == {picture.read_bytes() for picture in real_pictures}


def test_a_refused_folder_says_why_and_exits_with_one(nachet_anew, deployment: Deployment) -> None:
    folder = deployment.sample("misspelt")
    index = folder / "pictures" / "session1" / "index.yaml"
    index.write_text(index.read_text().replace("napus", "napuss"))

    result = nachet_anew("import", folder, "--user", deployment.user.email)

    assert result.returncode == 1
    assert "unregistered-seed" in result.stdout
    assert "did you mean Brassica napus?" in result.stdout
    assert deployment.stored() == []


def test_who_wants_the_valid_sessions_gets_those_and_exits_with_one_for_the_others(
    nachet, deployment: Deployment
) -> None:
    folder = deployment.sample("wanted-in-part", sessions=2, seed=4712)
    (folder / "pictures" / "session2" / "2.tiff").write_text("not a picture")

    refused = nachet("import", folder, "--user", deployment.user.email, "--lang", "fr")
    before = deployment.count("pictures")
    partly = nachet("import", folder, "--user", deployment.user.email, "--accept-valid")
    receipt = json.loads(nachet("status", "wanted-in-part", "--json").stdout)
    in_french = nachet("status", "wanted-in-part", "--lang", "fr")

    assert (refused.returncode, before) == (1, 0)
    assert "Non importable : 1 erreur" in refused.stdout
    assert partly.returncode == 1
    assert "Imported in part: 1 session, 2 pictures of Cirsium arvense; 1 error." in partly.stdout
    assert deployment.count("pictures") == 2
    assert receipt["state"] == "partly_imported"
    assert [item["session"] for item in receipt["picture_sets"]] == ["pictures/session1"]
    assert [item["session"] for item in receipt["refused_sessions"]] == ["pictures/session2"]
    assert "Importé en partie : 1 session, 2 images de Cirsium arvense; 1 erreur." in in_french.stdout


def test_another_folder_that_is_not_imported_changes_nothing_of_the_one_of_that_name(
    nachet, deployment: Deployment
) -> None:
    def rows() -> list[dict[str, object]]:
        with deployment.database.connection() as connection:
            query = "select state, accept_valid, replace_wanted, staged_digest from upload where folder = 'taken'"
            return connection.execute(query).fetchall()

    here, other = deployment.sample("taken", seed=4713), deployment.sample("another", seed=4714)
    assert nachet("stage", here, "--user", deployment.user.email, "--accept-valid").returncode == 0
    with deployment.database.connection() as connection:
        connection.execute("update upload set staged_digest = 'imported as it is' where folder = 'taken'")
    before = rows()

    refused = nachet("import", other, "--name", "taken", "--user", deployment.user.email)

    assert refused.returncode == 1
    assert "holds other pictures" in refused.stderr
    assert rows() == before


def test_the_status_of_an_upload_is_its_receipt(nachet, deployment: Deployment) -> None:
    folder = deployment.sample("asked")
    staged = nachet("stage", folder, "--user", deployment.user.email)
    upload = staged.stdout.strip()

    before = json.loads(nachet("status", upload, "--json").stdout)
    imported = json.loads(nachet("import", folder, "--user", deployment.user.email, "--json").stdout)
    after = json.loads(nachet("status", upload, "--json").stdout)

    assert (before["upload"], before["state"]) == (upload, "staged")
    assert after == imported
    assert nachet("status", "no-such-upload").returncode == 1

    # Nothing changed since, and the sensor knows that.
    again = json.loads(nachet("stage", folder, "--user", deployment.user.email, "--json").stdout)
    assert again == {"upload": upload, "partition": after["partition"], "submission": after["submission"]}
    with deployment.database.connection() as connection:
        row = connection.execute("select staged_digest from upload where id = %s", (upload,)).fetchone()
    assert row == {"staged_digest": after["submission"]}


def test_an_unknown_user_is_a_finding_and_nothing_is_staged(nachet, deployment: Deployment) -> None:
    result = nachet("import", deployment.sample("nobody"), "--user", "nobody@example.org")

    assert result.returncode == 1
    assert "unregistered-uploader" in result.stdout


def test_staging_a_second_time_sends_nothing(nachet, deployment: Deployment) -> None:
    folder = deployment.sample("resumed")

    first = nachet("stage", folder, "--user", deployment.user.email)
    second = nachet("stage", folder, "--user", deployment.user.email)

    assert "5 files sent, 0 there already" in first.stderr
    assert "0 files sent, 5 there already" in second.stderr
    assert first.stdout == second.stdout


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("NACHET_DATABASE_URL", "postgresql://nobody:secret-word@127.0.0.1:9/nachet", "PostgreSQL at 127.0.0.1:9"),
        ("NACHET_BLOB_ACCOUNT_URL", "http://127.0.0.1:9/devstoreaccount1", "Blob storage at 127.0.0.1:9"),
    ],
)
def test_a_service_that_is_down_is_one_line_naming_it(nachet_anew, setting: str, value: str, named: str) -> None:
    result = nachet_anew("user", "add", "someone@example.org", **{setting: value})

    assert result.returncode == 3
    (line,) = result.stderr.strip().splitlines()
    assert named in line
    assert "secret-word" not in result.stderr


def test_a_wrong_setting_is_one_line_naming_it(nachet_anew) -> None:
    result = nachet_anew("status", NACHET_DATABASE_URL="mysql://root:secret-word@host/db")

    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert "NACHET_DATABASE_URL" in line
    assert "secret-word" not in result.stderr


def test_the_database_is_upgraded_by_command(nachet, database_url: str) -> None:
    result = nachet("db", "upgrade", NACHET_DATABASE_URL=database_url)

    assert result.returncode == 0, result.stderr
    assert "15 seeds" in result.stderr
    assert nachet("status", NACHET_DATABASE_URL=database_url).returncode == 0


def test_every_command_has_help_worth_reading(nachet) -> None:
    for command in ("sample", "user add", "validate", "stage", "import", "status", "up", "down", "db upgrade"):
        result = nachet(*command.split(), "--help")
        assert result.returncode == 0, command
        assert len(result.stdout) > 200, command


def test_duplicates_are_listed_and_no_more_after_they_were_decided_to_be_different(
    nachet, deployment: Deployment
) -> None:
    email = deployment.user.email
    for name in ("one", "two"):
        # The same pictures in folders of other names: what a session is called is not part of it.
        folder = deployment.sample(name, seed=4711)
        (folder / "pictures" / "session1").rename(folder / "pictures" / name)
        for file in sorted(folder.rglob("*.tiff")) if name == "two" else ():
            # About one file there is nothing to decide; about two of the same pixels there is.
            with Image.open(file) as image:
                image.save(file.with_suffix(".png"))
            file.unlink()
        assert nachet("import", folder, "--user", email).returncode == 0

    listed = [json.loads(line) for line in nachet("duplicates", "--user", email, "--json").stdout.splitlines()]
    assert listed
    assert {(pair["relation"], pair["first_owner"], pair["decision"]) for pair in listed} == {
        ("same pixels", email, None)
    }
    for pair in listed:
        decided = nachet("duplicates", "decide", pair["second"], pair["first"], "--as", "different", "--by", email)
        assert decided.returncode == 0, decided.stderr

    assert nachet("duplicates", "--near", "--user", email).stdout == ""
    assert (
        nachet("duplicates", "decide", uuid.uuid4(), uuid.uuid4(), "--as", "duplicate", "--by", email).returncode == 2
    )
