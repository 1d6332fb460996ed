"""WebDataset: tar files of which each picture takes three members, `<id>.tiff`, `<id>.cls` and `<id>.json`.

There is no `.cls` if pictures may have several labels: the JSON says them all, in `class_indices`.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from datetime import datetime
from typing import IO

from nachet_pipeline.training.exports.shards import ShardEntry
from nachet_pipeline.training.manifest import LABEL_COLUMNS

_LEFT_OUT = {"url"}  # says where the account is, and would make another tar of the same pictures


def write_shard(stream: IO[bytes], entries: Iterator[ShardEntry]) -> None:
    """Write a shard: the same pictures make the same bytes, on any day and by any user."""
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for picture, file in entries:
            several = "class_indices" in picture.row
            left_out = _LEFT_OUT | LABEL_COLUMNS.keys() if several else _LEFT_OUT
            described = {name: value for name, value in picture.row.items() if name not in left_out}
            text = json.dumps(described, sort_keys=True, ensure_ascii=False, default=_as_text)
            with file.open("rb") as content:
                _add(tar, f"{picture.identifier}.tiff", content, file.stat().st_size)
            for suffix, value in (*(() if several else (("cls", str(picture.class_index)),)), ("json", text)):
                member = value.encode()
                _add(tar, f"{picture.identifier}.{suffix}", io.BytesIO(member), len(member))


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    # As made: time 0, user and group 0 without a name, mode 0644.
    member = tarfile.TarInfo(name)
    member.size = size
    tar.addfile(member, content)


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a manifest has no column of {type(value).__name__}")
