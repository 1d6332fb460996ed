"""The same photograph under two species: found, told to whom it concerns, settled by whatever settles it."""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest

from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.contract.report import Report
from nachet_pipeline.contract.shown import Shown
from nachet_pipeline.contract.stored import Candidate
from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.database.logins import Role, make_login
from nachet_pipeline.identifiers import seed_id
from nachet_pipeline.local.sample import sample_picture
from nachet_pipeline.picture_sets.labels import (
    OTHER_LABELS,
    UndecidableLabelError,
    conflict_standing,
    decide_label,
    doubts,
    labels,
    labels_query,
    undecide_label,
)
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.training.queries import withdraw
from nachet_pipeline.uploads.importing import ImportOutcome
from nachet_pipeline.uploads.queries import find_upload
from nachet_pipeline_tests.folders.kept import folder_id, keeper
from nachet_pipeline_tests.labelled import (
    ARVENSE,
    JUNCEA,
    NAPUS,
    decided,
    import_as,
    import_sessions,
    in_conflict,
    photograph,
    picture_of,
)
from nachet_pipeline_tests.registries import load, merged
from nachet_pipeline_tests.workbench import Workbench

ONE = {"1.png": photograph(1)}
BY = {"by": "ann@example.org", "why": "asked"}


def told(outcome: ImportOutcome) -> dict[str, tuple[str, str]]:
    """By place what is said of labels, in English and French."""
    assert outcome.validation is not None
    return {
        group.places[0].path: (group.found.en, group.found.fr)
        for group in outcome.validation.report.groups
        if group.code == "label-conflict" and group.found
    }


def species(bench: Workbench, session: str) -> list[tuple[str, str]]:
    rows = bench.query(
        "select p.name as picture, seeds.name from pictures p join picture_set s on s.id = p.picture_set_id"
        " join picture_seed l on l.picture_id = p.id join seeds on seeds.id = l.seed_id where s.name = %s order by 1",
        session,
    )
    return [(row["picture"], row["name"]) for row in rows]


def another(bench: Workbench) -> Workbench:
    return bench.another_user(f"{uuid4().hex}@example.org")


# Found and told


def test_the_same_files_in_a_second_folder_as_another_species_are_told_and_nothing_flips(workbench: Workbench) -> None:
    import_as(workbench, "spring", "east", NAPUS, {"1.png": photograph(1), "2.png": photograph(2)})

    outcome = import_as(workbench, "summer", "west", JUNCEA, {"1.png": photograph(1), "3.png": photograph(3)})

    place, lieu = "in your folder spring, session pictures/east", "dans votre dossier spring, session pictures/east"
    assert told(outcome) == {
        "pictures/west/1.png": (
            f"Brassica juncea here; the same file is stored as Brassica napus, {place}",
            f"Brassica juncea ici; le même fichier est enregistré comme Brassica napus, {lieu}",
        )
    }
    report = cast(Report, workbench.receipt(outcome.upload).report)
    assert report.importable
    assert report.codes["label-conflict"] == 1
    assert report.severity_of("label-conflict") is Severity.WARNING
    assert species(workbench, "east") == [("1.png", NAPUS), ("2.png", NAPUS)]
    assert species(workbench, "west") == [("1.png", JUNCEA), ("3.png", JUNCEA)]
    ((one, other),) = in_conflict(workbench)
    assert {(one.place, one.species), (other.place, other.species)} == {
        ("spring/pictures/east/1.png", (NAPUS,)),
        ("summer/pictures/west/1.png", (JUNCEA,)),
    }
    # Importing the first again neither flips anything back nor ends the conflict.
    again = import_as(
        workbench, "spring", "east", NAPUS, {"1.png": photograph(1), "2.png": photograph(2)}, replace=True
    )
    assert list(told(again)) == ["pictures/east/1.png"]
    assert species(workbench, "west") == [("1.png", JUNCEA), ("3.png", JUNCEA)]
    assert len(in_conflict(workbench)) == 1


def test_two_users_with_the_same_photograph_are_told_of_the_species_and_not_of_each_other(workbench: Workbench) -> None:
    import_as(workbench, "secret place", "east", NAPUS, ONE)

    outcome = import_as(another(workbench), "theirs", "west", JUNCEA, ONE)

    assert told(outcome) == {
        "pictures/west/1.png": (
            "Brassica juncea here; the same file is stored as Brassica napus",
            "Brassica juncea ici; le même fichier est enregistré comme Brassica napus",
        )
    }
    receipt = workbench.blobs.read(outcome.upload.staging_container, "theirs.receipt.json").decode()
    for secret in (workbench.user.email, "secret place", "east"):
        assert secret not in receipt
    assert len(in_conflict(workbench)) == 1


def test_equal_pixels_in_another_file_are_the_same_photograph(workbench: Workbench) -> None:
    import_as(workbench, "spring", "east", NAPUS, ONE)

    outcome = import_as(workbench, "summer", "west", JUNCEA, {"1.tiff": photograph(1, "TIFF")})

    ((english, _),) = told(outcome).values()
    assert english.startswith(
        "Brassica juncea here; the same pixels are stored as Brassica napus, in your folder spring"
    )
    assert len(in_conflict(workbench)) == 1


def test_two_sessions_of_one_folder_are_told_of_each_other(workbench: Workbench) -> None:
    outcome = import_sessions(
        workbench,
        "spring",
        {"east": (NAPUS, ONE), "west": (JUNCEA, {"5.png": photograph(5), "6.tiff": photograph(1, "TIFF")})},
    )

    assert told(outcome) == {
        "pictures/west/6.tiff": (
            "Brassica juncea here; pictures/east/1.png, the same pixels, is Brassica napus",
            "Brassica juncea ici; pictures/east/1.png, les mêmes pixels, est Brassica napus",
        )
    }
    assert len(in_conflict(workbench)) == 1


def test_the_same_photograph_twice_under_one_species_is_no_conflict(workbench: Workbench) -> None:
    import_as(workbench, "spring", "east", NAPUS, ONE)

    outcome = import_as(another(workbench), "summer", "west", NAPUS, {"2.tiff": photograph(1, "TIFF"), **ONE})

    assert told(outcome) == {}
    assert in_conflict(workbench) == []


def test_looks_alike_under_two_species_are_doubts_and_no_conflict(workbench: Workbench) -> None:
    import_as(workbench, "spring", "east", NAPUS, ONE)

    outcome = import_as(workbench, "summer", "west", JUNCEA, {"1.jpeg": photograph(1, "JPEG")})

    assert told(outcome) == {}
    assert in_conflict(workbench) == []
    with workbench.database.reading() as connection:
        ((one, other, bits),) = doubts(connection)
    assert {one.species, other.species} == {(NAPUS,), (JUNCEA,)}
    assert bits <= 12
    decided(workbench, other.picture, one.species[0])
    with workbench.database.reading() as connection:
        assert list(doubts(connection)) == []


# Settled


@pytest.fixture
def torn(workbench: Workbench) -> Workbench:
    """A photograph under two species, in two folders of one user; the second has another picture besides."""
    import_as(workbench, "spring", "east", NAPUS, ONE)
    import_as(workbench, "summer", "west", JUNCEA, {**ONE, "2.png": photograph(2)})
    assert len(in_conflict(workbench)) == 1
    return workbench


def test_correcting_the_species_settles_it_without_a_word_about_what_it_corrects(torn: Workbench) -> None:
    outcome = import_as(torn, "summer", "west", NAPUS, {**ONE, "2.png": photograph(2)}, replace=True)

    assert told(outcome) == {}
    assert in_conflict(torn) == []


def test_deleting_a_folder_settles_it_and_bringing_it_back_opens_it_again(torn: Workbench) -> None:
    folder = folder_id(torn, "west")
    keeper(torn).delete(folder, **BY)
    assert in_conflict(torn) == []

    keeper(torn).undo(folder, **BY)

    assert len(in_conflict(torn)) == 1


def test_archiving_a_folder_changes_nothing(torn: Workbench) -> None:
    keeper(torn).archive(folder_id(torn, "west"), **BY)

    assert len(in_conflict(torn)) == 1


def test_withdrawing_either_picture_settles_it(torn: Workbench) -> None:
    with torn.database.connection() as connection:
        withdraw(connection, picture_of(torn, "west"), **BY)

    assert in_conflict(torn) == []


def test_a_picture_that_was_superseded_is_under_no_species(torn: Workbench) -> None:
    torn.query("update pictures set superseded_at = now() where id = %s", picture_of(torn, "west"))

    assert in_conflict(torn) == []
    assert told(import_as(torn, "autumn", "north", NAPUS, ONE)) == {}


def test_merging_the_two_species_settles_it(torn: Workbench) -> None:
    # Before its links are moved, and after.
    part_of = "update seeds set merged_into = %s, active = %s where id = %s"
    torn.query(part_of, seed_id(JUNCEA), False, seed_id(NAPUS))
    assert in_conflict(torn) == []
    torn.query(part_of, None, True, seed_id(NAPUS))
    assert len(in_conflict(torn)) == 1

    load(torn, merged(list(packaged_seeds()), NAPUS, JUNCEA))

    assert in_conflict(torn) == []


def test_a_decision_settles_it_for_every_picture_there_is_or_will_be_and_is_taken_back(torn: Workbench) -> None:
    picture = picture_of(torn, "west")

    done = decided(torn, picture, "brassica NAPUS")

    assert (done.species, done.before, done.new) == (NAPUS, None, True)
    assert {one.place for one in done.pictures} == {"spring/pictures/east/1.png", "summer/pictures/west/1.png"}
    assert in_conflict(torn) == []
    assert species(torn, "west")[0] == ("1.png", JUNCEA)  # what its uploader said stays said
    third = import_as(another(torn), "autumn", "north", ARVENSE, {"1.tiff": photograph(1, "TIFF")})
    assert told(third) == {}
    assert in_conflict(torn) == []

    with torn.database.connection() as connection:
        undone = undecide_label(connection, picture_of(torn, "north", "1.tiff"), **BY)

    assert (undone.species, undone.before) == (None, NAPUS)
    ((*pictures,),) = in_conflict(torn)
    assert {one.species for one in pictures} == {(NAPUS,), (JUNCEA,), (ARVENSE,)}


def test_deciding_again_replaces_what_was_decided_and_the_trail_has_both(torn: Workbench) -> None:
    picture = picture_of(torn, "east")
    decided(torn, picture, NAPUS)
    assert not decided(torn, picture, NAPUS).new

    again = decided(torn, picture_of(torn, "west"), JUNCEA)

    assert (again.species, again.before, again.new) == (JUNCEA, NAPUS, True)
    assert torn.query("select count(*) from label_decision") == [{"count": 1}]
    trail = torn.query("select * from audit_trail where subject = 'label of a photograph' order by id")
    assert [(row["actor"], row["action"], row["subject_id"]) for row in trail] == [
        ("ann@example.org", "decided", picture),
        ("ann@example.org", "decided", picture_of(torn, "west")),
    ]
    assert trail[1]["before"] == {"species": NAPUS, "why": "looked at it"}
    assert trail[1]["after"]["species"] == JUNCEA
    assert trail[1]["after"]["sha256"] == [hashlib.sha256(photograph(1)).hexdigest()]


def test_a_picture_that_was_not_measured_is_decided_of_with_all_that_share_its_file_or_pixels(torn: Workbench) -> None:
    import_as(torn, "autumn", "north", JUNCEA, {"1.tiff": photograph(1, "TIFF")})
    torn.query("update pictures set pixel_sha256 = null where id = %s", picture_of(torn, "west"))

    decided(torn, picture_of(torn, "west"), NAPUS)

    assert in_conflict(torn) == []


# A crop that is sent as a picture


@pytest.fixture
def cut(workbench: Workbench) -> bytes:
    """The file of a crop of a stored picture; the picture shows two seeds of napus."""
    large = sample_picture(1, seeds=2, width=320, height=240, picture_format="png")
    outcome = import_as(workbench, "spring", "east", NAPUS, {"1.png": large})
    with CroppingPool(workbench.pool.settings) as pool:
        cropper = workbench.cropper(pool)
        cropper.crop(workbench.now(outcome.upload))
    first, _second = workbench.query("select blob from pictures where parent is not null order by name")
    return workbench.blobs.read(workbench.user.user_container, str(first["blob"]))


def test_a_crop_sent_as_a_picture_of_another_species_is_told_and_in_conflict_with_what_it_was_cut_from(
    workbench: Workbench, cut: bytes
) -> None:
    outcome = import_as(workbench, "summer", "west", JUNCEA, {"9.tiff": cut})

    ((english, _),) = told(outcome).values()
    assert english.startswith("Brassica juncea here; the same file is stored as Brassica napus, in your folder spring")
    ((one, other),) = in_conflict(workbench)
    assert {(one.place, one.species), (other.place, other.species)} == {
        ("spring/pictures/east/1.png", (NAPUS,)),
        ("summer/pictures/west/9.tiff", (JUNCEA,)),
    }
    assert told(import_as(workbench, "autumn", "north", NAPUS, {"8.tiff": cut})).keys() == {"pictures/north/8.tiff"}


def test_a_crop_sent_as_a_picture_of_the_same_species_is_no_conflict(workbench: Workbench, cut: bytes) -> None:
    assert told(import_as(workbench, "summer", "west", NAPUS, {"9.tiff": cut})) == {}
    assert in_conflict(workbench) == []


@pytest.mark.parametrize("session", ["east", "west"])
@pytest.mark.parametrize("species", [NAPUS, JUNCEA, ARVENSE])
def test_deciding_of_either_settles_what_was_cut_and_what_it_was_cut_from(
    workbench: Workbench, cut: bytes, session: str, species: str
) -> None:
    import_as(workbench, "summer", "west", JUNCEA, {"9.tiff": cut})
    east, west = picture_of(workbench, "east"), picture_of(workbench, "west", "9.tiff")

    done = decided(workbench, east if session == "east" else west, species)

    assert in_conflict(workbench) == []
    assert {one.picture for one in done.pictures} == {east, west}
    with workbench.database.reading() as connection:
        assert {row["seed_id"] for row in connection.execute("select seed_id from label_decided")} == {seed_id(species)}
        assert {one for _, one in labels(connection).decided} == {str(seed_id(species))}
        assert len(labels(connection).decided) == 4  # both, and the two crops
    # What comes later is under it as well.
    assert told(import_as(another(workbench), "autumn", "north", ARVENSE, {"8.tiff": cut})) == {}
    assert in_conflict(workbench) == []
    assert not decided(workbench, east, species).new
    with workbench.database.connection() as connection:
        undecide_label(connection, west, **BY)
    assert len(in_conflict(workbench)) == 1
    assert workbench.query("select * from label_decision") == []


def test_a_crop_sent_as_a_picture_of_unknown_seeds_waits_for_no_name_if_its_photograph_was_decided_of(
    workbench: Workbench, cut: bytes
) -> None:
    decided(workbench, picture_of(workbench, "east"), JUNCEA)

    outcome = import_as(workbench, "summer", "west", "unknown", {"9.tiff": cut})

    assert workbench.query("select * from unnamed_picture") == []
    assert outcome.receipt.waiting == 0


def test_a_picture_that_comes_after_its_crop_was_decided_of_is_in_conflict_until_it_is_decided_of_as_well(
    workbench: Workbench, cut: bytes
) -> None:
    """The decision was about the small picture: the large one may show another seed beside it."""
    workbench.query("truncate pictures cascade")
    import_as(workbench, "summer", "west", JUNCEA, {"9.tiff": cut})
    west = picture_of(workbench, "west", "9.tiff")
    decided(workbench, west, JUNCEA)
    large = sample_picture(1, seeds=2, width=320, height=240, picture_format="png")
    outcome = import_as(workbench, "autumn", "north", NAPUS, {"1.png": large})
    with CroppingPool(workbench.pool.settings) as pool:
        workbench.cropper(pool).crop(workbench.now(outcome.upload))

    ((one, other),) = in_conflict(workbench)

    assert {one.species, other.species} == {(NAPUS,), (JUNCEA,)}
    again = decided(workbench, west, JUNCEA)
    assert again.new
    assert in_conflict(workbench) == []


def test_cutting_a_picture_otherwise_ends_no_conflict_with_what_was_cut_from_it(
    workbench: Workbench, cut: bytes
) -> None:
    import_as(workbench, "summer", "west", JUNCEA, {"9.tiff": cut})
    (upload,) = workbench.query("select upload_id from picture_set where name = 'east'")
    settings = workbench.settings.crop.model_copy(update={"crop_margin_percent": 30})
    with workbench.database.connection() as connection:
        east = find_upload(connection, upload["upload_id"])
    assert east is not None
    with CroppingPool(workbench.pool.settings) as pool:
        workbench.cropper(pool, settings=settings).crop(east)
    file = hashlib.sha256(cut).digest()
    assert workbench.query(
        "select superseded_at is not null as gone from pictures where parent is not null and sha256 = %s", file
    ) == [{"gone": True}]

    assert len(in_conflict(workbench)) == 1
    assert told(import_as(workbench, "autumn", "north", ARVENSE, {"8.tiff": cut})).keys() == {"pictures/north/8.tiff"}
    # With the picture itself its crops are gone, however they were cut.
    keeper(workbench).delete(folder_id(workbench, "east"), **BY)
    keeper(workbench).delete(folder_id(workbench, "west"), **BY)
    assert in_conflict(workbench) == []
    assert told(import_as(workbench, "winter", "south", ARVENSE, {"7.tiff": cut})) == {}


def test_what_is_cut_from_a_picture_that_was_decided_of_is_told_to_nobody_however_often_it_is_sent(
    workbench: Workbench, cut: bytes
) -> None:
    decided(workbench, picture_of(workbench, "east"), NAPUS)

    for folder, session, name in (("summer", "west", JUNCEA), ("autumn", "north", ARVENSE)):
        assert told(import_as(workbench, folder, session, name, {"9.tiff": cut})) == {}

    assert in_conflict(workbench) == []


@dataclass
class _Undecidable:
    picture: Callable[[Workbench], UUID]
    species: str
    said: str


@pytest.mark.parametrize(
    "case",
    [
        _Undecidable(lambda _bench: UUID(int=1), NAPUS, "there is no picture"),
        _Undecidable(lambda bench: picture_of(bench, "east"), "Brassica nappus", "did you mean Brassica napus?"),
    ],
    ids=["picture", "species"],
)
def test_what_cannot_be_decided_is_said_and_changes_nothing(torn: Workbench, case: _Undecidable) -> None:
    with pytest.raises(UndecidableLabelError, match=case.said.replace("?", r"\?")), torn.database.connection() as c:
        decide_label(c, case.picture(torn), case.species, **BY)
    with pytest.raises(UndecidableLabelError, match="nothing was decided"), torn.database.connection() as c:
        undecide_label(c, picture_of(torn, "east"), **BY)
    assert torn.query("select * from label_decision") == []


WALKED = """
with recursive reached (id, parent, sha256, pixel_sha256, decision) as (
    select p.id, p.parent, p.sha256, p.pixel_sha256, d.sha256 from label_decision d
        join pictures p on p.sha256 = d.sha256 or p.pixel_sha256 = d.pixel_sha256
    union
    select found.*, reached.decision from reached cross join lateral (
        select id, parent, sha256, pixel_sha256 from pictures p
            where p.parent = reached.id or p.sha256 = reached.sha256 or p.pixel_sha256 = reached.pixel_sha256
    ) found
)
select distinct on (reached.id) reached.id, d.seed_id
from reached join label_decision d on d.sha256 = reached.decision where reached.parent is null
order by reached.id, (reached.sha256 = d.sha256 or coalesce(reached.pixel_sha256 = d.pixel_sha256, false)) desc,
    d.decided_at desc, d.sha256
"""
"""From each decision to all that it reaches: pictures of equal content, and what is cut from them."""


@pytest.mark.parametrize("number", range(4))
def test_decisions_reach_what_equals_and_what_is_cut_whichever_way_it_is_asked(
    number: int, workbench: Workbench
) -> None:
    chance = random.Random(number)
    import_as(workbench, "spring", "east", NAPUS, ONE)
    seeds = [seed_id(one) for one in (NAPUS, JUNCEA, ARVENSE)]

    def content(what: str, most: int) -> bytes:
        return hashlib.sha256(f"{what} {chance.randrange(most)}".encode()).digest()

    wholes = [UUID(int=one) for one in range(1, 40)]
    crops = [UUID(int=one) for one in range(100, 140)]
    for one in [*wholes, *crops]:
        parent = None if one in wholes else chance.choice([*wholes, *(crop for crop in crops if crop < one)])
        with workbench.database.connection() as connection:
            connection.execute(
                # In a set of its own: no set has a file twice.
                "with made as (insert into picture_set (id, picture_set, owner_id, name, container_id, upload_id,"
                " digest) select %(one)s, picture_set, owner_id, name, container_id, upload_id, '' from picture_set"
                " where name = 'east' limit 1) insert into pictures (id, picture, picture_set_id, parent, nb_object,"
                " name, blob, sha256, size, format, width, height, pixel_sha256)"
                " values (%(one)s, '{}', %(one)s, %(parent)s, 1, 'x', %(one)s, %(file)s, 1, 'PNG', 1, 1, %(pixels)s)",
                {
                    "one": one,
                    "parent": parent,
                    "file": content("file", 60),
                    "pixels": content("pixels", 60) if chance.random() < 0.8 else None,
                },
            )
    for one in chance.sample([*wholes, *crops], 9):
        workbench.query(
            "insert into label_decision (sha256, pixel_sha256, seed_id, decided_by, why, decided_at)"
            " select sha256, pixel_sha256, %s, 'ann', 'seen', now() + interval '1 s' * %s from pictures where id = %s"
            " on conflict do nothing",
            chance.choice(seeds),
            chance.randrange(3),
            one,
        )

    walked = {row["id"]: row["seed_id"] for row in workbench.query(WALKED)}
    decided = {row["picture_id"]: row["seed_id"] for row in workbench.query("select * from label_decided")}
    asked = workbench.query("select id, seed_id from pictures cross join label_decision_of(id) where parent is null")

    assert decided == walked
    assert {row["id"]: row["seed_id"] for row in asked} == walked
    assert 9 <= len(walked) < len(wholes)


# In a database of many pictures


def test_conflicts_are_found_by_index_and_by_the_reader_too(torn: Workbench) -> None:
    picture_set = folder_id(torn, "east")
    torn.query(
        "insert into pictures (id, picture, picture_set_id, nb_object, name, blob, sha256, size, format, width, height,"
        " pixel_sha256) select gen_random_uuid(), '{}', %s, 1, 'x', n::text, sha256(n::text::bytea), 1, 'PNG', 1, 1,"
        " sha256(('pixels' || n)::bytea) from generate_series(1, 20000) n",
        picture_set,
    )
    with psycopg.connect(torn.database_url.get_secret_value(), autocommit=True) as connection:
        connection.execute("vacuum analyze pictures")
    (plan,) = torn.query("explain (format json) select * from label_conflict")
    nodes = list(_nodes(cast(Any, plan["QUERY PLAN"])[0]["Plan"]))
    by_index = {node["Index Name"] for node in nodes if "ANY" in node.get("Index Cond", "")}
    assert by_index == {
        "pictures_live_file",
        "pictures_live_pixels",
        # Of decisions, which are followed only where there are some.
        "pictures_sha256",
        "pictures_pixel_sha256",
    }

    with torn.database.connection() as connection:
        name = f"test_reader_{uuid4().hex[:12]}"
        make_login(connection, name, Role.READER, "a-password", by="a test")
    place = torn.database_url.get_secret_value().rpartition("@")[2]
    with psycopg.connect(f"postgresql://{name}:a-password@{place}") as reader:
        assert reader.execute("select count(*) from label_conflict").fetchone() == (2,)
        assert reader.execute("select count(*) from label_decided").fetchone() == (0,)
        assert reader.execute("select count(*) from unnamed_picture").fetchone() == (0,)
    torn.query(f'drop owned by "{name}"')
    torn.query(f'drop role "{name}"')
    with torn.database.reading() as connection:
        assert (conflict_standing(connection).photographs, conflict_standing(connection).pictures) == (1, 2)


def test_a_folder_is_compared_with_equal_pictures_and_not_with_all_that_are_stored(torn: Workbench) -> None:
    torn.query(
        "insert into pictures (id, picture, picture_set_id, nb_object, name, blob, sha256, size, format, width, height,"
        " pixel_sha256) select gen_random_uuid(), '{}', %s, 1, 'x', n::text, sha256(n::text::bytea), 1, 'PNG', 1, 1,"
        " sha256(('pixels' || n)::bytea) from generate_series(1, 2000) n",
        folder_id(torn, "east"),
    )
    asked = [
        Candidate(
            f"{n}.png", uuid4(), hashlib.sha256(b"new %d" % n).digest(), bytes(32), None, (Shown(seed_id(NAPUS)),)
        )
        for n in range(20)
    ]

    # PostgreSQL has not counted the rows yet.
    with torn.database.connection() as connection:
        (plan,) = connection.execute(
            f"explain (analyze, timing off, format json) {OTHER_LABELS}", labels_query(asked, owner=torn.user.id)
        ).fetchall()
    nodes = _nodes(cast(Any, plan["QUERY PLAN"])[0]["Plan"])
    read = [
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in nodes
        if node.get("Relation Name") == "pictures"
    ]
    assert read
    assert sum(read) < 100


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
