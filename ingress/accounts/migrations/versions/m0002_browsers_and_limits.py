"""Origins of a team; tokens that may only write, and tokens with a limit of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "team_origins",
        sa.Column("team", sa.String(63), sa.ForeignKey("teams.slug"), primary_key=True),
        sa.Column("origin", sa.String(255), primary_key=True),
    )
    with op.batch_alter_table("tokens") as tokens:
        tokens.add_column(sa.Column("write_only", sa.Boolean(), nullable=False, server_default=sa.false()))
        tokens.add_column(sa.Column("events_per_second", sa.Integer()))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("tokens") as tokens:
        tokens.drop_column("events_per_second")
        tokens.drop_column("write_only")
    op.drop_table("team_origins")
