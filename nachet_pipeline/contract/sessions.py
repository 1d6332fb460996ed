"""The sessions of an upload: their indexes read, their values inherited, their seeds recognised."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from nachet_pipeline.contract.inventory import FileKind, Inventory
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.metadata import (
    INDEX_NAME,
    SEED_DATA,
    MetadataFile,
    Model,
    ProjectIndex,
    SessionIndex,
    Value,
    inherit,
    read_metadata,
    too_large,
)
from nachet_pipeline.contract.shown import Shown, ShownSpecies, is_unknown, shown_together
from nachet_pipeline.contract.structure import Shape
from nachet_pipeline.registry.seeds import Rank, Seed, SeedRegistry
from nachet_pipeline.support.files import SourceFolder, StagedFile

_WISHES = "uploadData."
_SEED = f"{SEED_DATA}."
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

    @property
    def is_id(self) -> bool:
        """Whether it is an identifier; else it is words."""
        return self.field.endswith(".seedID")

    @property
    def is_unknown(self) -> bool:
        """Whether it says that nobody has named the seeds."""
        return is_unknown(str(self.value.value))


@dataclass(frozen=True, slots=True)
class StatedSeed:
    """What values say of one kind of seed.

    Attributes:
        field: the section or its entry that says it: `seedData`, or `seedData.2` of a list.
        values: what it says, by key (`seedName`).
    """

    field: str
    values: dict[str, Value]

    @property
    def number(self) -> int | None:
        """How many seeds are of it; None if that is not said."""
        given = self.values.get("numberOfSeeds")
        return int(given.value) if given else None

    @property
    def guess(self) -> tuple[str | None, Rank | None]:
        """What unknown seeds may be, and its rank: what is written as a guess, or a genus or family alone."""
        rank = self.values.get("guessRank")
        ranks: tuple[tuple[str, Rank | None], ...] = (
            ("guess", rank.value if rank else None),
            ("seedGenus", "genus"),
            ("seedFamily", "family"),
        )
        for key, its_rank in ranks:
            if (value := self.values.get(key)) and not is_unknown(str(value.value)):
                return str(value.value), its_rank
        return None, None

    def names(self) -> list[SeedName]:
        """Every way in which it names the seed: by id, by full name, by genus and species."""
        names = [
            SeedName(f"{self.field}.{key}", str(value.value), value)
            for key in ("seedID", "seedName")
            if (value := self.values.get(key))
        ]
        genus, species = self.values.get("seedGenus"), self.values.get("seedSpecies")
        if species and (genus or " " in str(species.value).strip() or is_unknown(str(species.value))):
            epithet = str(species.value)
            # Some uploaders write the full name as the species, with or without a genus.
            is_full = genus is None or epithet.casefold().startswith(f"{genus.value} ".casefold())
            full = epithet if is_full or genus is None else f"{genus.value} {epithet}"
            names.append(SeedName(f"{self.field}.seedSpecies", full, species))
        return names


def stated_seeds(values: dict[str, Value]) -> list[StatedSeed]:
    """The kinds of seeds that values speak of, in the order of their list; one, or none, where there is no list."""
    found: dict[int, dict[str, Value]] = {}
    for name, value in values.items():
        if name.startswith(_SEED):
            place, _, key = name.removeprefix(_SEED).rpartition(".")
            found.setdefault(int(place or 0), {})[key] = value
    return [StatedSeed(f"{SEED_DATA}.{place}" if place else SEED_DATA, found[place]) for place in sorted(found)]


def names_seeds(values: dict[str, Value]) -> bool:
    """Whether values name a seed, or list some."""
    stated = stated_seeds(values)
    return len(stated) > 1 or any(one.names() for one in stated)


def recognise_seeds(stated: StatedSeed, registry: SeedRegistry) -> list[tuple[SeedName, Seed | None]]:
    """Each way in which a seed is named, with the registered seed it means, None if there is none or it is unknown.

    An identifier that nothing has is ignored where the seed is also named in words: earlier forms wrote other numbers
    there.
    """
    found = [
        (name, None if name.is_unknown else registry.with_id(name.text) if name.is_id else registry.named(name.text))
        for name in stated.names()
    ]
    in_words = any(not name.is_id for name, _ in found)
    return [(name, seed) for name, seed in found if seed or not name.is_id or not in_words]


def seed_of(stated: StatedSeed, registry: SeedRegistry) -> Shown | None:
    """The kind of seed that is meant; None if no registered seed is named, or several are."""
    recognised = recognise_seeds(stated, registry)
    unknown = [name for name, _ in recognised if name.is_unknown]
    seeds = {seed.id for _, seed in recognised if seed}
    if unknown:
        return Shown(None, stated.number) if len(unknown) == len(recognised) else None
    return Shown(next(iter(seeds)), stated.number) if len(seeds) == 1 else None


def shown_by(values: dict[str, Value], registry: SeedRegistry) -> tuple[Shown, ...]:
    """The kinds of seeds that values say are shown; empty if they do not say it, or not rightly."""
    stated = stated_seeds(values)
    kinds = [seed_of(one, registry) for one in stated]
    known = [kind for kind in kinds if kind]
    # One that is left of a list is not all that is shown.
    numbered = all(kind.number or one.field == SEED_DATA for kind, one in zip(kinds, stated, strict=True) if kind)
    if len(known) < len(kinds) or len({kind.seed for kind in known}) < len(known) or not numbered:
        return ()
    return shown_together(known)


def species_shown(values: dict[str, Value], registry: SeedRegistry) -> tuple[ShownSpecies, ...]:
    """The same with names and guesses."""
    shows = shown_by(values, registry)
    guess, rank = guess_of(values)
    return tuple(
        ShownSpecies(seed_id=kind.seed, species=registry.by_id[kind.seed].scientific_name, number=kind.number)
        if kind.seed
        else ShownSpecies(number=kind.number, guess=guess, guess_rank=rank)
        for kind in shows
    )


def guess_of(values: dict[str, Value]) -> tuple[str | None, Rank | None]:
    """What the unknown seeds that values speak of may be, and its rank; None where there are none, or no guess."""
    unknown = (one for one in stated_seeds(values) if any(name.is_unknown for name in one.names()))
    return next((one.guess for one in unknown), (None, None))
