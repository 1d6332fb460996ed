"""Every session shows a registered seed."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from unicodedata import normalize

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.metadata import Value, finding_about
from nachet_pipeline.contract.sessions import Context, SeedName, recognise_seeds
from nachet_pipeline.registry.seeds import Seed, SeedRegistry
from nachet_pipeline.support.i18n import Bilingual

_FAMILY = "seedData.seedFamily"
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
    "Write the species if it is known; the genus alone is not registered.",
    "Écrivez l'espèce si elle est connue; le genre seul n'est pas enregistré.",
)
_IN_FULL = Bilingual(
    "Write the full scientific name of the species that the pictures show.",
    "Écrivez le nom scientifique complet de l'espèce que montrent les images.",
)
_ONE_SPECIES = Bilingual(
    "A session shows one species: give each species a session of its own, and write its name alone.",
    "Une session montre une seule espèce : donnez à chaque espèce sa propre session et écrivez son nom seul.",
)
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
    """What is wrong with the seed that these values name."""
    recognised = recognise_seeds(values, registry)
    for name, seed in recognised:
        if seed is None:
            yield _unregistered(name, registry)
    seeds = {seed.scientific_name: (name, seed) for name, seed in recognised if seed}
    if len(seeds) > 1:
        yield _contradiction(seeds)
    for _, seed in seeds.values() if len(seeds) == 1 else ():
        family = values.get(_FAMILY)
        if family and str(family.value).casefold() != seed.family.casefold():
            expected = Bilingual(
                f"{seed.family}, for {seed.scientific_name}", f"{seed.family}, pour {seed.scientific_name}"
            )
            same = _same_family(str(family.value), seed.family)
            yield finding_about(
                family,
                "other-family",
                _FAMILY,
                expected,
                Bilingual.same(str(family.value)),
                Bilingual.same(seed.family) if same else None,
            )


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
    nearest = None if several else registry.nearest(name.text) or registry.meant(name.text)
    if several:
        advice = _ONE_SPECIES
    elif nearest is None and name.field != "seedData.seedID":
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


def _contradiction(seeds: dict[str, tuple[SeedName, Seed]]) -> Finding:
    name, _ = list(seeds.values())[-1]
    species = sorted(seeds)
    return finding_about(
        name.value,
        "contradictory-seed",
        name.field,
        Bilingual("one species", "une seule espèce"),
        Bilingual(" and ".join(species), " et ".join(species)),
    )
