"""The README and the pages of docs/ are true: their examples work, their tables are those of the code."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from dagster import AssetKey, Definitions
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from nachet_pipeline.cli.commands import app
from nachet_pipeline.cli.terminal import REFUSED, UNAVAILABLE, USAGE
from nachet_pipeline.contract.catalogue import Check
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.report import as_text
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.contract.validation import validate
from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.mass_import.mapping import FIELDS, FolderMapping
from nachet_pipeline.mass_import.reviewed_list import read_list
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.reconciliation.queries import DriftKind
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.settings import PREFIX, Settings
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.training.exports.choices import ExportFormat
from nachet_pipeline.training.recipe import Recipe, read_recipe
from nachet_pipeline.uploads.formatting import receipt_lines
from nachet_pipeline.users.users_file import read_users
from nachet_pipeline_tests.documents import (
    PAGES,
    SETTINGS,
    block_beginning,
    example_folder,
    lasting,
    names,
    page_with,
    tables,
)
from nachet_pipeline_tests.workbench import Workbench

README = PAGES["README.md"]


@pytest.fixture(scope="module")
def shown() -> Iterator[Definitions]:
    """What Dagster is given, with services that nobody has to reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NACHET_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
        patch.setenv("NACHET_BLOB_ACCOUNT_URL", "https://nobody.blob.core.windows.net")
        from nachet_pipeline.definitions import definitions  # noqa: PLC0415 (reads the environment)

        yield definitions(Settings.from_environment())


def _report(folder: Path) -> list[str]:
    with DecodingPool(DecodingSettings(workers=1)) as pool, Inventory() as inventory:
        result = validate(LocalFolder(folder), inventory, pool, SeedRegistry.of(packaged_seeds()))
        return list(as_text(result.report, understood=result.understood))


def _written(file: Path, content: str) -> Path:
    file.write_text(content, encoding="utf-8")
    return file


def _same(documented: Iterable[str], real: Iterable[str]) -> None:
    """Every one is documented, and once."""
    assert sorted(documented) == sorted(real)


# The README itself


def test_the_readme_is_for_the_first_ten_minutes() -> None:
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize(
    "reader", ["an **uploader**", "a **data scientist**", "an **operator**", "a **backend developer**"]
)
def test_every_kind_of_user_finds_on_the_first_screen_where_to_go_on(reader: str) -> None:
    screen = README.splitlines()[:25]
    (row,) = [line for line in screen if line.startswith(f"| {reader}")]
    assert "](docs/" in row


# Examples


def test_the_example_of_the_folder_contract_is_importable(tmp_path: Path) -> None:
    assert (
        _report(example_folder(tmp_path / "canola-2026"))[-1] == "Importable: 1 session, 2 pictures of Brassica napus."
    )


def test_the_example_of_a_report_is_what_the_command_says(tmp_path: Path) -> None:
    folder = example_folder(tmp_path / "canola-2026")
    index = folder / "pictures" / "napus-day1" / "index.yaml"
    index.write_text(index.read_text().replace("napus", "nappus"))
    shown = README.partition("$ nachet validate canola-2026\n")[2].partition("```")[0]

    assert _report(folder) == shown.strip().splitlines()


def test_the_example_of_partial_acceptance_is_understood(tmp_path: Path) -> None:
    folder = example_folder(tmp_path / "canola-2026")
    index = folder / "index.yaml"
    index.write_text(index.read_text() + block_beginning("uploadData:", "yaml"))
    assert _report(folder)[-1] == "Importable: 1 session, 2 pictures of Brassica napus."


@pytest.fixture
def receipt(workbench: Workbench) -> Receipt:
    """The receipt of the example of the folder contract, imported and cropped."""
    jane = workbench.another_user("jane.doe@example.org")
    folder = example_folder(workbench.place / "canola-2026", width=320, height=240)
    upload = jane.stage(folder)
    assert jane.run(upload).receipt.state is State.IMPORTED
    with CroppingPool(DecodingSettings(workers=1)) as pool:
        jane.cropper(pool).crop(jane.now(upload))
    return jane.receipt(upload)


def test_the_example_of_a_receipt_is_what_the_command_says(receipt: Receipt) -> None:
    shown = block_beginning("$ nachet status canola-2026\n").partition("\n")[2]
    assert shown.splitlines() == lasting("\n".join(receipt_lines(receipt))).splitlines()


def test_the_example_of_a_file_of_users_is_read(tmp_path: Path) -> None:
    users = read_users(_written(tmp_path / "users.yaml", block_beginning("users:", "yaml")))
    assert [user.email.partition("@")[0] for user in users] == ["jane.doe", "former.colleague", "jean.roy"]


def test_the_example_of_a_list_of_containers_is_read_with_its_mapping(tmp_path: Path) -> None:
    _written(tmp_path / "old-pictures.csv", block_beginning("pattern,species"))
    (listed,) = read_list(_written(tmp_path / "list.yaml", block_beginning("containers:", "yaml")))
    assert listed.container == "old-pictures"


@pytest.mark.parametrize(
    ("name", "example", "folder", "zoom"),
    [
        ("mapping.csv", ("pattern,species",), "2020/Brassica napus/x30/day1", 30),
        ("mapping.yaml", ("folders:", "yaml"), "2020/Brassica napus/x30/day1", 30),
        ("mapping.yaml", ("folders:", "yaml"), "Brassica_napus-6", 40),
    ],
)
def test_the_examples_of_mappings_say_what_folders_show(
    name: str, example: tuple[str, ...], folder: str, zoom: int
) -> None:
    shown = FolderMapping.of(block_beginning(*example), name).describe(folder, SeedRegistry.of(packaged_seeds()))
    assert not shown.findings
    assert [shown.values[FIELDS[one]].value for one in ("species", "zoom", "seeds")] == ["Brassica napus", zoom, 6]


def test_the_example_of_a_recipe_is_read(tmp_path: Path) -> None:
    recipe = read_recipe(_written(tmp_path / "brassica.yaml", block_beginning("# brassica.yaml", "yaml")))
    assert recipe.schedule == "nightly"


def test_the_example_of_a_severity_is_read(tmp_path: Path) -> None:
    (line,) = re.findall(r"a YAML file of lines like `([^`]+)`", page_with("a YAML file of lines like"))
    assert RuleSet.read(_written(tmp_path / "severities.yaml", line)).severities.keys() == {"surplus-picture"}


# Settings


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    (row,) = [row for row in _settings() if row[0] == f"`{name}`"]
    default = SETTINGS[name].get_default()
    # Of services and of what depends on the machine, words say more than a value.
    if SETTINGS[name].default_factory is None and name.removeprefix(PREFIX).lower() not in Settings.model_fields:
        shown = "none" if default in (None, ()) else str(default).lower() if default is False else str(default)
        assert row[1] == shown


def test_no_setting_is_documented_that_does_not_exist() -> None:
    _same(names(_settings()), SETTINGS)


def _settings() -> list[list[str]]:
    return tables("setting", "default", "means") + tables("setting", "default", "most")


# Commands


def _commands(command: TyperCommand | TyperGroup, path: str = "nachet") -> Iterator[str]:
    """What can be typed: commands, and groups that do something by themselves."""
    if not isinstance(command, TyperGroup) or command.invoke_without_command:
        yield path
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from _commands(child, f"{path} {name}")


def test_every_command_is_in_the_list_of_commands_once() -> None:
    listed = [re.match(r"nachet( [a-z][a-z-]*)+", row[0].strip("`"))[0] for row in tables("command", "does")]
    _same(listed, _commands(get_command(app)))


# What the UI shows


def test_every_asset_is_documented_with_its_group(shown: Definitions) -> None:
    graph = shown.resolve_asset_graph()
    assets = {(key.to_user_string(), graph.get(key).group_name) for key in graph.get_all_asset_keys()}
    rows = tables("asset", "group", "a partition shows") + tables("asset", "group", "shows")
    assert sorted((row[0].strip("`"), row[1].strip("`")) for row in rows) == sorted(assets)


def test_every_asset_said_to_have_a_partition_an_upload_has_it(shown: Definitions) -> None:
    graph = shown.resolve_asset_graph()
    for name in names(tables("asset", "group", "a partition shows")):
        assert graph.get(AssetKey(name)).partitions_def.name == "upload", name


def test_the_checks_of_the_contract_are_documented_as_the_ui_says_them() -> None:
    assert tables("check", "passes when") == [[f"`{check.value}`", check.description] for check in Check]
    words = {11: "eleven", 12: "twelve", 13: "thirteen", 14: "fourteen", 15: "fifteen", 16: "sixteen"}
    assert page_with(f"Each of the {words[len(Check)]} checks")


@pytest.mark.parametrize(
    ("columns", "asset"),
    [
        (("check", "fails when", "then"), "training_set"),
        (("check", "is amber when"), "reprocessed_pictures"),
    ],
)
def test_the_checks_of_other_assets_are_documented(shown: Definitions, columns: tuple[str, ...], asset: str) -> None:
    keys = shown.resolve_asset_graph().asset_check_keys
    _same(names(tables(*columns)), (key.name for key in keys if key.asset_key == AssetKey(asset)))


def test_every_check_is_named_on_some_page(shown: Definitions) -> None:
    text = "\n".join(PAGES.values())
    for key in shown.resolve_asset_graph().asset_check_keys:
        # Of this one the receipt says the same.
        assert key.name == "imported" or f"`{key.name}`" in text, key.name


def test_every_job_is_documented(shown: Definitions) -> None:
    jobs = shown.get_repository_def().get_all_jobs()
    _same(names(tables("job", "does")), (job.name for job in jobs if not job.name.startswith("__")))


def test_every_sensor_is_documented_with_its_interval(shown: Definitions) -> None:
    real = {sensor.name: f"{sensor.minimum_interval_seconds} s" for sensor in shown.get_repository_def().sensor_defs}
    assert {row[0].strip("`"): row[1] for row in tables("sensor", "runs every", "does")} == real


def test_every_schedule_is_documented_with_its_time_and_its_job(shown: Definitions) -> None:
    schedules = shown.get_repository_def().schedule_defs
    rows = {row[0].strip("`"): row for row in tables("schedule", "at", "runs")}
    assert rows.keys() == {schedule.name for schedule in schedules}
    for schedule in schedules:
        _name, at, runs = rows[schedule.name]
        hour, minute = ("*", "0") if at == "every full hour" else (str(int(part)) for part in at.split(":"))
        assert schedule.cron_schedule == f"{minute} {hour} * * *", schedule.name
        assert runs.startswith(f"`{schedule.job.name}`"), schedule.name


# Other tables


def test_every_state_of_an_upload_is_documented() -> None:
    assert names(tables("state", "means")) == [state.value for state in State]


def test_every_exit_code_is_documented() -> None:
    assert [row[0] for row in tables("code", "means")] == [str(code) for code in (0, REFUSED, USAGE, UNAVAILABLE)]


def test_every_key_of_a_recipe_is_documented() -> None:
    _same(names([[row[0]] for row in tables("key", "default", "says")]), Recipe.model_fields.keys() - {"name"})


def test_every_format_of_an_export_is_documented() -> None:
    rows = tables("`--format`", "`DIR` holds", "read by")
    assert [row[0].strip("`") for row in rows] == [one.value for one in ExportFormat]


def test_everything_that_reconciliation_finds_is_documented() -> None:
    found = [name for name in names(tables("found", "a repair (`--repair`)")) if not name.startswith(PREFIX)]
    _same(found, (kind.value for kind in DriftKind))
