"""What a type checker makes of the client in a program that uses it; see `test_client_types.py`."""

from typing import IO, assert_type
from uuid import UUID

from nachet_pipeline.client import (
    AsyncClient,
    AsyncSubmission,
    Client,
    Event,
    FileReceipt,
    Folder,
    FoundSeed,
    ModelVersion,
    Page,
    Picture,
    Receipt,
    SeenUpload,
    State,
    Submission,
    SubmissionEvent,
    SubmissionStatus,
)


def hand_over(client: Client, stream: IO[bytes]) -> None:
    """Hand folders over, and follow one."""
    sent = client.submit({"index.yaml": b"", "1.png": stream}, name="wheat", progress=lambda done, total: None)
    assert_type(sent, Submission)
    assert_type(client.submit("wheat", owner="ada@example.org"), Submission)
    assert_type((sent.id, sent.status()), tuple[UUID, SubmissionStatus])
    assert_type(sent.status().receipt, Receipt | None)
    assert_type(sent.wait(timeout=1).state, State)
    assert_type(next(sent.events()), SubmissionEvent)


def ask(client: Client) -> None:
    """Ask about what is there."""
    assert_type(client.uploads(state="refused"), Page[SeenUpload])
    assert_type(client.uploads(state=State.REFUSED).after, str | None)
    assert_type(client.uploads_by_state(), dict[State, int])
    assert_type(client.picture_sets().items, list[Folder])
    assert_type(client.pictures("0" * 32).items, list[Picture])
    assert_type(client.open_picture("0" * 32), IO[bytes])
    assert_type(client.registry.search("nap"), list[FoundSeed])
    assert_type(client.models.register("model.yaml"), list[ModelVersion])
    assert_type(client.predictions.record("model@1", [{"picture": "0" * 32, "boxes": []}]), FileReceipt)
    page = client.events(0, types={"upload.imported"})
    assert_type((page.items, page.after), tuple[list[Event], int])


async def hand_over_in_a_loop(client: AsyncClient) -> None:
    """The same words, awaited."""
    sent = await client.submit({"index.yaml": b""}, name="wheat")
    assert_type(sent, AsyncSubmission)
    assert_type(await sent.status(), SubmissionStatus)
    assert_type((await sent.wait(timeout=1)).state, State)
    async for event in sent.events():
        assert_type(event, SubmissionEvent)
    assert_type(await client.uploads(owner="ada@example.org", limit=3), Page[SeenUpload])
    assert_type((await client.users.show_key("ada@example.org")).url.get_secret_value(), str)
    assert_type(await client.registry.search("nap", limit=3), list[FoundSeed])
    assert_type(await client.models.version("model@1"), ModelVersion)
    assert_type(await client.predictions.import_file("model@1", "monday.jsonl"), FileReceipt)
    assert_type((await client.events(None)).items, list[Event])
