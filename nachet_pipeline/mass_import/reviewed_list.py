"""The reviewed list of containers that a sensor has imported: a YAML file that `NACHET_MASS_IMPORT_LIST` names.

    containers:
      - container: old-pictures
        owner: ada@example.org
        zoom: 30
        map: old-pictures.csv

Paths of mappings are relative to the list.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from nachet_pipeline.contract.yaml_reader import listed_entries, yaml_document
from nachet_pipeline.mass_import.errors import MappingError, MassImportError
from nachet_pipeline.mass_import.importing import refuse_container
from nachet_pipeline.mass_import.mapping import FolderMapping

_KEYS = ("container", "owner", "seed", "zoom", "seeds-per-picture", "map", "prefix", "adopt")
_YES_NO = {"true": True, "yes": True, "false": False, "no": False}


class ListError(ValueError):
    """A list that cannot be used; the message is one line with file, line, and what was expected and found."""


@dataclass(frozen=True, slots=True)
class ListedContainer:
    """An entry of the list.

    Attributes:
        container: the container.
        owner: e-mail address of its owner.
        seed: the species where no mapping gives another, None if there is none.
        zoom: likewise.
        seeds_per_picture: likewise.
        mapping: the content of its mapping file, None if it has none.
        mapping_name: that file's name.
        prefix: the one folder to look into; empty for the whole container.
        adopt: whether pictures are copied.
    """

    container: str
    owner: str
    seed: str | None = None
    zoom: str | None = None
    seeds_per_picture: str | None = None
    mapping: str | None = None
    mapping_name: str = "mapping.yaml"
    prefix: str = ""
    adopt: bool = False

    @property
    def digest(self) -> str:
        """Changes with anything in the entry, its mapping included."""
        content = [getattr(self, name) for name in self.__dataclass_fields__]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def read_list(file: Path) -> list[ListedContainer]:
    """Read a reviewed list, with the mappings that it names.

    Raises:
        ListError: it cannot be read, or something in it or in a mapping cannot be used.
    """
    document = yaml_document(_text(file, str(file)), str(file), ListError)
    listed: list[ListedContainer] = []
    for line, entry in listed_entries(document, "containers", _KEYS, str(file), ListError):
        where = f"{file}:{line}"
        texts: dict[str, str] = {}
        for key, value in entry.items():
            if isinstance(value, dict | list):
                raise ListError(f"{where}: expected one value for {key}, found several")
            if value is not None:
                texts[key] = value
        listed.append(_entry(texts, file, where))
    names = [(one.container, one.prefix) for one in listed]
    for name, prefix in names:
        if names.count((name, prefix)) > 1:
            raise ListError(f"{file}: expected each container once, found {name} twice")
    return listed


def _entry(texts: dict[str, str], file: Path, where: str) -> ListedContainer:
    for key in ("container", "owner"):
        if not texts.get(key, "").strip():
            raise ListError(f"{where}: expected {key}, found nothing")
    adopt = _YES_NO.get(texts.get("adopt", "no").strip().casefold())
    if adopt is None:
        raise ListError(f"{where}: adopt: expected yes or no, found {texts['adopt'][:80]!r}")
    mapping = texts.get("map")
    entry = ListedContainer(
        container=texts["container"].strip(),
        owner=texts["owner"].strip(),
        seed=texts.get("seed"),
        zoom=texts.get("zoom"),
        seeds_per_picture=texts.get("seeds-per-picture"),
        mapping=_text(file.parent / mapping, where) if mapping else None,
        mapping_name=Path(mapping).name if mapping else "mapping.yaml",
        prefix=texts.get("prefix", "").strip("/"),
        adopt=adopt,
    )
    try:
        refuse_container(entry.container)
        FolderMapping.of(
            entry.mapping,
            entry.mapping_name,
            {"species": entry.seed, "zoom": entry.zoom, "seeds": entry.seeds_per_picture},
        )
    except (MassImportError, MappingError) as error:
        raise ListError(f"{where}: {error}") from None
    return entry


def _text(file: Path, where: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ListError(f"{where}: {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ListError(f"{where}: {file}: expected UTF-8 text") from None
