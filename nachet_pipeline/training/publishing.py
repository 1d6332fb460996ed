"""Publishing a version of a training set: it is built, checked as it lies in storage, explained, and made current."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.identifiers import training_set_id
from nachet_pipeline.picture_sets.labels import Labels, labels
from nachet_pipeline.pictures.decoding_pool import DecodingPool
from nachet_pipeline.registry.queries import registered_seeds, seeds_with_ids
from nachet_pipeline.reprocessing.reprocessor import current_versions
from nachet_pipeline.settings import TransferSettings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.progress import StepProgress, silent
from nachet_pipeline.training import card, verifying
from nachet_pipeline.training.building import Built, build, make_current
from nachet_pipeline.training.contact_sheets import SHOWN_PAIRS, Thumbnails
from nachet_pipeline.training.manifest import Manifest, open_manifest
from nachet_pipeline.training.queries import decided_pairs
from nachet_pipeline.training.ranks import labels_at
from nachet_pipeline.training.recipe import Recipe
from nachet_pipeline.training.statistics import statistics
from nachet_pipeline.training.version_pictures import changes_by_class, files_of, imported_by_day, not_current

_TYPES = {"png": "image/png", "jpg": "image/jpeg", "md": "text/markdown; charset=utf-8"}


@dataclass(frozen=True)
class Published:
    """A version that was published.

    Attributes:
        built: the version.
        facts: everything that its card shows, the verdicts of its checks too.
        card: blob of the card, in the set's container.
        text: the card.
        pictures: the card's plots and contact sheets by file name.
        released: whether it became the current version; False if a grave check failed.
    """

    built: Built
    facts: card.Facts
    card: str
    text: str
    pictures: Mapping[str, bytes]
    released: bool

    @property
    def verdicts(self) -> tuple[verifying.SetVerdict, ...]:
        """What the checks found."""
        return tuple(self.facts.verdicts)


def publish(
    recipe: Recipe,
    database: Database,
    blobs: BlobStorage,
    pool: DecodingPool,
    rules: RuleSet,
    transfer: TransferSettings,
    *,
    progress: StepProgress = silent,
) -> Published:
    """Publish the version that a recipe makes of today's pictures.

    A version that fails a grave check is published like any other, card and all, so that people see what is wrong with
    it; but it does not become the current one, which trainers ask for.

    Args:
        recipe: which pictures, and how they are split.
        database: knows the pictures.
        blobs: holds them; the version is published there.
        pool: decodes the few pictures that are shown.
        rules: today's.
        transfer: how many pictures, and how many bytes of them, are read at a time.
        progress: receives the step, how much of it is done, and how much there is.

    Raises:
        DatabaseError: the database does not answer.
        StorageError: storage does not answer.
        ManifestError: what lies in storage is not what was written there.
    """
    built = build(recipe, database, blobs, progress=progress)
    with tempfile.TemporaryFile() as stream:
        blobs.download(built.container, built.blob, stream)
        stream.seek(0)
        with open_manifest(stream) as manifest:
            manifest.verify()
            facts = _facts(recipe, built, manifest, database, rules)
    pictures = _Pictures(blobs, built)
    progress("card", 0, 1)
    for name, content in card.draw(facts).items():
        pictures.put(name, content)
    thumbnails = Thumbnails(
        blobs,
        pool,
        concurrency=transfer.transfer_concurrency,
        memory_bytes=transfer.memory_bytes,
    )
    _sheets(facts, pictures, thumbnails)
    _pairs(facts, pictures, thumbnails, database)
    # Last: where there is a card, all that it shows is there.
    place = f"{built.digest}/{card.README}"
    text = card.render(facts, list(pictures.known))
    blobs.upload(built.container, place, text.encode(), content_type=_TYPES["md"])
    progress("card", 1, 1)
    released = all(verdict.passed for verdict in facts.verdicts if verdict.grave)
    if released:
        make_current(built, database, blobs)
    return Published(built, facts, place, text, pictures.known, released)


def _at_rank(connection: Connection, stored: Labels, recipe: Recipe) -> Labels:
    """Labels with the species that were decided as the recipe labels them."""
    if recipe.label_rank is None:
        return stored
    decided = seeds_with_ids(connection, {UUID(species) for _, species in stored.decided})
    known = labels_at(registered_seeds(connection), decided, recipe.label_rank)
    named = [(picture, known.get(UUID(species))) for picture, species in stored.decided]
    # Pictures of a taxon that is wider than labels are in no set, so nothing can disagree about them.
    return replace(stored, decided=[(picture, str(taxon.id)) for picture, taxon in named if taxon])


def _facts(recipe: Recipe, built: Built, manifest: Manifest, database: Database, rules: RuleSet) -> card.Facts:
    counted = statistics(manifest.rows())
    classes = manifest.metadata.classes
    with database.reading() as connection:
        different, duplicate = (
            [
                ([content.hex() for content in one], [content.hex() for content in other])
                for one, other in decided_pairs(connection, decision)
            ]
            for decision in ("different", "duplicate")
        )
        imported = imported_by_day(connection, built.id)
        stored_labels = _at_rank(connection, labels(connection), recipe)
        found = not_current(connection, built.id, current_versions(rules))
        since = None
        if built.previous and built.difference:
            since = card.Since(
                built.previous,
                built.difference.added.count,
                built.difference.removed.count,
                built.difference.moved.count,
                built.difference.relabelled.count,
                changes_by_class(connection, built.id, training_set_id(built.name, built.previous)),
            )
    keys = verifying.picture_keys(manifest.rows(verifying.KEY_COLUMNS))
    verdicts = (
        verifying.no_leaks(
            keys,
            near_bits=recipe.near_duplicate_bits,
            different=different,
            duplicate=duplicate,
        ),
        verifying.no_conflicting_labels(keys, classes, stored_labels),
        verifying.no_empty_class(counted, classes),
        verifying.classes_large_enough(counted, classes, minimum=recipe.minimum_per_class),
        verifying.classes_on_every_side(counted, classes, fractions=recipe.splits),
        verifying.pictures_current(found),
    )
    return card.Facts(
        name=built.name,
        digest=built.digest,
        container=built.container,
        recipe=manifest.metadata.recipe,
        classes=classes,
        counted=counted,
        groups=built.groups,
        near_bits=recipe.near_duplicate_bits,
        near_pairs=built.near_pairs.count,
        near_pairs_counted_all=built.near_pairs.counted_all,
        shown_pairs=[(str(one), str(other), bits) for one, other, bits in built.near_pairs.sample],
        notes=[str(note) for note in built.notes],
        imported=imported,
        since=since,
        verdicts=verdicts,
        labels=built.labels,
    )


class _Pictures:
    """The card's pictures: those that were published before are kept, because the version is the same."""

    def __init__(self, blobs: BlobStorage, built: Built) -> None:
        self._blobs = blobs
        self._built = built
        self._stored = {file.path for file in blobs.files(built.container, built.digest)}
        self.known: dict[str, bytes] = {}

    def stored(self, name: str) -> bool:
        """Whether a picture was published before; then it is known from now on."""
        if name not in self._stored:
            return False
        self.known[name] = self._blobs.read(self._built.container, f"{self._built.digest}/{name}")
        return True

    def put(self, name: str, content: bytes) -> None:
        """Publish a picture, unless one of that name was."""
        if not self.stored(name):
            kind = _TYPES[name.rpartition(".")[2]]
            self._blobs.upload(self._built.container, f"{self._built.digest}/{name}", content, content_type=kind)
            self.known[name] = content


def _sheets(facts: card.Facts, pictures: _Pictures, thumbnails: Thumbnails) -> None:
    names = {one.class_index: card.sheet_name(one.label) for one in facts.classes}
    wanted = {names[index]: few for index, few in facts.counted.samples.items() if not pictures.stored(names[index])}
    for name, sheet in thumbnails.sheets(wanted):
        pictures.put(name, sheet)


def _pairs(facts: card.Facts, pictures: _Pictures, thumbnails: Thumbnails, database: Database) -> None:
    shown = [(one, other) for one, other, _ in facts.shown_pairs[:SHOWN_PAIRS]]
    if not shown or pictures.stored(card.NEAR_DUPLICATES):
        return
    with database.reading() as connection:
        files = files_of(connection, [picture for pair in shown for picture in pair])
    sheet = thumbnails.pairs([(files[one], files[other]) for one, other in shown if one in files and other in files])
    if sheet:
        pictures.put(card.NEAR_DUPLICATES, sheet)
