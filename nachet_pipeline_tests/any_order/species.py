"""Species that are added, renamed, merged, retired and split in any order, and what training sets then say.

Pictures show one species, or several, or seeds that nobody has named yet, and are named, corrected, and taken back.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nachet_pipeline.identifiers import picture_seed_id, seed_id
from nachet_pipeline.picture_sets.labels import UndecidableLabelError, conflict_standing, decide_label
from nachet_pipeline.picture_sets.naming import name_pictures, unname_pictures
from nachet_pipeline.registry.queries import RegistryConflictError, load_seeds, planned_changes
from nachet_pipeline.registry.seeds import Seed
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.training.building import Built, build
from nachet_pipeline.training.recipe import Recipe
from nachet_pipeline_tests.registries import merged, renamed, seed, without
from nachet_pipeline_tests.training.test_building import rows
from nachet_pipeline_tests.workbench import Workbench

GENERA = {"Aaa": "Aaaceae", "Bbb": "Bbbaceae", "Ccc": "Aaaceae"}
genera = st.sampled_from(sorted(GENERA))


class ChangingSpecies(RuleBasedStateMachine):
    """One sequence of changes of a registry; after each, two training sets are built and compared with the model."""

    make_bench: Callable[[], AbstractContextManager[Workbench]]

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.bench = self.stack.enter_context(self.make_bench())
        self.seeds: list[Seed] = packaged_seeds()[:1]
        self.retired: list[Seed] = []
        self.former: list[str] = []
        self.named = 0
        self.merged_into: dict[UUID, UUID] = {}
        self.pictures: dict[UUID, tuple[int, dict[UUID | None, int]]] = {}
        self.decided: dict[int, UUID] = {}
        self.named_with: dict[int, UUID] = {}
        self.given: dict[str, dict[int, UUID]] = {"species": {}, "genus": {}}
        own = f"changing-{uuid4().hex[:8]}"
        settings: dict[str, Any] = {"near_duplicate_bits": None, "splits": {"train": 1}}
        self.recipes = {
            "species": Recipe(name=own, **settings),
            "genus": Recipe(name=f"{own}-genus", label_rank="genus", **settings),
        }
        self._load(self.seeds)

    def teardown(self) -> None:
        self.stack.close()

    # The registry

    def _load(self, seeds: list[Seed]) -> bool:
        """Load a registry; whether it could be. It was told before what would change."""
        with self.bench.database.connection() as connection:
            planned = planned_changes(connection, seeds)
        with self.bench.database.connection() as connection:
            if planned.conflicts:
                with pytest.raises(RegistryConflictError):
                    load_seeds(connection, seeds, actor="test")
                return False
            loaded = load_seeds(connection, seeds, actor="test")
            assert [(one.action, one.id, one.name) for one in loaded.changes] == [
                (one.action, one.id, one.name) for one in planned.changes
            ]
        self.seeds = seeds
        return True

    def _fresh(self, genus: str) -> str:
        self.named += 1
        return f"{genus} {''.join(chr(ord('a') + int(digit)) for digit in f'{self.named:03}')}"

    def _one(self, data: st.DataObject) -> Seed:
        return data.draw(st.sampled_from(self._species()))

    def _species(self) -> list[Seed]:
        return [one for one in self.seeds if one.taxon_rank == "species"]

    @rule(genus=genera, shown=st.booleans())
    def add(self, genus: str, shown: bool) -> None:
        """Add a species, perhaps with a first photograph."""
        new = seed(self._fresh(genus), family=GENERA[genus])
        assert self._load([*self.seeds, new])
        if shown:
            self._upload(new, None)

    @precondition(lambda self: self.former)
    @rule(data=st.data())
    def add_one_by_the_former_name_of_another(self, data: st.DataObject) -> None:
        name = self.former.pop(data.draw(st.integers(0, len(self.former) - 1)))
        self.named += 1
        other = seed(name, family=GENERA.get(name.partition(" ")[0], "Aaaceae"), registeredAs=f"{name} {self.named}")
        assert self._load([*self.seeds, other])

    @rule(data=st.data(), genus=genera)
    def rename(self, data: st.DataObject, genus: str) -> None:
        old = self._one(data).scientific_name
        assert self._load(renamed(self.seeds, old, self._fresh(genus)))
        self.former.append(old)

    @precondition(lambda self: len(self._species()) > 1)
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        gone, stays = self._one(data), self._one(data)
        if gone != stays:
            assert self._load(merged(self.seeds, gone.scientific_name, stays.scientific_name))
            self.merged_into[gone.id] = stays.id
            self.former.append(gone.scientific_name)

    @precondition(lambda self: len(self._species()) > 1)
    @rule(data=st.data())
    def retire(self, data: st.DataObject) -> None:
        gone = self._one(data)
        shown = any(
            gone.id in map(self._today, [*filter(None, kinds), *filter(None, [self.decided.get(content)])])
            for content, kinds in self.pictures.values()
        )
        assert self._load(without(self.seeds, gone.scientific_name)) != shown
        if not shown:
            self.retired.append(gone)

    @precondition(lambda self: self.retired)
    @rule()
    def restore(self) -> None:
        back = self.retired.pop()
        if back.scientific_name not in {one.scientific_name for one in self.seeds}:
            assert self._load([*self.seeds, back])

    @precondition(lambda self: self.pictures)
    @rule(data=st.data(), genus=genera)
    def split(self, data: st.DataObject, genus: str) -> None:
        """A new species takes a photograph over, by a decision."""
        new = seed(self._fresh(genus), family=GENERA[genus])
        assert self._load([*self.seeds, new])
        self._decide(data.draw(st.sampled_from(sorted(self.pictures))), new)

    @rule(genus=genera)
    def register_a_genus_or_take_its_entry_out(self, genus: str) -> None:
        entry = Seed(scientific_name=genus, family=GENERA[genus], genus=genus, taxon_rank="genus")
        others = [one for one in self.seeds if one.id != entry.id]
        assert self._load(others if len(others) < len(self.seeds) else [*self.seeds, entry])

    # Pictures

    @rule(data=st.data(), content=st.none() | st.integers(0, 3))
    def upload(self, data: st.DataObject, content: int | None) -> None:
        """Upload a photograph, or one of those that others may have uploaded as something else."""
        self._upload(self._one(data), content)

    @rule(data=st.data(), content=st.none() | st.integers(0, 3))
    def upload_several_kinds_or_unknown_ones(self, data: st.DataObject, content: int | None) -> None:
        kinds = data.draw(self._kinds())
        self._store(kinds, content)

    def _kinds(self) -> st.SearchStrategy[dict[UUID | None, int]]:
        known = st.sampled_from([one.id for one in self._species()])
        return st.dictionaries(st.none() | known, st.integers(1, 3), min_size=1, max_size=3)

    @precondition(lambda self: self.pictures)
    @rule(data=st.data())
    def correct(self, data: st.DataObject) -> None:
        """An uploader says otherwise what a picture shows: unknown becomes a species, or several, or unknown again."""
        picture = data.draw(st.sampled_from(sorted(self.pictures)))
        kinds = data.draw(self._kinds())
        self.pictures[picture] = (self.pictures[picture][0], kinds)
        _link(self.bench, picture, kinds)

    @precondition(lambda self: self._waiting())
    @rule(data=st.data())
    def name(self, data: st.DataObject) -> None:
        """Name a picture set, here of one picture."""
        picture, taxon = data.draw(st.sampled_from(self._waiting())), self._one(data)
        content, kinds = self.pictures[picture]
        others = {seed for number, shown in self.pictures.values() if number == content for seed in shown if seed}
        possible = len(kinds) == 1 and {*map(self._today, others)} <= {taxon.id}
        with self.bench.database.connection() as connection:
            if possible:
                assert name_pictures(connection, picture, str(taxon.id), by="ann", why="grew it").pictures == 1
                self.decided[content], self.named_with[content] = taxon.id, picture
            else:
                with pytest.raises(UndecidableLabelError, match="nothing of the picture set"):
                    name_pictures(connection, picture, str(taxon.id), by="ann", why="grew it")

    @precondition(lambda self: self.named_with)
    @rule(data=st.data())
    def unname(self, data: st.DataObject) -> None:
        content = data.draw(st.sampled_from(sorted(self.named_with)))
        with self.bench.database.connection() as connection:
            unname_pictures(connection, self.named_with.pop(content), by="ann", why="it was not")
        del self.decided[content]

    def _waiting(self) -> list[UUID]:
        return sorted(
            picture
            for picture, (content, kinds) in self.pictures.items()
            if None in kinds and content not in self.decided
        )

    def _upload(self, taxon: Seed, content: int | None) -> None:
        self._store({taxon.id: 1}, content)

    def _store(self, kinds: dict[UUID | None, int], content: int | None) -> None:
        picture, number = uuid4(), 1_000 + len(self.pictures) if content is None else content
        _store(self.bench, picture, number)
        _link(self.bench, picture, kinds)
        self.pictures[picture] = (number, kinds)

    @precondition(lambda self: self.pictures)
    @rule(data=st.data())
    def decide(self, data: st.DataObject) -> None:
        self._decide(data.draw(st.sampled_from(sorted(self.pictures))), self._one(data))

    def _decide(self, picture: UUID, taxon: Seed) -> None:
        with self.bench.database.connection() as connection:
            decide_label(connection, picture, str(taxon.id), by="ann", why="looked again")
        self.decided[self.pictures[picture][0]] = taxon.id
        self.named_with.pop(self.pictures[picture][0], None)

    # What holds

    def _today(self, taxon: UUID) -> UUID:
        while taxon in self.merged_into:
            taxon = self.merged_into[taxon]
        return taxon

    def _labels(self) -> tuple[dict[UUID, set[UUID]], int]:
        """The species of each picture that has some and no unknown ones, and the photographs under several."""
        stated: dict[int, set[frozenset[UUID]]] = {}
        for content, kinds in self.pictures.values():
            if known := frozenset(self._today(taxon) for taxon in kinds if taxon):
                stated.setdefault(content, set()).add(known)
        torn = {content for content, sets in stated.items() if len(sets) > 1 and content not in self.decided}
        found: dict[UUID, set[UUID]] = {}
        for picture, (content, kinds) in self.pictures.items():
            if content in self.decided:
                found[picture] = {self._today(self.decided[content])}
            elif content not in torn and None not in kinds:
                found[picture] = {self._today(taxon) for taxon in kinds if taxon}
        return found, len(torn)

    @invariant()
    def what_waits_for_a_name_is_what_nobody_named(self) -> None:
        found = self.bench.query("select picture_id from unnamed_picture order by 1")
        assert [row["picture_id"] for row in found] == self._waiting()

    @invariant()
    def every_picture_keeps_the_number_of_its_seeds(self) -> None:
        links: dict[UUID, dict[UUID | None, int | None]] = {}
        for row in self.bench.query("select picture_id, seed_id, number_of_seeds from picture_seed"):
            links.setdefault(row["picture_id"], {})[row["seed_id"]] = row["number_of_seeds"]
        expected: dict[UUID, dict[UUID | None, int | None]] = {}
        for picture, (_, kinds) in self.pictures.items():
            sums: dict[UUID | None, int] = {}
            for taxon, number in kinds.items():
                survivor = self._today(taxon) if taxon else None
                sums[survivor] = sums.get(survivor, 0) + number
            expected[picture] = {taxon: number if len(sums) > 1 else None for taxon, number in sums.items()}
        assert links == expected

    @invariant()
    def the_check_of_labels_agrees_with_the_model(self) -> None:
        with self.bench.database.connection() as connection:
            assert conflict_standing(connection).photographs == self._labels()[1]

    @invariant()
    def every_picture_has_the_class_of_its_species_and_classes_keep_their_indices(self) -> None:
        labels, _ = self._labels()
        made = build(self.recipes["species"], self.bench.database, self.bench.blobs)
        assert _taxa(self.bench, made) == {picture: only for picture, (only, *more) in labels.items() if not more}
        self._check_indices("species", made)

    @invariant()
    def the_same_holds_of_genera(self) -> None:
        labels, _ = self._labels()
        genus_of = {one.id: one.genus for one in (*self.retired, *self.seeds)}
        made = build(self.recipes["genus"], self.bench.database, self.bench.blobs)
        genera = {picture: {genus_of[taxon] for taxon in taxa} for picture, taxa in labels.items()}
        # Of species of one genus a picture is of that genus.
        assert _taxa(self.bench, made) == {
            picture: seed_id(str(only)) for picture, (only, *more) in genera.items() if not more
        }
        self._check_indices("genus", made)

    def _check_indices(self, recipe: str, made: Built) -> None:
        given = self.given[recipe]
        most = max(given, default=-1)
        for one in made.classes:
            taxon = UUID(one.taxon_id)
            own = [index for index, to in given.items() if to == taxon]
            inherited = [index for index, to in given.items() if self._today(to) == taxon]
            if own or inherited:
                assert one.class_index == min(own or inherited)
            else:
                assert one.class_index > most
        assert len({one.class_index for one in made.classes}) == len(made.classes)
        for one in made.classes:
            given.setdefault(one.class_index, UUID(one.taxon_id))


def _taxa(bench: Workbench, made: Built) -> dict[UUID, UUID]:
    return {UUID(row["picture_id"]): UUID(row["taxon_id"]) for row in rows(bench, made)}


def _store(bench: Workbench, picture: UUID, content: int) -> None:
    """A picture in a set of its own, of a photograph that its number says."""
    file, pixels, looks = (
        hashlib.sha256(f"{what} {content}".encode()).digest() for what in ("file", "pixels", "looks")
    )
    upload, owner = uuid4(), bench.user.id
    with bench.database.connection() as connection:
        container, *_ = connection.execute("select id from container where owner_id = %s", (owner,)).fetchall()
        connection.execute(
            "insert into upload (id, owner_id, folder, state) values (%s, %s, %s, 'imported')",
            (upload, owner, str(upload)),
        )
        connection.execute(
            "insert into picture_set (id, picture_set, owner_id, name, container_id, upload_id, digest)"
            " values (%s, '{}', %s, 'a session', %s, %s, '')",
            (picture, owner, container["id"], upload),
        )
        connection.execute(
            "insert into pictures (id, picture, picture_set_id, nb_object, name, blob, sha256, size, format, width,"
            " height, pixel_sha256, perceptual_hash)"
            " values (%s, %s, %s, 1, '1.tiff', %s, %s, 10, 'TIFF', 64, 48, %s, %s)",
            (picture, json.dumps({"user_data": {"zoom": 30}}), picture, f"{picture}/1.tiff", file, pixels, looks),
        )


def _link(bench: Workbench, picture: UUID, kinds: dict[UUID | None, int]) -> None:
    """What a picture shows, in the place of what it showed, as an import writes it."""
    with bench.database.connection() as connection:
        connection.execute("delete from picture_seed where picture_id = %s", (picture,))
        for taxon, number in kinds.items():
            connection.execute(
                "insert into picture_seed (id, picture_id, seed_id, number_of_seeds) values (%s, %s, %s, %s)",
                (picture_seed_id(picture, taxon), picture, taxon, number if len(kinds) > 1 else None),
            )
