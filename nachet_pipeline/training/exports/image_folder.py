"""ImageFolder: pictures as files in folders named for their class, `<N>-seed/<split>/<class folder>/<id>.tiff`.

Readers know a class by the place of its folder in alphabetical order. So every split has a folder for every class of
the training set, whether or not it holds pictures: a missing one would shift all classes behind it, unnoticed. An
empty folder is an error to torchvision's `ImageFolder` without `allow_empty=True`. `datasets` looks at files alone and
does shift: where a class has no picture in any split of a tree, it must be given all names.
"""

from collections.abc import Iterator
from pathlib import Path

from nachet_pipeline.training.exports.choices import ExportLayout
from nachet_pipeline.training.exports.fetching import Fetched, Fetcher, WantedPicture
from nachet_pipeline.training.exports.journal import Journal
from nachet_pipeline.training.exports.source import ExportContents, ExportManifest, Picture, TrainingClass

FLAT_TREE = "pictures"
"""The one tree of the flat layout."""


def tree_of(layout: ExportLayout, seeds: int) -> str:
    """The tree that pictures of so many seeds are in; it is what readers are given."""
    return f"{seeds}-seed" if layout is ExportLayout.SEEDS else FLAT_TREE


def trees_of(layout: ExportLayout, contents: ExportContents) -> dict[str, dict[str, dict[int | None, int]]]:
    """Every tree, with the number of pictures by split and class index."""
    trees: dict[str, dict[str, dict[int | None, int]]] = {}
    for (split, seeds, index), count in sorted(contents.pictures.items()):
        counts = trees.setdefault(tree_of(layout, seeds), {each: {} for each in contents.splits})
        counts[split][index] = counts[split].get(index, 0) + count
    return trees


def empty_classes(layout: ExportLayout, contents: ExportContents) -> list[tuple[str, str, str]]:
    """Tree, split and class folder of each folder that holds no picture."""
    return [
        (tree, split, each.folder)
        for tree, splits in trees_of(layout, contents).items()
        for split, counts in splits.items()
        for each in contents.classes
        if not counts.get(each.index)
    ]


def export_folders(
    folder: Path,
    journal: Journal,
    manifest: ExportManifest,
    fetcher: Fetcher,
    *,
    layout: ExportLayout,
    contents: ExportContents,
) -> Iterator[Fetched]:
    """Make all folders, then all files that are not finished; reports every picture."""
    for tree, splits in trees_of(layout, contents).items():
        for split in splits:
            for each in contents.classes:
                (folder / tree / split / each.folder).mkdir(parents=True, exist_ok=True)
    paths = ((picture, _path(layout, picture, contents.classes)) for picture in manifest.pictures(contents.splits))
    wanted = (WantedPicture(picture, path, journal.finished(path)) for picture, path in paths)
    yield from fetcher.fetch(folder, journal, wanted)


def _path(layout: ExportLayout, picture: Picture, classes: tuple[TrainingClass, ...]) -> str:
    tree, folder = tree_of(layout, picture.seeds), classes[picture.class_index].folder
    return f"{tree}/{picture.split}/{folder}/{picture.identifier}.tiff"
