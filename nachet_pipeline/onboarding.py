"""Registering a user: the row, and the two containers."""

from nachet_pipeline.database.connection import Database
from nachet_pipeline.database.users import User, add_user
from nachet_pipeline.storage.blobs import BlobStorage


def register_user(database: Database, blobs: BlobStorage, email: str) -> User:
    """Register a user and make their containers; a user who is registered already stays as they are.

    Raises:
        ValueError: this is no e-mail address.
        DatabaseError: the database does not answer.
        StorageError: storage does not answer.
    """
    with database.connection() as connection:
        user = add_user(connection, email)
    blobs.ensure_container(user.upload_container)
    blobs.ensure_container(user.user_container)
    return user
