"""Validates an upload, from listing to verdict: the step that the UI calls `validated_manifest`."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.contract.checksums import checksums, record_checksums
from nachet_pipeline.contract.corrections import correct
from nachet_pipeline.contract.duplicates import duplicates
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import FileKind, FileList, Inventory, InventoryFile, PictureRecord
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.manifest import ManifestSession, content_digest, describe_sessions
from nachet_pipeline.contract.marks import COMPLETE_MARKER, Mark
from nachet_pipeline.contract.metadata import NUMBER_OF_SEEDS, MetadataFile, PictureMetadata, inherit
from nachet_pipeline.contract.other_pictures import record_other_pictures
from nachet_pipeline.contract.photographs import judged_photographs, waiting_pictures
from nachet_pipeline.contract.report import Report
from nachet_pipeline.contract.rules import FOLDER_RULES
from nachet_pipeline.contract.rules.indexes import missing_seed
from nachet_pipeline.contract.rules.seed_registered import number_findings, seed_findings, unnamed_seeds
from nachet_pipeline.contract.rules.stand_ins import stand_ins, would_be_pictures
from nachet_pipeline.contract.sessions import (
    Context,
    Owner,
    Session,
    Wishes,
    read_metadata_file,
    read_sessions,
    read_wishes,
    shown_by,
)
from nachet_pipeline.contract.shown import Shown
from nachet_pipeline.contract.stored import Correction, StoredPictures, StoredSet
from nachet_pipeline.contract.structure import Shape, picture_format, take_inventory
from nachet_pipeline.contract.understood import UnderstoodSession, session_around, understand
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.identifiers import picture_set_id
from nachet_pipeline.pictures.decoding_pool import DecodingPool, Inspection
from nachet_pipeline.pictures.inspected import Inspected, Thumbnail
from nachet_pipeline.pictures.issues import Issue
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.support.bounded import MemoryBudget, bounded_map
from nachet_pipeline.support.files import SourceFolder, StagedFile
from nachet_pipeline.support.i18n import Bilingual
from nachet_pipeline.support.progress import Progress, silent

THUMBNAILS = 24
"""Pictures of an upload that its contact sheet shows, at most; spread evenly over sessions and their pictures."""

THUMBNAILS_OF_CONCERN = 60
"""Pictures with a finding that a report can show."""

_COMPARED = ("duplicate-picture", "near-duplicate-picture", "label-conflict", "copies-differ", "withdrawn-picture")
"""Codes of findings that follow once all pictures are read; then those concerned are read again for the report."""

_COMPARED_SHOWN = 12


class WithdrawnError(RefusedError):
    """The folder's user withdrew it; nothing of it is to be imported."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"{folder} is withdrawn")


@dataclass(frozen=True, slots=True)
class Validation:
    """The result of a validation.

    Attributes:
        shape: the folder's shape, None if it has neither.
        report: the findings; without an error among them the upload can be imported.
        sessions: the sessions as the manifest states them, sorted by path.
        refused: paths of the sessions that have an error; all of them, if an error concerns the whole upload.
        removed_sessions: picture sets of sessions that the uploader wants to remove, by the session's path.
        accept_valid: whether the index asks to import the sessions that are not refused.
        content_digest: SHA-256 over the sessions' digests.
        pictures: number of pictures.
        size: their bytes.
        quality: the least, the median and the greatest quality score; None if nothing was measured.
        sharpness: likewise.
        understood: what was understood of the sessions, `SESSIONS_KEPT` of them at most.
        folder_findings: findings that concern no session, by code.
        staged_at: when the last of its files was written.
        thumbnails: a few pictures by path, as small JPEGs.
    """

    shape: Shape | None
    report: Report
    sessions: list[ManifestSession]
    refused: frozenset[str]
    removed_sessions: dict[str, UUID]
    accept_valid: bool
    content_digest: str
    pictures: int
    size: int
    quality: tuple[float, float, float] | None
    sharpness: tuple[float, float, float] | None
    understood: list[UnderstoodSession]
    folder_findings: dict[str, int]
    staged_at: datetime | None
    thumbnails: dict[str, bytes] = field(repr=False)

    @property
    def correction(self) -> Correction:
        """What importing all sessions changes."""
        return sum((one.correction for one in self.sessions if one.correction), Correction())

    def accepted(self, *, accept_valid: bool = False) -> list[ManifestSession]:
        """The sessions to import: all or none, unless the uploader accepts those without an error.

        Args:
            accept_valid: whether the uploader accepts them, whatever the index says.
        """
        if self.report.importable:
            return self.sessions
        if accept_valid or self.accept_valid:
            return [session for session in self.sessions if session.path not in self.refused]
        return []


def validate(
    folder: SourceFolder,
    inventory: Inventory,
    pool: DecodingPool,
    registry: SeedRegistry,
    *,
    owner: Owner | None = None,
    limits: ContractLimits | None = None,
    for_storing: bool = True,
    readers: int = 4,
    progress: Progress = silent,
    early: Callable[[Report], None] | None = None,
    stored: StoredPictures | None = None,
    replace: bool = False,
) -> Validation:
    """Validate an upload: list it, read its indexes, decode its pictures, apply every rule.

    Everything wrong is found in one pass. Nothing but the inventory is written.

    Args:
        folder: the upload.
        inventory: an empty one; afterwards it holds the upload's files, pictures and findings.
        pool: decodes the pictures.
        registry: the registered seeds.
        owner: whose container the upload lies in, if it lies in one.
        limits: how much is read and held.
        for_storing: whether the pictures will be stored, which needs another checksum of each.
        readers: pictures read at a time.
        progress: called after every picture.
        stored: answers what is stored already; None where nothing is.
        replace: whether stored pictures that a session does not hold any more are removed, whenever they were sent.
        early: called before any picture is read, if names, numbers and indexes alone refuse the upload.

    Raises:
        FileChangedError: a file changed or vanished meanwhile, so there is no verdict yet.
        WithdrawnError: its user withdrew it.
    """
    limits = limits or ContractLimits()
    pool.begin()  # a decoder starts while the folder is listed
    context = judge_folder(folder, inventory, registry, owner=owner, limits=limits)
    if early and inventory.severity_counts()[Severity.ERROR]:
        early(Report.of(inventory))
    _, size = inventory.total()
    pool.begin(size)
    thumbnails = read_pictures(
        folder, context, pool, limits=limits, for_storing=for_storing, readers=readers, progress=progress
    )
    _record_findings(inventory, checksums(inventory))
    replace = replace or inventory.replace_wanted
    wishes = read_wishes(context.project, context.sessions, replace=replace)
    validation = _compare_with_stored(context, folder.name, stored, wishes, thumbnails)
    _show_compared(folder, inventory, pool, thumbnails, limits)
    return validation


def judge_folder(
    folder: SourceFolder,
    inventory: Inventory,
    registry: SeedRegistry,
    *,
    owner: Owner | None = None,
    limits: ContractLimits,
) -> Context:
    """List an upload, read its indexes, and apply the rules that need none of its pictures.

    Args:
        folder: the upload.
        inventory: an empty one; afterwards it holds the upload's files and findings.
        registry: the registered seeds.
        owner: whose container the upload lies in, if it lies in one.
        limits: how much is read.

    Raises:
        FileChangedError: a file changed or vanished meanwhile.
        WithdrawnError: its user withdrew it.
    """
    shape = take_inventory(folder, inventory, limits)
    if inventory.mark is Mark.WITHDRAWN:
        raise WithdrawnError(folder.name)
    if inventory.mark is Mark.STAGING:
        inventory.forget_findings()
        inventory.add_finding(Finding(code="staging-interrupted", path=COMPLETE_MARKER))
    if inventory.mark is Mark.STAGING or inventory.file_list is FileList.UNUSABLE:
        return Context(inventory, None, None, [], registry, owner)  # whatever else is found may be no mistake
    record_checksums(folder, inventory, limits)
    record_other_pictures(folder, inventory, shape)
    project, sessions = read_sessions(folder, inventory, shape, limits)
    context = Context(
        inventory,
        shape,
        project,
        sessions,
        registry,
        owner,
        stand_ins=stand_ins(inventory, shape, project, sessions),
        would_be_pictures=would_be_pictures(inventory, shape, sessions),
    )
    for rule in FOLDER_RULES:
        _record_findings(inventory, rule(context))
    return context


def _compare_with_stored(
    context: Context, folder: str, stored: StoredPictures | None, wishes: Wishes, thumbnails: dict[str, bytes]
) -> Validation:
    """Compare the pictures, which were read, with each other and with stored ones, and conclude the validation."""
    inventory, sessions = context.inventory, context.sessions
    paths = [session.path for session in sessions]
    known = stored.sets() if stored else None
    picture_sets = _picture_sets(context, folder, known or {})
    if stored:
        inventory.add_earlier(picture_sets, stored.earlier(list(picture_sets.values())))
    _record_findings(inventory, duplicates(inventory, paths, picture_sets, stored.matches if stored else None))
    inventory.leave_out_copies()
    refused = _refused(inventory, context.shape, set(paths))
    corrected = correct(inventory, [one for one in sessions if one.path not in refused], known, wishes)
    _record_findings(inventory, corrected.findings)
    waiting = waiting_pictures(inventory, paths, picture_sets, stored)
    _record_findings(inventory, unnamed_seeds(sessions, waiting))
    described = describe_sessions(inventory, sessions, context.registry, picture_sets, corrected.sessions, waiting)
    _record_findings(inventory, judged_photographs(inventory, paths, picture_sets, context.registry, stored))
    pictures, size = inventory.picture_totals()
    understood, elsewhere = understand(context, described)
    return Validation(
        shape=context.shape,
        report=Report.of(inventory),
        sessions=described,
        removed_sessions=corrected.removed,
        refused=_refused(inventory, context.shape, set(paths)),
        accept_valid=wishes.accept_valid,
        content_digest=content_digest(described),
        pictures=pictures,
        size=size,
        quality=inventory.measured("quality"),
        sharpness=inventory.measured("sharpness"),
        understood=understood,
        folder_findings=elsewhere,
        staged_at=inventory.newest(),
        thumbnails=thumbnails,
    )


def _show_compared(
    folder: SourceFolder,
    inventory: Inventory,
    pool: DecodingPool,
    thumbnails: Mapping[str, bytes],
    limits: ContractLimits,
) -> None:
    """Keep thumbnails of the first pictures that equal others, and of those that they equal; a few are read again."""
    concerned = (inventory.first_pictures(code, _COMPARED_SHOWN) for code in _COMPARED)
    paths = dict.fromkeys(path for pairs in concerned for pair in pairs for path in pair if path)
    wanted: list[StagedFile] = []
    for path in paths:
        if path in thumbnails:
            inventory.add_thumbnail(path, thumbnails[path])
        elif not inventory.has_thumbnail(path) and (file := inventory.picture_file(path)):
            wanted.append(file)

    def show(file: StagedFile) -> tuple[str, bytes | None]:
        picture_type = picture_format(file.path) or ""
        seen = pool.inspect(folder.read(file), picture_type, thumbnail=Thumbnail.ALWAYS).result()
        return file.path, seen.thumbnail

    shown = bounded_map(
        show,
        wanted[: 2 * _COMPARED_SHOWN],
        workers=pool.settings.workers,
        budget=MemoryBudget(limits.memory_bytes),
        size=lambda file: file.size,
        name="show",
    )
    for path, jpeg in shown:
        if jpeg:
            inventory.add_thumbnail(path, jpeg)


def read_pictures(
    folder: SourceFolder,
    context: Context,
    pool: DecodingPool,
    *,
    limits: ContractLimits,
    for_storing: bool = True,
    readers: int = 4,
    progress: Progress = silent,
) -> dict[str, bytes]:
    """Read, hash and decode the pictures of a context's sessions; add them and their findings to its inventory.

    Args:
        folder: what the pictures are read from.
        context: the sessions with their values, and the inventory with their files.
        pool: decodes the pictures.
        limits: how much is kept in memory.
        for_storing: whether the pictures will be stored, which needs another checksum of each.
        readers: pictures read at a time.
        progress: called after every picture.

    Returns:
        A few thumbnails by path, spread evenly.

    Raises:
        FileChangedError: a picture changed or vanished meanwhile.
    """
    return _Pictures(folder, context, pool, limits, for_storing, progress).read(readers)


def _picture_sets(context: Context, folder: str, known: Mapping[str, StoredSet]) -> dict[str, UUID]:
    """The picture set of each session: the stored one if there is one, else a new one; empty if nobody owns it."""
    if context.owner is None:
        return {}
    paths = [session.path for session in context.sessions]
    return {path: known[path].id if path in known else picture_set_id(context.owner.id, folder, path) for path in paths}


def _record_findings(inventory: Inventory, findings: Iterable[Finding]) -> None:
    for finding in findings:
        inventory.add_finding(finding)


def _refused(inventory: Inventory, shape: Shape | None, sessions: set[str]) -> frozenset[str]:
    """The sessions that errors concern: those an error names, else the session of its file, else all."""
    refused: set[str] = set()
    for path, named in inventory.places_of_errors():
        concerned = set(named) or {session_around(path, shape)}
        if not concerned <= sessions:
            return frozenset(sessions)
        refused |= concerned
    return frozenset(refused)


@dataclass(frozen=True, slots=True)
class _Read:
    """A picture after reading: its hashes, its own YAML file, and its inspection."""

    sha256: str
    md5: str
    metadata: MetadataFile | None
    inspection: Inspection


@dataclass(frozen=True, slots=True)
class _Listed:
    """A picture before reading.

    Attributes:
        session: its session.
        entry: its file.
        metadata: the YAML file that describes it.
        sample: whether a contact sheet shows it.
        cut: whether the list in the folder's marker says another size.
    """

    session: Session
    entry: InventoryFile
    metadata: StagedFile | None
    sample: bool
    cut: bool


class _Pictures:
    """Reads and judges an upload's pictures, a bounded number and a bounded number of bytes at a time."""

    def __init__(
        self,
        folder: SourceFolder,
        context: Context,
        pool: DecodingPool,
        limits: ContractLimits,
        for_storing: bool,
        progress: Progress,
    ) -> None:
        self.folder, self.context, self.pool, self.limits, self.progress = folder, context, pool, limits, progress
        self.for_storing = for_storing
        self.inventory = context.inventory
        self.budget = MemoryBudget(limits.memory_bytes)
        self.shown = 0
        self._last_shown: tuple[str | None, tuple[Shown, ...]] = (None, ())

    def read(self, readers: int) -> dict[str, bytes]:
        """Read all of them.

        Returns:
            A few thumbnails by path, spread evenly.
        """
        thumbnails: dict[str, bytes] = {}
        total = sum(session.pictures for session in self.context.sessions)
        window = 2 * (readers + self.pool.settings.workers)
        # The threads wait for the network only; what they read waits for the decoders in its inspection.
        for done, (listed, result) in enumerate(
            bounded_map(self._read, self._listed(), workers=readers, window=window, name="read"), start=1
        ):
            if result:
                seen = result.inspection.result()
                concerned = self._judge(listed.session, listed.entry, result, seen)
                if seen.thumbnail and listed.sample:
                    thumbnails[listed.entry.file.path] = seen.thumbnail
                if seen.thumbnail and concerned and self.shown < THUMBNAILS_OF_CONCERN:
                    self.shown += 1
                    self.inventory.add_thumbnail(listed.entry.file.path, seen.thumbnail)
            self.progress(done, total)
        return thumbnails

    def _listed(self) -> Iterator[_Listed]:
        """The pictures, session by session; some of each are samples for the contact sheet, while it has room."""
        sessions = self.context.sessions
        every, of_each, sampled = -(-len(sessions) // THUMBNAILS), max(1, THUMBNAILS // max(1, len(sessions))), 0
        for place, session in enumerate(sessions):
            described = self.inventory.count(FileKind.PICTURE_METADATA, session.path) > 0
            step = max(1, -(-session.pictures // of_each)) if place % every == 0 else 0
            for number, entry in enumerate(self.inventory.files(FileKind.PICTURE, session.path)):
                metadata = self.inventory.metadata_file(entry.stem) if described else None
                sample = step > 0 and number % step == 0 and sampled < THUMBNAILS
                sampled += sample
                cut = not self.inventory.is_as_listed(entry.file.path, entry.file.size)
                yield _Listed(session, entry, metadata, sample=sample, cut=cut)

    def _read(self, listed: _Listed) -> tuple[_Listed, _Read | None]:
        """What is to be known of a picture; None of an empty file or one of another size than it was sent with."""
        file, metadata = listed.entry.file, listed.metadata
        if not file.size or listed.cut:
            return listed, None
        own = read_metadata_file(self.folder, metadata, PictureMetadata, self.limits) if metadata else None
        most = self.pool.settings.limits.file_bytes
        if file.size > most:  # told without reading it
            issue = Issue(
                "picture-too-large",
                expected=Bilingual(f"at most {most} bytes", f"au plus {most} octets"),
                found=Bilingual(f"{file.size} bytes", f"{file.size} octets"),
            )
            return listed, _Read("", "", own, Inspection.told(Inspected(None, (issue,), None)))
        wanted = Thumbnail.IF_REMARKABLE if self.shown < THUMBNAILS_OF_CONCERN else Thumbnail.NEVER
        if listed.sample or (own and own.findings and wanted is not Thumbnail.NEVER):
            wanted = Thumbnail.ALWAYS
        give_back = self.budget.take(file.size)
        try:
            content = self.folder.read(file)
            inspection = self.pool.inspect(content, picture_format(file.path) or "", thumbnail=wanted)
            inspection.then(give_back)
        except BaseException:
            give_back()
            raise
        sha256 = hashlib.sha256(content).hexdigest()
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest() if self.for_storing else ""
        return listed, _Read(sha256, md5, own, inspection)

    def _shown_by(self, session: Session) -> tuple[Shown, ...]:
        """The seeds that a session names, looked up once for all its pictures that say nothing else."""
        if self._last_shown[0] != session.path:
            self._last_shown = (session.path, shown_by(session.values, self.context.registry))
        return self._last_shown[1]

    def _judge(self, session: Session, entry: InventoryFile, read: _Read, seen: Inspected) -> bool:
        """Add the findings about a picture and its YAML file; add the picture if it can be imported.

        Returns:
            Whether there was a finding.
        """
        inventory, values, path, other_seeds = self.inventory, session.values, entry.file.path, False
        findings: list[Finding] = []
        if read.metadata:
            values = inherit(values, read.metadata.values)
            findings.extend(read.metadata.findings)
            other_seeds = any(name.startswith("seedData.") for name in read.metadata.values)
            if other_seeds:
                findings.extend(seed_findings(values, self.context.registry))
                if not read.metadata.is_wrong("seedData"):
                    findings.extend(missing_seed(values, read.metadata.path))
            elif NUMBER_OF_SEEDS in read.metadata.values:
                findings.extend(number_findings(values))
            if read.metadata.sha256:
                inventory.record_sha256(read.metadata.path, read.metadata.sha256)
        findings.extend(
            Finding(
                code=issue.code,
                path=path,
                field=issue.field,
                expected=issue.expected,
                found=issue.found,
                advice=issue.advice,
            )
            for issue in seen.issues
        )
        if read.sha256:
            inventory.record_sha256(path, read.sha256)
            if not inventory.is_as_listed(path, entry.file.size, read.sha256):
                return False  # that it was damaged on its way is reported once
        _record_findings(inventory, findings)
        if properties := seen.properties:
            inventory.add_picture(
                PictureRecord(
                    path=path,
                    session=session.path,
                    version=entry.file.version,
                    size=entry.file.size,
                    sha256=read.sha256,
                    md5=read.md5,
                    picture_format=properties.picture_format,
                    width=properties.width,
                    height=properties.height,
                    mode=properties.mode,
                    resolution=properties.resolution,
                    values=values,
                    shows=shown_by(values, self.context.registry) if other_seeds else self._shown_by(session),
                    enrichment=properties.enrichment,
                )
            )
        return bool(findings)
