"""Judging folders by everything but their pictures' content, which takes milliseconds."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nachet_pipeline.contract.checksums import checksums
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import FileKind, Inventory
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.sessions import Context, Owner
from nachet_pipeline.contract.structure import Shape
from nachet_pipeline.contract.validation import judge_folder
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline_tests.contract.folders import Files, write

REGISTRY = SeedRegistry.of(packaged_seeds())


@dataclass(frozen=True)
class Judged:
    """What was said of a folder."""

    shape: Shape | None
    findings: list[Finding]
    sessions: dict[str, dict[str, object]]
    pictures: int
    context: Context = field(repr=False)

    @property
    def codes(self) -> set[str]:
        return {finding.code for finding in self.findings}

    def only(self, code: str) -> Finding:
        """The one finding of a code."""
        found = [finding for finding in self.findings if finding.code == code]
        assert len(found) == 1, found
        return found[0]


def judge(
    root: Path,
    files: Files,
    *,
    owner: Owner | None = None,
    limits: ContractLimits | None = None,
    arrange: Callable[[Path], None] | None = None,
) -> Judged:
    """Write the files of an upload and judge them; pictures are hashed, not decoded."""
    folder = LocalFolder(write(root, files))
    if arrange:
        arrange(root)
    with Inventory() as inventory:
        context = judge_folder(folder, inventory, REGISTRY, owner=owner, limits=limits or ContractLimits())
        for kind in (FileKind.PICTURE, FileKind.PICTURE_METADATA):
            for entry in list(inventory.files(kind)):
                inventory.record_sha256(entry.file.path, hashlib.sha256(folder.read(entry.file)).hexdigest())
        for finding in checksums(inventory):
            inventory.add_finding(finding)
        values = {one.path: {name: value.value for name, value in one.values.items()} for one in context.sessions}
        pictures = sum(one.pictures for one in context.sessions)
        return Judged(context.shape, list(inventory.findings()), values, pictures, context)
