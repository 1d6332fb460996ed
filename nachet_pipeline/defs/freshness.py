"""How old an asset may be before the UI reports it as stale."""

from datetime import timedelta

from dagster import FreshnessPolicy

NIGHTLY = FreshnessPolicy.time_window(fail_window=timedelta(hours=74), warn_window=timedelta(hours=26))
"""For assets that a schedule materializes every night: amber after one missed night, red after three."""
