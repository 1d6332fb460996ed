"""The receipt: what the uploader and the backend read about an upload."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from nachet_pipeline.contract.report import Report
from nachet_pipeline.contract.shown import ShownSpecies
from nachet_pipeline.contract.stored import Correction
from nachet_pipeline.contract.understood import UnderstoodSession
from nachet_pipeline.support.i18n import Bilingual

RECEIPT_VERSION = "3"


class State(StrEnum):
    """The state of an upload."""

    STAGED = "staged"
    """It is staged, but not complete yet."""
    QUEUED = "queued"
    """It is complete, and a run was requested."""
    IMPORTING = "importing"
    """A run is importing it."""
    IMPORTED = "imported"
    """Its pictures are stored."""
    PARTLY_IMPORTED = "partly_imported"
    """The pictures of its sessions without errors are stored, as its user wanted; the others stay staged."""
    REFUSED = "refused"
    """It breaks the contract; the report says where. It stays staged until it is corrected."""
    FAILED = "failed"
    """Something else went wrong; it stays staged and is retried."""
    WITHDRAWN = "withdrawn"
    """Its user withdrew it; nothing more of it is imported, and what was imported before stays."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing is waited for or under way, so that the receipt says what became of it; a failed one too."""
        return self not in {State.STAGED, State.QUEUED, State.IMPORTING}

    @property
    def is_as_wanted(self) -> bool:
        """Whether nothing is left that its user wanted: all of it is imported, or it was withdrawn."""
        return self in {State.IMPORTED, State.WITHDRAWN}


class ReceivedPictureSet(BaseModel):
    """A picture set that an upload became.

    Attributes:
        id: its identifier, which is also the folder of its pictures in the user's container.
        session: path of its session within the upload.
        seed: scientific name of what it shows; `unknown`, or of several all with their numbers.
        shows: the same, kind by kind; empty in receipts of older versions.
        pictures: number of pictures.
        size: their bytes.
        manifest: blob that lists every picture with its identifier, in the user's container.
        correction: what the import changed of it.
    """

    model_config = ConfigDict(frozen=True)

    id: UUID
    session: str
    seed: str
    shows: tuple[ShownSpecies, ...] = ()
    pictures: int
    size: int
    manifest: str
    correction: Correction | None = None

    @property
    def kinds(self) -> tuple[ShownSpecies, ...]:
        """The kinds of seeds it shows, whatever version says it."""
        return self.shows or (ShownSpecies(species=self.seed),)


class RefusedSession(BaseModel):
    """A session of which nothing was imported.

    Attributes:
        session: its path within the upload.
        pictures: number of its pictures that could be read.
    """

    model_config = ConfigDict(frozen=True)

    session: str
    pictures: int


class Spread(BaseModel):
    """How a measure of an upload's pictures is spread.

    Attributes:
        minimum: the least.
        median: the one in the middle.
        maximum: the greatest.
    """

    model_config = ConfigDict(frozen=True)

    minimum: float
    median: float
    maximum: float

    @classmethod
    def of(cls, figures: tuple[float, float, float] | None) -> "Spread | None":
        """The spread of three figures, None if nothing was measured."""
        return cls(minimum=figures[0], median=figures[1], maximum=figures[2]) if figures else None


class Receipt(BaseModel):
    """The state of an upload and its last run.

    Receipts of versions 1 and 2 are read too; they lack what came later.

    Attributes:
        receipt_version: version of this form.
        upload: the upload's identifier.
        partition: its partition in Dagster.
        owner: e-mail address of the user.
        folder: the staged folder's name.
        state: its state.
        submission: identifies what was sent, as `nachet stage` prints it; None if it was never looked at.
        explanation: what the state means for the uploader, where neither report nor failure says it.
        run_id: the last Dagster run that worked on it.
        staged_at: when the last file of the folder was written, by the storage service's clock.
        queued_at: when a run was last requested.
        started_at: when that run began to work on it.
        finished_at: when that run finished it.
        content_digest: SHA-256 of what was validated.
        pictures: number of pictures; of an imported upload, those that are stored.
        size: their bytes.
        sessions: what was understood of each session, `SESSIONS_KEPT` of them at most.
        number_of_sessions: how many sessions there are.
        folder_findings: findings that concern no session, by code.
        quality: the quality scores of its pictures.
        sharpness: the sharpness of its pictures.
        container: where the pictures are, once they are imported.
        picture_sets: what the upload became.
        waiting: stored pictures of it that show seeds which nobody had named when it was imported.
        correction: what the last import that changed something changed, in pictures; None if nothing is imported.
        removed_sessions: paths of the sessions that were removed, as the index wants it.
        refused_sessions: the sessions that were not imported, if others were.
        report: the findings; None if validation did not finish.
        report_page: blob beside the staged folder that shows the same to people, as a web page.
        failure: why it failed, if it did.
    """

    model_config = ConfigDict(frozen=True)

    receipt_version: str = RECEIPT_VERSION
    upload: UUID
    partition: str
    owner: str
    folder: str
    state: State
    submission: str | None = None
    explanation: Bilingual | None = None
    run_id: str | None = None
    staged_at: datetime | None = None
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    content_digest: str | None = None
    pictures: int = 0
    size: int = 0
    sessions: list[UnderstoodSession] = []
    number_of_sessions: int = 0
    folder_findings: dict[str, int] = {}
    quality: Spread | None = None
    sharpness: Spread | None = None
    container: str | None = None
    picture_sets: list[ReceivedPictureSet] = []
    waiting: int = 0
    correction: Correction | None = None
    removed_sessions: list[str] = []
    refused_sessions: list[RefusedSession] = []
    report: Report | None = None
    report_page: str | None = None
    failure: str | None = None
