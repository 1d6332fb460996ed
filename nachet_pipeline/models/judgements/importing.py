"""Importing files of judgements, of our own formats and of other tools."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, get_args

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.errors import UsageError
from nachet_pipeline.models.findings import Findings, LineFinding
from nachet_pipeline.models.judgements import coco, label_studio, predecessor
from nachet_pipeline.models.judgements.judgement import Stated
from nachet_pipeline.models.judgements.policy import Policy
from nachet_pipeline.models.judgements.reading import Otherwise, document_of, read_lines, read_table
from nachet_pipeline.models.judgements.recording import Recorded, record_judgements
from nachet_pipeline.support.i18n import Bilingual

Format = Literal["jsonl", "csv", "label-studio", "coco", "feedback"]
"""JSON Lines or a table of our own; what other tools give back; the predecessor's feedback."""

FORMATS: tuple[Format, ...] = get_args(Format)
_SUFFIXES: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}


def import_judgements(
    connection: Connection,
    path: Path,
    *,
    by: str,
    policy: Policy,
    otherwise: Otherwise | None = None,
    file_format: Format | None = None,
    inferences: Sequence[Path] = (),
) -> Recorded:
    """Record the judgements of a file: all of them, or none if something is wrong with one.

    Args:
        connection: in whose transaction it is done.
        path: the file.
        by: whom the audit trail names; who judged is stated in the file.
        policy: how many must say the same for it to count.
        otherwise: who judged, and when, where the file does not say it.
        file_format: of the file; None: what its name and content say.
        inferences: results of the predecessor's inferences that feedback is about.

    Raises:
        JudgementsRefusedError: something is wrong with one of them.
        UsageError: the file cannot be read, or is of no format that is known.
    """
    found, given = Findings(), otherwise or Otherwise()
    with ExitStack() as stack:
        try:
            stated = _stated(connection, path, file_format, given, inferences, found, stack)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
        return record_judgements(connection, stated, by=by, source=path.name, policy=policy, findings=found)


def _stated(
    connection: Connection,
    path: Path,
    file_format: Format | None,
    otherwise: Otherwise,
    inferences: Sequence[Path],
    findings: Findings,
    stack: ExitStack,
) -> Iterator[Stated]:
    kind = file_format or _SUFFIXES.get(path.suffix.lower())
    if kind == "jsonl":
        return read_lines(stack.enter_context(path.open("rb")), otherwise, findings)
    if kind == "csv":
        stream = stack.enter_context(path.open(encoding="utf-8-sig", errors="surrogateescape", newline=""))
        return read_table(stream, otherwise, findings)
    document = document_of(path)
    kind = kind or _kind(document, path)
    results = [one for file in inferences for one in _results(document_of(file))]
    read = {
        "coco": lambda: coco.read(connection, document, otherwise, findings),
        "label-studio": lambda: label_studio.read(connection, document, otherwise, findings),
        "feedback": lambda: predecessor.read(connection, document, otherwise, findings, inferences=results),
    }[kind]()
    return _whole(read, findings)


def _whole(read: Iterator[Stated], findings: Findings) -> Iterator[Stated]:
    """What is read, until something is not there at all as the format has it."""
    try:
        yield from read
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        expected = Bilingual("what the tool exports", "ce que l'outil exporte")
        findings.add([LineFinding("wrong-document", 0, "", expected, f"{type(error).__name__} {error}"[:120])])


def _kind(document: Any, path: Path) -> Format:
    if coco.is_coco(document):
        return "coco"
    if predecessor.is_feedback(document):
        return "feedback"
    first = document[0] if isinstance(document, list) and document else document
    if isinstance(first, dict) and "data" in first:
        return "label-studio"
    raise UsageError(f"{path}: expected one of {', '.join(FORMATS)}; --format says which it is")


def _results(document: Any) -> list[Mapping[str, Any]]:
    return document if isinstance(document, list) else [document]
