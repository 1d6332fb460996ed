"""Registered users and their containers."""

from collections.abc import Sequence
from uuid import UUID, uuid5

from psycopg.rows import class_row

from nachet_pipeline.contract.metadata import normalise_email
from nachet_pipeline.database.audit import PROGRAM, changing
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch
from nachet_pipeline.identifiers import NAMESPACE, user_id
from nachet_pipeline.settings import Notice
from nachet_pipeline.support.i18n import Language
from nachet_pipeline.users.user import User


def container_id(name: str) -> UUID:
    """Identifier of a container's row."""
    return uuid5(NAMESPACE, f"container\x1f{name}")


def register_container(connection: Connection, name: str, owner: UUID) -> None:
    """Record a container of a user's, unless it is recorded already."""
    connection.execute(
        "insert into container (id, owner_id, name) values (%s, %s, %s) on conflict do nothing",
        (container_id(name), owner, name),
    )


def add_user(connection: Connection, email: str, *, actor: str = PROGRAM) -> User:
    """Register a user, or find the one who is registered already.

    Args:
        connection: in whose transaction it is done.
        email: the address.
        actor: who registers them, for the audit trail.

    Raises:
        ValueError: this is no e-mail address.
    """
    normal = normalise_email(email)
    with changing(connection, actor=actor):
        connection.execute(
            "insert into users (id, email) values (%s, %s) on conflict do nothing", (user_id(normal), normal)
        )
    user = find_user(connection, normal)
    if user is None:
        raise LookupError(f"the user {normal} was not found right after being registered")
    for name in (user.user_container, user.upload_container):
        register_container(connection, name, user.id)
    return user


_COLUMNS = "id, lower(email) as email, disabled_at, language, notify"


def find_user(connection: Connection, email: str) -> User | None:
    """The user with an e-mail address, in whatever case it is written."""
    query = f"select {_COLUMNS} from users where lower(email) = lower(%s)"
    found = fetch(connection, class_row(User), query, (email.strip(),))
    return found[0] if found else None


def user_of(connection: Connection, identifier: UUID) -> User:
    """The user with an identifier, which is in a row that refers to them."""
    return fetch(connection, class_row(User), f"select {_COLUMNS} from users where id = %s", (identifier,))[0]


def all_users(connection: Connection) -> list[User]:
    """All users, disabled ones too, by e-mail address."""
    return fetch(connection, class_row(User), f"select {_COLUMNS} from users order by lower(email)")


def set_disabled(connection: Connection, user: User, *, disabled: bool, actor: str) -> bool:
    """Record that a user is disabled, or enabled.

    Returns:
        Whether that is a change.
    """
    action = "disabled" if disabled else "enabled"
    with changing(connection, actor=actor, action=action, note={"email": user.email}):
        changed = connection.execute(
            "update users set disabled_at = case when %s then now() end, updated_at = now()"
            " where id = %s and (disabled_at is not null) <> %s",
            (disabled, user.id, disabled),
        )
    return changed.rowcount > 0


def set_notices(
    connection: Connection,
    user: User,
    *,
    actor: str,
    language: Language | None = None,
    notify: Sequence[Notice] | None = None,
) -> bool:
    """Record in which language a user is written to, and what they want to be told; None leaves it as it is.

    Returns:
        Whether that is a change.
    """
    with changing(connection, actor=actor, note={"email": user.email}):
        changed = connection.execute(
            "update users set language = said.language, notify = said.notify, updated_at = now()"
            " from (select coalesce(%(language)s, language) as language, coalesce(%(notify)s, notify) as notify"
            " from users where id = %(user)s) as said where id = %(user)s"
            " and (users.language, users.notify) is distinct from (said.language, said.notify)",
            {"user": user.id, "language": language, "notify": None if notify is None else list(notify)},
        )
    return changed.rowcount > 0
