"""Tasks as COCO, and COCO as judgements: the format has one layer of boxes, so that a file is what one person says."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.models.findings import Findings, LineFinding
from nachet_pipeline.models.judgements.judgement import Box, Stated, box_of
from nachet_pipeline.models.judgements.reading import Otherwise
from nachet_pipeline.models.judgements.tasks import SPECIAL, WHOLE, Drawn, Task, compared, objects_of
from nachet_pipeline.support.batches import batched
from nachet_pipeline.support.i18n import Bilingual

_BATCH = 500


def is_coco(document: Any) -> bool:
    """Whether a document is COCO."""
    return isinstance(document, dict) and {"images", "annotations", "categories"} <= document.keys()


def exported(tasks: Iterable[Task], taxa: Sequence[str]) -> dict[str, Any]:
    """The tasks: an image for each, with the predicted boxes as annotations; a whole picture has one around it."""
    names = dict.fromkeys((*SPECIAL, *taxa))
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, task in enumerate(tasks, 1):
        images.append(
            {
                "id": number,
                "file_name": f"{task.container}/{task.blob}",
                "width": task.width,
                "height": task.height,
                "sha256": task.sha256.hex(),
                "prediction": str(task.prediction),
            }
        )
        for one in task.objects:
            left, top, right, bottom = one.box or WHOLE
            wide, high = (right - left) * task.width, (bottom - top) * task.height
            names.setdefault(one.label)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": list(names).index(one.label) + 1,
                    "bbox": [left * task.width, top * task.height, wide, high],
                    "area": wide * high,
                    "iscrowd": 0,
                    "score": one.score,
                    "object": one.number,
                }
            )
    categories = [{"id": place, "name": name} for place, name in enumerate(names, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def read(
    connection: Connection, document: Mapping[str, Any], otherwise: Otherwise, findings: Findings
) -> Iterator[Stated]:
    """The judgements of a COCO file; those with errors are left out, and reported.

    Every image of the file was judged; whoever did not look at one takes it out.
    """
    if otherwise.person is None or otherwise.at is None:
        expected = Bilingual("who judged, and when: --person and --at", "la personne et le moment : --person et --at")
        findings.add([LineFinding("missing-key", 0, "", expected, Bilingual("nothing", "rien"))])
        return
    names = {one["id"]: str(one["name"]) for one in document["categories"]}
    of_image: dict[Any, list[Mapping[str, Any]]] = {}
    for one in document["annotations"]:
        of_image.setdefault(one["image_id"], []).append(one)
    for batch in batched(enumerate(document["images"], 1), _BATCH):
        identified = [(line, image, _prediction(image, line, findings)) for line, image in batch]
        objects = objects_of(connection, [one for _, _, one in identified if one])
        for line, image, prediction in identified:
            if prediction is None:
                continue
            drawn = [
                Drawn(box, names.get(one["category_id"], ""), one.get("object"))
                for one in of_image.get(image["id"], ())
                if (box := _box(one["bbox"], image, line, findings))
            ]
            yield from compared(
                objects.get(prediction, ()),
                drawn,
                prediction=prediction,
                person=otherwise.person,
                at=otherwise.at,
                line=line,
            )


def _prediction(image: Mapping[str, Any], line: int, findings: Findings) -> UUID | None:
    try:
        return UUID(str(image["prediction"]))
    except (KeyError, ValueError):
        expected = Bilingual("the prediction that the image had", "la prédiction que l'image avait")
        findings.add([LineFinding("no-task", line, "images.prediction", expected, Bilingual("none", "aucune"))])
        return None


def _box(given: Sequence[float], image: Mapping[str, Any], line: int, findings: Findings) -> Box | None:
    left, top, wide, high = given
    sides = left / image["width"], top / image["height"], (left + wide) / image["width"], (top + high) / image["height"]
    try:
        return box_of(*(min(max(side, 0.0), 1.0) for side in sides))
    except ValueError:
        expected = Bilingual("a box within the picture", "un rectangle dans l'image")
        findings.add([LineFinding("wrong-value", line, "bbox", expected, str(given))])
        return None
