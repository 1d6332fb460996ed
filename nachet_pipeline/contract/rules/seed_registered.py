"""Every session shows registered seeds, or says that they are unknown."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from unicodedata import normalize
from uuid import UUID

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.hints import EACH_SPECIES, unknown_meant
from nachet_pipeline.contract.metadata import NUMBER_OF_SEEDS, SEED_DATA, Value, finding_about, listed_total
from nachet_pipeline.contract.sessions import (
    Context,
    SeedName,
    Session,
    StatedSeed,
    recognise_seeds,
    seed_of,
    stated_seeds,
)
from nachet_pipeline.contract.shown import UNKNOWN
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.support.i18n import Bilingual

_NAMED = 8
_LIKE = 0.9
_SEVERAL = re.compile(r"[,;/+&]|\s(?:and|et|or|ou|with|avec)\s", re.IGNORECASE)
_BINOMIAL = re.compile(r"[A-Z]\w+ [a-z][\w-]+")
_ASK = Bilingual(
    "Leave the name if it is what the pictures show, and ask the AI lab to register the species.",
    "Laissez le nom si c'est bien ce que montrent les images, et demandez au laboratoire d'IA d'enregistrer l'espèce.",
)
_GENUS_ALONE = re.compile(r"\s*\w+(?:\s+(?:sp|spp)\.?)?\s*", re.IGNORECASE)
_NAME_IT = Bilingual(
    "Write the species if it is known; the genus alone is not registered. If nobody can name it, write in its place"
    " seedName: unknown and, on the line below, guess: with the genus.",
    "Écrivez l'espèce si elle est connue; le genre seul n'est pas enregistré. Si personne ne peut la nommer, écrivez à"
    " sa place seedName: inconnue et, sur la ligne suivante, guess: avec le genre.",
)
_IN_FULL = Bilingual(
    "Write the full scientific name of the species that the pictures show.",
    "Écrivez le nom scientifique complet de l'espèce que montrent les images.",
)
_WHICH = re.compile(r"\s(?:or|ou)\s", re.IGNORECASE)
_ONE_OF_THEM = Bilingual(
    "Write the one species that the pictures show. If nobody can say which it is, write in its place seedName: unknown"
    " and, on the line below, guess: with what it may be.",
    "Écrivez la seule espèce que montrent les images. Si personne ne peut dire laquelle, écrivez à sa place seedName:"
    " inconnue et, sur la ligne suivante, guess: avec ce que cela peut être.",
)
SEED_NAME = Bilingual(
    "the seed, by seedGenus and seedSpecies, seedName or seedID; or seedName: unknown",
    "la semence, par seedGenus et seedSpecies, seedName ou seedID; ou seedName: inconnue",
)
NAME_OR_UNKNOWN = Bilingual(
    "Name the species; if nobody can, write seedName: unknown.",
    "Nommez l'espèce; si personne ne le peut, écrivez seedName: inconnue.",
)
_ONE_NAME = Bilingual("one species, or unknown", "une seule espèce, ou inconnue")
_ONCE = Bilingual("each species once", "chaque espèce une seule fois")
_UNKNOWN_ONLY = Bilingual("a guess beside unknown only", "une supposition à côté d'inconnue seulement")
_THE_GUESS = Bilingual("the guess whose rank this is", "la supposition dont c'est le rang")
_OTHER_FAMILY_NAMES = {
    "compositae": "Asteraceae",
    "cruciferae": "Brassicaceae",
    "gramineae": "Poaceae",
    "graminae": "Poaceae",
    "leguminosae": "Fabaceae",
    "papilionaceae": "Fabaceae",
    "umbelliferae": "Apiaceae",
    "labiatae": "Lamiaceae",
}


def seed_registered(context: Context) -> Iterator[Finding]:
    """Seeds that are not registered, or named in ways that contradict each other."""
    # A value that several sessions inherit is reported once, where it is written, with those sessions.
    heirs: dict[Finding, list[str]] = {}
    for session in context.sessions:
        for finding in seed_findings(session.values, context.registry):
            inherited = session.index is None or finding.path != session.index.path
            heirs.setdefault(finding, []).extend([session.path] if inherited else [])
    for finding, sessions in heirs.items():
        yield finding.model_copy(update={"sessions": tuple(sessions)})


def seed_findings(values: dict[str, Value], registry: SeedRegistry) -> Iterator[Finding]:
    """What is wrong with the seeds that these values name."""
    stated = stated_seeds(values)
    for one in stated:
        yield from _stated_findings(one, registry, listed=len(stated) > 1)
    yield from _repeated(stated, registry)
    yield from number_findings(values)


def unnamed_seeds(sessions: Sequence[Session], waiting: Mapping[str, int]) -> Iterator[Finding]:
    """How many pictures of each session wait for somebody to name their seeds.

    Args:
        sessions: the upload's sessions.
        waiting: how many wait, by path of the session.
    """
    for session in sessions:
        if number := waiting.get(session.path):
            named = (name.value for one in stated_seeds(session.values) for name in one.names() if name.is_unknown)
            value = next((one for one in named if not session.inherits(one)), None)
            yield Finding(
                code="unnamed-seeds",
                path=session.index_path,
                field=SEED_DATA,
                line=value.line if value else None,
                column=value.column if value else None,
                found=pictures_waiting(number),
            )


def pictures_waiting(number: int) -> Bilingual:
    """How many pictures wait for a name."""
    return Bilingual(
        f"{number} picture{' waits' if number == 1 else 's wait'} for a name",
        f"{number} image{' attend' if number == 1 else 's attendent'} un nom",
    )


def number_findings(values: dict[str, Value]) -> Iterator[Finding]:
    """A finding if a list of species has other seeds in all than these values declare."""
    total, declared, stated = listed_total(values), values.get(NUMBER_OF_SEEDS), stated_seeds(values)
    # A number that is missing is reported as missing.
    if total and declared and declared.value != total.value and all(one.number for one in stated):
        numbers = " + ".join(str(one.number) for one in stated)
        yield finding_about(
            declared,
            "seed-numbers-differ",
            NUMBER_OF_SEEDS,
            Bilingual(f"{total.value} ({numbers}), as listed", f"{total.value} ({numbers}), comme dans la liste"),
            Bilingual.same(str(declared.value)),
        )


def _repeated(stated: Sequence[StatedSeed], registry: SeedRegistry) -> Iterator[Finding]:
    """Species that a list names twice."""
    first: dict[UUID | None, Value] = {}
    for one in stated:
        kind = seed_of(one, registry)
        if kind is None:
            continue
        (name, seed), *_ = recognise_seeds(one, registry)
        before = first.setdefault(kind.seed, name.value)
        if before is not name.value:
            known = Bilingual.same(seed.scientific_name) if seed else Bilingual(UNKNOWN, "inconnue")
            found = Bilingual(f"{known.en}, as in line {before.line}", f"{known.fr}, comme à la ligne {before.line}")
            yield finding_about(name.value, "species-twice", name.field, _ONCE, found)


def _stated_findings(stated: StatedSeed, registry: SeedRegistry, *, listed: bool) -> Iterator[Finding]:
    """What is wrong with one kind of seed."""
    values, recognised = stated.values, recognise_seeds(stated, registry)
    unknown = [name for name, _ in recognised if name.is_unknown]
    for name, seed in recognised:
        if seed is None and not name.is_unknown:
            yield _unregistered(name, registry)
    if listed and not recognised:
        value = next(iter(values.values()))
        yield finding_about(value, "missing-key", stated.field, SEED_NAME, only_given(stated), advice=NAME_OR_UNKNOWN)
    yield from _guess_findings(stated, named=bool(recognised), unknown=bool(unknown))
    seeds = {seed.scientific_name: (name, seed) for name, seed in recognised if seed}
    if len(seeds) > 1 or (unknown and len(unknown) < len(recognised)):
        yield _contradiction([name for name, _ in recognised], sorted(seeds), unknown=bool(unknown))
        return
    for _, seed in seeds.values():
        family = values.get("seedFamily")
        if family and str(family.value).casefold() != seed.family.casefold():
            expected = Bilingual(
                f"{seed.family}, for {seed.scientific_name}", f"{seed.family}, pour {seed.scientific_name}"
            )
            same = _same_family(str(family.value), seed.family)
            yield finding_about(
                family,
                "other-family",
                f"{stated.field}.seedFamily",
                expected,
                Bilingual.same(str(family.value)),
                Bilingual.same(seed.family) if same else None,
            )


def only_given(stated: StatedSeed) -> Bilingual | None:
    """The keys that are given of a seed that nothing names."""
    given = ", ".join(stated.values)
    return Bilingual(f"only {given}", f"seulement {given}") if given else None


def _guess_findings(stated: StatedSeed, *, named: bool, unknown: bool) -> Iterator[Finding]:
    """A guess where the species is known, and a rank of no guess."""
    guess, rank = stated.values.get("guess"), stated.values.get("guessRank")
    first, key = (guess, "guess") if guess else (rank, "guessRank")
    if first and named and not unknown:
        found = Bilingual.same(str(first.value))
        yield finding_about(first, "guess-beside-species", f"{stated.field}.{key}", _UNKNOWN_ONLY, found)
    elif rank and not guess:
        yield finding_about(rank, "missing-key", f"{stated.field}.guess", _THE_GUESS, None)


def _same_family(written: str, registered: str) -> bool:
    """Whether a family is the registered one under an older or misspelt name; another one may mean a wrong species."""
    if _OTHER_FAMILY_NAMES.get(written.strip().casefold()) == registered:
        return True
    latin = "".join(letter for letter in normalize("NFD", written.strip().casefold()) if letter.isalpha())
    latin = latin.replace("acees", "aceae")
    # All families end alike, so the beginning counts.
    return (
        latin[:1] == registered[:1].casefold() and SequenceMatcher(None, latin, registered.casefold()).ratio() > _LIKE
    )


def _unregistered(name: SeedName, registry: SeedRegistry) -> Finding:
    """A seed that is not registered.

    Other species are information only: who follows a suggestion blindly must not give pictures another species.
    """
    shown, advice, found = name.text[:100], None, None
    several = _names_several(name.text, registry)
    nearest = None
    if several:
        advice = _ONE_OF_THEM if _WHICH.search(name.text[:200]) else EACH_SPECIES
    else:
        nearest = registry.nearest(name.text) or registry.meant(name.text) or unknown_meant(name.text)
    if nearest is None and not several and not name.is_id:
        if of_genus := registry.of_genus(name.text):
            known = _some(of_genus)
            found = Bilingual(
                f"{shown}, which is another taxon than those registered of its genus ({known})",
                f"{shown}, un autre taxon que ceux de son genre qui sont enregistrés ({known})",
            )
            advice = _NAME_IT if _GENUS_ALONE.fullmatch(name.text) else _ASK
        elif alike := registry.alike(name.text):
            known = _some([f"{one} ({', '.join(names)})" if names else one for one, names in alike])
            found = Bilingual(
                f"{shown}, which may be several species; registered: {known}",
                f"{shown}, qui peut désigner plusieurs espèces; enregistrées : {known}",
            )
            advice = _IN_FULL
    return finding_about(
        name.value,
        "unregistered-seed",
        name.field,
        Bilingual("a registered seed", "une semence enregistrée"),
        found or Bilingual.same(shown),
        Bilingual.same(nearest) if nearest else None,
        advice=advice,
    )


def _names_several(text: str, registry: SeedRegistry) -> bool:
    """Whether two or more parts of a text name a seed each."""
    parts = [part.strip() for part in _SEVERAL.split(text[:200]) if part.strip()]
    known = [bool(registry.named(one) or registry.of_genus(one) or registry.alike(one)) for one in parts]
    # The names of two authors have a sign between them too, but no epithets.
    return sum(known) > 1 or (len(parts) > 1 and any(known) and all(_BINOMIAL.fullmatch(one) for one in parts))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def _contradiction(names: Sequence[SeedName], species: Sequence[str], *, unknown: bool) -> Finding:
    # Where nothing else is registered, the other name is shown as it was written.
    shown = list(species) or [name.text[:100] for name in names if not name.is_unknown]
    name = names[-1]
    return finding_about(
        name.value,
        "contradictory-seed",
        name.field,
        _ONE_NAME if unknown else Bilingual("one species", "une seule espèce"),
        Bilingual(" and ".join([*shown, *[UNKNOWN] * unknown]), " et ".join([*shown, *["inconnue"] * unknown])),
    )
