"""`nachet story`: what models and people say, made up, to look at on the pipeline of this machine."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

import io
import shlex
import tempfile
from contextlib import nullcontext, redirect_stdout
from pathlib import Path

import typer

from nachet_pipeline.cli.terminal import note, open_services, read_settings
from nachet_pipeline.settings import SettingsError

app = typer.Typer()


@app.command()
def story(context: typer.Context) -> None:
    """Tell the story of a model on this machine's pipeline: two versions, fifty judgements, evaluations, a champion.

    Everything is made up: drawn photographs, and answers that are simulated from what they show. The commands that a
    person would type are run and shown. Only on a pipeline of this machine, such as that of `make demo`.
    """
    from nachet_pipeline.identifiers import predictions_container
    from nachet_pipeline.local.embedded import meant
    from nachet_pipeline.local.story import EMAIL, EXPERT, MODEL, NAME, OTHER_EXPERT, write_model, write_story
    from nachet_pipeline.training.queries import version_of

    if not meant(read_settings()):
        raise SettingsError("NACHET_DATABASE_URL: is set; a made-up story is told on a pipeline of this machine alone")
    root = context.find_root().command

    def nachet(*arguments: object, shown: bool = True) -> None:
        words = [str(one) for one in arguments]
        note(f"\n$ nachet {shlex.join(words)}")
        with nullcontext() if shown else redirect_stdout(io.StringIO()):
            root.main(words, prog_name="nachet", standalone_mode=False)

    with tempfile.TemporaryDirectory(prefix="nachet-story-") as place, open_services():
        written = write_story(Path(place) / "story")
        nachet("user", "add", EMAIL)
        nachet("import", written.project, "--user", EMAIL, "--name", "story", shown=False)
        nachet("training-set", "build", NAME, "--recipes", written.recipe)
        with open_services() as opened, opened.database.reading() as connection:
            version = version_of(connection, NAME)
        nachet("model", "register", write_model(Path(place), f"{NAME}@{version.digest}"))
        for name, file in written.predictions.items():
            nachet("predictions", "import", file, "--model", f"{MODEL}@{name}")
            nachet("model", "evaluate", f"{MODEL}@{name}")
            if name == "1.0":
                nachet("model", "promote", f"{MODEL}@{name}", "--why", "the first")
        for email in (EXPERT, OTHER_EXPERT):
            nachet("judge", "experts", "add", email, "--by", EMAIL, "--why", "part of the story")
        nachet("judge", "import", written.judgements)
        with open_services() as opened:
            # As if they had been delivered: so the UI shows what arrived, and evaluates it.
            for name, file in written.predictions.items():
                content = file.read_bytes()
                blob, mime = f"{name}/{file.name}", "application/json"
                container = predictions_container(MODEL)
                opened.blobs.upload(container, blob, content, content_type=mime, overwrite=True)
    note(
        f"\nIn about two minutes the UI shows both versions: group `models`, asset `model_evaluation`, {MODEL}@2.0."
        f" Whether it shall be champion is for you to say: nachet model promote {MODEL}@2.0 --why ..."
    )
