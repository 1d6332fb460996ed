"""The folder has one of the two shapes and holds nothing else."""

from collections.abc import Iterator

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import FileKind
from nachet_pipeline.contract.metadata import INDEX_NAME
from nachet_pipeline.contract.sessions import Context
from nachet_pipeline.contract.structure import PICTURE_FORMATS, PICTURES_FOLDER

_READ = (FileKind.PROJECT_INDEX, FileKind.SESSION_INDEX, FileKind.PICTURE, FileKind.PICTURE_METADATA)


def folder_structure(context: Context) -> Iterator[Finding]:
    """Empty folders and sessions, unknown shapes, files without a place, empty and ignored files."""
    inventory = context.inventory
    unexpected = FileKind.UNEXPECTED
    if context.shape is None:
        tops = sorted({entry.file.path.partition("/")[0] for entry in inventory.files(unexpected)})[:5]
        if not tops:
            yield Finding(code="empty-upload", expected=f"{INDEX_NAME} and pictures", found="no file")
            return
        inside = tops[0] if len(tops) == 1 else None
        yield Finding(
            code="wrong-structure",
            expected=f"{INDEX_NAME} with {PICTURES_FOLDER}/<session>/, or {INDEX_NAME} beside pictures",
            found=", ".join(tops),
            suggestion=f"the content of {inside}/, without the folder around it" if inside else None,
        )
        return
    suffixes = ", ".join(PICTURE_FORMATS)
    for entry in inventory.files(unexpected):
        where = f"{INDEX_NAME}, pictures ({suffixes}) and their YAML files, directly in a session's folder"
        yield Finding(code="unexpected-file", path=entry.file.path, expected=where)
    for kind in _READ:
        for entry in inventory.files(kind):
            if entry.file.size == 0:
                yield Finding(code="empty-file", path=entry.file.path, expected="a file with content", found="0 bytes")
    for entry in inventory.files(FileKind.IGNORED):
        yield Finding(code="ignored-file", path=entry.file.path)
    if not context.sessions:
        yield Finding(code="empty-session", path=PICTURES_FOLDER, expected="at least one session", found="none")
    for session in context.sessions:
        if not session.pictures:
            yield Finding(code="empty-session", path=session.path, expected="at least one picture", found="none")


def safe_names(context: Context) -> Iterator[Finding]:
    """Names that a file system which ignores case or accents' encoding takes for one."""
    for first, other in context.inventory.collisions():
        yield Finding(code="name-collision", path=other, expected="names of their own", found=f"{first} too")
