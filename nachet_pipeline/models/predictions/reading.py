"""Files of predictions, read in blocks of a bounded size: JSON Lines and Parquet become the same Arrow tables.

Arrow reads a block of lines at once. It says little of a block that it cannot read, so such a block is read again line
by line, to say what is wrong where.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet
from numpy.typing import NDArray

from nachet_pipeline.errors import RefusedError
from nachet_pipeline.identifiers import PREDICTION_SUFFIXES
from nachet_pipeline.models.findings import LONGEST_FOUND, SHOWN_OF_A_CODE, Findings, LineFinding
from nachet_pipeline.models.predictions.schema import ANSWER
from nachet_pipeline.support.i18n import Bilingual

_BLOCK = 8 * 1024**2
_LONGEST_LINE = 64 * 1024**2
_ROWS = 4_096
_MARK = b"\xef\xbb\xbf"
_AN_OBJECT = Bilingual("a JSON object in the line", "un objet JSON dans la ligne")
_A_PARQUET_FILE = Bilingual("a Parquet file", "un fichier Parquet")
_UNICODE = Bilingual("text in UTF-8", "du texte en UTF-8")
_ONCE = Bilingual("each key once", "chaque clé une seule fois")
_EXPECTED = {
    "string": Bilingual("a text", "un texte"),
    "int32": Bilingual("a whole number", "un nombre entier"),
    "float": Bilingual("a number", "un nombre"),
    "list": Bilingual("a list", "une liste"),
    "struct": Bilingual("keys and values", "des clés et des valeurs"),
}


class UnreadableFileError(RefusedError, ValueError):
    """This is no file of predictions."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some answers of a file, in its order.

    Attributes:
        answers: of the schema `ANSWER`; without those that cannot be read.
        lines: (n,) the line of each; of Parquet the row.
        findings: what cannot be read.
    """

    answers: pa.RecordBatch
    lines: NDArray[np.int64]
    findings: tuple[LineFinding, ...] = ()


def read_blocks(path: Path) -> Iterator[Block]:
    """The answers of a file, block by block.

    Raises:
        UnreadableFileError: its name ends with no suffix of `PREDICTION_SUFFIXES`.
        OSError: it cannot be read.
    """
    if path.suffix not in PREDICTION_SUFFIXES:
        raise UnreadableFileError(f"{path.name}: expected a name that ends with {', '.join(PREDICTION_SUFFIXES)}")
    if path.suffix == ".parquet":
        yield from _parquet(path)
        return
    with path.open("rb") as stream:
        yield from _json_lines(stream)


def _nothing(*findings: LineFinding) -> Block:
    return Block(pa.RecordBatch.from_pylist([], schema=ANSWER), np.zeros(0, np.int64), findings)


# JSON Lines


def _json_lines(stream: IO[bytes]) -> Iterator[Block]:
    first = 1
    while block := stream.read(_BLOCK):
        if not block.endswith(b"\n"):
            rest = stream.readline(_LONGEST_LINE)
            if len(rest) == _LONGEST_LINE:
                line = first + block.count(b"\n")
                expected = Bilingual(f"at most {_LONGEST_LINE} bytes", f"au plus {_LONGEST_LINE} octets")
                found = Bilingual("more", "davantage")
                finding = LineFinding("long-line", line, "", expected, found)
                yield _nothing(finding)
                return
            block += rest
        if first == 1:
            block = block.removeprefix(_MARK)
        yield _block(block, first)
        first += block.count(b"\n")


def _block(block: bytes, first: int) -> Block:
    try:
        # Arrow takes any bytes for text.
        block.decode()
        answers = _by_arrow(block)
    except (UnicodeDecodeError, pa.ArrowInvalid) as error:
        return _line_by_line(block, first, str(error))
    lines = _lines(block, first, answers.num_rows)
    return _line_by_line(block, first, "") if lines is None else Block(answers, lines)


def _by_arrow(block: bytes) -> pa.RecordBatch:
    table = pyarrow.json.read_json(
        io.BytesIO(block),
        # One block, and no thread: what is parsed in pieces is joined by rules of its own.
        read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(block) + 1),
        parse_options=pyarrow.json.ParseOptions(explicit_schema=ANSWER, unexpected_field_behavior="error"),
    )
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=ANSWER)


def _lines(block: bytes, first: int, rows: int) -> NDArray[np.int64] | None:
    """The line of each row; None if a line holds more or less than one."""
    number = block.count(b"\n") + (not block.endswith(b"\n"))
    if number == rows:
        return np.arange(first, first + rows)
    filled = [line for line, text in enumerate(block.split(b"\n"), first) if text.strip()]
    return np.array(filled) if len(filled) == rows else None


def _line_by_line(block: bytes, first: int, reason: str) -> Block:
    """What can be read of a block, and what is wrong with each line that cannot."""
    good: list[dict[str, Any]] = []
    lines: list[int] = []
    found = Findings()
    for line, text in enumerate(block.split(b"\n"), first):
        if not text.strip():
            continue
        answer, wrong = _answer(text, line)
        if wrong:
            found.add(wrong)
        elif answer is not None:
            good.append(answer)
            lines.append(line)
    findings = found.condensed()
    if not good:
        return _nothing(*findings)
    try:
        answers = pa.RecordBatch.from_pylist(good, schema=ANSWER)
    except (pa.ArrowInvalid, OverflowError) as error:
        findings.append(LineFinding("not-json", first, "", _AN_OBJECT, str(error)))
        return _nothing(*findings)
    if not findings and reason:
        # Arrow refused what Python reads; nothing is recorded that was read in two ways.
        findings.append(LineFinding("not-json", first, "", _AN_OBJECT, reason))
    return Block(answers, np.array(lines, np.int64), tuple(findings))


class _RepeatedKeyError(ValueError):
    """A key is there twice; the message is the key."""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKeyError(next(key for key in keys if keys.count(key) > 1))
    return found


def _answer(text: bytes, line: int) -> tuple[dict[str, Any] | None, list[LineFinding]]:
    try:
        answer = json.loads(text.decode(), object_pairs_hook=_each_once)
    except UnicodeDecodeError as error:
        return None, [LineFinding("not-json", line, "", _UNICODE, f"0x{text[error.start]:02x}")]
    except _RepeatedKeyError as error:
        return None, [LineFinding("repeated-key", line, str(error), _ONCE, str(error))]
    except (ValueError, RecursionError):
        return None, [LineFinding("not-json", line, "", _AN_OBJECT, text[:80].decode(errors="replace"))]
    if not isinstance(answer, dict):
        return None, [LineFinding("not-json", line, "", _AN_OBJECT, json.dumps(answer)[:80])]
    # Not even of a whole file are more told.
    wrong = islice(_mismatches(answer, pa.struct(list(ANSWER)), ()), SHOWN_OF_A_CODE)
    return answer, [LineFinding(code, line, field, expected, found) for code, field, expected, found in wrong]


def _mismatches(value: Any, wanted: pa.DataType, path: tuple[str, ...]) -> Iterator[tuple[str, str, Bilingual, str]]:
    """Where a value of JSON is not of an Arrow type: code, field, what is expected and what is there."""
    field = ".".join(path)
    if value is None:
        return
    if pa.types.is_struct(wanted) and isinstance(value, dict):
        known = [one.name for one in wanted]
        for key, inner in value.items():
            if key in known:
                yield from _mismatches(inner, wanted.field(key).type, (*path, key))
            else:
                yield "unknown-key", ".".join((*path, key)), _keys_of(known), key
    elif pa.types.is_list(wanted) and isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _mismatches(inner, wanted.value_type, (*path, str(place)))
    elif not _is_scalar(value, wanted):
        kind = "list" if pa.types.is_list(wanted) else "struct" if pa.types.is_struct(wanted) else str(wanted)
        yield "wrong-type", field, _EXPECTED[kind], json.dumps(value)[:LONGEST_FOUND]


def _is_scalar(value: Any, wanted: pa.DataType) -> bool:
    if isinstance(value, bool) or pa.types.is_nested(wanted):
        return False
    if pa.types.is_string(wanted):
        return isinstance(value, str) and _encodes(value)
    if pa.types.is_integer(wanted):
        return isinstance(value, int) and -(2**31) <= value < 2**31
    return isinstance(value, int | float)


def _encodes(text: str) -> bool:
    """Whether a text has no half of a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


# Parquet


def _parquet(path: Path) -> Iterator[Block]:
    try:
        yield from _row_groups(path)
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        # Pages that cannot be decoded are an error of the operating system to Arrow, but one without a number.
        if isinstance(error, MemoryError) or getattr(error, "errno", None):
            raise
        yield _nothing(LineFinding("not-parquet", 0, "", _A_PARQUET_FILE, str(error)))


def _row_groups(path: Path) -> Iterator[Block]:
    first = 1
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS):
            block = _of_columns(batch, first)
            try:
                block.answers.validate(full=True)
            except pa.ArrowInvalid as error:
                block = _nothing(LineFinding("not-parquet", 0, "", _UNICODE, str(error)))
            yield block
            if block.findings:
                return  # of columns: the other rows have the same
            first += batch.num_rows


def _of_columns(batch: pa.RecordBatch, first: int) -> Block:
    findings = list(_unknown_columns(pa.struct(list(batch.schema)), pa.struct(list(ANSWER)), ()))
    columns: list[pa.Array] = []
    for wanted in ANSWER:
        if batch.schema.names.count(wanted.name) != 1:
            columns.append(pa.nulls(batch.num_rows, wanted.type))
            continue
        column = batch.column(wanted.name)
        try:
            columns.append(_as_text(column) if wanted.name == "at" else column.cast(wanted.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
            expected = Bilingual(f"a column of {wanted.type}", f"une colonne de {wanted.type}")
            findings.append(LineFinding("wrong-type", 0, wanted.name, expected, str(column.type)))
    if findings:
        return _nothing(*findings)
    return Block(pa.RecordBatch.from_arrays(columns, schema=ANSWER), np.arange(first, first + batch.num_rows))


def _unknown_columns(found: pa.DataType, wanted: pa.DataType, path: tuple[str, ...]) -> Iterator[LineFinding]:
    """Columns, and keys in them, that no answer has, or that are there twice; a cast would leave them out."""
    if pa.types.is_struct(found) and pa.types.is_struct(wanted):
        known, names = [one.name for one in wanted], [one.name for one in found]
        for one in found:
            if names.count(one.name) > 1:
                yield LineFinding("repeated-key", 0, ".".join((*path, one.name)), _ONCE, one.name)
            elif one.name in known:
                yield from _unknown_columns(one.type, wanted.field(one.name).type, (*path, one.name))
            else:
                yield LineFinding("unknown-key", 0, ".".join((*path, one.name)), _keys_of(known), one.name)
    elif hasattr(found, "value_type") and pa.types.is_list(wanted):
        yield from _unknown_columns(found.value_type, wanted.value_type, path)


def _keys_of(known: list[str]) -> Bilingual:
    keys = ", ".join(known)
    return Bilingual(f"keys of {keys}", f"des clés parmi {keys}")


def _as_text(moments: pa.Array) -> pa.Array:
    """Moments as JSON has them; those of a column without a time zone are in UTC."""
    if pa.types.is_timestamp(moments.type):
        return moments.cast(pa.timestamp("us", "UTC")).cast(pa.string())
    return moments.cast(pa.string())
