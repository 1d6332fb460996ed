"""What the rules say of a folder before its pictures are read: seeds, counts, indexes, owners; once, and to whom."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.metadata import PictureMetadata, read_metadata
from nachet_pipeline.contract.rules.seed_registered import seed_findings
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.support.i18n import Bilingual
from nachet_pipeline_tests.contract.folders import Files, changed, project, session, without
from nachet_pipeline_tests.contract.judged import REGISTRY, Judged, judge

INDEX = "pictures/session1/index.yaml"
SEED = b"seedData:\n  seedFamily: Brassicaceae\n  seedGenus: Brassica\n  seedSpecies: napus\n"

Judge = Callable[..., Judged]


@pytest.fixture
def judged(tmp_path: Path) -> Judge:
    return lambda files, **options: judge(tmp_path / "upload", files, **options)


def _inheriting(seed: bytes) -> Files:
    """A project whose sessions inherit a seed."""
    files = changed(project(), INDEX, SEED, b"")
    files["pictures/session2/index.yaml"] = files[INDEX]
    files["index.yaml"] += seed
    return files


def _seed(written: str) -> Files:
    seed = "".join(f"  {line}\n" for line in written.split("; "))
    return changed(session(), "index.yaml", SEED, f"seedData:\n{seed}".encode())


def _words(phrase: Bilingual | None) -> str | None:
    return phrase.en if phrase else None


# Seeds


def test_sessions_that_inherit_a_wrong_seed_are_told_once_where_it_is_written(judged: Judge) -> None:
    finding = judged(_inheriting(b"seedData:\n  seedName: Brassica nappus\n")).only("unregistered-seed")

    assert (finding.path, finding.line, finding.column) == ("index.yaml", 9, 3)
    assert finding.sessions == ("pictures/session1", "pictures/session2")
    assert _words(finding.suggestion) == "Brassica napus"


def test_only_the_sessions_that_inherit_a_wrong_seed_are_concerned(judged: Judge) -> None:
    files = _inheriting(b"seedData:\n  seedName: Brassica nappus\n")
    files["pictures/session2/index.yaml"] += SEED

    assert judged(files).only("unregistered-seed").sessions == ("pictures/session1",)


def test_a_session_without_an_index_is_concerned_by_what_it_inherits(judged: Judge) -> None:
    files = without(_inheriting(b"seedData:\n  seedName: Brassica nappus\n"), INDEX)

    assert judged(files).only("unregistered-seed").sessions == ("pictures/session1", "pictures/session2")


def test_a_wrong_seed_of_a_session_concerns_the_session_that_its_file_lies_in(judged: Judge) -> None:
    finding = judged(changed(project(), INDEX, b"napus", b"nappus")).only("unregistered-seed")

    assert (finding.path, finding.sessions) == (INDEX, ())


@pytest.mark.parametrize(
    ("written", "found", "nearest"),
    [
        ("seedGenus: Brassica; seedSpecies: nappus", "Brassica nappus", "Brassica napus"),
        ("seedName: solanum nigrun", "solanum nigrun", "Solanum nigrum"),
        ("seedID: 14", "14", None),
        ("seedName: Xyz qwv", "Xyz qwv", None),
    ],
)
def test_a_misspelt_species_is_refused_with_the_nearest_registered_one(
    written: str, found: str, nearest: str | None, judged: Judge
) -> None:
    outcome = judged(_seed(written))

    finding = outcome.only("unregistered-seed")
    assert (_words(finding.found), _words(finding.suggestion)) == (found, nearest)
    assert finding.expected == Bilingual("a registered seed", "une semence enregistrée")
    assert outcome.codes == {"unregistered-seed"}


@pytest.mark.parametrize("species", ["rapa", "sp.", "nigra"])
def test_another_species_of_a_registered_genus_is_never_suggested_and_those_registered_are_told(
    species: str, judged: Judge
) -> None:
    finding = judged(_seed(f"seedName: Brassica {species}")).only("unregistered-seed")

    assert finding.suggestion is None
    assert finding.found == Bilingual(
        f"Brassica {species}, which is another taxon than those registered of its genus"
        " (Brassica juncea, Brassica napus)",
        f"Brassica {species}, un autre taxon que ceux de son genre qui sont enregistrés"
        " (Brassica juncea, Brassica napus)",
    )


@pytest.mark.parametrize("genus", ["Brassica", "brassica", "BRASSICA"])
def test_a_full_name_written_as_the_species_repeats_its_genus_in_any_case(genus: str, judged: Judge) -> None:
    assert judged(_seed(f"seedGenus: {genus}; seedSpecies: Brassica napus")).findings == []


def test_two_names_of_different_species_contradict_each_other(judged: Judge) -> None:
    finding = judged(_seed("seedName: Brassica napus; seedGenus: Solanum; seedSpecies: nigrum")).only(
        "contradictory-seed"
    )

    assert finding.found == Bilingual("Brassica napus and Solanum nigrum", "Brassica napus et Solanum nigrum")


@pytest.mark.parametrize("family", ["Brassicaceae", "BRASSICACEAE", "brassicaceae"])
def test_the_registered_family_is_recognised_whatever_its_case(family: str, judged: Judge) -> None:
    assert judged(_seed(f"seedFamily: {family}; seedName: Brassica napus")).findings == []


@pytest.mark.parametrize(
    ("family", "meant"),
    [
        ("Cruciferae", "Brassicaceae"),
        ("Brassicacées", "Brassicaceae"),
        ("Brasicaceae", "Brassicaceae"),
        ("Poaceae", None),
        ("Asteraceae", None),
    ],
)
def test_another_family_is_warned_of_and_only_another_name_of_the_registered_one_is_to_be_replaced(
    family: str, meant: str | None, judged: Judge
) -> None:
    outcome = judged(_seed(f"seedFamily: {family}; seedName: brassica napus"))

    finding = outcome.only("other-family")
    assert outcome.codes == {"other-family"}
    assert (finding.field, finding.line) == ("seedData.seedFamily", 4)
    assert (_words(finding.found), _words(finding.suggestion)) == (family, meant)
    assert _words(finding.expected) == "Brassicaceae, for Brassica napus"


def test_the_family_of_a_seed_that_nobody_knows_is_not_judged(judged: Judge) -> None:
    assert judged(_seed("seedFamily: Poaceae; seedName: Xyz qwv")).codes == {"unregistered-seed"}


def test_a_family_that_sessions_inherit_is_told_once_with_them(judged: Judge) -> None:
    files = _inheriting(b"seedData:\n  seedFamily: Poaceae\n  seedName: Brassica napus\n")

    assert judged(files).only("other-family").sessions == ("pictures/session1", "pictures/session2")


def test_a_pictures_own_file_may_name_another_family_too() -> None:
    own = read_metadata(b"seedData: {seedFamily: Poaceae, seedName: Brassica napus}", "1.yaml", PictureMetadata)

    (finding,) = seed_findings(own.values, REGISTRY)

    assert (finding.code, finding.path, finding.line) == ("other-family", "1.yaml", 1)


# Counts


@pytest.mark.parametrize(("declared", "code"), [(3, "missing-picture"), (1, "surplus-picture")])
def test_a_sessions_own_count_concerns_the_session_that_its_file_lies_in(
    declared: int, code: str, judged: Judge
) -> None:
    finding = judged(changed(project(), INDEX, b"Images: 2", b"Images: %d" % declared)).only(code)

    assert (finding.path, finding.line, finding.sessions, finding.suggestion) == (INDEX, 2, (), None)
    assert _words(finding.found) == "2 pictures"


def test_a_count_that_all_sessions_inherit_may_be_right_for_one_and_wrong_for_another(judged: Judge) -> None:
    files = changed(project(), INDEX, b"imageData:\n  numberOfImages: 2\n", b"")
    files["index.yaml"] += b"imageData:\n  numberOfImages: 1\n"

    finding = judged(files).only("surplus-picture")

    assert (finding.path, finding.line, finding.sessions) == ("index.yaml", 9, ("pictures/session1",))
    assert finding.expected == Bilingual("1 picture in pictures/session1", "1 image dans pictures/session1")
    assert finding.found == Bilingual("2 pictures", "2 images")
    assert finding.advice == Bilingual(
        f"Write an imageData.numberOfImages of its own into {INDEX}, or correct the pictures.",
        f"Écrivez un imageData.numberOfImages propre à la session dans {INDEX}, ou corrigez les images.",
    )


def test_a_session_alone_is_not_named_by_its_path(judged: Judge) -> None:
    finding = judged(changed(session(), "index.yaml", b"Images: 2", b"Images: 3")).only("missing-picture")

    assert finding.expected == Bilingual("3 pictures in the session", "3 images dans la session")


def test_a_yaml_file_without_its_picture_is_told_of_one_of_its_session_only_where_no_other_can_be_meant(
    judged: Judge,
) -> None:
    files = {
        **project(),
        "pictures/session1/leaf_01.yaml": b"{}",
        "pictures/session1/leaf_02.tiff": b"1",
        "pictures/session2/petall_01.yaml": b"{}",
        "pictures/session2/petal_01.tiff": b"1",
        "pictures/session2/seed_b.yaml": b"{}",
        "pictures/session2/seed_a.tiff": b"1",
    }

    found = [one for one in judged(files).findings if one.code == "metadata-without-picture"]

    assert [(one.path, _words(one.suggestion)) for one in found] == [
        ("pictures/session1/leaf_01.yaml", None),
        ("pictures/session2/petall_01.yaml", "petal_01.yaml"),
        ("pictures/session2/seed_b.yaml", None),
    ]


# Indexes


@pytest.mark.parametrize(
    ("line", "field", "fr"),
    [
        (b"  numberOfImages: 2\n", "imageData.numberOfImages", "le nombre d'images de la session"),
        (b"  zoom: 30\n", "userData.zoom", "le zoom auquel les images ont été prises"),
        (b"  numberOfSeeds: 6\n", "userData.numberOfSeeds", "le nombre de semences par image"),
    ],
)
def test_a_value_that_is_given_nowhere_is_named_by_what_it_means(
    line: bytes, field: str, fr: str, judged: Judge
) -> None:
    finding = judged(changed(session(), "index.yaml", line, b"")).only("missing-key")

    assert (finding.path, finding.field) == ("index.yaml", field)
    assert finding.expected is not None
    assert finding.expected.fr == fr


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ("seedGenus: Brassica", Bilingual("only seedGenus", "seulement seedGenus")),
        ("seedFamily: Brassicaceae", Bilingual("only seedFamily", "seulement seedFamily")),
        ("seedGenus: ; seedSpecies: ", None),
    ],
)
def test_a_session_that_names_its_seed_in_part_is_told_what_is_missing(
    written: str, given: Bilingual | None, judged: Judge
) -> None:
    finding = judged(_seed(written)).only("missing-key")

    assert (finding.field, finding.found) == ("seedData", given)


@pytest.mark.parametrize("path", ["index.yaml", INDEX])
@pytest.mark.parametrize(
    ("added", "code"), [(b"a: [", "index-syntax"), (b"a: *x\n", "forbidden-yaml"), (b"--- b\n", "forbidden-yaml")]
)
def test_what_an_unreadable_index_may_have_said_is_not_called_missing(
    path: str, added: bytes, code: str, judged: Judge
) -> None:
    files = project()
    outcome = judged({**files, path: files[path] + added})

    assert outcome.only(code).path == path
    assert outcome.codes == {code}


def test_an_anchor_hides_nothing_of_what_an_index_says(judged: Judge) -> None:
    outcome = judged(changed(project(), INDEX, b"seedGenus: Brassica", b"seedGenus: &genus Brasica"))

    assert outcome.codes == {"forbidden-yaml", "unregistered-seed"}
    assert outcome.only("forbidden-yaml").field == "seedData.seedGenus"


# Uploaders


def test_a_session_that_names_somebody_else_is_refused_at_its_own_line(judged: Judge) -> None:
    files = project()
    files[INDEX] += b"clientData:\n  clientEmail: eve@example.org\n"

    finding = judged(files, owner=Owner(UUID(int=1), "ada@example.org")).only("not-the-owner")

    assert (finding.path, finding.line) == (INDEX, 8)
    assert (_words(finding.expected), _words(finding.found)) == ("ada@example.org", "eve@example.org")


# All of them


def _texts(finding: Finding) -> list[Bilingual]:
    return [text for text in (finding.expected, finding.found, finding.suggestion, finding.advice) if text]


def test_everything_that_is_said_of_a_messy_folder_is_said_in_both_languages(judged: Judge) -> None:
    files = {
        "index.yaml": b"userData: {zoom: near}\nclientData: {clientEmail: nobody}\nuploadData: {acceptValid: hm}\n",
        "pictures/s1/index.yaml": b"imageData: {numberOfImages: 9}\nseedData: {seedName: No such}\nweather: fine\n",
        "pictures/s1/1.tiff": b"1",
        "pictures/s1/2.tiff": b"",
        "pictures/s1/3.yaml": b"- list",
        "pictures/s1/ 4.tiff": b"1",
        "pictures/s1/more/5.tiff": b"1",
        "pictures/s2/1.png": b"1",
        "pictures/s2/index.yaml": b"userData:\n\tzoom: 3\n",
        "pictures/s3/index.yaml": b"a: &x 1\na: 2\n",
        "left/over.txt": b"1",
        "con.txt": b"1",
        ".hidden": b"1",
        "SHA256SUMS": b"nonsense\n",
    }

    outcome = judged(files)

    assert {
        "checksum-syntax",
        "duplicate-key",
        "empty-file",
        "empty-session",
        "forbidden-yaml",
        "hidden-file",
        "index-content",
        "index-syntax",
        "metadata-without-picture",
        "missing-key",
        "missing-picture",
        "unexpected-file",
        "unknown-key",
        "unregistered-seed",
        "unsafe-name",
        "unusual-name",
    } == outcome.codes
    english = {" the ", " of ", " in ", " and ", " with ", " is "}
    for finding in outcome.findings:
        for text in _texts(finding):
            assert text.en
            assert text.fr
            assert not any(word in f" {text.fr} " for word in english), text.fr
