"""The manifest: the immutable statement of what an upload will import, session by session."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from nachet_pipeline.contract.inventory import Inventory, PictureRecord
from nachet_pipeline.contract.metadata import Value
from nachet_pipeline.contract.sessions import Session, species_shown
from nachet_pipeline.contract.shown import ShownSpecies
from nachet_pipeline.contract.stored import Correction
from nachet_pipeline.identifiers import picture_id
from nachet_pipeline.registry.seeds import REGISTRY_ONLY, Seed, SeedRegistry

MANIFEST_VERSION = "3"


class ManifestSession(BaseModel):
    """One session in a manifest.

    Attributes:
        path: its folder, relative to the upload; empty if the upload is the session.
        name: the folder's name.
        digest: SHA-256 over the names and checksums of its pictures.
        picture_set_id: the picture set it becomes; None where no owner is known.
        pictures: number of pictures.
        size: their bytes.
        seed: the registered seed it shows; None if it shows several or unknown ones, or if that is not known.
        shows: the kinds of seeds it shows; empty if that is not known.
        waiting: pictures that show seeds which nobody has named.
        values: its metadata, inherited and own, each with its origin.
        correction: what importing it changes; None where stored pictures are not known.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    name: str
    digest: str
    picture_set_id: UUID | None
    pictures: int
    size: int
    seed: Seed | None
    shows: tuple[ShownSpecies, ...]
    waiting: int = 0
    values: dict[str, Value]
    correction: Correction | None = None


def picture_name(record: PictureRecord) -> str:
    """A picture's name within its session."""
    return name_within_session(record.path)


def name_within_session(path: str) -> str:
    """A picture's name within its session, from its path relative to the upload."""
    return path.rpartition("/")[2]


def session_digest(path: str, checksums: Iterable[tuple[str, str]]) -> str:
    """The digest that identifies a session: of its place in the upload, and its pictures' names and bytes.

    Metadata is not part of it, so that a corrected index.yaml corrects the picture set and does not store the same
    photographs once more with another label.

    Args:
        path: the session's folder, relative to the upload.
        checksums: path and SHA-256 of each of its pictures, in order.
    """
    digest = hashlib.sha256(json.dumps(path).encode())
    for picture, sha256 in checksums:
        digest.update(json.dumps([name_within_session(picture), sha256]).encode())
    return digest.hexdigest()


def picture_identifier(picture_set: UUID, record: PictureRecord) -> UUID:
    """The identifier of a picture of a set; a picture that is stored already keeps its own."""
    return record.stored_id or picture_id(picture_set, record.sha256)


def describe_sessions(
    inventory: Inventory,
    sessions: list[Session],
    registry: SeedRegistry,
    picture_sets: Mapping[str, UUID],
    corrections: Mapping[str, Correction],
    waiting: Mapping[str, int],
) -> list[ManifestSession]:
    """The sessions of an upload as its manifest states them.

    Args:
        inventory: holds the pictures.
        sessions: the sessions.
        registry: the registered seeds.
        picture_sets: which picture set each session is, by path; empty where no owner is known.
        corrections: what importing each session changes, by path.
        waiting: how many pictures of a session show seeds that nobody has named, by path.
    """
    return [
        describe_session(
            inventory,
            session,
            registry,
            place=session.path,
            picture_set=picture_sets.get(session.path),
            correction=corrections.get(session.path),
            waiting=waiting.get(session.path, 0),
        )
        for session in sessions
    ]


def describe_session(
    inventory: Inventory,
    session: Session,
    registry: SeedRegistry,
    *,
    place: str,
    picture_set: UUID | None,
    correction: Correction | None = None,
    waiting: int = 0,
) -> ManifestSession:
    """A session with the pictures of it that the inventory holds; `place` is part of its digest."""
    pictures, size = inventory.picture_totals(session.path)
    shows = species_shown(session.values, registry)
    return ManifestSession(
        path=session.path,
        name=session.name,
        digest=session_digest(place, inventory.picture_checksums(session.path)),
        picture_set_id=picture_set,
        pictures=pictures,
        size=size,
        seed=registry.by_id[only] if len(shows) == 1 and (only := shows[0].seed_id) else None,
        shows=shows,
        waiting=waiting,
        values=session.values,
        correction=correction,
    )


def content_digest(sessions: list[ManifestSession]) -> str:
    """SHA-256 over the digests of an upload's sessions."""
    return hashlib.sha256("\n".join(session.digest for session in sessions).encode()).hexdigest()


def _origin(value: Value) -> dict[str, Any]:
    return {"value": value.value, "source": value.source, "line": value.line}


def manifest_lines(session: ManifestSession, inventory: Inventory) -> Iterator[str]:
    """A session's manifest as JSON objects, one a line: the session, then each picture with its identifier."""
    head = {
        "record": "picture_set",
        "manifest_version": MANIFEST_VERSION,
        "rule_set_version": inventory.rule_set.version,
        "severities": dict(inventory.rule_set.severities),
        **session.model_dump(
            mode="json", exclude={"values": True, "correction": True, "waiting": True, "seed": set(REGISTRY_ONLY)}
        ),
        "values": {name: _origin(value) for name, value in sorted(session.values.items())},
    }
    yield json.dumps(head, ensure_ascii=False)
    for picture in inventory.pictures(session.path, measured=False):
        identifier = picture_identifier(session.picture_set_id, picture) if session.picture_set_id else None
        yield json.dumps(
            {
                "record": "picture",
                "id": str(identifier) if identifier else None,
                "path": picture.path,
                "size": picture.size,
                "sha256": picture.sha256,
                "format": picture.picture_format,
                "width": picture.width,
                "height": picture.height,
                "mode": picture.mode,
                "resolution": picture.resolution,
                "shows": [{"seed": str(one.seed) if one.seed else None, "number": one.number} for one in picture.shows],
                "values": {name: _origin(value) for name, value in sorted(picture.values.items())},
            },
            ensure_ascii=False,
        )
