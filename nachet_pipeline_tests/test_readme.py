"""The README is true: its example is importable, its settings and commands are the real ones."""

import re
from pathlib import Path

import pytest

from nachet_pipeline.cli import app
from nachet_pipeline.contract.catalogue import CHECKS
from nachet_pipeline.contract.folder import LocalFolder
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.report import as_text
from nachet_pipeline.contract.validation import validate
from nachet_pipeline.local.sample import sample_picture
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.registry.seeds import SeedRegistry, packaged_seeds
from nachet_pipeline.settings import PREFIX, Settings
from nachet_pipeline_tests.deployment import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def _example(folder: Path) -> Path:
    """The example of the folder contract, as the README shows it, with generated pictures."""
    for name, content in re.findall(r"`canola-2026/([^`]+\.yaml)`\n```yaml\n(.*?)```", README, re.DOTALL):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    session = folder / "pictures" / "napus-day1"
    for number in (1, 2):
        (session / f"{number}.tiff").write_bytes(sample_picture(number, width=64, height=48))
    return folder


def _report(folder: Path) -> list[str]:
    with DecodingPool(DecodingSettings(workers=1)) as pool, Inventory() as inventory:
        result = validate(LocalFolder(folder), inventory, pool, SeedRegistry.of(packaged_seeds()))
        return list(as_text(result.report))


def test_the_example_of_the_folder_contract_is_importable(tmp_path: Path) -> None:
    assert _report(_example(tmp_path / "canola-2026")) == ["Importable."]


def test_the_example_of_a_report_is_what_the_command_says(tmp_path: Path) -> None:
    folder = _example(tmp_path / "canola-2026")
    index = folder / "pictures" / "napus-day1" / "index.yaml"
    index.write_text(index.read_text().replace("napus", "nappus"))
    shown = README.partition("$ nachet validate canola-2026\n")[2].partition("```")[0]

    assert _report(folder) == shown.strip().splitlines()


SETTINGS = {name: field for kind in Settings.concerns().values() for name, field in kind.model_fields.items()} | {
    name: None for name in Settings.model_fields if name not in Settings.concerns()
}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    row = re.search(rf"^\| `{PREFIX}{name.upper()}` \| ([^|]+) \|", README, re.MULTILINE)
    assert row, name
    field = SETTINGS[name]
    if field is not None and field.default_factory is None:
        assert row[1] == ("none" if field.default is None else str(field.default))


def test_no_setting_is_documented_that_does_not_exist() -> None:
    documented = set(re.findall(rf"^\| `{PREFIX}(\w+)` \|", README, re.MULTILINE))
    assert documented == {name.upper() for name in SETTINGS}


def test_every_command_is_documented() -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert commands == {
        "sample",
        "validate",
        "stage",
        "import",
        "status",
        "crops",
        "up",
        "down",
        "reprocess",
        "mass-import",
    }
    for name in (
        *commands,
        "user add",
        "user key show",
        "user list",
        "secrets generate",
        "db upgrade",
        "reconcile",
        "retention",
        "folder",
        "audit",
    ):
        assert f"`nachet {name}" in README, name


def test_the_number_of_checks_is_right() -> None:
    words = {9: "nine", 10: "ten", 11: "eleven", 12: "twelve", 13: "thirteen"}
    assert f"Each of the {words[len(CHECKS)]} checks" in README


def test_every_picture_of_the_readme_is_there_and_small() -> None:
    pictures = re.findall(r"\]\((docs/images/[^)]+)\)", README)
    assert pictures
    for name in pictures:
        assert 1_000 < (PROJECT / name).stat().st_size < 200_000, name
