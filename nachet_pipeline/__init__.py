"""Staged folders of seed photographs become validated pictures, database rows and training sets."""


def __getattr__(name: str) -> str:
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version  # noqa: PLC0415 (a decoder starts sooner without it)

    return version("nachet_pipeline")
