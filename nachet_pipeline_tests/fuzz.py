"""Mutates good pictures and good YAML, and looks whether anything gets past the promises made for hostile input.

    python -m nachet_pipeline_tests.fuzz --target pictures --inputs 100000 --seed 1 --keep found

Pictures go through the pool of decoders, as an import's do: a decoder that hangs or dies is a verdict there, and kept
for study, but no broken promise. YAML is read in this very process, as an import reads it: were it to crash or hang,
so would the fuzzer. Every input follows from the seed and its number, so whatever is found can be made again.
"""

import argparse
import faulthandler
import io
import logging
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, PngImagePlugin

from nachet_pipeline.contract.catalogue import CATALOGUE
from nachet_pipeline.contract.metadata import PictureMetadata, ProjectIndex, SessionIndex, inherit, read_metadata
from nachet_pipeline.contract.rules.seed_registered import seed_findings
from nachet_pipeline.contract.sessions import shown_by
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.pictures.inspected import Inspected, Thumbnail
from nachet_pipeline.pictures.issues import MOST_ISSUES
from nachet_pipeline.pictures.thumbnails import THUMBNAIL_SIDE
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.support.bounded import bounded_map
from nachet_pipeline_tests.pictures.files import (
    ELF,
    HTML,
    PDF,
    PHP,
    WINDOWS_PROGRAM,
    png_chunks,
    png_of,
    saved,
    tiff_of,
    zip_archive,
)

_logger = logging.getLogger(__name__)
_HANG_SECONDS = 120
_MOST_BYTES, _MOST_YAML_BYTES = 4_000_000, 1_200_000
"""Mutations multiply; a larger input takes longer to hand over than to judge."""

PAYLOADS = (zip_archive(), PHP, HTML, WINDOWS_PROGRAM, ELF, PDF, bytes(64), b"\xff" * 64)
_NUMBERS = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass
class Tally:
    """What became of the inputs.

    Attributes:
        inputs: how many were tried.
        outcomes: how often each set of codes came out.
        slowest: seconds and number of the slowest input.
        broken: number and description of every input that broke a promise.
    """

    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, -1)
    broken: list[tuple[int, str]] = field(default_factory=list)

    def add(self, number: int, codes: Iterable[str], seconds: float) -> None:
        self.inputs += 1
        self.outcomes[" + ".join(sorted(set(codes))) or "nothing to say"] += 1
        self.slowest = max(self.slowest, (seconds, number))

    def lines(self) -> Iterable[str]:
        yield f"{self.inputs} inputs; slowest {self.slowest[0] * 1000:.0f} ms (number {self.slowest[1]})"
        for outcome, times in self.outcomes.most_common(40):
            yield f"{times:9} {outcome}"
        yield f"{len(self.broken)} broken promises"
        for number, what in self.broken[:20]:
            yield f"  number {number}: {what}"


# --- pictures ---------------------------------------------------------------------------------------------------------


@cache
def good_pictures() -> tuple[tuple[str, bytes], ...]:
    """Small honest pictures of all three formats and many kinds."""
    rgb = Image.frombytes("RGB", (24, 16), Random(1).randbytes(24 * 16 * 3))
    exif = Image.Exif()
    exif[0x010E] = "a seed"
    exif[0x013B] = "Somebody"
    exif.get_ifd(0x8825)[2] = (45.0, 25.0, 0.0)
    exif.get_ifd(0x8825)[4] = (75.0, 42.0, 0.0)
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "Somebody")
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta><dc:creator>Somebody</dc:creator></x:xmpmeta>", zip=True)
    text.add_text("Comment", "a seed", zip=True)
    sixteen = np.frombuffer(Random(2).randbytes(24 * 16 * 6), "<u2").reshape(16, 24, 3)
    compressions = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    tiffs = [saved(rgb, "TIFF", compression=compression, exif=exif) for compression in compressions]
    tiffs += [
        saved(rgb, "TIFF", big_tiff=True),
        saved(rgb.convert("1"), "TIFF", compression="group4"),
        tiff_of(sixteen, photometric="rgb", compression="zlib", predictor=True, byteorder=">"),
        tiff_of(sixteen, photometric="rgb", tile=(16, 16), compression="lzw"),
        tiff_of(sixteen, photometric="rgb", tile=(16, 16), compression="zstd", bigtiff=True),
        tiff_of(sixteen[..., 0].astype("f4"), imagej=True),
        tiff_of(np.moveaxis(sixteen, -1, 0), photometric="rgb", planarconfig="separate"),
    ]
    pngs = [
        saved(rgb, "PNG", pnginfo=text, exif=exif, dpi=(300, 300)),
        saved(rgb.convert("P"), "PNG", transparency=3),
        saved(rgb.convert("1"), "PNG"),
        saved(Image.fromarray(sixteen[..., 0]), "PNG"),
    ]
    jpegs = [
        saved(rgb, "JPEG", exif=exif, comment=b"a seed", icc_profile=bytes(200)),
        saved(rgb, "JPEG", progressive=True),
        saved(rgb.convert("L"), "JPEG"),
        saved(rgb.convert("CMYK"), "JPEG", restart_marker_blocks=1),
        saved(rgb, "JPEG", xmp=b"<x:xmpmeta exif:GPSLatitude='45,25N'/>"),
    ]
    return tuple(
        (picture_format, content)
        for picture_format, contents in (("TIFF", tiffs), ("PNG", pngs), ("JPEG", jpegs))
        for content in contents
    )


def _flip(random: Random, content: bytearray) -> None:
    for _ in range(random.choice((1, 1, 2, 8))):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)


def _overwrite(random: Random, content: bytearray) -> None:
    place = random.randrange(len(content))
    layout = random.choice(("<B", "<H", ">H", "<I", ">I"))
    size = struct.calcsize(layout)
    content[place : place + size] = struct.pack(layout, random.choice(_NUMBERS) % 256**size)


def _remove(random: Random, content: bytearray) -> None:
    start = random.randrange(len(content))
    del content[start : start + random.choice((1, 2, 4, 16, 200))]


def _repeat(random: Random, content: bytearray) -> None:
    start = random.randrange(len(content))
    part = content[start : start + random.choice((1, 4, 40, 400))]
    content[start:start] = part * random.choice((1, 2, 40))


def _cut(random: Random, content: bytearray) -> None:
    del content[random.randrange(1, len(content)) :]


def _insert(random: Random, content: bytearray) -> None:
    place = random.choice((len(content), random.randrange(len(content))))
    content[place:place] = random.choice(PAYLOADS) * random.choice((1, 1, 1, 2000))


def _splice(random: Random, content: bytearray) -> None:
    _, other = random.choice(good_pictures())
    start = random.randrange(len(other))
    content[random.randrange(len(content)) :] = other[start:]


def _mutate_png(random: Random, content: bytearray) -> None:
    """A PNG whose checksums are right, so that decoders see what is behind them."""
    chunks = png_chunks(bytes(content))
    if not chunks:
        return
    number = random.randrange(len(chunks))
    kind, data = chunks[number]
    match random.choice(("change", "drop", "twice", "many", "swap", "text", "pixels", "header")):
        case "change" if data:
            changed = bytearray(data)
            random.choice((_flip, _overwrite, _repeat, _insert))(random, changed)
            chunks[number] = (kind, bytes(changed))
        case "drop":
            del chunks[number]
        case "twice":
            chunks.insert(random.randrange(len(chunks)), chunks[number])
        case "many":
            chunks[number:number] = [(b"teSt", b"")] * random.choice((100, 30_000))
        case "swap":
            other = random.randrange(len(chunks))
            chunks[number], chunks[other] = chunks[other], chunks[number]
        case "text":
            packed = zlib.compress(random.choice(PAYLOADS) * random.choice((1, 100, 100_000)))
            chunks.insert(1, (b"zTXt", b"Comment\0\0" + packed))
        case "pixels":
            pixels = zlib.compress(bytes(random.choice((10, 1_000, 1_000_000, 20_000_000))))
            chunks[number] = (b"IDAT", pixels + random.choice((b"", random.choice(PAYLOADS))))
        case _:
            size = random.choice((0, 1, 24, 4_000, 20_000, 0x7FFFFFFF))
            header = struct.pack(">IIBBBBB", size, 16, random.choice((1, 8, 16, 9)), random.randrange(8), 0, 0, 1)
            chunks[0] = (b"IHDR", header)
    content[:] = png_of(chunks)


def _mutate_jpeg(random: Random, content: bytearray) -> None:
    markers = [place for place in range(2, len(content) - 4) if content[place] == 0xFF and content[place + 1] >= 0xC0]
    if not markers:
        return
    place = random.choice(markers)
    size = int.from_bytes(content[place + 2 : place + 4], "big")
    segment = bytes(content[place : place + 2 + size])
    match random.choice(("drop", "repeat", "length", "size", "application", "comment")):
        case "drop":
            del content[place : place + 2 + size]
        case "repeat":
            content[place:place] = segment * random.choice((1, 2, 40, 4_000))
        case "length":
            content[place + 2 : place + 4] = struct.pack(">H", random.choice(_NUMBERS) & 0xFFFF)
        case "size":
            frames = [mark for mark in markers if content[mark + 1] in {0xC0, 0xC2}]
            for frame in frames[:1]:
                content[frame + 5 : frame + 9] = struct.pack(">HH", *random.choices((0, 1, 16, 4_000, 65_500), k=2))
        case what:
            value = random.choice(PAYLOADS) * random.choice((1, 20))
            marker = b"\xff\xfe" if what == "comment" else bytes((0xFF, random.randrange(0xE0, 0xF0)))
            name = random.choice(
                (b"", b"Exif\0\0II*\0\x08\0\0\0", b"MPF\0", b"ICC_PROFILE\0\1\1", b"Photoshop 3.0\x008BIM")
            )
            value = name + value
            content[2:2] = (marker + struct.pack(">H", 2 + len(value)) + value) * random.choice((1, 1, 70))


def _mutate_tiff(random: Random, content: bytearray) -> None:
    order = "<" if content[:2] == b"II" else ">"
    big = len(content) > 16 and content[2] + content[3] == 43
    try:
        (start,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", content, 8 if big else 4)
        (tags,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", content, start)
        entry = start + (8 if big else 2) + random.randrange(max(1, min(tags, 1000))) * (20 if big else 12)
        number = random.choice((*_NUMBERS, start, len(content) - 1, 1 << 40 if big else 9))
        match random.choice(("type", "count", "value", "code", "following", "tags")):
            case "type":
                struct.pack_into(f"{order}H", content, entry + 2, random.randrange(20))
            case "count":
                struct.pack_into(f"{order}{'Q' if big else 'I'}", content, entry + 4, number)
            case "value":
                struct.pack_into(f"{order}{'Q' if big else 'I'}", content, entry + (12 if big else 8), number)
            case "code":
                code = random.choice(
                    (254, 256, 257, 259, 262, 273, 277, 279, 284, 317, 322, 324, 330, 513, 34665, 34853)
                )
                struct.pack_into(f"{order}H", content, entry, code)
            case "following":
                after = start + (8 + tags * 20 if big else 2 + tags * 12)
                struct.pack_into(f"{order}{'Q' if big else 'I'}", content, after, number)
            case _:
                struct.pack_into(f"{order}{'Q' if big else 'H'}", content, start, random.choice(_NUMBERS) & 0xFFFF)
    except (struct.error, OverflowError, IndexError):
        _flip(random, content)


_ANY = (_flip, _overwrite, _remove, _repeat, _cut, _insert, _splice)
_OF_FORMAT = {"PNG": _mutate_png, "JPEG": _mutate_jpeg, "TIFF": _mutate_tiff}


def mutated_picture(seed: int, number: int) -> tuple[str, bytes]:
    """The format that a name would say, and the bytes."""
    random = Random(f"pictures {seed} {number}")
    picture_format, good = random.choice(good_pictures())
    content = bytearray(good)
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        if len(content) > 1:
            random.choice((*_ANY, *[_OF_FORMAT[picture_format]] * len(_ANY)))(random, content)
            del content[_MOST_BYTES:]
    if random.random() < 0.02:
        picture_format = random.choice(("TIFF", "PNG", "JPEG"))
    return picture_format, bytes(content)


def broken_promise(found: Inspected) -> str | None:
    """What an inspection said that it must never say, None if all is well."""
    codes = [issue.code for issue in found.issues]
    places = {(issue.code, issue.field) for issue in found.issues}
    if not set(codes) <= CATALOGUE.keys():
        return "a code that the catalogue does not have"
    if (found.properties is None) != any(CATALOGUE[code].fixed for code in codes):
        return "properties and issues contradict each other"
    if len(codes) > MOST_ISSUES or len(places) < len(codes):
        return "too many issues, or the same twice"
    phrases = [phrase for issue in found.issues for phrase in (issue.expected, issue.found)]
    if not all(phrase and phrase.en and phrase.fr for phrase in phrases):
        return "an issue without words in both languages"
    if found.thumbnail is not None:
        with Image.open(io.BytesIO(found.thumbnail), formats=["JPEG"]) as small:
            if max(small.size) > THUMBNAIL_SIDE:
                return "a thumbnail that is too large"
    return None


def fuzz_pictures(inputs: int, seed: int, keep: Path | None = None, workers: int = 2) -> Tally:
    """Put mutated pictures through a pool of decoders."""
    tally = Tally()

    def judge(number: int) -> tuple[int, str, bytes, Inspected | str, float]:
        picture_format, content = mutated_picture(seed, number)
        began = time.monotonic()
        try:
            found: Inspected | str = pool.inspect(content, picture_format, thumbnail=Thumbnail.IF_REMARKABLE).result()
        except Exception as error:  # noqa: BLE001 (whatever it is, it must not happen)
            found = f"{type(error).__name__}: {error}"
        return number, picture_format, content, found, time.monotonic() - began

    with DecodingPool(DecodingSettings(workers=workers)) as pool:
        for number, picture_format, content, found, seconds in bounded_map(
            judge, range(inputs), workers=workers, window=4 * workers
        ):
            what = found if isinstance(found, str) else broken_promise(found)
            codes = () if isinstance(found, str) else [issue.code for issue in found.issues]
            tally.add(number, (f"{picture_format}: {code}" for code in codes), seconds)
            if what:
                tally.broken.append((number, what))
            if keep and (what or {"picture-too-slow", "picture-crashes-decoder"} & set(codes)):
                _keep(keep, f"{seed}-{number}.{picture_format.lower()}", content)
            _report(tally)
    return tally


# --- YAML -------------------------------------------------------------------------------------------------------------

_GOOD_YAML = (
    (
        b"clientData:\n  clientEmail: someone@example.org\n  clientExpertise: botany\nimageData: {numberOfImages: 4}\n"
        b"seedData:\n  seedID: 1f1c\n  seedFamily: Poaceae\n  seedGenus: Triticum\n  seedSpecies: aestivum\n"
        b"userData:\n  description: |\n    wheat\n    from a field\n  numberOfSeeds: 6\n  zoom: 30\n"
    ),
    b"{seedData: {seedName: 'Brassica napus'}, userData: {zoom: 30x, number_of_seeds: \"6\"}}\n",
    b"# a comment\r\nimageData:\r\n  numberOfImages: 2\r\nUserData:\r\n  zoom: 3,5\r\n",
    "userData:\n  description: >-\n    Graines de blé, récoltées à l'été\n".encode(),
    b"seedData:\n  seedName: unknown\n  guess: Avena sp.\n  guessRank: genus\n",
    (
        b"seedData:\n  - {seedName: Brassica napus, numberOfSeeds: 3}\n  - seedGenus: Brassica\n"
        b"    seedSpecies: juncea\n    numberOfSeeds: 2\n  - {seedName: unknown, numberOfSeeds: 1}\n"
        b"userData: {numberOfSeeds: 6}\n"
    ),
)
_TOKENS = tuple(
    token.encode()
    for token in (
        *(": ", "- ", "? ", "|", ">", "&", "*", "!", "%", "@", "`", "{", "}", "[", "]", ",", "#", "'", '"', "\\", "~"),
        *("---\n", "...\n", "&a ", "*a", "<<: *a", "!!python/object:os.system ", "!<tag:x> ", "%YAML 1.1\n"),
        *("null", "no", "yes", ".inf", ".nan", "1e400", "190:20:30", "0o17", "0x1F", "1_000", "2020-01-01", "١٢"),
        *("userData:", "zoom: 30\n", "numberOfSeeds: ", "seedData:\n", "imageData", "description", "uploadData:\n"),
        *("\n", "\r", "\r\n", "\t", "  ", "\0", "\x07", "\x85", "\u2028", "\ufeff", "\u202e", "\U0001f331", "\x7f"),
    )
)


def mutated_yaml(seed: int, number: int) -> bytes:
    """Bytes that began as a good YAML file."""
    random = Random(f"yaml {seed} {number}")
    content = bytearray(random.choice(_GOOD_YAML))
    for _ in range(random.choice((1, 1, 2, 4, 10))):
        del content[_MOST_YAML_BYTES:]
        place = random.randrange(len(content) + 1)
        lines = bytes(content).splitlines(keepends=True) or [b"\n"]
        match random.choice(("token", "token", "token", "bytes", "flip", "line", "indent", "nest", "long", "encode")):
            case "token":
                content[place:place] = random.choice(_TOKENS)
            case "bytes":
                content[place:place] = random.randbytes(random.choice((1, 2, 8)))
            case "flip" if content:
                _flip(random, content)
            case "line":
                line = random.choice(lines) * random.choice((1, 1, 3, 300))
                content[:] = b"".join(lines[: len(lines) // 2]) + line + b"".join(lines[len(lines) // 2 :])
            case "indent":
                content[:] = b"".join(b" " * random.choice((0, 0, 1, 4)) + line for line in lines[:1_000])
            case "nest":
                opening = random.choice((b"[", b"{", b"- ", b"? ", b"a: {", b"&a [", b"!t ", b"'", b'"'))
                content[place:place] = opening * random.choice((2, 19, 21, 1_000, 30_000))
            case "long":
                content[place:place] = random.choice((b"9", b"a", b"1:", b"\\", b" ", b"#", b"\n")) * random.choice(
                    (100, 10_000, 300_000)
                )
            case "encode":
                text = bytes(content).decode("utf-8", "replace")
                content[:] = text.encode(random.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7")))
            case _:
                pass
    return bytes(content)


def fuzz_yaml(inputs: int, seed: int, keep: Path | None = None, seconds: float = 10) -> Tally:
    """Read mutated YAML as an import reads an index; a hang ends the process with a stack trace."""
    tally, registry = Tally(), SeedRegistry.of(packaged_seeds())
    for number in range(inputs):
        content = mutated_yaml(seed, number)
        model = (SessionIndex, ProjectIndex, PictureMetadata)[number % 3]
        if sys.__stderr__ is not None:
            faulthandler.dump_traceback_later(_HANG_SECONDS, exit=True, file=sys.__stderr__)
        began = time.monotonic()
        what, codes = None, []
        try:
            file = read_metadata(content, "index.yaml", model)
            values = inherit(file.values)
            findings = [*file.findings, *seed_findings(values, registry)]
            shown_by(values, registry)
            codes = [finding.code for finding in findings]
            phrases = [
                phrase for one in findings for phrase in (one.expected, one.found, one.suggestion, one.advice) if phrase
            ]
            if any(bool(phrase.en) != bool(phrase.fr) for phrase in phrases):
                what = "a finding in one language only"
        except Exception as error:  # noqa: BLE001 (whatever it is, it must not happen)
            what = f"{type(error).__name__}: {error}"
        finally:
            faulthandler.cancel_dump_traceback_later()
        took = time.monotonic() - began
        if took > seconds:
            what = f"{took:.1f} s"
        tally.add(number, codes, took)
        if what:
            tally.broken.append((number, what))
            if keep:
                _keep(keep, f"{seed}-{number}.yaml", content)
        _report(tally)
    return tally


def _keep(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def _report(tally: Tally) -> None:
    if tally.inputs % 10_000 == 0:
        _logger.info("%d inputs, slowest %.0f ms", tally.inputs, tally.slowest[0] * 1000)


_TARGETS: dict[str, Callable[[int, int, Path | None], Tally]] = {"pictures": fuzz_pictures, "yaml": fuzz_yaml}


def main(arguments: list[str] | None = None) -> int:
    """Run the fuzzer; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m nachet_pipeline_tests.fuzz", description=__doc__)
    parser.add_argument("--target", choices=[*_TARGETS, "all"], default="all")
    parser.add_argument("--inputs", type=int, default=10_000, help="how many of each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for inputs worth studying")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    broken = 0
    for target in _TARGETS if chosen.target == "all" else [chosen.target]:
        tally = _TARGETS[target](chosen.inputs, chosen.seed, chosen.keep)
        sys.stdout.write("\n".join((f"{target}, seed {chosen.seed}:", *tally.lines(), "")))
        broken += len(tally.broken)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
