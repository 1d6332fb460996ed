"""Mass imports: which containers they took, and what they made of each folder."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row, tuple_row
from psycopg.types.json import Jsonb

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.shard_locks import shard_lock
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.identifiers import mass_import_id
from nachet_pipeline.support.shards import WHOLE, Shard
from nachet_pipeline.users.queries import container_id, register_container
from nachet_pipeline.users.user import User


class ContainerTakenError(RefusedError, LookupError):
    """A container belongs to another user."""


@dataclass(frozen=True, slots=True)
class DoneFolder:
    """A folder that a mass import is done with.

    Attributes:
        folder: its path in the container; empty for what lies at the top.
        listing_digest: of the names, sizes and versions of its files.
        description_digest: of its description, and of the rules that judged it.
        adopted: whether its pictures were copied, and not left where they are.
        picture_set_id: the picture set it became, None if nothing of it was taken.
        pictures: how many pictures were taken.
        not_taken: how many files were not, without what programs leave behind.
    """

    folder: str
    listing_digest: str
    description_digest: str
    adopted: bool
    picture_set_id: UUID | None
    pictures: int
    not_taken: int


_COLUMNS = "folder, listing_digest, description_digest, adopted, picture_set_id, pictures, not_taken"


def begin_mass_import(connection: Connection, container: str, owner: User) -> None:
    """Record that a container is imported for a user.

    Raises:
        ContainerTakenError: the container is another user's.
    """
    register_container(connection, container, owner.id)
    refuse_other_owner(connection, container, owner)
    connection.execute(
        "insert into mass_import (id, container_id) values (%s, %s) on conflict do nothing",
        (mass_import_id(container), container_id(container)),
    )


def refuse_other_owner(connection: Connection, container: str, owner: User) -> None:
    """Make sure that a container is this user's or nobody's.

    Raises:
        ContainerTakenError: it is another user's.
    """
    row = connection.execute(
        "select users.id, lower(email) as email from container join users on users.id = owner_id where name = %s",
        (container,),
    ).fetchone()
    if row and row["id"] != owner.id:
        raise ContainerTakenError(
            f"the container {container} belongs to {row['email']}, so {owner.email} cannot own it"
        )


def finish_mass_import(connection: Connection, mass_import: UUID) -> None:
    """Record that a mass import has finished its container."""
    connection.execute("update mass_import set finished_at = now() where id = %s", (mass_import,))


def done_folder(connection: Connection, mass_import: UUID, folder: str) -> DoneFolder | None:
    """What was made of a folder, None if nothing was yet."""
    cursor = connection.cursor(row_factory=class_row(DoneFolder))
    return cursor.execute(
        f"select {_COLUMNS} from mass_import_folder where mass_import_id = %s and folder = %s", (mass_import, folder)
    ).fetchone()


def record_folders(
    connection: Connection, mass_import: UUID, folders: Iterable[DoneFolder], findings: Iterable[tuple[str, Finding]]
) -> None:
    """Record what became of folders, in the transaction that writes their pictures' rows.

    The picture set that a folder became stays recorded, even if the folder can no longer be imported.

    Args:
        connection: in whose transaction all is written.
        mass_import: the mass import.
        folders: the folders.
        findings: what is wrong with them, each with its folder; replaces what was recorded before.
    """
    for one in folders:
        connection.execute(
            f"insert into mass_import_folder (mass_import_id, {_COLUMNS}) values (%s, %s, %s, %s, %s, %s, %s, %s)"
            " on conflict (mass_import_id, folder) do update set listing_digest = excluded.listing_digest,"
            " description_digest = excluded.description_digest, adopted = excluded.adopted,"
            " picture_set_id = coalesce(excluded.picture_set_id, mass_import_folder.picture_set_id),"
            " pictures = excluded.pictures, not_taken = excluded.not_taken, updated_at = now()",
            (
                mass_import,
                one.folder,
                one.listing_digest,
                one.description_digest,
                one.adopted,
                one.picture_set_id,
                one.pictures,
                one.not_taken,
            ),
        )
        connection.execute(
            "delete from mass_import_finding where mass_import_id = %s and folder = %s", (mass_import, one.folder)
        )
    with (
        connection.cursor() as cursor,
        cursor.copy("copy mass_import_finding (mass_import_id, folder, finding) from stdin") as copy,
    ):
        for folder, finding in findings:
            copy.write_row((mass_import, folder, Jsonb(finding.model_dump(mode="json"))))


def recorded_findings(connection: Connection, mass_import: UUID, folder: str) -> Iterator[Finding]:
    """What was found in a folder when it was imported."""
    rows = connection.execute(
        "select finding from mass_import_finding where mass_import_id = %s and folder = %s order by number",
        (mass_import, folder),
    )
    return (Finding.model_validate(row["finding"]) for row in rows)


def checksums_of(connection: Connection, picture_set: UUID, names: list[str]) -> dict[str, str]:
    """SHA-256, in hexadecimal, of those pictures of a set that have one of these names."""
    rows = connection.cursor(row_factory=tuple_row).execute(
        "select name, encode(sha256, 'hex') as sha256 from pictures where picture_set_id = %s and name = any(%s)"
        " and parent is null and superseded_at is null",
        (picture_set, names),
    )
    return dict(rows.fetchall())


@contextmanager
def mass_import_lock(
    connection: Connection, container: str, waiting: Callable[[], None], part: Shard = WHOLE
) -> Iterator[None]:
    """Hold a container, or a part of its folders, against other mass imports of the same.

    Args:
        connection: holds the lock, for as long as it lives at most.
        container: the container.
        waiting: called if another one holds some of it and has to end first.
        part: the part.
    """
    with shard_lock(connection, str(mass_import_id(container)), part, waiting=waiting):
        yield
