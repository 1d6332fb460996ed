"""A page on which people judge, by the client."""

import asyncio
import json
from uuid import uuid4

import pytest

from nachet_pipeline.client import AsyncClient, Client, RefusedError, UsageError
from nachet_pipeline_tests.labelled import JUNCEA, NAPUS, import_as, photograph, picture_of
from nachet_pipeline_tests.models.judgements.judging import ANN, BO, NOON, content_of, experts, model, predict
from nachet_pipeline_tests.models.judgements.test_outcomes import by_judgement
from nachet_pipeline_tests.workbench import Workbench


def test_a_program_records_lists_and_takes_back_what_people_say(workbench: Workbench) -> None:
    import_as(workbench, "spring", "east", NAPUS, {"1.png": photograph(1)})
    experts(workbench, ANN)
    picture = picture_of(workbench, "east")
    client = Client(workbench.settings, workbench.blobs, database=workbench.database, by="a page")
    said = {"person": ANN, "picture": picture, "taxon": JUNCEA, "at": NOON}
    assert (client.judgements.judge("taxon", **said).new, client.judgements.judge("taxon", **said).known) == (1, 1)
    assert by_judgement(workbench) == {picture: JUNCEA}
    file = workbench.place / "judged.jsonl"
    file.write_text(json.dumps({"picture": str(picture), "verdict": "unsure"}))
    assert client.judgements.import_file(file, person=BO, at=NOON).new == 1
    first = client.judgements.list(picture, limit=1)
    assert [one.taxon for one in first.items] == [JUNCEA]
    (second,) = client.judgements.list(picture, after=first.after).items
    assert (second.judgement.person, second.source) == (BO, "judged.jsonl")

    async def page() -> int:
        done = await AsyncClient(client).judgements.withdraw(
            first.items[0].judgement.id, person=ANN, why="it was napus"
        )
        return done.new

    assert asyncio.run(page()) == 1
    assert by_judgement(workbench) == {}
    with pytest.raises(RefusedError, match="expected a registered taxon"):
        client.judgements.judge("taxon", **{**said, "taxon": "nothing"})
    with pytest.raises(RefusedError, match="there is no picture"):
        client.judgements.list(uuid4())
    with pytest.raises(UsageError, match="left < right"):
        client.judgements.judge("box", person=ANN, picture=picture, corrected_box=(0.5, 0, 0.1, 1))
    with pytest.raises(RefusedError, match="sure: expected a number from 0 to 1, found 5"):
        client.judgements.judge("unsure", person=ANN, picture=picture, sure=5)
    prediction = predict(workbench, model(workbench), content_of(workbench, picture), (None, [0, 1]))
    with pytest.raises(RefusedError, match="object: expected 1 … 1, found 0"):
        client.judgements.judge("right", person=ANN, prediction=prediction, object=0)
    with pytest.raises(UsageError, match="time zone"):
        client.judgements.import_file(file, person=BO, at=NOON.replace(tzinfo=None))
    with pytest.raises(UsageError, match="cannot be read"):
        client.judgements.import_file(workbench.place / "none.jsonl", person=BO, at=NOON)
