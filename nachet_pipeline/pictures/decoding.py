"""Decode a picture whose structure was walked, with the decoder of its format that finds most damage."""

# ruff: noqa: PLC0415 (decoders are slow to import, and needed in workers alone)

import io
import logging
import os
import re
import resource
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageFile

from nachet_pipeline.pictures import pixels
from nachet_pipeline.pictures.arrays import np
from nachet_pipeline.pictures.forensics.jpeg import JpegPicture, frame_of
from nachet_pipeline.pictures.forensics.png import PngPicture
from nachet_pipeline.pictures.forensics.tiff import TiffPicture
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.pictures.pixels import Pixels
from nachet_pipeline.pictures.thumbnails import THUMBNAIL_SIDE
from nachet_pipeline.support.i18n import Bilingual

# Other compressions that tifffile knows were never used for seeds, and each decoder is one more to attack:
# none, LZW, JPEG, deflate, packed bits, JPEG 2000 (three numbers), LZMA, Zstandard and WebP.
_COMPRESSIONS = {1, 5, 7, 8, 32773, 32946, 33003, 33005, 34712, 34925, 50000, 50001}
_RAW, _JPEG, _WEBP = 1, 7, 50001
# TIFF's numbers, by which a report names what is not imported.
_COMPRESSION_NAMES = {
    1: "none",
    2: "CCITT",
    3: "CCITT",
    4: "CCITT",
    5: "LZW",
    6: "JPEG",
    7: "JPEG",
    8: "deflate",
    9: "JBIG",
    10: "JBIG",
    22610: "JPEG XR",
    32766: "NeXT",
    32767: "Sony ARW",
    32769: "Epson ERF",
    32770: "Samsung SRW",
    32771: "CCITT",
    32773: "PackBits",
    32809: "ThunderScan",
    32895: "IT8",
    32896: "IT8",
    32897: "IT8",
    32898: "IT8",
    32908: "Pixar film",
    32909: "Pixar log",
    32946: "deflate",
    32947: "Kodak DCS",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "LogLuv",
    34677: "LogLuv 24",
    34712: "JPEG 2000",
    34713: "Nikon NEF",
    34718: "Microsoft MDI",
    34719: "Microsoft MDI",
    34720: "Microsoft MDI",
    34887: "LERC",
    34892: "JPEG (DNG)",
    34925: "LZMA",
    34926: "Zstandard",
    34927: "WebP",
    34933: "PNG",
    34934: "JPEG XR",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
    65000: "Kodak DCR",
    65535: "Pentax PEF",
}
_CCITT = {2, 3, 4, 32771}
# Colour space to ask the strict decoder for, by the number of components.
_MEASURED_COLOURS = {1: "GRAY", 3: "RGB"}
_BYTE_BITS = 8
# What libtiff says of the code of fax machines that it cannot follow.
_BAD_FAX = re.compile(rb"Fax\w{1,20}: [\x20-\x7e]{1,150}")
_SAVE_PLAINLY = Bilingual(
    "Save the picture again as a TIFF with LZW compression or with none.",
    "Enregistrez de nouveau l'image en TIFF avec la compression LZW ou sans compression.",
)
_STANDARD_ERROR, _COMPLAINT_BYTES = 2, 4_096
_BAD_JPEG = re.compile("Corrupt JPEG data|[Pp]remature end")
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
# Baseline, extended and progressive. The strict decoder knows no arithmetic coding, and can crash on lossless frames.
_STRICTLY_DECODED = {0xC0, 0xC1, 0xC2}
# libjpeg reports the last of several complaints, and headers come first: what follows them is not damaged.
_CARELESS_HEADERS = re.compile("Invalid SOS parameters|JFIF|Adobe")
_X_RESOLUTION, _RESOLUTION_UNIT = 282, 296
_SWAPPING_ORIENTATIONS = range(5, 9)
_COLOURS = {0: "L", 1: "L", 2: "RGB", 3: "P", 5: "CMYK", 6: "YCbCr", 8: "LAB"}
_GREYS = {("u", 16): "I;16", ("i", 16): "I", ("u", 32): "I", ("i", 32): "I", ("f", 32): "F"}
_COLOUR_SAMPLES = {"L": 1, "P": 1, "CMYK": 4}


class UndecodableError(Exception):
    """No decoder reads the picture.

    Attributes:
        found: what was found.
        advice: what to do about it, where the picture is not simply damaged.
    """

    def __init__(self, found: Bilingual, advice: Bilingual | None = None) -> None:
        super().__init__(found.en)
        self.found = found
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture that was decoded completely.

    Attributes:
        width: in pixels.
        height: in pixels.
        mode: Pillow's name of the pixel format, or one like it (`RGB;16`).
        resolution: horizontal and vertical, in pixels per inch, where the file gives it.
        image: returns the picture for display, perhaps at a smaller scale.
        bit_depth: bits of a sample.
        compression: what it is compressed with.
        pixels: returns the pixels to measure.
    """

    width: int
    height: int
    mode: str
    resolution: tuple[float, float] | None
    image: Callable[[], Image.Image]
    bit_depth: int
    compression: str
    pixels: Callable[[], Pixels]


def load_decoders() -> int:
    """Import every decoder now, while there is memory. A picture that takes most of it must not fail the next one.

    Returns:
        Bytes of address space that OpenCV took for its own code and buffers: about 170 MiB, more than all other
        decoders together. 0 where the system does not report it.
    """
    import blake3  # noqa: F401
    import numpy  # noqa: F401
    import simplejpeg  # noqa: F401
    import tifffile  # noqa: F401
    from imagecodecs import deflate_decode, lzw_decode  # noqa: F401

    Image.init()
    before = _address_space()
    import cv2

    # Every worker has a core of its own; threads would each take their share of its address space.
    cv2.setNumThreads(0)
    return _address_space() - before


def _address_space() -> int:
    """The address space of this process, in bytes; 0 on systems other than Linux."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 0


def quieten_decoders() -> None:
    """Silence this process's decoders and turn off their own limits; called in a worker before it decodes."""
    Image.MAX_IMAGE_PIXELS = None
    warnings.simplefilter("ignore")
    for name in ("PIL", "tifffile"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


# Messages of decoders that mean nothing to an uploader, with their meaning.
_MEANINGS = (
    (re.compile("truncated|Premature end"), Bilingual("the end of the data", "la fin des données")),
    (
        re.compile(
            "decoder error|Fax|broken data stream|unrecognized data stream|Corrupt JPEG data|Invalid JPEG|Bogus"
        ),
        Bilingual("damaged pixel data", "des données de pixels endommagées"),
    ),
    (
        re.compile("cannot identify"),
        Bilingual("something that no decoder recognises", "quelque chose qu'aucun décodeur ne reconnaît"),
    ),
)


def what_failed(error: Exception) -> Bilingual:
    """A decoder's message, explained where it is known, without anything that differs between runs."""
    text = re.sub(r"<[^>]* object at 0x[0-9a-f]+>", "the file", str(error))
    words = " ".join(text.split())[:200] or type(error).__name__
    for pattern, meaning in _MEANINGS:
        if pattern.search(words):
            return Bilingual(f"{meaning.en} ({words})", f"{meaning.fr} ({words})")
    return Bilingual(f"damage; the decoder says: {words}", f"un dommage ; le décodeur dit : {words}")


def _resolution(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    return (float(dpi[0]), float(dpi[1])) if dpi else None


def decode_jpeg(picture: JpegPicture, *, measured: bool = False) -> Decoded:
    """Decode a JPEG at a fraction of its size, which reads all of its data.

    Args:
        picture: what the walk made of it.
        measured: whether its pixels will be measured; if not, brightness at an eighth of its size is enough.

    Raises:
        UndecodableError: it has more than eight bits a sample.
        Exception: whatever the decoder raises.
    """
    if picture.precision != _BYTE_BITS:
        bits = picture.precision
        raise UndecodableError(Bilingual(f"{bits} bits per sample", f"{bits} bits par échantillon"))
    content = picture.essence
    with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
        mode = image.mode
        resolution = _resolution(image)
        array = _decode_strictly(picture, measured=measured) if picture.frame in _STRICTLY_DECODED else None
        if array is None:
            image.load()

    def measurable() -> Pixels:
        if array is not None and picture.components in _MEASURED_COLOURS:
            return pixels.of_jpeg(array, picture.pixel_digest)
        if array is None:
            return pixels.of_jpeg_image(image, picture.width, picture.pixel_digest)
        small = Image.open(io.BytesIO(content), formats=["JPEG"])
        by = pixels.factor(*small.size)
        small.draft(None, (max(1, small.width // by), max(1, small.height // by)))
        return pixels.of_jpeg_image(small, picture.width, picture.pixel_digest)

    def recognisable() -> Image.Image:
        if measured and array is not None and picture.components in _MEASURED_COLOURS:
            # It is large enough, and decoded already.
            return Image.fromarray(array if picture.components > 1 else array[..., 0])
        return _small_jpeg(content)

    return Decoded(picture.width, picture.height, mode, resolution, recognisable, _BYTE_BITS, "JPEG", measurable)


def _decode_strictly(picture: JpegPicture, *, measured: bool) -> "np.ndarray[Any, Any] | None":
    """Decode a JPEG strictly; None if the only complaint is about headers, as careless programs write them."""
    from simplejpeg import decode_jpeg as decode

    colours = _MEASURED_COLOURS.get(picture.components) if measured else None
    by = pixels.factor(picture.width, picture.height) if colours else 8
    try:
        return decode(  # type: ignore[no-any-return]
            picture.essence,
            colorspace=colours or "GRAY",
            min_height=-(-picture.height // by),
            min_width=-(-picture.width // by),
            strict=True,
        )
    except ValueError as error:
        if _CARELESS_HEADERS.search(str(error)):
            return None
        raise


def _small_jpeg(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content), formats=["JPEG"])
    image.draft(None, (2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))
    return image


def decode_png(picture: PngPicture) -> Decoded:
    """Decode a PNG.

    Raises:
        Exception: whatever the decoder raises.
    """
    image = Image.open(io.BytesIO(picture.essence), formats=["PNG"])
    mode = image.mode
    image.load()
    return Decoded(
        *image.size,
        mode,
        _resolution(image),
        lambda: image,
        picture.bits,
        "deflate",
        lambda: pixels.of_image(image),
    )


def decode_tiff(content: bytes, picture: TiffPicture, limits: PictureLimits) -> Decoded:
    """Decode a TIFF with Pillow, or with tifffile where Pillow does not know the kind of pixels.

    Raises:
        UndecodableError: its tags say different things.
        Exception: whatever the decoder raises.
    """
    if picture.subsampled and picture.compression == _RAW:
        return _decode_with_libtiff(content, picture)
    # Pillow opens the one, and then may be built without; of the other it reads strips where tiles are.
    if picture.compression == _WEBP or (picture.tiles_as_strips and picture.compression == _RAW):
        return _decode_with_tifffile(content, picture)
    if picture.compression == _JPEG:
        _check_jpegs(content, picture)
    try:
        image = Image.open(io.BytesIO(content), formats=["TIFF"])
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 (Pillow raises many kinds for what it does not know)
        return _decode_with_tifffile(content, picture)
    mode, size = image.mode, image.size
    if sorted(size) != sorted((picture.width, picture.height)) or not limits.admits(*size):
        raise UndecodableError(_contradiction(picture, size))
    if picture.compression in _CCITT:
        _load_fax(image)
    elif not picture.verified:
        image.load()
    # Without the tag Pillow invents a resolution.
    resolution = _resolution(image) if _X_RESOLUTION in image.tag_v2 else None  # type: ignore[attr-defined]
    samples = picture.samples_read
    return Decoded(
        *size,
        mode,
        resolution,
        lambda: image,
        picture.bits,
        _compression(picture),
        lambda: pixels.of_samples(mode, size, samples) if samples is not None else pixels.of_image(image),
    )


def _check_jpegs(content: bytes, picture: TiffPicture) -> None:
    """Decode each strip of JPEG strictly, small. libtiff goes on where one is damaged, and says nothing.

    Raises:
        ValueError: one is damaged.
    """
    from simplejpeg import decode_jpeg as decode

    tables = picture.jpeg_tables.removesuffix(_JPEG_END) or _JPEG_START
    for segment in picture.segments:
        strip = content[segment.start : segment.end]
        if frame_of(strip) not in _STRICTLY_DECODED:
            return
        try:
            decode(tables + strip.removeprefix(_JPEG_START), colorspace="GRAY", min_height=1, min_width=1, strict=True)
        except ValueError as error:
            if _BAD_JPEG.search(str(error)):
                raise
            return  # of a kind that only libtiff knows


def _load_fax(image: Image.Image) -> None:
    """Load a picture in the code of fax machines. libtiff writes what is wrong to standard error, and goes on.

    Raises:
        UndecodableError: libtiff called it bad.
        Exception: whatever the decoder raises.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as said:
        kept = os.dup(_STANDARD_ERROR)
        os.dup2(said.fileno(), _STANDARD_ERROR)
        try:
            image.load()
        finally:
            os.dup2(kept, _STANDARD_ERROR)
            os.close(kept)
        said.seek(0)
        complaint = _BAD_FAX.search(said.read(_COMPLAINT_BYTES))
    if complaint is not None:
        raise UndecodableError(what_failed(ValueError(complaint[0].decode("ascii"))))


def _compression(picture: TiffPicture) -> str:
    return _COMPRESSION_NAMES.get(picture.compression, f"number {picture.compression}")


def _contradiction(picture: TiffPicture, size: tuple[int, int]) -> Bilingual:
    said, also = f"{picture.width} × {picture.height}", f"{size[0]} × {size[1]}"  # noqa: RUF001
    return Bilingual(f"two sizes, {said} and {also} pixels", f"deux tailles, {said} et {also} pixels")


def _decode_with_libtiff(content: bytes, picture: TiffPicture) -> Decoded:
    """Decode uncompressed pixels that share their colour, as some cameras write them and neither other decoder reads.

    Raises:
        Exception: whatever the decoder raises.
    """
    from imagecodecs import tiff_decode

    array = np.asarray(tiff_decode(content, asrgb=True))[..., :3]
    height, width = array.shape[:2]
    if sorted((width, height)) != sorted((picture.width, picture.height)):
        raise UndecodableError(_contradiction(picture, (width, height)))
    return Decoded(
        width,
        height,
        "RGB",
        None,
        lambda: _shown(array, "YXS"),
        picture.bits,
        _compression(picture),
        lambda: pixels.of_array(array, "RGB"),
    )


def _decode_with_tifffile(content: bytes, picture: TiffPicture) -> Decoded:
    if picture.compression not in _COMPRESSIONS:
        code, name = picture.compression, _COMPRESSION_NAMES.get(picture.compression)
        found = Bilingual(f"the compression number {code}", f"la compression numéro {code}")
        if name is not None:
            found = Bilingual(f"the compression {name} ({code})", f"la compression {name} ({code})")
        raise UndecodableError(found, _SAVE_PLAINLY)
    from tifffile import TiffFile

    with TiffFile(io.BytesIO(content)) as file:
        page = file.pages.first
        if sorted((page.imagewidth, page.imagelength)) != sorted((picture.width, picture.height)):
            raise UndecodableError(_contradiction(picture, (page.imagewidth, page.imagelength)))
        array = page.asarray(maxworkers=1)
        axes, kind = page.axes, array.dtype.kind
        has_unit = _X_RESOLUTION in page.tags and page.tags.valueof(_RESOLUTION_UNIT, 2) != 1
        dpi = page.get_resolution("INCH") if has_unit else None
    width, height = picture.width, picture.height
    if picture.orientation in _SWAPPING_ORIENTATIONS:
        width, height = height, width
    mode = _mode(picture, kind)
    resolution = (float(dpi[0]), float(dpi[1])) if dpi and all(dpi) else None
    return Decoded(
        width,
        height,
        mode,
        resolution,
        lambda: _shown(array, axes),
        picture.bits,
        _compression(picture),
        lambda: pixels.of_array(pixels.samples_last(array, axes), mode),
    )


def _mode(picture: TiffPicture, kind: str) -> str:
    """Pillow's name for the pixels, or one like it where Pillow has none; `kind` is NumPy's letter for their type."""
    colours = _COLOURS.get(picture.photometric, "L")
    extra = picture.samples - _COLOUR_SAMPLES.get(colours, 3)
    if colours == "L" and extra == 0 and (kind, picture.bits) in _GREYS:
        return _GREYS[kind, picture.bits]
    name = colours + {0: "", 1: "A"}.get(extra, f"+{extra}")
    if kind == "f":
        return f"{name};{picture.bits}F"
    return name if picture.bits == _BYTE_BITS else f"{name};{picture.bits}"


def _shown(array: "np.ndarray[Any, Any]", axes: str) -> Image.Image:
    """An array as an 8-bit picture: its first one or three samples, from the darkest to the brightest."""
    array = pixels.samples_last(array, axes)
    if array.ndim == 3:  # noqa: PLR2004 (with samples)
        array = array[..., :3] if array.shape[-1] >= 3 else array[..., 0]  # noqa: PLR2004 (red, green, blue)
    step = max(1, min(array.shape[:2]) // (2 * THUMBNAIL_SIDE))
    return Image.fromarray(pixels.stretched(array[::step, ::step]))


def decode_what_is_left(content: bytes, picture_format: str, limits: PictureLimits) -> Image.Image | None:
    """Decode as much of a damaged picture as possible; None if nothing can be shown."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        image = Image.open(io.BytesIO(content), formats=[picture_format])
        if not limits.admits(*image.size):
            return None
        image.draft(None, (2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))
        image.load()
    except Exception:  # noqa: BLE001 (it is damaged, and everything was said of that already)
        return _tiff_segments_left(content, limits) if picture_format == "TIFF" else None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before
    return image


def _tiff_segments_left(content: bytes, limits: PictureLimits) -> Image.Image | None:
    """The strips or tiles of a damaged TIFF that decode, the others black; None if none does."""
    from tifffile import TiffFile

    with TiffFile(io.BytesIO(content)) as file:
        page = file.pages.first
        if not limits.admits(page.imagewidth, page.imagelength) or page.compression not in _COMPRESSIONS:
            return None
        array = np.zeros(page.shaped, page.dtype)
        decoded = 0
        for number, (start, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=False)):
            try:
                part, (sample, depth, row, column, _), _ = page.decode(content[start : start + size], number)
            except Exception:  # noqa: BLE001, S112 (as above; the next one may be whole)
                continue
            if part is not None:
                place = array[sample, depth : depth + part.shape[0], row:, column:]
                rows, columns = min(part.shape[1], place.shape[1]), min(part.shape[2], place.shape[2])
                place[:, :rows, :columns] = part[:, :rows, :columns]
                decoded += 1
        return _shown(array[0, 0], "YXS") if decoded else None
