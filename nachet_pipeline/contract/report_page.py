"""A report as a page for browsers: one file that loads nothing, in both languages, with the pictures concerned."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from types import MappingProxyType

from nachet_pipeline.contract.catalogue import CATALOGUE, Severity
from nachet_pipeline.contract.names import printable
from nachet_pipeline.contract.report import SEVERITY_NAMES, Group, Place, Report, counts_of, inheritance_of
from nachet_pipeline.support.i18n import Bilingual, Language

PICTURES_SHOWN = 60
"""A page carries this many thumbnails at most."""

PICTURES_OF_A_CODE = 12
"""So many of them, at most, belong to one code, so that the first leaves some to the others."""

# Even if something an uploader wrote were taken for markup, a browser would run and load nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

# Non-breaking, as French wants it before a colon.
_COLON = "\u00a0:"

# After a folder, or within `seedData.seedGenus`, but not before a suffix.
_PART_END = re.compile(r"/|\.(?=\w{5})")

_KICKER = Bilingual("Validation report", "Rapport de validation")
_VERDICT_ACCEPTED = Bilingual("Accepted", "Accepté")
_VERDICT_PARTLY = Bilingual("Partly accepted", "Accepté en partie")
_VERDICT_REFUSED = Bilingual("Not accepted", "Non accepté")
_NOTHING_FOUND = Bilingual("Nothing was found that needs attention.", "Rien à signaler.")
_FOUND = Bilingual("Found: {}.", f"Constaté{_COLON} {{}}.")
_ACCEPTED = Bilingual(
    "This folder can be imported as it is.",
    "Ce dossier peut être importé tel quel.",
)
_ACCEPTED_WITH_REMARKS = Bilingual(
    "This folder can be imported as it is; what is listed below does not prevent it, but is worth a look.",
    "Ce dossier peut être importé tel quel; les points ci-dessous ne l'empêchent pas, mais méritent un coup d'œil.",
)
_REFUSED = Bilingual(
    "Correct what is marked as an error, then send the folder again. Warnings alone do not prevent an import.",
    "Corrigez ce qui est marqué comme erreur, puis envoyez de nouveau le dossier. Les avertissements seuls"
    " n'empêchent pas l'importation.",
)
_PARTLY = Bilingual(
    "The sessions without errors are imported. The others wait: correct what is marked as an error, then send the"
    " folder again.",
    f"Les sessions sans erreur sont importées. Les autres attendent{_COLON} corrigez ce qui est marqué comme erreur,"
    " puis envoyez de nouveau le dossier.",
)
_SUMMARY = Bilingual("At a glance", "En bref")
_HEADINGS: Mapping[Severity, Bilingual] = MappingProxyType(
    {
        Severity.ERROR: Bilingual("Errors: to be corrected", f"Erreurs{_COLON} à corriger"),
        Severity.WARNING: Bilingual("Warnings: worth a look", f"Avertissements{_COLON} à vérifier"),
        Severity.INFO: Bilingual("For your information", "À titre d'information"),
    }
)
_SEVERITY = Bilingual("Severity", "Gravité")
_MESSAGE = Bilingual("What is wrong", "Problème")
_COUNT = Bilingual("Number", "Nombre")
_REMEDY = Bilingual("What to do", "Que faire")
_WHERE = Bilingual("Where", "Où")
_FIELD = Bilingual("Key", "Clé")
_EXPECTED = Bilingual("Expected", "Attendu")
_FOUND_COLUMN = Bilingual("Found", "Trouvé")
_SUGGESTION = Bilingual("Did you mean", "Vouliez-vous dire")
_WHOLE = Bilingual("the whole folder", "tout le dossier")
_MORE = Bilingual("… and {} more", "… et {} de plus")
_PICTURES = Bilingual("Pictures concerned", "Images concernées")
_RULES = Bilingual("Rule set version {}", "Version {} des règles")
_LANGUAGES: Mapping[Language, str] = MappingProxyType({"en": "English", "fr": "Français"})


def as_page(
    report: Report,
    *,
    title: str,
    language: Language = "en",
    thumbnails: Mapping[str, bytes] = MappingProxyType({}),
    partly: bool = False,
) -> str:
    """The report as one HTML file, without scripts and without anything from elsewhere.

    Args:
        report: what was found.
        title: what the page is headed with: the name of the folder.
        language: the language that is shown first; the reader can switch to the other.
        thumbnails: small JPEGs by the path of their picture; of those concerned, `PICTURES_SHOWN` are shown.
        partly: whether the sessions without errors are imported although others are refused.
    """
    title = printable(title)
    verdict, style, following = _verdict_on(report, partly=partly)
    colon = _COLON if language == "fr" else ":"
    gallery = _Gallery(thumbnails)
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="{language}">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}{colon} {verdict.in_language(language).lower()}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            *_switch(language),
            "<header>",
            f'<p class="kicker">{_said(_KICKER)}</p>',
            f"<h1>{_said(Bilingual.same(title))}</h1>",
            "</header>",
            "<main>",
            f'<section class="verdict {style}"><h2>{_said(verdict)}</h2>',
            f"<p>{_said(_found(report))}</p><p>{_said(following)}</p></section>",
            *(_summary(report) if report.codes else ()),
            *_findings(report, gallery),
            "</main>",
            f"<footer><p>{_said(_filled(_RULES, report.rule_set_version))}</p></footer>",
            "</body>",
            "</html>",
            "",
        ]
    )


class _Gallery:
    """The thumbnails of a page, handed out until it carries as many as it may.

    A finding in the YAML file of a picture concerns that picture.
    """

    def __init__(self, thumbnails: Mapping[str, bytes]) -> None:
        self._thumbnails = thumbnails
        self._pictures = {_stem(path): path for path in thumbnails}
        self._left = PICTURES_SHOWN

    def take(self, groups: Iterable[Group]) -> list[tuple[str, bytes]]:
        """The pictures that the findings of a code concern, as many as the page has room for."""
        places = (place.path for group in groups for place in group.places)
        pictures = (path if path in self._thumbnails else self._pictures.get(_stem(path)) for path in places)
        taken = [path for path in dict.fromkeys(pictures) if path is not None]
        taken = taken[: min(self._left, PICTURES_OF_A_CODE)]
        self._left -= len(taken)
        return [(path, self._thumbnails[path]) for path in taken]


def _stem(path: str) -> str:
    return path.rpartition(".")[0]


def _said(phrase: Bilingual) -> str:
    """A text in both languages, of which the page shows one; what is the same in both is there once."""
    if phrase.en == phrase.fr:
        return f"<bdi>{escape(phrase.en)}</bdi>"
    return (
        f'<span class="in-en" lang="en">{escape(phrase.en)}</span>'
        f'<span class="in-fr" lang="fr">{escape(phrase.fr)}</span>'
    )


def _name(text: str) -> str:
    """A path or a key, which a narrow column breaks after its parts."""
    return f"<bdi>{_PART_END.sub(lambda end: f'{end[0]}<wbr>', escape(text))}</bdi>"


def _filled(template: Bilingual, value: object) -> Bilingual:
    return Bilingual(template.en.format(value), template.fr.format(value))


def _switch(language: Language) -> Iterator[str]:
    """The choice of language. Its buttons precede what they show and hide, so that style sheets alone can do it."""
    for name, label in _LANGUAGES.items():
        checked = " checked" if name == language else ""
        yield f'<input type="radio" name="language" id="language-{name}"{checked}>'
        yield f'<label for="language-{name}" lang="{name}">{label}</label>'


def _verdict_on(report: Report, *, partly: bool) -> tuple[Bilingual, str, Bilingual]:
    """The verdict, its class in the style sheet, and what happens next."""
    if report.importable:
        return _VERDICT_ACCEPTED, "accepted", _ACCEPTED_WITH_REMARKS if report.codes else _ACCEPTED
    return (_VERDICT_PARTLY, "partly", _PARTLY) if partly else (_VERDICT_REFUSED, "refused", _REFUSED)


def _found(report: Report) -> Bilingual:
    counts = counts_of(report)
    return Bilingual(_FOUND.en.format(counts.en), _FOUND.fr.format(counts.fr)) if report.codes else _NOTHING_FOUND


def _summary(report: Report) -> Iterator[str]:
    yield f'<section class="summary"><h2>{_said(_SUMMARY)}</h2>'
    yield "<table><thead><tr>"
    yield from (f'<th scope="col">{_said(head)}</th>' for head in (_SEVERITY, _MESSAGE))
    yield f'<th scope="col" class="count">{_said(_COUNT)}</th></tr></thead><tbody>'
    for code, _groups in report.by_code:
        yield f"<tr><td>{_badge(report.severity_of(code))}</td>"
        yield f'<td><a href="#{code}">{_said(CATALOGUE[code].message)}</a></td>'
        yield f'<td class="count">{report.codes[code]}</td></tr>'
    yield "</tbody></table></section>"


def _badge(severity: Severity) -> str:
    return f'<span class="badge {severity}">{_said(SEVERITY_NAMES[severity][0])}</span>'


def _findings(report: Report, gallery: _Gallery) -> Iterator[str]:
    """A section for each severity that occurs, in it an article for each code."""
    for severity in Severity:
        found = [(code, groups) for code, groups in report.by_code if report.severity_of(code) is severity]
        if not found:
            continue
        yield f'<section class="findings {severity}"><h2>{_said(_HEADINGS[severity])}</h2>'
        for code, groups in found:
            yield from _article(code, report.codes[code], groups, gallery)
        yield "</section>"


def _article(code: str, count: int, groups: list[Group], gallery: _Gallery) -> Iterator[str]:
    kind = CATALOGUE[code]
    yield f'<article id="{code}"><h3>{_said(kind.message)}</h3>'
    yield f'<p class="code"><code>{code}</code> ({count})</p>'
    yield f'<p class="remedy"><strong>{_said(_REMEDY)}</strong> {_said(kind.remedy)}</p>'
    if groups:
        yield from _table(groups)
    if more := count - sum(group.count for group in groups):
        yield f'<p class="more">{_said(_filled(_MORE, more))}</p>'
    if pictures := gallery.take(groups):
        yield f'<h4>{_said(_PICTURES)}</h4><div class="gallery">'
        for path, jpeg in pictures:
            # The caption names the picture, so its text alternative would say the same again.
            data = base64.b64encode(jpeg).decode()
            yield f'<figure><img src="data:image/jpeg;base64,{data}" alt="">'
            yield f"<figcaption>{_name(printable(path))}</figcaption></figure>"
        yield "</div>"
    yield "</article>"


def _table(groups: list[Group]) -> Iterator[str]:
    """A row for each group, with the columns that one of them needs at least."""
    columns = [
        (_FIELD, [_key(group.field) for group in groups]),
        (_EXPECTED, [_value(group.expected) for group in groups]),
        (_FOUND_COLUMN, [_value(group.found) for group in groups]),
        (_SUGGESTION, [_value(group.suggestion) for group in groups]),
    ]
    shown = [(head, cells) for head, cells in columns if any(cells)]
    yield "<table><thead><tr>"
    yield from (f'<th scope="col">{_said(head)}</th>' for head in (_WHERE, *(head for head, _cells in shown)))
    yield "</tr></thead><tbody>"
    for number, group in enumerate(groups):
        yield f"<tr>{_cell(_WHERE, ''.join(_places(group)))}"
        yield from (_cell(head, cells[number]) for head, cells in shown)
        yield "</tr>"
    yield "</tbody></table>"


def _cell(head: Bilingual, content: str) -> str:
    """A cell with the head of its column, which is shown where the page is too narrow for columns."""
    return f'<td><span class="head">{_said(head)}</span>{content}</td>' if content else '<td class="empty"></td>'


def _key(field: str | None) -> str:
    return f"<code>{_name(field)}</code>" if field else ""


def _value(phrase: Bilingual | None) -> str:
    return _said(phrase) if phrase else ""


def _places(group: Group) -> Iterator[str]:
    yield "<ul>"
    yield from (f"<li>{_place(place)}</li>" for place in group.places)
    if more := group.count - len(group.places):
        yield f'<li class="more">{_said(_filled(_MORE, more))}</li>'
    yield "</ul>"


def _place(place: Place) -> str:
    where = f"<code>{_name(str(place))}</code>" if place.path else _said(_WHOLE)
    heirs = inheritance_of(place)
    return f"{where} <small>{_said(heirs)}</small>" if heirs else where


_STYLE = """
:root { color-scheme: light dark; --page: #f4f5f2; --card: #fff; --text: #1d2320; --quiet: #56605a; --line: #d6dbd7;
  --link: #175c8f; --error: #a3241b; --error-tint: #fbeae8; --warning: #7d4e00; --warning-tint: #fdf1da;
  --info: #24557d; --info-tint: #e6f0f8; --good: #1d6b38; --good-tint: #e5f4e9; --code: #f0f2ef; }
@media (prefers-color-scheme: dark) { :root { --page: #14181a; --card: #1d2326; --text: #e7ebe8; --quiet: #a5b0aa;
  --line: #39423f; --link: #8cc5f2; --error: #ffb0a6; --error-tint: #401c19; --warning: #f6c873;
  --warning-tint: #3a2a0c; --info: #a3cdf0; --info-tint: #17303f; --good: #93d9a8; --good-tint: #163323;
  --code: #2a3134; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.25rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: anywhere; text-align: right; }
header, main, footer { text-align: left; }
#language-en:checked ~ * .in-fr, #language-fr:checked ~ * .in-en { display: none; }
input[name=language] { position: absolute; opacity: 0; }
input + label { display: inline-block; padding: .2rem .7rem; border: 1px solid var(--line); border-radius: 1rem;
  color: var(--quiet); cursor: pointer; font-size: .875rem; }
input:checked + label { background: var(--text); border-color: var(--text); color: var(--page); }
input:focus-visible + label { outline: 3px solid var(--link); outline-offset: 2px; }
.in-en, .in-fr { unicode-bidi: isolate; }
h1, h2, h3, h4, p { margin: 0; }
h1 { font-size: 1.9rem; line-height: 1.2; margin-bottom: 1.1rem; }
h2 { font-size: 1.25rem; margin-bottom: .6rem; }
h3 { font-size: 1.05rem; }
h4 { font-size: .875rem; color: var(--quiet); margin: 1rem 0 .5rem; }
a { color: var(--link); }
code { font: .875em/1.4 ui-monospace, "Cascadia Mono", Consolas, Menlo, monospace; background: var(--code);
  border-radius: .2rem; padding: .08rem .3rem; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.kicker, .code, .more, small, footer { color: var(--quiet); font-size: .875rem; }
.kicker { letter-spacing: .03em; }
section { margin-bottom: 2.25rem; }
.verdict, .summary, article { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: 1rem 1.2rem; }
.verdict { border-left-width: .4rem; margin-bottom: 1.25rem; }
.verdict h2 { font-size: 1.5rem; margin-bottom: .3rem; }
.verdict h2::before { content: "✗ " / ""; }
.accepted h2::before { content: "✓ " / ""; }
.accepted { background: var(--good-tint); border-color: var(--good); }
.accepted h2 { color: var(--good); }
.partly { background: var(--warning-tint); border-color: var(--warning); }
.partly h2 { color: var(--warning); }
.partly h2::before { content: "◐ " / ""; }
.refused { background: var(--error-tint); border-color: var(--error); }
.refused h2 { color: var(--error); }
article { border-top-width: .25rem; margin-bottom: 1rem; }
.error article { border-top-color: var(--error); }
.warning article { border-top-color: var(--warning); }
.info article { border-top-color: var(--info); }
article:target { outline: 3px solid var(--link); }
.remedy { margin: .6rem 0 .8rem; }
.remedy strong { margin-right: .4rem; }
.badge, .count { overflow-wrap: normal; white-space: nowrap; }
.badge { display: inline-block; border-radius: .25rem; padding: 0 .45rem; font-size: .8125rem; font-weight: 600; }
.badge.error { background: var(--error-tint); color: var(--error); }
.badge.warning { background: var(--warning-tint); color: var(--warning); }
.badge.info { background: var(--info-tint); color: var(--info); }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-size: .8125rem; color: var(--quiet); font-weight: 600; overflow-wrap: normal; }
th, td { padding: .4rem .9rem .4rem 0; vertical-align: top; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
th.count, td.count { text-align: right; padding-right: 0; }
.count { font-variant-numeric: tabular-nums; }
.head { display: none; }
ul { list-style: none; margin: 0; padding: 0; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .8rem; }
figure { margin: 0; }
figure img { display: block; max-width: 100%; max-height: 8.5rem; border: 1px solid var(--line);
  border-radius: .3rem; }
figcaption { font-size: .75rem; line-height: 1.35; color: var(--quiet); margin-top: .25rem; }
@media (max-width: 40rem) {
  body { padding: .8rem; }
  .verdict, .summary, article { padding: .8rem .9rem; }
  article thead { display: none; }
  article table, article tbody, article tr, article td { display: block; }
  article tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
  article tr:last-child { border-bottom: 0; }
  article td { border: 0; padding: .15rem 0; }
  article .empty { display: none; }
  .head { display: block; font-size: .75rem; font-weight: 600; color: var(--quiet); }
  .gallery { grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)); }
}
@media print {
  :root { color-scheme: light; --page: #fff; --card: #fff; --text: #000; --quiet: #444; --line: #bbb; --link: #000;
    --error: #8f1d15; --error-tint: #fff; --warning: #6b4300; --warning-tint: #fff; --info: #1d4566;
    --info-tint: #fff; --good: #175a2e; --good-tint: #fff; --code: #fff; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  input, input + label { display: none; }
  .badge { border: 1px solid; }
  h2, h3, h4 { break-after: avoid; }
  li, figure, .verdict { break-inside: avoid; }
  .code, .remedy, thead { break-after: avoid; }
  a { text-decoration: none; }
}
"""
