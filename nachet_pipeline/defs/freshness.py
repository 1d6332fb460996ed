"""How old an asset may be before the UI says so."""

from datetime import timedelta

from dagster import FreshnessPolicy

NIGHTLY = FreshnessPolicy.time_window(fail_window=timedelta(hours=74), warn_window=timedelta(hours=26))
"""Of what a schedule makes every night: amber after one night was missed, red after three."""
