"""Files that are no text at all: documents of office programs, archives, pictures, by their first bytes."""

from nachet_pipeline.support.i18n import Bilingual

_WORD = Bilingual("a Word document", "un document Word")
_ODT = Bilingual("a LibreOffice document", "un document LibreOffice")
_EXCEL = Bilingual("an Excel workbook", "un classeur Excel")
_RTF = Bilingual("an RTF document", "un document RTF")
_PDF = Bilingual("a PDF", "un PDF")
_PAGES = Bilingual("a Pages document", "un document Pages")
_OFFICE = Bilingual("an old Word or Excel document", "un ancien document Word ou Excel")
_ZIP = Bilingual("a ZIP archive", "une archive ZIP")
_ARCHIVE = Bilingual("an archive", "une archive")
_PICTURE = Bilingual("a picture", "une image")
_PAGE = Bilingual("a web page", "une page Web")

DOCUMENTS = {
    **dict.fromkeys((".docx", ".doc", ".docm", ".dotx"), _WORD),
    **dict.fromkeys((".odt", ".ods"), _ODT),
    **dict.fromkeys((".xlsx", ".xls", ".xlsm"), _EXCEL),
    ".rtf": _RTF,
    ".pdf": _PDF,
    ".pages": _PAGES,
}
"""From the suffix of a document of an office program, in lower case, to what it is."""

_STARTS = (
    (b"{\\rtf", _RTF),
    (b"%PDF", _PDF),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OFFICE),
    (b"Rar!\x1a\x07", _ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (b"\x1f\x8b\x08", _ARCHIVE),
    (b"\xff\xd8\xff", _PICTURE),
    (b"\x89PNG\r\n\x1a\n", _PICTURE),
    (b"II*\x00", _PICTURE),
    (b"MM\x00*", _PICTURE),
)
# A package of an office program is a ZIP that names its parts near its beginning.
_PARTS = (
    (b"word/", _WORD),
    (b"xl/", _EXCEL),
    (b"opendocument", _ODT),
    (b"Index/Document.iwa", _PAGES),
)


def kind_of_document(content: bytes) -> Bilingual | None:
    """What a file is that can be no text file; None if it may be one."""
    if content.startswith(b"PK\x03\x04"):
        return next((what for part, what in _PARTS if part in content), _ZIP)
    start = content[:256].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return _PAGE
    return next((what for magic, what in _STARTS if content.startswith(magic)), None)
