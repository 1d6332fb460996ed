"""Telling an uploader which of their pictures are there already."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from uuid import UUID

import pytest

from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.contract.stored import (
    Candidate,
    EarlierPicture,
    Match,
    OtherLabel,
    Relation,
    StoredSet,
)
from nachet_pipeline.contract.validation import validate
from nachet_pipeline.pictures.decoding_pool import DecodingPool
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline_tests.contract.folders import project, write

OWNER = Owner(UUID(int=1), "ada@example.org")
STORED = UUID(int=99)


@pytest.mark.parametrize("by_an_earlier_import_of_the_upload", [False, True])
def test_what_an_earlier_import_of_the_same_upload_stored_is_no_duplicate(
    *, by_an_earlier_import_of_the_upload: bool, tmp_path: Path, pool: DecodingPool, registry: SeedRegistry
) -> None:
    class Stored:
        """The pictures of another picture set, or of the first that this upload becomes."""

        def sets(self) -> Mapping[str, StoredSet]:
            return {}

        def earlier(self, _picture_sets: Sequence[UUID]) -> Iterator[EarlierPicture]:
            return iter(())

        def matches(self, candidates: Sequence[Candidate], own: Collection[UUID]) -> Mapping[str, Match]:
            if by_an_earlier_import_of_the_upload and own:
                return {}
            return {one.path: Match(Relation.SAME_FILE, STORED) for one in candidates}

        def withdrawn(self, _candidates: Sequence[Candidate]) -> Collection[str]:
            return ()

        def named(self, _candidates: Sequence[Candidate]) -> Collection[str]:
            return ()

        def other_labels(self, _candidates: Sequence[Candidate], _own: Collection[UUID]) -> Mapping[str, OtherLabel]:
            return {}

    with Inventory() as inventory:
        folder = LocalFolder(write(tmp_path / "upload", project()))
        report = validate(folder, inventory, pool, registry, owner=OWNER, stored=Stored()).report

    assert ("duplicate-picture" in report.codes) is not by_an_earlier_import_of_the_upload
