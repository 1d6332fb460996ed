"""Pictures and the YAML files that describe them stand side by side, one to one."""

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import FileKind
from nachet_pipeline.contract.sessions import Context

_NAMES_COMPARED = 1_000


def picture_pairs(context: Context) -> Iterator[Finding]:
    """YAML files without a picture, several for one picture, and pictures that would share a YAML file."""
    inventory = context.inventory
    orphans = inventory.stems(FileKind.PICTURE_METADATA, without=FileKind.PICTURE)
    for stem, paths in orphans:
        session = paths[0].rpartition("/")[0]
        pictures = islice(inventory.files(FileKind.PICTURE, session), _NAMES_COMPARED)
        names = [entry.stem.rpartition("/")[2] for entry in pictures]
        near = get_close_matches(stem.rpartition("/")[2], names, n=1, cutoff=0.8)
        for path in paths:
            suggestion = f"{near[0]}.yaml" if near else None
            yield Finding(
                code="metadata-without-picture",
                path=path,
                expected=f"a picture named {stem.rpartition('/')[2]}",
                suggestion=suggestion,
            )
    for _, paths in inventory.stems(FileKind.PICTURE_METADATA):
        for path in paths[1:]:
            yield Finding(
                code="unexpected-file", path=path, expected="one YAML file for a picture", found=f"{paths[0]} too"
            )
    for _, paths in inventory.stems(FileKind.PICTURE):
        for path in paths[1:]:
            yield Finding(code="ambiguous-picture", path=path, found=f"{paths[0]} too")
