"""Genres that the model proposes for books without any.

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
    op.create_table(
        "genre_proposals",
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("genre_id", sa.Uuid(), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column(
            "computed_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("0 <= probability AND probability <= 1", name=op.f("ck_genre_proposals_probability")),
        sa.ForeignKeyConstraint(
            ["book_id"], ["books.id"], name=op.f("fk_genre_proposals_book_id_books"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["genre_id"], ["genres.id"], name=op.f("fk_genre_proposals_genre_id_genres"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("book_id", "genre_id", name=op.f("pk_genre_proposals")),
    )
    op.create_index(op.f("ix_genre_proposals_genre_id"), "genre_proposals", ["genre_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_genre_proposals_genre_id"), table_name="genre_proposals")
    op.drop_table("genre_proposals")
