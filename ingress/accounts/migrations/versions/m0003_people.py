"""Users, their memberships and sessions, one-time links, the access log; who made a token, and what it may send."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply."""
    op.add_column("teams", sa.Column("requested_at", _TIME))
    op.add_column("teams", sa.Column("requested_by", sa.String(300)))
    op.add_column("tokens", sa.Column("created_by", sa.String(300), nullable=False, server_default=""))
    op.add_column("tokens", sa.Column("last_used_at", _TIME))
    op.add_column("tokens", sa.Column("replaces", sa.String(32)))
    op.create_index("ix_tokens_replaces", "tokens", ["replaces"], unique=True)
    op.create_table(
        "token_events",
        sa.Column("token_id", sa.String(32), sa.ForeignKey("tokens.id"), primary_key=True),
        sa.Column("event_name", sa.String(200), primary_key=True),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("email", sa.String(254), nullable=False, unique=True),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("operator", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("disabled_at", _TIME),
    )
    _create_what_users_have()


def _create_what_users_have() -> None:
    op.create_table(
        "memberships",
        sa.Column("team", sa.String(63), sa.ForeignKey("teams.slug"), primary_key=True),
        sa.Column("user_id", sa.String(32), sa.ForeignKey("users.id"), primary_key=True, index=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_table(
        "invites",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("created_by", sa.String(300), nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("team", sa.String(63), sa.ForeignKey("teams.slug"), index=True),
        sa.Column("role", sa.String(16)),
        sa.Column("email", sa.String(254)),
        sa.Column("user_id", sa.String(32), sa.ForeignKey("users.id")),
        sa.Column("used_at", _TIME),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("user_id", sa.String(32), sa.ForeignKey("users.id"), nullable=False, index=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("last_seen_at", _TIME, nullable=False),
        sa.Column("confirmed_at", _TIME, nullable=False),
        sa.Column("user_agent", sa.String(200), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
    )
    op.create_table(
        "access_log",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("actor", sa.String(300), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("actor_user_id", sa.String(32)),
        sa.Column("address", sa.String(64)),
        sa.Column("team", sa.String(63)),
        sa.Column("subject", sa.String(300), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_access_log_team_id", "access_log", ["team", "id"])


def downgrade() -> None:
    """Take back."""
    for table in ("access_log", "sessions", "invites", "memberships", "users", "token_events"):
        op.drop_table(table)
    op.drop_index("ix_tokens_replaces", "tokens")
    for column in ("replaces", "last_used_at", "created_by"):
        op.drop_column("tokens", column)
    for column in ("requested_by", "requested_at"):
        op.drop_column("teams", column)
