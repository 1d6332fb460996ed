"""What became of a folder as a page for browsers: one file that loads nothing, in both languages, with pictures."""

import base64
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Self
from urllib.parse import quote, unquote

from nachet_pipeline.contract.catalogue import CATALOGUE, Check
from nachet_pipeline.contract.names import printable
from nachet_pipeline.contract.receipt import Receipt, Spread, State
from nachet_pipeline.contract.report import SEVERITY_NAMES, Group, Report, counts_of, inheritance_of, needs_remedy
from nachet_pipeline.contract.shown import species_in_words
from nachet_pipeline.contract.stored import Correction
from nachet_pipeline.contract.structure import picture_format
from nachet_pipeline.contract.understood import (
    UnderstoodSession,
    number,
    size_in_words,
    summary_of,
    understood_head,
    understood_rows,
)
from nachet_pipeline.support.i18n import Bilingual, Language
from nachet_pipeline.support.templates import render_template

PAGE_BYTES = 1_500_000
"""A page is never larger. It shows fewer pictures, and names fewer places, where it would be."""

PICTURES_SHOWN = 60
"""A page carries this many thumbnails at most."""

PICTURES_OF_A_CODE = 12
"""So many of them, at most, belong to one code, so that the first leaves some to the others."""

_CONTACT_SHEET = 24
_SESSIONS_SHOWN = 50
_SESSIONS_NAMED = 5

# How many thumbnails, groups of a code and places of a group a page has, from what is wanted to what always fits.
_LEVELS = ((PICTURES_SHOWN, 500, 20), (30, 20, 10), (12, 10, 5), (0, 3, 1))

# After a folder, or within `seedData.seedGenus`, but not before a suffix.
_PART_END = re.compile(r"(?<=/)|(?<=\.)(?=\w{5})")

# Of these the picture itself is what is wrong.
_ABOUT_PICTURES = {Check.PICTURE_CONTENT, Check.MALICIOUS_CONTENT, Check.PERSONAL_DATA, Check.DUPLICATES}
_SEEDS = "seed-count-differs"
_ABOUT_PICTURES_TOO = {"empty-file", _SEEDS}

_BASE64 = rb"(?:[A-Za-z0-9+/]{4}){1,25000}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_SHOWN = re.compile(rb'<img src="data:image/jpeg;base64,(' + _BASE64 + rb')" alt="" data-picture="([^"<>]+)">')


class Outcome(StrEnum):
    """What became of a folder, as a page says it; also the style of its verdict."""

    ACCEPTED = "accepted"
    PARTLY = "partly"
    REFUSED = "refused"
    FAILED = "failed"
    IMPORTED = "imported"
    PARTLY_IMPORTED = "partly-imported"
    WITHDRAWN = "withdrawn"

    @property
    def done(self) -> bool:
        """Whether pictures are stored."""
        return self in {Outcome.IMPORTED, Outcome.PARTLY_IMPORTED}


_OUTCOMES = {
    State.IMPORTED: Outcome.IMPORTED,
    State.PARTLY_IMPORTED: Outcome.PARTLY_IMPORTED,
    State.REFUSED: Outcome.REFUSED,
    State.WITHDRAWN: Outcome.WITHDRAWN,
}


@dataclass(frozen=True, slots=True)
class CountedPicture:
    """A picture in which seeds were counted, with a box around each.

    Attributes:
        path: the picture, relative to the upload.
        jpeg: a small view of it, with the boxes.
        declared: seeds that it should show.
        found: seeds that were found.
    """

    path: str
    jpeg: bytes = field(repr=False)
    declared: int
    found: int


@dataclass(frozen=True, slots=True)
class Told:
    """What a page tells besides the findings; of each, what is known.

    Attributes:
        outcome: what became of the folder; if not given, it follows from the report.
        at: when that was.
        understood: the sessions as they were understood.
        number_of_sessions: how many there are, if not all of them are given.
        quality: the quality scores of the pictures.
        sharpness: their sharpness.
        correction: what an import changed.
        removed_sessions: paths of the sessions that it removed.
        failure: why it failed.
        explanation: what the outcome means, where nothing else says it.
        counted: pictures in which seeds were counted.
    """

    outcome: Outcome | None = None
    at: datetime | None = None
    understood: Sequence[UnderstoodSession] = ()
    number_of_sessions: int | None = None
    quality: Spread | None = None
    sharpness: Spread | None = None
    correction: Correction | None = None
    removed_sessions: Sequence[str] = ()
    failure: str | None = None
    explanation: Bilingual | None = None
    counted: Sequence[CountedPicture] = ()

    @classmethod
    def of(cls, receipt: Receipt, counted: Sequence[CountedPicture] = ()) -> Self:
        """What a receipt says."""
        return cls(
            outcome=_OUTCOMES.get(receipt.state, Outcome.FAILED),
            at=receipt.finished_at,
            understood=receipt.sessions,
            number_of_sessions=receipt.number_of_sessions or None,
            quality=receipt.quality,
            sharpness=receipt.sharpness,
            correction=receipt.correction,
            removed_sessions=receipt.removed_sessions,
            failure=receipt.failure,
            explanation=receipt.explanation,
            counted=counted,
        )


def receipt_page(
    receipt: Receipt, thumbnails: Mapping[str, bytes], counted: Sequence[CountedPicture] = (), language: Language = "en"
) -> str:
    """Render what a receipt says; see `as_page`."""
    report = receipt.report or Report.empty()
    return as_page(
        report, title=receipt.folder, language=language, thumbnails=thumbnails, told=Told.of(receipt, counted)
    )


def as_page(
    report: Report,
    *,
    title: str,
    language: Language = "en",
    thumbnails: Mapping[str, bytes] = MappingProxyType({}),
    partly: bool = False,
    told: Told | None = None,
) -> str:
    """Render one HTML file, without scripts and without anything from elsewhere, of at most `PAGE_BYTES`.

    Args:
        report: what was found.
        title: what the page is headed with: the name of the folder.
        language: the language that is shown first; the reader can switch to the other.
        thumbnails: small JPEGs by the path of their picture, of which the page shows `PICTURES_SHOWN`.
        partly: whether the sessions without errors are imported although others are refused.
        told: what else is known.
    """
    told = told or Told()
    outcome = told.outcome or (Outcome.ACCEPTED if report.importable else Outcome.PARTLY if partly else Outcome.REFUSED)
    page = ""
    for pictures, groups, places in _LEVELS:
        page = _page(report, title, language, thumbnails, told, outcome, pictures, groups, places)
        if len(page.encode(errors="surrogatepass")) <= PAGE_BYTES:
            break
    return page


def _page(
    report: Report,
    title: str,
    language: Language,
    thumbnails: Mapping[str, bytes],
    told: Told,
    outcome: Outcome,
    pictures: int,
    groups: int,
    places: int,
) -> str:
    by_code = [(code, [_cut(group, places) for group in found[:groups]]) for code, found in report.by_code]
    kept = pictures * _CONTACT_SHEET // PICTURES_SHOWN if told.understood else 0
    gallery = _Gallery(thumbnails, pictures)
    # Who has to correct something sees the pictures concerned first; who has not, all pictures.
    contact = gallery.by_session(told.understood, kept) if outcome.done else []
    gallery.keep(len(told.counted) + (0 if contact else kept))
    # Where seeds were counted, the pictures are shown with their boxes.
    concerned = {
        code: gallery.concerned(code, found) if code != _SEEDS or not told.counted else [] for code, found in by_code
    }
    counted = [(one, gallery.drawn(one)) for one in told.counted if gallery.left > 0]
    shown = told.understood[:_SESSIONS_SHOWN]
    # The seeds that were counted have a table of their own.
    understood = [one.model_copy(update={"seeds": None}) for one in shown]
    named = {code: [one.name for one in told.understood if code in one.findings] for code, _ in by_code}
    return render_template(
        "contract/report_page.html",
        report=report,
        title=printable(title),
        language=language,
        outcome=outcome,
        at=_moment(told.at),
        told=told,
        by_code=by_code,
        concerned=concerned,
        counted=counted,
        contact=contact or gallery.by_session(told.understood, gallery.left, without=gallery.taken),
        counts=counts_of(report),
        summary=summary_of(
            [one for one in told.understood if one.imported or not outcome.done],
            number_of_sessions=None if outcome is Outcome.PARTLY_IMPORTED else told.number_of_sessions,
        ),
        heads=understood_head(understood),
        rows=understood_rows(understood),
        more_sessions=(told.number_of_sessions or len(told.understood)) - len(shown),
        seeds=[one for one in shown if one.seeds],
        changes=_changes(told),
        measured=_measured(told),
        named=named,
        named_most=_SESSIONS_NAMED if len(told.understood) > 1 else 0,
        both=Bilingual,
        catalogue=CATALOGUE,
        inheritance_of=inheritance_of,
        needs_remedy=needs_remedy,
        severity_names=SEVERITY_NAMES,
        parts_of=_parts,
        printable=printable,
        size_in_words=size_in_words,
        species_in_words=species_in_words,
    )


def _cut(group: Group, places: int) -> Group:
    return group if len(group.places) <= places else group.model_copy(update={"places": group.places[:places]})


def _moment(at: datetime | None) -> str | None:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at else None


def _changes(told: Told) -> list[tuple[Bilingual, int]]:
    """What a correction changed, in pictures; nothing where there was nothing before."""
    change = told.correction
    if change is None or not (change.removed or change.relabelled or change.unchanged or told.removed_sessions):
        return []
    return [
        (Bilingual("added", "ajoutées"), change.added),
        (Bilingual("removed", "retirées"), change.removed),
        (Bilingual("relabelled", "réétiquetées"), change.relabelled),
        (Bilingual("unchanged", "inchangées"), change.unchanged),
    ]


def _measured(told: Told) -> list[tuple[Bilingual, list[Bilingual]]]:
    named = (
        (Bilingual("Quality score (0 to 1)", "Indice de qualité (0 à 1)"), told.quality, 2),
        (Bilingual("Sharpness", "Netteté"), told.sharpness, 0),
    )
    return [
        (name, [number(round(value, digits)) for value in (spread.minimum, spread.median, spread.maximum)])
        for name, spread, digits in named
        if spread
    ]


@dataclass(frozen=True, slots=True)
class _Tile:
    """A picture on the page: its path, and its JPEG in Base64, or nothing where it cannot be shown."""

    path: str
    jpeg: str | None

    @property
    def name(self) -> str:
        """Its name within its session."""
        return self.path.rpartition("/")[2]

    @property
    def key(self) -> str:
        """The path as an attribute, from which `shown_on` reads it."""
        return quote(self.path, safe="/")


class _Gallery:
    """The thumbnails of a page, handed out until it carries as many as it may.

    A finding in the YAML file of a picture concerns that picture.
    """

    def __init__(self, thumbnails: Mapping[str, bytes], most: int) -> None:
        self._thumbnails = thumbnails
        self._pictures = {_stem(path): path for path in thumbnails}
        self._kept = 0
        self.taken: set[str] = set()
        self.left = most

    def keep(self, number: int) -> None:
        """Keep room for so many thumbnails that come after those of findings."""
        self._kept = number

    def concerned(self, code: str, groups: Iterable[Group]) -> list[list[_Tile]]:
        """The pictures that the findings of a code concern, each with the one that it equals, as many as may be."""
        tiles: list[list[_Tile]] = []
        seen: set[str] = set()
        about = CATALOGUE[code].check in _ABOUT_PICTURES or code in _ABOUT_PICTURES_TOO
        room = min(self.left - self._kept, PICTURES_OF_A_CODE)
        for place, other in ((place.path, group.other) for group in groups for place in group.places):
            path = place if place in self._thumbnails else self._pictures.get(_stem(place), place)
            known = path in self._thumbnails
            if path in seen or not (known or (about and picture_format(path))):
                continue
            pair = [path, *([other] if other and other in self._thumbnails else [])]
            cost = sum(one in self._thumbnails for one in pair)
            if room < cost or len(tiles) == PICTURES_OF_A_CODE:
                break
            seen.add(path)
            room -= cost
            tiles.append([self._tile(one) for one in pair])
        return tiles

    def drawn(self, counted: CountedPicture) -> str:
        """The JPEG of a picture in which seeds were counted."""
        self.left -= 1
        return base64.b64encode(counted.jpeg).decode()

    def by_session(
        self, sessions: Sequence[UnderstoodSession], most: int, *, without: Collection[str] = ()
    ) -> list[tuple[UnderstoodSession, list[_Tile]]]:
        """So many thumbnails at most, by session, spread evenly over them, without some."""
        inside: dict[str, list[str]] = {}
        for path in sorted(set(self._thumbnails) - set(without)):
            inside.setdefault(path.rpartition("/")[0], []).append(path)
        shown = [one for one in sessions if one.session in inside]
        of_each = max(1, most // max(1, len(shown)))
        found = []
        for one in shown[: max(0, most)]:
            paths = inside[one.session]
            step = -(-len(paths) // of_each)
            found.append((one, [self._tile(path) for path in paths[::step]]))
        return found

    def _tile(self, path: str) -> _Tile:
        jpeg = self._thumbnails.get(path)
        if jpeg is not None:
            self.left -= 1
            self.taken.add(path)
        return _Tile(path, base64.b64encode(jpeg).decode() if jpeg else None)


def shown_on(page: bytes) -> dict[str, bytes]:
    """The thumbnails of an earlier page by path, to write it again.

    The page lies where its uploader may write, so only what can be a thumbnail is taken: the uploader could put no more
    on the new page than on the old one.
    """
    found: dict[str, bytes] = {}
    for jpeg, path in _SHOWN.findall(page[:PAGE_BYTES]):
        if len(found) < PICTURES_SHOWN:
            found[unquote(path.decode(errors="replace"))] = base64.b64decode(jpeg)
    return found


def _stem(path: str) -> str:
    return path.rpartition(".")[0]


def _parts(text: object) -> list[str]:
    """A path or a key, cut where a narrow column may break it."""
    return _PART_END.split(printable(str(text)))
