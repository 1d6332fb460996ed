"""`nachet judge`, as people type it."""

import json
from uuid import UUID, uuid4

from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.labelled import ARVENSE, JUNCEA, NAPUS, import_as, photograph, picture_of
from nachet_pipeline_tests.models.judgements.judging import ANN, CY, content_of, model, outcomes, pixels, predict
from nachet_pipeline_tests.models.judgements.test_outcomes import by_judgement, verified
from nachet_pipeline_tests.workbench import Workbench

WHY = ("--why", "a test")


def lines(printed: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in printed.splitlines()]


def test_people_judge_pictures_and_predictions_and_experts_decide(workbench: Workbench, nachet: Nachet) -> None:
    import_as(workbench, "spring", "east", NAPUS, {"1.png": photograph(1), "2.png": photograph(2)})
    first, second = str(picture_of(workbench, "east")), str(picture_of(workbench, "east", "2.png"))
    objects = [(pixels(0, 0, 30, 48), [1]), (pixels(34, 0, 64, 48), [2])]
    prediction = predict(workbench, model(workbench), content_of(workbench, UUID(second)), *objects)

    code, said, _ = nachet("judge", first, "taxon", "--taxon", "juncea", "--by", ANN)
    assert (code, said) == (1, "")
    code, said, _ = nachet("judge", first, "taxon", "--taxon", JUNCEA, "--by", ANN, "--sure", "0.8", "--note", "hairy")
    assert (code, said.splitlines()[0]) == (0, "1 judgements recorded")
    assert nachet("judge", f"{prediction}:2", "right", "--by", ANN)[0] == 0
    code, _, noted = nachet("judge", str(prediction), "right", "--by", ANN)
    assert (code, "object: expected 1 … 2, found none" in noted) == (1, True)
    code, said, _ = nachet("judge", str(uuid4()), "unusable", "--by", ANN, "--json")
    assert (code, json.loads(said)["unknown"]) == (0, 1)
    assert (verified(workbench), by_judgement(workbench)) == (set(), {})

    assert nachet("judge", "experts", "add", ANN, "--by", CY, *WHY)[0] == 0
    assert by_judgement(workbench) == {UUID(first): JUNCEA}
    assert ("taxon", ARVENSE) in outcomes(workbench).values()
    assert lines(nachet("judge", "experts", "list", "--json")[1])[0]["email"] == ANN

    # Somebody's decision stands above judgements, and leaves them as they are when it is taken back.
    decision = ("--by", CY, *WHY)
    assert nachet("labels", "decide", first, "--species", ARVENSE, *decision)[0] == 0
    assert (verified(workbench), by_judgement(workbench)) == (set(), {})
    assert nachet("labels", "undecide", first, *decision)[0] == 0
    assert (verified(workbench), by_judgement(workbench)) == ({UUID(first)}, {UUID(first): JUNCEA})

    (judged,) = lines(nachet("judge", "list", "--of", first, "--json")[1])
    assert {name: judged[name] for name in ("person", "verdict", "taxon", "note")} == {
        "person": ANN,
        "verdict": "taxon",
        "taxon": JUNCEA,
        "note": "hairy",
    }
    code, said, _ = nachet("judge", "list", "--of", first)
    identifier = said.split()[0]
    assert "taxon Brassica juncea (80% sure)  hairy" in said
    assert nachet("judge", "withdraw", identifier, "--by", ANN, *WHY)[0] == 0
    assert by_judgement(workbench) == {}
    assert nachet("judge", "experts", "remove", ANN, "--by", CY, *WHY)[0] == 0
    assert set(outcomes(workbench).values()) == {("open", None)}
    assert nachet("judge", "apply", "--by", CY)[1].startswith("0 outcomes changed")
    assert nachet("judge", "experts", "remove", ANN, "--by", CY, *WHY)[0] == 1
