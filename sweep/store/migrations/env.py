"""Alembic's entry: it migrates over the connection that `sweep.store.database` hands it, in that transaction."""

from alembic import context

from sweep.store.schema import VERSION_TABLE
from sweep.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
context.run_migrations()
