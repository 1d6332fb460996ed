"""Registering a user: the row, the two containers, and a folder that shows what to upload; and disabling one."""

from collections.abc import Mapping

from nachet_pipeline.contract.folder_contract import contract_page
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.identifiers import TEMPLATE_FOLDER
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.i18n import Language
from nachet_pipeline.users.errors import UnknownUserError
from nachet_pipeline.users.queries import add_user, find_user, set_disabled
from nachet_pipeline.users.user import User

_CONTRACTS: Mapping[str, Language] = {"CONTRACT.md": "en", "CONTRAT.md": "fr"}
_MARKDOWN = "text/markdown; charset=utf-8"

SYSTEM_ACTOR = "nachet_pipeline"
"""The actor where no person is named: schedules, and calls without one."""

_README = """\
This folder is a template; it is never imported. / Ce dossier est un modèle; il n'est jamais importé.

Put each project into a folder of its own, beside this one: an index.yaml like the one here, and a folder
`pictures` with one folder for each session, its index.yaml and its pictures. Put an empty file _COMPLETE into the
project's folder last. The receipt, <folder>.receipt.json, and the report, <folder>.report.html, appear beside it.
CONTRACT.md says all that a folder may hold, with a complete example.

Mettez chaque projet dans son propre dossier, à côté de celui-ci : un index.yaml comme celui d'ici, et un dossier
`pictures` avec un dossier pour chaque séance, son index.yaml et ses images. Mettez en dernier un fichier vide
_COMPLETE dans le dossier du projet. Le reçu, <dossier>.receipt.json, et le rapport, <dossier>.report.html,
apparaissent à côté. CONTRAT.md dit tout ce qu'un dossier peut contenir, avec un exemple complet.
"""

_PROJECT_INDEX = """\
clientData:
  clientEmail: {email}
userData:
  description: What the pictures are of / Ce que montrent les images
  zoom: 30
"""

_SESSION_INDEX = """\
imageData:
  numberOfImages: 2
seedData:
  seedGenus: Brassica
  seedSpecies: napus
userData:
  numberOfSeeds: 6
"""


def register_user(database: Database, blobs: BlobStorage, email: str, *, actor: str = SYSTEM_ACTOR) -> User:
    """Register a user and make their containers; a user who is registered already stays as they are.

    Args:
        database: where users are.
        blobs: where their containers are.
        email: the user's e-mail address, in whatever case.
        actor: who registers the user, for the audit trail.

    Raises:
        ValueError: this is no e-mail address.
        DatabaseError: the database does not answer.
        StorageError: storage does not answer.
    """
    user = database.call(add_user, email, actor=actor)
    blobs.ensure_container(user.upload_container)
    blobs.ensure_container(user.user_container)
    return user


def write_template(blobs: BlobStorage, user: User) -> None:
    """Put the default folder into a user's upload container, which shows what a project looks like.

    The sensor skips it. Files of it that the user changed are left alone; only the pages of the contract are kept as
    the contract is now.

    Raises:
        StorageError: storage does not answer.
    """
    for name, language in _CONTRACTS.items():
        page = contract_page(language).encode()
        place = f"{TEMPLATE_FOLDER}/{name}"
        written = blobs.upload(user.upload_container, place, page, content_type=_MARKDOWN)
        if not written and blobs.read(user.upload_container, place) != page:
            blobs.upload(user.upload_container, place, page, content_type=_MARKDOWN, overwrite=True)
    files = {
        "README.txt": _README,
        "index.yaml": _PROJECT_INDEX.format(email=user.email),
        "pictures/session1/index.yaml": _SESSION_INDEX,
    }
    for path, text in files.items():
        kind = "text/plain; charset=utf-8" if path.endswith(".txt") else "application/yaml"
        blobs.upload(user.upload_container, f"{TEMPLATE_FOLDER}/{path}", text.encode(), content_type=kind)


def set_user_disabled(database: Database, email: str, *, disabled: bool, actor: str) -> tuple[User, bool]:
    """Disable a user, or let them upload again; nothing of theirs is removed.

    Their keys are another matter: see `UploadKeys`.

    Returns:
        The user, and whether that was a change.

    Raises:
        UnknownUserError: there is no such user.
        DatabaseError: the database does not answer.
    """
    with database.connection() as connection:
        user = known_user(connection, email)
        changed = set_disabled(connection, user, disabled=disabled, actor=actor)
        return known_user(connection, email), changed


def known_user(connection: Connection, email: str) -> User:
    """The user with an e-mail address.

    Raises:
        UnknownUserError: there is none.
    """
    user = find_user(connection, email)
    if user is None:
        raise UnknownUserError(f"{email.strip()[:254]} is not registered; `nachet user add` registers users")
    return user
