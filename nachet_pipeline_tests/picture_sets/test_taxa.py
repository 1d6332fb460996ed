"""Taxa that are no species, from an uploader's folder to what is stored of them."""

from typing import Any

import pytest

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.registry.seeds import Seed
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline_tests.registries import load
from nachet_pipeline_tests.workbench import Workbench, edit

TAXA = [
    Seed(scientific_name="Poaceae", family="Poaceae", taxon_rank="family"),
    Seed(scientific_name="Avena", family="Poaceae", genus="Avena", taxon_rank="genus"),
    Seed(
        scientific_name="Avena sativa subsp. nuda",
        family="Poaceae",
        genus="Avena",
        specific_epithet="sativa",
        infraspecific_epithet="nuda",
        taxon_rank="subspecies",
    ),
]


@pytest.mark.parametrize(
    ("named", "species", "terms"),
    [
        ({"seedGenus": "Avena", "seedSpecies": "sp."}, "Avena", {"dwc:genus": "Avena", "dwc:taxonRank": "genus"}),
        ({"seedName": "avena spp."}, "Avena", {"dwc:genus": "Avena", "dwc:taxonRank": "genus"}),
        ({"seedName": "Poaceae"}, "Poaceae", {"dwc:taxonRank": "family"}),
        (
            {"seedName": "Avena sativa subsp. nuda"},
            "Avena sativa subsp. nuda",
            {
                "dwc:genus": "Avena",
                "dwc:specificEpithet": "sativa",
                "dwc:infraspecificEpithet": "nuda",
                "dwc:taxonRank": "subspecies",
            },
        ),
    ],
)
def test_a_session_may_show_a_taxon_of_any_rank(
    named: dict[str, str], species: str, terms: dict[str, Any], workbench: Workbench
) -> None:
    load(workbench, [*packaged_seeds(), *TAXA])
    folder = workbench.sample()
    other = {"seedFamily": "Poaceae", "seedGenus": None, "seedSpecies": None}
    edit(folder / "pictures/session1/index.yaml", "seedData", **(other | named))

    outcome = workbench.run(workbench.stage(folder))

    assert outcome.receipt.state is State.IMPORTED
    (stored,) = workbench.query(
        "select picture_set -> 'terms' as terms, picture_set -> 'seed_data' as seed from picture_set"
    )
    assert stored["terms"].pop("dwc:identifiedBy")
    assert stored["terms"] == {"dwc:scientificName": species, "dwc:family": "Poaceae", **terms}
    assert stored["seed"]["seed_species"] == terms.get("dwc:specificEpithet")
    shown = workbench.query("select distinct name from seeds join picture_seed on seed_id = seeds.id")
    assert shown == [{"name": species}]


def test_a_genus_without_a_species_is_a_species_that_somebody_forgot(workbench: Workbench) -> None:
    load(workbench, [*packaged_seeds(), *TAXA])
    folder = workbench.sample()
    edit(folder / "pictures/session1/index.yaml", "seedData", seedFamily="Poaceae", seedGenus="Avena", seedSpecies=None)
    assert workbench.run(workbench.stage(folder)).receipt.state is State.REFUSED
