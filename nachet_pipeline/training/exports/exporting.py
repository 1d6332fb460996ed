"""Exporting a training set: bounded in memory, verified picture by picture, and continued where it was interrupted.

DIR/<N>-seed/…, DIR/pictures/… or DIR/data/…    what readers are given (`image_folder`, `shards`)
DIR/croissant.json                              of the format croissant
DIR/manifest.parquet, export.json, README.md    what it was made of, what it holds, and how to load it
DIR/failures.jsonl                              pictures that are not in it, if there are such
DIR/.nachet-export/                             what continuing needs
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from nachet_pipeline.support.progress import Progress, silent
from nachet_pipeline.support.templates import render_template
from nachet_pipeline.training.exports import croissant, webdataset
from nachet_pipeline.training.exports.choices import WITH_SEVERAL_LABELS, ExportFormat, ExportLayout
from nachet_pipeline.training.exports.errors import ChoiceError
from nachet_pipeline.training.exports.fetching import Fetched, Fetcher
from nachet_pipeline.training.exports.image_folder import empty_classes, export_folders, trees_of
from nachet_pipeline.training.exports.journal import JOURNAL_FOLDER, Failure, Journal, journal_of, written
from nachet_pipeline.training.exports.parquet import columns_of, shard_writer
from nachet_pipeline.training.exports.rgb_tiff import CONVERSION
from nachet_pipeline.training.exports.shards import ShardedExport
from nachet_pipeline.training.exports.source import ExportContents, ExportManifest

_SAMPLE = 20
_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export, and as what.

    Attributes:
        manifest: the training set's manifest file.
        folder: where to; new, empty, or of an earlier call with the same request.
        format: what the files are made for.
        splits: which; all, if empty.
        layout: of an ImageFolder.
        shard_mib: pixels in a shard at most, uncompressed, in MiB.
    """

    manifest: Path
    folder: Path
    format: ExportFormat
    splits: tuple[str, ...] = ()
    layout: ExportLayout = ExportLayout.SEEDS
    shard_mib: int = 1024


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export holds.

    Attributes:
        folder: where it is.
        pictures: how many are in it.
        made: how many of them this call fetched; the others were there.
        failed: how many are missing from it.
        failures: the first of those; `failures.jsonl` names all.
        empty: folders of classes without pictures, of an ImageFolder.
    """

    folder: Path
    pictures: int
    made: int
    failed: int
    failures: tuple[Failure, ...]
    empty: tuple[str, ...]


def export(request: ExportRequest, fetcher: Fetcher, *, progress: Progress = silent) -> Exported:
    """Export a training set, or continue to.

    Interrupted at any moment and called again, it ends in the same files. A picture that storage lacks or that is
    not what the manifest says is left out and reported; everything else is exported.

    Args:
        request: what to export.
        fetcher: what makes the pictures.
        progress: receives how many pictures are done, of how many.

    Raises:
        ExportRefusedError: the folder holds something else, or is being written to.
        ManifestError: the manifest is none, or is damaged.
        ChoiceError: it has no such split, or the format cannot say its labels.
        StorageError: storage does not answer.
    """
    manifest = ExportManifest(request.manifest)
    contents = _chosen(manifest, request)
    with journal_of(request.folder, _identity(request, manifest)) as journal:
        with written(request.folder, "manifest.parquet") as stream, request.manifest.open("rb") as source:
            shutil.copyfileobj(source, stream)
        total = sum(contents.pictures.values())
        counts: Counter[str] = Counter()
        for done, fetched in enumerate(_run(request, manifest, contents, journal, fetcher), start=1):
            counts["failed" if fetched.failure else "found" if fetched.wanted.finished else "made"] += 1
            progress(done, total)
        return _finished(request, manifest, contents, journal, counts)


def _identity(request: ExportRequest, manifest: ExportManifest) -> dict[str, object]:
    return {
        "training_set": manifest.metadata.name,
        "digest": manifest.metadata.digest,
        "format": request.format.value,
        "splits": sorted(request.splits),
        "layout": request.layout.value,
        "shard_mib": request.shard_mib,
        "conversion": CONVERSION,
    }


def _chosen(manifest: ExportManifest, request: ExportRequest) -> ExportContents:
    if manifest.metadata.several_labels and request.format not in WITH_SEVERAL_LABELS:
        fitting = ", ".join(one.value for one in ExportFormat if one in WITH_SEVERAL_LABELS)
        raise ChoiceError(
            f"{manifest.metadata.name} has pictures of several labels, which {request.format.value} cannot say, as a"
            f" picture is in one folder: expected a format of {fitting}"
        )
    contents = manifest.contents()
    if unknown := [split for split in request.splits if split not in contents.splits]:
        found = ", ".join(contents.splits) or "no pictures"
        raise ChoiceError(f"{manifest.file}: expected one of its splits ({found}), found {unknown[0]!r}")
    chosen = request.splits or contents.splits
    return ExportContents(
        contents.classes, {key: count for key, count in contents.pictures.items() if key[0] in chosen}
    )


def _run(
    request: ExportRequest, manifest: ExportManifest, contents: ExportContents, journal: Journal, fetcher: Fetcher
) -> Iterator[Fetched]:
    if request.format is ExportFormat.IMAGEFOLDER:
        return export_folders(request.folder, journal, manifest, fetcher, layout=request.layout, contents=contents)
    shards = ShardedExport(request.folder, journal, manifest, contents.splits)
    most_bytes = request.shard_mib * _MIB
    if request.format is ExportFormat.WEBDATASET:
        return shards.run(fetcher, suffix=".tar", most_bytes=most_bytes, write=webdataset.write_shard)
    write = shard_writer(contents.classes, several_labels=manifest.metadata.several_labels)
    return shards.run(fetcher, suffix=".parquet", most_bytes=most_bytes, write=write)


def _finished(
    request: ExportRequest, manifest: ExportManifest, contents: ExportContents, journal: Journal, counts: Counter[str]
) -> Exported:
    folder = request.folder
    journal.commit()
    failures = folder / "failures.jsonl"
    if counts["failed"]:
        with written(folder, failures.name) as stream:
            for failure in journal.failures():
                line = {name: getattr(failure, name) for name in ("picture", "container", "blob", "why")}
                stream.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
    else:
        failures.unlink(missing_ok=True)
    if request.format is ExportFormat.CROISSANT:
        _describe(request, manifest, contents, journal)
    empty: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    if request.format is ExportFormat.IMAGEFOLDER:
        empty = tuple("/".join(parts) for parts in empty_classes(request.layout, contents))
        trees = tuple(trees_of(request.layout, contents))
    _write_text(folder, "export.json", _summary(request, manifest, contents, counts))
    readme = render_template(
        "training/exports/readme.md.jinja",
        kind=request.format.value,
        of=manifest.metadata,
        classes=contents.classes,
        counts=contents.by_split,
        trees=trees,
    )
    _write_text(folder, "README.md", readme)
    shutil.rmtree(folder / JOURNAL_FOLDER / "unfinished", ignore_errors=True)
    return Exported(
        folder,
        counts["made"] + counts["found"],
        counts["made"],
        counts["failed"],
        tuple(islice(journal.failures(), _SAMPLE)),
        empty,
    )


def _describe(request: ExportRequest, manifest: ExportManifest, contents: ExportContents, journal: Journal) -> None:
    paths = sorted(f"data/{file.name}" for file in (request.folder / "data").glob("*.parquet"))
    shards = [croissant.ShardFile(path, *journal.checksum(path)) for path in paths]
    columns = columns_of(contents.classes, several_labels=manifest.metadata.several_labels)
    description = croissant.described(manifest.metadata, shards, columns, contents.classes, contents.splits)
    _write_text(request.folder, croissant.NAME, json.dumps(description, indent=2, ensure_ascii=False) + "\n")


def _summary(request: ExportRequest, manifest: ExportManifest, contents: ExportContents, counts: Counter[str]) -> str:
    summary = {
        "training_set": manifest.metadata.name,
        "digest": manifest.metadata.digest,
        "format": request.format.value,
        "pictures": counts["made"] + counts["found"],
        "missing": counts["failed"],
        "splits": contents.by_split,
        "classes": [
            {"index": each.index, "folder": each.folder, "scientific_name": each.scientific_name}
            for each in contents.classes
        ],
    }
    return json.dumps(summary, indent=2, ensure_ascii=False) + "\n"


def _write_text(folder: Path, path: str, text: str) -> None:
    with written(folder, path) as stream:
        stream.write(text.encode())
