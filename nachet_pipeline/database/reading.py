"""Reading rows as what they stand for, and long answers page by page."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from psycopg.abc import Params
from psycopg.rows import RowFactory, scalar_row

from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.support.batches import pages

_Row = TypeVar("_Row")
_Key = TypeVar("_Key")


def fetch(
    connection: Connection, made_by: "RowFactory[_Row]", query: str, parameters: Params | None = None
) -> list[_Row]:
    """All rows of an answer, each made by one of psycopg's row factories, such as `class_row(User)`."""
    with connection.cursor(row_factory=made_by) as cursor:
        return cursor.execute(query, parameters).fetchall()


def fetch_column(connection: Connection, query: str, parameters: Params | None = None) -> list[Any]:
    """The first value of each row."""
    return fetch(connection, scalar_row, query, parameters)


def fetch_value(connection: Connection, query: str, parameters: Params | None = None) -> Any:
    """The first value of the first row, None if there is no row."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(query, parameters).fetchone()


def pages_by_key(
    database: Database,
    read: Callable[[Connection, _Key], Sequence[_Row]],
    *,
    first: _Key,
    key: Callable[[_Row], _Key],
    retried: bool = False,
) -> Iterator[_Row]:
    """Rows in the order of a key, each page read in a transaction of its own, so that neither lasts nor grows.

    Args:
        database: where the rows are.
        read: reads the page that follows a key; an empty one ends the rows.
        first: a key before all others.
        key: of a row.
        retried: whether a page is read again if the database was lost meanwhile.

    Raises:
        DatabaseError: the database does not answer.
    """
    in_transaction = database.transact if retried else database.call
    return pages(lambda after: in_transaction(read, after), first=first, key=key)
