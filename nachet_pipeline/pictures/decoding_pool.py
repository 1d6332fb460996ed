"""Worker processes that decode pictures and may be killed: a crafted file ends its worker, never the import.

What decodes is imported by the workers alone.
"""

# ruff: noqa: PLC0415 (see above)

import io
import os
import resource
import sys
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Self, TypeVar

from nachet_pipeline.pictures.forensics.signatures import PICTURE_STARTS
from nachet_pipeline.pictures.inspected import Inspected, Thumbnail
from nachet_pipeline.pictures.issues import Issue
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.pictures.workers import CrashedError, TooSlowError, WorkerPool
from nachet_pipeline.support.i18n import Bilingual

if TYPE_CHECKING:
    from nachet_pipeline.settings import DecoderSettings, PictureSettings

_R = TypeVar("_R")

_BYTES_FOR_ANOTHER = 4 * 1024**2
"""A process decodes so much, some thirty photographs, in the quarter of a second that another takes to start."""

# Numbers of malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True, slots=True)
class DecodingSettings:
    """How pictures are decoded.

    Attributes:
        workers: number of processes.
        seconds: a picture that takes longer, and again in a worker of its own, is refused; the worker is replaced.
        memory_bytes: address space of a worker, without what OpenCV takes for itself (some 170 MiB).
        pictures: a worker is replaced after so many.
        limits: what no picture may exceed.
        enriched: whether pictures are measured too.
    """

    workers: int = 2
    seconds: int = 10
    memory_bytes: int = 2 * 1024**3
    pictures: int = 5000
    limits: PictureLimits = field(default_factory=PictureLimits)
    enriched: bool = True

    @classmethod
    def of(cls, decoder: "DecoderSettings", picture: "PictureSettings") -> Self:
        """What the settings say about decoding."""
        return cls(
            workers=decoder.decode_workers,
            seconds=decoder.decode_seconds,
            memory_bytes=decoder.decode_memory_mib * 1024**2,
            pictures=decoder.decode_pictures,
            limits=PictureLimits.of(picture),
        )


def _start_worker(memory_bytes: int) -> None:
    from nachet_pipeline.pictures import inspection  # noqa: F401 (while there is memory for it)
    from nachet_pipeline.pictures.decoding import load_decoders, quieten_decoders

    # A library's threads would each take their share of the address space.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", TIFFFILE_NUM_THREADS="1")
    space = memory_bytes + load_decoders()
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _keep_memory(memory_bytes // 8)
    # Messages of decoders reach users through the verdict only; libtiff writes to the terminal.
    quieten_decoders()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _keep_memory(size: int) -> None:
    """Let the C library keep so many bytes for the next picture.

    By default it returns large blocks to the system, which clears them each time: a fifth of all work.
    """
    if sys.platform == "linux":
        import ctypes

        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's, which others lack
        if mallopt:
            mallopt(_M_MMAP_THRESHOLD, 32 * 1024**2)
            mallopt(_M_TRIM_THRESHOLD, size)


def _decode_what_is_good() -> None:
    """Decode a good picture of each format, made here: every worker can do that."""
    from PIL import Image

    from nachet_pipeline.pictures.inspection import inspect_picture

    for picture_format in PICTURE_STARTS:
        stream = io.BytesIO()
        Image.linear_gradient("L").convert("RGB").save(stream, picture_format)
        seen = inspect_picture(stream.getvalue(), picture_format, PictureLimits(), enriched=True)
        if seen.properties is None:
            raise RuntimeError(f"a good {picture_format} is not decoded: {seen.issues}")


class DecodingPool:
    """A pool of worker processes. It is a context manager; processes start with the first picture and are recycled."""

    def __init__(self, settings: DecodingSettings) -> None:
        self.settings = settings
        self._pool: WorkerPool | None = None
        self._size = 0
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def begin(self, size: int = 0) -> None:
        """Start processes before the first picture: one now, and more as soon as there is enough for them to do.

        Args:
            size: bytes of pictures that will be inspected, besides those that were named before.
        """
        pool = self._started()
        with self._lock:
            self._size += size
            pool.begin(1 + self._size // _BYTES_FOR_ANOTHER)

    def inspect(self, content: bytes, picture_format: str, *, thumbnail: Thumbnail = Thumbnail.NEVER) -> "Inspection":
        """Start inspecting a picture in a worker; see `inspect_picture`."""
        future = self._started().submit(
            _inspect,
            content,
            picture_format,
            self.settings.limits,
            seconds=self.settings.seconds,
            thumbnail=thumbnail,
            enriched=self.settings.enriched,
        )
        return Inspection(future, self.settings.seconds)

    def run(
        self,
        function: Callable[..., _R],
        *arguments: Any,
        failure: Callable[[str], Exception],
        seconds: int | None = None,
    ) -> _R:
        """Call a function of a picture in a worker, and wait for what it returns.

        Args:
            function: one that a fresh process can import.
            arguments: what it is given.
            failure: the error that is raised, with a line that says why, where the picture ends its workers.
            seconds: how long it may take; as the settings say if not given.

        Raises:
            WorkersUnavailableError: no decoder can be had, which is no fault of the picture.
            Exception: `failure`, or what the function raises.
        """
        seconds = seconds or self.settings.seconds
        future = self._started().submit(function, *arguments, seconds=seconds)
        try:
            return future.result()
        except TooSlowError:
            raise failure(f"decoding takes more than {seconds} s") from None
        except CrashedError as error:
            raise failure(f"it ended its decoder with code {error.code}") from None
        except MemoryError:
            raise failure("it does not fit in a decoder's memory") from None

    def _started(self) -> WorkerPool:
        with self._lock:
            if self._pool is None:
                self._pool = WorkerPool(
                    self.settings.workers,
                    self.settings.pictures,
                    (_start_worker, (self.settings.memory_bytes,)),
                    _decode_what_is_good,
                )
            return self._pool


class Inspection:
    """The running inspection of a picture."""

    def __init__(self, future: "futures.Future[Inspected]", seconds: int) -> None:
        self._future = future
        self._seconds = seconds

    @classmethod
    def told(cls, verdict: Inspected) -> Self:
        """An inspection whose verdict is known without decoding."""
        future: futures.Future[Inspected] = futures.Future()
        future.set_result(verdict)
        return cls(future, 0)

    def then(self, call: Callable[[], None]) -> None:
        """Call a function when the verdict is there; at once if it is there already."""
        self._future.add_done_callback(lambda _: call())

    def result(self) -> Inspected:
        """Wait for the verdict. That a picture crashes its decoders is a verdict too.

        Raises:
            WorkersUnavailableError: no decoder can be had, which is no verdict.
        """
        try:
            return self._future.result()
        except TooSlowError:
            limit = Bilingual(f"at most {self._seconds} s", f"au plus {self._seconds} s")
            return _refused("picture-too-slow", limit, Bilingual("more", "davantage"))
        except CrashedError as error:
            code = Bilingual(
                f"a decoder that ended with code {error.code}", f"un décodeur arrêté avec le code {error.code}"
            )
            return _refused("picture-crashes-decoder", Bilingual("a picture that decodes", "une image décodable"), code)
        except _NoMemoryError as error:
            return error.seen
        except MemoryError:
            fits = Bilingual("a picture that fits in memory", "une image qui tient en mémoire")
            return _refused("picture-crashes-decoder", fits, Bilingual("no memory left", "plus de mémoire disponible"))


class _NoMemoryError(MemoryError):
    """A picture that does not fit in a worker's memory, with what was found before."""

    def __init__(self, seen: Inspected) -> None:
        super().__init__(seen)
        self.seen = seen


def _inspect(content: bytes, picture_format: str, limits: PictureLimits, **wanted: Any) -> Inspected:
    from nachet_pipeline.pictures.inspection import inspect_picture

    seen = inspect_picture(content, picture_format, limits, **wanted)
    if any(issue.code == "picture-crashes-decoder" for issue in seen.issues):
        raise _NoMemoryError(seen)
    return seen


def _refused(code: str, expected: Bilingual, found: Bilingual) -> Inspected:
    return Inspected(None, (Issue(code, None, expected, found),))
