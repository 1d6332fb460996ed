from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachet_pipeline.errors import UsageError
from nachet_pipeline.users.upload_address import AddressError, KeyRefusedError, UploadAddress

OWNER = UUID("a3375b8c-e44d-5011-9012-edf29472b879")
SAS = "sv=2026-02-06&sr=c&si=x&spr=https&sig=SeCrEt%2B%3D"
GOOD = f"https://account.blob.core.windows.net/upload-{OWNER}?{SAS}"


@pytest.mark.parametrize("text", [GOOD, f"  {GOOD}\n", f'"{GOOD}"', f"'{GOOD}'"])
def test_an_address_is_read_as_people_paste_it(text: str) -> None:
    address = UploadAddress.parse(text)
    assert address.account_url == "https://account.blob.core.windows.net"
    assert (address.container, address.owner) == (f"upload-{OWNER}", OWNER)
    assert address.sas.get_secret_value() == SAS
    assert "SeCrEt" not in repr(address)


def test_an_emulators_address_names_its_account_in_its_path() -> None:
    address = UploadAddress.parse(f"http://127.0.0.1:10000/devstoreaccount1/upload-{OWNER}?{SAS}")
    assert address.account_url == "http://127.0.0.1:10000/devstoreaccount1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        GOOD.replace("upload-", "user-"),
        GOOD.replace(str(OWNER), "x"),
        GOOD.partition("?")[0],
        GOOD.partition("&sig")[0],
        GOOD.replace("https://", "ftp://"),
        GOOD.replace("https://", "https://user@"),
        GOOD.replace("https://", "http://"),
        "https://[::1/x?sig=SeCrEt",
        SAS,
    ],
)
def test_what_is_no_address_is_a_usage_error_that_never_repeats_it(text: str) -> None:
    with pytest.raises(AddressError, match=r"^upload key: ") as error:
        UploadAddress.parse(text)
    assert isinstance(error.value, UsageError)
    assert "SeCrEt" not in str(error.value)


@given(st.text())
def test_any_text_is_an_address_or_an_error_for_people(text: str) -> None:
    try:
        UploadAddress.parse(text)
    except AddressError as error:
        assert "\n" not in str(error)  # noqa: PT017 (both outcomes are right)


def test_a_key_that_was_not_copied_as_a_whole_is_refused_in_words(services) -> None:
    address = UploadAddress.parse(f"{services.blob_account_url}/upload-{OWNER}?{SAS}")
    with (
        pytest.raises(KeyRefusedError, match="has expired, was revoked, or was not copied as a whole") as error,
        address.connect() as blobs,
        address.explaining(),
    ):
        blobs.upload(address.container, "1", b"1", content_type="text/plain")
    assert "SeCrEt" not in str(error.value)
