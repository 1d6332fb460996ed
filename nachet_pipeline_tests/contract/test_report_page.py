"""The report as a page for browsers, read with a parser as a browser would."""

import base64
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from nachet_pipeline.contract.catalogue import CATALOGUE, RULE_SET_VERSION, Severity
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.receipt import Spread
from nachet_pipeline.contract.report import PLACES_KEPT, Report
from nachet_pipeline.contract.report_page import (
    PAGE_BYTES,
    PICTURES_OF_A_CODE,
    PICTURES_SHOWN,
    CountedPicture,
    Outcome,
    Told,
    as_page,
    shown_on,
)
from nachet_pipeline.contract.stored import Correction
from nachet_pipeline.contract.understood import SeedCount, UnderstoodSession
from nachet_pipeline.support.i18n import Bilingual, Language

LANGUAGES: tuple[Language, ...] = ("en", "fr")
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</style><script>alert(1)</script>",
    "</title><body onload=alert(1)>",
    "<!-- --><iframe src='//evil.example'>",
    "&lt;script&gt;",
    "javascript:alert(1)",
]
_VOID = {"meta", "input", "img"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    parents: list["Element"]
    texts: list[tuple[str, list["Element"]]] = field(default_factory=list)


class Page(HTMLParser):
    """The elements of a page, and its text as a reader sees it in one of the languages."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.comments: list[str] = []
        self._open: list[Element] = []
        self._texts: list[tuple[str, list[Element]]] = []
        self.feed(html)
        self.close()
        assert not self._open, f"not closed: {self._open[-1].tag}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "wbr":  # where a name may be broken: nothing that is read
            assert attrs == []
            return
        element = Element(tag, dict(attrs), list(self._open))
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self._texts.append((data, list(self._open)))

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    def text(self, language: Language, *, inside: str = "body") -> str:
        """What is read inside an element, named by its tag or its id."""
        other = "in-fr" if language == "en" else "in-en"
        return "".join(
            text
            for text, parents in self._texts
            if any(inside in {element.tag, element.attributes.get("id")} for element in parents)
            and not any(element.attributes.get("class") == other for element in parents)
        )


def _page(*findings: Finding, language: Language = "en", title: str = "canola-2026", **options: object) -> Page:
    return Page(as_page(Report.of_findings(findings), title=title, language=language, **options))  # type: ignore[arg-type]


def _jpeg(number: int) -> bytes:
    return b"\xff\xd8" + str(number).encode()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", CATALOGUE)
def test_every_code_is_explained_under_its_anchor_in_both_languages(code: str, language: Language) -> None:
    kind = CATALOGUE[code]
    finding = Finding(
        code=code,
        path="index.yaml",
        line=7,
        column=3,
        field="userData.zoom",
        expected=Bilingual("a number", "un nombre"),
        found=Bilingual("a word", "un mot"),
        suggestion=Bilingual.same("30x"),
    )

    page = _page(finding, language="en" if language == "fr" else "fr")

    text = page.text(language, inside=code)
    for said in (kind.message, kind.remedy, finding.expected, finding.found, finding.suggestion):
        assert said is not None
        assert said.in_language(language) in text
    assert kind.message.in_language("fr" if language == "en" else "en") not in text
    for said_as_it_is in ("index.yaml:7:3", "userData.zoom", code):
        assert said_as_it_is in text
    (link,) = page.all("a")
    assert link.attributes == {"href": f"#{code}"}


def test_of_findings_of_a_code_each_says_what_to_do_if_one_has_an_advice_of_its_own() -> None:
    move = Bilingual("Move it.", "Déplacez-le.")
    code, remedy = "unexpected-file", CATALOGUE["unexpected-file"].remedy
    alone, beside = Finding(code=code, path="1.txt"), Finding(code=code, path="2.txt", advice=move)

    assert _page(alone).text("fr", inside=code).count(remedy.fr) == 1
    assert remedy.fr not in _page(beside).text("fr", inside=code)
    both = _page(alone, beside).text("fr", inside=code)
    assert (both.count(remedy.fr), both.count(move.fr)) == (1, 1)


@pytest.mark.parametrize(
    ("codes", "partly", "english", "french"),
    [
        ([], False, "Accepted Nothing was found that needs attention.", "Accepté Rien à signaler."),
        (["hidden-file"], False, "Accepted Found: 1 warning.", "Accepté Constaté : 1 avertissement."),
        (
            ["hidden-file", "empty-file", "empty-session"],
            False,
            "Not accepted Found: 2 errors, 1 warning.",
            "Non accepté Constaté : 2 erreurs, 1 avertissement.",
        ),
        (["empty-session"], True, "Partly accepted Found: 1 error.", "Accepté en partie Constaté : 1 erreur."),
    ],
)
def test_the_page_begins_with_the_verdict_in_plain_words(
    codes: list[str], partly: bool, english: str, french: str
) -> None:
    page = _page(*(Finding(code=code, path="x") for code in codes), partly=partly)

    for language, verdict in zip(LANGUAGES, (english, french), strict=True):
        words = page.text(language, inside="main").split()
        assert "".join(words).startswith(verdict.replace(" ", ""))
        assert "canola-2026" in page.text(language, inside="h1")


def test_the_reader_is_told_what_happens_next() -> None:
    refused, warned, fine = (
        _page(Finding(code="empty-session")),
        _page(Finding(code="hidden-file")),
        _page(),
    )

    assert "Correct what is marked as an error, then send the folder again." in refused.text("en")
    assert "Corrigez ce qui est marqué comme erreur, puis envoyez de nouveau le dossier." in refused.text("fr")
    assert "what is listed below does not prevent it" in warned.text("en")
    assert "This folder can be imported as it is." in fine.text("en")
    assert "Ce dossier peut être importé tel quel." in fine.text("fr")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_opens_in_the_language_asked_for_and_offers_both(language: Language) -> None:
    page = _page(Finding(code="empty-session"), language=language)

    assert page.all("html")[0].attributes == {"lang": language}
    switches = {element.attributes["id"]: "checked" in element.attributes for element in page.all("input")}
    assert switches == {"language-en": language == "en", "language-fr": language == "fr"}
    labels = {element.attributes["for"]: element.attributes["lang"] for element in page.all("label")}
    assert labels == {"language-en": "en", "language-fr": "fr"}
    assert page.text(language, inside="title") in {"canola-2026: not accepted", "canola-2026\u00a0: non accepté"}


def test_each_text_says_which_language_it_is_in() -> None:
    page = _page(Finding(code="unknown-key", field="zoom", found=Bilingual("a", "b")), Finding(code="empty-session"))

    spans = [element.attributes for element in page.all("span") if "lang" in element.attributes]
    assert len(spans) > 20
    assert all(attributes["class"] == f"in-{attributes['lang']}" for attributes in spans)
    assert len(spans) == 2 * sum(attributes["lang"] == "fr" for attributes in spans)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_loads_and_runs_nothing(language: Language) -> None:
    page = _page(
        Finding(code="picture-damaged", path="1.tiff"),
        language=language,
        thumbnails={"1.tiff": _jpeg(1)},
    )

    (policy,) = [one.attributes["content"] for one in page.all("meta") if "http-equiv" in one.attributes]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert not {"script", "link", "iframe", "object", "form", "base"} & {element.tag for element in page.elements}
    for element in page.elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on")
            assert name not in {"src", "href"} or re.match(r"data:image/jpeg;base64,|#[a-z-]+$", value or "")
    style = page.text(language, inside="style")
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("written", HOSTILE)
def test_what_an_uploader_wrote_is_text_and_never_markup(written: str, language: Language) -> None:
    plain, hostile = (
        _page(
            Finding(
                code="unknown-key",
                path=text,
                line=1,
                sessions=("pictures/" + text.replace("/", "|"),),
                field=text,
                expected=Bilingual(f"not {text}", f"pas {text}"),
                found=Bilingual.same(text),
                suggestion=Bilingual.same(text),
            ),
            language=language,
            title=text,
            thumbnails={text: _jpeg(1)},
        )
        for text in ("plain", written)
    )

    paths = [element.attributes.pop("data-picture") for page in (plain, hostile) for element in page.all("img")]
    assert all(re.fullmatch(r"[A-Za-z0-9._~%/-]+", path or "") for path in paths)
    assert [(one.tag, one.attributes) for one in hostile.elements] == [
        (one.tag, one.attributes) for one in plain.elements
    ]
    assert hostile.comments == []
    assert plain.text(language).replace("plain", "*") == (
        hostile.text(language).replace(written, "*").replace(written.replace("/", "|"), "*")
    )
    assert hostile.text(language, inside="h1") == written


def test_a_name_cannot_turn_the_direction_of_the_text_around_it() -> None:
    name = "annex\u202egnp.exe"
    page = as_page(Report.of_findings([Finding(code="unexpected-file", path=name)]), title=name)

    assert "\u202e" not in page
    assert page.count("annex\\u202egnp.exe") == 3  # the title, the heading, the place


def test_a_name_in_another_script_is_kept_apart_from_what_surrounds_it() -> None:
    name = "מבחן של זרעים.docx"

    page = as_page(Report.of_findings([Finding(code="unexpected-file", path=name, line=3)]), title="canola")

    assert f"<bdi>{name}:3</bdi>" in page


def test_a_long_path_breaks_between_its_parts() -> None:
    finding = Finding(code="index-content", path="pictures/s<1>/index.yaml", line=3, field="seedData.seedGenus")

    page = as_page(Report.of_findings([finding]), title="canola")

    assert "<code><bdi>pictures/<wbr>s&lt;1&gt;/<wbr>index.yaml:3</bdi></code>" in page
    assert "<code><bdi>seedData.<wbr>seedGenus</bdi></code>" in page


def test_findings_are_grouped_by_severity_the_worst_first() -> None:
    page = _page(
        Finding(code="ignored-file", path=".DS_Store"),
        Finding(code="hidden-file", path=".x"),
        Finding(code="empty-file", path="2.tiff"),
        Finding(code="empty-session", path="pictures/s"),
    )

    order = ["empty-session", "empty-file", "hidden-file", "ignored-file"]
    assert [element.attributes["id"] for element in page.all("article")] == order
    assert [element.attributes["href"] for element in page.all("a")] == [f"#{code}" for code in order]
    severities = [one.attributes["class"] for one in page.all("section") if one.attributes["class"] != "summary"]
    assert severities == ["verdict refused", "findings error", "findings warning", "findings info"]


def test_headings_descend_without_gaps_and_every_table_has_heads() -> None:
    page = _page(
        Finding(code="empty-file", path="1.tiff"),
        Finding(code="hidden-file", path=".x"),
        thumbnails={"1.tiff": _jpeg(1)},
    )

    levels = [int(element.tag[1]) for element in page.elements if re.fullmatch(r"h\d", element.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    heads = [element for element in page.all("th") if element.attributes.get("scope") == "col"]
    tables = page.all("table")
    assert len(tables) == 3
    assert all(any(table in head.parents for head in heads) for table in tables)


def test_a_column_that_no_finding_of_a_code_needs_is_left_out() -> None:
    page = _page(
        Finding(code="empty-file", path="1.tiff"), Finding(code="hidden-file", path=".x", found=Bilingual.same("y"))
    )

    assert "Found" not in page.text("en", inside="empty-file")
    assert "Found" in page.text("en", inside="hidden-file")


def test_many_findings_alike_name_some_places_and_count_the_others() -> None:
    page = _page(*(Finding(code="empty-file", path=f"{number:03}.tiff") for number in range(PLACES_KEPT + 7)))

    text = page.text("en", inside="empty-file")
    assert "000.tiff" in text
    assert f"{PLACES_KEPT:03}.tiff" not in text
    assert "… and 7 more" in text
    assert "… et 7 de plus" in page.text("fr", inside="empty-file")


def test_a_finding_on_the_whole_folder_says_so() -> None:
    page = _page(Finding(code="empty-upload"))

    assert "the whole folder" in page.text("en", inside="empty-upload")
    assert "tout le dossier" in page.text("fr", inside="empty-upload")


def test_sessions_that_inherit_a_value_stand_beside_its_place() -> None:
    page = _page(Finding(code="index-content", path="index.yaml", sessions=("pictures/day1", "pictures/day2")))

    assert "index.yaml inherited by day1, day2" in page.text("en", inside="index-content")
    assert "index.yaml hérité par day1, day2" in page.text("fr", inside="index-content")


def test_the_pictures_concerned_are_shown_with_their_names() -> None:
    findings = [Finding(code="picture-damaged", path=f"{number}.tiff") for number in range(3)]
    page = _page(*findings, thumbnails={"0.tiff": _jpeg(0), "2.tiff": _jpeg(2), "other.tiff": _jpeg(9)})

    sources = [element.attributes["src"] or "" for element in page.all("img")]
    assert [base64.b64decode(source.partition(",")[2]) for source in sources] == [_jpeg(0), _jpeg(2)]
    assert "Pictures concerned" in page.text("en", inside="picture-damaged")
    assert "other.tiff" not in page.text("en")
    # Of one that does not decode at all, the name is what can be shown.
    assert [page.text("en", inside="figcaption").count(f"{number}.tiff") for number in range(3)] == [1, 1, 1]
    assert page.text("en").count("cannot be shown") == 1
    assert page.text("fr").count("ne peut être affichée") == 1


def test_a_finding_in_the_yaml_file_of_a_picture_shows_the_picture() -> None:
    findings = [Finding(code="unknown-key", path=path) for path in ("a/1.yaml", "a/1.tiff", "a/index.yaml", "b/1.yaml")]
    page = _page(*findings, thumbnails={"a/1.tiff": _jpeg(1)})

    assert len(page.all("img")) == 1
    assert "a/1.tiff" in page.text("en", inside="figcaption")


def test_without_a_picture_concerned_there_is_no_gallery() -> None:
    page = _page(Finding(code="missing-picture", path="1.tiff"), Finding(code="index-content", path="index.yaml"))

    assert page.all("img") == []
    assert "Pictures concerned" not in page.text("en")


def test_a_page_shows_a_few_pictures_of_each_code_and_not_too_many_in_all() -> None:
    codes = ["picture-damaged", "picture-format", "trailing-data", "several-pages", "hidden-data", "unused-bytes"]
    findings = [
        Finding(code=code, path=f"{code}/{number:02}.tiff", found=Bilingual.same(str(number % 3)))
        for code in codes
        for number in range(30)
    ]
    page = _page(*findings, thumbnails={finding.path: _jpeg(1) for finding in findings})

    shown = [[parent.attributes.get("id") for parent in image.parents] for image in page.all("img")]
    assert len(shown) == PICTURES_SHOWN
    assert sum("picture-damaged" in ids for ids in shown) == PICTURES_OF_A_CODE


def test_the_page_names_the_rules_that_judged_and_adapts_to_phones_paper_and_dark_screens() -> None:
    page = _page()

    assert f"Rule set version {RULE_SET_VERSION}" in page.text("en", inside="footer")
    assert f"Version {RULE_SET_VERSION} des règles" in page.text("fr", inside="footer")
    style = page.text("en", inside="style")
    for query in ("(prefers-color-scheme: dark)", "print", "(max-width:"):
        assert f"@media {query}" in style
    assert {"charset": "utf-8"} in [element.attributes for element in page.all("meta")]
    assert "width=device-width" in str([element.attributes for element in page.all("meta")])


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1, 2], ids=["light", "dark", "print"])
def test_every_text_stands_out_from_its_ground(scheme: int) -> None:
    style = _page().text("en", inside="style")
    blocks = re.findall(r":root \{([^}]*--page[^}]*)\}", style)
    colours = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+)", block)) for block in blocks]
    colour = {**colours[0], **colours[scheme]}

    pairs = [("text", "page"), ("text", "card"), ("quiet", "page"), ("quiet", "card"), ("quiet", "code")]
    pairs += [("link", "card"), ("text", "code"), ("page", "text"), ("text", "error-tint"), ("text", "good-tint")]
    pairs += [(name, f"{name}-tint") for name in ("error", "warning", "info", "good")]
    assert {pair: _contrast(colour[pair[0]], colour[pair[1]]) for pair in pairs} == {
        pair: pytest.approx(21, abs=21 - 4.5) for pair in pairs
    }


def test_every_severity_has_a_heading_in_both_languages() -> None:
    codes = {kind.severity: code for code, kind in CATALOGUE.items()}
    page = _page(*(Finding(code=codes[severity], path="x") for severity in Severity))

    for heading in ("Errors: to be corrected", "Warnings: worth a look", "For your information"):
        assert heading in page.text("en")
    for heading in ("Erreurs\u00a0: à corriger", "Avertissements\u00a0: à vérifier", "À titre d'information"):
        assert heading in page.text("fr")


# What became of the folder


def _told(**told: Any) -> Told:
    at = datetime(2026, 11, 29, 1, 30, tzinfo=timezone(timedelta(hours=-5)))
    return Told(**{"at": at, "understood": [NAPUS, FATUA], **told})


NAPUS = UnderstoodSession(
    session="pictures/napus-day1",
    species="Brassica napus",
    zoom=30,
    seeds_per_picture=6,
    pictures=2,
    size=2_100_000,
    imported=True,
)
FATUA = UnderstoodSession(session="pictures/fatua", species="Avena fatua", pictures=2, size=900, imported=True)


@pytest.mark.parametrize(
    ("outcome", "english", "french"),
    [
        (Outcome.IMPORTED, "Imported", "Importé"),
        (Outcome.PARTLY_IMPORTED, "Imported in part", "Importé en partie"),
        (Outcome.REFUSED, "Not accepted", "Non accepté"),
        (Outcome.FAILED, "Not imported yet", "Pas encore importé"),
    ],
)
def test_every_outcome_has_a_page_with_its_date_and_what_was_understood(
    outcome: Outcome, english: str, french: str
) -> None:
    page = _page(told=_told(outcome=outcome))

    for language, verdict in zip(LANGUAGES, (english, french), strict=True):
        text = page.text(language)
        assert page.text(language, inside="main").strip().startswith(verdict)
        assert "2026-11-29 06:30 UTC" in text
        for said in ("pictures/napus-day1", "Brassica napus", "30", "pictures/fatua", "Avena fatua"):
            assert said in text
    assert "2 sessions, 4 pictures of Brassica napus and Avena fatua" in page.text("en")
    assert "2 sessions, 4 images de Brassica napus et d'Avena fatua" in page.text("fr")
    assert "2.1 MB" in page.text("en")
    assert "2,1 Mo" in page.text("fr")


def test_an_import_with_nothing_to_say_says_so() -> None:
    text = _page(told=_told(outcome=Outcome.IMPORTED)).text("en")

    assert "Nothing was found that needs attention." in text
    assert "All pictures are stored. Nothing needs to be done." in text


def test_a_failure_is_named_and_the_folder_is_not_to_blame() -> None:
    page = _page(told=_told(outcome=Outcome.FAILED, failure="Blob storage: <it> went away", understood=[]))

    assert "Blob storage: <it> went away" in page.text("en")
    assert "your folder is not the reason" in page.text("en")
    assert "Rien à signaler" not in page.text("fr")


def test_an_import_has_a_contact_sheet_whatever_was_found() -> None:
    shown = {f"{one.session}/{number}.tiff": _jpeg(number) for one in (NAPUS, FATUA) for number in (1, 2)}
    findings = [Finding(code="trailing-data", path=path) for path in shown]

    page = _page(*findings, thumbnails=shown, told=_told(outcome=Outcome.IMPORTED))

    contact = [one for one in page.all("img") if any(p.attributes.get("class") == "card contact" for p in one.parents)]
    assert [one.attributes["data-picture"] for one in contact] == list(shown)
    assert len(page.all("img")) == 8


def test_a_contact_sheet_has_pictures_of_every_session_as_far_as_there_is_room() -> None:
    sessions = [NAPUS.model_copy(update={"session": f"pictures/{number:02}"}) for number in range(10)]
    shown = {f"{one.session}/{number}.tiff": _jpeg(number) for one in sessions for number in range(9)}

    page = _page(thumbnails=shown, told=_told(outcome=Outcome.IMPORTED, understood=sessions))

    names = [one.attributes["data-picture"] or "" for one in page.all("img")]
    assert {name.rpartition("/")[0] for name in names} == {one.session for one in sessions}
    assert len(names) <= 24


def test_who_has_to_correct_sees_a_picture_concerned_there_and_not_on_the_contact_sheet() -> None:
    shown = {f"{one.session}/{number}.tiff": _jpeg(number) for one in (NAPUS, FATUA) for number in (1, 2)}
    page = _page(
        Finding(code="trailing-data", path="pictures/fatua/2.tiff"),
        thumbnails=shown,
        told=_told(outcome=Outcome.REFUSED),
    )

    contact = [one for one in page.all("img") if any(p.attributes.get("class") == "card contact" for p in one.parents)]
    assert [one.attributes["data-picture"] for one in contact] == [
        "pictures/napus-day1/1.tiff",
        "pictures/napus-day1/2.tiff",
        "pictures/fatua/1.tiff",
    ]
    assert len(page.all("img")) == 4
    assert "1 of 2 pictures" in page.text("en")
    assert "1 image sur 2" in page.text("fr")


def test_two_pictures_that_are_equal_are_shown_side_by_side() -> None:
    page = _page(
        Finding(code="duplicate-picture", path="b.tiff", other="a.tiff"),
        Finding(code="duplicate-picture", path="c.tiff", found=Bilingual.same("another user's picture")),
        thumbnails={"a.tiff": _jpeg(1), "b.tiff": _jpeg(2), "c.tiff": _jpeg(3)},
    )

    pairs = [
        [one.attributes.get("data-picture") for one in page.all("img") if pair in one.parents]
        for pair in page.all("div")
        if pair.attributes["class"] == "pair"
    ]
    assert pairs == [["b.tiff", "a.tiff"]]
    assert len(page.all("img")) == 3


def test_a_finding_says_which_sessions_it_concerns() -> None:
    sessions = [
        NAPUS.model_copy(update={"session": f"pictures/{number}", "findings": {"picture-damaged": 1} if number else {}})
        for number in range(9)
    ]
    page = _page(Finding(code="picture-damaged", path="x"), told=_told(understood=sessions))

    text = " ".join(page.text("en", inside="picture-damaged").split())
    assert "picture-damaged (1) in pictures/1, pictures/2, pictures/3, pictures/4, pictures/5 … and 3 more" in text


def test_seeds_that_were_counted_are_shown_with_their_boxes() -> None:
    seeds = SeedCount(pictures=2, declared=12, found=11, crops=11, differing=1)
    page = _page(
        Finding(code="seed-count-differs", path="pictures/napus-day1/1.tiff"),
        thumbnails={"pictures/napus-day1/1.tiff": _jpeg(1)},
        told=_told(
            outcome=Outcome.IMPORTED,
            understood=[NAPUS.model_copy(update={"seeds": seeds}), FATUA],
            counted=[
                CountedPicture("pictures/napus-day1/1.tiff", _jpeg(7), declared=6, found=5),
                CountedPicture("pictures/napus-day1/2.tiff", _jpeg(8), declared=6, found=6),
            ],
        ),
    )

    text = page.text("en")
    assert "6 declared, 5 found" in text
    assert "6 found" in text
    assert "6 déclarées, 5 trouvées" in page.text("fr")
    drawn = [one for one in page.all("img") if "data-picture" not in one.attributes]
    assert [base64.b64decode((one.attributes["src"] or "").partition(",")[2]) for one in drawn] == [_jpeg(7), _jpeg(8)]
    assert "Pictures concerned" not in text  # they are among those with boxes


def test_what_a_correction_changed_is_said_where_there_was_something_before() -> None:
    corrected = _page(told=_told(correction=Correction(added=1, removed=2, relabelled=3, unchanged=4)))
    new = _page(told=_told(correction=Correction(added=5)))

    assert "1 added2 removed3 relabelled4 unchanged" in corrected.text("en")
    assert "What this correction changed" not in new.text("en")


def test_the_quality_of_the_pictures_is_said_in_the_language_of_the_reader() -> None:
    page = _page(told=_told(quality=Spread(minimum=0.5, median=0.751, maximum=1), sharpness=None))

    assert "0.50.751" in page.text("en")
    assert "0,50,751" in page.text("fr")
    assert "Sharpness" not in page.text("en")


def test_a_page_is_never_larger_than_stated_and_keeps_what_matters() -> None:
    sessions = [
        NAPUS.model_copy(update={"session": f"pictures/{number:04}-{'s' * 150}", "findings": {"unknown-key": 1}})
        for number in range(1_000)
    ]
    codes = ["picture-damaged", "unknown-key", "unexpected-file", "index-content"]
    findings = [
        Finding(
            code=code,
            path=f"pictures/{number % 100:04}-{'s' * 150}/{number}-{'<&>' * 300}.tiff",
            found=Bilingual.same(f"{number % 200} {'<' * 1_000}"),
        )
        for code in codes
        for number in range(2_000)
    ]
    thumbnails = {finding.path: bytes(30_000) for finding in findings[:60]}
    told = _told(outcome=Outcome.REFUSED, understood=sessions, number_of_sessions=4_000)

    html = as_page(Report.of_findings(findings), title="canola", thumbnails=thumbnails, told=told)

    assert len(html.encode()) <= PAGE_BYTES
    text = Page(html).text("en")
    assert all(CATALOGUE[code].message.en in text for code in codes)
    assert "… and 3950 more" in text


def test_a_page_is_written_again_with_the_thumbnails_it_had() -> None:
    thumbnails = {f"pictures/fatua/{name}.tiff": _jpeg(name) for name in ("é 1%", 'a"b', "<2>")}
    first = as_page(Report.of_findings([]), title="canola", thumbnails=thumbnails, told=_told())

    assert shown_on(first.encode()) == thumbnails
    assert as_page(Report.of_findings([]), title="canola", thumbnails=shown_on(first.encode()), told=_told()) == first


@pytest.mark.parametrize(
    "put_there",
    [
        b"",
        b"<script>alert(1)</script>",
        b'<img src="data:image/jpeg;base64,PHN2Zz4=" alt="" data-picture="x"><script>alert(1)</script>',
        b'<img src="data:image/jpeg;base64,/9g=" alt="" data-picture="%3Cscript%3Ealert(1)%3C/script%3E">',
        b'<img src="data:image/jpeg;base64,/9g=" alt="" data-picture="x" onerror="alert(1)">',
        b'<img src="data:image/svg+xml;base64,/9g=" alt="" data-picture="x">',
        b'<img src="data:image/jpeg;base64,/9g==" alt="" data-picture="\xff\x00">' * 500,
        b'<img src="data:image/jpeg;base64,/9===g" alt="" data-picture="x">',
        b'<img src="data:image/jpeg;base64,abcde" alt="" data-picture="x">',
    ],
)
def test_what_somebody_put_in_the_place_of_a_page_is_not_taken_over(put_there: bytes) -> None:
    taken = shown_on(put_there)

    page = Page(as_page(Report.of_findings([]), title="canola", thumbnails=taken, told=_told()))

    assert len(taken) <= PICTURES_SHOWN
    assert not page.all("script")
    assert not any(name.startswith("on") for element in page.elements for name in element.attributes)
