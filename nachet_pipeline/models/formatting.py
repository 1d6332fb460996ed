"""Models and predictions as lines for people and as records for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from nachet_pipeline.models.judgements.formatting import judgement_line, judgement_record
from nachet_pipeline.models.model import ModelClass, ModelVersion
from nachet_pipeline.models.predictions.queries import PredictionFile
from nachet_pipeline.models.queries import Champion
from nachet_pipeline.models.trace_queries import PictureTrace, PredictionTrace, Said, Trace, VersionTrace


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


def trace_record(found: Trace) -> dict[str, Any]:
    """What was traced, for programs; `traced` says what it is."""
    if isinstance(found, PictureTrace):
        return {"traced": "picture", **asdict(found), "judged": [judgement_record(one) for one in found.judged]}
    if isinstance(found, PredictionTrace):
        return {"traced": "prediction", **asdict(found), "by": _version_trace(found.by)}
    return {"traced": "version", **_version_trace(found)}


def _version_trace(found: VersionTrace) -> dict[str, Any]:
    counts = ("photographs", "withdrawn", "deleted")
    taught = found.taught and {**asdict(found.taught), **{name: getattr(found.taught, name) for name in counts}}
    return {**asdict(found), "version": version_record(found.version), "taught": taught}


def trace_lines(found: Trace) -> Iterator[str]:
    """What was traced."""
    if isinstance(found, PictureTrace):
        yield from _picture_lines(found)
    elif isinstance(found, PredictionTrace):
        yield f"prediction {found.prediction} of {found.sha256}"
        yield from (f"  {_said_line(one)}" for one in found.said)
        if not found.said:
            yield f"  {found.by.version.name} found nothing"
        if found.learned:
            yield "  The version was trained on this picture."
        yield from _version_lines(found.by)
    else:
        yield from _version_lines(found)


def _version_lines(found: VersionTrace) -> Iterator[str]:
    since = f", champion since {found.champion_since:%Y-%m-%d}" if found.champion_since else ""
    yield f"{found.version.name}{since}"
    if found.taught is None:
        yield "  trained on nothing that is known here"
    else:
        taught = found.taught
        yield f"  trained on {taught.training_set}: {taught.pictures} pictures of {taught.photographs} photographs"
        changes = {"photographs withdrawn": taught.withdrawn, "photographs deleted": taught.deleted}
        changes["pictures labelled otherwise"] = taught.relabelled
        said = ", ".join(f"{number} {what}" for what, number in changes.items() if number)
        yield f"  since then: {said or 'nothing changed'}"
        yield from (f"  {one.photographs:>9}  {one.email}" for one in taught.uploaders)
    yield f"  {found.predictions} predictions"
    for one in found.evaluations:
        failed = f"failed {', '.join(one.failed)}" if one.failed else "passed"
        yield f"  evaluated {one.evaluated_at:%Y-%m-%d %H:%M} by {one.training_set[:-52]}: {failed}"


def _picture_lines(found: PictureTrace) -> Iterator[str]:
    yield f"picture {found.sha256}: {found.pictures} rows, with what it was cut from and what was cut from it"
    yield from (
        f"  {row.relation:<6}{row.picture}  {row.place}  {row.uploader}{f'  {row.gone}' if row.gone else ''}"
        for row in found.rows
    )
    for use in found.training_sets:
        yield f"  in {use.training_set[:-52]}, {use.split}: {use.pictures} ({use.relation})"
    if not found.training_sets:
        yield "  in no training set"
    yield from (f"  taught {one.line}" for one in found.models)
    if found.models:
        yield f"  {found.resting} predictions rest on it"
    yield f"  {found.predictions} predictions of it"
    yield from (f"    {_said_line(one)}" for one in found.said)
    yield f"  {found.judgements} judgements of it"
    yield from (f"    {judgement_line(one)}" for one in found.judged)
    for one in found.outcomes:
        where = f" at {one.region}" if one.region else ""
        what = " ".join(filter(None, (one.outcome, one.taxon)))
        yield f"  judged{where}: {what}, agreement {one.agreement:.2f} of {one.persons} persons"


def _said_line(one: Said) -> str:
    where = f" at {' '.join(f'{side:.3f}' for side in one.box)}" if one.box else ""
    score = f" {one.score:.3f}" if one.score is not None else ""
    return f"{one.at:%Y-%m-%d %H:%M}  {one.version}  {one.object}{where}: {one.label or 'an object'}{score}"
