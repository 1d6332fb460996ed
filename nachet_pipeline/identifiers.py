"""Every name and identifier, derived so that a repeated step meets its own rows and blobs."""

import re
from functools import lru_cache
from uuid import UUID, uuid5

NAMESPACE = UUID("8d5fa5bb-90b4-5a3c-9f86-0d6fbb3f0a4e")
"""Of all UUIDv5 identifiers of this project; changing it would orphan everything stored."""

SUFFIXES = {"TIFF": ".tiff", "PNG": ".png", "JPEG": ".jpg"}
"""From a picture's format to the suffix it is stored under."""

_PARTITION = re.compile(r"[^0-9A-Za-z._-]+")
_PARTITION_DIGITS = 12
_PARTITION_ID = re.compile(rf"[0-9a-f]{{{_PARTITION_DIGITS}}}")


def _identifier(kind: str, *parts: str) -> UUID:
    # A unit separator cannot occur in a validated name, so two lists of parts never read alike.
    return uuid5(NAMESPACE, "\x1f".join((kind, *parts)))


def user_id(email: str) -> UUID:
    """Identifier of the user with this normalised e-mail address."""
    return _identifier("user", email)


def upload_key_id(user: UUID, number: int) -> UUID:
    """Identifier of a user's first, second, … upload key; of its stored access policy too."""
    return _identifier("upload_key", str(user), str(number))


@lru_cache(maxsize=32_768)
def seed_id(scientific_name: str) -> UUID:
    """Identifier of a seed."""
    return _identifier("seed", " ".join(scientific_name.split()).casefold())


def upload_id(owner: UUID, folder: str) -> UUID:
    """Identifier of the upload that a user staged under this folder's name."""
    return _identifier("upload", str(owner), folder)


def picture_set_id(owner: UUID, folder: str, session: str) -> UUID:
    """Identifier of the picture set that a session of a staged folder is, whatever pictures it holds.

    Its place and not its content makes it the same: a corrected session is the same set with other pictures, where
    another set would hold the photographs once more, under another label.

    Args:
        owner: the user.
        folder: the staged folder's name.
        session: the session's path within it; empty if the folder is the session.
    """
    return _identifier("session", str(owner), folder, session)


def mass_import_id(container: str) -> UUID:
    """Identifier of the mass import of a container."""
    return _identifier("mass_import", container)


def found_picture_set_id(owner: UUID, container: str, folder: str) -> UUID:
    """Identifier of the picture set that a folder found in a container is.

    Its place and not its content makes it the same: a folder that grew is the same set with more pictures, where
    another set would hold its pictures once more.
    """
    return _identifier("picture_set", str(owner), container, folder)


def picture_id(picture_set: UUID, sha256: str) -> UUID:
    """Identifier of a picture: a file that is renamed within its session stays the same picture.

    Args:
        picture_set: the set it belongs to.
        sha256: of its bytes, in hexadecimal.
    """
    return _identifier("picture", str(picture_set), sha256)


def crop_id(parent: UUID, box: str, detector: str) -> UUID:
    """Identifier of a picture that was cut from another.

    Args:
        parent: the picture it was cut from.
        box: what was cut, as `left,top,right,bottom` in pixels of the parent.
        detector: what found it, with its version.
    """
    return _identifier("crop", str(parent), box, detector)


def picture_seed_id(picture: UUID, seed: UUID | None) -> UUID:
    """Identifier of the link between a picture and a seed it shows; without a seed, of that to unknown ones."""
    return _identifier("picture_seed", str(picture), str(seed) if seed else "unknown")


def user_container(user: UUID) -> str:
    """Container of a user's imported pictures; only the pipeline writes there."""
    return f"user-{user}"


def archive_container(user: UUID) -> str:
    """Container of a user's archived pictures: those that are kept for training after their folder was put away."""
    return f"archive-{user}"


def upload_container(user: UUID) -> str:
    """Container in which a user stages folders."""
    return f"upload-{user}"


TEMPLATE_FOLDER = "_template"
"""Folder in each upload container that shows what to upload; never an upload itself."""

_UPLOAD_CONTAINER = re.compile(r"upload-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def owner_of_container(container: str) -> UUID | None:
    """The user whose upload container this is; None if it is nobody's."""
    found = _UPLOAD_CONTAINER.fullmatch(container)
    return UUID(found[1]) if found else None


def training_container(name: str) -> str:
    """Container of the versions of a training set."""
    return f"training-{name}"


def model_id(name: str) -> UUID:
    """Identifier of a model."""
    return _identifier("model", name)


def model_version_id(name: str, version: str) -> UUID:
    """Identifier of a version of a model."""
    return _identifier("model_version", name, version)


def prediction_file_id(version: UUID, sha256: str) -> UUID:
    """Identifier of a file of predictions of a model's version: its content makes it the same, whatever its name."""
    return _identifier("prediction_file", str(version), sha256)


def model_evaluation_id(version: UUID, training_set: UUID, inputs: str) -> UUID:
    """Identifier of an evaluation of a model's version: the same of the same predictions, truth and limits."""
    return _identifier("model_evaluation", str(version), str(training_set), inputs)


def predictions_container(model: str) -> str:
    """Container into which a model's predictions are put, in a folder for each version."""
    return f"predictions-{model}"


PREDICTION_SUFFIXES = (".jsonl", ".ndjson", ".parquet")
"""How files of predictions end."""


def key_ending_id(key: UUID, end: str) -> UUID:
    """Identifier of the event that an upload key is about to end at a time; it is told once."""
    return _identifier("key_ending", str(key), end)


def training_set_id(name: str, digest: str) -> UUID:
    """Identifier of a version of a training set."""
    return _identifier("training_set", name, digest)


def training_manifest_blob(digest: str) -> str:
    """Blob of a version's manifest, in its training set's container."""
    return f"{digest}/manifest.parquet"


def training_picture_blob(sha256: str, picture_format: str) -> str:
    """Blob of a picture that was copied into a training set's container; all its versions share it."""
    return f"pictures/{sha256}{SUFFIXES[picture_format]}"


def picture_blob(picture_set: UUID, picture: UUID, picture_format: str) -> str:
    """Blob of an imported picture in its user's container."""
    return f"{picture_set}/{picture}{SUFFIXES[picture_format]}"


def crop_blob(picture_set: UUID, crop: UUID) -> str:
    """Blob of a crop, beside the pictures of its parent's set."""
    return f"{picture_set}/{crop}{SUFFIXES['TIFF']}"


def descriptor_blob(picture_set: UUID) -> str:
    """Blob that describes a picture set, beside its pictures."""
    return f"{picture_set}/{picture_set}.json"


def manifest_blob(picture_set: UUID, sha256: str) -> str:
    """Blob that lists a picture set's files with their metadata and its origin, one JSON object a line.

    Its own checksum is part of its name: a corrected index.yaml makes another manifest, beside the first.
    """
    return f"{picture_set}/{picture_set}.{sha256[:16]}.manifest.jsonl"


RECEIPT_SUFFIX = ".receipt.json"


def receipt_blob(folder: str) -> str:
    """Blob of an upload's receipt, beside the staged folder."""
    return f"{folder}{RECEIPT_SUFFIX}"


def report_blob(folder: str) -> str:
    """Blob of an upload's report as a web page, beside the staged folder."""
    return f"{folder}.report.html"


def mass_import_report_blob(container: str) -> str:
    """Blob that lists what a mass import did not take, in its owner's upload container."""
    return f"mass-import-{container}.report.jsonl"


def partition_key(upload: UUID, folder: str) -> str:
    """Dagster's partition of an upload: the folder's name for people, the start of the identifier for programs.

    48 bits tell apart the uploads of one folder name; the whole identifier would leave the name no room in the UI.
    """
    return f"{_PARTITION.sub('-', folder)[:60].strip('-') or 'folder'}~{upload.hex[:_PARTITION_DIGITS]}"


def uploads_of_partition(key: str) -> tuple[UUID, UUID]:
    """The first and the last identifier that an upload of this partition can have.

    Raises:
        ValueError: the key is not one of ours.
    """
    start = key.rpartition("~")[2]
    if not _PARTITION_ID.fullmatch(start):
        raise ValueError(f"{key!r} is not the partition of an upload")
    rest = 32 - _PARTITION_DIGITS
    return UUID(start + "0" * rest), UUID(start + "f" * rest)


def judgement_id(*said: str) -> UUID:
    """Identifier of a judgement, which follows from all that is said in it."""
    return _identifier("judgement", *said)
