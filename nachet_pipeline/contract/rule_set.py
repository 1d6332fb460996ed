"""The rule set: its version, and the severity of each finding in this deployment."""

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
    """A file of severities cannot be used. The message is one line that says where and why."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules that an upload is validated by.

    Attributes:
        severities: the codes whose severity differs from the catalogue's.
        version: version of the rules.
    """

    severities: Mapping[str, Severity] = field(default_factory=lambda: MappingProxyType({}))
    version: str = RULE_SET_VERSION

    def severity_of(self, code: str) -> Severity:
        """The severity of a code in this deployment."""
        return self.severities.get(code, CATALOGUE[code].severity)

    @property
    def stamp(self) -> str:
        """The version, with a digest of the severities that differ from the catalogue's.

        Two rule sets with the same stamp give every picture the same verdict.

        >>> RuleSet(version="7").stamp
        '7'
        >>> RuleSet({"location-in-picture": Severity.ERROR}, version="7").stamp
        '7+f6f373ce'
        """
        if not self.severities:
            return self.version
        severities = "\n".join(f"{code}={severity.value}" for code, severity in sorted(self.severities.items()))
        return f"{self.version}+{hashlib.sha256(severities.encode()).hexdigest()[:8]}"

    @classmethod
    def of(cls, settings: ContractSettings) -> Self:
        """The rule set with the severities of `severities_file`.

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
        """Read severities from a YAML file that maps codes to `error`, `warning` or `info`.

        Raises:
            RuleSetError: the file cannot be read, or has an unknown code, an unknown severity or a fixed code.
        """
        try:
            document = read_yaml(file.read_bytes())
        except OSError as error:
            raise RuleSetError(f"{file} cannot be read: {error.strerror}") from None
        except YamlError as error:
            raise RuleSetError(f"{file}: {error}") from None
        severities: dict[str, Severity] = {}
        for code, wanted in document.values.items():
            where = f"{file}:{document.positions[(code,)].line}"
            if code not in CATALOGUE:
                near = get_close_matches(code, CATALOGUE, n=1)
                raise RuleSetError(f"{where}: there is no finding {code!r}" + (f"; {near[0]}?" if near else ""))
            if not isinstance(wanted, str) or wanted not in set(Severity):
                raise RuleSetError(f"{where}: expected error, warning or info, found {wanted!r}")
            severity = Severity(wanted)
            if CATALOGUE[code].fixed and severity is not CATALOGUE[code].severity:
                raise RuleSetError(f"{where}: {code} stays an error: what it concerns cannot be imported")
            if severity is not CATALOGUE[code].severity:
                severities[code] = severity
        return cls(MappingProxyType(severities))
