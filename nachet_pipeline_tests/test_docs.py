"""No page names what does not exist: links, files, commands and their options, targets of make, modules, settings."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from nachet_pipeline.cli.commands import app
from nachet_pipeline.settings import PREFIX
from nachet_pipeline_tests.deployment import PROJECT
from nachet_pipeline_tests.documents import PAGES, SETTINGS, anchors, fenced, links, prose, target

pytestmark = pytest.mark.parametrize("doc", PAGES)

_INLINE = re.compile(r"`([^`]+)`")


def _inline(doc: str) -> list[str]:
    """What a page says in backticks, each in one line."""
    return [re.sub(r"\s+", " ", text) for text in _INLINE.findall(prose(PAGES[doc]))]


def _lines(doc: str) -> Iterator[str]:
    """The lines of a page's blocks of code, without prompts, comments and what goes on in the next line."""
    for block in fenced(PAGES[doc]):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.strip().removeprefix("$ ").partition("    #")[0].strip()


# Links


def test_no_link_is_dead(doc: str) -> None:
    for link in links(PAGES[doc]):
        path, anchor = target(doc, link)
        assert (PROJECT / path).exists(), link
        if anchor:
            assert anchor in anchors(PAGES[path]), link


def test_every_picture_is_there_and_small(doc: str) -> None:
    for path in (target(doc, link)[0] for link in links(PAGES[doc])):
        if Path(path).suffix in {".png", ".jpg"}:
            assert 1_000 < (PROJECT / path).stat().st_size < 200_000, path


def test_the_index_leads_to_every_page(doc: str) -> None:
    led_to = {target("docs/README.md", link)[0] for link in links(PAGES["docs/README.md"])}
    assert doc in led_to or doc == "docs/README.md" or doc.startswith("deploy/")


# Files


def test_every_file_that_a_page_names_exists(doc: str) -> None:
    """A path is written from the top of the project, or from the package or its tests."""
    places = (PROJECT, PROJECT / "nachet_pipeline", PROJECT / "nachet_pipeline_tests")
    for text in _inline(doc):
        if re.fullmatch(
            r"(nachet_pipeline|nachet_pipeline_tests|benchmarks|deploy|docs)/[\w./-]*|[\w/-]+/[\w-]+\.py", text
        ):
            assert any((place / text).exists() for place in places), text


# Commands


def _command(words: list[str]) -> tuple[TyperCommand | TyperGroup, list[str]]:
    """The command that the words after `nachet` name, and the words that are left.

    Raises:
        LookupError: there is no such command.
    """
    command, left = get_command(app), list(words)
    while isinstance(command, TyperGroup) and left and not left[0].startswith("-"):
        if left[0] not in command.commands:
            if command.invoke_without_command:
                break
            raise LookupError(left[0])
        command = command.commands[left.pop(0)]
    return command, left


def _nachet(text: str) -> list[str] | None:
    """The words after `nachet` of a line that calls it, perhaps with settings before it, and no more than the call."""
    if not re.match(r"(?:\w+=\S+ )*(?:\.venv/bin/)?nachet (?!\w*/)", text):
        return None
    words = shlex.split(text.partition("nachet ")[2], comments=True)
    return words[: next((number for number, word in enumerate(words) if word in {">", "|"}), len(words))]


def test_every_command_that_is_named_exists_and_has_the_options_named_with_it(doc: str) -> None:
    for text in (*_inline(doc), *_lines(doc)):
        if (words := _nachet(text)) is not None:
            command, left = _command(words)
            used = {word.partition("=")[0] for word in left if word.startswith("--")}
            options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
            assert used <= {*options, "--help"}, text


def test_every_command_that_is_shown_can_be_typed_so(doc: str) -> None:
    for line in _lines(doc):
        if (words := _nachet(line)) is not None:
            command, left = _command(words)
            context = command.make_context("nachet", [], resilient_parsing=True)
            given, _rest, _order = command.make_parser(context).parse_args(left)
            missing = [one.name for one in command.params if one.required and not given.get(one.name)]
            assert not missing, line


def test_every_target_of_make_exists(doc: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for text in (*_inline(doc), *_lines(doc)):
        if found := re.match(r"make ([a-z]+)\b", text):
            assert found[1] in targets, text


def test_every_module_that_is_run_exists_and_has_the_options_named_with_it(doc: str) -> None:
    for text in (*_inline(doc), *_lines(doc)):
        if found := re.search(r"python -m ((?:nachet_pipeline|nachet_pipeline_tests|benchmarks)[\w.]*)(.*)", text):
            spec = importlib.util.find_spec(found[1])
            assert spec is not None, text
            main = Path(spec.origin or "")
            source = (main.with_name("__main__.py") if main.name == "__init__.py" else main).read_text(encoding="utf-8")
            for option in re.findall(r"(--[\w-]+)", found[2]):
                assert f'"{option}"' in source, text


def test_every_file_of_tests_that_is_run_exists(doc: str) -> None:
    for text in (*_inline(doc), *_lines(doc)):
        if "-m pytest" in text:
            for path in re.findall(r"\S+\.py", text):
                assert (PROJECT / path).exists(), text


# Settings


def test_every_setting_that_is_named_exists(doc: str) -> None:
    assert set(re.findall(rf"\b{PREFIX}[A-Z][A-Z_]+", PAGES[doc])) <= SETTINGS.keys()
