"""Schemas, their subjects and versions; tokens that may register them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply."""
    op.add_column("tokens", sa.Column("schemas", sa.Boolean(), nullable=False, server_default=sa.false()))
    counter = op.create_table(
        "schema_counter",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("next_id", sa.Integer(), nullable=False),
    )
    op.bulk_insert(counter, [{"id": 1, "next_id": 1_000}])
    op.create_table(
        "schema_texts",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("text", sa.Text(), nullable=False),
    )
    op.create_table(
        "schema_subjects",
        sa.Column("name", sa.String(300), primary_key=True),
        sa.Column("team", sa.String(63), sa.ForeignKey("teams.slug"), nullable=False),
        sa.Column("table_name", sa.String(63), nullable=False),
        sa.Column("compatibility", sa.String(32)),
        sa.Column("mode", sa.String(16)),
        sa.UniqueConstraint("team", "table_name", name="uq_schema_subjects_table"),
    )
    op.create_table(
        "schema_versions",
        sa.Column("writer_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("subject", sa.String(300), sa.ForeignKey("schema_subjects.name"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("schema_id", sa.Integer(), sa.ForeignKey("schema_texts.id"), nullable=False, index=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("published", sa.Integer(), nullable=False),
        sa.Column("deleted_at", _TIME),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.UniqueConstraint("subject", "number", name="uq_schema_versions_number"),
    )


def downgrade() -> None:
    """Take back."""
    for table in ("schema_versions", "schema_subjects", "schema_texts", "schema_counter"):
        op.drop_table(table)
    op.drop_column("tokens", "schemas")
