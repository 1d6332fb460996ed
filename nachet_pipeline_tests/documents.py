"""The pages of the documentation, for the tests that compare them with the code."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from pydantic.fields import FieldInfo

from nachet_pipeline.local.sample import sample_picture
from nachet_pipeline.settings import PREFIX, Settings
from nachet_pipeline_tests.deployment import PROJECT

PAGES: Mapping[str, str] = {
    str(path.relative_to(PROJECT)): path.read_text(encoding="utf-8")
    for path in sorted(
        [
            *(PROJECT / name for name in ("README.md", "CONTRIBUTING.md")),
            *PROJECT.glob("docs/*.md"),
            *PROJECT.glob("deploy/*/README.md"),
        ]
    )
}
"""Every page but the changelog, by its path in the project; the changelog speaks of what was."""

SETTINGS: Mapping[str, FieldInfo] = {
    f"{PREFIX}{name.upper()}": field
    for kind in (Settings, *Settings.concerns().values())
    for name, field in kind.model_fields.items()
    if name not in Settings.concerns()
}
"""Every setting by its name in the environment."""

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def tables(*columns: str) -> list[list[str]]:
    """The rows of every table on any page whose columns have these names; their cells are as they are written.

    Raises:
        LookupError: no page has such a table.
    """
    head = "| " + " | ".join(columns) + " |\n"
    rows = [
        [cell.strip() for cell in line[1:-1].split(" | ")]
        for text in PAGES.values()
        for part in text.split(head)[1:]
        for line in part.partition("\n\n")[0].splitlines()[1:]
    ]
    if not rows:
        raise LookupError(f"no page has a table of {', '.join(columns)}")
    return rows


def names(rows: list[list[str]]) -> list[str]:
    """What the first cells of rows name, which is in backticks."""
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row[0])]


def page_with(text: str) -> str:
    """The one page that holds a text.

    Raises:
        LookupError: no page does, or several do.
    """
    found = [page for page in PAGES.values() if text in page]
    if len(found) != 1:
        raise LookupError(f"{len(found)} pages have {text!r}")
    return found[0]


def fenced(text: str, *languages: str) -> Iterator[str]:
    """The blocks of code of a page, of the given languages; without one, those that name none."""
    wanted = languages or ("",)
    return (block[3] for block in _FENCE.finditer(text) if block[2] in wanted)


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings make on GitHub."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


def links(text: str) -> list[str]:
    """Where a page links to within the project, pictures too."""
    return [to for to in re.findall(r"\]\(([^)\s]+)\)", prose(text)) if not re.match(r"\w+:", to)]


def target(page: str, link: str) -> tuple[str, str]:
    """The path in the project that a link leads to, and the anchor there."""
    path, _, anchor = link.partition("#")
    if not path:
        return page, anchor
    parts: list[str] = []
    for part in (PurePosixPath(page).parent / path).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts), anchor


def block_beginning(first: str, *languages: str) -> str:
    """The one block of code of all pages that begins so."""
    found = [block for page in PAGES.values() for block in fenced(page, *languages) if block.startswith(first)]
    assert len(found) == 1, (first, found)
    return found[0]


def example_folder(folder: Path, *, width: int = 64, height: int = 48) -> Path:
    """The example of the folder contract, as the README shows it, with generated pictures."""
    for name, content in re.findall(r"`canola-2026/([^`]+\.yaml)`\n```yaml\n(.*?)```", PAGES["README.md"], re.DOTALL):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    session = folder / "pictures" / "napus-day1"
    for number, seeds in ((1, 5), (2, 6)):
        (session / f"{number}.tiff").write_bytes(sample_picture(number, seeds=seeds, width=width, height=height))
    return folder


def lasting(text: str) -> str:
    """An example without what differs from one import to the next: identifiers, times, and what a library decides."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{64}|\d{4}-\d\d-\d\dT[0-9:.]+Z", "…", text)
    text = re.sub(r"…\.[0-9a-f]{16}\.manifest", "….manifest", text)
    text = re.sub(r'("rule_set_version": ?)"[^"]*"', r'\1"…"', text)
    return re.sub(r"canola-2026~[0-9a-f]+", "canola-2026~…", text)
