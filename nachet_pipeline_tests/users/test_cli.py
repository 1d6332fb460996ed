"""`nachet user`, `nachet secrets` and `nachet stage --sas`, as their users type them."""

import json
import os
import re
import uuid
from pathlib import Path

import pytest

from nachet_pipeline.identifiers import upload_id, user_id
from nachet_pipeline.users.encryption import new_secret_key
from nachet_pipeline_tests.deployment import SECRET_KEY, Deployment
from nachet_pipeline_tests.users.keys import opens
from nachet_pipeline_tests.warm import WarmNachet


@pytest.fixture
def nachet(environment: dict[str, str], tmp_path: Path, warm: WarmNachet):
    """Runs the command in a process of its own, with or without the settings of the deployment."""

    def run(*arguments: object, bare: bool = False, stdin: str | None = None, **more: str):
        own = {name: value for name, value in os.environ.items() if not name.startswith(("NACHET_", "DAGSTER_"))}
        settings = {**own, **({} if bare else environment), **more}
        return warm.run(*arguments, environment=settings, folder=tmp_path, given=stdin)

    return run


def test_from_onboarding_to_a_folder_staged_by_key_alone(nachet, deployment: Deployment, tmp_path: Path) -> None:
    email = f"{uuid.uuid4().hex[:8]}@example.org"
    added = nachet("user", "add", email.upper(), "--by", "ada@example.org")
    assert added.returncode == 0, added.stderr
    assert f"nachet user key show {email}" in added.stderr

    shown = nachet("user", "key", "show", email, "--by", "ada@example.org")
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith("  http")]
    url = line.strip()
    assert f'azcopy copy "FOLDER" "{url}" --recursive' in shown.stdout
    assert f'nachet stage "FOLDER" --sas "{url}"' in shown.stdout
    assert "Storage Explorer" in shown.stdout
    again = nachet("user", "key", "show", email)
    assert (again.returncode, again.stdout) == (1, "")
    assert "to ada@example.org, and is shown once" in again.stderr

    folder = deployment.sample("by-key-alone", seed=7001)
    index = folder / "index.yaml"
    index.write_text(index.read_text().replace(deployment.user.email, email))
    first = nachet("stage", folder, "--sas", url, bare=True)
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip() == str(upload_id(user_id(email), "by-key-alone"))
    second = nachet("stage", folder, "--sas", "-", bare=True, stdin=f"{url}\n")
    assert second.returncode == 0, second.stderr
    assert "0 files sent" in second.stderr
    assert not (tmp_path / ".nachet").exists()
    signature = url.partition("sig=")[2]
    assert signature not in first.stdout + first.stderr + second.stdout + second.stderr

    disabled = nachet("user", "disable", email)
    assert "1 key" in nachet("user", "key", "revoke", email).stdout or disabled.returncode == 0
    refused = nachet("stage", folder, "--sas", url, "--name", "another", bare=True)
    assert refused.returncode == 1
    assert "was revoked" in refused.stderr
    by_name = nachet("stage", folder, "--user", email)
    assert by_name.returncode == 1
    assert "disabled-uploader" in by_name.stdout
    onboarded_again = nachet("user", "add", email)
    assert onboarded_again.returncode == 1
    assert f"nachet user enable {email}" in onboarded_again.stderr
    (listed,) = [one for one in json.loads(nachet("user", "list", "--json").stdout) if one["email"] == email]
    assert listed["disabled_at"]
    assert listed["key"]["revoked_at"]


def test_rotating_and_enabling_say_what_to_do_next(nachet, deployment: Deployment) -> None:
    email = deployment.user.email
    assert nachet("user", "add", email).returncode == 0
    rotated = nachet("user", "key", "rotate", email)
    assert f"nachet user key show {email}" in rotated.stdout
    assert "key 1 works on until" in rotated.stderr
    shown = json.loads(nachet("user", "key", "show", email, "--json").stdout)
    assert shown["number"] == 2
    assert opens(shown["url"])
    assert f"{email}  active  key 2 until" in nachet("user", "list").stdout

    revoked = nachet("user", "key", "revoke", email)
    assert revoked.stdout == "2 keys revoked\n"
    assert not opens(shown["url"])
    assert nachet("user", "enable", email).stdout == f"{email}: enabled, as before\n"


def test_secret_keys_are_generated_and_rotated(nachet, deployment: Deployment) -> None:
    email = deployment.user.email
    assert nachet("user", "add", email).returncode == 0
    fresh = nachet("secrets", "generate", bare=True)
    assert re.fullmatch(r"[\w-]{43}=\n", fresh.stdout)
    both = f"{SECRET_KEY},{fresh.stdout.strip()}"

    assert re.fullmatch(r"\d+ keys? encrypted anew\n", nachet("secrets", "rotate", NACHET_SECRET_KEYS=both).stdout)

    wrong = nachet("user", "key", "show", email, NACHET_SECRET_KEYS=new_secret_key().get_secret_value())
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("nachet: NACHET_SECRET_KEYS: none of its keys decrypts")
    assert nachet("user", "key", "show", email, NACHET_SECRET_KEYS=both).returncode == 0


def test_without_secret_keys_the_setting_is_named(nachet) -> None:
    result = nachet("user", "add", f"{uuid.uuid4().hex[:8]}@example.org", NACHET_SECRET_KEYS="")
    assert result.returncode == 2
    assert result.stderr.startswith("nachet: NACHET_SECRET_KEYS: is not set")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "one of --user and --sas"),
        (("--user", "a@example.org", "--sas", "x"), "one of --user and --sas"),
        (("--sas", "https://example.org/"), "nachet user key show"),
        (("--sas", "x", "--accept-valid"), "acceptValid: true"),
    ],
)
def test_staging_asked_for_wrongly_is_a_usage_error(nachet, tmp_path: Path, options: tuple[str, ...], says) -> None:
    result = nachet("stage", tmp_path, *options, bare=True)
    assert result.returncode == 2
    assert says in " ".join(result.stderr.replace("│", " ").split())
