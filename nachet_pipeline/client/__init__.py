"""What a program imports to hand folders over and to ask about them: `Client`, and `AsyncClient` with the same words.

Nothing of Dagster, OpenCV or Arrow is loaded. All work is written once, for threads: the protocol of staging is
delicate, and what it takes its time for, hashing and sending, lets other threads run. `AsyncClient` calls `Client` in
threads of its own. It does not wait there: following a submission is a row of short looks, and between two of them the
event loop sleeps, so that a thousand waiting requests hold no thread.

Whatever a person can put right is one of three errors, whose message is one line that says what to do:

* `RefusedError`: it is against a rule, or in somebody's way: an unknown or disabled user, a key that storage does not
  accept, another folder of that name, a submission that was changed meanwhile (`SupersededError`).
* `UsageError`: the call, a setting or the address is wrong. `NeedsServicesError` is one: a key alone cannot do that.
* `UnavailableError`: storage or database does not answer; the same call may succeed later. `NoReceiptYetError` is one:
  `wait` saw no receipt in time. It is a TimeoutError too.

Files of a local folder that cannot be read are an `OSError`, as everywhere.
"""

from nachet_pipeline.client.asynchronous import (
    AsyncClient,
    AsyncJudgements,
    AsyncModels,
    AsyncPredictions,
    AsyncRegistry,
    AsyncSubmission,
    AsyncUsers,
)
from nachet_pipeline.client.client import Client, Folderlike
from nachet_pipeline.client.errors import NeedsServicesError, NoReceiptYetError
from nachet_pipeline.client.judgements import Judgements
from nachet_pipeline.client.models import Models, Predictions
from nachet_pipeline.client.paging import EventPage, Page
from nachet_pipeline.client.place import SubmissionStatus
from nachet_pipeline.client.registry import Registry
from nachet_pipeline.client.submission import Submission, SubmissionEvent
from nachet_pipeline.client.users import Users
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.errors import RefusedError, UnavailableError, UsageError
from nachet_pipeline.events.event import Event, EventType
from nachet_pipeline.folders.folder import Folder
from nachet_pipeline.models.judgements.queries import RecordedJudgement
from nachet_pipeline.models.model import ModelClass, ModelDocument, ModelVersion
from nachet_pipeline.models.predictions.queries import FileReceipt, PredictionFile
from nachet_pipeline.picture_sets.browsing import Picture
from nachet_pipeline.registry.seeds import FoundSeed
from nachet_pipeline.uploads.following import SupersededError
from nachet_pipeline.uploads.staging import Staged
from nachet_pipeline.uploads.upload import SeenUpload

__all__ = [
    "AsyncClient",
    "AsyncJudgements",
    "AsyncModels",
    "AsyncPredictions",
    "AsyncRegistry",
    "AsyncSubmission",
    "AsyncUsers",
    "Client",
    "Event",
    "EventPage",
    "EventType",
    "FileReceipt",
    "Folder",
    "Folderlike",
    "FoundSeed",
    "Judgements",
    "ModelClass",
    "ModelDocument",
    "ModelVersion",
    "Models",
    "NeedsServicesError",
    "NoReceiptYetError",
    "Page",
    "Picture",
    "PredictionFile",
    "Predictions",
    "Receipt",
    "RecordedJudgement",
    "RefusedError",
    "Registry",
    "SeenUpload",
    "Staged",
    "State",
    "Submission",
    "SubmissionEvent",
    "SubmissionStatus",
    "SupersededError",
    "UnavailableError",
    "UsageError",
    "Users",
]
