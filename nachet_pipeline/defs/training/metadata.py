"""Metadata of a version of a training set: how the UI shows it."""

import base64
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagster import MetadataValue, TableMetadataValue

from nachet_pipeline.defs.metadata import table

if TYPE_CHECKING:
    from nachet_pipeline.training.card import Facts
    from nachet_pipeline.training.publishing import Published

_ROWS = 200
_BYTES_OF_PICTURES = 600_000
"""An event is a row of Dagster's database, and every night adds one."""
_PICTURE = re.compile(r"^!\[(?P<title>[^\]]*)\]\((?P<name>[\w.-]+)\)$", re.MULTILINE)


def version_metadata(published: "Published", account_url: str) -> dict[str, Any]:
    """What the UI shows of a version; Dagster draws numbers as plots over the builds.

    Args:
        published: the version.
        account_url: of the storage account that it lies in.
    """
    built, facts = published.built, published.facts
    metadata: dict[str, Any] = {
        "current": MetadataValue.bool(published.released),
        "new": MetadataValue.bool(built.new),
        "card": MetadataValue.md(_card(published.text, published.pictures)),
        "digest": MetadataValue.text(built.digest),
        "dagster/uri": f"{account_url.rstrip('/')}/{built.container}/{built.blob}",
        "dagster/row_count": facts.counted.total,
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


def _card(text: str, pictures: Mapping[str, bytes]) -> str:
    """The card without its header, which is for machines, and with its pictures in it.

    Pictures that an event has no room for are named, with where they lie.
    """
    room = _BYTES_OF_PICTURES

    def shown(found: re.Match[str]) -> str:
        nonlocal room
        title, name = found["title"], found["name"]
        content = pictures.get(name, b"")
        if not content or len(content) > room:
            return f"*{title}: `{name}`, beside the card in storage*"
        room -= len(content)
        kind = "png" if name.endswith(".png") else "jpeg"
        return f"![{title}](data:image/{kind};base64,{base64.b64encode(content).decode()})\n\n*{title}*"

    _, _, body = text.removeprefix("---\n").partition("\n---\n")
    return _PICTURE.sub(shown, body.strip())


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
