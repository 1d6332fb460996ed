"""The client for an event loop: the same words, each call in a thread, and no thread while it waits."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from nachet_pipeline.client.client import ACTOR, Client, Folderlike
from nachet_pipeline.client.judgements import Judgements
from nachet_pipeline.client.models import Models, Predictions
from nachet_pipeline.client.registry import Registry
from nachet_pipeline.client.submission import WAIT_SECONDS, Submission, SubmissionEvent, event_of
from nachet_pipeline.client.users import Users
from nachet_pipeline.contract.receipt import Receipt
from nachet_pipeline.support.progress import Progress, silent
from nachet_pipeline.uploads.following import Look

_SENDING, _ASKING = 4, 8

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")
_Sync = TypeVar("_Sync")


@dataclass(frozen=True)
class Threads:
    """The threads of one client. Folders are sent in some of their own, so that no question waits for a large one."""

    sending: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_SENDING, "nachet-send"))
    asking: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_ASKING, "nachet-ask"))

    async def call(self, work: Callable[_Given, _Result], /, *given: _Given.args, **named: _Given.kwargs) -> _Result:
        """Call a function that is done soon."""
        return await _call(self.asking, partial(work, *given, **named))

    async def send(self, work: Callable[_Given, _Result], /, *given: _Given.args, **named: _Given.kwargs) -> _Result:
        """Call a function that sends files."""
        return await _call(self.sending, partial(work, *given, **named))

    def close(self) -> None:
        """Begin no further call; those that run end."""
        self.sending.shutdown(wait=False)
        self.asking.shutdown(wait=False)


async def _call(executor: ThreadPoolExecutor, work: Callable[[], _Result]) -> _Result:
    return await asyncio.get_running_loop().run_in_executor(executor, copy_context().run, work)


class _Mirror(Generic[_Sync]):
    """Something of a client, for an event loop."""

    def __init__(self, sync: _Sync, threads: Threads) -> None:
        self._sync = sync
        self._threads = threads


def _in_thread(
    method: Callable[Concatenate[_Sync, _Given], _Result],
) -> Callable[Concatenate[_Mirror[_Sync], _Given], Coroutine[Any, Any, _Result]]:
    """A method's mirror, with its arguments, types and description: it does the same in a thread."""

    @wraps(method)
    async def call(mirror: _Mirror[_Sync], /, *given: _Given.args, **named: _Given.kwargs) -> _Result:
        return await mirror._threads.call(method, mirror._sync, *given, **named)

    return call


class AsyncSubmission(_Mirror[Submission]):
    """A folder that was handed over, for an event loop; every call means and raises what that of `Submission` does."""

    def __init__(self, submission: Submission, threads: Threads) -> None:
        """Follow a submission; `AsyncClient.submit` and `AsyncClient.submission` do."""
        super().__init__(submission, threads)
        self.folder = submission.folder
        self.id = submission.id
        self.partition = submission.partition
        self.digest = submission.digest
        self.staged = submission.staged

    status = _in_thread(Submission.status)
    receipt = _in_thread(Submission.receipt)
    withdraw = _in_thread(Submission.withdraw)

    async def wait(self, timeout: float = WAIT_SECONDS) -> Receipt:
        """Wait for the final receipt of what was sent, without a thread; see `Submission.wait`."""
        until = time.monotonic() + timeout
        async with aclosing(self._looks()) as following:
            async for look in following:
                if look.final and look.receipt:
                    return look.receipt
                left = until - time.monotonic()
                if left <= 0:
                    break
                await asyncio.sleep(min(look.pause, left))
        raise self._sync.late(timeout)

    async def events(self) -> AsyncIterator[SubmissionEvent]:
        """Follow what was sent, without a thread; see `Submission.events`."""
        said = None
        async with aclosing(self._looks()) as following:
            async for look in following:
                if look.known != said:
                    said = look.known
                    yield event_of(look)
                await asyncio.sleep(look.pause)

    async def _looks(self) -> AsyncGenerator[Look, None]:
        """The looks of the submission, each in a thread that is free again before the pause."""
        with self._sync.place.explaining():
            following = await self._threads.call(self._sync.looks)
            while (look := await self._threads.call(next, following, None)) is not None:
                yield look


class AsyncUsers(_Mirror[Users]):
    """`Users` for an event loop."""

    add = _in_thread(Users.add)
    notify = _in_thread(Users.notify)
    disable = _in_thread(Users.disable)
    enable = _in_thread(Users.enable)
    keys = _in_thread(Users.keys)
    show_key = _in_thread(Users.show_key)
    rotate_key = _in_thread(Users.rotate_key)
    revoke_keys = _in_thread(Users.revoke_keys)


class AsyncRegistry(_Mirror[Registry]):
    """`Registry` for an event loop."""

    search = _in_thread(Registry.search)


class AsyncModels(_Mirror[Models]):
    """`Models` for an event loop."""

    register = _in_thread(Models.register)
    versions = _in_thread(Models.versions)
    version = _in_thread(Models.version)
    classes = _in_thread(Models.classes)


class AsyncPredictions(_Mirror[Predictions]):
    """`Predictions` for an event loop."""

    record = _in_thread(Predictions.record)
    import_file = _in_thread(Predictions.import_file)
    files = _in_thread(Predictions.files)


class AsyncJudgements(_Mirror[Judgements]):
    """`Judgements` for an event loop."""

    judge = _in_thread(Judgements.judge)
    withdraw = _in_thread(Judgements.withdraw)
    import_file = _in_thread(Judgements.import_file)
    list = _in_thread(Judgements.list)


class AsyncClient(_Mirror[Client]):
    """`Client` for an event loop; every call means and raises what that of `Client` does. An async context manager.

    A call that is cancelled goes on in its thread until it is done; so a folder whose sending is cancelled is sent.
    """

    def __init__(self, client: Client) -> None:
        """Use a client; most programs begin with one of the two other ways."""
        super().__init__(client, Threads())
        self._closed = False
        self.users = AsyncUsers(client.users, self._threads)
        self.registry = AsyncRegistry(client.registry, self._threads)
        self.models = AsyncModels(client.models, self._threads)
        self.predictions = AsyncPredictions(client.predictions, self._threads)
        self.judgements = AsyncJudgements(client.judgements, self._threads)

    @classmethod
    def from_environment(cls, *, by: str = ACTOR) -> Self:
        """A client of the services that the settings name; nothing is sent, so this is no coroutine."""
        return cls(Client.from_environment(by=by))

    @classmethod
    def from_upload_key(cls, url: str) -> Self:
        """A client with nothing but an upload key; nothing is sent, so this is no coroutine."""
        return cls(Client.from_upload_key(url))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections that the client opened, once what is being sent has ended; again, it does nothing."""
        if self._closed:
            return
        self._closed = True
        await self._threads.call(self._threads.sending.shutdown)
        await self._threads.call(self._sync.close)
        self._threads.close()

    async def submit(
        self,
        folder: Folderlike,
        *,
        name: str | None = None,
        owner: str | None = None,
        replace: bool = False,
        accept_valid: bool = False,
        progress: Progress = silent,
    ) -> AsyncSubmission:
        """Hand a folder over; `progress` is called in another thread, and streams are read there.

        Four folders are sent at a time, the others wait their turn.
        """
        submission = await self._threads.send(
            self._sync.submit,
            folder,
            name=name,
            owner=owner,
            replace=replace,
            accept_valid=accept_valid,
            progress=progress,
        )
        return AsyncSubmission(submission, self._threads)

    async def submission(self, folder: str, *, owner: str | None = None) -> AsyncSubmission:
        """What is staged under a name now, for a program that was restarted."""
        return AsyncSubmission(await self._threads.call(self._sync.submission, folder, owner=owner), self._threads)

    withdraw = _in_thread(Client.withdraw)
    status = _in_thread(Client.status)
    uploads = _in_thread(Client.uploads)
    uploads_by_state = _in_thread(Client.uploads_by_state)
    receipt = _in_thread(Client.receipt)
    events = _in_thread(Client.events)
    picture_sets = _in_thread(Client.picture_sets)
    pictures = _in_thread(Client.pictures)
    trace = _in_thread(Client.trace)
    open_picture = _in_thread(Client.open_picture)
    thumbnail = _in_thread(Client.thumbnail)
