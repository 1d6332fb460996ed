"""Reprocessing in parts: several processes at the same time, each picture once, the same rows as one alone."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from nachet_pipeline.database.connection import Database
from nachet_pipeline.pictures.enrichment import ENRICHMENT_VERSION
from nachet_pipeline.reprocessing.formatting import result_record
from nachet_pipeline.reprocessing.merging import merge, what_is_left
from nachet_pipeline.reprocessing.queries import ReprocessingBusyError, reprocessing_lock
from nachet_pipeline.reprocessing.reprocessor import Ending, Reprocessed, ReprocessRequest
from nachet_pipeline.support.shards import SECTIONS, WHOLE, Shard, section_of, shards
from nachet_pipeline_tests.meeting import MeetingStorage
from nachet_pipeline_tests.reprocessing.stored import (
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

PICTURES = 12
_PASSING = ("checked_at",)


def cut(workbench: Workbench, number: int) -> list[Shard]:
    """Parts with about as many stored pictures each."""
    weights = [0] * SECTIONS
    for picture in places(workbench):
        weights[section_of(picture)] += 1
    found = shards(number, weights)
    assert len(found) == number
    return found


def at_once(workbench: Workbench, cut_into: list[Shard], **settings: Any) -> tuple[list[Reprocessed], Counter[str]]:
    """Reprocess all parts at the same time, each with connections of its own."""
    everybody, reads = Barrier(len(cut_into)), Counter[str]()

    def work(shard: Shard) -> Reprocessed:
        with (
            Database(workbench.database_url, connections=4) as database,
            MeetingStorage.connect(workbench.blobs.account_url, workbench.blob_key) as blobs,
        ):
            blobs.everybody, blobs.reads = everybody, reads
            one = replace(reprocessor(workbench, blobs=blobs, **settings), database=database)
            return one.reprocess(ReprocessRequest(shard=shard))

    with ThreadPoolExecutor(len(cut_into)) as executor:
        return list(executor.map(work, cut_into)), reads


def said(workbench: Workbench) -> list[dict[str, Any]]:
    """The verdicts, without when they were given."""
    return [{name: row[name] for name in row if name not in _PASSING} for row in verdicts(workbench).values()]


def test_three_parts_at_the_same_time_do_what_one_run_does_and_each_picture_once(workbench: Workbench) -> None:
    imported(workbench, number=PICTURES, places=4)
    age(workbench)
    reprocess(workbench)
    alone = (measured(workbench), said(workbench))
    workbench.query("delete from picture_verdict")
    age(workbench)

    results, reads = at_once(workbench, cut(workbench, 3))

    assert sum(result.looked_at for result in results) == PICTURES
    assert all(result.looked_at for result in results)
    assert set(reads.values()) == {1}
    assert len(reads) == PICTURES
    assert (measured(workbench), said(workbench)) == alone
    assert reprocess(workbench).looked_at == 0


def test_parts_put_together_tell_what_one_run_would_have_told(workbench: Workbench) -> None:
    imported(workbench, number=PICTURES, places=5)
    strict = severe(workbench, location_in_picture="error")
    results, _ = at_once(workbench, cut(workbench, 3), settings=strict)
    records = [result_record(result) for result in results]
    wanted = ReprocessRequest(pictures=100, seconds=3600)

    last = reprocess(workbench, strict, pictures=what_is_left(wanted, records).pictures)
    whole = merge(last, records)

    assert (last.looked_at, whole.looked_at, whole.changed_verdicts) == (0, PICTURES, 5)
    assert list(changes_of(whole)) == [("location-in-picture", None, "error", 5)]
    assert sum(whole.states.values()) == PICTURES
    assert whole.standing.refused == 5
    assert whole.ending is Ending.DONE
    (difference,) = whole.differences
    refused = {picture for picture, row in verdicts(workbench).items() if row["state"] == "refused"}
    assert set(difference.pictures) == refused
    assert whole.seconds >= max(record["seconds"] for record in records)


def test_budgets_of_the_parts_are_those_of_the_whole(workbench: Workbench) -> None:
    imported(workbench, number=PICTURES)
    age(workbench)
    results = [reprocess(workbench, shard=shard, pictures=2) for shard in cut(workbench, 3)]
    records = [result_record(result) for result in results]

    left = what_is_left(ReprocessRequest(pictures=6, seconds=3600), records)
    whole = merge(reprocess(workbench, pictures=left.pictures), records)

    assert left.pictures == 0
    assert left.seconds is not None
    assert 0 < left.seconds < 3600
    assert (whole.looked_at, whole.left_stale, whole.ending) == (6, PICTURES - 6, Ending.PICTURES)


def test_parts_that_overlap_are_refused_and_those_beside_go_on(workbench: Workbench) -> None:
    imported(workbench, number=4)
    age(workbench)
    with workbench.database.connection() as connection, reprocessing_lock(connection, Shard(0, 127)):
        for overlapping in (WHOLE, Shard(0, 63), Shard(100, 150)):
            with pytest.raises(ReprocessingBusyError, match="another process"):
                reprocess(workbench, shard=overlapping)
        beside = reprocess(workbench, shard=Shard(128, 255))

    assert beside.looked_at + reprocess(workbench).looked_at == 4


def test_only_a_parts_own_pictures_are_planned_by_finding_too(workbench: Workbench) -> None:
    imported(workbench, number=PICTURES, places=PICTURES)
    reprocess(workbench, severe(workbench, location_in_picture="error"))
    rule = "location-in-picture"

    planned = [
        reprocessor(workbench).plan(ReprocessRequest(rule=rule, shard=shard)).pictures for shard in cut(workbench, 3)
    ]
    seen = [reprocess(workbench, rule=rule, shard=shard).looked_at for shard in cut(workbench, 3)]

    assert planned == seen
    assert sum(seen) == PICTURES


def test_a_part_that_is_killed_is_done_again_alone(workbench: Workbench) -> None:
    imported(workbench, number=PICTURES)
    fresh = measured(workbench)
    age(workbench)
    killed, *others = cut(workbench, 3)
    with stuck_reprocessing(workbench, batch=1, written=1, shard=killed):
        results, _ = at_once(workbench, others)

    again = reprocess_when_unlocked(workbench, shard=killed)

    assert again.looked_at + 1 + sum(result.looked_at for result in results) == PICTURES
    assert {row["enrichment_version"] for row in measured(workbench)} == {ENRICHMENT_VERSION}
    assert measured(workbench) == fresh
