"""The files of `nachet story`: drawn photographs, two versions of a made-up model, what they say, what people say.

The answers are not predicted by anything. They are made from what the photographs are known to show, with mistakes put
in: the second version is better than the first, but not where photographs were taken at a low zoom.
"""

import hashlib
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from nachet_pipeline.local.sample import SPECIES, sample_picture

EMAIL, EXPERT, OTHER_EXPERT, HELPER = (
    f"{name}@example.org" for name in ("story.user", "ann.expert", "cy.expert", "bo.helper")
)
NAME, MODEL = "story-seeds", "story-classifier"
_SPECIES = SPECIES[:3]
_SESSIONS, _PICTURES = 12, 5
_LOW_ZOOM, _ZOOM = 10, 30
_SIZE = {"width": 160, "height": 120}
_RIGHT = {"1.0": (0.8, 0.8), "2.0": (0.98, 0.6)}
"""Of each version how often it is right, and how often where the zoom is low."""
_SAID = "2026-11-01T12:00:00Z"


@dataclass(frozen=True)
class _Photograph:
    """A photograph: its content, the species that it shows as a place in the list, and whether the zoom was low."""

    sha256: str
    species: int
    low_zoom: bool


@dataclass(frozen=True)
class Story:
    """Where the files are.

    Attributes:
        project: the folder to import.
        recipe: the recipe's folder.
        predictions: by version what it says.
        judgements: fifty of them.
    """

    project: Path
    recipe: Path
    predictions: dict[str, Path]
    judgements: Path


def write_story(folder: Path) -> Story:
    """Write the files, the same each time.

    Args:
        folder: to be made.
    """
    recipes = folder / "recipes"
    recipes.mkdir(parents=True)
    recipe = {
        "description": "Drawn seeds, to look at",
        "users": [EMAIL],
        "splits": {"train": 0.5, "test": 0.5},
        "near_duplicate_bits": None,  # drawn seeds all look alike
    }
    (recipes / f"{NAME}.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    photographs = _write_project(folder / "project")
    said = {version: folder / f"{version}.jsonl" for version in _RIGHT}
    for version, file in said.items():
        _write_lines(file, [_answer(version, one) for one in photographs])
    judgements = folder / "judgements.jsonl"
    _write_lines(judgements, _judgements(photographs))
    return Story(folder / "project", recipes, said, judgements)


def write_model(folder: Path, training_set: str) -> Path:
    """Write the file of the model.

    Args:
        folder: where.
        training_set: what both versions are said to be trained on, as `NAME@DIGEST`.
    """
    document = {
        "owner": EMAIL,
        "description": "Made up for `nachet story`: its answers are simulated from the labels",
        "versions": [
            {
                "version": version,
                "task": "classify",
                "training_set": training_set,
                "classes": [_name(place) for place in range(len(_SPECIES))],
                "facts": {"made_up": True},
            }
            for version in _RIGHT
        ],
    }
    file = folder / f"{MODEL}.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return file


def _write_project(folder: Path) -> list[_Photograph]:
    client = {"clientEmail": EMAIL, "clientExpertise": "Developer"}
    _write_yaml(folder, {"clientData": client, "userData": {"description": "Drawn seeds", "numberOfSeeds": 1}})
    found = []
    for place, species in enumerate(_SPECIES):
        for number in range(_SESSIONS):
            low = number % 3 == 0
            session = folder / "pictures" / f"{species.epithet}-{number + 1:02d}"
            index = {
                "imageData": {"numberOfImages": _PICTURES},
                "seedData": {"seedName": f"{species.genus} {species.epithet}"},
                "userData": {"zoom": _LOW_ZOOM if low else _ZOOM},
            }
            _write_yaml(session, index)
            for picture in range(1, _PICTURES + 1):
                chance = np.random.default_rng((21, place, number, picture))
                content = sample_picture(chance, species=species, seeds=1, picture_format="png", **_SIZE)
                (session / f"{picture}.png").write_bytes(content)
                found.append(_Photograph(hashlib.sha256(content).hexdigest(), place, low))
    return found


def _write_yaml(folder: Path, content: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    (folder / "index.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _answer(version: str, photograph: _Photograph) -> dict[str, Any]:
    """What a version says: it errs as often as it should, and is about as sure as it is right."""
    chance = random.Random(f"{version} {photograph.sha256}")  # noqa: S311 (made up)
    right = _RIGHT[version][photograph.low_zoom]
    others = [place for place in range(len(_SPECIES)) if place != photograph.species]
    first = photograph.species if chance.random() < right else chance.choice(others)
    score = min(max(chance.gauss(right, 0.05), 0.5), 0.99)
    second = chance.choice([place for place in range(len(_SPECIES)) if place != first])
    candidates = [{"index": first, "score": round(score, 4)}, {"index": second, "score": round((1 - score) * 0.8, 4)}]
    return {"sha256": photograph.sha256, "at": _SAID, "candidates": candidates}


def _judgements(photographs: list[_Photograph]) -> list[dict[str, Any]]:
    """What two experts and a helper say of some photographs; of three the experts do not agree."""
    chosen = random.Random(21).sample(photographs, 26)  # noqa: S311 (made up)
    judged = [
        *((EXPERT, one, 0) for one in chosen),
        *((HELPER, one, 1 if place % 5 == 0 else 0) for place, one in enumerate(chosen[:16])),
        *((OTHER_EXPERT, one, 1) for one in chosen[16:19]),
        *((OTHER_EXPERT, one, 0) for one in chosen[19:24]),
    ]
    return [
        {"person": person, "at": _SAID, "sha256": one.sha256, "verdict": "taxon", "taxon": _name(one.species + off)}
        for person, one, off in judged
    ]


def _name(place: int) -> str:
    species = _SPECIES[place % len(_SPECIES)]
    return f"{species.genus} {species.epithet}"


def _write_lines(file: Path, records: list[dict[str, Any]]) -> None:
    file.write_text("".join(f"{json.dumps(one)}\n" for one in records), encoding="utf-8")
