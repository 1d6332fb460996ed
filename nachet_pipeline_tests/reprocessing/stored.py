"""Stored pictures for tests: imported for real, then made stale, damaged or taken away."""

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.reprocessing.queries import ReprocessingBusyError
from nachet_pipeline.reprocessing.reprocessor import Reprocessed, Reprocessor, ReprocessRequest
from nachet_pipeline.settings import Settings
from nachet_pipeline.support.shards import WHOLE, Shard
from nachet_pipeline_tests.meeting import until
from nachet_pipeline_tests.pictures.files import exif_of, position, with_chunks
from nachet_pipeline_tests.workbench import Workbench, settings_with

OLD = "0"
_STUCK = """
import os, signal, sys
from pydantic import SecretStr
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.database.connection import Database
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.reprocessing import reprocessor as module
from nachet_pipeline.settings import TransferSettings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.shards import Shard

def stop(done):
    if done == int(sys.argv[2]):
        print("written", done, flush=True)
        signal.pause()

if __name__ == "__main__":
    module.BATCH = int(sys.argv[1])
    with (
        Database(SecretStr(os.environ["TEST_DATABASE"])) as database,
        BlobStorage.connect(os.environ["TEST_ACCOUNT"], SecretStr(os.environ["TEST_KEY"])) as blobs,
        DecodingPool(DecodingSettings(workers=1)) as pool,
    ):
        one = module.Reprocessor(database, blobs, pool, RuleSet(), TransferSettings(), batch=stop)
        one.reprocess(module.ReprocessRequest(shard=Shard.of(sys.argv[3])))
"""


def pictures(folder: Path) -> list[Path]:
    """A project folder's pictures, by name."""
    return sorted((folder / "pictures").rglob("*.png"), key=lambda file: (file.parent, int(file.stem)))


def tell_place(file: Path) -> None:
    """Let a PNG tell where it was taken: a warning, unless a deployment says otherwise."""
    file.write_bytes(with_chunks(file.read_bytes(), (b"eXIf", exif_of(gps=position()))))


def imported(workbench: Workbench, name: str = "project", *, number: int = 2, places: int = 0, seed: int = 0) -> None:
    """Import a folder of pictures, some of which tell where they were taken."""
    folder = workbench.sample(name, pictures=number, seed=seed)
    for file in pictures(folder)[:places]:
        tell_place(file)
    assert workbench.run(workbench.stage(folder)).receipt.state is State.IMPORTED


def age(workbench: Workbench) -> None:
    """Let all pictures have been enriched by code of long ago, which measured other things."""
    workbench.query(
        "update pictures set enrichment_version = %s, quality_score = 0, sharpness = 0, pixel_sha256 = null,"
        " picture = jsonb_set(jsonb_set(picture, '{quality_check,quality_score}', '0'), '{terms,exif:Model}', '\"X\"')",
        OLD,
    )


def severe(workbench: Workbench, **weights: str) -> Settings:
    """The workbench's settings in a deployment where findings weigh something else."""
    file = workbench.place / "severities.yaml"
    file.write_text("".join(f"{code.replace('_', '-')}: {weight}\n" for code, weight in weights.items()))
    return settings_with(workbench.settings, severities_file=file)


def reprocessor(workbench: Workbench, settings: Settings | None = None, **changes: Any) -> Reprocessor:
    blobs = changes.pop("blobs", workbench.blobs)
    given = settings or workbench.settings
    rules = RuleSet.of(given.contract)
    return Reprocessor(workbench.database, blobs, workbench.pool, rules, given.transfer, **changes)


def reprocess(workbench: Workbench, settings: Settings | None = None, **wanted: Any) -> Reprocessed:
    return reprocessor(workbench, settings).reprocess(ReprocessRequest(**wanted))


def stuck_reprocessing(
    workbench: Workbench, *, batch: int, written: int, shard: Shard = WHOLE
) -> AbstractContextManager[subprocess.Popen[str]]:
    """Another process in the middle of reprocessing, which wrote so many pictures and is stuck."""
    return workbench.process(_STUCK, batch, written, shard, stuck_at=f"written {written}")


def reprocess_when_unlocked(workbench: Workbench, **wanted: Any) -> Reprocessed:
    """Reprocess as soon as PostgreSQL noticed that the connection of the one before is gone."""

    def once() -> Reprocessed | None:
        with suppress(ReprocessingBusyError):
            return reprocess(workbench, **wanted)
        return None

    return until(once)


def places(workbench: Workbench) -> dict[UUID, tuple[str, str]]:
    """Container and blob of every stored picture, in order of the identifiers."""
    rows = workbench.query(
        "select p.id, c.name, p.blob from pictures p join picture_set s on s.id = p.picture_set_id"
        " join container c on c.id = s.container_id order by p.id"
    )
    return {row["id"]: (row["name"], row["blob"]) for row in rows}


def verdicts(workbench: Workbench) -> dict[UUID, dict[str, Any]]:
    """The rows of `picture_verdict`, in order of the identifiers."""
    rows = workbench.query("select * from picture_verdict order by picture_id")
    return {row["picture_id"]: row for row in rows}


def measured(workbench: Workbench) -> list[dict[str, Any]]:
    """What is stored of every picture, in order of the identifiers."""
    return workbench.query("select * from pictures order by id")


def changes_of(result: Reprocessed) -> Iterator[tuple[str, str | None, str | None, int]]:
    """Code, weight before, weight now, and number of pictures of each difference."""
    for one in result.differences:
        before, now = (weight.value if weight else None for weight in (one.change.before, one.change.now))
        yield one.change.code, before, now, one.count
