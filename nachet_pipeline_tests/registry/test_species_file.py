from pathlib import Path

import pytest

from nachet_pipeline.registry.problems import RegistryError
from nachet_pipeline.registry.seeds import Seed, SeedRegistry
from nachet_pipeline.registry.species_file import packaged_seeds, read_species, registry_version, species_version
from nachet_pipeline.settings import PACKAGED_SPECIES, Settings
from nachet_pipeline_tests.documents import PAGES, fenced
from nachet_pipeline_tests.registries import seed, table

WEEDS = """\
# Reviewed in 2026.
scientificName;Family;vernacularName:en;vernacularName_fr;taxonRank;gbifID;listedIn;kingdom
Avena fatua;Poaceae;wild oat|wild oats;folle avoine;species;2703627;Weed Seeds Order 2016 class 2;Plantae

# Not to species:
Avena sp.;Poaceae;;;;;;
Avena sativa subsp. nuda;Poaceae;;;;;;
Poaceae;Poaceae
"""


@pytest.fixture
def weeds(tmp_path: Path) -> Path:
    file = tmp_path / "weeds.csv"
    file.write_text(WEEDS, encoding="utf-8-sig")
    return file


def problems(*files: Path) -> list[str]:
    with pytest.raises(RegistryError) as refused:
        read_species(files)
    return [str(one) for one in refused.value.problems]


def written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file


def test_a_table_of_darwin_core_terms_is_a_registry_of_taxa_of_any_rank(weeds: Path) -> None:
    species = read_species((weeds,)).seeds
    fatua, _genus, nuda, grasses = species
    assert fatua.vernacular_names.en == ("wild oat", "wild oats")
    assert fatua.vernacular_names.fr == ("folle avoine",)
    assert (fatua.gbif_id, fatua.listed_in) == (2703627, ("Weed Seeds Order 2016 class 2",))
    assert [(one.scientific_name, one.taxon_rank, one.genus, one.specific_epithet) for one in species] == [
        ("Avena fatua", "species", "Avena", "fatua"),
        ("Avena", "genus", "Avena", None),
        ("Avena sativa subsp. nuda", "subspecies", "Avena", "sativa"),
        ("Poaceae", "family", None, None),
    ]
    assert nuda.infraspecific_epithet == "nuda"
    assert [one.name_at("species") for one in species] == ["Avena fatua", None, "Avena sativa", None]
    assert [one.name_at("genus") for one in species] == ["Avena", "Avena", "Avena", None]
    assert {one.name_at("family") for one in (*species, grasses)} == {"Poaceae"}


@pytest.mark.parametrize("name", ["Avena", "avena sp.", "Avena spp.", "AVENA SPP"])
def test_a_registered_genus_is_found_as_people_write_it(name: str, weeds: Path) -> None:
    found = SeedRegistry.of(read_species((weeds,)).seeds).named(name)
    assert found is not None
    assert found.scientific_name == "Avena"


def test_every_mistake_of_every_file_is_told_with_file_line_and_field(tmp_path: Path) -> None:
    one = written(
        tmp_path / "one.csv",
        "scientificName,family,gbifID,eppoCode\n"
        "Avena fatua,Poaceae,unknown,\n"
        "Avena sativa,,2,\n"
        "Avena sterilis,Poaceae,3,avest\n"
        'Avena "barbata,Poaceae\n'
        "Avena strigosa,Poaceae,4,AVESG,5\n",
    )
    other = written(tmp_path / "two.yaml", "- scientificName: Poa annua\n  family: Poaceae\n  genus: Poa\n  rank: x\n")
    *told, unknown = problems(one, other)
    assert unknown.startswith(f"{other}:4: rank: expected terms of scientificName, ")
    assert unknown.endswith("registeredAs, mergedFrom")
    assert told == [
        f"{one}:2: gbifID: expected a whole number, found 'unknown'",
        f"{one}:3: family: expected a value",
        f"{one}:4: eppoCode: expected five or six capital letters or digits, found 'avest'",
        f"{one}:6: expected 4 cells, found 5; quote a cell that has the separator in it",
    ]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("scientificname,family,vernacularNames", "found 'vernacularNames'; did you mean vernacularName_"),
        ("family,genus", "scientificName: expected this column"),
        ("scientificName,family,Family", "family: the column is there twice"),
    ],
)
def test_a_header_that_cannot_be_used_is_told(header: str, said: str, tmp_path: Path) -> None:
    (problem,) = problems(written(tmp_path / "weeds.csv", f"# x\n{header}\nAvena fatua,Poaceae,Avena\n"))
    assert said in problem
    assert f"{tmp_path / 'weeds.csv'}:2: " in problem


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("weeds.xlsx", b"PK", "weeds.xlsx: expected a name that ends with .csv, .tsv, .yaml, .yml"),
        ("weeds.csv", b"scientificName\n\n\xe9", "weeds.csv:3: expected UTF-8 text; in Excel, save as CSV UTF-8"),
        ("weeds.csv", b"", "weeds.csv:1: no seed is registered"),
        ("weeds.csv", b"scientificName,family\n", "weeds.csv: no seed is registered"),
        ("weeds.yaml", b"- 1", "weeds.yaml:1: expected the terms of a seed"),
        ("weeds.yaml", b"seeds: 1", "weeds.yaml:1: expected a list of seeds"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert [one.removeprefix(f"{tmp_path}/") for one in problems(tmp_path / name)] == [said]


def test_only_the_end_of_a_line_ends_a_line_and_empty_columns_are_none(tmp_path: Path) -> None:
    file = written(
        tmp_path / "weeds.csv", "scientificName,family,taxonRemarks,eppoCode,,\nAvena fatua,Poaceae,a\x0bb c,AVEFA,,\n"
    )
    (fatua,) = read_species((file,)).seeds
    assert fatua.eppo_code == "AVEFA"
    (said,) = problems(written(file, "scientificName,family,\nAvena fatua,Poaceae,x\n"))
    assert "expected 2 cells, found 3" in said
    first, *_ = problems(written(file, 'scientificName,family,synonyms\nAvena fatua,Poaceae,"a\nb"\n'))
    assert first == f"{file}:2: is no line of CSV: no cell may have a line break in it"


@pytest.mark.parametrize("name", ["Avena fatua\u200b", "Avena fa\xadtua", "\u202eAvena sativa"])
def test_a_name_has_no_signs_that_nobody_sees(name: str, tmp_path: Path) -> None:
    first, *_ = problems(
        written(tmp_path / "weeds.csv", f"scientificName,family\nAvena fatua,Poaceae\n{name},Poaceae\n")
    )
    assert "weeds.csv:3: scientificName: expected a text without | and invisible signs" in first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Avena sativa subsp. nuda", "Avena sativa ssp. nuda"),
        ("Mentha \u00d7 piperita", "Mentha x piperita"),
        ("\u00d7 Triticosecale rimpaui", "\u00d7Triticosecale rimpaui"),
    ],
)
def test_a_name_is_the_same_however_its_signs_are_written(one: str, other: str, tmp_path: Path) -> None:
    both = written(tmp_path / "weeds.csv", f"scientificName,family\n{one},Poaceae\n{other},Poaceae\n")
    assert "is taken by" in problems(both)[0]
    (seed,) = read_species((written(both, f"scientificName,family\n{one},Poaceae\n"),)).seeds
    assert SeedRegistry.of([seed]).named(other) is seed
    assert seed.genus != "\u00d7"


def test_accents_in_another_encoding_make_no_other_species(tmp_path: Path) -> None:
    composed = "scientificName,family\nIso\u00ebtes lacustris,Isoetaceae\n"
    file = written(tmp_path / "weeds.csv", composed)
    (before,) = read_species((file,)).seeds
    (after,) = read_species((written(file, composed.replace("\u00eb", "e\u0308")),)).seeds
    assert after.id == before.id


def test_aliases_that_repeat_each_other_do_not_make_reading_long(tmp_path: Path) -> None:
    lines = ["  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    found = problems(written(tmp_path / "weeds.yaml", "- scientificName: Avena fatua\n" + "\n".join(lines) + "\n"))
    assert len(found) == 13


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.csv") == [f"{tmp_path / 'none.csv'}: cannot be read: No such file or directory"]


def test_several_files_and_a_folder_are_one_registry_in_which_nothing_is_claimed_twice(
    weeds: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "species"
    folder.mkdir()
    table(folder / "b.csv", [seed("Bb cc")])
    table(folder / "a.csv", [seed("Aa bb")])
    (folder / ".draft.csv").write_text("no table")
    (folder / "README.md").write_text("no table")
    both = read_species((folder, weeds))
    assert [one.scientific_name for one in both.seeds[:3]] == ["Aa bb", "Bb cc", "Avena fatua"]
    assert both.source == "species, weeds.csv"

    again = table(tmp_path / "again.csv", [seed("Aa bb", registeredAs="Aa b")])
    assert problems(folder, again) == [
        f"{again}:2: scientificName: the name 'Aa bb' is taken by Aa bb ({folder / 'a.csv'}:2)"
    ]


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    assert "expected files that end with .csv" in problems(tmp_path)[0]


def test_a_file_of_the_deployment_stands_alone_unless_it_takes_the_packages_species_in(weeds: Path) -> None:
    assert len(read_species((weeds,)).entries) == 4
    assert len(read_species((PACKAGED_SPECIES, weeds)).entries) == 19
    assert read_species((PACKAGED_SPECIES,)).seeds == read_species().seeds == packaged_seeds()


def test_the_version_changes_with_any_file_and_with_nothing_else(weeds: Path, tmp_path: Path) -> None:
    more = table(tmp_path / "more.csv", [seed("Aa bb")])
    first = species_version((weeds, more))
    assert first == species_version((weeds, more)) == read_species((weeds, more)).version
    table(more, [seed("Aa cc")])
    assert species_version((weeds, more)) != first
    assert species_version() == species_version((PACKAGED_SPECIES,)) == registry_version()


def test_the_setting_names_files_with_commas_between_them(tmp_path: Path) -> None:
    found = Settings.from_environment({"NACHET_SPECIES_FILE": f"packaged, {tmp_path}/a.csv,b"}).species.species_file
    assert found == (PACKAGED_SPECIES, tmp_path / "a.csv", Path.cwd() / "b")
    assert Settings.from_environment({}).species.species_file == ()


def test_people_may_call_a_plant_by_its_genus(tmp_path: Path) -> None:
    genus = Seed(scientific_name="Iris", family="Iridaceae", genus="Iris", taxon_rank="genus")
    iris = [genus, seed("Iris setosa", vernacularNames={"en": ["iris"]})]
    found = SeedRegistry.of(read_species((table(tmp_path / "iris.csv", iris),)).seeds).named("iris")
    assert found is not None
    assert found.taxon_rank == "genus"


def test_the_example_of_a_table_is_a_registry(tmp_path: Path) -> None:
    (example,) = fenced(PAGES["docs/species.md"], "csv")
    assert len(read_species((written(tmp_path / "example.csv", example),)).entries) == 3


@pytest.mark.parametrize("name", ["=cmd()", "@a", "+1", "-x", "#x", "a|b", "a\nb"])
def test_no_name_holds_what_would_be_read_otherwise_in_a_table(name: str) -> None:
    with pytest.raises(ValueError, match="should match pattern"):
        seed("Aa bb", synonyms=[name])
