"""Pictures in formats that are not imported: recognise them by their first bytes, and say how to export them."""

from dataclasses import dataclass
from posixpath import splitext

from nachet_pipeline.pictures.forensics.signatures import PICTURE_STARTS
from nachet_pipeline.pictures.issues import Issues
from nachet_pipeline.support.i18n import Bilingual

START_BYTES = 4_096
"""Bytes of a file that are enough to recognise it."""

ACCEPTED = Bilingual("TIFF, PNG or JPEG", "TIFF, PNG ou JPEG")


@dataclass(frozen=True, slots=True)
class OtherFormat:
    """A format that is not imported.

    Attributes:
        name: what a file of it is.
        advice: how to export it, a sentence.
    """

    name: Bilingual
    advice: Bilingual

    def report(self, issues: Issues) -> None:
        """Add that a picture is of this format."""
        issues.add("other-format", expected=ACCEPTED, found=self.name, advice=self.advice)


_BY_ZEN = Bilingual(
    "Open the picture in ZEN and export it as TIFF: File → Export, or Processing → Image Export in newer versions.",
    "Ouvrez l'image dans ZEN et exportez-la en TIFF : Fichier → Exporter, ou Traitement → Exportation d'image dans"
    " les versions récentes.",
)
_BY_LAS_X = Bilingual(
    "In LAS X, click the picture in the project with the right mouse button and choose Export → TIFF.",
    "Dans LAS X, cliquez sur l'image du projet avec le bouton droit de la souris et choisissez Exporter → TIFF.",
)
_BY_NIS = Bilingual(
    "Open the picture in NIS-Elements and save it as TIFF: File → Save As, or File → Export.",
    "Ouvrez l'image dans NIS-Elements et enregistrez-la en TIFF : Fichier → Enregistrer sous, ou Fichier → Exporter.",
)
_BY_OLYMPUS = Bilingual(
    "Open the picture in the program of the microscope (cellSens, FluoView) and save it as TIFF: File → Save As.",
    "Ouvrez l'image dans le logiciel du microscope (cellSens, FluoView) et enregistrez-la en TIFF : Fichier →"
    " Enregistrer sous.",
)
_BY_QUPATH = Bilingual(
    "Select the region with the seeds in QuPath and choose File → Export images → Original pixels, as TIFF; in"
    " ImageScope, extract that region as TIFF.",
    "Sélectionnez la région des semences dans QuPath et choisissez File → Export images → Original pixels, en TIFF;"
    " dans ImageScope, extrayez cette région en TIFF.",
)
_BY_PHONE = Bilingual(
    "Export the picture as JPEG from the photo program of the phone or computer. For the next pictures, choose"
    " Settings → Camera → Formats → Most Compatible on an iPhone, or JPEG in the camera's settings on Android.",
    "Exportez l'image en JPEG depuis l'application de photos du téléphone ou de l'ordinateur. Pour les prochaines,"
    " choisissez Réglages → Appareil photo → Formats → Le plus compatible sur un iPhone, ou JPEG dans les réglages de"
    " l'appareil photo sur Android.",
)
_BY_CAMERA = Bilingual(
    "Develop the picture in the program of the camera's maker and export it as TIFF. For the next pictures, set the"
    " camera to JPEG.",
    "Développez l'image dans le logiciel du fabricant de l'appareil et exportez-la en TIFF. Pour les prochaines,"
    " réglez l'appareil sur JPEG.",
)
_BY_ANY = Bilingual(
    "Open the picture in a program such as ImageJ or GIMP and save it as TIFF or PNG.",
    "Ouvrez l'image dans un logiciel comme ImageJ ou GIMP et enregistrez-la en TIFF ou en PNG.",
)


_BY_GIMP = Bilingual(
    "Open the picture in GIMP and choose File → Export As; give it a name that ends in .tiff or .png.",
    "Ouvrez l'image dans GIMP et choisissez Fichier → Exporter sous; donnez-lui un nom qui se termine par .tiff ou"
    " .png.",
)


def _named(kind: str, advice: Bilingual, by: str = "") -> OtherFormat:
    article = "an" if kind.startswith(("A", "ND", "O", "XC")) else "a"
    maker = Bilingual(f", as {by} writes it", f", tel que {by} l'enregistre") if by else Bilingual("", "")
    return OtherFormat(Bilingual(f"{article} {kind} file{maker.en}", f"un fichier {kind}{maker.fr}"), advice)


CAMERA_RAW = OtherFormat(Bilingual("a camera's raw file", "un fichier brut (RAW) d'appareil photo"), _BY_CAMERA)
_CZI = _named("CZI", _BY_ZEN, "ZEN")
_LIF = _named("LIF", _BY_LAS_X, "LAS X")
_ND2 = _named("ND2", _BY_NIS, "NIS-Elements")
_OIB, _OIF, _VSI = (_named(kind, _BY_OLYMPUS) for kind in ("OIB", "OIF", "VSI"))
_SLIDE = OtherFormat(Bilingual("a scanned slide", "une lame numérisée"), _BY_QUPATH)
_HEIC = _named("HEIC", _BY_PHONE)
_AVIF, _JP2, _JXL, _BMP, _PSD, _DICOM = (
    _named(kind, _BY_ANY) for kind in ("AVIF", "JPEG 2000", "JPEG XL", "BMP", "Photoshop", "DICOM")
)
_WEBP, _GIF, _JXR = (_named(kind, _BY_ANY) for kind in ("WebP", "GIF", "JPEG XR"))
_XCF = _named("XCF", _BY_GIMP, "GIMP")

_STARTS = (
    (b"ZISRAWFILE", _CZI),
    (b"\xda\xce\xbe\x0a", _ND2),
    (b"GIF87a", _GIF),
    (b"GIF89a", _GIF),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", _JP2),
    (b"\xff\x4f\xff\x51", _JP2),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", _JXL),
    (b"\xff\x0a", _JXL),
    (b"8BPS\x00", _PSD),
    (b"gimp xcf ", _XCF),
    (b"II\xbc\x01", _JXR),
    (b"FUJIFILMCCD-RAW", CAMERA_RAW),
    (b"IIRO", CAMERA_RAW),
    (b"IIRS", CAMERA_RAW),
    (b"MMOR", CAMERA_RAW),
    (b"IIU\x00", CAMERA_RAW),
    (b"FOVb", CAMERA_RAW),
    (b"\x00MRM", CAMERA_RAW),
)
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), _HEIC),
    **dict.fromkeys((b"avif", b"avis"), _AVIF),
    b"crx ": CAMERA_RAW,
}
_GENERAL_BRANDS = {b"mif1", b"msf1", b"mif2", b"mif3", b"miaf"}
_BMP_HEADERS = {12, 40, 52, 56, 64, 108, 124}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OIB_NAME = "OibInfo".encode("utf-16-le")

_RAW_SUFFIXES = {
    *(".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf", ".rw2", ".raf", ".pef", ".srw"),
    *(".raw", ".rwl", ".x3f", ".mrw", ".3fr", ".erf", ".kdc", ".dcr", ".iiq"),
}
_SUFFIXES = {
    **dict.fromkeys(_RAW_SUFFIXES, CAMERA_RAW),
    **dict.fromkeys((".svs", ".scn", ".ndpi", ".bif", ".mrxs", ".qptiff"), _SLIDE),
    **dict.fromkeys((".heic", ".heif", ".hif"), _HEIC),
    **dict.fromkeys((".jp2", ".j2k", ".j2c", ".jpf", ".jpx"), _JP2),
    **dict.fromkeys((".bmp", ".dib"), _BMP),
    **dict.fromkeys((".dcm", ".dicom"), _DICOM),
    ".czi": _CZI,
    ".lif": _LIF,
    ".nd2": _ND2,
    ".oib": _OIB,
    ".oif": _OIF,
    ".vsi": _VSI,
    ".avif": _AVIF,
    ".webp": _WEBP,
    ".gif": _GIF,
    ".jxl": _JXL,
    ".psd": _PSD,
    ".xcf": _XCF,
    **dict.fromkeys((".jxr", ".wdp", ".hdp"), _JXR),
}
# Formats that begin like a TIFF, a JPEG 2000 file or text: there the name decides.
_ALIKE = {*_RAW_SUFFIXES, ".svs", ".scn", ".ndpi", ".bif", ".qptiff", ".vsi", ".nd2", ".oif"}


def other_format(start: bytes, name: str = "") -> OtherFormat | None:
    """The format of a file, by its first bytes; None if it is not known, or one that is imported.

    Args:
        start: its first `START_BYTES` bytes, or all.
        name: its name, which decides between formats that begin alike.
    """
    found = _by_bytes(start)
    suffix = splitext(name)[1].lower()
    if suffix in _ALIKE and (found in {None, _JP2}):
        begins_alike = start.startswith(PICTURE_STARTS["TIFF"]) or found is _JP2 or suffix == ".oif"
        return _SUFFIXES[suffix] if begins_alike else found
    if start.startswith(_OLE) and suffix == ".oib":
        return _OIB
    return found


def format_by_name(name: str) -> OtherFormat | None:
    """The format that a file's name says; None if it is not known, or one that is imported."""
    return _SUFFIXES.get(splitext(name)[1].lower())


def renamed_to(picture_format: str) -> Bilingual:
    """The advice to give a file the suffix of its format; its content stays as it is."""
    suffix = {"TIFF": ".tiff", "PNG": ".png", "JPEG": ".jpg"}[picture_format]
    return Bilingual(
        f"Rename the file so that its name ends in {suffix}; its content stays as it is.",
        f"Renommez le fichier pour que son nom se termine par {suffix}; son contenu reste tel quel.",
    )


def _by_bytes(start: bytes) -> OtherFormat | None:
    for magic, other in _STARTS:
        if start.startswith(magic):
            return other
    if start[4:8] == b"ftyp":
        return _by_brand(start)
    if start.startswith(b"\x70\x00\x00\x00") and start[8:9] == b"\x2a":
        return _LIF
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return _WEBP
    if start[128:132] == b"DICM":
        return _DICOM
    if start.startswith(b"BM") and int.from_bytes(start[14:18], "little") in _BMP_HEADERS:
        return _BMP
    if start.startswith(_OLE) and _OIB_NAME in start:
        return _OIB
    return CAMERA_RAW if start.startswith(PICTURE_STARTS["TIFF"]) and start[8:10] == b"CR" else None


def _by_brand(start: bytes) -> OtherFormat | None:
    """The format of a file of boxes: by its brand, or where that is a general one, by those it is compatible with."""
    if found := _BRANDS.get(start[8:12]):
        return found
    end = min(int.from_bytes(start[:4], "big"), len(start))
    others = [start[place : place + 4] for place in range(12, end, 4)]  # after a short header one is the version
    known = next((_BRANDS[brand] for brand in others if brand in _BRANDS), None)
    if start[8:12] == b"jp2 ":
        return _JP2
    return known or (_HEIC if _GENERAL_BRANDS & {start[8:12], *others} else None)
