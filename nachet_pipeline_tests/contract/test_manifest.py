"""The manifest says what will be imported, under which identifiers, and where every value comes from."""

import hashlib
import json
from typing import Any
from uuid import UUID

from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline_tests.contract.folders import Files, Outcome, Validate, changed, picture, project, session

ADA, EVE = Owner(UUID(int=1), "ada@example.org"), Owner(UUID(int=2), "eve@example.org")
SESSION, INDEX = "pictures/session1", "pictures/session1/index.yaml"


def _lines(outcome: Outcome, path: str = SESSION) -> list[dict[str, Any]]:
    return [json.loads(line) for line in outcome.manifests[path]]


def _identifiers(outcome: Outcome) -> list[str]:
    return [
        line["picture_set_id"] if line["record"] == "picture_set" else line["id"]
        for path in outcome.manifests
        for line in _lines(outcome, path)
    ]


def test_every_value_says_which_file_and_line_it_comes_from(validated: Validate) -> None:
    head, first, second = _lines(validated(project(), owner=ADA))

    assert head["values"] == {
        "clientData.clientEmail": {"value": "ada@example.org", "source": "index.yaml", "line": 2},
        "clientData.clientExpertise": {"value": "Botanist", "source": "index.yaml", "line": 3},
        "imageData.numberOfImages": {"value": 2, "source": INDEX, "line": 2},
        "seedData.seedFamily": {"value": "Brassicaceae", "source": INDEX, "line": 4},
        "seedData.seedGenus": {"value": "Brassica", "source": INDEX, "line": 5},
        "seedData.seedSpecies": {"value": "napus", "source": INDEX, "line": 6},
        "userData.description": {"value": "Seeds on white paper", "source": "index.yaml", "line": 5},
        "userData.numberOfSeeds": {"value": 6, "source": "index.yaml", "line": 6},
        "userData.zoom": {"value": 30.0, "source": "index.yaml", "line": 7},
    }
    assert second["values"] == head["values"]
    own = {"value": 1, "source": "pictures/session1/1.yaml", "line": 2}
    assert first["values"] == {**head["values"], "userData.numberOfSeeds": own}


def test_every_picture_is_described_by_what_decoding_it_told(validated: Validate) -> None:
    head, first, second = _lines(validated(project(), owner=ADA))

    assert (head["record"], head["path"], head["name"], head["pictures"]) == ("picture_set", SESSION, "session1", 2)
    assert head["seed"]["scientificName"] == "Brassica napus"
    assert [first["path"], second["path"]] == [f"{SESSION}/1.tiff", f"{SESSION}/2.tiff"]
    assert first["sha256"] == hashlib.sha256(picture(1)).hexdigest()
    assert first["size"] == len(picture(1))
    assert (first["format"], first["width"], first["height"], first["mode"]) == ("TIFF", 64, 48, "RGB")
    assert first["resolution"] == [2540.0, 2540.0]


def test_the_same_folder_gets_the_same_identifiers_each_time_and_no_two_are_equal(validated: Validate) -> None:
    once, again = validated(project(), owner=ADA), validated(project(), owner=ADA)

    assert once.manifests == again.manifests
    assert once.validation.content_digest == again.validation.content_digest
    assert len(set(_identifiers(once))) == len(_identifiers(once)) == 6
    assert all(UUID(identifier) for identifier in _identifiers(once))


def test_another_owner_gets_other_identifiers_for_the_same_folder(validated: Validate) -> None:
    files = session()

    assert not set(_identifiers(validated(files, owner=ADA))) & set(_identifiers(validated(files, owner=EVE)))


def test_corrected_metadata_keeps_the_identifiers(validated: Validate) -> None:
    before = validated(project(), owner=ADA)
    after = validated(changed(project(), INDEX, b"napus", b"juncea"), owner=ADA)

    assert _identifiers(before) == _identifiers(after)
    assert _lines(before)[1]["shows"] != _lines(after)[1]["shows"]
    assert before.manifests != after.manifests


def _exchanged(files: Files) -> Files:
    return {**files, f"{SESSION}/2.tiff": picture(7)}


def test_a_session_with_another_picture_is_the_same_set_and_its_other_picture_the_same(validated: Validate) -> None:
    before, after = validated(project(), owner=ADA), validated(_exchanged(project()), owner=ADA)

    assert before.manifests["pictures/session2"] == after.manifests["pictures/session2"]
    (one_set, first, second), (same_set, same, other) = _lines(before), _lines(after)
    assert one_set["picture_set_id"] == same_set["picture_set_id"]
    assert (first["id"] == same["id"], second["id"] == other["id"]) == (True, False)
    assert before.validation.content_digest != after.validation.content_digest


def test_a_renamed_picture_stays_the_same_picture(validated: Validate) -> None:
    renamed = {path.replace("session1/2.tiff", "session1/9.tiff"): content for path, content in project().items()}
    before, after = validated(project(), owner=ADA), validated(renamed, owner=ADA)

    assert [line["path"] for line in _lines(after)[1:]] == [f"{SESSION}/1.tiff", f"{SESSION}/9.tiff"]
    assert _identifiers(before) == _identifiers(after)


def test_a_renamed_folder_is_other_sets(validated: Validate) -> None:
    before, after = validated(project(), owner=ADA), validated(project(), owner=ADA, name="renamed")

    assert not set(_identifiers(before)) & set(_identifiers(after))


def test_the_same_file_twice_in_a_session_is_one_picture(validated: Validate) -> None:
    files = changed(project(), INDEX, b"numberOfImages: 2", b"numberOfImages: 3")
    files[f"{SESSION}/copy.tiff"] = files[f"{SESSION}/2.tiff"]

    outcome = validated(files, owner=ADA)

    assert outcome.validation.report.importable
    assert [line["path"] for line in _lines(outcome)[1:]] == [f"{SESSION}/1.tiff", f"{SESSION}/2.tiff"]
    assert outcome.validation.report.codes == {"duplicate-picture": 1}


def test_the_same_file_twice_in_a_session_with_two_descriptions_is_refused(validated: Validate) -> None:
    files = changed(project(), INDEX, b"numberOfImages: 2", b"numberOfImages: 3")
    files[f"{SESSION}/copy.tiff"] = files[f"{SESSION}/1.tiff"]  # 1.yaml speaks of the first alone

    outcome = validated(files, owner=ADA)

    assert not outcome.validation.report.importable
    assert outcome.validation.report.codes["copies-differ"] == 1


def test_two_sessions_of_the_same_pictures_are_two_sets(validated: Validate) -> None:
    files = project()
    files |= {path.replace("session1", "session3"): content for path, content in files.items() if "session1" in path}

    outcome = validated(files, owner=ADA)

    assert _lines(outcome)[0]["digest"] != _lines(outcome, "pictures/session3")[0]["digest"]
    assert len(set(_identifiers(outcome))) == len(_identifiers(outcome)) == 9


def test_without_an_owner_there_is_a_manifest_but_no_identifier(validated: Validate) -> None:
    assert _identifiers(validated(session())) == [None, None, None]
