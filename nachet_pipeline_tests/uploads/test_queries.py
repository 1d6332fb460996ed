"""What the database knows of an upload's attempts."""

from nachet_pipeline.uploads.queries import mark_queued
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
