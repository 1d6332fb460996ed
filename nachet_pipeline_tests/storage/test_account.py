"""What the account's key allows for two hours, as the SDK signs it and as it is signed without it."""

import base64
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest
from azure.storage.blob import generate_container_sas
from pydantic import SecretStr

from nachet_pipeline.storage.account import RequestError, container_sas

KEY = base64.b64encode(bytes(range(64))).decode()
FROM, UNTIL = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 1, 2, 5, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("permission", ["r", "w", "l"])
def test_a_permission_is_signed_as_the_sdk_signs_it(permission: str) -> None:
    theirs = parse_qs(
        generate_container_sas("account", "user-1", account_key=KEY, permission=permission, start=FROM, expiry=UNTIL)
    )
    ours = container_sas("account", "user-1", SecretStr(KEY), permission, FROM, UNTIL, version=theirs["sv"][0])

    assert parse_qs(ours) == theirs


def test_a_key_that_cannot_be_one_is_no_defect_and_is_not_quoted() -> None:
    with pytest.raises(RequestError) as raised:
        container_sas("account", "user-1", SecretStr("secret"), "r", FROM, UNTIL)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None
