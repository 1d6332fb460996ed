"""`nachet species`, and the commands that know species by its files."""

import json
from pathlib import Path

import pytest

from nachet_pipeline.registry.species_file import packaged_seeds, read_species
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.registries import many, merged, renamed, seed, table, without
from nachet_pipeline_tests.workbench import Workbench, edit

WEEDS = """\
# Reviewed in 2026.\r
scientificName;family;taxonID;vernacularName_en;eppoCode;listedIn\r
Avena fatua;Poaceae;w-1;wild oat;AVEFA;Class 1\r
# To be checked:\r
Avena sativa;Poaceae;w-2;;;\r
"""


@pytest.fixture
def weeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a deployment."""
    file = tmp_path / "weeds.csv"
    file.write_bytes(WEEDS.encode())
    monkeypatch.setenv("NACHET_SPECIES_FILE", str(file))
    return file


# Looking


def test_the_species_of_the_setting_or_else_of_the_package_are_listed(
    command: Nachet, weeds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("species", "list").out.splitlines() == ["Avena fatua  Poaceae  wild oat", "Avena sativa  Poaceae"]
    assert command("species", "list", "--listed-in", "class 1", "--rank", "species").out.count("\n") == 1
    monkeypatch.delenv("NACHET_SPECIES_FILE")
    assert command("species", "list", "--family", "solanaceae").err == "3 taxa\n"
    (only,) = command("species", "list", "--species", weeds, "--listed-in", "CLASS 1", "--json").out.splitlines()
    assert (json.loads(only)["scientificName"], json.loads(only)["listedIn"]) == ("Avena fatua", ["Class 1"])


def test_a_species_is_found_by_any_name_and_shown_with_its_place(command: Nachet, weeds: Path) -> None:
    assert command("species", "search", "wild", "oa").out == "Avena fatua  Poaceae  wild oat  ← wild oat\n"
    assert command("species", "search", "AVEFA", "--json").out.startswith('{"found": "AVEFA", "usage": "code", "id": ')
    nothing = command("species", "search", "triticum")
    assert (nothing.code, nothing.out) == (1, "")
    shown = command("species", "show", "wild oat").out.splitlines()
    assert shown[0] == "Avena fatua"
    assert "  vernacularNames (en): wild oat" in shown
    assert shown[-1] == f"  in: {weeds}:3"
    unknown = command("species", "show", "Avena fatuaa")
    assert (unknown.code, unknown.err) == (1, "nachet: 'Avena fatuaa' is not registered; did you mean Avena fatua?\n")


def test_a_wrong_file_is_told_by_every_command_with_file_line_and_field(command: Nachet, weeds: Path) -> None:
    weeds.write_text("scientificName,eppoCode\nAvena fatua,x\n")
    for arguments in (["list"], ["search", "avena"], ["show", "avena"], ["export"], ["add", "Avena sativa"]):
        told = command("species", *arguments)
        assert (told.code, told.out) == (2, ""), arguments
        assert f"{weeds}:2: family: expected a value" in told.err
        assert f"{weeds}:2: eppoCode: " in told.err


# Writing


def test_what_is_exported_is_a_registry_of_the_same_species(command: Nachet, tmp_path: Path) -> None:
    file = tmp_path / "species.csv"
    assert command("species", "export", file).code == 0
    assert read_species((file,)).seeds == packaged_seeds()
    assert command("species", "export").out == file.read_text(encoding="utf-8")
    assert command("species", "export", file).code == 2
    assert command("species", "export", "--genus", "Cirsium").out.count("\n") == 3


def test_a_species_is_added_to_the_file_and_nothing_else_in_it_changes(command: Nachet, weeds: Path) -> None:
    before = weeds.read_bytes()
    tried = command("species", "add", "Avena sterilis", "--dry-run")
    assert (tried.code, weeds.read_bytes()) == (0, before)
    weeds.chmod(0o640)
    added = command("species", "add", "Avena sterilis", "--eppo-code", "AVEST", "--english", "sterile oat")
    assert (added.code, added.out) == (0, "Avena sterilis  Poaceae  sterile oat\n")
    assert weeds.read_bytes() == before + b"Avena sterilis;Poaceae;;sterile oat;AVEST;\r\n"
    assert weeds.stat().st_mode & 0o777 == 0o640
    assert list(weeds.parent.iterdir()) == [weeds]


def test_a_file_that_is_reached_by_a_link_is_written_where_it_is(command: Nachet, weeds: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.csv"
    link.symlink_to(weeds)
    assert command("species", "add", "Avena sterilis", "--species", link).code == 0
    assert link.is_symlink()
    assert weeds.read_text().endswith("Avena sterilis;Poaceae;;;;\n")


def test_who_adds_a_name_that_is_nearly_a_registered_one_is_told(command: Nachet, weeds: Path) -> None:
    told = command("species", "add", "Avena fatuus", "--dry-run")
    assert told.err.startswith("this is another species than Avena fatua, which is registered and spelt nearly so\n")
    assert len(command("species", "add", "Avena barbata", "--dry-run").err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["avena FATUA"], "the name 'avena FATUA' is taken by Avena fatua"),
        (["Avena sterilis", "--eppo-code", "AVEFA"], "the eppoCode AVEFA is taken by Avena fatua"),
        (["Poa annua"], "family: expected a value"),
        (
            ["Avena sterilis", "--french", "avoine"],
            "Avena sterilis needs the column vernacularName_fr",
        ),
    ],
)
def test_what_would_make_the_registry_wrong_is_not_added(
    arguments: list[str], said: str, command: Nachet, weeds: Path
) -> None:
    before = weeds.read_bytes()
    told = command("species", "add", *arguments)
    assert told.code == 2
    assert said in told.err
    assert weeds.read_bytes() == before


def test_a_species_is_added_to_yaml_and_to_a_folder_too(command: Nachet, tmp_path: Path) -> None:
    folder = tmp_path / "species"
    folder.mkdir()
    text = "# Ours.\n- scientificName: Poa annua\n  family: Poaceae\n  genus: Poa\n  specificEpithet: annua # yes\n"
    (folder / "grasses.yaml").write_text(text)
    assert command("species", "add", "Poa sp.", "--species", folder / "grasses.yaml").code == 0
    assert (folder / "grasses.yaml").read_text().startswith(text)
    assert command("species", "add", "Avena nuda", "--family", "Poaceae", "--species", folder).code == 0
    assert [(one.scientific_name, one.taxon_rank) for one in read_species((folder,)).seeds] == [
        ("Avena nuda", "species"),
        ("Poa annua", "species"),
        ("Poa", "genus"),
    ]


def test_the_packages_species_cannot_be_added_to(command: Nachet) -> None:
    told = command("species", "add", "Avena fatua", "--family", "Poaceae")
    assert told.code == 2
    assert "NACHET_SPECIES_FILE names no file to write into; `nachet species export" in told.err


# What loading would change


def test_what_a_file_would_change_in_the_database_is_told_before(
    nachet: Nachet, workbench: Workbench, tmp_path: Path
) -> None:
    assert nachet("species", "diff").out == "nothing would change\n"
    workbench.run(workbench.stage(workbench.sample(sessions=2)))
    seeds = renamed(packaged_seeds(), "Bromus japonicus", "Bromus patulus")
    seeds = without(merged(seeds, "Brassica juncea", "Brassica napus"), "Lolium temulentum")
    file = table(tmp_path / "ours.csv", [*seeds, seed("Avena fatua")])
    told = nachet("species", "diff", file)
    assert (told.code, told.out.splitlines()) == (
        0,
        [
            "changed: Brassica napus",
            "renamed: Bromus japonicus to Bromus patulus",
            "added: Avena fatua",
            "retired: Lolium temulentum",
            "merged: Brassica juncea into Brassica napus, with 2 pictures",
        ],
    )
    lost = nachet("species", "diff", table(tmp_path / "few.csv", without(seeds, "Brassica napus")), "--json")
    assert lost.code == 1
    assert "2 pictures show it" in json.loads(lost.out)["conflicts"][0]
    assert nachet("species", "diff").out == "nothing would change\n"


# Other commands


def test_a_folder_is_checked_with_the_list_that_the_lab_gave_its_uploader(
    command: Nachet, workbench: Workbench, weeds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = workbench.sample()
    named = {"seedFamily": "Poaceae", "seedGenus": "Avena", "seedSpecies": "fatua"}
    edit(folder / "pictures/session1/index.yaml", "seedData", **named)
    assert command("validate", folder).code == 0
    monkeypatch.delenv("NACHET_SPECIES_FILE")
    assert "found Avena fatua" in command("validate", folder).out
    assert command("validate", folder, "--species", weeds).code == 0
    edit(folder / "pictures/session1/index.yaml", "seedData", seedSpecies="fatuaa")
    assert "did you mean Avena fatua?" in command("validate", folder, "--species", weeds).out


def test_a_project_is_begun_and_the_contract_printed_with_the_species_of_a_file(
    command: Nachet, weeds: Path, tmp_path: Path
) -> None:
    made = command("init", tmp_path / "p", "--email", "a@example.org", "--session", "one:wild oat:2:30:1")
    assert made.code == 0
    assert "seedSpecies: fatua" in (tmp_path / "p/pictures/one/index.yaml").read_text()
    assert "| *Avena fatua* | wild oat |" in command("contract").out
    table(weeds, many(301))
    assert "301 taxa are registered, too many to list here" in command("contract").out
    assert "301 taxons sont enregistrés" in command("contract", "--lang", "fr").out
