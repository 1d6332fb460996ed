"""What people judge of predictions, crops and pictures, for a page on which they do."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from nachet_pipeline.client.paging import Page, after_of, identifier, moment_of, one_more, page_of
from nachet_pipeline.client.services import Services
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.errors import RefusedError, UsageError
from nachet_pipeline.models.judgements.importing import Format, import_judgements
from nachet_pipeline.models.judgements.judgement import Stated, Verdict, box_of
from nachet_pipeline.models.judgements.policy import Policy
from nachet_pipeline.models.judgements.queries import RecordedJudgement, content_of, judgements_page
from nachet_pipeline.models.judgements.reading import Otherwise
from nachet_pipeline.models.judgements.recording import Recorded, record_judgements, withdraw_judgement


class Judgements:
    """What people judge."""

    def __init__(self, services: Services, by: str) -> None:
        """Use services.

        Args:
            services: the database.
            by: whom the audit trail names for what is recorded; who judges is stated in each judgement.
        """
        self._services = services
        self._by = by

    @property
    def _policy(self) -> Policy:
        return Policy.of(self._services.settings.judging)

    def judge(
        self,
        verdict: str,
        *,
        person: str,
        picture: UUID | str | None = None,
        prediction: UUID | str | None = None,
        object: int | None = None,  # noqa: A002 (the word of the domain)
        box: Sequence[float] | None = None,
        taxon: str | None = None,
        corrected_box: Sequence[float] | None = None,
        sure: float | None = None,
        note: str | None = None,
        at: datetime | None = None,
    ) -> Recorded:
        """Record what somebody says of a picture, a crop or an object of a prediction.

        To be sure that a repeated call records it once, give `at`.

        Args:
            verdict: `right`, `wrong`, `taxon`, `box`, `missed`, `not_a_seed`, `unusable` or `unsure`.
            person: who judges, by e-mail address.
            picture: the picture or crop it is about.
            prediction: the prediction it is about, in place of a picture.
            object: which object of it, from 1.
            box: the region of the picture it is about: left, top, right, bottom, as fractions.
            taxon: name or identifier of what it shows.
            corrected_box: where the object is, likewise.
            sure: from 0 to 1.
            note: what else the person says.
            at: when; now, if it is not given.

        Raises:
            RefusedError: something is wrong with it.
            UsageError: there is no such verdict, a box is none, or `at` has no time zone.
            UnavailableError: the database does not answer.
        """
        _check_moment(at)
        try:
            said = Verdict(verdict)
            judged, corrected = (box_of(*one) if one is not None else None for one in (box, corrected_box))
        except (TypeError, ValueError) as error:
            raise UsageError(str(error)) from None
        stated = Stated(
            person,
            said,
            at or datetime.now(UTC),
            prediction=identifier(prediction) if prediction else None,
            object=object,
            picture=identifier(picture) if picture else None,
            box=judged,
            taxon=taxon,
            corrected_box=corrected,
            sure=sure,
            note=note,
        )
        return self._services.database.call(
            record_judgements, [stated], by=self._by, source="client", policy=self._policy
        )

    def withdraw(self, judgement: UUID | str, *, person: str, why: str) -> Recorded:
        """Take a judgement back: what was said before it counts again.

        Raises:
            RefusedError: there is no such judgement, or it was taken back.
            UnavailableError: the database does not answer.
        """
        return self._services.database.call(
            withdraw_judgement, identifier(judgement), by=person, why=why, policy=self._policy
        )

    def import_file(
        self,
        path: str | os.PathLike[str],
        *,
        file_format: Format | None = None,
        person: str | None = None,
        at: datetime | None = None,
    ) -> Recorded:
        """Record the judgements of a file: all of them, or none if something is wrong with one.

        Args:
            path: JSON Lines, CSV, what a tool gave back, or the predecessor's feedback.
            file_format: of it, if its name and content do not say.
            person: who judged, where the file does not say it.
            at: when, where the file does not say it.

        Raises:
            RefusedError: something is wrong with one of them.
            UsageError: the file cannot be read or is of no format that is known, or `at` has no time zone.
            UnavailableError: the database does not answer.
        """
        _check_moment(at)
        return self._services.database.call(
            import_judgements,
            Path(path),
            by=self._by,
            policy=self._policy,
            otherwise=Otherwise(person, at),
            file_format=file_format,
        )

    def list(
        self,
        of: UUID | str | None = None,
        *,
        person: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[RecordedJudgement]:
        """Judgements, in the order of their times.

        Args:
            of: only those of this picture, crop or prediction.
            person: only those of this person.
            after: of the page before.
            limit: how many on a page.

        Raises:
            RefusedError: there is nothing of this identifier.
            UsageError: `of` is none, or `after` is of no page.
            UnavailableError: the database does not answer.
        """
        found = self._services.reading(
            _listed, identifier(of) if of else None, person=person, after=moment_of(after), limit=one_more(limit)
        )
        return page_of(found, limit, lambda one: after_of(one.judgement.at, one.judgement.id))


def _check_moment(at: datetime | None) -> None:
    if at is not None and at.tzinfo is None:
        raise UsageError("at: expected a time with its time zone")


def _listed(connection: Connection, /, of: UUID | None, **asked: Any) -> list[RecordedJudgement]:
    contents = None
    if of is not None:
        content = content_of(connection, of)
        if content is None:
            raise RefusedError(f"there is no picture, crop or prediction {of}")
        contents = [content]
    return judgements_page(connection, contents=contents, **asked)
