"""Building a version of a training set: from a recipe to a published manifest and its rows in the database.

The order of things: what the recipe chooses is read in one snapshot, grouped, capped, split, and written to a file,
whose digest is the version's identity; the file is published under that name, never over another; then one transaction
records the version with its members. Building the same again finds both there. Which version is the current one is
decided after it was checked, by `make_current`.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import IO, Any
from urllib.parse import quote
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.identifiers import training_container, training_manifest_blob, training_set_id
from nachet_pipeline.picture_sets.labels import species_at_odds
from nachet_pipeline.registry.seeds import Seed
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.progress import StepProgress, silent
from nachet_pipeline.training.candidates import Choice, Standing, resolve
from nachet_pipeline.training.copying import copy_pictures
from nachet_pipeline.training.grouping import Grouping, groups
from nachet_pipeline.training.identifiers import hash_code, places, to_uuids
from nachet_pipeline.training.kinds import NO_NUMBER, Ints, Kinds
from nachet_pipeline.training.labels import GivenLabel, Taxon, class_indices, classes_of
from nachet_pipeline.training.manifest import LABEL_COLUMNS, SCHEMA, ManifestClass, ManifestWriter
from nachet_pipeline.training.queries import (
    Members,
    NewVersion,
    VersionDifference,
    begin_snapshot,
    current_version,
    decided_pairs,
    difference,
    given_labels,
    held_out,
    lock_recipe,
    record_version,
    recorded,
    set_current,
    taxa,
)
from nachet_pipeline.training.recipe import PREVIOUS, SPLITS, Recipe, RecipeError
from nachet_pipeline.training.selection import (
    Selection,
    SpooledRows,
    capped,
    index_pairs,
    placed,
    select,
    smallest_members,
)
from nachet_pipeline.training.splitting import Splitting, split

_NEAR_SAMPLE = 100
_TAXA_NAMED = 20
_PARQUET = "application/vnd.apache.parquet"
_SAFE_IN_URL = r"^[0-9A-Za-z._~/-]*$"


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know of a version that is no error.

    Attributes:
        code: what kind of thing it is.
        label: the class folder that it concerns, None if it concerns no single class.
        message: one sentence.
    """

    code: str
    label: str | None
    message: str

    def __str__(self) -> str:
        """The sentence."""
        return self.message


@dataclass(frozen=True, slots=True)
class ClassCount(ManifestClass):
    """A class and its pictures.

    Attributes:
        counts: pictures by split, for all splits that the recipe has or a picture is on.
    """

    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class NearPairs:
    """Pairs of pictures of the version that stay together because they look alike, and for nothing else.

    Attributes:
        count: how many were found among what the recipe chooses, before caps.
        counted_all: False if there are more than were counted.
        sample: the closest of the version's: two pictures, and in how many bits they differ.
    """

    count: int
    counted_all: bool
    sample: tuple[tuple[UUID, UUID, int], ...]


@dataclass(frozen=True, slots=True)
class Built:
    """A version that was published and recorded.

    Attributes:
        recipe: what it was made by.
        id: its identifier in the database.
        digest: its identity, in hexadecimal.
        new: False if this very version was recorded before.
        container: where it is published.
        pictures: how many it has.
        groups: how many groups they make.
        classes: in the order of their indices, those without pictures too.
        notes: what there is to know of it.
        near_pairs: pictures that look alike.
        previous: digest of the version that was current when this one was made first, None if there was none.
        difference: how it differs from that, None if there was none.
        copied: pictures that were copied into the container now, None if they are not to be.
        labels: pictures by what people judged of their labels: `stated`, `verified` and `disputed`.
    """

    recipe: Recipe
    id: UUID
    digest: str
    new: bool
    container: str
    pictures: int
    groups: int
    classes: tuple[ClassCount, ...]
    notes: tuple[Note, ...]
    near_pairs: NearPairs
    previous: str | None
    difference: VersionDifference | None
    copied: int | None = None
    labels: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The training set's name."""
        return self.recipe.name

    @property
    def prefix(self) -> str:
        """The folder of the version in its container."""
        return self.digest

    @property
    def blob(self) -> str:
        """The manifest in its container."""
        return training_manifest_blob(self.digest)


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read in one snapshot."""

    choice: Choice
    selection: Selection
    taxa: dict[UUID, Taxon]
    earlier: list[GivenLabel]
    different: Ints
    joined: Ints
    held_out: NDArray[np.int8]
    torn: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Set:
    """Where each picture of the version goes: columns of one length, in the order of their identifiers."""

    place: Ints
    members: Members
    labels: Kinds
    classes: tuple[ManifestClass, ...]
    groups: int
    near_pairs: NearPairs
    notes: tuple[Note, ...]
    unregistered: tuple[Seed, ...]
    standing: Mapping[str, int]


def build(
    recipe: Recipe,
    database: Database,
    blobs: BlobStorage,
    *,
    progress: StepProgress = silent,
) -> Built:
    """Build a version of a recipe's training set, or find it built.

    It does not become the current one: see `make_current`.

    Args:
        recipe: what to build.
        database: two of its connections are used at a time.
        blobs: where it is published.
        progress: receives each step.

    Raises:
        RecipeError: the recipe names what is not there, or stands against its earlier versions.
        WithdrawnMeanwhileError: one of the pictures was withdrawn meanwhile.
        DatabaseError: the database does not answer.
        StorageError: storage does not answer, or a picture to copy is not there.
    """
    container = training_container(recipe.name)
    with ExitStack() as stack:
        guard = stack.enter_context(database.connection())
        lock_recipe(guard, recipe.name)
        rows = stack.enter_context(SpooledRows())
        with database.reading() as connection:
            begin_snapshot(connection)
            read = _read(connection, recipe, rows, progress)
        made = _arrange(read, progress)
        stream = stack.enter_context(tempfile.TemporaryFile(prefix="nachet-manifest-"))
        digest = _write(stream, recipe, read.selection.rows, made, blobs.account_url, progress)
        counts = _counts(recipe, made)
        version = _new_version(recipe, digest, made, counts)
        blobs.ensure_container(container)
        blobs.upload(container, version.blob, stream, content_type=_PARQUET)
        progress("recording", 0, len(made.place))
        new, previous, changed = _record(database, version, made.members)
        progress("recording", len(made.place), len(made.place))
        copied = None
        if recipe.copy_pictures:
            copied = copy_pictures(stream, blobs, container, progress=partial(progress, "copying"))
    return Built(
        recipe=recipe,
        id=version.id,
        digest=digest,
        new=new,
        container=container,
        pictures=len(made.place),
        groups=made.groups,
        classes=counts,
        notes=made.notes,
        near_pairs=made.near_pairs,
        previous=previous,
        difference=changed,
        copied=copied,
        labels=made.standing,
    )


def make_current(built: Built, database: Database, blobs: BlobStorage) -> None:
    """Let a version be its training set's current one: `latest.json` names it, and so does the database.

    Raises:
        DatabaseError: the database does not answer.
        StorageError: storage does not answer.
    """
    latest = {
        "name": built.name,
        "digest": built.digest,
        "manifest": built.blob,
        "pictures": built.pictures,
        "classes": {one.label: one.counts for one in built.classes},
        "previous": built.previous,
    }
    content = json.dumps(latest, indent=2, ensure_ascii=False).encode()
    with database.connection() as connection:
        # Of two who do this at once, the same one comes last in both places.
        lock_recipe(connection, built.name)
        blobs.upload(built.container, "latest.json", content, content_type="application/json", overwrite=True)
        set_current(connection, built.id)


def _new_version(recipe: Recipe, digest: str, made: _Set, counts: Sequence[ClassCount]) -> NewVersion:
    return NewVersion(
        id=training_set_id(recipe.name, digest),
        name=recipe.name,
        digest=digest,
        container=training_container(recipe.name),
        blob=training_manifest_blob(digest),
        groups=made.groups,
        recipe=recipe.document(),
        recipe_digest=recipe.digest,
        classes=[asdict(one) for one in counts],
        notes=[asdict(note) for note in made.notes],
        unregistered=made.unregistered,
    )


def _record(
    database: Database, version: NewVersion, members: Members
) -> tuple[bool, str | None, VersionDifference | None]:
    """Record a version: whether it is new, the digest of the version before it, and how it differs from that."""
    new = database.call(record_version, version, members)
    with database.reading() as connection:
        previous = recorded(connection, version.id).previous
        if previous is None:
            return new, None, None
        return new, previous, difference(connection, training_set_id(version.name, previous), version.id)


def _read(connection: Connection, recipe: Recipe, rows: SpooledRows, tell: StepProgress) -> _Read:
    choice = resolve(connection, recipe)
    selection = select(connection, choice, rows, lambda done: tell("reading", done, done))
    return _Read(
        choice,
        selection,
        taxa(connection, selection.species),
        given_labels(connection, recipe.name),
        _decided(connection, "different", selection),
        _decided(connection, "duplicate", selection),
        _held_out(connection, recipe, selection),
        _torn(connection, selection),
    )


def _torn(connection: Connection, selection: Selection) -> tuple[str, ...]:
    """The first pictures that were left out because their photograph is under several species, with those."""
    stored = species_at_odds(connection, [root for _, root, _ in selection.first_torn])
    shown = {picture: chosen | stored.get(root, set()) for picture, root, chosen in selection.first_torn}
    known = taxa(connection, list(set().union(*shown.values())))
    return tuple(
        f"{picture} is stored as {' and as '.join(sorted(known[one].name for one in species))}"
        for picture, species in shown.items()
    )


def _decided(connection: Connection, decision: str, selection: Selection) -> Ints:
    """Pairs of pictures of which operators decided this; crops of duplicates are to be together too."""
    every = selection.candidates
    pairs = [
        ([hash_code(content) for content in one], [hash_code(content) for content in other])
        for one, other in decided_pairs(connection, decision)
    ]
    if decision == "different":
        return index_pairs(pairs, (every.file, every.pixels), each=True)
    return index_pairs(pairs, (every.file, every.pixels, every.root, every.root_pixels), each=False)


def _held_out(connection: Connection, recipe: Recipe, selection: Selection) -> NDArray[np.int8]:
    """The side on which each picture's photograph was held out, -1 for none."""
    sides = np.full(len(selection.place), -1, np.int8)
    if recipe.keep_held_out_from is None:
        return sides
    name = recipe.name if recipe.keep_held_out_from == PREVIOUS else recipe.keep_held_out_from
    version = current_version(connection, name)
    if version is None:
        if recipe.keep_held_out_from == PREVIOUS:
            return sides
        raise RecipeError(
            f"recipe {recipe.name}: keep_held_out_from: expected a training set that was built, found {name}, which"
            " has no current version yet"
        )
    contents, held = held_out(connection, version.id)
    for content in selection.contents:
        found = places(content, contents)
        at = np.flatnonzero(found >= 0)
        sides[at] = np.maximum(sides[at], held[found[at]])
    return sides


def _arrange(read: _Read, tell: StepProgress) -> _Set:
    """Decide which pictures stay, their classes, groups and sides."""
    choice, selection = read.choice, read.selection
    recipe = choice.recipe
    every = selection.candidates
    tell("grouping", 0, len(every))
    grouping = groups(every, near_bits=recipe.near_duplicate_bits, different=read.different, joined=read.joined)
    several = recipe.several_labels
    stays = np.flatnonzero(
        capped(
            selection.labels.code,
            grouping.group,
            selection.contents[0] if len(every) else every.picture,
            most=recipe.cap_per_class,
            seed=recipe.seed,
            picture=selection.labels.picture if several else None,
        )
    )
    labels = selection.labels.take(stays)
    classes, place_of = _classes(read, labels.code)
    labels = labels.renamed(place_of)
    picture, group = every.picture[stays], smallest_members(grouping.group[stays])
    class_index = np.array([one.class_index for one in classes], np.int64)[labels.code]
    tell("splitting", 0, len(stays))
    result = split(
        group,
        labels.code,
        fractions={side: recipe.splits.get(side, 0.0) for side in SPLITS},
        seed=recipe.seed,
        key=selection.photograph[stays],
        held_out=read.held_out[stays],
        picture=labels.picture if several else None,
    )
    return _Set(
        place=selection.place[stays],
        members=Members(
            picture, result.split.astype(np.int8), class_index, picture[group], labels.begin if several else None
        ),
        labels=labels,
        classes=classes,
        groups=int((group == np.arange(len(group))).sum()),
        near_pairs=_near_pairs(grouping, stays, every.picture),
        notes=(
            *_notes(read, classes, result, cut=len(every) - len(stays), unseen=grouping.joined_unseen),
            *_rolled_up(read, classes, place_of, selection.shown.take(stays).code),
        ),
        unregistered=tuple(seed for seed in (*choice.classes, *selection.taxa) if seed.id not in choice.registry.by_id),
        standing={
            one.name.lower(): int((selection.standing[stays] == one).sum())
            for one in (Standing.STATED, Standing.VERIFIED, Standing.DISPUTED)
        },
    )


def _rolled_up(read: _Read, classes: Sequence[ManifestClass], place_of: Ints, shown: Ints) -> Iterator[Note]:
    """The taxa whose pictures are labelled as another one, by class.

    Args:
        read: what was read.
        classes: of the version.
        place_of: of each label its place among these.
        shown: the species that each picture shows.
    """
    selection, rank = read.selection, read.choice.recipe.label_rank
    species, counts = np.unique(shown, return_counts=True)
    of_class: dict[int, list[str]] = {}
    for code, count in zip(species.tolist(), counts.tolist(), strict=True):
        place = int(place_of[selection.label_of[code]])
        if str(selection.species[code]) != classes[place].taxon_id:
            of_class.setdefault(place, []).append(f"{read.taxa[selection.species[code]].name} ({count})")
    for place, named in sorted(of_class.items()):
        one = classes[place]
        message = f"{one.label} has the pictures of {_some(named)}: the recipe labels at the rank {rank}."
        yield Note("rolled-up", one.label, message)
    if selection.wider:
        named = [f"{read.taxa[one].name} ({count})" for one, count in selection.wider.items()]
        message = f"Pictures of {_some(named)} were left out: they are not identified to a {rank}, as labels are."
        yield Note("wider-than-labels", None, message)


def _some(named: Sequence[str]) -> str:
    more = f" and {len(named) - _TAXA_NAMED} more" if len(named) > _TAXA_NAMED else ""
    return f"{', '.join(sorted(named)[:_TAXA_NAMED])}{more}"


def _classes(read: _Read, label: Ints) -> tuple[tuple[ManifestClass, ...], Ints]:
    """The classes in the order of their indices, and the place of each label among them, -1 for one that is none."""
    choice, codes = read.choice, read.selection.taxa
    shown = [Taxon(codes[code].id, codes[code].scientific_name) for code in np.unique(label)]
    # A species that the recipe names is a class even without pictures; one that it does not name may come and go.
    named = [Taxon(seed.id, seed.scientific_name) for seed in choice.classes]
    order = {one.id: one for one in (*named, *sorted(shown, key=lambda one: (one.name, one.id)))}
    ordered = list(order.values())
    fixed = {one: index for one, index in choice.label_map.items() if one in order}
    indices = class_indices(ordered, fixed=fixed, earlier=read.earlier, recipe=choice.recipe.name)
    classes = classes_of(ordered, indices)
    position = {UUID(one.taxon_id): place for place, one in enumerate(classes)}
    return classes, np.array([position.get(one.id, -1) for one in codes], np.int64)


def _near_pairs(grouping: Grouping, stays: Ints, picture: NDArray[np.uint8]) -> NearPairs:
    pairs = grouping.near_pairs
    if len(pairs):
        there = np.zeros(len(picture), bool)
        there[stays] = True
        pairs = pairs[there[pairs[:, 0]] & there[pairs[:, 1]]][:_NEAR_SAMPLE]
    sample = tuple(
        (UUID(bytes=picture[first].tobytes()), UUID(bytes=picture[second].tobytes()), int(bits))
        for first, second, bits in pairs
    )
    return NearPairs(grouping.near_pair_count, grouping.near_pairs_counted_all, sample)


def _notes(
    read: _Read, classes: Sequence[ManifestClass], result: Splitting, *, cut: int, unseen: int
) -> Iterator[Note]:
    selection, recipe = read.selection, read.choice.recipe
    crops = recipe.pictures == "crops"
    if selection.mixed:
        what = "pictures show more than one species and were left out."
        if crops:
            what = (
                "crops are of photographs that show more than one species and were left out: they wait for a judgement"
                " that says which one each of them shows."
            )
        elif recipe.several_labels:
            what = "pictures show species that the recipe does not choose beside ones that it does, and were left out."
        yield Note("several-species", None, f"{selection.mixed} {what}")
    if selection.unnamed:
        yield Note(
            "unnamed-seeds",
            None,
            f"{selection.unnamed} {'crops' if crops else 'pictures'} were left out because nobody has named their"
            " seeds: `nachet labels waiting` lists them.",
        )
    if selection.torn:
        yield Note(
            "label-conflicts",
            None,
            f"{selection.torn} pictures were left out because their photograph is stored under several species:"
            " `nachet labels conflicts` lists those, `nachet labels decide` settles one.",
        )
        for one in read.torn:
            yield Note("label-conflicts", None, one)
    if selection.unfit:
        yield Note(
            "judged-unfit",
            None,
            f"{selection.unfit} pictures were left out because people judged that they show no seed, or are unusable.",
        )
    if selection.disagreed:
        yield Note(
            "judged-differently",
            None,
            f"{selection.disagreed} pictures were left out because too few of those who judged them say the same.",
        )
    if cut:
        yield Note("capped", None, f"{cut} pictures were left out because their classes have more than enough.")
    if unseen:
        yield Note(
            "grouped-without-comparing",
            None,
            f"{unseen} pictures have so many alike that they were put into one group without comparing each pair.",
        )
    missing = sorted(set(range(classes[-1].class_index + 1)) - {one.class_index for one in classes}) if classes else []
    if missing:
        listed = ", ".join(map(str, missing[:20]))
        yield Note(
            "class-index-unused",
            None,
            f"No class has the index {listed}: a class folder's place in the sorted order is then not its index.",
        )
    for note in result.notes:
        label = None if note.label is None else classes[note.label].label
        yield Note(note.code, label, note.message if label is None else f"{label}: {note.message}")


def _counts(recipe: Recipe, made: _Set) -> tuple[ClassCount, ...]:
    table = np.zeros((len(made.classes), len(SPLITS)), np.int64)
    np.add.at(table, (made.labels.code, made.members.split[made.labels.picture]), 1)
    sides = [place for place, side in enumerate(SPLITS) if side in recipe.splits or table[:, place].any()]
    return tuple(
        ClassCount(
            one.label,
            one.class_index,
            one.scientific_name,
            one.taxon_id,
            {SPLITS[side]: int(row[side]) for side in sides},
        )
        for one, row in zip(made.classes, table, strict=True)
    )


def _write(
    stream: IO[bytes], recipe: Recipe, rows: SpooledRows, made: _Set, account_url: str, tell: StepProgress
) -> str:
    """Write the manifest; its digest."""
    sides = pa.array(SPLITS, pa.string())
    writer = ManifestWriter(
        stream,
        name=recipe.name,
        recipe=recipe.document(),
        recipe_digest=recipe.digest,
        classes=made.classes,
        several_labels=recipe.several_labels,
    )
    label_columns = _several_labels if recipe.several_labels else _single_label
    tell("writing", 0, len(made.place))
    with writer:
        read = done = 0
        for batch in rows.batches():
            chosen = placed(made.place, read, batch.num_rows)
            read += batch.num_rows
            if not len(chosen):
                continue
            part = slice(done, done + len(chosen))
            stated = batch.take(pa.array(chosen))
            columns: dict[str, Any] = {name: stated.column(name) for name in stated.schema.names}
            labels = made.labels.take(np.arange(part.start, part.stop))
            columns |= {
                "split": sides.take(pa.array(made.members.split[part])),
                **label_columns(labels, made.classes, columns["number_of_seeds"]),
                "group": to_uuids(made.members.group[part]),
                "url": _urls(account_url, columns["container"], columns["blob"]),
                "captured_at": columns["captured_at"].cast(pa.timestamp("us", tz="UTC")),
            }
            done = part.stop
            writer.write(
                pa.RecordBatch.from_arrays([columns[one] for one in writer.schema.names], schema=writer.schema)
            )
            tell("writing", done, len(made.place))
        return writer.finish()


def _of_classes(code: Ints, classes: Sequence[ManifestClass]) -> dict[str, pa.Array]:
    """What a manifest says of classes, by places among all."""
    place = pa.array(code)
    return {
        name: pa.array([getattr(one, name) for one in classes], SCHEMA.field(name).type).take(place)
        for name in LABEL_COLUMNS
    }


def _single_label(labels: Kinds, classes: Sequence[ManifestClass], _seeds: pa.Array) -> dict[str, pa.Array]:
    return _of_classes(labels.code, classes)


def _several_labels(labels: Kinds, classes: Sequence[ManifestClass], seeds: pa.Array) -> dict[str, pa.Array]:
    """The list columns; a single label has all seeds of its picture."""
    all_seeds = np.repeat(seeds.to_numpy(), labels.number)
    alone = np.repeat(labels.number == 1, labels.number)
    number = np.where(alone & (labels.seeds == NO_NUMBER), all_seeds, labels.seeds)
    values = {LABEL_COLUMNS[name]: array for name, array in _of_classes(labels.code, classes).items()}
    values["seeds_of_class"] = pa.array(number, pa.int32(), mask=number == NO_NUMBER)
    begin = pa.array(labels.begin.astype(np.int32))
    return {
        **{name: pa.nulls(len(labels), SCHEMA.field(name).type) for name in LABEL_COLUMNS},
        **{name: pa.ListArray.from_arrays(begin, array) for name, array in values.items()},
    }


def _urls(account_url: str, container: pa.StringArray, blob: pa.StringArray) -> pa.StringArray:
    safe = pc.match_substring_regex(blob, _SAFE_IN_URL)
    if not pc.all(safe).as_py():
        # Blobs that were found in a container have names as people give them.
        blob = pc.replace_with_mask(
            blob, pc.invert(safe), pa.array([quote(one) for one in blob.filter(pc.invert(safe)).to_pylist()])
        )
    return pc.binary_join_element_wise(pa.scalar(account_url), container, blob, "/")
