"""Answers as rows of the table `prediction`: their identifiers, and the text that COPY reads."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nachet_pipeline.models.predictions.checking import Answers, Lists

_NULL = "\\N"


def identify(answers: Answers, version: UUID, contents: Sequence[bytes | None]) -> list[UUID | None]:
    """The identifier of each answer: its version, its content and what it says make it the same, not when it was said.

    Args:
        answers: what was said.
        version: by which version.
        contents: of what; None where nobody knows.
    """
    columns = (
        (answers.boxes, "<f4"),
        (answers.box_scores, "<f4"),
        (answers.candidate_object, "<i2"),
        (answers.candidate_class, "<i4"),
        (answers.candidate_score, "<f4"),
        (answers.probabilities, "<f4"),
        (answers.embedding, "<f4"),
    )
    # How long each list is comes first: no two answers read alike.
    lengths = np.stack([answers.objects, *(lists.counts for lists, _ in columns)], axis=1).astype("<i4")
    head, width = lengths.tobytes(), lengths.shape[1] * 4
    packed = [
        (lists.values.astype(kind).tobytes(), (lists.begin * np.dtype(kind).itemsize).tolist())
        for lists, kind in columns
    ]
    found: list[UUID | None] = []
    for row, content in enumerate(contents):
        if content is None:
            found.append(None)
            continue
        digest = hashlib.sha256(version.bytes + content + head[row * width : (row + 1) * width])
        for values, begin in packed:
            digest.update(values[begin[row] : begin[row + 1]])
        found.append(UUID(bytes=digest.digest()[:16]))
    return found


def copy_text(
    answers: Answers,
    version: UUID,
    file: UUID | None,
    contents: Sequence[bytes | None],
    identifiers: Sequence[UUID | None],
    now: datetime,
) -> bytes:
    """The answers as `copy_incoming` sends them, without those of contents that nobody knows.

    Args:
        answers: what was said.
        version: by which version.
        file: in which file; None: in none.
        contents: as for `identify`.
        identifiers: of the answers.
        now: when those were made that do not say it.
    """
    known = pa.array([content is not None for content in contents])
    at = answers.at.fill_null(now)
    columns = [
        pa.array([str(one) for one in identifiers]),
        pa.array([f"\\\\x{content.hex()}" if content else "" for content in contents]),
        pa.array([str(one) if one else _NULL for one in answers.picture]),
        at.cast(pa.string()),
        pa.array(answers.objects).cast(pa.string()),
        _arrays(answers.boxes),
        _arrays(answers.box_scores),
        _arrays(answers.candidate_object),
        _arrays(answers.candidate_class),
        _arrays(answers.candidate_score),
        _arrays(answers.probabilities, empty=_NULL),
        _arrays(answers.embedding, empty=_NULL),
        pa.array([f"{version}\t{file or _NULL}"] * len(contents)),
    ]
    lines = pc.binary_join_element_wise(*columns, "\t").filter(known)
    return b"".join(f"{line}\n".encode() for line in lines.to_pylist())


def _arrays(lists: Lists, empty: str = "{}") -> pa.Array:
    """Lists of numbers as PostgreSQL writes arrays."""
    texts = pa.array(lists.values).cast(pa.string())
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(lists.begin, pa.int32()), texts), ",")
    filled = pc.binary_join_element_wise("{", joined, "}", "")
    return pc.if_else(pa.array(lists.counts > 0), filled, empty)


def contents_of(answers: Answers, of_pictures: Mapping[UUID, bytes]) -> list[bytes | None]:
    """The content of each answer: the one that it names, or that of the picture that it names."""
    return [
        content if picture is None else of_pictures.get(picture)
        for content, picture in zip(answers.sha256, answers.picture, strict=True)
    ]
