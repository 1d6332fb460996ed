"""Whatever happens in whatever order: one digest a day at most, nothing told twice, nothing lost."""

import re
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.local.services import Services
from nachet_pipeline_tests.mail.post_office import DAY, ERROR, WARNING, PostOffice, post_office, text_of

_FOLDERS = st.integers(0, 3).map("folder-{}".format)
_STEPS = st.sampled_from([timedelta(minutes=1), timedelta(minutes=7), timedelta(hours=3), timedelta(hours=20)])


@pytest.fixture
def office(services: Services, migrated_database: str) -> Iterator[PostOffice]:
    with post_office(services, migrated_database) as found:
        yield found


def test_the_digest_comes_once_a_day_and_tells_everything_once(office: PostOffice) -> None:
    class Happenings(RuleBasedStateMachine):
        """What a user does and what the server answers, with what they are to be told."""

        def __init__(self) -> None:
            super().__init__()
            self.email = f"{uuid.uuid4().hex}@example.org"
            self.user = office.user(self.email, "imported", "refused")
            self.imported: set[str] = set()
            self.owed: dict[str, str] = {}
            self.worth_telling: Counter[str] = Counter()
            self.days: Counter[str] = Counter()
            self.read = 0

        @rule(folder=_FOLDERS, warned=st.booleans())
        def import_it(self, folder: str, warned: bool) -> None:
            office.import_folder(self.user, folder, State.IMPORTED, *([WARNING] if warned else []))
            self.imported.add(folder)
            self._owe(folder, "imported" if warned else None)

        @rule(folder=_FOLDERS)
        def refuse_it(self, folder: str) -> None:
            office.import_folder(self.user, folder, State.REFUSED, ERROR)
            self.imported.discard(folder)
            self._owe(folder, "not accepted")

        @rule(folder=_FOLDERS)
        def find_other_numbers_of_seeds(self, folder: str) -> None:
            if folder in self.imported:
                office.cut_out_seeds(self.user, folder, WARNING)
                self._owe(folder, "imported")

        @rule(step=_STEPS)
        def tick(self, step: timedelta) -> None:
            office.tick(step)
            self._read()

        @rule()
        def tick_while_the_server_takes_nothing(self) -> None:
            office.server.data = ["451 try later"] * 3
            office.tick(timedelta(minutes=10))
            office.server.data = []
            self._read()

        @invariant()
        def nothing_was_told_too_often(self) -> None:
            assert not [count for count in self.worth_telling.values() if count < 0]
            assert max(self.days.values(), default=0) <= 1

        def teardown(self) -> None:
            for _ in range(8):
                office.tick(DAY / 2)
                self._read()
            assert self.owed == {}
            self.nothing_was_told_too_often()

        def _owe(self, folder: str, state: str | None) -> None:
            self.owed.pop(folder, None)
            if state:
                self.owed[folder] = state
                self.worth_telling[f"{folder} {state}"] += 1

        def _read(self) -> None:
            mails = office.mails_to(self.email)
            for mail in mails[self.read :]:
                told = re.findall(r"^\* (folder-\d) \u2013 (imported|not accepted)$", text_of(mail), re.MULTILINE)
                assert told
                if told[0][1] == "imported":
                    self.days[f"{office.now:%Y-%m-%d}"] += 1
                for folder, state in told:
                    assert self.owed.pop(folder) == state
                    self.worth_telling[f"{folder} {state}"] -= 1
            self.read = len(mails)

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Happenings, settings=settings(max_examples=10, stateful_step_count=15)
    )
