import stat
from pathlib import Path

from pydantic import SecretStr

from nachet_pipeline.local.secret_keys import own_secret_keys
from nachet_pipeline.users.encryption import SecretBox, new_secret_key


def test_a_home_has_one_secret_key_of_its_own_that_only_its_owner_reads(tmp_path: Path) -> None:
    first = own_secret_keys(tmp_path / "home")
    assert own_secret_keys(tmp_path / "home") == first
    assert own_secret_keys(tmp_path / "other") != first
    assert stat.S_IMODE((tmp_path / "home" / "secret.keys").stat().st_mode) == 0o600
    assert SecretBox([SecretStr(first)]).encrypt(SecretStr("x"))


def test_an_operator_may_put_another_key_before_it(tmp_path: Path) -> None:
    first, fresh = own_secret_keys(tmp_path), new_secret_key().get_secret_value()
    (tmp_path / "secret.keys").write_text(f"{fresh},{first}\n")
    assert own_secret_keys(tmp_path) == f"{fresh},{first}"
