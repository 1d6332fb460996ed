import unicodedata
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nachet_pipeline.identifiers import seed_id
from nachet_pipeline.registry.problems import RegistryError, check_seeds
from nachet_pipeline.registry.seeds import Seed, SeedRegistry, VernacularNames
from nachet_pipeline.registry.species_file import packaged_seeds, read_seeds
from nachet_pipeline_tests.registries import changed, merged, renamed, seed

PACKAGED = SeedRegistry.of(packaged_seeds())


@pytest.fixture(scope="module")
def registry() -> SeedRegistry:
    return PACKAGED


@pytest.mark.parametrize("one", packaged_seeds(), ids=lambda one: one.scientific_name)
def test_every_packaged_seed_is_found_by_its_names_and_its_id(one: Seed, registry: SeedRegistry) -> None:
    assert one.scientific_name == f"{one.genus} {one.specific_epithet}"
    assert one.id == seed_id(one.scientific_name)
    assert registry.with_id(str(one.id)) == one
    for name in (one.scientific_name, one.scientific_name.upper(), f"  {one.genus}\t {one.specific_epithet} "):
        assert registry.named(name) == one
        assert registry.nearest(name) == one.scientific_name
        assert registry.usage(name) == "accepted"


@pytest.mark.parametrize("one", packaged_seeds(), ids=lambda one: one.scientific_name)
def test_every_packaged_seed_is_described_in_both_languages_and_has_its_gbif_key(one: Seed) -> None:
    assert one.scientific_name_authorship
    assert one.vernacular_names.en
    assert one.vernacular_names.fr
    assert one.gbif_id
    assert one.full_name == f"{one.scientific_name} {one.scientific_name_authorship}"


def test_the_identifiers_of_the_packaged_seeds_are_those_that_pictures_are_linked_to() -> None:
    # Another identifier would orphan every picture of its species: whoever renames one states registeredAs.
    known = {
        "Brassica napus": "06a95f93-158b-55ce-8986-2f26a9d04c5e",
        "Brassica juncea": "fdb473df-dcab-585d-ab3b-423ffa044b9e",
        "Cirsium arvense": "f788f0ce-d134-5a15-90c8-b55dbeca1430",
        "Cirsium vulgare": "b6a8e9a5-2aba-5320-8836-8aae0f167833",
        "Carduus nutans": "181febba-1201-58b5-b05d-2888e9751a85",
        "Bromus secalinus": "86918e60-65ad-5383-a0b7-3acd3cae7ad2",
        "Bromus hordeaceus": "3a72027c-dedd-54ba-9284-d727807955ad",
        "Bromus japonicus": "65fe9839-158d-5d5d-80b8-903a3aa70884",
        "Lolium temulentum": "2c117bd5-69e2-5852-8f2e-ef82aa8d48c6",
        "Solanum carolinense": "1ff357e6-3c1e-539a-9e81-3ca5b1f9667c",
        "Solanum nigrum": "fd5ebc79-c9e0-56c7-924f-8d3fbcb7f1aa",
        "Solanum rostratum": "ec51cea1-8963-5847-96c6-e68ce810d2c3",
        "Ambrosia artemisiifolia": "8b67cdb0-79a6-548a-a443-1d6bd4ccadd7",
        "Ambrosia trifida": "e7c546ce-57f1-59ca-a790-bedcb05c8126",
        "Ambrosia psilostachya": "51589d79-c5f2-53ea-9f24-c5f43038381a",
    }
    assert {one.scientific_name: str(one.id) for one in packaged_seeds()} == known


def test_no_two_packaged_seeds_have_one_name_or_one_id(registry: SeedRegistry) -> None:
    seeds = packaged_seeds()
    check_seeds(seeds)
    accepted = [name for name, known in registry.names.items() if known.usage == "accepted"]
    assert len(seeds) == len(registry.by_id) == len(accepted) == 15


# Finding a seed


@given(
    name=st.sampled_from(sorted(PACKAGED.names)),
    space=st.text(" \t\u00a0\n", max_size=3),
    upper=st.lists(st.booleans(), min_size=1, max_size=40),
    form=st.sampled_from(["NFC", "NFD"]),
)
def test_case_and_space_and_the_encoding_of_accents_never_matter(
    name: str, space: str, upper: list[bool], form: str
) -> None:
    letters = (letter.upper() if upper[place % len(upper)] else letter for place, letter in enumerate(name))
    written = space + "".join(letters).replace(" ", f" {space}") + space
    written = unicodedata.normalize("NFD", written) if form == "NFD" else written
    assert PACKAGED.named(written) == PACKAGED.named(name)
    assert PACKAGED.usage(written) == PACKAGED.usage(name)
    assert PACKAGED.nearest(written) == PACKAGED.named(name).scientific_name


@given(st.text(max_size=60))
def test_any_text_finds_a_registered_seed_or_none(text: str) -> None:
    found = PACKAGED.named(text)
    assert (found is None) == (PACKAGED.usage(text) is None)
    assert found is None or found in PACKAGED.by_id.values()
    nearest = PACKAGED.nearest(text)
    assert nearest is None or PACKAGED.usage(nearest) == "accepted"


@pytest.mark.parametrize(
    ("name", "usage", "accepted"),
    [
        ("brassica JUNCEA", "accepted", "Brassica juncea"),
        ("Sinapis juncea", "synonym", "Brassica juncea"),
        ("Brassica junsea", "misspelling", "Brassica juncea"),
        ("Brown  mustard", "vernacular", "Brassica juncea"),
        ("Moutarde brune", "vernacular", "Brassica juncea"),
        ("ambroisie à feuilles d\u2019armoise", "vernacular", "Ambrosia artemisiifolia"),
        ("Brassica rapa", None, None),
    ],
)
def test_a_name_is_found_and_told_for_what_it_is(
    name: str, usage: str | None, accepted: str | None, registry: SeedRegistry
) -> None:
    found = registry.named(name)
    assert registry.usage(name) == usage
    assert (found.scientific_name if found else None) == accepted


def test_a_vernacular_name_finds_a_seed_only_if_it_means_one() -> None:
    one, other = (seed(name, vernacularNames={"en": ["ragweed", own]}) for name, own in (("A b", "x"), ("C d", "y")))
    both = SeedRegistry.of([one, other])
    assert both.named("ragweed") is both.usage("ragweed") is None
    assert both.named("x") == one
    assert SeedRegistry.of([one]).named("ragweed") == one


def test_one_vernacular_name_may_be_the_same_in_both_languages(registry: SeedRegistry) -> None:
    found = registry.named("canola")
    assert found is not None
    assert found.vernacular_names.en[0] == found.vernacular_names.fr[0] == "canola"


@pytest.mark.parametrize("text", ["", "14", "Brassica napus", "00000000-0000-0000-0000-000000000000", "urn:x", "\0"])
def test_what_is_no_registered_id_finds_no_seed(text: str, registry: SeedRegistry) -> None:
    assert registry.with_id(text) is None


@pytest.mark.parametrize("name", ["", "Brassica", "napus", "Brassica nappus", "Brassica napus L."])
def test_only_a_full_name_finds_a_seed(name: str, registry: SeedRegistry) -> None:
    assert registry.named(name) is None
    assert registry.usage(name) is None


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Brassica nappus", "Brassica napus"),
        ("brasica juncea", "Brassica juncea"),
        ("Brassica napus L.", "Brassica napus"),
        ("SOLANUM NIGRA", "Solanum nigrum"),
        ("Ambrosia artemisifolia", "Ambrosia artemisiifolia"),
        ("Serratula arvense", "Cirsium arvense"),
        ("comon ragweed", "Ambrosia artemisiifolia"),
        ("Brassica_napus", "Brassica napus"),
        ("brassicanapus", "Brassica napus"),
        ("Brassica napsu", "Brassica napus"),
        ("Brassica napus (L.) Smith", "Brassica napus"),
        # Another species of the genus, the genus alone, a taxon within the species: none of these is a misspelling.
        ("Brassica rapa", None),
        ("Brassica nigra", None),
        ("Brassica", None),
        ("Brassica sp.", None),
        ("Brassica napus subsp. rapifera", None),
        ("Solanum lycopersicum", None),
        ("Bromus tectorum", None),
        ("Cirsium palustre", None),
        ("wheat", None),
        # A second species is no author.
        ("Brassica napus / Brassica juncea", None),
        ("Brassica napus et Avena fatua", None),
        ("Brassica napus Avena fatua", None),
        ("Brassica napus X juncea", None),
        ("Cirsium vulgare (Savi) Ten.", "Cirsium vulgare"),
        ("Triticum aestivum x", None),
        ("", None),
        ("?" * 5_000, None),
    ],
)
def test_a_misspelt_name_is_near_to_one_and_another_name_to_none(
    name: str, nearest: str | None, registry: SeedRegistry
) -> None:
    assert registry.nearest(name) == nearest


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("napus Brassica", "Brassica napus"),
        ("Brassica Brassica napus", "Brassica napus"),
        ("Brassica canola", "Brassica napus"),
        ("Brassica cheat", None),
        ("Brassica ragweed", None),
        ("thistle bull", None),
        ("Brassica rapa", None),
        ("Brassica", None),
    ],
)
def test_words_in_another_order_mean_the_species_that_they_name_and_no_other(
    name: str, meant: str | None, registry: SeedRegistry
) -> None:
    assert registry.meant(name) == meant


def test_a_part_of_common_names_is_told_with_all_that_hold_it_and_suggests_none(registry: SeedRegistry) -> None:
    ragweeds = dict(registry.alike("herbe à poux"))

    assert ragweeds == {
        "Ambrosia artemisiifolia": ["petite herbe à poux"],
        "Ambrosia psilostachya": ["herbe à poux vivace"],
        "Ambrosia trifida": ["grande herbe à poux"],
    }
    assert registry.nearest("herbe à poux") is None
    assert registry.alike("B. napus") == [("Brassica napus", [])]
    assert registry.alike("C. vulgare") == [("Cirsium vulgare", [])]
    assert registry.nearest("C. vulgare") is None, "it may be a Clinopodium"
    assert [name for name, _ in registry.alike("mustard")] == ["Brassica juncea"]
    assert registry.nearest("mustard") is None, "it may be a Sinapis"
    assert registry.alike("") == []


def test_a_common_name_of_two_species_finds_none_and_both_are_told() -> None:
    names = VernacularNames(en=("lady's thumb",))
    both = SeedRegistry.of([seed("Poa alba", vernacularNames=names), seed("Zea alta", vernacularNames=names)])

    assert (both.named("lady's thumb"), both.nearest("lady's thumb"), both.nearest("ladys thumb")) == (None, None, None)
    assert [name for name, _ in both.alike("lady's thumb")] == ["Poa alba", "Zea alta"]


def test_a_name_as_near_to_two_species_is_near_to_none() -> None:
    both = SeedRegistry.of([seed("Poa alba"), seed("Poa alta")])
    assert both.nearest("Poa alca") is None
    assert both.nearest("Poa albaa") == "Poa alba"


def test_a_registry_of_nothing_finds_nothing() -> None:
    empty = SeedRegistry.of([])

    assert empty.named("Brassica napus") is None
    assert empty.usage("Brassica napus") is None
    assert empty.nearest("Brassica napus") is None
    assert empty.with_id(str(UUID(int=1))) is None


# Renaming and merging


def test_a_renamed_seed_keeps_its_identifier_and_is_found_by_both_names() -> None:
    before = next(one for one in packaged_seeds() if one.scientific_name == "Bromus japonicus")
    registry = SeedRegistry.of(renamed(packaged_seeds(), "Bromus japonicus", "Bromus patulus"))
    after = registry.with_id(str(before.id))
    assert after is not None
    assert after.scientific_name == "Bromus patulus"
    assert registry.named("Bromus patulus") == registry.named("Bromus japonicus") == after
    assert (registry.usage("Bromus patulus"), registry.usage("Bromus japonicus")) == ("accepted", "synonym")


@given(st.lists(st.sampled_from(["Aa bb", "Cc dd", "Ee ff"]), min_size=1, max_size=6))
def test_however_often_a_seed_is_renamed_its_identifier_stays(names: list[str]) -> None:
    seeds = [seed("Gg hh")]
    for name in names:
        seeds = renamed(seeds, seeds[0].scientific_name, name)
    assert seeds[0].id == seed_id("Gg hh")
    assert seeds[0].scientific_name == names[-1]


def test_the_earlier_name_of_one_species_may_become_the_name_of_another() -> None:
    moved = seed("Aa cc", registeredAs="Aa bb")
    other = seed("Aa bb", registeredAs="Aa bb of 2027")
    check_seeds([moved, other])
    registry = SeedRegistry.of([moved, other])
    assert registry.named("Aa bb") == other
    assert registry.usage("Aa bb") == "accepted"
    assert registry.with_id(str(seed_id("Aa bb"))) == moved


def test_a_merged_seed_is_found_by_its_identifier_and_its_name_as_the_one_it_is_part_of() -> None:
    seeds = merged(packaged_seeds(), "Brassica juncea", "Brassica napus")
    registry = SeedRegistry.of(seeds)
    survivor = registry.named("Brassica napus")
    assert registry.with_id(str(seed_id("Brassica juncea"))) == registry.named("Brassica juncea") == survivor
    assert registry.usage("Brassica juncea") == "synonym"
    assert len(registry.by_id) == 14


# The file

GOOD = """\
- scientificName: Aa bb
  family: Aaceae
  genus: Aa
  specificEpithet: bb
  synonyms: [Aa old]
  misspellings: [Aa bbb]
  vernacularNames: {en: [common bee]}
  gbifID: 1
  eppoCode: AAABB
  mergedFrom: [Aa gone]
- scientificName: Cc dd
  family: Cceae
  genus: Cc
  specificEpithet: dd
"""


def test_a_good_file_is_read() -> None:
    one, other = read_seeds(GOOD)
    assert (one.scientific_name, one.synonyms, one.gbif_id) == ("Aa bb", ("Aa old",), 1)
    assert other == seed("Cc dd", family="Cceae")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("synonyms: [aa  BB]", "seeds.yaml:11: synonyms: the synonym 'aa  BB' is taken by Aa bb (seeds.yaml:1)"),
        ("synonyms: [Aa old]", "the synonym 'Aa old' is taken by Aa bb (seeds.yaml:1)"),
        ("misspellings: [Aa old]", "the misspelling 'Aa old' is taken by Aa bb (seeds.yaml:1)"),
        ("synonyms: [Aa bbb]", "the synonym 'Aa bbb' is taken by Aa bb (seeds.yaml:1)"),
        ("gbifID: 1", "the gbifID 1 is taken by Aa bb (seeds.yaml:1)"),
        ("eppoCode: AAABB", "the eppoCode AAABB is taken by Aa bb (seeds.yaml:1)"),
        ("registeredAs: Aa bb", "the first name 'Aa bb' is taken by Aa bb (seeds.yaml:1)"),
        ("registeredAs: Aa gone", "the first name 'Aa gone' is taken by Aa bb (seeds.yaml:1)"),
        ("mergedFrom: [Aa bb]", "the merged seed 'Aa bb' is taken by Aa bb (seeds.yaml:1)"),
        ("mergedFrom: [Aa gone]", "the merged seed 'Aa gone' is taken by Aa bb (seeds.yaml:1)"),
        ("mergedFrom: [Cc dd]", "'cc dd' is stated twice"),
        ("synonyms: [Cc dd]", "'cc dd' is stated twice"),
        ("synonyms: [Ee, ee]", "'ee' is stated twice"),
        ("vernacularNames: {fr: [bb, BB]}", "'bb' is stated twice"),
        ("vernacularNames: {fr: [aa old]}", "the vernacular name 'aa old' is taken by Aa bb (seeds.yaml:1)"),
        ("vernacularNames: {de: [Biene]}", "seeds.yaml:15: vernacularNames.de: expected terms of"),
        ("genus: Cc", "seeds.yaml:15: genus: is stated twice (first on line 13)"),
        ("gbifID: '2'", "seeds.yaml:15: gbifID: expected a whole number"),
        ("gbifID: yes", "seeds.yaml:15: gbifID: expected a whole number"),
        ("gbifID: -2", "seeds.yaml:15: gbifID: expected a number above 0"),
        ("eppoCode: aaabb", "seeds.yaml:15: eppoCode: expected five or six"),
        (
            "taxonRank: kind",
            "seeds.yaml:15: taxonRank: expected family, genus, species, subspecies, variety or form",
        ),
        ("synonyms: ['  ']", "seeds.yaml:15: synonyms.0: expected a text that is not empty"),
        ("colour: brown", "seeds.yaml:15: colour: expected terms of"),
        ("synonyms: [", "seeds.yaml:16: is no YAML: while parsing"),
    ],
)
def test_a_contradiction_is_told_with_the_entries_and_the_line(wrong: str, told: str) -> None:
    with pytest.raises(RegistryError) as refused:
        read_seeds(f"{GOOD}  {wrong}\n")
    assert told in str(refused.value)


@pytest.mark.parametrize(
    "name", ["vernacularNames: {en: [common bee]}", "vernacularNames: {en: [bee], fr: [bee]}", "registeredAs: Aa old"]
)
def test_what_contradicts_nothing_is_read(name: str) -> None:
    assert len(read_seeds(f"{GOOD}  {name}\n")) == 2


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(RegistryError) as refused:
        read_seeds(f"{GOOD}  gbifID: 1\n  eppoCode: AAABB\n")
    assert "gbifID" in str(refused.value)
    assert "eppoCode" in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "seeds: 1", "- 1", "- {scientificName: Aa bb}", "&a [*a]"])
def test_what_is_no_list_of_seeds_is_refused(text: str) -> None:
    with pytest.raises(RegistryError):
        read_seeds(text)


def test_a_missing_term_is_told_with_the_line_of_its_entry() -> None:
    with pytest.raises(RegistryError, match=r"seeds\.yaml:11: family: expected a value"):
        read_seeds(GOOD.replace("  family: Cceae\n", ""))


# One seed


def test_a_seed_is_written_in_the_terms_of_darwin_core() -> None:
    one = Seed(scientific_name="Bromus secalinus", family="Poaceae", genus="Bromus", specific_epithet="secalinus")

    assert one.model_dump(mode="json") == {
        "scientificName": "Bromus secalinus",
        "scientificNameAuthorship": None,
        "family": "Poaceae",
        "genus": "Bromus",
        "specificEpithet": "secalinus",
        "infraspecificEpithet": None,
        "taxonRank": "species",
        "vernacularNames": {"en": [], "fr": []},
        "synonyms": [],
        "misspellings": [],
        "gbifID": None,
        "eppoCode": None,
        "listedIn": [],
        "registeredAs": None,
        "mergedFrom": [],
    }


@pytest.mark.parametrize("one", packaged_seeds(), ids=lambda one: one.scientific_name)
def test_a_seed_is_read_as_it_was_written(one: Seed) -> None:
    assert Seed.model_validate(one.model_dump(mode="json")) == one


def test_a_seed_of_the_first_version_is_still_read() -> None:
    first = {"scientificName": "Aa bb", "family": "F", "genus": "Aa", "specificEpithet": "bb", "taxonRank": "species"}
    assert Seed.model_validate(first).id == seed_id("Aa bb")


@pytest.mark.parametrize(
    "wrong",
    [
        {"family": " "},
        {"genus": "x" * 201},
        {"colour": "brown"},
        {"specificEpithet": None},
        {"scientificName": "A c"},
        {"scientificName": "A b var. c"},
        {"scientificName": "A c subsp. d", "taxonRank": "subspecies"},
    ],
)
def test_a_seed_with_a_wrong_term_is_not_registered(wrong: dict[str, object]) -> None:
    good = {"scientificName": "A b", "family": "F", "genus": "A", "specificEpithet": "b"}
    assert Seed.model_validate(good).genus == "A"
    assert Seed.model_validate({**good, "scientificName": "A b subsp. c", "taxonRank": "subspecies"}).genus == "A"

    with pytest.raises(ValidationError):
        Seed.model_validate({**good, **wrong})


def test_changing_what_is_said_of_a_seed_keeps_its_identifier() -> None:
    seeds = changed(packaged_seeds(), "Brassica napus", synonyms=["Brassica x"], gbifID=7, family="Cruciferae")
    assert [one.id for one in seeds] == [one.id for one in packaged_seeds()]


def test_a_form_completes_what_is_begun_in_latin_english_and_french(registry: SeedRegistry) -> None:
    assert "Brassica napus" in {found.seed.scientific_name for found in registry.search("nap")}
    for one in packaged_seeds():
        for name in (one.scientific_name, *one.synonyms, *one.vernacular_names.en, *one.vernacular_names.fr):
            begun = "".join(c for c in unicodedata.normalize("NFKD", name[:-1]) if not unicodedata.combining(c))
            found = {found.seed.scientific_name for found in registry.search(begun.upper(), limit=200)}
            assert one.scientific_name in found, name


def test_a_search_gives_each_species_once_the_best_fit_first_and_no_more_than_wanted(registry: SeedRegistry) -> None:
    found = registry.search("brassica n", limit=3)
    assert [one.usage for one in found][:1] == ["accepted"]
    assert found[0].name.startswith("Brassica n")
    many = registry.search("a", limit=1000)
    assert len({one.seed.id for one in many}) == len(many) > 3
    assert registry.search("a", limit=3) == many[:3]
    assert registry.search("  ?! ") == registry.search("zzzz") == []
