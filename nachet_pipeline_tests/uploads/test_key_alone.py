"""What an uploader does with nothing but an upload key: correct, withdraw, ask, wait."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from nachet_pipeline.contract.marks import COMPLETE_MARKER, STAGING, WITHDRAWN_MARKER
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.local.sample import sample_picture
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.uploads import following
from nachet_pipeline.uploads.discovery import FolderSnapshot, queue
from nachet_pipeline.uploads.following import Standing
from nachet_pipeline.uploads.importing import fail_upload
from nachet_pipeline.uploads.queries import search_uploads
from nachet_pipeline.uploads.staging import stage_folder
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline.users.upload_address import UploadAddress
from nachet_pipeline_tests.command import Answer, Nachet
from nachet_pipeline_tests.users.keys import shown_url
from nachet_pipeline_tests.workbench import Workbench, edit, files_of, pipeline_runs

SESSION = "pictures/session1"


@pytest.fixture(scope="module")
def sas(bench: Workbench) -> str:
    return shown_url(bench)


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The uploader's machine knows of no pipeline, and waits are short."""
    monkeypatch.chdir(tmp_path)
    for name in ("NACHET_DATABASE_URL", "NACHET_BLOB_ACCOUNT_URL", "NACHET_BLOB_KEY", "NACHET_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(following, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(following, "LONGEST_PAUSE", 0.1)


def upload_named(bench: Workbench, folder: str) -> Upload:
    with bench.database.connection() as connection:
        (found,) = search_uploads(connection, folder)
    return found


def receipt_of(bench: Workbench, folder: str) -> Receipt:
    receipt = upload_named(bench, folder).receipt
    assert receipt is not None
    return receipt


def picture(number: int) -> bytes:
    return sample_picture(number, picture_format="png", width=64, height=48)


def document(folder: Path) -> Path:
    return folder / SESSION / "index.yaml"


# The ten commonest mistakes


@dataclass(frozen=True)
class Mistake:
    """What somebody does wrong, how it is mended on their machine, and whether pictures go or change by that."""

    do: Callable[[Path], object]
    mend: Callable[[Path], object]
    replace: bool = False


def rename(folder: Path, name: str, to: str) -> None:
    (folder / to).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).rename(folder / to)


def write(folder: Path, name: str, content: bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def remove_damaged(folder: Path) -> None:
    (folder / SESSION / "2.png").unlink()
    edit(document(folder), "imageData", numberOfImages=1)


def nest(folder: Path) -> None:
    for name in ("index.yaml", "pictures"):
        rename(folder, name, f"trip/{name}")


def unnest(folder: Path) -> None:
    for name in ("index.yaml", "pictures"):
        rename(folder, f"trip/{name}", name)


def take_session_out(folder: Path) -> None:
    for file in (folder / "pictures/session2").iterdir():
        file.unlink()
    (folder / "pictures/session2").rmdir()


def mend_and_add_session(folder: Path) -> None:
    edit(document(folder), "seedData", seedSpecies="napus", seedGenus="Brassica", seedFamily="Brassicaceae")
    write(folder, "pictures/extra/index.yaml", (folder / "pictures/session2/index.yaml").read_bytes())
    for number in (1, 2):
        write(folder, f"pictures/extra/{number}.png", picture(900 + number))


MISTAKES = {
    "a stray file": Mistake(
        lambda folder: write(folder, "field notes.docx", b"PK\3\4 seen today"),
        lambda folder: (folder / "field notes.docx").unlink(),
    ),
    "a picture under the suffix of another format": Mistake(
        lambda folder: rename(folder, f"{SESSION}/2.png", f"{SESSION}/2.jpg"),
        lambda folder: rename(folder, f"{SESSION}/2.jpg", f"{SESSION}/2.png"),
    ),
    "a damaged picture that is taken out": Mistake(
        lambda folder: write(folder, f"{SESSION}/2.png", picture(801)[:-200]), remove_damaged, replace=True
    ),
    "a damaged picture that is sent anew under its name": Mistake(
        lambda folder: write(folder, f"{SESSION}/2.png", picture(802)[:-200]),
        lambda folder: write(folder, f"{SESSION}/2.png", picture(802)),
        replace=True,
    ),
    "a damaged picture that is sent anew under another name": Mistake(
        lambda folder: write(folder, f"{SESSION}/2.png", picture(803)[:-200]),
        lambda folder: (
            (folder / SESSION / "2.png").unlink(),
            write(folder, f"{SESSION}/2 again.png", picture(803)),
        ),
        replace=True,
    ),
    "a misspelt species": Mistake(
        lambda folder: edit(document(folder), "seedData", seedGenus="Brassica", seedSpecies="nappus"),
        lambda folder: edit(document(folder), "seedData", seedSpecies="napus", seedFamily="Brassicaceae"),
    ),
    "a picture that was forgotten": Mistake(
        lambda folder: edit(document(folder), "imageData", numberOfImages=3),
        lambda folder: write(folder, f"{SESSION}/3.png", picture(804)),
    ),
    "a wrong species, and a session that was forgotten": Mistake(
        lambda folder: edit(document(folder), "seedData", seedGenus="Canola", seedSpecies="unheard"),
        mend_and_add_session,
    ),
    "a session that does not belong there": Mistake(
        lambda folder: (folder / "pictures/session2/index.yaml").unlink(), take_session_out, replace=True
    ),
    "everything one folder too deep": Mistake(nest, unnest),
    "a suffix that Windows does not show": Mistake(
        lambda folder: write(folder, f"{SESSION}/1.yaml.txt", b"userData: {zoom: 12}"),
        lambda folder: rename(folder, f"{SESSION}/1.yaml.txt", f"{SESSION}/1.yaml"),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_that_was_refused_is_corrected_by_one_try_with_the_key_alone(
    bench: Workbench, sas: str, command: Nachet, name: str
) -> None:
    mistake = MISTAKES[name]
    folder = bench.sample(f"p{list(MISTAKES).index(name)}", sessions=2, seed=100 * list(MISTAKES).index(name))
    mistake.do(folder)
    assert command("stage", folder, "--sas", sas).code == 0
    pipeline_runs(bench)
    assert upload_named(bench, folder.name).state is State.REFUSED

    mistake.mend(folder)
    how = ["--sas", sas, *(["--replace"] if mistake.replace else [])]
    answer = command("stage", folder, *how)
    assert answer.code == 0, answer.err
    pipeline_runs(bench)

    receipt = receipt_of(bench, folder.name)
    assert receipt.state is State.IMPORTED, receipt.report
    pictures = [path for path in files_of(folder) if path.endswith(".png")]
    assert receipt.pictures == len(pictures)
    assert {one.session for one in receipt.picture_sets} == {path.rpartition("/")[0] for path in pictures}
    assert receipt.submission == json.loads(command("stage", folder, *how, "--json").out)["submission"]
    assert command("stage", folder, "--sas", sas).code == 0  # what was replaced once is not asked about again


def test_pictures_that_vanish_or_change_are_asked_about_first_and_the_error_is_right_for_a_key(
    bench: Workbench, sas: str, command: Nachet
) -> None:
    folder = bench.sample("asked", seed=3000)
    command("stage", folder, "--sas", sas)
    (folder / SESSION / "2.png").unlink()

    refused = command("stage", folder, "--sas", sas)

    assert refused.code == 1
    assert "2.png (only there); use --replace if yours is its correction" in refused.err
    assert "key" not in refused.err
    assert command("stage", folder, "--sas", sas, "--replace").code == 0


# Corrections of what is imported


@pytest.mark.parametrize("by_key", [True, False], ids=["key", "operator"])
def test_a_picture_that_is_not_listed_any_more_counts_as_deleted(
    bench: Workbench, sas: str, command: Nachet, monkeypatch: pytest.MonkeyPatch, *, by_key: bool
) -> None:
    folder = bench.sample(f"corrected-{by_key}", pictures=3, seed=4000 + 100 * by_key)
    if not by_key:
        monkeypatch.setenv("NACHET_DATABASE_URL", bench.database_url.get_secret_value())
        monkeypatch.setenv("NACHET_BLOB_ACCOUNT_URL", bench.blobs.account_url)
        monkeypatch.setenv("NACHET_BLOB_KEY", bench.blob_key.get_secret_value())
    how = ["--sas", sas] if by_key else ["--user", bench.user.email]
    assert command("stage", folder, *how).code == 0
    pipeline_runs(bench)

    (folder / SESSION / "3.png").unlink()
    rename(folder, f"{SESSION}/2.png", f"{SESSION}/renamed.png")
    edit(document(folder), "imageData", numberOfImages=2)
    assert command("stage", folder, *how, "--replace").code == 0
    pipeline_runs(bench)

    receipt = receipt_of(bench, folder.name)
    assert receipt.correction is not None
    assert receipt.state is State.IMPORTED
    assert (receipt.correction.removed, receipt.correction.added, receipt.correction.unchanged) == (1, 0, 2)
    assert "pictures-taken-out" in receipt.report.codes if receipt.report else False


def test_a_key_says_that_what_was_sent_long_ago_is_replaced(bench: Workbench, sas: str, command: Nachet) -> None:
    folder = bench.sample("cleared", seed=4500)
    command("stage", folder, "--sas", sas)
    pipeline_runs(bench)
    for path in bench.blobs.files(bench.user.upload_container, "cleared"):  # as retention does
        bench.blobs.delete(bench.user.upload_container, f"cleared/{path.path}")
    for number in (1, 2):
        write(folder, f"{SESSION}/{number}.png", picture(4600 + number))

    assert command("stage", folder, "--sas", sas, "--replace").code == 0
    pipeline_runs(bench)

    receipt = receipt_of(bench, "cleared")
    assert receipt.correction is not None
    assert (receipt.correction.removed, receipt.correction.added) == (2, 2)


def test_a_file_that_another_program_adds_to_a_listed_folder_is_told_and_taken_once_the_list_is_gone(
    bench: Workbench, sas: str, command: Nachet
) -> None:
    folder = bench.sample("added", seed=4700)
    command("stage", folder, "--sas", sas)
    pipeline_runs(bench)
    bench.put(f"added/{SESSION}/3.png", picture(4750))

    pipeline_runs(bench)
    told = receipt_of(bench, "added")
    assert told.report is not None
    assert (told.state, told.pictures, set(told.report.codes)) == (State.IMPORTED, 2, {"not-listed"})

    bench.put(f"added/{COMPLETE_MARKER}", b"")
    pipeline_runs(bench)
    receipt = receipt_of(bench, "added")
    assert receipt.report is not None
    assert "surplus-picture" in receipt.report.codes


def test_waiting_goes_on_if_an_operator_wants_something_else_of_the_same_folder(
    bench: Workbench, command: Nachet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NACHET_DATABASE_URL", bench.database_url.get_secret_value())
    monkeypatch.setenv("NACHET_BLOB_ACCOUNT_URL", bench.blobs.account_url)
    monkeypatch.setenv("NACHET_BLOB_KEY", bench.blob_key.get_secret_value())
    folder = bench.sample("wanted", sessions=2, seed=4800)
    edit(document(folder), "seedData", seedSpecies="nappus")
    how = ("--user", bench.user.email, "--wait", "--timeout", 0)
    command("stage", folder, *how)
    pipeline_runs(bench)
    assert command("stage", folder, *how).code == 1
    assert command("stage", folder, *how, "--accept-valid").code == 3
    pipeline_runs(bench)
    partly = command("stage", folder, *how, "--accept-valid")
    assert (partly.code, partly.out.split()[0]) == (1, "PARTLY_IMPORTED")


# Interrupted


@pytest.mark.parametrize("marked", [True, False], ids=["with a marker", "sent by a program that writes none"])
def test_a_folder_that_is_half_changed_is_not_imported_and_the_same_command_ends_well(
    bench: Workbench, sas: str, command: Nachet, *, marked: bool
) -> None:
    name = "half" if marked else "half-unmarked"
    folder = bench.sample(name, pictures=3, seed=5000 if marked else 5500)
    if marked:
        command("stage", folder, "--sas", sas)
        pipeline_runs(bench)
    else:
        for path, content in files_of(folder).items():
            bench.put(f"{name}/{path}", content)
        pipeline_runs(bench, after=timedelta(seconds=bench.settings.arrival.settle_seconds + 5))
    assert upload_named(bench, name).state is State.IMPORTED
    for number in (1, 2, 3):
        write(folder, f"{SESSION}/{number}.png", picture(5100 + number + 100 * marked))
    address = UploadAddress.parse(sas)

    class Killed(BlobStorage):
        left = 2

        def upload(self, *arguments: object, **settings: object) -> object:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            return super().upload(*arguments, **settings)  # type: ignore[arg-type]

    with Killed.connect_by_sas(address.account_url, address.sas) as blobs, pytest.raises(KeyboardInterrupt):
        stage_folder(blobs, LocalFolder(folder), address.container, name, replace=True, may_delete=False, concurrency=1)

    assert bench.blobs.read(address.container, f"{name}/{COMPLETE_MARKER}") == STAGING
    assert not bench.due(after=timedelta(seconds=bench.settings.arrival.settle_seconds + 5))
    standing = command("status", name, "--sas", sas)
    assert (standing.code, "not complete: it is being staged" in standing.out) == (3, True)

    pipeline_runs(bench, after=timedelta(seconds=bench.settings.arrival.quiet_seconds + 5))
    refused = receipt_of(bench, name)
    assert refused.report is not None
    assert (refused.state, set(refused.report.codes)) == (State.REFUSED, {"staging-interrupted"})

    assert command("stage", folder, "--sas", sas, "--replace").code == 0
    pipeline_runs(bench)
    assert upload_named(bench, name).state is State.IMPORTED


# Withdrawn


def test_a_folder_that_its_user_gives_up_is_not_imported_and_is_no_error(
    bench: Workbench, sas: str, command: Nachet
) -> None:
    folder = bench.sample("given up", seed=6000)
    write(folder, "notes.docx", b"x")
    command("stage", folder, "--sas", sas)
    pipeline_runs(bench)
    assert upload_named(bench, "given up").state is State.REFUSED

    assert command("stage", "given up", "--withdraw", "--sas", sas).code == 0
    assert not bench.due()

    upload = upload_named(bench, "given up")
    assert upload.state is State.WITHDRAWN
    receipt = bench.receipt(upload)
    assert receipt == upload.receipt
    assert receipt.explanation is not None
    assert receipt.explanation.en.startswith("The folder was withdrawn: nothing of it is imported.")
    shown = command("status", "given up", "--sas", sas)
    assert (shown.code, "WITHDRAWN given up" in shown.out) == (0, True)
    before = receipt
    assert not bench.due()  # and it is not closed again and again
    assert bench.receipt(upload) == before

    (folder / "notes.docx").unlink()
    assert command("stage", folder, "--sas", sas).code == 0
    pipeline_runs(bench)
    assert upload_named(bench, "given up").state is State.IMPORTED


def test_withdrawing_what_is_imported_removes_nothing(bench: Workbench, sas: str, command: Nachet) -> None:
    folder = bench.sample("regretted", seed=6100)
    command("stage", folder, "--sas", sas)
    pipeline_runs(bench)
    imported, stored = upload_named(bench, "regretted"), bench.stored_pictures()
    assert imported.receipt is not None

    answer = command("stage", "regretted", "--withdraw", "--sas", sas, "--json")
    assert not bench.due()

    receipt = receipt_of(bench, "regretted")
    assert receipt.explanation is not None
    assert receipt.state is State.WITHDRAWN
    assert "What was imported of it before stays" in receipt.explanation.en
    assert receipt.picture_sets == imported.receipt.picture_sets
    assert receipt.submission == json.loads(answer.out)["submission"]
    assert bench.stored_pictures() == stored

    # Nothing changed but the mark, and yet staging takes it back.
    assert command("stage", folder, "--sas", sas).code == 0
    pipeline_runs(bench)
    again = receipt_of(bench, "regretted")
    assert (again.state, again.submission) == (State.IMPORTED, imported.receipt.submission)


def test_a_folder_that_is_withdrawn_while_its_run_waits_is_not_imported(
    bench: Workbench, sas: str, command: Nachet
) -> None:
    folder = bench.sample("late", seed=6200)
    command("stage", folder, "--sas", sas)
    arrivals = bench.due()
    queue(bench.database, arrivals)
    command("stage", "late", "--withdraw", "--sas", sas)

    outcome = bench.run(upload_named(bench, "late"))

    assert outcome.receipt.state is State.WITHDRAWN
    assert bench.receipt(outcome.upload).state is State.WITHDRAWN
    assert not bench.due()


def test_a_folder_may_be_withdrawn_before_the_pipeline_saw_it(bench: Workbench, sas: str, command: Nachet) -> None:
    folder = bench.sample("early", seed=6300)
    command("stage", folder, "--sas", sas)
    waiting = command("stage", folder, "--withdraw", "--sas", sas, "--wait", "--timeout", 0)
    assert waiting.code == 3
    assert not bench.due()
    assert upload_named(bench, "early").state is State.WITHDRAWN
    assert command("stage", folder, "--withdraw", "--sas", sas, "--wait").code == 0


def test_what_is_not_staged_cannot_be_withdrawn(bench: Workbench, sas: str, command: Nachet) -> None:
    answer = command("stage", "never sent", "--withdraw", "--sas", sas)
    assert (answer.code, answer.err) == (1, "nachet: no folder never sent is staged; nothing is withdrawn\n")
    assert f"never sent/{WITHDRAWN_MARKER}" not in bench.versions(bench.user.upload_container)


# Asking and waiting


def test_where_a_folder_stands_is_told_from_what_lies_in_the_container(
    bench: Workbench, sas: str, command: Nachet, tmp_path: Path
) -> None:
    assert "no folder asked-about is staged" in command("status", "asked-about", "--sas", sas).err
    folder = bench.sample("asked-about", seed=7000)
    sent = json.loads(command("stage", folder, "--sas", sas, "--json").out)

    waiting = command("status", folder, "--sas", sas, "--json")
    assert waiting.code == 3
    told = json.loads(waiting.out)
    assert (told["submission"], told["complete"], told["files"]) == (
        sent["submission"],
        True,
        len(files_of(folder)) + 1,
    )
    assert told["reason"] == "it is marked as complete; no run has looked at it yet"

    pipeline_runs(bench)
    done = command("status", "asked-about", "--sas", sas)
    assert (done.code, done.out.splitlines()[0]) == (0, f"IMPORTED asked-about ({sent['upload']})")

    edit(document(folder), "userData", zoom=0)
    command("stage", folder, "--sas", sas)
    older = command("status", "asked-about", "--sas", sas)
    assert (older.code, "the receipt there is of an earlier submission (imported)" in older.out) == (3, True)
    pipeline_runs(bench)
    assert command("status", "asked-about", "--sas", sas).code == 1
    assert not list(tmp_path.iterdir())  # nothing was started on the uploader's machine


def in_the_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_waiting_ends_with_the_verdict_on_what_was_sent_and_with_no_older_one(
    bench: Workbench, sas: str, command: Nachet
) -> None:
    folder = bench.sample("awaited", seed=8000)
    command("stage", folder, "--sas", sas)
    pipeline_runs(bench)
    edit(document(folder), "seedData", seedSpecies="nappus")
    answers: list[Answer] = []

    def import_once_it_is_staged() -> None:
        until = time.monotonic() + 60
        while not (arrivals := bench.due()) and time.monotonic() < until:
            time.sleep(0.2)
        queue(bench.database, arrivals)
        for arrival in arrivals:
            bench.run(bench.now(arrival.upload))

    pipeline = in_the_background(import_once_it_is_staged)
    answers.append(command("stage", folder, "--sas", sas, "--wait", "--json"))
    pipeline.join()

    (answer,) = answers
    assert answer.code == 1
    receipt = Receipt.model_validate_json(answer.out)
    assert (receipt.state, receipt.folder) == (State.REFUSED, "awaited")
    assert f"submission {receipt.submission}" in answer.err
    assert "awaited: it waits for the pipeline; the receipt there is of an earlier submission (imported)" in answer.err

    # Staged again without a change, the receipt that is there is the answer: nobody will write another.
    again = command("stage", folder, "--sas", sas, "--wait", "--timeout", 0)
    assert (again.code, again.out.splitlines()[0].split()[0]) == (1, "REFUSED")


def test_waiting_ends_in_time_and_a_failed_import_is_told(bench: Workbench, sas: str, command: Nachet) -> None:
    folder = bench.sample("slow", seed=8100)
    late = command("stage", folder, "--sas", sas, "--wait", "--timeout", 0.2)
    assert late.code == 3
    assert "there is no receipt of this submission of slow after 0.2 s" in late.err

    queue(bench.database, bench.due())
    fail_upload(bench.database, bench.blobs, upload_named(bench, "slow"), "the disk of the pipeline is full")
    failed = command("stage", folder, "--sas", sas, "--wait")
    assert failed.code == 3
    assert "the disk of the pipeline is full" in failed.err


def test_an_outage_while_waiting_is_told_once(
    bench: Workbench, sas: str, command: Nachet, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bench.sample("outage", seed=8150)
    errors = iter(range(1000))

    def away(*_: object) -> None:
        raise StorageError(f"no answer in {next(errors)} ms")

    monkeypatch.setattr("nachet_pipeline.uploads.importing.read_receipt", away)
    sent = FolderSnapshot("digest", 1, 1, complete=True, reason="")
    monkeypatch.setattr(
        "nachet_pipeline.client.place.Place.look", lambda *_: Standing("outage", sent, None, answered=False)
    )
    answer = command("stage", folder, "--sas", sas, "--wait", "--timeout", 0.5)

    assert answer.err.count("waiting goes on") == 1


@pytest.mark.parametrize(("withdrawn", "code"), [(True, 1), (False, 3)], ids=["withdrawn", "changed"])
def test_waiting_ends_when_somebody_else_changes_the_folder_meanwhile(
    bench: Workbench, sas: str, command: Nachet, monkeypatch: pytest.MonkeyPatch, *, withdrawn: bool, code: int
) -> None:
    monkeypatch.setattr(following, "LOOK_PAUSE", 0.1)
    folder = bench.sample(f"contested-{withdrawn}", seed=8200 + withdrawn)

    def meddled_with(*known: object) -> str:  # once the waiting has begun
        bench.put(f"{folder.name}/{WITHDRAWN_MARKER if withdrawn else 'index.yaml'}", b"")
        return "it waits"

    monkeypatch.setattr(following, "progress_of", meddled_with)
    answer = command("stage", folder, "--sas", sas, "--wait", "--timeout", 60)

    assert answer.code == code
    assert f"{folder.name} was {'withdrawn' if withdrawn else 'changed'} meanwhile" in answer.err


def test_a_receipt_that_was_written_without_a_look_answers_what_was_staged_before_it(
    bench: Workbench, sas: str, command: Nachet
) -> None:
    folder = bench.sample("unlooked", seed=8300)
    command("stage", folder, "--sas", sas)
    pipeline_runs(bench)
    edit(document(folder), "userData", zoom=9)
    command("stage", folder, "--sas", sas)
    assert command("status", folder, "--sas", sas).code == 3
    upload = upload_named(bench, "unlooked")
    receipt = fail_upload(bench.database, bench.blobs, upload, "it cannot be looked at", looked_at=False)
    assert receipt is not None
    assert receipt.submission is None

    told = command("status", folder, "--sas", sas)

    assert (told.code, "it cannot be looked at" in told.err) == (3, True)
    time.sleep(1)  # the service's clock counts whole seconds
    edit(document(folder), "userData", zoom=10)
    late = command("stage", folder, "--sas", sas, "--wait", "--timeout", 0)
    assert "the receipt there is of an earlier submission (failed)" in late.err


def test_no_output_of_a_command_holds_the_key(bench: Workbench, sas: str, command: Nachet) -> None:
    folder = bench.sample("secret", seed=9000)
    signature = sas.partition("sig=")[2].partition("&")[0]
    for arguments in (
        ("stage", folder),
        ("stage", folder, "--json", "--wait", "--timeout", 0),
        ("status", "secret"),
        ("status", "secret", "--json"),
        ("status", "none"),
        ("stage", "secret", "--withdraw", "--json"),
        ("stage", "none", "--withdraw"),
    ):
        answer = command(*arguments, "--sas", sas)
        assert signature not in answer.out + answer.err, arguments
