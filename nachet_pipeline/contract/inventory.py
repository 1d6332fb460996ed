"""Everything known of one upload while it is validated and imported, kept on disk.

A folder may hold a million pictures; memory stays flat because files, pictures and findings live in a temporary
SQLite database, read and written in order.
"""

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from nachet_pipeline.contract.findings import Finding, Severity
from nachet_pipeline.contract.folder import StagedFile
from nachet_pipeline.contract.metadata import Value


class FileKind(StrEnum):
    """What a file is to the contract."""

    PROJECT_INDEX = "project index"
    SESSION_INDEX = "session index"
    PICTURE = "picture"
    PICTURE_METADATA = "picture metadata"
    MARKER = "marker"
    IGNORED = "ignored"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True)
class InventoryFile:
    """A staged file and its place in the contract.

    Attributes:
        file: the file as listed.
        kind: what it is.
        session: path of its session's folder, None outside of sessions.
        stem: its path without suffix, which a picture and its YAML file share.
    """

    file: StagedFile
    kind: FileKind
    session: str | None
    stem: str


@dataclass(frozen=True, slots=True)
class PictureRecord:
    """A picture that was read, hashed and decoded.

    Attributes:
        path: relative to the upload.
        session: path of its session's folder.
        version: the version of the file that was read; storing pins it.
        size: in bytes.
        sha256: of the file's bytes, in hexadecimal.
        md5: likewise, for the storage service's own verification.
        picture_format: `TIFF`, `PNG` or `JPEG`.
        width: in pixels.
        height: in pixels.
        mode: Pillow's name of the pixel format (`RGB`, `L`, …).
        resolution: horizontal and vertical, pixels per inch, where the file tells.
        values: its metadata, inherited and own, by field.
        seed_id: the registered seed it shows, None if that is not known.
    """

    path: str
    session: str
    version: str
    size: int
    sha256: str
    md5: str
    picture_format: str
    width: int
    height: int
    mode: str
    resolution: tuple[float, float] | None
    values: dict[str, Value]
    seed_id: UUID | None


_SCHEMA = """
create table file (
    path text primary key, size integer, version text, modified text, regular integer,
    kind text, session text, stem text, folded text
) without rowid;
create index file_kind on file (kind, session, path);
create index file_stem on file (stem);
create index file_folded on file (folded);
create table picture (path text primary key, session text, size integer, record text) without rowid;
create index picture_session on picture (session, path);
create table finding (number integer primary key, code text, severity text, path text, record text);
"""


class Inventory:
    """Files, pictures and findings of one upload; a context manager that removes its file at the end."""

    def __init__(self, folder: Path | None = None) -> None:
        """Open an empty inventory.

        Args:
            folder: where its temporary file lies; the system's temporary folder if not given.
        """
        self._directory = tempfile.TemporaryDirectory(prefix="nachet-", dir=folder)
        self._db = sqlite3.connect(Path(self._directory.name) / "inventory.sqlite", isolation_level=None)
        # The file is scratch: it is never read after a crash, so nothing waits for the disk.
        self._db.executescript(f"pragma journal_mode=off; pragma synchronous=off; {_SCHEMA} begin;")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget everything."""
        self._db.close()
        self._directory.cleanup()

    # Files

    def add_file(self, file: StagedFile, folded: str) -> None:
        """Note a listed file; what it is to the contract is said later."""
        self._db.execute(
            "insert into file (path, size, version, modified, regular, folded) values (?, ?, ?, ?, ?, ?)",
            (file.path, file.size, file.version, file.modified.isoformat(), file.regular, folded),
        )

    def classify(self, path: str, kind: FileKind, session: str | None, stem: str) -> None:
        """Say what a file is to the contract."""
        self._db.execute("update file set kind = ?, session = ?, stem = ? where path = ?", (kind, session, stem, path))

    def paths(self) -> Iterator[str]:
        """All paths, sorted. Files may be classified on the way."""
        last = ""
        while page := self._db.execute(
            "select path from file where path > ? order by path limit 1000", (last,)
        ).fetchall():
            yield from (row[0] for row in page)
            last = page[-1][0]

    def files(self, kind: FileKind, session: str | None = None) -> Iterator[InventoryFile]:
        """The files of a kind, of one session or of all, sorted by path."""
        query = (
            "select path, size, version, modified, regular, kind, session, stem from file where kind = ?"
            + (" and session = ?" if session is not None else "")
            + " order by session, path"
        )
        for row in self._db.execute(query, (kind,) if session is None else (kind, session)):
            file = StagedFile(row[0], row[1], row[2], datetime.fromisoformat(row[3]), bool(row[4]))
            yield InventoryFile(file, FileKind(row[5]), row[6], row[7])

    def count(self, kind: FileKind, session: str) -> int:
        """How many files of a kind a session has."""
        query = "select count(*) from file where kind = ? and session = ?"
        return int(self._db.execute(query, (kind, session)).fetchone()[0])

    def sessions(self) -> list[str]:
        """Paths of the folders that hold a session's files, sorted."""
        query = "select distinct session from file where session is not null order by session"
        return [row[0] for row in self._db.execute(query)]

    def metadata_file(self, stem: str) -> StagedFile | None:
        """The YAML file that describes the picture of this stem."""
        query = "select path, size, version, modified, regular from file where stem = ? and kind = ? order by path"
        row = self._db.execute(query, (stem, FileKind.PICTURE_METADATA)).fetchone()
        return StagedFile(row[0], row[1], row[2], datetime.fromisoformat(row[3]), bool(row[4])) if row else None

    def collisions(self) -> Iterator[tuple[str, str]]:
        """Pairs of paths that some file systems take for one: the first of each group with each other."""
        query = (
            "select first.path, file.path from file join"
            " (select folded, min(path) as path from file group by folded having count(*) > 1) as first"
            " on first.folded = file.folded and first.path <> file.path order by file.path"
        )
        return iter(self._db.execute(query))

    def stems(self, kind: FileKind, *, without: FileKind | None = None) -> Iterator[tuple[str, list[str]]]:
        """Stems of a kind of file with their paths; only those that have no file of another kind, if one is given."""
        query = "select stem, json_group_array(path) from (select stem, path from file where kind = ? order by path)"
        arguments: tuple[str, ...] = (kind,)
        if without is not None:
            query += " where stem not in (select stem from file where kind = ?)"
            arguments = (kind, without)
        for stem, paths in self._db.execute(f"{query} group by stem order by stem", arguments):
            yield stem, json.loads(paths)

    def total(self) -> tuple[int, int]:
        """Number and bytes of all files that are not ignored."""
        query = "select count(*), coalesce(sum(size), 0) from file where kind is not ?"
        number, size = self._db.execute(query, (FileKind.IGNORED,)).fetchone()
        return number, size

    def digest(self) -> str:
        """SHA-256 over names, sizes and versions: changes when anything in the folder does that counts."""
        digest = hashlib.sha256()
        query = "select path, size, version from file where kind not in (?, ?) order by path"
        for row in self._db.execute(query, (FileKind.IGNORED, FileKind.MARKER)):
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()

    def newest(self) -> datetime | None:
        """When the folder last changed, None if it holds nothing."""
        newest = self._db.execute("select max(modified) from file").fetchone()[0]
        return datetime.fromisoformat(newest) if newest else None

    # Pictures

    def add_picture(self, picture: PictureRecord) -> None:
        """Note a picture that was read and decoded."""
        fields = {name: getattr(picture, name) for name in PictureRecord.__dataclass_fields__}
        fields["values"] = {
            name: [value.value, value.source, value.line, value.column] for name, value in picture.values.items()
        }
        fields["seed_id"] = str(picture.seed_id) if picture.seed_id else None
        self._db.execute(
            "insert into picture values (?, ?, ?, ?)",
            (picture.path, picture.session, picture.size, json.dumps(fields)),
        )

    def pictures(self, session: str | None = None) -> Iterator[PictureRecord]:
        """The pictures of one session, or of all, sorted by session and path."""
        query = "select record from picture" + (" where session = ?" if session is not None else "")
        rows = self._db.execute(f"{query} order by session, path", () if session is None else (session,))
        return (_picture(json.loads(row[0])) for row in rows)

    def picture_totals(self, session: str | None = None) -> tuple[int, int]:
        """Number and bytes of the pictures of one session, or of all."""
        query = "select count(*), coalesce(sum(size), 0) from picture"
        if session is not None:
            query += " where session = ?"
        number, size = self._db.execute(query, () if session is None else (session,)).fetchone()
        return number, size

    # Findings

    def add_finding(self, finding: Finding) -> None:
        """Note a finding."""
        self._db.execute(
            "insert into finding (code, severity, path, record) values (?, ?, ?, ?)",
            (finding.code, finding.severity, finding.path, finding.model_dump_json()),
        )

    def findings(self, *, limit: int | None = None) -> Iterator[Finding]:
        """All findings, errors first, then by path."""
        order = "case severity when 'error' then 0 when 'warning' then 1 else 2 end, path, code, number"
        rows = self._db.execute(f"select record from finding order by {order} limit ?", (limit or -1,))
        return (Finding.model_validate_json(row[0]) for row in rows)

    def finding_counts(self) -> dict[str, int]:
        """How many findings there are of each code."""
        return dict(self._db.execute("select code, count(*) from finding group by code order by code"))

    def severity_counts(self) -> dict[Severity, int]:
        """How many findings there are of each severity; every severity is a key."""
        found = dict(self._db.execute("select severity, count(*) from finding group by severity"))
        return {severity: found.get(severity, 0) for severity in Severity}


def _picture(fields: dict[str, Any]) -> PictureRecord:
    fields["values"] = {name: Value(*value) for name, value in fields["values"].items()}
    fields["seed_id"] = UUID(fields["seed_id"]) if fields["seed_id"] else None
    fields["resolution"] = tuple(fields["resolution"]) if fields["resolution"] else None
    return PictureRecord(**fields)
