"""Pictures that are there already, found by index in PostgreSQL, and what operators decided about them."""

import hashlib
import io
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, cast
from uuid import UUID

import numpy as np
import pytest
from PIL import Image

from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.contract.duplicates import NEAR_BITS
from nachet_pipeline.contract.report import Report
from nachet_pipeline.contract.stored import Candidate, Match, Relation
from nachet_pipeline.picture_sets.duplicates import (
    FIND,
    Decision,
    DuplicatePair,
    OneFileError,
    UnknownPictureError,
    decide_pair,
    duplicate_pairs,
    duplicates_query,
    find_duplicates,
)
from nachet_pipeline.pictures.enrichment import ENRICHMENT_VERSION
from nachet_pipeline.pictures.perceptual_hash import hash_bands
from nachet_pipeline.uploads.queries import find_upload
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline_tests.workbench import Workbench, edit

_LOOKS = bytes(range(7, 39))


def _changed(looks: bytes, bits: Sequence[int]) -> bytes:
    number = int.from_bytes(looks, "big")
    for bit in bits:
        number ^= 1 << bit
    return number.to_bytes(32, "big")


@pytest.fixture
def stored(workbench: Workbench) -> UUID:
    """A picture set of the user's, for rows that a test writes itself."""
    upload = workbench.stage(workbench.sample("first", pictures=1, seed=99))
    assert workbench.run(upload).receipt.state == "imported"
    (row,) = workbench.query("select id from picture_set")
    return UUID(str(row["id"]))


def _insert(workbench: Workbench, picture_set: UUID, rows: Sequence[tuple[bytes, bytes, bytes | None]]) -> list[UUID]:
    """Rows of pictures with these SHA-256 of file and pixels, and looks."""
    identifiers = sorted(uuid.uuid4() for _ in rows)
    columns = "id, picture, picture_set_id, nb_object, name, blob, sha256, size, format, width, height"
    with (
        workbench.database.connection() as connection,
        connection.cursor() as cursor,
        cursor.copy(f"copy pictures ({columns}, pixel_sha256, perceptual_hash, hash_bands) from stdin") as copy,
    ):
        for identifier, (file, pixels, looks) in zip(identifiers, rows, strict=True):
            copy.write_row(
                (
                    *(identifier, "{}", picture_set, 1, "x", str(identifier), file, 1, "PNG", 1, 1, pixels, looks),
                    hash_bands(looks) if looks else None,
                )
            )
    return identifiers


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _candidate(file: str, pixels: str, looks: bytes | None = None, identifier: UUID | None = None) -> Candidate:
    return Candidate("1.png", identifier or uuid.uuid4(), _digest(file), _digest(pixels), looks)


def test_the_same_file_the_same_pixels_and_alike_pictures_are_found_the_closest_first(
    workbench: Workbench, stored: UUID
) -> None:
    file, pixels, alike = _insert(
        workbench,
        stored,
        [
            (_digest("a"), _digest("A"), None),
            (_digest("b"), _digest("B"), None),
            (_digest("c"), _digest("C"), _changed(_LOOKS, range(12))),
        ],
    )
    asked = {
        "file": _candidate("a", "B", _LOOKS),
        "pixels": _candidate("new", "B", _LOOKS),
        "near": _candidate("new", "new", _LOOKS),
        "thirteen": _candidate("new", "new", _changed(_LOOKS, [255])),
        "itself": _candidate("a", "A", None, identifier=file),
        "other": _candidate("new", "new", bytes(32)),
    }
    with workbench.database.connection() as connection:
        found = {name: find_duplicates(connection, [one]).get("1.png") for name, one in asked.items()}

    assert found == {
        "file": Match(Relation.SAME_FILE, file),
        "pixels": Match(Relation.SAME_PIXELS, pixels),
        "near": Match(Relation.NEAR, alike, 12),
        "thirteen": None,
        "itself": None,
        "other": None,
    }


def test_pictures_that_differ_in_twelve_bits_are_found_wherever_those_lie(workbench: Workbench, stored: UUID) -> None:
    chance = np.random.default_rng(1)
    rows = [
        (
            _digest(f"f{number}"),
            _digest(f"p{number}"),
            _changed(_LOOKS, chance.choice(256, NEAR_BITS, replace=False).tolist()),
        )
        for number in range(50)
    ]
    for row in rows:
        with workbench.database.connection() as connection:
            _insert(workbench, stored, [row])
            found = find_duplicates(connection, [_candidate("new", "new", _LOOKS)])
            connection.execute("delete from pictures where sha256 = %s", (row[0],))
        assert found["1.png"].distance == 12


def test_looking_for_pictures_stays_flat_from_a_thousand_stored_ones_to_fifty_thousand(
    workbench: Workbench, stored: UUID
) -> None:
    chance = np.random.default_rng(2)

    def rows(number: int) -> list[tuple[bytes, bytes, bytes]]:
        return [(chance.bytes(32), chance.bytes(32), chance.bytes(32)) for _ in range(number)]

    asked = [_candidate(f"new {number}", "new", chance.bytes(32)) for number in range(100)]
    read = []
    for number in (1_000, 49_000):
        _insert(workbench, stored, rows(number))
        with workbench.database.connection() as connection:
            connection.execute("analyze pictures")
            (plan,) = connection.execute(
                f"explain (analyze, timing off, format json) {FIND}", duplicates_query(asked)
            ).fetchall()
        nodes = list(_nodes(cast(Any, plan["QUERY PLAN"])[0]["Plan"]))
        seen = [node for node in nodes if node.get("Relation Name") == "pictures"]
        read.append(
            sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in seen)
        )
    assert not [node for node in seen if node["Node Type"] == "Seq Scan"]
    indexes = {node["Index Name"] for node in nodes if "Index Name" in node}
    assert {"pictures_sha256", "pictures_pixel_sha256", "pictures_hash_bands"} <= indexes
    # Of a thousand rows any plan will do; of fifty thousand a question reads one, which shares a band by chance.
    assert read[0] <= 100 * 1_100
    assert read[1] <= 100 * 3


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _import(workbench: Workbench, name: str, pictures: dict[str, bytes]) -> Report:
    folder = workbench.sample(name, pictures=len(pictures))
    session = folder / "pictures" / "session1"
    for file in session.glob("*.png"):
        file.unlink()
    (session / "1.yaml").unlink(missing_ok=True)
    for picture, content in pictures.items():
        (session / picture).write_bytes(content)
    outcome = workbench.run(workbench.stage(folder))
    assert outcome.receipt.state == "imported", outcome.receipt
    assert outcome.validation is not None
    return outcome.validation.report


def _picture(chance: int, picture_format: str = "PNG", **how: object) -> bytes:
    pixels = np.random.default_rng(chance).integers(0, 255, (12, 16, 3), dtype="uint8").repeat(8, 0).repeat(8, 1)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, picture_format, **how)
    return stream.getvalue()


def test_importing_another_users_picture_tells_its_identifier_and_nothing_of_that_user(workbench: Workbench) -> None:
    _import(workbench, "mine", {"a.png": _picture(1), "b.png": _picture(2)})
    other = workbench.another_user(f"{uuid.uuid4().hex}@example.org")

    report = _import(
        other,
        "theirs",
        {
            "1.png": _picture(1),
            "2.tiff": _picture(2, "TIFF", compression="tiff_lzw"),
            "3.jpeg": _picture(1, "JPEG", quality=90),
            "4.png": _picture(3),
        },
    )

    (first, second) = workbench.query(
        "select p.id from pictures p join picture_set s on s.id = p.picture_set_id where s.owner_id = %s"
        " order by p.name",
        workbench.user.id,
    )
    told = {group.places[0].path: (group.code, group.found.en if group.found else "") for group in report.groups}
    session = "pictures/session1"
    assert told == {
        f"{session}/1.png": (
            "duplicate-picture",
            f"the same file as another user's picture (identifier {first['id']})",
        ),
        f"{session}/2.tiff": (
            "duplicate-picture",
            f"the same pixels, in another file, as another user's picture (identifier {second['id']})",
        ),
        f"{session}/3.jpeg": ("near-duplicate-picture", f"a picture that looks like {session}/1.png"),
    }
    assert report.counts[Severity.WARNING] == 2
    assert workbench.user.email not in report.model_dump_json()


def test_an_upload_that_is_imported_again_is_no_duplicate_of_itself(workbench: Workbench) -> None:
    folder = workbench.sample(pictures=3)
    upload = workbench.stage(folder)
    workbench.run(upload)
    edit(folder / "pictures" / "session1" / "index.yaml", "userData", description="corrected")

    outcome = workbench.run(workbench.stage(folder, replace=True))

    assert outcome.validation is not None
    assert not outcome.validation.report.groups
    assert outcome.rows is not None
    assert outcome.rows.pictures == 2  # the third has a YAML file of its own


def test_importing_the_same_again_changes_no_row_of_what_was_measured(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample(pictures=3))
    workbench.run(upload)
    before = workbench.query("select * from pictures order by id")

    outcome = workbench.run(upload)

    assert outcome.rows is not None
    assert outcome.rows.pictures == 0
    assert workbench.query("select * from pictures order by id") == before
    for row in before:
        found = row["picture"]["enrichment"]
        assert (row["enrichment_version"], row["rule_set_version"]) == (
            ENRICHMENT_VERSION,
            workbench.rules.stamp,
        )
        assert row["pixel_sha256"].hex() == found["pixel_sha256"]
        assert row["perceptual_hash"].hex() == found["perceptual_hash"]
        assert row["hash_bands"] == hash_bands(row["perceptual_hash"])
        assert row["quality_score"] == pytest.approx(found["quality_score"])
        assert row["picture"]["quality_check"]["quality_score"] == found["quality_score"]
        assert row["picture"]["terms"]["ome:PhysicalSizeX"] == pytest.approx(10)


def _pairs(workbench: Workbench, **which: object) -> list[DuplicatePair]:
    with workbench.database.connection() as connection:
        return list(duplicate_pairs(connection, **which))  # type: ignore[arg-type]


def test_pairs_are_listed_for_everybody_and_for_one_user(workbench: Workbench) -> None:
    other = workbench.another_user(f"{uuid.uuid4().hex}@example.org")
    third = workbench.another_user(f"{uuid.uuid4().hex}@example.org")
    _import(workbench, "mine", {"a.png": _picture(1)})
    _import(other, "theirs", {"b.png": _picture(1)})
    _import(third, "alike", {"c.jpeg": _picture(1, "JPEG", quality=90)})

    (same,) = _pairs(workbench)
    alike = _pairs(workbench, near=True)

    assert same.relation is Relation.SAME_FILE
    assert {same.first_owner, same.second_owner} == {workbench.user.email, other.user.email}
    assert sorted(pair.relation for pair in alike) == ["near", "near", "same file"]
    assert _pairs(workbench, user=workbench.user.email.upper()) == [same]
    assert _pairs(workbench, user=third.user.email) == []
    assert len(_pairs(workbench, user=third.user.email, near=True)) == 2


def test_a_pair_decided_to_be_different_is_not_reported_again_and_the_trail_says_who_decided(
    workbench: Workbench,
) -> None:
    _import(workbench, "mine", {"a.png": _picture(1)})
    other = workbench.another_user(f"{uuid.uuid4().hex}@example.org")
    _import(other, "theirs", {"b.jpeg": _picture(1, "JPEG", quality=90)})
    (pair,) = _pairs(workbench, near=True)

    with workbench.database.connection() as connection:
        first = decide_pair(
            connection, pair.second, pair.first, Decision.DIFFERENT, by="ada@example.org", note="looked"
        )
        again = decide_pair(
            connection, pair.first, pair.second, Decision.DIFFERENT, by="eve@example.org", note="looked"
        )

    assert (first, again) == (True, False)
    assert _pairs(workbench, near=True) == []
    assert not workbench.run(_upload_of(other)).validation.report.groups  # type: ignore[union-attr]
    (row,) = workbench.query("select * from audit_trail where action = 'decided'")
    assert (row["actor"], row["subject_id"], row["before"]) == ("ada@example.org", pair.first, None)
    assert row["after"] == {"decision": "different", "note": "looked", "other": str(pair.second)}
    with workbench.database.connection() as connection:
        decide_pair(connection, pair.first, pair.second, Decision.DUPLICATE, by="eve@example.org")
    assert [one.decision for one in _pairs(workbench, near=True)] == [Decision.DUPLICATE]


def test_a_decision_holds_for_every_row_of_the_two_files_and_for_the_same_pixels_in_others(
    workbench: Workbench,
) -> None:
    _import(workbench, "mine", {"a.png": _picture(1), "b.jpeg": _picture(1, "JPEG", quality=90)})
    (pair,) = _pairs(workbench, near=True)
    with workbench.database.connection() as connection:
        decide_pair(connection, pair.first, pair.second, Decision.DIFFERENT, by="ada@example.org")
    other = workbench.another_user(f"{uuid.uuid4().hex}@example.org")
    saved_anew = _picture(1, "TIFF")

    report = _import(other, "theirs", {"c.jpeg": _picture(1, "JPEG", quality=90)})
    assert [group.code for group in report.groups] == ["duplicate-picture"]
    assert [one.relation for one in _pairs(workbench, near=True)] == [Relation.SAME_FILE]
    third = workbench.another_user(f"{uuid.uuid4().hex}@example.org")
    _import(third, "anew", {"d.tiff": saved_anew})
    assert sorted(one.relation for one in _pairs(workbench, near=True)) == [Relation.SAME_FILE, Relation.SAME_PIXELS]

    (anew,) = workbench.query("select id from pictures where format = 'TIFF'")
    jpeg, *_ = workbench.query("select id from pictures where format = 'JPEG' order by id")
    with workbench.database.connection() as connection:
        assert not decide_pair(connection, anew["id"], jpeg["id"], Decision.DIFFERENT, by="bo@example.org")
        assert decide_pair(connection, anew["id"], jpeg["id"], Decision.DUPLICATE, by="bo@example.org")
    decided = workbench.query("select decision, decided_by from duplicate_decision")
    assert decided == [{"decision": "duplicate", "decided_by": "bo@example.org"}]
    near = [one for one in _pairs(workbench, near=True) if one.relation is Relation.NEAR]
    assert near
    assert {one.decision for one in near} == {Decision.DUPLICATE}


def test_about_two_rows_of_one_file_nothing_is_decided(workbench: Workbench) -> None:
    _import(workbench, "mine", {"a.png": _picture(1)})
    _import(workbench.another_user(f"{uuid.uuid4().hex}@example.org"), "theirs", {"b.png": _picture(1)})
    (pair,) = _pairs(workbench)
    with workbench.database.connection() as connection, pytest.raises(OneFileError, match="are the same file"):
        decide_pair(connection, pair.first, pair.second, Decision.DIFFERENT, by="ada@example.org")


def test_what_a_correction_took_out_is_nobodys_duplicate(workbench: Workbench) -> None:
    _import(workbench, "mine", {"a.png": _picture(1)})
    workbench.query("update pictures set superseded_at = now()")
    other = workbench.another_user(f"{uuid.uuid4().hex}@example.org")
    assert not _import(other, "theirs", {"b.png": _picture(1)}).groups
    assert _pairs(workbench, near=True) == []


def _upload_of(workbench: Workbench) -> Upload:
    (row,) = workbench.query("select id from upload where owner_id = %s", workbench.user.id)
    with workbench.database.connection() as connection:
        found = find_upload(connection, row["id"])
    assert found
    return found


def test_a_decision_needs_two_stored_pictures_and_somebody_who_made_it(workbench: Workbench, stored: UUID) -> None:
    (picture,) = (row["id"] for row in workbench.query("select id from pictures"))
    nobody = uuid.uuid4()
    with workbench.database.connection() as connection:
        with pytest.raises(UnknownPictureError, match=str(nobody)):
            decide_pair(connection, picture, nobody, Decision.DUPLICATE, by="ada@example.org")
        with pytest.raises(ValueError, match="these are one"):
            decide_pair(connection, picture, picture, Decision.DUPLICATE, by="ada@example.org")
        with pytest.raises(ValueError, match="somebody"):
            decide_pair(connection, picture, nobody, Decision.DUPLICATE, by=" ")
    assert workbench.query("select 1 from duplicate_decision") == []
