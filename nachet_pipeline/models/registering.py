"""Registering models: what a version is never changes, what a model is for may."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from nachet_pipeline.database import audit
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.identifiers import model_id, model_version_id, predictions_container
from nachet_pipeline.models.model import ModelDocument, ModelVersion, VersionDocument, digest_of
from nachet_pipeline.models.queries import classes_of, version_named
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.training.queries import UnknownTrainingSetError, version_of

_DIGEST = re.compile(r"[0-9a-f]{64}")
_OF_A_VERSION = re.compile(r"[^@]+@[0-9a-fA-F]+")
_TOLD = 20


class UnregistrableModelError(RefusedError, ValueError):
    """A model that cannot be registered: it names what is not registered, or says something else of a version."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered version.

    Attributes:
        version: the version.
        new: whether it was not registered before.
    """

    version: ModelVersion
    new: bool


def register_models(
    database: Database, blobs: BlobStorage, documents: Sequence[ModelDocument], *, by: str
) -> list[Registered]:
    """Register models, all or none, with a container for the predictions of each; see `register_model`.

    Raises:
        UnregistrableModelError: one of them cannot be registered.
        DatabaseError: the database does not answer.
        StorageError: storage does not answer.
    """
    with database.connection() as connection:
        done = [one for document in documents for one in register_model(connection, document, by=by)]
    for document in documents:
        blobs.ensure_container(predictions_container(document.name))
    return done


def register_model(connection: Connection, document: ModelDocument, *, by: str) -> list[Registered]:
    """Register a model with its versions; what is registered already stays as it is, and is found again.

    The model's owner, description and facts become those of the document.

    Args:
        connection: in whose transaction all is written.
        document: the model.
        by: who registers it, for the audit trail.

    Raises:
        UnregistrableModelError: a class means no registered taxon, the training set is not known, or a version is
            registered with something else in it. Everything wrong with the taxa is named.
    """
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 21))", (document.name,))
    registry = registered_seeds(connection)
    # All of it is read before anything is written: a refusal names every unknown taxon.
    if problems := [text for version in document.versions for text in _unregistered(version, registry)]:
        more = f"; and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
        raise UnregistrableModelError(f"{document.name}: {'; '.join(problems[:_TOLD])}{more}")
    _write_model(connection, document, by)
    return [_register(connection, document, version, registry, by) for version in document.versions]


def _unregistered(version: VersionDocument, registry: SeedRegistry) -> Iterator[str]:
    for index, one in enumerate(version.classes):
        if one.taxon is not None and _seed(one.taxon, registry) is None:
            near = registry.nearest(one.taxon)
            hint = f"; did you mean {near}?" if near else ""
            place = f"versions {version.version}: classes.{index}.taxon"
            yield f"{place}: expected a registered taxon, found {one.taxon[:80]!r}{hint}"


def _seed(taxon: str, registry: SeedRegistry) -> UUID | None:
    found = registry.with_id(taxon) or registry.named(taxon)
    return found.id if found else None


def _write_model(connection: Connection, document: ModelDocument, by: str) -> None:
    identifier = model_id(document.name)
    stated = {"owner": document.owner, "description": document.description, "facts": document.facts}
    before = connection.execute("select owner, description, facts from model where id = %s", (identifier,)).fetchone()
    if before == stated:
        return
    connection.execute(
        "insert into model (id, name, owner, description, facts) values (%s, %s, %s, %s, %s)"
        " on conflict (id) do update set owner = excluded.owner, description = excluded.description,"
        " facts = excluded.facts, updated_at = now()",
        (identifier, document.name, document.owner, document.description, Jsonb(document.facts)),
    )
    audit.record(
        connection,
        actor=by,
        action="changed" if before else "registered",
        subject="model",
        subject_id=identifier,
        before=before,
        after={"name": document.name, **stated},
    )


def _register(
    connection: Connection, document: ModelDocument, version: VersionDocument, registry: SeedRegistry, by: str
) -> Registered:
    identifier = model_version_id(document.name, version.version)
    seeds = [_seed(one.taxon, registry) if one.taxon else None for one in version.classes]
    stated = {
        "task": version.task,
        "weights": version.weights,
        "training_set_digest": _training_set(connection, version, document.name),
        "trained_at": version.trained_at,
        "facts": version.facts,
    }
    classes = list(zip((one.label for one in version.classes), seeds, strict=True))
    name = f"{document.name}@{version.version}"
    if connection.execute("select from model_version where id = %s", (identifier,)).rowcount:
        return Registered(_same(connection, name, stated, classes), new=False)
    digest = digest_of({"model": document.name, "version": version.version, **stated, "classes": classes})
    connection.execute(
        "insert into model_version (id, model_id, version, task, weights, training_set_digest, trained_at, facts,"
        " digest, registered_by) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            identifier,
            model_id(document.name),
            version.version,
            *(Jsonb(value) if key == "facts" else value for key, value in stated.items()),
            digest,
            by,
        ),
    )
    with (
        connection.cursor() as cursor,
        cursor.copy("copy model_class (model_version_id, class_index, label, seed_id) from stdin") as copy,
    ):
        for index, (label, seed) in enumerate(classes):
            copy.write_row((identifier, index, label, seed))
    after = {"name": name, "digest": digest, "classes": len(classes), **stated}
    audit.record(
        connection,
        actor=by,
        action="registered",
        subject="model version",
        subject_id=identifier,
        after={key: str(value) if key == "trained_at" and value else value for key, value in after.items()},
    )
    return Registered(version_named(connection, name), new=True)


def _same(
    connection: Connection, name: str, stated: dict[str, Any], classes: list[tuple[str, UUID | None]]
) -> ModelVersion:
    """The version that is registered, if it is the one that is stated.

    Raises:
        UnregistrableModelError: it is another one.
    """
    known = version_named(connection, name)
    differing = [key for key, value in stated.items() if getattr(known, key) != value]
    # As they are today: a taxon that was merged into another is that one in both.
    if [(one.label, one.seed) for one in classes_of(connection, known.id)] != classes:
        differing.append("classes")
    if differing:
        raise UnregistrableModelError(
            f"{name}: is registered with other {', '.join(differing)}; a version never changes, so register a new one"
        )
    return known


def _training_set(connection: Connection, version: VersionDocument, model: str) -> str | None:
    """The digest of the training set that a version names.

    Raises:
        UnregistrableModelError: there is none; or its name alone is given, which means another one tomorrow.
    """
    wanted = version.training_set
    if wanted is None or _DIGEST.fullmatch(wanted):
        return wanted
    place = f"{model}@{version.version}: training_set"
    if not _OF_A_VERSION.fullmatch(wanted):
        raise UnregistrableModelError(f"{place}: expected NAME@DIGEST or a whole digest, found {wanted[:80]!r}")
    try:
        return version_of(connection, wanted).digest
    except UnknownTrainingSetError as error:
        raise UnregistrableModelError(f"{place}: {error}") from None
