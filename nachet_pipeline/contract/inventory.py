"""Everything known of one upload while it is validated and imported, kept on disk.

A folder may hold a million pictures. Files, pictures and findings are kept in a temporary SQLite database, so that
memory does not grow with them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.marks import COMPLETE_MARKER, MARKERS, ListedFile, Mark
from nachet_pipeline.contract.metadata import Value
from nachet_pipeline.contract.names import fold
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.contract.shown import UNKNOWN, Shown, as_text, from_text, kinds_as_text, species_as_text
from nachet_pipeline.contract.stored import Candidate, Correction, EarlierPicture
from nachet_pipeline.identifiers import picture_id
from nachet_pipeline.pictures.enrichment import Enrichment
from nachet_pipeline.pictures.perceptual_hash import distance, hash_bands
from nachet_pipeline.support.files import StagedFile
from nachet_pipeline.support.scratch import Scratch


class FileKind(StrEnum):
    """What a file is to the contract."""

    PROJECT_INDEX = "project index"
    SESSION_INDEX = "session index"
    PICTURE = "picture"
    OTHER_PICTURE = "picture in another format"
    PICTURE_METADATA = "picture metadata"
    CHECKSUMS = "checksums"
    MARKER = "marker"
    IGNORED = "ignored"
    HIDDEN = "hidden"
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
class Checksum:
    """A line of a SHA256SUMS file.

    Attributes:
        path: the file it names, relative to the upload, in NFC.
        sha256: that file's checksum, in hexadecimal, lower case.
        source: the SHA256SUMS, relative to the upload.
        line: 1-based line in it.
    """

    path: str
    sha256: str
    source: str
    line: int

    @property
    def place(self) -> str:
        """Where it is written, as `SHA256SUMS:3`."""
        return f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class PictureRecord:
    """A picture that was read, hashed and decoded.

    Attributes:
        path: relative to the upload.
        session: path of its session's folder.
        version: the version of the file that was read, which storing pins.
        size: in bytes.
        sha256: of the file's bytes, in hexadecimal.
        md5: likewise, which the storage service verifies.
        picture_format: `TIFF`, `PNG` or `JPEG`.
        width: in pixels.
        height: in pixels.
        mode: Pillow's name of the pixel format (`RGB`, `L`, …).
        resolution: horizontal and vertical, in pixels per inch, if the file has it.
        values: its metadata, inherited and own, by field.
        shows: the kinds of seeds it shows; empty if that is not known because of errors.
        enrichment: what was measured; None if that was not asked for.
        stored_id: the identifier that it is stored under, None if it is not stored yet.
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
    shows: tuple[Shown, ...]
    enrichment: Enrichment | None = None
    stored_id: UUID | None = None


_SCHEMA = """
create table file (
    path text primary key, size integer, version text, modified text,
    kind text, session text, stem text, folded text, sha256 text
) without rowid;
create index file_kind on file (kind, session, path);
create index file_stem on file (stem);
create index file_folded on file (folded);
create table described (number integer primary key, record text);
create table picture (
    path text primary key, session text, version text, size integer, sha256 text, md5 text, picture_format text,
    width integer, height integer, mode text, resolution text, shows text, kinds text, species text, described integer,
    pixel_sha256 text, looks text, quality real, sharpness real, enrichment text
) without rowid;
create index picture_session on picture (session, path);
create index picture_sha256 on picture (sha256, path);
create index picture_pixels on picture (pixel_sha256, path);
create index picture_of_session on picture (session, sha256, path);
create table band (band integer, path text);
create table earlier (
    session text, sha256 text, id text, name text, kinds text, live integer, sent_earlier integer, becomes text,
    primary key (session, sha256)
) without rowid;
create table finding (
    number integer primary key, code text, severity text, path text, line integer, alike text, record text
);
create index finding_alike on finding (alike, path, line);
create table thumbnail (path text primary key, jpeg blob) without rowid;
create table checksum (
    folded text primary key, path text, sha256 text, source text, line integer
) without rowid;
create table listed (path text primary key, folded text, size integer, sha256 text, line integer) without rowid;
"""


def _without_origin(record: str) -> dict[str, Any]:
    """The values of a described record, whatever file they come from."""
    return {name: value[0] for name, value in json.loads(record).items()}


def _staged_file(row: Sequence[Any]) -> StagedFile:
    """The file of a row that begins with path, size, version and modified."""
    return StagedFile(row[0], row[1], row[2], datetime.fromisoformat(row[3]))


_WITH_CONTENT = (FileKind.PROJECT_INDEX, FileKind.SESSION_INDEX, FileKind.PICTURE, FileKind.PICTURE_METADATA)
_GROUPS_OF_EVERY_CODE = 20
_MOST_ALIKE = 200
_WORST_FIRST = "case severity when 'error' then 0 when 'warning' then 1 else 2 end"


class FileList(StrEnum):
    """Whether a folder's marker lists its files."""

    NONE = "none"
    USED = "used"
    UNUSABLE = "unusable"


class Inventory(Scratch):
    """Files, pictures and findings of one upload; a context manager that forgets them at the end.

    Attributes:
        rule_set: gives the severity of each finding.
        mark: what the markers of the folder say.
        file_list: whether one of them lists the files.
        replace_wanted: whether it wants stored pictures removed that the folder does not hold any more.
    """

    def __init__(self, *, rule_set: RuleSet | None = None, in_memory: bool = False) -> None:
        """Open an empty inventory.

        Args:
            rule_set: gives the severity of each finding; the catalogue's if not given.
            in_memory: whether it has no file, because little is kept in it.
        """
        super().__init__(_SCHEMA, in_memory=in_memory)
        self.rule_set = rule_set or RuleSet()
        self.mark = Mark.NONE
        self.replace_wanted = False
        self.file_list: FileList = FileList.NONE
        self._left_out: tuple[int, str | None] = (0, None)
        self._has_checksums = False
        self._last_described: tuple[dict[str, Value] | None, int] = (None, 0)

    # Files

    def add_file(self, file: StagedFile, folded: str) -> None:
        """Add a listed regular file; `classify` gives its kind later."""
        self._db.execute(
            "insert into file (path, size, version, modified, folded) values (?, ?, ?, ?, ?)",
            (file.path, file.size, file.version, file.modified.isoformat(), folded),
        )

    def classify(self, path: str, kind: FileKind, session: str | None, stem: str) -> None:
        """Record the kind of a file, its session and its stem."""
        self._db.execute("update file set kind = ?, session = ?, stem = ? where path = ?", (kind, session, stem, path))

    def record_sha256(self, path: str, sha256: str) -> None:
        """Record the SHA-256 of a file that was read, in hexadecimal, if the upload has checksums."""
        if self._has_checksums:
            self._db.execute("update file set sha256 = ? where path = ?", (sha256, path))

    def paths(self) -> Iterator[str]:
        """All paths, sorted. Files may be classified meanwhile."""
        last = ""
        while page := self._db.execute(
            "select path from file where path > ? order by path limit 1000", (last,)
        ).fetchall():
            yield from (row[0] for row in page)
            last = page[-1][0]

    def files(self, kind: FileKind, session: str | None = None) -> Iterator[InventoryFile]:
        """The files of a kind, of one session or of all, sorted by path."""
        query = (
            "select path, size, version, modified, kind, session, stem from file where kind = ?"
            + (" and session = ?" if session is not None else "")
            + " order by session, path"
        )
        for row in self._db.execute(query, (kind,) if session is None else (kind, session)):
            file = _staged_file(row)
            yield InventoryFile(file, FileKind(row[4]), row[5], row[6])

    def count(self, kind: FileKind, session: str) -> int:
        """How many files of a kind a session has."""
        query = "select count(*) from file where kind = ? and session = ?"
        return int(self._db.execute(query, (kind, session)).fetchone()[0])

    def sessions(self) -> list[str]:
        """Paths of the folders that hold a session's files, sorted."""
        query = "select distinct session from file where session is not null order by session"
        return [row[0] for row in self._db.execute(query)]

    def session_count(self) -> int:
        """How many folders hold a session's files."""
        return int(self._db.execute("select count(distinct session) from file").fetchone()[0])

    def metadata_file(self, stem: str) -> StagedFile | None:
        """The YAML file that describes the picture of this stem."""
        query = "select path, size, version, modified from file where stem = ? and kind = ? order by path"
        row = self._db.execute(query, (stem, FileKind.PICTURE_METADATA)).fetchone()
        return _staged_file(row) if row else None

    def file(self, path: str) -> StagedFile | None:
        """The file of a path, None if there is none."""
        row = self._db.execute("select path, size, version, modified from file where path = ?", (path,)).fetchone()
        return _staged_file(row) if row else None

    def picture_file(self, path: str) -> StagedFile | None:
        """The picture file at a path, None if there is none."""
        query = "select path, size, version, modified from file where path = ? and kind = ?"
        row = self._db.execute(query, (path, FileKind.PICTURE)).fetchone()
        return _staged_file(row) if row else None

    def collisions(self) -> Iterator[tuple[str, str]]:
        """Pairs of paths that some file systems take for one: each path with the first of its group."""
        query = (
            "select first.path, file.path from file join"
            " (select folded, min(path) as path from file group by folded having count(*) > 1) as first"
            " on first.folded = file.folded and first.path <> file.path order by file.path"
        )
        return iter(self._db.execute(query))

    def is_picture_stem(self, stem: str) -> bool:
        """Whether a picture that can be imported has this path without suffix."""
        query = "select exists (select 1 from file where stem = ? and kind = ?)"
        return bool(self._db.execute(query, (stem, FileKind.PICTURE)).fetchone()[0])

    def stems(self, kind: FileKind, *, without: Sequence[FileKind] = ()) -> Iterator[tuple[str, list[str]]]:
        """Stems of a kind of file with their paths, without those that have a file of the kinds `without`."""
        query = "select stem, json_group_array(path) from (select stem, path from file where kind = ? order by path)"
        arguments: tuple[str, ...] = (kind,)
        if without:
            query += f" where stem not in (select stem from file where kind in ({', '.join('?' * len(without))}))"
            arguments = (kind, *without)
        for stem, paths in self._db.execute(f"{query} group by stem order by stem", arguments):
            yield stem, json.loads(paths)

    # The list of files in the marker

    def add_listed(self, files: Iterable[ListedFile]) -> None:
        """Add files that the marker lists; of two lines about one file the first counts."""
        self._db.executemany(
            "insert or ignore into listed values (?, ?, ?, ?, ?)",
            ((one.path, fold(one.path), one.size, one.sha256, one.line) for one in files),
        )

    def apply_list(self) -> tuple[int, str | None]:
        """Leave out the files that are not listed, markers excepted.

        A listed path that no file has means the file whose name some file systems take for the same.

        Returns:
            How many were left out, and the first of them.
        """
        self.file_list = FileList.USED
        self._db.execute(
            "update or ignore listed set path = (select min(path) from file where file.folded = listed.folded)"
            " where path not in (select path from file) and folded in (select folded from file)"
        )
        others = "path not in (select path from listed) and path not in (?, ?)"
        number, first = self._db.execute(f"select count(*), min(path) from file where {others}", MARKERS).fetchone()
        self._db.execute(f"delete from file where {others}", MARKERS)
        self._has_checksums = True  # so that what is read is compared with the list
        self._left_out = number, first
        return number, first

    def listed_without_file(self) -> Iterator[ListedFile]:
        """The listed files that are not there, by path."""
        query = "select path, size, sha256, line from listed where path not in (select path from file) order by path"
        return (ListedFile(*row) for row in self._db.execute(query))

    def listed_differently(self) -> Iterator[tuple[StagedFile, str | None, ListedFile]]:
        """The files whose size, or SHA-256 if they were read, is not the listed one: file, SHA-256 and line."""
        query = (
            "select path, file.size, version, modified, file.sha256, listed.size, listed.sha256, line from file"
            " join listed using (path) where file.size <> listed.size or file.sha256 <> listed.sha256 order by path"
        )
        for row in self._db.execute(query):
            file = _staged_file(row)
            yield file, row[4], ListedFile(row[0], *row[5:])

    def is_as_listed(self, path: str, size: int, sha256: str | None = None) -> bool:
        """Whether a file has the size, and the SHA-256 if it is known, of its line in the list, if there is one."""
        if self.file_list is not FileList.USED:
            return True
        row = self._db.execute("select size, sha256 from listed where path = ?", (path,)).fetchone()
        return row is None or (row[0] in {None, size} and (sha256 is None or row[1] in {None, sha256}))

    def total(self) -> tuple[int, int]:
        """Number and bytes of all files that are not ignored."""
        query = "select count(*), coalesce(sum(size), 0) from file where coalesce(kind, '') not in (?, ?)"
        number, size = self._db.execute(query, (FileKind.IGNORED, FileKind.HIDDEN)).fetchone()
        return number, size

    def digested(self) -> Iterator[bytes]:
        """What a folder's digest is computed over: name, size and version of each file that is not ignored.

        Of the markers only what they mean is part of it, so that staging a folder again without a change is no change.
        Files that are left out are part of it as far as the next report names them.
        """
        if self.mark in {Mark.STAGING, Mark.WITHDRAWN}:
            yield json.dumps(["marked", self.mark]).encode()
        if self.replace_wanted:
            yield json.dumps(["replace"]).encode()
        if self.file_list is FileList.UNUSABLE and (marker := self.file(COMPLETE_MARKER)):
            yield json.dumps(["unusable", marker.version]).encode()
        if self._left_out[0]:
            yield json.dumps(["left out", *self._left_out]).encode()
        for row in self._db.execute("select path, size, sha256 from listed order by path"):
            yield json.dumps(["listed", *row]).encode()
        query = "select path, size, version from file where kind not in (?, ?, ?) order by path"
        for row in self._db.execute(query, (FileKind.IGNORED, FileKind.HIDDEN, FileKind.MARKER)):
            yield json.dumps(row).encode()

    def newest(self) -> datetime | None:
        """When the folder last changed, None if it holds nothing."""
        newest = self._db.execute("select max(modified) from file").fetchone()[0]
        return datetime.fromisoformat(newest) if newest else None

    # Checksums

    def add_checksum(self, checksum: Checksum) -> Checksum | None:
        """Add a sender's checksum, unless the file has one already.

        Returns:
            The checksum that the file has already, None if it had none.
        """
        self._has_checksums = True
        key = fold(checksum.path)
        added = self._db.execute(
            "insert or ignore into checksum values (?, ?, ?, ?, ?)",
            (key, checksum.path, checksum.sha256, checksum.source, checksum.line),
        )
        if added.rowcount:
            return None
        query = "select path, sha256, source, line from checksum where folded = ?"
        return Checksum(*self._db.execute(query, (key,)).fetchone())

    def checksum_mismatches(self) -> Iterator[tuple[str, str, Checksum]]:
        """Files that were read and differ from their checksum: path, SHA-256 and checksum."""
        query = (
            "select file.path, file.sha256, checksum.path, checksum.sha256, source, line"
            " from file join checksum using (folded) where file.sha256 <> checksum.sha256 order by file.path"
        )
        for path, sha256, *given in self._db.execute(query):
            yield path, sha256, Checksum(*given)

    def checksums_without_file(self) -> Iterator[Checksum]:
        """Checksums of files that are not there, by place."""
        query = (
            "select path, sha256, source, line from checksum where folded not in (select folded from file)"
            " order by source, line"
        )
        return (Checksum(*row) for row in self._db.execute(query))

    def files_without_checksum(self) -> Iterator[str]:
        """Pictures and YAML files without a checksum, in folders where others have one."""
        query = (
            "select path from file where kind in (?, ?, ?, ?) and folded not in (select folded from checksum)"
            " and coalesce(session, '') in (select coalesce(session, '') from file join checksum using (folded)"
            " where kind in (?, ?, ?, ?)) order by path"
        )
        return (row[0] for row in self._db.execute(query, (*_WITH_CONTENT, *_WITH_CONTENT)))

    def path_with_sha256(self, sha256: str) -> str | None:
        """A file that was read and has this SHA-256, None if there is none."""
        row = self._db.execute("select min(path) from file where sha256 = ?", (sha256,)).fetchone()
        return row[0] if row else None

    def paths_in(self, folder: str, limit: int) -> list[str]:
        """The first paths below a folder, sorted."""
        start, end = (f"{folder}/", f"{folder}0") if folder else ("", "\U0010ffff")  # 0 follows / in every encoding
        query = "select path from file where path > ? and path < ? order by path limit ?"
        return [row[0] for row in self._db.execute(query, (start, end, limit))]

    def holds(self, path: str) -> bool:
        """Whether there is a file or a folder of this path."""
        query = "select exists (select 1 from file where path = ?)"
        return bool(self._db.execute(query, (path,)).fetchone()[0] or self.paths_in(path, 1))

    # Pictures

    def add_picture(self, picture: PictureRecord) -> None:
        """Add a picture that was read and decoded."""
        enrichment = picture.enrichment
        looks = enrichment.perceptual_hash if enrichment else None
        self._db.execute(
            f"insert into picture values ({', '.join('?' * 20)})",
            (
                picture.path,
                picture.session,
                picture.version,
                picture.size,
                picture.sha256,
                picture.md5,
                picture.picture_format,
                picture.width,
                picture.height,
                picture.mode,
                json.dumps(picture.resolution) if picture.resolution else None,
                as_text(picture.shows),
                kinds_as_text(picture.shows),
                species_as_text(picture.shows),
                self._described(picture.values),
                enrichment.pixel_sha256 if enrichment else None,
                looks,
                enrichment.quality_score if enrichment else None,
                enrichment.sharpness if enrichment else None,
                enrichment.as_json() if enrichment else None,
            ),
        )
        if looks:
            bands = hash_bands(bytes.fromhex(looks))
            self._db.executemany("insert into band values (?, ?)", [(band, picture.path) for band in bands])

    def _described(self, values: dict[str, Value]) -> int:
        """Store the values of a picture, once for neighbours with the same values, and return their number."""
        last, number = self._last_described
        if values is not last:
            record = {name: [value.value, value.source, value.line, value.column] for name, value in values.items()}
            kept = self._db.execute("insert into described (record) values (?)", (json.dumps(record),))
            number = int(kept.lastrowid or 0)
            self._last_described = (values, number)
        return number

    def pictures(self, session: str | None = None, *, measured: bool = True) -> Iterator[PictureRecord]:
        """The pictures of one session, or of all, sorted by session and path.

        Args:
            session: path of the session's folder.
            measured: whether enrichments are read too, which takes longest.
        """
        query = (
            "select path, session, version, size, sha256, md5, picture_format, width, height, mode, resolution, record,"
            f" picture.shows, {'enrichment' if measured else 'null'}, earlier.id"
            " from picture left join described on number = described left join earlier using (session, sha256)"
            + (" where session = ?" if session is not None else "")
            + " order by session, path"
        )
        values: dict[str, Value] = {}
        shows: tuple[Shown, ...] = ()
        last: tuple[str | None, str | None] = (None, None)
        for row in self._db.execute(query, () if session is None else (session,)):
            described, shown, enrichment, stored_id = row[11:]
            # Neighbours mostly have the same values.
            if described != last[0]:
                values = {name: Value(*value) for name, value in json.loads(described).items()}
            if shown != last[1]:
                shows = from_text(shown)
            last = (described, shown)
            yield PictureRecord(
                path=row[0],
                session=row[1],
                version=row[2],
                size=row[3],
                sha256=row[4],
                md5=row[5],
                picture_format=row[6],
                width=row[7],
                height=row[8],
                mode=row[9],
                resolution=tuple(json.loads(row[10])) if row[10] else None,
                values=values,
                shows=shows,
                enrichment=Enrichment.from_json(enrichment) if enrichment else None,
                stored_id=UUID(stored_id) if stored_id else None,
            )

    def picture_checksums(self, session: str) -> Iterator[tuple[str, str]]:
        """Path and SHA-256 of each picture of a session, sorted by path."""
        return iter(self._db.execute("select path, sha256 from picture where session = ? order by path", (session,)))

    def candidates(self, session: str, picture_set: UUID | None, *, unnamed: bool = False) -> Iterator[Candidate]:
        """The pictures of a session, sorted by path, as they are compared with stored ones.

        Args:
            session: path of its folder.
            picture_set: what it is stored as, None if that is not known.
            unnamed: whether only those that show unknown seeds are wanted.
        """
        query = (
            "select path, sha256, pixel_sha256, looks, shows, earlier.id from picture"
            " left join earlier using (session, sha256) where session = ?"
            + (f" and picture.kinds like '%{UNKNOWN}'" if unnamed else "")
            + " order by path"
        )
        parent = picture_set or UUID(int=0)
        for path, sha256, pixel_sha256, looks, shows, stored_id in self._db.execute(query, (session,)):
            yield Candidate(
                path=path,
                id=UUID(stored_id) if stored_id else picture_id(parent, sha256),
                sha256=bytes.fromhex(sha256),
                pixel_sha256=bytes.fromhex(pixel_sha256) if pixel_sha256 else None,
                looks=bytes.fromhex(looks) if looks else None,
                shows=from_text(shows),
            )

    def under_two_labels(self) -> Iterator[tuple[str, tuple[Shown, ...], str, tuple[Shown, ...], bool]]:
        """Pictures that equal an earlier one, by path, in file or pixels, but not in species.

        A picture whose seeds are all unknown equals any.

        Yields:
            Path and species of each, path and species of the first such other, and whether the files are equal.
        """
        query = (
            "with first as (select coalesce(pixel_sha256, sha256) as content, species, min(path) as path from picture"
            " where species is not null group by content, species),"
            " torn as (select content from first group by content having count(*) > 1),"
            " found as (select picture.path, min(first.path) as other from torn"
            " join picture on coalesce(pixel_sha256, sha256) = content join first using (content)"
            " where first.species <> picture.species and first.path < picture.path group by picture.path)"
            " select one.path, one.species, other.path, other.species, one.sha256 = other.sha256 from found"
            " join picture one on one.path = found.path join picture other on other.path = found.other order by 1"
        )
        for path, species, other, other_species, same_file in self._db.execute(query):
            yield path, from_text(species), other, from_text(other_species), bool(same_file)

    def has_picture(self, session: str, sha256: str) -> bool:
        """Whether a session holds a picture of this SHA-256."""
        query = "select exists (select 1 from picture where session = ? and sha256 = ?)"
        return bool(self._db.execute(query, (session, sha256)).fetchone()[0])

    def picture_totals(self, session: str | None = None) -> tuple[int, int]:
        """Number and bytes of the pictures of one session, or of all."""
        query = "select count(*), coalesce(sum(size), 0) from picture"
        if session is not None:
            query += " where session = ?"
        number, size = self._db.execute(query, () if session is None else (session,)).fetchone()
        return number, size

    def same_as(self, path: str, bits: int) -> tuple[str, str] | None:
        """The picture of this upload that is closest to one, among those before it in the order of paths.

        Args:
            path: the picture.
            bits: pictures look alike if their perceptual hashes differ in at most so many bits.

        Returns:
            `same file`, `same pixels` or `near`, and the other's path; None if there is none.
        """
        query = "select sha256, pixel_sha256, looks from picture where path = ?"
        sha256, pixel_sha256, looks = self._db.execute(query, (path,)).fetchone()
        for relation, column, value in (("same file", "sha256", sha256), ("same pixels", "pixel_sha256", pixel_sha256)):
            row = self._db.execute(
                f"select min(path) from picture where {column} = ? and path < ?", (value, path)
            ).fetchone()
            if row[0] is not None:
                return relation, row[0]
        if not looks:
            return None
        # Indexing all bands at once is far faster than sorting the rows of each picture as it comes.
        self._db.execute("create index if not exists band_band on band (band, path)")
        bands = hash_bands(bytes.fromhex(looks))
        # Of very many that look alike some are enough.
        rows = self._db.execute(
            "select distinct picture.path, looks from band join picture using (path)"
            f" where band in ({', '.join('?' * len(bands))}) and band.path < ? limit {_MOST_ALIKE}",
            (*bands, path),
        )
        own = bytes.fromhex(looks)
        distances = [(distance(own, bytes.fromhex(other)), found) for found, other in rows]
        nearest = min(distances, default=None)
        return ("near", nearest[1]) if nearest and nearest[0] <= bits else None

    def measured(self, column: Literal["quality", "sharpness"]) -> tuple[float, float, float] | None:
        """The least, the median and the greatest quality score or sharpness; None if no picture has one."""
        number, low, high = self._db.execute(
            f"select count({column}), min({column}), max({column}) from picture"
        ).fetchone()
        if not number:
            return None
        middle = f"select {column} from picture where {column} is not null order by {column} limit 1 offset ?"
        return low, self._db.execute(middle, ((number - 1) // 2,)).fetchone()[0], high

    def contradicting_copies(self) -> Iterator[tuple[str, str]]:
        """Files that are in a session twice with different values: each with the first of its copies."""
        query = (
            "select picture.path, first.path, one.record, other.record from picture"
            " join (select session, sha256, min(path) as path from picture group by session, sha256"
            "  having count(*) > 1) as copied using (session, sha256)"
            " join picture as first on first.path = copied.path and first.path <> picture.path"
            " join described as one on one.number = picture.described"
            " join described as other on other.number = first.described"
            " where picture.described <> first.described order by picture.path"
        )
        for path, first, one, other in self._db.execute(query):
            if _without_origin(one) != _without_origin(other):
                yield path, first

    def leave_out_copies(self) -> None:
        """Remove all but the first of equal files in a session, which are one picture."""
        self._db.execute(
            "delete from picture where path <> (select min(path) from picture as other"
            " where other.session = picture.session and other.sha256 = picture.sha256)"
        )

    # What earlier imports stored

    def add_earlier(self, picture_sets: Mapping[str, UUID], pictures: Iterable[EarlierPicture]) -> None:
        """Add what earlier imports of the sessions stored; of two pictures with the same file the live one counts.

        Args:
            picture_sets: of each session, by its path.
            pictures: of those picture sets.
        """
        path_of = {identifier: path for path, identifier in picture_sets.items()}
        self._db.executemany(
            "insert into earlier values (?, ?, ?, ?, ?, ?, ?, null) on conflict do update set id = excluded.id,"
            " name = excluded.name, kinds = excluded.kinds, live = excluded.live,"
            " sent_earlier = excluded.sent_earlier where excluded.live > earlier.live",
            (
                (
                    path_of[picture.picture_set],
                    picture.sha256,
                    str(picture.id),
                    picture.name,
                    kinds_as_text(picture.shows),
                    picture.live,
                    picture.sent_earlier,
                )
                for picture in pictures
            ),
        )

    def still_staged(self, session: str, until: datetime) -> bool:
        """Whether a picture of a session is still the staged file that an earlier import stored.

        Args:
            session: path of its folder.
            until: when the latest file of that import was written.
        """
        return bool(
            self._db.execute(
                "select exists (select 1 from picture join earlier using (session, sha256) join file using (path)"
                " where picture.session = ? and live and julianday(modified) <= julianday(?))",
                (session, until.isoformat()),
            ).fetchone()[0]
        )

    def correct(self, session: str, *, in_place: bool, replace: bool) -> Correction:
        """Decide what becomes of the pictures that earlier imports of a session stored.

        Args:
            session: path of its folder.
            in_place: whether the staged session is the imported one, corrected.
            replace: whether the uploader wants to remove pictures that are no longer there.

        Returns:
            What importing the session changes.
        """
        gone = "session = ? and live and sha256 not in (select sha256 from picture where session = ?)"
        both = (session, session)
        removed = 0
        if replace or in_place:
            removed = self._db.execute(
                f"update earlier set becomes = 'taken out' where {gone} and (? or not sent_earlier)", (*both, replace)
            ).rowcount
        else:
            self._db.execute(f"update earlier set becomes = 'sent earlier' where {gone} and not sent_earlier", both)
        relabelled, unchanged = self._db.execute(
            "select coalesce(sum(earlier.kinds is not picture.kinds), 0),"
            " coalesce(sum(earlier.kinds is picture.kinds), 0)"
            " from picture join earlier using (session, sha256) where session = ? and live",
            (session,),
        ).fetchone()
        added = self.picture_totals(session)[0] - relabelled - unchanged
        return Correction(added=added, removed=removed, relabelled=relabelled, unchanged=unchanged)

    def absent(self, session: str, *, taken_out: bool, most: int) -> tuple[int, list[str]]:
        """Pictures of earlier imports that a session does not hold any more: how many, and the first names.

        Args:
            session: path of its folder.
            taken_out: count those that are removed; else those that stay because they were sent earlier.
            most: names at most.
        """
        which = (session, "taken out" if taken_out else "sent earlier")
        rows = self._db.execute("select count(*) from earlier where session = ? and becomes = ?", which)
        number = int(rows.fetchone()[0])
        names = "select name from earlier where session = ? and becomes = ? order by name limit ?"
        return number, [row[0] for row in self._db.execute(names, (*which, most))]

    def identifiers_of_absent(self, session: str, *, taken_out: bool) -> Iterator[UUID]:
        """The identifiers of those pictures."""
        query = "select id from earlier where session = ? and becomes = ?"
        for row in self._db.execute(query, (session, "taken out" if taken_out else "sent earlier")):
            yield UUID(row[0])

    def latest_picture(self, session: str) -> datetime | None:
        """When the latest staged picture of a session was written, None if it has none."""
        query = "select max(modified) from file join picture using (path) where picture.session = ?"
        latest = self._db.execute(query, (session,)).fetchone()[0]
        return datetime.fromisoformat(latest) if latest else None

    def leave_out_refused_pictures(self) -> None:
        """Remove the pictures that have an error of their own."""
        self._db.execute("delete from picture where path in (select path from finding where severity = 'error')")

    # Thumbnails

    def add_thumbnail(self, path: str, jpeg: bytes) -> None:
        """Keep a small view of a picture."""
        self._db.execute("insert or replace into thumbnail values (?, ?)", (path, jpeg))

    def has_thumbnail(self, path: str) -> bool:
        """Whether a small view of a picture was kept."""
        return self._db.execute("select 1 from thumbnail where path = ?", (path,)).fetchone() is not None

    def thumbnails(self) -> Iterator[tuple[str, bytes]]:
        """The small views that were kept, by path."""
        yield from self._db.execute("select path, jpeg from thumbnail order by path")

    # Findings

    def add_finding(self, finding: Finding) -> None:
        """Add a finding, with the severity that the rule set gives it."""
        severity = self.rule_set.severity_of(finding.code)
        if severity is not finding.severity:
            finding = finding.model_copy(update={"severity": severity})
        # Findings with the same key are shown as one group with several places.
        alike = finding.model_dump_json(include={"code", "field", "expected", "found", "suggestion", "advice"})
        self._db.execute(
            "insert into finding (code, severity, path, line, alike, record) values (?, ?, ?, ?, ?, ?)",
            (finding.code, finding.severity, finding.path, finding.line, alike, finding.model_dump_json()),
        )

    def forget_findings(self) -> None:
        """Remove all findings so far."""
        self._db.execute("delete from finding")

    def findings(self) -> Iterator[Finding]:
        """All findings, errors first, then by path."""
        rows = self._db.execute(f"select record from finding order by {_WORST_FIRST}, path, line, code, number")
        return (Finding.model_validate_json(row[0]) for row in rows)

    def alike_findings(self, *, groups: int, places: int) -> Iterator[tuple[int, list[Finding]]]:
        """Groups of findings that differ only in their place: how many each has, and the first of them.

        Args:
            groups: how many groups, at most, errors first.
            places: how many findings of each, at most.
        """
        # The first groups of every code come before the rest of any, so that no code crowds out another.
        query = (
            "with grouped as (select alike, code, severity, count(*) as number, min(path) as first from finding"
            " group by alike),"
            " ranked as (select *, row_number() over (partition by code order by first, alike) as place from grouped)"
            f" select alike, number from ranked order by place > {_GROUPS_OF_EVERY_CODE}, {_WORST_FIRST}, code, first,"
            " alike limit ?"
        )
        for alike, count in self._db.execute(query, (groups,)).fetchall():
            rows = self._db.execute(
                "select record from finding where alike = ? order by path, line, number limit ?", (alike, places)
            )
            yield count, [Finding.model_validate_json(row[0]) for row in rows]

    def places_of_errors(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Each path with an error, once, and the sessions that the error names."""
        query = "select distinct path, json_extract(record, '$.sessions') from finding where severity = 'error'"
        for path, sessions in self._db.execute(query):
            yield path, tuple(json.loads(sessions))

    def places_of_findings(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Code and path of each finding, and the sessions that it names."""
        for code, path, sessions in self._db.execute(
            "select code, path, json_extract(record, '$.sessions') from finding"
        ):
            yield code, path, tuple(json.loads(sessions))

    def first_pictures(self, code: str, most: int) -> list[tuple[str, str | None]]:
        """Path, and path of the other picture, of the first findings of a code."""
        query = "select path, json_extract(record, '$.other') from finding where code = ? order by path limit ?"
        return [(path, other) for path, other in self._db.execute(query, (code, most))]

    def finding_counts(self) -> dict[str, int]:
        """How many findings there are of each code."""
        return dict(self._db.execute("select code, count(*) from finding group by code order by code"))

    def severity_counts(self) -> dict[Severity, int]:
        """How many findings there are of each severity; every severity is a key."""
        found = dict(self._db.execute("select severity, count(*) from finding group by severity"))
        return {severity: found.get(severity, 0) for severity in Severity}
