"""The detector behind an endpoint, asked over real HTTP."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from nachet_pipeline.crops.detecting import Region
from nachet_pipeline.crops.endpoint import DetectorAnswerError, DetectorUnavailableError, EndpointDetector
from nachet_pipeline_tests.crops.endpoints import TOKEN, Endpoint, box, endpoint

PICTURE = np.full((48, 64, 3), (230, 120, 40), dtype=np.uint8)


@pytest.fixture
def server() -> Iterator[Endpoint]:
    with endpoint() as found:
        yield found


def asking(server: Endpoint, **changes: Any) -> EndpointDetector:
    return EndpointDetector(server.url, SecretStr(TOKEN), pause=0.0, **changes)


def test_the_endpoint_sees_the_picture_and_its_boxes_are_the_seeds(server: Endpoint) -> None:
    server.answers = [(200, {"boxes": [box(0.5, 0.5, 1, 1), box(0, 0, 0.25, 0.5)], "totalBoxes": 2})]

    found = asking(server).detect(PICTURE)

    assert found == (Region(0, 0, 0.25, 0.5), Region(0.5, 0.5, 1, 1))
    (seen,) = server.asked
    assert seen.shape == PICTURE.shape
    assert np.abs(seen.astype(int) - PICTURE).max() < 8
    assert server.authorizations == [f"Bearer {TOKEN}"]


def test_an_answer_in_a_list_and_one_without_seeds_are_read_too(server: Endpoint) -> None:
    server.answers = [(200, [{"boxes": [box(0, 0, 1, 1)]}]), (200, {"boxes": []})]

    assert asking(server).detect(PICTURE) == (Region(0, 0, 1, 1),)
    assert asking(server).detect(PICTURE) == ()


@pytest.mark.parametrize(
    ("said", "score", "candidates"),
    [
        ({"label": "seed", "score": 0.9}, 0.9, (("seed", 0.9),)),
        (
            {"score": 0.5, "topResult": [{"label": "a", "score": 0.2}, {"label": "b", "score": 0.7}]},
            0.5,
            (("b", 0.7), ("a", 0.2)),
        ),
        ({"score": "high", "topResult": [{"label": 1, "score": 0.2}, {"label": "b", "score": 7}, None]}, None, ()),
        ({"label": None, "score": None}, None, ()),
    ],
)
def test_what_an_answer_says_of_a_seed_besides_is_kept_and_never_refused(
    server: Endpoint, said: dict[str, Any], score: float | None, candidates: tuple[tuple[str, float], ...]
) -> None:
    server.answers = [(200, {"boxes": [{"box": box(0, 0, 1, 1)["box"], **said}]})]
    (region,) = asking(server).detect(PICTURE)
    assert (region.score, region.candidates) == (score, candidates)


def test_an_endpoint_without_token_is_asked_without_one(server: Endpoint) -> None:
    EndpointDetector(server.url).detect(PICTURE)

    assert server.authorizations == [None]


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_what_passes_is_tried_again(server: Endpoint, status: int) -> None:
    server.answers = [(status, b"later"), (200, {"boxes": [box(0, 0, 1, 1)]})]

    assert len(asking(server).detect(PICTURE)) == 1
    assert len(server.asked) == 2


def test_what_does_not_pass_is_told_after_the_last_attempt(server: Endpoint) -> None:
    server.answers = [(503, b"never")]

    with pytest.raises(DetectorUnavailableError, match=r"^The detector at 127.*it answers 503, after 3 attempts$"):
        asking(server).detect(PICTURE)
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_token_is_told_at_once_and_never_shown(server: Endpoint, status: int, caplog) -> None:
    server.answers = [(status, f"no such token: {TOKEN}".encode())]
    detector = asking(server)

    with caplog.at_level(logging.DEBUG), pytest.raises(DetectorUnavailableError, match="NACHET_DETECTOR_TOKEN") as told:
        detector.detect(PICTURE)

    assert len(server.asked) == 1
    for text in (str(told.value), repr(told.value), repr(detector), caplog.text):
        assert TOKEN not in text


def test_a_token_is_not_taken_to_where_a_redirect_says(server: Endpoint) -> None:
    server.answers, server.headers = [(302, b"")], {"Location": server.url.replace("score", "elsewhere")}

    with pytest.raises(DetectorUnavailableError, match="answers 302; check NACHET_DETECTOR"):
        asking(server).detect(PICTURE)
    assert len(server.authorizations) == 1


def test_an_endpoint_that_does_not_answer_in_time_is_given_up(server: Endpoint) -> None:
    server.slow = threading.Event()

    with pytest.raises(DetectorUnavailableError, match=r"no answer within 0\.2 s, at the only attempt"):
        asking(server, seconds=0.2, attempts=1).detect(PICTURE)


def test_an_endpoint_that_is_not_there_is_told_by_its_name() -> None:
    with endpoint() as gone:
        url = gone.url

    with pytest.raises(DetectorUnavailableError, match=r"^The detector at 127\.0\.0\.1:\d+/score: .*after 2 attempts"):
        EndpointDetector(url, attempts=2, pause=0).detect(PICTURE)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"<html>no</html>", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        ({"error": "model not loaded"}, "boxes: Field required"),
        ([{"boxes": []}, {"boxes": []}], "valid dictionary"),
        ({"boxes": [{"box": {"topX": 0, "topY": 0, "bottomX": 1}}]}, "bottomY: Field required"),
        ({"boxes": [box(0, 0, 1.5, 1)]}, r"boxes\.0\.box\.bottomX: .*less than or equal to 1"),
        ({"boxes": [box(0, 0, 640, 480)]}, "less than or equal to 1"),
        ({"boxes": [box(-0.1, 0, 1, 1)]}, "greater than or equal to 0"),
        ({"boxes": [box(0.6, 0, 0.4, 1)]}, "not below and to the right"),
        ({"boxes": [box(0, 0, float("nan"), 1)]}, "finite number"),
        ({"boxes": [box(0, 0, 1, 1)] * 10_001}, "at most 10000 items"),
        (b" " * (4 * 1024 * 1024 + 1), "more than 4194304 bytes"),
    ],
    ids=[
        "page",
        "bytes",
        "deep",
        "error",
        "two answers",
        "no corner",
        "beyond",
        "pixels",
        "before",
        "inside out",
        "no number",
        "too many",
        "too long",
    ],
)
def test_an_answer_that_was_not_agreed_is_refused_with_what_is_wrong(server: Endpoint, answer: Any, said: str) -> None:
    server.answers = [(200, answer)]

    with pytest.raises(DetectorAnswerError, match=said) as told:
        asking(server).detect(PICTURE)

    assert str(told.value).startswith("The detector at 127.0.0.1:")
    assert "\n" not in str(told.value)
    assert len(server.asked) == 1


def test_the_name_tells_the_place_and_not_the_query() -> None:
    assert EndpointDetector("https://seeds.example.org/score?key=abc").name == "seeds.example.org/score"
