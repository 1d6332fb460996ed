from dataclasses import replace
from pathlib import Path

import pytest

from nachet_pipeline.settings import SettingsError
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.users.errors import UsersFileError
from nachet_pipeline.users.queries import find_user
from nachet_pipeline.users.users_file import ListedState, UserChange, apply_users, digest_of, read_users
from nachet_pipeline_tests.users.keys import ACTOR, onboarding, opens, upload_keys
from nachet_pipeline_tests.workbench import Workbench


def write(folder: Path, text: str) -> Path:
    file = folder / "users.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def applied(workbench: Workbench, text: str, **changes: object) -> dict[str, UserChange]:
    users = read_users(write(workbench.place, text))
    done = apply_users(workbench.database, onboarding(workbench, **changes), users, actor="users.yaml")
    return {user.email: change for user, change in done}


def test_a_file_adds_disables_and_enables_and_leaves_all_others_alone(workbench: Workbench) -> None:
    new, old = f"new.{workbench.user.email}", f"old.{workbench.user.email}"
    workbench.another_user(old)
    file = f"users:\n  - email: {new.upper()}\n  - {{email: {old}, state: Disabled}}\n"

    assert applied(workbench, file) == {new: UserChange.ADDED, old: UserChange.DISABLED}
    assert applied(workbench, file) == {new: UserChange.UNCHANGED, old: UserChange.UNCHANGED}
    assert applied(workbench, f"users: [{{email: {old}}}]\n") == {old: UserChange.ENABLED}

    states = workbench.query("select email, disabled_at is null as active from users order by email")
    assert {row["email"]: row["active"] for row in states} == {workbench.user.email: True, new: True, old: True}
    assert opens(upload_keys(workbench).show(new, to=ACTOR).url.get_secret_value())
    with workbench.database.connection() as connection:
        user = find_user(connection, new)
    assert user
    assert workbench.blobs.container_exists(user.user_container)
    assert workbench.query("select count(*) as n from audit_trail where actor = 'users.yaml'")[0]["n"] > 0


def test_a_file_says_who_is_told_what_in_which_language(workbench: Workbench) -> None:
    email = f"new.{workbench.user.email}"
    first = f"users: [{{email: {email}, language: fr, notify: 'key, refused'}}]\n"

    assert applied(workbench, first) == {email: UserChange.ADDED}
    assert applied(workbench, first) == {email: UserChange.UNCHANGED}
    assert applied(workbench, f"users: [{{email: {email}}}]\n") == {email: UserChange.UNCHANGED}
    (told,) = workbench.query("select language, notify from users where email = %s", email)
    assert told == {"language": "fr", "notify": ["key", "refused"]}
    assert applied(workbench, f"users: [{{email: {email}, notify: [failed]}}]\n") == {email: UserChange.CHANGED}
    assert applied(workbench, f"users: [{{email: {email}, notify: none}}]\n") == {email: UserChange.CHANGED}
    (told,) = workbench.query("select language, notify from users where email = %s", email)
    assert told == {"language": "fr", "notify": []}
    changes = workbench.query(
        "select actor, after -> 'notify' as notify from audit_trail where subject_id ="
        " (select id from users where email = %s) and after ? 'notify' and action = 'changed' order by id",
        email,
    )
    assert [(one["actor"], one["notify"]) for one in changes] == [
        ("users.yaml", ["key", "refused"]),
        ("users.yaml", ["failed"]),
        ("users.yaml", []),
    ]


def test_who_was_never_registered_is_not_registered_to_be_disabled(workbench: Workbench) -> None:
    assert applied(workbench, "users: [{email: never@example.org, state: disabled}]\n") == {
        "never@example.org": UserChange.NEVER_REGISTERED
    }
    assert workbench.query("select id from users where email = 'never@example.org'") == []


def test_an_onboarding_that_storage_interrupted_is_completed_by_the_next(workbench: Workbench) -> None:
    email = f"late.{workbench.user.email}"
    file = f"users: [{{email: {email}}}]\n"
    with (
        BlobStorage.connect("http://127.0.0.1:1/account", workbench.blob_key) as down,
        pytest.raises(StorageError),
    ):
        applied(replace(workbench, blobs=down), file)
    assert applied(workbench, file) == {email: UserChange.UNCHANGED}
    assert opens(upload_keys(workbench).show(email, to=ACTOR).url.get_secret_value())


def test_without_secret_keys_nobody_is_half_registered(workbench: Workbench) -> None:
    email = f"no.{workbench.user.email}"
    with pytest.raises(SettingsError, match="NACHET_SECRET_KEYS: is not set"):
        applied(workbench, f"users: [{{email: {email}}}]\n", secret_keys=())
    assert workbench.query("select id from users where email = %s", email) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("users:\n  - email: ada@example.org\n  - email: nobody\n", ":3: email: expected an e-mail address"),
        ("users:\n  - email: a@example.org\n  - email: A@Example.org\n", ":3: a@example.org is listed in line 2"),
        ("users:\n  - email: a@example.org\n    state: gone\n", ":2: state: expected active or disabled, found 'gone'"),
        (
            "users:\n  - email: a@example.org\n    key: x\n",
            ":2: expected keys of email, state, language, notify, found 'key'",
        ),
        ("users:\n  - a@example.org\n", ":2: expected keys and values"),
        ("users:\n  - state: active\n", ":2: expected email and state to be text"),
        ("users:\n  - email: [a@example.org]\n", ":2: expected email and state to be text"),
        ("users:\n  - email: a@example.org\n    language: de\n", ":2: language: expected en or fr, found 'de'"),
        ("users:\n  - email: a@example.org\n    notify: [all, x]\n", ":2: notify: expected all, none, or some of"),
        ("users:\n  - email: a@example.org\n    notify: {a: b}\n", ":2: notify: expected all, none, or some of"),
        ("people: []\n", ":1: expected the one key users with a list, found people"),
        ("users: {}\n", ":1: expected the one key users"),
        ("users:\n  - email: 'a\n", ":"),
        ("", ":"),
    ],
)
def test_a_wrong_file_is_told_with_its_line_before_anything_is_applied(tmp_path: Path, text: str, says: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(UsersFileError) as error:
        read_users(file)
    assert str(error.value).startswith(f"{file}{says}")
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsersFileError, match=r"none\.yaml: cannot be read: No such file"):
        read_users(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"users: [{email: \xe9@example.org}]")
    with pytest.raises(UsersFileError, match="expected UTF-8"):
        read_users(tmp_path / "latin.yaml")


def test_a_good_file_is_read_in_its_order_and_its_digest_follows_it(tmp_path: Path) -> None:
    file = write(tmp_path, "users:\n  - email: Zoe@example.org\n  - email: ada@example.org\n    state: disabled\n")
    first = digest_of(file)
    assert [(one.email, one.state) for one in read_users(file)] == [
        ("zoe@example.org", ListedState.ACTIVE),
        ("ada@example.org", ListedState.DISABLED),
    ]
    write(tmp_path, "users: []\n")
    assert read_users(file) == []
    assert digest_of(file) != first
