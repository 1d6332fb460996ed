"""What uploaders mean by what they write: seeds, counts, what is inherited, and what is told when it is wrong."""

import io
from pathlib import Path
from uuid import UUID

import pytest
from PIL import Image

from nachet_pipeline.contract.catalogue import Check
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.contract.validation import THUMBNAILS, validate
from nachet_pipeline.pictures.decoding_pool import DecodingPool
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.support.files import FileChangedError, LocalFolder, StagedFile
from nachet_pipeline.support.i18n import Bilingual
from nachet_pipeline_tests.contract.folders import (
    LONE_SESSION_INDEX,
    Files,
    Outcome,
    Validate,
    changed,
    english,
    picture,
    project,
    session,
    write,
)

INDEX, METADATA = "pictures/session1/index.yaml", "pictures/session1/1.yaml"
SEED = b"  seedFamily: Brassicaceae\n  seedGenus: Brassica\n  seedSpecies: napus\n"


def _seed(files: Files, written: str) -> Files:
    return changed(files, "index.yaml", SEED, "".join(f"  {line}\n" for line in written.split("; ")).encode())


def _shown(outcome: Outcome) -> str | None:
    (only,) = outcome.validation.sessions
    return only.seed.scientific_name if only.seed else None


@pytest.mark.parametrize(
    "written",
    [
        "seedGenus: Brassica; seedSpecies: napus",
        "seedGenus: BRASSICA; seedSpecies: Napus",
        "seed_genus: brassica; seed_species: NAPUS",
        "seedSpecies: Brassica napus",
        "seedSpecies: brassica  napus",
        "seedGenus: Brassica; seedSpecies: Brassica napus",
        "seedName: Brassica napus",
        "seedName: Brassica napus; seedGenus: Brassica; seedSpecies: napus",
        "seedID: 14; seedGenus: Brassica; seedSpecies: napus",
        "seedID: 00000000-0000-0000-0000-000000000001; seedName: brassica napus",
    ],
)
def test_a_seed_is_recognised_however_it_is_named(written: str, validated: Validate) -> None:
    outcome = validated(_seed(session(), written))

    assert outcome.report.findings == []
    assert _shown(outcome) == "Brassica napus"


def test_a_seed_is_recognised_by_its_id_alone(validated: Validate, registry: SeedRegistry) -> None:
    seed = registry.named("Solanum nigrum")
    assert seed is not None

    for text in (str(seed.id), str(seed.id).upper(), seed.id.hex):
        assert _shown(validated(_seed(session(), f"seedID: {text}"))) == "Solanum nigrum"


@pytest.mark.parametrize(
    ("written", "found", "nearest"),
    [
        ("seedGenus: Brassica; seedSpecies: nappus", "Brassica nappus", "Brassica napus"),
        ("seedGenus: Brasica; seedSpecies: napus", "Brasica napus", "Brassica napus"),
        ("seedName: solanum nigrun", "solanum nigrun", "Solanum nigrum"),
        # Nobody can say which of the two is wrong.
        (
            "seedGenus: Solanum; seedSpecies: Brassica napus",
            (
                "Solanum Brassica napus, which is another taxon than those registered of its genus"
                " (Solanum carolinense, Solanum nigrum, Solanum rostratum)"
            ),
            None,
        ),
        ("seedID: 14", "14", None),
        ("seedName: Xyz qwv", "Xyz qwv", None),
    ],
)
def test_a_misspelt_species_is_refused_with_the_nearest_registered_one(
    written: str, found: str, nearest: str | None, validated: Validate
) -> None:
    outcome = validated(_seed(session(), written))

    finding = outcome.only("unregistered-seed")
    assert (english(finding.found), english(finding.suggestion)) == (found, nearest)
    assert _shown(outcome) is None
    assert outcome.codes == {"unregistered-seed"}


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ("seedGenus: Brassica", "only seedGenus"),
        ("seedSpecies: napus", "only seedSpecies"),
        ("seedFamily: Brassicaceae", "only seedFamily"),
        ("seedGenus: ; seedSpecies: ", None),
    ],
)
def test_a_session_that_names_its_seed_in_part_is_told_what_is_missing(
    written: str, given: str | None, validated: Validate
) -> None:
    finding = validated(_seed(session(), written)).only("missing-key")

    assert (finding.path, finding.field, english(finding.found)) == ("index.yaml", "seedData", given)


def test_a_misspelt_key_by_which_a_session_names_no_seed_is_told_once_and_as_an_error(validated: Validate) -> None:
    outcome = validated(_seed(session(), "seedGenos: Brassica; seedSpecies: napus"))

    finding = outcome.only("missing-key")
    assert outcome.codes == {"missing-key"}
    assert (finding.field, finding.suggestion) == ("seedData", Bilingual.same("seedData.seedGenus"))
    assert (finding.line, english(finding.found)) == (4, "seedGenos")
    assert not outcome.report.importable


@pytest.mark.parametrize("written", ["seedSpecies: juncea", "seedFamily: Brassicaceae", "seedGenus: Brassica"])
def test_a_pictures_file_names_its_seed_as_a_whole_or_not_at_all(written: str, validated: Validate) -> None:
    outcome = validated({**project(), METADATA: f"seedData: {{{written}}}".encode()})

    finding = outcome.only("missing-key")
    assert (finding.path, finding.field) == (METADATA, "seedData")
    assert outcome.codes == {"missing-key"}


def test_a_picture_may_show_another_seed_than_its_session(validated: Validate, registry: SeedRegistry) -> None:
    outcome = validated({**project(), METADATA: b"seedData: {seedName: Bromus secalinus}"})

    assert outcome.report.findings == []
    lines = outcome.manifests["pictures/session1"]
    other, napus = registry.named("Bromus secalinus"), registry.named("Brassica napus")
    assert other is not None
    assert napus is not None
    assert [str(other.id) in lines[1], str(napus.id) in lines[2]] == [True, True]


def test_a_pictures_unregistered_seed_is_refused_in_the_pictures_file(validated: Validate) -> None:
    outcome = validated({**project(), METADATA: b"seedData: {seedName: Bromus secalinum}"})

    finding = outcome.only("unregistered-seed")
    assert (finding.path, finding.suggestion) == (METADATA, Bilingual.same("Bromus secalinus"))


def test_sessions_that_inherit_a_wrong_seed_are_told_once_where_it_is_written(validated: Validate) -> None:
    files = changed(project(), INDEX, SEED.strip(), b"")
    files = changed(files, INDEX, b"seedData:\n", b"")
    files["pictures/session2/index.yaml"] = files[INDEX]
    files["index.yaml"] += b"seedData:\n  seedName: Brassica nappus\n"

    finding = validated(files).only("unregistered-seed")

    assert (finding.path, finding.line) == ("index.yaml", 9)


@pytest.mark.parametrize("path", ["index.yaml", INDEX])
@pytest.mark.parametrize(
    ("added", "code"), [(b"a: [", "index-syntax"), (b"a: *x\n", "forbidden-yaml"), (b"--- \na: 1\n", "forbidden-yaml")]
)
def test_what_an_unreadable_index_may_have_said_is_not_called_missing(
    path: str, added: bytes, code: str, validated: Validate
) -> None:
    files = project()
    outcome = validated({**files, path: files[path] + added})

    assert outcome.only(code).path == path
    assert outcome.codes == {code}


@pytest.mark.parametrize(
    "section", ["userData: 6\n", "userData: [6, 30]\n", "userData:\n  numberOfSeeds: six\n  zoom: near\n"]
)
def test_a_wrong_value_is_told_once_and_not_called_missing_too(section: str, validated: Validate) -> None:
    files = project()
    files["index.yaml"] = b"clientData: {clientEmail: ada@example.org}\n" + section.encode()

    assert validated(files).codes == {"index-content"}


def test_every_value_that_is_given_nowhere_is_named(validated: Validate) -> None:
    outcome = validated({"index.yaml": b"# to do\n", "1.tiff": picture()})

    assert {finding.field for finding in outcome.report.findings} == {
        "imageData.numberOfImages",
        "userData.numberOfSeeds",
        "userData.zoom",
        "seedData",
    }
    assert outcome.codes == {"missing-key"}


def test_a_project_that_does_not_name_its_uploader_is_told_so(validated: Validate) -> None:
    outcome = validated(changed(project(), "index.yaml", b"  clientEmail: ada@example.org\n", b""))

    assert outcome.only("missing-key").field == "clientData.clientEmail"


def test_a_session_alone_need_not_name_its_uploader(validated: Validate) -> None:
    assert validated(session(), owner=Owner(UUID(int=1), "ada@example.org")).report.importable


def test_the_owner_is_recognised_whatever_the_case_of_the_address(validated: Validate) -> None:
    files = changed(project(), "index.yaml", b"ada@example.org", b"Ada@EXAMPLE.org")

    assert validated(files, owner=Owner(UUID(int=1), "ada@example.org")).report.findings == []


def test_a_session_that_names_somebody_else_is_refused_at_its_own_line(validated: Validate) -> None:
    files = project()
    files[INDEX] += b"clientData:\n  clientEmail: eve@example.org\n"

    finding = validated(files, owner=Owner(UUID(int=1), "ada@example.org")).only("not-the-owner")

    assert (finding.path, finding.line) == (INDEX, 8)
    assert (finding.expected, finding.found) == (Bilingual.same("ada@example.org"), Bilingual.same("eve@example.org"))


def test_a_count_that_all_sessions_inherit_may_be_right_for_one_and_wrong_for_another(validated: Validate) -> None:
    files = changed(project(), INDEX, b"imageData:\n  numberOfImages: 2\n", b"")
    files["index.yaml"] += b"imageData:\n  numberOfImages: 3\n"

    finding = validated(files).only("missing-picture")

    assert (finding.path, finding.line) == ("index.yaml", 9)
    assert finding.sessions == ("pictures/session1",)
    assert (english(finding.expected), english(finding.found)) == ("3 pictures in pictures/session1", "2 pictures")
    assert INDEX in (english(finding.advice) or "")


def test_everything_wrong_with_a_folder_is_told_at_once(validated: Validate) -> None:
    files = {
        "index.yaml": b"userData: {zoom: none}\n",
        "pictures/s1/index.yaml": b"imageData: {numberOfImages: 1}\nseedData: {seedName: No such}\n",
        "pictures/s1/1.tiff": picture()[:200],
        "pictures/s1/2.tiff": b"text",
        "pictures/s1/3.yaml": b"- list",
        "pictures/s2/1.png": picture(1, "png"),
        "left/over.txt": b"1",
    }

    outcome = validated(files)

    assert outcome.codes == {
        "index-content",
        "metadata-without-picture",
        "missing-index",
        "missing-key",
        "picture-damaged",
        "picture-format",
        "surplus-picture",
        "unexpected-file",
        "unregistered-seed",
    }
    checks = {check for check in Check if outcome.report.errors_of(check)}
    assert checks == set(Check) - {
        Check.PICTURE_METADATA,
        Check.MALICIOUS_CONTENT,
        Check.PERSONAL_DATA,
        Check.CHECKSUMS,
        Check.DUPLICATES,
        Check.UPLOADER_REGISTERED,
    }


def test_a_validation_shows_a_few_pictures_spread_over_the_upload(validated: Validate) -> None:
    files = {"index.yaml": LONE_SESSION_INDEX.replace(b"Images: 2", b"Images: 30")}
    files |= {f"{number:02}.png": picture(1, "png") for number in range(30)}

    thumbnails = validated(files).validation.thumbnails

    assert list(thumbnails) == [f"{number:02}.png" for number in range(0, 30, 2)]
    assert len(thumbnails) <= THUMBNAILS
    with Image.open(io.BytesIO(thumbnails["00.png"])) as small:
        assert small.format == "JPEG"


def test_progress_counts_every_picture_to_the_last(tmp_path: Path, pool: DecodingPool, registry: SeedRegistry) -> None:
    told: list[tuple[int, int]] = []
    folder = LocalFolder(write(tmp_path / "upload", project()))

    with Inventory() as inventory:
        validate(folder, inventory, pool, registry, progress=lambda done, total: told.append((done, total)))

    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


class _Exchanged(LocalFolder):
    """A folder in which a picture is exchanged between its listing and its reading."""

    def read(self, file: StagedFile) -> bytes:
        if file.path.endswith("1.tiff"):
            (self.root / file.path).write_bytes(picture(9))
        return super().read(file)


def test_a_picture_that_changes_while_it_is_validated_ends_the_validation(
    tmp_path: Path, pool: DecodingPool, registry: SeedRegistry
) -> None:
    folder = _Exchanged(write(tmp_path / "upload", session()))

    with Inventory() as inventory, pytest.raises(FileChangedError, match=r"1\.tiff changed or vanished"):
        validate(folder, inventory, pool, registry)


def test_two_real_photographs_are_importable(validated: Validate, real_pictures: list[Path]) -> None:
    files = {file.name: file.read_bytes() for file in real_pictures}
    index = LONE_SESSION_INDEX.replace(b"Images: 2", b"Images: %d" % len(files))

    outcome = validated({"index.yaml": index, **files})

    assert outcome.report.findings == []
    assert outcome.validation.pictures == len(real_pictures) > 0
    assert outcome.validation.size == sum(map(len, files.values()))
