"""Run by alembic during an upgrade, in the transaction that `versions` opened."""

from alembic import context

from benchmark.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,  # for the names of constraints
    render_as_batch=True,  # SQLite changes a column by rebuilding its table
    transactional_ddl=True,  # both data bases can; alembic assumes that SQLite cannot
)
with context.begin_transaction():
    context.run_migrations()
