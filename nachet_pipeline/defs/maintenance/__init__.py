"""Reprocessing, reconciliation, retention, and folders that are put away."""
