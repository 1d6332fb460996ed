"""Alembic's entry: runs the revisions on the connection that `migrate` hands over."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # Dagster's own tables may lie in the same schema and have an alembic_version there.
    version_table="nachet_alembic_version",
)
with context.begin_transaction():
    context.run_migrations()
