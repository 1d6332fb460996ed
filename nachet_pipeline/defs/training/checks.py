"""The checks on `training_set`, evaluated for each version that is built of a recipe."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dagster import AssetCheckResult, AssetCheckSeverity, AssetKey

from nachet_pipeline.defs.checks import partitioned_specs
from nachet_pipeline.defs.metadata import tables
from nachet_pipeline.defs.partitions import recipes

if TYPE_CHECKING:
    from nachet_pipeline.training.verifying import SetVerdict

_NOT_CURRENT = "A version that fails does not become the current one."
_CHECKS = {
    "no_leaks": "Nothing that belongs together is on two sides of the split: found again from the manifest as it was"
    f" published. {_NOT_CURRENT}",
    "no_conflicting_labels": "Every photograph has one label: in the version and wherever it is stored, or as somebody"
    f" decided of it. {_NOT_CURRENT}",
    "no_empty_class": f"Every class has pictures to train with, and there is a class. {_NOT_CURRENT}",
    "classes_large_enough": f"Every class has as many pictures as the recipe wants at least. {_NOT_CURRENT}",
    "classes_on_every_side": "Every class has pictures on each side of the split; one of very few groups cannot.",
    "pictures_current": "No picture of the version is withdrawn, taken out, refused, broken or stale as of today.",
}

check_specs = partitioned_specs(AssetKey("training_set"), recipes, _CHECKS)


def check_results(verdicts: "Iterable[SetVerdict]") -> Iterator[AssetCheckResult]:
    """The verdicts for Dagster. Those that keep a version from becoming the current one are errors."""
    for verdict in verdicts:
        yield AssetCheckResult(
            check_name=verdict.name,
            passed=verdict.passed,
            severity=AssetCheckSeverity.ERROR if verdict.grave else AssetCheckSeverity.WARN,
            description=verdict.summary or None,
            metadata={**verdict.numbers, **tables(found=verdict.rows)},
        )
