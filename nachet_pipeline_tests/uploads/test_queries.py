"""What the database knows of an upload's attempts."""

from nachet_pipeline.uploads.queries import mark_queued, unknown_partitions
from nachet_pipeline_tests.deployment import Deployment


def test_a_folder_that_failed_gets_all_its_attempts_again_once_it_is_changed(deployment: Deployment) -> None:
    upload = deployment.stage(deployment.sample("failing"))
    attempts = []
    with deployment.database.connection() as connection:
        mark_queued(connection, "first", {upload.id: "as it was"})
        connection.execute("update upload set attempts = 3 where id = %s", (upload.id,))
        for digest in ("as it was", "changed"):
            mark_queued(connection, "again", {upload.id: digest})
            row = connection.execute("select attempts from upload where id = %s", (upload.id,)).fetchone()
            attempts.append(row["attempts"])

    assert attempts == [3, 0]


def test_a_partition_is_known_by_its_whole_name(deployment: Deployment) -> None:
    upload = deployment.stage(deployment.sample("known"))
    known, identifier = upload.partition, upload.partition.rpartition("~")[2]
    by_hand = ["canola-2026", identifier, f"other~{identifier}", "known~000000000000"]

    with deployment.database.connection() as connection:
        assert unknown_partitions(connection, [known, *by_hand]) == sorted(by_hand)
        assert unknown_partitions(connection, ["canola-2026"]) == ["canola-2026"]
