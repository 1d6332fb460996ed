"""The sessions of an upload: their indexes read, their values inherited, their seeds recognised."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from nachet_pipeline.contract.inventory import FileKind, Inventory
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.metadata import (
    INDEX_NAME,
    MetadataFile,
    Model,
    ProjectIndex,
    SessionIndex,
    Value,
    inherit,
    read_metadata,
    too_large,
)
from nachet_pipeline.contract.structure import Shape
from nachet_pipeline.registry.seeds import Seed, SeedRegistry
from nachet_pipeline.support.files import SourceFolder, StagedFile

_WISHES = "uploadData."
_DEFAULT_LIMITS = ContractLimits()


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose container an upload lies in.

    Attributes:
        id: the user's identifier.
        email: the user's normalised e-mail address.
    """

    id: UUID
    email: str


@dataclass(slots=True)
class Session:
    """One session of an upload.

    Attributes:
        path: its folder, relative to the upload; empty if the upload is the session.
        index: its index.yaml, None if it has none.
        values: its metadata, inherited and own, by field.
        pictures: how many picture files it holds.
        others: how many more it holds in formats that are not imported.
    """

    path: str
    index: MetadataFile | None
    values: dict[str, Value]
    pictures: int
    others: int = 0

    @property
    def name(self) -> str:
        """The name of its folder; empty if the upload is the session."""
        return self.path.rpartition("/")[2]

    @property
    def index_path(self) -> str:
        """Path of its index.yaml, there or not."""
        return self.index.path if self.index else f"{self.path}/{INDEX_NAME}".lstrip("/")

    def inherits(self, value: Value) -> bool:
        """Whether one of its values was written in another file than its own index."""
        return value.source != self.index_path

    def number(self, name: str) -> int | None:
        """A field's whole number, None if it is not given."""
        value = self.values.get(name)
        return int(value.value) if value else None


@dataclass(slots=True)
class Context:
    """What the rules read.

    Attributes:
        inventory: files and pictures.
        shape: the folder's shape, None if it has neither.
        project: the project's index.yaml, None if it has none.
        sessions: the upload's sessions, sorted by path.
        registry: the registered seeds.
        owner: whose container the upload lies in, None when a folder is validated without one.
        stand_ins: from the path of each index.yaml that is missing to the file that was probably meant as that index.
        would_be_pictures: how many more pictures each session would have, by its path, once what is reported is done.
    """

    inventory: Inventory
    shape: Shape | None
    project: MetadataFile | None
    sessions: list[Session]
    registry: SeedRegistry
    owner: Owner | None = None
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    would_be_pictures: Counter[str] = field(default_factory=Counter)


def read_metadata_file(
    folder: SourceFolder, file: StagedFile, model: Model, limits: ContractLimits = _DEFAULT_LIMITS
) -> MetadataFile:
    """Read one of an upload's YAML files from its folder; one that is too large becomes a finding without being read.

    Raises:
        FileChangedError: it changed since it was listed.
    """
    if not file.size:  # a rule tells that it is empty; that it says nothing is no news then
        return MetadataFile(file.path, readable=False)
    if file.size > limits.yaml.bytes:
        return too_large(file.size, file.path, model, limits.yaml)
    return read_metadata(folder.read(file), file.path, model, limits.yaml)


def read_sessions(
    folder: SourceFolder, inventory: Inventory, shape: Shape | None, limits: ContractLimits = _DEFAULT_LIMITS
) -> tuple[MetadataFile | None, list[Session]]:
    """Read a folder's indexes, and record their checksums in the inventory.

    Returns:
        The project's index, None if there is none, and the sessions.

    Raises:
        FileChangedError: an index changed since the inventory was taken.
    """
    if shape is None:
        return None, []

    def index(kind: FileKind, session: str | None, model: Model) -> MetadataFile | None:
        entry = next(inventory.files(kind, session), None)
        if entry is None:
            return None
        read = read_metadata_file(folder, entry.file, model, limits)
        if read.sha256:
            inventory.record_sha256(read.path, read.sha256)
        return read

    project = index(FileKind.PROJECT_INDEX, None, ProjectIndex)
    # The uploader's wishes are no metadata of the pictures.
    given = _without_wishes(project)
    sessions = []
    for path in inventory.sessions():
        # A session that is staged alone has no project index, so its own may hold wishes.
        own = index(FileKind.SESSION_INDEX, path, ProjectIndex if shape is Shape.SESSION else SessionIndex)
        values = inherit(given, _without_wishes(own))
        pictures, others = (inventory.count(kind, path) for kind in (FileKind.PICTURE, FileKind.OTHER_PICTURE))
        sessions.append(Session(path, own, values, pictures, others))
    return project, sessions


def _without_wishes(index: MetadataFile | None) -> dict[str, Value]:
    return {name: value for name, value in index.values.items() if not name.startswith(_WISHES)} if index else {}


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the uploader wants the upload to be treated.

    Attributes:
        accept_valid: import the sessions without errors although others are refused.
        replace: remove stored pictures that their session does not hold any more, whenever they were sent.
        removed_sessions: names or paths of sessions to remove.
        source: the index with the wishes.
        removed_line: 1-based line of `removedSessions` in it.
    """

    accept_valid: bool = False
    replace: bool = False
    removed_sessions: tuple[str, ...] = ()
    source: str = ""
    removed_line: int | None = None


def read_wishes(project: MetadataFile | None, sessions: list[Session], *, replace: bool = False) -> Wishes:
    """The wishes in an upload's outermost index.

    Args:
        project: the project's index, None if there is none.
        sessions: the upload's.
        replace: whether the uploader wants it, whatever the index says.
    """
    index = project or (sessions[0].index if len(sessions) == 1 and not sessions[0].path else None)
    if index is None:
        return Wishes(replace=replace)
    wished = {name.removeprefix(_WISHES): value for name, value in index.values.items() if name.startswith(_WISHES)}
    removed = wished.get("removedSessions")
    return Wishes(
        accept_valid="acceptValid" in wished and wished["acceptValid"].value is True,
        replace=replace or ("replace" in wished and wished["replace"].value is True),
        removed_sessions=tuple(removed.value) if removed else (),
        source=index.path,
        removed_line=removed.line if removed else None,
    )


@dataclass(frozen=True, slots=True)
class SeedName:
    """One way in which a seed is named.

    Attributes:
        field: the key to report about.
        text: what was written there, in full.
        value: the value and its place.
    """

    field: str
    text: str
    value: Value


def seed_names(values: dict[str, Value]) -> list[SeedName]:
    """Every way in which these values name a seed: by id, by full name, by genus and species."""
    names = [
        SeedName(name, str(value.value), value)
        for name in ("seedData.seedID", "seedData.seedName")
        if (value := values.get(name))
    ]
    genus, species = values.get("seedData.seedGenus"), values.get("seedData.seedSpecies")
    if species and (genus or " " in str(species.value).strip()):
        epithet = str(species.value)
        # Some uploaders write the full name as the species, with or without a genus.
        is_full = genus is None or epithet.casefold().startswith(f"{genus.value} ".casefold())
        full = epithet if is_full or genus is None else f"{genus.value} {epithet}"
        names.append(SeedName("seedData.seedSpecies", full, species))
    return names


def recognise_seeds(values: dict[str, Value], registry: SeedRegistry) -> list[tuple[SeedName, Seed | None]]:
    """Each way in which a seed is named, with the registered seed it means, None if there is none.

    An unknown `seedID` is ignored where the seed is also named in words: earlier forms wrote other numbers there.
    """
    found = [
        (name, registry.with_id(name.text) if name.field == "seedData.seedID" else registry.named(name.text))
        for name in seed_names(values)
    ]
    in_words = any(name.field != "seedData.seedID" for name, _ in found)
    return [(name, seed) for name, seed in found if seed or name.field != "seedData.seedID" or not in_words]


def seed_of(values: dict[str, Value], registry: SeedRegistry) -> Seed | None:
    """The one registered seed that these values name, None if none or several."""
    seeds = {seed.id: seed for _, seed in recognise_seeds(values, registry) if seed}
    return next(iter(seeds.values())) if len(seeds) == 1 else None
