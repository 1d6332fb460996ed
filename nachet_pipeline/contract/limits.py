"""The limits of the folder contract, beside those of pictures."""

from dataclasses import dataclass, field
from typing import Self

from nachet_pipeline.contract.names import MAX_NAME_BYTES
from nachet_pipeline.contract.yaml_reader import YamlLimits
from nachet_pipeline.settings import ContractSettings, TransferSettings


@dataclass(frozen=True, slots=True)
class ContractLimits:
    """How much a validation reads and keeps in memory.

    Attributes:
        yaml: the largest and deepest YAML file.
        name_bytes: longest name of a file or folder, in bytes of UTF-8.
        checksums_bytes: largest SHA256SUMS file.
        memory_bytes: bytes of pictures in memory at a time; a larger picture waits until it is the only one.
    """

    yaml: YamlLimits = field(default_factory=YamlLimits)
    name_bytes: int = MAX_NAME_BYTES
    checksums_bytes: int = 64 * 1024**2
    memory_bytes: int = 1024**3

    @classmethod
    def of(cls, contract: ContractSettings, transfer: TransferSettings) -> Self:
        """The limits that the settings name."""
        return cls(
            yaml=YamlLimits(
                bytes=contract.max_yaml_kib * 1024, depth=contract.max_yaml_depth, events=contract.max_yaml_events
            ),
            name_bytes=contract.max_name_bytes,
            checksums_bytes=contract.max_checksums_mib * 1024**2,
            memory_bytes=transfer.memory_bytes,
        )
