import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from nachet_pipeline.settings import Settings, SettingsError
from nachet_pipeline.users.encryption import SecretBox, UndecipherableError, new_secret_key

FIRST, SECOND = new_secret_key(), new_secret_key()


@given(st.text(max_size=300))
def test_what_one_key_encrypted_any_box_with_that_key_decrypts(text: str) -> None:
    stored = SecretBox([FIRST]).encrypt(SecretStr(text))
    assert SecretBox([SECOND, FIRST]).decrypt(stored).get_secret_value() == text
    assert stored.isascii()


def test_the_first_key_encrypts_anew_and_the_old_one_is_not_needed_then() -> None:
    stored = SecretBox([FIRST]).encrypt(SecretStr("a secret"))
    anew = SecretBox([SECOND, FIRST]).encrypt_anew(stored)
    assert SecretBox([SECOND]).decrypt(anew).get_secret_value() == "a secret"
    with pytest.raises(UndecipherableError):
        SecretBox([FIRST]).decrypt(anew)


@pytest.mark.parametrize("damaged", ["", "nonsense", "gAAAA"])
def test_what_no_key_decrypts_is_told_by_the_settings_name(damaged: str) -> None:
    for use in (SecretBox([FIRST]).decrypt, SecretBox([FIRST]).encrypt_anew):
        with pytest.raises(UndecipherableError, match="NACHET_SECRET_KEYS: none of its keys"):
            use(damaged)


def test_without_a_key_the_setting_is_named_and_how_to_get_one() -> None:
    with pytest.raises(SettingsError, match=r"NACHET_SECRET_KEYS: is not set.*nachet secrets generate"):
        SecretBox([])


def test_a_new_key_is_one_that_the_settings_take_and_nobody_elses() -> None:
    assert new_secret_key() != FIRST
    assert Settings.from_environment({"NACHET_SECRET_KEYS": FIRST.get_secret_value()}).secret_keys == (FIRST,)
