"""Every session shows a registered seed."""

from collections.abc import Iterator
from itertools import chain

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.metadata import Value
from nachet_pipeline.contract.sessions import Context, recognise_seeds
from nachet_pipeline.registry.seeds import SeedRegistry


def registered_seed(context: Context) -> Iterator[Finding]:
    """Seeds that are not registered, or named in ways that contradict each other."""
    # Sessions that inherit the same wrong name are told once, at the place where it is written.
    seen: set[Finding] = set()
    for finding in chain.from_iterable(seed_findings(session.values, context.registry) for session in context.sessions):
        if finding not in seen:
            seen.add(finding)
            yield finding


def seed_findings(values: dict[str, Value], registry: SeedRegistry) -> Iterator[Finding]:
    """What is wrong with the seed that these values name."""
    recognised = recognise_seeds(values, registry)
    for name, seed in recognised:
        if seed is None:
            yield Finding(
                code="unregistered-seed",
                path=name.value.source,
                field=name.field,
                line=name.value.line,
                column=name.value.column,
                expected="a registered seed",
                found=name.text[:100],
                suggestion=registry.nearest(name.text),
            )
    seeds = {seed.scientific_name: name for name, seed in recognised if seed}
    if len(seeds) > 1:
        name = list(seeds.values())[-1]
        yield Finding(
            code="contradictory-seed",
            path=name.value.source,
            field=name.field,
            line=name.value.line,
            column=name.value.column,
            expected="one species",
            found=" and ".join(sorted(seeds)),
        )
