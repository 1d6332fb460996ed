"""Dagster's resources: configuration of, and connections to, PostgreSQL and Blob storage."""
