"""Two indexes: a book's reviews with so many stars, by time, without reading and sorting all of them.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

from data.migrations import online

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in ("created_at", "updated_at"):
        online.create_index(f"ix_reviews_book_id_rating_{column}_id", "reviews", ["book_id", "rating", column, "id"])


def downgrade() -> None:
    for column in ("updated_at", "created_at"):
        op.drop_index(op.f(f"ix_reviews_book_id_rating_{column}_id"), table_name="reviews")
