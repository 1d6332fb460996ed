"""Judging folders by everything but their pictures' content, which takes milliseconds."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nachet_pipeline.contract.checksums import checksums, record_checksums
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import FileKind, Inventory
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.rules import FOLDER_RULES
from nachet_pipeline.contract.sessions import Context, Owner, read_sessions
from nachet_pipeline.contract.structure import Shape, take_inventory
from nachet_pipeline.registry.seeds import SeedRegistry, packaged_seeds
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
    limits = limits or ContractLimits()
    folder = LocalFolder(write(root, files))
    if arrange:
        arrange(root)
    with Inventory(root.parent) as inventory:
        shape = take_inventory(folder, inventory, limits)
        record_checksums(folder, inventory, limits)
        project, sessions = read_sessions(folder, inventory, shape, limits)
        context = Context(inventory, shape, project, sessions, REGISTRY, owner)
        for rule in FOLDER_RULES.values():
            for finding in rule(context):
                inventory.add_finding(finding)
        for kind in (FileKind.PICTURE, FileKind.PICTURE_METADATA):
            for entry in list(inventory.files(kind)):
                inventory.record_sha256(entry.file.path, hashlib.sha256(folder.read(entry.file)).hexdigest())
        for finding in checksums(inventory):
            inventory.add_finding(finding)
        values = {one.path: {name: value.value for name, value in one.values.items()} for one in sessions}
        pictures = sum(one.pictures for one in sessions)
        return Judged(shape, list(inventory.findings()), values, pictures, context)
