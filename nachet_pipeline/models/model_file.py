"""Files that models are registered from: reviewed YAML, and the predecessor's JSON of pipelines and models."""

import json
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from nachet_pipeline.contract.yaml_reader import yaml_document
from nachet_pipeline.models.model import ClassDocument, ModelDocument, ModelError, Task, VersionDocument
from nachet_pipeline.training.recipe import explained

_TASKS: Mapping[str, Task] = {
    "object-detection": "detect",
    "classification": "classify",
    "image-classification": "classify",
}
# What the predecessor keeps of a model that says something of it. Its endpoint and key are for nobody to read here.
_KEPT = (
    "api_call_function",
    "content_type",
    "content-type",
    "dataset",
    "default",
    "deployment_platform",
    "endpoint_name",
    "inference_function",
    "job_name",
    "metrics",
)
_LONGEST_NAME = 42


def read_model_file(path: Path) -> list[ModelDocument]:
    """The models of a file: one of a YAML file, whose name is the model's; all of a JSON file of the predecessor's.

    Raises:
        ModelError: it cannot be read, or something in it cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'expected UTF-8'}") from None
    if path.suffix == ".json":
        return _predecessors(text, path)
    document = yaml_document(text, str(path), ModelError)
    if "name" in document.values:
        raise ModelError(f"{path}: name: expected no such key, as the file's name is it")
    stated = {key: value for key, value in document.values.items() if value is not None}
    try:
        return [ModelDocument.model_validate({"name": path.stem, **stated})]
    except ValidationError as error:
        raise ModelError(explained(error, path, document, _keys_at)) from None


def model_files(folder: Path) -> list[Path]:
    """The YAML files of a folder, by name.

    Raises:
        ModelError: the folder cannot be read.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if entry.suffix in (".yaml", ".yml") and entry.is_file())
    except OSError as error:
        raise ModelError(f"{folder}: expected a folder of files of models: {error.strerror}") from None


def model_of(stated: Mapping[str, Any]) -> ModelDocument:
    """A model as a program states it.

    Raises:
        ModelError: something in it cannot be used.
    """
    try:
        return ModelDocument.model_validate(dict(stated))
    except ValidationError as error:
        raise ModelError(_first(error)) from None


def _first(error: ValidationError, otherwise: str = "model") -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(key) for key in first["loc"])
    return f"{field or otherwise}: {first['msg'].removeprefix('Value error, ')}"


def _keys_at(keys: tuple[int | str, ...]) -> list[str]:
    inside = tuple(key for key in keys if isinstance(key, str))
    parts: dict[tuple[str, ...], type[BaseModel]] = {
        ("versions",): VersionDocument,
        ("versions", "classes"): ClassDocument,
    }
    model = parts.get(inside, ModelDocument)
    return [name for name in model.model_fields if name != "name"]


# The predecessor


def _predecessors(text: str, path: Path) -> list[ModelDocument]:
    """Its models, and each of its pipelines as a model that answers for those it is made of."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise ModelError(f"{path}: expected JSON of pipelines and models") from None
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key, []), list) and all(isinstance(one, dict) for one in content.get(key, []))
        for key in ("models", "pipelines")
    ):
        raise ModelError(f"{path}: expected the keys models and pipelines, each a list of keys and values")
    models = [_model(one, f"{path}: models.{place}") for place, one in enumerate(content.get("models", []))]
    known = {str(one.get("model_name")): model for one, model in zip(content.get("models", []), models, strict=True)}
    pipelines = (_pipeline(one, known, f"{path}: pipelines.{n}") for n, one in enumerate(content.get("pipelines", [])))
    return _merged([*models, *pipelines], path)


def _model(entry: Mapping[str, Any], place: str) -> ModelDocument:
    task, classes = _TASKS.get(str(entry.get("task"))), _classes(entry)
    if task is None:
        raise ModelError(f"{place}: task: expected one of {', '.join(_TASKS)}, found {str(entry.get('task'))[:80]!r}")
    # A detector that says which taxa it identifies answers both.
    return _document(entry, "model_name", "both" if task == "detect" and classes else task, classes, {}, place)


def _pipeline(entry: Mapping[str, Any], known: Mapping[str, ModelDocument], place: str) -> ModelDocument:
    names = [str(name) for name in entry.get("models") or entry.get("endpoint_name") or []]
    parts = [known[name] for name in names if name in known]
    if not parts or len(parts) < len(names):
        missing = next((name for name in names if name not in known), "none")
        raise ModelError(f"{place}: models: expected names of its models, found {missing[:80]!r}")
    last = parts[-1].versions[0]
    tasks = {one.versions[0].task for one in parts}
    task = "both" if len(tasks) > 1 else last.task
    made_of = [f"{one.name}@{one.versions[0].version}" for one in parts]
    return _document(entry, "pipeline_name", task, _classes(entry) or last.classes, {"models": made_of}, place)


def _document(
    entry: Mapping[str, Any],
    name_key: str,
    task: Task,
    classes: tuple[ClassDocument, ...],
    facts: dict[str, Any],
    place: str,
) -> ModelDocument:
    called = str(entry.get(name_key) or "")
    kept = {key.replace("-", "_"): entry[key] for key in _KEPT if entry.get(key)} | {"called": called} | facts
    version = {
        "version": str(entry.get("version") or "1"),
        "task": task,
        "classes": classes,
        "trained_at": entry.get("creation_date") or None,
        "facts": kept,
    }
    try:
        return ModelDocument(
            name=_slug(called),
            owner=str(entry.get("created_by") or "unknown"),
            description=str(entry.get("description") or ""),
            versions=(VersionDocument.model_validate(version),),
        )
    except ValidationError as error:
        raise ModelError(f"{place}: {_first(error, name_key)}") from None


def _classes(entry: Mapping[str, Any]) -> tuple[ClassDocument, ...]:
    names = [str(one) for one in entry.get("identifiable") or [] if isinstance(one, str) and one.strip()]
    return tuple(ClassDocument(label=name, taxon=name) for name in dict.fromkeys(names))


def _slug(name: str) -> str:
    """A name in the syntax of ours: small letters, digits and single hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_NAME].strip("-")


def _merged(documents: list[ModelDocument], path: Path) -> list[ModelDocument]:
    """Documents of one name as one, with the versions of all."""
    found: dict[str, ModelDocument] = {}
    for one in documents:
        before = found.get(one.name)
        if before is None:
            found[one.name] = one
            continue
        versions = {version.version: version for version in before.versions}
        for version in one.versions:
            if versions.setdefault(version.version, version) != version:
                raise ModelError(f"{path}: expected each version once, found {one.name}@{version.version} twice")
        found[one.name] = before.model_copy(update={"versions": tuple(versions.values())})
    return list(found.values())
