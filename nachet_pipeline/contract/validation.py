"""Validating an upload from listing to verdict: the step that the UI calls `validated_manifest`."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.folder import Folder, StagedFile
from nachet_pipeline.contract.inventory import FileKind, Inventory, InventoryFile, PictureRecord
from nachet_pipeline.contract.manifest import ManifestSession, content_digest, describe_sessions
from nachet_pipeline.contract.metadata import MetadataFile, PictureMetadata, inherit, read_metadata
from nachet_pipeline.contract.report import Report
from nachet_pipeline.contract.rules import FOLDER_RULES
from nachet_pipeline.contract.rules.indexes import missing_seed
from nachet_pipeline.contract.rules.seeds import seed_findings
from nachet_pipeline.contract.sessions import Context, Owner, Session, read_sessions, seed_of
from nachet_pipeline.contract.structure import Shape, picture_format, take_inventory
from nachet_pipeline.lookahead import ahead
from nachet_pipeline.pictures.decoding_pool import DecodingPool
from nachet_pipeline.pictures.inspection import Fault, Properties
from nachet_pipeline.registry.seeds import SeedRegistry

THUMBNAILS = 12
"""Pictures of an upload that its contact sheet shows, spread evenly."""

Progress = Callable[[int, int], None]
"""Told how many of an upload's pictures are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class Validation:
    """What a validation made.

    Attributes:
        shape: the folder's shape, None if it has neither.
        report: the verdict; if it has no error, the inventory is a manifest that can be imported.
        sessions: what the manifest says of each session, sorted by path.
        content_digest: SHA-256 over the sessions' digests.
        pictures: number of pictures.
        size: their bytes.
        thumbnails: a few pictures by path, as small JPEGs.
    """

    shape: Shape | None
    report: Report
    sessions: list[ManifestSession]
    content_digest: str
    pictures: int
    size: int
    thumbnails: dict[str, bytes] = field(repr=False)


def validate(
    folder: Folder,
    inventory: Inventory,
    pool: DecodingPool,
    registry: SeedRegistry,
    *,
    owner: Owner | None = None,
    readers: int = 4,
    progress: Progress | None = None,
) -> Validation:
    """Validate an upload: list it, read its indexes, decode its pictures, apply every rule.

    Everything wrong is found in one pass; nothing is written but the inventory.

    Args:
        folder: the upload.
        inventory: an empty one; afterwards it holds the upload's files, pictures and findings.
        pool: decodes the pictures.
        registry: the registered seeds.
        owner: whose container the upload lies in, if it lies in one.
        readers: pictures read at a time.
        progress: told after every picture.

    Raises:
        FileChangedError: a file changed or vanished meanwhile; nothing can be said of such an upload yet.
    """
    shape = take_inventory(folder, inventory)
    project, sessions = read_sessions(folder, inventory, shape)
    context = Context(inventory, shape, project, sessions, registry, owner)
    for rule in FOLDER_RULES.values():
        _note(inventory, rule(context))
    thumbnails = _read_pictures(folder, context, pool, readers, progress)
    described = describe_sessions(inventory, sessions, registry, owner)
    pictures, size = inventory.picture_totals()
    return Validation(
        shape=shape,
        report=Report.of(inventory),
        sessions=described,
        content_digest=content_digest(described),
        pictures=pictures,
        size=size,
        thumbnails=thumbnails,
    )


def _note(inventory: Inventory, findings: Iterable[Finding]) -> None:
    for finding in findings:
        inventory.add_finding(finding)


@dataclass(frozen=True, slots=True)
class _Read:
    """A picture after reading: its hashes, its own YAML file, what decoding told."""

    sha256: str
    md5: str
    metadata: MetadataFile | None
    seen: Properties | Fault


def _read_pictures(
    folder: Folder, context: Context, pool: DecodingPool, readers: int, progress: Progress | None
) -> dict[str, bytes]:
    thumbnails: dict[str, bytes] = {}
    inventory = context.inventory
    total = sum(session.pictures for session in context.sessions)
    step = max(1, -(-total // THUMBNAILS))

    def read(file: StagedFile, metadata: StagedFile | None, *, thumbnail: bool) -> _Read:
        content = folder.read(file)
        inspection = pool.inspect(content, picture_format(file.path) or "", thumbnail=thumbnail)
        sha256 = hashlib.sha256(content).hexdigest()
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        del content
        own = read_metadata(folder.read(metadata), metadata.path, PictureMetadata) if metadata else None
        return _Read(sha256, md5, own, inspection.result())

    def submit(executor: ThreadPoolExecutor, number: int, entry: InventoryFile) -> "Future[_Read]":
        return executor.submit(read, entry.file, inventory.metadata_file(entry.stem), thumbnail=number % step == 0)

    # Threads wait for the network and for the decoders alike, so there are enough of them for both.
    with ThreadPoolExecutor(readers + pool.settings.workers, thread_name_prefix="read") as executor:
        try:
            pictures = enumerate(_pictures(context))
            tasks = ((session, entry, submit(executor, number, entry)) for number, (session, entry) in pictures)
            window = 2 * (readers + pool.settings.workers)
            for done, (session, entry, future) in enumerate(ahead(tasks, window), start=1):
                result = future.result()
                _judge(context, session, entry, result)
                if isinstance(result.seen, Properties) and result.seen.thumbnail:
                    thumbnails[entry.file.path] = result.seen.thumbnail
                if progress:
                    progress(done, total)
        except BaseException:
            executor.shutdown(wait=True, cancel_futures=True)
            raise
    return thumbnails


def _pictures(context: Context) -> Iterator[tuple[Session, InventoryFile]]:
    """The pictures that have content, session by session."""
    for session in context.sessions:
        for entry in context.inventory.files(FileKind.PICTURE, session.path):
            if entry.file.size:
                yield session, entry


def _judge(context: Context, session: Session, entry: InventoryFile, read: _Read) -> None:
    """Note what is wrong with a picture and its YAML file; note the picture itself if it decodes."""
    inventory = context.inventory
    values = session.values
    if read.metadata:
        values = inherit(values, read.metadata.values)
        _note(inventory, read.metadata.findings)
    if read.metadata and any(name.startswith("seedData.") for name in read.metadata.values):
        _note(inventory, seed_findings(values, context.registry))
        if not read.metadata.is_wrong("seedData"):
            _note(inventory, missing_seed(values, read.metadata.path))
    if isinstance(read.seen, Fault):
        fault = read.seen
        inventory.add_finding(
            Finding(code=fault.code, path=entry.file.path, expected=fault.expected, found=fault.found)
        )
        return
    seed = seed_of(values, context.registry)
    inventory.add_picture(
        PictureRecord(
            path=entry.file.path,
            session=session.path,
            version=entry.file.version,
            size=entry.file.size,
            sha256=read.sha256,
            md5=read.md5,
            picture_format=read.seen.picture_format,
            width=read.seen.width,
            height=read.seen.height,
            mode=read.seen.mode,
            resolution=read.seen.resolution,
            values=values,
            seed_id=seed.id if seed else None,
        )
    )
