"""Labels at a rank: pictures of a variety count as its species, or those of several species as one genus or family.

A class is a taxon with an identifier. A genus that is registered has that of its entry, and keeps it when renamed. One
that is not has the identifier that its name would give it, and a row in `seeds` that no picture can name.
"""

from collections.abc import Iterable, Mapping
from uuid import UUID

from nachet_pipeline.registry.seeds import Rank, Seed, SeedRegistry, plain


def taxon_at(registry: SeedRegistry, seed: Seed, rank: Rank) -> Seed | None:
    """The taxon of a rank that a seed belongs to, or is; None if the seed is of a wider rank itself.

    Args:
        registry: the registered seeds.
        seed: the seed.
        rank: species, genus or family.

    Returns:
        The registered taxon, or one that stands for a taxon which is not registered.
    """
    name = seed.name_at(rank)
    if name is None or seed.taxon_rank == rank:
        return None if name is None else seed
    unregistered = Seed(
        scientific_name=name,
        family=seed.family,
        genus=None if rank == "family" else seed.genus,
        specific_epithet=seed.specific_epithet if rank == "species" else None,
        taxon_rank=rank,
    )
    found = _scientifically(registry, name) or registry.with_id(str(unregistered.id))
    return found if found and found.taxon_rank == rank else unregistered


def _scientifically(registry: SeedRegistry, name: str) -> Seed | None:
    """The seed of a scientific name: what people call a geranium may be a Pelargonium, beside the genus Geranium."""
    known = registry.names.get(plain(name))
    return known.seed if known and known.usage != "vernacular" else None


def with_narrower(registry: SeedRegistry, wanted: Iterable[Seed]) -> set[UUID]:
    """The identifiers of taxa, and of all registered ones that belong to them."""
    by_rank: dict[Rank, set[UUID]] = {}
    for seed in wanted:
        by_rank.setdefault(seed.taxon_rank, set()).add(seed.id)
    found = set().union(*by_rank.values())
    for seed in registry.by_id.values():
        for rank, identifiers in by_rank.items():
            taxon = taxon_at(registry, seed, rank)
            if taxon and taxon.id in identifiers:
                found.add(seed.id)
    return found


def named_at(registry: SeedRegistry, name: str, rank: Rank) -> Seed | None:
    """The taxon of a rank that a name means, though it may not be registered: only a taxon within it has to be."""
    known = registry.with_id(name) or _scientifically(registry, name)
    if known:
        return taxon_at(registry, known, rank)
    wanted = plain(name)
    within = (seed for seed in registry.by_id.values() if plain(seed.name_at(rank) or "") == wanted)
    first = next(within, None)
    return taxon_at(registry, first, rank) if first else None


def labels_at(registry: SeedRegistry, seeds: Mapping[UUID, Seed], rank: Rank | None) -> dict[UUID, Seed]:
    """The taxon that each seed is labelled as; a seed of a wider rank than that of the labels is left out."""
    if rank is None:
        return dict(seeds)
    found = ((identifier, taxon_at(registry, seed, rank)) for identifier, seed in seeds.items())
    return {identifier: taxon for identifier, taxon in found if taxon}
