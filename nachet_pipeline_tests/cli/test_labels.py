"""`nachet labels`: the list of photographs under several species, and deciding, as an operator types it."""

import json
from typing import Any
from uuid import uuid4

import pytest

from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.folders.kept import folder_id
from nachet_pipeline_tests.labelled import JUNCEA, NAPUS, import_as, photograph, picture_of
from nachet_pipeline_tests.workbench import Workbench

SAID = ("--by", "ann@example.org", "--why", "looked at it")


@pytest.fixture
def other(workbench: Workbench) -> Workbench:
    return workbench.another_user(f"{uuid4().hex}@example.org")


@pytest.fixture
def nachet(nachet: Nachet, workbench: Workbench, other: Workbench) -> Nachet:
    """Runs `nachet labels` where two users stored one photograph under two species, and one that looks like another."""
    import_as(workbench, "spring", "east", NAPUS, {"1.png": photograph(1), "2.png": photograph(2)})
    import_as(other, "summer", "west", JUNCEA, {"1.png": photograph(1), "2.jpeg": photograph(2, "JPEG")})
    return nachet


def test_an_operator_lists_what_is_in_conflict_and_decides(
    workbench: Workbench, other: Workbench, nachet: Nachet
) -> None:
    code, listed, noted = nachet("labels", "conflicts")
    assert (code, noted) == (0, "1 photographs in conflict\n")
    title, *lines = listed.splitlines()
    assert title == "the same photograph"
    assert {line.strip() for line in lines} == {
        f"{picture_of(workbench, 'east')}  {NAPUS}  {workbench.user.email}  spring/pictures/east/1.png",
        f"{picture_of(workbench, 'west')}  {JUNCEA}  {other.user.email}  summer/pictures/west/1.png",
    }
    picture = str(picture_of(workbench, "west"))

    code, said, _ = nachet("labels", "decide", picture, "--species", "brassica napus", *SAID)

    assert code == 0
    assert said.splitlines()[0] == NAPUS
    assert {line.split()[0] for line in said.splitlines()[1:]} == {picture, str(picture_of(workbench, "east"))}
    assert nachet("labels", "conflicts") == (0, "", "no photograph is in conflict\n")
    assert nachet("labels", "decide", picture, "--species", NAPUS, *SAID)[1].startswith(f"{NAPUS}, as before\n")
    code, said, _ = nachet("labels", "undecide", picture, *SAID)
    assert (code, said.splitlines()[0]) == (0, f"as its uploaders say (before: {NAPUS})")
    assert nachet("labels", "conflicts")[2] == "1 photographs in conflict\n"
    trail = nachet("audit", "--subject", "label of a photograph")[1]
    assert "ann@example.org" in trail
    assert "taken back" in trail


def test_what_people_judged_counts_again_when_a_decision_is_taken_back(workbench: Workbench, nachet: Nachet) -> None:
    picture = str(picture_of(workbench, "east"))
    nachet("judge", "experts", "add", "bo@example.org", *SAID)
    nachet("judge", picture, "taxon", "--taxon", JUNCEA, "--by", "bo@example.org")
    nachet("labels", "decide", picture, "--species", NAPUS, *SAID)
    said = nachet("labels", "undecide", picture, *SAID)[1]
    assert said.splitlines()[0] == f"as people judged (before: {NAPUS})"


def test_programs_read_a_line_for_each_photograph_and_each_doubt(workbench: Workbench, nachet: Nachet) -> None:
    code, listed, _ = nachet("labels", "conflicts", "--near", "--json")

    assert code == 0
    conflict, doubt = map(json.loads, listed.splitlines())
    assert (conflict["relation"], doubt["relation"], doubt["distance"] <= 12) == ("same", "near", True)
    assert {tuple(one["species"]) for one in conflict["pictures"]} == {(NAPUS,), (JUNCEA,)}
    assert {one["name"] for one in doubt["pictures"]} == {"2.png", "2.jpeg"}
    shown = nachet("labels", "conflicts", "--near")[1]
    assert f"look alike ({doubt['distance']} bits)" in shown
    done: dict[str, Any] = json.loads(
        nachet("labels", "decide", conflict["pictures"][0]["picture"], "--species", JUNCEA, "--json", *SAID)[1]
    )
    assert (done["species"], done["before"], done["new"], len(done["pictures"])) == (JUNCEA, None, True, 2)


def test_duplicates_name_the_species_of_both(nachet: Nachet) -> None:
    code, listed, _ = nachet("duplicates")

    assert code == 0
    (line,) = listed.splitlines()
    assert NAPUS in line
    assert JUNCEA in line


def test_an_operator_names_what_waits_and_takes_it_back(workbench: Workbench, nachet: Nachet) -> None:
    guessed = {"seedName": "unknown", "guess": "Avena sp.", "guessRank": "genus"}
    import_as(workbench, "autumn", "north", guessed, {"5.png": photograph(5), "6.png": photograph(6)})
    picture_set = str(folder_id(workbench, "north"))

    code, listed, noted = nachet("labels", "waiting")

    assert (code, noted) == (0, "2 pictures wait for a name\n")
    assert listed.startswith(f"{picture_set}  2 pictures  since 20")
    assert listed.endswith(f"  {workbench.user.email}  autumn/pictures/north  perhaps Avena sp. (genus)\n")
    record = json.loads(nachet("labels", "waiting", "--json")[1])
    assert (record["guess"], record["rank"], record["pictures"]) == ("Avena sp.", "genus", 2)
    named = ("labels", "name", picture_set, "--species", NAPUS, *SAID)
    assert nachet(*named) == (0, f"{NAPUS}: 2 pictures named\n", "")
    assert nachet(*named) == (0, f"{NAPUS}, as before\n", "")
    code, _, noted = nachet("labels", "name", picture_set, "--species", JUNCEA, *SAID)
    assert code == 1
    assert "2 were named Brassica napus before" in noted
    assert nachet("labels", "waiting")[2] == "no picture waits for a name\n"
    assert nachet("labels", "unname", picture_set, *SAID)[1] == "2 pictures wait for a name again\n"
    assert "named" in nachet("audit", "--subject", picture_set)[1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("decide", "{picture}", "--species", "Brassica nappus", *SAID), 1, "did you mean Brassica napus?"),
        (("decide", "{nobody}", "--species", NAPUS, *SAID), 1, "there is no picture"),
        (("undecide", "{picture}", *SAID), 1, "nothing was decided of the picture"),
        (("name", "{nobody}", "--species", NAPUS, *SAID), 1, "there is no picture set"),
        (("decide", "{picture}", "--species", NAPUS, "--by", "ann", "--why", " "), 2, "expected some text"),
        (("decide", "{picture}", "--species", NAPUS, "--by", "ann"), 2, "--why"),
    ],
)
def test_what_cannot_be_done_is_said_in_words_with_its_exit_code(
    workbench: Workbench, nachet: Nachet, arguments: tuple[str, ...], code: int, said: str
) -> None:
    places = {"picture": picture_of(workbench, "east"), "nobody": uuid4()}
    found, _, noted = nachet("labels", *(one.format(**places) for one in arguments))
    assert found == code
    assert said in " ".join(noted.replace("│", " ").split())
    assert workbench.query("select * from label_decision") == []
