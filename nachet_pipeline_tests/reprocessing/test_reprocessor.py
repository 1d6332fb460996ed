"""Stored pictures follow the rules and the code: on real services, with pictures that were really imported."""

import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.database.connection import DatabaseError
from nachet_pipeline.pictures.enrichment import ENRICHMENT_VERSION
from nachet_pipeline.reprocessing import reprocessor as module
from nachet_pipeline.reprocessing.formatting import plan_record, plan_text, result_record, result_text
from nachet_pipeline.reprocessing.queries import ReprocessingBusyError, Versions, stored_versions
from nachet_pipeline.reprocessing.reprocessor import Ending, ReprocessRequest
from nachet_pipeline.reprocessing.verdicts import UnknownRuleError, VerdictState
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline_tests.reprocessing.stored import (
    OLD,
    age,
    changes_of,
    imported,
    measured,
    places,
    reprocess,
    reprocess_when_unlocked,
    reprocessor,
    severe,
    stuck_reprocessing,
    verdicts,
)
from nachet_pipeline_tests.workbench import Workbench

_BATCH_IN_TESTS = 2
PLACE = "location-in-picture"


def rule_sets(workbench: Workbench) -> set[str]:
    return {row["rule_set_version"] for row in measured(workbench)}


def enrichments(workbench: Workbench) -> list[str]:
    return sorted(row["enrichment_version"] or "" for row in measured(workbench))


def plan_of(workbench: Workbench) -> module.Plan:
    return reprocessor(workbench).plan(ReprocessRequest())


def everything_stored(workbench: Workbench) -> dict[str, bytes]:
    return workbench.contents(workbench.user.user_container)


# What is stale, and what is not


def test_after_an_import_nothing_is_stale_and_no_picture_is_read(workbench: Workbench) -> None:
    imported(workbench)
    before = workbench.rows()

    result = reprocess(workbench)

    assert (result.looked_at, result.updated, result.left_stale) == (0, 0, 0)
    assert workbench.rows() == before
    assert verdicts(workbench) == {}


def test_pictures_of_other_code_get_back_what_an_import_measures(workbench: Workbench) -> None:
    imported(workbench, number=3)
    fresh = measured(workbench)
    age(workbench)
    assert measured(workbench) != fresh

    result = reprocess(workbench)

    assert (result.looked_at, result.updated, result.changed_verdicts, result.left_stale) == (3, 3, 0, 0)
    assert measured(workbench) == fresh
    assert [row["state"] for row in verdicts(workbench).values()] == ["accepted"] * 3


def test_pictures_from_before_there_was_any_enrichment_are_enriched(workbench: Workbench) -> None:
    imported(workbench)
    fresh = measured(workbench)
    workbench.query(
        "update pictures set enrichment_version = null, rule_set_version = null, pixel_sha256 = null,"
        " perceptual_hash = null, hash_bands = null, quality_score = null, sharpness = null,"
        " picture = picture - 'enrichment'"
    )

    assert reprocess(workbench).updated == 2

    assert measured(workbench) == fresh


def test_a_second_run_changes_nothing(workbench: Workbench) -> None:
    imported(workbench, places=1)
    age(workbench)
    reprocess(workbench)
    rows, said = workbench.rows(), verdicts(workbench)

    again = reprocess(workbench)

    assert (again.looked_at, again.updated, again.changed_verdicts) == (0, 0, 0)
    assert (workbench.rows(), verdicts(workbench)) == (rows, said)


def test_a_dry_run_says_what_is_stale_and_why_and_changes_nothing(workbench: Workbench) -> None:
    imported(workbench, "old", number=2)
    age(workbench)
    imported(workbench, "new", number=3, seed=1)
    rows = workbench.rows()

    plan = plan_of(workbench)

    assert plan.pictures == plan.stale == 2
    why = f"enrichment: 0 → {ENRICHMENT_VERSION}"
    assert list(plan_text(plan)) == [
        f"stale: 2 pictures ({why}), the oldest last looked at on {plan.oldest:%Y-%m-%d}",
        "2 pictures would be looked at; nothing is changed",
    ]
    (stale,) = plan_record(plan)["stale"]
    assert (stale["enrichment_version"], stale["pictures"]) == (OLD, 2)
    assert (workbench.rows(), verdicts(workbench)) == (rows, {})


def test_a_picture_that_another_program_wrote_is_enriched_too(workbench: Workbench) -> None:
    imported(workbench, number=1)
    workbench.query("update pictures set picture = '{}', enrichment_version = null")

    assert reprocess(workbench).updated == 1

    (row,) = measured(workbench)
    assert set(row["picture"]) == {"model_version", "quality_check", "enrichment", "terms"}


def test_every_version_among_the_pictures_is_found(workbench: Workbench) -> None:
    imported(workbench, number=4)
    assert len(places(workbench)) == 4
    versions = [("", ""), ("", "7"), ("1", ""), ("3", "2")]
    for picture, (rules, enrichment) in zip(places(workbench), versions, strict=True):
        workbench.query(
            "update pictures set rule_set_version = nullif(%s, ''), enrichment_version = nullif(%s, '') where id = %s",
            rules,
            enrichment,
            picture,
        )

    with workbench.database.connection() as connection:
        assert stored_versions(connection) == [Versions(*pair) for pair in versions]


def test_without_pictures_there_is_nothing_to_do(workbench: Workbench) -> None:
    assert reprocess(workbench).looked_at == 0


_NEXT_PAGE = (
    "select id from pictures where coalesce(rule_set_version, '') = '2' and coalesce(enrichment_version, '') = '0'"
    " and id > '00000000-0000-0000-0000-000000000000' order by id limit 1000"
)
_NEXT_VERSION = (
    "select coalesce(rule_set_version, '') as r, coalesce(enrichment_version, '') as e from pictures"
    " where (coalesce(rule_set_version, ''), coalesce(enrichment_version, '')) > ('1', '1') order by 1, 2 limit 1"
)


@pytest.mark.parametrize("query", [_NEXT_PAGE, _NEXT_VERSION])
def test_stale_pictures_are_found_by_an_index(workbench: Workbench, query: str) -> None:
    imported(workbench)
    with workbench.database.connection() as connection:
        connection.execute("set local enable_seqscan = off")
        plan = "\n".join(str(row["QUERY PLAN"]) for row in connection.execute(f"explain {query}"))

    assert "pictures_by_version" in plan
    assert "Sort" not in plan


# Verdicts


def test_a_rule_that_became_stricter_is_a_difference_and_the_pictures_stay(workbench: Workbench) -> None:
    imported(workbench, number=3, places=2)
    blobs, links = everything_stored(workbench), workbench.rows()["picture_seed"]
    strict = severe(workbench, location_in_picture="error")

    result = reprocess(workbench, strict)

    assert list(changes_of(result)) == [(PLACE, None, "error", 2)]
    assert result.states == {VerdictState.ACCEPTED: 1, VerdictState.REFUSED: 2}
    assert (result.standing.refused, result.standing.errors) == (2, {PLACE: 2})
    assert (result.left_stale, result.looked_at) == (0, 3)
    assert (everything_stored(workbench), workbench.rows()["picture_seed"]) == (blobs, links)
    assert len(measured(workbench)) == 3
    (difference,) = result.differences
    refused = {picture for picture, row in verdicts(workbench).items() if row["state"] == "refused"}
    assert set(difference.pictures) == refused
    assert len(difference.thumbnails) == 2
    assert all(content.startswith(b"\xff\xd8") for content in difference.thumbnails)


def test_a_refused_picture_keeps_the_version_of_the_rules_that_accepted_it(workbench: Workbench) -> None:
    imported(workbench, number=2, places=1)
    (before,) = rule_sets(workbench)
    strict = severe(workbench, location_in_picture="error")

    reprocess(workbench, strict)

    stamp = RuleSet.of(strict.contract).stamp
    assert {row["id"]: row["rule_set_version"] for row in measured(workbench)} == {
        picture: before if row["state"] == "refused" else stamp for picture, row in verdicts(workbench).items()
    }
    assert {row["rule_set_version"] for row in verdicts(workbench).values()} == {stamp}


def test_refused_pictures_are_not_looked_at_every_night(workbench: Workbench) -> None:
    imported(workbench, number=2, places=1)
    strict = severe(workbench, location_in_picture="error")
    reprocess(workbench, strict)

    again = reprocess(workbench, strict)

    assert (again.looked_at, again.left_stale) == (0, 0)
    assert again.standing.refused == 1


def test_a_rule_that_became_milder_takes_the_difference_back(workbench: Workbench) -> None:
    imported(workbench, number=2, places=1)
    reprocess(workbench, severe(workbench, location_in_picture="error"))
    assert any("(not accepted by rules or code of in between)" in line for line in plan_text(plan_of(workbench)))

    result = reprocess(workbench)

    assert list(changes_of(result)) == [(PLACE, "error", "warning", 1)]
    assert result.standing.refused == 0
    (row,) = (row for row in verdicts(workbench).values() if row["codes"])
    assert (row["state"], row["previous"]["state"], row["previous"]["codes"]) == ("accepted", "refused", [PLACE])


def test_what_was_found_is_kept_in_both_languages(workbench: Workbench) -> None:
    imported(workbench, number=1, places=1)
    reprocess(workbench, severe(workbench, location_in_picture="error"))

    (row,) = verdicts(workbench).values()
    (finding,) = row["findings"]

    assert (finding["code"], finding["severity"], finding["field"]) == (PLACE, "error", "GPSInfo")
    for phrase in ("expected", "found"):
        if finding[phrase]:
            assert finding[phrase]["en"]
            assert finding[phrase]["fr"]


def test_one_rule_is_looked_at_again_stale_or_not(workbench: Workbench) -> None:
    imported(workbench, number=3, places=1)
    age(workbench)
    reprocess(workbench)
    (told,) = (picture for picture, row in verdicts(workbench).items() if row["codes"])
    earlier = verdicts(workbench)[told]["checked_at"]

    for rule in (PLACE, "personal_data"):
        assert reprocessor(workbench).plan(ReprocessRequest(rule=rule)).pictures == 1
        result = reprocess(workbench, rule=rule)
        assert (result.looked_at, result.updated, result.changed_verdicts) == (1, 0, 0)

    assert verdicts(workbench)[told]["checked_at"] > earlier
    assert reprocess(workbench, rule="picture_content").looked_at == 0


def test_a_rule_that_does_not_exist_is_refused_before_anything_is_read(workbench: Workbench) -> None:
    with pytest.raises(UnknownRuleError, match="personal_data"):
        reprocess(workbench, rule="personal-data")


def test_only_pictures_imported_since_a_day_are_looked_at(workbench: Workbench) -> None:
    imported(workbench, "old", number=2)
    workbench.query("update pictures set upload_date = upload_date - interval '30 days'")
    imported(workbench, "new", number=3, seed=1)
    age(workbench)
    since = datetime.now(UTC) - timedelta(days=7)

    assert reprocessor(workbench).plan(ReprocessRequest(since=since)).pictures == 3
    result = reprocess(workbench, since=since)

    assert (result.looked_at, result.left_stale) == (3, 2)
    assert result.oldest_left is not None
    assert result.oldest_left < since


# Budgets and interruptions


def test_a_budget_of_pictures_is_kept_and_the_next_night_goes_on(workbench: Workbench) -> None:
    imported(workbench, number=5)
    age(workbench)

    nights = [reprocess(workbench, pictures=2) for _ in range(4)]

    assert [(night.looked_at, night.left_stale) for night in nights] == [(2, 3), (2, 1), (1, 0), (0, 0)]
    assert [night.ending for night in nights] == [Ending.PICTURES, Ending.PICTURES, Ending.DONE, Ending.DONE]


def test_no_picture_is_begun_after_the_budget_of_seconds(workbench: Workbench) -> None:
    imported(workbench)
    age(workbench)

    result = reprocess(workbench, seconds=0)

    assert (result.looked_at, result.left_stale, result.ending) == (0, 2, Ending.SECONDS)


class FailingStorage(BlobStorage):
    """The real storage, which goes away after some pictures."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.gone_after = 0
        self.reads = 0

    def _fail_if_gone(self) -> None:
        if self.reads > self.gone_after:
            raise StorageError("Blob storage at 127.0.0.1: it went away")

    def read(self, *arguments: Any, **settings: Any) -> bytes:
        self.reads += 1
        self._fail_if_gone()
        return super().read(*arguments, **settings)

    def container_exists(self, container: str) -> bool:
        self._fail_if_gone()
        return super().container_exists(container)


@pytest.fixture
def failing(workbench: Workbench) -> Iterator[FailingStorage]:
    with FailingStorage.connect(workbench.blobs.account_url, workbench.blob_key) as storage:
        yield storage


def test_a_service_that_goes_away_fails_the_run_which_then_goes_on(
    workbench: Workbench, failing: FailingStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", _BATCH_IN_TESTS)
    imported(workbench, number=5)
    age(workbench)
    failing.gone_after = 4

    with pytest.raises(StorageError, match="went away"):
        reprocessor(workbench, blobs=failing).reprocess(ReprocessRequest())

    done = enrichments(workbench).count(ENRICHMENT_VERSION)
    assert done % _BATCH_IN_TESTS == 0
    assert done <= failing.gone_after
    assert len(verdicts(workbench)) == done
    result = reprocess(workbench)
    assert (result.looked_at, result.left_stale) == (5 - done, 0)


def test_a_batch_is_written_as_a_whole_or_not_at_all(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    imported(workbench, number=3)
    age(workbench)
    before = workbench.rows()

    writing = module.record_seen

    def lost_after_it(*arguments: Any) -> int:
        writing(*arguments)
        raise DatabaseError("PostgreSQL at 127.0.0.1: the connection was lost")

    with monkeypatch.context() as patch:
        patch.setattr(module, "record_seen", lost_after_it)
        with pytest.raises(DatabaseError, match="was lost"):
            reprocess(workbench)

    assert workbench.rows() == before
    assert reprocess(workbench).looked_at == 3


@pytest.fixture
def stuck(workbench: Workbench) -> Iterator[subprocess.Popen[str]]:
    """Another process in the middle of reprocessing five pictures: it has written four."""
    imported(workbench, number=5)
    age(workbench)
    with stuck_reprocessing(workbench, batch=2, written=4) as process:
        yield process


def test_a_killed_process_leaves_its_batches_and_the_rest_is_done_later(
    workbench: Workbench, stuck: subprocess.Popen[str]
) -> None:
    with pytest.raises(ReprocessingBusyError, match="another process"):
        reprocess(workbench)
    os.killpg(stuck.pid, signal.SIGKILL)
    stuck.wait()
    assert enrichments(workbench).count(ENRICHMENT_VERSION) == 4

    result = reprocess_when_unlocked(workbench)

    assert (result.looked_at, result.left_stale) == (1, 0)
    assert set(enrichments(workbench)) == {ENRICHMENT_VERSION}


def test_work_that_is_written_is_no_failure_because_the_lock_was_lost(workbench: Workbench) -> None:
    imported(workbench)
    age(workbench)

    def cut(_done: int) -> None:
        workbench.query(
            "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"
            " and database = (select oid from pg_database where datname = current_database())"
        )

    result = reprocessor(workbench, batch=cut).reprocess(ReprocessRequest())

    assert (result.looked_at, result.left_stale) == (2, 0)
    assert reprocess(workbench).looked_at == 0


# Files that are not what was stored


def put(workbench: Workbench, place: tuple[str, str], content: bytes) -> None:
    workbench.blobs.upload(*place, content, content_type="image/png", overwrite=True)


def test_a_missing_and_a_changed_file_are_named_and_the_others_are_done(workbench: Workbench) -> None:
    imported(workbench, number=4)
    age(workbench)
    first, second, third, _ = places(workbench).items()
    right = workbench.blobs.read(*second[1])
    workbench.blobs.delete(*first[1])
    put(workbench, second[1], right[:-1] + bytes([right[-1] ^ 1]))
    put(workbench, third[1], right + b"more")

    result = reprocess(workbench)

    assert result.states == {VerdictState.MISSING: 1, VerdictState.CHANGED: 2, VerdictState.ACCEPTED: 1}
    assert (result.standing.broken, result.standing.refused, result.left_stale) == (3, 0, 0)
    found = {one.change.code: set(one.pictures) for one in result.differences}
    assert found == {"blob-missing": {first[0]}, "blob-changed": {second[0], third[0]}}
    assert enrichments(workbench) == [OLD, OLD, OLD, ENRICHMENT_VERSION]
    assert len(measured(workbench)) == 4


def test_a_restored_file_is_looked_at_again_when_asked_for(workbench: Workbench) -> None:
    imported(workbench, number=2)
    age(workbench)
    place = next(iter(places(workbench).values()))
    content = workbench.blobs.read(*place)
    workbench.blobs.delete(*place)
    reprocess(workbench)
    put(workbench, place, content)

    result = reprocess(workbench, rule="blob-missing")

    assert list(changes_of(result)) == [("blob-missing", "error", None, 1)]
    assert (result.looked_at, result.updated, result.standing.broken) == (1, 1, 0)


class ArchivingStorage(BlobStorage):
    """The real storage, which has moved one blob to the archive tier."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.archived = ""

    def read(self, container: str, blob: str, *arguments: Any, **settings: Any) -> bytes:
        if blob == self.archived:
            raise StorageError(f"Blob storage at 127.0.0.1: reading {container}/{blob} failed: BlobArchived")
        return super().read(container, blob, *arguments, **settings)


def test_a_file_that_storage_does_not_give_out_is_named(workbench: Workbench) -> None:
    imported(workbench, number=2)
    age(workbench)
    with ArchivingStorage.connect(workbench.blobs.account_url, workbench.blob_key) as storage:
        storage.archived = next(iter(places(workbench).values()))[1]
        result = reprocessor(workbench, blobs=storage).reprocess(ReprocessRequest())

    assert result.states == {VerdictState.UNREADABLE: 1, VerdictState.ACCEPTED: 1}


def test_a_container_that_is_gone_is_every_picture_missing(workbench: Workbench) -> None:
    imported(workbench, number=2)
    age(workbench)
    workbench.query("update container set name = 'user-gone' where name = %s", workbench.user.user_container)

    assert reprocess(workbench).states == {VerdictState.MISSING: 2}


def test_a_picture_that_an_import_removed_meanwhile_is_left_out(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(workbench, number=2)
    age(workbench)
    gone = next(iter(places(workbench)))
    writing = module.record_seen

    def after_it_is_gone(connection: Any, *arguments: Any) -> int:
        connection.execute("delete from picture_seed where picture_id = %s", (gone,))
        connection.execute("delete from pictures where id = %s", (gone,))
        return writing(connection, *arguments)

    monkeypatch.setattr(module, "record_seen", after_it_is_gone)
    result = reprocess(workbench)

    assert (result.looked_at, result.updated, len(verdicts(workbench))) == (2, 1, 1)


# What is told


def test_progress_counts_every_picture(workbench: Workbench) -> None:
    imported(workbench, number=3)
    age(workbench)
    told: list[tuple[int, int]] = []

    reprocessor(workbench, progress=lambda done, total: told.append((done, total))).reprocess(
        ReprocessRequest(pictures=2)
    )

    assert told == [(1, 2), (2, 2)]


def test_people_and_programs_are_told_the_same(workbench: Workbench) -> None:
    imported(workbench, number=3, places=1)
    workbench.blobs.delete(*next(iter(places(workbench).values())))
    result = reprocess(workbench, severe(workbench, location_in_picture="error"), pictures=3)

    record, text = result_record(result), "\n".join(result_text(result))

    assert record["looked_at"] == 3
    assert record["broken"] == 1
    for one in record["differences"]:
        assert f"{one['rule']}/{one['code']}: not found → error, {one['pictures']} pictures" in text
        assert all(picture in text for picture in one["first"])
    assert "1 pictures whose file is missing" in text
