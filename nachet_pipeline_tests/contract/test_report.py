"""The report and its views as text and as JSON Lines, in both languages."""

import json
import random
import re

import pytest

from nachet_pipeline.contract.catalogue import CATALOGUE, RULE_SET_VERSION, Check, Severity
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.report import (
    GROUPS_KEPT,
    GROUPS_SHOWN,
    PLACES_KEPT,
    PLACES_SHOWN,
    SESSIONS_SHOWN,
    Report,
    as_json_lines,
    as_text,
    explanation_of,
)
from nachet_pipeline.contract.report_page import as_page
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.defs.metadata import findings_table
from nachet_pipeline.support.i18n import Bilingual, Language
from nachet_pipeline_tests.contract.folders import Validate, changed, project
from nachet_pipeline_tests.contract.records import findings_in, report_of

INDEX = "pictures/session1/index.yaml"
LANGUAGES: tuple[Language, ...] = ("en", "fr")
_SEVERITY_WORDS: dict[Language, dict[str, str]] = {
    "en": {"error": "ERROR", "warning": "WARNING", "info": "INFO"},
    "fr": {"error": "ERREUR", "warning": "AVERTISSEMENT", "info": "INFO"},
}
_WHOLE_PICTURE = Bilingual("a complete picture", "une image complète")
_END_OF_FILE = Bilingual("the end of the file", "la fin du fichier")


def _mixed() -> list[Finding]:
    return [
        Finding(code="ignored-file", path=".DS_Store"),
        Finding(
            code="unknown-key", path="index.yaml", field="colour", line=2, column=1, found=Bilingual.same("colour")
        ),
        Finding(code="picture-damaged", path="1.tiff", expected=_WHOLE_PICTURE, found=_END_OF_FILE),
        Finding(code="picture-damaged", path="2.tiff", expected=_WHOLE_PICTURE, found=_END_OF_FILE),
        Finding(
            code="picture-damaged",
            path="3.tiff",
            expected=_WHOLE_PICTURE,
            found=Bilingual("a broken strip", "une bande rompue"),
        ),
        Finding(code="missing-index", path="index.yaml"),
        _misspelt(),
    ]


def _misspelt() -> Finding:
    return Finding(
        code="unregistered-seed",
        path=INDEX,
        sessions=("pictures/session1", "pictures/session2"),
        field="seedData.seedSpecies",
        line=6,
        column=3,
        expected=Bilingual("a registered seed", "une semence enregistrée"),
        found=Bilingual.same("Brassica nappus"),
        suggestion=Bilingual.same("Brassica napus"),
    )


def _report(*findings: Finding, rule_set: RuleSet | None = None) -> tuple[Report, list[str]]:
    """What a validation that found this reports, and its record."""
    with Inventory(rule_set=rule_set) as inventory:
        for finding in findings:
            inventory.add_finding(finding)
        report = Report.of(inventory)
        return report, list(as_json_lines(inventory.findings(), report))


def _text(*findings: Finding, language: Language = "en") -> list[str]:
    return list(as_text(Report.of_findings(findings), language))


def test_the_text_begins_with_the_worst_and_ends_with_the_verdict() -> None:
    assert _text(*_mixed()) == [
        "ERROR missing-index (1): A folder has no index.yaml.",
        "  index.yaml",
        f"  → {CATALOGUE['missing-index'].remedy.en}",
        "",
        "ERROR picture-damaged (3): The picture cannot be decoded completely.",
        "  expected a complete picture, found the end of the file",
        "    1.tiff",
        "    2.tiff",
        "  3.tiff: expected a complete picture, found a broken strip",
        "  → Upload the picture again from its original, or export it again.",
        "",
        "ERROR unregistered-seed (1): The species is not registered.",
        (
            f"  {INDEX}:6:3 seedData.seedSpecies: expected a registered seed, found Brassica nappus;"
            " did you mean Brassica napus? (inherited by session1, session2)"
        ),
        f"  → {CATALOGUE['unregistered-seed'].remedy.en}",
        "",
        "WARNING unknown-key (1): The contract does not know this key; its value is not imported.",
        "  index.yaml:2:1 colour: found colour",
        f"  → {CATALOGUE['unknown-key'].remedy.en}",
        "",
        "INFO ignored-file (1): A file that the operating system left behind was ignored.",
        "  .DS_Store",
        "  → Nothing needs to be done.",
        "",
        "Not importable: 5 errors, 1 warning, 1 info.",
    ]


def test_the_text_in_french_is_french_throughout() -> None:
    assert _text(*_mixed(), language="fr") == [
        "ERREUR missing-index (1) : Un dossier n'a pas d'index.yaml.",
        "  index.yaml",
        f"  → {CATALOGUE['missing-index'].remedy.fr}",
        "",
        "ERREUR picture-damaged (3) : L'image ne peut pas être décodée entièrement.",
        "  attendu : une image complète; trouvé : la fin du fichier",
        "    1.tiff",
        "    2.tiff",
        "  3.tiff — attendu : une image complète; trouvé : une bande rompue",
        "  → Téléversez de nouveau l'image depuis l'original ou réexportez-la.",
        "",
        "ERREUR unregistered-seed (1) : L'espèce n'est pas enregistrée.",
        (
            f"  {INDEX}:6:3 seedData.seedSpecies — attendu : une semence enregistrée; trouvé : Brassica nappus;"
            " vouliez-vous dire Brassica napus ? (hérité par session1, session2)"
        ),
        f"  → {CATALOGUE['unregistered-seed'].remedy.fr}",
        "",
        "AVERTISSEMENT unknown-key (1) : Le contrat ne connaît pas cette clé; sa valeur n'est pas importée.",
        "  index.yaml:2:1 colour — trouvé : colour",
        f"  → {CATALOGUE['unknown-key'].remedy.fr}",
        "",
        "INFO ignored-file (1) : Un fichier laissé par le système d'exploitation a été ignoré.",
        "  .DS_Store",
        "  → Aucune action requise.",
        "",
        "Non importable : 5 erreurs, 1 avertissement, 1 info.",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", CATALOGUE)
def test_every_code_is_said_with_its_message_place_and_remedy_in_both_languages(code: str, language: Language) -> None:
    kind = CATALOGUE[code]
    finding = Finding(code=code, path=INDEX, line=7, expected=_WHOLE_PICTURE, found=_END_OF_FILE)

    title, place, remedy, blank, verdict = _text(finding, language=language)

    colon = " :" if language == "fr" else ":"
    word = _SEVERITY_WORDS[language][kind.severity]
    assert title == f"{word} {code} (1){colon} {kind.message.in_language(language)}"
    assert place.startswith(f"  {INDEX}:7")
    assert _WHOLE_PICTURE.in_language(language) in place
    assert _END_OF_FILE.in_language(language) in place
    assert remedy == f"  → {kind.remedy.in_language(language)}"
    assert blank == ""
    assert verdict.startswith("Non importable" if language == "fr" else "Not importable") == (kind.severity == "error")


@pytest.mark.parametrize(("language", "says"), [("en", "Importable."), ("fr", "Importable.")])
def test_a_report_without_findings_is_one_line(language: Language, says: str) -> None:
    assert _text(language=language) == [says]


@pytest.mark.parametrize(
    ("number", "english", "french"),
    [(1, "Importable: 1 warning.", "Importable : 1 avertissement."), (2, "2 warnings.", "2 avertissements.")],
)
def test_the_verdict_counts_in_words_that_agree(number: int, english: str, french: str) -> None:
    findings = [Finding(code="hidden-file", path=f".{letter}") for letter in "ab"[:number]]

    assert _text(*findings)[-1].endswith(english)
    assert _text(*findings, language="fr")[-1].endswith(french)


@pytest.mark.parametrize(
    ("finding", "english", "french"),
    [
        (Finding(code="empty-file"), "", ""),
        (Finding(code="empty-file", expected=Bilingual.same("1")), "expected 1", "attendu : 1"),
        (Finding(code="empty-file", found=Bilingual.same("0")), "found 0", "trouvé : 0"),
        (
            Finding(code="unknown-key", suggestion=Bilingual.same("zoom")),
            "did you mean zoom?",
            "vouliez-vous dire zoom ?",
        ),
        (
            Finding(code="unknown-key", found=Bilingual.same("{}{0}%s"), suggestion=Bilingual.same("{zoom}")),
            "found {}{0}%s; did you mean {zoom}?",
            "trouvé : {}{0}%s; vouliez-vous dire {zoom} ?",
        ),
    ],
)
def test_an_explanation_says_only_what_is_known(finding: Finding, english: str, french: str) -> None:
    (group,) = Report.of_findings([finding]).groups

    assert (explanation_of(group), explanation_of(group, "fr")) == (english, french)


def test_an_advice_is_a_sentence_of_its_own_and_takes_the_place_of_the_remedy() -> None:
    move, write = Bilingual("Move it.", "Déplacez-le."), Bilingual("Write it.", "Écrivez-le.")
    findings = [
        Finding(code="unexpected-file", path="1.txt", found=Bilingual.same("a"), advice=move),
        Finding(code="unexpected-file", path="2.txt", found=Bilingual.same("b"), advice=move),
        Finding(code="unexpected-file", path="3.txt", found=Bilingual.same("c"), advice=write),
    ]

    assert _text(*findings, language="fr")[1:6] == [
        "  1.txt — trouvé : a",
        "  2.txt — trouvé : b",
        "  → Déplacez-le.",
        "  3.txt — trouvé : c",
        "  → Écrivez-le.",
    ]
    assert _text(*findings)[6] == ""
    other = Finding(code="unexpected-file", path="2b.txt")
    assert _text(*findings, other)[1:8] == [
        "  1.txt: found a",
        "  2.txt: found b",
        "  → Move it.",
        "  2b.txt",
        f"  → {CATALOGUE['unexpected-file'].remedy.en}",
        "  3.txt: found c",
        "  → Write it.",
    ], "of two things to do, none stands beside what the other is for"
    (row, *_) = findings_table(Report.of_findings(findings).groups).records
    assert row.data["remedy"] == "Move it."


def test_what_concerns_the_whole_folder_has_a_place_too() -> None:
    assert _text(Finding(code="empty-upload"))[1] == "  ."


def test_several_findings_of_the_same_key_are_told_once_with_all_their_places() -> None:
    findings = [
        Finding(code="index-content", path=f"pictures/s{n}/index.yaml", field="userData.zoom", line=n, column=9)
        for n in (3, 1, 2)
    ]

    assert _text(*findings)[1:5] == [
        "  userData.zoom",
        "    pictures/s1/index.yaml:1:9",
        "    pictures/s2/index.yaml:2:9",
        "    pictures/s3/index.yaml:3:9",
    ]


def test_of_many_sessions_that_inherit_a_value_some_are_named_and_the_others_counted() -> None:
    sessions = tuple(f"pictures/day{number}" for number in range(1, SESSIONS_SHOWN + 8))
    finding = Finding(code="index-content", path="index.yaml", line=1, sessions=sessions)

    assert _text(finding)[1] == "  index.yaml:1 (inherited by day1, day2, day3, day4, day5 and 7 more)"
    assert _text(finding, language="fr")[1] == "  index.yaml:1 (hérité par day1, day2, day3, day4, day5 et 7 de plus)"


def test_a_session_upload_that_is_its_own_session_is_named_as_a_folder() -> None:
    assert _text(Finding(code="index-content", path="index.yaml", sessions=("",)))[1] == "  index.yaml (inherited by .)"


def test_findings_alike_are_one_group_whatever_lies_between_them() -> None:
    report = Report.of_findings(_mixed())

    assert [(group.code, group.count) for group in report.groups] == [
        ("missing-index", 1),
        ("picture-damaged", 2),
        ("picture-damaged", 1),
        ("unregistered-seed", 1),
        ("unknown-key", 1),
        ("ignored-file", 1),
    ]
    assert [str(place) for place in report.groups[1].places] == ["1.tiff", "2.tiff"]


def test_a_report_of_thousands_lists_some_and_counts_all() -> None:
    many = [Finding(code="empty-file", path=f"{number:05}.tiff") for number in range(1500)]
    report, record = _report(Finding(code="ignored-file", path=".DS_Store"), *many)

    assert report.codes == {"empty-file": 1500, "ignored-file": 1}
    assert report.counts == {Severity.ERROR: 1500, Severity.WARNING: 0, Severity.INFO: 1}
    assert len(report.groups[0].places) == PLACES_KEPT
    text = list(as_text(report))
    assert text[0].startswith("ERROR empty-file (1500)")
    assert text[1] == "  00000.tiff"
    assert text[PLACES_SHOWN + 1] == f"  … {1500 - PLACES_SHOWN} more"
    assert text[-1] == "Not importable: 1500 errors, 1 info."
    assert list(as_text(report, "fr"))[PLACES_SHOWN + 1] == f"  … {1500 - PLACES_SHOWN} de plus"
    assert len(record) == 1502, "the record leaves nothing out"


def test_a_text_of_many_different_findings_ends() -> None:
    number = GROUPS_KEPT + 100
    report = Report.of_findings(
        Finding(code="trailing-data", path=f"{n:04}.jpeg", found=Bilingual(f"{n} bytes", f"{n} octets"))
        for n in range(number)
    )

    text = list(as_text(report))

    assert len(report.groups) == GROUPS_KEPT
    assert report.codes == {"trailing-data": number}
    assert len(text) == GROUPS_SHOWN + 5
    assert text[GROUPS_SHOWN + 1] == f"  … {number - GROUPS_SHOWN} more"


def test_each_json_line_is_an_object_and_the_last_is_the_summary() -> None:
    _, record = _report(*_mixed())
    lines = [json.loads(line) for line in record]

    assert [line["record"] for line in lines] == ["finding"] * 7 + ["summary"]
    assert lines[-3] == {
        "record": "finding",
        "code": "unknown-key",
        "severity": "warning",
        "rule": "index_content",
        "rule_set_version": RULE_SET_VERSION,
        "path": "index.yaml",
        "field": "colour",
        "line": 2,
        "column": 1,
        "found": {"en": "colour", "fr": "colour"},
        "message": {
            "en": "The contract does not know this key; its value is not imported.",
            "fr": "Le contrat ne connaît pas cette clé; sa valeur n'est pas importée.",
        },
        "remedy": {
            "en": CATALOGUE["unknown-key"].remedy.en,
            "fr": CATALOGUE["unknown-key"].remedy.fr,
        },
    }
    assert lines[-1] == {
        "record": "summary",
        "importable": False,
        "counts": {"error": 5, "warning": 1, "info": 1},
        "codes": {
            "ignored-file": 1,
            "missing-index": 1,
            "picture-damaged": 3,
            "unknown-key": 1,
            "unregistered-seed": 1,
        },
        "severities": {},
        "rule_set_version": RULE_SET_VERSION,
        "sessions": [],
    }


@pytest.mark.parametrize("code", CATALOGUE)
def test_the_record_of_every_code_holds_all_that_is_known_of_it(code: str) -> None:
    kind = CATALOGUE[code]
    finding = _misspelt().model_copy(update={"code": code, "severity": kind.severity})
    line = json.loads(_report(finding)[1][0])

    assert line == {
        "record": "finding",
        "code": code,
        "severity": kind.severity.value,
        "rule": kind.check.value,
        "rule_set_version": RULE_SET_VERSION,
        "path": INDEX,
        "sessions": ["pictures/session1", "pictures/session2"],
        "field": "seedData.seedSpecies",
        "line": 6,
        "column": 3,
        "expected": {"en": "a registered seed", "fr": "une semence enregistrée"},
        "found": {"en": "Brassica nappus", "fr": "Brassica nappus"},
        "suggestion": {"en": "Brassica napus", "fr": "Brassica napus"},
        "message": {"en": kind.message.en, "fr": kind.message.fr},
        "remedy": {"en": kind.remedy.en, "fr": kind.remedy.fr},
    }


def _of_everything() -> list[Finding]:
    """Findings of every code, alike and not, more than a report names, found in no order."""
    findings = [
        Finding(code=code, path=path, line=line, column=1, field=field, found=Bilingual.same(found) if found else None)
        for code in CATALOGUE
        for path, line, field, found in [
            ("index.yaml", 9, "a", "x"),
            ("index.yaml", 3, "a", "y"),
            ("index.yaml", 3, None, None),
            (INDEX, 1, "a", "x"),
        ]
    ]
    findings += [Finding(code="empty-file", path=f"{number}.tiff") for number in range(3 * PLACES_KEPT)]
    findings.append(_misspelt())
    random.Random(7).shuffle(findings)
    return findings


_RULE_SETS = [RuleSet(), RuleSet({"unknown-key": Severity.ERROR, "unexpected-file": Severity.INFO}, version="77")]


@pytest.mark.parametrize("rule_set", _RULE_SETS, ids=["catalogue", "remapped"])
@pytest.mark.parametrize("findings", [[], _mixed(), _of_everything()], ids=["none", "mixed", "everything"])
def test_the_text_and_the_page_can_be_made_of_the_record_alone(findings: list[Finding], rule_set: RuleSet) -> None:
    report, record = _report(*findings, rule_set=rule_set)

    again = report_of(record)

    assert again == report
    for language in LANGUAGES:
        assert list(as_text(again, language)) == list(as_text(report, language))
        assert as_page(again, title="canola", language=language) == as_page(report, title="canola", language=language)
    assert list(as_json_lines(findings_in(record), again)) == record


def test_a_report_reads_back_from_json_as_it_was() -> None:
    report = Report.of_findings(_mixed())

    assert Report.model_validate_json(report.model_dump_json()) == report


def test_a_check_fails_for_its_errors_alone() -> None:
    report = Report.of_findings(_mixed())

    assert report.errors_of(Check.PICTURE_CONTENT) == {"picture-damaged": 3}
    assert report.errors_of(Check.INDEX_CONTENT) == {}
    assert [group.code for group in report.groups_of(Check.INDEX_CONTENT)] == ["unknown-key"]
    assert not report.importable


def test_warnings_keep_nothing_from_being_imported(validated: Validate) -> None:
    report = validated(changed(project(), INDEX, b"seedFamily", b"seedFamly")).report

    assert report.importable
    assert list(as_text(report))[-1] == "Importable: 1 warning."


def test_a_remapped_code_is_listed_and_named_by_what_it_weighs_here() -> None:
    report, _ = _report(*_mixed(), rule_set=_RULE_SETS[1])

    titles = [line.split()[:2] for line in as_text(report) if re.match("[A-Z]{4}", line)]
    assert ["ERROR", "unknown-key"] in titles
    assert list(as_text(report))[-1] == "Not importable: 6 errors, 1 info."
    assert "AVERTISSEMENT" not in "\n".join(as_text(report, "fr"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_of_a_report_stays_one_line_whatever_the_uploader_wrote(
    language: Language, validated: Validate
) -> None:
    files = changed(project(), INDEX, b"napus", b'"a\\nb\\u2028c\\u202e"')
    report = validated(files).report

    assert report.codes == {"unregistered-seed": 1}
    lines = [*as_text(report, language), *as_json_lines(report.findings, report)]
    assert all(len(line.splitlines()) <= 1 for line in lines)
    assert "\\u202e" in lines[1]


def test_the_table_of_the_ui_has_a_row_for_each_group() -> None:
    rows = [record.data for record in findings_table(Report.of_findings(_mixed()).groups).records]

    assert [(row["severity"], row["code"], row["count"], row["where"]) for row in rows] == [
        ("error", "missing-index", 1, "index.yaml"),
        ("error", "picture-damaged", 2, "1.tiff, and 1 more"),
        ("error", "picture-damaged", 1, "3.tiff"),
        ("error", "unregistered-seed", 1, f"{INDEX}:6:3 seedData.seedSpecies"),
        ("warning", "unknown-key", 1, "index.yaml:2:1 colour"),
        ("info", "ignored-file", 1, ".DS_Store"),
    ]
    assert rows[0]["what"] == "A folder has no index.yaml."
    assert rows[1]["what"] == "expected a complete picture, found the end of the file"
    assert rows[3]["remedy"] == CATALOGUE["unregistered-seed"].remedy.en


def test_the_table_of_the_ui_has_a_hundred_rows_at_most() -> None:
    report = Report.of_findings(
        Finding(code="unknown-key", path="index.yaml", field=f"key{number}", line=number) for number in range(1, 131)
    )

    assert len(findings_table(report.groups).records) == 100
