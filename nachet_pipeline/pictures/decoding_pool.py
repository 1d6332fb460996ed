"""Worker processes that decode pictures and may be killed: a crafted file ends its worker, never the import."""

import multiprocessing
import resource
import warnings
from concurrent import futures
from dataclasses import dataclass, field
from threading import Lock
from types import TracebackType
from typing import Self

from pebble import ProcessExpired, ProcessPool
from PIL import Image

from nachet_pipeline.pictures.inspection import Fault, Limits, Properties, inspect_picture

_PICTURES_PER_WORKER = 500


@dataclass(frozen=True, slots=True)
class DecodingSettings:
    """How pictures are decoded.

    Attributes:
        workers: number of processes.
        seconds: a picture that takes longer is refused and its worker replaced.
        memory_bytes: address space of a worker.
        limits: the largest picture that is decoded.
    """

    workers: int = 2
    seconds: int = 10
    memory_bytes: int = 2 * 1024**3
    limits: Limits = field(default_factory=Limits)


def _start_worker(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The limits are ours and checked before decoding; Pillow's own would refuse at another size.
    Image.MAX_IMAGE_PIXELS = None
    warnings.simplefilter("ignore")  # what a decoder mutters about a file is nobody's business but the verdict's


class DecodingPool:
    """A context manager; processes start with the first picture and are recycled now and then."""

    def __init__(self, settings: DecodingSettings) -> None:
        self.settings = settings
        self._pool: ProcessPool | None = None
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()
            self._pool = None

    def inspect(self, content: bytes, picture_format: str, *, thumbnail: bool = False) -> "Inspection":
        """Start looking at a picture in a worker; see `inspect_picture`."""
        future = self._started().schedule(
            inspect_picture,
            args=(content, picture_format, self.settings.limits),
            kwargs={"thumbnail": thumbnail},
            timeout=self.settings.seconds,
        )
        return Inspection(future, self.settings.seconds)

    def _started(self) -> ProcessPool:
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPool(
                    max_workers=self.settings.workers,
                    max_tasks=_PICTURES_PER_WORKER,
                    initializer=_start_worker,
                    initargs=(self.settings.memory_bytes,),
                    context=multiprocessing.get_context("spawn"),
                )
            return self._pool


class Inspection:
    """A picture being looked at."""

    def __init__(self, future: "futures.Future[Properties | Fault]", seconds: int) -> None:
        self._future = future
        self._seconds = seconds

    def result(self) -> Properties | Fault:
        """Wait for the verdict; a worker that died or was killed is one too."""
        try:
            return self._future.result()
        except futures.TimeoutError:
            return Fault("picture-too-slow", f"at most {self._seconds} s", "more")
        except ProcessExpired as error:
            return Fault("picture-crashes-decoder", "a picture that decodes", f"exit code {error.exitcode}")
        except MemoryError:
            return Fault("picture-crashes-decoder", "a picture that fits in memory", "no memory left")
