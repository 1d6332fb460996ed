"""People who judge and take back, experts who come and go, pictures too; beside the model of `judged.py`."""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nachet_pipeline.identifiers import seed_id
from nachet_pipeline.models.findings import Findings
from nachet_pipeline.models.judgements.experts import end_expert, name_expert
from nachet_pipeline.models.judgements.formatting import judgement_record
from nachet_pipeline.models.judgements.judgement import Box, Stated, Verdict
from nachet_pipeline.models.judgements.outcomes import Applied, apply_again, apply_all, wait_for_judging
from nachet_pipeline.models.judgements.policy import Policy
from nachet_pipeline.models.judgements.queries import judgements_page
from nachet_pipeline.models.judgements.reading import Otherwise, stated_of
from nachet_pipeline.picture_sets.judged_content import follow_judgements
from nachet_pipeline.picture_sets.labels import decide_label, undecide_label
from nachet_pipeline.training.queries import withdraw
from nachet_pipeline_tests.any_order.judged import Comes, Place, Rules, Said, comes_to, named, of_row, places
from nachet_pipeline_tests.folders.kept import keeper, let_undo_end
from nachet_pipeline_tests.labelled import ARVENSE, JUNCEA, NAPUS, import_as, photograph, picture_of
from nachet_pipeline_tests.models.judgements.judging import ANN, BO, CY, NOON, crop, judge, pixels, says
from nachet_pipeline_tests.workbench import Workbench

ONE_SEED = b"userData: {numberOfSeeds: 1}\n"
# Of each session what it is said to show, and its photograph. The first and the last are one.
TAXA = (NAPUS, JUNCEA, ARVENSE, "Brassica")
SESSIONS = {
    "one": (NAPUS, 1, 1),
    "two": (NAPUS, 2, 2),
    "three": ({"seedName": "unknown"}, 3, 1),
    "again": (JUNCEA, 1, 1),
}
CONTENT = {number: sha256(photograph(number)).digest() for number in (1, 2, 3)}
SINGLE = (CONTENT[1], CONTENT[3])
STATED_GENUS = {CONTENT[number]: seed_id("Brassica") for species, number, _ in SESSIONS.values() if species in TAXA}
"""Of photographs whose species their uploaders state: who names its genus leaves it as it is."""
CUTS = ((0, 0, 30, 48), (34, 0, 64, 48))
LEFT, RIGHT = (pixels(*box) for box in CUTS)
NEAR = pixels(2, 0, 32, 48)
GENUS = {seed_id(name): seed_id(name.partition(" ")[0]) for name in (NAPUS, JUNCEA, ARVENSE)}
POLICIES = (Policy(), Policy(experts=2), Policy(experts=0), Policy(persons=0), Policy(persons=3))
SAID = {"by": "op@example.org", "why": "tried"}

people = st.sampled_from((ANN, BO, CY))
# Most judges the same thing: what matters is who agrees.
about = st.sampled_from([(1, None), (1, None), (2, None), (2, LEFT), (2, NEAR), (2, RIGHT), (3, LEFT), (3, RIGHT)])
verdicts = st.sampled_from([*Verdict][:-1] + [Verdict.TAXON] * 6)
Statement = tuple[str, tuple[int, Box | None], Verdict, str, Box, int, bool]
statements: st.SearchStrategy[Statement] = st.tuples(
    people, about, verdicts, st.sampled_from(TAXA), st.sampled_from([LEFT, RIGHT]), st.integers(0, 9), st.booleans()
)


def same(one: Box, other: Box) -> bool:
    return (one[0] < LEFT[2]) == (other[0] < LEFT[2])


class Judging(RuleBasedStateMachine):
    """One sequence; after each step everything that follows from judgements is compared with the model."""

    make_bench: Callable[[], AbstractContextManager[Workbench]]

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.bench = self.stack.enter_context(self.make_bench())
        self.policy = Policy()
        self.experts: set[str] = set()
        self.decided: dict[bytes, UUID] = {}
        self.stored: dict[str, str] = {}
        self.withdrawn: set[int] = set()
        self.taken_back = 0

    @initialize(experts=st.sets(people, min_size=1), cut=st.booleans())
    def begin(self, experts: set[str], cut: bool) -> None:
        for session in ("one", "two", "three"):
            self._send(session)
        for person in sorted(experts):
            self._name(person)
        if cut:
            self.cut()

    def teardown(self) -> None:
        self.stack.close()

    # People

    @rule(several=st.lists(statements, min_size=1, max_size=6))
    def say(self, several: list[Statement]) -> None:
        """Say something of photographs, of regions of them, or of the crops that were cut there."""
        said = [self._stated(*one) for one in several]
        done = judge(self.bench, *said, policy=self.policy)
        assert done.unknown == sum(not self._is_stored(one.sha256 or b"") for one in said)
        assert done.new + done.known + done.unknown == len(said)

    def _stated(
        self, person: str, of: tuple[int, Box | None], verdict: Verdict, taxon: str, to: Box, at: int, cut: bool
    ) -> Stated:
        number, box = of
        content = CONTENT[number]
        drawn = verdict in {Verdict.BOX, Verdict.MISSED}
        # Where something is in a crop is told in its own fractions; the model knows those of photographs alone.
        if box and cut and not drawn:
            crops = [one for one, (whole, where) in self._cuts().items() if whole == content and same(where, box)]
            content, box = (crops[0], None) if crops else (content, box)
        taxonless = {Verdict.BOX, Verdict.NOT_A_SEED, Verdict.UNUSABLE, Verdict.UNSURE}
        return says(
            person, verdict, None if verdict in taxonless else taxon, at=at, sha256=content, box=box,
            corrected_box=to if drawn else None,
        )  # fmt: skip

    @precondition(lambda self: self._standing())
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        # Identifiers are others in each run; what was said is not.
        among = sorted(
            self._standing(), key=lambda one: (one.at, one.person, one.verdict, str(one.where), str(one.taxon))
        )
        self.taken_back += 1
        at = NOON + timedelta(days=1, minutes=self.taken_back)
        taken = data.draw(st.integers(0, len(among) - 1))
        judge(self.bench, Stated(ANN, Verdict.WITHDRAWN, at, withdraws=among[taken].id), policy=self.policy)

    def _standing(self) -> list[Said]:
        said = self._said()
        gone = {one.withdraws for one in said}
        return [one for one in said if one.verdict != "withdrawn" and one.id not in gone]

    @rule(person=people)
    def name_or_end_an_expert(self, person: str) -> None:
        if person in self.experts:
            with self.bench.database.connection() as connection:
                end_expert(connection, person, **SAID, policy=self.policy)
            self.experts.remove(person)
        else:
            self._name(person)

    def _name(self, person: str) -> None:
        with self.bench.database.connection() as connection:
            name_expert(connection, person, **SAID, policy=self.policy)
        self.experts.add(person)

    @precondition(lambda self: self._said() and all(self._is_stored(one.sha256) for one in self._said()))
    @rule(chance=st.randoms(use_true_random=False))
    def say_everything_in_another_order(self, chance: random.Random) -> None:
        """The same judgements arrive otherwise, in files of any size; whoever is taken back was heard before."""
        with self.bench.database.reading() as connection:
            records = [judgement_record(one) for one in judgements_page(connection, limit=1000)]
        found = Findings()
        self.bench.query("truncate judgement, judged")
        self.bench.query("delete from label_decision where from_judgements")
        stated = [one for record in records if (one := stated_of(record, 0, Otherwise(), found))]
        assert len(stated) == len(records)
        chance.shuffle(stated)
        stated.sort(key=lambda one: one.verdict is Verdict.WITHDRAWN)
        while stated:
            number = chance.randint(1, len(stated))
            done = judge(self.bench, *stated[:number], policy=self.policy)
            assert done.new == number
            stated = stated[number:]

    # Operators

    @rule(policy=st.sampled_from(POLICIES))
    def change_the_policy(self, policy: Policy) -> None:
        self.policy = policy
        self._apply()

    def _apply(self) -> Applied:
        return apply_all(self.bench.database, self.policy, by="op@example.org")

    @precondition(lambda self: self._live())
    @rule(data=st.data(), species=st.sampled_from(TAXA[:3]))
    def decide_or_take_that_back(self, data: st.DataObject, species: str) -> None:
        session = data.draw(st.sampled_from(self._live()))
        picture, content = picture_of(self.bench, session), CONTENT[SESSIONS[session][1]]
        with self.bench.database.connection() as connection:
            wait_for_judging(connection, "op@example.org")
            if content in self.decided:
                done = undecide_label(connection, picture, **SAID)
                del self.decided[content]
            else:
                done = decide_label(connection, picture, species, **SAID)
                self.decided[content] = seed_id(species)
            apply_again(connection, [one.picture for one in done.pictures], self.policy, by="op@example.org")

    # Pictures

    def _live(self) -> list[str]:
        kept = [session for session, state in self.stored.items() if state == "there"]
        return sorted(session for session in kept if SESSIONS[session][1] not in self.withdrawn)

    def _send(self, session: str) -> None:
        species, number, seeds = SESSIONS[session]
        pictures = {"1.png": photograph(number)} | ({"1.yaml": ONE_SEED} if seeds == 1 else {})
        import_as(self.bench, session, session, species, pictures)
        self.stored[session] = "there"

    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        away = [session for session in SESSIONS if session not in self.stored]
        if away:
            self._send(data.draw(st.sampled_from(away)))
            self._apply()

    @precondition(lambda self: "two" in self._live() and not self._cuts())
    @rule()
    def cut(self) -> None:
        crops = [crop(self.bench, picture_of(self.bench, "two"), box) for box in CUTS]
        with self.bench.database.connection() as connection:
            follow_judgements(connection, "p.id = any(%(crops)s)", {"crops": crops})
        self._apply()

    @precondition(lambda self: self.stored)
    @rule(data=st.data())
    def delete_or_bring_back(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from(sorted(self.stored)))
        (row,) = self.bench.query("select id from picture_set where name = %s", session)
        there = self.stored[session] == "there"
        (keeper(self.bench).delete if there else keeper(self.bench).undo)(row["id"], **SAID)
        self.stored[session] = "deleted" if there else "there"

    @precondition(lambda self: "deleted" in self.stored.values())
    @rule()
    def purge(self) -> None:
        let_undo_end(self.bench)
        assert keeper(self.bench).purge().left == ()
        self.stored = {session: state for session, state in self.stored.items() if state == "there"}
        self._apply()

    @precondition(lambda self: self._live())
    @rule(data=st.data(), seldom=st.sampled_from([False, False, False, True]))
    def withdraw_a_photograph(self, data: st.DataObject, seldom: bool) -> None:
        if seldom:
            session = data.draw(st.sampled_from(self._live()))
            with self.bench.database.connection() as connection:
                withdraw(connection, picture_of(self.bench, session), **SAID)
            self.withdrawn.add(SESSIONS[session][1])
            self._apply()

    # What holds

    def _said(self) -> list[Said]:
        return [of_row(row) for row in self.bench.query("select * from judgement")]

    def _is_stored(self, content: bytes) -> bool:
        return bool(self.bench.query("select id from pictures where sha256 = %s limit 1", content))

    def _cuts(self) -> dict[bytes, tuple[bytes, Box]]:
        rows = self.bench.query(
            "select c.sha256, p.sha256 as photograph, c.bounding_box from pictures c join pictures p on p.id = c.parent"
            " where c.withdrawn_at is null"
        )
        return {bytes(row["sha256"]): (bytes(row["photograph"]), pixels(*row["bounding_box"])) for row in rows}

    def _expected(self) -> dict[Place, Comes]:
        rules = Rules(self.experts, self.policy.experts, self.policy.persons, GENUS)
        single = [content for content in SINGLE if self._is_stored(content)]
        said = places(self._said(), self._cuts(), single, same)
        return {place: comes_to(of_place, rules) for place, of_place in said.items()}

    @invariant()
    def what_judgements_come_to_is_what_the_model_says(self) -> None:
        rows = self.bench.query("select * from judged")
        found = {
            (bytes(row["sha256"]), row["region"]): Comes(
                row["outcome"], row["seed_id"], tuple(row["box"]) if row["box"] else None, row["agreement"],
                row["persons"], row["experts"],
            )
            for row in rows
        }  # fmt: skip
        expected = self._expected()
        differing = {
            (place[0].hex()[:8], place[1]): (found.get(place), expected.get(place))
            for place in found.keys() | expected.keys()
            if _comparable(place, found.get(place)) != _comparable(place, expected.get(place))
        }
        assert differing == {}, differing

    @invariant()
    def photographs_are_labelled_as_judged_unless_somebody_decided(self) -> None:
        expected = self._expected()
        rows = self.bench.query("select sha256, seed_id, from_judgements from label_decision")
        for content in filter(self._is_stored, CONTENT.values()):
            judged = expected.get((content, ""))
            wanted = (self.decided[content], False) if content in self.decided else None
            if wanted is None and judged and judged.taxon and judged.taxon != STATED_GENUS.get(content):
                wanted = (judged.taxon, True)
            found = [(row["seed_id"], row["from_judgements"]) for row in rows if bytes(row["sha256"]) == content]
            assert found == ([wanted] if wanted else [])

    @invariant()
    def exactly_what_is_judged_to_be_what_it_is_labelled_as_is_verified(self) -> None:
        expected = self._expected()

        def photograph_verified(content: bytes) -> bool:
            judged = expected.get((content, ""))
            if judged is None or judged.taxon is None:
                return False
            followed = None if judged.taxon == STATED_GENUS.get(content) else judged.taxon
            return self.decided.get(content, followed) == judged.taxon

        rows = self.bench.query(
            "select c.sha256, c.verified, c.bounding_box, p.sha256 as photograph from pictures c"
            " left join pictures p on p.id = c.parent"
        )
        for row in rows:
            own = None
            if row["photograph"]:
                content, box = bytes(row["photograph"]), pixels(*row["bounding_box"])
                regions = {named(other) for other in (LEFT, NEAR, RIGHT) if same(other, box)}
                of_region = [one for (where, region), one in expected.items() if where == content and region in regions]
                own = expected.get((bytes(row["sha256"]), "")) or next(iter(of_region), None)
            if own and own.outcome != "open":
                wanted = own.outcome == "taxon"
            else:
                wanted = photograph_verified(bytes(row["photograph"] or row["sha256"]))
            assert row["verified"] is wanted


def _comparable(place: Place, one: Comes | None) -> Comes | None:
    box = one.box if one and place[0] in CONTENT.values() else None
    return one and replace(one, agreement=round(one.agreement, 6), box=box)
