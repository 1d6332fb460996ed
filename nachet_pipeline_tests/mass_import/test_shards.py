"""Mass import in parts: several processes at the same time take what one takes, and a folder is never cut."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier, Event, Thread
from typing import Any

import pytest

from nachet_pipeline.database.connection import Database
from nachet_pipeline.mass_import.importing import MassImportOutcome, Result
from nachet_pipeline.mass_import.queries import mass_import_lock
from nachet_pipeline.storage.blobs import StorageError
from nachet_pipeline.support.shards import WHOLE, Shard, shards
from nachet_pipeline_tests.mass_import.containers import Filled, counting, picture
from nachet_pipeline_tests.meeting import MeetingStorage
from nachet_pipeline_tests.workbench import Workbench

FOLDERS = 12
FILES = {
    **{f"batch{n % 3}/day{n}/{k}.png": picture(10 * n + k) for n in range(FOLDERS) for k in range(2)},
    "batch0/day0/notes.txt": b"x",
    "batch1/day1/damaged.png": picture(500)[:-200],
}
GOOD = {blob: content for blob, content in FILES.items() if "/damaged" not in blob}
TAKEN = 2 * FOLDERS
_EMPTY = (
    "picture_seed, picture_set, pictures, mass_import, mass_import_folder, mass_import_finding, picture_verdict,"
    " duplicate_decision"
)


def cut(filled: Filled, pictures: int) -> list[Shard]:
    found = filled.importer().run_or_fan_out(filled.request(), pictures)
    assert isinstance(found, list)
    return found


def at_once(filled: Filled, cut_into: list[Shard], **more: Any) -> tuple[list[MassImportOutcome], Counter[str]]:
    """Import all parts at the same time, each with connections of its own."""
    bench, everybody, reads = filled.bench, Barrier(len(cut_into)), Counter[str]()

    def work(part: Shard) -> MassImportOutcome:
        with (
            Database(bench.database_url, connections=4) as database,
            MeetingStorage.connect(bench.blobs.account_url, bench.blob_key) as blobs,
        ):
            blobs.everybody, blobs.reads = everybody, reads
            return filled.run(importer=filled.importer(database=database, blobs=blobs), part=part, **more)

    with ThreadPoolExecutor(len(cut_into)) as executor:
        return list(executor.map(work, cut_into)), reads


def everything(filled: Filled) -> Any:
    """What is kept, without when it was written, and findings without the order of writing."""
    rows, folders, findings, versions, _ = filled.everything()
    hidden = ("upload_date", "creation_date", "updated_at", "started_at", "finished_at")
    rows = {
        table: [{name: row[name] for name in row if name not in hidden} for row in rows[table]]
        for table in rows
        if table != "audit_trail"
    }
    stored = filled.bench.contents(filled.bench.user.user_container)
    return rows, folders, findings, versions, stored


@pytest.mark.parametrize("adopt", [False, True])
def test_a_container_in_four_parts_at_the_same_time_is_the_container_in_one(
    workbench: Workbench, *, adopt: bool
) -> None:
    filled = Filled.of(workbench, FILES)
    alone = filled.run(adopt=adopt)
    in_one = everything(filled)
    listed = workbench.blobs.read(workbench.user.upload_container, alone.report_blob or "")
    workbench.query(f"truncate {_EMPTY} cascade")
    cut_into = cut(filled, 7)
    assert len(cut_into) == 4

    outcomes, reads = at_once(filled, cut_into, adopt=adopt)
    workbench.blobs.delete(workbench.user.upload_container, alone.report_blob or "")
    with counting(workbench) as storage:
        whole = filled.run(importer=filled.importer(blobs=storage), adopt=adopt)

    assert sum(outcome.taken for outcome in outcomes) == TAKEN
    assert all(outcome.taken for outcome in outcomes)
    assert {path: count for path, count in reads.items() if path in FILES and count > 1} == {}
    assert everything(filled) == in_one
    assert storage.reads == 0
    assert (whole.taken, whole.not_taken, whole.report) == (alone.taken, alone.not_taken, alone.report)
    assert whole.results[Result.UNCHANGED] == FOLDERS
    assert workbench.blobs.read(workbench.user.upload_container, whole.report_blob or "") == listed


def test_a_part_writes_no_report_of_the_whole_and_does_not_end_it(workbench: Workbench) -> None:
    filled = Filled.of(workbench, FILES)

    (first, *_), _ = at_once(filled, cut(filled, 12)[:1])

    assert first.report_blob is None
    assert workbench.versions(workbench.user.upload_container) == {}
    assert workbench.query("select finished_at from mass_import") == [{"finished_at": None}]


def test_a_part_that_breaks_off_harms_no_other_and_is_done_again_alone(workbench: Workbench) -> None:
    filled = Filled.of(workbench, GOOD)
    broken, *others = cut(filled, 8)
    with counting(workbench) as storage:
        storage.reads_left = 2
        with pytest.raises(StorageError, match="went away"):
            filled.run(importer=filled.importer(blobs=storage, batch_pictures=1), part=broken)
    before = {row["blob"] for row in filled.pictures()}
    at_once(filled, others)

    with counting(workbench) as storage:
        again = filled.run(importer=filled.importer(blobs=storage), part=broken)

    assert len(before) == 2
    assert again.results[Result.UNCHANGED] >= 1
    assert storage.reads == again.pictures - 2
    assert len(filled.pictures()) == TAKEN


def test_what_a_part_left_is_done_by_the_run_of_the_whole(workbench: Workbench) -> None:
    filled = Filled.of(workbench, FILES)
    at_once(filled, cut(filled, 8)[1:])
    left = TAKEN - len(filled.pictures())

    whole = filled.run()

    assert 0 < left < TAKEN
    assert (whole.taken, whole.rows.pictures) == (TAKEN, left)


def test_a_small_container_is_imported_by_the_run_that_would_cut_it(workbench: Workbench) -> None:
    filled = Filled.of(workbench, FILES)

    outcome = filled.importer().run_or_fan_out(filled.request(), len(FILES))

    assert isinstance(outcome, MassImportOutcome)
    assert outcome.taken == TAKEN
    assert outcome.report_blob is not None


def test_what_is_imported_already_is_no_reason_to_cut(workbench: Workbench) -> None:
    filled = Filled.of(workbench, FILES)
    filled.run()
    filled.put("batch9/new/1.png", picture(900))

    outcome = filled.importer().run_or_fan_out(filled.request(), 5)

    assert isinstance(outcome, MassImportOutcome)
    assert (outcome.taken, outcome.rows.pictures) == (TAKEN + 1, 1)


def test_cutting_writes_nothing_and_reads_no_picture(workbench: Workbench) -> None:
    filled = Filled.of(workbench, FILES)

    with counting(workbench) as storage:
        cut_into = filled.importer(blobs=storage).run_or_fan_out(filled.request(), 5)

    assert isinstance(cut_into, list)
    assert storage.reads == 0
    assert filled.pictures() == []
    assert workbench.query("select * from mass_import_folder") == []


def test_a_folder_is_never_cut(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {f"day1/{n}.png": picture(n) for n in range(6)})

    outcome = filled.importer().run_or_fan_out(filled.request(), 2)

    assert isinstance(outcome, MassImportOutcome)
    assert outcome.taken == 6


def test_the_run_of_the_whole_waits_for_a_part(workbench: Workbench) -> None:
    filled = Filled.of(workbench, FILES)
    told = Event()
    outcomes: list[MassImportOutcome] = []
    importer = replace(filled.importer(), waiting=told.set)
    whole = Thread(target=lambda: outcomes.append(filled.run(importer=importer)))
    first, second = shards(2)

    with (
        workbench.database.connection() as held,
        mass_import_lock(held, filled.name, lambda: None, first),
    ):
        beside = filled.run(part=second)
        whole.start()
        assert told.wait(30)
        assert outcomes == []
    whole.join(60)

    assert WHOLE not in (first, second)
    assert [outcome.taken for outcome in outcomes] == [TAKEN]
    assert outcomes[0].rows.pictures == TAKEN - beside.taken
