"""Databases for tests, on the services that they share."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg

from nachet_pipeline.local.services import Services


@contextmanager
def own_database(services: Services, *, template: str | None = None) -> Iterator[Services]:
    """The services with a database that nobody else uses, for as long as the context lasts.

    Args:
        services: the services.
        template: name of the database that it is a copy of; empty, if not given.
    """
    name = f"test_{uuid.uuid4().hex}"
    # Copied as files: page by page through the log costs the server twice as much, and without the template's cache of
    # the catalogue each first connection reads all of that.
    copied = f' template "{template}" strategy file_copy' if template else ""
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}"{copied}')
    try:
        yield replace(services, database_url=f"{services.database_url.rpartition('/')[0]}/{name}")
    finally:
        with psycopg.connect(services.database_url, autocommit=True) as connection:
            connection.execute(f'drop database "{name}" with (force)')


def database_name(services: Services) -> str:
    """Name of the services' database."""
    return services.database_url.rpartition("/")[2]
