"""Decoders may die, crash or hang at any moment; every verdict is what it would have been."""

from nachet_pipeline.local.services import Services
from nachet_pipeline_tests.durability.decoders import Work, kill_decoders

KILLS = 12


def test_validation_import_crops_and_export_end_as_if_no_decoder_had_been_killed(services: Services) -> None:
    tally = kill_decoders(services, KILLS, seed=1)

    assert tally.broken == []
    assert tally.kills == dict.fromkeys(Work, KILLS // len(Work))
    assert sum(tally.signals.values()) == KILLS
