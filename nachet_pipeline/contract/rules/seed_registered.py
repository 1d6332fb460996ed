"""Every session shows a registered seed."""

from collections.abc import Iterator, Sequence

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.metadata import Value, finding_about
from nachet_pipeline.contract.sessions import Context, SeedName, recognise_seeds
from nachet_pipeline.registry.seeds import Seed, SeedRegistry
from nachet_pipeline.support.i18n import Bilingual

_FAMILY = "seedData.seedFamily"
_NAMED = 8


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
            nearest = registry.nearest(name.text)
            yield finding_about(
                name.value,
                "unregistered-seed",
                name.field,
                Bilingual("a registered seed", "une semence enregistrée"),
                _unregistered(name.text, () if nearest else registry.of_genus(name.text)),
                Bilingual.same(nearest) if nearest else None,
            )
    seeds = {seed.scientific_name: (name, seed) for name, seed in recognised if seed}
    if len(seeds) > 1:
        yield _contradiction(seeds)
    for _, seed in seeds.values() if len(seeds) == 1 else ():
        family = values.get(_FAMILY)
        if family and str(family.value).casefold() != seed.family.casefold():
            expected = Bilingual(
                f"{seed.family}, for {seed.scientific_name}", f"{seed.family}, pour {seed.scientific_name}"
            )
            yield finding_about(
                family,
                "other-family",
                _FAMILY,
                expected,
                Bilingual.same(str(family.value)),
                Bilingual.same(seed.family),
            )


def _unregistered(name: str, of_genus: Sequence[str]) -> Bilingual:
    """The name as it was written. Those of its genus are information: they are other species, so none is suggested."""
    shown = name[:100]
    if not of_genus:
        return Bilingual.same(shown)
    several = ", ".join(of_genus[:_NAMED]) + (", …" if len(of_genus) > _NAMED else "")
    return Bilingual(
        f"{shown}, which is another taxon than those registered of its genus ({several})",
        f"{shown}, un autre taxon que ceux de son genre qui sont enregistrés ({several})",
    )


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
