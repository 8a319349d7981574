"""Recipes, provenance, held-out images, import reports, relations, suggestions, versions and filters.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what the studio's later rooms keep; columns only grow, no table is rebuilt."""
    _widen()
    _make_history()
    _make_imports()
    _make_opinions()


def _widen() -> None:
    columns = {
        "project": [
            sa.Column("alpha_use", sa.String(20)),
            sa.Column("background", sa.String(7), nullable=False, server_default="#ffffff"),
        ],
        "blob": [
            sa.Column("phash", sa.String(16)),
            sa.Column("phash_mirrored", sa.String(16)),
            sa.Column("facts", sa.Text()),
        ],
        "image": [
            sa.Column("recipe", sa.Text(), nullable=False, server_default="{}"),
            sa.Column("split", sa.String(20), nullable=False, server_default="train"),
            sa.Column("weight", sa.Float(), nullable=False, server_default="1"),
            sa.Column("revision", sa.Integer(), nullable=False, server_default="0"),
            sa.Column("reviewed_by", sa.Text()),
            *(
                sa.Column(name, sa.Text(), nullable=False, server_default=sa.text("''"))
                for name in ("source", "author", "licence", "collected_on")
            ),
            sa.Column("no_ai", sa.Boolean(), nullable=False, server_default="0"),
            sa.Column("parent_id", sa.Integer()),
        ],
        "caption": [
            sa.Column("raw", sa.LargeBinary()),
            sa.Column("encoding", sa.String(20)),
            sa.Column("came_from", sa.Text()),
        ],
        "history": [sa.Column("undoes", sa.String(36)), sa.Column("redoes", sa.String(36))],
    }
    for table, added in columns.items():
        for column in added:
            op.add_column(table, column)
    op.create_index("ix_image_project_id_id", "image", ["project_id", "id"])


def _make_history() -> None:
    for table, kept in (("version", "history_id"), ("saved_filter", "text")):
        columns = [sa.Column("name", sa.Text(), nullable=False)]
        if kept == "history_id":
            columns += [
                sa.Column("history_id", sa.Integer(), nullable=False),
                sa.Column("by", sa.Text(), nullable=False),
                sa.Column("at_us", sa.BigInteger(), nullable=False),
            ]
        else:
            columns.append(sa.Column("text", sa.Text(), nullable=False))
        op.create_table(
            table,
            sa.Column("id", sa.Integer(), nullable=False),
            sa.Column("project_id", sa.Integer(), nullable=False),
            *columns,
            sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
            sa.UniqueConstraint("project_id", "name", name=f"uq_{table}_project_id_name"),
            sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=f"fk_{table}_project_id_project"),
            sqlite_autoincrement=True,
        )


def _make_imports() -> None:
    op.create_table(
        "import",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_import"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_import_project_id_project"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_import_project_id", "import", ["project_id"])
    op.create_table(
        "import_item",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("path", sa.Text()),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("code", sa.String(20), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("image_id", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_import_item"),
        sa.ForeignKeyConstraint(
            ["import_id"], ["import.id"], name="fk_import_item_import_id_import", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_import_item_import_id_outcome_id", "import_item", ["import_id", "outcome", "id"])


def _make_opinions() -> None:
    op.create_table(
        "relation",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("low_sha256", sa.String(64), nullable=False),
        sa.Column("high_sha256", sa.String(64), nullable=False),
        sa.Column("kinship", sa.String(20), nullable=False),
        sa.Column("better_sha256", sa.String(64)),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "low_sha256", "high_sha256", name="pk_relation"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_relation_project_id_project"),
    )
    op.create_table(
        "suggestion",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer()),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("category", sa.String(20), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_suggestion"),
        sa.UniqueConstraint("image_id", "kind", "text", "model", name="uq_suggestion_image_id_kind_text_model"),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name="fk_suggestion_image_id_image", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_suggestion_run_id_run"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_suggestion_image_id_state", "suggestion", ["image_id", "state"])
    op.create_table(
        "dismissed_tag",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "tag", name="pk_dismissed_tag"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_dismissed_tag_project_id_project"),
    )
