"""Pictures and the YAML files that describe them stand side by side, one to one."""

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import FileKind
from nachet_pipeline.contract.names import too
from nachet_pipeline.contract.sessions import Context
from nachet_pipeline.support.i18n import Bilingual

_NAMES_COMPARED = 1_000


def picture_pairs(context: Context) -> Iterator[Finding]:
    """YAML files without a picture, several for one picture, and pictures that would share a YAML file."""
    inventory = context.inventory
    one = Bilingual("one YAML file for a picture", "un seul fichier YAML par image")
    own = Bilingual("a name of its own before the suffix", "un nom propre avant le suffixe")
    yield from _without_picture(context)
    for _, paths in inventory.stems(FileKind.PICTURE_METADATA):
        for path in paths[1:]:
            yield Finding(code="unexpected-file", path=path, expected=one, found=too(paths[0]))
    for _, paths in inventory.stems(FileKind.PICTURE):
        for path in paths[1:]:
            yield Finding(code="ambiguous-picture", path=path, expected=own, found=too(paths[0]))


def _without_picture(context: Context) -> Iterator[Finding]:
    session, names = None, list[str]()
    for stem, paths in context.inventory.stems(
        FileKind.PICTURE_METADATA, without=(FileKind.PICTURE, FileKind.OTHER_PICTURE)
    ):
        folder, _, name = stem.rpartition("/")
        if folder != session:
            session = folder
            pictures = islice(context.inventory.files(FileKind.PICTURE, session), _NAMES_COMPARED)
            names = [entry.stem.rpartition("/")[2] for entry in pictures]
        near = get_close_matches(name, names, n=1, cutoff=0.8)
        for path in paths:
            yield Finding(
                code="metadata-without-picture",
                path=path,
                expected=Bilingual(f"a picture named {name}", f"une image nommée {name}"),
                suggestion=Bilingual.same(f"{near[0]}.yaml") if near else None,
            )
