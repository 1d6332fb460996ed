"""A report as a page for browsers: one file that loads nothing, in both languages, with the pictures concerned."""

import base64
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from nachet_pipeline.contract.catalogue import CATALOGUE
from nachet_pipeline.contract.names import printable
from nachet_pipeline.contract.report import SEVERITY_NAMES, Group, Report, counts_of, inheritance_of, needs_remedy
from nachet_pipeline.support.i18n import Bilingual, Language
from nachet_pipeline.support.templates import render_template

PICTURES_SHOWN = 60
"""A page carries this many thumbnails at most."""

PICTURES_OF_A_CODE = 12
"""So many of them, at most, belong to one code, so that the first leaves some to the others."""

# After a folder, or within `seedData.seedGenus`, but not before a suffix.
_PART_END = re.compile(r"(?<=/)|(?<=\.)(?=\w{5})")


def as_page(
    report: Report,
    *,
    title: str,
    language: Language = "en",
    thumbnails: Mapping[str, bytes] = MappingProxyType({}),
    partly: bool = False,
) -> str:
    """Render the report as one HTML file, without scripts and without anything from elsewhere.

    Args:
        report: what was found.
        title: what the page is headed with: the name of the folder.
        language: the language that is shown first; the reader can switch to the other.
        thumbnails: small JPEGs by the path of their picture; of those concerned, `PICTURES_SHOWN` are shown.
        partly: whether the sessions without errors are imported although others are refused.
    """
    return render_template(
        "contract/report_page.html",
        report=report,
        title=printable(title),
        language=language,
        style="accepted" if report.importable else "partly" if partly else "refused",
        counts=counts_of(report),
        gallery=_Gallery(thumbnails),
        both=Bilingual,
        catalogue=CATALOGUE,
        inheritance_of=inheritance_of,
        needs_remedy=needs_remedy,
        severity_names=SEVERITY_NAMES,
        parts_of=_parts,
    )


class _Gallery:
    """The thumbnails of a page, handed out until it carries as many as it may.

    A finding in the YAML file of a picture concerns that picture.
    """

    def __init__(self, thumbnails: Mapping[str, bytes]) -> None:
        self._thumbnails = thumbnails
        self._pictures = {_stem(path): path for path in thumbnails}
        self._left = PICTURES_SHOWN

    def take(self, groups: Iterable[Group]) -> list[tuple[str, str]]:
        """The pictures that the findings of a code concern, as many as the page has room for, each in Base64."""
        places = (place.path for group in groups for place in group.places)
        pictures = (path if path in self._thumbnails else self._pictures.get(_stem(path)) for path in places)
        taken = [path for path in dict.fromkeys(pictures) if path is not None]
        taken = taken[: min(self._left, PICTURES_OF_A_CODE)]
        self._left -= len(taken)
        return [(path, base64.b64encode(self._thumbnails[path]).decode()) for path in taken]


def _stem(path: str) -> str:
    return path.rpartition(".")[0]


def _parts(text: object) -> list[str]:
    """A path or a key, cut where a narrow column may break it."""
    return _PART_END.split(printable(str(text)))
