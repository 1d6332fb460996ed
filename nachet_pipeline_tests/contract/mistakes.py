"""Mistakes that people and their programs make, each as a small folder; mistakes.md has what is said of each.

That page is written by `python -m nachet_pipeline_tests.contract.mistakes` and read by a person, as prose.
"""

import hashlib
import io
import sys
import tempfile
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from uuid import UUID
from zipfile import ZipFile

from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.report import Report, as_text
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.contract.validation import validate
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.support.i18n import Language
from nachet_pipeline_tests.contract.folders import SESSION_INDEX, Files, picture, write

LANGUAGES: tuple[Language, ...] = ("en", "fr")
REGISTRY = SeedRegistry.of(packaged_seeds())
_VERDICTS = ("Importable", "Not importable", "Non importable")
_NOTHING: dict[Language, str] = {"en": "Nothing.", "fr": "Rien."}
ADA = Owner(UUID(int=1), "ada@example.org")

_PROJECT = """\
clientData:
  clientEmail: ada@example.org
userData:
  description: Seeds
  numberOfSeeds: 6
  zoom: 30
"""
_SESSION = SESSION_INDEX.decode()
_ALONE = f"{_SESSION}userData:\n  description: Seeds\n  numberOfSeeds: 6\n  zoom: 30\n"
_DAY = "pictures/day1"


def _pictures(*names: str, folder: str = "") -> Files:
    """Pictures of these names, each another one."""
    return {f"{folder}{name}": picture(number, "png") for number, name in enumerate(names, start=1)}


def _session(index: str | bytes = _ALONE, **files: bytes) -> Files:
    """A session folder: an index, two pictures, and more."""
    content = index.encode() if isinstance(index, str) else index
    return {"index.yaml": content, **_pictures("1.png", "2.png"), **files}


def _said(old: str, new: str) -> Files:
    """A session whose index says something else."""
    assert _ALONE.count(old) == 1, old
    return _session(_ALONE.replace(old, new))


_SEED = "  seedFamily: Brassicaceae\n  seedGenus: Brassica\n  seedSpecies: napus"


def _listed(*species: str) -> Files:
    """A session whose index lists several species."""
    return _said(_SEED, "\n".join(f"  - {one}" for one in species))


def _with(**files: bytes) -> Files:
    """A good session with more files; in their names `__` stands for a dot."""
    return _session() | {name.replace("__", "."): content for name, content in files.items()}


def _and(path: str, content: bytes = b"?") -> Files:
    return _session() | {path: content}


def _instead(path: str, content: bytes | None = None) -> Files:
    """A session whose index has another name."""
    files = _session()
    index = files.pop("index.yaml")
    return {path: content or index, **files}


def _project(index: str | None = _PROJECT, session: str | None = _SESSION) -> Files:
    """A project with one session."""
    files = _pictures("1.png", "2.png", folder=f"{_DAY}/")
    if index is not None:
        files["index.yaml"] = index.encode()
    if session is not None:
        files[f"{_DAY}/index.yaml"] = session.encode()
    return files


def _moved(files: Files, old: str, new: str) -> Files:
    return {path.replace(old, new, 1): content for path, content in files.items()}


def _without(files: Files, *paths: str) -> Files:
    return {path: content for path, content in files.items() if path not in paths}


def _word() -> bytes:
    stream = io.BytesIO()
    with ZipFile(stream, "w") as package:
        package.writestr("[Content_Types].xml", "<Types/>")
        package.writestr("word/document.xml", "<w:document/>")
    return stream.getvalue()


def _sums(**given: str) -> bytes:
    files = _session()
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return "".join(f"{sum_}  {name}\n" for name, sum_ in (sums | given).items()).encode()


_ZIP = b"PK\x03\x04" + bytes(30)
_NFD = "e\u0301te\u0301"

MISTAKES: dict[str, Files] = {
    # The text of an index
    "an apostrophe in single quotes": _said("description: Seeds", "description: 'l'automne'"),
    "an apostrophe in single quotes that are not closed": _said("description: Seeds", "description: 'l'automne"),
    "double quotes in double quotes": _said("description: Seeds", 'description: "the "big" ones"'),
    "a quote that is not closed": _said("description: Seeds", "description: 'autumn"),
    "a quote that is closed lines below": _said("description: Seeds", "description: 'autumn\n  place: it's"),
    "a tab as indentation": _said("  zoom: 30", "\tzoom: 30"),
    "no space after a colon": _said("numberOfSeeds: 6", "numberOfSeeds:6"),
    "no colon": _said("  numberOfSeeds: 6", "  numberOfSeeds 6"),
    "an equals sign": _said("  numberOfSeeds: 6", "  numberOfSeeds = 6"),
    "equals signs everywhere": _session("numberOfImages = 2\nseedName = Brassica napus\n"),
    "a colon in a value": _said("description: Seeds", "description: taken: in autumn"),
    "a line too far to the right": _said("  zoom: 30", "    zoom: 30"),
    "a line too far to the left": _said("  zoom: 30", " zoom: 30"),
    "a section without a colon": _said("userData:", "userData"),
    "a dash before each key": _session("- numberOfImages: 2\n- seedName: Brassica napus\n"),
    "a bracket that is not closed": _said("seedGenus: Brassica", "seedGenus: [Brassica"),
    "a value that begins with a special character": _said("description: Seeds", "description: @ the lab"),
    "a Windows path in double quotes": _said("description: Seeds", 'description: "C:\\seeds"'),
    "two documents": _said("userData:", "---\nuserData:"),
    "a value that begins with a star": _said("description: Seeds", "description: *important*"),
    "a value that begins with an ampersand": _said("description: Seeds", "description: &Co seeds"),
    "a value that begins with an exclamation mark": _said("description: Seeds", "description: !important seeds"),
    "a control character": _said("description: Seeds", "description: See\x07ds"),
    "a key twice": _said("  zoom: 30", "  zoom: 30\n  zoom: 40"),
    "text in UTF-16": _session(_ALONE.encode("utf-16")),
    "text in Latin-1": _session(_ALONE.replace("Seeds", "blé d'été").encode("latin-1")),
    "a byte order mark, which does no harm": _session(_ALONE.encode("utf-8-sig")),
    "a web page saved as the index": _session("<!DOCTYPE html>\n<html><body>Sign in</body></html>"),
    "a Word document renamed to index.yaml": _session(_word()),
    "an RTF document renamed to index.yaml": _session("{\\rtf1\\ansi imageData:\\par numberOfImages: 2\\par}"),
    "an empty index": _session(b""),
    "an index of zeros": _session(bytes(400)),
    # The name of an index
    "a Word document as the index": _instead("index.docx", _word()),
    "a Word document beside the index": _and("index.docx", _word()),
    "an index with .docx at its end": _instead("index.yaml.docx", _word()),
    "a PDF as the index": _instead("index.pdf", b"%PDF-1.7"),
    "an Excel workbook as the index": _instead("Index.xlsx", _ZIP),
    "an index with a hidden .txt": _instead("index.yaml.txt"),
    "a text file as the index": _instead("index.txt"),
    "a browser's copy beside the index": _and("index (1).yaml", _ALONE.encode()),
    "a browser's copy alone": _instead("index (1).yaml"),
    "a copy by Windows in French": _and("index - Copie.yaml", _ALONE.encode()),
    "a copy by the Finder": _and("index copy.yaml", _ALONE.encode()),
    "a numbered copy by the Finder": _and("index 2.yaml", _ALONE.encode()),
    "a copy of a cloud service": _and("index (Ada's conflicted copy 2026-11-29).yaml", _ALONE.encode()),
    "index.yml beside index.yaml": _and("index.yml", _ALONE.encode()),
    "a misspelt index": _instead("indx.yaml"),
    "an index of another name": _instead("metadata.yaml"),
    "an index that iCloud keeps": _instead(".index.yaml.icloud", b"bplist00"),
    "no index in a session": _project(session=None),
    "no index in a project": _project(index=None),
    "a browser's copy of a project's index alone": _moved(_project(), "index.yaml", "index (2).yaml"),
    # Keys
    "a misspelt key": _said("numberOfImages: 2", "numberOfImage: 2"),
    "a misspelt section": _said("imageData:", "imgeData:"),
    "keys without sections": _session("numberOfImages: 2\nseedName: Brassica napus\nnumberOfSeeds: 6\nzoom: 30\n"),
    "a key in another section": _session(
        _ALONE.replace("  zoom: 30\n", "").replace("seedData:", "  zoom: 30\nseedData:")
    ),
    "a key that nobody knows": _said("  zoom: 30", "  zoom: 30\n  weather: fine"),
    "a misspelt key that is not needed": _said("seedFamily", "seedFamly"),
    "a key that is missing": _said("  zoom: 30\n", ""),
    "an address that is missing": _project(
        _PROJECT.replace("clientEmail: ada@example.org", "clientExpertise: botanist")
    ),
    "a bracket at the end": _said("  zoom: 30", "  zoom: ["),
    "a key without a value": _said("  numberOfSeeds: 6", "  numberOfSeeds:"),
    "a misspelt key in a project": _project(_PROJECT.replace("numberOfSeeds", "numberOfSeed")),
    "a section with a value beside it": _said("imageData:\n  numberOfImages: 2", "imageData: 2"),
    "a genus without a species": _said("  seedSpecies: napus\n", ""),
    # Numbers
    "a number in words": _said("numberOfImages: 2", "numberOfImages: two"),
    "a number with its unit": _said("numberOfImages: 2", "numberOfImages: 2 images"),
    "a number with a no-break space and its unit": _said("numberOfImages: 2", "numberOfImages: 2\u00a0images"),
    "a number of something else": _said("numberOfImages: 2", "numberOfImages: 2 folders"),
    "a whole number with a decimal comma": _said("numberOfSeeds: 6", "numberOfSeeds: 6,0"),
    "a whole number with another decimal": _said("numberOfSeeds: 6", "numberOfSeeds: 6,5"),
    "a range": _said("numberOfSeeds: 6", "numberOfSeeds: 5-6"),
    "about so many": _said("numberOfSeeds: 6", "numberOfSeeds: environ 6"),
    "a number in typographic quotes": _said("numberOfSeeds: 6", "numberOfSeeds: “6”"),
    "a number in guillemets": _said("numberOfSeeds: 6", "numberOfSeeds: « 6 »"),
    "a negative number": _said("numberOfSeeds: 6", "numberOfSeeds: -6"),
    "a zoom with an x, which is right": _said("zoom: 30", "zoom: 30x"),
    "a zoom in words": _said("zoom: 30", "zoom: 30 fois"),
    "two zooms": _said("zoom: 30", "zoom: 10x-40x"),
    "a zoom of thousands": _said("zoom: 30", "zoom: 1,000"),
    "a zoom that is no number": _said("zoom: 30", "zoom: high"),
    "fewer pictures than declared": _said("numberOfImages: 2", "numberOfImages: 3"),
    "more pictures than declared": _said("numberOfImages: 2", "numberOfImages: 1"),
    # Addresses
    "an address with a space": _project(_PROJECT.replace("ada@", "ada @ ")),
    "an address with a space in a name": _project(_PROJECT.replace("ada@", "ada lovelace@")),
    "two addresses": _project(_PROJECT.replace("ada@example.org", "ada@example.org, eve@example.org")),
    "an address with a name": _project(_PROJECT.replace("ada@example.org", "Ada L. <ada@example.org>")),
    "an address without its sign": _project(_PROJECT.replace("ada@example.org", "ada.example.org")),
    "another person's address": _project(_PROJECT.replace("ada@", "eve@")),
    # Species
    "a misspelt species": _said("seedSpecies: napus", "seedSpecies: nappus"),
    "a species that is not registered": _said("seedSpecies: napus", "seedSpecies: rapa"),
    "a species of another genus": _said("seedGenus: Brassica\n  seedSpecies: napus", "seedName: Avena fatua"),
    "a genus alone": _said("seedSpecies: napus", "seedSpecies: sp."),
    "genus and species swapped": _said(
        "seedGenus: Brassica\n  seedSpecies: napus", "seedGenus: napus\n  seedSpecies: Brassica"
    ),
    "a genus cut to its letter": _said("seedGenus: Brassica\n  seedSpecies: napus", "seedName: B. napus"),
    "a name in French, which is right": _said("seedGenus: Brassica\n  seedSpecies: napus", "seedName: colza"),
    "a name in French of several species": _said(
        "seedFamily: Brassicaceae\n  seedGenus: Brassica\n  seedSpecies: napus", "seedName: herbe à poux"
    ),
    "a name in English of several species": _said(
        "seedFamily: Brassicaceae\n  seedGenus: Brassica\n  seedSpecies: napus", "seedName: thistle"
    ),
    "a misspelt name in French": _said("seedGenus: Brassica\n  seedSpecies: napus", "seedName: colzza"),
    "a common name as the species": _said("seedSpecies: napus", "seedSpecies: canola"),
    "the whole name as the genus": _said("seedGenus: Brassica", "seedGenus: Brassica napus"),
    "two species": _said("seedGenus: Brassica\n  seedSpecies: napus", "seedName: Brassica napus / Brassica juncea"),
    "a species and one of another genus": _said(
        "seedGenus: Brassica\n  seedSpecies: napus", "seedName: Brassica napus et Avena fatua"
    ),
    "a hybrid": _said("seedSpecies: napus", "seedSpecies: napus x juncea"),
    "a name with its author": _said("seedSpecies: napus", "seedSpecies: napus L."),
    "a list of species": _said("seedSpecies: napus", "seedSpecies: [napus, juncea]"),
    "two names of different species": _said("seedFamily: Brassicaceae", "seedName: Solanum nigrum"),
    "seeds that nobody can name, which is right": _said(_SEED, "  seedName: unknown\n  guess: Avena sp."),
    "unknown without a key, which is right": _said(f"seedData:\n{_SEED}", "seedData: inconnue"),
    "a misspelt unknown": _said(f"seedData:\n{_SEED}", "seedData: unkown"),
    "a misspelt unknown as the name": _said(_SEED, "  seedName: unknow"),
    "a name without its key": _said(f"seedData:\n{_SEED}", "seedData: Brassica napus"),
    "one species or another": _said(_SEED, "  seedName: Brassica napus ou Brassica juncea"),
    "a guess beside a species": _said("seedFamily: Brassicaceae", "guess: Brassica"),
    "a guess without unknown": _said(_SEED, "  guess: Avena sp."),
    "an unknown rank": _said(_SEED, "  seedName: unknown\n  guess: Avena\n  guessRank: genuss"),
    "unknown and a species": _said("seedFamily: Brassicaceae", "seedName: unknown"),
    "several species in each picture, which is right": _listed(
        "{seedName: Brassica napus, numberOfSeeds: 4}", "{seedName: Brassica juncea, numberOfSeeds: 2}"
    ),
    "mere names in a list": _listed("Brassica napus", "Brassica juncea"),
    "a list in brackets": _said(f"seedData:\n{_SEED}", "seedData: [Brassica napus, Brassica juncea]"),
    "a number that is missing in a list": _listed(
        "{seedName: Brassica napus, numberOfSeeds: 4}", "{seedName: Brassica juncea}"
    ),
    "a name that is missing in a list": _listed("{seedName: Brassica napus, numberOfSeeds: 4}", "{numberOfSeeds: 2}"),
    "a species twice in a list": _listed(
        "{seedName: Brassica napus, numberOfSeeds: 4}", "{seedName: canola, numberOfSeeds: 2}"
    ),
    "a misspelt species in a list": _listed(
        "numberOfSeeds: 4\n    seedName: Brassica nappus", "{seedName: Brassica juncea, numberOfSeeds: 2}"
    ),
    "numbers that do not add up": _listed(
        "{seedName: Brassica napus, numberOfSeeds: 4}", "{seedName: Brassica juncea, numberOfSeeds: 3}"
    ),
    "typographic quotes around a genus": _said("seedGenus: Brassica", "seedGenus: “Brassica”"),
    "a space that nobody sees": _said("seedSpecies: napus", "seedSpecies: na\u200bpus"),
    "accents that are characters of their own": _said(
        "seedGenus: Brassica\n  seedSpecies: napus", f"seedName: herbe d'{_NFD}"
    ),
    "another family": _said("Brassicaceae", "Poaceae"),
    "a family in French": _said("Brassicaceae", "Brassicacées"),
    "a number as the seed's id": _said("seedGenus: Brassica\n  seedSpecies: napus", "seedID: 14"),
    # Folders
    "a folder around the folder": {f"canola/{path}": content for path, content in _project().items()},
    "sessions beside the index": _moved(_project(), "pictures/day1/", "day1/"),
    "another name of pictures/": _moved(_project(), "pictures/", "images/"),
    "pictures without a session": _moved(_project(session=None), "pictures/day1/", "pictures/"),
    "an index in pictures/": _without(_project(), "index.yaml") | {"pictures/index.yaml": _PROJECT.encode()},
    "two projects in a folder": {f"{name}/{path}": content for name in "ab" for path, content in _project().items()},
    "a session in a folder of its own name": _moved(_project(), "pictures/day1/", "pictures/day1/day1/"),
    "a session too deep": _moved(_project(), "pictures/day1/", "pictures/2026/day1/"),
    "a session too deep beside another": _project() | _moved(_project(), "pictures/day1/", "pictures/2026/day2/"),
    "pictures one folder too deep in their session": _moved(
        _moved(_project(), "day1/1.png", "day1/best/1.png"), "day1/2.png", "day1/best/2.png"
    ),
    "a picture beside the project's index": _project() | {"3.png": picture(3, "png")},
    "a session without pictures": _without(_session(), "1.png", "2.png"),
    "an empty folder": {},
    "what the template explains": _project() | {"CONTRACT.md": b"# The folder contract", "README.txt": b"This folder"},
    "only an archive": {"canola.zip": _ZIP},
    "an archive in place of the pictures": _without(_session(), "1.png", "2.png") | {"seeds.zip": _ZIP},
    "an archive beside the pictures": _and("seeds.7z"),
    "notes": _and("notes.txt"),
    "a Word document among the pictures": _and("notes.docx", _word()),
    "a video": _and("film.mp4"),
    "a shortcut": _and("3.png.lnk"),
    "the marker with a hidden .txt": _and("_COMPLETE.txt"),
    "the marker in a session": _project() | {f"{_DAY}/_COMPLETE": b""},
    "what Windows leaves": _and("Thumbs.db"),
    "a hidden file": _and(".Rhistory"),
    # Names of pictures
    "a picture with a hidden .txt": _moved(_session(), "2.png", "2.png.txt"),
    "a JPEG named .jfif": _moved(_session(), "2.png", "2.jfif"),
    "a PNG named .jpg": _moved(_session(), "2.png", "2.jpg"),
    "a picture of a phone": _moved(_session(**{"2.png": b"\0\0\0\x18ftypheic" + bytes(40)}), "2.png", "2.heic"),
    "a bitmap of Windows": _moved(_session(**{"2.png": b"BM" + bytes(60)}), "2.png", "2.bmp"),
    "a file of ZEN named .tif": _moved(_session(**{"2.png": b"ZISRAWFILE" + bytes(60)}), "2.png", "2.tif"),
    "a download that was not finished": _moved(_session(), "2.png", "2.png.crdownload"),
    "a picture that iCloud keeps": _moved(_session(), "2.png", ".2.png.icloud"),
    "a picture of zeros": _and("2.png", bytes(4_000)),
    "an empty picture": _and("2.png", b""),
    "a browser's copy of a picture": _and("1 (1).png", picture(1, "png")),
    "two formats of a picture": _said("numberOfImages: 2", "numberOfImages: 3") | {"1.jpg": picture(3, "jpeg")},
    "two names that differ in case": _said("numberOfImages: 2", "numberOfImages: 3") | {"1.PNG": picture(3, "png")},
    "two names that differ in the encoding of accents": _without(_session(), "1.png", "2.png")
    | _pictures("\u00e9t\u00e9.png", f"{_NFD}.png"),
    "a space at the beginning of a name": _moved(_session(), "2.png", " 2.png"),
    "a name that Windows keeps for itself": _and("aux.png"),
    "a name with a backslash": _and("day1\\3.png"),
    # YAML files of pictures
    "a picture's suffix in the name of its YAML file": _with(**{"1.png.yaml": b"{}", "2.png.yaml": b"{}"}),
    "the suffix in the name of a second YAML file": _with(**{"1.yaml": b"{}", "1.png.yaml": b"{}"}),
    "a YAML file with a hidden .txt": _and("1.yaml.txt"),
    "a browser's copy of a YAML file": _with(**{"1.yaml": b"{}", "1 (1).yaml": b"{}"}),
    "a YAML file without its picture": _and("7.yaml", b"{}"),
    "a YAML file with a misspelt name": _session(**{"petal_1.png": picture(3, "png"), "pettal_1.yaml": b"{}"})
    | {"index.yaml": _ALONE.replace("numberOfImages: 2", "numberOfImages: 3").encode()},
    "two YAML files of a picture": _with(**{"1.yaml": b"{}", "1.yml": b"{}"}),
    "a wrong value in a picture's YAML file": _and("1.yaml", b"userData: {numberOfSeeds: 5 graines}"),
    "the index's section in a picture's YAML file": _and("1.yaml", b"imageData: {numberOfImages: 1}"),
    "a picture's YAML file of zeros": _and("1.yaml", bytes(40)),
    # Checksums
    "a picture that was damaged on its way": _and("SHA256SUMS", _sums(**{"2.png": "0" * 64})),
    "checksums of a picture that is missing": _and("SHA256SUMS", _sums(**{"3.png": "0" * 64})),
    "checksums by MD5": _and("SHA256SUMS", b"d41d8cd98f00b204e9800998ecf8427e  1.png\n"),
    # Wishes
    "a session to remove that is there": _project(_PROJECT + "uploadData: {removedSessions: day1}\n"),
    "yes in other words": _project(_PROJECT + "uploadData: {acceptValid: sure}\n"),
}


def report_on(files: Files, pool: DecodingPool, place: Path) -> Report:
    """The report on a folder, which is written to a place."""
    root = write(place, files)
    with Inventory() as inventory:
        return validate(LocalFolder(root), inventory, pool, REGISTRY, owner=ADA).report


def said_of(report: Report, language: Language) -> list[str]:
    """What a person reads about a folder: everything before the verdict."""
    lines = list(takewhile(lambda line: not line.startswith(_VERDICTS), as_text(report, language)))
    while lines and not lines[-1]:
        lines.pop()
    return lines or [_NOTHING[language]]


def page() -> Iterator[str]:
    """The page of all mistakes, as it is now."""
    yield "# What is said of a hundred mistakes"
    yield ""
    yield "Written by `python -m nachet_pipeline_tests.contract.mistakes`; the test compares every line."
    with DecodingPool(DecodingSettings(workers=1)) as pool, tempfile.TemporaryDirectory() as place:
        for number, (name, files) in enumerate(MISTAKES.items()):
            yield f"\n## {name}"
            report = report_on(files, pool, Path(place) / str(number))
            for language in LANGUAGES:
                yield from ("", "```", *said_of(report, language), "```")


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.write("\n".join(page()) + "\n")
