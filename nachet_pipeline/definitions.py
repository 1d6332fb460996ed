"""What Dagster loads: the groups, merged."""

from dagster import Definitions

from nachet_pipeline.defs.crops import definitions as crops
from nachet_pipeline.defs.executor import one_process
from nachet_pipeline.defs.maintenance import definitions as maintenance
from nachet_pipeline.defs.maintenance.health import WhatRuns
from nachet_pipeline.defs.mass_import import definitions as mass_import
from nachet_pipeline.defs.models import definitions as models
from nachet_pipeline.defs.registry import definitions as registry
from nachet_pipeline.defs.resources import CommandBuild, CommandImport, ImportProgress, of_environment, of_settings
from nachet_pipeline.defs.training import definitions as training
from nachet_pipeline.defs.uploads import definitions as uploads
from nachet_pipeline.settings import Settings, SettingsError


def definitions(
    settings: Settings, progress: ImportProgress | None = None, build: CommandBuild | None = None
) -> Definitions:
    """Everything that Dagster knows of this project.

    Secrets are not part of it: resources name the environment variable that holds them.

    Args:
        settings: checked settings.
        progress: whom to tell about long imports, besides the log.
        build: a version that a command published, which a run reports.

    Raises:
        SettingsError: the services are not named, or a file that the settings name cannot be used.
    """
    if settings.embedded:
        raise SettingsError(
            "NACHET_DATABASE_URL: is not set; set it and NACHET_BLOB_ACCOUNT_URL, or start with `dagster"
            " dev` in the project's folder, or `nachet up`, which bring services of their own"
        )
    groups = Definitions.merge(
        uploads.definitions(settings.sensor),
        crops.definitions(settings.sensor),
        mass_import.definitions(),
        registry.definitions(),
        training.definitions(),
        models.definitions(),
        maintenance.definitions(),
    )
    return Definitions.merge(
        groups,
        Definitions(
            # Every run is one process, whose sign of life lasts from the first step to the last.
            executor=one_process,
            resources={
                **of_environment(settings),
                **of_settings(settings),
                "import_progress": progress or ImportProgress(),
                "what_runs": WhatRuns.of(groups),
                "command_build": build or CommandBuild(),
                "command_import": CommandImport(),
            },
        ),
    )


defs = definitions(Settings.from_environment())
