"""What a person chooses about an export; light, for the command's help."""

from enum import StrEnum


class ExportFormat(StrEnum):
    """What the files are made for."""

    IMAGEFOLDER = "imagefolder"
    PARQUET = "parquet"
    WEBDATASET = "webdataset"
    CROISSANT = "croissant"


WITH_SEVERAL_LABELS = frozenset(ExportFormat) - {ExportFormat.IMAGEFOLDER}
"""Formats that can say that a picture has several labels."""


class ExportLayout(StrEnum):
    """How the trees of an ImageFolder are cut: one for each number of seeds in a picture, or one for all."""

    SEEDS = "seeds"
    FLAT = "flat"
