"""Recording files of predictions: each as a whole or not at all, and what is recorded already stays as it is."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.identifiers import prediction_file_id
from nachet_pipeline.models.findings import SHOWN_OF_A_CODE, Findings, LineFinding
from nachet_pipeline.models.model import ModelVersion
from nachet_pipeline.models.predictions.checking import Answers, Vocabulary, check_block
from nachet_pipeline.models.predictions.queries import (
    FileReceipt,
    PredictionFile,
    begin_incoming,
    copy_incoming,
    incoming_on_trained,
    record_incoming,
    stored_contents,
    unknown_contents,
    write_file,
)
from nachet_pipeline.models.predictions.reading import Block, read_blocks
from nachet_pipeline.models.predictions.rows import contents_of, copy_text, identify
from nachet_pipeline.models.predictions.schema import ANSWER
from nachet_pipeline.models.queries import classes_of
from nachet_pipeline.support.files import FileChangedError
from nachet_pipeline.support.i18n import Bilingual

_A_STORED_PICTURE = Bilingual("a picture that is stored", "une image qui est stockée")


def record_file(
    database: Database, version: ModelVersion, path: Path, *, by: str, place: str = "", now: datetime | None = None
) -> FileReceipt:
    """Record the predictions of a file, in one transaction: all of it is there, or none.

    A repeated call finds what is there, and adds what was about pictures that were unknown then.

    Args:
        database: where it is recorded.
        version: whose predictions these are.
        path: the file: JSON Lines or Parquet.
        by: who brings it.
        place: where it comes from, for people; the file's name if not given.
        now: the time, if it is not to be the present.

    Raises:
        UnreadableFileError: its name says that it is none.
        FileChangedError: it was changed meanwhile; nothing is recorded.
        OSError: it cannot be read.
        DatabaseError: the database does not answer.
    """
    state = _state(path)
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256")
    now = now or datetime.now(UTC)
    file = PredictionFile(
        id=prediction_file_id(version.id, sha256.hexdigest()),
        version=version.name,
        place=place or path.name,
        state="refused",
        size=path.stat().st_size,
        lines=0,
        predictions=0,
        new=0,
        unknown_pictures=0,
        on_trained=0,
        findings=[],
        recorded_at=now,
        recorded_by=by,
    )

    def record(connection: Connection) -> FileReceipt:
        receipt = _Recording(version, path, file, sha256.digest(), now).run(connection)
        if _state(path) != state:  # what was read is not what the digest is of
            raise FileChangedError(str(path))
        return receipt

    return database.transact(record)


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


class ForeignAnswerError(RefusedError, ValueError):
    """An answer is none that its version can give; the message is one line that says what is wrong with it."""


def record_answers(
    connection: Connection, version: ModelVersion, answers: Sequence[Mapping[str, Any]], *, now: datetime | None = None
) -> int:
    """Record answers that come from no file, a few hundred at most, in the caller's transaction.

    Args:
        connection: in whose transaction they are recorded.
        version: whose answers these are.
        answers: of the schema `ANSWER`; those about contents that are not stored are left out.
        now: the time, if it is not to be the present.

    Returns:
        How many are new.

    Raises:
        ForeignAnswerError: one of them is none of this version.
    """
    now = now or datetime.now(UTC)
    rows = pa.RecordBatch.from_pylist([dict(one) for one in answers], schema=ANSWER)
    block = Block(rows, np.arange(1, len(answers) + 1))
    checked, wrong = check_block(block, vocabulary_of(connection, version), now)
    if wrong:
        raise ForeignAnswerError(f"{version.name}: answer {wrong[0].text()}")
    begin_incoming(connection)
    _send(connection, version.id, None, checked, now)
    return record_incoming(connection, all_stored=False)


def vocabulary_of(connection: Connection, version: ModelVersion) -> Vocabulary:
    """What the answers of a version may say."""
    return Vocabulary(version.task, [one.label for one in classes_of(connection, version.id)])


def _send(connection: Connection, version: UUID, file: UUID | None, answers: Answers, now: datetime) -> list[int]:
    """Send answers to the database.

    Returns:
        The rows of those about pictures that it does not have, which are not sent.
    """
    named = [one for one in answers.picture if one is not None]
    contents = contents_of(answers, stored_contents(connection, named) if named else {})
    identifiers = identify(answers, version, contents)
    copy_incoming(connection, copy_text(answers, version, file, contents, identifiers, now))
    return [row for row, content in enumerate(contents) if content is None]


@dataclass(slots=True)
class _Recording:
    """A file that is being recorded."""

    version: ModelVersion
    path: Path
    file: PredictionFile
    sha256: bytes
    now: datetime
    findings: Findings = field(default_factory=Findings)
    lines: int = 0
    unknown: int = 0

    def run(self, connection: Connection) -> FileReceipt:
        begin_incoming(connection)
        vocabulary = vocabulary_of(connection, self.version)
        # Predictions name their file, so it is written before them; its counts are written after them.
        self._written(connection, state="recorded")
        for block in read_blocks(self.path):
            answers, wrong = check_block(block, vocabulary, self.now)
            self.lines += len(block.lines)
            self.findings.add(wrong)
            # A file with an error is read to its end, so that all of them are told.
            if len(answers.lines) and not self.findings.errors:
                missing = _send(connection, self.version.id, self.file.id, answers, self.now)
                self.unknown += len(missing)
                self.findings.add(
                    _unknown(str(answers.picture[row]), int(answers.lines[row]), "picture") for row in missing
                )
        if self.findings.errors:
            connection.rollback()
            return self._receipt(connection)
        number, shown = unknown_contents(connection, SHOWN_OF_A_CODE)
        self.unknown += number
        self.findings.add(_unknown(content, 0, "sha256") for content in shown)
        self.findings.more("unknown-picture", number - len(shown))
        return self._receipt(
            connection,
            state="recorded",
            new=record_incoming(connection, all_stored=number == 0),
            predictions=self.lines - self.unknown,
            unknown_pictures=self.unknown,
            on_trained=incoming_on_trained(connection, self.version.id) if self.version.training_set else 0,
        )

    def _written(self, connection: Connection, **values: object) -> PredictionFile:
        file = replace(self.file, lines=self.lines, findings=self.findings.record(), **values)  # type: ignore[arg-type]
        return write_file(connection, file, self.version.id, self.sha256)

    def _receipt(self, connection: Connection, **values: object) -> FileReceipt:
        return FileReceipt(self._written(connection, **values), self.findings)


def _unknown(name: str, line: int, key: str) -> LineFinding:
    return LineFinding("unknown-picture", line, key, _A_STORED_PICTURE, name, Severity.WARNING)
