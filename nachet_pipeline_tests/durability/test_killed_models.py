"""What records predictions, judgements and evaluations may be killed at any moment; nothing is lost or half done."""

from nachet_pipeline.local.services import Services
from nachet_pipeline_tests.durability.killed_commands import killed

KILLS = 6


def test_what_models_and_people_say_is_recorded_as_if_nobody_was_killed(services: Services) -> None:
    tally, code = killed(services, KILLS, "--models")
    assert (tally["broken"], code) == ([], 0)
    assert sum(tally["kills"].values()) == KILLS
