"""What was understood of an upload, as people read it in either language."""

import pytest

from nachet_pipeline.contract.understood import (
    SeedCount,
    UnderstoodSession,
    size_in_words,
    summary_of,
    understood_lines,
)
from nachet_pipeline_tests.contract.folders import LONE_SESSION_INDEX, Validate, project, session

NAPUS = UnderstoodSession(
    session="pictures/napus-day1",
    species="Brassica napus",
    zoom=30,
    seeds_per_picture=6,
    pictures=4,
    declared_pictures=4,
    described_pictures=1,
    size=2_130_544,
)
UNKNOWN = UnderstoodSession(session="pictures/day2", zoom=3.5, pictures=1, declared_pictures=3, size=900)


def test_the_table_has_a_line_for_each_session_and_a_question_mark_for_what_is_not_known() -> None:
    assert list(understood_lines([NAPUS, UNKNOWN])) == [
        "SESSION              SPECIES         ZOOM  SEEDS PER PICTURE  PICTURES         SIZE",
        "pictures/napus-day1  Brassica napus  30    6                  4 (1 with YAML)  2.1 MB",
        "pictures/day2        ?               3.5   ?                  1 (3 declared)   900 bytes",
    ]
    assert [" ".join(line.split()) for line in understood_lines([NAPUS, UNKNOWN], "fr")] == [
        "SESSION ESPÈCE ZOOM SEMENCES PAR IMAGE IMAGES TAILLE",
        "pictures/napus-day1 Brassica napus 30 6 4 (1 avec YAML) 2,1 Mo",
        "pictures/day2 ? 3,5 ? 1 (3 déclarées) 900 octets",
    ]


def test_of_an_upload_that_is_imported_in_part_the_sessions_that_are_not_are_marked() -> None:
    stored = NAPUS.model_copy(update={"imported": True})
    lines = ["".join(list(understood_lines([stored, UNKNOWN], language))) for language in ("en", "fr")]
    assert ["pictures/day2 (not imported) " in lines[0], "pictures/day2 (non importée) " in lines[1]] == [True, True]
    assert "napus-day1 (" not in lines[0]


def test_seeds_that_were_counted_stand_beside_those_declared() -> None:
    counted = SeedCount(pictures=4, declared=24, found=23, crops=23, differing=1)
    (_, english), (_, french) = (
        list(understood_lines([NAPUS.model_copy(update={"seeds": counted})], language)) for language in ("en", "fr")
    )

    assert english.endswith("  23 of 24; 1 picture differs")
    assert french.endswith("  23 sur 24; 1 image diffère")


def test_of_very_many_sessions_some_are_shown_and_the_others_counted() -> None:
    many = [NAPUS.model_copy(update={"session": f"pictures/{number:04}"}) for number in range(1_000)]

    lines = list(understood_lines(many, number_of_sessions=5_000))

    assert len(lines) == 22
    assert lines[-1] == "… 4980 more sessions"


@pytest.mark.parametrize(
    ("species", "english", "french"),
    [
        (["Brassica napus"], "1 session, 4 pictures of Brassica napus", "1 session, 4 images de Brassica napus"),
        (
            ["Brassica napus", "Avena fatua"],
            "2 sessions, 8 pictures of Brassica napus and Avena fatua",
            "2 sessions, 8 images de Brassica napus et d'Avena fatua",
        ),
        (
            ["A a", "B b", "C c"],
            "3 sessions, 12 pictures of A a, B b and C c",
            "3 sessions, 12 images d'A a, de B b et de C c",
        ),
        (
            ["B a", "B b", "B c", "B d", "B b"],
            "5 sessions, 20 pictures of B a, B b and 2 more species",
            "5 sessions, 20 images de B a, de B b et de 2 autres espèces",
        ),
        (["Brassica napus", None], "2 sessions, 8 pictures", "2 sessions, 8 images"),
    ],
)
def test_the_summary_names_sessions_pictures_and_species(species: list[str | None], english: str, french: str) -> None:
    summary = summary_of([NAPUS.model_copy(update={"species": one}) for one in species])

    assert (summary.en, summary.fr) == (english, french)


@pytest.mark.parametrize(
    ("size", "english", "french"),
    [
        (0, "0 bytes", "0 octets"),
        (999, "999 bytes", "999 octets"),
        (1_000, "1.0 kB", "1,0 ko"),
        (999_999, "1.0 MB", "1,0 Mo"),
        (65_400_000_000, "65.4 GB", "65,4 Go"),
    ],
)
def test_sizes_are_in_the_unit_that_people_compare(size: int, english: str, french: str) -> None:
    assert (size_in_words(size).en, size_in_words(size).fr) == (english, french)


def test_a_project_is_understood_session_by_session(validated: Validate) -> None:
    understood = validated(project()).validation.understood

    assert [(one.session, one.species, one.zoom, one.seeds_per_picture, one.pictures) for one in understood] == [
        ("pictures/session1", "Brassica napus", 30, 6, 2),
        ("pictures/session2", "Brassica juncea", 30, 6, 2),
    ]
    assert all(one.size and one.declared_pictures == 2 and not one.findings for one in understood)


def test_of_a_refused_folder_is_said_what_is_known_and_which_session_what_concerns(validated: Validate) -> None:
    files = project()
    index = "pictures/session2/index.yaml"
    files[index] = files[index].replace(b"juncea", b"junceaa")
    files["pictures/session1/1.tiff"] = b"no picture"
    files["notes.docx"] = b"seen today"

    validation = validated(files).validation

    first, second = validation.understood
    assert (first.species, first.pictures, second.species) == ("Brassica napus", 1, None)
    assert (first.findings, second.findings) == ({"picture-format": 1}, {"unregistered-seed": 1})
    assert validation.folder_findings == {"unexpected-file": 1}


def test_a_value_that_is_wrong_concerns_the_sessions_that_inherit_it(validated: Validate) -> None:
    files = project()
    files["index.yaml"] += b"seedData:\n  seedName: Brassica nappus\n"
    files["pictures/session2/index.yaml"] = b"imageData:\n  numberOfImages: 2\n"

    validation = validated(files).validation

    assert [one.findings for one in validation.understood] == [{}, {"unregistered-seed": 1}]
    assert validation.folder_findings == {}


def test_a_session_sent_alone_is_the_whole_folder(validated: Validate) -> None:
    (one,) = validated({**session(), "index.yaml": LONE_SESSION_INDEX}).validation.understood

    assert (one.session, one.name.en, one.name.fr) == ("", "the whole folder", "tout le dossier")
