"""The card of a version of a training set: a README in the form that Hugging Face reads, with plots beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any

import yaml

from nachet_pipeline.training import plots
from nachet_pipeline.training.manifest import SPLITS, ManifestClass
from nachet_pipeline.training.recipe import Recipe
from nachet_pipeline.training.statistics import Statistics
from nachet_pipeline.training.verifying import SetVerdict

README = "README.md"
PICTURES_PER_CLASS, SEEDS_PER_PICTURE = "pictures-per-class.png", "seeds-per-picture.png"
IMPORTS, SHARPNESS, DIFFERENCE = "imports.png", "sharpness.png", "difference.png"
NEAR_DUPLICATES = "near-duplicates.jpg"

_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
_SIZE_NAMES = ("1K", "10K", "100K", "1M", "10M", "100M")
_ROWS = 200
_NAMED = 10


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
    """Everything that a card tells.

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
        facts: what it tells.
        pictures: file names of the plots and contact sheets beside it; one that is not there is not shown.
    """
    parts = [
        f"---\n{_header(facts)}---",
        f"# {facts.name}",
        _what(facts),
        _checks(facts),
        _recipe(facts),
        _split(facts),
        _classes(facts, pictures),
        _loading(facts),
        _difference(facts, pictures),
        _near(facts, pictures),
        _quality(facts, pictures),
        _sheets(facts, pictures),
        _limits(facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(facts: Facts) -> str:
    total = facts.counted.total
    filled = {split: count for split in SPLITS if (count := facts.counted.by_split().get(split, 0))}
    values: dict[str, Any] = {"pretty_name": facts.name}
    if facts.recipe.get("license"):
        values["license"] = facts.recipe["license"]
    values |= {
        "task_categories": ["image-classification"],
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
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def _size_category(pictures: int) -> str:
    if pictures < _SIZES[0]:
        return "n<1K"
    for (low, high), (below, above) in zip(pairwise(_SIZES), pairwise(_SIZE_NAMES), strict=True):
        if low <= pictures < high:
            return f"{below}<n<{above}"
    return f"n>{_SIZE_NAMES[-1]}"


def _what(facts: Facts) -> str:
    counted = facts.counted
    description = str(facts.recipe.get("description") or "").strip()
    kind = "crops, each of one seed," if facts.recipe.get("pictures") == "crops" else "photographs of seeds"
    formats = ", ".join(f"{count:,} {name}" for name, count in sorted(counted.formats.items()))
    lines = [
        (
            f"{counted.total:,} {kind} under a microscope, of {_classes_count(len(facts.classes))}, in"
            f" {facts.groups:,} groups that are each on one side of the split. Pictures were validated when they were"
            " imported; the label is the species that the uploader stated, or the one that was decided."
        ),
        "",
        "| | |",
        "| --- | --- |",
        f"| version (SHA-256 of the manifest's rows) | `{facts.digest}` |",
        f"| published in | `{facts.container}/{facts.digest}/` |",
        f"| size of the pictures' files | {_bytes(sum(counted.bytes_by_split.values()))} |",
        f"| formats | {formats or 'none'} |",
        f"| zooms | {_zooms(counted)} |",
    ]
    return (f"{description}\n\n" if description else "") + "\n".join(lines)


def _classes_count(number: int) -> str:
    return f"{number:,} class" if number == 1 else f"{number:,} classes"


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


def _checks(facts: Facts) -> str:
    grave = [verdict for verdict in facts.verdicts if verdict.grave and not verdict.passed]
    lines = ["| check | found |", "| --- | --- |"]
    lines += [f"| `{one.name}` | {'passed' if one.passed else _cell(one.summary)} |" for one in facts.verdicts]
    warning = (
        "> **Do not train with this version.** It failed a check, and did not become the current one.\n\n"
        if grave
        else ""
    )
    return f"{warning}## Checks\n\n" + "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _recipe(facts: Facts) -> str:
    stated = Recipe.model_validate(dict(facts.recipe)).model_dump(mode="json", exclude_defaults=True)
    text = yaml.safe_dump(stated, sort_keys=False, allow_unicode=True)
    return f"## Recipe\n\nThe same recipe on the same pictures makes the same version.\n\n```yaml\n{text}```"


def _split(facts: Facts) -> str:
    total = max(facts.counted.total, 1)
    counts = facts.counted.by_split()
    lines = ["| split | wanted | pictures | share |", "| --- | --- | --- | --- |"]
    wanted = facts.recipe.get("splits") or {}
    for split in SPLITS:
        if wanted.get(split) or counts.get(split):
            count = counts.get(split, 0)
            lines.append(f"| {split} | {wanted.get(split, 0):.0%} | {count:,} | {count / total:.1%} |")
    looks = (
        f", by looks (perceptual hashes of 256 bits that differ in at most {facts.near_bits})"
        if facts.near_bits is not None
        else " (looks were not compared)"
    )
    notes = "".join(f"\n- {_cell(note)}" for note in list(facts.notes)[:_ROWS])
    return (
        "## How it is split\n\n"
        + "\n".join(lines)
        + "\n\nOnly whole groups are put on a side, so that nothing the test"
        " pictures show was seen in training. A group is everything connected by session (pictures taken together), by"
        f" picture and crop, by equal file, by equal pixels{looks}, directly or through others. Groups are shared out"
        " so that each class comes as near to the wanted shares as its groups allow. After publishing, what belongs"
        " together is found again from the manifest without the column `group`, and compared: the check `no_leaks`."
        + (f"\n\nWhat was decided:\n{notes}" if notes else "")
    )


def _classes(facts: Facts, pictures: Sequence[str]) -> str:
    lines = ["| class folder | index | train | validation | test | all |", "| --- | --- | --- | --- | --- | --- |"]
    for one in facts.classes:
        row = [facts.counted.pictures[one.class_index, split] for split in SPLITS]
        lines.append(f"| {_cell(one.label)} | {one.class_index} | {' | '.join(f'{n:,}' for n in row)} | {sum(row):,} |")
    return (
        "## Classes\n\n"
        + "\n".join(lines)
        + _image(PICTURES_PER_CLASS, "Pictures per class and split", pictures)
        + _image(SEEDS_PER_PICTURE, "Pictures by class and number of seeds in the picture", pictures)
        + _image(IMPORTS, "When the pictures were imported", pictures)
    )


def _image(name: str, title: str, pictures: Sequence[str]) -> str:
    return f"\n\n![{title}]({name})" if name in pictures else ""


def _loading(facts: Facts) -> str:
    filled = [split for split in SPLITS if facts.counted.by_split().get(split)]
    files = ", ".join(f'"{split}": "DIR/data/{split}-*.parquet"' for split in filled)
    first = filled[0] if filled else "train"
    seeds = min((number for _, number in facts.counted.seeds), default=1)
    version = f"{facts.name}@{facts.digest[:12]}"
    return f"""## How to load it

`manifest.parquet`, beside this card, has a row for each picture: where its bytes are, what they must be (SHA-256),
label, split, group, and what was measured. It needs no export:

```python
import pandas
pictures = pandas.read_parquet("manifest.parquet")
```

For trainers, export it; pictures become RGB TIFF of 8 bits (`parquet` and `webdataset` carry them within), each
verified by its checksum:

```
nachet training-set export {version} DIR --format parquet
nachet training-set export {version} DIR --format imagefolder
nachet training-set export {version} DIR --format webdataset
nachet training-set export {version} DIR --format croissant
```

```python
from datasets import load_dataset
load_dataset("parquet", data_files={{{files}}})             # --format parquet
load_dataset("imagefolder", data_dir="DIR/{seeds}-seed")       # --format imagefolder; see the export's README.md

import glob, webdataset
webdataset.WebDataset(sorted(glob.glob("DIR/data/{first}-*.tar")))  # --format webdataset

import mlcroissant
mlcroissant.Dataset(jsonld="DIR/croissant.json")           # --format croissant
```

The class index is the number that the name of the class folder begins with. It stays when species are added.

**Before you train with the old trainer:** unless told not to, it splits off 15 % of `train` at random for its own
validation. Pictures of one session are then on both sides, and its validation looks better than it is. Give it the
validation pictures of this set instead, or split `train` by the manifest's column `group`."""


def _difference(facts: Facts, pictures: Sequence[str]) -> str:
    since = facts.since
    if since is None:
        return "## Versions\n\nThis is the first version."
    return (
        f"## Versions\n\nThe version before is `{since.previous}`.\n\n"
        "| since then | pictures |\n| --- | --- |\n"
        f"| added | {since.added:,} |\n| removed | {since.removed:,} |\n| moved to another split | {since.moved:,} |\n"
        f"| given another class | {since.relabelled:,} |" + _image(DIFFERENCE, "Added and removed by class", pictures)
    )


def _near(facts: Facts, pictures: Sequence[str]) -> str:
    if facts.near_bits is None:
        return ""
    more = "" if facts.near_pairs_counted_all else "More than "
    text = (
        f"## Near duplicates\n\n{more}{facts.near_pairs:,} pairs of pictures of different sessions look alike, and were"
        " kept on one side."
    )
    if facts.shown_pairs:
        lines = ["| picture | picture | bits apart |", "| --- | --- | --- |"]
        lines += [f"| `{one}` | `{other}` | {bits} |" for one, other, bits in list(facts.shown_pairs)[:_NAMED]]
        text += " Some of the nearest:\n\n" + "\n".join(lines)
    return text + _image(NEAR_DUPLICATES, "Pairs of pictures that look alike", pictures)


def _quality(facts: Facts, pictures: Sequence[str]) -> str:
    quality = facts.counted.quality_of()
    low, median = quality.quantile(0.05), quality.quantile(0.5)
    if low is None or median is None:
        return "## Quality\n\nNo picture of this version was measured."
    unmeasured = facts.counted.total - quality.total
    return (
        f"## Quality\n\nThe quality score (0 to 1, of sharpness, contrast, clipping and evenness of the ground) is"
        f" {median:.2f} in the median, and below {low:.2f} for one picture in twenty."
        + (f" {unmeasured:,} pictures were not measured." if unmeasured else "")
        + _image(SHARPNESS, "Sharpness by class", pictures)
    )


def _sheets(facts: Facts, pictures: Sequence[str]) -> str:
    shown = [one for one in facts.classes if sheet_name(one.label) in pictures]
    if not shown:
        return ""
    left = len(facts.classes) - len(shown)
    return (
        "## What the classes look like\n\nA few pictures of each, from as many sessions as possible, chosen by"
        " their checksums."
        + (f" {_classes_count(left)} without a contact sheet." if left else "")
        + "".join(f"\n\n### {one.label}\n\n![{one.label}]({sheet_name(one.label)})" for one in shown)
    )


def _limits(facts: Facts) -> str:
    verified = "" if facts.recipe.get("verified_only") else " and nobody need have verified them"
    return f"""## Limits

- Labels are what uploaders stated{verified}. A photograph that was stated to show two species, and of which nobody
  decided, is not here.
- Groups know what the pictures and their metadata tell. The same seeds photographed in two sessions, from another side,
  are not recognised as the same.
- Pictures were taken by few people with few microscopes: ground, light and zoom can tell a class apart where the seed
  does not. Look at the contact sheets, and at the numbers by seeds in a picture.
- Classes are not balanced unless the recipe caps them.
- A picture can be withdrawn after publishing. This version then still lists it: `nachet training-set show {facts.name}`
  says so, and the next version leaves it out."""
