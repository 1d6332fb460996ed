"""The detector behind an HTTP endpoint: a model of the AI lab that finds seeds.

It receives a JPEG, and returns the places of the seeds as fractions of the picture's width and height. Transient
failures are retried a few times. An answer that is not what was agreed raises an error; nothing is guessed.
"""

# ruff: noqa: PLC0415 (Pillow is needed only where pictures are looked at)

import base64
import http.client
import io
import json
import logging
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from nachet_pipeline.crops.detecting import Region, in_reading_order
from nachet_pipeline.errors import RefusedError, UnavailableError
from nachet_pipeline.pictures.arrays import NDArray

log = logging.getLogger(__name__)

_JPEG_QUALITY = 95
_LARGEST_ANSWER = 4 * 1024 * 1024
_MOST_SEEDS = 10_000
_MOST_CANDIDATES = 10
# Seeds may overlap, and detectors find some twice; but boxes of almost the whole picture are no seeds.
_MOST_COVERED = 16
_PART = 65_536
_TOO_MANY_REQUESTS, _FIRST_SERVER_ERROR = 429, 500
_UNAUTHORISED = {401, 403}
_LONGEST_PAUSE = 30.0


class DetectorUnavailableError(UnavailableError):
    """The endpoint cannot be reached, or refuses; the message is one line that names it, without its token."""


class DetectorAnswerError(RefusedError):
    """The endpoint's answer is not what was agreed; the message is one line that says what is wrong with it."""


class _Corners(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    left: Annotated[float, Field(alias="topX", ge=0, le=1)]
    top: Annotated[float, Field(alias="topY", ge=0, le=1)]
    right: Annotated[float, Field(alias="bottomX", ge=0, le=1)]
    bottom: Annotated[float, Field(alias="bottomY", ge=0, le=1)]

    @model_validator(mode="after")
    def _holds_something(self) -> "_Corners":
        if not (self.left < self.right and self.top < self.bottom):
            raise ValueError("its bottom corner is not below and to the right of its top corner")
        return self


def _score(value: object) -> float | None:
    """A score from 0 to 1; None for anything else, for which no picture is refused."""
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None


class _Found(BaseModel):
    model_config = ConfigDict(extra="ignore")

    box: _Corners
    score: Annotated[float | None, BeforeValidator(_score)] = None
    label: Any = None
    top: Annotated[Any, Field(alias="topResult")] = None

    def region(self) -> Region:
        """Where it is, and what the answer says of it besides."""
        said = self.top if isinstance(self.top, list) else [{"label": self.label, "score": self.score}]
        scores = {
            one["label"]: score
            for one in said
            if isinstance(one, dict) and isinstance(one.get("label"), str)
            if (score := _score(one.get("score"))) is not None
        }
        candidates = sorted(scores.items(), key=lambda one: -one[1])[:_MOST_CANDIDATES]
        box = self.box
        return Region(box.left, box.top, box.right, box.bottom, self.score, tuple(candidates))


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")

    boxes: Annotated[list[_Found], Field(max_length=_MOST_SEEDS)]


_ANSWERS: TypeAdapter[_Answer] = TypeAdapter(_Answer)


class _PassingError(Exception):
    """A transient failure; the message says what happened.

    Attributes:
        pause: seconds that the endpoint asks to wait; 0 if it does not.
    """

    def __init__(self, what: str, pause: float = 0.0) -> None:
        super().__init__(what)
        self.pause = pause


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuse redirects: a redirected request would take the token elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


@dataclass(frozen=True)
class EndpointDetector:
    """Sends pictures to an endpoint that finds seeds. Safe to use from several threads.

    Attributes:
        url: the endpoint's address.
        token: the bearer token; None if the endpoint needs none.
        version: of the model behind it, as an operator sets it; raised when the model changes.
        seconds: how long one answer may take.
        attempts: how often a picture is sent, at most.
        pause: seconds before the second attempt; doubled before each further one.
    """

    url: str
    token: SecretStr | None = field(default=None, repr=False)
    version: str = "1"
    seconds: float = 30
    attempts: int = 3
    pause: float = 1.0

    @property
    def name(self) -> str:
        """The address without scheme, credentials and query."""
        parts = urlsplit(self.url)
        return f"{parts.netloc.rpartition('@')[2]}{parts.path}"

    def detect(self, picture: "NDArray[Any]") -> tuple[Region, ...]:
        """Find the seeds; see `Detector.detect`.

        Raises:
            DetectorUnavailableError: it cannot be reached, refuses, or has no answer after all attempts.
            DetectorAnswerError: its answer is not what was agreed.
        """
        body = _question(picture)
        for attempt in range(1, self.attempts + 1):
            try:
                return self._read(self._ask(body))
            except _PassingError as error:
                if attempt == self.attempts:
                    tried = f"after {attempt} attempts" if attempt > 1 else "at the only attempt"
                    raise DetectorUnavailableError(f"The detector at {self.name}: {error}, {tried}") from None
                pause = min(_LONGEST_PAUSE, max(error.pause, self.pause * 2 ** (attempt - 1)))
                log.warning("the detector at %s: %s; asked again in %.1f s", self.name, error, pause)
                time.sleep(pause)
        raise ValueError("a detector is asked once at least")

    def _ask(self, body: bytes) -> bytes:
        request = urllib.request.Request(  # noqa: S310 (the settings admit http and https only)
            self.url, data=body, headers={"Content-Type": "application/json", "Accept": "application/json"}
        )
        if self.token is not None:
            # Never sent to another host, should urllib ever follow a redirect.
            request.add_unredirected_header("Authorization", f"Bearer {self.token.get_secret_value()}")
        until = time.monotonic() + self.seconds
        try:
            with _OPENER.open(request, timeout=self.seconds) as answer:
                return self._whole(answer, until)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error) from None
        except TimeoutError:
            raise _PassingError(f"no answer within {self.seconds:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, TimeoutError):
                raise _PassingError(f"no answer within {self.seconds:g} s") from None
            raise _PassingError(f"{type(reason).__name__}: {reason}"[:200]) from None

    def _whole(self, answer: Any, until: float) -> bytes:
        """Read the answer; one that trickles in is given up like one that does not come."""
        parts, size = [], 0
        while part := answer.read1(_PART):
            parts.append(part)
            size += len(part)
            if size > _LARGEST_ANSWER:
                raise DetectorAnswerError(
                    f"The detector at {self.name}: its answer has more than {_LARGEST_ANSWER} bytes"
                )
            if time.monotonic() > until:
                raise _PassingError(f"no answer within {self.seconds:g} s")
        return b"".join(parts)

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        code = error.code
        if code == _TOO_MANY_REQUESTS or code >= _FIRST_SERVER_ERROR:
            return _PassingError(f"it answers {code}", _seconds(error.headers.get("Retry-After")))
        if code in _UNAUTHORISED:
            return DetectorUnavailableError(
                f"The detector at {self.name} answers {code}: it does not accept the token; correct"
                " NACHET_DETECTOR_TOKEN"
            )
        return DetectorUnavailableError(f"The detector at {self.name} answers {code}; check NACHET_DETECTOR")

    def _read(self, content: bytes) -> tuple[Region, ...]:
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            raise DetectorAnswerError(f"The detector at {self.name}: its answer is not JSON") from None
        # Some deployments answer with a list that has one member for each picture sent.
        if isinstance(answer, list) and len(answer) == 1:
            answer = answer[0]
        try:
            found = _ANSWERS.validate_python(answer).boxes
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the answer"
            raise DetectorAnswerError(
                f"The detector at {self.name}: its answer is not what was agreed: {where}: {first['msg']}"
            ) from None
        regions = in_reading_order([one.region() for one in found])
        covered = sum((one.right - one.left) * (one.bottom - one.top) for one in regions)
        if covered > _MOST_COVERED:
            raise DetectorAnswerError(
                f"The detector at {self.name}: its answer is not what was agreed: its {len(regions)} boxes cover the"
                f" picture {covered:.0f} times, expected {_MOST_COVERED} times at most"
            )
        return regions


def _question(picture: "NDArray[Any]") -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=_JPEG_QUALITY)
    image = base64.b64encode(stream.getvalue()).decode("ascii")
    return json.dumps({"input_data": {"columns": ["image"], "index": [0], "data": [image]}}).encode()


def _seconds(retry_after: str | None) -> float:
    """The seconds of a Retry-After header, 0 if it is not a number."""
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:
        return 0.0
