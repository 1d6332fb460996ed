"""What a run was launched for.

The UI lets people launch a run of a partitioned asset without a partition, and a run of its checks alone. Such a run
does nothing, says in one sentence what to choose, and succeeds, because nothing is broken.
"""

from dagster import AssetExecutionContext


def chosen_partitions(context: AssetExecutionContext, what: str) -> list[str]:
    """The partitions that a run is to materialize; none if it was launched without, which its log then says.

    Args:
        context: of the step.
        what: what one partition is, such as "upload".
    """
    if context.has_partition_key or context.has_partition_key_range:
        if context.selected_asset_keys:
            return list(context.partition_keys)
        said = f"a check is evaluated when its {what} is materialized"
    else:
        said = f"no {what} was chosen"
    page = min(key.to_user_string() for key in context.assets_def.keys)
    context.log.warning(
        "Nothing was done, because %s. Choose Materialize on the page of %s, then the %s.", said, page, what
    )
    return []
