"""Whoever subscribes is told all that happens, in its order, whatever else goes wrong."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.database.connection import Database
from nachet_pipeline.events.event import EventType
from nachet_pipeline.local.services import Services
from nachet_pipeline.uploads.queries import see_upload
from nachet_pipeline.users.encryption import SecretBox, new_secret_key
from nachet_pipeline.users.queries import add_user
from nachet_pipeline.webhooks.delivering import pause_after
from nachet_pipeline.webhooks.queries import encrypt_anew
from nachet_pipeline.webhooks.sending import Sender
from nachet_pipeline.webhooks.webhook import WebhookError
from nachet_pipeline_tests.webhooks.pipeline import KEYS, Pipeline, pipeline_of
from nachet_pipeline_tests.webhooks.receivers import Message, Receiver, Reply, receiver

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def pipeline(services: Services, migrated_database: str) -> Iterator[Pipeline]:
    with pipeline_of(services, migrated_database) as found:
        yield found


@pytest.fixture
def to() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def subjects(to: Receiver) -> list[str]:
    return [message.subject for message in to.accepted]


def failing(*subjects: str, status: Reply = 500) -> Callable[[Message], Reply]:
    """Answers an error to what happens to these subjects."""
    return lambda message: status if message.subject in subjects else 204


def test_what_happens_after_somebody_subscribed_is_told_once_with_the_events_own_identifier(
    pipeline: Pipeline, to: Receiver
) -> None:
    pipeline.happen("before")
    pipeline.subscribe(to)
    pipeline.happen("a", "b", "a")

    assert pipeline.deliver().delivered == 3
    assert pipeline.deliver().delivered == 0
    arrived = {(message.id, message.subject, message.number) for message in to.accepted}
    assert arrived == {(str(one), subject, number) for one, subject, number in pipeline.events()[1:]}
    assert sorted(subjects(to)) == ["a", "a", "b"]


def test_who_wants_it_is_told_from_the_beginning_and_who_wants_some_types_those_alone(
    pipeline: Pipeline, to: Receiver
) -> None:
    pipeline.happen("x", kind=EventType.CHECK_PASSING)
    ada = pipeline.database.call(add_user, "ada@example.org")
    pipeline.database.call(see_upload, Owner(ada.id, ada.email), "canola")
    pipeline.subscribe(to, "upload.*,health.failing", from_beginning=True)
    pipeline.happen("x")

    pipeline.deliver()

    assert to.told() == ["upload.staged", "health.failing"]
    assert to.accepted[0].event.get_data()["folder"] == "canola"


def test_a_later_event_of_a_subject_waits_for_the_one_before_and_other_subjects_do_not(
    pipeline: Pipeline, to: Receiver
) -> None:
    pipeline.subscribe(to)
    to.answer = failing("slow")
    pipeline.happen("slow", "slow", "quick", "slow", "quick")

    pipeline.deliver()
    assert subjects(to) == ["quick", "quick"]
    to.answer = lambda _: 204
    pipeline.at += MINUTE
    pipeline.deliver()

    slow = [message.number for message in to.accepted if message.subject == "slow"]
    assert (len(slow), slow) == (3, sorted(slow))
    assert len({message.id for message in to.messages}) == 5


def test_a_receiver_that_is_down_for_a_day_is_told_everything_within_hours_of_its_return(
    pipeline: Pipeline, to: Receiver
) -> None:
    webhook = pipeline.subscribe(to)
    to.answer = lambda _: 503
    for number in range(24):
        pipeline.happen(f"s{number % 5}", f"s{(number + 1) % 5}")
        pipeline.let_pass(HOUR)
    found = pipeline.now(webhook)
    assert (to.accepted, found.state) == ([], "failing")
    assert found.waiting in {46, 48}  # of the last two events it is known when the receiver is asked next
    asked = len(to.messages)
    assert asked < 60

    to.answer = lambda _: 204
    pipeline.let_pass(3 * HOUR)

    assert len(to.accepted) == 48
    for subject in ("s0", "s1", "s2", "s3", "s4"):
        numbers = [message.number for message in to.accepted if message.subject == subject]
        assert numbers == sorted(numbers)
    found = pipeline.now(webhook)
    assert (found.state, found.waiting, found.dead, found.last_error) == ("active", 0, 0, None)


def test_what_could_not_be_told_for_three_days_is_dead_until_somebody_retries_it(
    pipeline: Pipeline, to: Receiver
) -> None:
    webhook = pipeline.subscribe(to)
    to.answer = failing("odd")
    pipeline.happen("odd", "odd", "fine")

    failed = pipeline.let_pass(2 * DAY + 22 * HOUR, step=HOUR / 2)
    assert (pipeline.now(webhook).dead, subjects(to)) == (0, ["fine"])
    pipeline.let_pass(5 * HOUR, step=HOUR / 2)
    found = pipeline.now(webhook)
    assert (found.dead, found.last_error) == (2, "it answers 500")
    assert 20 < failed < 160

    to.answer = lambda _: 204
    pipeline.let_pass(HOUR * 2)
    assert subjects(to) == ["fine"]
    assert pipeline.webhooks.retry(str(webhook.id), by="ada@example.org")[1] == 2
    pipeline.at += SECOND
    pipeline.deliver()
    assert (pipeline.now(webhook).dead, subjects(to)) == (0, ["fine", "odd", "odd"])


def test_a_receiver_that_is_gone_for_three_days_loses_what_is_so_old_and_not_what_is_newer(
    pipeline: Pipeline, to: Receiver
) -> None:
    webhook = pipeline.subscribe(to)
    to.answer = lambda _: 503
    pipeline.happen(*(f"old-{number}" for number in range(30)))
    pipeline.let_pass(2 * DAY, step=HOUR)
    pipeline.happen("new")
    pipeline.let_pass(DAY + 3 * HOUR, step=HOUR / 2)
    assert (pipeline.now(webhook).dead, pipeline.now(webhook).waiting) == (30, 1)
    to.answer = lambda _: 204
    pipeline.let_pass(2 * HOUR)
    assert subjects(to) == ["new"]


def test_while_others_are_accepted_the_next_of_its_subject_is_tried_when_one_is_given_up(
    pipeline: Pipeline, to: Receiver
) -> None:
    webhook = pipeline.subscribe(to)
    to.answer = failing("odd")
    pipeline.happen("odd", "odd")
    for _ in range(40):
        pipeline.happen("fine")
        pipeline.let_pass(2 * HOUR, step=HOUR)
    assert (pipeline.now(webhook).dead, pipeline.now(webhook).waiting) == (1, 1)
    assert len(to.accepted) == 40


def test_a_receiver_that_refuses_everything_is_asked_once_a_minute_at_most(pipeline: Pipeline, to: Receiver) -> None:
    pipeline.subscribe(to)
    to.answer = lambda _: 404
    pipeline.happen(*(f"s{number}" for number in range(200)))
    pipeline.deliver()
    assert len(to.messages) < 20
    pipeline.let_pass(10 * MINUTE, step=MINUTE / 6)
    assert len(to.messages) < 30
    to.answer = lambda _: 204
    pipeline.let_pass(2 * HOUR)
    assert len(to.accepted) == 200


def test_a_day_in_which_nobody_delivers_is_not_taken_for_the_receivers_fault(pipeline: Pipeline, to: Receiver) -> None:
    webhook = pipeline.subscribe(to)
    to.answer = lambda _: 503
    pipeline.happen("a")
    pipeline.deliver()
    pipeline.at += 5 * DAY
    pipeline.deliver()
    assert (pipeline.now(webhook).dead, pipeline.now(webhook).waiting) == (0, 1)


def test_a_receiver_that_never_answers_holds_nobody_up_and_no_tick(pipeline: Pipeline, to: Receiver) -> None:
    pipeline.sender = Sender(private=True, seconds=1)
    with receiver() as silent:
        silent.held.clear()
        never = [pipeline.subscribe(silent) for _ in range(3)]
        pipeline.subscribe(to)
        pipeline.happen(*(f"s{number}" for number in range(40)))

        done = pipeline.deliver(seconds=2)

        assert (done.delivered, done.failed) == (40, 3)
        assert len(to.accepted) == 40
        assert {pipeline.now(one).last_error for one in never} == {"no answer within 1 s"}
        # They are not asked again at once.
        assert pipeline.deliver(seconds=2).failed == 0
        # And all of their events are there still.
        assert {pipeline.now(one).waiting for one in never} == {40}


def test_those_who_are_told_nothing_take_nobodys_place(pipeline: Pipeline, to: Receiver) -> None:
    for _ in range(40):
        pipeline.subscribe(to, "training_set.*")
    for _ in range(10):
        pipeline.subscribe(to, "health.*")
    pipeline.happen("a", "b")
    assert pipeline.deliver().delivered == 20


def test_those_who_answer_late_and_are_told_much_leave_the_others_their_places(
    pipeline: Pipeline, to: Receiver
) -> None:
    with receiver() as late:
        late.answer = lambda _: time.sleep(0.3) or 204
        for _ in range(12):
            pipeline.subscribe(late)
        for _ in range(4):
            pipeline.subscribe(to)
        pipeline.happen(*(f"s{number}" for number in range(60)))
        pipeline.deliver(seconds=8)
    assert len(to.accepted) == 4 * 60


def test_no_answer_of_one_receiver_keeps_events_from_another(pipeline: Pipeline, to: Receiver) -> None:
    with receiver() as hostile:
        hostile.answer = lambda _: (503, {"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, b"")
        pipeline.subscribe(hostile)
        pipeline.subscribe(to)
        pipeline.happen("a")
        done = pipeline.deliver()
    assert (done.delivered, done.failed) == (1, 1)


def test_a_clock_that_was_wrong_for_a_while_stops_nobody(pipeline: Pipeline, to: Receiver) -> None:
    pipeline.subscribe(to)
    to.answer = lambda _: 503
    pipeline.happen("a")
    pipeline.at += 400 * DAY
    pipeline.deliver()

    to.answer = lambda _: 204
    pipeline.at -= 400 * DAY
    assert pipeline.deliver().delivered == 1


def test_a_backlog_of_one_subject_costs_the_others_nothing(pipeline: Pipeline, to: Receiver) -> None:
    with receiver() as refusing:
        refusing.answer = lambda _: 500
        pipeline.subscribe(refusing, "health.*")
        pipeline.subscribe(to, "key.*")
        with pipeline.database.connection() as connection:
            connection.execute(
                "insert into event (type, subject, data) select 'health.failing', 's' || mod(number, 2), %s"
                " from generate_series(1, 9000) as number",
                (Jsonb({"check": "s", "passed": False, "urgent": True, "found": "something"}),),
            )
            connection.execute(
                "insert into event (type, subject, data) select 'key.ending', 'u' || number, %s"
                " from generate_series(1, 20) as number",
                (Jsonb({"user": "ada@example.org", "key": 1, "ends": "2026-05-04T00:00:00Z"}),),
            )
        pipeline.deliver(seconds=15)
    assert len(to.accepted) == 20


def test_nothing_is_begun_that_a_tick_could_not_end(pipeline: Pipeline, to: Receiver) -> None:
    pipeline.sender = Sender(private=True, seconds=5)
    pipeline.subscribe(to)
    pipeline.happen("a")
    assert pipeline.deliver(seconds=4.9).delivered == 0
    assert pipeline.deliver(seconds=20).delivered == 1


def test_an_answer_of_how_long_to_wait_is_heeded(pipeline: Pipeline, to: Receiver) -> None:
    pipeline.subscribe(to)
    to.answer = lambda _: (429, {"Retry-After": "7200"}, b"")
    pipeline.happen("a")
    pipeline.deliver()
    to.answer = lambda _: 204
    pipeline.let_pass(2 * HOUR - MINUTE)
    assert len(to.messages) == 1
    pipeline.let_pass(2 * MINUTE)
    assert len(to.accepted) == 1


def test_pauses_grow_to_an_hour_and_differ_by_chance() -> None:
    for failures, seconds in ((1, 5), (2, 20), (3, 80), (6, 3600), (1000, 3600)):
        found = {pause_after(failures).total_seconds() for _ in range(100)}
        assert len(found) > 1
        assert all(0.75 * seconds <= one <= 1.25 * seconds for one in found)


def test_who_answers_gone_is_paused_until_somebody_resumes_it(pipeline: Pipeline, to: Receiver) -> None:
    webhook = pipeline.subscribe(to)
    to.answer = lambda _: 410
    pipeline.happen("a", "b")
    pipeline.deliver()
    pipeline.let_pass(DAY)
    found = pipeline.now(webhook)
    assert (len(to.messages), found.state, found.paused_because) == (1, "paused", "its receiver answered 410 Gone")
    assert found.gone

    to.answer = lambda _: 204
    pipeline.happen("c")
    pipeline.webhooks.resume(str(webhook.id), by="ada@example.org")
    pipeline.at += MINUTE
    pipeline.deliver()
    assert sorted(subjects(to)) == ["a", "b", "c"]


def test_while_a_webhook_is_paused_nothing_is_told_and_nothing_is_lost(pipeline: Pipeline, to: Receiver) -> None:
    webhook = pipeline.subscribe(to)
    pipeline.webhooks.pause(str(webhook.id)[:8], by="ada@example.org")
    pipeline.happen("a")
    pipeline.let_pass(5 * DAY, step=DAY)
    assert to.messages == []
    pipeline.webhooks.resume(str(webhook.id), by="ada@example.org")
    pipeline.deliver()
    assert subjects(to) == ["a"]


def test_two_who_deliver_at_once_deliver_nothing_twice_and_nothing_out_of_order(
    pipeline: Pipeline, to: Receiver
) -> None:
    pipeline.subscribe(to)
    pipeline.happen(*(f"s{number % 4}" for number in range(60)))
    url = SecretStr(pipeline.database._writing._url.get_secret_value())
    ready = threading.Barrier(3)

    def deliver() -> None:
        with Database(url) as own:
            other = Pipeline(own)
            ready.wait(30)
            other.deliver()

    threads = [threading.Thread(target=deliver) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipeline.deliver()

    assert len(to.messages) == 60
    for subject in ("s0", "s1", "s2", "s3"):
        numbers = [message.number for message in to.accepted if message.subject == subject]
        assert numbers == sorted(numbers)


def test_an_event_of_a_transaction_that_ends_late_is_told_too(pipeline: Pipeline, to: Receiver) -> None:
    pipeline.subscribe(to)
    ada = pipeline.database.call(add_user, "ada@example.org")
    with pipeline.database.connection() as slow:
        see_upload(slow, Owner(ada.id, ada.email), "slow")
        pipeline.happen("quick")
        pipeline.deliver()
    pipeline.deliver()
    assert to.told() == ["upload.staged", "health.failing"]


def test_addresses_and_secrets_are_kept_encrypted_and_can_be_encrypted_anew(
    pipeline: Pipeline, to: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    to.url += "/TOKEN?token=TOKEN"
    webhook = pipeline.subscribe(to)
    with pipeline.database.connection() as connection:
        kept = str(connection.execute("select * from webhook").fetchall())
        trail = str(connection.execute("select * from audit_trail where subject = 'webhook'").fetchall())
    for secret in ("TOKEN", to.secrets[0]):
        assert secret not in kept + trail + repr(pipeline.now(webhook)) + repr(pipeline.webhooks)
    assert "'added'" in trail
    assert webhook.place in trail

    fresh = new_secret_key()
    assert pipeline.database.call(encrypt_anew, SecretBox([fresh, *KEYS]).encrypt_anew) == 1
    pipeline.happen("a")
    assert pipeline.deliver().delivered == 0
    assert f"webhook {webhook.id} is told nothing: NACHET_SECRET_KEYS" in caplog.text
    assert pipeline.now(webhook).waiting == 1
    assert pipeline.database.call(encrypt_anew, SecretBox([*KEYS, fresh]).encrypt_anew) == 1
    pipeline.at += MINUTE
    assert pipeline.deliver().delivered == 1


def test_a_webhook_that_leads_inside_is_refused_when_added_and_when_delivered(pipeline: Pipeline, to: Receiver) -> None:
    webhook = pipeline.subscribe(to)
    pipeline.happen("a")
    pipeline.sender = Sender(private=False)
    with pytest.raises(WebhookError, match="expected https"):
        pipeline.subscribe(to)
    assert pipeline.deliver().failed == 1
    assert "expected https" in str(pipeline.now(webhook).last_error)
    assert to.messages == []


def test_a_webhook_is_named_by_how_its_id_begins_if_no_other_one_does(pipeline: Pipeline, to: Receiver) -> None:
    webhook = pipeline.subscribe(to)
    assert pipeline.webhooks.pause(str(webhook.id)[:6].upper(), by="ada@example.org")[0].id == webhook.id
    for wrong in (str(uuid4()), "", "%"):
        with pytest.raises(WebhookError, match="no such webhook"):
            pipeline.webhooks.remove(wrong, by="ada@example.org")


def test_what_only_a_newer_release_knows_waits_and_holds_up_nothing_else(pipeline: Pipeline, to: Receiver) -> None:
    webhook = pipeline.subscribe(to)
    with pipeline.database.connection() as connection:
        connection.execute("insert into event (type, subject, data) values ('moon.full', 'a', '{}')")
    pipeline.happen("a", "b")

    for _ in range(2):
        pipeline.deliver()

    found = pipeline.now(webhook)
    assert (subjects(to), found.waiting, found.state) == (["b"], 2, "active")
    assert found.last_error == "this release does not know its type"
    assert pipeline.events() == [one for one in pipeline.events() if one[1] in {"a", "b"}]
