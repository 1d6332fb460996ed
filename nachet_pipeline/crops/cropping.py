"""Crop an upload: a detector finds the seeds in its pictures, and every seed becomes a picture of its own.

A crop's identifier follows from its parent, its box and its detector. Its blob is created once, and its row is written
in one transaction with the detection. So a repeated call completes an interrupted one, and a further call changes
nothing.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.report_page import CountedPicture
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.crops.cutting import CroppingPool, Cut, UncroppablePictureError
from nachet_pipeline.crops.detecting import SAME_REGION, Box, Detector, Region, overlap
from nachet_pipeline.crops.endpoint import DetectorAnswerError, EndpointDetector
from nachet_pipeline.crops.plain_background import PlainBackgroundDetector
from nachet_pipeline.crops.queries import (
    JUDGED,
    Correction,
    CropMethod,
    CroppedPicture,
    Detected,
    Parent,
    SessionCrops,
    StoredCrop,
    begin_cropping,
    count_due,
    declare_again,
    detected_pictures,
    due_pictures,
    end_cropping,
    record_cropped,
    sessions_of,
)
from nachet_pipeline.crops.receipts import report_counts
from nachet_pipeline.database.connection import Database, DatabaseError
from nachet_pipeline.database.reading import pages_by_key
from nachet_pipeline.errors import ActionableError, RefusedError
from nachet_pipeline.identifiers import crop_blob, crop_id
from nachet_pipeline.pictures.contact_sheet import contact_sheet
from nachet_pipeline.settings import BUILT_IN_DETECTOR, CropSettings, TransferSettings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.support.bounded import MemoryBudget, bounded_map
from nachet_pipeline.support.files import FileChangedError
from nachet_pipeline.support.i18n import Bilingual
from nachet_pipeline.support.progress import Progress, silent
from nachet_pipeline.uploads.queries import upload_lock
from nachet_pipeline.uploads.upload import Upload

log = logging.getLogger(__name__)

_BATCH = 50
"""Pictures in one transaction: at most so many are repeated after an interruption."""

_PAGE = 500
"""Pictures in one query."""

_NAMED = 100
"""Pictures that the result names, of those that differ and of those that could not be cropped."""

_CUT = 100
"""Crops cut in one call, at most; together they have no more pixels than their picture."""

_SHOWN = 12
# Four samples of 16 bits: the most that a crop takes before it is compressed.
_BYTES_PER_PIXEL = 8
_FIRST = UUID(int=0)


class NotImportedError(RefusedError):
    """Only an imported upload has pictures that can be cropped."""


@dataclass(frozen=True, slots=True)
class NotCropped:
    """A picture that could not be cropped, and why."""

    picture: UUID
    name: str
    reason: str


@dataclass(slots=True)
class Cropped:
    """What cropping an upload did, and the state of the upload now.

    Attributes:
        method: how it was cropped.
        looked_at: pictures that this call cropped; 0 if all were cropped before.
        new: crops that are new.
        sessions: what was found in each session, including earlier runs.
        differing: the first pictures with another number of seeds than declared.
        not_cropped: the first pictures that could not be cropped.
        failed: number of pictures that could not be cropped.
        counted: a few pictures with their boxes drawn, those that differ first.
    """

    method: CropMethod
    looked_at: int = 0
    new: int = 0
    sessions: list[SessionCrops] = field(default_factory=list)
    differing: list[Detected] = field(default_factory=list)
    not_cropped: list[NotCropped] = field(default_factory=list)
    failed: int = 0
    counted: list[CountedPicture] = field(default_factory=list, repr=False)

    @property
    def sheet(self) -> bytes | None:
        """Those pictures as one JPEG; None without any."""
        return contact_sheet([one.jpeg for one in self.counted])

    @property
    def pictures(self) -> int:
        """Pictures that were cropped, now or before."""
        return sum(one.pictures for one in self.sessions)

    @property
    def crops(self) -> int:
        """Crops of those pictures."""
        return sum(one.crops for one in self.sessions)

    @property
    def pictures_differing(self) -> int:
        """Pictures with another number of seeds than declared."""
        return sum(one.differing for one in self.sessions)

    @property
    def failure(self) -> str | None:
        """Why the upload is not cropped completely; None if it is."""
        if not self.failed:
            return None
        first = self.not_cropped[0]
        return f"{self.failed} pictures could not be cropped, the first of them {first.name}: {first.reason}"


def detector_of(settings: CropSettings) -> Detector:
    """The detector that the settings name."""
    if settings.detector == BUILT_IN_DETECTOR:
        return PlainBackgroundDetector()
    return EndpointDetector(
        settings.detector,
        settings.detector_token,
        version=settings.detector_version,
        seconds=settings.detector_seconds,
        attempts=settings.detector_attempts,
    )


def crop_method(settings: CropSettings, detector: Detector | None = None) -> CropMethod:
    """The method that the settings name."""
    detector = detector or detector_of(settings)
    return CropMethod(detector.name, detector.version, settings.crop_margin_percent)


@dataclass(slots=True)
class Cropper:
    """Crops uploads, one at a time; what they share is opened once.

    Attributes:
        database: where rows are.
        blobs: where pictures are.
        pool: decodes pictures and cuts them.
        settings: the detector and the margin.
        rules: judges the number of seeds.
        transfer: how many pictures and bytes are read at a time.
        detector: finds the seeds; the one that the settings name if not given.
        progress: called after every picture.
        predicted: told what the detector said of pictures, before their crops are recorded; called again with the same
            if that fails.
    """

    database: Database
    blobs: BlobStorage
    pool: CroppingPool
    settings: CropSettings
    rules: RuleSet
    transfer: TransferSettings
    detector: Detector | None = None
    progress: Progress = silent
    predicted: Callable[[Sequence[CroppedPicture]], None] | None = None

    def crop(self, upload: Upload) -> Cropped:
        """Crop the pictures of an upload that were not cropped yet, after a running import of it has ended.

        A picture that cannot be cropped is named in the result; the others are cropped.

        Raises:
            NotImportedError: it is not imported.
            DetectorUnavailableError: the detector does not answer.
            StorageError: storage does not answer, or holds something else under a crop's name.
            DatabaseError: the database does not answer.
        """
        detector = self.detector or detector_of(self.settings)
        method = crop_method(self.settings, detector)
        outcome: Cropped | None = None
        try:
            with self.database.connection() as connection, upload_lock(connection, upload.id):
                outcome = self._crop(upload, detector, method)
        except DatabaseError as error:
            if outcome is None:
                raise
            # Everything is written; only the connection that held the lock was lost.
            log.warning("the lock of %s was lost: %s", upload.partition, error)
        return outcome

    def _crop(self, upload: Upload, detector: Detector, method: CropMethod) -> Cropped:
        if not self.database.call(begin_cropping, upload.id, method):
            raise NotImportedError(
                f"{upload.partition} is {upload.state.value}; only an imported upload can be cropped"
            )
        outcome = Cropped(method)
        try:
            self._crop_all(upload, detector, outcome)
            self._conclude(upload, outcome)
        except ActionableError as error:
            self.database.call(end_cropping, upload.id, failure=str(error))
            raise
        # Last: where all before it is not done, the upload is due again.
        self.database.call(end_cropping, upload.id, failure=outcome.failure)
        return outcome

    def _conclude(self, upload: Upload, outcome: Cropped) -> None:
        """Judge the seeds that were counted, and tell the upload's user."""
        method = outcome.method
        with self.database.connection() as connection:
            declare_again(connection, upload.id, method, lambda parent, found: finding_of(parent, found, self.rules))
            outcome.sessions = sessions_of(connection, upload.id, method)
            outcome.differing = detected_pictures(connection, upload.id, method, differing=True, most=_NAMED)
        outcome.counted = self._counted(upload, outcome)
        report_counts(self.database, self.blobs, upload, outcome.sessions, outcome.differing, outcome.counted)

    def _crop_all(self, upload: Upload, detector: Detector, outcome: Cropped) -> None:
        method = outcome.method
        total = self.database.call(count_due, upload.id, method)
        batch: list[CroppedPicture] = []
        for done, seen in enumerate(self._cropped(self._due(upload, method), detector, method), start=1):
            if isinstance(seen, NotCropped):
                outcome.failed += 1
                if len(outcome.not_cropped) < _NAMED:
                    outcome.not_cropped.append(seen)
            else:
                batch.append(seen)
            if len(batch) == _BATCH:
                self._write(batch, outcome)
            self.progress(done, max(total, done))
        if batch:
            self._write(batch, outcome)

    def _write(self, batch: list[CroppedPicture], outcome: Cropped) -> None:
        if self.predicted:
            self.predicted(batch)
        outcome.new += self.database.call(record_cropped, batch, outcome.method, rules=self.rules.stamp)
        outcome.looked_at += len(batch)
        batch.clear()

    def _due(self, upload: Upload, method: CropMethod) -> Iterator[Parent]:
        """Read the pictures that are due, page by page: memory does not grow with their number."""
        return pages_by_key(
            self.database,
            lambda connection, after: due_pictures(connection, upload.id, method, after=after, most=_PAGE),
            first=_FIRST,
            key=lambda parent: parent.id,
        )

    def _cropped(
        self, due: Iterator[Parent], detector: Detector, method: CropMethod
    ) -> Iterator["CroppedPicture | NotCropped"]:
        budget, cut_budget = (MemoryBudget(self.transfer.memory_bytes) for _ in range(2))
        # Threads wait for the network, the detector and the decoders; there are enough for all three.
        threads = self.transfer.transfer_concurrency + self.pool.settings.workers

        def crop(parent: Parent) -> "CroppedPicture | NotCropped":
            try:
                return self._crop_picture(parent, detector, method, cut_budget)
            except (UncroppablePictureError, DetectorAnswerError) as error:
                return NotCropped(parent.id, _place(parent), str(error))

        return bounded_map(crop, due, workers=threads, budget=budget, size=lambda parent: parent.size, name="crop")

    def _crop_picture(
        self, parent: Parent, detector: Detector, method: CropMethod, budget: MemoryBudget
    ) -> CroppedPicture:
        content = self._read(parent)
        seen = self.pool.detect(content, parent.picture_format, detector)
        regions = corrected(seen.regions, parent.corrections)
        boxes = tuple(region.box(seen.width, seen.height) for region in regions)
        margin = method.margin_percent / 100
        found = {region.box(seen.width, seen.height, margin=margin) for region in seen.regions}
        # Two regions may become the same box when rounded to pixels.
        areas = tuple(dict.fromkeys(region.box(seen.width, seen.height, margin=margin) for region in regions))
        crops: list[StoredCrop] = []
        for some in _at_a_time(areas, seen.width * seen.height):
            with budget.taken(_BYTES_PER_PIXEL * sum(map(_pixels, some))):
                cuts = self.pool.cut(content, parent.picture_format, some, parent.enrichment)
                crops.extend(
                    self._store(parent, cut, number, method.found_by if cut.box in found else JUDGED)
                    for number, cut in enumerate(cuts, len(crops) + 1)
                )
                del cuts
        return CroppedPicture(parent, boxes, tuple(crops), finding_of(parent, len(boxes), self.rules), seen.regions)

    def _read(self, parent: Parent) -> bytes:
        try:
            content = self.blobs.read(parent.container, parent.blob, size=parent.size)
        except FileChangedError:
            raise UncroppablePictureError("its file is missing, or not the one that was stored") from None
        if hashlib.sha256(content).hexdigest() != parent.sha256:
            raise UncroppablePictureError("its file is not the one that was stored")
        return content

    def _store(self, parent: Parent, cut: Cut, number: int, found_by: str) -> StoredCrop:
        identifier = crop_id(parent.id, cut.box.text, found_by)
        blob = crop_blob(parent.picture_set, identifier)
        sha256, size = hashlib.sha256(cut.content).hexdigest(), len(cut.content)
        created = self.blobs.upload(
            parent.container, blob, cut.content, content_type="image/tiff", metadata={"sha256": sha256}
        )
        if not created:
            sha256, size = self._stored_before(parent.container, blob, cut)
        name = f"{parent.name} seed {number}"
        return StoredCrop(identifier, cut.box, name, blob, sha256, size, cut.properties, found_by)

    def _stored_before(self, container: str, blob: str, cut: Cut) -> tuple[str, int]:
        """Checksum and size of the file that is already stored for a crop.

        Another version of a compressor may have written it, so only its pixels must be the same.

        Raises:
            StorageError: they are not the same.
        """
        content = self.blobs.read(container, blob)
        if content != cut.content:
            found = self.pool.inspect(content, "TIFF").result().properties
            mine = cut.properties.enrichment
            if mine is None or found is None or found.enrichment is None:
                raise StorageError(f"{container}/{blob} exists and is not the crop that belongs there")
            if found.enrichment.pixel_sha256 != mine.pixel_sha256:
                raise StorageError(f"{container}/{blob} exists and shows something else than its crop does")
        return hashlib.sha256(content).hexdigest(), len(content)

    def _counted(self, upload: Upload, outcome: Cropped) -> list[CountedPicture]:
        """A few pictures of an upload with their boxes drawn, those that differ first."""
        shown = outcome.differing[:_SHOWN]
        if len(shown) < _SHOWN:
            more = _SHOWN - len(shown)
            with self.database.connection() as connection:
                shown += detected_pictures(connection, upload.id, outcome.method, differing=False, most=more)
        drawn = []
        for one in shown:
            parent = one.parent
            try:
                jpeg = self.pool.draw(self._read(parent), parent.picture_format, one.boxes)
            except UncroppablePictureError as error:
                log.warning("%s is not shown: %s", _place(parent), error)
            else:
                drawn.append(CountedPicture(_place(parent), jpeg, parent.declared, one.found))
        return drawn


def _at_a_time(areas: tuple[Box, ...], pixels: int) -> Iterator[list[Box]]:
    """Group boxes, in order, into as many as a process may cut in one call; mostly one decode serves all."""
    some: list[Box] = []
    for area in areas:
        if len(some) == _CUT or sum(map(_pixels, some)) + _pixels(area) > pixels:
            yield some
            some = []
        some.append(area)
    if some:
        yield some


def _pixels(box: Box) -> int:
    return (box.right - box.left) * (box.bottom - box.top)


def corrected(regions: Sequence[Region], corrections: Sequence[Correction]) -> tuple[Region, ...]:
    """The regions of a picture, where people say that they are: each takes the place of the one that it is about.

    One that a detector missed is added.
    """
    found = [(one, False) for one in regions]
    for region, box in corrections:
        asked = [side / 1000 for side in region]
        shares = [
            0.0 if taken else max(overlap(sides, (one.left, one.top, one.right, one.bottom)) for sides in (asked, box))
            for one, taken in found
        ]
        best = max(range(len(found)), key=shares.__getitem__, default=None)
        left, top, right, bottom = (min(max(side, 0.0), 1.0) for side in box)  # what was rounded may end outside
        judged = (Region(left, top, right, bottom), True)
        if best is not None and shares[best] >= SAME_REGION:
            found[best] = judged
        else:
            found.append(judged)
    return tuple(one for one, _ in found)


def finding_of(parent: Parent, found: int, rules: RuleSet) -> Finding | None:
    """The finding about a picture in which so many seeds were found; None if so many are declared."""
    if found == parent.declared:
        return None
    return Finding(
        code="seed-count-differs",
        severity=rules.severity_of("seed-count-differs"),
        path=_place(parent),
        field="userData.numberOfSeeds",
        expected=_seeds(parent.declared),
        found=_seeds(found),
    )


def _seeds(number: int) -> Bilingual:
    return Bilingual(f"{number} seed{'s' if number != 1 else ''}", f"{number} semence{'s' if number > 1 else ''}")


def _place(parent: Parent) -> str:
    return f"{parent.session}/{parent.name}" if parent.session else parent.name
