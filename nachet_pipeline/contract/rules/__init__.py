"""The rules of the folder contract: each looks at a context and yields findings, a few lines each."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.rules.counts import declared_counts
from nachet_pipeline.contract.rules.indexes import index_content, index_present
from nachet_pipeline.contract.rules.pairs import picture_pairs
from nachet_pipeline.contract.rules.seeds import registered_seed
from nachet_pipeline.contract.rules.structure import folder_structure, safe_names
from nachet_pipeline.contract.rules.uploader import registered_uploader
from nachet_pipeline.contract.sessions import Context

Rule = Callable[[Context], Iterator[Finding]]

FOLDER_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "folder_structure": folder_structure,
        "safe_names": safe_names,
        "index_present": index_present,
        "index_content": index_content,
        "declared_counts": declared_counts,
        "picture_pairs": picture_pairs,
        "registered_seed": registered_seed,
        "registered_uploader": registered_uploader,
    }
)
"""The rules that need names, sizes and indexes only; pictures and their YAML files are judged as they are read."""
