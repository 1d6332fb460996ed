"""What Dagster shows: a folder a group of assets, and what the groups share."""
