"""Wrong uses of the client, each with the error that a type checker finds in its line."""

import io

from nachet_pipeline.client import AsyncClient, Client


def hand_over(client: Client) -> None:
    """Mistakes that are easily made."""
    client.submit(["1.png"])  # arg-type
    client.submit({"1.png": io.StringIO("text")}, name="wheat")  # dict-item
    client.uploads(owned_by="ada@example.org")  # call-arg
    for upload in client.uploads():  # attr-defined
        print(upload)  # noqa: T201


async def hand_over_in_a_loop(client: AsyncClient) -> None:
    """Mistakes that are easily made."""
    await client.uploads(owned_by="ada@example.org")  # call-arg
    await client.users.add(7)  # arg-type
    (await client.status("wheat")).finished  # attr-defined # noqa: B018
    client.registry.search("nap")[0]  # index
