"""What earlier imports of an upload stored, and what everybody's pictures are: asked while it is validated."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from psycopg.rows import tuple_row

from nachet_pipeline.contract.shown import Shown, shown_together
from nachet_pipeline.contract.stored import (
    Candidate,
    EarlierPicture,
    Match,
    OtherLabel,
    StoredSet,
)
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.database.reading import fetch, pages_by_key
from nachet_pipeline.picture_sets.duplicates import find_duplicates
from nachet_pipeline.picture_sets.labels import named_among, other_labels
from nachet_pipeline.picture_sets.withdrawn_content import withdrawn_among

_PAGE = 2_000


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """Knows what is stored of an upload; see `contract.stored.StoredPictures`.

    Attributes:
        database: where it is asked.
        upload: the upload; None of what lies in a container already.
        owner: whose it is.
    """

    database: Database
    upload: UUID | None
    owner: UUID

    def sets(self) -> Mapping[str, StoredSet]:
        """The picture sets that the upload's sessions are already, or were until they were removed, by the path.

        Raises:
            DatabaseError: the database does not answer.
        """
        # Sets of older versions have no staged_until; they were written after their files were staged.
        query = (
            "select distinct on (session) session, id, coalesce(staged_until, upload_date) as staged_until"
            " from picture_set where upload_id = %s and session is not null"
            " order by session, superseded_at is not null, superseded_at desc, id"
        )
        rows = self.database.transact(fetch, tuple_row, query, (self.upload,))
        return {session: StoredSet(identifier, staged_until) for session, identifier, staged_until in rows}

    def earlier(self, picture_sets: Sequence[UUID]) -> Iterator[EarlierPicture]:
        """The whole pictures of some picture sets, read page by page.

        Raises:
            DatabaseError: the database does not answer.
        """
        return pages_by_key(
            self.database,
            partial(_page, picture_sets=list(picture_sets)),
            first=UUID(int=0),
            key=lambda picture: picture.id,
            retried=True,
        )

    def matches(self, candidates: Sequence[Candidate], own: Collection[UUID]) -> Mapping[str, Match]:
        """The closest stored picture of each that has one, by path.

        Raises:
            DatabaseError: the database does not answer.
        """
        return self.database.transact(find_duplicates, candidates, apart_from=own, owner=self.owner)

    def withdrawn(self, candidates: Sequence[Candidate]) -> Collection[str]:
        """The paths of those that are withdrawn from training.

        Raises:
            DatabaseError: the database does not answer.
        """
        return self.database.transact(withdrawn_among, candidates)

    def named(self, candidates: Sequence[Candidate]) -> Collection[str]:
        """The paths of those whose photograph somebody named, whatever uploaders say.

        Raises:
            DatabaseError: the database does not answer.
        """
        return self.database.transact(named_among, candidates)

    def other_labels(self, candidates: Sequence[Candidate], own: Collection[UUID]) -> Mapping[str, OtherLabel]:
        """Of each whose photograph is stored under other species one such, by path.

        Raises:
            DatabaseError: the database does not answer.
        """
        return self.database.transact(other_labels, candidates, owner=self.owner, apart_from=own)


def _page(connection: Connection, after: UUID, *, picture_sets: list[UUID]) -> list[EarlierPicture]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(
            "select p.picture_set_id, encode(p.sha256, 'hex'), p.id, p.name, seeds, numbers,"
            " p.superseded_at is null and s.deleted_at is null, p.sent_earlier"
            " from pictures p join picture_set s on s.id = p.picture_set_id cross join lateral (select"
            "  array_agg(coalesce(seed.merged_into, seed.id)) as seeds, array_agg(l.number_of_seeds) as numbers"
            "  from picture_seed l left join seeds seed on seed.id = l.seed_id where l.picture_id = p.id) link"
            " where p.picture_set_id = any(%s) and p.parent is null and p.id > %s order by p.id limit %s",
            (picture_sets, after, _PAGE),
        )
        return [
            EarlierPicture(
                set_, sha256, identifier, name, shown_together(map(Shown, seeds or (), numbers or ())), *rest
            )
            for set_, sha256, identifier, name, seeds, numbers, *rest in cursor
        ]
