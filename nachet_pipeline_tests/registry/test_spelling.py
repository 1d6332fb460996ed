"""The search for misspelt names finds what comparing each name with every other would find."""

from hypothesis import given
from hypothesis import strategies as st

from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.registry.spelling import NameIndex, WordIndex, distance
from nachet_pipeline_tests.registries import many, seed

_LETTERS = st.text("abc", min_size=1, max_size=9)
_WORDS = st.lists(_LETTERS, min_size=1, max_size=3).map(tuple)


def reckoned(one: str, other: str) -> int:
    """The distance of two words, by its definition."""
    if not one or not other:
        return len(one) + len(other)
    found = min(
        reckoned(one[:-1], other) + 1,
        reckoned(one, other[:-1]) + 1,
        reckoned(one[:-1], other[:-1]) + (one[-1] != other[-1]),
    )
    if one[-2:] == other[-2:][::-1] and len(one) > 1 and len(other) > 1:
        found = min(found, reckoned(one[:-2], other[:-2]) + 1)
    return found


@given(st.text("ab", max_size=5), st.text("ab", max_size=5), st.integers(0, 4))
def test_a_distance_is_reckoned_exactly_as_far_as_it_matters(one: str, other: str, most: int) -> None:
    assert distance(one, other, most) == min(reckoned(one, other), most + 1)


@given(st.lists(_LETTERS, max_size=12), _LETTERS)
def test_the_words_near_to_one_are_all_found(words: list[str], wanted: str) -> None:
    near = {word for word in words if distance(word, wanted, 9) <= (2 if max(len(word), len(wanted)) > 5 else 1)}
    assert set(WordIndex(words).near(wanted)) == near


@given(st.lists(st.tuples(_WORDS, st.integers(0, 1)), max_size=12, unique=True), _WORDS)
def test_the_names_near_to_one_are_all_found(names: list[tuple[tuple[str, ...], int]], wanted: tuple[str, ...]) -> None:
    def differing(words: tuple[str, ...], less: int) -> int | None:
        if "".join(words) == "".join(wanted):
            return 0
        if len(words) != len(wanted):
            return None
        pairs = [
            (distance(one, other, 9), (2 if max(len(one), len(other)) > 5 else 1) - less)
            for one, other in zip(words, wanted, strict=True)
        ]
        return sum(letters for letters, _ in pairs) if all(letters <= most for letters, most in pairs) else None

    expected = {key: letters for key in names if (letters := differing(*key)) is not None}
    assert NameIndex(names).near(wanted) == expected


# Searching


def names(text: str, *, limit: int = 20) -> list[str]:
    found = SeedRegistry.of(packaged_seeds()).search(text, limit=limit)
    return [one.seed.scientific_name for one in found]


def test_beginnings_of_words_in_any_order_and_without_accents_find_a_species() -> None:
    assert names("bra nap") == names("nap bra") == ["Brassica napus"]
    assert names("brassica") == ["Brassica napus", "Brassica juncea"]
    assert names("HERBE A POUX") == ["Ambrosia psilostachya", "Ambrosia trifida", "Ambrosia artemisiifolia"]
    assert names("chardon du canada") == ["Cirsium arvense"]
    assert names("brassica", limit=1) == ["Brassica napus"]
    assert names("") == names(" ,") == names("Triticum") == []


def test_a_search_tells_by_which_name_it_found_a_species_and_the_name_itself_comes_first() -> None:
    search = SeedRegistry.of(packaged_seeds())
    (code,) = search.search("SOLCA")
    assert (code.seed.scientific_name, code.name, code.usage) == ("Solanum carolinense", "SOLCA", "code")
    (gbif,) = search.search("3042636")
    assert gbif.seed.scientific_name == "Brassica napus"
    synonym = search.search("Sinapis juncea")[0]
    assert (synonym.name, synonym.usage) == ("Sinapis juncea", "synonym")
    both = SeedRegistry.of([seed("Poa annua x"), seed("Poa annua"), seed("Zea mays", synonyms=["Poa annua minor"])])
    assert [one.seed.scientific_name for one in both.search("poa annua")] == ["Poa annua", "Poa annua x", "Zea mays"]


def test_a_misspelt_search_finds_the_species_that_is_meant() -> None:
    assert names("brasica nappus") == ["Brassica napus"]
    assert names("ambrosia artemisifolia") == ["Ambrosia artemisiifolia"]


def test_every_one_of_many_species_is_found_by_every_name_and_by_its_misspelling() -> None:
    seeds = many(400)
    registry = SeedRegistry.of(seeds)
    for one in seeds:
        assert registry.named(one.scientific_name) == one
        assert registry.search(one.scientific_name)[0].seed == one
        assert all(registry.search(name)[0].seed == one for name in one.synonyms)
        genus, _, epithet = one.scientific_name.partition(" ")
        assert registry.nearest(f"{genus} {epithet[:3]}q{epithet[3:]}") in {one.scientific_name, None}
