"""`training_set`: what a trainer reads, one partition a recipe."""

import base64
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    MarkdownMetadataValue,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    TableMetadataValue,
    asset,
)

from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.defs.failures import failing_on
from nachet_pipeline.defs.freshness import NIGHTLY
from nachet_pipeline.defs.metadata import table
from nachet_pipeline.defs.partitions import recipes
from nachet_pipeline.defs.progress_log import now_and_then
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource
from nachet_pipeline.defs.training.checks import check_results, check_specs
from nachet_pipeline.errors import UsageError
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.settings import TrainingSettings, TransferSettings

if TYPE_CHECKING:
    from nachet_pipeline.training.card import Facts
    from nachet_pipeline.training.publishing import Published

_ROWS = 200
_BYTES_OF_SHEETS = 600_000
"""An event is a row of Dagster's database, and every night adds one."""


@asset(
    # A recipe depends on all partitions of these, because its name is no partition of theirs.
    deps=[
        AssetDep(name, partition_mapping=AllPartitionMapping())
        for name in ("picture_metadata", "picture_crops", "mass_imported_container")
    ],
    partitions_def=recipes,
    group_name="training",
    kinds={"parquet", "azure", "postgres"},
    owners=["team:ai-lab"],
    check_specs=check_specs,
    freshness_policy=NIGHTLY,
)
def training_set(
    context: AssetExecutionContext,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    training_settings: ResourceParam[TrainingSettings],
    transfer_settings: ResourceParam[TransferSettings],
    rule_set: ResourceParam[RuleSet],
    decoding: ResourceParam[DecodingSettings],
) -> Iterator[MaterializeResult[None]]:
    """A frozen selection of stored pictures, as a recipe says, with a split that leaks nothing, and a card.

    A version is published whatever the checks say of it; one that leaks, has an empty class or one under its minimum
    does not become the current one, and its checks are red. The run fails only where the recipe, the pipeline or a
    service is at fault.
    """
    # These import pyarrow, which loading the definitions must not.
    from nachet_pipeline.training.publishing import publish  # noqa: PLC0415
    from nachet_pipeline.training.recipe import packaged_recipes, recipe_named  # noqa: PLC0415

    partition = context.partition_key
    with failing_on(UsageError):  # the recipe's
        recipe = recipe_named(partition, training_settings.recipes_folder or packaged_recipes())
        with database.open() as db, blob_storage.open() as blobs, DecodingPool(decoding) as pool:
            log = now_and_then(context)
            published = publish(
                recipe,
                db,
                blobs,
                pool,
                rule_set,
                transfer_settings,
                progress=lambda step, done, total: log(f"{step}, {done} of {total}"),
            )
    built = published.built
    context.log.info("%s/%s: %d pictures", built.container, built.blob, built.pictures)
    if not published.released:
        said = "; ".join(verdict.summary for verdict in published.verdicts if verdict.grave and not verdict.passed)
        context.log.warning("%s did not become the current version of %s: %s", built.digest, partition, said)
    yield MaterializeResult(metadata=_metadata(published), check_results=list(check_results(published.verdicts)))


def _metadata(published: "Published") -> dict[str, Any]:
    """What the UI shows; Dagster draws numbers as plots over the runs."""
    from nachet_pipeline.training import card  # noqa: PLC0415 (imports pyarrow)

    built, facts, pictures = published.built, published.facts, published.pictures
    shown = {
        "pictures_per_class": card.PICTURES_PER_CLASS,
        "seeds_per_picture": card.SEEDS_PER_PICTURE,
        "imported": card.IMPORTS,
        "sharpness": card.SHARPNESS,
        "changed_by_class": card.DIFFERENCE,
        "near_duplicates": card.NEAR_DUPLICATES,
    }
    metadata: dict[str, Any] = {
        "current": MetadataValue.bool(published.released),
        "new": MetadataValue.bool(built.new),
        "digest": MetadataValue.text(built.digest),
        "manifest": MetadataValue.text(f"{built.container}/{built.blob}"),
        "card": MetadataValue.text(f"{built.container}/{published.card}"),
        "pictures": facts.counted.total,
        **{split: count for split, count in facts.counted.by_split().items()},  # noqa: C416
        "groups": built.groups,
        "classes": len(facts.classes),
        "near_duplicate_pairs": facts.near_pairs,
    }
    for verdict in facts.verdicts:
        if verdict.name == "pictures_current":
            metadata |= dict(verdict.numbers)
    if facts.classes:
        metadata["pictures_by_class"] = _classes(facts)
    metadata |= {title: _image(name, pictures[name]) for title, name in shown.items() if name in pictures}
    if sheets := _sheets(facts, pictures):
        metadata["contact_sheets"] = MetadataValue.md(sheets)
    if facts.since:
        metadata["since_previous"] = _difference(facts)
    if facts.shown_pairs:
        metadata["nearest_pairs"] = _table(
            ("picture", "other picture", "bits apart"), [list(pair) for pair in facts.shown_pairs]
        )
    if facts.notes:
        metadata["notes"] = MetadataValue.md("\n".join(f"- {note}" for note in facts.notes[:_ROWS]))
    metadata["recipe"] = MetadataValue.json(dict(facts.recipe))
    return metadata


def _table(columns: tuple[str, ...], rows: list[list[Any]]) -> TableMetadataValue:
    return table((dict(zip(columns, row, strict=True)) for row in rows[:_ROWS]), columns)


def _classes(facts: "Facts") -> TableMetadataValue:
    rows = [
        [label, *splits.values(), sum(splits.values()), _rounded(facts, one.class_index)]
        for one, (label, splits) in zip(facts.classes, facts.by_class.items(), strict=True)
    ]
    return _table(("class", "train", "validation", "test", "all", "median quality"), rows)


def _rounded(facts: "Facts", index: int) -> str:
    median = facts.counted.quality_of(index).quantile(0.5)
    return "" if median is None else f"{median:.2f}"


def _difference(facts: "Facts") -> TableMetadataValue:
    since = facts.since
    if since is None:
        raise ValueError("a first version differs from none")
    row = [since.previous, since.added, since.removed, since.moved, since.relabelled]
    return _table(("previous version", "added", "removed", "on another side", "of another class"), [row])


def _image(name: str, content: bytes) -> MarkdownMetadataValue:
    return MetadataValue.md(_markdown(name, content))


def _markdown(name: str, content: bytes) -> str:
    kind = "png" if name.endswith(".png") else "jpeg"
    title = name.rpartition(".")[0].replace("-", " ")
    return f"![{title}](data:image/{kind};base64,{base64.b64encode(content).decode()})"


def _sheets(facts: "Facts", pictures: Mapping[str, bytes]) -> str:
    """As many contact sheets as an event should carry; the card has all of them."""
    from nachet_pipeline.training.card import sheet_name  # noqa: PLC0415 (imports pyarrow)

    parts: list[str] = []
    room = _BYTES_OF_SHEETS
    there = [one for one in facts.classes if sheet_name(one.label) in pictures]
    for one in there:
        content = pictures[sheet_name(one.label)]
        if len(content) > room:
            break
        room -= len(content)
        parts.append(f"**{one.label}**\n\n{_markdown(sheet_name(one.label), content)}")
    if len(parts) < len(there):
        parts.append(f"The card shows {len(there) - len(parts)} more.")
    return "\n\n".join(parts)
