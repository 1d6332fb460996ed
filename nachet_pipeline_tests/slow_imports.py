"""What takes long to import and is otherwise imported late: for a process that others are forked from."""

from importlib import import_module

# Not the definitions, which read their settings from the environment as they are imported.
_MODULES = (
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "blake3",
    "cv2",
    "dagster_azure.blob",
    "dagster_postgres",
    "imagecodecs",
    "nachet_pipeline.uploads.discovery",
    "nachet_pipeline.cli.commands",
    "nachet_pipeline.contract.validation",
    "nachet_pipeline.uploads.importing",
    "nachet_pipeline.local.prepare",
    "nachet_pipeline.local.sample",
    "nachet_pipeline.local.sharing",
    "nachet_pipeline.users",
    "nachet_pipeline.storage.clients",
    "psycopg2.extras",
    "rich.progress",
    "upath.implementations.local",
)


def import_what_is_slow() -> None:
    """Import what most processes of the pipeline need; a fork starts anew the threads that numeric libraries have."""
    for module in _MODULES:
        import_module(module)
