"""What uploaders write of seeds that nobody can name, and of several species in a picture."""

import json
from typing import Any
from uuid import UUID

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nachet_pipeline.contract.metadata import (
    PictureMetadata,
    ProjectIndex,
    SessionIndex,
    inherit,
    read_metadata,
)
from nachet_pipeline.contract.receipt import ReceivedPictureSet
from nachet_pipeline.contract.report import as_text
from nachet_pipeline.contract.report_page import Told, as_page
from nachet_pipeline.contract.rules.indexes import missing_seed
from nachet_pipeline.contract.rules.seed_registered import seed_findings
from nachet_pipeline.contract.sessions import shown_by, species_shown
from nachet_pipeline.contract.shown import Shown, from_text, shown_together, species_in_words
from nachet_pipeline.contract.shown import as_text as shown_as_text
from nachet_pipeline.contract.understood import UnderstoodSession, summary_of
from nachet_pipeline.identifiers import seed_id
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline_tests.contract.folders import Files, Outcome, Validate, english, picture, session

settings.register_profile("repeatable-seeds", derandomize=True, database=None, deadline=None, max_examples=200)
settings.load_profile("repeatable-seeds")

REGISTRY = SeedRegistry.of(packaged_seeds())
NAPUS, JUNCEA, SOLANUM = (seed_id(name) for name in ("Brassica napus", "Brassica juncea", "Solanum nigrum"))
IMAGES, TAKEN = "imageData: {numberOfImages: 2}\n", "userData: {zoom: 30}\n"
SEVERAL = (
    "- {seedName: Brassica napus, numberOfSeeds: 3}\n- {seedGenus: Brassica, seedSpecies: juncea, numberOfSeeds: 2}\n"
)


def shown(text: str) -> tuple[Shown, ...]:
    """What a text below `seedData` says, which nothing is wrong with."""
    file = read_metadata(f"seedData:{text}".encode(), "index.yaml", SessionIndex)
    values = inherit(file.values)
    assert [*file.findings, *seed_findings(values, REGISTRY)] == []
    return shown_by(values, REGISTRY)


def folder(seed_data: str, *, seeds: int | None = None, **pictures: str) -> Files:
    """A session folder of two pictures, some of them with a YAML file."""
    taken = TAKEN if seeds is None else f"userData: {{numberOfSeeds: {seeds}, zoom: 30}}\n"
    described = {f"{name}.yaml": text.encode() for name, text in pictures.items()}
    return session() | {"index.yaml": f"{IMAGES}seedData:{seed_data}\n{taken}".encode()} | described


def said(outcome: Outcome) -> set[tuple[str, str | None, int | None]]:
    """Code, field and line of each finding."""
    return {(one.code, one.field, one.line) for one in outcome.report.findings}


@pytest.mark.parametrize(
    "text",
    [
        " unknown",
        " UNKNOWN",
        " Inconnue",
        ' "inconnu"',
        "\n  seedName: unknown",
        "\n  seedName: Inconnu",
        "\n  seedID: 14\n  seedName: unknown",
        "\n  seedGenus: Avena\n  seedSpecies: unknown",
        "\n  seedName: unknown\n  guess: Avena sp.\n  guessRank: genre",
        "\n  - {seedName: unknown}",
        "\n  - {seedName: unknown, numberOfSeeds: 4, guess: Avena}",
    ],
)
def test_seeds_that_nobody_can_name_are_said_in_many_ways_which_all_mean_the_same(text: str) -> None:
    assert shown(text) == (Shown(None),)


def test_several_species_are_listed_each_with_its_number_in_any_order_and_spelling() -> None:
    expected = shown_together([Shown(NAPUS, 3), Shown(JUNCEA, 2), Shown(None, 1)])

    assert shown(f"\n{SEVERAL}- {{seedName: unknown, numberOfSeeds: 1}}") == expected
    assert (
        shown(
            "\n  - {seed_name: INCONNUE, number_of_seeds: 1}\n  - {seedSpecies: Brassica juncea, NumberOfSeeds: 2}"
            f"\n  - {{seedID: {NAPUS}, numberOfSeeds: 3}}"
        )
        == expected
    )
    assert (
        shown("\n  - {seedName: canola, numberOfSeeds: 3}") == shown("\n  seedName: Brassica napus") == (Shown(NAPUS),)
    )


def test_what_a_picture_shows_is_read_as_it_was_written() -> None:
    for shows in ((), (Shown(None),), (Shown(NAPUS),), shown_together([Shown(NAPUS, 3), Shown(None, 1)])):
        assert from_text(shown_as_text(shows)) == shows


def test_a_folder_of_unknown_seeds_is_importable_and_says_how_many_wait(validated: Validate) -> None:
    outcome = validated(folder("\n  seedName: unknown\n  guess: Avena sp.\n  guessRank: genus", seeds=6))

    assert outcome.report.importable
    assert said(outcome) == {("unnamed-seeds", "seedData", 3)}
    assert english(outcome.only("unnamed-seeds").found) == "2 pictures wait for a name"
    (only,) = outcome.validation.sessions
    (kind,) = only.shows
    assert (only.waiting, only.seed, kind.guess, kind.guess_rank) == (2, None, "Avena sp.", "genus")
    page = as_page(outcome.report, title="x", told=Told(understood=outcome.validation.understood))
    for text in ("unknown, perhaps Avena sp.", "inconnue, peut-être Avena sp.", "2 images attendent un nom"):
        assert text in page
    lines = "\n".join(as_text(outcome.report, "fr", understood=outcome.validation.understood))
    assert "2 images d'espèces inconnues" in lines


def test_several_species_are_stated_by_manifest_report_and_page_and_need_no_other_number(validated: Validate) -> None:
    outcome = validated(folder(f"\n{SEVERAL}"))

    assert outcome.report.findings == []
    head, first, _ = (json.loads(line) for line in outcome.manifests[""])
    assert [(one["species"], one["number"]) for one in head["shows"]] == [("Brassica napus", 3), ("Brassica juncea", 2)]
    assert first["shows"] == [{"seed": str(NAPUS), "number": 3}, {"seed": str(JUNCEA), "number": 2}]
    assert first["values"]["userData.numberOfSeeds"]["value"] == 5
    assert first["values"]["seedData.2.seedSpecies"] == {"value": "juncea", "source": "index.yaml", "line": 4}
    (understood,) = outcome.validation.understood
    assert (understood.species, understood.seeds_per_picture) == (None, 5)
    for language, summary in (("en", "of Brassica napus and Brassica juncea"), ("fr", "et de Brassica juncea")):
        text = "\n".join(as_text(outcome.report, language, understood=[understood]))  # type: ignore[arg-type]
        assert "Brassica napus (3), Brassica juncea (2)" in text
        assert summary in text


def test_the_nearest_file_says_all_that_a_picture_shows(validated: Validate) -> None:
    outcome = validated(
        folder(
            f"\n{SEVERAL}",
            **{"1": "seedData: {seedName: Solanum nigrum}", "2": "seedData: unknown\nuserData: {numberOfSeeds: 1}"},
        )
    )

    assert said(outcome) == {("unnamed-seeds", "seedData", None)}
    assert outcome.validation.sessions[0].waiting == 1
    one, two = (json.loads(line) for line in outcome.manifests[""][1:])
    assert one["shows"] == [{"seed": str(SOLANUM), "number": None}]
    assert two["shows"] == [{"seed": None, "number": None}]


def test_a_list_that_is_nearer_than_a_number_of_seeds_counts_and_one_that_is_farther_must_agree() -> None:
    project = read_metadata(b"userData: {numberOfSeeds: 9, zoom: 30}", "index.yaml", ProjectIndex).values
    listed = read_metadata(f"seedData:\n{SEVERAL}".encode(), "s/index.yaml", SessionIndex).values
    own = read_metadata(b"userData: {numberOfSeeds: 6}", "s/1.yaml", PictureMetadata).values

    assert inherit(project, listed)["userData.numberOfSeeds"].value == 5
    assert list(seed_findings(inherit(project, listed), REGISTRY)) == []
    (finding,) = seed_findings(inherit(project, listed, own), REGISTRY)
    assert (finding.code, finding.path, finding.line) == ("seed-numbers-differ", "s/1.yaml", 1)
    assert (english(finding.expected), english(finding.found)) == ("5 (3 + 2), as listed", "6")


@pytest.mark.parametrize(
    ("text", "code", "field", "line", "help_"),
    [
        (" unkown", "index-content", "seedData", 2, "unknown"),
        (' "?"', "index-content", "seedData", 2, "unknown"),
        (" Brassica napus", "index-content", "seedData", 2, "Write seedName:"),
        (" [Brassica napus, Brassica juncea]", "index-content", "seedData", 2, "- {seedName: …, numberOfSeeds: …}"),
        (" []", "index-content", "seedData", 2, None),
        (f" [{'a, ' * 10_000}a]", "index-content", "seedData", 2, None),
        (" [[[[[[[]]]]]]]", "index-content", "seedData", 2, "Write each species"),
        ("\n- {seedName: canola, numberOfSeeds: 1}\n- canola", "index-content", "seedData.2", 4, "Write each species"),
        ("\n- {seedName: canola, numberOfSeeds: 1}\n-", "index-content", "seedData.2", 4, "Write each species"),
        (
            "\n- {seedName: canola, numberOfSeeds: 1}\n- {seedName: Brassica juncea}",
            *("missing-key", "seedData.2.numberOfSeeds", 4, "Write each species"),
        ),
        (
            "\n- {seedName: canola, numberOfSeeds: 1}\n- {seedName: Brassica juncea, numberOfSeeds: five}",
            *("index-content", "seedData.2.numberOfSeeds", 4, "5"),
        ),
        (
            "\n- {seedName: canola, numberOfSeeds: 1}\n- {seedName: [a, b], numberOfSeeds: 5}",
            *("index-content", "seedData.2.seedName", 4, "give each species a session of its own"),
        ),
        (
            "\n- {seedName: canola, numberOfSeeds: 1}\n- {numberOfSeeds: 5}",
            *("missing-key", "seedData.2", 4, "write seedName: unknown"),
        ),
        (
            "\n- {seedName: canola, numberOfSeeds: 1}\n- {seedName: Brassica junceaa, numberOfSeeds: 5}",
            *("unregistered-seed", "seedData.2.seedName", 4, "Brassica juncea"),
        ),
        (
            "\n- {seedName: canola, numberOfSeeds: 1}\n- {seedName: canola, seedName: colza, numberOfSeeds: 5}",
            *("duplicate-key", "seedData.2.seedName", 4, None),
        ),
        (
            "\n- {seedName: canola, numberOfSeeds: 1}\n- {seedName: colza, numberOfSeeds: 5}",
            *("species-twice", "seedData.2.seedName", 4, None),
        ),
        ("\n  seedName: canola\n  guess: Brassica", "guess-beside-species", "seedData.guess", 4, None),
        ("\n  seedName: unknown\n  guessRank: genus", "missing-key", "seedData.guess", 4, None),
        (
            "\n  seedName: unknown\n  guess: Avena\n  guessRank: genuss",
            "index-content",
            "seedData.guessRank",
            5,
            "genus",
        ),
        ("\n  seedName: unknown\n  guess: Avena\n  guessRank: 7", "index-content", "seedData.guessRank", 5, None),
        ("\n  seedName: unknown\n  seedSpecies: Brassica napus", "contradictory-seed", "seedData.seedSpecies", 4, None),
        ("\n  guess: Avena", "missing-key", "seedData", None, "write seedName: unknown"),
        ("\n  seedName: unkown", "unregistered-seed", "seedData.seedName", 3, "unknown"),
        ("\n  seedName: Avena", "unregistered-seed", "seedData.seedName", 3, None),
        ("\n  seedName: Brassica sp.", "unregistered-seed", "seedData.seedName", 3, "write in its place seedName:"),
        ("\n  seedName: canola or Brassica juncea", "unregistered-seed", "seedData.seedName", 3, "If nobody can say"),
        ("\n  seedName: canola + Brassica juncea", "unregistered-seed", "seedData.seedName", 3, "as a list"),
        ("\n- &a {seedName: canola, numberOfSeeds: 1}\n- *a", "forbidden-yaml", "seedData", 4, None),
    ],
    ids=lambda value: value.strip()[:40] if isinstance(value, str) else "",
)
def test_what_is_wrong_is_told_with_its_line_and_what_to_do(
    text: str, code: str, field: str, line: int | None, help_: str | None, validated: Validate
) -> None:
    outcome = validated(folder(text, seeds=6 if code != "index-content" else None))

    assert not outcome.report.importable
    assert (code, field, line) in said(outcome)
    finding = next(one for one in outcome.report.findings if (one.code, one.field) == (code, field))
    helped = [english(finding.suggestion) or "", english(finding.advice) or ""]
    assert any(help_ in one for one in helped) if help_ else "" in helped
    for phrase in (finding.expected, finding.found, finding.suggestion, finding.advice):
        assert phrase is None or (phrase.en.strip() and phrase.fr.strip())


def test_a_number_of_seeds_that_is_missing_is_told_once_where_species_are_listed(validated: Validate) -> None:
    assert said(validated(folder(" [Brassica napus, Brassica juncea]"))) == {("index-content", "seedData", 2)}


@pytest.mark.parametrize("entry", ["Brassica juncea", "{seedName: Brassica juncea, numberOfSeeds: none}", "{}", ""])
def test_a_list_that_is_read_in_part_is_neither_summed_nor_taken_for_the_whole(entry: str, validated: Validate) -> None:
    outcome = validated(folder(f"\n- {{seedName: canola, numberOfSeeds: 3}}\n- {entry}", seeds=5))

    assert "seed-numbers-differ" not in outcome.codes
    (understood,) = outcome.validation.understood
    assert (understood.kinds, understood.seeds_per_picture) == ((), 5)


def test_a_list_of_one_species_without_a_number_needs_the_number_of_seeds(validated: Validate) -> None:
    assert said(validated(folder("\n- {seedName: canola}"))) == {("missing-key", "userData.numberOfSeeds", None)}
    wrong = said(validated(folder("\n- {seedName: canola, numberOfSeeds: 0}")))
    assert wrong == {("index-content", "seedData.numberOfSeeds", 3)}


def test_a_misspelt_key_in_a_list_is_suggested_as_the_list_holds_it(validated: Validate) -> None:
    outcome = validated(folder("\n- {seedName: canola, numberOfSeed: 3}\n- {seedName: unknown, numberOfSeeds: 1}"))

    assert english(outcome.only("unknown-key").suggestion) == "numberOfSeeds"


def test_an_unknown_photograph_is_in_conflict_with_no_species_and_two_sets_of_species_are(validated: Validate) -> None:
    def copies(*said: str) -> list[str | None]:
        files = {"index.yaml": b"clientData: {clientEmail: ada@example.org}"}
        for name, seeds in zip("abc", said, strict=False):
            index = f"imageData: {{numberOfImages: 1}}\nseedData:{seeds}\nuserData: {{numberOfSeeds: 5, zoom: 30}}"
            files |= {f"pictures/{name}/index.yaml": index.encode(), f"pictures/{name}/1.tiff": picture(1)}
        found = validated(files).report.findings
        return [english(one.found) for one in found if one.code == "label-conflict"]

    with_unknown = f"\n{SEVERAL.replace('2}', '1}')}- {{seedName: unknown, numberOfSeeds: 1}}"
    assert copies(" unknown", " {seedName: canola}") == []
    assert copies(f"\n{SEVERAL}", with_unknown) == []
    assert copies(" {seedName: canola}", f"\n{SEVERAL}") == [
        "Brassica juncea and Brassica napus here; pictures/a/1.tiff, the same file, is Brassica napus"
    ]


SEED = st.sampled_from(["Brassica napus", "canola", "unknown", "Inconnue", "Avena", "Brassica sp.", "?", "", "unkown"])
SCALAR = SEED | st.text(max_size=8) | st.integers(-1, 60) | st.none() | st.booleans() | st.floats(allow_nan=False)
KEYS = st.sampled_from(
    ["seedName", "seedID", "seedGenus", "seedSpecies", "seedFamily", "guess", "guessRank", "numberOfSeeds", "zoom", ""]
)
ENTRY = st.dictionaries(KEYS, SCALAR | st.lists(SCALAR, max_size=2), max_size=5)
WRITTEN = SCALAR | ENTRY | st.lists(ENTRY | SCALAR | st.lists(SCALAR, max_size=2), max_size=4)


@given(WRITTEN, st.none() | st.integers(1, 60))
def test_whatever_is_written_of_seeds_is_understood_or_told(written: Any, number: int | None) -> None:
    content = yaml.safe_dump({"seedData": written, **({"userData": {"numberOfSeeds": number}} if number else {})})
    file = read_metadata(content.encode("utf-8", "surrogatepass"), "index.yaml", SessionIndex)
    values = inherit(file.values)
    found = [*file.findings, *seed_findings(values, REGISTRY), *missing_seed(values, "index.yaml")]

    shows = shown_by(values, REGISTRY)

    assert bool(shows) or any(one.severity == "error" for one in found)
    assert from_text(shown_as_text(shows)) == shows
    assert len(species_shown(values, REGISTRY)) == len(shows)


KINDS = st.dictionaries(
    st.sampled_from(["Brassica napus", "Brassica juncea", "Solanum nigrum", None]), st.integers(1, 9), min_size=1
)
SPELLINGS = st.sampled_from(["seedName", "seed_name", "parts", "seedID"])


@given(KINDS, st.randoms(use_true_random=False), st.lists(SPELLINGS, min_size=4, max_size=4))
def test_the_same_seeds_in_another_spelling_and_order_are_shown_the_same(
    kinds: dict[str | None, int], random: Any, spellings: list[str]
) -> None:
    def entry(name: str | None, number: int, spelling: str) -> dict[str, Any]:
        if name is None:
            return {
                random.choice(["seedName", "seedSpecies"]): random.choice(["unknown", "INCONNUE"]),
                "numberOfSeeds": number,
            }
        genus, species = name.split()
        named: dict[str, dict[str, Any]] = {
            "parts": {"seedGenus": genus.upper(), "seed-species": species.title()},
            "seedID": {"seedID": str(seed_id(name))},
        }
        return {**named.get(spelling, {spelling: name.lower()}), "Number of seeds": number}

    listed = [entry(*kind, spelling) for kind, spelling in zip(kinds.items(), spellings, strict=False)]
    random.shuffle(listed)
    expected = shown_together(Shown(name and seed_id(name), number) for name, number in kinds.items())

    assert shown(f" {json.dumps(listed)}") == expected


def test_what_earlier_receipts_say_is_still_shown() -> None:
    earlier = UnderstoodSession.model_validate({"session": "", "species": "Brassica napus", "pictures": 2})
    received = {
        "id": str(UUID(int=1)),
        "session": "",
        "seed": "Brassica napus",
        "pictures": 2,
        "size": 1,
        "manifest": "m",
    }

    assert species_in_words(earlier.kinds).en == "Brassica napus"
    assert summary_of([earlier]).en == "1 session, 2 pictures of Brassica napus"
    assert species_in_words(ReceivedPictureSet.model_validate(received).kinds).fr == "Brassica napus"
