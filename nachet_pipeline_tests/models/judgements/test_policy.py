"""What judgements come to: nothing depends on the order in which they arrive, and what is taken back was never said."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachet_pipeline.models.judgements.judgement import Box, Judgement, Verdict, box_of
from nachet_pipeline.models.judgements.policy import (
    Cut,
    Outcome,
    Policy,
    Result,
    Subject,
    decide,
    region_of,
    subjects,
)

NAPUS, JUNCEA, BRASSICA, CIRSIUM = (UUID(int=number) for number in range(1, 5))
WIDER = {NAPUS: {BRASSICA}, JUNCEA: {BRASSICA}}
ANN, BO, CY, DI = "ann@example.org", "bo@example.org", "cy@example.org", "di@example.org"
EXPERTS = {ANN, BO}
DEFAULT = Policy()
CONTENT, CROP = b"c" * 32, b"d" * 32
HERE, NEARBY, ELSEWHERE = box_of(0.1, 0.1, 0.4, 0.4), box_of(0.12, 0.1, 0.42, 0.4), box_of(0.6, 0.6, 0.9, 0.9)
_NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def said(
    person: str,
    verdict: Verdict,
    taxon: UUID | None = None,
    *,
    at: int = 0,
    number: int = 0,
    sha256: bytes = CONTENT,
    box: Box | None = None,
    corrected: Box | None = None,
) -> Judgement:
    identifier = UUID(int=1000 * at + 10 * number + sorted((ANN, BO, CY, DI)).index(person))
    return Judgement(identifier, person, _NOON + timedelta(minutes=at), sha256, verdict, box, taxon, corrected)


def taken_back(judgement: Judgement) -> Judgement:
    later = judgement.at + timedelta(days=1)
    return replace(
        judgement, id=UUID(int=judgement.id.int + 2**64), at=later, verdict=Verdict.WITHDRAWN, withdraws=judgement.id
    )


def broader(taxon: UUID) -> Collection[UUID]:
    return WIDER.get(taxon, set())


def come_to(*judgements: Judgement, policy: Policy = DEFAULT) -> Outcome:
    return decide(judgements, EXPERTS, policy, broader)


def test_one_expert_is_enough_or_two_people_who_agree() -> None:
    expert, cy, di = (said(person, Verdict.TAXON, NAPUS) for person in (ANN, CY, DI))
    assert (come_to(expert).result, come_to(expert).taxon) == (Result.TAXON, NAPUS)
    assert come_to(cy).result is Result.OPEN
    assert come_to(cy, di) == Outcome(Result.TAXON, NAPUS, None, 1.0, 2, 0)


def test_an_expert_overrules_people_but_not_another_expert() -> None:
    people = [said(CY, Verdict.TAXON, CIRSIUM), said(DI, Verdict.TAXON, CIRSIUM)]
    by_expert = come_to(*people, said(ANN, Verdict.TAXON, NAPUS))
    assert (by_expert.taxon, by_expert.agreement) == (NAPUS, pytest.approx(1 / 3))
    between = come_to(said(ANN, Verdict.TAXON, NAPUS), said(BO, Verdict.TAXON, CIRSIUM), *people)
    assert (between.result, between.agreement) == (Result.DISPUTED, 0.75)


def test_a_genus_supports_its_species_and_the_narrowest_that_counts_wins() -> None:
    genus, species = said(ANN, Verdict.TAXON, BRASSICA), said(BO, Verdict.TAXON, NAPUS)
    assert come_to(genus, species).taxon == NAPUS
    assert come_to(genus, said(CY, Verdict.TAXON, NAPUS)).taxon == BRASSICA
    two = come_to(said(CY, Verdict.TAXON, NAPUS), said(DI, Verdict.TAXON, JUNCEA), genus)
    assert (two.taxon, two.agreement) == (BRASSICA, 1.0)


def test_whoever_says_wrong_denies_that_taxon_and_no_other() -> None:
    assert come_to(said(CY, Verdict.WRONG, NAPUS)) == Outcome(Result.OPEN, None, None, 0.0, 1, 0)
    assert come_to(said(ANN, Verdict.RIGHT, NAPUS), said(BO, Verdict.WRONG, NAPUS)).result is Result.DISPUTED
    assert come_to(said(ANN, Verdict.TAXON, CIRSIUM), said(BO, Verdict.WRONG, NAPUS)).taxon == CIRSIUM


def test_the_latest_word_of_a_person_counts_and_a_box_leaves_the_taxon_as_it_was() -> None:
    first, later = said(ANN, Verdict.TAXON, NAPUS), said(ANN, Verdict.TAXON, CIRSIUM, at=1)
    assert come_to(first, later).taxon == CIRSIUM
    assert come_to(first, said(ANN, Verdict.UNSURE, at=2)).result is Result.OPEN
    moved = come_to(first, said(ANN, Verdict.BOX, at=2, corrected=NEARBY))
    assert (moved.taxon, moved.box) == (NAPUS, NEARBY)
    found = come_to(said(ANN, Verdict.NOT_A_SEED), said(ANN, Verdict.BOX, at=2, corrected=NEARBY))
    assert (found.result, found.box) == (Result.OPEN, NEARBY)
    assert come_to(said(CY, Verdict.BOX, corrected=NEARBY)).box is None
    assert come_to(said(CY, Verdict.BOX, corrected=NEARBY), said(DI, Verdict.BOX, at=1, corrected=HERE)).box == HERE


def test_what_is_no_seed_or_unusable_counts_by_the_same_rules() -> None:
    assert come_to(said(ANN, Verdict.NOT_A_SEED)).result is Result.NOT_A_SEED
    assert come_to(said(CY, Verdict.UNUSABLE), said(DI, Verdict.UNUSABLE)).result is Result.UNUSABLE
    assert come_to(said(ANN, Verdict.UNUSABLE), said(BO, Verdict.TAXON, NAPUS)).result is Result.DISPUTED


def test_a_way_that_is_switched_off_is_none() -> None:
    expert = said(ANN, Verdict.TAXON, NAPUS)
    assert come_to(expert, policy=Policy(0, 2)).result is Result.OPEN
    assert come_to(expert, said(BO, Verdict.TAXON, NAPUS), policy=Policy(0, 2)).taxon == NAPUS
    assert come_to(said(CY, Verdict.TAXON, NAPUS), said(DI, Verdict.TAXON, NAPUS), policy=Policy(1, 0)).taxon is None


def test_a_crop_and_its_region_are_one_subject_and_other_regions_are_others() -> None:
    of_crop = said(ANN, Verdict.TAXON, NAPUS, sha256=CROP)
    of_region = said(CY, Verdict.TAXON, CIRSIUM, box=NEARBY)
    missed = said(DI, Verdict.MISSED, JUNCEA, corrected=ELSEWHERE)
    of_whole = said(BO, Verdict.UNUSABLE)
    found = subjects([of_crop, of_region, missed, of_whole], [Cut(CROP, CONTENT, HERE)])
    both = {of_crop.id, of_region.id}
    assert {subject: {one.id for one in judged} for subject, judged in found.items()} == {
        Subject(CROP): both,
        Subject(CONTENT, region_of(HERE)): both,
        Subject(CONTENT, region_of(ELSEWHERE)): {missed.id},
        Subject(CONTENT): {of_whole.id},
    }


def test_the_only_seed_of_a_photograph_names_the_photograph() -> None:
    judged = [said(ANN, Verdict.TAXON, NAPUS, box=HERE), said(BO, Verdict.NOT_A_SEED, at=1, box=ELSEWHERE)]
    assert [one.id for one in subjects(judged, [], {CONTENT})[Subject(CONTENT)]] == [judged[0].id]
    assert Subject(CONTENT) not in subjects(judged, [])
    two = [*judged, said(CY, Verdict.MISSED, NAPUS, corrected=ELSEWHERE)]
    assert Subject(CONTENT) not in subjects(two, [], {CONTENT})


JUDGEMENTS = st.lists(
    st.builds(
        said,
        st.sampled_from((ANN, BO, CY, DI)),
        st.sampled_from([verdict for verdict in Verdict if verdict not in (Verdict.WITHDRAWN, Verdict.MISSED)]),
        st.sampled_from((NAPUS, JUNCEA, BRASSICA, CIRSIUM)),
        at=st.integers(0, 9),
        number=st.integers(0, 9),
        sha256=st.sampled_from((CONTENT, CROP)),
        box=st.sampled_from((None, HERE, NEARBY, ELSEWHERE)),
        corrected=st.sampled_from((HERE, ELSEWHERE)),
    ),
    unique_by=lambda one: one.id,
    max_size=12,
)
POLICIES = st.builds(Policy, st.integers(0, 2), st.integers(0, 3))


def every_outcome(judgements: list[Judgement], policy: Policy) -> dict[Subject, Outcome]:
    found = subjects(judgements, [Cut(CROP, CONTENT, HERE)], {CONTENT})
    return {subject: decide(judged, EXPERTS, policy, broader) for subject, judged in found.items()}


@given(JUDGEMENTS, POLICIES, st.randoms(use_true_random=False))
def test_the_order_in_which_judgements_arrive_does_not_matter(judgements, policy, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(judgements)
    random.shuffle(shuffled)
    assert every_outcome(shuffled, policy) == every_outcome(judgements, policy)


@given(JUDGEMENTS, JUDGEMENTS, POLICIES)
def test_taking_judgements_back_restores_what_was(before, more, policy) -> None:  # type: ignore[no-untyped-def]
    added = [one for one in more if one.id not in {other.id for other in before}]
    after = [*before, *added, *map(taken_back, added)]
    assert every_outcome(after, policy) == every_outcome(before, policy)


@given(JUDGEMENTS, POLICIES)
def test_whoever_is_unsure_changes_nothing(judgements, policy) -> None:  # type: ignore[no-untyped-def]
    others = [one for one in judgements if one.person != DI]
    unsure = said(DI, Verdict.UNSURE, at=5)
    without = decide(others, EXPERTS, policy, broader)
    assert decide([*others, unsure], EXPERTS, policy, broader) == without


@given(JUDGEMENTS, POLICIES)
def test_nothing_is_verified_that_an_expert_denies(judgements, policy) -> None:  # type: ignore[no-untyped-def]
    others = [one for one in judgements if one.person != BO]
    found = decide([*others, said(BO, Verdict.NOT_A_SEED, at=5)], EXPERTS, policy, broader)
    assert 0 <= found.agreement <= 1
    assert found.taxon is None
    assert found.result is not Result.TAXON


def test_a_box_that_is_said_of_a_crop_is_one_of_the_photograph_in_its_own_measure_and_back() -> None:
    cut = Cut(CROP, CONTENT, HERE)
    of_crop = said(ANN, Verdict.BOX, NAPUS, sha256=CROP, corrected=box_of(0, 0, 0.5, 0.5))
    of_photograph = said(BO, Verdict.BOX, NAPUS, box=HERE, corrected=box_of(0.1, 0.1, 0.25, 0.25))
    found = subjects([of_crop, of_photograph], [cut])
    for subject, corrected in (
        (Subject(CONTENT, region_of(HERE)), (0.1, 0.1, 0.25, 0.25)),
        (Subject(CROP), (0, 0, 0.5, 0.5)),
    ):
        assert [one.corrected_box for one in found[subject]] == [pytest.approx(corrected, abs=1e-6)] * 2
