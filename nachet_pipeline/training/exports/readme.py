"""What an exported folder says of itself: how to load it, in the words of each reader."""

from nachet_pipeline.training.exports.source import ExportContents
from nachet_pipeline.training.manifest import ManifestMetadata

_IMAGEFOLDER = """\
Each tree has a folder for every split, and in it one for every class of the training set, also for those without
pictures there: readers know a class by its place in alphabetical order.

```python
import json
from pathlib import Path

from datasets import ClassLabel, Features, Image, load_dataset

classes = [each["folder"] for each in json.loads(Path("export.json").read_text(encoding="utf-8"))["classes"]]
features = Features({{"image": Image(), "label": ClassLabel(names=classes)}})
pictures = load_dataset("imagefolder", data_dir="{tree}", features=features)
```

Without `features`, `datasets` numbers only the classes that the tree has pictures of.

```python
from torchvision.datasets import ImageFolder

train = ImageFolder("{tree}/train", allow_empty=True)
```

Without `allow_empty`, torchvision refuses a tree in which a class has no pictures.
"""
_PARQUET = """\
```python
from datasets import load_dataset

pictures = load_dataset("parquet", data_dir="data")
```

```sql
-- DuckDB
select class_folder, count(*) from 'data/train-*.parquet' group by all;
```

`label` is the class as a number, `image.bytes` the picture, and the other columns are those of `manifest.parquet`.
"""
_CROISSANT = """\
```python
import mlcroissant

for record in mlcroissant.Dataset("croissant.json").records("pictures"):
    record["pictures/image"], record["pictures/label"], record["pictures/split"]
```

The shards are those of the format parquet, and load without this description too:

"""
_WEBDATASET = """\
```python
from glob import glob

import webdataset

train = webdataset.WebDataset(sorted(glob("data/train-*.tar")), shardshuffle=False)
pictures = train.decode("pil").to_tuple("tiff", "cls", "json")
```
"""


def readme_of(kind: str, of: ManifestMetadata, contents: ExportContents, trees: tuple[str, ...]) -> str:
    """The text of README.md.

    Args:
        kind: the format's name.
        of: what the manifest says of itself.
        contents: what was exported.
        trees: of an ImageFolder.
    """
    how = {
        "imagefolder": _IMAGEFOLDER.format(tree=trees[0] if trees else "TREE"),
        "parquet": _PARQUET,
        "croissant": _CROISSANT + _PARQUET,
        "webdataset": _WEBDATASET,
    }[kind]
    counts = "\n".join(
        f"| {split} | {sum(count for key, count in contents.pictures.items() if key[0] == split)} |"
        for split in contents.splits
    )
    places = f"Trees: {', '.join(f'`{tree}`' for tree in trees)}.\n\n" if trees else ""
    return (
        f"# {of.name}\n\nVersion `{of.digest}`, exported as {kind}. Every picture is an RGB TIFF of 8 bits, compressed"
        " without loss, made of a stored picture whose SHA-256 was verified.\n\n"
        f"| split | pictures |\n| --- | --- |\n{counts}\n\n{places}{how}"
    )
