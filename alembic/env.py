"""How a migration runs: on the connection it is given, in that connection's transaction."""

from alembic import context

from orchestrator.store.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("Run `orchestrator migrate`; this folder has no database address of its own.")

# One transaction for all of it, on SQLite too: a migration that fails half-way leaves nothing behind.
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
