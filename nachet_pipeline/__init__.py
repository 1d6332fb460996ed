"""Staged folders of seed photographs become validated pictures, database rows and training sets."""

from importlib.metadata import version

__version__ = version("nachet_pipeline")
