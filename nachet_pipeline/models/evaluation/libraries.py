"""What is asked of scikit-learn and pycocotools, with types: the two have none.

Both are imported when they are used: scikit-learn takes a second.
"""

# ruff: noqa: PLC0415

import importlib.util
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
_LEAST_DETECTIONS = 100


def confusion(truth: NDArray[np.int64], said: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """How often each class (row) was called which (column)."""
    from sklearn.metrics import confusion_matrix  # type: ignore[import-untyped]

    if not len(truth):
        return np.zeros((classes, classes), np.int64)
    return np.asarray(confusion_matrix(truth, said, labels=np.arange(classes)), np.int64)


def class_scores(truth: NDArray[np.int64], said: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Precision, recall and F1, a row each, of every class; not a number where nothing was said or there is nothing."""
    from sklearn.metrics import precision_recall_fscore_support

    if not len(truth):
        return np.full((3, classes), np.nan)
    found = precision_recall_fscore_support(truth, said, labels=np.arange(classes), zero_division=np.nan)
    return np.asarray(found[:3], np.float64)


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes in pictures, as arrays of one length.

    Attributes:
        picture: the number of the picture that each is in.
        box: (n, 4) left, top, right, bottom, as fractions of the picture's width and height.
        category: what is in it.
        score: how sure the detector is; of true boxes, anything.
    """

    picture: NDArray[np.int64]
    box: NDArray[np.float64]
    category: NDArray[np.int64]
    score: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CategoryMatches:
    """Which detections of a category match a true box, the most certain first.

    Attributes:
        picture: of each detection.
        hit: (10, n) by the thresholds of IoU.
        truths: number of true boxes by picture.
        found: how many of those are matched at an IoU of 0.5, by picture.
    """

    picture: NDArray[np.int64]
    hit: NDArray[np.bool_]
    truths: NDArray[np.int64]
    found: NDArray[np.int64]


def coco_evaluation(
    truth: Boxes, detected: Boxes, pictures: int, categories: int
) -> tuple[NDArray[np.float64], list[CategoryMatches]]:
    """Match detections with true boxes as the COCO challenge does, and average the precision.

    COCO counts the 100 most certain detections of a picture. Where a picture shows more seeds, so many are counted.

    Returns:
        The average precision by IoU threshold and category, not a number where nothing is true; and the matches.
    """
    coco = _quiet("coco").COCO()
    coco.dataset = {
        "images": [{"id": number} for number in range(pictures)],
        "categories": [{"id": number} for number in range(categories)],
        "annotations": _annotations(truth),
    }
    coco.createIndex()
    results = _quiet("coco").COCO()
    results.dataset = {**coco.dataset, "annotations": _annotations(detected)}
    results.createIndex()
    evaluated = _quiet("cocoeval").COCOeval(coco, results, "bbox")
    most = int(np.bincount(truth.picture, minlength=1).max())
    evaluated.params.maxDets = [max(_LEAST_DETECTIONS, most)]
    evaluated.params.areaRng, evaluated.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluated.params.iouThrs = IOU_THRESHOLDS
    evaluated.evaluate()
    evaluated.accumulate()
    precision = evaluated.eval["precision"][:, :, :, 0, 0]
    average = np.where((precision > -1).any(axis=1), precision.mean(axis=1), np.nan)
    images = evaluated.evalImgs
    return average, [_matches(images[at * pictures : (at + 1) * pictures], pictures) for at in range(categories)]


def _annotations(boxes: Boxes) -> list[dict[str, Any]]:
    sizes = boxes.box[:, 2:] - boxes.box[:, :2]
    # Identifiers begin with 1: a match with the identifier 0 is none to pycocotools.
    return [
        {
            "id": number,
            "image_id": picture,
            "category_id": category,
            "bbox": [left, top, width, height],
            "area": width * height,
            "iscrowd": 0,
            "score": score,
        }
        for number, picture, category, (left, top, _, _), (width, height), score in zip(
            range(1, len(sizes) + 1),
            boxes.picture.tolist(),
            boxes.category.tolist(),
            boxes.box.tolist(),
            sizes.tolist(),
            boxes.score.tolist(),
            strict=True,
        )
    ]


def _matches(images: list[dict[str, Any] | None], pictures: int) -> CategoryMatches:
    """The matches of one category, from what pycocotools found picture by picture."""
    truths, found = np.zeros(pictures, np.int64), np.zeros(pictures, np.int64)
    picture, scores, hits = [np.zeros(0, np.int64)], [np.zeros(0)], [np.zeros((len(IOU_THRESHOLDS), 0), np.bool_)]
    for number, image in enumerate(images):
        if image is not None:
            truths[number] = len(image["gtIds"])
            found[number] = (image["gtMatches"][0] > 0).sum()
            picture.append(np.full(len(image["dtScores"]), number, np.int64))
            scores.append(np.asarray(image["dtScores"], np.float64))
            hits.append(np.asarray(image["dtMatches"]) > 0)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return CategoryMatches(np.concatenate(picture)[order], np.concatenate(hits, axis=1)[:, order], truths, found)


@cache
def _quiet(name: str) -> ModuleType:
    """A module of pycocotools of our own, in which `print` does nothing: it reports to the console what it does.

    To turn the console off meanwhile would concern all threads.
    """
    spec = importlib.util.find_spec(f"pycocotools.{name}")
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"pycocotools has no module {name}")
    module = importlib.util.module_from_spec(spec)
    module.__dict__["print"] = lambda *_said, **_how: None
    spec.loader.exec_module(module)
    return module
