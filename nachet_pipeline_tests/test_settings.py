import pickle
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from nachet_pipeline.cli.terminal import read_settings
from nachet_pipeline.defs.resources import of_settings
from nachet_pipeline.settings import Settings, SettingsError

SECRET = "s3cret-Passw0rd"
KEY = "A" * 42 + "8="
GOOD = {
    "NACHET_DATABASE_URL": f"postgresql://ada:{SECRET}@db.example.org:5432/nachet",
    "NACHET_BLOB_ACCOUNT_URL": "https://account.blob.core.windows.net/",
    "NACHET_BLOB_KEY": SECRET,
    "NACHET_SECRET_KEYS": f"{KEY}, {KEY}",
    "NACHET_HOME": "/var/lib/nachet",
    "NACHET_DETECTOR_TOKEN": SECRET,
    "NACHET_DECODE_SECONDS": "20",
}


def _error(environment: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(environment)
    return str(caught.value)


def test_without_settings_the_services_of_this_machine_are_meant() -> None:
    found = Settings.from_environment({})

    assert found.embedded
    assert found.home == Path(".nachet")
    assert found.picture.max_picture_mib == 200
    assert found.decoder.decode_workers >= 1


def test_every_setting_is_read_from_the_environment() -> None:
    found = Settings.from_environment(GOOD)

    assert found.database_url is not None
    assert found.blob_key is not None
    assert found.database_url.get_secret_value() == GOOD["NACHET_DATABASE_URL"]
    assert found.blob_account_url == "https://account.blob.core.windows.net"
    assert found.blob_key.get_secret_value() == SECRET
    assert [key.get_secret_value() for key in found.secret_keys] == [KEY, KEY]
    assert found.home == Path("/var/lib/nachet")
    assert found.decoder.decode_seconds == 20
    assert not found.embedded


@pytest.mark.parametrize(
    ("concern", "name"),
    [(concern, name) for concern, kind in Settings.concerns().items() for name in kind.model_fields],
)
def test_every_field_of_a_concern_is_a_setting(concern: str, name: str, tmp_path: Path) -> None:
    values: dict[str, object] = {
        "decode_memory_mib": 1024,
        "max_yaml_events": 100,
        "detector": "https://seeds.example.org/score",
        "detector_model": "seed-detector@1.2.0",
        "detector_version": "33",
        "detector_attempts": 7,
        "verify_stored": "read",
        "key_overlap_days": 7,
        "key_rotate_before_days": 7,
        "notify": "refused, key",
        "notify_operators": "ada@example.org, bo@example.org",
        "mail_from": "nachet@example.org",
        "smtp_url": "smtps://nachet:secret@mail.example.org",
        "smtp_starttls": "off",
        "acs_endpoint": "https://nachet.communication.azure.com",
        "acs_connection_string": "endpoint=https://nachet.communication.azure.com/;accesskey=c2VjcmV0",
        "webhook_private_addresses": True,
    }
    beside = {"NACHET_MAIL_FROM": "nachet@example.org", "NACHET_SMTP_URL": "smtp://127.0.0.1"}
    if name in {"recipes_folder", "models_folder"}:
        values[name] = tmp_path
    if name in {"mass_import_list", "users_file"}:
        values[name] = tmp_path / "containers.yaml"
    if name == "severities_file":
        values[name] = tmp_path / "severities.yaml"
        (tmp_path / "severities.yaml").write_text("surplus-picture: warning\n")
    if name == "species_file":
        values[name] = tmp_path / "species.csv"
    value = values.get(name, 33)

    given = {} if concern != "mail" else {"NACHET_MAIL_FROM": beside["NACHET_MAIL_FROM"]} if "acs" in name else beside

    found = Settings.from_environment({**given, f"NACHET_{name.upper()}": f" {value} "})

    expected: object = value
    if name in {"detector_token", "smtp_url", "acs_connection_string"}:
        expected = SecretStr(str(value))
    elif name in {"notify", "notify_operators"}:
        expected = tuple(str(value).split(", "))
    elif name == "species_file":
        expected = (value,)
    assert getattr(getattr(found, concern), name) == expected
    assert Settings.concerns()[concern].model_fields[name].description


_MAIL = {"NACHET_SMTP_URL": "smtp://nachet:s3cret@mail.example.org", "NACHET_MAIL_FROM": "nachet@example.org"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"NACHET_MAIL_FROM": ""}, "NACHET_MAIL_FROM: is not set while NACHET_SMTP_URL is"),
        ({"NACHET_MAIL_FROM": "a@example.org\nBcc: b@example.org"}, "NACHET_MAIL_FROM: expected an e-mail address"),
        ({"NACHET_MAIL_FROM": "A <b@example.org>, D <n@example.org>"}, "NACHET_MAIL_FROM: expected an e-mail address"),
        ({"NACHET_MAIL_FROM": "=?utf-8?q?x=0d=0aBcc=3a?= <n@example.org>"}, "NACHET_MAIL_FROM: expected an e-mail"),
        ({"NACHET_SMTP_URL": "smtp://nachet:s3crèt@mail"}, "NACHET_SMTP_URL: expected a user and a password of ASCII"),
        ({"NACHET_SMTP_URL": "smtp://nachet:s3cr%C3%A8t@mail"}, "NACHET_SMTP_URL: expected a user and a password of"),
        ({"NACHET_SMTP_URL": "", "NACHET_NOTIFY": "all"}, "NACHET_NOTIFY: there is nothing to send mails by"),
        (
            {"NACHET_SMTP_URL": "", "NACHET_NOTIFY_OPERATORS": "a@example.org"},
            "NACHET_NOTIFY_OPERATORS: there is nothing",
        ),
        ({"NACHET_NOTIFY": "refusals"}, "NACHET_NOTIFY: expected all, none, or some of refused, imported, failed, key"),
        ({"NACHET_NOTIFY_OPERATORS": "a@example.org b"}, "NACHET_NOTIFY_OPERATORS: expected e-mail addresses"),
        ({"NACHET_SMTP_URL": "http://nachet:s3cret@mail"}, "NACHET_SMTP_URL: expected smtp://"),
        ({"NACHET_SMTP_URL": "smtp://nachet:s3cret@mail:x"}, "NACHET_SMTP_URL: expected smtp://"),
        ({"NACHET_SMTP_URL": "smtp://nachet:s3/cret@mail"}, "NACHET_SMTP_URL: expected smtp://"),
        ({"NACHET_SMTP_STARTTLS": "off"}, "NACHET_SMTP_STARTTLS: is off, so the password"),
        ({"NACHET_ACS_ENDPOINT": "https://a.example.org"}, "NACHET_ACS_ENDPOINT: is set beside NACHET_SMTP_URL"),
        ({"NACHET_ACS_ENDPOINT": "http://a.example.org"}, "NACHET_ACS_ENDPOINT: expected https://"),
        ({"NACHET_ACS_CONNECTION_STRING": "s3cret"}, "NACHET_ACS_CONNECTION_STRING: expected endpoint="),
        (
            {"NACHET_ACS_CONNECTION_STRING": "endpoint=https://a.example.org/;accesskey=s3c"},
            "NACHET_ACS_CONNECTION_STRING: expected endpoint=",
        ),
        (
            {"NACHET_ACS_CONNECTION_STRING": "endpoint=http://a.example.org/;accesskey=s3cr"},
            "NACHET_ACS_CONNECTION_STRING: expected endpoint=",
        ),
    ],
)
def test_a_wrong_setting_of_mails_is_named_at_start_without_its_secret(given: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({**_MAIL, **given})
    assert str(caught.value).startswith(says)
    assert "s3" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_service_whose_client_is_not_installed_is_named_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.communication.email", None)
    given = {"NACHET_ACS_ENDPOINT": "https://nachet.communication.azure.com", "NACHET_MAIL_FROM": "a@example.org"}
    with pytest.raises(SettingsError, match=r"NACHET_ACS_ENDPOINT: needs `pip install 'nachet_pipeline\[comm"):
        Settings.from_environment(given)


def test_every_setting_is_of_one_concern() -> None:
    concerns = Settings.concerns()
    fields = [name for kind in concerns.values() for name in kind.model_fields]
    assert len({*Settings.model_fields, *fields}) == len(Settings.model_fields) + len(fields)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("no-such-code: error\n", "no-such-code"),
        ("picture-damaged: info\n", "stays an error"),
        (None, "cannot be read"),
    ],
)
def test_a_file_of_severities_that_cannot_be_used_is_an_error_at_start(
    content: str | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "severities.yaml"
    if content:
        file.write_text(content)
    for name, value in {**GOOD, "NACHET_SEVERITIES_FILE": str(file)}.items():
        monkeypatch.setenv(name, value)

    for start in (read_settings, lambda: of_settings(Settings.from_environment())):  # a command, and Dagster
        with pytest.raises(SettingsError) as caught:
            start()
        assert str(caught.value).startswith("NACHET_SEVERITIES_FILE: ")
        assert says in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


def test_an_empty_setting_counts_as_absent_and_other_variables_are_not_ours() -> None:
    found = Settings.from_environment(
        {"NACHET_DATABASE_URL": " ", "NACHET_BATCH_SIZE": "", "PATH": "/bin", "NACHE": "1"}
    )

    assert found == Settings.from_environment({})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("NACHET_DATABASE_URL", "mysql://db/nachet", "postgresql://"),
        ("NACHET_DATABASE_URL", "postgresql+psycopg://db/nachet", "postgresql://"),
        ("NACHET_DATABASE_URL", "postgresql://db", "DATABASE"),
        ("NACHET_DATABASE_URL", "postgresql://[::1/nachet", "postgresql://"),
        ("NACHET_BLOB_ACCOUNT_URL", "account", "https://ACCOUNT"),
        ("NACHET_BLOB_ACCOUNT_URL", "https://", "https://ACCOUNT"),
        ("NACHET_BLOB_ACCOUNT_URL", "https://[::1", "https://ACCOUNT"),
        ("NACHET_BLOB_ACCOUNT_URL", "https://a.example.org?sv=1", "NACHET_BLOB_KEY"),
        ("NACHET_BLOB_ACCOUNT_URL", "https://a.example.org/#key", "NACHET_BLOB_KEY"),
        ("NACHET_SECRET_KEYS", "short", "key 1 is not a Fernet key"),
        ("NACHET_SECRET_KEYS", f"{KEY},short", "key 2 is not a Fernet key"),
        ("NACHET_BATCH_SIZE", "many", "integer"),
        ("NACHET_BATCH_SIZE", "0", "greater than or equal to 1"),
        ("NACHET_BATCH_SIZE", "251", "less than or equal to 250"),
        ("NACHET_BATCH_SIZE", "2.5", "integer"),
        ("NACHET_DECODE_SECONDS", "601", "less than or equal to 600"),
        ("NACHET_DECODE_MEMORY_MIB", "511", "greater than or equal to 512"),
        ("NACHET_MAX_PICTURE_MIB", "257", "less than or equal to 256"),
        ("NACHET_MAX_SIDE_PIXELS", "-1", "greater than or equal to 16"),
        ("NACHET_SENSOR_INTERVAL_SECONDS", "0", "greater than or equal to 1"),
        ("NACHET_DATABASE", "x", "there is no such setting; the settings are NACHET_ACS_CONNECTION_STRING, "),
        ("NACHET_CONTRACT", "x", "there is no such setting"),
        ("NACHET_CROP", "x", "there is no such setting"),
        ("NACHET_", "x", "there is no such setting"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line_that_names_it(name: str, value: str, says: str) -> None:
    message = _error({name: value})

    assert message.startswith(f"{name}: ")
    assert says in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ("NACHET_DATABASE_URL", "NACHET_BLOB_ACCOUNT_URL"),
        ("NACHET_BLOB_ACCOUNT_URL", "NACHET_DATABASE_URL"),
    ],
)
def test_one_service_without_the_other_is_told_by_the_name_of_the_missing_one(given: str, missing: str) -> None:
    message = _error({given: GOOD[given]})

    assert message == f"{missing}: is not set while its companion is; set both, or neither"


def test_the_key_of_an_account_that_is_not_named_is_told() -> None:
    message = _error({"NACHET_BLOB_KEY": SECRET})

    assert message == "NACHET_BLOB_ACCOUNT_URL: is not set while the key of its account is"


@pytest.mark.parametrize("name", ["NACHET_DATABASE_READER_URL", "NACHET_DATABASE_OWNER_URL"])
def test_a_login_for_a_part_of_the_work_comes_beside_the_one_for_the_rest(name: str) -> None:
    url = f"postgresql://other:{SECRET}@db.example.org:5432/nachet"
    found = getattr(Settings.from_environment({**GOOD, name: url}), name.removeprefix("NACHET_").lower())

    assert found.get_secret_value() == url
    assert _error({name: url}) == "NACHET_DATABASE_URL: is not set while the address of its reader or owner is"
    assert _error({**GOOD, name: "mysql://db/nachet"}).startswith(f"{name}: expected postgresql://")


def test_settings_never_show_a_secret() -> None:
    found = Settings.from_environment(GOOD)

    for shown in (repr(found), str(found), found.model_dump_json(), repr(found.model_dump()), repr(of_settings(found))):
        assert SECRET not in shown
        assert KEY not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NACHET_DATABASE_URL", f"mysql://ada:{SECRET}@db/nachet"),
        ("NACHET_DATABASE_URL", f"postgresql://ada:{SECRET}@db"),
        ("NACHET_DATABASE_URL", f"postgresql://ada:{SECRET}\u2100@db/nachet"),
        ("NACHET_DATABASE_URL", f"postgresql://ada:{SECRET}@[db/nachet"),
        ("NACHET_DATABASE_URL", SECRET),
        ("NACHET_BLOB_ACCOUNT_URL", f"https://account:{SECRET}@a.example.org"),
        ("NACHET_BLOB_ACCOUNT_URL", f"https://{SECRET}\u2100@a.example.org"),
        ("NACHET_BLOB_ACCOUNT_URL", f"https://a.example.org/?sig={SECRET}"),
        ("NACHET_BLOB_ACCOUNT_URL", SECRET),
        ("NACHET_SECRET_KEYS", SECRET),
        ("NACHET_SECRET_KEYS", f"{KEY},{SECRET}"),
        ("NACHET_BATCH_SIZE", SECRET),
    ],
)
def test_what_is_said_of_a_wrong_setting_never_shows_a_secret(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({**GOOD, name: value})

    assert name in str(caught.value)
    for part in (str(caught.value), repr(caught.value.args)):
        assert SECRET not in part
        assert KEY not in part
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@settings(derandomize=True, database=None, deadline=None)
@given(
    st.sampled_from(sorted(GOOD)),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.sampled_from(["", "postgresql://", "https://"]),
)
def test_no_value_makes_reading_the_settings_fail_otherwise_than_it_says(name: str, value: str, prefix: str) -> None:
    try:
        found = Settings.from_environment({**GOOD, name: prefix + value})
    except SettingsError as error:
        assert "NACHET_" in str(error)  # noqa: PT017 (either way is a pass)
        assert len(str(error).splitlines()) == 1  # noqa: PT017
    else:
        assert SECRET not in repr(found)


def test_settings_cannot_be_changed_and_travel_between_processes() -> None:
    found = Settings.from_environment(GOOD)

    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 (our own bytes)
    with pytest.raises(ValueError, match="frozen"):
        found.home = Path("/tmp")  # noqa: S108
