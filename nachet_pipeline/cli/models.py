"""`nachet model`: models, their versions, and which of them were champions."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nachet_pipeline.cli.terminal import (
    REFUSED,
    DoneByOption,
    JsonOption,
    WhyOption,
    note,
    open_services,
    write,
    write_json,
    write_result,
)

app = typer.Typer(no_args_is_help=True, help="Models and their versions: what makes predictions.")
champion_app = typer.Typer(no_args_is_help=True, help="Which version of a model counts as the best one.")
app.add_typer(champion_app, name="champion")
key_app = typer.Typer(no_args_is_help=True, help="Keys: each opens the container of one model's predictions.")
app.add_typer(key_app, name="key")

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A model's name.")]
VersionArgument = Annotated[str, typer.Argument(metavar="NAME@VERSION", help="A version of a model.")]


@app.command()
def register(
    files: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="YAML files, a model each; or JSON of the predecessor's pipelines and models.",
        ),
    ],
    by: DoneByOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Register models and their versions, with a container for the predictions of each.

    What is registered already is found again. A version never changes: with anything else in it, it is refused.
    """
    from nachet_pipeline.models.formatting import version_line, version_record
    from nachet_pipeline.models.model_file import read_model_file
    from nachet_pipeline.models.registering import register_models

    documents = [document for file in files for document in read_model_file(file)]
    with open_services(start=True) as opened:
        done = register_models(opened.database, opened.blobs, documents, by=by)
    if as_json:
        write_json([{**version_record(one.version), "new": one.new} for one in done])
        return
    write(*(f"{version_line(one.version)}{'' if one.new else ', as before'}" for one in done))


@app.command("list")
def list_(
    model: Annotated[str | None, typer.Argument(help="Only versions of this model.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List all versions, the one that was registered last first within each model."""
    from nachet_pipeline.models.formatting import version_line, version_record
    from nachet_pipeline.models.queries import model_versions

    with open_services() as opened, opened.database.reading() as connection:
        found = model_versions(connection, model)
    if as_json:
        write_json([version_record(one) for one in found])
    else:
        write(*map(version_line, found))


@app.command()
def show(version: VersionArgument, *, as_json: JsonOption = False) -> None:
    """Show a version: what it was trained on, where its weights are, and what its classes mean."""
    from nachet_pipeline.models.formatting import version_lines, version_record
    from nachet_pipeline.models.queries import classes_of, version_named

    with open_services() as opened, opened.database.reading() as connection:
        found = version_named(connection, version)
        classes = classes_of(connection, found.id)
    if as_json:
        write_json(version_record(found, classes))
    else:
        write(*version_lines(found, classes))


@app.command()
def evaluate(
    version: VersionArgument,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|NAME@DIGEST",
            help="The training set whose test split it is judged by; if not given, the one that it was trained on.",
        ),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a version by what it predicted of a test split, and compare it with the champion."""
    from nachet_pipeline.models.evaluation.evaluating import evaluate as evaluate_version
    from nachet_pipeline.models.evaluation.formatting import evaluation_lines, evaluation_record

    with open_services() as opened:
        done = evaluate_version(opened.database, version, on=on, limits=opened.settings.evaluation)
    write_result(done, evaluation_record, evaluation_lines, as_json=as_json)
    if not done.passed:
        raise typer.Exit(REFUSED)


@app.command()
def promote(
    version: VersionArgument,
    why: WhyOption,
    by: DoneByOption = "",
    despite: Annotated[
        list[str] | None,
        typer.Option(
            "--despite", metavar="CHECK", help="A check that warns, and is accepted; may be given several times."
        ),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Name a version that passed its latest evaluation the champion of its model.

    A failed check refuses it. Each warning must be named by --despite. The audit trail keeps who, why and despite what.
    """
    from nachet_pipeline.models.promoting import promote as promote_version

    with open_services() as opened, opened.database.connection() as connection:
        done = promote_version(connection, version, by=by, why=why, despite=despite or ())
    if as_json:
        write_json(
            {
                "version": done.version.name,
                "before": done.before,
                "evaluation": str(done.evaluation.id),
                "despite": done.despite,
                "warnings": done.evaluation.warnings,
                "new": done.new,
            }
        )
        return
    after = f" after {done.before}" if done.new and done.before else "" if done.new else ", as before"
    write(f"{done.version.name} is champion{after}", *done.evaluation.warnings)


@champion_app.command()
def history(model: ModelArgument, *, as_json: JsonOption = False) -> None:
    """List which versions of a model were champions, the latest first: since when, by whom, and why."""
    from nachet_pipeline.models.formatting import champion_line
    from nachet_pipeline.models.queries import champions

    with open_services() as opened, opened.database.reading() as connection:
        found = champions(connection, model)
    if as_json:
        write_json([asdict(one) for one in found])
    else:
        write(*(champion_line(one, model) for one in found))


@key_app.command()
def new(
    model: ModelArgument,
    by: DoneByOption = "",
    *,
    at_once: Annotated[bool, typer.Option("--at-once", help="Revoke the keys before it now: one has leaked.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Issue a key to a model's container of predictions, and print its address; it is shown once and kept nowhere.

    Who has it can put files of predictions there, and read their receipts. Keys before it work on for a while.
    """
    from nachet_pipeline.models.predictions.keys import PredictionKeys

    with open_services() as opened:
        keys = PredictionKeys(opened.database, opened.blobs, opened.settings.key)
        issued = keys.issue(model, actor=by, at_once=at_once)
    if as_json:
        write_json({**asdict(issued), "url": issued.url.get_secret_value()})
        return
    write(issued.url.get_secret_value())
    note(f"until {issued.expires_at:%Y-%m-%d}; put files into the folder of a version, such as 1.2.0/monday.jsonl")
    if issued.former_until:
        note(f"keys before it work on until {issued.former_until:%Y-%m-%d %H:%M} UTC")


@key_app.command()
def revoke(model: ModelArgument, by: DoneByOption = "") -> None:
    """Let no key to a model's container of predictions work any more; `new` issues another."""
    from nachet_pipeline.models.predictions.keys import PredictionKeys

    with open_services() as opened:
        found = PredictionKeys(opened.database, opened.blobs, opened.settings.key).revoke(model, actor=by)
    write(f"{found} keys revoked" if found != 1 else "1 key revoked")
