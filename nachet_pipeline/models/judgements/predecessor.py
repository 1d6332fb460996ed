"""The predecessor's feedback as judgements: what was right, named otherwise, moved, deleted or added.

Feedback names boxes of an inference by their identifiers. What the boxes were, and of which picture, is in the result
of that inference, which is read beside it: `picture` or `sha256` in either says which stored picture it is. All that a
box states is kept in the facts of its judgement.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.crops.detecting import overlap
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch_value
from nachet_pipeline.models.findings import Findings, LineFinding
from nachet_pipeline.models.judgements.judgement import Box, Stated, Verdict, box_of
from nachet_pipeline.models.judgements.reading import Otherwise
from nachet_pipeline.models.judgements.recording import TaxonNames
from nachet_pipeline.models.judgements.tasks import TaskObject, newest_prediction, objects_of, picture_size
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.support.i18n import Bilingual

_INDEX = re.compile(r"^\d+\s+")
_SAME_BOX = 0.9
_NOTHING = Bilingual("nothing", "rien")


def is_feedback(document: Any) -> bool:
    """Whether a document is the predecessor's feedback, or a list of such."""
    first = document[0] if isinstance(document, list) and document else document
    return isinstance(first, dict) and "boxes" in first and bool(_first(first, "inferenceId", "inference_id"))


def read(
    connection: Connection,
    document: Any,
    otherwise: Otherwise,
    findings: Findings,
    *,
    inferences: Iterable[Mapping[str, Any]] = (),
) -> Iterator[Stated]:
    """The judgements of the predecessor's feedback; those with errors are left out, and reported.

    Args:
        connection: to the database.
        document: feedback, or a list of such.
        otherwise: who judged, and when, as feedback says no time.
        findings: what is wrong; a line is the place of the feedback in the list.
        inferences: the results of the inferences that it is about.
    """
    results = {str(_first(one, "inference_id", "inferenceId")): one for one in inferences}
    taxa = TaxonNames(registered_seeds(connection))
    for line, feedback in enumerate(document if isinstance(document, list) else [document], 1):
        result = results.get(str(_first(feedback, "inferenceId", "inference_id")), {})
        about = _About.of(connection, feedback, result, otherwise, line, findings)
        if about:
            for box in feedback["boxes"]:
                if stated := about.said(box, taxa):
                    yield stated


def _first(record: Mapping[str, Any], *names: str) -> Any:
    return next((record[name] for name in names if record.get(name)), None)


class _About:
    """What a feedback is about: a picture, the boxes that were found in it, and who says what."""

    def __init__(
        self,
        feedback: Mapping[str, Any],
        result: Mapping[str, Any],
        sizes: tuple[bytes, int, int],
        said: tuple[str, Any],
        findings: tuple[int, Findings],
    ) -> None:
        self._feedback = feedback
        self._sha256, self._width, self._height = sizes
        self._person, self._at = said
        self._line, self._findings = findings
        self._boxes = {str(_first(one, "box_id", "boxId")): one for one in result.get("boxes", ())}
        self._prediction: UUID | None = None
        self._objects: list[TaskObject] = []

    @classmethod
    def of(
        cls,
        connection: Connection,
        feedback: Mapping[str, Any],
        result: Mapping[str, Any],
        otherwise: Otherwise,
        line: int,
        findings: Findings,
    ) -> "_About | None":
        """What a feedback is about; None, with findings, if that is not known."""
        named = _first(feedback, "picture", "pictureId", "picture_id") or _first(
            result, "picture", "pictureId", "picture_id"
        )
        content = _first(feedback, "sha256") or _first(result, "sha256")
        try:
            picture, sha256 = UUID(str(named)) if named else None, bytes.fromhex(content) if content else None
        except ValueError:
            picture = sha256 = None
        person = _person(connection, _first(feedback, "userId", "user_id")) or otherwise.person
        lacks = {
            "picture": (picture or sha256, Bilingual("a stored picture, or its sha256", "une image, ou son sha256")),
            "userId": (person, Bilingual("who judged, or --person", "la personne, ou --person")),
            "at": (otherwise.at, Bilingual("when, by --at", "le moment, par --at")),
        }
        missing = {name: expected for name, (value, expected) in lacks.items() if not value}
        findings.add(LineFinding("missing-key", line, name, said, _NOTHING) for name, said in missing.items())
        if missing:
            return None
        sizes = picture_size(connection, picture, sha256)
        if sizes is None:
            stored = Bilingual("one that is stored", "ce qui est conservé")
            found = str(picture or content)
            findings.add([LineFinding("unknown-picture", line, "picture", stored, found, Severity.WARNING)])
            return None
        about = cls(feedback, result, sizes, (str(person), otherwise.at), (line, findings))
        about._find_prediction(connection)
        return about

    def _find_prediction(self, connection: Connection) -> None:
        """The prediction that the inference was recorded as: the newest of the picture, if it has all its boxes."""
        newest = newest_prediction(connection, self._sha256)
        objects = objects_of(connection, [newest])[newest] if newest else []
        boxes = [self._box(one.get("box")) for one in self._boxes.values()]
        if boxes and all(box and _object_at(objects, box) for box in boxes):
            self._prediction, self._objects = newest, objects

    def said(self, given: Mapping[str, Any], taxa: TaxonNames) -> Stated | None:
        """What is said of a box."""
        key = str(_first(given, "boxId", "box_id") or "")
        before = self._boxes.get(key, {})
        predicted = self._box(before.get("box"))
        drawn = self._box(given.get("box"))
        label = _INDEX.sub("", str(given.get("label") or "")).strip()
        label = label or str(given.get("classId") or "").strip()
        facts = {
            "inference": _first(self._feedback, "inferenceId", "inference_id"),
            "user": _first(self._feedback, "userId", "user_id"),
            "box": dict(given),
            "predicted": dict(before),
        }
        if key and not (predicted or drawn):
            expected = Bilingual(
                "a box of the inference's result, given by --inferences",
                "un rectangle du résultat de l'inférence, donné par --inferences",
            )
            self._findings.add([LineFinding("unknown-box", self._line, "boxId", expected, key)])
            return None
        verdict, taxon = self._verdict(key, given, before, label, taxa)
        moved = drawn if predicted and drawn and not _same(predicted, drawn) else None
        if verdict is Verdict.MISSED:
            moved, predicted = drawn, None
        elif verdict is Verdict.RIGHT and moved:
            verdict = Verdict.BOX
        return self._stated(verdict, predicted or drawn, moved, taxon, given.get("comment"), facts)

    def _verdict(
        self, key: str, given: Mapping[str, Any], before: Mapping[str, Any], label: str, taxa: TaxonNames
    ) -> tuple[Verdict, str | None]:
        """What is said, and which taxon is named."""
        was = _INDEX.sub("", str(before.get("label") or "")).strip()
        if not key:
            return Verdict.MISSED, label if taxa.find(label) else None
        if "label" not in given and "classId" not in given:
            return Verdict.RIGHT, was or None
        if not label:
            return Verdict.NOT_A_SEED, None
        found, earlier = taxa.find(label), taxa.find(was) if was else None
        if found is None:
            # Nobody but the registry makes taxa: what it was called is in the facts.
            return Verdict.WRONG, was if earlier else None
        if earlier and earlier.id == found.id:
            return Verdict.RIGHT, label
        return Verdict.TAXON, label

    def _stated(
        self,
        verdict: Verdict,
        box: Box | None,
        corrected: Box | None,
        taxon: str | None,
        note: Any,
        facts: Mapping[str, Any],
    ) -> Stated:
        at = _object_at(self._objects, box) if box and verdict is not Verdict.MISSED else None
        known = self._prediction if at or (verdict is Verdict.MISSED and self._prediction) else None
        return Stated(
            self._person,
            verdict,
            self._at,
            prediction=known,
            object=at,
            sha256=None if known else self._sha256,
            box=None if known or verdict is Verdict.MISSED else box,
            taxon=taxon,
            corrected_box=corrected,
            note=str(note) if note else None,
            facts=facts,
            line=self._line,
        )

    def _box(self, given: Any) -> Box | None:
        """A box of the predecessor's, in pixels of the picture or in fractions."""
        if not given:
            return None
        sides = [float(given[name]) for name in ("topX", "topY", "bottomX", "bottomY")]
        if max(sides) > 1:
            sides = [side / size for side, size in zip(sides, (self._width, self._height) * 2, strict=True)]
        try:
            return box_of(*(min(max(side, 0), 1) for side in sides))
        except ValueError:
            expected = Bilingual("a box within the picture", "un rectangle dans l'image")
            self._findings.add([LineFinding("wrong-value", self._line, "box", expected, str(given))])
            return None


def _object_at(objects: Iterable[TaskObject], box: Box) -> int | None:
    """The object whose box this is."""
    return next((one.number for one in objects if one.box and overlap(one.box, box) >= _SAME_BOX), None)


def _same(one: Box, other: Box) -> bool:
    return max(abs(here - there) for here, there in zip(one, other, strict=True)) < 1e-6  # noqa: PLR2004 (rounding)


def _person(connection: Connection, user: Any) -> str | None:
    """The address of a user whom an identifier names; what is none of ours stays as it is."""
    if not user:
        return None
    try:
        email = fetch_value(connection, "select email from users where id = %s", (UUID(str(user)),))
    except ValueError:
        email = None
    return str(email or user)
