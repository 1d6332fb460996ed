"""An event: something that happened and that somebody may wait for.

It leaves the pipeline as a CloudEvent (https://github.com/cloudevents/spec, version 1.0.2), in JSON.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.identifiers import partition_key

CONTENT_TYPE = "application/cloudevents+json"


class EventType(StrEnum):
    """What happened, to which kind of thing."""

    UPLOAD_STAGED = "upload.staged"
    """A folder was seen in staging, or its run request was lost and is made again."""
    UPLOAD_QUEUED = "upload.queued"
    """It is complete, and a run was requested."""
    UPLOAD_IMPORTING = "upload.importing"
    """A run began to import it."""
    UPLOAD_IMPORTED = "upload.imported"
    """Its pictures are stored."""
    UPLOAD_PARTLY_IMPORTED = "upload.partly_imported"
    """The pictures of its sessions without errors are stored, as its user wanted."""
    UPLOAD_REFUSED = "upload.refused"
    """It breaks the contract; its receipt says where."""
    UPLOAD_FAILED = "upload.failed"
    """Something else went wrong; it is retried until `attempts` is 3."""
    UPLOAD_WITHDRAWN = "upload.withdrawn"
    """Its user withdrew it."""
    CROPS_DONE = "crops.done"
    """The seeds of an upload's pictures were found and cut out."""
    TRAINING_SET_MADE = "training_set.made"
    """A version of a training set was published."""
    TRAINING_SET_CURRENT = "training_set.current"
    """A version passed its checks and became the one that trainers ask for."""
    TRAINING_SET_TAINTED = "training_set.tainted"
    """A version holds pictures that were withdrawn or deleted since."""
    MODEL_TAINTED = "model.tainted"
    """A version was trained on pictures that were withdrawn or deleted since."""
    KEY_ENDING = "key.ending"
    """An upload key of a user is about to end."""
    CHECK_FAILING = "health.failing"
    """A check of the page `pipeline_health` failed that passed before."""
    CHECK_PASSING = "health.passing"
    """A check of the page `pipeline_health` passes again."""


class EventData(BaseModel):
    """What an event says beside its type."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class UploadChanged(EventData):
    """An upload is in another state than before.

    Attributes:
        upload: its identifier.
        partition: its partition in Dagster.
        folder: the staged folder's name.
        owner: e-mail address of the user.
        state: its state now.
        before: its state before; None of a folder that was not known.
        run_id: the Dagster run that works or worked on it.
        attempts: how many runs in a row failed to import it, if it failed; after 3 it is left.
        submission: identifies what was sent, as in the receipt; None until its import has ended.
        pictures: number of its pictures, as in the receipt.
        size: their bytes.
        findings: number of findings by severity.
        codes: number of findings by code.
        failure: why it failed, if it did.
    """

    upload: UUID
    partition: str
    folder: str
    owner: str
    state: State
    before: State | None = None
    run_id: str | None = None
    attempts: int | None = None
    submission: str | None = None
    pictures: int | None = None
    size: int | None = None
    findings: dict[str, int] = {}
    codes: dict[str, int] = {}
    failure: str | None = None


class CropsDone(EventData):
    """The seeds of an upload were cut out; its receipt has their numbers.

    Attributes:
        upload: the upload's identifier.
        partition: its partition in Dagster.
        folder: the folder's name.
        owner: e-mail address of the user.
        differing: pictures in which another number of seeds was found than declared.
    """

    upload: UUID
    partition: str
    folder: str
    owner: str
    differing: int


class TrainingSetChanged(EventData):
    """Something was done to a version of a training set.

    Attributes:
        training_set: the version's identifier.
        name: the training set's name.
        digest: the version.
        container: where it is published.
        manifest: blob of its manifest there.
        pictures: number of its pictures.
        why: why it is tainted, if it is.
    """

    training_set: UUID
    name: str
    digest: str
    container: str
    manifest: str
    pictures: int
    why: str | None = None


class ModelTainted(EventData):
    """Pictures that taught a version of a model were withdrawn or deleted.

    Attributes:
        model_version: the version's identifier.
        name: the version, as `NAME@VERSION`.
        champion: whether it is the champion of its model.
        training_set: what it was trained on, as `NAME@DIGEST`.
        pictures: how many of these pictures taught it.
        why: what was done to them.
    """

    model_version: UUID
    name: str
    champion: bool
    training_set: str
    pictures: int
    why: str


class KeyEnding(EventData):
    """An upload key is about to end.

    Attributes:
        user: e-mail address of its owner.
        key: its number among the user's.
        ends: when it stops working.
        replaced_by: number of a newer key that works; None: there is none, so its owner will be locked out.
    """

    user: str
    key: int
    ends: datetime
    replaced_by: int | None = None


class CheckTurned(EventData):
    """A check of the page `pipeline_health` has another verdict than before.

    Attributes:
        check: its name.
        passed: its verdict.
        urgent: whether it needs somebody now.
        found: what it found, and what to do about it.
    """

    check: str
    passed: bool
    urgent: bool
    found: str


AnyData = UploadChanged | CropsDone | TrainingSetChanged | ModelTainted | KeyEnding | CheckTurned
"""What an event says, of whichever type."""

DATA: Mapping[EventType, type[EventData]] = {
    **{kind: UploadChanged for kind in EventType if kind.startswith("upload.")},
    EventType.CROPS_DONE: CropsDone,
    **{kind: TrainingSetChanged for kind in EventType if kind.startswith("training_set.")},
    EventType.MODEL_TAINTED: ModelTainted,
    EventType.KEY_ENDING: KeyEnding,
    EventType.CHECK_FAILING: CheckTurned,
    EventType.CHECK_PASSING: CheckTurned,
}
"""What each type of event says."""

VERDICTS = (EventType.CHECK_FAILING, EventType.CHECK_PASSING)
"""Types whose last event of a subject is its state: the next one is recorded if it differs."""


class Event(BaseModel):
    """Something that happened.

    Attributes:
        number: its place among all events; a cursor.
        id: its identifier; who is told twice is told the same one.
        type: what happened.
        subject: to what: an upload's or a user's identifier, a training set's, a model's or a check's name.
        owner: identifier of the user whose it is; None: nobody's.
        at: when.
        data: the rest, by its type.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    id: UUID
    type: EventType
    subject: str
    owner: UUID | None
    at: datetime
    data: AnyData

    @classmethod
    def of_row(cls, *, type: str, data: Mapping[str, JsonValue], **row: object) -> "Event":  # noqa: A002 (the column)
        """An event as its row has it; a partition is not in the row, because it follows from two other values."""
        kind = EventType(type)
        said = dict(data)
        if "upload" in said:
            said["partition"] = partition_key(UUID(str(said["upload"])), str(said["folder"]))
        return cls.model_validate({**row, "type": kind, "data": DATA[kind].model_validate(said)})


class CloudEvent(BaseModel):
    """An event as other programs receive it.

    Attributes:
        specversion: version of CloudEvents.
        id: the event's identifier.
        source: the pipeline that it comes from.
        type: `nachet.` and the event's type.
        subject: to what it happened: an upload's or a user's identifier, a training set's, a model's or a check's name.
        time: when.
        datacontenttype: the form of `data`.
        sequence: its place among the pipeline's events; of one subject they come in this order.
        data: the rest, by its type.
    """

    model_config = ConfigDict(frozen=True)

    specversion: Literal["1.0"] = "1.0"
    id: UUID
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    sequence: str
    data: AnyData

    @classmethod
    def of(cls, event: Event, source: str) -> "CloudEvent":
        """An event for other programs."""
        return cls(
            id=event.id,
            source=source,
            type=f"nachet.{event.type.value}",
            subject=event.subject,
            time=event.at,
            sequence=str(event.number),
            data=event.data,
        )

    def content(self) -> bytes:
        """Its JSON; keys without a value are left out."""
        return self.model_dump_json(exclude_none=True).encode()
