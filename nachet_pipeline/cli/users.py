"""`nachet user`: users and their upload keys."""

# ruff: noqa: PLC0415 (imports inside commands, so that help answers at once)

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nachet_pipeline.cli.terminal import DoneByOption, JsonOption, note, open_services, write, write_json, write_result
from nachet_pipeline.support.i18n import Language

if TYPE_CHECKING:
    from nachet_pipeline.client import Users
    from nachet_pipeline.mail.queries import KeptMail
    from nachet_pipeline.settings import Notice
    from nachet_pipeline.users.key import UploadKey
    from nachet_pipeline.users.upload_keys import Revocation, ShownKey
    from nachet_pipeline.users.user import User

app = typer.Typer(no_args_is_help=True, help="Users, their containers, and the keys to these.")
key_app = typer.Typer(no_args_is_help=True, help="Upload keys: each opens one user's upload container.")
app.add_typer(key_app, name="key")

EmailArgument = Annotated[str, typer.Argument(help="The user's e-mail address.")]
LanguageOption = Annotated[
    Language | None, typer.Option("--language", help="Language of their mails; en, if never given.", show_default=False)
]
NotifyOption = Annotated[
    str | None,
    typer.Option(
        "--notify",
        help="What they are told by e-mail: all, none, or some of refused, imported, failed, key, separated by commas;"
        " as NACHET_NOTIFY says, if never given.",
        show_default=False,
    ),
]


@contextmanager
def _users(by: str, *, start: bool = False) -> Iterator["Users"]:
    """Users, changed by whoever is at work."""
    from nachet_pipeline.client import Client

    with open_services(start=start) as opened:
        client = Client(opened.settings, opened.blobs, database=opened.database, by=by)
        yield client.users


@app.command("add")
def add(
    email: EmailArgument,
    by: DoneByOption = "",
    *,
    language: LanguageOption = None,
    notify: NotifyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a user: a container to stage folders in, one for their pictures, a first folder, and an upload key.

    Who is registered already stays as they are, besides a language and notices that are given. Prints the user's id
    and upload container; `nachet user key show` shows the key.
    """
    wanted = _notices(notify)
    with _users(by, start=True) as users:
        done = users.add(email)
        if wanted is not None or language is not None:
            users.notify(email, language=language, notices=wanted)
    user, key = done.user, done.key
    if as_json:
        record = {"id": user.id, "email": user.email, "upload_container": user.upload_container}
        write_json({**record, "new": done.new, "key_expires_at": key.expires_at.isoformat() if key else None})
        return
    if not done.new:
        note(f"{user.email} was registered already")
    _note_issued(user, key)
    write(str(user.id), user.upload_container)


@app.command("list")
def list_(*, as_json: JsonOption = False) -> None:
    """List all users, with when their newest key expires."""
    from datetime import UTC, datetime

    from nachet_pipeline.users.key_queries import upload_keys_of
    from nachet_pipeline.users.queries import all_users

    with open_services() as opened, opened.database.connection() as connection:
        default = opened.settings.mail.notify
        users = [(user, next(iter(upload_keys_of(connection, user.id)), None)) for user in list(all_users(connection))]
    if as_json:
        write_json([_user_record(user, key, _told(user, default)) for user, key in users])
        return
    now = datetime.now(UTC)
    for user, key in users:
        told = _told(user, default)
        notified = f"{told['language']}, notify {_words(told['notify'])}"
        write(f"{user.id}  {user.email}  {_activity(user)}  {_state(key, now)}  {notified}")


@app.command("notify")
def notify_(
    email: EmailArgument, by: DoneByOption = "", *, language: LanguageOption = None, notify: NotifyOption = None
) -> None:
    """Set what a user is told by e-mail, and in which language."""
    wanted = _notices(notify)
    if wanted is None and language is None:
        raise typer.BadParameter("give --language, --notify, or both")
    with _users(by) as users:
        user, changed = users.notify(email, language=language, notices=wanted)
    said = f"{user.email}: {user.language}" + ("" if user.notify is None else f", notify {_words(user.notify)}")
    write(f"{said}{'' if changed else ', as before'}")


@app.command("show")
def show(email: EmailArgument, *, as_json: JsonOption = False) -> None:
    """Show a user: containers, key, what they are told by e-mail, and what became of their latest mails."""
    from datetime import UTC, datetime

    from nachet_pipeline.mail.queries import mails_of
    from nachet_pipeline.users.key_queries import upload_keys_of
    from nachet_pipeline.users.registering import known_user

    with open_services() as opened, opened.database.connection() as connection:
        user = known_user(connection, email)
        key = next(iter(upload_keys_of(connection, user.id)), None)
        mails = mails_of(connection, user.id)
    told = _told(user, opened.settings.mail.notify)
    if as_json:
        write_json({**_user_record(user, key, told), "mails": [_mail(one) for one in mails]})
        return
    write(
        f"{user.email}  {_activity(user)}",
        f"id                {user.id}",
        f"upload container  {user.upload_container}",
        f"key               {_state(key, datetime.now(UTC))}",
        f"language          {told['language']}",
        f"notify            {_words(told['notify'])}{'' if told['said'] else ' (NACHET_NOTIFY)'}",
    )
    for one in mails:
        write(f"mail              {one.created_at:%Y-%m-%d %H:%M}  {one.kind}  {one.state}")


def _user_record(user: "User", key: "UploadKey | None", told: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "upload_container": user.upload_container,
        "disabled_at": user.disabled_at.isoformat() if user.disabled_at else None,
        "key": _record(key) if key else None,
        **told,
    }


def _activity(user: "User") -> str:
    return f"disabled since {user.disabled_at:%Y-%m-%d}" if user.disabled_at else "active"


def _notices(text: str | None) -> "tuple[Notice, ...] | None":
    from nachet_pipeline.settings import notices

    try:
        return None if text is None else notices(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--notify") from None


def _told(user: "User", default: "tuple[Notice, ...]") -> dict[str, Any]:
    """The language of a user's mails, what they are told, and whether they said so themselves."""
    notify = default if user.notify is None else user.notify
    return {"language": user.language, "notify": list(notify), "said": user.notify is not None}


def _words(notices: "Sequence[Notice]") -> str:
    return ",".join(notices) or "none"


def _mail(one: "KeptMail") -> dict[str, Any]:
    return {"id": one.id, "kind": one.kind, "created_at": one.created_at.isoformat(), "state": one.state}


@app.command("disable")
def disable(email: EmailArgument, by: DoneByOption = "") -> None:
    """Let nothing that a user stages be imported, and revoke their keys; nothing of theirs is removed."""
    with _users(by) as users:
        state = users.disable(email)
    write(f"{state.user.email}: disabled{'' if state.changed else ', as before'}")
    if state.revoked:
        _report_revoked(state.revoked)


@app.command("enable")
def enable(email: EmailArgument, by: DoneByOption = "") -> None:
    """Let a user who was disabled upload again, with a new key."""
    with _users(by) as users:
        state = users.enable(email)
    write(f"{state.user.email}: enabled{'' if state.changed else ', as before'}")
    _note_issued(state.user, state.key)


def _note_issued(user: "User", key: "UploadKey | None") -> None:
    if key:
        note(f"an upload key is issued, until {key.expires_at:%Y-%m-%d}: nachet user key show {user.email}")


@key_app.command("show")
def key_show(email: EmailArgument, by: DoneByOption = "", *, as_json: JsonOption = False) -> None:
    """Show a user's newest upload key, once, with lines to paste into the programs that upload.

    Who has the key can write into this user's upload container, and nowhere else, until it expires or is revoked.
    """
    with _users(by) as users:
        shown = users.show_key(email)
    write_result(
        shown, lambda one: {**_record(one.key), "url": one.url.get_secret_value()}, _how_to_use, as_json=as_json
    )


@key_app.command("rotate")
def key_rotate(
    email: EmailArgument,
    by: DoneByOption = "",
    *,
    at_once: Annotated[bool, typer.Option("--at-once", help="Revoke the keys before it now: one has leaked.")] = False,
) -> None:
    """Issue a new upload key; those before it work on for a while, so that nobody is locked out."""
    with _users(by) as users:
        rotation = users.rotate_key(email, at_once=at_once)
    write(f"new upload key, until {rotation.new.expires_at:%Y-%m-%d}: nachet user key show {email.strip()}")
    for key in rotation.former:
        note(f"key {key.number} works on until {key.expires_at:%Y-%m-%d %H:%M} UTC")


@key_app.command("revoke")
def key_revoke(email: EmailArgument, by: DoneByOption = "") -> None:
    """Let no upload key of a user's work any more; `rotate` issues another."""
    with _users(by) as users:
        revocation = users.revoke_keys(email)
    write(f"{len(revocation.keys)} keys revoked" if len(revocation.keys) != 1 else "1 key revoked")
    _report_revoked(revocation)


def _report_revoked(revocation: "Revocation") -> None:
    if revocation.open_until:
        note(
            "delegated keys cannot be taken back one by one: this one works until"
            f" {revocation.open_until:%Y-%m-%d %H:%M} UTC,"
            " unless all of the account's are ended by `az storage account revoke-delegation-keys`"
        )


def _how_to_use(shown: "ShownKey") -> Iterator[str]:
    url = shown.url.get_secret_value()
    yield f"Upload key of {shown.user.email}, until {shown.key.expires_at:%Y-%m-%d %H:%M} UTC. It is not shown again."
    yield ""
    yield "Azure Storage Explorer: Connect > Blob container or directory > Shared access signature URL, and paste:"
    yield f"  {url}"
    yield ""
    yield "azcopy, with your folder instead of FOLDER:"
    yield f'  azcopy copy "FOLDER" "{url}" --recursive --from-to LocalBlob'
    yield ""
    yield "nachet, which resumes, and marks the folder as complete:"
    yield f'  nachet stage "FOLDER" --sas "{url}"'


def _record(key: "UploadKey") -> dict[str, Any]:
    return {
        "number": key.number,
        "container": key.container,
        "kind": key.kind.value,
        "permissions": key.permissions,
        "expires_at": key.expires_at.isoformat(),
        "shown_at": key.shown_at.isoformat() if key.shown_at else None,
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
    }


def _state(key: "UploadKey | None", now: Any) -> str:
    if key is None:
        return "no key"
    if key.revoked_at:
        return f"key {key.number} revoked on {key.revoked_at:%Y-%m-%d}"
    return f"key {key.number} {'until' if key.live(now) else 'expired on'} {key.expires_at:%Y-%m-%d}"
