"""The rules of the folder contract: each is named as its check, reads a context and yields findings."""

from collections.abc import Callable, Iterator

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.rules.file_count import file_count
from nachet_pipeline.contract.rules.folder_structure import folder_structure
from nachet_pipeline.contract.rules.indexes import index_content, index_present
from nachet_pipeline.contract.rules.picture_pairs import picture_pairs
from nachet_pipeline.contract.rules.seed_registered import seed_registered
from nachet_pipeline.contract.rules.uploader_registered import uploader_registered
from nachet_pipeline.contract.sessions import Context

Rule = Callable[[Context], Iterator[Finding]]

FOLDER_RULES: tuple[Rule, ...] = (
    folder_structure,
    index_present,
    index_content,
    file_count,
    picture_pairs,
    seed_registered,
    uploader_registered,
)
"""The rules that need only names, sizes and indexes. Pictures and their YAML files are judged as they are read."""
