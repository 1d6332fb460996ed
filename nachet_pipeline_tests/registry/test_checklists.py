"""Checklists in the forms in which GBIF and EPPO publish them; the taxa are real, the lists are made here."""

import json
import zipfile
from pathlib import Path

import pytest

from nachet_pipeline.registry.checklists import ListedTaxon, Wanted, parsed_name, read_checklist
from nachet_pipeline.registry.importing import ImportPlan, plan_import
from nachet_pipeline.registry.problems import RegistryError
from nachet_pipeline.registry.species_file import read_species
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.registries import seed, table

META = """\
<archive xmlns="http://rs.tdwg.org/dwc/text/">
  <core encoding="UTF-8" fieldsTerminatedBy="\\t" linesTerminatedBy="\\n" fieldsEnclosedBy="" ignoreHeaderLines="1"
      rowType="http://rs.tdwg.org/dwc/terms/Taxon">
    <files><location>Taxon.tsv</location></files>
    <id index="0"/>
    <field index="1" term="http://rs.tdwg.org/dwc/terms/acceptedNameUsageID"/>
    <field index="2" term="http://rs.tdwg.org/dwc/terms/scientificName"/>
    <field index="3" term="http://rs.tdwg.org/dwc/terms/scientificNameAuthorship"/>
    <field index="4" term="http://rs.gbif.org/terms/1.0/canonicalName"/>
    <field index="5" term="http://rs.tdwg.org/dwc/terms/taxonRank"/>
    <field index="6" term="http://rs.tdwg.org/dwc/terms/taxonomicStatus"/>
    <field index="7" term="http://rs.tdwg.org/dwc/terms/genus"/>
    <field term="http://rs.tdwg.org/dwc/terms/family" default="Poaceae"/>
  </core>
  <extension encoding="UTF-8" fieldsTerminatedBy="\\t" linesTerminatedBy="\\n" fieldsEnclosedBy="" ignoreHeaderLines="1"
      rowType="http://rs.gbif.org/terms/1.0/VernacularName">
    <files><location>VernacularName.tsv</location></files>
    <coreid index="0"/>
    <field index="1" term="http://rs.tdwg.org/dwc/terms/vernacularName"/>
    <field index="2" term="http://purl.org/dc/terms/language"/>
  </extension>
</archive>
"""
TAXA = """\
taxonID\tacceptedNameUsageID\tscientificName\tauthorship\tcanonicalName\ttaxonRank\ttaxonomicStatus\tgenus
2703627\t\tAvena fatua L.\tL.\tAvena fatua\tspecies\taccepted\tAvena
2703628\t2703627\tAvena hybrida Peterm.\tPeterm.\tAvena hybrida\tspecies\tsynonym\tAvena
2703629\t\tAvena sativa subsp. nuda (L.) Gillet\t(L.) Gillet\tAvena sativa nuda\tsubspecies\taccepted\tAvena
2703630\t\tAvena L.\tL.\tAvena\tgenus\taccepted\tAvena
2703631\t\tAvena "odd name\t\tAvena odd\tspecies\tdoubtful\tAvena
2703632\t\tPoa annua L.\tL.\tPoa annua\tspecies\taccepted\tPoa
2703633\t\tAveneae\t\tAveneae\ttribe\taccepted\t
"""
VERNACULAR = """\
taxonID\tvernacularName\tlanguage
2703627\twild oat\ten
2703627\tfolle avoine\tfra
2703627\tFlughafer\tde
2703632\tannual bluegrass\ten
"""
# A download of occurrences as a list of species: names have their authorship, and keys are those of the backbone.
SPECIES_LIST = """\
taxonKey\tscientificName\tacceptedTaxonKey\tacceptedScientificName\tnumberOfOccurrences\ttaxonRank\ttaxonomicStatus\tkingdom\tfamily\tgenus\tspecies
2703627\tAvena fatua L.\t2703627\tAvena fatua L.\t12\tSPECIES\tACCEPTED\tPlantae\tPoaceae\tAvena\tAvena fatua
8000001\tAvena hybrida Peterm.\t2703627\tAvena fatua L.\t1\tSPECIES\tSYNONYM\tPlantae\tPoaceae\tAvena\tAvena fatua
8000002\tPoa crocea Michx.\t2704179\tPoa palustris L.\t1\tSPECIES\tSYNONYM\tPlantae\tPoaceae\tPoa\tPoa palustris
"""
# Of EPPO's flat file of plants.
PFLNAME = """\
identifier,datatype,code,lang,langno,preferred,status,creation,modification,country,fullname,authority,shortname
1,PFL,AVEFA,la,1,1,A,2000-01-01,,,Avena fatua,L.,
2,PFL,AVEFA,la,2,0,A,2000-01-01,,,Avena hybrida,Peterm.,
3,PFL,AVEFA,en,2,0,A,2000-01-01,,,spring wild oat,,
4,PFL,AVEFA,en,1,1,A,2000-01-01,,,common wild oat,,
5,PFL,AVEFA,fr,1,1,A,2000-01-01,,,folle avoine,,
6,PFL,AVEFA,de,1,1,A,2000-01-01,,,Flughafer,,
7,PFL,AVEOL,la,1,1,N,2000-01-01,,,Avena old,L.,
8,PFL,AVEST,la,1,1,A,2000-01-01,,,Avena sterilis,L.,
9,PFL,1AVEG,la,1,1,A,2000-01-01,,,Avena,L.,
10,PFL,1POAO,la,1,1,A,2000-01-01,,,Poales,Small,
11,PFL,TRZAX,la,1,1,A,2000-01-01,,,Triticum aestivum,L.,
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    file = tmp_path / "backbone.zip"
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("backbone/meta.xml", META)
        made.writestr("backbone/Taxon.tsv", TAXA)
        made.writestr("backbone/VernacularName.tsv", VERNACULAR)
    return file


def written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8-sig")
    return file


def names(taxa: list[ListedTaxon]) -> list[str]:
    return [taxon.seed_terms()["scientificName"] for taxon in taxa]


def plan(tmp_path: Path, taxa: list[ListedTaxon], *, complete: bool = False) -> ImportPlan:
    """What importing does to a registry of Avena fatua and Poa pratensis."""
    fatua = seed("Avena fatua", family="Poaceae", synonyms=["Avena japonica"])
    meadow = seed("Poa pratensis", family="Poaceae", vernacularNames={"en": ["wild oat"]}, synonyms=["Poa crocea"])
    return plan_import(read_species((table(tmp_path / "ours.csv", [fatua, meadow]),)), taxa, complete=complete)


# Reading


def test_an_archive_has_taxa_of_several_ranks_with_synonyms_and_vernacular_names(archive: Path) -> None:
    fatua, nuda, genus, poa = [taxon.seed_terms() for taxon in read_checklist(archive, Wanted())]
    assert fatua == {
        "scientificName": "Avena fatua",
        "scientificNameAuthorship": "L.",
        "family": "Poaceae",
        "genus": "Avena",
        "specificEpithet": "fatua",
        "taxonRank": "species",
        "synonyms": ["Avena hybrida"],
        "vernacularNames": {"en": ["wild oat"], "fr": ["folle avoine"]},
    }
    assert (nuda["scientificName"], nuda["infraspecificEpithet"]) == ("Avena sativa subsp. nuda", "nuda")
    assert (genus["scientificName"], genus["taxonRank"]) == ("Avena", "genus")
    assert poa["vernacularNames"] == {"en": ["annual bluegrass"]}


def test_what_is_wanted_is_taken_and_nothing_else(archive: Path) -> None:
    wanted = Wanted(genera=frozenset({"avena"}), ranks=frozenset({"species"}), gbif_keys=True)
    (fatua,) = read_checklist(archive, wanted)
    assert fatua.seed_terms()["gbifID"] == 2703627
    assert names(read_checklist(archive, Wanted(families=frozenset({"asteraceae"})))) == []


def test_a_species_list_of_gbif_has_accepted_names_though_only_synonyms_were_seen(tmp_path: Path) -> None:
    taxa = read_checklist(written(tmp_path / "list.csv", SPECIES_LIST), Wanted())
    fatua, palustris = [taxon.seed_terms() for taxon in taxa]
    assert (fatua["scientificName"], fatua["gbifID"], fatua["synonyms"]) == ("Avena fatua", 2703627, ["Avena hybrida"])
    assert fatua["scientificNameAuthorship"] == "L."
    assert (palustris["scientificName"], palustris["gbifID"]) == ("Poa palustris", 2704179)
    assert palustris["synonyms"] == ["Poa crocea"]


@pytest.mark.parametrize("zipped", [False, True])
def test_names_by_eppo_have_codes_and_both_languages(zipped: bool, tmp_path: Path) -> None:
    file = written(tmp_path / "pflname.txt", PFLNAME)
    if zipped:
        with zipfile.ZipFile(tmp_path / "bayer.zip", "w") as made:
            made.write(file, "pflname.txt")
            made.writestr("gainame.txt", "")
        file = tmp_path / "bayer.zip"
    taxa = read_checklist(file, Wanted(genera=frozenset({"avena"})))
    assert names(taxa) == ["Avena fatua", "Avena sterilis", "Avena"]
    fatua = taxa[0].seed_terms()
    assert (fatua["eppoCode"], fatua["synonyms"]) == ("AVEFA", ["Avena hybrida"])
    assert fatua["vernacularNames"] == {"en": ["common wild oat", "spring wild oat"], "fr": ["folle avoine"]}


@pytest.mark.parametrize(
    ("text", "name", "authorship"),
    [
        ("Avena fatua L.", "Avena fatua", "L."),
        ("Avena fatua", "Avena fatua", ""),
        ("Brassica juncea (L.) Czern.", "Brassica juncea", "(L.) Czern."),
        ("Avena sativa subsp. nuda (L.) Gillet & Magne", "Avena sativa subsp. nuda", "(L.) Gillet & Magne"),
        ("Mentha \u00d7 piperita L.", "Mentha \u00d7 piperita", "L."),
        (
            "Solanum nigrum var. humile (Bernh. ex Willd.) C.Y.Wu",
            "Solanum nigrum var. humile",
            "(Bernh. ex Willd.) C.Y.Wu",
        ),
        ("Capsella bursa-pastoris (L.) Medik.", "Capsella bursa-pastoris", "(L.) Medik."),
        ("Poaceae Barnhart", "Poaceae", "Barnhart"),
        ("Rosa canina de Candolle", "Rosa canina", "de Candolle"),
        ("Avena sativa L. subsp. nuda (L.) Gillet", "Avena sativa subsp. nuda", "(L.) Gillet"),
        ("Linum usitatissimum L. f.", "Linum usitatissimum", "L. f."),
        ("Avena fatua sensu Smith", "Avena fatua", "sensu Smith"),
        ("\u00d7 Triticosecale rimpaui Wittm.", "\u00d7 Triticosecale rimpaui", "Wittm."),
    ],
)
def test_a_name_is_read_without_its_authorship(text: str, name: str, authorship: str) -> None:
    assert parsed_name(text) == (name, authorship)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", "a,b\n1,2\n", "expected a table of taxa with a column scientificName"),
        ("x.csv", "", "expected a table of taxa with a column scientificName"),
        ("x.zip", {"a.txt": "", "b.txt": ""}, "expected a zip with meta.xml or pflname.txt"),
        ("x.zip", {"meta.xml": "<archive"}, "cannot be read: unclosed token"),
        ("x.zip", {"meta.xml": META}, "meta.xml names a file that is not there, 'Taxon.tsv'"),
        ("x.zip", {"meta.xml": META.replace('index="0"', 'index="x"'), "Taxon.tsv": ""}, "cannot be read: invalid"),
        ("x.zip", {"meta.xml": META.replace("UTF-8", "odd"), "Taxon.tsv": TAXA}, "cannot be read: "),
        ("x.zip", {"meta.xml": "<!DOCTYPE x [<!ENTITY a 'b'>]><archive/>"}, "meta.xml has a document type"),
    ],
)
def test_what_is_no_checklist_is_told(name: str, content: str | dict[str, str], said: str, tmp_path: Path) -> None:
    file = tmp_path / name
    if isinstance(content, str):
        file.write_text(content)
    else:
        with zipfile.ZipFile(file, "w") as made:
            for inside, text in content.items():
                made.writestr(inside, text)
    with pytest.raises(RegistryError) as refused:
        read_checklist(file, Wanted())
    assert f"{file}: " in str(refused.value)
    assert said in str(refused.value)


def test_a_cultivar_or_a_taxon_of_another_rank_is_not_taken_for_its_species(tmp_path: Path) -> None:
    rows = ["Brassica oleracea convar. botrytis", "Brassica oleracea 'Romanesco'", "Brassica oleracea L'H\u00e9r."]
    text = "scientificName,family\n" + "".join(f"{row},Brassicaceae\n" for row in rows)
    (taxon,) = read_checklist(written(tmp_path / "list.csv", text), Wanted())
    assert taxon.terms["scientificNameAuthorship"] == "L'H\u00e9r."
    line = "9,PFL,BRSOK,la,1,{},A,,,,{},{},\n"
    flat = PFLNAME + line.format(1, "Brassica oleracea var. viridis", "L.")
    for name, author in (("convar. acephala", "L."), ("", "auct. non L.")):
        flat += line.format(0, f"Brassica oleracea {name}", author)
    *_, kale = read_checklist(written(tmp_path / "pflname.txt", flat + "10,PFL\n"), Wanted())
    assert (kale.terms["eppoCode"], kale.synonyms) == ("BRSOK", [])


# Importing


def test_an_import_adds_what_is_new_and_drops_names_that_mean_another_species(tmp_path: Path, archive: Path) -> None:
    done = plan(tmp_path, read_checklist(archive, Wanted()))
    assert [one.scientific_name for one in done.added] == ["Avena sativa subsp. nuda", "Avena", "Poa annua"]
    assert (done.known, done.completed, done.skipped) == (1, [], [])
    palustris = plan(tmp_path, read_checklist(written(tmp_path / "list.csv", SPECIES_LIST), Wanted()))
    (added,) = palustris.added
    assert (added.scientific_name, added.synonyms) == ("Poa palustris", ())
    assert palustris.dropped == [("Poa crocea", "no name of Poa palustris: Poa pratensis has it")]


def test_an_import_completes_what_is_registered_only_if_it_is_to_and_changes_nothing_that_is_said(
    tmp_path: Path,
) -> None:
    taxa = read_checklist(written(tmp_path / "pflname.txt", PFLNAME), Wanted())
    assert plan(tmp_path, taxa).completed == []
    done = plan(tmp_path, taxa, complete=True)
    ((entry, fatua),) = done.completed
    assert (entry.line, fatua.eppo_code, fatua.scientific_name_authorship) == (2, "AVEFA", "L.")
    assert fatua.synonyms == ("Avena japonica", "Avena hybrida")
    assert fatua.vernacular_names.fr == ("folle avoine",)
    assert [one.scientific_name for one in done.added] == ["Avena sterilis", "Avena"]
    assert done.skipped == [
        ("Triticum aestivum", "no family is stated, and no other taxon of its genus is registered"),
    ]


def test_an_entry_of_yaml_is_completed_by_hand(tmp_path: Path) -> None:
    ours = written(tmp_path / "ours.yaml", _YAML)
    taxa = read_checklist(written(tmp_path / "pflname.txt", PFLNAME), Wanted())
    done = plan_import(read_species((ours,)), taxa, complete=True)
    assert (done.known, done.completed) == (1, [])
    assert done.skipped[-1] == ("Avena fatua", f"{ours} is no table, so it is completed by hand")


_YAML = "- scientificName: Avena fatua\n  family: Poaceae\n  genus: Avena\n  specificEpithet: fatua\n"


def test_a_taxon_whose_name_or_code_another_one_has_is_left_out(tmp_path: Path) -> None:
    header = "scientificName,family,gbifID,eppoCode,synonyms\n"
    rows = "Avena japonica,Poaceae,,,\nAvena nova,Poaceae,5,,=x\nAvena altera,Poaceae,5,,\nAvena tertia,Poaceae,,a,\n"
    done = plan(tmp_path, read_checklist(written(tmp_path / "list.csv", header + rows), Wanted()))
    assert [one.scientific_name for one in done.added] == ["Avena nova"]
    assert [name for name, _ in done.skipped] == ["Avena japonica", "Avena altera", "Avena tertia"]
    assert done.skipped[0][1] == "the name 'Avena japonica' is taken by Avena fatua"
    assert done.skipped[1][1] == "the gbifID 5 is taken by Avena nova"
    assert "eppoCode: expected five or six" in done.skipped[2][1]
    assert done.dropped == [("=x", "no name of Avena nova: it has signs that no name has")]


def test_a_synonym_that_several_taxa_claim_is_given_to_none(tmp_path: Path) -> None:
    text = (
        "taxonID,acceptedNameUsageID,scientificName,family,taxonomicStatus\n1,,Avena fatua,Poaceae,accepted\n"
        "2,,Avena nova,Poaceae,accepted\n3,,Avena altera,Poaceae,accepted\n4,2,Avena vilis,Poaceae,synonym\n"
        "5,3,Avena vilis,Poaceae,synonym\n6,2,Avena pars,Poaceae,proparte synonym\n7,1,Avena altera,Poaceae,synonym\n"
    )
    done = plan(tmp_path, read_checklist(written(tmp_path / "list.csv", text), Wanted()), complete=True)
    assert [(one.scientific_name, one.synonyms) for one in done.added] == [("Avena nova", ()), ("Avena altera", ())]
    assert [why for _, why in done.dropped] == [
        "no name of Avena fatua: Avena altera has it",
        "no name of Avena nova: several taxa of the checklist have it",
        "no name of Avena altera: several taxa of the checklist have it",
    ]


def test_a_registry_begins_with_a_checklist_in_a_file_that_is_new(
    command: Nachet, archive: Path, tmp_path: Path
) -> None:
    ours = tmp_path / "ours"
    ours.mkdir()
    assert command("species", "import", archive, "--species", ours).out.startswith("4 added, ")
    table(ours / "added.csv", [seed("Avena fatua", family="Poaceae")]).rename(ours / "weeds.csv")
    assert command("species", "add", "Avena sterilis", "--species", ours).code == 0
    assert {one.family for one in read_species((ours,)).seeds} == {"Poaceae"}


def test_the_command_writes_the_file_once_and_says_before_what_it_would_write(
    command: Nachet, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = table(tmp_path / "ours.csv", [seed("Avena fatua", family="Poaceae")])
    ours.write_text(f"# Ours.\n{ours.read_text()}# To be checked:\n")
    monkeypatch.setenv("NACHET_SPECIES_FILE", str(ours))
    before = ours.read_text()

    tried = command("species", "import", archive, "--complete", "--gbif-keys", "--dry-run")
    assert tried.out.splitlines()[0] == "3 added, 1 completed, 1 known already"
    assert (tried.err, ours.read_text()) == ("nothing was written\n", before)

    done = command("species", "import", archive, "--complete", "--gbif-keys", "--json")
    assert [one["scientificName"] for one in json.loads(done.out)["added"]][-1] == "Poa annua"
    comment, header, fatua, checked, *added = ours.read_text().splitlines()
    assert [comment, header, checked] == [before.splitlines()[number] for number in (0, 1, 3)]
    assert "wild oat" in fatua
    assert len(added) == 3
    species = read_species((ours,)).seeds
    assert (species[0].gbif_id, species[0].synonyms) == (2703627, ("Avena hybrida",))

    written_once = ours.read_text()
    again = command("species", "import", archive, "--complete", "--gbif-keys")
    assert again.out.splitlines() == ["0 added, 0 completed, 4 known already"]
    assert ours.read_text() == written_once


def test_what_one_deployment_exports_another_imports(command: Nachet, tmp_path: Path) -> None:
    exported = tmp_path / "theirs.csv"
    command("species", "export", exported)
    ours = table(tmp_path / "ours.csv", [seed("Avena fatua", family="Poaceae")])
    assert command("species", "import", exported, "--species", ours).code == 0
    theirs = {one.scientific_name: one for one in read_species().seeds}
    for one in read_species((ours,)).seeds[1:]:
        assert one == theirs[one.scientific_name].model_copy(update={"misspellings": ()})
