"""The reviewed file of users, which `NACHET_USERS_FILE` names, and applying it.

    users:
      - email: ada@example.org
        language: fr
        notify: refused, key
      - email: former.colleague@example.org
        state: disabled

Users who are not in it stay as they are; nothing of anybody is ever removed.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from nachet_pipeline.contract.metadata import normalise_email
from nachet_pipeline.contract.yaml_reader import listed_entries, yaml_document
from nachet_pipeline.database.connection import Database
from nachet_pipeline.settings import NOTICES, Notice, notices
from nachet_pipeline.support.i18n import Language
from nachet_pipeline.users.errors import UsersFileError
from nachet_pipeline.users.lifecycle import Onboarding
from nachet_pipeline.users.queries import find_user, set_notices

_KEYS = ("email", "state", "language", "notify")
_LANGUAGES: Mapping[str | None, Language | None] = {None: None, "en": "en", "fr": "fr"}


class ListedState(StrEnum):
    """The state that the file asks for."""

    ACTIVE = "active"
    DISABLED = "disabled"


class UserChange(StrEnum):
    """The effect of applying an entry."""

    ADDED = "added"
    DISABLED = "disabled"
    ENABLED = "enabled"
    CHANGED = "language or notices changed"
    UNCHANGED = "unchanged"
    NEVER_REGISTERED = "disabled, and never registered"


@dataclass(frozen=True, slots=True)
class ListedUser:
    """An entry of the file.

    Attributes:
        email: normalised e-mail address.
        state: what the user is to be.
        line: where the file says so.
        language: the language of their mails; None: as it is.
        notify: what they want to be told by e-mail; None: as it is.
    """

    email: str
    state: ListedState
    line: int
    language: Language | None = None
    notify: tuple[Notice, ...] | None = None


def digest_of(file: Path) -> str:
    """Changes with anything that the file says.

    Raises:
        UsersFileError: it cannot be read.
    """
    return hashlib.sha256(_bytes(file)).hexdigest()


def read_users(file: Path) -> list[ListedUser]:
    """Read a file of users, as a whole before any of it is applied.

    Raises:
        UsersFileError: it cannot be read, or something in it cannot be used.
    """
    try:
        text = _bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsersFileError(f"{file}: expected UTF-8 text") from None
    document = yaml_document(text, str(file), UsersFileError)
    listed: dict[str, ListedUser] = {}
    for line, entry in listed_entries(document, "users", _KEYS, str(file), UsersFileError):
        user = _entry(entry, f"{file}:{line}", line)
        if user.email in listed:
            first = listed[user.email].line
            raise UsersFileError(f"{file}:{line}: {user.email} is listed in line {first} already; case does not matter")
        listed[user.email] = user
    return list(listed.values())


def apply_users(
    database: Database, onboarding: Onboarding, users: list[ListedUser], *, actor: str
) -> Iterator[tuple[ListedUser, UserChange]]:
    """Add, disable and enable users as the file says; users who are so already get whatever is missing of theirs.

    Args:
        database: where users are.
        onboarding: adds and disables them.
        users: the file's entries.
        actor: whom the audit trail names.

    Yields:
        Each entry with what was done.

    Raises:
        SettingsError: NACHET_SECRET_KEYS is not set.
        DatabaseError: the database does not answer.
        StorageError: storage does not answer; another call completes it.
    """
    for user in users:
        known = database.call(find_user, user.email)
        if user.state is ListedState.DISABLED:
            if known is None:
                yield user, UserChange.NEVER_REGISTERED
            else:
                state = onboarding.disable(user.email, actor=actor)
                yield user, UserChange.DISABLED if state.changed else UserChange.UNCHANGED
            continue
        if known and known.disabled_at is not None:
            active, change = onboarding.enable(user.email, actor=actor).user, UserChange.ENABLED
        else:
            onboarded = onboarding.onboard(user.email, actor=actor)
            active, change = onboarded.user, UserChange.ADDED if onboarded.new else UserChange.UNCHANGED
        told = database.call(set_notices, active, actor=actor, language=user.language, notify=user.notify)
        yield user, UserChange.CHANGED if told and change is UserChange.UNCHANGED else change


def _entry(entry: Mapping[str, Any], where: str, line: int) -> ListedUser:
    email, state = entry.get("email"), entry.get("state") or ListedState.ACTIVE
    if not isinstance(email, str) or not isinstance(state, str):
        raise UsersFileError(f"{where}: expected email and state to be text")
    language, notify = entry.get("language"), entry.get("notify")
    if not isinstance(language, str | None) or language not in _LANGUAGES:
        raise UsersFileError(f"{where}: language: expected en or fr, found {str(language)[:80]!r}")
    try:
        told = None if notify is None else notices(", ".join(notify) if isinstance(notify, list) else str(notify))
    except (TypeError, ValueError):
        expected = f"all, none, or some of {', '.join(NOTICES)}"
        raise UsersFileError(f"{where}: notify: expected {expected}, found {str(notify)[:80]!r}") from None
    try:
        return ListedUser(
            normalise_email(email), ListedState(state.strip().casefold()), line, _LANGUAGES[language], told
        )
    except ValueError:
        pass
    if state.strip().casefold() not in set(ListedState):
        raise UsersFileError(f"{where}: state: expected active or disabled, found {state[:80]!r}")
    raise UsersFileError(f"{where}: email: expected an e-mail address, name@example.org, found {email[:80]!r}")


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsersFileError(f"{file}: cannot be read: {error.strerror}") from None
