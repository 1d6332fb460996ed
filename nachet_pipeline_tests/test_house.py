"""The house keeps itself: imports run down from floor to floor, and never in a circle."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

import nachet_pipeline
from nachet_pipeline_tests.documents import tables

PACKAGE = "nachet_pipeline"
FOLDER = Path(nachet_pipeline.__file__).parent

FLOORS = (
    ("cli", "dagster_storage"),
    ("local",),
    ("definitions",),
    ("defs",),
    ("client",),
    (
        "crops",
        "folders",
        "health",
        "mail",
        "mass_import",
        "models",
        "picture_sets",
        "reconciliation",
        "reprocessing",
        "training",
        "uploads",
        "users",
        "webhooks",
    ),
    ("events",),
    ("contract",),
    ("pictures",),
    ("registry",),
    ("database", "storage"),
    ("identifiers", "support"),
    ("settings",),
    ("errors",),
)
"""From the top to the ground. A room may import what is on a floor below it, and on its own floor if nothing there
imports it back."""

WITH_DAGSTER = ("defs", "definitions", "dagster_storage")
"""Where dagster may be imported. The last is the storage class that dagster.yaml names: an entrance, which Dagster
opens and nobody imports, so it may start the services that it keeps runs in."""


def _name_of(file: Path) -> str:
    name = ".".join(file.relative_to(FOLDER).with_suffix("").parts)
    return "" if name == "__init__" else name.removesuffix(".__init__")


@cache
def modules() -> Mapping[str, ast.Module]:
    """Every module of the package by its name without the package's, but for the tables' history."""
    found = {_name_of(file): file for file in sorted(FOLDER.rglob("*.py")) if "versions" not in file.parts}
    return {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in found.items()}


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The whole names that a module imports, anywhere in it, each with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _module_at(name: str) -> str:
    """The module of the package that an imported name is, or is in."""
    while name and name not in modules():
        name = name.rpartition(".")[0]
    return name


@cache
def arrows() -> Mapping[tuple[str, str], int]:
    """Which module imports which, and in which line first."""
    found: dict[tuple[str, str], int] = {}
    for module, tree in modules().items():
        for line, name in _imported(tree):
            if name == PACKAGE or name.startswith(f"{PACKAGE}."):
                target = _module_at(name.removeprefix(PACKAGE).removeprefix("."))
                if target != module:
                    found.setdefault((module, target), line)
    return found


def _place(module: str) -> str:
    path = FOLDER / module.replace(".", "/")
    return f"{PACKAGE}/{module.replace('.', '/')}{'/__init__.py' if path.is_dir() else '.py'}"


def _room(module: str) -> str:
    return module.partition(".")[0]


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of nodes each of which reaches all others of its group."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        left = [start]
        while left:
            for node in graph.get(left.pop(), set()) - seen:
                seen.add(node)
                left.append(node)
        return seen

    reach = {node: reached(node) for node in graph}
    groups = {frozenset(other for other in reach[node] if node in reach.get(other, ())) for node in graph}
    return sorted(sorted(group) for group in groups if group)


def siblings() -> Mapping[str, Mapping[str, set[str]]]:
    """For every package, which of its modules and packages import which others of them, themselves or by a child."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for importing, imported in arrows():
        if not importing or not imported:
            continue
        one, other = importing.split("."), imported.split(".")
        shared = 0
        while shared < min(len(one), len(other)) and one[shared] == other[shared]:
            shared += 1
        if shared < min(len(one), len(other)):
            found[".".join(one[:shared])][one[shared]].add(other[shared])
    return found


def test_every_room_is_on_a_floor() -> None:
    rooms = {_room(module) for module in modules() if module}
    assert rooms == {room for floor in FLOORS for room in floor}


def test_the_page_on_the_architecture_has_the_same_floors_in_the_same_order() -> None:
    documented = [set(re.findall(r"`(\w+)`", row[1])) for row in tables("floor", "rooms", "what they are")]
    row_of = {room: number for number, row in enumerate(documented) for room in row}
    rooms = [room for floor in FLOORS for room in floor]
    assert sorted(room for row in documented for room in row) == sorted(rooms)
    assert [row_of[room] for room in rooms] == sorted(row_of.values())


def test_no_import_runs_up() -> None:
    height = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    up = [
        f"{_place(importing)}:{line} imports {imported}"
        for (importing, imported), line in arrows().items()
        if importing and imported and height[_room(importing)] > height[_room(imported)]
    ]
    assert not up, "\n".join(["imports that run up:", *up])


@pytest.mark.parametrize("package", sorted(siblings()) or [""])
def test_neighbours_do_not_import_each_other_in_a_circle(package: str) -> None:
    found = []
    for circle in circles(siblings()[package]):
        inside = {f"{package}.{name}".lstrip(".") for name in circle}
        found.append(f"circle of {', '.join(circle)}:")
        found += [
            f"  {_place(importing)}:{line} imports {imported}"
            for (importing, imported), line in arrows().items()
            if (one := _within(importing, inside)) and (other := _within(imported, inside)) and one != other
        ]
    assert not found, "\n".join(found)


def _within(module: str, places: set[str]) -> str | None:
    return next((place for place in places if module == place or module.startswith(f"{place}.")), None)


def test_no_files_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for importing, imported in arrows():
        if importing and imported:
            graph[importing].add(imported)
    assert circles(graph) == []


def test_dagster_is_imported_where_dagster_is_shown() -> None:
    elsewhere = [
        f"{_place(module)}:{line} imports {name}"
        for module, tree in modules().items()
        for line, name in _imported(tree)
        if name.partition(".")[0].startswith("dagster") and _room(module) not in WITH_DAGSTER
    ]
    assert not elsewhere, "\n".join(elsewhere)


def test_a_circle_is_seen() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert circles(graph) == [["b", "c"]]
    assert all(len(set(pair)) == 2 for pair in pairwise(circles(graph)[0]))
