"""Run by Alembic: migrates over the connection that `ingress.accounts.database.migrate` holds."""

from alembic import context

from ingress.accounts import schema_models  # noqa: F401 - its tables are of the same metadata
from ingress.accounts.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite cannot alter most of a table in place; Alembic copies it instead.
    render_as_batch=True,
)
context.run_migrations()
