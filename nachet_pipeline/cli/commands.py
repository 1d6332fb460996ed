"""All commands: each group has a module; here they are put together."""

import typer

from nachet_pipeline.cli import (
    authoring,
    crops,
    database,
    duplicates,
    folders,
    judgements,
    labels,
    machine,
    mail,
    mass_import,
    models,
    predictions,
    reliability,
    reprocessing,
    secrets,
    species,
    story,
    tracing,
    training_sets,
    uploads,
    users,
    validation,
    webhooks,
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    help="Import folders of seed photographs: staged folder → validated manifest → Blob storage → PostgreSQL →"
    " training set.\n\nWithout NACHET_DATABASE_URL and NACHET_BLOB_ACCOUNT_URL, services of this machine are used;"
    " they are started when needed and stopped at the end, or kept running by `nachet up`.\n\nExit codes: 0 done,"
    " 1 refused (the findings say why), 2 wrong usage or setting, 3 a service does not answer or a disk is full.",
)
for group in (authoring, crops, validation, uploads, mass_import, reprocessing, machine, story, tracing):
    app.add_typer(group.app)
app.add_typer(users.app, name="user")
app.add_typer(mail.app, name="mail")
app.add_typer(secrets.app, name="secrets")
app.add_typer(species.app, name="species")
app.add_typer(webhooks.app, name="webhook")
app.add_typer(database.app, name="db")
app.add_typer(duplicates.app, name="duplicates")
app.add_typer(labels.app, name="labels")
app.add_typer(judgements.app, name="judge")
app.add_typer(training_sets.app, name="training-set")
app.add_typer(models.app, name="model")
app.add_typer(predictions.app, name="predictions")
app.add_typer(reliability.app)
app.add_typer(folders.app, name="folder")
app.add_typer(folders.trail_app)
