"""The folder contract as a page for uploaders, in both languages; `make docs` makes docs/folder-contract.md of it."""

import sys
from collections.abc import Sequence

from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.registry.seeds import Seed
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.support.i18n import Language
from nachet_pipeline.support.templates import render_template

_MEBIBYTE = 1024**2
_MEGAPIXEL = 1_000_000
# A page of more helps nobody to find one.
_SEEDS_LISTED = 300

_FOR_OPERATORS = """
## More

- [Sending a folder](uploading.md) follows a folder from your machine to the receipt.
- [findings.md](findings.md) lists every code that a validation can report, in English and French. A deployment can
  change the severity of a code with a YAML file of lines like `surplus-picture: warning`, which
  `NACHET_SEVERITIES_FILE` names. The manifest records what was changed.
- [Settings](settings.md#limits) lists every limit.
"""


def contract_page(
    language: Language = "en", *, limits: PictureLimits | None = None, seeds: Sequence[Seed] | None = None
) -> str:
    """The contract in Markdown, which says all that an uploader needs.

    Args:
        language: of the page.
        limits: what no picture may exceed; the defaults if not given.
        seeds: the registered seeds; those of the package if not given.
    """
    limits = limits or PictureLimits()
    page = render_template(
        f"contract/folder_contract.{language}.md.jinja",
        mebibytes=limits.file_bytes // _MEBIBYTE,
        megapixels=limits.pixels // _MEGAPIXEL,
        most=_SEEDS_LISTED,
        seeds=sorted(packaged_seeds() if seeds is None else seeds, key=lambda seed: seed.scientific_name),
    )
    return page.rstrip() + "\n"


def documentation() -> str:
    """The text of docs/folder-contract.md: the page, and where operators read on."""
    note = "<!-- Generated from nachet_pipeline/contract/folder_contract.en.md.jinja by `make docs`; do not edit. -->\n"
    title, _, rest = contract_page().partition("\n")
    return f"{title}\n\n{note}{rest}{_FOR_OPERATORS}"


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.write(documentation())
