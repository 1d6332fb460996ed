"""The commands and exits of `nachet` that need no service, as a person in a terminal meets them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.fernet import Fernet

from nachet_pipeline.cli.main import main
from nachet_pipeline.contract.catalogue import CATALOGUE
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.report import Report, as_text
from nachet_pipeline.contract.understood import UnderstoodSession
from nachet_pipeline.pictures import workers
from nachet_pipeline.uploads.formatting import receipt_lines
from nachet_pipeline_tests.contract.records import report_of
from nachet_pipeline_tests.pictures.decoders import DyingPool
from nachet_pipeline_tests.warm import WarmNachet

Nachet = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def nachet(tmp_path: Path, warm: WarmNachet) -> Nachet:
    """Run the command in an empty folder, without the settings of whoever runs the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NACHET_")}

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        own = {**environment, "NACHET_DECODE_WORKERS": "1", "COLUMNS": "200", "PYTHONUTF8": "1", **settings}
        return warm.run(*arguments, environment=own, folder=tmp_path)

    return run


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `nachet sample` wrote."""
    folder = tmp_path_factory.mktemp("samples") / "good"
    command = [
        sys.executable,
        "-m",
        "nachet_pipeline.cli.main",
        "sample",
        str(folder),
        "--sessions",
        "2",
        "--pictures",
        "1",
    ]
    written = subprocess.run(command, capture_output=True, text=True, check=True)
    assert written.stdout == f"{folder}\n"
    return folder


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "index.yaml").write_text("seedData: {seedName: Brassica nappus}\nimageData: {numberOfImages: 1}\n")
    (folder / "1.tiff").write_text("not a picture")
    return folder


def test_what_sample_writes_validate_finds_importable(good: Path, nachet: Nachet) -> None:
    done = nachet("validate", str(good))

    assert (done.returncode, done.stderr) == (0, "")
    assert [" ".join(line.split()[:6]) for line in done.stdout.splitlines()] == [
        "SESSION SPECIES ZOOM SEEDS PER PICTURE",
        "pictures/session1 Brassica napus 30 6 1",
        "pictures/session2 Brassica juncea 30 2 1",
        "",
        "Importable: 2 sessions, 2 pictures of",
    ]
    assert done.stdout.endswith(" of Brassica napus and Brassica juncea.\n")
    assert sorted(str(file.relative_to(good)) for file in good.rglob("*.*")) == [
        "index.yaml",
        "pictures/session1/1.tiff",
        "pictures/session1/1.yaml",
        "pictures/session1/index.yaml",
        "pictures/session2/1.tiff",
        "pictures/session2/1.yaml",
        "pictures/session2/index.yaml",
    ]


@pytest.mark.parametrize("picture_format", ["tiff", "png", "jpeg"])
def test_sample_writes_every_format_and_the_uploader_asked_for(
    picture_format: str, nachet: Nachet, tmp_path: Path
) -> None:
    done = nachet("sample", "new", "--pictures", "1", "--format", picture_format, "--email", "ada@example.org")

    assert (done.returncode, done.stdout) == (0, "new\n")
    assert (tmp_path / f"new/pictures/session1/1.{picture_format}").is_file()
    assert "clientEmail: ada@example.org" in (tmp_path / "new/index.yaml").read_text()


def test_a_refused_folder_exits_with_1_and_says_every_reason(bad: Path, nachet: Nachet) -> None:
    done = nachet("validate", str(bad))

    assert done.returncode == 1
    titles = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("ERROR")]
    assert sorted(titles) == ["missing-key", "picture-format", "unregistered-seed"]
    assert "did you mean Brassica napus?" in done.stdout
    assert done.stdout.splitlines()[-1] == "Not importable: 4 errors."


def test_what_names_and_indexes_alone_refuse_is_said_at_once(bad: Path, nachet: Nachet) -> None:
    done = nachet("validate", str(bad))

    assert done.stderr.splitlines() == [
        "nachet: not importable: missing-key (2), unregistered-seed (1); reading the pictures for the full report"
    ]


def test_a_refusal_can_be_read_in_french(bad: Path, nachet: Nachet) -> None:
    done = nachet("validate", str(bad), "--lang", "fr")

    assert done.returncode == 1
    assert "ERREUR unregistered-seed (1) : L'espèce n'est pas enregistrée." in done.stdout.splitlines()
    assert CATALOGUE["picture-format"].remedy.fr in done.stdout
    assert done.stdout.splitlines()[-1] == "Non importable : 4 erreurs."


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_refusal_can_be_read_by_programs_in_both_languages_at_once(language: str, bad: Path, nachet: Nachet) -> None:
    done = nachet("validate", str(bad), "--format", "jsonl", "--lang", language)

    assert done.returncode == 1
    *findings, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert {finding["code"] for finding in findings} == {"missing-key", "picture-format", "unregistered-seed"}
    seed = next(finding for finding in findings if finding["code"] == "unregistered-seed")
    assert (seed["path"], seed["line"], seed["found"]["fr"]) == ("index.yaml", 1, "Brassica nappus")
    assert seed["message"] == {"en": "The species is not registered.", "fr": "L'espèce n'est pas enregistrée."}
    assert (summary["record"], summary["importable"]) == ("summary", False)


def test_the_text_is_a_view_of_the_record(bad: Path, nachet: Nachet) -> None:
    record = nachet("validate", str(bad), "--format", "jsonl").stdout.splitlines()
    understood = [UnderstoodSession.model_validate(one) for one in json.loads(record[-1])["sessions"]]

    text = list(as_text(report_of(record), understood=understood))
    assert text == nachet("validate", str(bad)).stdout.splitlines()


def test_the_record_has_every_one_of_many_findings(nachet: Nachet, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(150):
        (folder / f"{number}.tiff").touch()

    record = nachet("validate", str(folder), "--format", "jsonl").stdout.splitlines()

    empty = [line["path"] for line in map(json.loads, record) if line.get("code") == "empty-file"]
    assert sorted(empty) == sorted(f"{number}.tiff" for number in range(150))


@pytest.mark.parametrize(("language", "verdict"), [("en", "Not accepted"), ("fr", "Non accepté")])
def test_a_refusal_can_be_read_in_a_browser(language: str, verdict: str, bad: Path, nachet: Nachet) -> None:
    done = nachet("validate", str(bad), "--format", "html", "--lang", language)

    assert done.returncode == 1
    assert done.stdout.startswith(f'<!doctype html>\n<html lang="{language}">')
    assert done.stdout.endswith("</html>\n")
    assert f"{verdict.lower()}</title>" in done.stdout
    assert "<h1><bdi>bad</bdi></h1>" in done.stdout
    for code in ("missing-key", "picture-format", "unregistered-seed"):
        assert f'<article id="{code}">' in done.stdout


def test_the_page_shows_the_pictures_concerned(nachet: Nachet, tmp_path: Path) -> None:
    nachet("sample", "photos", "--pictures", "2", "--format", "jpeg")
    picture = tmp_path / "photos/pictures/session1/2.jpeg"
    picture.write_bytes(picture.read_bytes() + b"<?php a film that the phone took" * 100)

    page = nachet("validate", "photos", "--format", "html").stdout

    article = page.partition('<article id="trailing-data">')[2].partition("</article>")[0]
    assert article.count('<img src="data:image/jpeg;base64,/9j/') == 1
    assert "pictures/session1/2.jpeg</bdi></figcaption>" in article.replace("<wbr>", "")
    assert page.count("<img") == 2  # the other one is on the contact sheet


def test_a_deployment_can_weigh_findings_differently(good: Path, nachet: Nachet, tmp_path: Path) -> None:
    folder = tmp_path / "strict"
    shutil.copytree(good, folder)
    (folder / ".notes").write_text("mine")
    severities = tmp_path / "severities.yaml"
    severities.write_text("hidden-file: error\n")

    lenient = nachet("validate", str(folder))
    strict = nachet("validate", str(folder), NACHET_SEVERITIES_FILE=str(severities))

    assert (lenient.returncode, lenient.stdout.splitlines()[-1]) == (
        0,
        "Importable: 2 sessions, 2 pictures of Brassica napus and Brassica juncea; 1 warning.",
    )
    assert (strict.returncode, strict.stdout.splitlines()[-1]) == (1, "Not importable: 1 error.")
    assert strict.stdout.startswith("ERROR hidden-file (1)")


def test_a_receipt_can_be_read_in_french() -> None:
    receipt = Receipt(
        upload=UUID(int=7),
        partition="canola~7",
        owner="ada@example.org",
        folder="canola",
        state=State.REFUSED,
        pictures=2,
        size=1065272,
        report=Report.of_findings([Finding(code="empty-file", path="1.tiff")]),
    )

    french = list(receipt_lines(receipt, "fr"))
    english = list(receipt_lines(receipt))

    assert french[1:5] == [
        "  propriétaire ada@example.org",
        "  images       2 (1 065 272 octets)",
        "",
        "ERREUR empty-file (1) : Le fichier est vide.",
    ]
    assert english[1:5] == [
        "  owner      ada@example.org",
        "  pictures   2 (1,065,272 bytes)",
        "",
        "ERROR empty-file (1): The file is empty.",
    ]


def test_a_setting_changes_what_is_refused(good: Path, nachet: Nachet) -> None:
    done = nachet("validate", str(good), NACHET_MAX_SIDE_PIXELS="100")

    assert done.returncode == 1
    assert "picture-too-large (2)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["validate", "nowhere"], "does not exist"),
        (["validate", "file"], "is a file"),
        (["validate"], "Missing argument"),
        (["validate", ".", "--lang", "de"], "'de'"),
        (["validate", ".", "--format", "pdf"], "'pdf'"),
        (["status", "--lang", "de"], "'de'"),
        (["sample", "full"], "new or empty folder"),
        (["sample", "file"], "new or empty folder"),
        (["sample", "new", "--pictures", "0"], "greater than or equal to 1"),
        (["sample", "new", "--format", "gif"], "'gif'"),
        (["frobnicate"], "No such command"),
        (["stage", "full"], "expected one of --user and --sas"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_wrong(
    arguments: list[str], says: str, nachet: Nachet, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")

    done = nachet(*arguments)

    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "full"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"NACHET_DECODE_SECONDS": "soon"}, "nachet: NACHET_DECODE_SECONDS: "),
        ({"NACHET_SEVERITIES_FILE": "nowhere.yaml"}, "nachet: NACHET_SEVERITIES_FILE: nowhere.yaml cannot be read"),
        ({"NACHET_TYPO": "1"}, "nachet: NACHET_TYPO: there is no such setting"),
        ({"NACHET_DATABASE_URL": "mysql://u:s3cret@h/d"}, "nachet: NACHET_DATABASE_URL: expected postgresql://"),
    ],
)
def test_a_wrong_setting_exits_with_2_and_one_line_without_its_secret(
    settings: dict[str, str], says: str, good: Path, nachet: Nachet
) -> None:
    done = nachet("validate", str(good), **settings)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(says)
    assert len(done.stderr.splitlines()) == 1
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize("arguments", [["status"], ["user", "add", "ada@example.org"], ["db", "upgrade"]])
def test_a_service_that_does_not_answer_exits_with_3_and_one_line_without_its_password(
    arguments: list[str], nachet: Nachet
) -> None:
    done = nachet(
        *arguments,
        NACHET_DATABASE_URL="postgresql://ada:s3cret@127.0.0.1:1/nachet",
        NACHET_BLOB_ACCOUNT_URL="http://127.0.0.1:1/account",
        NACHET_BLOB_KEY="czNjcmV0",
        NACHET_SECRET_KEYS=Fernet.generate_key().decode(),
    )

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("nachet: ")
    assert len(done.stderr.splitlines()) == 1
    assert "s3cret" not in done.stderr


def test_help_names_the_commands_and_the_exit_codes(nachet: Nachet) -> None:
    done = nachet("--help")

    assert done.returncode == 0
    for word in ("sample", "validate", "stage", "import", "status", "Exit codes"):
        assert word in done.stdout


def test_a_machine_short_of_memory_is_told_in_a_line_and_refuses_no_picture(
    good: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nachet_pipeline.pictures.decoding_pool.DecodingPool", DyingPool)
    monkeypatch.setattr(workers, "_PAUSE", 0.01)
    monkeypatch.setattr(sys, "argv", ["nachet", "validate", str(good)])

    with pytest.raises(SystemExit) as ended:
        main()

    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (3, "")
    assert said.err.splitlines()[-1] == (
        "nachet: Decoders: they are killed from outside (code -9), 4 times in a row, as on a machine short of memory;"
        " give the machine more memory, or lower NACHET_DECODE_WORKERS or NACHET_DECODE_MEMORY_MIB"
    )
