"""Two indexes: a book's reviews with so many stars, by time, without reading and sorting all of them.

Writing to reviews waits while they are built, about a second for each million.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in ("created_at", "updated_at"):
        columns = ["book_id", "rating", column, "id"]
        op.create_index(op.f(f"ix_reviews_book_id_rating_{column}_id"), "reviews", columns, unique=False)


def downgrade() -> None:
    for column in ("updated_at", "created_at"):
        op.drop_index(op.f(f"ix_reviews_book_id_rating_{column}_id"), table_name="reviews")
