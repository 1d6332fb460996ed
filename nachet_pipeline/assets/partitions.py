"""Partitions of the assets."""

from dagster import DynamicPartitionsDefinition

uploads = DynamicPartitionsDefinition(name="upload")
"""One partition an upload; see `storage.naming.partition_key`."""
