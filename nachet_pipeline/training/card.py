"""The card of a version of a training set: a README in the form that Hugging Face reads, with plots beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any

import yaml

from nachet_pipeline.support.templates import render_template
from nachet_pipeline.training import plots
from nachet_pipeline.training.manifest import ManifestClass
from nachet_pipeline.training.recipe import SPLITS, Recipe
from nachet_pipeline.training.statistics import Statistics
from nachet_pipeline.training.verifying import SetVerdict

README = "README.md"
PICTURES_PER_CLASS, SEEDS_PER_PICTURE = "pictures-per-class.png", "seeds-per-picture.png"
IMPORTS, SHARPNESS, DIFFERENCE = "imports.png", "sharpness.png", "difference.png"
NEAR_DUPLICATES, TOGETHER = "near-duplicates.jpg", "classes-together.png"

_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
_SIZE_NAMES = ("1K", "10K", "100K", "1M", "10M", "100M")
_NAMED = 10
_PAIRS = 20
_FORMATS = {
    False: ("parquet", "imagefolder", "webdataset", "croissant"),
    True: ("parquet", "webdataset", "croissant"),
}


@dataclass(frozen=True, slots=True)
class Since:
    """How a version differs from the one before.

    Attributes:
        previous: digest of that.
        added: pictures that are new.
        removed: pictures that are no more.
        moved: pictures on another side.
        relabelled: pictures of another class.
        by_class: number added and number removed by class index.
    """

    previous: str
    added: int
    removed: int
    moved: int
    relabelled: int
    by_class: Mapping[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """Everything that a card shows.

    Attributes:
        name: of the training set.
        digest: of the version.
        container: where it is published.
        recipe: as it stands in the manifest.
        classes: all of them, in the order of their indices.
        counted: the numbers of its pictures.
        groups: how many groups the pictures form.
        near_bits: in how many bits the looks of near duplicates differ at most; None: looks did not count.
        near_pairs: number of pairs of pictures of different sessions that look alike.
        near_pairs_counted_all: False if there are more than that, too many to look at each.
        shown_pairs: a few of them: two identifiers, and in how many bits they differ.
        notes: what was decided about single classes and pictures.
        imported: pictures by the day of their import.
        since: how it differs from the version before, None if it is the first.
        verdicts: what the checks found.
        labels: pictures by what people judged of their labels: `stated`, `verified` and `disputed`.
    """

    name: str
    digest: str
    container: str
    recipe: Mapping[str, Any]
    classes: Sequence[ManifestClass]
    counted: Statistics
    groups: int
    near_bits: int | None
    near_pairs: int
    near_pairs_counted_all: bool
    shown_pairs: Sequence[tuple[str, str, int]]
    notes: Sequence[str]
    imported: Mapping[date, int]
    since: Since | None
    verdicts: Sequence[SetVerdict]
    labels: Mapping[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether it failed a check that keeps it from being used."""
        return any(one.grave and not one.passed for one in self.verdicts)

    @property
    def several_labels(self) -> bool:
        """Whether pictures may have several labels."""
        return self.recipe.get("labels") == "multi"

    @property
    def together(self) -> dict[tuple[str, str], int]:
        """Pictures by two labels that they have both, the most frequent first."""
        labels = {one.class_index: one.label for one in self.classes}
        return {
            (labels[one], labels[other]): count
            for (one, other), count in sorted(self.counted.together.items(), key=lambda pair: (-pair[1], pair[0]))
        }

    @property
    def by_class(self) -> dict[str, dict[str, int]]:
        """Pictures by label and split, of every class."""
        return {
            one.label: {split: self.counted.pictures[one.class_index, split] for split in SPLITS}
            for one in self.classes
        }


def sheet_name(label: str) -> str:
    """The file of a class's contact sheet, beside the card: `contact-000-brassica-napus.jpg`."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in label.casefold())
    return f"contact-{'-'.join(part for part in plain.split('-') if part)[:80]}.jpg"


def draw(facts: Facts) -> dict[str, bytes]:
    """The plots by file name; none of a set without pictures."""
    counted = facts.counted
    if not counted.total:
        return {}
    seeds: dict[str, dict[int, int]] = {one.label: {} for one in facts.classes}
    labels = {one.class_index: one.label for one in facts.classes}
    for (index, number), count in sorted(counted.seeds.items()):
        seeds[labels[index]][number] = count
    drawn = {
        PICTURES_PER_CLASS: plots.pictures_per_class(
            facts.by_class, minimum=int(facts.recipe.get("minimum_per_class") or 0)
        ),
        SEEDS_PER_PICTURE: plots.seeds_matrix(seeds),
        IMPORTS: plots.uploads_over_time(facts.imported),
    }
    if facts.together:
        drawn[TOGETHER] = plots.classes_together(facts.together)
    if spreads := _spreads(facts):
        drawn[SHARPNESS] = plots.sharpness_by_class(
            spreads, classes=len(facts.classes), minimum=facts.recipe.get("minimum_sharpness")
        )
    if facts.since and facts.since.by_class:
        drawn[DIFFERENCE] = plots.difference_by_class(
            {labels.get(index, f"{index:03d}"): change for index, change in sorted(facts.since.by_class.items())}
        )
    return drawn


def _spreads(facts: Facts) -> list[plots.Spread]:
    spreads = []
    for one in facts.classes:
        values = facts.counted.sharpness_of(one.class_index)
        shares = [value for value in map(values.quantile, _SHARES) if value is not None]
        if shares:
            spreads.append(plots.Spread(one.label, values.total, *shares))
    return spreads


def render(facts: Facts, pictures: Sequence[str]) -> str:
    """The card's text.

    Args:
        facts: what it shows.
        pictures: file names of the plots and contact sheets beside it; one that is not there is not shown.
    """
    counted = facts.counted
    by_split = counted.by_split()
    return render_template(
        "training/card.md.jinja",
        facts=facts,
        counted=counted,
        header=_header(facts),
        recipe=_yaml(Recipe.model_validate(dict(facts.recipe)).model_dump(mode="json", exclude_defaults=True)),
        size=_bytes(sum(counted.bytes_by_split.values())),
        zooms=_zooms(counted),
        by_split={split: by_split.get(split, 0) for split in SPLITS},
        filled=[split for split in SPLITS if by_split.get(split)],
        seeds=min((number for _, number in counted.seeds), default=1),
        quality=counted.quality_of(),
        formats=_FORMATS[facts.several_labels],
        together=list(facts.together.items())[:_PAIRS],
        pictures=pictures,
        sheets={one.label: name for one in facts.classes if (name := sheet_name(one.label)) in pictures},
    )


def _header(facts: Facts) -> str:
    total = facts.counted.total
    filled = {split: count for split in SPLITS if (count := facts.counted.by_split().get(split, 0))}
    values: dict[str, Any] = {"pretty_name": facts.name}
    if facts.recipe.get("license"):
        values["license"] = facts.recipe["license"]
    values |= {
        "task_categories": ["image-classification"],
        **({"task_ids": ["multi-label-image-classification"]} if facts.several_labels else {}),
        "tags": ["biology", "botany", "seeds", "microscopy"],
        "size_categories": [_size_category(total)],
    }
    if filled:
        # The names of the files that `--format parquet` exports; this card can lie beside them.
        values["configs"] = [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in filled],
            }
        ]
        values["dataset_info"] = {
            "config_name": "default",
            "splits": [
                {"name": split, "num_bytes": facts.counted.bytes_by_split[split], "num_examples": count}
                for split, count in filled.items()
            ],
        }
    return _yaml(values)


def _size_category(pictures: int) -> str:
    if pictures < _SIZES[0]:
        return "n<1K"
    for (low, high), (below, above) in zip(pairwise(_SIZES), pairwise(_SIZE_NAMES), strict=True):
        if low <= pictures < high:
            return f"{below}<n<{above}"
    return f"n>{_SIZE_NAMES[-1]}"


def _zooms(counted: Statistics) -> str:
    shown = [f"{zoom:g} ({count:,})" for zoom, count in sorted(counted.zooms.items())[:_NAMED]]
    unknown = counted.total - sum(counted.zooms.values())
    more = [f"{len(counted.zooms) - _NAMED} more"] if len(counted.zooms) > _NAMED else []
    return ", ".join([*shown, *more, *([f"not stated ({unknown:,})"] if unknown else [])]) or "none"


def _bytes(size: int) -> str:
    value, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:  # noqa: PLR2004 (what the units are made of)
            break
        value, unit = value / 1024, larger
    return f"{value:,.0f} bytes" if unit == "bytes" else f"{value:,.1f} {unit}"


def _yaml(values: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
