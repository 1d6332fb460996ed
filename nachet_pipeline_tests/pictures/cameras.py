"""Pictures as cameras, phones and microscopes write them, with what they put beside the picture itself."""

import io
import struct
import warnings
from collections.abc import Iterable
from functools import cache
from math import prod

import tifffile
from PIL import Image

from nachet_pipeline_tests.pictures.files import (
    Entry,
    directory,
    exif_of,
    grey_tiff,
    long,
    noise,
    saved,
    seed_image,
    short,
    text,
    tiff_of,
    with_segments,
)

APP1, APP2 = 0xE1, 0xE2
XMP = b"http://ns.adobe.com/xap/1.0/\0"
GAIN_MAP = XMP + b'<x:xmpmeta xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>'
APPLE_GAIN_MAP = XMP + b'<x:xmpmeta xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/"/>'
MOTION_PHOTO = XMP + b'<x:xmpmeta xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1"/>'
LARGE_THUMBNAIL, LEFT_AND_RIGHT = 0x0001_0001, 0x0002_0001
TIFF_END = len(grey_tiff())


@cache
def jpeg(width: int = 64, height: int = 48) -> bytes:
    """A photograph, as small as the test wants it."""
    return saved(seed_image("RGB", (width, height)), "JPEG", quality=90)


# Behind a JPEG


def samsung(*blocks: tuple[int, bytes, bytes]) -> bytes:
    """Samsung's trailer of blocks of a kind, a name and a value; the commonest has 67 bytes."""
    blocks = blocks or ((0x0A01, b"Image_UTC_Data", b"1714142145123"),)
    parts = [struct.pack("<HHI", 0, kind, len(name)) + name + value for kind, name, value in blocks]
    whole, table = b"".join(parts), b""
    place = 0
    for (kind, _, _), part in zip(blocks, parts, strict=True):
        table += struct.pack("<HHII", 0, kind, len(whole) - place, len(part))
        place += len(part)
    head = b"SEFH" + struct.pack("<II", 107, len(blocks)) + table
    return whole + head + struct.pack("<I", len(head)) + b"SEFT"


def film(inside: bytes = b"") -> bytes:
    """A short film as far as its parts are concerned."""
    boxes = [(b"ftyp", b"mp42\0\0\0\0isommp42"), (b"mdat", noise((2_000,)).tobytes() + inside), (b"moov", bytes(200))]
    return b"".join(struct.pack(">I", 8 + len(data)) + kind + data for kind, data in boxes)


def multi_picture(main: bytes, *others: tuple[int, bytes], gap: bytes = b"") -> bytes:
    """A JPEG with an index of the pictures behind it, each with its kind."""
    count = 1 + len(others)
    index_bytes = 8 + 2 + 12 + 4 + 16 * count
    place_of_index = 2 + 4 + 4
    length = len(main) + 4 + 4 + index_bytes
    entries = struct.pack("<IIIHH", 0x2003_0000, length, 0, 0, 0)
    place = length + len(gap)
    for kind, content in others:
        entries += struct.pack("<IIIHH", kind, len(content), place - place_of_index, 0, 0)
        place += len(content)
    head = struct.pack("<HHHII", 1, 0xB002, 7, 16 * count, 26) + bytes(4)
    index = b"MPF\0" + b"II*\0\x08\0\0\0" + head + entries
    return with_segments(main, (APP2, index)) + gap + b"".join(content for _, content in others)


def ultra_hdr(gain_map: bytes = b"", *, mark: bytes = GAIN_MAP) -> bytes:
    """A phone's picture with a second one that only says where a good screen is to be brighter."""
    return multi_picture(jpeg(), (0, with_segments(gain_map or jpeg(16, 12), (APP1, mark))))


def after_xmp(stray: bytes) -> bytes:
    """A JPEG with bytes that belong to no segment, after its XMP."""
    content = with_segments(jpeg(), (APP1, XMP + b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"))
    place = content.index(b"\xff\xdb")
    return content[:place] + stray + content[place:]


# TIFF


def _page(place: int, width: int, strip: tuple[int, int], more: Iterable[Entry] = ()) -> bytes:
    tags = {
        256: (256, *short(width)),
        257: (257, *short(width)),
        258: (258, *short(8)),
        259: (259, *short(1)),
        262: (262, *short(1)),
        273: (273, *long(strip[0])),
        277: (277, *short(1)),
        278: (278, *short(width)),
        279: (279, *long(strip[1])),
    }
    return directory((tags | {entry[0]: entry for entry in more}).values(), place)


def with_thumbnail(*flags: Entry, pixels: bytes = bytes(16)) -> bytes:
    """A TIFF with a second directory for a thumbnail of 4 by 4 pixels."""
    place = TIFF_END + len(pixels)
    return grey_tiff(following=place, behind=pixels + _page(place, 4, (TIFF_END, len(pixels)), flags))


def with_jpeg_thumbnail(thumbnail: bytes = b"") -> bytes:
    """A TIFF with the thumbnail of an Exif file in its second directory, as cameras write it."""
    thumbnail = thumbnail or jpeg(16, 12)
    place = TIFF_END + len(thumbnail)
    entries = [(259, *short(6)), (513, *long(TIFF_END)), (514, *long(len(thumbnail)))]
    return grey_tiff(following=place, behind=thumbnail + directory(entries, place))


def with_reduced_below(pixels: bytes = bytes(16)) -> bytes:
    """A TIFF with a reduced picture in a directory below its own, as OME and some cameras keep one."""
    entry = (330, *long(TIFF_END + 12 + len(pixels)))
    content = grey_tiff([entry])
    return content + pixels + _page(len(content) + len(pixels), 4, (len(content), len(pixels)), [(254, *long(1))])


def tiles_as_strips(compression: str | None = None) -> bytes:
    """A TIFF whose tiles' places and sizes are kept where those of strips belong."""
    content = tiff_of(noise((48, 64)), tile=(16, 16), compression=compression, metadata=None, software=False)
    (place,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, place)
    entries = [struct.unpack_from("<HHI4s", content, place + 2 + 12 * number) for number in range(count)]
    renamed = sorted(({324: 273, 325: 279}.get(tag, tag), kind, size, value) for tag, kind, size, value in entries)
    table = b"".join(struct.pack("<HHI4s", *entry) for entry in renamed)
    return content[: place + 2] + table + content[place + 2 + len(table) :]


def shared_colours() -> bytes:
    """A camera's uncompressed TIFF in which two pixels share their colour, with a thumbnail that says not to be one."""
    width, height, small = 64, 48, 8
    entries: list[Entry] = [
        (256, *short(width)),
        (257, *short(height)),
        (258, *short(8, 8, 8)),
        (262, *short(6)),
        (277, *short(3)),
        (278, *short(height)),
        (279, *long(2 * width * height)),
        (530, *short(2, 1)),
    ]
    start = len(grey_tiff([*entries, (273, *long(8))]))
    pixels, thumbnail = noise((2 * width * height,)).tobytes(), noise((2 * small * small,)).tobytes()
    reduced = [(256, *short(small)), (257, *short(small)), (278, *short(small)), (279, *long(len(thumbnail)))]
    following = start + len(pixels) + len(thumbnail)
    second = {entry[0]: entry for entry in [*entries, *reduced, (273, *long(start + len(pixels)))]}
    first = grey_tiff([*entries, (273, *long(start))], following=following)
    return first + pixels + thumbnail + directory(second.values(), following)


def canon() -> bytes:
    """A JPEG with a preview as large as itself, which its maker notes where Exif has room for that."""
    main = jpeg()
    size = 2 + 4 + 6 + len(exif_of([(50_000, *long(0, 0))]))
    notes = exif_of([(50_000, *long(len(main), size - 2 + len(main) - 12))])
    return with_segments(main, (APP1, b"Exif\0\0" + notes)) + main


def minolta(preview: bytes) -> bytes:
    """A JPEG with the preview that Minolta's cameras append, the first byte of which is another one."""
    return jpeg() + bytes(400) + b"\x42" + preview[1:] + bytes(3)


def ome(planes: int = 1, *, z: int = 1, c: int = 1, t: int = 1) -> bytes:
    """What a microscope's program exports as OME-TIFF: as many planes in this file, of a series of so many."""
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="64" SizeY="48"'
        f' SizeZ="{z}" SizeC="{c}" SizeT="{t}" PhysicalSizeX="0.65" PhysicalSizeXUnit="µm" PhysicalSizeY="650"'
        ' PhysicalSizeYUnit="nm">'
        + "".join(f'<Channel ID="Channel:0:{n}" Name="TL Brightfield" SamplesPerPixel="1"/>' for n in range(c))
        + "</Pixels></Image></OME>"
    )
    return tiff_of(noise((planes, 48, 64)), description=xml.encode(), metadata=None, photometric="minisblack")


def imagej(**sizes: int) -> bytes:
    """A stack of ImageJ, by the number of its `slices`, `channels` and `frames`."""
    number = prod(sizes.values())
    lines = "".join(f"{name}={size}\n" for name, size in sizes.items())
    description = f"ImageJ=1.54f\nimages={number}\n{lines}"
    return tiff_of(noise((number, 48, 64)), description=description, metadata=None, photometric="minisblack")


def scanned(pages: int = 3) -> bytes:
    """A document from a scanner, a directory for each page."""
    image = seed_image("L", (32, 44))
    return saved(image, "TIFF", save_all=True, append_images=[image] * (pages - 1), tiffinfo={297: 0})


def slide(description: str = "Aperio Image Library v12.0.15\n64x48 (16x16) JPEG/RGB Q=70|AppMag = 20") -> bytes:
    """A scanned slide: the picture at three scales, in tiles."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), tifffile.TiffWriter(stream) as file:
        warnings.simplefilter("ignore")
        for side in (64, 32, 16):
            file.write(noise((side, side)), tile=(16, 16), description=description, metadata=None)
    return stream.getvalue()


def fax(image: Image.Image | None = None) -> bytes:
    """A picture of black and white in the code of fax machines."""
    image = image or Image.effect_mandelbrot((320, 240), (-2, -1.2, 1, 1.2), 60).convert("1")
    return saved(image, "TIFF", compression="group4")


def log_luv() -> bytes:
    """A TIFF that is compressed as only programs for high dynamic range do it."""
    return grey_tiff([(259, *short(34676)), (262, *short(32845))])


def raw_of_a_camera() -> bytes:
    """What a camera's sensor saw, in a TIFF."""
    return grey_tiff([(262, *short(32803)), (271, *text(b"NIKON CORPORATION"))])
