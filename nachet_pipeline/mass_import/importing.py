"""Importing what lies in a container already: one folder is one picture set, and no byte is moved or rewritten.

Folders are imported in batches: read and decoded together, so that small folders keep every reader busy, and recorded
in one transaction. A folder whose files, description and rules have not changed is skipped without reading a blob. So
an interrupted import continues where it was, and one that is run twice changes nothing.

A large container can be split into shards by its folders, which several processes import at the same time. A run of the
whole container follows: it skips what the shards did, imports what they left undone, and reports on the container.
"""

import hashlib
import json
import logging
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain
from uuid import UUID

from nachet_pipeline.contract.duplicates import duplicates
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import FileKind, Inventory, PictureRecord
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.manifest import ManifestSession, describe_session, picture_name
from nachet_pipeline.contract.names import fold, is_hidden, is_litter, printable, too, unusual_part, usual, why_unsafe
from nachet_pipeline.contract.photographs import judged_photographs, waiting_pictures
from nachet_pipeline.contract.report import Report, as_json_lines
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.contract.rules.seed_registered import pictures_waiting
from nachet_pipeline.contract.sessions import Context, Owner, Session, shown_by, species_shown
from nachet_pipeline.contract.shown import as_text, species_in_words
from nachet_pipeline.contract.stored import Candidate, Match
from nachet_pipeline.contract.structure import PICTURE_FORMATS, picture_format
from nachet_pipeline.contract.validation import read_pictures
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.folders.queries import put_away_sets
from nachet_pipeline.identifiers import found_picture_set_id, mass_import_id, mass_import_report_blob
from nachet_pipeline.mass_import.errors import MassImportError
from nachet_pipeline.mass_import.listing import ContainerListing, ListedFolder
from nachet_pipeline.mass_import.mapping import Description, FolderMapping
from nachet_pipeline.mass_import.queries import (
    DoneFolder,
    begin_mass_import,
    checksums_of,
    done_folder,
    finish_mass_import,
    mass_import_lock,
    record_folders,
    recorded_findings,
    refuse_other_owner,
)
from nachet_pipeline.picture_sets.duplicates import find_duplicates
from nachet_pipeline.picture_sets.queries import RowsWritten, record_picture_sets
from nachet_pipeline.picture_sets.records import Origin, RecordedSet
from nachet_pipeline.picture_sets.stored_upload import StoredUpload
from nachet_pipeline.picture_sets.storing import store_picture_set
from nachet_pipeline.pictures.decoding_pool import DecodingPool
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.settings import TransferSettings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.batches import batched
from nachet_pipeline.support.files import FileChangedError, StagedFile
from nachet_pipeline.support.i18n import Bilingual
from nachet_pipeline.support.progress import Progress, silent
from nachet_pipeline.support.shards import SECTIONS, WHOLE, Shard, section_of, shards
from nachet_pipeline.users.queries import find_user
from nachet_pipeline.users.user import User

log = logging.getLogger(__name__)

FOLDERS_SHOWN = 1_000
"""An outcome names this many folders at most; its counts are always complete."""

_BATCH_PICTURES = 500
_BATCH_FOLDERS = 200
_CHECKED_AT_A_TIME = 1_000
_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")
_LONGEST_NAME = 63
_OURS = ("user-", "upload-", "training-", "archive-")
_SUFFIXES = ", ".join(PICTURE_FORMATS)


class Result(StrEnum):
    """What becomes of a folder; in a dry run, what would."""

    TAKEN = "taken"
    """Its pictures have rows now."""
    UNCHANGED = "unchanged"
    """Neither its files nor its description changed since it was imported."""
    REFUSED = "not taken"
    """None of its pictures was taken; the findings say why."""
    EMPTY = "no pictures"
    """It holds none."""


@dataclass(frozen=True, slots=True)
class MassImportRequest:
    """What is asked for.

    Attributes:
        container: the container.
        owner: e-mail address of the registered user whom the pictures belong to.
        mapping: describes what the folders show.
        prefix: the one folder to look into, with all below; empty for the whole container.
        adopt: copy the pictures into the owner's container, where uploads go; else they stay where they are.
        dry_run: report what would be done, and write nothing.
        part: the shard whose folders are imported; several processes import several shards at the same time.
    """

    container: str
    owner: str
    mapping: FolderMapping = field(default_factory=FolderMapping)
    prefix: str = ""
    adopt: bool = False
    dry_run: bool = False
    part: Shard = WHOLE


@dataclass(frozen=True, slots=True)
class FolderOutcome:
    """What became of a folder.

    Attributes:
        folder: its path in the container.
        result: what became of it.
        species: what it shows, None if that is not known.
        zoom: its zoom, likewise.
        seeds: seeds in each picture, likewise.
        split: the side that an earlier training had it on, likewise.
        pictures: files with the name of a picture.
        size: bytes of those.
        taken: pictures that have a row, or in a dry run would have.
        not_taken: files that have none, without what programs leave behind.
        picture_set: the picture set that it is.
        adopted: whether its pictures are copied.
    """

    folder: str
    result: Result
    species: str | None
    zoom: str | None
    seeds: str | None
    split: str | None
    pictures: int
    size: int
    taken: int
    not_taken: int
    picture_set: UUID | None
    adopted: bool


@dataclass(slots=True)
class MassImportOutcome:
    """How a mass import ended, or what it has come to so far.

    Attributes:
        container: the container.
        owner: the user's e-mail address.
        dry_run: whether nothing was written.
        report: everything found.
        folders: the folders by path, `FOLDERS_SHOWN` of them at most.
        results: how many folders there are of each result.
        pictures: files with the name of a picture.
        size: bytes of those.
        taken: pictures that have a row, those of unchanged folders among them.
        not_taken: files that have none, without what programs leave behind.
        rows: rows that changed.
        report_blob: where all findings are listed, in the owner's upload container; None after a dry run, or of a
            shard: what a shard found is listed by the run of the whole.
    """

    container: str
    owner: str
    dry_run: bool
    report: Report
    folders: list[FolderOutcome] = field(default_factory=list)
    results: dict[Result, int] = field(default_factory=lambda: dict.fromkeys(Result, 0))
    pictures: int = 0
    size: int = 0
    taken: int = 0
    not_taken: int = 0
    rows: RowsWritten = field(default_factory=RowsWritten)
    report_blob: str | None = None

    def add(self, folder: FolderOutcome) -> None:
        """Count a folder."""
        if len(self.folders) < FOLDERS_SHOWN:
            self.folders.append(folder)
        self.results[folder.result] += 1
        self.pictures += folder.pictures
        self.size += folder.size
        self.taken += folder.taken
        self.not_taken += folder.not_taken


class _Container:
    """A container as the folder that pictures are read from; their paths are those of their blobs."""

    staged = False

    def __init__(self, blobs: BlobStorage, container: str) -> None:
        self._blobs = blobs
        self.name = container

    def files(self) -> Iterator[StagedFile]:
        return self._blobs.files(self.name, "")

    def read(self, file: StagedFile) -> bytes:
        return self._blobs.read(self.name, file.path, file.version)

    def start(self, file: StagedFile, size: int) -> bytes:
        return self._blobs.read_start(self.name, file.path, file.version, size)


@dataclass(slots=True)
class _Work:
    """A folder that is to be imported."""

    listed: ListedFolder
    description: Description
    listing_digest: str
    description_digest: str
    adopted: bool
    known: DoneFolder | None
    changed: str | None = None
    taken: int = 0
    left_behind: int = 0
    recorded: RecordedSet | None = None

    @property
    def path(self) -> str:
        return self.listed.path

    @property
    def importable(self) -> bool:
        return not self.description.findings and self.changed is None

    @property
    def not_taken(self) -> int:
        return self.listed.files - self.left_behind - self.taken


@dataclass(slots=True)
class MassImporter:
    """Imports containers, one at a time; everything that is shared between them is opened once.

    Attributes:
        database: where rows go.
        blobs: where pictures are.
        pool: decodes pictures.
        registry: the registered seeds.
        rules: what judges pictures.
        limits: how much is read and held.
        transfer: how pictures are read and stored.
        progress: receives the progress of long work.
        waiting: called when another mass import of the same folders has to end first.
        batch_pictures: folders are read together up to so many pictures.
    """

    database: Database
    blobs: BlobStorage
    pool: DecodingPool
    registry: SeedRegistry
    rules: RuleSet
    limits: ContractLimits
    transfer: TransferSettings
    progress: Progress = silent
    waiting: Callable[[], None] = silent
    batch_pictures: int = _BATCH_PICTURES

    def run(self, request: MassImportRequest) -> MassImportOutcome:
        """Import a container, or report what would be imported.

        Raises:
            MassImportError: the container or the owner is none that can be taken.
            ContainerTakenError: the container is another user's.
            StorageError: storage does not answer; another call goes on where this one was.
            DatabaseError: likewise for the database.
        """
        with self._begun(request) as run:
            return run.go()

    def run_or_fan_out(self, request: MassImportRequest, pictures: int) -> "MassImportOutcome | list[Shard]":
        """Import a container, unless it is more than one run should do.

        Args:
            request: what is asked for.
            pictures: a run should import about so many at most.

        Returns:
            How it ended; or, if there is more to do, shards with about as much to do each, and nothing is imported.

        Raises:
            MassImportError: see `run`, for the other errors too.
        """
        with self._begun(request) as run:
            found = run.fan_out(pictures)
            return found if len(found) > 1 else run.go()

    @contextmanager
    def _begun(self, request: MassImportRequest) -> "Iterator[_Run]":
        refuse_container(request.container)
        owner = self.database.call(find_user, request.owner)
        if owner is None:
            raise MassImportError(f"{request.owner.strip()[:254]} is not registered; `nachet user add` registers users")
        if not self.blobs.container_exists(request.container):
            raise MassImportError(f"there is no container {request.container} in this storage account")

        def wanted(folder: str) -> bool:
            return found_picture_set_id(owner.id, request.container, folder) in request.part

        with (
            self.database.connection() as lock,
            mass_import_lock(lock, request.container, self.waiting, request.part),
        ):
            with self.database.connection() as connection:
                if request.dry_run:
                    refuse_other_owner(connection, request.container, owner)
                else:
                    begin_mass_import(connection, request.container, owner)
            with Inventory(rule_set=self.rules) as findings, ContainerListing() as listing:
                listing.read(self.blobs, request.container, request.prefix, wanted)
                yield _Run(self, request, owner, listing, findings)


def refuse_container(name: str) -> None:
    """Refuse names that no container to import can have.

    Raises:
        MassImportError: it is not the name of a container, or of one that the pipeline keeps itself.
    """
    if not _CONTAINER.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise MassImportError(
            f"expected the name of a container (3 to 63 lower-case letters, digits and hyphens), found {name[:80]!r}"
        )
    if name.startswith(_OURS):
        kinds = ", ".join(f"{prefix}…" for prefix in _OURS)
        raise MassImportError(
            f"{name} is one of the pipeline's own containers ({kinds}), which are never mass-imported"
        )


class _Run:
    """One mass import under way."""

    def __init__(
        self,
        importer: MassImporter,
        request: MassImportRequest,
        owner: User,
        listing: ContainerListing,
        findings: Inventory,
    ) -> None:
        self.importer, self.request, self.owner = importer, request, owner
        self.listing, self.findings = listing, findings
        self.outcome = MassImportOutcome(request.container, owner.email, request.dry_run, Report.of(findings))
        self._owner = Owner(owner.id, owner.email)
        self.id = mass_import_id(request.container)
        self.folder = _Container(importer.blobs, request.container)
        self.rule_set = findings.rule_set
        self.limits = importer.limits
        self.total = listing.pictures()
        self.done = 0

    def go(self) -> MassImportOutcome:
        batch: list[_Work] = []
        for listed in self.listing.folders():
            work = self._undone(listed)
            if work is None:
                continue
            pictures = sum(one.listed.pictures for one in batch)
            if batch and (
                batch[-1].adopted != work.adopted
                or len(batch) >= _BATCH_FOLDERS
                or pictures + listed.pictures > self.importer.batch_pictures
            ):
                self._import(batch)
                batch = []
            batch.append(work)
        if batch:
            self._import(batch)
        return self._end()

    def _end(self) -> MassImportOutcome:
        request, outcome = self.request, self.outcome
        outcome.folders.sort(key=lambda one: one.folder)
        outcome.report = Report.of(self.findings)
        if not request.dry_run and request.part == WHOLE:
            outcome.report_blob = mass_import_report_blob(request.container)
            with tempfile.TemporaryFile() as stream:
                for line in as_json_lines(self.findings.findings(), outcome.report):
                    stream.write(f"{line}\n".encode())
                self.importer.blobs.upload(
                    self.owner.upload_container,
                    outcome.report_blob,
                    stream,
                    content_type="application/jsonl",
                    overwrite=True,
                )
            self.importer.database.call(finish_mass_import, self.id)
        return outcome

    # Which folders are to be imported

    def fan_out(self, pictures: int) -> list[Shard]:
        """Shards with about so many pictures to import each; the whole alone, if there are not more."""
        if self.total <= pictures:
            return [WHOLE]
        weights = [0] * SECTIONS
        with self.importer.database.connection() as connection:
            for listed in self.listing.folders():
                work, done = self._work(connection, listed)
                if not done:
                    weights[section_of(self._picture_set(work))] += listed.pictures
        return shards(-(-sum(weights) // pictures), weights)

    def _work(self, connection: Connection, listed: ListedFolder) -> tuple[_Work, bool]:
        """What there is to do with a folder, and whether it was done before."""
        known = done_folder(connection, self.id, printable(listed.path))
        description = self.request.mapping.describe(listed.path, self.importer.registry)
        if not listed.pictures:
            description = replace(description, findings=())
        # A picture set stays where it is, even if the request says otherwise.
        adopted = known.adopted if known and known.picture_set_id else self.request.adopt
        work = _Work(
            listed,
            description,
            self.listing.digest(listed.path),
            self._digest(description, adopted=adopted),
            adopted,
            known,
        )
        digests = (work.listing_digest, work.description_digest)
        # A folder that somebody deleted or archived is not imported again.
        gone = bool(put_away_sets(connection, [self._picture_set(work)]))
        return work, gone or (known is not None and (known.listing_digest, known.description_digest) == digests)

    def _undone(self, listed: ListedFolder) -> _Work | None:
        """What there is to import of a folder; None if it was imported before."""
        with self.importer.database.connection() as connection:
            work, done = self._work(connection, listed)
            if not done:
                return work
            known = work.known
            if known is None:
                self._report(listed.pictures)
                return None
            for finding in recorded_findings(connection, self.id, known.folder):
                self.findings.add_finding(finding)
        work.taken, work.left_behind = known.pictures, listed.files - known.pictures - known.not_taken
        result = Result.UNCHANGED if listed.pictures else Result.EMPTY
        self.outcome.add(self._outcome(work, result, known.picture_set_id))
        self._report(listed.pictures)
        return None

    def _digest(self, description: Description, *, adopted: bool) -> str:
        """Changes when a folder must be imported again although its files did not change."""
        content = [
            as_text(shown_by(description.values, self.importer.registry)),
            [description.text(name) for name in ("zoom", "seeds", "description", "split")],
            [finding.code for finding in description.findings],
            self.rule_set.version,
            sorted(self.rule_set.severities.items()),
            adopted,
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def _outcome(self, work: _Work, result: Result, picture_set: UUID | None) -> FolderOutcome:
        shows = species_shown(work.description.values, self.importer.registry)
        text = work.description.text
        return FolderOutcome(
            folder=printable(work.path),
            result=result,
            species=species_in_words(shows).en or text("species"),
            zoom=text("zoom"),
            seeds=text("seeds"),
            split=text("split"),
            pictures=work.listed.pictures,
            size=work.listed.size,
            taken=work.taken,
            not_taken=work.not_taken,
            picture_set=picture_set,
            adopted=work.adopted,
        )

    def _report(self, pictures: int) -> None:
        self.done += pictures
        self.importer.progress(self.done, self.total)

    # Importing a batch

    def _import(self, batch: Sequence[_Work]) -> None:
        """Import folders; one that changes while it is read is skipped, and the others are imported."""
        while True:
            try:
                with Inventory(rule_set=self.rule_set) as inventory:
                    self._attempt(batch, inventory)
                break
            except FileChangedError as error:
                folder = error.path.rpartition("/")[0]
                changed = next((work for work in batch if work.path == folder and work.changed is None), None)
                if changed is None:
                    raise
                log.warning("%s changed while it was read; its folder is skipped in this run", error.path)
                changed.changed = error.path
        self._report(sum(work.listed.pictures for work in batch))

    def _attempt(self, batch: Sequence[_Work], inventory: Inventory) -> None:
        for work in batch:
            work.taken, work.left_behind, work.recorded = 0, 0, None
            self._take_files(work, inventory)
        self._refuse_collisions(inventory)
        self._read(batch, inventory)
        for work in batch:
            if work.known and work.known.picture_set_id and not work.adopted:
                self._refuse_replaced(work.known.picture_set_id, work, inventory)
        inventory.leave_out_refused_pictures()
        picture_sets = {work.path: self._picture_set(work) for work in batch}
        # So that a picture keeps its identifier.
        stored, registry = StoredUpload(self.importer.database, None, self.owner.id), self.importer.registry
        inventory.add_earlier(picture_sets, stored.earlier(list(picture_sets.values())))
        for finding in chain(
            duplicates(inventory, list(picture_sets), picture_sets, self._stored_already),
            judged_photographs(inventory, picture_sets, picture_sets, registry, stored),
        ):
            inventory.add_finding(finding)
        inventory.leave_out_refused_pictures()  # once more: a deployment may refuse what is there already
        for work in batch:
            work.taken = inventory.picture_totals(work.path)[0]
        inventory.leave_out_copies()
        for path, number in waiting_pictures(inventory, picture_sets, picture_sets, stored).items():
            waits = pictures_waiting(number)
            inventory.add_finding(Finding(code="unnamed-seeds", path=f"{path}/", field="species", found=waits))
        if not self.request.dry_run:
            sets = [self._store(work, inventory) for work in batch if work.taken]
            self.importer.database.call(self._record, batch, sets, inventory)
        # Only now, because an attempt may be repeated.
        for finding in inventory.findings():
            self.findings.add_finding(finding)
        for work in batch:
            result = Result.TAKEN if work.taken else Result.REFUSED if work.listed.pictures else Result.EMPTY
            picture_set = self._picture_set(work) if work.taken else None
            self.outcome.add(self._outcome(work, result, picture_set))

    def _take_files(self, work: _Work, inventory: Inventory) -> None:
        """Add a folder's pictures to the inventory, and what is wrong with names and with the folder itself."""
        last_unusual = None
        for file in self.listing.files(work.path):
            refused = self._refused(file)
            if refused:
                work.left_behind += refused.code in {"ignored-file", "hidden-file"}
                inventory.add_finding(refused)
                continue
            # Names must differ within their folder; two folders are two picture sets.
            inventory.add_file(file, f"{work.path}/{fold(file.path.rpartition('/')[2])}")
            inventory.classify(file.path, FileKind.PICTURE, work.path, file.path)
            unusual = unusual_part(file.path)
            if unusual and unusual[0] != last_unusual:
                last_unusual, why = unusual
                right = Bilingual.same(usual(last_unusual))
                inventory.add_finding(Finding(code="unusual-name", path=file.path, found=why, suggestion=right))
        if inventory.count(FileKind.PICTURE, work.path):
            for finding in work.description.findings:
                inventory.add_finding(finding)
        if work.changed is not None:
            inventory.add_finding(Finding(code="changed-meanwhile", path=work.changed))

    def _refused(self, file: StagedFile) -> Finding | None:
        """What keeps a file from being read, None if nothing does."""
        if is_litter(file.path):
            return Finding(code="ignored-file", path=file.path)
        if is_hidden(file.path):
            return Finding(code="hidden-file", path=file.path)
        if unsafe := why_unsafe(file.path, self.limits.name_bytes):
            return Finding(code="unsafe-name", path=file.path, found=unsafe)
        if picture_format(file.path) is None:
            expected = Bilingual(f"a picture ({_SUFFIXES})", f"une image ({_SUFFIXES})")
            return Finding(code="not-a-picture", path=file.path, expected=expected)
        if not file.size:
            content = Bilingual("a file with content", "un fichier avec un contenu")
            return Finding(code="empty-file", path=file.path, expected=content, found=Bilingual("0 bytes", "0 octet"))
        return None

    def _refuse_collisions(self, inventory: Inventory) -> None:
        for first, other in list(inventory.collisions()):
            own = Bilingual("names of their own", "des noms distincts")
            inventory.add_finding(Finding(code="name-collision", path=other, expected=own, found=too(first)))
            inventory.classify(other, FileKind.UNEXPECTED, None, other)

    def _read(self, batch: Sequence[_Work], inventory: Inventory) -> None:
        """Read the pictures of the folders that can be imported."""
        sessions = [
            Session(work.path, None, work.description.values, inventory.count(FileKind.PICTURE, work.path))
            for work in batch
            if work.importable
        ]
        importer, before = self.importer, self.done
        read_pictures(
            self.folder,
            Context(inventory, None, None, sessions, importer.registry, self._owner),
            importer.pool,
            limits=self.limits,
            readers=importer.transfer.transfer_concurrency,
            progress=lambda done, _: importer.progress(before + done, self.total),
        )

    def _refuse_replaced(self, picture_set: UUID, work: _Work, inventory: Inventory) -> None:
        """Refuse pictures that were written over others whose rows point at the same blobs.

        If every earlier picture is still in the folder, files were only renamed, and their rows follow them.
        """
        if all(inventory.has_picture(work.path, before) for _, before in self._replaced(picture_set, work, inventory)):
            return
        for picture, before in self._replaced(picture_set, work, inventory):
            inventory.add_finding(
                Finding(
                    code="picture-replaced",
                    path=picture.path,
                    expected=Bilingual.same(f"SHA-256 {before}"),
                    found=Bilingual.same(f"SHA-256 {picture.sha256}"),
                )
            )

    def _replaced(self, picture_set: UUID, work: _Work, inventory: Inventory) -> Iterator[tuple[PictureRecord, str]]:
        """The pictures that are another one's by name, with the SHA-256 of that one."""
        pictures = inventory.pictures(work.path, measured=False)
        with self.importer.database.connection() as connection:
            for page in batched(pictures, _CHECKED_AT_A_TIME):
                known = checksums_of(connection, picture_set, [picture_name(picture) for picture in page])
                for picture in page:
                    before = known.get(picture_name(picture), picture.sha256)
                    if before != picture.sha256:
                        yield picture, before

    def _picture_set(self, work: _Work) -> UUID:
        return found_picture_set_id(self.owner.id, self.request.container, work.path)

    def _stored_already(self, candidates: Sequence[Candidate], _own: Collection[UUID]) -> Mapping[str, Match]:
        # A folder that grew is the picture set it was: its new pictures may well equal those of it that are stored.
        return self.importer.database.call(find_duplicates, candidates, owner=self.owner.id)

    def _session(self, work: _Work, inventory: Inventory) -> ManifestSession:
        """A folder as a manifest states it, with the pictures that are taken of it."""
        return describe_session(
            inventory,
            Session(work.path, None, work.description.values, work.taken),
            self.importer.registry,
            place=f"{self.request.container}/{work.path}",
            picture_set=self._picture_set(work),
        )

    def _store(self, work: _Work, inventory: Inventory) -> RecordedSet:
        """Copy a folder's pictures, if they are to be copied, and describe it in its owner's container."""
        work.recorded, _ = store_picture_set(
            self.importer.blobs,
            inventory,
            self._session(work, inventory),
            self._origin(work),
            self.importer.transfer,
            split=work.description.split,
        )
        return work.recorded

    def _origin(self, work: _Work) -> Origin:
        return Origin(self._owner, self.request.container, mass_import=self.id, in_place=not work.adopted)

    def _record(
        self, connection: Connection, batch: Sequence[_Work], sets: list[RecordedSet], inventory: Inventory
    ) -> None:
        self.outcome.rows += record_picture_sets(
            connection, sets, inventory, self.importer.registry, self._origin(batch[0])
        )
        done = [work for work in batch if work.changed is None]
        folders = {printable(work.path) for work in done}
        record_folders(
            connection,
            self.id,
            (
                DoneFolder(
                    printable(work.path),
                    work.listing_digest,
                    work.description_digest,
                    work.adopted,
                    work.recorded.session.picture_set_id if work.recorded else None,
                    work.taken,
                    work.not_taken,
                )
                for work in done
            ),
            ((folder, one) for one in inventory.findings() if (folder := _folder_of(one)) in folders),
        )


def _folder_of(finding: Finding) -> str:
    """The folder that a finding is about, as a text that a database can hold; a folder's own path ends with /."""
    return finding.path.rpartition("/")[0]
