"""Models and predictions as lines for people and as records for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from nachet_pipeline.models.model import ModelClass, ModelVersion
from nachet_pipeline.models.queries import Champion


def version_line(version: ModelVersion) -> str:
    """A version in one line."""
    champion = "  champion" if version.champion else ""
    return (
        f"{version.name}  {version.task}  {version.classes} classes  {version.owner}"
        f"  since {version.registered_at:%Y-%m-%d}{champion}"
    )


def version_lines(version: ModelVersion, classes: Sequence[ModelClass]) -> Iterator[str]:
    """All that is known of a version."""
    yield version_line(version)
    trained = f"{version.training_set}@" if version.training_set else ""
    stated = {
        "id": version.id,
        "for": version.description,
        "weights": version.weights,
        "trained on": f"{trained}{version.training_set_digest}" if version.training_set_digest else None,
        "trained at": f"{version.trained_at:%Y-%m-%d %H:%M} UTC" if version.trained_at else None,
        "registered by": version.registered_by,
        **{f"fact {name}": value for name, value in version.facts.items()},
    }
    yield from (f"{name:16}  {value}" for name, value in stated.items() if value)
    for one in classes:
        means = "no taxon" if one.taxon is None else "" if one.taxon == one.label else one.taxon
        yield f"class {one.index:<10}  {one.label}{f'  ({means})' if means else ''}"


def version_record(version: ModelVersion, classes: Sequence[ModelClass] = ()) -> dict[str, Any]:
    """A version for programs; with its classes if they are given."""
    return {
        "name": version.name,
        **asdict(version),
        **({"class_list": [asdict(one) for one in classes]} if classes else {}),
    }


def champion_line(champion: Champion, model: str) -> str:
    """A version that was champion, or that there was none any more, in one line."""
    which = f"{model}@{champion.version}" if champion.version else "none"
    return f"{champion.named_at:%Y-%m-%d %H:%M}  {which}  {champion.named_by}  {champion.why}"
