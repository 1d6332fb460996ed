"""The top of a container by pages: every name once, whatever it is, and nothing of what is in folders."""

from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachet_pipeline.storage import listings
from nachet_pipeline.storage.blobs import StorageError
from nachet_pipeline.storage.listings import TopPage, UnreadableListingError, _read
from nachet_pipeline_tests.workbench import Workbench


def pages(workbench: Workbench) -> list[TopPage]:
    """All pages of the user's upload container."""
    container = workbench.user.upload_container
    found = [workbench.blobs.top_page(container)]
    while found[-1].next:
        found.append(workbench.blobs.top_page(container, found[-1].next))
    return found


@pytest.mark.parametrize("names_a_page", [1, 2, 5_000])
def test_every_folder_and_every_blob_beside_folders_is_on_one_page(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, names_a_page: int
) -> None:
    monkeypatch.setattr(listings, "NAMES_A_PAGE", names_a_page)
    for folder in ("a", "b & c", "Käfer", "tab\there"):
        for file in ("1.png", "deep/2.png", "_COMPLETE"):
            workbench.put(f"{folder}/{file}", b"x")
    for blob in ("a.receipt.json", "loose<1>.png"):
        workbench.put(blob, b"x")
    found = pages(workbench)
    assert sorted(name for page in found for name in page.folders) == sorted(["a", "b & c", "Käfer", "tab\there"])
    assert sorted(name for page in found for name in page.blobs) == ["a.receipt.json", "loose<1>.png"]
    assert all(len(page.folders) + len(page.blobs) <= names_a_page for page in found)


def test_an_empty_container_has_one_page_and_one_that_does_not_exist_is_an_error(workbench: Workbench) -> None:
    assert pages(workbench) == [TopPage([], [], "")]
    with pytest.raises(StorageError, match=r"listing no-such-container failed: 404 ContainerNotFound"):
        workbench.blobs.top_page("no-such-container")


@pytest.mark.parametrize("names_a_page", [1, 5_000])
def test_names_that_cannot_be_listed_hide_no_other_folder_and_are_logged(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, names_a_page: int
) -> None:
    monkeypatch.setattr(listings, "NAMES_A_PAGE", names_a_page)
    monkeypatch.setattr(listings, "PASSING_SECONDS", 60.0)
    readable = ["a", "beside", "m", "n", "zz", "Käfer", "種子", "🌱"]
    for folder in [*readable, "\x0bfolder", "m\x1f", "x\x00", "種\x01", "\ufffe"]:
        workbench.put(f"{folder}/1.png", b"x")
    assert sorted(name for page in pages(workbench) for name in page.folders) == sorted(readable)
    assert f"{workbench.user.upload_container}: names up to '\\x0c' are passed over" in caplog.text


def test_a_way_around_that_takes_too_long_ends_the_listing_and_is_no_error(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "PASSING_SECONDS", -1.0)
    workbench.put("\x0bfolder/1.png", b"x")
    assert pages(workbench) == [TopPage([], [], "")]


_NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1), max_size=5)


def _element(name: str) -> str:
    """A name as the service writes it: percent-encoded if XML has no form for it."""
    if any(not (" " <= letter <= "\ud7ff" or "\ue000" <= letter <= "\ufffd") for letter in name):
        return f'<Name Encoded="true">{quote(name)}</Name>'
    return f"<Name>{escape(name)}</Name>"


@given(folders=_NAMES, blobs=_NAMES, marker=st.sampled_from(["", "2!72!a/b"]), size=st.integers(1, 50))
def test_names_are_read_as_they_are_however_the_answer_arrives(
    folders: list[str], blobs: list[str], marker: str, size: int
) -> None:
    items = [f"<BlobPrefix>{_element(f'{name}/')}</BlobPrefix>" for name in folders]
    items += [f"<Blob>{_element(name)}\n<Properties><Etag>1</Etag></Properties></Blob>" for name in blobs]
    answer = (
        '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="c"><Delimiter>/</Delimiter>'
        f"<Blobs>{''.join(items)}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
    ).encode()
    chunks = [answer[start : start + size] for start in range(0, len(answer), size)]
    page = _read(chunks)
    assert (page.folders, page.names, page.next) == (folders, blobs, marker and f"marker:{marker}")


@pytest.mark.parametrize("answer", [b"", b"<html>", b"<Blobs><Blob><Name>a</Blobs>"])
def test_an_answer_that_is_no_listing_is_an_error_and_not_an_empty_container(answer: bytes) -> None:
    with pytest.raises(UnreadableListingError, match="the answer is no listing"):
        _read([answer])
