from hypothesis import given
from hypothesis import strategies as st

from nachet_pipeline.registry.darwin_core import COLUMNS, cells_of, line_of, read_table, table_of
from nachet_pipeline.registry.problems import Entry
from nachet_pipeline.registry.seeds import RANKS, Seed
from nachet_pipeline.registry.species_file import packaged_seeds

_WORD = st.text(st.characters(categories=("L",), max_codepoint=0x24F), min_size=1, max_size=8)
# Whatever people write, but for what no name holds; cells are stripped, so names are too.
_NAME = (
    st.text(st.characters(exclude_characters="|", exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), min_size=1)
    .map(str.strip)
    .filter(lambda text: 0 < len(text) <= 200 and text[0] not in "=+@#-")
)
_NAMES = st.lists(_NAME, max_size=3).map(tuple)


@st.composite
def seeds(draw: st.DrawFn) -> Seed:
    """A seed of any rank."""
    rank = draw(st.sampled_from(RANKS))
    family, genus, epithet, last = (draw(_WORD) for _ in range(4))
    name = {"family": family, "genus": genus, "species": f"{genus} {epithet}"}.get(
        rank, f"{genus} {epithet} var. {last}"
    )
    return Seed(
        scientific_name=name,
        scientific_name_authorship=draw(st.none() | _NAME),
        family=family,
        genus=None if rank == "family" else genus,
        specific_epithet=None if rank in {"family", "genus"} else epithet,
        infraspecific_epithet=last if rank in RANKS[3:] else None,
        taxon_rank=rank,
        vernacular_names={"en": draw(_NAMES), "fr": draw(_NAMES)},
        synonyms=draw(_NAMES),
        misspellings=draw(_NAMES),
        gbif_id=draw(st.none() | st.integers(1, 2**40)),
        eppo_code=draw(st.none() | st.from_regex(r"\A[A-Z]{5}\Z")),
        listed_in=draw(_NAMES),
        registered_as=draw(st.none() | _NAME),
        merged_from=draw(_NAMES),
    )


def read(text: str) -> list[Seed]:
    found = list(read_table(text, "x.csv"))
    assert all(isinstance(one, Entry) for one in found), found
    return [one.seed for one in found if isinstance(one, Entry)]


@given(st.lists(seeds(), min_size=1, max_size=4))
def test_what_is_written_as_a_table_is_read_as_it_was(written: list[Seed]) -> None:
    assert read("".join(table_of(written))) == written


@given(seeds(), st.sampled_from(",;\t"), st.permutations(COLUMNS))
def test_neither_separator_nor_the_order_of_columns_matters(one: Seed, separator: str, columns: list[str]) -> None:
    cells = cells_of(one)
    text = line_of(columns, separator) + line_of([cells[name] for name in columns], separator)
    assert read(text) == [one]


def test_the_packages_registry_can_be_written_as_a_table() -> None:
    assert read("".join(table_of(packaged_seeds()))) == packaged_seeds()
