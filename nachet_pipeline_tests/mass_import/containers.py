"""Containers full of pictures for tests, and importing them."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from nachet_pipeline.local.sample import sample_picture
from nachet_pipeline.mass_import.importing import FolderOutcome, MassImporter, MassImportOutcome, MassImportRequest
from nachet_pipeline.mass_import.mapping import FolderMapping
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline_tests.workbench import Workbench

OPTIONS = {"species": "Brassica napus", "zoom": "30", "seeds": "2"}


def picture(number: int, picture_format: str = "png") -> bytes:
    """A small picture that is unlike those of other numbers."""
    return sample_picture(number, picture_format=picture_format, width=48, height=32)


EARLY_LAYOUT = {
    "batch1/1-seed/train/0 Brassica napus/a.tiff": picture(1, "tiff"),
    "batch1/1-seed/train/0 Brassica napus/b.tiff": picture(2, "tiff"),
    "batch1/1-seed/test/1 Brassica juncea/a.tiff": picture(3, "tiff"),
    "batch1/6-seed/train/12 Solanum nigrum/a.tiff": picture(4, "tiff"),
}


@dataclass(frozen=True)
class Filled:
    """A container of somebody's, and the bench that it is imported on."""

    bench: Workbench
    name: str

    @classmethod
    def of(cls, bench: Workbench, files: Mapping[str, bytes]) -> "Filled":
        name = f"old-{uuid.uuid4().hex[:16]}"
        bench.blobs.ensure_container(name)
        filled = cls(bench, name)
        for blob, content in files.items():
            filled.put(blob, content)
        return filled

    def put(self, blob: str, content: bytes) -> None:
        self.bench.blobs.upload(self.name, blob, content, content_type="application/octet-stream", overwrite=True)

    def importer(self, **changes: Any) -> MassImporter:
        with self.bench.database.connection() as connection:
            registry = registered_seeds(connection)
        bench = self.bench
        importer = MassImporter(
            bench.database, bench.blobs, bench.pool, registry, bench.rules, bench.limits, bench.settings.transfer
        )
        return replace(importer, **changes)

    def request(
        self,
        mapping: str | None = None,
        *,
        source: str = "map.yaml",
        options: Mapping[str, str | None] | None = None,
        **more: Any,
    ) -> MassImportRequest:
        rules = FolderMapping.of(mapping, source, OPTIONS if options is None else options)
        return MassImportRequest(self.name, more.pop("owner", self.bench.user.email), rules, **more)

    def run(
        self, mapping: str | None = None, *, importer: MassImporter | None = None, **more: Any
    ) -> MassImportOutcome:
        return (importer or self.importer()).run(self.request(mapping, **more))

    # What is kept

    def versions(self) -> dict[str, str]:
        """The ETag of every blob."""
        return {file.path: file.version for file in self.bench.blobs.files(self.name, "")}

    def pictures(self) -> list[dict[str, Any]]:
        """The pictures' rows, with those around them."""
        return self.bench.query(
            "select s.name as picture_set, s.picture_set as record, s.upload_id, s.mass_import_id, c.name as container,"
            " p.id, p.name, p.blob, p.size, encode(p.sha256, 'hex') as sha256, p.nb_object, p.picture,"
            " seeds.name as seed from pictures p join picture_set s on s.id = p.picture_set_id"
            " join container c on c.id = s.container_id join picture_seed l on l.picture_id = p.id"
            " join seeds on seeds.id = l.seed_id where s.owner_id = %s order by p.blob",
            self.bench.user.id,
        )

    def everything(self) -> tuple[Any, ...]:
        """Every row and blob that a mass import could change."""
        folders = self.bench.query("select * from mass_import_folder order by mass_import_id, folder")
        for folder in folders:
            folder.pop("updated_at")
        return (
            self.bench.rows(),
            folders,
            self.bench.query("select folder, finding from mass_import_finding order by folder, number"),
            self.versions(),
            self.bench.versions(self.bench.user.user_container),
        )


def folder(outcome: MassImportOutcome, path: str) -> FolderOutcome:
    (found,) = [one for one in outcome.folders if one.folder == path]
    return found


class CountingStorage(BlobStorage):
    """The real storage, which counts what is read, and goes away after a while if it is told to."""

    reads = 0
    reads_left = 1_000_000

    def read(self, *arguments: Any, **settings: Any) -> bytes:
        from nachet_pipeline.storage.blobs import StorageError  # noqa: PLC0415

        if self.reads_left == 0:
            raise StorageError("Blob storage at 127.0.0.1: it went away")
        self.reads_left -= 1
        self.reads += 1
        return super().read(*arguments, **settings)


def counting(bench: Workbench) -> CountingStorage:
    """The bench's storage, counted."""
    blobs = bench.blobs
    return CountingStorage.connect(blobs.account_url, bench.blob_key)
