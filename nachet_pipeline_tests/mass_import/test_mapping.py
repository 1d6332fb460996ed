"""Mapping files: what they give to folders, and how their mistakes are told."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachet_pipeline.mass_import.errors import MappingError
from nachet_pipeline.mass_import.mapping import FolderMapping
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline_tests.mass_import.containers import Filled, picture
from nachet_pipeline_tests.workbench import Workbench

REGISTRY = SeedRegistry.of(packaged_seeds())
FIELDS = ("species", "zoom", "seeds", "split", "description")


def told(mapping: FolderMapping, folder: str) -> tuple[str | None, ...]:
    """What a mapping says of a folder, in the order of `FIELDS`, without what is not known at the end."""
    description = mapping.describe(folder, REGISTRY)
    assert description.findings == ()
    texts = [description.text(name) for name in FIELDS]
    while texts and texts[-1] is None:
        texts.pop()
    return tuple(texts)


def problem(text: str, source: str = "map.csv") -> str:
    with pytest.raises(MappingError) as caught:
        FolderMapping.of(text, source)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_csv_file_describes_folders_line_by_line() -> None:
    mapping = FolderMapping.of(
        "folder,species,zoom,seeds,split,description\n"
        "2021/day1,Brassica napus,30,2,,\n"
        '2021/day2,brassica JUNCEA,3.5,6,test,"wet, after rain"\n',
        "map.csv",
    )

    assert told(mapping, "2021/day1") == ("Brassica napus", "30", "2")
    assert told(mapping, "2021/day2") == ("brassica JUNCEA", "3.5", "6", "test", "wet, after rain")


def test_a_french_spreadsheet_is_read_too() -> None:
    mapping = FolderMapping.of("\ufefffolder;species;zoom;seeds\r\nd1;Brassica napus;3,5;2\r\n", "map.csv")

    assert told(mapping, "d1") == ("Brassica napus", "3.5", "2")


def test_a_yaml_file_describes_folders_by_pattern_and_by_expression() -> None:
    mapping = FolderMapping.of(
        "folders:\n"
        "  - pattern: '*/{species}/x{zoom}/**'\n"
        "    seeds: 2\n"
        "  - regex: '(?P<species>[A-Z]\\w+)-(?P<seeds>\\d+)'\n"
        "    zoom: 40x\n",
        "map.yaml",
    )

    assert told(mapping, "2021/Brassica_napus/x30") == ("Brassica napus", "30", "2")
    assert told(mapping, "2021/Brassica napus/x30/deep/er") == ("Brassica napus", "30", "2")
    assert told(mapping, "Solanum_nigrum-6") == ("Solanum nigrum", "40", "6")


@pytest.mark.parametrize(
    ("pattern", "folder", "matches"),
    [
        ("day1", "day1", True),
        ("day1", "day1/more", False),
        ("day*", "day1", True),
        ("day*", "day1/more", False),
        ("day?", "day12", False),
        ("**", "a/b/c", True),
        ("**", "", True),
        ("a/**", "a", True),
        ("a/**", "a/b/c", True),
        ("a/**", "ab", False),
        ("**/c", "a/b/c", True),
        ("**/c", "c", True),
        ("a.b", "axb", False),
        ("/a/b/", "a/b", True),
        ("a (1)", "a (1)", True),
    ],
)
def test_a_pattern_matches_a_whole_path_folder_by_folder(pattern: str, folder: str, matches: bool) -> None:
    rows = f"pattern,species,zoom,seeds\n{pattern},Brassica napus,30,2\n"

    description = FolderMapping.of(rows, "map.csv").describe(folder, REGISTRY)

    assert (description.findings == ()) is matches


def test_the_first_rule_that_matches_counts_and_options_fill_what_it_leaves_open() -> None:
    mapping = FolderMapping.of(
        "folder,species,zoom\nday1,Brassica napus,\n**,Solanum nigrum,50\n",
        "map.csv",
        {"species": "Brassica juncea", "zoom": "30", "seeds": "2"},
    )

    assert told(mapping, "day1") == ("Brassica napus", "30", "2")
    assert told(mapping, "day2") == ("Solanum nigrum", "50", "2")


def test_a_rule_counts_more_than_the_early_layout_and_that_more_than_options() -> None:
    folder = "batch/6-seed/train/3 Brassica napus"
    options = {"species": "Solanum nigrum", "zoom": "30", "seeds": "1"}

    assert told(FolderMapping.of(None, options=options), folder) == ("Brassica napus", "30", "6", "train")
    mapping = FolderMapping.of("folder,species\nbatch/**,Brassica juncea\n", "map.csv", options)
    assert told(mapping, folder) == ("Brassica juncea", "30", "6", "train")


def test_synonyms_find_their_species() -> None:
    seed = next(seed for seed in packaged_seeds() if seed.synonyms)
    mapping = FolderMapping.of(None, options={"species": seed.synonyms[0], "zoom": "1", "seeds": "1"})

    assert mapping.describe("d", REGISTRY).findings == ()


def test_every_value_says_where_it_comes_from() -> None:
    mapping = FolderMapping.of("folder,zoom\n\nd1,30\n", "map.csv", {"species": "Brassica napus", "seeds": "2"})

    values = mapping.describe("d1", REGISTRY).values

    assert (values["userData.zoom"].source, values["userData.zoom"].line) == ("map.csv", 3)
    assert (values["seedData.seedName"].source, values["seedData.seedName"].line) == ("option species", None)


def test_a_value_from_a_path_that_cannot_be_is_a_finding_of_the_folder() -> None:
    mapping = FolderMapping.of("pattern,species,seeds\nx{zoom},Brassica napus,2\n", "map.csv")

    (finding,) = mapping.describe("xtra", REGISTRY).findings

    assert (finding.code, finding.path, finding.field) == ("mapping-content", "xtra/", "zoom")
    assert finding.found is not None
    assert "tra" in finding.found.en


@pytest.mark.parametrize(
    ("source", "text", "says"),
    [
        ("map.csv", "folder,zom\nd1,30\n", ["map.csv:1", "species", "'zom'", "did you mean zoom"]),
        ("map.csv", "folder,zoom\nd1,far\n", ["map.csv:2", "zoom", "number above 0", "'far'"]),
        ("map.csv", "folder,seeds\nd1,2\nd2,0\n", ["map.csv:3", "seeds", "whole number", "'0'"]),
        ("map.csv", "folder,zoom\nd1,30,2\n", ["map.csv:2", "2 cells", "3"]),
        ("map.csv", "folder,zoom,Zoom\nd1,30,2\n", ["map.csv:1", "zoom", "twice"]),
        ("map.csv", "species,zoom\nBrassica napus,30\n", ["map.csv:2", "a pattern or a regex", "neither"]),
        ("map.csv", "folder,regex\na,b\n", ["map.csv:2", "both"]),
        ("map.csv", "folder,zoom\n", ["map.csv", "at least one rule"]),
        ("map.csv", "", ["map.csv", "at least one rule"]),
        ("map.csv", 'folder,zoom\n"d1,30\n', ["map.csv:2", "expected CSV"]),
        ("map.csv", "folder,zoom\nx{zoom},30\n", ["map.csv:2", "zoom once"]),
        ("map.csv", "folder\nx{zom}\n", ["map.csv:2", "named species", "'zom'"]),
        ("map.csv", "folder\n{zoom}/{zoom}\n", ["map.csv:2", "{zoom} once"]),
        ("map.csv", "folder\n{zoom\n", ["map.csv:2", "both braces"]),
        ("map.csv", "regex\n(a\n", ["map.csv:2", "regular expression"]),
        ("map.csv", "regex\n(?P<name>a)\n", ["map.csv:2", "named species", "'name'"]),
        ("map.yaml", "folders: 3\n", ["map.yaml:1", "folders"]),
        ("map.yaml", "folder:\n  - zoom: 3\n", ["map.yaml:1", "folders", "found folder"]),
        ("map.yaml", "folders:\n  - a\n", ["map.yaml:2", "keys and values"]),
        ("map.yaml", "folders:\n  - pattern: a\n    zoom: far\n", ["map.yaml:2", "zoom"]),
        ("map.yaml", "folders:\n  - pattern: a\n    zoom: [1]\n", ["map.yaml:3", "one value"]),
        ("map.yaml", "folders:\n  - pattern: a\n    glob: b\n", ["map.yaml:3", "pattern once"]),
        ("map.yaml", "folders: [\n", ["map.yaml:"]),
        ("map.xlsx", "folder\n", ["map.xlsx", ".csv or .yaml", ".xlsx"]),
    ],
)
def test_a_mistake_is_one_line_with_its_place_and_what_is_expected(source: str, text: str, says: list[str]) -> None:
    message = problem(text, source)

    for part in says:
        assert part in message


def test_an_option_that_cannot_be_is_told_before_anything_is_looked_at() -> None:
    with pytest.raises(MappingError, match="option zoom: expected a number above 0"):
        FolderMapping.of(None, options={"zoom": "-3"})


@given(st.text(max_size=60), st.sampled_from(["map.csv", "map.yaml"]))
def test_no_text_breaks_the_reader(text: str, source: str) -> None:
    message, rules = "", 0
    try:
        rules = len(FolderMapping.of(text, source).rules)
    except MappingError as error:
        message = str(error)

    assert message.startswith(source) != bool(rules)


@given(st.text(alphabet="ab/*?{}.+(", max_size=12), st.text(alphabet="ab/.+(", max_size=12))
def test_a_pattern_without_signs_matches_nothing_but_itself(pattern: str, folder: str) -> None:
    try:
        mapping = FolderMapping.of(f'folders:\n  - pattern: "{pattern}"\n', "map.yaml")
    except MappingError:
        return
    if not re.search(r"[*?{}]", pattern):
        expected = folder == pattern.strip("/")
        assert bool(mapping.rules[0].expression.fullmatch(folder)) is expected


def test_folders_of_a_container_are_imported_by_a_csv_mapping(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"rape day 1/1.png": picture(1), "shade/1.png": picture(2), "else/1.png": picture(3)})
    mapping = "folder,species,zoom,seeds,description\nrape*,Brassica napus,30,2,dry\nshade,Solanum nigrum,40,1,\n"

    outcome = filled.run(mapping, source="map.csv", options={})

    rows = filled.pictures()
    assert [(row["blob"], row["seed"], row["nb_object"]) for row in rows] == [
        ("rape day 1/1.png", "Brassica napus", 2),
        ("shade/1.png", "Solanum nigrum", 1),
    ]
    assert rows[0]["picture"]["user_data"] == {"description": "dry", "number_of_seeds": 2, "zoom": 30.0}
    assert rows[0]["picture"]["metadata"]["sources"]["userData.zoom"] == "map.csv:2"
    assert {group.places[0].path for group in outcome.report.groups} == {"else/"}


def test_a_mapping_may_say_that_nobody_knows_the_species(workbench: Workbench) -> None:
    filled = Filled.of(
        workbench, {"box 7/1.png": picture(1), "box 7/2.png": picture(2), "inconnue/x30/1.png": picture(3)}
    )
    mapping = "folder,species,zoom,seeds\nbox*,Unknown,30,2\n{species}/x{zoom},,,1\n"

    outcome = filled.run(mapping, source="map.csv", options={})

    assert [(one.folder, one.species, one.taken) for one in outcome.folders] == [
        ("box 7", "unknown", 2),
        ("inconnue/x30", "unknown", 1),
    ]
    assert {row["seed_id"] for row in workbench.query("select seed_id from picture_seed")} == {None}
    told_of = {(group.code, group.places[0].path, group.found and group.found.en) for group in outcome.report.groups}
    assert told_of == {
        ("unnamed-seeds", "box 7/", "2 pictures wait for a name"),
        ("unnamed-seeds", "inconnue/x30/", "1 picture waits for a name"),
    }
    assert filled.run(mapping, source="map.csv", options={}).rows.pictures == 0


def test_folders_of_a_container_are_imported_by_a_yaml_mapping(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"2021/Brassica_napus/x30/1.png": picture(1)})
    mapping = 'folders:\n  - pattern: "*/{species}/x{zoom}"\n    seeds: 3\n    split: test\n'

    filled.run(mapping, options={})

    (row,) = filled.pictures()
    assert (row["seed"], row["nb_object"], row["picture"]["user_data"]["zoom"]) == ("Brassica napus", 3, 30.0)
    assert row["record"]["audit_trail"]["split"] == "test"
