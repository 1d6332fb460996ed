"""Compares an upload's files with the sender's SHA256SUMS.

The formats are those of `sha256sum` and of BSD's `sha256`, with the variants of their relatives on Windows.
"""

import codecs
import re
import unicodedata
from collections.abc import Iterator
from io import BytesIO
from posixpath import normpath, splitext

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import Checksum, FileKind, Inventory
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.misnamed import misspelling_of
from nachet_pipeline.contract.structure import is_ignored
from nachet_pipeline.support.files import SourceFolder
from nachet_pipeline.support.i18n import Bilingual

_GNU = re.compile(r"(?P<escaped>\\?)(?P<sha256>[0-9a-fA-F]{64})(?: [ *]|[ \t]+\*?)(?P<name>.+)", re.DOTALL)
_BSD = re.compile(r"(?P<escaped>\\?)SHA256 ?\((?P<name>.+)\) ?= ?(?P<sha256>[0-9a-fA-F]{64})[ \t]*", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "\\": "\\"}
_OTHER_HASH = re.compile(r"\\?([0-9a-fA-F]{32,128})[ \t]|(MD5|SHA1|SHA224|SHA384|SHA512|BLAKE2b) ?\(")
_HASHES = {32: "MD5", 40: "SHA-1", 56: "SHA-224", 96: "SHA-384", 128: "SHA-512"}
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_BAD_LINES = 100
_LONGEST_NAME = 4_096
_SHOWN = 80
_SUGGESTIONS = 20
_NAMES_COMPARED = 1_000
_A_LINE = Bilingual("64 hexadecimal digits, two spaces and a name", "64 chiffres hexadécimaux, deux espaces et un nom")
_A_NAME = Bilingual("a name relative to the folder of the file", "un nom relatif au dossier du fichier")


class _BadLineError(ValueError):
    def __init__(self, expected: Bilingual, found: Bilingual, column: int = 1) -> None:
        super().__init__(expected.en)
        self.expected, self.found, self.column = expected, found, column


def read_checksums(content: bytes, path: str) -> Iterator[Checksum | Finding]:
    """Read a file of checksums line by line.

    Args:
        content: the file's bytes.
        path: the file, relative to the upload; the names in it are relative to its folder.

    Yields:
        The checksum of each line, or what is wrong with the line. Reading stops after a hundred wrong lines. Lines
        about the file itself and about ignored files are skipped.
    """
    if content.startswith(_WIDE):
        found = Bilingual("text in UTF-16", "du texte en UTF-16")
        yield Finding(code="checksum-syntax", path=path, line=1, expected=Bilingual("UTF-8", "UTF-8"), found=found)
        return
    bad = 0
    for line, raw in enumerate(_lines(content), start=1):
        text = raw.removeprefix(codecs.BOM_UTF8) if line == 1 else raw
        if not text.strip() or text.startswith(b"#"):
            continue
        try:
            name, sha256 = _parse(text, path)
        except _BadLineError as error:
            yield Finding(
                code="checksum-syntax",
                path=path,
                line=line,
                column=error.column,
                expected=error.expected,
                found=error.found,
            )
            bad += 1
            if bad == _BAD_LINES:
                return
            continue
        if name.casefold() != path.casefold() and not is_ignored(name):
            yield Checksum(name, sha256, path, line)


def _lines(content: bytes) -> Iterator[bytes]:
    if b"\n" not in content and b"\r" in content:
        yield from content.split(b"\r")
        return
    for line in BytesIO(content):
        yield line.rstrip(b"\r\n")


def _parse(line: bytes, source: str) -> tuple[str, str]:
    """The file that a line names, relative to the upload, and its checksum in lower case."""
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        found = f"0x{line[error.start]:02x}"
        column = len(line[: error.start].decode()) + 1
        raise _BadLineError(
            Bilingual("UTF-8", "UTF-8"), Bilingual(f"the byte {found}", f"l'octet {found}"), column
        ) from None
    match = _GNU.fullmatch(text) or _BSD.fullmatch(text)
    if match is None:
        raise _BadLineError(_A_LINE, _what_it_is(text))
    name = match["name"]
    if len(name) > _LONGEST_NAME:
        raise _BadLineError(
            _A_LINE, Bilingual("a longer name than any file's", "un nom plus long que tout nom de fichier")
        )
    if match["escaped"]:
        name = _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[0]), name)
    else:
        name = name.replace("\\", "/")
    folder = source.rpartition("/")[0]
    whole = unicodedata.normalize("NFC", normpath(f"{folder}/{name}" if folder else name))
    if name.startswith("/") or re.match(r"[A-Za-z]:/", name) or whole == ".." or whole.startswith("../"):
        raise _BadLineError(_A_NAME, Bilingual.same(name[:_SHOWN]), text.find(match["name"]) + 1)
    return whole, match["sha256"].lower()


def _what_it_is(text: str) -> Bilingual:
    other = _OTHER_HASH.match(text)
    kind = other and (other[2] or _HASHES.get(len(other[1])))
    if kind:
        return Bilingual(f"a checksum by {kind}", f"une somme de contrôle {kind}")
    return Bilingual.same(text[:_SHOWN])


def record_checksums(folder: SourceFolder, inventory: Inventory, limits: ContractLimits) -> None:
    """Add the sender's checksums to the inventory, and findings about the files that give them.

    Raises:
        FileChangedError: one of these files changed since the inventory was taken.
    """
    for entry in list(inventory.files(FileKind.CHECKSUMS)):
        file = entry.file
        if file.size > limits.checksums_bytes:
            most = limits.checksums_bytes
            expected = Bilingual(f"at most {most} bytes", f"au plus {most} octets")
            found = Bilingual(f"{file.size} bytes", f"{file.size} octets")
            inventory.add_finding(Finding(code="checksum-syntax", path=file.path, expected=expected, found=found))
            continue
        for given in read_checksums(folder.read(file), file.path):
            if isinstance(given, Finding):
                inventory.add_finding(given)
            elif (first := inventory.add_checksum(given)) and first.sha256 != given.sha256:
                inventory.add_finding(_contradiction(first, given))


def _contradiction(first: Checksum, second: Checksum) -> Finding:
    return Finding(
        code="checksum-syntax",
        path=second.source,
        line=second.line,
        column=1,
        expected=Bilingual(f"one checksum for {second.path}", f"une seule somme de contrôle pour {second.path}"),
        found=Bilingual(f"another one than in {first.place}", f"une autre que dans {first.place}"),
    )


def checksums(inventory: Inventory) -> Iterator[Finding]:
    """Files that are not what their checksums say, checksums without a file, and files without a checksum.

    Likewise for the list of files in the marker of a complete folder.

    The checksums of all files that were read must have been recorded (`Inventory.record_sha256`).
    """
    for file, sha256, listed in inventory.listed_differently():
        cut = listed.size is not None and file.size != listed.size
        size = (
            Bilingual(f"{listed.size} bytes", f"{listed.size} octets"),
            Bilingual(f"{file.size} bytes", f"{file.size} octets"),
        )
        expected, found = size if cut else (Bilingual.same(listed.sha256 or ""), Bilingual.same(sha256 or ""))
        yield Finding(code="listed-file-differs", path=file.path, expected=expected, found=found)
    for path, sha256, given in inventory.checksum_mismatches():
        yield Finding(
            code="checksum-mismatch",
            path=path,
            expected=Bilingual.same(f"{given.sha256} ({given.place})"),
            found=Bilingual.same(sha256),
        )
    yield from _without_file(inventory)
    for path in inventory.files_without_checksum():
        yield Finding(code="file-without-checksum", path=path)


def _without_file(inventory: Inventory) -> Iterator[Finding]:
    sessions = set(inventory.sessions())
    for number, given in enumerate(inventory.checksums_without_file()):
        folder = given.path.rpartition("/")[0]
        # A file at the top of the upload may list the files of one session.
        elsewhere = folder in sessions and folder != given.source.rpartition("/")[0]
        yield Finding(
            code="checksum-without-file",
            path=given.source,
            sessions=(folder,) if elsewhere else (),
            line=given.line,
            column=1,
            found=Bilingual.same(given.path[:200]),
            suggestion=_meant(given, inventory) if number < _SUGGESTIONS else None,
        )


def _meant(given: Checksum, inventory: Inventory) -> Bilingual | None:
    """The file that a checksum probably means: the one that it matches, else the most similar name in its folder."""
    fitting = inventory.path_with_sha256(given.sha256)
    if fitting:
        return Bilingual.same(fitting)
    folder, _, name = given.path.rpartition("/")
    names = [path.rpartition("/")[2] for path in inventory.paths_in(folder, _NAMES_COMPARED)]
    same_stem = [one for one in names if splitext(one)[0] == splitext(name)[0]]
    near = same_stem[0] if len(same_stem) == 1 else misspelling_of(name, names)
    return Bilingual.same(f"{folder}/{near}".lstrip("/")) if near else None
