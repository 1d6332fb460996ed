"""The rule set: its version, and how much each finding weighs in this deployment."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Self

from nachet_pipeline.contract.catalogue import CATALOGUE, RULE_SET_VERSION, Severity
from nachet_pipeline.contract.yaml_reader import YamlError, read_yaml
from nachet_pipeline.settings import ContractSettings, SettingsError


class RuleSetError(ValueError):
    """A file of severities that cannot be used; the message is one line that says where and why."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """What judges an upload.

    Attributes:
        severities: the codes that weigh something else here than the catalogue says.
        version: version of the rules.
    """

    severities: Mapping[str, Severity] = field(default_factory=lambda: MappingProxyType({}))
    version: str = RULE_SET_VERSION

    def severity_of(self, code: str) -> Severity:
        """How much a finding of this code weighs here."""
        return self.severities.get(code, CATALOGUE[code].severity)

    @property
    def stamp(self) -> str:
        """The version, and a digest of the weights where they differ from the catalogue's.

        Two rule sets of one stamp give every picture the same verdict, as far as rules decide it.

        >>> RuleSet(version="7").stamp
        '7'
        >>> RuleSet({"location-in-picture": Severity.ERROR}, version="7").stamp
        '7+f6f373ce'
        """
        if not self.severities:
            return self.version
        weights = "\n".join(f"{code}={weight.value}" for code, weight in sorted(self.severities.items()))
        return f"{self.version}+{hashlib.sha256(weights.encode()).hexdigest()[:8]}"

    @classmethod
    def of(cls, settings: ContractSettings) -> Self:
        """The rules, with the weights of `severities_file`.

        Raises:
            SettingsError: the file cannot be used; the message names the setting.
        """
        if settings.severities_file is None:
            return cls()
        try:
            return cls.read(settings.severities_file)
        except RuleSetError as error:
            raise SettingsError(f"NACHET_SEVERITIES_FILE: {error}") from None

    @classmethod
    def read(cls, file: Path) -> Self:
        """The rule set with the severities of a file: YAML, from code to `error`, `warning` or `info`.

        Raises:
            RuleSetError: the file cannot be read, or asks for something that cannot be.
        """
        try:
            document = read_yaml(file.read_bytes())
        except OSError as error:
            raise RuleSetError(f"{file} cannot be read: {error.strerror}") from None
        except YamlError as error:
            raise RuleSetError(f"{file}: {error}") from None
        severities: dict[str, Severity] = {}
        for code, weight in document.values.items():
            where = f"{file}:{document.positions[(code,)].line}"
            if code not in CATALOGUE:
                near = get_close_matches(code, CATALOGUE, n=1)
                raise RuleSetError(f"{where}: there is no finding {code!r}" + (f"; {near[0]}?" if near else ""))
            if not isinstance(weight, str) or weight not in set(Severity):
                raise RuleSetError(f"{where}: expected error, warning or info, found {weight!r}")
            severity = Severity(weight)
            if CATALOGUE[code].fixed and severity is not CATALOGUE[code].severity:
                raise RuleSetError(f"{where}: {code} stays an error: what it concerns cannot be imported")
            if severity is not CATALOGUE[code].severity:
                severities[code] = severity
        return cls(MappingProxyType(severities))
