"""Commands in any order, by two users with overlapping pictures, beside the model of `model.py`."""

import io
import shutil
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from PIL import Image

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.contract.stored import Correction
from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.crops.detecting import Region
from nachet_pipeline.identifiers import archive_container, picture_set_id, upload_id
from nachet_pipeline.picture_sets.labels import UndecidableLabelError, decide_label
from nachet_pipeline.picture_sets.naming import name_pictures
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.files import StagedFile
from nachet_pipeline.training.building import build, make_current
from nachet_pipeline.training.manifest import open_manifest
from nachet_pipeline.training.queries import withdraw
from nachet_pipeline.training.recipe import SPLITS, Recipe
from nachet_pipeline.uploads.queries import find_upload, record_wishes
from nachet_pipeline.users.user import User
from nachet_pipeline_tests.any_order.model import UNKNOWN, Contents, File, Place, Session, World
from nachet_pipeline_tests.crops.test_cropping import Finding as ToldDetector
from nachet_pipeline_tests.folders.kept import keeper, let_undo_end
from nachet_pipeline_tests.uploads.test_importing import write_session
from nachet_pipeline_tests.workbench import Workbench, edit

USERS, FOLDERS, SESSIONS = ("ada", "eve"), ("one", "two"), ("s1", "s2")
# Most is sent to one place: what matters is what happens to the same session again and again.
PLACES = [(user, "one", "s1") for user in ("ada", "ada", "eve")] + [
    (user, folder, session) for user in USERS for folder in FOLDERS for session in SESSIONS
]
SPECIES = {"napus": "Brassica napus", "juncea": "Brassica juncea"}
STATED = {**SPECIES, UNKNOWN: UNKNOWN}
FILES = [(photograph, encoding) for photograph in range(5) for encoding in (0, 1)]
NAMES = ("a.png", "b.png", "c.png")

files = st.sampled_from(FILES)
seldom = st.sampled_from([False, False, True])
sessions = st.dictionaries(st.sampled_from(NAMES), files, max_size=3)
SAID = {"by": "op@example.org", "why": "tried"}


@cache
def content_of(file: File) -> bytes:
    """A small picture unlike those of other numbers, in one of two encodings of the same pixels."""
    photograph, encoding = file
    noise = np.random.default_rng(photograph).integers(0, 256, (48, 64, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "png", compress_level=1 + 8 * encoding)
    return stream.getvalue()


@cache
def file_of(digest: bytes) -> File:
    return next(file for file in FILES if sha256(content_of(file)).digest() == digest)


class ClockedStorage(BlobStorage):
    """The real storage, whose blobs were written at the ticks of the model's clock: the service's counts seconds."""

    ticks: dict[str, int]
    now = 0

    def files_page(self, container: str, folder: str, after: str = "") -> tuple[list[StagedFile], str]:
        files, following = super().files_page(container, folder, after)
        ticks = (self.ticks.setdefault(file.version, self.now) for file in files)
        begin = datetime(2020, 1, 1, tzinfo=UTC)
        dated = [replace(f, modified=begin + timedelta(seconds=at)) for f, at in zip(files, ticks, strict=True)]
        return dated, following


class AnyOrder(RuleBasedStateMachine):
    """One sequence of commands; after each, everything that is kept is compared with the model."""

    make_bench: Any  # gives a bench of its own, as a context manager
    pool: CroppingPool

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        given: AbstractContextManager[Workbench] = self.make_bench()
        bench = self.stack.enter_context(given)
        self.blobs = self.stack.enter_context(ClockedStorage.connect(bench.blobs.account_url, bench.blob_key))
        self.blobs.ticks = {}
        self.bench = replace(bench, blobs=self.blobs)
        self.users: dict[str, User] = {}
        self.world = World()
        self.local: dict[tuple[str, str], Contents] = {}
        self.species: dict[tuple[str, str], dict[str, str]] = {}
        self.versions: list[tuple[UUID, str]] = []
        self.held_out: set[int] = set()
        self.recipe = f"all-{uuid4().hex[:8]}"

    @initialize()
    def begin(self) -> None:
        for name in USERS:
            self.users[name] = self.bench.another_user(f"{name}-{self.bench.user.email}").user

    def teardown(self) -> None:
        self.stack.close()

    def of(self, user: str) -> Workbench:
        return replace(self.bench, user=self.users[user])

    def set_id(self, place: Place) -> UUID:
        return picture_set_id(self.users[place[0]].id, place[1], f"pictures/{place[2]}")

    # Uploaders

    @rule(
        place=st.sampled_from(PLACES),
        contents=sessions,
        species=st.sampled_from(sorted(STATED)),
        wanted=seldom,
    )
    def send(self, place: Place, contents: dict[str, File], species: str, wanted: bool) -> None:
        """Send other pictures as a session, or take it out of the folder, and import what is staged then."""
        user, folder, session = place
        local = {**self.local.get((user, folder), {}), session: contents}
        local = {name: pictures for name, pictures in local.items() if pictures}
        if not local:
            return
        self.local[user, folder] = local
        self.species.setdefault((user, folder), {})[session] = species
        self._import(user, folder, replace_wanted=wanted)

    @precondition(lambda self: self.local)
    @rule(
        data=st.data(),
        change=st.sampled_from(["nothing", "remove", "rename", "replace", "add", "relabel"]),
        name=st.sampled_from(NAMES),
        file=files,
        other=st.sampled_from(sorted(STATED)),
        wanted=seldom,
    )
    def correct(self, data: st.DataObject, change: str, name: str, file: File, other: str, wanted: bool) -> None:
        """Change one thing of a session, and import it again."""
        user, folder = data.draw(st.sampled_from(sorted(self.local)))
        session = data.draw(st.sampled_from(sorted(self.local[user, folder])))
        pictures, species = self.local[user, folder][session], self.species[user, folder]
        old = data.draw(st.sampled_from(sorted(pictures)))
        if change == "remove" and len(pictures) > 1:
            del pictures[old]
        elif change == "rename" and name not in pictures:
            pictures[name] = pictures.pop(old)
        elif change == "replace":
            pictures[old] = file
        elif change == "add":
            pictures.setdefault(name, file)
        elif change == "relabel":
            species[session] = other
        self._import(user, folder, replace_wanted=wanted)

    @precondition(lambda self: self.local)
    @rule(data=st.data())
    def clear(self, data: st.DataObject) -> None:
        """Retention clears what is staged, and the user's own folder is gone too."""
        self._clear(*data.draw(st.sampled_from(sorted(self.local))))

    @precondition(lambda self: self.local)
    @rule(data=st.data(), contents=sessions, wanted=seldom)
    def send_more(self, data: st.DataObject, contents: dict[str, File], wanted: bool) -> None:
        """Send other pictures for a session whose staged folder was cleared since."""
        user, folder = data.draw(st.sampled_from(sorted(self.local)))
        session = data.draw(st.sampled_from(sorted(self.local[user, folder])))
        if contents:
            self._clear(user, folder)
            self.local[user, folder] = {session: contents}
            self._import(user, folder, replace_wanted=wanted)

    def _clear(self, user: str, folder: str) -> None:
        container = self.users[user].upload_container
        for blob in self.blobs.listing(container, f"{folder}/"):
            self.blobs.delete(container, blob.name)
        del self.local[user, folder]
        self.world.staged[user, folder] = {}

    def _import(self, user: str, folder: str, *, replace_wanted: bool) -> None:
        bench, key = self.of(user), (user, folder)
        place = bench.place / user / folder
        shutil.rmtree(place, ignore_errors=True)
        (place / "pictures").mkdir(parents=True)
        (place / "index.yaml").write_text(f"clientData: {{clientEmail: {bench.user.email}}}\n")
        for name, pictures in self.local[key].items():
            write_session(place / "pictures" / name, {path: content_of(file) for path, file in pictures.items()})
            species = self.species[key][name]
            edit(place / "pictures" / name / "index.yaml", "seedData", seedSpecies=species)
        self.world.stage(user, folder, self.local[key])
        self.blobs.now = self.world.clock
        upload = bench.stage(place, replace=True)
        with bench.database.connection() as connection:
            record_wishes(connection, upload.id, accept_valid=False, replace=replace_wanted)

        outcome = bench.run(bench.now(upload))

        assert outcome.receipt.state is State.IMPORTED, outcome.receipt
        told = self.world.do_import(user, folder, self.species[key], replace=replace_wanted)
        expected = Correction(**dict(zip(("added", "removed", "relabelled", "unchanged"), told, strict=True)))
        if expected.changes:
            assert outcome.receipt.correction == expected
        assert outcome.receipt == bench.now(upload).receipt == bench.receipt(upload)
        self.check()

    # Operators

    def _sets(self, *states: str, undoable: bool | None = None) -> list[Place]:
        return sorted(
            place
            for place, session in self.world.sessions.items()
            if session.state in states and (undoable is None or session.undoable is undoable)
        )

    @precondition(lambda self: self._sets("there"))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(self._sets("there")))
        keeper(self.bench).delete(self.set_id(place), **SAID)
        self._put_away(place, "deleted")

    @precondition(lambda self: self._sets("there"))
    @rule(data=st.data())
    def archive(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(self._sets("there")))
        keeper(self.bench).archive(self.set_id(place), **SAID)
        self._put_away(place, "archived")

    def _put_away(self, place: Place, state: str) -> None:
        session = self.world.sessions[place]
        session.state, session.undoable = state, True
        self.check()

    @precondition(lambda self: self._sets("deleted", "archived", undoable=True))
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(self._sets("deleted", "archived", undoable=True)))
        keeper(self.bench).undo(self.set_id(place), **SAID)
        session = self.world.sessions[place]
        session.state, session.undoable = "there", False
        self.check()

    @precondition(lambda self: self._sets("deleted", "archived"))
    @rule()
    def purge(self) -> None:
        let_undo_end(self.bench)
        assert keeper(self.bench).purge().left == ()
        self.world.purge()
        self.check()

    @precondition(lambda self: self.local)
    @rule(data=st.data())
    def crop(self, data: st.DataObject) -> None:
        user, folder = data.draw(st.sampled_from(sorted(self.local)))
        bench = self.of(user)
        with bench.database.connection() as connection:
            found = find_upload(connection, upload_id(bench.user.id, folder))
        assert found is not None
        detector = ToldDetector(Region(0, 0, 0.5, 1))
        outcome = bench.cropper(self.pool, detector=detector).crop(found)
        assert outcome.failed == 0
        self.world.crop(user, folder)
        self.check()

    @precondition(lambda self: any(True for _ in self.world.used()))
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        place, file = data.draw(st.sampled_from(sorted((place, file) for place, file, _ in self.world.used())))
        with self.bench.database.connection() as connection:
            withdraw(connection, self._row(place, file), **SAID)
        self.world.withdrawn.add(file[0])
        self.check()

    @precondition(lambda self: self.world.conflicts())
    @rule(data=st.data(), species=st.sampled_from(sorted(SPECIES)))
    def decide(self, data: st.DataObject, species: str) -> None:
        photograph = data.draw(st.sampled_from(sorted(self.world.conflicts())))
        place, file = next((place, file) for place, file, _ in self.world.used() if file[0] == photograph)
        with self.bench.database.connection() as connection:
            decide_label(connection, self._row(place, file), SPECIES[species], **SAID)
        self.world.decided[photograph] = species
        self.check()

    @precondition(lambda self: self.world.waiting())
    @rule(data=st.data(), species=st.sampled_from(sorted(SPECIES)))
    def name(self, data: st.DataObject, species: str) -> None:
        """Name what waits in a session."""
        place = data.draw(st.sampled_from(sorted({place for place, _ in self.world.waiting()})))
        expected = self.world.named_at_once(place, species)
        with self.bench.database.connection() as connection:
            if expected:
                done = name_pictures(connection, self.set_id(place), SPECIES[species], **SAID)
                assert done.pictures == len(expected)
            else:
                with pytest.raises(UndecidableLabelError, match="are stored elsewhere under another species"):
                    name_pictures(connection, self.set_id(place), SPECIES[species], **SAID)
        self.world.decided |= {photograph: species for photograph, _ in expected}
        self.check()

    def _row(self, place: Place, file: File) -> UUID:
        rows = self.bench.query(
            "select id from pictures where picture_set_id = %s and sha256 = %s and parent is null"
            " and superseded_at is null",
            self.set_id(place),
            sha256(content_of(file)).digest(),
        )
        return UUID(str(rows[0]["id"]))

    @rule()
    def build(self) -> None:
        """A version takes what the model says, and nothing that any before it held out is trained on."""
        recipe = Recipe(
            name=self.recipe,
            keep_held_out_from="previous",
            near_duplicate_bits=None,
            splits={"train": 0.5, "test": 0.5},
        )
        built = build(recipe, self.bench.database, self.blobs)
        wanted = self.world.members()
        places = {self.set_id(place): place for place in self.world.sessions}
        found: dict[tuple[Place, File], str] = {}
        sides: dict[int, set[str]] = {}
        for row in self.bench.query(
            "select p.picture_set_id, p.sha256, m.split, m.class_index from training_set_member m"
            " join pictures p on p.id = m.picture_id where m.training_set_id = %s",
            built.id,
        ):
            label = next(one.scientific_name for one in built.classes if one.class_index == row["class_index"])
            file = file_of(bytes(row["sha256"]))
            found[places[row["picture_set_id"]], file] = next(k for k, name in SPECIES.items() if name == label)
            sides.setdefault(file[0], set()).add(SPLITS[row["split"]])
        assert found == wanted
        assert all(len(one) == 1 for one in sides.values()), sides
        assert not {one for one, side in sides.items() if side == {"train"}} & self.held_out
        again = build(recipe, self.bench.database, self.blobs)
        assert (again.digest, again.new) == (built.digest, False)
        if built.pictures:
            make_current(built, self.bench.database, self.blobs)
            self.held_out |= {one for one, side in sides.items() if side == {"test"}}
            self.world.trained_on |= set(found)
            self.versions.append((built.id, built.blob))
        self.check()

    # What must hold after every step

    def check(self) -> None:
        self._check_rows()
        self._check_blobs()

    def _check_rows(self) -> None:
        places = {self.set_id(place): place for place in self.world.sessions}
        found: dict[Place, dict[File, tuple[Any, ...]]] = {place: {} for place in self.world.sessions}
        for row in self.bench.query(
            "select s.id, p.sha256, p.name, p.superseded_at is null as live, p.sent_earlier, p.withdrawn_at is not null"
            " as withdrawn, array_agg(seeds.name) as seeds, (select count(*) from pictures c where c.parent = p.id"
            "  and c.superseded_at is null) as crops, p.picture = '{}' as emptied"
            " from pictures p join picture_set s on s.id = p.picture_set_id left join picture_seed l on l.picture_id ="
            " p.id left join seeds on seeds.id = l.seed_id where p.parent is null group by s.id, p.id"
        ):
            file = file_of(bytes(row["sha256"]))
            assert file not in found[places[row["id"]]], "a file is twice in a set"
            found[places[row["id"]]][file] = (
                row["name"],
                row["live"],
                row["live"] and row["sent_earlier"],
                tuple(row["seeds"]),
                row["crops"] if row["live"] else 0,
                row["withdrawn"],
            )
        assert found == {
            place: {
                file: (
                    one.name,
                    one.live,
                    one.live and one.sent_earlier,
                    (SPECIES.get(one.species),),
                    int(one.live and one.cropped),
                    file[0] in self.world.withdrawn,
                )
                for file, one in session.pictures.items()
            }
            for place, session in self.world.sessions.items()
        }
        states = self.bench.query(
            "select id, case when purged_at is not null then 'purged' when deleted_at is not null then 'deleted'"
            " when archived_at is not null then 'archived' else 'there' end as state from picture_set"
        )
        assert {places[row["id"]]: row["state"] for row in states} == {
            place: session.state for place, session in self.world.sessions.items()
        }
        (conflicts,) = self.bench.query("select count(distinct photograph) as number from label_conflict")
        assert conflicts["number"] == len(self.world.conflicts())
        (waiting,) = self.bench.query("select count(*) as number from unnamed_picture")
        assert waiting["number"] == len(self.world.waiting())

    def _check_blobs(self) -> None:
        for row in self.bench.query(
            "select c.name as container, p.blob, p.sha256 from pictures p join picture_set s on s.id = p.picture_set_id"
            " join container c on c.id = s.container_id where s.purged_at is null and p.purged_at is null"
        ):
            content = self.blobs.read(row["container"], row["blob"])
            assert sha256(content).digest() == row["sha256"]
        for user in self.users.values():
            for container in (user.user_container, archive_container(user.id)):
                if container == user.user_container or self.blobs.container_exists(container):
                    comparer = self.bench.comparer(blobs=self.blobs)
                    with self.bench.database.connection() as connection:
                        compared = comparer.compare_container(connection, user, container)
                    assert compared.found == {}, (container, compared)
        for _version, blob in self.versions:
            with open_manifest(io.BytesIO(self.blobs.read(f"training-{self.recipe}", blob))) as manifest:
                manifest.verify()


__all__ = ["AnyOrder", "Session"]
