"""Stored pictures as a program asks for them: page by page, or one by its identifier."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.picture_sets.duplicates import species_of


class UnknownPictureError(RefusedError, LookupError):
    """There is no picture of this identifier, or it was deleted or withdrawn."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A stored picture.

    Attributes:
        id: identifier.
        picture_set: the picture set it belongs to.
        parent: the picture that it was cut from; None: it is a whole one.
        name: its name in the set.
        seeds: scientific names of what it shows, as its uploader stated; `unknown` for what nobody has named.
        container: where it is.
        blob: its name there.
        sha256: of its bytes, in hexadecimal.
        size: its bytes.
        format: TIFF, PNG or JPEG.
        width: in pixels.
        height: in pixels.
        quality_score: from 0 to 1; None if it was not measured.
        captured_at: when it was taken; None if it does not say.
        uploaded_at: when it was stored.
    """

    id: UUID
    picture_set: UUID
    parent: UUID | None
    name: str
    seeds: list[str]
    container: str
    blob: str
    sha256: str
    size: int
    format: str
    width: int
    height: int
    quality_score: float | None
    captured_at: datetime | None
    uploaded_at: datetime


_PICTURES = f"""
select p.id, p.picture_set_id as picture_set, p.parent, p.name, c.name as container, p.blob,
    encode(p.sha256, 'hex') as sha256, p.size, p.format, p.width, p.height, p.quality_score, p.captured_at,
    p.upload_date as uploaded_at,
    {species_of("p.id")} as seeds
from pictures p join picture_set s on s.id = p.picture_set_id join container c on c.id = s.container_id
where p.superseded_at is null and p.purged_at is null and p.withdrawn_at is null and s.deleted_at is null
"""


def pictures_page(
    connection: Connection, picture_set: UUID, *, crops: bool, after: UUID | None, limit: int
) -> list[Picture]:
    """Pictures of a set, in the order of their identifiers.

    Args:
        connection: to the database.
        picture_set: the set.
        crops: whether the crops are wanted, instead of the whole pictures.
        after: the last one of the page before.
        limit: how many, at most.
    """
    where = f"p.picture_set_id = %s and p.parent is {'not ' if crops else ''}null"
    query = f"{_PICTURES} and {where}{' and p.id > %s' if after else ''} order by p.id limit %s"
    return fetch(connection, class_row(Picture), query, (picture_set, *([after] if after else []), limit))


def find_picture(connection: Connection, picture: UUID) -> Picture:
    """The picture of an identifier.

    Raises:
        UnknownPictureError: there is none, or it was deleted or withdrawn.
    """
    found = fetch(connection, class_row(Picture), f"{_PICTURES} and p.id = %s", (picture,))
    if not found:
        raise UnknownPictureError(f"there is no picture {picture}")
    return found[0]
