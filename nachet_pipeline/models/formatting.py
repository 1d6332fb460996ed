"""Models and predictions as lines for people and as records for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from nachet_pipeline.models.model import ModelClass, ModelVersion
from nachet_pipeline.models.predictions.queries import PredictionFile
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


def file_line(file: PredictionFile) -> str:
    """What became of a file of predictions, in one line."""
    if file.state == "refused":
        wrong = sum(group["count"] for group in file.findings)
        return f"{file.place}  {file.version}  refused: {wrong} findings"
    unknown = f", {file.unknown_pictures} of pictures that are not stored" if file.unknown_pictures else ""
    trained = f", {file.on_trained} of what it was trained on" if file.on_trained else ""
    return (
        f"{file.place}  {file.version}  recorded: {file.predictions} of {file.lines} predictions, {file.new} of them"
        f" by this file{unknown}{trained}"
    )


def file_record(file: PredictionFile) -> dict[str, Any]:
    """What became of a file of predictions, for programs."""
    return asdict(file)
