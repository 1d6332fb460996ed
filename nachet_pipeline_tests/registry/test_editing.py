from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nachet_pipeline.registry.editing import SpeciesFileError, write_seeds
from nachet_pipeline.registry.problems import RegistryError
from nachet_pipeline.registry.species_file import read_species
from nachet_pipeline_tests.registries import many, seed, table


def test_of_several_who_add_at_once_none_undoes_what_another_added(tmp_path: Path) -> None:
    file = table(tmp_path / "ours.csv", [seed("Avena fatua")])
    added = many(12)
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda one: write_seeds((file,), file, [one]), added))
    names = {one.scientific_name for one in read_species((file,)).seeds}
    assert names == {"Avena fatua", *(one.scientific_name for one in added)}
    assert list(tmp_path.iterdir()) == [file]


def test_a_change_that_contradicts_another_file_changes_none(tmp_path: Path) -> None:
    file = table(tmp_path / "ours.csv", [seed("Avena fatua")])
    other = table(tmp_path / "theirs.csv", [seed("Avena sativa")])
    before = file.read_bytes()
    with pytest.raises(RegistryError, match="the name 'Avena sativa' is taken by"):
        write_seeds((file, other), file, [seed("Poa annua"), seed("Avena sativa", registeredAs="x")])
    assert file.read_bytes() == before


def test_a_line_is_changed_and_the_cells_that_nobody_knows_stay(tmp_path: Path) -> None:
    file = tmp_path / "ours.csv"
    file.write_bytes("\ufefftaxonID;scientificName;family;synonyms\r\nw-1;Avena fatua;Poaceae;\r\n".encode())
    (entry,) = read_species((file,)).entries
    better = entry.seed.model_copy(update={"synonyms": ("Avena hybrida", "Avena; old")})
    write_seeds((file,), file, [], [(entry, better)])
    assert file.read_bytes().decode() == (
        '\ufefftaxonID;scientificName;family;synonyms\r\nw-1;Avena fatua;Poaceae;"Avena hybrida | Avena; old"\r\n'
    )


def test_a_line_that_somebody_changed_meanwhile_is_not_lost(tmp_path: Path) -> None:
    file = table(tmp_path / "ours.csv", [seed("Avena fatua"), seed("Avena sativa")])
    first, _ = read_species((file,)).entries
    better = first.seed.model_copy(update={"synonyms": ("Avena hybrida",)})
    table(file, [seed("Avena sterilis"), seed("Avena sativa")])
    before = file.read_bytes()
    with pytest.raises(SpeciesFileError, match="line 2 was changed meanwhile"):
        write_seeds((file,), file, [seed("Poa annua")], [(first, better)])
    assert file.read_bytes() == before


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone" / "ours.csv"
    with pytest.raises(SpeciesFileError, match="cannot be opened: No such file or directory"):
        write_seeds((gone,), gone, [seed("Avena fatua")])
