"""A mail of every kind, in both languages: written to letters.md, which people read, and as pages to look at.

python -m nachet_pipeline_tests.mail.letters
python -m nachet_pipeline_tests.mail.letters FOLDER
"""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.receipt import State
from nachet_pipeline.contract.report import Report
from nachet_pipeline.events.event import CheckTurned, KeyEnding
from nachet_pipeline.mail.letters import (
    OPERATORS_FOOTER,
    Letter,
    letter_on_checks,
    letter_on_keys,
    letter_on_uploads,
    owner_footer,
    trial_letter,
)
from nachet_pipeline.mail.queries import Kind, ToldUpload
from nachet_pipeline.support.i18n import Bilingual, Language

FILE = Path(__file__).with_name("letters.md")
LANGUAGES: tuple[Language, ...] = ("en", "fr")
OWNER = "jane.doe@example.org"
OPERATORS = ("nachet@example.org",)
_AT = datetime(2026, 11, 29, 4, 51, tzinfo=UTC)

_UNKNOWN = Finding(
    code="unregistered-seed",
    path="pictures/session1/index.yaml",
    line=5,
    column=16,
    field="seedData.seedSpecies",
    found=Bilingual.same("Brassica napuss"),
    suggestion=Bilingual.same("Brassica napus"),
)
_ZOOM = Finding(
    code="index-content",
    path="index.yaml",
    line=4,
    column=9,
    field="userData.zoom",
    expected=Bilingual("a number above 0", "un nombre supérieur à 0"),
    found=Bilingual.same("thirty"),
)
_COUNTED = [
    Finding(
        code="seed-count-differs",
        path=f"pictures/session1/{number}.tiff",
        expected=Bilingual("6 seeds", "6 semences"),
        found=Bilingual(f"{found} seeds", f"{found} semences"),
    )
    for number, found in enumerate((5, 5, 5, 4, 3, 2), start=1)
]


def told(folder: str, state: State, findings: Sequence[Finding] = (), total: int = 1) -> ToldUpload:
    """A folder as the database knows it."""
    record = Report.of_findings(findings).model_dump(mode="json")
    return ToldUpload(folder, state, _AT, record["codes"], record["counts"], record["groups"], total)


def _uploads(kind: Kind, *uploads: ToldUpload) -> dict[Language, Letter]:
    return {language: letter_on_uploads(kind, uploads, language, OWNER) for language in LANGUAGES}


def _key(replaced_by: int | None) -> dict[Language, Letter]:
    ending = KeyEnding(user=OWNER, key=3, ends=datetime(2026, 12, 13, 9, 30, tzinfo=UTC), replaced_by=replaced_by)
    return {language: letter_on_keys([ending], language) for language in LANGUAGES}


_FAILING = CheckTurned(
    check="no_failures",
    passed=False,
    urgent=True,
    found="2 uploads failed; 1 of those listed are not tried again by themselves. Read the reason in the table `failed`"
    " and open the run.",
)
_PASSING = CheckTurned(check="disk_free", passed=True, urgent=True, found="42.0 GiB are free; 5 GiB are wanted.")

LETTERS: Mapping[str, Mapping[Language, Letter]] = {
    "one folder was refused": _uploads("refused", told("canola-2026", State.REFUSED, [_UNKNOWN, _ZOOM])),
    "a folder was imported in part": _uploads("refused", told("canola-2026", State.PARTLY_IMPORTED, [_UNKNOWN])),
    "many folders were refused": _uploads(
        "refused",
        *(told(f"canola-{number}", State.REFUSED, [_UNKNOWN, _ZOOM, *_COUNTED], 500) for number in range(500, 498, -1)),
    ),
    "the digest of one imported folder": _uploads("imported", told("canola-2026", State.IMPORTED, _COUNTED)),
    "the digest of two imported folders": _uploads(
        "imported",
        told("canola-2026", State.IMPORTED, _COUNTED, 2),
        told("mustard-2026", State.PARTLY_IMPORTED, [*_COUNTED, _UNKNOWN], 2),
    ),
    "a folder failed for long": _uploads("failed", told("canola-2026", State.FAILED)),
    "a key ends, and there is no other": _key(None),
    "a key ends, and there is another": _key(4),
    "a check fails": {"en": letter_on_checks([_FAILING])},
    "checks turned": {"en": letter_on_checks([_PASSING, _FAILING])},
    "a test": {language: trial_letter(language) for language in LANGUAGES},
}


def with_footer(name: str, letter: Letter) -> Letter:
    """A letter as it is sent."""
    footer = OPERATORS_FOOTER if "check" in name else owner_footer(OWNER, OPERATORS, letter.language)
    return letter if name == "a test" else letter.with_footer(footer)


def page() -> str:
    """All of them, to be read."""
    parts = ["# What is told by e-mail\n\nWritten by `python -m nachet_pipeline_tests.mail.letters`.\n"]
    for name, letters in LETTERS.items():
        parts.append(f"## {name}\n")
        parts += [f"```\n{with_footer(name, letter).text}```\n" for letter in letters.values()]
    return "\n".join(parts)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        for title, letters in LETTERS.items():
            for language, letter in letters.items():
                file = Path(sys.argv[1]) / f"{title.replace(' ', '-').replace(',', '')}.{language}.html"
                file.write_text(with_footer(title, letter).html, encoding="utf-8")
    else:
        FILE.write_text(page(), encoding="utf-8")
