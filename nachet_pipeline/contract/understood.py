"""What a validation understood of an upload, session by session: the same for receipts, texts and pages."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from nachet_pipeline.contract.inventory import FileKind
from nachet_pipeline.contract.manifest import ManifestSession
from nachet_pipeline.contract.names import printable
from nachet_pipeline.contract.sessions import Context
from nachet_pipeline.contract.shown import ShownSpecies, species_in_words
from nachet_pipeline.contract.structure import Shape
from nachet_pipeline.support.i18n import Bilingual, Language, in_words

SESSIONS_KEPT = 1_000
"""A receipt describes this many sessions at most; its counts are always complete."""

_SESSIONS_SHOWN = 20
_SPECIES_NAMED = 3
_THOUSAND = 1_000


class SeedCount(BaseModel):
    """The seeds that were counted in the pictures of a session.

    Attributes:
        pictures: pictures in which seeds were looked for.
        declared: seeds in them, as their uploader declares.
        found: seeds in them, as the detector found.
        crops: pictures of one seed that were cut out.
        differing: pictures for which declared and found differ.
    """

    model_config = ConfigDict(frozen=True)

    pictures: int
    declared: int
    found: int
    crops: int
    differing: int


class UnderstoodSession(BaseModel):
    """A session as it was understood; null is what is not known.

    Attributes:
        session: its path within the upload; empty if the upload is the session.
        species: scientific name of the registered species it shows, if it shows one.
        shows: the kinds of seeds it shows; empty in receipts of older versions.
        zoom: its zoom.
        seeds_per_picture: seeds in each picture, as its index declares.
        pictures: pictures that can be read, equal files of a session once.
        declared_pictures: pictures that its index declares.
        described_pictures: pictures with a YAML file of their own.
        size: bytes of its pictures.
        findings: findings that concern it, by code.
        imported: whether its pictures are stored.
        seeds: the seeds that were counted; null until the upload is cropped.
    """

    model_config = ConfigDict(frozen=True)

    session: str
    species: str | None = None
    shows: tuple[ShownSpecies, ...] = ()
    zoom: float | None = None
    seeds_per_picture: int | None = None
    pictures: int = 0
    declared_pictures: int | None = None
    described_pictures: int = 0
    size: int = 0
    findings: dict[str, int] = {}
    imported: bool = False
    seeds: SeedCount | None = None

    @property
    def kinds(self) -> tuple[ShownSpecies, ...]:
        """The kinds of seeds it shows, whatever version says it; empty if they are not known."""
        return self.shows or ((ShownSpecies(species=self.species),) if self.species else ())

    @property
    def name(self) -> Bilingual:
        """What people call it."""
        return Bilingual.same(printable(self.session)) if self.session else _ITSELF


def understand(
    context: Context, described: Sequence[ManifestSession]
) -> tuple[list[UnderstoodSession], dict[str, int]]:
    """What was understood of an upload's sessions, and the findings that concern none of them, by code.

    Args:
        context: the sessions, and the inventory with all findings.
        described: the sessions as the manifest states them.
    """
    inventory = context.inventory
    paths = {one.path for one in described}
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    elsewhere: Counter[str] = Counter()
    for code, path, named in inventory.places_of_findings():
        concerned = paths & set(named or [session_around(path, context.shape)])
        for session in concerned:
            found[session][code] += 1
        if not concerned:
            elsewhere[code] += 1
    declared = {one.path: one.number("imageData.numberOfImages") for one in context.sessions}
    understood = []
    for one in described[:SESSIONS_KEPT]:
        zoom, seeds = one.values.get("userData.zoom"), one.values.get("userData.numberOfSeeds")
        understood.append(
            UnderstoodSession(
                session=one.path,
                species=one.seed.scientific_name if one.seed else None,
                shows=one.shows,
                zoom=zoom.value if zoom else None,
                seeds_per_picture=seeds.value if seeds else None,
                pictures=one.pictures,
                declared_pictures=declared.get(one.path),
                described_pictures=inventory.count(FileKind.PICTURE_METADATA, one.path),
                size=one.size,
                findings=dict(sorted(found[one.path].items())),
            )
        )
    return understood, dict(sorted(elsewhere.items()))


def session_around(path: str, shape: Shape | None) -> str:
    """The path of the session that a file belongs to, or would belong to."""
    if shape is not Shape.PROJECT:
        return ""
    return "/".join(path.split("/")[:2])  # pictures/<session>


_ITSELF = Bilingual("the whole folder", "tout le dossier")
_UNKNOWN = Bilingual.same("?")
_OF_UNKNOWN = Bilingual("unknown species", "d'espèces inconnues")

_HEAD = (
    Bilingual("session", "session"),
    Bilingual("species", "espèce"),
    Bilingual("zoom", "zoom"),
    Bilingual("seeds per picture", "semences par image"),
    Bilingual("pictures", "images"),
    Bilingual("size", "taille"),
)
_COUNTED = Bilingual("seeds found", "semences trouvées")
_MORE = Bilingual("… {} more sessions", "… {} sessions de plus")


def understood_head(sessions: Sequence[UnderstoodSession]) -> list[Bilingual]:
    """The heads of the table's columns; seeds found are one of them once they were counted."""
    return [*_HEAD, *([_COUNTED] if any(one.seeds for one in sessions) else [])]


def understood_rows(sessions: Sequence[UnderstoodSession]) -> list[list[Bilingual]]:
    """A row of the table for each session."""
    counted, partly = any(one.seeds for one in sessions), any(one.imported for one in sessions)
    return [_row(one, counted=counted, left=partly and not one.imported) for one in sessions]


def _row(one: UnderstoodSession, *, counted: bool, left: bool) -> list[Bilingual]:
    """A row; of an upload that is imported in part, a session that is left is marked."""
    name = one.name
    return [
        Bilingual(f"{name.en} (not imported)", f"{name.fr} (non importée)") if left else name,
        species_in_words(one.kinds) if one.kinds else _UNKNOWN,
        number(one.zoom) if one.zoom is not None else _UNKNOWN,
        Bilingual.same(str(one.seeds_per_picture)) if one.seeds_per_picture is not None else _UNKNOWN,
        _pictures(one),
        size_in_words(one.size),
        *([_seeds(one.seeds) if one.seeds else Bilingual.same("")] if counted else []),
    ]


def _pictures(one: UnderstoodSession) -> Bilingual:
    """How many there are, whether others are declared, and how many are described apart."""
    english, french = [], []
    if (declared := one.declared_pictures) not in {None, one.pictures}:
        english.append(f"{declared} declared")
        french.append(f"{declared} déclarée{'s' * (declared != 1)}")
    if apart := one.described_pictures:
        english.append(f"{apart} with YAML")
        french.append(f"{apart} avec YAML")
    if not english:
        return Bilingual.same(str(one.pictures))
    return Bilingual(f"{one.pictures} ({', '.join(english)})", f"{one.pictures} ({', '.join(french)})")


def _seeds(seeds: SeedCount) -> Bilingual:
    if not seeds.differing and seeds.found == seeds.declared:
        return Bilingual(f"{seeds.found} of {seeds.declared}", f"{seeds.found} sur {seeds.declared}")
    differing = seeds.differing
    return Bilingual(
        f"{seeds.found} of {seeds.declared}; {differing} picture{'s differ' if differing != 1 else ' differs'}",
        f"{seeds.found} sur {seeds.declared}; {differing} image{'s diffèrent' if differing > 1 else ' diffère'}",
    )


def understood_lines(
    sessions: Sequence[UnderstoodSession], language: Language = "en", *, number_of_sessions: int | None = None
) -> Iterator[str]:
    """The table as lines of text; none without a session.

    Args:
        sessions: what was understood.
        language: of the heads and the words.
        number_of_sessions: how many there are, if not all of them are given.
    """
    if not sessions:
        return
    shown = sessions[:_SESSIONS_SHOWN]
    head = [cell.in_language(language).upper() for cell in understood_head(shown)]
    rows = [head, *([cell.in_language(language) for cell in row] for row in understood_rows(shown))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if more := (number_of_sessions or len(sessions)) - len(shown):
        yield _MORE.in_language(language).format(more)


def summary_of(sessions: Sequence[UnderstoodSession], *, number_of_sessions: int | None = None) -> Bilingual:
    """Sessions, pictures and species in a few words; empty without a session."""
    if not sessions:
        return Bilingual.same("")
    count = number_of_sessions or len(sessions)
    pictures = sum(one.pictures for one in sessions)
    species = list(dict.fromkeys(_in_a_list(kind) for one in sessions for kind in one.kinds))
    # Where a species is not known, the others are not those of all pictures.
    named = _species_named(species if all(one.kinds for one in sessions) else [])
    return Bilingual(
        f"{count} session{'s' * (count != 1)}, {pictures} picture{'s' * (pictures != 1)}"
        + (f" of {named.en}" if named.en else ""),
        f"{count} session{'s' * (count > 1)}, {pictures} image{'s' * (pictures > 1)}"
        + (f" {named.fr}" if named.fr else ""),
    )


def _in_a_list(kind: ShownSpecies) -> Bilingual:
    """A kind of seed after `pictures of`."""
    return Bilingual(kind.species, of_species(kind.species)) if kind.species else _OF_UNKNOWN


def pictures_of(kinds: Sequence[ShownSpecies]) -> Bilingual:
    """What follows a number of pictures: `of Avena fatua`."""
    named = _species_named([_in_a_list(kind) for kind in kinds])
    return Bilingual(f"of {named.en}", named.fr)


def _species_named(species: Sequence[Bilingual]) -> Bilingual:
    """`A`, `A and B`, `A, B and C`, or `A, B and 5 more species`; empty without one."""
    if len(species) > _SPECIES_NAMED:
        more = len(species) - (_SPECIES_NAMED - 1)
        kept = species[: _SPECIES_NAMED - 1]
        species = [*kept, Bilingual(f"{more} more species", f"de {more} autres espèces")]
    return Bilingual(in_words([one.en for one in species]).en, in_words([one.fr for one in species]).fr)


def of_species(species: str) -> str:
    """`de` a species in French, with its elision."""
    return f"d'{species}" if species[:1].casefold() in set("aeiouyhéèê") else f"de {species}"


def number(value: float) -> Bilingual:
    """A number as people write it in each language: `3.5` and `3,5`."""
    text = f"{value:g}"
    return Bilingual(text, text.replace(".", ","))


def size_in_words(size: int) -> Bilingual:
    """A number of bytes in the unit that people compare.

    >>> size_in_words(2_130_544)
    Bilingual(en='2.1 MB', fr='2,1 Mo')
    """
    if size < _THOUSAND:
        return Bilingual(f"{size} bytes", f"{size} octets")
    amount, units = float(size), ("kB", "MB", "GB", "TB")
    for unit in units:
        amount /= _THOUSAND
        if round(amount, 1) < _THOUSAND or unit == units[-1]:
            break
    return Bilingual(f"{amount:,.1f} {unit}", f"{amount:.1f} {unit[0]}o".replace(".", ","))
