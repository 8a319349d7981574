"""Subjects: where a model sees the subject of an image.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; nothing else changes."""
    op.create_table(
        "subject",
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer()),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("mask_sha256", sa.String(64), nullable=False),
        sa.Column("box", sa.Text(), nullable=False),
        sa.Column("share", sa.Float(), nullable=False),
        sa.Column("is_dismissed", sa.Boolean(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", name="pk_subject"),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name="fk_subject_image_id_image", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_subject_run_id_run"),
    )
