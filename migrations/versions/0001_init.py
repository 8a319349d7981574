"""Projects, images, captions, history, base models, settings, runs and verdicts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    _make_bases_and_projects()
    _make_images()
    _make_history()
    _make_runs()


def _make_bases_and_projects() -> None:
    op.create_table(
        "base_model",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("layout", sa.String(20), nullable=False),
        sa.Column("family", sa.String(20), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("resolution_px", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=True),
        sa.Column("is_bundled", sa.Boolean(), nullable=False),
        sa.Column("is_missing", sa.Boolean(), nullable=False),
        sa.Column("found_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_base_model"),
        sa.UniqueConstraint("name", name="uq_base_model_name"),
        sa.UniqueConstraint("path", name="uq_base_model_path"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "project",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("purpose", sa.String(20), nullable=False),
        sa.Column("trigger_word", sa.Text(), nullable=False),
        sa.Column("base_id", sa.Integer(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_project"),
        sa.UniqueConstraint("name_key", name="uq_project_name_key"),
        sa.ForeignKeyConstraint(["base_id"], ["base_model.id"], name="fk_project_base_id_base_model"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "setting",
        sa.Column("key", sa.String(60), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_setting"),
    )


def _make_images() -> None:
    op.create_table(
        "blob",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("extension", sa.String(8), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("width_px", sa.Integer(), nullable=False),
        sa.Column("height_px", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_blob"),
    )
    op.create_table(
        "image",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("repeats", sa.Integer(), nullable=False),
        sa.Column("added_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_image"),
        sa.UniqueConstraint("project_id", "sha256", name="uq_image_project_id_sha256"),
        sa.CheckConstraint("repeats >= 1", name="ck_image_repeats"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_image_project_id_project"),
        sa.ForeignKeyConstraint(["sha256"], ["blob.sha256"], name="fk_image_sha256_blob"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_image_sha256", "image", ["sha256"])
    op.create_table(
        "caption",
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", name="pk_caption"),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name="fk_caption_image_id_image", ondelete="CASCADE"),
    )


def _make_history() -> None:
    op.create_table(
        "history",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("batch", sa.String(36), nullable=True),
        sa.Column("noun", sa.String(20), nullable=False),
        sa.Column("noun_id", sa.Integer(), nullable=False),
        sa.Column("verb", sa.String(20), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_history"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_history_project_id_project"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_history_project_id_id", "history", ["project_id", "id"])


def _make_runs() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("dir", sa.Text(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(36), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("claimed_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("history_id", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        sa.UniqueConstraint("dir", name="uq_run_dir"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_run_project_id_project"),
        sa.ForeignKeyConstraint(["parent_id"], ["run.id"], name="fk_run_parent_id_run"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_run_status_id", "run", ["status", "id"])
    op.create_index("ix_run_project_id", "run", ["project_id"])
    op.create_table(
        "verdict",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("prompt_index", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("strength_pct", sa.Integer(), nullable=False),
        sa.Column("choice", sa.String(20), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "step", "prompt_index", "seed", "strength_pct", name="pk_verdict"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_verdict_run_id_run"),
    )
