"""`nachet contract` and `nachet init`, as somebody types them who prepares a folder, with no service anywhere."""

import io
import json
import re
import sys
from pathlib import Path

import pytest

from nachet_pipeline.contract.folder_contract import contract_page
from nachet_pipeline.local.sample import sample_picture
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.support.i18n import Language
from nachet_pipeline_tests.command import Nachet, command
from nachet_pipeline_tests.documents import PAGES

__all__ = ["command"]

EMAIL = "jane.doe@example.org"


@pytest.fixture
def nachet(command: Nachet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nachet:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NACHET_DECODE_WORKERS", "1")
    return command


def _put_pictures(folder: Path, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for one in range(1, number + 1):
        picture = sample_picture(sum(folder.name.encode()) * 10 + one, picture_format="png", width=64, height=48)
        (folder / f"{one}.png").write_bytes(picture)


def _findings(nachet: Nachet, folder: str) -> list[str]:
    """What validating a folder finds, by code."""
    *found, _summary = map(json.loads, nachet("validate", folder, "--format", "jsonl").out.splitlines())
    return [one["code"] for one in found]


def _answer(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """Sit at a terminal and type."""
    typed = io.StringIO("".join(f"{answer}\n" for answer in answers))
    typed.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", typed)


# The contract


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_contract_is_printed_whole_in_either_language(language: Language, nachet: Nachet) -> None:
    code, said, _ = nachet("contract", "--lang", language)

    assert (code, said) == (0, contract_page(language))
    assert all(f"| *{seed.scientific_name}* |" in said for seed in packaged_seeds())
    assert re.search(r"\]\(|README|docs/", said) is None, "nothing in it needs the repository"


def test_the_contract_says_the_limits_that_are_set(nachet: Nachet, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "at most\n  200 MiB and 100 megapixels" in nachet("contract").out
    monkeypatch.setenv("NACHET_MAX_PICTURE_MIB", "7")
    assert "d'au plus\n  7 Mio" in nachet("contract", "--lang", "fr").out


def test_the_page_of_the_documentation_is_what_the_command_prints() -> None:
    title, _, rest = contract_page().partition("\n")
    page = PAGES["docs/folder-contract.md"]
    assert page.startswith(f"{title}\n\n<!--")
    assert rest in page, "docs/folder-contract.md is not up to date; run `make docs`"


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_example_of_the_contract_is_importable(language: Language, nachet: Nachet, tmp_path: Path) -> None:
    examples = re.findall(r"`(canola-2026/[^`]+\.yaml)`\n\n```yaml\n(.*?)```", contract_page(language), re.DOTALL)
    assert len(examples) == 3
    for name, content in examples:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    _put_pictures(next((tmp_path / "canola-2026/pictures").iterdir()), 2)

    assert _findings(nachet, "canola-2026") == []


def test_both_languages_of_the_contract_say_the_same_keys_and_commands() -> None:
    said = {
        language: re.findall(r"`((?:\w+Data\.\w+|nachet \w+|\.\w+|_COMPLETE|SHA256SUMS))`", contract_page(language))
        for language in ("en", "fr")
    }
    assert set(said["en"]) == set(said["fr"])
    assert contract_page("en").count("\n## ") == contract_page("fr").count("\n## ")
    assert len(said["en"]) > 20


# A new project


def test_a_project_is_written_by_options_and_is_importable_with_its_pictures(nachet: Nachet, tmp_path: Path) -> None:
    _put_pictures(tmp_path / "canola/pictures/day1", 2)

    code, said, noted = nachet(
        *(
            "init",
            "canola",
            "--email",
            " Jane.Doe@Example.org",
            "--expertise",
            "botaniste: semences",
            "--name",
            "L'été",
        ),
        *("--session", "day1:brassica NAPUS:6:30x", "--session", "day2:petite herbe à poux:1:3,5:1"),
    )

    assert code == 0
    assert said.splitlines() == [
        "canola/index.yaml",
        "canola/pictures/day1/index.yaml",
        "canola/pictures/day2/index.yaml",
    ]
    assert noted == "then `nachet validate canola`\n"
    _put_pictures(tmp_path / "canola/pictures/day2", 1)
    assert _findings(nachet, "canola") == []
    project = (tmp_path / "canola/index.yaml").read_text(encoding="utf-8")
    assert f"clientEmail: {EMAIL}" in project
    assert 'clientExpertise: "botaniste: semences"' in project
    assert 'description: "L\'été"' in project
    day2 = (tmp_path / "canola/pictures/day2/index.yaml").read_text(encoding="utf-8")
    assert "seedGenus: Ambrosia\n  seedSpecies: artemisiifolia\n" in day2
    assert "zoom: 3.5\n" in day2


def test_a_person_at_a_terminal_is_asked_and_asked_again_until_the_answer_can_be_used(
    nachet: Nachet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put_pictures(tmp_path / "canola/pictures/day1", 2)
    _answer(
        monkeypatch,
        *("jane.doe", EMAIL, "botanist", ""),
        *("Brassica nappus", "Brassica rapa", "colza", "six", "6", "30"),
        *("day/2", "day2", "Avena fatua", "Brassica juncea", "", "", "2"),
        "",
    )

    code, said, noted = nachet("init", "canola")

    assert (code, len(said.splitlines())) == (0, 3)
    assert "'jane.doe': expected an e-mail address" in noted
    assert "'Brassica nappus' is not registered; did you mean Brassica napus?" in noted
    assert "'Brassica rapa' is not registered; registered of its genus: Brassica juncea, Brassica napus" in noted
    assert "did you mean" not in noted.partition("Brassica rapa")[2]
    assert "numberOfSeeds: 'six' is out of range or no number" in noted
    assert "'day/2': expected a folder's name" in noted
    _put_pictures(tmp_path / "canola/pictures/day2", 2)
    assert _findings(nachet, "canola") == []
    assert "description: canola" in (tmp_path / "canola/index.yaml").read_text(encoding="utf-8")


def test_questions_and_comments_are_in_french_on_demand(
    nachet: Nachet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answer(monkeypatch, EMAIL, "", "", "jour1", "Brassica nappus", "Brassica rapa", "canola", "6", "30", "", "")

    noted = nachet("init", "canola", "--lang", "fr").err

    assert "Votre adresse courriel :" in noted
    assert "jour1 : semences par image" in noted
    assert "'Brassica nappus' n'est pas enregistré; vouliez-vous dire Brassica napus ?" in noted
    assert "'Brassica rapa' n'est pas enregistré; de son genre le sont : Brassica juncea, Brassica napus" in noted
    assert noted.endswith("puis `nachet validate canola --lang fr`\n")
    index = (tmp_path / "canola/pictures/jour1/index.yaml").read_text(encoding="utf-8")
    assert "numberOfImages:  # écrivez ici combien d'images contient ce dossier" in index
    _put_pictures(tmp_path / "canola/pictures/jour1", 1)
    assert _findings(nachet, "canola") == ["missing-key"], "what nobody knows yet is asked for, and nothing else"


def test_what_is_there_is_never_overwritten(nachet: Nachet, tmp_path: Path) -> None:
    (tmp_path / "canola/pictures/day1").mkdir(parents=True)
    own = tmp_path / "canola/Index.yml"
    own.write_text("clientData: {clientEmail: ada@example.org}\n")
    options = ("--email", EMAIL, "--session", "day1:canola:6:30:1")

    code, said, noted = nachet("init", "canola", *options)
    written = (tmp_path / "canola/pictures/day1/index.yaml").read_text(encoding="utf-8")
    again = nachet("init", "canola", "--email", EMAIL, "--session", "day1:juncea:1:1:1".replace("juncea", "colza"))

    assert (code, said.splitlines()) == (0, ["canola/Index.yml", "canola/pictures/day1/index.yaml"])
    assert noted.startswith("canola/Index.yml was there and stays as it is\n")
    assert own.read_text() == "clientData: {clientEmail: ada@example.org}\n"
    assert again.code == 0
    assert (tmp_path / "canola/pictures/day1/index.yaml").read_text(encoding="utf-8") == written


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--email"),
        (("--email", EMAIL), "--session"),
        (("--email", "jane", "--session", "a:canola:6:30"), "nachet: 'jane': expected an e-mail address"),
        (("--email", EMAIL, "--session", "a:canola:6"), "nachet: 'a:canola:6': expected NAME:SPECIES:SEEDS:ZOOM"),
        (("--email", EMAIL, "--session", "../a:canola:6:30"), "nachet: '../a': expected a folder's name"),
        (
            ("--email", EMAIL, "--session", "a:Poa annua:6:30"),
            "nachet: 'Poa annua' is not registered; `nachet contract`",
        ),
        (("--email", EMAIL, "--session", "a:canola:0:30"), "nachet: numberOfSeeds: '0' is out of range"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_line_and_nothing_is_written(
    options: tuple[str, ...], said: str, nachet: Nachet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    answer = nachet("init", "canola", *options)

    assert answer.code == 2
    assert said in answer.err
    assert not (tmp_path / "canola").exists()
