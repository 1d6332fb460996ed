"""What is kept of an upload on disk while it is looked at."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import FileKind, Inventory, PictureRecord
from nachet_pipeline.contract.metadata import Value
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.contract.shown import Shown
from nachet_pipeline.support.files import StagedFile
from nachet_pipeline.support.i18n import Bilingual

FILE = StagedFile("a.tiff", 3, "v1", datetime(2024, 5, 1, tzinfo=UTC))


def _inventory(*files: StagedFile, kind: FileKind = FileKind.PICTURE) -> Inventory:
    inventory = Inventory()
    for file in files:
        inventory.add_file(file, file.path)
        inventory.classify(file.path, kind, "", file.path)
    return inventory


def _digest(*files: StagedFile, kind: FileKind = FileKind.PICTURE) -> bytes:
    with _inventory(*files, kind=kind) as inventory:
        return b"".join(inventory.digested())


@pytest.mark.parametrize("other", [{"path": "b.tiff"}, {"size": 4}, {"version": "v2"}])
def test_a_folders_digest_changes_with_every_name_size_and_version(other: dict[str, object]) -> None:
    assert _digest(FILE) == _digest(FILE)
    assert _digest(FILE) != _digest(replace(FILE, **other))  # type: ignore[arg-type]
    assert _digest(FILE) != _digest(FILE, replace(FILE, path="z.tiff"))


def test_a_folders_digest_does_not_depend_on_the_order_of_its_listing() -> None:
    other = replace(FILE, path="b.tiff", size=1)

    assert _digest(FILE, other) == _digest(other, FILE)
    assert _digest(FILE, other) != _digest(replace(FILE, size=1), replace(other, size=3))


@pytest.mark.parametrize("kind", [FileKind.IGNORED, FileKind.MARKER])
def test_litter_and_the_marker_leave_a_folders_digest_as_it_was(kind: FileKind) -> None:
    with _inventory(FILE) as inventory:
        before = list(inventory.digested())
        inventory.add_file(replace(FILE, path="other"), "other")
        inventory.classify("other", kind, None, "other")
        assert list(inventory.digested()) == before


def test_more_files_than_fit_a_page_are_listed_once_each_in_order() -> None:
    files = [replace(FILE, path=f"{number:05}.tiff") for number in range(2_500)]

    with _inventory(*reversed(files)) as inventory:
        assert list(inventory.paths()) == [file.path for file in files]
        assert [entry.file for entry in inventory.files(FileKind.PICTURE)] == files
        assert inventory.count(FileKind.PICTURE, "") == 2_500
        assert inventory.total() == (2_500, 7_500)


def test_the_newest_file_says_when_a_folder_last_changed() -> None:
    later = datetime(2024, 5, 2, tzinfo=UTC)

    with _inventory(FILE, replace(FILE, path="b", modified=later)) as inventory:
        assert inventory.newest() == later
    with Inventory() as empty:
        assert empty.newest() is None


@pytest.mark.parametrize("resolution", [(300.0, 299.5), None])
@pytest.mark.parametrize(
    "shows", [(Shown(UUID(int=7)),), (), (Shown(None),), (Shown(UUID(int=7), 2), Shown(UUID(int=9), 1), Shown(None, 3))]
)
def test_a_picture_is_given_back_as_it_was_noted(
    resolution: tuple[float, float] | None, shows: tuple[Shown, ...]
) -> None:
    record = PictureRecord(
        path="pictures/é/1.tiff",
        session="pictures/é",
        version="v",
        size=5,
        sha256="00",
        md5="11",
        picture_format="TIFF",
        width=2,
        height=3,
        mode="I;16",
        resolution=resolution,
        values={"userData.zoom": Value(30.0, "index.yaml", 7, 3), "userData.description": Value("ß", "1.yaml")},
        shows=shows,
    )

    with Inventory() as inventory:
        inventory.add_picture(record)
        assert list(inventory.pictures()) == list(inventory.pictures("pictures/é")) == [record]
        assert list(inventory.pictures("pictures/e")) == []
        assert inventory.picture_totals() == (1, 5)


def test_findings_come_errors_first() -> None:
    findings = [
        Finding(code="ignored-file", path="a"),
        Finding(code="unknown-key", path="a"),
        Finding(code="empty-file", path="b"),
        Finding(code="empty-file", path="a"),
    ]

    with Inventory() as inventory:
        for finding in findings:
            inventory.add_finding(finding)
        assert list(inventory.findings()) == [findings[3], findings[2], findings[1], findings[0]]
        assert inventory.finding_counts() == {"empty-file": 2, "ignored-file": 1, "unknown-key": 1}


def test_findings_that_differ_in_their_place_only_are_one_group_with_its_number() -> None:
    with Inventory() as inventory:
        for number in range(50):
            inventory.add_finding(Finding(code="empty-file", path=f"{number:02}.png"))
        inventory.add_finding(Finding(code="empty-file", path="0.png", found=Bilingual.same("another")))
        groups = list(inventory.alike_findings(groups=10, places=3))

    assert [(count, [one.path for one in alike]) for count, alike in groups] == [
        (1, ["0.png"]),
        (50, ["00.png", "01.png", "02.png"]),
    ]


def test_one_kind_of_trouble_does_not_crowd_out_another() -> None:
    with Inventory() as inventory:
        for number in range(500):
            size = Bilingual.same(f"{number} bytes")
            inventory.add_finding(Finding(code="trailing-data", path=f"{number:03}.png", found=size))
        inventory.add_finding(Finding(code="unknown-key", path="index.yaml"))
        groups = [alike[0].code for _, alike in inventory.alike_findings(groups=30, places=1)]

    assert (len(groups), groups.count("unknown-key")) == (30, 1)


def test_a_finding_weighs_what_the_rule_set_says() -> None:
    with Inventory(rule_set=RuleSet({"unknown-key": Severity.ERROR})) as inventory:
        inventory.add_finding(Finding(code="unknown-key", path="index.yaml"))
        (finding,) = inventory.findings()
        counts = inventory.severity_counts()

    assert finding.severity is Severity.ERROR
    assert counts == {Severity.ERROR: 1, Severity.WARNING: 0, Severity.INFO: 0}


def test_a_small_folder_takes_no_room_on_disk_and_a_large_one_leaves_nothing_there() -> None:
    with Inventory() as inventory:
        inventory.add_file(FILE, "a.tiff")
        assert _bytes_on_disk() == 0

        for number in range(20_000):
            inventory.add_file(replace(FILE, path=f"{number}.tiff"), f"{number}.tiff")
        assert _bytes_on_disk() > 0
        assert len(list(inventory.paths())) == 20_001

    assert _bytes_on_disk() == 0


def _bytes_on_disk() -> int:
    """Of the files of SQLite's that this process has open; they have no names."""
    opened = (file for file in Path("/proc/self/fd").iterdir() if file.exists() or file.is_symlink())
    return sum(file.stat().st_size for file in opened if "nachet-" in str(file.readlink()))
