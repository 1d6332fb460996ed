"""`nachet judge`: what people say of predictions, crops and pictures, and whose word counts."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from typer.core import TyperGroup

from nachet_pipeline.cli.terminal import (
    REFUSED,
    DoneByOption,
    JsonOption,
    LangOption,
    SaidByOption,
    WantedByOption,
    WhyOption,
    note,
    open_services,
    write,
    write_json,
    write_result,
)
from nachet_pipeline.errors import UsageError


class _SayGroup(TyperGroup):
    """Commands of which the first, `say`, need not be typed."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Put `say` before what is no command."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["say", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_SayGroup,
    no_args_is_help=True,
    help="Judgements of predictions, crops and pictures. `nachet judge SUBJECT VERDICT` is short for `say`.",
)
experts_app = typer.Typer(no_args_is_help=True, help="Experts, whose word counts alone.")
app.add_typer(experts_app, name="experts")


class Said(StrEnum):
    """What can be said."""

    RIGHT = "right"
    WRONG = "wrong"
    TAXON = "taxon"
    BOX = "box"
    MISSED = "missed"
    NOT_A_SEED = "not_a_seed"
    UNUSABLE = "unusable"
    UNSURE = "unsure"


class FileFormat(StrEnum):
    """Formats of files of judgements."""

    JSON_LINES = "jsonl"
    CSV = "csv"
    LABEL_STUDIO = "label-studio"
    COCO = "coco"
    FEEDBACK = "feedback"


class TaskFormat(StrEnum):
    """Formats of tasks."""

    LABEL_STUDIO = "label-studio"
    COCO = "coco"


class WhichTasks(StrEnum):
    """Which pictures are to be judged."""

    UNJUDGED = "unjudged"
    DISPUTED = "disputed"
    ALL = "all"


_MOMENTS = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"]

EmailArgument = Annotated[str, typer.Argument(metavar="EMAIL", help="The person's e-mail address.")]
NoteOption = Annotated[str | None, typer.Option("--note", help="What else there is to say.")]


@app.command()
def say(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SUBJECT",
            help="Identifier of a picture or a crop, or of a prediction, with :N for its object N.",
        ),
    ],
    verdict: Annotated[Said, typer.Argument(help="What is said.")],
    by: SaidByOption,
    taxon: Annotated[str | None, typer.Option("--taxon", help="Name or identifier of what it shows.")] = None,
    box: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option("--box", help="Where the object is: left, top, right, bottom, as fractions."),
    ] = None,
    region: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option("--region", help="The region of the picture that is judged, likewise; the whole, if not given."),
    ] = None,
    sure: Annotated[float | None, typer.Option("--sure", min=0, max=1, help="How sure the person is.")] = None,
    remark: NoteOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Say what a prediction, a crop or a picture shows. Nothing is overwritten; your latest word counts."""
    from nachet_pipeline.models.judgements.formatting import recorded_lines, recorded_record
    from nachet_pipeline.models.judgements.judgement import Stated, Verdict, box_of
    from nachet_pipeline.models.judgements.policy import Policy
    from nachet_pipeline.models.judgements.queries import is_prediction
    from nachet_pipeline.models.judgements.recording import record_judgements

    identifier, number = _subject(subject)
    try:
        corrected, judged = (one and box_of(*one) for one in (box, region))
    except ValueError as error:
        raise UsageError(f"--box, --region: {error}") from None
    with open_services() as opened, opened.database.connection() as connection:
        predicted = number is not None or is_prediction(connection, identifier)
        stated = Stated(
            by,
            Verdict(verdict.value),
            datetime.now(UTC),
            prediction=identifier if predicted else None,
            object=number,
            picture=None if predicted else identifier,
            box=judged,
            taxon=taxon,
            corrected_box=corrected,
            sure=sure,
            note=remark,
        )
        policy = Policy.of(opened.settings.judging)
        done = record_judgements(connection, [stated], by=by, source="nachet judge", policy=policy)
    write_result(done, recorded_record, recorded_lines, as_json=as_json)


def _subject(text: str) -> tuple[UUID, int | None]:
    """The identifier and the object that a subject names."""
    name, _, number = text.partition(":")
    try:
        return UUID(name), int(number) if number else None
    except ValueError:
        raise UsageError(f"{text[:80]!r}: expected an identifier, or one with :N for an object") from None


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="The file.")],
    by: DoneByOption = "",
    person: Annotated[str | None, typer.Option("--person", help="Who judged, where the file does not say it.")] = None,
    at: Annotated[
        datetime | None,
        typer.Option("--at", formats=_MOMENTS, help="When, in UTC, where the file does not say it."),
    ] = None,
    file_format: Annotated[
        FileFormat | None, typer.Option("--format", help="Of the file; what its name and content say, if not given.")
    ] = None,
    inferences: Annotated[
        list[Path] | None,
        typer.Option(
            "--inferences",
            exists=True,
            dir_okay=False,
            help="Results of the predecessor's inferences that feedback is about; may be given several times.",
        ),
    ] = None,
    lang: LangOption = "en",
    *,
    as_json: JsonOption = False,
) -> None:
    """Record the judgements of a file: all of them, or none if something is wrong with one.

    JSON Lines or CSV; what Label Studio or a tool for COCO gives back; or the predecessor's feedback.
    """
    from nachet_pipeline.models.judgements.formatting import recorded_lines, recorded_record
    from nachet_pipeline.models.judgements.importing import import_judgements
    from nachet_pipeline.models.judgements.policy import Policy
    from nachet_pipeline.models.judgements.reading import Otherwise
    from nachet_pipeline.models.judgements.recording import JudgementsRefusedError

    otherwise = Otherwise(person, at.replace(tzinfo=UTC) if at else None)
    try:
        with open_services() as opened, opened.database.connection() as connection:
            done = import_judgements(
                connection,
                file,
                by=by,
                policy=Policy.of(opened.settings.judging),
                otherwise=otherwise,
                file_format=file_format.value if file_format else None,
                inferences=inferences or (),
            )
    except JudgementsRefusedError as refused:
        if as_json:
            write_json({"new": 0, "findings": refused.findings.record()})
        else:
            write(*refused.findings.lines(lang, file.name))
        note("nachet: nothing was recorded")
        raise typer.Exit(REFUSED) from None
    write_result(done, recorded_record, recorded_lines, as_json=as_json)
    if not as_json:
        write(*done.findings.lines(lang, file.name))


@app.command()
def tasks(
    version: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="The version whose predictions are judged.")],
    file: Annotated[Path, typer.Argument(dir_okay=False, help="Where the tasks are written, as JSON.")],
    file_format: Annotated[TaskFormat, typer.Option("--format", help="The tool's format.")] = TaskFormat.LABEL_STUDIO,
    which: Annotated[
        WhichTasks, typer.Option("--which", help="Pictures that nobody judged, disputed ones, or all.")
    ] = WhichTasks.UNJUDGED,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="How many pictures at most; the least sure first.")
    ] = 1000,
) -> None:
    """Write what a version predicted as tasks for a tool that people draw with; `import` reads its answers.

    For Label Studio the labelling interface is written beside the file, as .xml.
    """
    import json

    from nachet_pipeline.models.judgements import coco, label_studio
    from nachet_pipeline.models.judgements.tasks import tasks as chosen_tasks
    from nachet_pipeline.models.queries import version_named
    from nachet_pipeline.registry.queries import registered_seeds

    with open_services() as opened, opened.database.reading() as connection:
        model = version_named(connection, version)
        found = chosen_tasks(connection, model.id, model.name, which=which.value, limit=limit)
        taxa = sorted(seed.scientific_name for seed in registered_seeds(connection).by_id.values())
    if file_format is TaskFormat.COCO:
        document: object = coco.exported(found, taxa)
    else:
        document = list(label_studio.exported(found))
        file.with_suffix(".xml").write_text(label_studio.interface(taxa), encoding="utf-8")
    file.write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
    note(f"{len(found)} pictures to judge")


@app.command()
def withdraw(
    judgement: Annotated[UUID, typer.Argument(metavar="JUDGEMENT", help="Identifier; `nachet judge list` has it.")],
    by: SaidByOption,
    why: WhyOption,
    *,
    as_json: JsonOption = False,
) -> None:
    """Take a judgement back: what was said before it counts again."""
    from nachet_pipeline.models.judgements.formatting import recorded_lines, recorded_record
    from nachet_pipeline.models.judgements.policy import Policy
    from nachet_pipeline.models.judgements.recording import withdraw_judgement

    with open_services() as opened, opened.database.connection() as connection:
        policy = Policy.of(opened.settings.judging)
        done = withdraw_judgement(connection, judgement, by=by, why=why, policy=policy)
    write_result(done, recorded_record, recorded_lines, as_json=as_json)


@app.command("list")
def list_(
    of: Annotated[UUID | None, typer.Option("--of", help="Only those of this picture, crop or prediction.")] = None,
    person: Annotated[str | None, typer.Option("--person", help="Only those of this person.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 1_000_000,
    *,
    as_json: JsonOption = False,
) -> None:
    """List judgements in the order of their times. With --json one line each, which `nachet judge import` reads."""
    from nachet_pipeline.models.judgements.formatting import judgement_line, judgement_record
    from nachet_pipeline.models.judgements.queries import content_of, judgements_page

    with open_services() as opened, opened.database.reading() as connection:
        content = content_of(connection, of) if of else None
        if of and content is None:
            raise UsageError(f"--of: there is no picture, crop or prediction {of}")
        after, left = None, limit
        while left and (
            page := judgements_page(
                connection, contents=[content] if content else None, person=person, after=after, limit=min(left, 500)
            )
        ):
            for one in page:
                write_result(one, judgement_record, judgement_line, as_json=as_json)
            after, left = (page[-1].judgement.at, page[-1].judgement.id), left - len(page)


@app.command("apply")
def apply_(by: WantedByOption, *, as_json: JsonOption = False) -> None:
    """Decide anew what all judgements come to: after the settings or the registry changed."""
    from dataclasses import asdict

    from nachet_pipeline.models.judgements.outcomes import apply_all
    from nachet_pipeline.models.judgements.policy import Policy

    with open_services() as opened:
        done = apply_all(opened.database, Policy.of(opened.settings.judging), by=by)
    write_result(
        done,
        asdict,
        lambda one: f"{one.subjects} outcomes changed, {one.labels} labels, {one.verified} pictures verified or not",
        as_json=as_json,
    )


@experts_app.command()
def add(email: EmailArgument, by: WantedByOption, why: WhyOption) -> None:
    """Name an expert: what they say, and said, counts alone."""
    from nachet_pipeline.models.judgements.experts import name_expert
    from nachet_pipeline.models.judgements.policy import Policy

    with open_services() as opened, opened.database.connection() as connection:
        done = name_expert(connection, email, by=by, why=why, policy=Policy.of(opened.settings.judging))
    note(f"{done.subjects} outcomes changed")


@experts_app.command()
def remove(email: EmailArgument, by: WantedByOption, why: WhyOption) -> None:
    """Let somebody be an expert no more: what they say, and said, counts as anybody's."""
    from nachet_pipeline.models.judgements.experts import end_expert
    from nachet_pipeline.models.judgements.policy import Policy

    with open_services() as opened, opened.database.connection() as connection:
        done = end_expert(connection, email, by=by, why=why, policy=Policy.of(opened.settings.judging))
    note(f"{done.subjects} outcomes changed")


@experts_app.command("list")
def list_experts(*, as_json: JsonOption = False) -> None:
    """List the experts."""
    from dataclasses import asdict

    from nachet_pipeline.models.judgements.experts import experts

    with open_services() as opened, opened.database.reading() as connection:
        for one in experts(connection):
            write_result(
                one,
                asdict,
                lambda one: f"{one.email}  since {one.named_at:%Y-%m-%d}  named by {one.named_by}: {one.why}",
                as_json=as_json,
            )
