"""Which registry the schemas are of."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("schema_counter", sa.Column("mirrors", sa.String(300)))


def downgrade() -> None:
    """Take back."""
    op.drop_column("schema_counter", "mirrors")
