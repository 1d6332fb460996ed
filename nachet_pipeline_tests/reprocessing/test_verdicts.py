import pytest

from nachet_pipeline.contract.catalogue import CATALOGUE, Check, Severity
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.pictures.inspected import Inspected, Properties
from nachet_pipeline.pictures.issues import Issue
from nachet_pipeline.reprocessing.verdicts import (
    BLOB_FINDINGS,
    StoredFinding,
    UnknownRuleError,
    Verdict,
    VerdictState,
    codes_of,
    message_of,
    rule_of,
    verdict_changes,
)

PNG = Properties("PNG", 4, 3, "L", None)
PLACE, NAME, TAIL = "location-in-picture", "name-in-picture", "unused-bytes"


def verdict(state: VerdictState = VerdictState.ACCEPTED, **weights: Severity) -> Verdict:
    findings = (StoredFinding(code=code.replace("_", "-"), severity=weight) for code, weight in weights.items())
    return Verdict(state, tuple(findings))


def differing(before: Verdict | None, now: Verdict) -> set[tuple[str, Severity | None, Severity | None]]:
    return {(one.code, one.before, one.now) for one in verdict_changes(before, now)}


def test_a_warning_refuses_nothing_until_the_deployment_calls_it_an_error() -> None:
    seen = Inspected(PNG, (Issue(PLACE, "GPSInfo"),))

    assert Verdict.of_picture(seen, RuleSet()).state is VerdictState.ACCEPTED
    assert Verdict.of_picture(seen, RuleSet({PLACE: Severity.ERROR})).state is VerdictState.REFUSED


def test_a_picture_that_does_not_decode_is_refused() -> None:
    found = Verdict.of_picture(Inspected(None, (Issue("picture-damaged"),)), RuleSet())

    assert found.state is VerdictState.REFUSED
    assert found.weights == {"picture-damaged": Severity.ERROR}


def test_a_code_found_twice_weighs_the_most_that_it_was_found_with() -> None:
    twice = Verdict(
        VerdictState.REFUSED,
        tuple(StoredFinding(code=PLACE, severity=weight) for weight in (Severity.INFO, Severity.ERROR)),
    )

    assert twice.weights == {PLACE: Severity.ERROR}


def test_on_a_first_look_only_errors_are_news() -> None:
    now = verdict(VerdictState.REFUSED, **{PLACE: Severity.WARNING, NAME: Severity.ERROR})

    assert differing(None, now) == {(NAME, None, Severity.ERROR)}


def test_later_every_finding_that_appears_disappears_or_weighs_something_else_is_news() -> None:
    before = verdict(**{PLACE: Severity.WARNING, TAIL: Severity.WARNING})
    now = verdict(VerdictState.REFUSED, **{PLACE: Severity.ERROR, NAME: Severity.WARNING})

    assert differing(before, now) == {
        (PLACE, Severity.WARNING, Severity.ERROR),
        (NAME, None, Severity.WARNING),
        (TAIL, Severity.WARNING, None),
    }


def test_the_same_verdict_is_no_news() -> None:
    assert differing(verdict(**{PLACE: Severity.WARNING}), verdict(**{PLACE: Severity.WARNING})) == set()


def test_what_was_said_of_a_file_is_not_gone_because_the_file_is() -> None:
    before, missing = verdict(**{PLACE: Severity.WARNING}), Verdict.of_blob(VerdictState.MISSING)

    assert differing(before, missing) == {("blob-missing", None, Severity.ERROR)}
    assert differing(missing, before) == {("blob-missing", Severity.ERROR, None)}


@pytest.mark.parametrize("code", [*CATALOGUE, *(one.code for one in BLOB_FINDINGS.values())])
def test_every_code_belongs_to_a_rule_that_names_it(code: str) -> None:
    assert code in codes_of(rule_of(code))
    assert codes_of(code) == {code}
    assert message_of(code).en != code


@pytest.mark.parametrize("check", Check)
def test_every_check_names_its_codes(check: Check) -> None:
    assert codes_of(check.value) == {code for code, kind in CATALOGUE.items() if kind.check is check}


def test_a_code_of_another_version_is_still_shown() -> None:
    assert (rule_of("of-old"), message_of("of-old").fr) == ("of-old", "of-old")


def test_a_misspelt_rule_is_answered_with_near_ones() -> None:
    with pytest.raises(UnknownRuleError, match="picture-too-slow"):
        codes_of("picture-to-slow")


def test_the_stamp_of_a_rule_set_changes_with_its_version_and_with_its_weights() -> None:
    stamps = [
        RuleSet(version="7").stamp,
        RuleSet(version="8").stamp,
        RuleSet({PLACE: Severity.ERROR}, version="7").stamp,
        RuleSet({PLACE: Severity.INFO}, version="7").stamp,
        RuleSet({NAME: Severity.ERROR}, version="7").stamp,
    ]

    assert stamps[:2] == ["7", "8"]
    assert len(set(stamps)) == len(stamps)
    assert RuleSet({NAME: Severity.INFO, PLACE: Severity.INFO}).stamp == (
        RuleSet({PLACE: Severity.INFO, NAME: Severity.INFO}).stamp
    )
