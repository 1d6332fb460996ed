"""How fast the client sends a folder, beside obstore alone.

    .venv/bin/python -m benchmarks.sending --pictures 500 --rounds 7

Both send the same files of a local folder to Azurite. *Bare* reads each file and puts it, by obstore, in the quickest
of some ways that a trial finds. *Client* is `AsyncClient.submit` with an upload key: it also lists what is staged,
computes the SHA-256 of every file, and writes the marker that lists them, which the import verifies. They take turns.
Azurite has a core of its own, as a storage service has machines of its own, and who sends has the others; `--shared`
lets all use all.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import obstore
from obstore.store import AzureStore
from rich.console import Console
from rich.table import Table

from benchmarks.own_services import own_services
from nachet_pipeline.client import AsyncClient, Client
from nachet_pipeline.local.services import Services
from nachet_pipeline.users.encryption import new_secret_key
from nachet_pipeline.users.upload_address import UploadAddress


def _write(folder: Path, pictures: int, size: int) -> list[Path]:
    """A folder of files as large as pictures; what they hold is not looked at."""
    session = folder / "pictures" / "session1"
    session.mkdir(parents=True)
    for number in range(pictures):
        (session / f"{number}.jpg").write_bytes(os.urandom(size))
    return sorted(session.iterdir())


async def _in_threads(store: AzureStore, files: list[Path], *, workers: int) -> None:
    name = uuid4().hex
    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(lambda file: obstore.put(store, f"{name}/{file.name}", file.read_bytes()), files))


async def _in_a_loop(store: AzureStore, files: list[Path], *, workers: int) -> None:
    name, places = uuid4().hex, asyncio.Semaphore(workers)

    async def put(file: Path) -> None:
        async with places:
            await obstore.put_async(store, f"{name}/{file.name}", file.read_bytes())

    await asyncio.gather(*map(put, files))


async def _by_client(client: AsyncClient, folder: Path) -> None:
    await client.submit(folder, name=uuid4().hex)


async def _seconds(work: Callable[[], Coroutine[None, None, None]]) -> float:
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


async def _measured(
    store: AzureStore, key: str, folder: Path, files: list[Path], rounds: int
) -> tuple[dict[str, float], list[tuple[float, float]]]:
    """Seconds of the trial by way, and those of bare and client in each round."""
    ways = {
        f"{way.__name__.strip('_')} {workers}": partial(way, store, files, workers=workers)
        for way in (_in_threads, _in_a_loop)
        for workers in (4, 8, 16)
    }
    async with AsyncClient.from_upload_key(key) as client:
        send = partial(_by_client, client, folder)
        await _seconds(send)  # what is used first is slower
        trial = {name: min([await _seconds(way) for _ in range(2)]) for name, way in ways.items()}
        best = ways[min(trial, key=trial.__getitem__)]
        return trial, [(await _seconds(best), await _seconds(send)) for _ in range(rounds)]


def _prepared(found: Services) -> tuple[AzureStore, str]:
    """A store of the upload container, and a key of its owner."""
    email = "sender@example.org"
    with Client.from_environment() as client:
        client.users.add(email)
        key = client.users.show_key(email).url.get_secret_value()
    address = UploadAddress.parse(key)
    store = AzureStore(
        address.container,
        account_name=found.blob_account_url.rpartition("/")[2],
        endpoint=found.blob_account_url,
        sas_key=address.sas.get_secret_value(),
        client_options={"allow_http": True, "timeout": timedelta(seconds=60)},
    )
    return store, key


def main() -> None:
    """Measure and show."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--pictures", type=int, default=500)
    asked.add_argument("--size", type=int, default=125_000)
    asked.add_argument("--rounds", type=int, default=7)
    asked.add_argument("--shared", action="store_true")
    given = asked.parse_args()
    os.environ["NACHET_SECRET_KEYS"] = new_secret_key().get_secret_value()
    first, *others = sorted(os.sched_getaffinity(0))
    if others and not given.shared:
        os.sched_setaffinity(0, {first})  # the services inherit it
    with own_services() as (_, found), tempfile.TemporaryDirectory() as scratch:
        os.sched_setaffinity(0, others if others and not given.shared else {first, *others})
        store, key = _prepared(found)
        folder = Path(scratch) / "folder"
        files = _write(folder, given.pictures, given.size)
        trial, rounds = asyncio.run(_measured(store, key, folder, files, given.rounds))
    best = min(trial, key=trial.__getitem__)
    table = Table("", "pictures/s", "least", "most", title=f"{given.pictures} files of {given.size:,} bytes")
    for name, seconds in (
        (f"bare ({best})", [bare for bare, _ in rounds]),
        ("client", [client for _, client in rounds]),
    ):
        rates = [given.pictures / one for one in seconds]
        table.add_row(name, *(f"{rate:.0f}" for rate in (statistics.median(rates), min(rates), max(rates))))
    console = Console()
    console.print(table)
    console.print("trial: " + ", ".join(f"{name}: {given.pictures / one:.0f}/s" for name, one in trial.items()))
    ratios = [bare / client for bare, client in rounds]
    console.print(
        f"client ÷ bare, by rounds: {statistics.median(ratios):.2f} ({', '.join(f'{r:.2f}' for r in ratios)})"
    )


if __name__ == "__main__":
    main()
