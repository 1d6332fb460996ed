"""Where the code of an asset is, so that its page in the UI says so."""

import warnings
from collections.abc import Sequence

from dagster import AssetsDefinition, BetaWarning, with_source_code_references


def with_code(assets: Sequence[AssetsDefinition]) -> list[AssetsDefinition]:
    """The same assets, each with the file and line of its function on the machine of the code server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)
        return [one for one in with_source_code_references(assets) if isinstance(one, AssetsDefinition)]
