"""`nachet reprocess`, as operators type it."""

import json

import pytest

from nachet_pipeline.pictures.enrichment import ENRICHMENT_VERSION
from nachet_pipeline.reprocessing.queries import reprocessing_lock
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.reprocessing.stored import age, imported, places, severe, verdicts
from nachet_pipeline_tests.workbench import Workbench


def test_a_dry_run_tells_how_many_are_stale_and_why(workbench: Workbench, nachet: Nachet) -> None:
    imported(workbench, number=3)
    age(workbench)
    before = workbench.rows()

    told, for_programs = nachet("reprocess", "--dry-run"), nachet("reprocess", "--dry-run", "--json")

    assert told.code == 0
    assert f"stale: 3 pictures (enrichment: 0 → {ENRICHMENT_VERSION})" in told.out
    assert json.loads(for_programs.out)["would_look_at"] == 3
    assert workbench.rows() == before
    assert verdicts(workbench) == {}


def test_pictures_are_reprocessed_up_to_a_limit(workbench: Workbench, nachet: Nachet) -> None:
    imported(workbench, number=3)
    age(workbench)

    first, rest = nachet("reprocess", "--limit", "2", "--json"), nachet("reprocess")

    record = json.loads(first.out)
    assert (record["looked_at"], record["left_stale"], record["ending"]) == (2, 1, "budget of pictures")
    assert "looked at  1 pictures" in rest.out
    assert "stale      0 pictures" in rest.out


def test_differences_are_told_and_are_no_failure(
    workbench: Workbench, nachet: Nachet, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(workbench, number=2, places=1)
    severe(workbench, location_in_picture="error")
    monkeypatch.setenv("NACHET_SEVERITIES_FILE", str(workbench.place / "severities.yaml"))

    answer = nachet("reprocess")

    (refused,) = (picture for picture, row in verdicts(workbench).items() if row["state"] == "refused")
    assert answer.code == 0
    assert "personal_data/location-in-picture: not found → error, 1 pictures" in answer.out
    assert str(refused) in answer.out
    assert "1 stored pictures would be refused today; they stay where they are" in answer.out


def test_a_restored_file_is_looked_at_by_its_finding(workbench: Workbench, nachet: Nachet) -> None:
    imported(workbench)
    age(workbench)
    place = next(iter(places(workbench).values()))
    content = workbench.blobs.read(*place)
    workbench.blobs.delete(*place)
    assert "1 pictures whose file is missing" in nachet("reprocess").out
    workbench.blobs.upload(*place, content, content_type="image/png", overwrite=True)

    answer = nachet("reprocess", "--rule", "blob-missing", "--json")

    assert json.loads(answer.out)["broken"] == 0


def test_only_pictures_since_a_day_are_taken(workbench: Workbench, nachet: Nachet) -> None:
    imported(workbench)
    age(workbench)

    assert json.loads(nachet("reprocess", "--since", "2999-12-31", "--json").out)["looked_at"] == 0
    assert json.loads(nachet("reprocess", "--since", "2020-01-01", "--json").out)["looked_at"] == 2


@pytest.mark.parametrize("wrong", [("--rule", "picture-to-slow"), ("--since", "last week"), ("--limit", "0")])
def test_a_wrong_option_is_a_usage_error(nachet: Nachet, wrong: tuple[str, str]) -> None:
    answer = nachet("reprocess", *wrong)

    assert answer.code == 2
    assert wrong[0] in answer.err or "picture-too-slow" in answer.err


def test_a_second_process_says_that_one_is_at_work(workbench: Workbench, nachet: Nachet) -> None:
    with workbench.database.connection() as connection, reprocessing_lock(connection):
        answer = nachet("reprocess")

    assert answer.code == 1
    assert answer.err == "nachet: another process reprocesses the stored pictures right now; try again later\n"


def test_a_database_without_its_tables_is_told_what_to_do(workbench: Workbench, nachet: Nachet) -> None:
    workbench.query("alter table picture_verdict rename to elsewhere")

    answer = nachet("reprocess")

    assert answer.code == 3
    assert "nachet db upgrade" in answer.err
